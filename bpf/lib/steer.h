/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * SIP on the owner: a datagram whose Call-ID is in `steer` belongs to a rescued
 * dialog and goes to the port where sipflip-calls listens; every other one is the
 * local server's. A fragmented datagram is told by its first fragment, and the
 * rest follows it: only that has the ports. Called by the gate.
 * Needs MAP(service_conf), MAP(counters) and what callid.h needs.
 */
#ifndef SIPFLIP_BPF_STEER_H
#define SIPFLIP_BPF_STEER_H

#include "lib/bounds.h"
#include "lib/callid.h"
#include "lib/checksum.h"
#include "lib/stats.h"

/* The ports that steer_sip judges. */
static __always_inline bool is_sip(const struct service_conf *conf, __u16 port)
{
	return is_sip_port(conf, port) || port == conf->rescue_port;
}

static __always_inline bool text_load(struct xdp_md *ctx, const struct udphdr *udp, struct sip_text *text)
{
	__u32 at = (void *)(udp + 1) - (void *)(long)ctx->data;
	__s64 len = (void *)(long)ctx->data_end - (void *)(udp + 1);

	if (len > SIP_TEXT_LEN)
		len = SIP_TEXT_LEN;
	if (!is_within(&len, SIP_TEXT_LEN) || bpf_xdp_load_bytes(ctx, at, text->b, len))
		return false;
	sip_text_end(text, len);
	return true;
}

static __noinline int steer_sip(struct xdp_md *ctx, struct udphdr *udp, const struct service_conf *conf,
                                __u32 service)
{
	struct sip_text *text = sip_text_buffer();
	__be16 port = bpf_htons(conf->rescue_port);
	enum call_id found = CALL_ID_NONE;
	struct steer *entry = NULL;

	if (udp->dest == port)
		return verdict(XDP_DROP, REASON_steer_direct);
	if (text && text_load(ctx, udp, text))
		entry = steer_find(text, service, &found);
	if (!entry)
		return verdict(XDP_PASS,
		               found == CALL_ID_NONE ? REASON_steer_no_call_id : REASON_steer_server);
	entry->packets++;
	csum_udp(udp, csum_change16(udp->dest, port));
	udp->dest = port;
	return verdict(XDP_PASS, REASON_steer_calls);
}

#endif
