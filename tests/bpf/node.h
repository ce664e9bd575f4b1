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

/* The VIPs of the world. */
static const struct node_vip {
	uint32_t addr, ifindex;
} node_vips[] = {{VIP, IFINDEX}, {VIP2, IFINDEX}, {VIP_TWIN, IFINDEX}, {VIP_AWAY, IFINDEX + 1}};
#define NODE_VIPS (sizeof(node_vips) / sizeof(node_vips[0]))

static inline void node_add_vip(struct ingress_bpf *skel, const struct node_vip *v, bool loaded)
{
	struct inaddr16 key = mapped(v->addr);
	struct vip vip = {.service = SERVICE, .ifindex = v->ifindex};

	if (loaded)
		map_put(skel->maps.vips, &key, &vip);
	else
		vip_slots_add(skel->rodata->vip_slots, &key, vip);
}

static inline void node_key(struct world *w, uint32_t slot, struct siphash_key key)
{
	struct ingress_bpf *skel = w->skel;

	map_put(skel->maps.keys, &slot, &key);
}

static inline int node_setup(void **state)
{
	const void *test_case = *state;
	struct world *w = calloc(1, sizeof(*w));
	struct ingress_bpf *skel = ingress_bpf__open();
	unsigned int i;

	if (!w || !skel)
		return -1;
	for (i = 0; i < NODE_VIPS; i++)
		node_add_vip(skel, &node_vips[i], false);
	if (ingress_bpf__load(skel))
		return -1;
	w->skel = skel;
	w->test_case = test_case;
	w->destroy = node_destroy;
	w->prog = bpf_program__fd(skel->progs.ingress);
	world_open(w, skel->obj);
	for (i = 0; i < NODE_VIPS; i++)
		node_add_vip(skel, &node_vips[i], true);
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
