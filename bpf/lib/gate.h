/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The gate for what arrives for a VIP: the owner answers ARP here and lets IP
 * up; everyone else is silent. Called by ingress.
 * Needs MAP(service_conf), MAP(service_state), MAP(held) and what its includes need.
 */
#ifndef SIPFLIP_BPF_GATE_H
#define SIPFLIP_BPF_GATE_H

#include "lib/cursor.h"
#include "lib/events.h"
#include "lib/fence.h"
#include "lib/forward.h"
#include "lib/hold.h"
#include "lib/relay.h"
#include "lib/stats.h"
#include "lib/steer.h"

#define CONTEST_INTERVAL_NS 10000000ULL

/* Per service: no further EVENT_CONTEST before. */
static __u64 contest_quiet_until_ns[MAX_SERVICES];

/* Somebody else speaks as the owner of what this node owns. */
static __always_inline void contest(__u32 service, const void *mac, __u64 now_ns, enum reason reason)
{
	__u64 *quiet_until_ns = &contest_quiet_until_ns[service & (MAX_SERVICES - 1)];
	struct event *event;

	count(reason);
	if (now_ns < *quiet_until_ns)
		return;
	*quiet_until_ns = now_ns + CONTEST_INTERVAL_NS;
	event = event_new(EVENT_CONTEST, service_bit(service), now_ns);
	if (!event)
		return;
	mac_copy(event->mac, mac);
	event->arg = reason;
	event_send(event);
}

/* Turns the request round (RFC 826): whoever asked is told this node's MAC. */
static __always_inline int arp_answer(struct ethhdr *eth, struct arp_ipv4 *arp,
                                      const struct service_conf *conf, const struct vip *vip, __u64 now_ns)
{
	__be16 vip_high = arp->tpa[0], vip_low = arp->tpa[1];

	if (!fence_lets_vip(vip, now_ns))
		return verdict(XDP_DROP, REASON_tx_fenced);
	mac_copy(eth->h_dest, eth->h_source);
	mac_copy(eth->h_source, conf->mac);
	arp->op = bpf_htons(ARPOP_REPLY);
	mac_copy(arp->tha, arp->sha);
	arp->tpa[0] = arp->spa[0];
	arp->tpa[1] = arp->spa[1];
	mac_copy(arp->sha, conf->mac);
	arp->spa[0] = vip_high;
	arp->spa[1] = vip_low;
	return verdict(XDP_TX, REASON_arp_answered);
}

static __always_inline void check_claim(const struct vip *claimed, const struct arp_ipv4 *arp, __u64 now_ns)
{
	struct service_conf *conf;

	if (!owns(claimed->service, now_ns))
		return;
	conf = bpf_map_lookup_elem(&service_conf, &claimed->service);
	if (conf && !mac_equal(arp->sha, conf->mac))
		contest(claimed->service, arp->sha, now_ns, REASON_arp_contest);
}

/* Whose address is it, if another MAC sends from it? The frame itself goes its way. */
static __always_inline void check_use(const struct ethhdr *eth, const struct iphdr *ip)
{
	struct service_conf *conf;
	struct vip used;
	__u64 now_ns;

	if (!vip_find_v4(ip->saddr, &used))
		return;
	now_ns = bpf_ktime_get_boot_ns();
	conf = bpf_map_lookup_elem(&service_conf, &used.service);
	if (conf && owns(used.service, now_ns) && !mac_equal(eth->h_source, conf->mac))
		contest(used.service, eth->h_source, now_ns, REASON_ip_contest);
}

static __always_inline int gate_arp(struct xdp_md *ctx, struct ethhdr *eth, struct cursor *c)
{
	struct arp_ipv4 *arp = take(c, sizeof(*arp));
	struct vip claimed, asked;
	struct service_conf *conf;
	bool claims, asks;
	__u64 now_ns;

	if (!arp || !arp_is_ipv4(arp))
		return verdict(XDP_PASS, REASON_arp_malformed);
	claims = vip_find_v4(arp_addr(arp->spa), &claimed);
	asks = arp->op == bpf_htons(ARPOP_REQUEST) && vip_find_v4(arp_addr(arp->tpa), &asked);
	if (!claims && !asks)
		return XDP_PASS;
	now_ns = bpf_ktime_get_boot_ns();
	if (claims)
		check_claim(&claimed, arp, now_ns);
	if (!asks)
		return XDP_PASS;
	if (!owns(asked.service, now_ns))
		return verdict(XDP_DROP, REASON_arp_request_not_owner);
	conf = bpf_map_lookup_elem(&service_conf, &asked.service);
	/* On another interface the MAC would be wrong: the stack may answer there. */
	if (!conf || asked.ifindex != ctx->ingress_ifindex)
		return XDP_PASS;
	return arp_answer(eth, arp, conf, &asked, now_ns);
}

/* The first frame that reached this node's MAC after a flip: the takeover has been seen. */
static __always_inline void first_packet(const struct ethhdr *eth, __u32 service, __u64 now_ns)
{
	struct service_state *state = bpf_map_lookup_elem(&service_state, &service);
	struct service_conf *conf;
	struct event *event;

	if (!state || state->first_packet_ns || !state->flipped_ns)
		return;
	conf = bpf_map_lookup_elem(&service_conf, &service);
	if (!conf || !mac_equal(eth->h_dest, conf->mac))
		return;
	if (__sync_val_compare_and_swap(&state->first_packet_ns, 0, now_ns))
		return;
	event = event_new(EVENT_FIRST_PACKET, service_bit(service), now_ns);
	if (event)
		event_send(event);
}

/* Media of a call, SIP, or neither. What has no ports, or not here, is the stack's. */
static __always_inline int owner_udp(struct xdp_md *ctx, struct ethhdr *eth, struct iphdr *ip, __u32 service,
                                     __u64 now_ns)
{
	struct udphdr *udp = (void *)ip + ip->ihl * 4;
	struct service_conf *conf;
	struct arrival a;
	int action;

	if (ip->frag_off & bpf_htons(IP_OFFSET))
		return verdict(XDP_PASS, REASON_steer_fragment);
	if (ip->ihl < 5 || (void *)(udp + 1) > (void *)(long)ctx->data_end)
		return verdict(XDP_PASS, REASON_vip_passed);
	a.slot = flow_first(bpf_ntohs(udp->dest));
	if (a.slot) {
		a.ctx = ctx;
		a.eth = eth;
		a.ip = ip;
		a.udp = udp;
		a.now_ns = now_ns;
		a.service = service;
		a.sport = bpf_ntohs(udp->source);
		action = flow_arrived(&a);
		if (action != NO_FLOW)
			return action;
	}
	conf = bpf_map_lookup_elem(&service_conf, &service);
	if (conf && conf->rescue_port && is_sip(conf, bpf_ntohs(udp->dest)))
		return steer_sip(ctx, udp, conf, service);
	return verdict(XDP_PASS, REASON_vip_passed);
}

static __always_inline int gate_ip(struct xdp_md *ctx, struct ethhdr *eth, struct iphdr *ip,
                                   const struct vip *vip)
{
	__u64 now_ns = bpf_ktime_get_boot_ns();

	if (owns(vip->service, now_ns)) {
		if (draining(vip->service))
			return hold_frame(ctx, vip->service, now_ns);
		first_packet(eth, vip->service, now_ns);
		if (ip->protocol == IPPROTO_UDP)
			return owner_udp(ctx, eth, ip, vip->service, now_ns);
		return verdict(XDP_PASS, REASON_vip_passed);
	}
	return forward_stale(ctx, eth, ip, vip, now_ns);
}

#endif
