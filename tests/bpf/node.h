/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The ingress program on node b of frames.h's world: configured, fenced, with both keys. */
#ifndef SIPFLIP_TEST_NODE_H
#define SIPFLIP_TEST_NODE_H

#include "world.h"

#include "ingress.skel.h"
#include "sipflip/slots.h"

static inline struct inaddr16 mapped(uint32_t addr)
{
	return addr_from_be32(htonl(addr));
}

static inline void node_destroy(void *skel)
{
	ingress_bpf__destroy(skel);
}

static inline void node_vip(struct world *w, uint32_t addr)
{
	struct ingress_bpf *skel = w->skel;
	struct inaddr16 key = mapped(addr);
	struct vip vip = {.service = SERVICE, .ifindex = IFINDEX};

	map_put(skel->maps.vips, &key, &vip);
}

static inline void node_key(struct world *w, uint32_t slot, struct siphash_key key)
{
	struct ingress_bpf *skel = w->skel;

	map_put(skel->maps.keys, &slot, &key);
}

static inline int node_setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct ingress_bpf *skel = ingress_bpf__open();
	const struct inaddr16 vip = mapped(VIP), vip2 = mapped(VIP2);
	const struct vip value = {.service = SERVICE, .ifindex = IFINDEX};

	if (!w || !skel)
		return -1;
	vip_slots_add(skel->rodata->vip_slots, &vip, value);
	vip_slots_add(skel->rodata->vip_slots, &vip2, value);
	if (ingress_bpf__load(skel))
		return -1;
	w->skel = skel;
	w->destroy = node_destroy;
	w->prog = bpf_program__fd(skel->progs.ingress);
	world_open(w, skel->obj);
	node_vip(w, VIP);
	node_vip(w, VIP2);
	node_key(w, 0, key_first);
	node_key(w, 1, key_second);
	w->conf[SERVICE] = (struct service_conf){
	        .lease_ns = LEASE_NS,
	        .incarnation = SELF_INC,
	        .node_addr = mapped(ADDR_SELF),
	        .first_vip = mapped(VIP),
	        .config_tag = CONFIG_TAG,
	        .ifindex = IFINDEX,
	        .echo_port = WIRE_PORT,
	        .node = NODE_SELF,
	};
	memcpy(w->conf[SERVICE].mac, mac_self, 6);
	w->state[SERVICE].epoch = EPOCH;
	*state = w;
	return 0;
}

static inline int node_teardown(void **state)
{
	world_close(*state);
	return 0;
}

static inline struct peer *node_peer(struct world *w, int node)
{
	return &w->peers[SERVICE * MAX_NODES + node];
}

static inline void node_own(struct world *w)
{
	w->ownership[SERVICE].lease_until_ns = LEASE_FOREVER;
}

static inline uint64_t node_word(struct world *w)
{
	return *(volatile __u64 *)&w->ownership[SERVICE].lease_until_ns;
}

#define behaviour(test) cmocka_unit_test_setup_teardown(test, node_setup, node_teardown)

#endif
