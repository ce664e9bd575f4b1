/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Judging silence: what counts as lost and what the observer's own stall excuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "echo.h"

#define MS NS_PER_MS

static struct mono at(int64_t ms)
{
	return mono_ns(1000 * NS_PER_S + ms * MS);
}

static void three_unanswered_echoes_are_silence(void **state)
{
	struct echo echo = {0};
	struct echo_wake wake;

	echo_wake_init(&wake, 8 * MS, at(0));
	for (int i = 0; i < 4; i++) {
		echo_wake_turn(&wake, at(i * 5));
		echo_judge(&echo, &wake, 5 * MS, at(i * 5));
		assert_int_equal(echo_silent(&echo), i >= 3);
		echo_sent(&echo, at(i * 5));
	}
	assert_int_equal(echo.lost, 3);
}

static void an_answer_ends_silence(void **state)
{
	struct echo echo = {0};
	struct echo_wake wake;

	echo_wake_init(&wake, 8 * MS, at(0));
	for (int i = 0; i < 5; i++) {
		echo_wake_turn(&wake, at(i * 5));
		echo_judge(&echo, &wake, 5 * MS, at(i * 5));
		echo_sent(&echo, at(i * 5));
	}
	assert_true(echo_silent(&echo));
	assert_true(echo_answered(&echo, echo.seq, at(21)));
	assert_false(echo_silent(&echo));
	assert_int_equal(echo_rtt_us(&echo), 1000);
}

static void an_own_stall_is_not_the_other_sides_silence(void **state)
{
	struct echo echo = {0};
	struct echo_wake wake;
	int64_t t = 0;

	echo_wake_init(&wake, 8 * MS, at(0));
	/* every turn comes 20 ms late: no echo is ever judged lost */
	for (int i = 0; i < 50; i++, t += 25) {
		echo_wake_turn(&wake, at(t));
		echo_judge(&echo, &wake, 5 * MS, at(t));
		echo_sent(&echo, at(t));
	}
	assert_int_equal(echo.lost, 0);
	assert_int_equal(echo.excused, 49);
	assert_false(echo_silent(&echo));
}

static void losses_before_a_stall_are_forgotten(void **state)
{
	struct echo echo = {0};
	struct echo_wake wake;

	echo_wake_init(&wake, 8 * MS, at(0));
	for (int i = 0; i < 3; i++) {
		echo_wake_turn(&wake, at(i * 5));
		echo_judge(&echo, &wake, 5 * MS, at(i * 5));
		echo_sent(&echo, at(i * 5));
	}
	assert_int_equal(echo.lost_in_row, 2);
	echo_wake_turn(&wake, at(40));
	echo_judge(&echo, &wake, 5 * MS, at(40));
	assert_int_equal(echo.lost_in_row, 0);
	assert_int_equal(wake.stalls, 1);
}

static void an_echo_that_was_never_sent_is_never_lost(void **state)
{
	struct echo echo = {0};
	struct echo_wake wake;

	echo_wake_init(&wake, 8 * MS, at(0));
	for (int i = 0; i < 100; i++) {
		echo_wake_turn(&wake, at(i * 5));
		echo_judge(&echo, &wake, 5 * MS, at(i * 5));
	}
	assert_int_equal(echo.lost, 0);
	assert_false(echo_silent(&echo));
}

static void duplicates_and_unknown_numbers_are_ignored(void **state)
{
	struct echo echo = {0};
	uint64_t seq = echo_sent(&echo, at(0));

	assert_false(echo_answered(&echo, 0, at(1)));
	assert_false(echo_answered(&echo, seq + 1, at(1)));
	assert_true(echo_answered(&echo, seq, at(1)));
	assert_false(echo_answered(&echo, seq, at(2)));
	for (int i = 0; i < ECHO_OUTSTANDING; i++)
		echo_sent(&echo, at(3 + i));
	assert_false(echo_answered(&echo, seq, at(100)));
}

static void a_late_answer_is_a_sign_of_life_once(void **state)
{
	struct echo echo = {0};
	struct echo_wake wake;
	uint64_t seq = echo_sent(&echo, at(0));

	echo_wake_init(&wake, 8 * MS, at(0));
	echo_wake_turn(&wake, at(6));
	echo_judge(&echo, &wake, 5 * MS, at(6));
	assert_int_equal(echo.lost, 1);
	assert_true(echo_answered(&echo, seq, at(7)));
	assert_int_equal(echo.late, 1);
	assert_int_equal(echo.lost_in_row, 0);
	assert_false(echo_answered(&echo, seq, at(8)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(three_unanswered_echoes_are_silence),
	        cmocka_unit_test(an_answer_ends_silence),
	        cmocka_unit_test(an_own_stall_is_not_the_other_sides_silence),
	        cmocka_unit_test(losses_before_a_stall_are_forgotten),
	        cmocka_unit_test(an_echo_that_was_never_sent_is_never_lost),
	        cmocka_unit_test(duplicates_and_unknown_numbers_are_ignored),
	        cmocka_unit_test(a_late_answer_is_a_sign_of_life_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
