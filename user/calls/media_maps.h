/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The memory that the kernel's flow_ports and flows are (sipflip/abi.h): slots taken,
 * filled, linked, changed and given back so that the programs never read a half-made
 * one. Knows nothing of dialogs. Called by media.c only.
 *
 *   free --take--> taken --fill--> linked --change--> linked --drop--> free (last in the queue)
 *
 * What a former sipflip-calls left is linked and left over: the media of its calls goes
 * on while their dialogs are fetched anew. Who asks for that port gets the slot;
 * what nobody asked for is dropped by media_maps_sweep.
 */
#ifndef SIPFLIP_CALLS_MEDIA_MAPS_H
#define SIPFLIP_CALLS_MEDIA_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mono.h"
#include "sipflip/abi.h"

/* Whose a slot is. */
struct media_slot {
	struct mono filled;
	uint32_t dialog;
	uint8_t service;
	uint8_t stream;
	bool taken;
	bool linked;
	bool left; /* linked by a former process, nobody's yet */
};

struct media_maps {
	uint8_t *ports;     /* NULL = no data plane */
	struct flow *flows; /* MAX_FLOWS of them */
	size_t ports_len;
	size_t flows_len;
	struct media_slot *slots; /* same index as flows */
	uint32_t *queue;          /* free slots, the one that rested longest first */
	uint32_t queue_first;
	uint32_t n_free;
	uint32_t n_left;
};

/* Either -1: without a data plane there are no slots to take. 0 or -errno. */
int media_maps_open(struct media_maps *maps, int ports_fd, int flows_fd);
void media_maps_close(struct media_maps *maps);

/* The slot of this VIP's port, 0 = none. */
uint32_t media_maps_find(const struct media_maps *maps, const struct inaddr16 *vip, uint16_t port);
/* True when any VIP has this port. */
bool media_maps_has_port(const struct media_maps *maps, uint16_t port);

/* A slot to fill, or the one left over of this port. 0 = full, or too many VIPs have the port. */
uint32_t media_maps_take(struct media_maps *maps, const struct inaddr16 *vip, uint16_t port);
/*
 * Makes the slot what `want` says in the fields that sipflip-calls writes; next and
 * generation are looked after here. Fills and links it, or changes it in place and
 * leaves what the kernel counted. forget: what it saw of the phone is void.
 */
void media_maps_put(struct media_maps *maps, uint32_t slot, const struct flow *want, bool forget,
                    struct mono now);
void media_maps_drop(struct media_maps *maps, uint32_t slot);
/* Drops what is still left over. */
void media_maps_sweep(struct media_maps *maps);

#endif
