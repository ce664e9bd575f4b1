/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The voters' messages as they arrive: is it one, is it for this node, is its
 * tag good? Nothing is recorded and nothing in the frame is touched before the
 * tag has been verified. Then echo.h, resign.h or user space.
 * Needs MAP(keys), MAP(service_conf), MAP(service_state), MAP(peers), MAP(counters).
 */
#ifndef SIPFLIP_BPF_MESSAGE_H
#define SIPFLIP_BPF_MESSAGE_H

#include "lib/cursor.h"
#include "lib/forward.h"
#include "lib/sealed.h"
#include "lib/stats.h"

/* The pre-filter on the destination port, in host order; service_conf.echo_port decides. */
const volatile __u16 echo_port = WIRE_PORT;

#define MESSAGE_UDP_LEN (sizeof(struct udphdr) + sizeof(struct wire_msg))
#define MESSAGE_IP_LEN  (sizeof(struct iphdr) + MESSAGE_UDP_LEN)

static __always_inline bool is_node_addr(const struct service_conf *conf, __be32 addr, __be16 port)
{
	return conf->incarnation && unmapped(&conf->node_addr) == addr && bpf_htons(conf->echo_port) == port;
}

/* Bad messages only: what is not sent to a service's echo address is none of ours. */
static __always_inline int message_reject(const struct iphdr *ip, const struct udphdr *udp,
                                          enum reason reason)
{
	__u32 service;

	for (service = 0; service < MAX_SERVICES; service++) {
		__u32 key = service;
		struct service_conf *conf;

		barrier_var(service); /* the verifier follows a counter that is not itself the key */
		conf = bpf_map_lookup_elem(&service_conf, &key);
		if (conf && is_node_addr(conf, ip->daddr, udp->dest))
			return verdict(XDP_DROP, reason);
	}
	return XDP_PASS;
}

/*
 * The MAC to which stale traffic goes and from which it comes. Data nodes only:
 * a witness may sit behind a router, and the router's MAC is nobody's. VOTE and
 * REFUSE, which do not say whether a witness sent them, are left out.
 */
static __always_inline void message_learn_mac(const struct message *m, struct peer *peer)
{
	if (m->msg->type == WIRE_VOTE || m->msg->type == WIRE_REFUSE ||
	    m->msg->flags & bpf_htonl(STATUS_WITNESS))
		return;
	mac_copy(peer->mac, m->eth->h_source);
}

/* Returns 0 with *m filled, or 1 with the verdict in *ret_action. */
static __always_inline int message_open(struct ethhdr *eth, struct iphdr *ip, struct cursor *c,
                                        struct message *m, int *ret_action)
{
	struct udphdr *udp = take(c, sizeof(*udp));
	struct wire_msg *msg;

	*ret_action = XDP_PASS;
	if (!udp || udp->dest != bpf_htons(echo_port) || ip->ihl != 5 ||
	    ip->frag_off & bpf_htons(IP_MF_OFFSET))
		return 1;
	msg = take(c, sizeof(*msg));
	if (!msg || udp->len != bpf_htons(MESSAGE_UDP_LEN) || ip->tot_len != bpf_htons(MESSAGE_IP_LEN)) {
		*ret_action = message_reject(ip, udp, REASON_msg_bad_length);
		return 1;
	}
	if (!is_our_kind(msg)) {
		*ret_action = message_reject(ip, udp, REASON_msg_bad_magic);
		return 1;
	}
	*m = (struct message){.eth = eth, .ip = ip, .udp = udp, .msg = msg, .service = msg->service};
	m->conf = bpf_map_lookup_elem(&service_conf, &m->service);
	m->state = bpf_map_lookup_elem(&service_state, &m->service);
	if (!m->conf || !m->state || !is_node_addr(m->conf, ip->daddr, udp->dest)) {
		*ret_action = message_reject(ip, udp, REASON_msg_bad_service);
		return 1;
	}
	*ret_action = XDP_DROP;
	if (!msg->sender || msg->sender >= MAX_NODES || msg->sender == m->conf->node)
		return verdict(1, REASON_msg_bad_service);
	/* A RESIGN for another node is the copy that each voter gets. */
	if (msg->type != WIRE_RESIGN && msg->target != m->conf->node)
		return verdict(1, REASON_msg_not_for_us);
	if (bpf_ntohl(msg->config_tag) != m->conf->config_tag)
		return verdict(1, REASON_msg_config_mismatch);
	/* Reading the clock lets nothing run ahead of it: not between the two hashes. */
	m->now_ns = bpf_ktime_get_boot_ns();
	m->key = message_key(msg);
	if (!m->key)
		return verdict(1, REASON_msg_bad_tag);
	return 0;
}

#endif
