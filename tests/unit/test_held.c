/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a node that does not own yet keeps of what it captured. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../user/calls/held.h"

#define BODY     1000 /* of each datagram here */
#define ROOM     (HELD_BYTES / ((sizeof(struct capture_record) + BODY + 7) & ~7UL))
#define START    (10 * NS_PER_S)
#define ANY_FLIP 1 /* so long ago that all are wanted */

static struct held held;
static uint32_t got[2 * ROOM + 2]; /* numbers of those that were handed over */
static uint32_t n_got;

static void take(void *context, const struct capture_record *record)
{
	uint32_t number;

	memcpy(&number, record->data, sizeof(number));
	assert_int_equal(record->data[record->len - 1], (uint8_t)number);
	assert_true(n_got < sizeof(got) / sizeof(got[0]));
	got[n_got++] = number;
}

static uint32_t add(uint32_t number, int64_t at_ns, uint32_t len)
{
	struct capture_record *record = calloc(1, sizeof(*record) + len);
	uint32_t lost;

	record->at_ns = (uint64_t)at_ns;
	record->len = len;
	memcpy(record->data, &number, sizeof(number));
	record->data[len - 1] = (uint8_t)number;
	lost = held_add(&held, record);
	free(record);
	return lost;
}

static int setup(void **state)
{
	memset(&held, 0, sizeof(held));
	n_got = 0;
	return 0;
}

static void what_came_shortly_before_the_flip_or_after_it_is_handed_over_once(void **state)
{
	add(1, START - HELD_AGE_NS - 1, 100);
	add(2, START - HELD_AGE_NS, 101); /* lengths that want rounding up */
	add(3, START + NS_PER_MS, 102);
	held_take(&held, START, take, NULL);
	assert_int_equal(n_got, 2);
	assert_int_equal(got[0], 2);
	assert_int_equal(got[1], 3);
	held_take(&held, START, take, NULL);
	assert_int_equal(n_got, 2);
}

static void the_oldest_make_room_and_each_is_counted(void **state)
{
	uint32_t i;

	for (i = 0; i < ROOM; i++)
		assert_int_equal(add(i, START + i, BODY), 0);
	assert_int_equal(add(ROOM, START + ROOM, BODY), 1);
	assert_int_equal(add(ROOM + 1, START + ROOM, 2 * BODY), 2);
	held_take(&held, ANY_FLIP, take, NULL);
	assert_int_equal(n_got, ROOM - 1);
	assert_int_equal(got[0], 3);
	assert_int_equal(got[n_got - 1], ROOM + 1);
}

/* A fenced node may see its peer's traffic for hours: nothing is lost with that. */
static void those_too_old_to_be_wanted_are_not_counted(void **state)
{
	uint32_t i;

	for (i = 0; i < ROOM; i++)
		assert_int_equal(add(i, START, BODY), 0);
	assert_int_equal(add(i, START + HELD_STALE_NS + 1, BODY), 0);
	held_take(&held, ANY_FLIP, take, NULL);
	assert_int_equal(n_got, ROOM);
	assert_int_equal(got[0], 1);
}

static void one_that_never_fits_costs_no_other(void **state)
{
	add(1, START, BODY);
	assert_int_equal(add(2, START, HELD_BYTES), 1);
	held_take(&held, ANY_FLIP, take, NULL);
	assert_int_equal(n_got, 1);
	assert_int_equal(got[0], 1);
}

static void one_as_large_as_the_room_is_kept(void **state)
{
	add(1, START, BODY);
	assert_int_equal(add(2, START, HELD_BYTES - sizeof(struct capture_record)), 1);
	held_take(&held, ANY_FLIP, take, NULL);
	assert_int_equal(n_got, 1);
	assert_int_equal(got[0], 2);
}

#define T(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(what_came_shortly_before_the_flip_or_after_it_is_handed_over_once),
	        T(the_oldest_make_room_and_each_is_counted),
	        T(those_too_old_to_be_wanted_are_not_counted),
	        T(one_that_never_fits_costs_no_other),
	        T(one_as_large_as_the_room_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
