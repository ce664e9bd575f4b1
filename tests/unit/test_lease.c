/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The voters' machine by named situations, in the virtual world of
 * tests/sim/world.h. After every step the invariants are looked at: at no
 * instant two owners. Random faults are test_lease_chance.c's matter.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "world.h"

#define STEP_NS (100 * NS_PER_US)

static struct sim sim;

static int owner(void)
{
	return sim_owner(&sim);
}

static bool owns(int node)
{
	return sim_owns(&sim, node);
}

static void step(void)
{
	sim_run(&sim, STEP_NS);
	assert_null(sim.violation);
}

static void run_ms(int64_t ms)
{
	sim_run(&sim, ms * NS_PER_MS);
	assert_null(sim.violation);
}

static bool run_until_owner(int node, int64_t ms)
{
	for (int64_t end = sim.real + ms * NS_PER_MS; sim.real < end;) {
		step();
		if (owner() == node)
			return true;
	}
	return false;
}

static void lab(uint32_t seed, enum lease_silence silence)
{
	sim_init(&sim, seed, silence, 30 * NS_PER_MS, 5 * NS_PER_MS);
}

static void cut(int node, bool on)
{
	for (int i = 1; i <= 3; i++)
		sim.cut[node][i] = sim.cut[i][node] = on;
}

static void both_started_at_once_the_preferred_owns(void **state)
{
	lab(1, LEASE_WITNESSED);
	assert_true(run_until_owner(1, 200));
	run_ms(500);
	assert_int_equal(owner(), 1);
	assert_int_equal(sim.node[2].lease.state, LEASE_heir);
	assert_int_equal(sim.node[3].lease.state, LEASE_witness);
	assert_int_equal(sim.node[1].lease.lapses, 0);
}

static void nobody_claims_before_having_listened(void **state)
{
	lab(2, LEASE_WITNESSED);
	for (int i = 0; i < 290; i++) {
		step();
		assert_int_equal(owner(), 0);
	}
}

static void a_node_cut_off_is_taken_over_within_45_ms(void **state)
{
	int64_t t;

	lab(3, LEASE_WITNESSED);
	run_ms(300);
	cut(1, true);
	t = sim.real;
	assert_true(run_until_owner(2, 45));
	assert_true(sim.real - t > 20 * NS_PER_MS);
	run_ms(500);
	cut(1, false);
	run_ms(300);
	assert_int_equal(owner(), 2);
	assert_int_equal(sim.node[1].lease.state, LEASE_heir);
	assert_int_equal(sim.node[1].word, 0);
}

static void a_dead_server_resigns_at_once(void **state)
{
	struct lease_actions out = {0};
	struct lease_view v;

	lab(4, LEASE_WITNESSED);
	run_ms(300);
	sim.node[1].healthy = false;
	v = sim_view(&sim, 1);
	lease_server_ill(&sim.node[1].lease, &v, &out);
	assert_int_equal(out.a[0].type, LEASE_FENCE);
	sim_carry_out(&sim, 1, &out);
	assert_true(run_until_owner(2, 1));
	run_ms(500);
	assert_int_equal(owner(), 2);
	assert_int_equal(sim.node[2].lease.lapses, 0);
	assert_int_equal(sim.node[1].lease.state, LEASE_heir);
}

static void a_standby_whose_server_is_down_is_not_chosen(void **state)
{
	lab(5, LEASE_WITNESSED);
	run_ms(300);
	sim.node[2].healthy = false;
	run_ms(20);
	sim.node[1].healthy = false;
	run_ms(500);
	assert_int_equal(owner(), 1);
	sim.node[2].healthy = true;
	assert_true(run_until_owner(2, 50));
}

static void any_one_of_three_may_go_without_a_blip(void **state)
{
	for (int gone = 2; gone <= 3; gone++) {
		lab(6, LEASE_WITNESSED);
		run_ms(300);
		sim.node[gone].alive = false;
		for (int i = 0; i < 3000; i++) {
			step();
			assert_int_equal(owner(), 1);
		}
		sim_machine_start(&sim, gone);
		for (int i = 0; i < 3000; i++) {
			step();
			assert_int_equal(owner(), 1);
		}
		assert_int_equal(sim.node[1].lease.lapses, 0);
	}
}

