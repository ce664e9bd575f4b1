/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The judgement of a SIP server's health against simulated servers and a simulated, sometimes late, loop. */
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

static double uniform(struct sim *s)
{
	s->seed = s->seed * 1664525u + 1013904223u;
	return (s->seed >> 8) / (double)(1 << 24);
}

static int64_t fast(struct sim *s)
{
	return (int64_t)((0.3 + 2.0 * uniform(s)) * MS);
}

/* p50 2.5, p90 9, p99 23, max 46 ms, straight lines between. */
static int64_t freeswitch_under_load(struct sim *s)
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
static int64_t freeswitch_that_pauses(struct sim *s)
{
	if (s->now.ns >= s->busy_until + 60 * MS && uniform(s) < 0.12) {
		double u = uniform(s);

		s->busy_until = s->now.ns + (int64_t)((u < 0.96 ? 5 + u * 14 : 22 + (u - 0.96) * 500) * MS);
	}
	int64_t wait = s->busy_until > s->now.ns ? s->busy_until - s->now.ns : 0;

	return wait + (int64_t)((0.5 + 3.5 * uniform(s)) * MS);
}

static void sim_init(struct sim *s, int64_t (*latency)(struct sim *))
{
	struct probe_conf conf = {10 * MS, FLOOR, 1000 * MS};

	memset(s, 0, sizeof(*s));
	s->seed = 20090401;
	s->now = mono_ns(1000 * NS_PER_S);
	s->latency = latency;
	s->wake = s->now;
	probe_init(&s->probe, &conf, s->now);
}

static void look(struct sim *s)
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

static void deliver(struct sim *s)
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

static void send_one(struct sim *s)
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

static int64_t next_answer(const struct sim *s)
{
	int64_t at = INT64_MAX;

	for (int i = 0; i < s->n_flight; i++)
		if (s->flight[i].answer_at < at)
			at = s->flight[i].answer_at;
	return at;
}

/* Runs the loop until `until`, as epoll would: the sooner of a timer and a datagram. */
static void run(struct sim *s, int64_t ns)
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
static void hang(struct sim *s)
{
	s->hung = true;
	for (int i = 0; i < s->n_flight; i++)
		s->flight[i].answer_at = INT64_MAX;
}

static void let_go(struct sim *s)
{
	s->hung = false;
	for (int i = 0; i < s->n_flight; i++)
		s->flight[i].answer_at = s->now.ns + (i + 1) * MS / 10;
}

static void unknown_until_three_answers(void **state)
{
	struct sim s;

	sim_init(&s, fast);
	assert_int_equal(s.probe.verdict, HEALTH_UNKNOWN);
	run(&s, 15 * MS);
	assert_int_equal(s.probe.answers, 2);
	assert_int_equal(s.probe.verdict, HEALTH_UNKNOWN);
	run(&s, 10 * MS);
	assert_int_equal(s.probe.verdict, HEALTH_OK);
}

static void a_server_that_never_answers_stays_unknown(void **state)
{
	struct sim s;

	sim_init(&s, fast);
	s.hung = true;
	run(&s, 10 * NS_PER_S);
	assert_int_equal(s.probe.verdict, HEALTH_UNKNOWN);
	assert_int_equal(s.probe.n_out, PROBE_OUTSTANDING);
	assert_true(s.probe.forgotten > 0);
}

static void limit_is_the_ceiling_until_a_hundred_answers_and_then_follows(void **state)
{
	struct sim s;

	sim_init(&s, fast);
	run(&s, 900 * MS);
	assert_int_equal(s.probe.limit_ns, 1000 * MS);
	run(&s, 10 * NS_PER_S);
	assert_int_equal(s.probe.limit_ns, FLOOR);
	assert_in_range(s.probe.p50_us, 1100, 1600);
	assert_in_range(s.probe.p99_us, 2200, 2600);
	assert_in_range(s.probe.max_us, s.probe.p99_us - 1, 2300);
}

