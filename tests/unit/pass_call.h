/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A call between two phones from the moment of the flip, none of its legs has been
 * re-INVITEd: the set-up of test_rescue_pass*.c only.
 */
#ifndef SIPFLIP_TEST_PASS_CALL_H
#define SIPFLIP_TEST_PASS_CALL_H

#include "../../user/calls/rescue_agent.h"
#include "rescue_phones.h"

#define SAID_A SDP("ann", "1", "1", "127.0.0.1", "4000", "")
#define TOLD_A SDP("srv", "70", "7", VIP, "20000", "")
#define SAID_B SDP("bob", "2", "2", "127.0.0.2", "6000", "")
#define TOLD_B SDP("srv", "80", "8", VIP, "20002", "")
#define HOLD_A SDP("ann", "1", "2", "127.0.0.1", "4000", "a=sendonly\r\n")
#define BACK_A SDP("ann", "1", "3", "127.0.0.1", "4000", "")
#define HELD_B SDP("bob", "2", "3", "127.0.0.2", "6000", "a=recvonly\r\n")
#define HOLD_B SDP("bob", "2", "3", "127.0.0.2", "6000", "a=sendonly\r\n")
#define HELD_A SDP("ann", "1", "2", "127.0.0.1", "4000", "a=recvonly\r\n")

static struct phone a, b;
static struct dialog *da, *db;
static bool phones_silent; /* no phone's media is heard */

static inline bool are_silent(void *context, const struct dialog *dialog, struct mono since)
{
	return phones_silent;
}

/* Two legs of one call. */
static inline struct dialog *enter_call(const struct phone *caller, const struct phone *callee)
{
	struct dialog *d = enter(caller, SAID_A, TOLD_A);

	dialog_set_paired(&table, d, enter(callee, SAID_B, TOLD_B), PAIRED_HEADER);
	return d;
}

static inline int setup(void **state)
{
	static const struct rescue_callbacks callbacks = {.silent = are_silent};
	struct keeper_conf conf = {.name = "pbx", .rescue_rate = 200};

	phones_silent = false;
	phone_open(&a, "call-a", false);
	phone_open(&b, "call-b", true);
	if (stage_open(&conf, &callbacks))
		return -1;
	da = enter_call(&a, &b);
	db = dialog_peer(&table, da);
	return 0;
}

static inline int teardown(void **state)
{
	stage_close();
	close(a.fd);
	close(b.fd);
	return 0;
}

/* One more call, with the caller's leg returned; who asks for it closes the sockets. */
static inline struct dialog *other_call(struct phone *caller, struct phone *callee)
{
	static char ids[32][32];
	static unsigned int n;
	char *id = ids[n++ % 16 * 2];

	snprintf(id, sizeof(ids[0]), "other-%u-caller", n);
	snprintf(id + sizeof(ids[0]), sizeof(ids[0]), "other-%u-callee", n);
	phone_open(caller, id, false);
	phone_open(callee, id + sizeof(ids[0]), true);
	return enter_call(caller, callee);
}

/* The first phone's offer with CSeq 501 has reached the second; returns its branch. */
static inline const char *hold_reaches_b(void)
{
	const char *branch = ASK(&a, .method = "INVITE", .cseq = 501, .body = HOLD_A);

	hear(&b);
	return branch;
}

/* An exchange is left over. */
static inline bool rescue_is_busy(void)
{
	return rescue_pass_involves(rescue, da) || rescue_pass_involves(rescue, db);
}

static inline void until_rescue_is_idle(void)
{
	int64_t end = now().ns + DEADLINE_MS * NS_PER_MS;

	while (rescue_is_busy() && now().ns < end)
		turn();
	assert_false(rescue_is_busy());
}

#define ASSERT_SAID(d, text)     assert_non_null(memmem((d)->sdp_in, (d)->sdp_in_len, text, strlen(text)))
#define ASSERT_TOLD(d, text)     assert_non_null(memmem((d)->sdp_out, (d)->sdp_out_len, text, strlen(text)))
#define ASSERT_NOT_TOLD(d, text) assert_null(memmem((d)->sdp_out, (d)->sdp_out_len, text, strlen(text)))

#endif