static void an_owner_without_its_agent_goes_on(void **state)
{
	lab(7, LEASE_WITNESSED);
	run_ms(300);
	sim.node[1].agent = false;
	for (int i = 0; i < 5000; i++) {
		step();
		assert_int_equal(owner(), 1);
	}
	sim_agent_start(&sim, 1);
	assert_int_equal(sim.node[1].lease.state, LEASE_owner);
	run_ms(300);
	assert_int_equal(owner(), 1);
	assert_int_equal(sim.node[1].changes, 1);
}

static void a_dead_server_under_a_hung_agent_is_taken_over(void **state)
{
	lab(8, LEASE_WITNESSED);
	run_ms(300);
	sim.node[1].stalled_till = sim.real + 10 * NS_PER_S;
	sim.node[1].healthy = false;
	assert_true(run_until_owner(2, 200));
}

static void a_stalled_heir_takes_nothing_over(void **state)
{
	lab(9, LEASE_WITNESSED);
	run_ms(300);
	for (int i = 0; i < 20; i++) {
		sim.node[2].stalled_till = sim.real + (10 + sim_rnd(&sim, 200)) * NS_PER_MS;
		run_ms(260);
		assert_int_equal(owner(), 1);
	}
	assert_int_equal(sim.node[1].lease.lapses, 0);
}

static void a_stall_of_the_whole_machine_moves_nothing(void **state)
{
	lab(10, LEASE_WITNESSED);
	run_ms(300);
	for (int i = 0; i < 50; i++) {
		int64_t till = sim.real + (5 + sim_rnd(&sim, 60)) * NS_PER_MS;

		for (int n = 1; n <= 3; n++)
			sim.node[n].stalled_till = till;
		run_ms(150);
		assert_int_equal(owner(), 1);
		assert_int_equal(sim.node[1].epoch, 257);
	}
}

static void a_switchover_keeps_the_vip_and_goes_back(void **state)
{
	lab(11, LEASE_WITNESSED);
	run_ms(300);
	for (int i = 0; i < 10; i++) {
		int from = owner();
		struct lease_actions out = {0};
		struct lease_view v = sim_view(&sim, from);

		assert_int_equal(lease_hand_over(&sim.node[from].lease, CAUSE_switchover, &v, &out), 0);
		sim_carry_out(&sim, from, &out);
		assert_true(run_until_owner(3 - from, 1));
		for (int k = 0; k < 1000; k++) {
			step();
			assert_int_equal(owner(), 3 - from);
		}
	}
}

static void a_lost_resign_is_repeated(void **state)
{
	struct lease_actions out = {0};
	struct lease_view v;

	lab(12, LEASE_WITNESSED);
	run_ms(300);
	v = sim_view(&sim, 1);
	assert_int_equal(lease_hand_over(&sim.node[1].lease, CAUSE_switchover, &v, &out), 0);
	sim.cut[1][2] = true;
	sim_carry_out(&sim, 1, &out);
	sim.cut[1][2] = false;
	assert_true(run_until_owner(2, 3));
}

static void a_replayed_resign_changes_nothing(void **state)
{
	struct lease_actions out = {0};
	struct lease_view v;
	struct msg resign;

	lab(13, LEASE_WITNESSED);
	run_ms(300);
	v = sim_view(&sim, 1);
	assert_int_equal(lease_hand_over(&sim.node[1].lease, CAUSE_switchover, &v, &out), 0);
	resign = sim.node[1].lease.resign;
	sim_carry_out(&sim, 1, &out);
	assert_true(run_until_owner(2, 2));
	run_ms(100);
	out = (struct lease_actions){0};
	v = sim_view(&sim, 2);
	assert_int_equal(lease_hand_over(&sim.node[2].lease, CAUSE_switchover, &v, &out), 0);
	sim_carry_out(&sim, 2, &out);
	assert_true(run_until_owner(1, 2));
	for (int i = 0; i < 20; i++) {
		sim_fly(&sim, 1, 2, &resign);
		sim_fly(&sim, 1, 3, &resign);
		run_ms(7);
		assert_int_equal(owner(), 1);
	}
}

