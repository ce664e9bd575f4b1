/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which dialogs are one call while it rings: pairs, ring groups, forks, hunting, and when it is not known. */
#include "pairing_legs.h"

static void a_ringing_pair_is_known_as_soon_as_the_server_calls_out(void **state)
{
	struct leg a = called("a", "1000", "1001"), b = calls("b", "1000", "1001");
	struct dialog *da = step(&a, 0, 0), *db;

	step(&a, 100, 1);
	db = step(&b, 0, 20);
	assert_true(dialog_is_half_open(db));
	assert_pair(da, db, PAIRED_NUMBERS);
	step(&b, 180, 120);
	step(&a, 180, 125);
	assert_pair(da, db, PAIRED_NUMBERS);
}

static void called_number_may_be_translated(void **state)
{
	struct leg a = called("a", "1000", "030123456"), b = calls("b", "1000", "device-7");
	struct dialog *da = step(&a, 0, 0);

	assert_pair(da, step(&b, 0, 20), PAIRED_NUMBERS);
}

static void call_forwarding_keeps_the_caller(void **state)
{
	struct leg a = called("a", "1000", "1001"), b = calls("b", "1000", "+491711234567");
	struct dialog *da = step(&a, 0, 0), *db = step(&b, 0, 20);

	assert_pair(da, db, PAIRED_NUMBERS);
	step(&b, 200, 3000);
	step(&a, 200, 3005);
	assert_pair(da, db, PAIRED_NUMBERS);
}

/* A trunk wants its own number in From; who calls is in P-Asserted-Identity or Remote-Party-ID. */
static void asserted_identity_is_a_caller_number_too(void **state)
{
	struct leg a = called("a", "1000", "9-0301234"), b = calls("b", "trunk", "0301234");
	struct leg other = called("o", "1002", "9-0309999");
	struct dialog *da = step(&a, 0, 0), *db;

	step(&other, 0, 1);
	b.asserted = "1000";
	db = step(&b, 0, 20);
	assert_pair(da, db, PAIRED_NUMBERS);
}

static void call_without_a_ringing_caller_is_alone(void **state)
{
	struct leg a = called("a", "ann", "100"), b = calls("b", "eve", "200");
	struct dialog *da = step(&a, 0, 0);

	assert_alone(step(&b, 0, 20), PAIRED_NOT);
	assert_alone(da, PAIRED_NOT);
}

static void caller_that_came_later_is_not_the_one(void **state)
{
	struct leg a = called("a", "ann", "100"), b = calls("b", "ann", "100");
	struct dialog *db = step(&b, 0, 0);

	assert_alone(step(&a, 0, 20), PAIRED_NOT);
	assert_alone(db, PAIRED_NOT);
}

static void two_ringing_callers_that_fit_are_ambiguous_until_one_answers(void **state)
{
	struct leg a1 = called("a1", "trunk", "100"), a2 = called("a2", "trunk", "100");
	struct leg b1 = calls("b1", "trunk", "100"), b2 = calls("b2", "trunk", "100");
	struct dialog *da1 = step(&a1, 0, 0), *da2 = step(&a2, 0, 0), *db1, *db2;

	db1 = step(&b1, 0, 10);
	assert_alone(db1, PAIRED_AMBIGUOUS);
	assert_alone(da1, PAIRED_AMBIGUOUS);
	assert_alone(da2, PAIRED_AMBIGUOUS);
	db2 = step(&b2, 0, 11);
	assert_alone(db2, PAIRED_AMBIGUOUS);
	/* the order of answers says which is which */
	step(&b2, 200, 1000);
	step(&a2, 200, 1001);
	assert_pair(da2, db2, PAIRED_NUMBERS);
	/* and leaves only one for the other */
	step(&b1, 180, 1100);
	assert_pair(da1, db1, PAIRED_NUMBERS);
}

static void simultaneous_calls_between_the_same_numbers_are_told_apart_by_time(void **state)
{
	struct leg a1 = called("a1", "1000", "1001"), b1 = calls("b1", "1000", "1001");
	struct leg a2 = called("a2", "1000", "1001"), b2 = calls("b2", "1000", "1001");
	struct dialog *da1 = step(&a1, 0, 0), *db1 = step(&b1, 0, 20), *da2, *db2;

	assert_pair(da1, db1, PAIRED_NUMBERS);
	da2 = step(&a2, 0, 500);
	/* a second call of a1's ring group, or a2's first: not known */
	db2 = step(&b2, 0, 520);
	assert_alone(db2, PAIRED_AMBIGUOUS);
	assert_alone(da2, PAIRED_AMBIGUOUS);
	assert_pair(da1, db1, PAIRED_NUMBERS);
	step(&b1, 200, 2000);
	step(&a1, 200, 2004);
	assert_pair(da1, db1, PAIRED_NUMBERS);
	step(&b2, 200, 2500);
	step(&a2, 200, 2504);
	assert_pair(da2, db2, PAIRED_NUMBERS);
	assert_pair(da1, db1, PAIRED_NUMBERS);
}

