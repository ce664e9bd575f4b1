/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The voters' machine under random faults of every kind, by seed, for some
 * seconds; build/sim/lease_sim does the same for as long as one likes. And its
 * table of transitions against the one that the model is held to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "chance.h"

#define EPISODES 3000

static struct sim sim;
static struct chance seen[4]; /* by enum lease_silence */

static void chance(enum lease_silence silence)
{
	struct chance *c = &seen[silence];

	for (uint64_t seed = 1; seed <= EPISODES; seed++) {
		const char *what = chance_episode(c, &sim, silence, seed, NULL);

		if (what)
			fail_msg("episode %llu: %s; history: lease_sim --replay %llu --mode %d", //
			         (unsigned long long)seed, what, (unsigned long long)seed, silence);
	}
	/* the faults left room for owning and moving: the run meant something */
	assert_true(c->steps > 1000 * EPISODES);
	assert_true(c->owned > 6 * EPISODES);
	assert_true(c->tenures > 3 * EPISODES);
	assert_int_equal(c->lost_full, 0);
	for (int i = 0; i < FAULT_KINDS; i++)
		assert_true(c->fault[i] > 0 || (i == FAULT_arbiter_lost_or_seen && silence != LEASE_ARBITER));
}

static void never_two_owners_and_always_one_in_the_end_with_a_witness(void **state)
{
	chance(LEASE_WITNESSED);
	assert_int_equal(seen[LEASE_WITNESSED].excused, 0);
}

static void never_two_owners_and_always_one_in_the_end_with_release(void **state)
{
	chance(LEASE_RELEASE);
	assert_int_equal(seen[LEASE_RELEASE].excused, 0);
}

static void two_owners_only_where_both_see_the_arbiter_and_not_each_other(void **state)
{
	chance(LEASE_ARBITER);
	assert_true(seen[LEASE_ARBITER].excused < EPISODES);
}

static void hold_always_heals_to_one_owner(void **state)
{
	chance(LEASE_HOLD);
}

static void the_same_seed_gives_the_same_history(void **state)
{
	struct chance one = {0}, two = {0};

	chance_episode(&one, &sim, LEASE_WITNESSED, 4711, NULL);
	chance_episode(&two, &sim, LEASE_WITNESSED, 4711, NULL);
	assert_memory_equal(&one, &two, sizeof(one));
	assert_true(one.steps > 0);
}

static void it_makes_the_transitions_of_the_list_and_no_others(void **state)
{
	uint8_t listed[LEASE_STATES] = {0}, made[LEASE_STATES] = {0};

#define TRANSITION(from, to) listed[LEASE_##from] |= (uint8_t)(1U << LEASE_##to);
#include "../model/transitions.def"
#undef TRANSITION
	for (int m = 0; m < 4; m++)
		for (int i = 0; i < LEASE_STATES; i++)
			made[i] |= seen[m].moves[i];
	for (int i = 0; i < LEASE_STATES; i++)
		for (int k = 0; k < LEASE_STATES; k++)
			if ((made[i] ^ listed[i]) & 1U << k)
				fail_msg("%s -> %s is %s", lease_state_name(i), lease_state_name(k),
				         made[i] & 1U << k ? "made and not listed" : "listed and never made");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(never_two_owners_and_always_one_in_the_end_with_a_witness),
	        cmocka_unit_test(never_two_owners_and_always_one_in_the_end_with_release),
	        cmocka_unit_test(two_owners_only_where_both_see_the_arbiter_and_not_each_other),
	        cmocka_unit_test(hold_always_heals_to_one_owner),
	        cmocka_unit_test(the_same_seed_gives_the_same_history),
	        cmocka_unit_test(it_makes_the_transitions_of_the_list_and_no_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