static void hold_goes_on_alone_and_heals_to_one(void **state)
{
	lab(14, LEASE_HOLD);
	assert_true(run_until_owner(1, 300));
	run_ms(200);
	sim.node[2].alive = false;
	run_ms(300);
	assert_int_equal(owner(), 1);
	assert_true(sim.node[1].word == LEASE_FOREVER);
	sim_machine_start(&sim, 2);
	run_ms(300);
	assert_int_equal(owner(), 1);
	assert_true(sim.node[1].word != LEASE_FOREVER);
	sim.node[1].alive = false;
	assert_true(run_until_owner(2, 60));
	assert_true(sim.node[2].word == LEASE_FOREVER);
}

static void hold_goes_on_when_only_the_heirs_agent_is_gone(void **state)
{
	lab(18, LEASE_HOLD);
	assert_true(run_until_owner(1, 300));
	run_ms(200);
	sim.node[2].agent = false;
	for (int i = 0; i < 3000; i++) {
		step();
		assert_int_equal(owner(), 1);
	}
	sim_agent_start(&sim, 2);
	run_ms(300);
	assert_int_equal(owner(), 1);
	assert_true(sim.node[1].word != LEASE_FOREVER);
}

static void a_lone_owner_that_sees_the_arbiter_has_no_lapse(void **state)
{
	lab(19, LEASE_ARBITER);
	assert_true(run_until_owner(1, 300));
	run_ms(200);
	sim.node[2].alive = false;
	for (int i = 0; i < 3000; i++) {
		step();
		assert_int_equal(owner(), 1);
	}
	assert_int_equal(sim.node[1].lease.lapses, 0);
}

/* In arbiter mode, long after a start: a owns, b is its heir. */
static void arbiter_lab(uint32_t seed)
{
	lab(seed, LEASE_ARBITER);
	assert_true(run_until_owner(1, 300));
	run_ms(200);
}

static void an_owner_cut_off_silently_and_frozen_lapses_before_its_heir_owns(void **state)
{
	for (int after_us = 0; after_us <= 60000; after_us += 500) {
		arbiter_lab(40);
		cut(1, true);
		sim.node[1].arbiter = false;
		sim_run(&sim, after_us * NS_PER_US);
		sim_stall(&sim, 1, 3 * NS_PER_S);
		assert_true(run_until_owner(2, 200)); /* step() looks: never beside the other one */
		assert_false(owns(1));
		run_ms(500);
		assert_int_equal(owner(), 2);
	}
}

static void no_answer_of_the_arbiter_makes_a_word_endless(void **state)
{
	arbiter_lab(41);
	sim.node[2].alive = false;
	for (int i = 0; i < 3000; i++) {
		step();
		assert_true(sim.node[1].word <=
		            (uint64_t)(sim_clock(&sim, &sim.node[1]).ns + 30 * NS_PER_MS));
	}
	assert_int_equal(owner(), 1);
}

static void a_lone_owner_in_fast_timing_has_no_lapse_either(void **state)
{
	sim_init(&sim, 42, LEASE_ARBITER, 5 * NS_PER_MS, NS_PER_MS);
	assert_true(run_until_owner(1, 100));
	run_ms(100);
	sim.node[2].alive = false;
	run_ms(1000);
	assert_int_equal(owner(), 1);
	assert_int_equal(sim.node[1].lease.lapses, 0);
}

static void a_lone_owner_by_the_arbiter_stops_with_its_agent_and_goes_on_with_it(void **state)
{
	uint64_t epoch;

	arbiter_lab(43);
	sim.node[2].alive = false;
	run_ms(200);
	epoch = sim.node[1].epoch;
	sim.node[1].agent = false;
	run_ms(31);
	assert_int_equal(owner(), 0);
	sim_agent_start(&sim, 1);
	assert_true(run_until_owner(1, 100));
	assert_true(sim.node[1].epoch > epoch); /* by the front door: somebody might have owned meanwhile */
}

