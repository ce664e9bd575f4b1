/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Counting by named reason (sipflip/reasons.def), on the way out.
 * Needs MAP(counters).
 */
#ifndef SIPFLIP_BPF_STATS_H
#define SIPFLIP_BPF_STATS_H

#include "lib/maps.h"

static __always_inline __u64 *counter_of(enum reason reason)
{
	__u32 zero = 0;
	struct counters *all = bpf_map_lookup_elem(&counters, &zero);

	if (!all)
		return NULL;
	/* 6.1's verifier takes no arithmetic on what may be NULL: keep the compiler from doing it first */
	barrier_var(all);
	return (__u64 *)all + reason;
}

/* For XDP and TC: nothing else on this CPU counts the same reason meanwhile. */
static __always_inline void count(enum reason reason)
{
	__u64 *counter = counter_of(reason);

	if (counter)
		(*counter)++;
}

/* For programs that can be preempted, and for reasons that several programs have. */
static __always_inline void count_shared(enum reason reason)
{
	__u64 *counter = counter_of(reason);

	if (counter)
		__sync_fetch_and_add(counter, 1);
}

static __always_inline int verdict(int action, enum reason reason)
{
	count(reason);
	return action;
}

#endif
