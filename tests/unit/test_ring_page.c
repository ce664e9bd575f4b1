/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where a reader of the capture ring begins: user/core/ring_page.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ring_page.h"

#define SIZE 1000000

static void the_first_reader_begins_at_the_first_record(void **state)
{
	struct ring_page page = {0};
	struct ring_begun begun = ring_page_begin(&page, 500, SIZE);

	assert_int_equal(page.consumed, 0);
	assert_int_equal(begun.again_bytes, 0);
	assert_int_equal(begun.skipped_bytes, 0);
}

static void the_next_reader_goes_back_to_the_older_mark(void **state)
{
	struct ring_page page = {.consumed = 1000};
	struct ring_begun begun;

	ring_page_mark(&page);
	page.consumed = 2000;
	ring_page_mark(&page);
	page.consumed = 2500;
	begun = ring_page_begin(&page, 3000, SIZE);
	assert_int_equal(page.consumed, 1000);
	assert_int_equal(begun.again_bytes, 1500);
}

static void nobody_goes_back_to_what_is_about_to_be_overwritten(void **state)
{
	struct ring_page page = {.consumed = SIZE, .mark = {SIZE / 2 - 1, SIZE / 2}};
	struct ring_begun begun = ring_page_begin(&page, SIZE, SIZE);

	assert_int_equal(page.consumed, SIZE / 2); /* the younger mark will do */
	assert_int_equal(begun.again_bytes, SIZE / 2);

	page = (struct ring_page){.consumed = SIZE, .mark = {1, 2}};
	begun = ring_page_begin(&page, SIZE, SIZE);
	assert_int_equal(page.consumed, SIZE);
	assert_int_equal(begun.again_bytes, 0);
}

/* Its reader was off the CPU between two looks at the kernel's position. */
static void nobody_stays_where_it_was_overwritten_meanwhile(void **state)
{
	struct ring_page page = {.consumed = 1000, .mark = {500, 600}};
	struct ring_begun begun = ring_page_begin(&page, 1000, SIZE);

	assert_int_equal(page.consumed, 500);
	ring_page_settle(&page, &begun, 500 + SIZE, SIZE);
	assert_int_equal(page.consumed, 500);
	assert_int_equal(begun.again_bytes, 500);
	ring_page_settle(&page, &begun, 500 + SIZE + 8, SIZE);
	assert_int_equal(page.consumed, 1000);
	assert_int_equal(begun.again_bytes, 0);
	ring_page_settle(&page, &begun, 1000 + SIZE, SIZE);
	assert_int_equal(page.consumed, 1000);
}

static void a_page_that_contradicts_itself_moves_nobody(void **state)
{
	struct ring_page page = {.consumed = 100, .mark = {200, 300}};

	ring_page_begin(&page, 400, SIZE);
	assert_int_equal(page.consumed, 100);
	page = (struct ring_page){.consumed = 500, .mark = {1, 2}};
	ring_page_begin(&page, 400, SIZE);
	assert_int_equal(page.consumed, 500);
}

static void records_that_end_every_reader_are_skipped(void **state)
{
	struct ring_page page = {.consumed = 100, .mark = {50, 80}};
	struct ring_begun begun;

	for (int i = 0; i < RING_PAGE_STARTS; i++) {
		begun = ring_page_begin(&page, 900, SIZE);
		assert_int_equal(begun.skipped_bytes, 0);
		assert_int_equal(page.consumed, 50);
	}
	begun = ring_page_begin(&page, 900, SIZE);
	assert_int_equal(begun.skipped_bytes, 850);
	assert_int_equal(page.consumed, 900);
	/* and are not gone back to */
	begun = ring_page_begin(&page, 950, SIZE);
	assert_int_equal(begun.again_bytes, 0);
	assert_int_equal(page.consumed, 900);
}

static void a_reader_that_lives_forgives_those_before_it(void **state)
{
	struct ring_page page = {.consumed = 100, .starts = RING_PAGE_STARTS};

	ring_page_mark(&page);
	assert_int_equal(ring_page_begin(&page, 900, SIZE).skipped_bytes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_first_reader_begins_at_the_first_record),
	        cmocka_unit_test(the_next_reader_goes_back_to_the_older_mark),
	        cmocka_unit_test(nobody_goes_back_to_what_is_about_to_be_overwritten),
	        cmocka_unit_test(nobody_stays_where_it_was_overwritten_meanwhile),
	        cmocka_unit_test(a_page_that_contradicts_itself_moves_nobody),
	        cmocka_unit_test(records_that_end_every_reader_are_skipped),
	        cmocka_unit_test(a_reader_that_lives_forgives_those_before_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
