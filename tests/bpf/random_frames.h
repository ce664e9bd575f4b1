/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Frames for test_reference.c: good ones of every kind that a program treats in its
 * own way, then some of their bytes changed, cut off or added. And states of the node
 * that they come to. All from one seed.
 */
#ifndef SIPFLIP_TEST_RANDOM_FRAMES_H
#define SIPFLIP_TEST_RANDOM_FRAMES_H

#include "reference.h"

/* KIND(name, weight) */
#define INGRESS_KINDS(X)                                                                                     \
	X(arp, 10)                                                                                           \
	X(vip_other, 6)                                                                                      \
	X(vip_sip, 14)                                                                                       \
	X(vip_media, 30)                                                                                     \
	X(echo, 20)                                                                                          \
	X(resign, 10)                                                                                        \
	X(message, 6)                                                                                        \
	X(noise, 4)
#define EGRESS_KINDS(X)                                                                                      \
	X(out_arp, 14)                                                                                       \
	X(out_sip, 30)                                                                                       \
	X(out_media, 24)                                                                                     \
	X(out_other, 14)                                                                                     \
	X(out_ipv6, 14)                                                                                      \
	X(out_noise, 4)

enum kind {
#define X(name, weight) KIND_##name,
	INGRESS_KINDS(X) EGRESS_KINDS(X)
#undef X
	        KINDS,
};

#define SERVICE_2   5
#define VIP_OTHER   0x0a0a0007U /* of SERVICE_2 */
#define SIP_PORT_1  5060
#define SIP_PORT_2  5080
#define RESCUE_PORT 5070
#define BASE_PORT   30000

extern const uint8_t vip_six[16];

uint32_t random_below(uint32_t below);
void random_seed(uint64_t seed);
/* A whole state of the node, around the time now_ns. */
void random_node(struct ref *r, uint64_t now_ns);
/* The steered Call-IDs that random_node() enters, by number. */
const char *random_call_id(int i);
/* A frame of that kind, as it might come to that state. */
void random_frame(const struct ref *r, enum kind kind, uint64_t now_ns, struct frame *ret);
enum kind random_kind(bool egress);
const char *kind_name(enum kind kind);

#endif
