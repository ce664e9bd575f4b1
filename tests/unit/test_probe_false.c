/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is not a server's hang: load, pauses, a lost datagram, and the observer's own stalls. */
#include "probe_sim.h"

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
	        cmocka_unit_test(a_loaded_freeswitch_is_never_judged_hung),
	        cmocka_unit_test(a_freeswitch_that_pauses_is_never_judged_hung),
	        cmocka_unit_test(an_own_stall_is_not_the_servers_hang),
	        cmocka_unit_test(own_stalls_in_a_row_are_not_the_servers_hang),
	        cmocka_unit_test(unknown_after_an_own_stall_until_the_next_answer),
	        cmocka_unit_test(a_hang_during_an_own_stall_is_seen_after_it),
	        cmocka_unit_test(a_short_own_stall_within_a_hang_is_taken_off),
	        cmocka_unit_test(one_lost_options_is_not_a_hang),
	        cmocka_unit_test(a_pause_after_few_answers_is_not_a_hang),
	        cmocka_unit_test(one_lost_options_is_not_a_hang_when_probing_slowly),
	        cmocka_unit_test(an_answer_that_waits_in_the_socket_is_read_before_judging),
	        cmocka_unit_test(a_server_that_waits_for_the_cpu_is_not_hung_for_the_ceiling),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
