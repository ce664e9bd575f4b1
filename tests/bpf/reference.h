/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What ingress and egress do with a frame, written a second time from abi.h, wire.h,
 * reasons.def and docs/, byte by byte and as plainly as can be: no code of bpf/lib is
 * in it. test_reference.c gives both the same frames and compares everything.
 */
#ifndef SIPFLIP_TEST_REFERENCE_H
#define SIPFLIP_TEST_REFERENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "frames.h"
#include "sipflip/abi.h"

#define REF_VIPS   6
#define REF_SLOTS  32 /* of flows; slot 0 is none */
#define REF_STEERS 8
#define REF_NODES  MAX_NODES

enum { REF_XDP_DROP = 1, REF_XDP_PASS = 2, REF_XDP_TX = 3, REF_TC_OK = 0, REF_TC_SHOT = 2 };

/* One service as the maps have it. */
struct ref_service {
	uint32_t number;
	struct ownership word;
	struct service_conf conf;
	struct service_state state;
	struct peer peers[REF_NODES];
	struct fresh fresh[REF_NODES];
};

/* All that a frame's fate depends on. Times that a frame sets are `now_ns`. */
struct ref {
	/* the frame is looked at somewhere in between; where that matters, `unsure` is set */
	uint64_t now_ns;
	uint64_t latest_ns;
	bool unsure;
	uint32_t ifindex;
	struct ref_service service[2];
	int n_vips;
	struct {
		struct inaddr16 addr;
		struct vip vip;
	} vips[REF_VIPS];
	struct siphash_key keys[KEY_SLOTS];
	struct siphash_key steer_key;
	int n_steers;
	struct {
		uint64_t hash;
		uint32_t service;
		uint64_t packets;
	} steers[REF_STEERS];
	struct flow flows[REF_SLOTS];
	uint32_t port_slot[REF_SLOTS]; /* first slot of port base_port + i */
	uint16_t base_port;
	uint32_t counted[REASON_COUNT];
};

/* Change the frame and the state as the program would; return its verdict. */
int ref_ingress(struct ref *r, struct frame *f);
int ref_egress(struct ref *r, struct frame *f);

/* SIP's Call-ID in what one program looks at: where and how long. Negative: none. reference_sip.c */
int ref_call_id(const uint8_t *text, uint32_t len, uint32_t *ret_len);
/* SipHash-2-4 as libsodium has it. */
uint64_t ref_siphash(const void *data, uint32_t len, uint64_t k0, uint64_t k1);

/* --- shared by the two parts --- */
uint16_t ref_get16(const uint8_t *at);
uint32_t ref_get32(const uint8_t *at);
uint64_t ref_get64(const uint8_t *at);
void ref_count(struct ref *r, enum reason reason);
struct ref_service *ref_service(struct ref *r, uint32_t number);
const struct vip *ref_vip4(const struct ref *r, const uint8_t *addr);
bool ref_owns(struct ref *r, uint32_t service);
/* A claim of this address may leave: it is no VIP, or an owned one. */
bool ref_may_claim4(struct ref *r, const uint8_t *addr);
/* now < at */
bool ref_is_before(struct ref *r, uint64_t at_ns);
/* The checksum after one of the 16-bit words under it has changed (RFC 1624, equation 3). */
uint16_t ref_resum(uint16_t check, uint16_t from, uint16_t to);
struct flow *ref_flow(struct ref *r, uint16_t port, const uint8_t *vip, uint32_t *ret_slot);
bool ref_is_sip_port(const struct service_conf *conf, uint16_t port);
/* The entry of the Call-ID in text; *ret_found = there is one. -1 = not steered. */
int ref_steer(struct ref *r, const uint8_t *text, uint32_t len, uint32_t service, bool *ret_found);
int ref_relay(struct ref *r, struct frame *f, struct ref_service *svc, struct flow *flow);
int ref_watch(struct ref *r, struct frame *f, struct ref_service *svc, struct flow *flow);
int ref_message(struct ref *r, struct frame *f);
bool ref_is_peers_mac(const struct ref_service *svc, const uint8_t *mac);

#endif