static void ambiguity_ends_when_nobody_fits_any_more(void **state)
{
	struct leg a1 = called("a1", "trunk", "100"), a2 = called("a2", "trunk", "100");
	struct leg b = calls("b", "trunk", "100");
	struct dialog *da1 = step(&a1, 0, 0), *db;

	step(&a2, 0, 0);
	db = step(&b, 0, 10);
	assert_alone(db, PAIRED_AMBIGUOUS);
	step(&a2, 486, 50);
	step(&b, 180, 60);
	assert_pair(da1, db, PAIRED_NUMBERS);
}

static void caller_of_nobody_is_not_ambiguous_for_ever(void **state)
{
	struct leg a1 = called("a1", "trunk", "100"), a2 = called("a2", "trunk", "100");
	struct leg b = calls("b", "trunk", "100");
	struct dialog *da1 = step(&a1, 0, 0);

	step(&a2, 0, 0);
	step(&b, 0, 10);
	assert_alone(da1, PAIRED_AMBIGUOUS);
	step(&b, 486, 50);
	step(&a1, 200, 60);
	assert_alone(da1, PAIRED_NOT);
}

static void better_rule_revises_a_guess_by_numbers(void **state)
{
	struct leg a1 = called("a1", "ann", "100"), a2 = called("a2", "eve", "700");
	struct leg b = calls("b", "ann", "100");
	struct dialog *da1 = step(&a1, 0, 0), *da2 = step(&a2, 0, 0), *db = step(&b, 0, 10);

	assert_pair(da1, db, PAIRED_NUMBERS);
	b.id_in = "bbbb";
	step(&b, 180, 100);
	a2.id_out = "bbbb";
	step(&a2, 180, 101);
	assert_pair(da2, db, PAIRED_SESSION_ID);
	assert_alone(da1, PAIRED_NOT);
}

static void better_rule_confirms_a_guess_by_numbers(void **state)
{
	struct leg a = called("a", "ann", "100"), b = calls("b", "ann", "100");
	struct dialog *da = step(&a, 0, 0), *db = step(&b, 0, 10);

	b.id_in = "bbbb";
	step(&b, 180, 100);
	a.id_out = "bbbb";
	step(&a, 180, 101);
	assert_pair(da, db, PAIRED_SESSION_ID);
}

static void answered_pair_by_numbers_is_not_revised(void **state)
{
	struct leg a = called("a", "ann", "100"), b = calls("b", "ann", "100");
	struct leg late = called("l", "ann", "100");
	struct dialog *da, *db;

	bridge(&a, &b, 0, &da, &db);
	late.link = "b";
	step(&late, 0, 5000);
	assert_pair(da, db, PAIRED_NUMBERS);
}

/* --- ring groups, forks, hunting ---------------------------------------------------------- */

static void a_ring_group_is_one_call_and_the_one_that_answers_is_the_partner(void **state)
{
	struct leg a = called("a", "ann", "600");
	struct leg b1 = calls("b1", "ann", "101"), b2 = calls("b2", "ann", "102"),
	           b3 = calls("b3", "ann", "103");
	struct dialog *da = step(&a, 0, 0), *d1 = step(&b1, 0, 10), *d2 = step(&b2, 0, 11);
	struct dialog *d3 = step(&b3, 0, 12), *d;
	unsigned int n = 0;

	for (d = dialog_first_of_call(&table, da); d; d = dialog_next_of_call(&table, d))
		n++;
	assert_int_equal(n, 4);
	assert_ptr_equal(dialog_peer(&table, d1), da);
	assert_ptr_equal(dialog_peer(&table, d2), da);
	assert_ptr_equal(dialog_peer(&table, d3), da);
	step(&b1, 180, 100);
	step(&b2, 180, 100);
	step(&b3, 180, 100);
	step(&b2, 200, 2000);
	assert_ptr_equal(dialog_peer(&table, da), d2);
	step(&a, 200, 2001);
	step(&b1, 487, 2010);
	step(&b3, 487, 2010);
	assert_pair(da, d2, PAIRED_NUMBERS);
}

static void a_ring_group_named_by_the_header_is_no_ambiguity(void **state)
{
	struct leg a = called("a", "ann", "600");
	struct leg b1 = calls("b1", "x", "101"), b2 = calls("b2", "x", "102");
	struct dialog *da = step(&a, 0, 0), *d1, *d2;

	b1.link = b2.link = "a";
	d1 = step(&b1, 0, 10);
	d2 = step(&b2, 0, 11);
	assert_int_equal(d1->call, da->call);
	assert_int_equal(d2->call, da->call);
	assert_ptr_equal(dialog_peer(&table, d2), da);
	step(&b1, 180, 100);
	step(&b1, 486, 200);
	step(&b2, 200, 300);
	step(&a, 200, 301);
	assert_pair(da, d2, PAIRED_HEADER);
}

