/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which two dialogs are one call once it was answered: by header, Session-ID, SDP, or
 * numbers and the order of events; never by a guess.
 */
#include "pairing_index.h"
#include "pairing_legs.h"

#include <stdio.h>

static void numbers_and_order_of_events_pair(void **state)
{
	struct leg a = {.call_id = "a", .caller = "ann", .callee = "100"};
	struct leg b = {.call_id = "b", .caller = "ann", .callee = "100"};
	struct dialog *da, *db;

	bridge(&a, &b, 0, &da, &db);
	assert_pair(da, db, PAIRED_NUMBERS);
}

/* Who asks only at the answers (a keeper that started in between) finds the same. */
static void answers_alone_pair_too(void **state)
{
	struct leg a = called("a", "ann", "100"), b = calls("b", "ann", "100");
	struct dialog *da, *db;

	a.table = b.table = &table;
	leg_invite(&a, 0);
	leg_invite(&b, 1);
	db = leg_answer(&b, 1000);
	da = leg_answer(&a, 1001);
	assert_ptr_equal(pairing_consider(&table, da), db);
	assert_pair(da, db, PAIRED_NUMBERS);
}

static void one_common_number_is_enough_even_written_otherwise(void **state)
{
	struct leg a = {.call_id = "a", .caller = "+4930123456", .callee = "100"};
	struct leg b = {.call_id = "b", .caller = "030123456", .callee = "device-7"};
	struct dialog *da, *db;

	bridge(&a, &b, 0, &da, &db);
	assert_ptr_equal(dialog_peer(&table, da), db);
}

static void other_numbers_do_not_pair(void **state)
{
	struct leg a = {.call_id = "a", .caller = "ann", .callee = "100"};
	struct leg b = {.call_id = "b", .caller = "eve", .callee = "200"};
	struct dialog *da, *db;

	assert_null(bridge(&a, &b, 0, &da, &db));
	assert_int_equal(da->paired, PAIRED_NOT);
	assert_null(dialog_peer(&table, da));
}

/* --- answered ------------------------------------------------------------------------------- */

static void server_that_answers_first_and_then_calls_out_is_paired_by_both_numbers(void **state)
{
	struct leg a = called("a", "ann", "100"), b = calls("b", "ann", "100");
	struct dialog *da, *db;

	step(&a, 0, 0);
	da = step(&a, 200, 5);
	db = step(&b, 0, 500);
	assert_pair(da, db, PAIRED_NUMBERS);
	step(&b, 200, 1000);
	assert_pair(da, db, PAIRED_NUMBERS);
}

static void one_number_is_not_enough_after_the_server_answered(void **state)
{
	struct leg a = called("a", "ann", "voicemail"), b = calls("b", "ann", "100");
	struct dialog *da;

	step(&a, 0, 0);
	da = step(&a, 200, 5);
	assert_alone(step(&b, 0, 500), PAIRED_NOT);
	assert_alone(da, PAIRED_NOT);
}

static void answer_long_after_is_another_call(void **state)
{
	struct leg a = called("a", "ann", "100"), b = calls("b", "ann", "100");

	a.table = b.table = &table;
	leg_invite(&a, 0);
	leg_invite(&b, 1);
	leg_answer(&b, 1000);
	assert_null(pairing_consider(&table, leg_answer(&a, 1000 + PAIRING_ANSWER_NS / NS_PER_MS + 1)));
}

static void two_answers_that_fit_equally_are_ambiguous(void **state)
{
	struct leg a1 = called("a1", "trunk", "100"), a2 = called("a2", "trunk", "100");
	struct leg b1 = calls("b1", "trunk", "100"), b2 = calls("b2", "trunk", "100");
	struct dialog *d1, *d2;

	step(&a1, 0, 0);
	step(&a2, 0, 0);
	step(&b1, 0, 1);
	step(&b2, 0, 1);
	step(&b1, 200, 1000);
	step(&b2, 200, 1000);
	d1 = step(&a1, 200, 1001);
	d2 = step(&a2, 200, 1001);
	assert_alone(d1, PAIRED_AMBIGUOUS);
	assert_alone(d2, PAIRED_AMBIGUOUS);
}

