/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Frames for the data plane's tests and its benchmark, and the little world they
 * live in: this node is 2 ("b"), its peer is 1 ("a"), the witness is 3, and the
 * service is number 3, so that an index forgotten somewhere shows.
 */
#ifndef SIPFLIP_TEST_FRAMES_H
#define SIPFLIP_TEST_FRAMES_H

#include <arpa/inet.h>
#include <endian.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "addr.h"
#include "msg.h"

#define SERVICE    3
#define NODE_SELF  2
#define NODE_PEER  1
#define NODE_WIT   3
#define IFINDEX    1 /* PROG_TEST_RUN's frames come in on lo */
#define EPOCH      0x0702ULL
#define SELF_INC   0x1122334455667788ULL
#define PEER_INC   0x99aabbccddeeff00ULL
#define CONFIG_TAG 0xc0ffee01U
#define LEASE_NS   10000000000ULL /* no slow machine outlasts it within a test */
#define FRAME_MAX  2304           /* longer than what a switchover holds */
#define MSG_FRAME  122            /* Ethernet, IPv4, UDP, wire_msg */
#define MSG_AT     42

#define VIP  0x0a090064U /* 10.9.0.100 */
#define VIP2 0x0a090065U
/* Two that share the last byte; the second is on another interface. */
#define VIP_TWIN  0x0a09006eU
#define VIP_AWAY  0x0a09016eU
#define ADDR_SELF 0x0a090002U
#define ADDR_PEER 0x0a090001U
#define ADDR_FAR  0x0a0900c8U
/* The last byte of a VIP, but no VIP: only the look-up can tell. */
#define ADDR_LIKE 0x0a090164U

