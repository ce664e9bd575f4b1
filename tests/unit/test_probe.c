/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The judgement of a SIP server's health: when it is ok, hung, refused or not known. */
#include "probe_sim.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(unknown_until_three_answers),
	        cmocka_unit_test(a_server_that_never_answers_stays_unknown),
	        cmocka_unit_test(limit_is_the_ceiling_until_a_hundred_answers_and_then_follows),
	        cmocka_unit_test(a_hang_is_seen_a_floor_after_the_first_unanswered_options),
	        cmocka_unit_test(a_hung_server_is_ok_again_after_three_answers),
	        cmocka_unit_test(any_sip_from_the_server_is_a_sign_of_life),
	        cmocka_unit_test(an_old_sign_of_life_counts_from_when_it_was),
	        cmocka_unit_test(refused_at_once_and_ok_after_three_answers),
	        cmocka_unit_test(refused_then_silent_is_unknown_not_hung),
	        cmocka_unit_test(a_server_that_becomes_slow_raises_the_limit),
	        cmocka_unit_test(a_rare_long_answer_is_forgotten_in_a_minute),
	        cmocka_unit_test(health_message_tells_what_was_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