static void better_fit_wins_over_a_half_one(void **state)
{
	struct leg a = called("a", "ann", "100"), other = called("o", "eve", "100");
	struct leg b = calls("b", "ann", "100");
	struct dialog *da = step(&a, 0, 0);

	step(&other, 0, 0);
	assert_pair(da, step(&b, 0, 1), PAIRED_NUMBERS);
}

static void calls_after_one_another_do_not_disturb(void **state)
{
	struct leg a = {.caller = "ann", .callee = "100"}, b = {.caller = "ann", .callee = "100"};
	char id_a[] = "a0", id_b[] = "b0";
	struct dialog *da, *db;
	int i;

	a.call_id = id_a;
	b.call_id = id_b;
	for (i = 0; i < 9; i++) {
		id_a[1] = id_b[1] = (char)('0' + i);
		bridge(&a, &b, i * 2000, &da, &db);
		assert_pair(da, db, PAIRED_NUMBERS);
	}
}

/* Legs that went from the table without a word are no partners, and their places serve others. */
static void partner_that_is_gone_from_the_table_leaves_one_leg(void **state)
{
	struct leg a = called("a", "ann", "100"), b = calls("b", "ann", "100"), c = calls("c", "ann", "100");
	struct dialog_key key;
	struct dialog *da = step(&a, 0, 0), *db = step(&b, 0, 10), *dc;

	dialog_key_of(db, &key);
	assert_int_equal(dialog_table_remove(&table, &key), 0);
	step(&a, 180, 20);
	assert_alone(da, PAIRED_NOT);
	dc = step(&c, 0, 30);
	assert_pair(da, dc, PAIRED_NUMBERS);
}

/* --- header, Session-ID, SDP ------------------------------------------------------------------- */

static void header_names_the_other_leg_at_any_time(void **state)
{
	struct leg a = called("a", "ann", "ivr"), b = calls("b", "x", "y");
	struct dialog *da;

	step(&a, 0, 0);
	da = step(&a, 200, 5);
	b.link = "a";
	assert_pair(da, step(&b, 0, 60000), PAIRED_HEADER);
}

static void session_id_that_passes_through_pairs(void **state)
{
	struct leg a = {.call_id = "a", .caller = "1", .callee = "2", .id_in = "aaaa", .id_out = "bbbb"};
	struct leg b = {.call_id = "b", .caller = "3", .callee = "4", .id_in = "bbbb", .id_out = "aaaa"};
	struct dialog *da, *db;

	bridge(&a, &b, 0, &da, &db);
	assert_ptr_equal(dialog_peer(&table, da), db);
	assert_int_equal(da->paired, PAIRED_SESSION_ID);
}

static void numbers_do_not_choose_between_two_that_a_better_rule_names(void **state)
{
	struct leg a1 = called("a1", "ann", "100"), a2 = called("a2", "eve", "200");
	struct leg b = calls("b", "ann", "100");

	a1.id_in = a2.id_in = "aaaa";
	step(&a1, 0, 0);
	step(&a2, 0, 0);
	b.id_out = "aaaa";
	assert_alone(step(&b, 0, 10), PAIRED_AMBIGUOUS);
}

static void nil_session_id_says_nothing(void **state)
{
	struct leg a = {.call_id = "a", .caller = "1", .callee = "2", .id_in = "0000", .id_out = "0000"};
	struct leg b = {.call_id = "b", .caller = "3", .callee = "4", .id_in = "0000", .id_out = "0000"};
	struct dialog *da, *db;

	assert_null(bridge(&a, &b, 0, &da, &db));
}

