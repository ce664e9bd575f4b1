/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The fence: may a frame that claims an address leave this node? Asked by egress
 * for what the stack sends and by ingress for what it sends itself (XDP_TX goes
 * past TC). The answer is the ownership word and nothing else.
 * Needs MAP(ownership) and MAP(vips).
 */
#ifndef SIPFLIP_BPF_FENCE_H
#define SIPFLIP_BPF_FENCE_H

#include "lib/cursor.h"
#include "lib/maps.h"

const volatile struct vip_slot vip_slots[VIP_SLOTS] = {};

static __always_inline const volatile struct vip_slot *slot_of(__u8 last_octet)
{
	return &vip_slots[last_octet];
}

static __always_inline struct vip *vip_find(const union addr_key *key)
{
	if (slot_of(key->addr.b[15])->kind == SLOT_EMPTY)
		return NULL;
	return bpf_map_lookup_elem(&vips, key);
}

/* The slot first: the key is built only where several VIPs share one. */
static __always_inline const struct vip *vip_find_v4(__be32 addr)
{
	const volatile struct vip_slot *slot = slot_of(bpf_ntohl(addr));
	__u32 kind = slot->kind;
	union addr_key key;

	if (kind == SLOT_EMPTY)
		return NULL;
	if (kind == SLOT_ONE)
		return slot->addr == addr ? (const struct vip *)&slot->vip : NULL;
	key = mapped(addr);
	return bpf_map_lookup_elem(&vips, &key);
}

/* now < lease_until_ns: zero is fenced, ~0 is for ever. */
static __always_inline bool owns(__u32 service, __u64 now_ns)
{
	struct ownership *word = bpf_map_lookup_elem(&ownership, &service);

	return word && now_ns < *(volatile __u64 *)&word->lease_until_ns;
}

/* For a claim of a known VIP. */
static __always_inline bool fence_lets_vip(const struct vip *vip, __u64 now_ns)
{
	return owns(vip->service, now_ns);
}

/* For a claim of any IPv4 address. */
static __always_inline bool fence_lets_v4(__be32 addr, __u64 now_ns)
{
	const struct vip *vip = vip_find_v4(addr);

	return !vip || fence_lets_vip(vip, now_ns);
}

#endif
