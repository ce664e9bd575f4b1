/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The next hops of the phones that a takeover would have to reach, kept resolved
 * on a service's interface, so that the relay's first packet finds a MAC. The call
 * keeper says which phones (KEEPER_WARM). Nothing of it is on the path of a flip.
 */
#ifndef SIPFLIP_SENTINEL_WARM_H
#define SIPFLIP_SENTINEL_WARM_H

#include <stdint.h>

#include "sipflip/keeper.h"

struct warm {
	struct inaddr16 want[KEEPER_WARM_ADDRS]; /* the call keeper's last word */
	uint32_t n_want;
};

/* The whole set of phones from now on; n <= KEEPER_WARM_ADDRS. Only remembers it. */
void warm_set(struct warm *warm, const struct inaddr16 *addr, uint32_t n);

#endif