static void a_hang_is_seen_a_floor_after_the_first_unanswered_options(void **state)
{
	struct sim s;
	int64_t hung_ns;

	sim_init(&s, fast);
	run(&s, 20 * NS_PER_S);
	hang(&s);
	hung_ns = s.now.ns;
	run(&s, 100 * MS);
	assert_int_equal(s.probe.verdict, HEALTH_HUNG);
	assert_true(s.hung_at.ns - hung_ns > FLOOR - 3 * MS);
	assert_true(s.hung_at.ns - hung_ns < FLOOR + 10 * MS + 2 * MS);
}

static void a_hung_server_is_ok_again_after_three_answers(void **state)
{
	struct sim s;

	sim_init(&s, fast);
	run(&s, 20 * NS_PER_S);
	hang(&s);
	run(&s, 5 * NS_PER_S);
	assert_int_equal(s.probe.verdict, HEALTH_HUNG);
	/* probed sparingly: 5 s of 10 ms would be 500 */
	assert_true(s.n_flight < 70);
	let_go(&s);
	run(&s, MS / 4);
	assert_int_equal(s.probe.verdict, HEALTH_HUNG);
	run(&s, MS / 10);
	assert_int_equal(s.probe.verdict, HEALTH_OK);
	run(&s, NS_PER_S);
	assert_int_equal(s.probe.verdict, HEALTH_OK);
	assert_int_equal(s.hung_verdicts, 1);
	/* what was judged a hang did not teach that such latency is usual */
	assert_int_equal(s.probe.limit_ns, FLOOR);
	assert_true(s.probe.max_us < 2400);
}

static void no_false_verdict_in_ten_minutes(int64_t (*latency)(struct sim *), bool in_order, uint32_t seed)
{
	struct sim s;

	sim_init(&s, latency);
	s.seed = seed;
	s.in_order = in_order;
	run(&s, 600 * NS_PER_S);
	assert_in_range(s.probe.answers, 59000, 60001);
	assert_in_range(s.probe.max_us, 40000, 52000);
	assert_in_range(s.probe.p99_us, 19000, 32000);
	assert_int_equal(s.hung_verdicts, 0);
	assert_int_equal(s.unknown_after_ok, 0);
	assert_int_equal(s.probe.verdict, HEALTH_OK);
	/* and it is still watched */
	hang(&s);
	run(&s, 300 * MS);
	assert_int_equal(s.probe.verdict, HEALTH_HUNG);
}

static void a_loaded_freeswitch_is_never_judged_hung(void **state)
{
	for (uint32_t seed = 1; seed <= 10; seed++)
		no_false_verdict_in_ten_minutes(freeswitch_under_load, false, seed * 7919);
}

static void a_freeswitch_that_pauses_is_never_judged_hung(void **state)
{
	for (uint32_t seed = 1; seed <= 10; seed++)
		no_false_verdict_in_ten_minutes(freeswitch_that_pauses, true, seed * 104729);
}

static void an_own_stall_is_not_the_servers_hang(void **state)
{
	struct sim s;

	sim_init(&s, fast);
	run(&s, 10 * NS_PER_S);
	for (int64_t ms = 30; ms <= 300; ms += 3) {
		s.asleep_until = s.now.ns + ms * MS;
		run(&s, 500 * MS);
		assert_int_equal(s.probe.verdict, HEALTH_OK);
	}
	assert_int_equal(s.hung_verdicts, 0);
	assert_true(s.probe.stalls > 80);
	/* the stalls are not the server's latency either */
	assert_int_equal(s.probe.limit_ns, FLOOR);
}

static void own_stalls_in_a_row_are_not_the_servers_hang(void **state)
{
	struct sim s;

	sim_init(&s, fast);
	run(&s, 10 * NS_PER_S);
	for (int i = 0; i < 2000; i++) {
		s.asleep_until = s.now.ns + (int64_t)(uniform(&s) * 60 * MS);
		run(&s, 5 * MS);
	}
	assert_int_equal(s.hung_verdicts, 0);
}

