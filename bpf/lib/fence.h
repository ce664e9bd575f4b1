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

/* By value: what is found may be in the slot or in the map, and that changes nothing for the caller. */
static __always_inline bool vip_find(const union addr_key *key, struct vip *ret)
{
	struct vip *vip;

	if (slot_of(key->addr.b[15])->kind == SLOT_EMPTY)
		return false;
	vip = bpf_map_lookup_elem(&vips, key);
	if (!vip)
		return false;
	*ret = *vip;
	return true;
}

/* The slot first: the key is built only where several VIPs share one. */
static __always_inline bool vip_find_v4(__be32 addr, struct vip *ret)
{
	const volatile struct vip_slot *slot = slot_of(bpf_ntohl(addr));
	__u32 kind = slot->kind;
	union addr_key key;

	if (kind == SLOT_EMPTY)
		return false;
	if (kind == SLOT_ONE) {
		ret->service = slot->vip.service;
		ret->ifindex = slot->vip.ifindex;
		return slot->addr == addr;
	}
	key = mapped(addr);
	return vip_find(&key, ret);
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
	struct vip vip;

	return !vip_find_v4(addr, &vip) || fence_lets_vip(&vip, now_ns);
}

#endif
