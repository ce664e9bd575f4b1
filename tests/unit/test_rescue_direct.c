/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The rescue by third-party call control, where only new media from phone to phone can
 * help: media = direct here, SDES at the end.
 */
#include "rescue_call.h"

static int setup_direct(void **state)
{
	return setup_with(200, true);
}

/* RFC 3725's flow I: first the caller, then the callee, then both ACKs. */
static void offer_of_one_phone_becomes_the_others(void **state)
{
	caller_is_asked();
	assert_int_equal(da->state, DIALOG_RESCUING);
	ASSERT_HAS(a, "INVITE sip:ann@192.0.2.99:9;ob SIP/2.0\r\n");
	ASSERT_HAS(a, "From: <sip:100@b.example>;tag=s1\r\n");
	ASSERT_HAS(a, "To: \"Ann A\" <sip:ann@a.example;user=phone>;tag=a1\r\n");
	ASSERT_HAS(a, "Call-ID: call-a\r\n");
	ASSERT_HAS(a, "CSeq: 100 INVITE\r\n"); /* the server had used none */
	ASSERT_HAS(a, "Contact: <sip:sipflip@" VIP ":5060>\r\n");
	ASSERT_HAS(a, "Content-Length: 0\r\n");
	ASSERT_HAS_NOT(a, "Route:");
	assert_true(progress.first_reinvite_ns > 0);
	assert_true(silent(&b));

	answer(&a, "200 OK", SDP_A);
	hear(&b);
	ASSERT_HAS(b, "INVITE sip:bob@192.0.2.98:9 SIP/2.0\r\n");
	ASSERT_HAS(b, "From: <sip:ann@a.example>;tag=s2\r\n");
	ASSERT_HAS(b, "To: <sip:100@b.example>;tag=b2\r\n");
	ASSERT_HAS(b, "CSeq: 600 INVITE\r\n");
	ASSERT_HAS(b, "o=srv 80 9 IN IP4 " VIP "\r\n"); /* goes on from the one the phone knows */
	ASSERT_HAS(b, "m=audio 4000 RTP/AVP 0\r\n");
	ASSERT_HAS(b, "c=IN IP4 127.0.0.1\r\n");

	answer(&b, "200 OK", SDP_B);
	hear(&a);
	ASSERT_HAS(a, "ACK sip:phone@127.0.0.1");
	ASSERT_HAS(a, "CSeq: 100 ACK\r\n");
	ASSERT_HAS(a, "o=srv 70 8 IN IP4 " VIP "\r\n");
	ASSERT_HAS(a, "m=audio 6000 RTP/AVP 0\r\n");
	hear(&b);
	ASSERT_HAS(b, "ACK sip:phone@127.0.0.1");
	ASSERT_HAS(b, "CSeq: 600 ACK\r\n");
	ASSERT_HAS_NOT(b, "m=audio");
	assert_int_equal(da->state, DIALOG_RESCUED);
	assert_int_equal(db->state, DIALOG_RESCUED);
	assert_int_equal(progress.calls, 1);
	assert_int_equal(progress.rescued, 1);
	assert_int_equal(rescue_outcome(rescue, 0)->result, 1);
	assert_int_equal(rescue_outcome(rescue, 0)->status_a, 200);
	assert_int_equal(rescue_outcome(rescue, 0)->status_b, 200);
	assert_null(rescue_outcome(rescue, 1));
}

static void second_leg_that_is_gone_gives_the_first_an_answer_and_a_bye(void **state)
{
	caller_is_asked();
	answer(&a, "200 OK", SDP_A);
	hear(&b);
	answer(&b, "481 No Such Dialog", NULL);
	hear(&a);
	ASSERT_HAS(a, "CSeq: 100 ACK\r\n");
	ASSERT_HAS(a, "o=srv 70 8 IN IP4 " VIP "\r\n");
	ASSERT_HAS(a, "m=audio 20000 RTP/AVP 0\r\n"); /* where the server's media was */
	hear(&a);
	ASSERT_HAS(a, "BYE ");
	ASSERT_HAS(a, "Reason: SIP;cause=481\r\n");
}

