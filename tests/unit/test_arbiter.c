/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What an answer of the arbiter is worth: never more than the oldest question that it may answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arbiter.h"

static void asked_ms(struct arbiter *a, int64_t ms)
{
	arbiter_asked(a, mono_ns(ms * NS_PER_MS));
}

static void answered_ms(struct arbiter *a, int64_t ms)
{
	arbiter_answered(a, mono_ns(ms * NS_PER_MS));
}

static int64_t worth_ms(const struct arbiter *a)
{
	return a->answered.ns / NS_PER_MS;
}

static void an_answer_counts_from_its_question(void **state)
{
	struct arbiter a = {0};

	asked_ms(&a, 10);
	answered_ms(&a, 13);
	assert_int_equal(worth_ms(&a), 10);
	asked_ms(&a, 20);
	answered_ms(&a, 2700); /* read by an agent that was frozen */
	assert_int_equal(worth_ms(&a), 20);
	assert_int_equal(a.seen.ns, 2700 * NS_PER_MS);
}

static void an_answer_that_nobody_asked_for_is_worth_nothing(void **state)
{
	struct arbiter a = {0};

	answered_ms(&a, 5);
	assert_false(mono_is_set(a.answered));
	assert_false(mono_is_set(a.seen));
	asked_ms(&a, 10);
	answered_ms(&a, 11);
	answered_ms(&a, 900); /* a second arbiter, or a repetition */
	assert_int_equal(worth_ms(&a), 10);
	assert_int_equal(a.seen.ns, 11 * NS_PER_MS);
}

static void after_lost_answers_the_next_one_counts_for_the_oldest_question(void **state)
{
	struct arbiter a = {0};

	asked_ms(&a, 10);
	asked_ms(&a, 20);
	asked_ms(&a, 30);
	answered_ms(&a, 31);
	assert_int_equal(worth_ms(&a), 10);
}

static void lost_answers_are_made_good_by_the_next_question(void **state)
{
	struct arbiter a = {0};

	for (int64_t ms = 10; ms < 10000; ms += 10)
		asked_ms(&a, ms);
	answered_ms(&a, 9991);
	assert_int_equal(worth_ms(&a), 10);
	asked_ms(&a, 10000);
	answered_ms(&a, 10001);
	assert_int_equal(worth_ms(&a), 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(an_answer_counts_from_its_question),
	        cmocka_unit_test(an_answer_that_nobody_asked_for_is_worth_nothing),
	        cmocka_unit_test(after_lost_answers_the_next_one_counts_for_the_oldest_question),
	        cmocka_unit_test(lost_answers_are_made_good_by_the_next_question),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
