/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A SIP server and an observer of its health, whose loop is sometimes late, on one
 * simulated clock; for test_probe*.c only.
 */
#ifndef SIPFLIP_TEST_PROBE_SIM_H
#define SIPFLIP_TEST_PROBE_SIM_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "probe.h"

#define MS     NS_PER_MS
#define FLOOR  (30 * MS)
#define FLIGHT 256

/*
 * A server and an observer on one clock. The server answers each OPTIONS after
 * latency(), first in first out when `in_order`; while `hung` it answers nothing
 * until it is let go. The observer reads answers only when its loop is awake.
 */
struct sim {
	struct probe probe;
	struct mono now;
	uint32_t seed;
	uint64_t seq;
	struct {
		uint64_t seq;
		int64_t answer_at;
	} flight[FLIGHT];
	int n_flight;
	int64_t (*latency)(struct sim *);
	bool in_order;
	bool hung;
	bool dead;
	int64_t last_answer_at;
	int64_t busy_until;
	struct mono wake;
	int64_t asleep_until; /* the observer's own stall */
	int hung_verdicts;
	struct mono hung_at;
	int unknown_after_ok;
	enum health_verdict last;
};

static inline double uniform(struct sim *s)
{
	s->seed = s->seed * 1664525u + 1013904223u;
	return (s->seed >> 8) / (double)(1 << 24);
}

static inline int64_t fast(struct sim *s)
{
	return (int64_t)((0.3 + 2.0 * uniform(s)) * MS);
}

/* p50 2.5, p90 9, p99 23, max 46 ms, straight lines between. */
static inline int64_t freeswitch_under_load(struct sim *s)
{
	double u = uniform(s), ms;

	if (u < 0.5)
		ms = 0.5 + u / 0.5 * 2.0;
	else if (u < 0.9)
		ms = 2.5 + (u - 0.5) / 0.4 * 6.5;
	else if (u < 0.99)
		ms = 9 + (u - 0.9) / 0.09 * 14;
	else
		ms = 23 + (u - 0.99) / 0.01 * 23;
	return (int64_t)(ms * MS);
}

/* The same figures from a server that pauses: whatever comes in a pause waits for its end. */
static inline int64_t freeswitch_that_pauses(struct sim *s)
{
	if (s->now.ns >= s->busy_until + 60 * MS && uniform(s) < 0.12) {
		double u = uniform(s);

		s->busy_until = s->now.ns + (int64_t)((u < 0.96 ? 5 + u * 14 : 22 + (u - 0.96) * 500) * MS);
	}
	int64_t wait = s->busy_until > s->now.ns ? s->busy_until - s->now.ns : 0;

	return wait + (int64_t)((0.5 + 3.5 * uniform(s)) * MS);
}

static inline void sim_init(struct sim *s, int64_t (*latency)(struct sim *))
{
	struct probe_conf conf = {10 * MS, FLOOR, 1000 * MS};

	memset(s, 0, sizeof(*s));
	s->seed = 20090401;
	s->now = mono_ns(1000 * NS_PER_S);
	s->latency = latency;
	s->wake = s->now;
	probe_init(&s->probe, &conf, s->now);
}

static inline void look(struct sim *s)
{
	if (s->probe.verdict == s->last)
		return;
	if (s->probe.verdict == HEALTH_HUNG) {
		s->hung_verdicts++;
		s->hung_at = s->now;
	}
	if (s->probe.verdict == HEALTH_UNKNOWN && s->last == HEALTH_OK)
		s->unknown_after_ok++;
	s->last = s->probe.verdict;
}

static inline void deliver(struct sim *s)
{
	for (int i = 0; i < s->n_flight;) {
		if (s->flight[i].answer_at > s->now.ns) {
			i++;
			continue;
		}
		probe_answered(&s->probe, s->flight[i].seq, s->now);
		look(s);
		s->n_flight--;
		memmove(s->flight + i, s->flight + i + 1, (s->n_flight - i) * sizeof(s->flight[0]));
	}
}

static inline void send_one(struct sim *s)
{
	int64_t at;

	s->seq++;
	probe_sent(&s->probe, s->seq, s->now);
	if (s->dead) {
		probe_refused(&s->probe, s->now);
		return;
	}
	at = s->hung ? INT64_MAX : s->now.ns + s->latency(s);
	if (s->in_order && at < s->last_answer_at)
		at = s->last_answer_at;
	if (at != INT64_MAX)
		s->last_answer_at = at;
	if (s->n_flight == FLIGHT) {
		s->n_flight--;
		memmove(s->flight, s->flight + 1, s->n_flight * sizeof(s->flight[0]));
	}
	s->flight[s->n_flight].seq = s->seq;
	s->flight[s->n_flight++].answer_at = at;
}

static inline int64_t next_answer(const struct sim *s)
{
	int64_t at = INT64_MAX;

	for (int i = 0; i < s->n_flight; i++)
		if (s->flight[i].answer_at < at)
			at = s->flight[i].answer_at;
	return at;
}

/* Runs the loop until `until`, as epoll would: the sooner of a timer and a datagram. */
static inline void run(struct sim *s, int64_t ns)
{
	int64_t until = s->now.ns + ns;

	while (s->now.ns < until) {
		int64_t at = next_answer(s);

		if (at > s->wake.ns)
			at = s->wake.ns;
		if (at < s->asleep_until)
			at = s->asleep_until;
		if (at >= until) {
			s->now.ns = until;
			return;
		}
		if (at > s->now.ns)
			s->now.ns = at;
		deliver(s);
		if (s->now.ns >= s->wake.ns) {
			struct probe_turn turn = probe_tick(&s->probe, s->now);

			look(s);
			s->wake = turn.wake;
			if (turn.send)
				send_one(s);
			look(s);
		}
	}
}

/* What was in the server's hands when it stopped comes out when it goes on. */
static inline void hang(struct sim *s)
{
	s->hung = true;
	for (int i = 0; i < s->n_flight; i++)
		s->flight[i].answer_at = INT64_MAX;
}

static inline void let_go(struct sim *s)
{
	s->hung = false;
	for (int i = 0; i < s->n_flight; i++)
		s->flight[i].answer_at = s->now.ns + (i + 1) * MS / 10;
}

#endif
