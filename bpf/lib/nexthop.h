/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The next hop of a relayed packet: the kernel's routes and neighbours asked once
 * a second a flow, or, where they do not say (forwarding is off on most hosts, and
 * then they are not to be asked; or the neighbour is not resolved), the MAC that the
 * phone's own packets came from, here or at the old owner. Always on the interface
 * the packet came in on: XDP_TX knows no other. Called by relay.h.
 */
#ifndef SIPFLIP_BPF_NEXTHOP_H
#define SIPFLIP_BPF_NEXTHOP_H

#include "lib/cursor.h"
#include "lib/forward.h"

#define HOP_GOOD_NS 1000000000ULL
#define AF_INET     2

struct hop {
	struct xdp_md *ctx;
	const struct iphdr *ip;
	struct flow *flow; /* of the phone that is to be reached */
	__u64 now_ns;
	__be32 from;
	__be32 to;
	__u8 mac[8]; /* result */
};

static __always_inline bool hop_ask(struct hop *hop)
{
	struct bpf_fib_lookup fib = {
	        .family = AF_INET,
	        .l4_protocol = IPPROTO_UDP,
	        .tot_len = bpf_ntohs(hop->ip->tot_len),
	        .ifindex = hop->ctx->ingress_ifindex,
	        .tos = hop->ip->tos,
	        .ipv4_src = hop->from,
	        .ipv4_dst = hop->to,
	};

	if (bpf_fib_lookup(hop->ctx, &fib, sizeof(fib), 0) != BPF_FIB_LKUP_RET_SUCCESS ||
	    fib.ifindex != hop->ctx->ingress_ifindex)
		return false;
	/* in halves: that is how it lies on the stack */
	AT16(hop->mac) = AT16(fib.dmac);
	AT16(hop->mac + 2) = AT16(fib.dmac + 2);
	AT16(hop->mac + 4) = AT16(fib.dmac + 4);
	return true;
}

static __noinline bool hop_refresh(struct hop *hop)
{
	struct flow *flow = hop->flow;

	if (!flow)
		return false;
	if (!hop_ask(hop)) {
		if (mac_known(flow->seen_mac))
			mac_copy(hop->mac, flow->seen_mac);
		else if (mac_known(flow->mac))
			mac_copy(hop->mac, flow->mac);
		else
			return false;
	}
	if (!mac_equal(flow->next_hop, hop->mac))
		mac_copy(flow->next_hop, hop->mac);
	flow->next_hop_ns = hop->now_ns + HOP_GOOD_NS;
	return true;
}

/* False: nobody knows. */
static __always_inline bool hop_find(struct hop *hop)
{
	if (hop->now_ns >= hop->flow->next_hop_ns)
		return hop_refresh(hop);
	mac_copy(hop->mac, hop->flow->next_hop);
	return true;
}

#endif
