/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The voters' messages in user space. Bytes that nobody sealed do not open; the same
 * fields sealed here open under each accepted key, as they were, and not with one bit
 * of theirs changed.
 */
#include "fuzz.h"

#include <errno.h>
#include <sodium.h>

#include "msg.h"

static const struct siphash_key keys[KEY_SLOTS] = {{0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL},
                                                   {0xdeadbeefcafef00dULL, 0x0123456789abcdefULL}};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	return sodium_init() < 0;
}

static bool same(const struct msg *a, const struct msg *b)
{
	return a->type == b->type && a->service == b->service && a->sender == b->sender &&
	       a->target == b->target && a->detail == b->detail && a->epoch == b->epoch && a->seq == b->seq &&
	       a->sender_inc == b->sender_inc && a->target_inc == b->target_inc && a->sent_ns == b->sent_ns &&
	       a->grant_ns == b->grant_ns && a->config_tag == b->config_tag && a->flags == b->flags &&
	       a->ok_age_us == b->ok_age_us && a->turn_age_us == b->turn_age_us;
}

/* `at` says which key seals, and which bit is changed. */
static void sealed(const struct wire_msg *as, uint16_t at)
{
	struct msg msg = {.type = as->type,
	                  .service = as->service,
	                  .sender = as->sender,
	                  .target = as->target,
	                  .detail = as->detail,
	                  .epoch = as->epoch,
	                  .seq = as->seq,
	                  .sender_inc = as->sender_inc,
	                  .target_inc = as->target_inc,
	                  .sent_ns = as->sent_ns,
	                  .grant_ns = as->grant_ns,
	                  .config_tag = as->config_tag,
	                  .flags = as->flags,
	                  .ok_age_us = as->ok_age_us,
	                  .turn_age_us = as->turn_age_us},
	           got, untouched;
	struct wire_msg wire;
	unsigned int bit = at % (8 * sizeof(wire));
	int rc;

	memset(&got, 0x5a, sizeof(got));
	untouched = got;
	msg_seal(&msg, &keys[at & 1], &wire);
	rc = msg_open(&wire, sizeof(wire), keys, KEY_SLOTS, &got);
	if (msg.type < WIRE_ECHO || msg.type > WIRE_RESIGN) {
		CHECK(rc == -EPROTO);
		return;
	}
	CHECK(!rc && same(&got, &msg));
	got = untouched;
	((uint8_t *)&wire)[bit / 8] ^= (uint8_t)(1 << bit % 8);
	CHECK(msg_open(&wire, sizeof(wire), keys, KEY_SLOTS, &got) < 0);
	CHECK(!memcmp(&got, &untouched, sizeof(got)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wire_msg wire;
	struct msg got;
	int rc = msg_open(data, size, keys, KEY_SLOTS, &got);

	CHECK(rc == (size != sizeof(wire) ? -EMSGSIZE : rc));
	/* the corpus has a few that are really sealed: those must be what they say */
	if (!rc) {
		struct wire_msg again[KEY_SLOTS];

		for (int i = 0; i < KEY_SLOTS; i++)
			msg_seal(&got, &keys[i], &again[i]);
		CHECK(!memcmp(data, &again[0], size) || !memcmp(data, &again[1], size));
	}
	if (size < 2)
		return 0;
	memset(&wire, 0, sizeof(wire));
	memcpy(&wire, data, size < sizeof(wire) ? size : sizeof(wire));
	sealed(&wire, (uint16_t)(data[size - 1] | data[size - 2] << 8));
	return 0;
}