static void origin_that_passes_through_pairs(void **state)
{
	struct leg a = {.call_id = "a",
	                .caller = "1",
	                .callee = "2",
	                .sdp_in = "v=0\r\no=u 424242 1 IN IP4 10.0.0.1\r\n"};
	struct leg b = {.call_id = "b",
	                .caller = "3",
	                .callee = "4",
	                .sdp_out = "v=0\r\no=u 424242 1 IN IP4 9.9.9.9\r\n"};
	struct dialog *da, *db;

	bridge(&a, &b, 0, &da, &db);
	assert_ptr_equal(dialog_peer(&table, da), db);
	assert_int_equal(da->paired, PAIRED_SDP);
}

static void ended_leg_is_no_partner(void **state)
{
	struct leg a = called("a", "ann", "100"), b = calls("b", "ann", "100");

	a.table = b.table = &table;
	leg_invite(&a, 0);
	leg_invite(&b, 1);
	dialog_set_state(&table, leg_answer(&b, 1000), DIALOG_ENDED, mono_ns(NS_PER_S + 1000 * NS_PER_MS));
	assert_null(pairing_consider(&table, leg_answer(&a, 1001)));
}

/* The server calls somebody else for a phone whose partner hung up: by its link, and by both numbers. */
static void partner_of_one_that_hung_up_is_found_again_without_a_message_of_its_own(void **state)
{
	static const char *const links[] = {"a0", NULL};
	char id[3][8];

	for (int i = 0; i < 2; i++) {
		struct leg a = called(id[0], "ann", "100"), b = calls(id[1], "ann", "100");
		struct leg c = calls(id[2], links[i] ? "x" : "ann", links[i] ? "y" : "100");
		struct dialog *da, *db, *dc;
		int64_t at_ms = 100000 * i;

		snprintf(id[0], sizeof(id[0]), "a%d", i);
		snprintf(id[1], sizeof(id[1]), "b%d", i);
		snprintf(id[2], sizeof(id[2]), "c%d", i);
		bridge(&a, &b, at_ms, &da, &db);
		assert_pair(da, db, PAIRED_NUMBERS);
		dialog_set_state(&table, db, DIALOG_ENDED, mono_ns(NS_PER_S + (at_ms + 3000) * NS_PER_MS));
		assert_null(pairing_consider(&table, db));
		c.link = links[i];
		dc = step(&c, 0, at_ms + 4000);
		assert_pair(da, dc, links[i] ? PAIRED_HEADER : PAIRED_NUMBERS);
		step(&c, 200, at_ms + 5000);
		assert_pair(da, dc, links[i] ? PAIRED_HEADER : PAIRED_NUMBERS);
	}
}

/* What a walk meets of each of many calls: nothing once they are settled. */
static void settled_calls_are_not_looked_at(void **state)
{
	struct leg late = calls("late", "ann", "100");
	struct pairing_walk walk;
	struct dialog *dl;

	for (int i = 0; i < 2 * PAIRING_LOOK; i++) {
		char id[2][16];
		struct leg a = called(id[0], "ann", "100"), b = calls(id[1], "ann", "100");
		struct dialog *da, *db;

		snprintf(id[0], sizeof(id[0]), "s-a%d", i);
		snprintf(id[1], sizeof(id[1]), "s-b%d", i);
		bridge(&a, &b, 10000 * i, &da, &db);
		assert_pair(da, db, PAIRED_NUMBERS);
	}
	late.link = "s-a7";
	dl = step(&late, 0, 10000 * 2 * PAIRING_LOOK);
	pairing_index_update(&table);
	pairing_walk_start(&table, &walk, dl, PAIRING_CALL_ID, PAIRING_CALLEE);
	assert_null(pairing_walk_next(&table, &walk));
	assert_int_equal(walk.cut, 0);
}