static void unknown_after_an_own_stall_until_the_next_answer(void **state)
{
	struct sim s;

	sim_init(&s, fast);
	run(&s, 10 * NS_PER_S);
	hang(&s);
	s.asleep_until = s.now.ns + 200 * MS;
	run(&s, 201 * MS);
	assert_int_equal(s.probe.verdict, HEALTH_UNKNOWN);
	let_go(&s);
	run(&s, 15 * MS);
	assert_int_equal(s.probe.verdict, HEALTH_OK);
}

static void a_hang_during_an_own_stall_is_seen_after_it(void **state)
{
	struct sim s;

	sim_init(&s, fast);
	run(&s, 10 * NS_PER_S);
	hang(&s);
	s.asleep_until = s.now.ns + 200 * MS;
	run(&s, 199 * MS);
	assert_int_equal(s.hung_verdicts, 0);
	run(&s, FLOOR + 20 * MS);
	assert_int_equal(s.probe.verdict, HEALTH_HUNG);
}

static void a_short_own_stall_within_a_hang_is_taken_off(void **state)
{
	struct sim s;
	int64_t hung_ns;

	sim_init(&s, fast);
	run(&s, 10 * NS_PER_S);
	hang(&s);
	hung_ns = s.now.ns;
	run(&s, 10 * MS);
	s.asleep_until = s.now.ns + 25 * MS;
	run(&s, 100 * MS);
	assert_int_equal(s.hung_verdicts, 1);
	assert_true(s.hung_at.ns - hung_ns > FLOOR + 15 * MS);
}

static void any_sip_from_the_server_is_a_sign_of_life(void **state)
{
	struct sim s;

	sim_init(&s, fast);
	run(&s, 10 * NS_PER_S);
	hang(&s);
	for (int i = 0; i < 50; i++) {
		run(&s, 20 * MS);
		probe_life(&s.probe, s.now, s.now);
	}
	assert_int_equal(s.probe.verdict, HEALTH_OK);
	assert_int_equal(s.probe.life_at.ns, s.now.ns);
	assert_true(s.probe.ok_at.ns < s.now.ns - 900 * MS);
	run(&s, FLOOR + 12 * MS);
	assert_int_equal(s.probe.verdict, HEALTH_HUNG);
}

static void an_old_sign_of_life_counts_from_when_it_was(void **state)
{
	struct sim s;

	sim_init(&s, fast);
	run(&s, 10 * NS_PER_S);
	hang(&s);
	run(&s, 25 * MS);
	/* read now, but sent 20 ms ago */
	probe_life(&s.probe, mono_add(s.now, -20 * MS), s.now);
	run(&s, 20 * MS);
	assert_int_equal(s.probe.verdict, HEALTH_HUNG);
}

static void one_lost_options_is_not_a_hang(void **state)
{
	struct sim s;

	sim_init(&s, fast);
	run(&s, 10 * NS_PER_S);
	for (int i = 0; i < 20; i++) {
		uint64_t sent = s.probe.probes;

		while (s.probe.probes == sent)
			run(&s, MS / 10);
		s.n_flight = 0; /* it never arrives */
		run(&s, 200 * MS);
	}
	assert_int_equal(s.hung_verdicts, 0);
	assert_int_equal(s.probe.forgotten, 20);
	assert_in_range(s.probe.n_out, 0, 2);
}

static int64_t five_ms(struct sim *s)
{
	return (int64_t)((5 + 3 * uniform(s)) * MS);
}

static void a_pause_after_few_answers_is_not_a_hang(void **state)
{
	struct sim s;

	sim_init(&s, five_ms);
	s.in_order = true;
	run(&s, 1500 * MS);
	/* 150 quick answers promise little */
	assert_true(s.probe.limit_ns < 200 * MS);
	s.last_answer_at = s.now.ns + 60 * MS;
	run(&s, 100 * MS);
	assert_int_equal(s.hung_verdicts, 0);
	assert_in_range(s.probe.max_us, 50000, 62000);
}

