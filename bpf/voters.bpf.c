/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The filter of a witness's socket. A witness has no ingress before it: what is forged,
 * not for it, or came before is dropped here, before the sentinel is woken. The skb
 * begins with the UDP header.
 */
#include "lib/maps.h"

MAP(service_conf);
MAP(keys);
MAP(fresh);
MAP(counters);

#include "lib/fresh.h"
#include "lib/sealed.h"
#include "lib/stats.h"

#define DROP 0

/* 0 for a message to be passed, else why not. */
static __always_inline int refusal(struct wire_msg *msg)
{
	struct message m = {.msg = msg, .service = msg->service};
	struct fresh *f;

	if (!is_our_kind(msg))
		return REASON_msg_bad_magic;
	m.conf = bpf_map_lookup_elem(&service_conf, &m.service);
	if (!m.conf || !m.conf->incarnation || !msg->sender || msg->sender >= MAX_NODES)
		return REASON_msg_bad_service;
	if (msg->type != WIRE_RESIGN && msg->target != m.conf->node)
		return REASON_msg_not_for_us;
	if (bpf_ntohl(msg->config_tag) != m.conf->config_tag)
		return REASON_msg_config_mismatch;
	if (!message_key(msg))
		return REASON_msg_bad_tag;
	f = fresh_of(m.service, msg->sender);
	m.now_ns = bpf_ktime_get_boot_ns();
	return f && fresh_take(&m, f) ? 0 : REASON_msg_replayed;
}

SEC("socket")
int voters(struct __sk_buff *skb)
{
	struct wire_msg msg;
	int why;

	if (skb->len != sizeof(struct udphdr) + sizeof(msg) ||
	    bpf_skb_load_bytes(skb, sizeof(struct udphdr), &msg, sizeof(msg)))
		return verdict(DROP, REASON_msg_bad_length);
	why = refusal(&msg);
	if (why)
		return verdict(DROP, why);
	return verdict(skb->len, REASON_msg_passed);
}

char _license[] SEC("license") = "Dual BSD/GPL";
