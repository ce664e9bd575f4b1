/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which two dialogs are one call: by header, Session-ID, SDP, or numbers and the order of events; never by a
 * guess. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "leg.h"
#include "pairing.h"

static struct dialog_table table;

static int setup(void **state)
{
	return dialog_table_init(&table, 4096, 7);
}

static int teardown(void **state)
{
	dialog_table_done(&table);
	return 0;
}

/* The server is called at `at`, calls out, is answered, answers. Returns what the last answer paired. */
static struct dialog *bridge(struct leg *a, struct leg *b, int64_t at_ms, struct dialog **ret_a,
                             struct dialog **ret_b)
{
	a->table = b->table = &table;
	b->out = true;
	leg_invite(a, at_ms);
	leg_invite(b, at_ms + 1);
	*ret_b = leg_answer(b, at_ms + 1000);
	assert_null(pairing_consider(&table, *ret_b));
	*ret_a = leg_answer(a, at_ms + 1001);
	return pairing_consider(&table, *ret_a);
}

static void numbers_and_order_of_events_pair(void **state)
{
	struct leg a = {.call_id = "a", .caller = "ann", .callee = "100"};
	struct leg b = {.call_id = "b", .caller = "ann", .callee = "100"};
	struct dialog *da, *db, *other;

	other = bridge(&a, &b, 0, &da, &db);
	assert_ptr_equal(other, db);
	assert_int_equal(da->paired, PAIRED_NUMBERS);
	assert_int_equal(da->call, db->call);
	assert_ptr_equal(dialog_peer(&table, da), db);
	assert_ptr_equal(dialog_peer(&table, db), da);
}

