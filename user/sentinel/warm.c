/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Neighbours of calls, see warm.h. */
#include "warm.h"

#include <string.h>

void warm_set(struct warm *warm, const struct inaddr16 *addr, uint32_t n)
{
	memcpy(warm->want, addr, n * sizeof(*addr));
	warm->n_want = n;
}
