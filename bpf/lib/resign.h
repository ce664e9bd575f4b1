/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * RESIGN: the old owner, already fenced, votes for this node. The ownership word
 * is stored, and the very frame becomes the gratuitous ARP that goes out. What
 * is not told here (routes, retries, calls) sipflipd does on the event.
 * Needs MAP(ownership), MAP(events) and what message.h needs.
 */
#ifndef SIPFLIP_BPF_RESIGN_H
#define SIPFLIP_BPF_RESIGN_H

#include "lib/events.h"
#include "lib/fence.h"
#include "lib/message.h"

#define ARP_FRAME_LEN      60 /* Ethernet's least, without the check sequence */
#define REFUSE_INTERVAL_NS 10000000ULL

/* Per service: no further EVENT_RESIGN_REFUSED before. A replay must not flood the ring. */
static __u64 refuse_quiet_until_ns[MAX_SERVICES];

static __always_inline void event_copy_msg(struct event *event, const struct wire_msg *msg)
{
	int i;

#pragma unroll
	for (i = 0; i < (int)sizeof(*msg); i += 8)
		AT64((void *)&event->msg + i) = AT64((const void *)msg + i);
}

static __always_inline int resign_refuse(const struct message *m, enum reason reason)
{
	__u64 *quiet_until_ns = &refuse_quiet_until_ns[m->service & (MAX_SERVICES - 1)];
	struct event *event;

	if (m->now_ns >= *quiet_until_ns) {
		*quiet_until_ns = m->now_ns + REFUSE_INTERVAL_NS;
		event = event_new(EVENT_RESIGN_REFUSED, service_bit(m->service), m->now_ns);
		if (event) {
			event->arg = reason;
			event_copy_msg(event, m->msg);
			event_send(event);
		}
	}
	return verdict(XDP_DROP, reason);
}

/* The broadcast request form (RFC 5227 section 3): every neighbour's cache takes it. */
static __always_inline int announce(struct xdp_md *ctx, const struct message *m)
{
	__be32 vip = unmapped(&m->conf->first_vip);
	struct ethhdr *eth;
	struct arp_ipv4 *arp;
	struct cursor c;
	int i;

	/* The echo came on another interface, or the VIP is IPv6: sipflipd announces. */
	if (!vip || m->conf->ifindex != ctx->ingress_ifindex)
		return XDP_DROP;
	if (!fence_lets_v4(vip, m->now_ns))
		return verdict(XDP_DROP, REASON_tx_fenced);
	if (bpf_xdp_adjust_tail(ctx, ARP_FRAME_LEN - (ctx->data_end - ctx->data)))
		return XDP_DROP;
	c = (struct cursor){(void *)(long)ctx->data, (void *)(long)ctx->data_end};
	eth = take(&c, ARP_FRAME_LEN);
	if (!eth)
		return XDP_DROP;
	mac_fill(eth->h_dest, 0xffff);
	mac_copy(eth->h_source, m->conf->mac);
	eth->h_proto = bpf_htons(ETH_P_ARP);
	arp = (void *)(eth + 1);
	arp->hrd = bpf_htons(ARPHRD_ETHER);
	arp->pro = bpf_htons(ETH_P_IP);
	arp->hln = 6;
	arp->pln = 4;
	arp->op = bpf_htons(ARPOP_REQUEST);
	mac_copy(arp->sha, m->conf->mac);
	AT32(arp->spa) = vip;
	mac_fill(arp->tha, 0);
	AT32(arp->tpa) = vip;
#pragma unroll
	for (i = sizeof(*eth) + sizeof(*arp); i < ARP_FRAME_LEN; i += 2)
		AT16((void *)eth + i) = 0;
	return XDP_TX;
}

/*
 * 0, or why not. The epoch must be this node's and new, the timestamp one that
 * this incarnation read and that still leaves a lease, and the agent must have
 * said a moment ago that its own server is healthy.
 */
static __always_inline enum reason resign_check(const struct message *m, __u64 lease_ns)
{
	const struct wire_msg *msg = m->msg;
	__u64 epoch = bpf_be64_to_cpu(msg->epoch);
	__u64 grant_ns = bpf_be64_to_cpu(msg->grant_ns);

	if (epoch == m->state->epoch && lease_ns != LEASE_FENCED)
		return REASON_resign_repeat;
	if ((epoch & 0xff) != m->conf->node || epoch <= m->state->epoch ||
	    bpf_be64_to_cpu(msg->target_inc) != m->conf->incarnation || grant_ns > m->now_ns ||
	    grant_ns + m->conf->lease_ns <= m->now_ns)
		return REASON_resign_stale;
	if (m->now_ns >= m->state->armed_until_ns || lease_ns != LEASE_FENCED)
		return REASON_resign_not_armed;
	return REASON_resign_accepted;
}

static __always_inline int resign(struct xdp_md *ctx, const struct message *m, struct peer *peer)
{
	__u64 until_ns = bpf_be64_to_cpu(m->msg->grant_ns) + m->conf->lease_ns;
	__u32 service = m->service;
	struct ownership *word = bpf_map_lookup_elem(&ownership, &service);
	__u64 known_epoch = m->state->epoch;
	struct event *event;
	enum reason reason;

	if (!word)
		return verdict(XDP_DROP, REASON_msg_bad_service);
	reason = resign_check(m, *(volatile __u64 *)&word->lease_until_ns);
	if (reason == REASON_resign_repeat)
		return verdict(XDP_DROP, reason);
	if (reason != REASON_resign_accepted)
		return resign_refuse(m, reason);

	/* The epoch first: whoever sees the word set must not see the old epoch.
	 * Two copies of one RESIGN may be here at once; one of them wins.
	 */
	if (__sync_val_compare_and_swap(&m->state->epoch, known_epoch, bpf_be64_to_cpu(m->msg->epoch)) !=
	    known_epoch)
		return verdict(XDP_DROP, REASON_resign_repeat);
	m->state->flipped_ns = m->now_ns;
	m->state->first_packet_ns = 0;
	if (__sync_val_compare_and_swap(&word->lease_until_ns, LEASE_FENCED, until_ns) != LEASE_FENCED)
		return verdict(XDP_DROP, REASON_resign_repeat);

	count(REASON_resign_accepted);
	message_learn_mac(m, peer);
	event = event_new(EVENT_RESIGN_ACCEPTED, service_bit(service), m->now_ns);
	if (event) {
		event_copy_msg(event, m->msg);
		event_send(event);
	}
	return announce(ctx, m);
}

#endif