static void one_common_number_is_enough_even_written_otherwise(void **state)
{
	struct leg a = {.call_id = "a", .caller = "+4930123456", .callee = "100"};
	struct leg b = {.call_id = "b", .caller = "030123456", .callee = "device-7"};
	struct dialog *da, *db, *other;

	other = bridge(&a, &b, 0, &da, &db);
	assert_ptr_equal(other, db);
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

static void server_that_answered_before_it_was_answered_is_not_paired(void **state)
{
	struct leg a = {.table = &table, .call_id = "a", .caller = "ann", .callee = "100"};
	struct leg b = {.table = &table, .call_id = "b", .caller = "ann", .callee = "100", .out = true};

	leg_invite(&a, 0);
	assert_null(pairing_consider(&table, leg_answer(&a, 5)));
	leg_invite(&b, 10);
	assert_null(pairing_consider(&table, leg_answer(&b, 1000)));
}

static void answer_long_after_is_another_call(void **state)
{
	struct leg a = {.table = &table, .call_id = "a", .caller = "ann", .callee = "100"};
	struct leg b = {.table = &table, .call_id = "b", .caller = "ann", .callee = "100", .out = true};

	leg_invite(&a, 0);
	leg_invite(&b, 1);
	leg_answer(&b, 1000);
	assert_null(pairing_consider(&table, leg_answer(&a, 1000 + PAIRING_ANSWER_NS / NS_PER_MS + 1)));
}

static void two_legs_that_fit_equally_are_ambiguous(void **state)
{
	struct leg a1 = {.table = &table, .call_id = "a1", .caller = "trunk", .callee = "100"};
	struct leg a2 = {.table = &table, .call_id = "a2", .caller = "trunk", .callee = "100"};
	struct leg b1 = {.table = &table, .call_id = "b1", .caller = "trunk", .callee = "100", .out = true};
	struct leg b2 = {.table = &table, .call_id = "b2", .caller = "trunk", .callee = "100", .out = true};
	struct dialog *d;

	leg_invite(&a1, 0);
	leg_invite(&a2, 0);
	leg_invite(&b1, 1);
	leg_invite(&b2, 1);
	pairing_consider(&table, leg_answer(&b1, 1000));
	pairing_consider(&table, leg_answer(&b2, 1000));
	d = leg_answer(&a1, 1001);
	assert_null(pairing_consider(&table, d));
	assert_int_equal(d->paired, PAIRED_AMBIGUOUS);
	d = leg_answer(&a2, 1001);
	assert_null(pairing_consider(&table, d));
	assert_int_equal(d->paired, PAIRED_AMBIGUOUS);
}

static void better_fit_wins_over_a_half_one(void **state)
{
	struct leg a = {.table = &table, .call_id = "a", .caller = "ann", .callee = "100"};
	struct leg other = {.table = &table, .call_id = "o", .caller = "eve", .callee = "100", .out = true};
	struct leg b = {.table = &table, .call_id = "b", .caller = "ann", .callee = "100", .out = true};
	struct dialog *db;

	leg_invite(&a, 0);
	leg_invite(&other, 1);
	leg_invite(&b, 1);
	leg_answer(&other, 1000);
	db = leg_answer(&b, 1000);
	assert_ptr_equal(pairing_consider(&table, leg_answer(&a, 1001)), db);
}

static void calls_after_one_another_do_not_disturb(void **state)
{
	struct leg a = {.caller = "ann", .callee = "100"}, b = {.caller = "ann", .callee = "100"};
	char id_a[] = "a0", id_b[] = "b0";
	struct dialog *da, *db, *other;
	int i;

	a.call_id = id_a;
	b.call_id = id_b;
	for (i = 0; i < 9; i++) {
		id_a[1] = id_b[1] = (char)('0' + i);
		other = bridge(&a, &b, i * 10, &da, &db);
		assert_ptr_equal(other, db);
	}
}

static void header_names_the_other_leg_at_any_time(void **state)
{
	struct leg a = {.table = &table, .call_id = "a", .caller = "ann", .callee = "ivr"};
	struct leg b = {
	        .table = &table, .call_id = "b", .caller = "x", .callee = "y", .out = true, .link = "a"};
	struct dialog *da, *db;

	leg_invite(&a, 0);
	da = leg_answer(&a, 5);
	assert_null(pairing_consider(&table, da));
	leg_invite(&b, 60000);
	db = leg_answer(&b, 61000);
	assert_ptr_equal(pairing_consider(&table, db), da);
	assert_int_equal(da->paired, PAIRED_HEADER);
}

static void session_id_that_passes_through_pairs(void **state)
{
	struct leg a = {.call_id = "a", .caller = "1", .callee = "2", .id_in = "aaaa", .id_out = "bbbb"};
	struct leg b = {.call_id = "b", .caller = "3", .callee = "4", .id_in = "bbbb", .id_out = "aaaa"};
	struct dialog *da, *db, *other;

	other = bridge(&a, &b, 0, &da, &db);
	assert_ptr_equal(other, db);
	assert_int_equal(da->paired, PAIRED_SESSION_ID);
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
	struct dialog *da, *db, *other;

	other = bridge(&a, &b, 0, &da, &db);
	assert_ptr_equal(other, db);
	assert_int_equal(da->paired, PAIRED_SDP);
}

static void ended_leg_is_no_partner(void **state)
{
	struct leg a = {.table = &table, .call_id = "a", .caller = "ann", .callee = "100"};
	struct leg b = {.table = &table, .call_id = "b", .caller = "ann", .callee = "100", .out = true};

	leg_invite(&a, 0);
	leg_invite(&b, 1);
	dialog_set_state(&table, leg_answer(&b, 1000), DIALOG_ENDED, mono_ns(NS_PER_S + 1000 * NS_PER_MS));
	assert_null(pairing_consider(&table, leg_answer(&a, 1001)));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(numbers_and_order_of_events_pair),
	        T(one_common_number_is_enough_even_written_otherwise),
	        T(other_numbers_do_not_pair),
	        T(server_that_answered_before_it_was_answered_is_not_paired),
	        T(answer_long_after_is_another_call),
	        T(two_legs_that_fit_equally_are_ambiguous),
	        T(better_fit_wins_over_a_half_one),
	        T(calls_after_one_another_do_not_disturb),
	        T(header_names_the_other_leg_at_any_time),
	        T(session_id_that_passes_through_pairs),
	        T(nil_session_id_says_nothing),
	        T(origin_that_passes_through_pairs),
	        T(ended_leg_is_no_partner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