static void an_answer_does_not_renew_what_has_run_out(void **state)
{
	arbiter_lab(44);
	sim.node[2].alive = false;
	run_ms(200);
	sim_stall(&sim, 1, 100 * NS_PER_MS);
	run_ms(101); /* awake again, with an answer that waited */
	for (int i = 0; i < 100; i++) {
		step();
		assert_int_equal(owner(), 0);
	}
	assert_true(run_until_owner(1, 100));
}

static void an_heir_that_promised_nothing_waits_for_the_arbiters_answers_to_run_out(void **state)
{
	/* its agent has just been started: it heard the owner, and was too young to grant anything */
	for (int after_us = 20000; after_us < 35000; after_us += 250) {
		arbiter_lab(45);
		sim.node[2].agent = false;
		run_ms(100);
		sim_agent_start(&sim, 2);
		sim_run(&sim, after_us * NS_PER_US);
		cut(1, true);
		sim.node[1].arbiter = false;
		sim_stall(&sim, 1, NS_PER_S);
		assert_true(run_until_owner(2, 300));
		assert_false(owns(1));
	}
}

static void an_endless_word_of_another_mode_ends_with_the_last_grant(void **state)
{
	static const enum lease_silence modes[] = {LEASE_WITNESSED, LEASE_ARBITER, LEASE_RELEASE};

	for (int i = 0; i < 3; i++) {
		lab(46, modes[i]);
		assert_true(run_until_owner(1, 300));
		run_ms(100);
		cut(1, true);
		sim.node[1].arbiter = false;
		sim.node[1].agent = false;
		sim.node[1].word = LEASE_FOREVER;
		sim_agent_start(&sim, 1);
		run_ms(40);
		assert_false(owns(1));
	}
}

static void release_stops_when_the_heir_does(void **state)
{
	lab(15, LEASE_RELEASE);
	assert_true(run_until_owner(1, 300));
	run_ms(200);
	sim.node[2].alive = false;
	run_ms(100);
	assert_int_equal(owner(), 0);
	sim_machine_start(&sim, 2);
	assert_true(run_until_owner(1, 200));
}

static void arbiter_decides_who_goes_on(void **state)
{
	lab(16, LEASE_ARBITER);
	assert_true(run_until_owner(1, 300));
	run_ms(200);
	/* the owner is cut off from peer and arbiter: it stops, the heir goes on */
	cut(1, true);
	sim.node[1].arbiter = false;
	assert_true(run_until_owner(2, 200));
	run_ms(300);
	assert_false(owns(1));
	cut(1, false);
	sim.node[1].arbiter = true;
	run_ms(300);
	assert_int_equal(owner(), 2);
	assert_int_equal(sim.node[1].lease.state, LEASE_heir);
	/* the heir is cut off from both: the owner goes on, the heir stays silent */
	cut(1, true);
	sim.node[1].arbiter = false;
	run_ms(500);
	assert_int_equal(owner(), 2);
	assert_false(owns(1));
}

static void arbiter_heir_that_hears_the_vip_answered_stays_silent(void **state)
{
	lab(17, LEASE_ARBITER);
	assert_true(run_until_owner(1, 300));
	run_ms(200);
	sim.node[2].claimed = true;
	cut(1, true); /* only between the two */
	run_ms(500);
	assert_true(owns(1));
	assert_false(owns(2));
}

static void switch_over(int from)
{
	assert_int_equal(sim_hand_over(&sim, from), 0);
	assert_true(run_until_owner(SIM_A + SIM_B - from, 2));
}

/* What the machine of `node` does about a message, without carrying it out. */
static struct lease_actions told(int node, const struct msg *msg)
{
	struct lease_actions out = {0};
	struct lease_view v = sim_view(&sim, node);

	lease_receive(&sim.node[node].lease, msg, &v, &out);
	return out;
}

