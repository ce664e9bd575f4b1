/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Time as a type: nanoseconds of CLOCK_BOOTTIME, the clock of the lease on both
 * sides of the fence. core/ never reads a clock; callers pass the time in.
 */
#ifndef SIPFLIP_CORE_MONO_H
#define SIPFLIP_CORE_MONO_H

#include <stdbool.h>
#include <stdint.h>

struct mono {
	int64_t ns;
};

#define NS_PER_US 1000LL
#define NS_PER_MS 1000000LL
#define NS_PER_S  1000000000LL

static inline struct mono mono_ns(int64_t ns)
{
	return (struct mono){ns};
}
static inline struct mono mono_add(struct mono t, int64_t ns)
{
	return (struct mono){t.ns + ns};
}
/* a - b, ns */
static inline int64_t mono_diff(struct mono a, struct mono b)
{
	return a.ns - b.ns;
}
static inline bool mono_before(struct mono a, struct mono b)
{
	return a.ns < b.ns;
}
static inline bool mono_is_set(struct mono t)
{
	return t.ns != 0;
}

#endif
