/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Memory for dialogs' text: blocks that do not touch each other, and pages that are used again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "text_pool.h"

#define BYTES  (4 << 20)
#define BLOCKS 2000

static struct text_pool *pool;

static int set_up(void **state)
{
	pool = text_pool_new(BYTES);
	return pool ? 0 : -1;
}

static int tear_down(void **state)
{
	text_pool_free(pool);
	return 0;
}

static void block_is_as_long_as_said_and_aligned(void **state)
{
	static const size_t lengths[] = {1, 31, 32, 33, 2047, 2048, 2049, 20000};

	assert_int_equal(text_pool_size(1), 32);
	assert_int_equal(text_pool_size(32), 32);
	assert_int_equal(text_pool_size(33), 64);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		char *block = text_pool_take(pool, lengths[i]);

		assert_non_null(block);
		assert_int_equal((uintptr_t)block % 16, 0);
		memset(block, 0x5a, lengths[i]);
		text_pool_give(pool, block);
	}
	text_pool_give(pool, NULL);
}

/* Any order of taking and giving: each block keeps what was written to it. */
static void blocks_never_overlap(void **state)
{
	static struct {
		unsigned char *at;
		size_t len;
	} block[BLOCKS];
	uint32_t seed = 7;

	for (uint32_t turn = 1; turn <= 40 * BLOCKS; turn++) {
		uint32_t r = seed = seed * 1664525u + 1013904223u;
		uint32_t i = (r >> 8) % BLOCKS;

		if (block[i].at) {
			for (size_t at = 0; at < block[i].len; at++)
				assert_int_equal(block[i].at[at], (unsigned char)(i + at));
			text_pool_give(pool, block[i].at);
			block[i].at = NULL;
			continue;
		}
		block[i].len = 1 + (r >> 20) % 2400;
		block[i].at = text_pool_take(pool, block[i].len);
		assert_non_null(block[i].at);
		for (size_t at = 0; at < block[i].len; at++)
			block[i].at[at] = (unsigned char)(i + at);
	}
	for (uint32_t i = 0; i < BLOCKS; i++)
		text_pool_give(pool, block[i].at);
}

/* Takes blocks of one length until there are no more, or as many as there may be. */
static uint32_t fill(void **blocks, uint32_t most, size_t len)
{
	uint32_t n = 0;

	while (n < most && (blocks[n] = text_pool_take(pool, len)))
		n++;
	return n;
}

static void what_was_asked_for_fits_whatever_the_size_and_was_before(void **state)
{
	static const size_t lengths[] = {96, 1120, 2048, 33, 700};
	static void *blocks[BYTES / 32 * 2];

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		uint32_t want = (uint32_t)(BYTES / text_pool_size(lengths[i]));
		uint32_t n = fill(blocks, want, lengths[i]);

		assert_int_equal(n, want);
		while (n)
			text_pool_give(pool, blocks[--n]);
	}
}

/* One small block left in each page: no page is free, and next to nothing is in use. */
static void what_was_asked_for_fits_though_every_page_holds_something(void **state)
{
	static void *small[BYTES / 32], *large[BYTES / 2048];
	const uint32_t a_page = 16384 / 32;
	uint32_t n = fill(small, BYTES / 32, 32), want = (BYTES - n / a_page * 32) / 2048, got;

	assert_int_equal(n, BYTES / 32);
	for (uint32_t i = 0; i < n; i++)
		if (i % a_page)
			text_pool_give(pool, small[i]);
	got = fill(large, want, 2048);
	assert_int_equal(got, want);
	while (got)
		text_pool_give(pool, large[--got]);
	for (uint32_t i = 0; i < n; i += a_page)
		text_pool_give(pool, small[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(block_is_as_long_as_said_and_aligned, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(blocks_never_overlap, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(what_was_asked_for_fits_whatever_the_size_and_was_before,
	                                        set_up, tear_down),
	        cmocka_unit_test_setup_teardown(what_was_asked_for_fits_though_every_page_holds_something,
	                                        set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