static void one_lost_options_is_not_a_hang_when_probing_slowly(void **state)
{
	struct sim s;

	sim_init(&s, fast);
	s.probe.conf.interval_ns = 100 * MS;
	run(&s, 60 * NS_PER_S);
	assert_int_equal(s.probe.limit_ns, FLOOR);
	for (int i = 0; i < 20; i++) {
		uint64_t sent = s.probe.probes;

		while (s.probe.probes == sent)
			run(&s, MS / 10);
		s.n_flight = 0;
		run(&s, NS_PER_S);
	}
	assert_int_equal(s.hung_verdicts, 0);
	hang(&s);
	run(&s, 250 * MS);
	assert_int_equal(s.probe.verdict, HEALTH_HUNG);
}

static void an_answer_that_waits_in_the_socket_is_read_before_judging(void **state)
{
	struct probe_turn turn;
	struct sim s;

	sim_init(&s, fast);
	run(&s, 10 * NS_PER_S);
	hang(&s);
	run(&s, FLOOR - MS);
	while (!probe_suspects(&s.probe)) {
		assert_int_equal(s.probe.verdict, HEALTH_OK);
		s.now = s.wake;
		turn = probe_tick(&s.probe, s.now);
		s.wake = turn.wake;
		if (turn.send)
			send_one(&s);
	}
	/* the loop's next turn finds it, before the tick that would judge */
	assert_int_equal(s.probe.verdict, HEALTH_OK);
	probe_answered(&s.probe, s.probe.out[0].seq, mono_add(s.now, MS / 10));
	s.now = s.wake;
	probe_tick(&s.probe, s.now);
	assert_int_equal(s.probe.verdict, HEALTH_OK);
	assert_false(probe_suspects(&s.probe));
}

static void refused_at_once_and_ok_after_three_answers(void **state)
{
	struct sim s;

	sim_init(&s, fast);
	run(&s, 10 * NS_PER_S);
	s.dead = true;
	s.n_flight = 0;
	probe_hurry(&s.probe, s.now);
	s.wake = s.now;
	run(&s, 1);
	assert_int_equal(s.probe.verdict, HEALTH_REFUSED);
	assert_int_equal(s.probe.n_out, 0);
	run(&s, 2 * NS_PER_S);
	assert_int_equal(s.probe.verdict, HEALTH_REFUSED);
	assert_int_equal(s.hung_verdicts, 0);
	s.dead = false;
	run(&s, 17 * MS);
	assert_int_equal(s.probe.verdict, HEALTH_REFUSED);
	run(&s, 20 * MS);
	assert_int_equal(s.probe.verdict, HEALTH_OK);
}

static void refused_then_silent_is_unknown_not_hung(void **state)
{
	struct sim s;

	sim_init(&s, fast);
	run(&s, 10 * NS_PER_S);
	s.dead = true;
	run(&s, 50 * MS);
	s.dead = false;
	s.hung = true;
	run(&s, 900 * MS);
	assert_int_equal(s.probe.verdict, HEALTH_REFUSED);
	run(&s, 300 * MS);
	assert_int_equal(s.probe.verdict, HEALTH_UNKNOWN);
	assert_int_equal(s.hung_verdicts, 0);
}

static int64_t slow(struct sim *s)
{
	return (int64_t)((80 + 40 * uniform(s)) * MS);
}

static void a_server_that_becomes_slow_raises_the_limit(void **state)
{
	struct sim s;
	int verdicts;

	sim_init(&s, fast);
	run(&s, 20 * NS_PER_S);
	s.latency = slow;
	run(&s, 5 * NS_PER_S);
	verdicts = s.hung_verdicts;
	assert_true(verdicts <= 1);
	assert_true(s.probe.limit_ns >= 200 * MS);
	run(&s, 120 * NS_PER_S);
	assert_int_equal(s.hung_verdicts, verdicts);
	assert_int_equal(s.probe.verdict, HEALTH_OK);
}

static void a_rare_long_answer_is_forgotten_in_a_minute(void **state)
{
	struct sim s;

	sim_init(&s, fast);
	run(&s, 15 * NS_PER_S);
	s.in_order = true;
	s.last_answer_at = s.now.ns + 28 * MS;
	run(&s, 2 * NS_PER_S);
	assert_in_range(s.probe.limit_ns / MS, 40, 60);
	run(&s, 70 * NS_PER_S);
	assert_int_equal(s.probe.limit_ns, FLOOR);
	assert_int_equal(s.hung_verdicts, 0);
}