static void who_owns_by_its_word_alone_gives_no_vote_away(void **state)
{
	struct msg request = {.type = WIRE_VOTE_REQ, .sender = 1, .target = 2, .epoch = 0x901};
	struct lease_actions out;

	lab(20, LEASE_WITNESSED);
	run_ms(300);
	sim.node[2].ring_full = true;
	assert_int_equal(sim_hand_over(&sim, 1), 0);
	while (!owns(2))
		assert_true(sim_step(&sim, sim.real + NS_PER_MS));
	/* ingress made it the owner, its agent was not told */
	assert_int_equal(sim.node[2].lease.state, LEASE_heir);
	request.sent_ns = (uint64_t)sim_clock(&sim, &sim.node[1]).ns;
	out = told(2, &request);
	assert_true(out.n > 0);
	for (int i = 0; i < out.n; i++)
		assert_false(out.a[i].type == LEASE_SEND && out.a[i].msg.type == WIRE_VOTE);
	assert_int_equal(out.a[out.n - 1].msg.type, WIRE_REFUSE);
	assert_int_equal(out.a[out.n - 1].msg.detail, REFUSE_OWNER);
}

/* With a way to the witness longer than an echo, refusals of the first question come after the second. */
static void a_late_refusal_of_an_earlier_question_leaves_the_present_one(void **state)
{
	const struct lease *lease = &sim.node[2].lease;
	struct msg refuse = {.type = WIRE_REFUSE, .sender = 3, .target = 2, .detail = REFUSE_EPOCH};
	uint64_t asked;

	lab(20, LEASE_WITNESSED);
	run_ms(300);
	cut(1, true);
	for (int64_t end = sim.real + 100 * NS_PER_MS; lease->state != LEASE_candidate;)
		assert_true(sim_step(&sim, end));
	asked = lease->asked_epoch;
	refuse.target_inc = lease->conf.incarnation;
	refuse.epoch = asked - 0x100;
	told(2, &refuse);
	assert_int_equal(lease->asked_epoch, asked);
	refuse.epoch = asked + 0x100;
	told(2, &refuse);
	assert_int_equal(lease->asked_epoch, 0);
	assert_true(lease->max_epoch >= refuse.epoch);
}

static void a_resign_whose_event_is_lost_is_noticed_by_the_word(void **state)
{
	lab(21, LEASE_WITNESSED);
	run_ms(300);
	sim.node[2].ring_full = true;
	switch_over(1);
	run_ms(10);
	assert_int_equal(sim.node[2].lease.state, LEASE_owner);
	sim_server_dies(&sim, 2);
	assert_true(run_until_owner(1, 2));
}

static void late_news_of_a_resign_makes_no_owner_of_who_laid_down(void **state)
{
	struct lease_actions out = {0};
	struct lease_view v;
	struct msg old;

	lab(22, LEASE_WITNESSED);
	run_ms(300);
	assert_int_equal(sim_hand_over(&sim, 1), 0);
	old = sim.node[1].lease.resign;
	assert_true(run_until_owner(2, 2));
	run_ms(50);
	switch_over(2);
	v = sim_view(&sim, 2);
	lease_resigned_to_us(&sim.node[2].lease, &old, &v, &out);
	assert_int_equal(sim.node[2].lease.state, LEASE_heir);
	assert_int_equal(out.n, 0);
}

static void the_epoch_of_an_accepted_resign_outlasts_an_older_vote(void **state)
{
	struct lease_actions out = {0};
	struct lease_view v;
	struct msg msg;
	bool stored = false;

	lab(23, LEASE_WITNESSED);
	run_ms(300);
	assert_int_equal(sim_hand_over(&sim, 1), 0);
	msg = sim.node[1].lease.resign;
	assert_true(run_until_owner(2, 2));
	/* a vote for an older epoch was counted before the event was read */
	sim.node[2].epoch = sim.node[2].lease.epoch = msg.epoch - 0x100;
	v = sim_view(&sim, 2);
	lease_resigned_to_us(&sim.node[2].lease, &msg, &v, &out);
	for (int i = 0; i < out.n; i++)
		stored |= out.a[i].type == LEASE_OWN && out.a[i].epoch == msg.epoch;
	assert_true(stored);
	sim_carry_out(&sim, 2, &out);
	run_ms(300);
	assert_int_equal(owner(), 2);
	assert_int_equal(sim.node[2].lease.lapses, 0);
}

