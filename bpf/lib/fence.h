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

/*
 * A bit for the last byte of every VIP (both families), set before the load. It
 * spares an address that is no VIP the look-up in most cases; a bit too many
 * costs time only, a bit too few opens the fence.
 */
const volatile __u64 vip_last_octet[4] = {};

static __always_inline bool may_be_vip(__u8 last_octet)
{
	return vip_last_octet[last_octet >> 6] >> (last_octet & 63) & 1;
}

static __always_inline bool may_be_vip_v4(__be32 addr)
{
	return may_be_vip(bpf_ntohl(addr));
}

static __always_inline struct vip *vip_find(const union addr_key *key)
{
	return may_be_vip(key->addr.b[15]) ? bpf_map_lookup_elem(&vips, key) : NULL;
}

/* The pre-filter first, on the bare four bytes: the key is built only for what may be one. */
static __always_inline struct vip *vip_find_v4(__be32 addr)
{
	union addr_key key;

	if (!may_be_vip_v4(addr))
		return NULL;
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
	struct vip *vip = vip_find_v4(addr);

	return !vip || fence_lets_vip(vip, now_ns);
}

#endif
