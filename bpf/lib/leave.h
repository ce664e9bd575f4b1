/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * UDP from a VIP leaving its owner: sipflip-calls speaks from the SIP port that the
 * phones know, the local server stays out of rescued calls (neither their media's
 * ports nor their dialogs), and where it sends the media of its own calls is noted.
 * Later fragments have no ports and pass: without the first they are nothing.
 * Called by egress once the fence has let the frame through.
 * Needs MAP(service_conf) and what flow.h and callid.h need.
 */
#ifndef SIPFLIP_BPF_LEAVE_H
#define SIPFLIP_BPF_LEAVE_H

#include "lib/bounds.h"
#include "lib/callid.h"
#include "lib/cursor.h"
#include "lib/flow.h"
#include "lib/stats.h"

#define TC_ACT_OK   0
#define TC_ACT_SHOT 2

struct departure {
	__u32 service;
	__u32 udp_at; /* in the frame */
	__be32 from;
	__be32 to;
	__u16 sport; /* host order */
	__u16 dport;
};

static __always_inline int leave_media(const struct departure *d, struct flow *flow, __u32 slot)
{
	if (flow_generation(flow) & 1)
		return verdict(TC_ACT_OK, REASON_egress_vip);
	if (!(flow->flags & FLOW_SERVER))
		return verdict(TC_ACT_SHOT, REASON_egress_flow_held);
	flow->sent++;
	if (!endpoint_is(&flow->seen_to, flow->seen_to_port, d->to, d->dport)) {
		endpoint_set(&flow->seen_to, &flow->seen_to_port, d->to, d->dport);
		flow_news(slot, MEDIA_SEEN_TO, bpf_ktime_get_boot_ns());
	}
	return verdict(TC_ACT_OK, REASON_egress_vip);
}

/* Also where the hardware or the next device is to finish the checksum (CHECKSUM_PARTIAL). */
static __always_inline int leave_rescue(struct __sk_buff *skb, const struct departure *d, __u16 sip_port)
{
	__be16 from = bpf_htons(d->sport), to = bpf_htons(sip_port);

	if (bpf_l4_csum_replace(skb, d->udp_at + __builtin_offsetof(struct udphdr, check), from, to,
	                        BPF_F_MARK_MANGLED_0 | sizeof(to)) ||
	    bpf_skb_store_bytes(skb, d->udp_at, &to, sizeof(to), 0))
		return verdict(TC_ACT_SHOT, REASON_egress_unjudged);
	return verdict(TC_ACT_OK, REASON_egress_rescue);
}

static __always_inline bool skb_text_load(struct __sk_buff *skb, const struct departure *d,
                                          struct sip_text *text)
{
	__u32 at = d->udp_at + sizeof(struct udphdr);
	__s64 len = (__s64)skb->len - at;

	if (len > SIP_TEXT_LEN)
		len = SIP_TEXT_LEN;
	if (!is_within(&len, SIP_TEXT_LEN) || bpf_skb_load_bytes(skb, at, text->b, len))
		return false;
	sip_text_end(text, len);
	return true;
}

static __always_inline int leave_sip(struct __sk_buff *skb, const struct departure *d)
{
	struct sip_text *text = sip_text_buffer();
	enum call_id found;

	if (text && skb_text_load(skb, d, text) && steer_find(text, d->service, &found))
		return verdict(TC_ACT_SHOT, REASON_egress_steered);
	return verdict(TC_ACT_OK, REASON_egress_vip);
}

static __noinline int leave_udp(struct __sk_buff *skb, const struct departure *d)
{
	__u32 service = d->service, slot = flow_first(d->sport);
	struct flow *flow = slot ? flow_find(&slot, d->from) : NULL;
	struct service_conf *conf;

	if (flow)
		return leave_media(d, flow, slot);
	conf = bpf_map_lookup_elem(&service_conf, &service);
	if (!conf || !conf->rescue_port)
		return verdict(TC_ACT_OK, REASON_egress_vip);
	if (d->sport == conf->rescue_port)
		return leave_rescue(skb, d, conf->sip_port[0]);
	if (is_sip_port(conf, d->sport))
		return leave_sip(skb, d);
	return verdict(TC_ACT_OK, REASON_egress_vip);
}

#endif
