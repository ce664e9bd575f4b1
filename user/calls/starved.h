/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Is a silent server hung, or does it only wait for a CPU? Read from its threads
 * in /proc (state, and the run time in schedstat, see the kernel's
 * Documentation/scheduler/sched-stats.rst): one that was runnable at two looks
 * and hardly ran in between was starved. A stopped or sleeping server is not, and
 * one that spins is not. Called by the prober when silence has reached its limit.
 */
#ifndef SIPFLIP_CALLS_STARVED_H
#define SIPFLIP_CALLS_STARVED_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "mono.h"

#define STARVED_THREADS 128 /* of a server with more, the first are looked at */

struct starved_look {
	struct mono at;
	int n;
	struct {
		pid_t tid;
		bool runnable;
		uint64_t ran_ns;
	} thread[STARVED_THREADS];
};

/* Looks at all threads of the process. 0, or -errno when /proc does not tell (gone, or hidden). */
int starved_take(pid_t tgid, struct mono now, struct starved_look *ret);

/* Some thread wanted to run all the while and had less than a quarter of the time. */
bool starved_between(const struct starved_look *first, const struct starved_look *second);

#endif
