/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A call's media by the VIP's port (struct flow): finding it, and noting what is
 * seen of it. Counting is plain: each of a flow's counters is moved by the packets
 * of one sender, which a network card keeps on one CPU; where they are not, a
 * packet may be missed in the figure. Called by relay.h and egress.
 * Needs MAP(flow_ports), MAP(flows), MAP(media) and MAP(counters).
 */
#ifndef SIPFLIP_BPF_FLOW_H
#define SIPFLIP_BPF_FLOW_H

#include "lib/cursor.h"
#include "lib/maps.h"
#include "lib/stats.h"

/* 0: no call has this port on any VIP. The rest is asked only where there is one. */
static __always_inline __u32 flow_first(__u16 port)
{
	__u32 key = port;
	__u32 *slot = bpf_map_lookup_elem(&flow_ports, &key);

	return slot ? *(volatile __u32 *)slot : 0;
}

static __always_inline struct flow *flow_at(__u32 slot)
{
	return slot ? bpf_map_lookup_elem(&flows, &slot) : NULL;
}

/* The one of this VIP among those that share the port, from *slot on; *slot says where it is. */
static __always_inline struct flow *flow_find(__u32 *slot, __be32 vip)
{
	int i;

	for (i = 0; i < FLOW_CHAIN; i++) {
		struct flow *flow = flow_at(*slot);

		if (!flow)
			return NULL;
		if (unmapped(&flow->vip) == vip)
			return flow;
		*slot = *(volatile __u32 *)&flow->next;
	}
	return NULL;
}

/* Odd: it is being filled. Taken before the fields are read and compared after: sipflip-calls may begin
 * between. */
static __always_inline __u64 flow_generation(const struct flow *flow)
{
	return *(const volatile __u64 *)&flow->generation;
}

static __always_inline void flow_news(__u32 slot, enum media_event_kind kind, __u64 now_ns)
{
	struct media_event *event = bpf_ringbuf_reserve(&media, sizeof(*event), 0);

	if (!event) {
		count_shared(REASON_media_ring_full);
		return;
	}
	event->at_ns = now_ns;
	event->slot = slot;
	event->kind = kind;
	bpf_ringbuf_submit(event, 0);
}

static __always_inline bool endpoint_is(const struct inaddr16 *addr, __u16 port, __be32 want_addr,
                                        __u16 want_port)
{
	return AT32(&addr->b[12]) == want_addr && port == want_port;
}

static __always_inline void endpoint_set(struct inaddr16 *addr, __u16 *port, __be32 new_addr, __u16 new_port)
{
	AT64(&addr->b[0]) = 0;
	AT32(&addr->b[8]) = bpf_htonl(0xffff);
	AT32(&addr->b[12]) = new_addr;
	*port = new_port;
}

#endif
