/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The voters' messages: bytes on the wire, tags, and what is refused. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "msg.h"

static const struct siphash_key key = {0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL};
static const struct siphash_key other = {1, 2};

static const struct msg sample = {
        .type = WIRE_REFLECT,
        .service = 3,
        .sender = 1,
        .target = 2,
        .detail = 4,
        .epoch = 0x1112131415161701,
        .seq = 0x2122232425262728,
        .sender_inc = 0x3132333435363738,
        .target_inc = 0x4142434445464748,
        .sent_ns = 0x5152535455565758,
        .grant_ns = 0x6162636465666768,
        .config_tag = 0x71727374,
        .flags = 0x81828384,
        .ok_age_us = 0x91929394,
        .turn_age_us = 0xa1a2a3a4,
};

static void fields_are_in_network_order_where_the_format_says(void **state)
{
	static const uint8_t want[WIRE_TAGGED_LEN] = {
	        0x5f, 0x11, 1,    2,    3,    1,    2,    4,    0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17,
	        0x01, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28, 0x31, 0x32, 0x33, 0x34, 0x35, 0x36,
	        0x37, 0x38, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x51, 0x52, 0x53, 0x54, 0x55,
	        0x56, 0x57, 0x58, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x71, 0x72, 0x73, 0x74,
	        0x81, 0x82, 0x83, 0x84, 0x91, 0x92, 0x93, 0x94, 0xa1, 0xa2, 0xa3, 0xa4};
	struct wire_msg wire;

	msg_seal(&sample, &key, &wire);
	assert_memory_equal(&wire, want, sizeof(want));
}

/* An independent SipHash-2-4, straight from the paper's section 2. */
static uint64_t rotl(uint64_t x, int b)
{
	return x << b | x >> (64 - b);
}

static uint64_t siphash24(const uint8_t *in, size_t len, uint64_t k0, uint64_t k1)
{
	uint64_t v0 = k0 ^ 0x736f6d6570736575, v1 = k1 ^ 0x646f72616e646f6d;
	uint64_t v2 = k0 ^ 0x6c7967656e657261, v3 = k1 ^ 0x7465646279746573;

	for (size_t i = 0; i <= len / 8; i++) {
		uint64_t m = 0;

		for (size_t k = 0; k < 8 && i * 8 + k < len; k++)
			m |= (uint64_t)in[i * 8 + k] << (8 * k);
		if (i == len / 8)
			m |= (uint64_t)len << 56;
		v3 ^= m;
		for (int round = 0; round < (i == len / 8 ? 6 : 2); round++) {
			if (round == 2) {
				v0 ^= m;
				v2 ^= 0xff;
			}
			v0 += v1, v1 = rotl(v1, 13) ^ v0, v0 = rotl(v0, 32);
			v2 += v3, v3 = rotl(v3, 16) ^ v2;
			v0 += v3, v3 = rotl(v3, 21) ^ v0;
			v2 += v1, v1 = rotl(v1, 17) ^ v2, v2 = rotl(v2, 32);
		}
		if (i < len / 8)
			v0 ^= m;
	}
	return v0 ^ v1 ^ v2 ^ v3;
}

static void tag_is_siphash_2_4_of_the_first_72_bytes(void **state)
{
	uint8_t vector[15];
	struct wire_msg wire;
	uint64_t tag;

	/* The paper's own test vector, appendix A, proves the reference above. */
	for (int i = 0; i < 15; i++)
		vector[i] = (uint8_t)i;
	assert_int_equal(siphash24(vector, 15, key.k0, key.k1), 0xa129ca6149be45e5);

	msg_seal(&sample, &key, &wire);
	tag = siphash24((const uint8_t *)&wire, WIRE_TAGGED_LEN, key.k0, key.k1);
	for (int i = 0; i < 8; i++)
		assert_int_equal(wire.tag[i], (uint8_t)(tag >> (8 * i)));
}

static void what_was_sealed_opens_to_the_same(void **state)
{
	const struct siphash_key keys[] = {other, {0, 0}, key};
	struct wire_msg wire;
	struct msg msg;

	msg_seal(&sample, &key, &wire);
	memset(&msg, 0, sizeof(msg));
	assert_int_equal(msg_open(&wire, sizeof(wire), keys, 3, &msg), 0);
	assert_memory_equal(&msg, &sample, sizeof(msg));
}

static void a_single_changed_bit_anywhere_is_refused(void **state)
{
	struct wire_msg wire;
	struct msg msg, before;

	memset(&msg, 0x3c, sizeof(msg));
	before = msg;
	msg_seal(&sample, &key, &wire);
	for (size_t bit = 0; bit < sizeof(wire) * 8; bit++) {
		uint8_t *bytes = (uint8_t *)&wire;
		int r;

		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		r = msg_open(&wire, sizeof(wire), &key, 1, &msg);
		assert_true(r == -EBADMSG || r == -EPROTO);
		if (bit >= 32)
			assert_int_equal(r, -EBADMSG);
		assert_memory_equal(&msg, &before, sizeof(msg));
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

static void wrong_length_type_and_key_are_told_apart(void **state)
{
	const struct siphash_key empty[] = {{0, 0}, {0, 0}};
	uint8_t longer[sizeof(struct wire_msg) + 1] = {0};
	struct msg bad = sample, msg;
	struct wire_msg wire;

	msg_seal(&sample, &key, &wire);
	memcpy(longer, &wire, sizeof(wire));
	for (size_t len = 0; len < sizeof(longer); len++)
		if (len != sizeof(wire))
			assert_int_equal(msg_open(longer, len, &key, 1, &msg), -EMSGSIZE);
	assert_int_equal(msg_open(&wire, sizeof(wire), &other, 1, &msg), -EBADMSG);
	assert_int_equal(msg_open(&wire, sizeof(wire), empty, 2, &msg), -EBADMSG);
	assert_int_equal(msg_open(&wire, sizeof(wire), &key, 0, &msg), -EBADMSG);
	bad.type = WIRE_RESIGN + 1;
	msg_seal(&bad, &key, &wire);
	assert_int_equal(msg_open(&wire, sizeof(wire), &key, 1, &msg), -EPROTO);
	bad.type = 0;
	msg_seal(&bad, &key, &wire);
	assert_int_equal(msg_open(&wire, sizeof(wire), &key, 1, &msg), -EPROTO);
}

/* What an empty slot would compute is a valid SipHash: it must not open anything. */
static void an_empty_key_slot_opens_nothing(void **state)
{
	const struct siphash_key empty = {0, 0};
	struct wire_msg wire;
	struct msg msg;

	msg_seal(&sample, &empty, &wire);
	assert_int_equal(msg_open(&wire, sizeof(wire), &empty, 1, &msg), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(fields_are_in_network_order_where_the_format_says),
	        cmocka_unit_test(tag_is_siphash_2_4_of_the_first_72_bytes),
	        cmocka_unit_test(what_was_sealed_opens_to_the_same),
	        cmocka_unit_test(a_single_changed_bit_anywhere_is_refused),
	        cmocka_unit_test(wrong_length_type_and_key_are_told_apart),
	        cmocka_unit_test(an_empty_key_slot_opens_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