static void a_lapsed_owner_asks_again_when_its_voter_has_promised_a_higher_epoch(void **state)
{
	uint64_t before;

	lab(24, LEASE_WITNESSED);
	run_ms(300);
	cut(1, true);
	assert_true(run_until_owner(2, 60));
	run_ms(300);
	before = sim.node[2].epoch;
	sim.node[2].alive = false;
	cut(1, false);
	assert_true(run_until_owner(1, 200));
	assert_true(sim.node[1].epoch > before);
	run_ms(300);
	assert_int_equal(owner(), 1);
	assert_int_equal(sim.node[3].lease.promise.node, 1);
}

static void a_resign_of_a_former_incarnation_moves_no_vote(void **state)
{
	struct lease *w = &sim.node[3].lease;
	struct msg resign = {.type = WIRE_RESIGN, .sender = 1, .target = 2, .epoch = 0x902};

	lab(25, LEASE_WITNESSED);
	run_ms(300);
	resign.seq = sim.node[1].epoch;
	resign.sender_inc = sim.node[1].conf.incarnation + 1;
	told(3, &resign);
	assert_int_equal(w->promise.node, 1);
	resign.sender_inc--;
	told(3, &resign);
	assert_int_equal(w->promise.node, 2);
}

static void an_owner_that_hears_a_higher_claim_gives_up_though_it_is_not_heard(void **state)
{
	lab(26, LEASE_ARBITER);
	assert_true(run_until_owner(1, 300));
	run_ms(200);
	sim.cut[1][2] = true;
	assert_true(run_until_owner(2, 200));
	for (int i = 0; i < 10000; i++) {
		step();
		assert_false(owns(1) && owns(2));
	}
	assert_int_equal(owner(), 2);
}

static void an_owner_again_has_nothing_left_to_repeat(void **state)
{
	lab(27, LEASE_WITNESSED);
	run_ms(300);
	switch_over(1);
	while (sim_hand_over(&sim, 2))
		step();
	assert_true(run_until_owner(1, 2));
	run_ms(2);
	assert_true(lease_next(&sim.node[1].lease).ns > sim_clock(&sim, &sim.node[1]).ns);
}

/* Found by the long simulation after 2,243,845,122 steps. */
static void a_turn_exactly_one_echo_late_is_followed_by_none_at_the_same_instant(void **state)
{
	struct lease *lease = &sim.node[1].lease;
	struct lease_actions out = {0};
	struct lease_view v;

	lab(5, LEASE_WITNESSED);
	run_ms(300);
	v = sim_view(&sim, 1);
	lease->next_echo = mono_ns(v.now.ns - lease->conf.echo_ns);
	lease_tick(lease, &v, &out);
	assert_int_equal(lease_next(lease).ns, v.now.ns + lease->conf.echo_ns);
}

static void an_owner_that_forgot_takes_an_epoch_above_what_its_heir_knows(void **state)
{
	uint64_t known;

	lab(28, LEASE_HOLD);
	assert_true(run_until_owner(1, 300));
	run_ms(100);
	for (int i = 0; i < 6; i++) {
		switch_over(1 + i % 2);
		run_ms(100);
	}
	known = sim.node[1].epoch;
	cut(1, true);
	sim.node[2].healthy = false;
	run_ms(100);
	sim_machine_start(&sim, 1);
	assert_true(run_until_owner(1, 300));
	assert_true(sim.node[1].epoch < known);
	cut(1, false);
	run_ms(50);
	sim.node[2].healthy = true;
	run_ms(300);
	assert_int_equal(owner(), 1);
	assert_true(sim.node[1].epoch > known);
	assert_int_equal(sim.node[2].lease.state, LEASE_heir);
	assert_int_not_equal(sim.node[1].word, LEASE_FOREVER);
}

