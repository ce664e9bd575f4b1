/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The record of a takeover, and what call keepers say of its calls one after the other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../user/sentinel/log.h"
#include "../../user/sentinel/sentinel.h"

static struct sentinel s;
static struct config_service conf = {.name = "pbx"};
static struct service *svc;

void log_line(enum log_level level, const char *format, ...) {}

const char *node_name(const struct sentinel *sentinel, int node)
{
	return "a";
}

static void own(uint64_t epoch)
{
	takeover_changed(&s, svc, 2, 1, epoch, CAUSE_server_exit, mono_ns(1000));
}

static int setup(void **state)
{
	memset(&s, 0, sizeof(s));
	s.node = 1;
	svc = &s.service[0];
	svc->conf = &conf;
	own(513);
	return 0;
}

static void told(uint64_t epoch, unsigned int calls, unsigned int rescued, unsigned int failed,
                 unsigned int skipped, uint64_t first, uint64_t done)
{
	const struct keeper_rescue rescue = {
	        .epoch = epoch,
	        .first_reinvite_ns = first,
	        .last_done_ns = done,
	        .calls = calls,
	        .rescued = rescued,
	        .failed = failed,
	        .skipped = skipped,
	};

	takeover_rescue(svc, &rescue);
}

static void assert_sums(unsigned int calls, unsigned int rescued, unsigned int failed, unsigned int skipped)
{
	assert_int_equal(svc->takeover->calls, calls);
	assert_int_equal(svc->takeover->rescued, rescued);
	assert_int_equal(svc->takeover->failed, failed);
	assert_int_equal(svc->takeover->skipped, skipped);
}

static void cause_is_filled_in_when_the_word_was_seen_before_the_resign(void **state)
{
	struct msg msg = {.type = WIRE_RESIGN, .epoch = 769, .detail = CAUSE_switchover};

	takeover_changed(&s, svc, 2, 1, 769, CAUSE_none, mono_ns(1000));
	msg.epoch = 770;
	takeover_resigned_to_us(svc, &msg);
	assert_int_equal(svc->takeover->cause, CAUSE_none);
	msg.epoch = 769;
	takeover_resigned_to_us(svc, &msg);
	assert_int_equal(svc->takeover->cause, CAUSE_switchover);
	assert_true(svc->takeover->planned);
	msg.detail = CAUSE_server_exit;
	takeover_resigned_to_us(svc, &msg);
	assert_int_equal(svc->takeover->cause, CAUSE_switchover);
}

static void the_last_word_of_a_call_keeper_counts(void **state)
{
	told(513, 10, 0, 0, 0, 2000, 0);
	told(513, 10, 7, 2, 1, 2000, 3000);
	assert_sums(10, 7, 2, 1);
	assert_int_equal(svc->takeover->first_reinvite_ns, 2000);
	assert_int_equal(svc->takeover->rescue_done_ns, 3000);
}

static void what_a_call_keeper_says_of_another_takeover_is_ignored(void **state)
{
	told(512, 10, 7, 2, 1, 2000, 3000);
	assert_sums(0, 0, 0, 0);
}

/* 10 calls; 4 were done when the call keeper crashed, and the next one finds the other 6. */
static void call_keepers_of_one_takeover_are_summed_up(void **state)
{
	told(513, 10, 3, 1, 0, 2000, 3000);
	takeover_keeper_ended(svc);
	assert_sums(10, 3, 1, 0); /* until the next one has something to say */
	told(513, 6, 0, 0, 0, 5000, 0);
	assert_sums(10, 3, 1, 0);
	assert_int_equal(svc->takeover->rescue_done_ns, 3000);
	told(513, 6, 4, 0, 1, 5000, 6000);
	takeover_keeper_ended(svc);
	told(513, 1, 1, 0, 0, 7000, 8000);
	assert_sums(10, 8, 1, 1);
	assert_int_equal(svc->takeover->first_reinvite_ns, 2000);
	assert_int_equal(svc->takeover->rescue_done_ns, 8000);
}

static void the_next_takeover_begins_at_nothing(void **state)
{
	told(513, 10, 10, 0, 0, 2000, 3000);
	takeover_keeper_ended(svc);
	own(769);
	assert_sums(0, 0, 0, 0);
	told(769, 4, 1, 0, 0, 4000, 5000);
	assert_sums(4, 1, 0, 0);
}

static void call_keeper_that_ends_before_any_takeover_leaves_nothing(void **state)
{
	svc->takeover = NULL;
	takeover_keeper_ended(svc);
	told(513, 10, 10, 0, 0, 2000, 3000);
	assert_int_equal(svc->rescued_before.calls, 0);
}

#define T(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(cause_is_filled_in_when_the_word_was_seen_before_the_resign),
	        T(the_last_word_of_a_call_keeper_counts),
	        T(what_a_call_keeper_says_of_another_takeover_is_ignored),
	        T(call_keepers_of_one_takeover_are_summed_up),
	        T(the_next_takeover_begins_at_nothing),
	        T(call_keeper_that_ends_before_any_takeover_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
