/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What plane.c, plane_load.c and plane_attach.c share of libbpf, so that plane.h needs none of it. */
#ifndef SIPFLIP_SENTINEL_PLANE_OBJECTS_H
#define SIPFLIP_SENTINEL_PLANE_OBJECTS_H

#include <bpf/libbpf.h>

#include "plane.h"

/* Every pinned map, by the name it has in bpf/lib and under the pin directory. */
#define PLANE_MAPS(X)                                                                                        \
	X(ownership)                                                                                         \
	X(service_conf)                                                                                      \
	X(service_state)                                                                                     \
	X(peers)                                                                                             \
	X(vips)                                                                                              \
	X(endpoints)                                                                                         \
	X(servers)                                                                                           \
	X(sockets)                                                                                           \
	X(keys)                                                                                              \
	X(abi)                                                                                               \
	X(counters)                                                                                          \
	X(events)                                                                                            \
	X(capture)                                                                                           \
	X(held)                                                                                              \
	X(flow_ports)                                                                                        \
	X(flows)                                                                                             \
	X(steer)                                                                                             \
	X(steer_key)                                                                                         \
	X(media)                                                                                             \
	X(fresh)

enum plane_map {
#define X(name) PLANE_MAP_##name,
	PLANE_MAPS(X)
#undef X
	        PLANE_MAP_COUNT
};

struct plane_objects {
	struct bpf_object *object[4];
	int n_object;
	int map_fd[PLANE_MAP_COUNT];
	struct ring_buffer *events;
	plane_event_fn on_event;
	void *on_event_ctx;
	struct ring_buffer *held;
	plane_held_fn on_held;
	void *on_held_ctx;
};

/* While it is being loaded. */
struct plane_loader {
	struct plane *plane;
	const struct plane_conf *conf;
	struct plane_error *error;
	int cgroup_fd;
};

/* Says why in the loader's error; returns err, -EINVAL for 0. */
int plane_fail(struct plane_loader *l, int err, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
const char *plane_pin_path(const char *dir, const char *name, char buf[192]);

/* plane_attach.c */
int plane_open_cgroup(struct plane_loader *l);
int plane_attach_all(struct plane_loader *l);

#endif
