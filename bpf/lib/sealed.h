/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a voters' message is, wherever it is looked at: in a frame (message.h) or at a
 * witness's socket (voters.bpf.c). Its kind, and whose tag it has.
 * Needs MAP(keys).
 */
#ifndef SIPFLIP_BPF_SEALED_H
#define SIPFLIP_BPF_SEALED_H

#include "lib/cursor.h"
#include "lib/siphash.h"

#include "sipflip/wire.h"

/* A message that was verified, and what it concerns. At a socket there is no frame and no state. */
struct message {
	struct ethhdr *eth;
	struct iphdr *ip;
	struct udphdr *udp;
	struct wire_msg *msg;
	struct service_conf *conf;
	struct service_state *state;
	struct siphash_key *key; /* the one that verified it */
	__u32 service;
	__u64 now_ns;
};

static __always_inline bool is_our_kind(const struct wire_msg *msg)
{
	return msg->magic == bpf_htons(WIRE_MAGIC) && msg->version == WIRE_VERSION &&
	       msg->type >= WIRE_ECHO && msg->type <= WIRE_RESIGN;
}

/* The key slot whose tag this is, or NULL. */
static __always_inline struct siphash_key *message_key(const struct wire_msg *msg)
{
	__u64 tag = AT64(msg->tag);
	__u32 slot;

#pragma unroll
	for (slot = 0; slot < KEY_SLOTS; slot++) {
		__u32 index = slot;
		struct siphash_key *key = bpf_map_lookup_elem(&keys, &index);

		if (key && (key->k0 || key->k1) && siphash_msg((const __u64 *)msg, key) == tag)
			return key;
	}
	return NULL;
}

#endif
