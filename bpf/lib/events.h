/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Events to sipflipd (sipflip/event.h). Each wakes it at once: a takeover waits
 * for nothing. Needs MAP(events) and MAP(counters).
 */
#ifndef SIPFLIP_BPF_EVENTS_H
#define SIPFLIP_BPF_EVENTS_H

#include "lib/maps.h"
#include "lib/stats.h"

#include "sipflip/event.h"

/* NULL (and counted) when the ring is full. Fill it and hand it to event_send. */
static __always_inline struct event *event_new(enum event_type type, __u64 services, __u64 now_ns)
{
	struct event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event) {
		count_shared(REASON_event_ring_full);
		return NULL;
	}
	__builtin_memset(event, 0, sizeof(*event));
	event->at_ns = now_ns;
	event->services = services;
	event->type = type;
	return event;
}

static __always_inline void event_send(struct event *event)
{
	bpf_ringbuf_submit(event, BPF_RB_FORCE_WAKEUP);
}

static __always_inline __u64 service_bit(__u32 service)
{
	return 1ULL << (service & (MAX_SERVICES - 1));
}

#endif