static void health_message_tells_what_was_seen(void **state)
{
	struct keeper_health health = {.head = {.type = KEEPER_HEALTH}};
	struct sim s;

	sim_init(&s, fast);
	run(&s, 10 * NS_PER_S + 5 * MS);
	probe_health(&s.probe, &health);
	assert_int_equal(health.head.type, KEEPER_HEALTH);
	assert_int_equal(health.verdict, HEALTH_OK);
	assert_int_equal(health.limit_us, 30000);
	assert_int_equal(health.probes, 1001);
	assert_int_equal(health.answers, 1001);
	assert_int_equal(health.outstanding, 0);
	assert_true(health.ok_ns > (uint64_t)(s.now.ns - 10 * MS));
	assert_int_equal(health.ok_ns, health.life_ns);
}

static void a_server_that_waits_for_the_cpu_is_not_hung_for_the_ceiling(void **state)
{
	struct probe probe;
	struct probe_conf conf = {10 * MS, FLOOR, 200 * MS};
	int64_t t = 1000 * NS_PER_S, hung_at = 0;
	uint64_t seq = 0;

	probe_init(&probe, &conf, mono_ns(t));
	/* two seconds of good answers, then none; suspected from 30 ms on, starved all the while */
	for (int ms = 0; ms < 3000 && !hung_at; ms++, t += MS) {
		struct probe_turn turn;

		if (probe_suspects(&probe))
			probe_starved(&probe, mono_ns(t));
		turn = probe_tick(&probe, mono_ns(t));
		if (turn.send) {
			probe_sent(&probe, ++seq, mono_ns(t));
			if (ms < 2000)
				probe_answered(&probe, seq, mono_ns(t + MS / 2));
		}
		if (probe.verdict == HEALTH_HUNG)
			hung_at = ms;
	}
	assert_int_equal(probe.starved, 1);
	assert_in_range(hung_at, 2000 + 30 + 200, 2000 + 30 + 200 + 30);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(unknown_until_three_answers),
	        cmocka_unit_test(a_server_that_never_answers_stays_unknown),
	        cmocka_unit_test(limit_is_the_ceiling_until_a_hundred_answers_and_then_follows),
	        cmocka_unit_test(a_hang_is_seen_a_floor_after_the_first_unanswered_options),
	        cmocka_unit_test(a_hung_server_is_ok_again_after_three_answers),
	        cmocka_unit_test(a_loaded_freeswitch_is_never_judged_hung),
	        cmocka_unit_test(a_freeswitch_that_pauses_is_never_judged_hung),
	        cmocka_unit_test(an_own_stall_is_not_the_servers_hang),
	        cmocka_unit_test(own_stalls_in_a_row_are_not_the_servers_hang),
	        cmocka_unit_test(unknown_after_an_own_stall_until_the_next_answer),
	        cmocka_unit_test(a_hang_during_an_own_stall_is_seen_after_it),
	        cmocka_unit_test(a_short_own_stall_within_a_hang_is_taken_off),
	        cmocka_unit_test(a_server_that_waits_for_the_cpu_is_not_hung_for_the_ceiling),
	        cmocka_unit_test(any_sip_from_the_server_is_a_sign_of_life),
	        cmocka_unit_test(an_old_sign_of_life_counts_from_when_it_was),
	        cmocka_unit_test(one_lost_options_is_not_a_hang),
	        cmocka_unit_test(a_pause_after_few_answers_is_not_a_hang),
	        cmocka_unit_test(one_lost_options_is_not_a_hang_when_probing_slowly),
	        cmocka_unit_test(an_answer_that_waits_in_the_socket_is_read_before_judging),
	        cmocka_unit_test(refused_at_once_and_ok_after_three_answers),
	        cmocka_unit_test(refused_then_silent_is_unknown_not_hung),
	        cmocka_unit_test(a_server_that_becomes_slow_raises_the_limit),
	        cmocka_unit_test(a_rare_long_answer_is_forgotten_in_a_minute),
	        cmocka_unit_test(health_message_tells_what_was_seen),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
