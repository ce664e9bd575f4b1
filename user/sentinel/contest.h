/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Another machine uses a VIP that this node owns: ingress sees the claims, this
 * file remembers and reports them. It begins with the first claim and is over when
 * none has come for CONTEST_CALM_NS. How neighbours are put right again is
 * announce.h's business (announcer_defend).
 */
#ifndef SIPFLIP_SENTINEL_CONTEST_H
#define SIPFLIP_SENTINEL_CONTEST_H

#include <stdbool.h>
#include <stdint.h>

#include "mono.h"

#define CONTEST_CALM_NS (6 * NS_PER_S) /* longer than the last announcement of a defence */

struct contest {
	bool on;
	uint8_t mac[6]; /* who claimed last */
	struct mono began;
	struct mono last;
	uint64_t claims; /* in this one; as reported, of many in 10 ms one is */
	uint64_t count;  /* contests ever */
};

/* A claim was reported. True when it begins a contest: the moment to log it. */
bool contest_claimed(struct contest *contest, const uint8_t mac[6], struct mono now);
/* True once, when it is over. */
bool contest_over(struct contest *contest, struct mono now);

#endif