static void an_owner_is_told_of_a_higher_epoch_that_its_heir_has_voted_for(void **state)
{
	lab(30, LEASE_WITNESSED);
	run_ms(300);
	/* a vote that nobody took; the owner restarted meanwhile and the witness made it one again */
	sim.node[2].lease.promise.epoch = sim.node[2].lease.max_epoch = 0x901;
	sim.node[2].lease.promise.until = sim_clock(&sim, &sim.node[2]);
	run_ms(300);
	assert_int_equal(owner(), 1);
	assert_int_equal(sim.node[1].epoch, 0xa01);
	assert_int_equal(sim.node[1].lease.lapses, 0);
	assert_int_equal(sim.node[2].lease.promise.epoch, 0xa01);
	assert_int_equal(sim.node[2].lease.state, LEASE_heir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(both_started_at_once_the_preferred_owns),
	        cmocka_unit_test(nobody_claims_before_having_listened),
	        cmocka_unit_test(a_node_cut_off_is_taken_over_within_45_ms),
	        cmocka_unit_test(a_dead_server_resigns_at_once),
	        cmocka_unit_test(a_standby_whose_server_is_down_is_not_chosen),
	        cmocka_unit_test(any_one_of_three_may_go_without_a_blip),
	        cmocka_unit_test(an_owner_without_its_agent_goes_on),
	        cmocka_unit_test(a_dead_server_under_a_hung_agent_is_taken_over),
	        cmocka_unit_test(a_stalled_heir_takes_nothing_over),
	        cmocka_unit_test(a_stall_of_the_whole_machine_moves_nothing),
	        cmocka_unit_test(a_switchover_keeps_the_vip_and_goes_back),
	        cmocka_unit_test(a_lost_resign_is_repeated),
	        cmocka_unit_test(a_replayed_resign_changes_nothing),
	        cmocka_unit_test(hold_goes_on_alone_and_heals_to_one),
	        cmocka_unit_test(hold_goes_on_when_only_the_heirs_agent_is_gone),
	        cmocka_unit_test(a_lone_owner_that_sees_the_arbiter_has_no_lapse),
	        cmocka_unit_test(an_owner_cut_off_silently_and_frozen_lapses_before_its_heir_owns),
	        cmocka_unit_test(no_answer_of_the_arbiter_makes_a_word_endless),
	        cmocka_unit_test(a_lone_owner_in_fast_timing_has_no_lapse_either),
	        cmocka_unit_test(a_lone_owner_by_the_arbiter_stops_with_its_agent_and_goes_on_with_it),
	        cmocka_unit_test(an_answer_does_not_renew_what_has_run_out),
	        cmocka_unit_test(an_heir_that_promised_nothing_waits_for_the_arbiters_answers_to_run_out),
	        cmocka_unit_test(an_endless_word_of_another_mode_ends_with_the_last_grant),
	        cmocka_unit_test(release_stops_when_the_heir_does),
	        cmocka_unit_test(arbiter_decides_who_goes_on),
	        cmocka_unit_test(arbiter_heir_that_hears_the_vip_answered_stays_silent),
	        cmocka_unit_test(who_owns_by_its_word_alone_gives_no_vote_away),
	        cmocka_unit_test(a_late_refusal_of_an_earlier_question_leaves_the_present_one),
	        cmocka_unit_test(a_resign_whose_event_is_lost_is_noticed_by_the_word),
	        cmocka_unit_test(late_news_of_a_resign_makes_no_owner_of_who_laid_down),
	        cmocka_unit_test(the_epoch_of_an_accepted_resign_outlasts_an_older_vote),
	        cmocka_unit_test(a_lapsed_owner_asks_again_when_its_voter_has_promised_a_higher_epoch),
	        cmocka_unit_test(a_resign_of_a_former_incarnation_moves_no_vote),
	        cmocka_unit_test(an_owner_that_hears_a_higher_claim_gives_up_though_it_is_not_heard),
	        cmocka_unit_test(an_owner_again_has_nothing_left_to_repeat),
	        cmocka_unit_test(a_turn_exactly_one_echo_late_is_followed_by_none_at_the_same_instant),
	        cmocka_unit_test(an_owner_that_forgot_takes_an_epoch_above_what_its_heir_knows),
	        cmocka_unit_test(an_owner_is_told_of_a_higher_epoch_that_its_heir_has_voted_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
