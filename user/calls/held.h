/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Datagrams captured while this node does not own. The kernel flips before sipflipd can
 * tell: what comes in between is the new owner's already. Whose turn it is, is service.c's
 * business.
 */
#ifndef SIPFLIP_CALLS_HELD_H
#define SIPFLIP_CALLS_HELD_H

#include <stdint.h>

#include "mono.h"
#include "sipflip/capture.h"

#define HELD_BYTES  65536
#define HELD_AGE_NS (200 * NS_PER_MS) /* how long before the flip a wanted datagram may be */
/* The role comes within HELD_AGE_NS of the flip, too: so much older than the newest is wanted by no flip. */
#define HELD_STALE_NS (2 * HELD_AGE_NS)

/* Zeroed = empty. */
struct held {
	_Alignas(struct capture_record) uint8_t bytes[HELD_BYTES]; /* each record rounded up to 8 bytes */
	uint32_t len;
};

/* Keeps a copy, for which the oldest make room. How many were lost with that, stale ones not counted. */
uint32_t held_add(struct held *held, const struct capture_record *record);

typedef void held_fn(void *context, const struct capture_record *record);
/* The flip's own, oldest first; nothing is held after that. */
void held_take(struct held *held, uint64_t flipped_ns, held_fn *fn, void *context);

#endif
