/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The data plane: loads the BPF programs, pins maps and links, and gives the
 * sentinel its view into the maps. What is pinned outlives the agent; a new
 * agent adopts the maps (same ABI version) and puts its programs in place of the
 * old ones without a gap. All of it happens before the loop; the loop only reads
 * and writes mapped memory.
 */
#ifndef SIPFLIP_SENTINEL_PLANE_H
#define SIPFLIP_SENTINEL_PLANE_H

#include <stdbool.h>
#include <stddef.h>

#include "config.h"
#include "iface.h"
#include "mono.h"
#include "sipflip/abi.h"
#include "sipflip/event.h"

#define PLANE_IFACES 16

struct plane_conf {
	const struct config *config;
	const char *pin_dir;
	int node;
	const struct siphash_key *keys; /* KEY_SLOTS of them, empty ones all zero */
	const struct iface *iface;      /* per service */
	const bool *here;               /* per service: this node has the VIP */
};

struct plane {
	char pin_dir[128];
	/* mapped; indexed by service, peers by service * MAX_NODES + node */
	struct ownership *ownership;
	struct service_conf *conf;
	struct service_state *state;
	struct peer *peers;
	int xdp_mode[MAX_SERVICES]; /* enum ctl_xdp_mode */
	bool adopted;               /* maps were there already */
	bool netns_filter;          /* capture can tell network namespaces apart */
	struct plane_objects *objects;
};

struct plane_error {
	char text[320];
};

/*
 * Loads, pins and attaches everything. On failure nothing new stays attached or
 * pinned and *ret_error says in one line what is wrong and what to do.
 */
int plane_open(struct plane *plane, const struct plane_conf *conf, struct plane_error *ret_error);

/* Lets go of descriptors and mappings; what is pinned stays. */
void plane_close(struct plane *plane);

/* Detaches and unpins everything under pin_dir. Returns how many things it removed. */
int plane_unload(const char *pin_dir, const struct config *config);

/*
 * Are gate and fence still attached to this interface? Puts back what somebody
 * took off. 0 = all there, 1 = was put back, -EAGAIN = this node has not the means
 * to look just now, other -errno = gone and cannot be put back.
 * Two netlink round trips; for the calm part of the loop.
 */
int plane_check(struct plane *plane, const struct iface *iface);

/* The counters, summed over the CPUs. 0 or -errno. */
int plane_counters(const struct plane *plane, struct counters *ret);
/* Those of another object's map `counters`. */
int plane_sum_counters(int map, struct counters *ret);

/* To poll; then plane_events() calls `on_event` for each. */
int plane_events_fd(const struct plane *plane);
int plane_events(struct plane *plane);
typedef void (*plane_event_fn)(void *ctx, const struct event *event);
int plane_on_event(struct plane *plane, plane_event_fn fn, void *ctx);

/* Frames that ingress held during a switchover; nothing polls them, plane_held() hands them out. */
typedef void (*plane_held_fn)(void *ctx, const struct held_frame *frame);
int plane_on_held(struct plane *plane, plane_held_fn fn, void *ctx);
int plane_held(struct plane *plane);

/* Descriptor of the ring-buffer map that the call keeper inherits. */
int plane_capture_fd(const struct plane *plane);

/*
 * What the call keeper needs to relay media and steer signalling: descriptors of
 * the maps flow_ports, flows, steer and media in this order (KEEPER_FD_PORTS and
 * on), and the key under which Call-IDs are hashed. 0 or -errno.
 */
#define PLANE_MEDIA_FDS 4
int plane_media_fds(const struct plane *plane, int ret_fds[PLANE_MEDIA_FDS]);
int plane_steer_key(const struct plane *plane, struct siphash_key *ret);

/* Servers found by the finder. */
int plane_add_server(struct plane *plane, uint32_t tgid, uint64_t services);
int plane_add_socket(struct plane *plane, uint64_t cookie, uint32_t tgid, uint64_t services);
/* Is this process watched and not dead? */
bool plane_server_alive(const struct plane *plane, uint32_t tgid);

/* The word and its epoch, see word.h. */
bool plane_own(struct plane *plane, int service, uint64_t epoch, uint64_t until_ns, struct mono now);
bool plane_extend(struct plane *plane, int service, uint64_t until_ns);
void plane_fence(struct plane *plane, int service);
uint64_t plane_word(const struct plane *plane, int service);
bool plane_recognise(struct plane *plane, int service, uint64_t epoch);

#endif
