/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Access to the data plane's maps while it runs; loading is in plane_load.c. */
#include "plane.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>

#include "clock.h"
#include "plane_objects.h"
#include "word.h"

#define PLANE_CPUS 1024

static __u64 *word_of(const struct plane *plane, int service)
{
	return (__u64 *)&plane->ownership[service].lease_until_ns;
}

uint64_t plane_word(const struct plane *plane, int service)
{
	return word_read(word_of(plane, service));
}

bool plane_own(struct plane *plane, int service, uint64_t epoch, uint64_t until_ns, struct mono now)
{
	return word_own(&plane->state[service], word_of(plane, service), epoch, until_ns, (uint64_t)now.ns);
}

bool plane_extend(struct plane *plane, int service, uint64_t until_ns)
{
	return word_extend(word_of(plane, service), until_ns);
}

void plane_fence(struct plane *plane, int service)
{
	word_fence(word_of(plane, service));
}

bool plane_recognise(struct plane *plane, int service, uint64_t epoch)
{
	return word_recognise(&plane->state[service].epoch, word_of(plane, service), epoch);
}

int plane_events_fd(const struct plane *plane)
{
	return ring_buffer__epoll_fd(plane->objects->events);
}

int plane_events(struct plane *plane)
{
	return ring_buffer__consume(plane->objects->events);
}

static int on_sample(void *ctx, void *data, size_t size)
{
	struct plane_objects *o = ctx;

	if (size >= sizeof(struct event))
		o->on_event(o->on_event_ctx, data);
	return 0;
}

int plane_on_event(struct plane *plane, plane_event_fn fn, void *ctx)
{
	struct plane_objects *o = plane->objects;

	o->on_event = fn;
	o->on_event_ctx = ctx;
	o->events = ring_buffer__new(o->map_fd[PLANE_MAP_events], on_sample, o, NULL);
	return o->events ? 0 : -errno;
}

static int on_held_sample(void *ctx, void *data, size_t size)
{
	struct plane_objects *o = ctx;
	const struct held_frame *held = data;

	if (size >= sizeof(*held) && held->len <= HELD_FRAME_BYTES)
		o->on_held(o->on_held_ctx, held);
	return 0;
}

int plane_on_held(struct plane *plane, plane_held_fn fn, void *ctx)
{
	struct plane_objects *o = plane->objects;

	o->on_held = fn;
	o->on_held_ctx = ctx;
	o->held = ring_buffer__new(o->map_fd[PLANE_MAP_held], on_held_sample, o, NULL);
	return o->held ? 0 : -errno;
}

int plane_held(struct plane *plane)
{
	return ring_buffer__consume(plane->objects->held);
}

int plane_capture_fd(const struct plane *plane)
{
	return plane->objects->map_fd[PLANE_MAP_capture];
}

int plane_media_fds(const struct plane *plane, int ret_fds[PLANE_MEDIA_FDS])
{
	static const enum plane_map map[PLANE_MEDIA_FDS] = {PLANE_MAP_flow_ports, PLANE_MAP_flows,
	                                                    PLANE_MAP_steer, PLANE_MAP_media};

	if (!plane->objects)
		return -ENODEV;
	for (int i = 0; i < PLANE_MEDIA_FDS; i++)
		ret_fds[i] = plane->objects->map_fd[map[i]];
	return 0;
}

int plane_steer_key(const struct plane *plane, struct siphash_key *ret)
{
	struct siphash_key key;
	uint32_t zero = 0;

	if (!plane->objects)
		return -ENODEV;
	if (bpf_map_lookup_elem(plane->objects->map_fd[PLANE_MAP_steer_key], &zero, &key))
		return -errno;
	*ret = key;
	return 0;
}

int plane_add_server(struct plane *plane, uint32_t tgid, uint64_t services)
{
	struct server server = {.services = services, .since_ns = (uint64_t)clock_now().ns};

	return bpf_map_update_elem(plane->objects->map_fd[PLANE_MAP_servers], &tgid, &server, BPF_ANY);
}

int plane_add_socket(struct plane *plane, uint64_t cookie, uint32_t tgid, uint64_t services)
{
	struct server_socket sock = {.services = services, .tgid = tgid};

	return bpf_map_update_elem(plane->objects->map_fd[PLANE_MAP_sockets], &cookie, &sock, BPF_ANY);
}

bool plane_server_alive(const struct plane *plane, uint32_t tgid)
{
	struct server server;

	if (bpf_map_lookup_elem(plane->objects->map_fd[PLANE_MAP_servers], &tgid, &server))
		return false;
	return server.dead_ns == 0;
}

int plane_counters(const struct plane *plane, struct counters *ret)
{
	return plane_sum_counters(plane->objects->map_fd[PLANE_MAP_counters], ret);
}

int plane_sum_counters(int map, struct counters *ret)
{
	static struct counters each[PLANE_CPUS];
	const uint64_t *from = (const uint64_t *)each;
	uint64_t *sum = (uint64_t *)ret;
	uint32_t zero = 0;
	int cpus = libbpf_num_possible_cpus();

	if (cpus < 1 || cpus > PLANE_CPUS)
		return -E2BIG;
	if (bpf_map_lookup_elem(map, &zero, each))
		return -errno;
	*ret = (struct counters){0};
	for (int cpu = 0; cpu < cpus; cpu++)
		for (int i = 0; i < REASON_COUNT; i++)
			sum[i] += from[cpu * REASON_COUNT + i];
	return 0;
}
