/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * XDP on each service's interface: the gate for ARP and IP to a VIP, the voters'
 * messages, and nothing else. A frame that is none of ours passes after a few
 * loads and compares. Tagged (802.1Q) frames are another network's and pass.
 */
#include "lib/maps.h"

MAP(ownership);
MAP(service_conf);
MAP(service_state);
MAP(peers);
MAP(fresh);
MAP(vips);
MAP(keys);
MAP(abi);
MAP(counters);
MAP(events);
MAP(held);
MAP(flow_ports);
MAP(flows);
MAP(steer);
MAP(steer_key);
MAP(media);
MAP(sip_text);

#include "lib/cursor.h"
#include "lib/echo.h"
#include "lib/fresh.h"
#include "lib/gate.h"
#include "lib/message.h"
#include "lib/resign.h"

static __always_inline int message(struct xdp_md *ctx, struct ethhdr *eth, struct iphdr *ip, struct cursor *c)
{
	struct message m;
	struct fresh *fresh;
	struct peer *peer;
	int action;

	if (message_open(eth, ip, c, &m, &action))
		return action;
	peer = peer_of(m.service, m.msg->sender);
	fresh = fresh_of(m.service, m.msg->sender);
	if (!peer || !fresh)
		return verdict(XDP_DROP, REASON_msg_bad_service);
	if (m.msg->type == WIRE_ECHO)
		return echo(&m, peer, fresh);
	if (m.msg->type == WIRE_RESIGN && m.msg->target == m.conf->node)
		return resign(ctx, &m, peer);
	if (!fresh_take(&m, fresh))
		return verdict(XDP_DROP, REASON_msg_replayed);
	if (fresh_knows(&m, fresh))
		message_learn_mac(&m, peer);
	return verdict(XDP_PASS, REASON_msg_passed);
}

static __always_inline int ipv4(struct xdp_md *ctx, struct ethhdr *eth, struct cursor *c)
{
	struct iphdr *ip = take(c, sizeof(*ip));
	struct vip vip;

	if (!ip)
		return XDP_PASS;
	check_use(eth, ip);
	if (vip_find_v4(ip->daddr, &vip))
		return gate_ip(ctx, eth, ip, &vip);
	if (ip->protocol == IPPROTO_UDP)
		return message(ctx, eth, ip, c);
	return XDP_PASS;
}

SEC("xdp")
int ingress(struct xdp_md *ctx)
{
	struct cursor c = {(void *)(long)ctx->data, (void *)(long)ctx->data_end};
	struct ethhdr *eth = take(&c, sizeof(*eth));

	if (!eth)
		return XDP_PASS;
	if (eth->h_proto == bpf_htons(ETH_P_IP))
		return ipv4(ctx, eth, &c);
	if (eth->h_proto == bpf_htons(ETH_P_ARP))
		return gate_arp(ctx, eth, &c);
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
