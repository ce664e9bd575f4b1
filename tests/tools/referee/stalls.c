// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * How long the machine itself stood still: a thread of the highest real-time
 * priority on each CPU sleeps a millisecond at a time and notes when it woke up
 * late. Nothing that runs on the machine can delay it for long, so what delays it
 * is the machine (its hypervisor). Called by the referee.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "referee.h"

#define CPUS  64
#define KEPT  256
#define EVERY REF_MS

struct witness {
	int cpu;
	_Atomic uint64_t n;
	struct {
		_Atomic int64_t at_ns, late_ns;
	} kept[KEPT];
	_Atomic uint64_t over_1_ms, over_5_ms, over_20_ms;
	_Atomic int64_t longest_ns;
};

static struct witness witnesses[CPUS];
static int n_witnesses;

static void *watch(void *context)
{
	struct witness *w = context;
	struct timespec pause = {0, EVERY};

	prctl(PR_SET_TIMERSLACK, 1000);
	for (int64_t last = ref_now();;) {
		nanosleep(&pause, NULL);
		int64_t now = ref_now(), late = now - last - EVERY;
		last = now;
		if (late < REF_MS)
			continue;
		uint64_t n = atomic_load(&w->n);
		atomic_store(&w->kept[n % KEPT].at_ns, now);
		atomic_store(&w->kept[n % KEPT].late_ns, late);
		atomic_store(&w->n, n + 1);
		atomic_fetch_add(&w->over_1_ms, 1);
		atomic_fetch_add(&w->over_5_ms, late >= 5 * REF_MS);
		atomic_fetch_add(&w->over_20_ms, late >= 20 * REF_MS);
		if (late > atomic_load(&w->longest_ns))
			atomic_store(&w->longest_ns, late);
	}
	return NULL;
}

int ref_stalls_start(void)
{
	struct sched_param top = {.sched_priority = 99};
	cpu_set_t all;

	if (sched_getaffinity(0, sizeof(all), &all))
		return -errno;
	for (int cpu = 0; cpu < CPU_SETSIZE && n_witnesses < CPUS; cpu++) {
		cpu_set_t one;
		pthread_t thread;
		if (!CPU_ISSET(cpu, &all))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		witnesses[n_witnesses].cpu = cpu;
		int err = pthread_create(&thread, NULL, watch, &witnesses[n_witnesses]);
		err = err ? err : pthread_setaffinity_np(thread, sizeof(one), &one);
		err = err ? err : pthread_setschedparam(thread, SCHED_FIFO, &top);
		if (err)
			return -err;
		n_witnesses++;
	}
	return 0;
}

void ref_stalls_sum(struct ref_stalls *ret)
{
	*ret = (struct ref_stalls){0};
	for (int i = 0; i < n_witnesses; i++) {
		ret->over_1_ms += atomic_load(&witnesses[i].over_1_ms);
		ret->over_5_ms += atomic_load(&witnesses[i].over_5_ms);
		ret->over_20_ms += atomic_load(&witnesses[i].over_20_ms);
		if (atomic_load(&witnesses[i].longest_ns) > ret->longest_ns)
			ret->longest_ns = atomic_load(&witnesses[i].longest_ns);
	}
}

int64_t ref_stall_within(int64_t from_ns, int64_t to_ns)
{
	int64_t longest = 0;

	for (int i = 0; i < n_witnesses; i++) {
		uint64_t n = atomic_load(&witnesses[i].n);
		for (uint64_t k = n > KEPT ? n - KEPT : 0; k < n; k++) {
			int64_t at = atomic_load(&witnesses[i].kept[k % KEPT].at_ns);
			int64_t late = atomic_load(&witnesses[i].kept[k % KEPT].late_ns);
			if (at >= from_ns && at - late <= to_ns && late > longest)
				longest = late;
		}
	}
	return longest;
}
