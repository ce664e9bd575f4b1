/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reading the lease's clock, CLOCK_BOOTTIME, and the wall clock for people. */
#ifndef SIPFLIP_SENTINEL_CLOCK_H
#define SIPFLIP_SENTINEL_CLOCK_H

#include <time.h>

#include "mono.h"

static inline struct mono clock_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return mono_ns((int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec);
}

static inline uint64_t clock_wall_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

#endif