static void legs_of_two_services_are_no_call(void **state)
{
	struct leg a = called("a", "ann", "100"), b = calls("b", "ann", "100");
	struct dialog *da, *db;

	a.link = "b"; /* nothing that could be said pairs them */
	a.id_in = b.id_out = "ab30317f1a784dc48ff824d0d3715d86";
	b.service = 1;
	assert_null(bridge(&a, &b, 0, &da, &db));
	assert_alone(da, PAIRED_NOT);
	assert_alone(db, PAIRED_NOT);
}

/* Callers that come after the called leg, so that none of them is its caller. NULL = each has its own number.
 */
static void others_ring(const char *caller, const char *callee)
{
	for (int i = 0; i < 2 * PAIRING_LOOK; i++) {
		char id[16], number[16];
		struct leg a = called(id, caller ? caller : number, callee ? callee : number);

		snprintf(id, sizeof(id), "o-%d", i);
		snprintf(number, sizeof(number), "n-%d", i);
		step(&a, 0, 5000);
	}
}

/* The one that fits may not be the only one: more meet than are looked at. */
static void one_of_more_than_are_looked_at_is_ambiguous(void **state)
{
	struct leg a = called("a", "trunk", "200"), b = calls("b", "trunk", "100");
	struct dialog *da;

	others_ring("trunk", NULL);
	da = step(&a, 0, 0);
	assert_alone(step(&b, 0, 10), PAIRED_AMBIGUOUS);
	assert_null(dialog_peer(&table, da));
}

/* Who has both numbers is found by either: one that few others have is enough. */
static void one_of_many_by_the_callers_number_is_known_by_the_called_one(void **state)
{
	struct leg a = called("a", "trunk", "100"), b = calls("b", "trunk", "100");
	struct dialog *da;

	others_ring("trunk", NULL);
	da = step(&a, 0, 0);
	assert_pair(da, step(&b, 0, 10), PAIRED_NUMBERS);
}

static void one_of_many_by_the_called_number_is_known_by_the_callers(void **state)
{
	struct leg a = called("a", "ann", "hotline"), b = calls("b", "ann", "hotline");
	struct dialog *da;

	others_ring(NULL, "hotline");
	da = step(&a, 0, 0);
	assert_pair(da, step(&b, 0, 10), PAIRED_NUMBERS);
}

static void one_of_many_by_both_numbers_is_ambiguous(void **state)
{
	struct leg a = called("a", "trunk", "100"), b = calls("b", "trunk", "100");

	others_ring("trunk", "100");
	step(&a, 0, 0);
	assert_alone(step(&b, 0, 10), PAIRED_AMBIGUOUS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(numbers_and_order_of_events_pair),
	        T(answers_alone_pair_too),
	        T(one_common_number_is_enough_even_written_otherwise),
	        T(other_numbers_do_not_pair),
	        T(server_that_answers_first_and_then_calls_out_is_paired_by_both_numbers),
	        T(one_number_is_not_enough_after_the_server_answered),
	        T(answer_long_after_is_another_call),
	        T(two_answers_that_fit_equally_are_ambiguous),
	        T(better_fit_wins_over_a_half_one),
	        T(calls_after_one_another_do_not_disturb),
	        T(partner_that_is_gone_from_the_table_leaves_one_leg),
	        T(header_names_the_other_leg_at_any_time),
	        T(session_id_that_passes_through_pairs),
	        T(numbers_do_not_choose_between_two_that_a_better_rule_names),
	        T(nil_session_id_says_nothing),
	        T(origin_that_passes_through_pairs),
	        T(ended_leg_is_no_partner),
	        T(partner_of_one_that_hung_up_is_found_again_without_a_message_of_its_own),
	        T(settled_calls_are_not_looked_at),
	        T(legs_of_two_services_are_no_call),
	        T(one_of_more_than_are_looked_at_is_ambiguous),
	        T(one_of_many_by_the_callers_number_is_known_by_the_called_one),
	        T(one_of_many_by_the_called_number_is_known_by_the_callers),
	        T(one_of_many_by_both_numbers_is_ambiguous),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
