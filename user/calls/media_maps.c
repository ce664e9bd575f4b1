/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One writer (this process, one thread), many readers (the programs on every CPU).
 * What they rely on: a slot is complete before a port or a chain leads to it, an odd
 * generation says that it is not, and a slot that was unlinked rests at the end of
 * the queue of free ones, so that who still holds its number has long let go of it.
 */
#include "media_maps.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "addr.h"

#define PORTS       65536
#define PORT_STRIDE 8 /* the kernel rounds an array's values up (kernel/bpf/arraymap.c) */

static uint32_t *port_at(const struct media_maps *maps, uint16_t port)
{
	return (uint32_t *)(void *)(maps->ports + (size_t)port * PORT_STRIDE);
}

static void give_back(struct media_maps *maps, uint32_t slot)
{
	maps->slots[slot] = (struct media_slot){0};
	maps->queue[(maps->queue_first + maps->n_free++) % MAX_FLOWS] = slot;
}

static void *map_fd(int fd, size_t len)
{
	void *at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return at == MAP_FAILED ? NULL : at;
}

/* --- generations -------------------------------------------------------------------- */

static void begin(struct flow *flow)
{
	__atomic_store_n(&flow->generation, flow->generation | 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static void publish(struct flow *flow)
{
	__atomic_store_n(&flow->generation, flow->generation + 1, __ATOMIC_RELEASE);
}

/* --- chains ------------------------------------------------------------------------- */

static void unlink_slot(struct media_maps *maps, uint32_t slot)
{
	uint32_t *at = port_at(maps, maps->flows[slot].vip_port);

	for (int i = 0; i < FLOW_CHAIN && *at && *at != slot; i++)
		at = &maps->flows[*at].next;
	if (*at == slot)
		__atomic_store_n(at, maps->flows[slot].next, __ATOMIC_RELEASE);
}

/* Cuts a chain where it cannot be what a former process of ours had linked. */
static void adopt_chain(struct media_maps *maps, uint32_t port)
{
	uint32_t *at = port_at(maps, (uint16_t)port);

	for (int i = 0; *at; i++) {
		uint32_t slot = *at;
		struct flow *flow = slot < MAX_FLOWS ? &maps->flows[slot] : NULL;

		if (i == FLOW_CHAIN || !flow || maps->slots[slot].linked || flow->vip_port != port) {
			__atomic_store_n(at, 0, __ATOMIC_RELEASE);
			return;
		}
		if (flow->generation & 1) { /* it ended while it wrote this one */
			__atomic_store_n(at, flow->next, __ATOMIC_RELEASE);
			continue;
		}
		maps->slots[slot] = (struct media_slot){.taken = true, .linked = true, .left = true};
		maps->n_left++;
		at = &flow->next;
	}
}

static void adopt(struct media_maps *maps)
{
	for (uint32_t port = 0; port < PORTS; port++)
		adopt_chain(maps, port);
	for (uint32_t slot = 1; slot < MAX_FLOWS; slot++)
		if (!maps->slots[slot].taken)
			give_back(maps, slot);
}

int media_maps_open(struct media_maps *maps, int ports_fd, int flows_fd)
{
	long page = sysconf(_SC_PAGESIZE);

	*maps = (struct media_maps){.ports = NULL};
	if (ports_fd < 0 || flows_fd < 0)
		return 0;
	maps->ports_len = ((size_t)PORTS * PORT_STRIDE + (size_t)page - 1) & ~((size_t)page - 1);
	maps->flows_len = ((size_t)MAX_FLOWS * sizeof(struct flow) + (size_t)page - 1) & ~((size_t)page - 1);
	maps->slots = calloc(MAX_FLOWS, sizeof(*maps->slots));
	maps->queue = calloc(MAX_FLOWS, sizeof(*maps->queue));
	maps->ports = map_fd(ports_fd, maps->ports_len);
	maps->flows = map_fd(flows_fd, maps->flows_len);
	if (!maps->slots || !maps->queue || !maps->ports || !maps->flows) {
		int rc = errno ? -errno : -ENOMEM;

		media_maps_close(maps);
		return rc;
	}
	adopt(maps);
	return 0;
}

void media_maps_close(struct media_maps *maps)
{
	if (maps->ports)
		munmap(maps->ports, maps->ports_len);
	if (maps->flows)
		munmap(maps->flows, maps->flows_len);
	free(maps->slots);
	free(maps->queue);
	*maps = (struct media_maps){.ports = NULL};
}

bool media_maps_has_port(const struct media_maps *maps, uint16_t port)
{
	return maps->ports && *port_at(maps, port);
}

/* *ret_n: how many slots the port has. */
static uint32_t find(const struct media_maps *maps, const struct inaddr16 *vip, uint16_t port, int *ret_n)
{
	uint32_t slot = *port_at(maps, port);

	for (*ret_n = 0; slot && *ret_n < FLOW_CHAIN; slot = maps->flows[slot].next, (*ret_n)++)
		if (addr_equal(&maps->flows[slot].vip, vip))
			return slot;
	return 0;
}

uint32_t media_maps_find(const struct media_maps *maps, const struct inaddr16 *vip, uint16_t port)
{
	int n;

	return maps->ports ? find(maps, vip, port, &n) : 0;
}

/* --- slots -------------------------------------------------------------------------- */

uint32_t media_maps_take(struct media_maps *maps, const struct inaddr16 *vip, uint16_t port)
{
	uint32_t slot;
	int n;

	if (!maps->ports)
		return 0;
	slot = find(maps, vip, port, &n);
	if (slot && maps->slots[slot].left) {
		maps->slots[slot].left = false;
		maps->n_left--;
		return slot;
	}
	if (slot || n == FLOW_CHAIN || !maps->n_free)
		return 0;
	slot = maps->queue[maps->queue_first];
	maps->queue_first = (maps->queue_first + 1) % MAX_FLOWS;
	maps->n_free--;
	maps->slots[slot].taken = true;
	return slot;
}

/* The fields of sipflip-calls, but for next and generation. */
static bool is_same(const struct flow *a, const struct flow *b)
{
	return !memcmp(a, b, offsetof(struct flow, next)) && !memcmp(a->pt, b->pt, sizeof(a->pt)) &&
	       !memcmp(a->mac, b->mac, sizeof(a->mac));
}

static void copy(struct flow *flow, const struct flow *want)
{
	memcpy(flow, want, offsetof(struct flow, next));
	memcpy(flow->pt, want->pt, sizeof(flow->pt));
	memcpy(flow->mac, want->mac, sizeof(flow->mac));
}

static void forget_phone(struct flow *flow)
{
	memset(&flow->seen_from, 0, sizeof(*flow) - offsetof(struct flow, seen_from));
	flow->relatched_ns = 0;
	flow->next_hop_ns = 0;
}

void media_maps_put(struct media_maps *maps, uint32_t slot, const struct flow *want, bool forget,
                    struct mono now)
{
	struct media_slot *info = &maps->slots[slot];
	struct flow *flow = &maps->flows[slot];
	uint32_t *port;

	if (info->linked) {
		if (!mono_is_set(info->filled))
			info->filled = now; /* left over: since when it was ours is all that is known */
		if (!forget && is_same(flow, want))
			return;
		begin(flow);
		copy(flow, want);
		if (forget)
			forget_phone(flow);
		flow->next_hop_ns = 0;
		publish(flow);
		return;
	}
	begin(flow);
	copy(flow, want);
	memset(&flow->packets, 0, sizeof(*flow) - offsetof(struct flow, packets));
	port = port_at(maps, want->vip_port);
	flow->next = *port;
	publish(flow);
	__atomic_store_n(port, slot, __ATOMIC_RELEASE);
	info->linked = true;
	info->filled = now;
}

void media_maps_drop(struct media_maps *maps, uint32_t slot)
{
	if (maps->slots[slot].left)
		maps->n_left--;
	if (maps->slots[slot].linked) {
		unlink_slot(maps, slot);
		begin(&maps->flows[slot]);
	}
	give_back(maps, slot);
}

void media_maps_sweep(struct media_maps *maps)
{
	for (uint32_t slot = 1; slot < MAX_FLOWS && maps->n_left; slot++)
		if (maps->slots[slot].left)
			media_maps_drop(maps, slot);
}
