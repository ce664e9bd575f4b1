/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Media of calls on the owner. A call that the local server holds is only watched;
 * one whose server is gone is relayed here: what phone A sends to VIP:a leaves as
 * VIP:b for phone B. Only the known source is taken, or one new source after a
 * takeover when the known one has fallen silent (as RFC 7362 section 4 has latching,
 * and stricter). Never touches what is not in a flow. Called by the gate.
 * Needs MAP(service_state), MAP(service_conf), MAP(peers) and what flow.h needs.
 */
#ifndef SIPFLIP_BPF_RELAY_H
#define SIPFLIP_BPF_RELAY_H

#include "lib/checksum.h"
#include "lib/cursor.h"
#include "lib/fence.h"
#include "lib/flow.h"
#include "lib/forward.h"
#include "lib/nexthop.h"
#include "lib/stats.h"

#define SEEN_SILENT_NS  1000000000ULL /* watching: after that, another source is news */
#define LATCH_SILENT_NS 500000000ULL  /* relaying: after that, one other source is taken */
#define RTCP_SILENT_NS                                                                                       \
	10000000000ULL /* the same for RTCP, which is rare by nature (RFC 3550 section 6.2)                  \
	                */
#define RTP_HEAD_LEN    12
#define RTP_VERSION(b0) ((b0) >> 6)

/* A datagram for a VIP on its owner, as far as it has been read. */
struct arrival {
	struct xdp_md *ctx;
	struct ethhdr *eth;
	struct iphdr *ip;
	struct udphdr *udp;
	struct flow *flow;
	__u64 now_ns;
	__u32 service;
	__u32 slot;
	__u16 sport; /* host order */
};

/* Also in what a peer forwarded or held: then the source is the phone's, but the MAC is the peer's. */
static __always_inline void learn_mac(const struct arrival *a)
{
	if (mac_equal(a->flow->seen_mac, a->eth->h_source) || is_peers_mac(a->service, a->eth->h_source))
		return;
	mac_copy(a->flow->seen_mac, a->eth->h_source);
}

static __always_inline void learn_source(const struct arrival *a)
{
	struct flow *flow = a->flow;

	endpoint_set(&flow->seen_from, &flow->seen_from_port, a->ip->saddr, a->sport);
}

static __always_inline void flow_count(const struct arrival *a)
{
	struct flow *flow = a->flow;
	__u32 udp_len = bpf_ntohs(a->udp->len);

	flow->packets++;
	flow->bytes += udp_len > sizeof(*a->udp) ? udp_len - sizeof(*a->udp) : 0;
	flow->last_ns = a->now_ns;
}

/* Where user space says the phone's packets come from. */
static __always_inline bool is_told_source(const struct flow *flow, __be32 addr, __u16 port)
{
	__be32 source = AT32(&flow->source.b[12]);

	return addr == (source ? source : AT32(&flow->remote.b[12])) &&
	       port == (flow->source_port ? flow->source_port : flow->remote_port);
}

/* The local server's call: nothing is refused, but somebody else's packets do not move the phone. */
static __always_inline int flow_watch(const struct arrival *a)
{
	struct flow *flow = a->flow;
	bool same = endpoint_is(&flow->seen_from, flow->seen_from_port, a->ip->saddr, a->sport);

	if (flow_generation(flow) & 1)
		return verdict(XDP_PASS, REASON_flow_seen);
	if (!same) {
		if (flow->seen_from_port && a->now_ns - flow->last_ns < SEEN_SILENT_NS &&
		    !is_told_source(flow, a->ip->saddr, a->sport))
			return verdict(XDP_PASS, REASON_flow_seen);
		learn_source(a);
	}
	flow_count(a);
	learn_mac(a);
	if (!same)
		flow_news(a->slot, MEDIA_SEEN_FROM, a->now_ns);
	return verdict(XDP_PASS, REASON_flow_seen);
}

static __always_inline bool is_known_source(const struct flow *flow, __be32 addr, __u16 port)
{
	if (flow->relatched_ns)
		return endpoint_is(&flow->seen_from, flow->seen_from_port, addr, port);
	return is_told_source(flow, addr, port) || endpoint_is(&flow->remote, flow->remote_port, addr, port);
}

/* The known one has had its time since the flip, and no other has been taken since the slot was filled. */
static __always_inline bool may_relatch(const struct arrival *a)
{
	struct service_state *state = bpf_map_lookup_elem(&service_state, &a->service);
	__u64 silent_ns = a->flow->flags & FLOW_RTCP ? RTCP_SILENT_NS : LATCH_SILENT_NS;
	__u64 heard_ns = a->flow->last_ns;

	if (!state || a->flow->relatched_ns)
		return false;
	if (heard_ns < state->flipped_ns)
		heard_ns = state->flipped_ns;
	return a->now_ns >= heard_ns + silent_ns;
}

/* False: it is not from the phone. */
static __always_inline bool relay_takes(const struct arrival *a)
{
	struct flow *flow = a->flow;
	enum media_event_kind news = MEDIA_SEEN_FROM;

	if (is_known_source(flow, a->ip->saddr, a->sport)) {
		if (!flow->seen_from_port) {
			learn_source(a);
			flow_news(a->slot, news, a->now_ns);
		}
	} else {
		/* Of two new sources at the same instant one wins; a packet for the phone
		 * that goes out meanwhile may still go to where it was.
		 */
		if (!may_relatch(a) || __sync_val_compare_and_swap(&flow->relatched_ns, 0, a->now_ns) != 0) {
			flow->strange++;
			return false;
		}
		learn_source(a);
		count(REASON_relay_relatched);
		flow_news(a->slot, MEDIA_RELATCHED, a->now_ns);
	}
	flow_count(a);
	learn_mac(a);
	return true;
}

