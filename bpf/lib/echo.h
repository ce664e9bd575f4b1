/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * ECHO: what a voter says of itself is recorded, its grant moves the lease
 * forward, and the frame goes back as REFLECT with this node's own time in it,
 * all without waking anyone. The time is read once, before the reflection is
 * built: a lease that runs from it can only be shorter than the voter's promise.
 * Needs MAP(ownership), MAP(vips) and what message.h and fresh.h need.
 */
#ifndef SIPFLIP_BPF_ECHO_H
#define SIPFLIP_BPF_ECHO_H

#include "lib/fence.h"
#include "lib/fresh.h"
#include "lib/message.h"

#define REFLECT_TTL   64
#define RENEW_TRIES   4
#define AGE_NEVER     0xffffffffU
#define STATUS_KERNEL (STATUS_OWNER | STATUS_ARMED | STATUS_SERVER_DEAD) /* told by the maps here */

/*
 * In microseconds; then_ns 0 = never, and what does not fit is as good as never.
 * x / 125 is x * 274877907 >> 35 for every x below 2^32: a division would cost
 * more than the rest of the reflection's head.
 */
static __always_inline __u32 age_us(__u64 then_ns, __u64 now_ns)
{
	__u64 age_ns = now_ns - then_ns, age;

	if (!then_ns)
		return AGE_NEVER;
	if (now_ns <= then_ns)
		return 0;
	if (age_ns >> 35 == 0)
		return (age_ns >> 3) * 274877907 >> 35;
	age = age_ns / 1000;
	return age < AGE_NEVER ? age : AGE_NEVER;
}

/* An echo that is not newer than the last one of this incarnation: repeated or overtaken. */
static __always_inline bool echo_is_stale(const struct wire_msg *msg, const struct peer *peer)
{
	return bpf_be64_to_cpu(msg->sender_inc) == peer->incarnation &&
	       bpf_be64_to_cpu(msg->sent_ns) <= peer->sent_ns;
}

static __always_inline void echo_record(const struct message *m, struct peer *peer)
{
	const struct wire_msg *msg = m->msg;

	peer->last_echo_ns = m->now_ns;
	peer->sent_ns = bpf_be64_to_cpu(msg->sent_ns);
	peer->incarnation = bpf_be64_to_cpu(msg->sender_inc);
	peer->epoch = bpf_be64_to_cpu(msg->epoch);
	peer->flags = bpf_ntohl(msg->flags);
	peer->ok_age_us = bpf_ntohl(msg->ok_age_us);
	peer->turn_age_us = bpf_ntohl(msg->turn_age_us);
	peer->echoes++;
}

/*
 * A grant is of one epoch, to one incarnation, from a time that this node itself
 * has read. Moves the word forward, never back, never up from 0 (fenced stays
 * fenced) and never touches ~0. Returns how it was counted.
 */
static __always_inline enum reason grant_take(const struct message *m, struct peer *peer)
{
	__u64 grant_ns = bpf_be64_to_cpu(m->msg->grant_ns);
	__u64 epoch = bpf_be64_to_cpu(m->msg->epoch);
	__u64 until_ns = grant_ns + m->conf->lease_ns;
	__u32 service = m->service;
	struct ownership *word = bpf_map_lookup_elem(&ownership, &service);
	__u64 lease_ns;
	int i;

	if (!word || epoch != m->state->epoch || (epoch & 0xff) != m->conf->node ||
	    bpf_be64_to_cpu(m->msg->target_inc) != m->conf->incarnation || grant_ns > m->now_ns)
		return REASON_echo_grant_mismatch;
	lease_ns = *(volatile __u64 *)&word->lease_until_ns;
	if (lease_ns == LEASE_FENCED)
		return REASON_echo_grant_fenced;
	/* an older one is a replay of a former life of the voter: it grants nothing now */
	if (until_ns >= peer->grant_until_ns) {
		peer->last_grant_ns = m->now_ns;
		peer->grant_until_ns = until_ns;
	}
	for (i = 0; i < RENEW_TRIES; i++) {
		__u64 seen_ns;

		if (lease_ns == LEASE_FENCED)
			return REASON_echo_grant_fenced;
		if (until_ns <= lease_ns)
			return REASON_echo_grant_stale;
		seen_ns = __sync_val_compare_and_swap(&word->lease_until_ns, lease_ns, until_ns);
		if (seen_ns == lease_ns)
			return REASON_echo_renewed;
		lease_ns = seen_ns;
	}
	return REASON_echo_grant_stale;
}