static void phone_that_hangs_up_meanwhile_ends_the_other(void **state)
{
	caller_is_asked();
	answer(&a, "200 OK", SDP_A);
	hear(&b);
	/* heard at the new server, which knows nothing of it */
	dialog_set_state(&table, db, DIALOG_ENDED, now());
	rescue_note(rescue, db);
	hear(&a);
	ASSERT_HAS(a, "ACK ");
	hear(&a);
	ASSERT_HAS(a, "BYE ");
	assert_int_equal(progress.failed, 1);
}

static void refusal_leaves_both_legs_but_fails(void **state)
{
	caller_is_asked();
	answer(&a, "488 Not Acceptable Here", NULL);
	hear(&a); /* ACK of the refusal */
	ASSERT_HAS(a, "ACK ");
	assert_true(silent(&b));
	assert_int_equal(progress.failed, 1);
	assert_int_equal(da->state, DIALOG_RESCUED);
	assert_int_equal(db->state, DIALOG_RESCUED);
	assert_string_equal(rescue_outcome(rescue, 0)->text,
	                    "caller refused the re-INVITE (488): both legs left as they were");
}

/* RFC 3725 4.1: the caller's 200 needs its answer all the same. */
static void refusal_of_the_second_leg_leaves_both_with_what_they_were_told(void **state)
{
	caller_is_asked();
	answer(&a, "200 OK", SDP_A);
	hear(&b);
	ASSERT_HAS(b, "o=srv 80 9 IN IP4 ");
	answer(&b, "488 Not Acceptable Here", NULL);
	hear(&a);
	ASSERT_HAS(a, "CSeq: 100 ACK\r\n");
	ASSERT_HAS(a, "m=audio 20000 RTP/AVP 0\r\n"); /* where the server's media was */
	hear(&b);
	ASSERT_HAS(b, "CSeq: 600 ACK\r\n");
	assert_true(silent(&a));
	assert_true(silent(&b));
	assert_int_equal(da->state, DIALOG_RESCUED);
	assert_int_equal(db->state, DIALOG_RESCUED);
	/* the offer never was, but its version is used up */
	assert_int_equal(db->sdp_out_len, strlen(SDP("srv", "80", "9", VIP, "20002", "")));
	assert_memory_equal(db->sdp_out, SDP("srv", "80", "9", VIP, "20002", ""), db->sdp_out_len);
	assert_int_equal(progress.failed, 1);
	assert_int_equal(rescue_outcome(rescue, 0)->status_b, 488);
	assert_string_equal(rescue_outcome(rescue, 0)->text,
	                    "callee refused the re-INVITE (488): both legs left as they were");
}

/* RFC 3261 14.1: each after the time that is its own. */
static void glare_of_either_leg_is_tried_again(void **state)
{
	caller_is_asked();
	answer(&a, "491 Request Pending", NULL);
	hear(&a);
	ASSERT_HAS(a, "CSeq: 100 ACK\r\n");
	hear(&a);
	ASSERT_HAS(a, "CSeq: 101 INVITE\r\n");
	answer(&a, "200 OK", SDP_A);
	hear(&b);
	answer(&b, "491 Request Pending", NULL);
	hear(&b);
	ASSERT_HAS(b, "CSeq: 600 ACK\r\n");
	assert_memory_equal(db->sdp_out, SDP("srv", "80", "9", VIP, "20002", ""), db->sdp_out_len);
	assert_true(silent(&a)); /* its answer waits for the other's */
	hear(&b);
	ASSERT_HAS(b, "CSeq: 601 INVITE\r\n");
	ASSERT_HAS(b, "o=srv 80 10 IN IP4 " VIP "\r\n");
	ASSERT_HAS(b, "m=audio 4000 RTP/AVP 0\r\n");
	answer(&b, "200 OK", SDP_B);
	hear(&a);
	ASSERT_HAS(a, "CSeq: 101 ACK\r\n");
	ASSERT_HAS(a, "m=audio 6000 RTP/AVP 0\r\n");
	assert_int_equal(progress.rescued, 1);
}

