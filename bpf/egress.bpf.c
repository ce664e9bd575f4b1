/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * TC egress on each service's interface: the fence for everything the stack
 * sends. A frame that claims or uses a VIP leaves only while this node owns the
 * service; one that cannot be judged and might carry a VIP does not leave.
 */
#include "lib/maps.h"

MAP(ownership);
MAP(vips);
MAP(counters);
MAP(service_conf);
MAP(flow_ports);
MAP(flows);
MAP(steer);
MAP(steer_key);
MAP(media);
MAP(sip_text);

#include "lib/cursor.h"
#include "lib/fence.h"
#include "lib/leave.h"
#include "lib/stats.h"

#define MAX_TAGS      2 /* 802.1Q in 802.1ad */
#define IPPROTO_ICMP6 58
#define ND_ADVERT     136 /* RFC 4861 section 4.4: the target address follows 8 bytes of header */

struct nd_advert {
	__u8 type;
	__u8 code;
	__sum16 check;
	__be32 flags;
	__be32 target[4];
};

/* The most that is looked at: Ethernet, both tags, IPv4 with all its options, UDP. IPv6 with a neighbour
 * advertisement is less.
 */
#define IPV4_MAX_LEN 60
#define JUDGED_LEN                                                                                           \
	(sizeof(struct ethhdr) + MAX_TAGS * sizeof(struct vlan_tag) + IPV4_MAX_LEN + sizeof(struct udphdr))
_Static_assert(sizeof(struct ipv6hdr) + sizeof(struct nd_advert) <= IPV4_MAX_LEN + sizeof(struct udphdr),
               "judged length");

static __always_inline int unjudged(void)
{
	return verdict(TC_ACT_SHOT, REASON_egress_unjudged);
}

static __always_inline union addr_key ipv6_key(const __be32 *addr)
{
	return (union addr_key){.w = {addr[0], addr[1], addr[2], addr[3]}};
}

static __always_inline int judge_arp(struct cursor *c)
{
	struct arp_ipv4 *arp = take(c, sizeof(*arp));

	if (!arp || !arp_is_ipv4(arp))
		return unjudged();
	if (!fence_lets_v4(arp_addr(arp->spa), bpf_ktime_get_boot_ns()))
		return verdict(TC_ACT_SHOT, REASON_egress_arp_fenced);
	return TC_ACT_OK;
}

/* IP from a VIP. */
static __always_inline int judge_source(const struct vip *vip)
{
	if (!fence_lets_vip(vip, bpf_ktime_get_boot_ns()))
		return verdict(TC_ACT_SHOT, REASON_egress_ip_fenced);
	return verdict(TC_ACT_OK, REASON_egress_vip);
}

static __always_inline int judge_ipv4(struct __sk_buff *skb, struct cursor *c)
{
	struct iphdr *ip = take(c, sizeof(*ip));
	struct udphdr *udp;
	struct departure d;
	struct vip vip;

	if (!ip || ip->version != 4)
		return unjudged();
	if (!vip_find_v4(ip->saddr, &vip))
		return TC_ACT_OK;
	udp = (void *)ip + ip->ihl * 4;
	if (ip->protocol != IPPROTO_UDP || ip->frag_off & bpf_htons(IP_OFFSET) || ip->ihl < 5 ||
	    (void *)(udp + 1) > c->end)
		return judge_source(&vip);
	if (!fence_lets_vip(&vip, bpf_ktime_get_boot_ns()))
		return verdict(TC_ACT_SHOT, REASON_egress_ip_fenced);
	d = (struct departure){
	        .service = vip.service,
	        .udp_at = (void *)udp - (void *)(long)skb->data,
	        .from = ip->saddr,
	        .to = ip->daddr,
	        .sport = bpf_ntohs(udp->source),
	        .dport = bpf_ntohs(udp->dest),
	};
	return leave_udp(skb, &d);
}

static __always_inline int judge_ipv6(struct cursor *c)
{
	struct ipv6hdr *ip = take(c, sizeof(*ip));
	struct nd_advert *advert;
	union addr_key key;
	struct vip vip;

	if (!ip || ip->version != 6)
		return unjudged();
	if (ip->nexthdr == IPPROTO_ICMP6) {
		__u8 *type = c->pos;

		if (!take(c, 1))
			return unjudged();
		if (*type == ND_ADVERT) {
			c->pos = type;
			advert = take(c, sizeof(*advert));
			if (!advert)
				return unjudged();
			key = ipv6_key(advert->target);
			if (vip_find(&key, &vip) && !fence_lets_vip(&vip, bpf_ktime_get_boot_ns()))
				return verdict(TC_ACT_SHOT, REASON_egress_arp_fenced);
		}
	}
	key = ipv6_key((const __be32 *)&ip->saddr);
	return vip_find(&key, &vip) ? judge_source(&vip) : TC_ACT_OK;
}

/* The headers must be in the linear part; a pull that fails leaves the frame too short to judge. */
static __always_inline void pull_headers(struct __sk_buff *skb)
{
	__u32 want = skb->len < JUDGED_LEN ? skb->len : JUDGED_LEN;

	if ((void *)(long)skb->data + want > (void *)(long)skb->data_end)
		bpf_skb_pull_data(skb, want);
}

SEC("tc")
int egress(struct __sk_buff *skb)
{
	struct cursor c;
	struct ethhdr *eth;
	__be16 proto;
	int tags;

	pull_headers(skb);
	c = (struct cursor){(void *)(long)skb->data, (void *)(long)skb->data_end};
	eth = take(&c, sizeof(*eth));
	if (!eth)
		return unjudged();
	proto = eth->h_proto;
#pragma unroll
	for (tags = 0; tags < MAX_TAGS; tags++) {
		struct vlan_tag *tag;

		if (proto != bpf_htons(ETH_P_8021Q) && proto != bpf_htons(ETH_P_8021AD))
			break;
		tag = take(&c, sizeof(*tag));
		if (!tag)
			return unjudged();
		proto = tag->proto;
	}
	switch (bpf_ntohs(proto)) {
	case ETH_P_ARP:
		return judge_arp(&c);
	case ETH_P_IP:
		return judge_ipv4(skb, &c);
	case ETH_P_IPV6:
		return judge_ipv6(&c);
	case ETH_P_8021Q:
	case ETH_P_8021AD:
		return unjudged();
	default:
		return TC_ACT_OK;
	}
}

char _license[] SEC("license") = "Dual BSD/GPL";