/*
 * RFC 3550 section 5.1, RTP only: RTCP that shares the port has 64 to 95 in this
 * place (RFC 5761 section 4). Returns what it changes in the checksum.
 */
static __always_inline __u64 rewrite_type(const struct arrival *a)
{
	const struct flow *flow = a->flow;
	__u8 *rtp = (void *)(a->udp + 1);
	__be16 before;
	__u8 type;
	int i;

	if (!AT64(flow->pt) || flow->flags & FLOW_RTCP)
		return 0;
	if ((void *)rtp + RTP_HEAD_LEN > (void *)(long)a->ctx->data_end ||
	    bpf_ntohs(a->udp->len) < sizeof(*a->udp) + RTP_HEAD_LEN || RTP_VERSION(rtp[0]) != 2)
		return 0;
	type = rtp[1] & 0x7f;
	if (type >= 64 && type <= 95)
		return 0;
	for (i = 0; i < FLOW_PTS; i++) {
		if (flow->pt[i].from != type || !(flow->pt[i].from | flow->pt[i].to))
			continue;
		before = AT16(rtp);
		rtp[1] = (rtp[1] & 0x80) | (flow->pt[i].to & 0x7f);
		return csum_change16(before, AT16(rtp));
	}
	return 0;
}

static __always_inline void rewrite(const struct arrival *a, const struct hop *hop, __be16 sport,
                                    __be16 dport)
{
	struct iphdr *ip = a->ip;
	__be16 ttl_before = AT16(&ip->ttl);
	__u64 change = csum_change32(ip->saddr, hop->from) + csum_change32(ip->daddr, hop->to);

	csum_udp(a->udp, change + csum_change16(a->udp->source, sport) + csum_change16(a->udp->dest, dport) +
	                         rewrite_type(a));
	a->udp->source = sport;
	a->udp->dest = dport;
	ip->saddr = hop->from;
	ip->daddr = hop->to;
	ip->ttl--;
	ip->check = csum_apply(ip->check, change + csum_change16(ttl_before, AT16(&ip->ttl)));
	mac_copy(a->eth->h_source, a->eth->h_dest);
	mac_copy(a->eth->h_dest, hop->mac);
}

/* From the phone of this leg to the phone of the other. */
static __always_inline int relay_to(const struct arrival *a, struct flow *peer)
{
	__u64 generation = flow_generation(a->flow), peer_generation = flow_generation(peer);
	__be16 sport = bpf_htons(peer->vip_port), dport = bpf_htons(peer->remote_port);
	struct hop hop = {.ctx = a->ctx, .ip = a->ip, .flow = peer, .now_ns = a->now_ns};

	hop.from = unmapped(&peer->vip);
	hop.to = unmapped(&peer->remote);
	if (peer->relatched_ns) {
		hop.to = unmapped(&peer->seen_from);
		dport = bpf_htons(peer->seen_from_port);
	}
	if (peer_generation & 1)
		return verdict(XDP_DROP, REASON_relay_busy);
	if (!hop.to || !dport || !hop.from)
		return verdict(XDP_DROP, REASON_relay_no_target);
	if (a->ip->ttl <= 1)
		return verdict(XDP_DROP, REASON_relay_ttl);
	if (!hop_find(&hop))
		return verdict(XDP_DROP, REASON_relay_no_route);
	if (!fence_lets_v4(hop.from, a->now_ns))
		return verdict(XDP_DROP, REASON_tx_fenced);
	if (generation != flow_generation(a->flow) || peer_generation != flow_generation(peer))
		return verdict(XDP_DROP, REASON_relay_busy);
	rewrite(a, &hop, sport, dport);
	peer->sent++;
	return verdict(XDP_TX, REASON_relay_sent);
}

/* Is the datagram all here, and no longer than it says? */
static __always_inline bool is_whole(const struct arrival *a)
{
	__u32 head_len = a->ip->ihl * 4, ip_len = bpf_ntohs(a->ip->tot_len), udp_len = bpf_ntohs(a->udp->len);
	__u64 have = (void *)(long)a->ctx->data_end - (void *)a->ip;

	return head_len >= sizeof(*a->ip) && udp_len >= sizeof(*a->udp) && ip_len == head_len + udp_len &&
	       ip_len <= have;
}

static __always_inline int relay(const struct arrival *a)
{
	struct service_conf *conf = bpf_map_lookup_elem(&service_conf, &a->service);
	struct flow *flow = a->flow, *peer;

	if (flow_generation(flow) & 1)
		return verdict(XDP_DROP, REASON_relay_busy);
	/* Flooded, overheard or come in elsewhere: a copy would double it. The stack drops it. */
	if (!conf || !mac_equal(a->eth->h_dest, conf->mac) || conf->ifindex != a->ctx->ingress_ifindex)
		return verdict(XDP_PASS, REASON_vip_passed);
	if (a->ip->frag_off & bpf_htons(IP_MF_OFFSET))
		return verdict(XDP_DROP, REASON_relay_fragment);
	if (!is_whole(a))
		return verdict(XDP_DROP, REASON_relay_malformed);
	if (!relay_takes(a))
		return verdict(XDP_DROP, REASON_relay_strange_source);
	peer = flow->flags & FLOW_HELD ? NULL : flow_at(flow->peer);
	if (!peer)
		return verdict(XDP_DROP, REASON_relay_no_peer);
	return relay_to(a, peer);
}

#define NO_FLOW (-1)

/* NO_FLOW: the port is another VIP's. */
static __noinline int flow_arrived(struct arrival *a)
{
	a->flow = flow_find(&a->slot, a->ip->daddr);
	if (!a->flow)
		return NO_FLOW;
	return a->flow->flags & FLOW_SERVER ? flow_watch(a) : relay(a);
}

#endif
