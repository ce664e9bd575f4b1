/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * cgroup_skb at the v2 root, both directions: copies the services' whole SIP
 * datagrams (after reassembly, before fragmentation) straight into records of
 * the ring buffer for sipflip-calls. It only looks: every packet is let through.
 * No scratch space, since these programs can be preempted.
 */
#include "lib/maps.h"

MAP(endpoints);
MAP(capture);
MAP(service_state);
MAP(counters);

#include "lib/bounds.h"
#include "lib/cursor.h"
#include "lib/stats.h"

#include "sipflip/capture.h"

/* Of sipflipd's network namespace. */
const volatile __u64 netns_cookie = 0;
/*
 * 0 where the kernel has no bpf_get_netns_cookie for these programs (before
 * 6.13): the verifier then removes the call, and address and port decide alone.
 */
const volatile __u8 netns_filter = 0;

#define LET_THROUGH 1
#define HEAD        sizeof(struct capture_record)

struct datagram {
	__u32 offset; /* of the payload */
	__u32 len;
	__be32 local;
	__be32 remote;
	__u16 local_port;
	__u16 remote_port;
	__u8 direction;
	__u64 services;
};

/* Number of the lowest bit; a VIP and port are of one service. bits is not 0. */
static __always_inline __u8 lowest_service(__u64 bits)
{
	__u8 service = 0;
	int half;

#pragma unroll
	for (half = 32; half; half >>= 1) {
		if (!(bits & ((1ULL << half) - 1))) {
			bits >>= half;
			service += half;
		}
	}
	return service;
}

static __always_inline void store_addr(struct inaddr16 *to, __be32 addr)
{
	union addr_key key = mapped(addr);

	AT64(&to->b[0]) = key.d[0];
	AT64(&to->b[8]) = key.d[1];
}

static __always_inline void record_head(struct capture_record *record, const struct datagram *d)
{
	record->at_ns = bpf_ktime_get_boot_ns();
	store_addr(&record->remote, d->remote);
	store_addr(&record->local, d->local);
	record->remote_port = d->remote_port;
	record->local_port = d->local_port;
	record->service = lowest_service(d->services);
	record->direction = d->direction;
	record->proto = IPPROTO_UDP;
	record->pad = 0;
	record->len = d->len;
	record->pad1 = 0;
}

/* The reservation's size must be a constant: one function a class. */
#define CAPTURE_CLASS(bytes)                                                                                 \
	static __always_inline enum reason capture_##bytes(struct __sk_buff *skb, const struct datagram *d)  \
	{                                                                                                    \
		struct capture_record *record = bpf_ringbuf_reserve(&capture, HEAD + (bytes), 0);            \
		__s64 len = d->len;                                                                          \
                                                                                                             \
		if (!record)                                                                                 \
			return REASON_capture_ring_full;                                                     \
		record_head(record, d);                                                                      \
		if (!is_within(&len, bytes) || bpf_skb_load_bytes(skb, d->offset, record->data, len))        \
			goto failed;                                                                         \
		bpf_ringbuf_submit(record, 0);                                                               \
		return REASON_captured;                                                                      \
	failed:                                                                                              \
		bpf_ringbuf_discard(record, 0);                                                              \
		return REASON_capture_load_failed;                                                           \
	}

CAPTURE_CLASS(456)
CAPTURE_CLASS(712)
CAPTURE_CLASS(968)
CAPTURE_CLASS(1480)
CAPTURE_CLASS(8136)
CAPTURE_CLASS(65536)

static __always_inline enum reason capture_copy(struct __sk_buff *skb, const struct datagram *d)
{
	if (d->len <= 456)
		return capture_456(skb, d);
	if (d->len <= 712)
		return capture_712(skb, d);
	if (d->len <= 968)
		return capture_968(skb, d);
	if (d->len <= 1480)
		return capture_1480(skb, d);
	if (d->len <= 8136)
		return capture_8136(skb, d);
	if (d->len <= 65536)
		return capture_65536(skb, d);
	return REASON_capture_too_big;
}

