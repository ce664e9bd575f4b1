/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The key's text form, and that no two uses of it share a derived key. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "key.h"

#define DIGITS "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F"
#define OTHER  "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static struct key sample(void)
{
	struct key key;

	for (int i = 0; i < KEY_BYTES; i++)
		key.b[i] = (uint8_t)i;
	return key;
}

static int parse(const char *text, struct key *ret)
{
	return key_parse(text, strlen(text), ret);
}

static void key_text_may_have_comments_and_space_around(void **state)
{
	static const char *const good[] = {
	        DIGITS,
	        DIGITS "\n",
	        "# a comment: 00\n#another\n\n  " DIGITS " \r\n\n",
	        DIGITS "\n# after\n",
	};
	struct key want = sample(), key;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		memset(&key, 0xff, sizeof(key));
		assert_int_equal(parse(good[i], &key), 0);
		assert_memory_equal(&key, &want, sizeof(key));
	}
}

static void anything_else_is_refused_and_leaves_the_result_alone(void **state)
{
	static const char *const bad[] = {
	        "",
	        "# only a comment\n",
	        DIGITS "0",
	        DIGITS "\n00\n",
	        "0001020304050607 08090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
	        "0g0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
	        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e",
	        DIGITS " # trailing",
	        DIGITS "\n" OTHER "\n",
	};
	struct key key, before;

	memset(&key, 0xa5, sizeof(key));
	before = key;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(parse(bad[i], &key), -EINVAL);
		assert_memory_equal(&key, &before, sizeof(key));
	}
	assert_int_equal(key_parse(DIGITS, 63, &key), -EINVAL);
}

static void a_file_may_hold_two_keys_and_the_first_comes_first(void **state)
{
	static const char two[] = "# new\n" OTHER "\n# old\n" DIGITS "\n";
	struct key want = sample();
	struct key_ring ring;

	assert_int_equal(key_ring_parse(two, strlen(two), &ring), 0);
	assert_int_equal(ring.n, 2);
	assert_memory_equal(&ring.key[1], &want, sizeof(want));
	assert_memory_not_equal(&ring.key[0], &want, sizeof(want));
	assert_int_equal(ring.key[0].b[0], 0xff);
	assert_int_equal(key_ring_parse(DIGITS, strlen(DIGITS), &ring), 0);
	assert_int_equal(ring.n, 1);
	assert_memory_equal(&ring.key[0], &want, sizeof(want));
}

static void a_ring_of_three_keys_or_of_one_key_twice_is_refused(void **state)
{
	static const char *const bad[] = {
	        "",
	        "# none\n",
	        DIGITS "\n" DIGITS "\n",
	        DIGITS "\n" OTHER "\n" OTHER "\n",
	        DIGITS "\n00\n",
	        DIGITS OTHER,
	        DIGITS "\n" OTHER "0",
	};
	struct key_ring ring, before;

	memset(&ring, 0xa5, sizeof(ring));
	before = ring;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(key_ring_parse(bad[i], strlen(bad[i]), &ring), -EINVAL);
		assert_memory_equal(&ring, &before, sizeof(ring));
	}
}

static void a_written_key_reads_back(void **state)
{
	struct key key = sample(), back;
	char text[KEY_TEXT_LEN];

	key_format(&key, text);
	assert_int_equal(strlen(text), KEY_TEXT_LEN - 1);
	assert_int_equal(text[KEY_TEXT_LEN - 2], '\n');
	assert_int_equal(parse(text, &back), 0);
	assert_memory_equal(&key, &back, sizeof(key));
}

static void every_use_has_its_own_key(void **state)
{
	struct key key = sample(), other = sample();
	uint8_t one[32], two[32], votes[16];
	struct siphash_key sip = key_siphash(&key), again = key_siphash(&key);

	other.b[31] ^= 1;
	assert_int_equal(sip.k0, again.k0);
	assert_int_equal(sip.k1, again.k1);
	assert_true(sip.k0 || sip.k1);
	again = key_siphash(&other);
	assert_true(sip.k0 != again.k0 && sip.k1 != again.k1);

	key_replica_secret(&key, 1, one);
	key_replica_secret(&key, 2, two);
	assert_memory_not_equal(one, two, 32);
	memcpy(votes, &sip, 16);
	assert_memory_not_equal(one, votes, 16);
	assert_memory_not_equal(one, key.b, 32);
	key_replica_secret(&other, 1, two);
	assert_memory_not_equal(one, two, 32);
}

static void ids_compare_keys_without_showing_them(void **state)
{
	struct key key = sample(), other = sample();
	char id[16], again[16];

	key_id(&key, id);
	key_id(&key, again);
	assert_int_equal(strlen(id), 8);
	assert_int_equal(strspn(id, "0123456789abcdef"), 8);
	assert_string_equal(id, again);
	assert_null(strstr(DIGITS, id));
	other.b[0] ^= 0x80;
	key_id(&other, again);
	assert_string_not_equal(id, again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(key_text_may_have_comments_and_space_around),
	        cmocka_unit_test(anything_else_is_refused_and_leaves_the_result_alone),
	        cmocka_unit_test(a_file_may_hold_two_keys_and_the_first_comes_first),
	        cmocka_unit_test(a_ring_of_three_keys_or_of_one_key_twice_is_refused),
	        cmocka_unit_test(a_written_key_reads_back),
	        cmocka_unit_test(every_use_has_its_own_key),
	        cmocka_unit_test(ids_compare_keys_without_showing_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