static const uint8_t mac_self[6] = {2, 0, 0, 0, 0, 2};
static const uint8_t mac_peer[6] = {2, 0, 0, 0, 0, 1};
static const uint8_t mac_far[6] = {2, 0, 0, 0, 0, 0xc8};
static const uint8_t mac_other[6] = {2, 0, 0, 0, 0, 0x77};
static const uint8_t mac_all[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
static const uint8_t mac_none[6];

static const struct siphash_key key_first = {0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL};
static const struct siphash_key key_second = {0xdeadbeefcafef00dULL, 0x0123456789abcdefULL};
static const struct siphash_key key_wrong = {1, 2};

struct frame {
	uint32_t len;
	uint8_t b[FRAME_MAX];
};

static inline uint64_t now_boot_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

static inline void put16(uint8_t *at, uint16_t value)
{
	at[0] = value >> 8;
	at[1] = value & 0xff;
}

static inline void put32(uint8_t *at, uint32_t value)
{
	put16(at, value >> 16);
	put16(at + 2, value & 0xffff);
}

static inline struct frame frame_eth(const uint8_t *dst, const uint8_t *src, uint16_t proto)
{
	struct frame f = {.len = 14};

	memcpy(f.b, dst, 6);
	memcpy(f.b + 6, src, 6);
	put16(f.b + 12, proto);
	return f;
}

/* Padded to Ethernet's 60 bytes with zeros. */
static inline struct frame frame_arp(const uint8_t *dst, const uint8_t *src, uint16_t op, const uint8_t *sha,
                                     uint32_t spa, const uint8_t *tha, uint32_t tpa)
{
	struct frame f = frame_eth(dst, src, 0x0806);
	uint8_t *arp = f.b + 14;

	put16(arp, 1);
	put16(arp + 2, 0x0800);
	arp[4] = 6;
	arp[5] = 4;
	put16(arp + 6, op);
	memcpy(arp + 8, sha, 6);
	put32(arp + 14, spa);
	memcpy(arp + 18, tha, 6);
	put32(arp + 24, tpa);
	f.len = 60;
	return f;
}

static inline uint16_t ip_sum(const uint8_t *ip)
{
	uint32_t sum = 0;
	int i;

	for (i = 0; i < (ip[0] & 15) * 4; i += 2)
		sum += (uint32_t)ip[i] << 8 | ip[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* IPv4 at the end of the frame so far, with a good header checksum. */
static inline void add_ipv4(struct frame *f, uint8_t proto, uint32_t src, uint32_t dst, uint16_t payload_len)
{
	uint8_t *ip = f->b + f->len;

	ip[0] = 0x45;
	put16(ip + 2, 20 + payload_len);
	put16(ip + 4, 0x1234);
	put16(ip + 6, 0x4000);
	ip[8] = 64;
	ip[9] = proto;
	put32(ip + 12, src);
	put32(ip + 16, dst);
	put16(ip + 10, ip_sum(ip));
	f->len += 20;
}

static inline void add_udp(struct frame *f, uint16_t sport, uint16_t dport, const void *payload, uint16_t len)
{
	uint8_t *udp = f->b + f->len;

	put16(udp, sport);
	put16(udp + 2, dport);
	put16(udp + 4, 8 + len);
	memcpy(udp + 8, payload, len);
	f->len += 8u + len;
}

static inline struct frame frame_udp(const uint8_t *dst_mac, const uint8_t *src_mac, uint32_t src,
                                     uint16_t sport, uint32_t dst, uint16_t dport, const void *payload,
                                     uint16_t len)
{
	struct frame f = frame_eth(dst_mac, src_mac, 0x0800);

	add_ipv4(&f, 17, src, dst, 8 + len);
	add_udp(&f, sport, dport, payload, len);
	return f;
}

/* What the UDP checksum of an IPv4 frame without tags must be (RFC 768), read afresh over all of it. */
static inline uint16_t udp_sum(const struct frame *f)
{
	const uint8_t *ip = f->b + 14, *udp = ip + (ip[0] & 15) * 4;
	uint32_t len = (uint32_t)udp[4] << 8 | udp[5], sum = 17 + len, i;

	for (i = 12; i < 20; i += 2)
		sum += (uint32_t)ip[i] << 8 | ip[i + 1];
	for (i = 0; i < len; i++)
		if (i != 6 && i != 7)
			sum += i % 2 ? udp[i] : (uint32_t)udp[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum == 0xffff ? 0xffff : ~sum;
}

/* Both checksums put right. */
static inline struct frame frame_summed(struct frame f)
{
	uint8_t *ip = f.b + 14, *udp = ip + (ip[0] & 15) * 4;

	put16(ip + 10, 0);
	put16(ip + 10, ip_sum(ip));
	put16(udp + 6, udp_sum(&f));
	return f;
}

static inline struct frame frame_tcp(const uint8_t *dst_mac, const uint8_t *src_mac, uint32_t src,
                                     uint32_t dst)
{
	struct frame f = frame_eth(dst_mac, src_mac, 0x0800);

	add_ipv4(&f, 6, src, dst, 20);
	f.b[f.len + 12] = 0x50;
	f.len += 20;
	return f;
}

/* The frame with `n` tags between the addresses and its type. */
static inline struct frame with_tags(struct frame f, int n)
{
	struct frame t = f;
	int i;

	for (i = 0; i < n; i++) {
		put16(t.b + 12 + 4 * i, i + 1 < n ? 0x88a8 : 0x8100);
		put16(t.b + 14 + 4 * i, 10 + i);
	}
	memcpy(t.b + 12 + 4 * n, f.b + 12, f.len - 12);
	t.len = f.len + 4 * n;
	return t;
}

static inline struct frame frame_msg(const struct msg *msg, const struct siphash_key *key)
{
	struct wire_msg wire;

	msg_seal(msg, key, &wire);
	return frame_udp(mac_self, mac_peer, ADDR_PEER, WIRE_PORT, ADDR_SELF, WIRE_PORT, &wire, sizeof(wire));
}

/* A good echo of the peer, sent now, without a grant. */
static inline struct msg msg_echo(void)
{
	return (struct msg){
	        .type = WIRE_ECHO,
	        .service = SERVICE,
	        .sender = NODE_PEER,
	        .target = NODE_SELF,
	        .epoch = EPOCH,
	        .seq = 41,
	        .sender_inc = PEER_INC,
	        .target_inc = SELF_INC,
	        .sent_ns = 1000000,
	        .config_tag = CONFIG_TAG,
	        .flags = STATUS_HEALTHY,
	        .ok_age_us = 1500,
	        .turn_age_us = 90,
	};
}

/* The peer's RESIGN to this node: new epoch, this node's own timestamp of a moment ago. */
static inline struct msg msg_resign(void)
{
	return (struct msg){
	        .type = WIRE_RESIGN,
	        .service = SERVICE,
	        .sender = NODE_PEER,
	        .target = NODE_SELF,
	        .detail = CAUSE_server_signal,
	        .epoch = EPOCH + 0x100,
	        .seq = 0x0601,
	        .sender_inc = PEER_INC,
	        .target_inc = SELF_INC,
	        .sent_ns = 1000000,
	        .grant_ns = now_boot_ns() - 1000000,
	        .config_tag = CONFIG_TAG,
	        .ok_age_us = 700,
	        .turn_age_us = 12,
	};
}

#endif