/*
 * From the VIP to itself go only OPTIONS and their answers. An answer that leaves
 * the server is noted here: an agent that hangs cannot, and a node whose programs
 * all stand still must not look like one where only the agent does. One that has
 * ended is neither: watch then takes the time away.
 */
static __always_inline void note_answer(struct __sk_buff *skb, const struct iphdr *ip)
{
	union addr_key local = mapped(ip->saddr);
	struct endpoint_key key = {.addr = local.addr, .proto = IPPROTO_UDP};
	struct service_state *state;
	struct endpoint *endpoint;
	struct udphdr udp;
	__u32 service;

	if (bpf_skb_load_bytes(skb, ip->ihl * 4, &udp, sizeof(udp)))
		return;
	key.port = bpf_ntohs(udp.source);
	endpoint = bpf_map_lookup_elem(&endpoints, &key);
	if (!endpoint || !endpoint->services)
		return;
	service = lowest_service(endpoint->services);
	state = bpf_map_lookup_elem(&service_state, &service);
	/* answers to a call keeper whose agent has gone count no more */
	if (state && state->agent_pid)
		state->ok_ns = bpf_ktime_get_boot_ns();
}

/* True when it is a datagram between a VIP's SIP port and somebody else. */
static __always_inline bool is_ours(struct __sk_buff *skb, __u8 direction, struct datagram *d)
{
	struct endpoint_key key = {.proto = IPPROTO_UDP};
	union addr_key local;
	struct endpoint *endpoint;
	struct udphdr udp;
	struct iphdr ip;
	bool in = direction == CAPTURE_IN;

	if (bpf_skb_load_bytes(skb, 0, &ip, sizeof(ip)) || ip.version != 4 || ip.protocol != IPPROTO_UDP)
		return false;
	if (ip.saddr == ip.daddr) {
		if (!in)
			note_answer(skb, &ip);
		return false;
	}
	/* Past the reassembly a fragment is nobody's datagram. */
	if (ip.frag_off & bpf_htons(IP_MF_OFFSET) || bpf_skb_load_bytes(skb, ip.ihl * 4, &udp, sizeof(udp)))
		return false;
	d->local = in ? ip.daddr : ip.saddr;
	d->remote = in ? ip.saddr : ip.daddr;
	d->local_port = bpf_ntohs(in ? udp.dest : udp.source);
	d->remote_port = bpf_ntohs(in ? udp.source : udp.dest);
	local = mapped(d->local);
	key.addr = local.addr;
	key.port = d->local_port;
	endpoint = bpf_map_lookup_elem(&endpoints, &key);
	if (!endpoint || !endpoint->services)
		return false;
	d->services = endpoint->services;
	d->direction = direction;
	d->offset = ip.ihl * 4 + sizeof(udp);
	d->len = bpf_ntohs(udp.len) - sizeof(udp);
	return bpf_ntohs(udp.len) > sizeof(udp);
}

static __always_inline int capture_packet(struct __sk_buff *skb, __u8 direction)
{
	struct datagram d = {};

	if (skb->protocol != bpf_htons(ETH_P_IP))
		return LET_THROUGH;
	if (netns_filter && bpf_get_netns_cookie(skb) != netns_cookie)
		return LET_THROUGH;
	if (is_ours(skb, direction, &d))
		count_shared(capture_copy(skb, &d));
	return LET_THROUGH;
}

SEC("cgroup_skb/ingress")
int capture_in(struct __sk_buff *skb)
{
	return capture_packet(skb, CAPTURE_IN);
}

SEC("cgroup_skb/egress")
int capture_out(struct __sk_buff *skb)
{
	return capture_packet(skb, CAPTURE_OUT);
}

char _license[] SEC("license") = "Dual BSD/GPL";