static void second_takeover_goes_on_above_the_first(void **state)
{
	rescued_call();
	rescue_stop(rescue);
	take_over();
	hear(&a);
	ASSERT_HAS(a, "CSeq: 200 INVITE\r\n");
	ASSERT_HAS(a, "INVITE sip:phone@127.0.0.1"); /* its Contact of the first rescue */
}

static void leg_that_is_gone_ends_the_other_with_the_reason(void **state)
{
	caller_is_asked();
	answer(&a, "481 No Such Dialog", NULL);
	hear(&b);
	ASSERT_HAS(b, "BYE sip:bob@192.0.2.98:9 SIP/2.0\r\n");
	ASSERT_HAS(b, "CSeq: 600 BYE\r\n");
	ASSERT_HAS(b, "Reason: SIP;cause=481\r\n");
	assert_int_equal(progress.failed, 1);
	assert_int_equal(rescue_outcome(rescue, 0)->status_a, 481);
}

#define KEY(letter)                                                                                          \
	"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" letter "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\r\n"
#define SAVP(o, host, port, letter)                                                                          \
	"v=0\r\no=" o " IN IP4 " host "\r\ns=-\r\nc=IN IP4 " host "\r\nt=0 0\r\nm=audio " port               \
	" RTP/SAVP 0\r\n" KEY(letter)

/* The media stays on the VIP's ports, but the keys are the phones' own from now on. */
static void sdes_keys_go_end_to_end_through_the_relay(void **state)
{
	da = enter(&a, SAVP("ann 1 1", "127.0.0.1", "4000", "a"), SAVP("srv 70 7", VIP, "20000", "s"));
	db = enter(&b, SAVP("bob 2 2", "127.0.0.2", "6000", "b"), SAVP("srv 80 8", VIP, "20002", "t"));
	dialog_set_paired(&table, da, db, PAIRED_HEADER);
	take_over();
	hear(&a);
	ASSERT_HAS_NOT(a, "m=audio");
	answer(&a, "200 OK", SAVP("ann 1 2", "127.0.0.1", "4000", "A"));
	hear(&b);
	ASSERT_HAS(b, "o=srv 80 9 IN IP4 ");
	ASSERT_HAS(b, "c=IN IP4 " VIP "\r\n");
	ASSERT_HAS(b, "m=audio 20002 RTP/SAVP 0\r\n");
	ASSERT_HAS(b, KEY("A"));
	answer(&b, "200 OK", SAVP("bob 2 3", "127.0.0.2", "6000", "B"));
	hear(&a);
	ASSERT_HAS(a, "ACK ");
	ASSERT_HAS(a, "m=audio 20000 RTP/SAVP 0\r\n");
	ASSERT_HAS(a, KEY("B"));
	assert_int_equal(progress.rescued, 1);
}

#define D(name) cmocka_unit_test_setup_teardown(name, setup_direct, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        D(offer_of_one_phone_becomes_the_others),
	        D(second_leg_that_is_gone_gives_the_first_an_answer_and_a_bye),
	        D(phone_that_hangs_up_meanwhile_ends_the_other),
	        D(refusal_leaves_both_legs_but_fails),
	        D(refusal_of_the_second_leg_leaves_both_with_what_they_were_told),
	        D(glare_of_either_leg_is_tried_again),
	        D(second_takeover_goes_on_above_the_first),
	        D(leg_that_is_gone_ends_the_other_with_the_reason),
	        T(sdes_keys_go_end_to_end_through_the_relay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