static void forked_leg_belongs_to_the_same_call(void **state)
{
	struct leg a = called("a", "ann", "100"), b = calls("b", "ann", "100");
	struct dialog *da = step(&a, 0, 0), *one, *two;

	step(&b, 0, 10);
	b.tag = "t1";
	one = step(&b, 180, 50);
	b.tag = "t2";
	two = step(&b, 180, 60);
	assert_ptr_not_equal(one, two);
	assert_ptr_equal(dialog_peer(&table, one), da);
	assert_ptr_equal(dialog_peer(&table, two), da);
	step(&b, 200, 1000);
	step(&a, 200, 1001);
	assert_pair(da, two, PAIRED_NUMBERS);
}

static void hunting_tries_one_after_the_other(void **state)
{
	struct leg a = called("a", "ann", "600");
	struct leg b1 = calls("b1", "ann", "101"), b2 = calls("b2", "ann", "102");
	struct dialog *da = step(&a, 0, 0), *d1, *d2;

	step(&b1, 0, 10);
	d1 = step(&b1, 180, 50);
	assert_ptr_equal(dialog_peer(&table, da), d1);
	step(&b1, 486, 5000);
	assert_alone(da, PAIRED_NOT);
	d2 = step(&b2, 0, 5010);
	assert_pair(da, d2, PAIRED_NUMBERS);
}

static void voicemail_that_answers_for_nobody_is_one_leg(void **state)
{
	struct leg a = called("a", "ann", "101"), b = calls("b", "ann", "101");
	struct dialog *da = step(&a, 0, 0);

	step(&b, 0, 10);
	step(&b, 180, 50);
	step(&a, 180, 51);
	step(&a, 200, 20000);
	step(&b, 487, 20001);
	assert_alone(da, PAIRED_NOT);
}

static void called_leg_that_hung_up_stays_its_partners(void **state)
{
	struct leg a = called("a", "ann", "101"), b = calls("b", "ann", "101");
	struct dialog *da, *db;

	bridge(&a, &b, 0, &da, &db);
	dialog_set_state(&table, db, DIALOG_ENDED, mono_ns(3 * NS_PER_S));
	pairing_consider(&table, db);
	assert_ptr_equal(dialog_peer(&table, da), db);
}

/* Who was taken for a called one by the caller's number alone goes when the right one is named. */
static void named_called_one_sends_the_guessed_one_away(void **state)
{
	struct leg a = called("a", "ann", "100"), guess = calls("g", "ann", "555"), b = calls("b", "x", "y");
	struct dialog *da = step(&a, 0, 0), *dg = step(&guess, 0, 10), *db;

	assert_pair(da, dg, PAIRED_NUMBERS);
	b.link = "a";
	db = step(&b, 0, 20);
	assert_pair(da, db, PAIRED_HEADER);
	assert_alone(dg, PAIRED_NOT);
}

static void ringing_caller_takes_in_one_more_by_another_rule(void **state)
{
	struct leg a = called("a", "ann", "600"), b1 = calls("b1", "x", "101"), b2 = calls("b2", "y", "102");
	struct dialog *da = step(&a, 0, 0), *d1, *d2;

	b1.link = "a";
	d1 = step(&b1, 0, 10);
	step(&b2, 0, 11);
	b2.id_in = "bbbb";
	d2 = step(&b2, 180, 100);
	assert_null(dialog_peer(&table, d2));
	a.id_out = "bbbb";
	step(&a, 180, 101);
	assert_ptr_equal(dialog_peer(&table, d2), da);
	assert_ptr_equal(dialog_peer(&table, d1), da);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(a_ringing_pair_is_known_as_soon_as_the_server_calls_out),
	        T(called_number_may_be_translated),
	        T(call_forwarding_keeps_the_caller),
	        T(asserted_identity_is_a_caller_number_too),
	        T(call_without_a_ringing_caller_is_alone),
	        T(caller_that_came_later_is_not_the_one),
	        T(two_ringing_callers_that_fit_are_ambiguous_until_one_answers),
	        T(simultaneous_calls_between_the_same_numbers_are_told_apart_by_time),
	        T(ambiguity_ends_when_nobody_fits_any_more),
	        T(caller_of_nobody_is_not_ambiguous_for_ever),
	        T(better_rule_revises_a_guess_by_numbers),
	        T(better_rule_confirms_a_guess_by_numbers),
	        T(answered_pair_by_numbers_is_not_revised),
	        T(a_ring_group_is_one_call_and_the_one_that_answers_is_the_partner),
	        T(a_ring_group_named_by_the_header_is_no_ambiguity),
	        T(forked_leg_belongs_to_the_same_call),
	        T(hunting_tries_one_after_the_other),
	        T(voicemail_that_answers_for_nobody_is_one_leg),
	        T(called_leg_that_hung_up_stays_its_partners),
	        T(named_called_one_sends_the_guessed_one_away),
	        T(ringing_caller_takes_in_one_more_by_another_rule),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