static __always_inline __u32 status_flags(const struct message *m)
{
	__u32 flags = m->state->flags & ~STATUS_KERNEL;

	if (owns(m->service, m->now_ns))
		flags |= STATUS_OWNER;
	if (m->now_ns < m->state->armed_until_ns)
		flags |= STATUS_ARMED;
	if (m->state->server_dead_ns)
		flags |= STATUS_SERVER_DEAD;
	return flags;
}

/* RFC 1624 equation 3; the addresses change places, which the sum does not notice. */
static __always_inline void ip_set_ttl(struct iphdr *ip, __u8 ttl)
{
	__u32 sum = (~bpf_ntohs(ip->check) & 0xffff) + (~((__u32)ip->ttl << 8) & 0xffff) + ((__u32)ttl << 8);

	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	ip->check = bpf_htons(~sum);
	ip->ttl = ttl;
}

static __always_inline void swap_addresses(const struct message *m)
{
	__be32 addr = m->ip->saddr;
	__be16 port = m->udp->source;
	__u8 mac[6] __attribute__((aligned(4)));

	mac_copy(mac, m->eth->h_source);
	mac_copy(m->eth->h_source, m->eth->h_dest);
	mac_copy(m->eth->h_dest, mac);
	m->ip->saddr = m->ip->daddr;
	m->ip->daddr = addr;
	m->udp->source = m->udp->dest;
	m->udp->dest = port;
	m->udp->check = 0;
	if (m->ip->ttl != REFLECT_TTL)
		ip_set_ttl(m->ip, REFLECT_TTL);
}

/* Two 32-bit fields that are neighbours on the wire, as one word. */
static __always_inline __u64 word_of(__be32 first, __be32 second)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return first | (__u64)second << 32;
#else
	return (__u64)first << 32 | second;
#endif
}

/*
 * The reflection is made in whole words and hashed from there: reading it back
 * from the frame in other sizes than it was written would stall. seq and sent_ns
 * stay the voter's own: it matches them with what it sent.
 */
static __always_inline int reflect(const struct message *m)
{
	const struct service_conf *conf = m->conf;
	const struct service_state *state = m->state;
	const struct wire_msg *msg = m->msg;
	__u64 *frame = (__u64 *)m->msg;
	__u64 word[MSG_WORDS + 1];
	int i;

	if (!fence_lets_v4(m->ip->daddr, m->now_ns))
		return verdict(XDP_DROP, REASON_tx_fenced);
	word[0] = word_of(
	        bpf_htonl(WIRE_MAGIC << 16 | WIRE_VERSION << 8 | WIRE_REFLECT),
	        bpf_htonl((__u32)msg->service << 24 | (__u32)conf->node << 16 | (__u32)msg->sender << 8));
	word[1] = bpf_cpu_to_be64(state->epoch);
	word[2] = msg->seq;
	word[3] = bpf_cpu_to_be64(conf->incarnation);
	word[4] = msg->sender_inc;
	word[5] = msg->sent_ns;
	word[6] = bpf_cpu_to_be64(m->now_ns);
	word[7] = word_of(msg->config_tag, bpf_htonl(status_flags(m)));
	word[8] = word_of(bpf_htonl(age_us(state->ok_ns, m->now_ns)),
	                  bpf_htonl(age_us(state->turn_ns, m->now_ns)));
	word[9] = siphash_msg(word, m->key);
	swap_addresses(m);
#pragma unroll
	for (i = 0; i < MSG_WORDS + 1; i++)
		frame[i] = word[i];
	return verdict(XDP_TX, REASON_echo_reflected);
}

/* A grant shows by itself that it is fresh: it is heeded whatever is believed of its sender. */
static __always_inline int echo(const struct message *m, struct peer *peer, const struct fresh *fresh)
{
	if (!echo_is_stale(m->msg, peer)) {
		if (!fresh_foreign(m, fresh)) {
			echo_record(m, peer);
			message_learn_mac(m, peer);
		}
		if (m->msg->grant_ns)
			count(grant_take(m, peer));
	}
	return reflect(m);
}

#endif
