/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The planned switchover's waiting room: while the old owner's server finishes
 * what it has, frames for the VIP are kept for the new owner instead of being
 * given to a server whose answers would be fenced. Called by the gate.
 * Needs MAP(service_state) and MAP(held).
 */
#ifndef SIPFLIP_BPF_HOLD_H
#define SIPFLIP_BPF_HOLD_H

#include "lib/bounds.h"
#include "lib/maps.h"
#include "lib/stats.h"

static __noinline int hold_frame(struct xdp_md *ctx, __u32 service, __u64 now_ns)
{
	__s64 len = (void *)(long)ctx->data_end - (void *)(long)ctx->data;
	struct held_frame *slot;

	slot = bpf_ringbuf_reserve(&held, sizeof(*slot), 0);
	if (!slot) {
		count(REASON_held_ring_full);
		return XDP_PASS;
	}
	slot->at_ns = now_ns;
	slot->service = service;
	slot->len = len;
	if (!is_within(&len, HELD_FRAME_BYTES) || bpf_xdp_load_bytes(ctx, 0, slot->frame, len))
		goto pass;
	bpf_ringbuf_submit(slot, BPF_RB_NO_WAKEUP); /* sipflipd comes for them when it has resigned */
	return verdict(XDP_DROP, REASON_vip_held);
pass:
	bpf_ringbuf_discard(slot, BPF_RB_NO_WAKEUP);
	count(REASON_held_ring_full);
	return XDP_PASS;
}

static __always_inline bool draining(__u32 service)
{
	struct service_state *state = bpf_map_lookup_elem(&service_state, &service);

	return state && state->draining;
}

#endif
