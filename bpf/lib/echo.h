/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * ECHO: what a voter says of itself is recorded, its grant moves the lease
 * forward, and the frame goes back as REFLECT with this node's own time in it,
 * all without waking anyone. The time is read once, before the reflection is
 * built: a lease that runs from it can only be shorter than the voter's promise.
 * Needs MAP(ownership), MAP(vips) and what message.h needs.
 */
#ifndef SIPFLIP_BPF_ECHO_H
#define SIPFLIP_BPF_ECHO_H

#include "lib/fence.h"
#include "lib/message.h"

#define REFLECT_TTL   64
#define RENEW_TRIES   4
#define AGE_NEVER     0xffffffffU
#define STATUS_KERNEL (STATUS_OWNER | STATUS_ARMED | STATUS_SERVER_DEAD) /* told by the maps here */

/* In microseconds; then_ns 0 = never, and what does not fit is as good as never. */
static __always_inline __u32 age_us(__u64 then_ns, __u64 now_ns)
{
	__u64 age;

	if (!then_ns)
		return AGE_NEVER;
	if (now_ns <= then_ns)
		return 0;
	age = (now_ns - then_ns) / 1000;
	return age < AGE_NEVER ? age : AGE_NEVER;
}

/* An echo that is not newer than the last one of this incarnation: repeated or overtaken. */
static __always_inline bool echo_is_stale(const struct wire_msg *msg, const struct peer *peer)
{
	return bpf_be64_to_cpu(msg->sender_inc) == peer->incarnation &&
	       bpf_be64_to_cpu(msg->sent_ns) <= peer->sent_ns;
}

static __always_inline void echo_record(const struct message *m, struct peer *peer)
{
	const struct wire_msg *msg = m->msg;

	peer->last_echo_ns = m->now_ns;
	peer->sent_ns = bpf_be64_to_cpu(msg->sent_ns);
	peer->incarnation = bpf_be64_to_cpu(msg->sender_inc);
	peer->epoch = bpf_be64_to_cpu(msg->epoch);
	peer->flags = bpf_ntohl(msg->flags);
	peer->ok_age_us = bpf_ntohl(msg->ok_age_us);
	peer->turn_age_us = bpf_ntohl(msg->turn_age_us);
	peer->echoes++;
}

/*
 * A grant is of one epoch, to one incarnation, from a time that this node itself
 * has read. Moves the word forward, never back, never up from 0 (fenced stays
 * fenced) and never touches ~0. Returns how it was counted.
 */
static __always_inline enum reason grant_take(const struct message *m, struct peer *peer)
{
	__u64 grant_ns = bpf_be64_to_cpu(m->msg->grant_ns);
	__u64 epoch = bpf_be64_to_cpu(m->msg->epoch);
	__u64 until_ns = grant_ns + m->conf->lease_ns;
	__u32 service = m->service;
	struct ownership *word = bpf_map_lookup_elem(&ownership, &service);
	__u64 lease_ns;
	int i;

	if (!word || epoch != m->state->epoch || (epoch & 0xff) != m->conf->node ||
	    bpf_be64_to_cpu(m->msg->target_inc) != m->conf->incarnation || grant_ns > m->now_ns)
		return REASON_echo_grant_mismatch;
	lease_ns = *(volatile __u64 *)&word->lease_until_ns;
	if (lease_ns == LEASE_FENCED)
		return REASON_echo_grant_fenced;
	peer->last_grant_ns = m->now_ns;
	peer->grant_until_ns = until_ns;
	for (i = 0; i < RENEW_TRIES; i++) {
		__u64 seen_ns;

		if (lease_ns == LEASE_FENCED)
			return REASON_echo_grant_fenced;
		if (until_ns <= lease_ns)
			return REASON_echo_grant_stale;
		seen_ns = __sync_val_compare_and_swap(&word->lease_until_ns, lease_ns, until_ns);
		if (seen_ns == lease_ns)
			return REASON_echo_renewed;
		lease_ns = seen_ns;
	}
	return REASON_echo_grant_stale;
}

static __always_inline __u32 status_flags(const struct message *m)
{
	__u32 flags = m->state->flags & ~STATUS_KERNEL;

	if (owns(m->service, m->now_ns))
		flags |= STATUS_OWNER;
	if (m->now_ns < m->state->armed_until_ns)
		flags |= STATUS_ARMED;
	if (m->state->server_dead_ns)
		flags |= STATUS_SERVER_DEAD;
	return flags;
}

/* RFC 1624 equation 3; the addresses change places, which the sum does not notice. */
static __always_inline void ip_set_ttl(struct iphdr *ip, __u8 ttl)
{
	__u32 sum = (~bpf_ntohs(ip->check) & 0xffff) + (~((__u32)ip->ttl << 8) & 0xffff) + ((__u32)ttl << 8);

	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	ip->check = bpf_htons(~sum);
	ip->ttl = ttl;
}

static __always_inline void swap_addresses(const struct message *m)
{
	__be32 addr = m->ip->saddr;
	__be16 port = m->udp->source;
	__u8 mac[6] __attribute__((aligned(4)));

	mac_copy(mac, m->eth->h_source);
	mac_copy(m->eth->h_source, m->eth->h_dest);
	mac_copy(m->eth->h_dest, mac);
	m->ip->saddr = m->ip->daddr;
	m->ip->daddr = addr;
	m->udp->source = m->udp->dest;
	m->udp->dest = port;
	m->udp->check = 0;
	if (m->ip->ttl != REFLECT_TTL)
		ip_set_ttl(m->ip, REFLECT_TTL);
}

/* seq and sent_ns stay the voter's own: it matches them with what it sent. */
static __always_inline int reflect(const struct message *m)
{
	struct wire_msg *msg = m->msg;

	if (!fence_lets_v4(m->ip->daddr, m->now_ns))
		return verdict(XDP_DROP, REASON_tx_fenced);
	swap_addresses(m);
	msg->type = WIRE_REFLECT;
	msg->target = msg->sender;
	msg->sender = m->conf->node;
	msg->detail = 0;
	msg->epoch = bpf_cpu_to_be64(m->state->epoch);
	msg->target_inc = msg->sender_inc;
	msg->sender_inc = bpf_cpu_to_be64(m->conf->incarnation);
	msg->grant_ns = bpf_cpu_to_be64(m->now_ns);
	msg->flags = bpf_htonl(status_flags(m));
	msg->ok_age_us = bpf_htonl(age_us(m->state->ok_ns, m->now_ns));
	msg->turn_age_us = bpf_htonl(age_us(m->state->turn_ns, m->now_ns));
	AT64(msg->tag) = siphash_msg(msg, m->key);
	return verdict(XDP_TX, REASON_echo_reflected);
}

static __always_inline int echo(const struct message *m, struct peer *peer)
{
	if (!echo_is_stale(m->msg, peer)) {
		echo_record(m, peer);
		message_learn_mac(m, peer);
		if (m->msg->grant_ns)
			count(grant_take(m, peer));
	}
	return reflect(m);
}

#endif
