/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * IP for a VIP that this node does not own. Stale neighbours still send it here
 * after a flip: it goes on to the new owner's MAC. What comes from a peer is
 * never forwarded, so it cannot loop between two fenced nodes.
 * Needs MAP(service_conf), MAP(service_state), MAP(peers) and what fence.h needs.
 */
#ifndef SIPFLIP_BPF_FORWARD_H
#define SIPFLIP_BPF_FORWARD_H

#include "lib/cursor.h"
#include "lib/fence.h"
#include "lib/stats.h"

static __always_inline struct peer *peer_of(__u32 service, __u32 node)
{
	__u32 index = service * MAX_NODES + node;

	return bpf_map_lookup_elem(&peers, &index);
}

static __always_inline bool mac_known(const __u8 *mac)
{
	return AT32(mac) || AT16(mac + 4);
}

static __always_inline bool is_peers_mac(__u32 service, const void *mac)
{
	__u32 node;

	for (node = 1; node < MAX_NODES; node++) {
		struct peer *peer = peer_of(service, node);

		if (peer && mac_known(peer->mac) && mac_equal(peer->mac, mac))
			return true;
	}
	return false;
}

static __always_inline int forward_stale(struct xdp_md *ctx, struct ethhdr *eth, struct iphdr *ip,
                                         const struct vip *vip, __u64 now_ns)
{
	struct service_conf *conf = bpf_map_lookup_elem(&service_conf, &vip->service);
	struct service_state *state = bpf_map_lookup_elem(&service_state, &vip->service);
	struct peer *heir;

	if (!conf || !state)
		return verdict(XDP_DROP, REASON_vip_no_owner);
	/* Flooded or overheard, not sent to this node: the stack drops it, and a copy would double it. */
	if (!mac_is_multicast(eth->h_dest) && !mac_equal(eth->h_dest, conf->mac))
		return XDP_PASS;
	if (is_peers_mac(vip->service, eth->h_source)) {
		/* The old owner may forward an instant before its RESIGN comes. The
		 * server may have the frame: its answer meets the fence.
		 */
		if (now_ns < state->armed_until_ns)
			return verdict(XDP_PASS, REASON_vip_early);
		return verdict(XDP_DROP, REASON_vip_from_peer);
	}
	if (!state->forward_to || state->forward_to >= MAX_NODES || mac_is_multicast(eth->h_dest) ||
	    vip->ifindex != ctx->ingress_ifindex)
		return verdict(XDP_DROP, REASON_vip_no_owner);
	heir = peer_of(vip->service, state->forward_to);
	if (!heir || !mac_known(heir->mac))
		return verdict(XDP_DROP, REASON_vip_no_owner);
	if (!fence_lets_v4(ip->saddr, now_ns))
		return verdict(XDP_DROP, REASON_tx_fenced);
	mac_copy(eth->h_dest, heir->mac);
	mac_copy(eth->h_source, conf->mac);
	return verdict(XDP_TX, REASON_vip_forwarded);
}

#endif
