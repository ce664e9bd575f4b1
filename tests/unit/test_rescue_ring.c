/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A call that rang when its server died: the callee rings on, and its answer reaches the caller. */
#include "ring_call.h"

static void callee_hears_the_same_invite_again(void **state)
{
	ringing();
	take_over();
	hear(&b, "INVITE sip:bob@127.0.0.1");
	ASSERT_HAS(b, "Via: SIP/2.0/UDP " VIP ":5060;branch=z9hG4bKout-bob;rport\r\n");
	ASSERT_HAS(b, "From: \"P\" <sip:ann@example>;tag=s-b\r\n");
	ASSERT_HAS(b, "To: <sip:bob@example>\r\n");
	ASSERT_HAS(b, "CSeq: 77 INVITE\r\n");
	ASSERT_HAS(b, "X-Kept: as it was\r\n");
	ASSERT_HAS(b, "m=audio 20002 RTP/AVP 0\r\n");
	assert_null(strstr(strstr(b.got, "Via:") + 4, "Via:"));
	ASSERT_COUNT(rescue_ring_calls, 1);
}

static void ringing_call_is_answered(void **state)
{
	char contact[64], via[128];

	snprintf(contact, sizeof(contact), "Contact: <sip:sipflip@" VIP ":%u>\r\n", server.port);
	/* RFC 3581: where it came from, as the dead server would have said */
	snprintf(via, sizeof(via), "Via: SIP/2.0/UDP 127.0.0.1:%u;branch=z9hG4bKin-ann;rport=%u\r\n", a.port,
	         a.port);
	rings_through();
	ASSERT_HAS(a, via);
	ASSERT_HAS_NOT(a, "received=");
	ASSERT_HAS(a, "Via: SIP/2.0/UDP 192.0.2.77:5099;branch=z9hG4bKfar\r\n");
	ASSERT_HAS(a, "To: <sip:100@example>;tag=s-a\r\n"); /* as the dead server had it */
	ASSERT_HAS(a, "CSeq: 11 INVITE\r\n");
	answer(&b, "200 OK", SDP_B);
	hear(&b, "ACK sip:bob@127.0.0.1");
	ASSERT_HAS(b, "CSeq: 77 ACK\r\n");
	ASSERT_HAS(b, "tag=t-bob");
	ASSERT_HAS(b, "tag=s-b");
	hear(&a, "SIP/2.0 200");
	ASSERT_HAS(a, "To: <sip:100@example>;tag=s-a\r\n");
	ASSERT_HAS(a, "Record-Route: <sip:127.0.0.1");
	ASSERT_HAS(a, contact);
	ASSERT_HAS(a, "m=audio 6000 RTP/AVP 0\r\n"); /* no relay in this test: the other phone's own */
	assert_int_equal(da->state, DIALOG_RESCUED);
	assert_int_equal(db->state, DIALOG_RESCUED);
	assert_int_equal(da->origin, 0);
	assert_int_equal(db->origin, 0);
	assert_ptr_equal(dialog_peer(&table, da), db);
	ask(&a, "ACK", 11, "", "s-a", "", NULL);
	until_acked(da);
	ASSERT_COUNT(rescue_ring_answered, 1);
	assert_true(never_hears(&a, "SIP/2.0 200")); /* acknowledged: not repeated */
	assert_true(never_hears(&b, "BYE"));
}

static void answered_call_is_hung_up_like_any_other(void **state)
{
	rings_again();
	answer(&b, "200 OK", SDP_B);
	hear(&b, "ACK");
	hear(&a, "SIP/2.0 200");
	ask(&a, "ACK", 11, "", "s-a", "", NULL);
	ask(&a, "BYE", 12, "", "s-a", "", NULL);
	hear(&a, "SIP/2.0 200");
	hear(&b, "BYE sip:bob@127.0.0.1");
	assert_int_equal(da->state, DIALOG_ENDED);
	assert_int_equal(db->state, DIALOG_ENDED);
}

static void caller_who_repeats_its_invite_gets_the_last_response(void **state)
{
	rings_through();
	ask(&a, "INVITE", 11, "z9hG4bKin-ann", "", "", SDP_A);
	hear(&a, "SIP/2.0 180");
	assert_true(never_hears(&b, "CANCEL"));
}

static void unacknowledged_answer_is_repeated(void **state)
{
	rings_again();
	answer(&b, "200 OK", SDP_B);
	hear(&a, "SIP/2.0 200");
	hear(&a, "SIP/2.0 200");
	hear(&a, "SIP/2.0 200");
}

static void repeated_answer_of_the_callee_is_acknowledged_again(void **state)
{
	rings_again();
	answer(&b, "200 OK", SDP_B);
	hear(&b, "ACK");
	back_to_invite(&b);
	answer(&b, "200 OK", SDP_B);
	hear(&b, "ACK");
	ASSERT_COUNT(rescue_ring_answered, 1);
}

static void early_answer_is_repeated_in_the_200(void **state)
{
	called_in(&a, "", SDP_A);
	called_out(&b, SDP_B_O);
	db = phone_said(&b, "183 Session Progress", "", SDP_B);
	da = server_said(&a, "183 Session Progress", "", SDP_SRV);
	pair(da, db);
	take_over();
	hear(&b, "INVITE");
	answer(&b, "200 OK", SDP_B);
	hear(&a, "SIP/2.0 200");
	ASSERT_HAS(a, "o=srv 1 7 IN IP4 " VIP "\r\n");
	ASSERT_HAS(a, "m=audio 20000 RTP/AVP 0\r\n");
}

static void progress_with_sdp_reaches_the_caller(void **state)
{
	rings_again();
	answer(&b, "183 Session Progress", SDP_B);
	hear(&a, "SIP/2.0 183");
	ASSERT_HAS(a, "m=audio 6000 RTP/AVP 0\r\n");
	answer_with(&b, "200 OK", "t-bob", "", NULL); /* the answer was said already */
	hear(&a, "SIP/2.0 200");
	ASSERT_HAS(a, "m=audio 6000 RTP/AVP 0\r\n");
}

static void reliable_progress_is_acknowledged(void **state)
{
	rings_again();
	answer_with(&b, "183 Session Progress", "t-bob", "Require: 100rel\r\nRSeq: 9\r\n", SDP_B);
	hear(&b, "PRACK sip:bob@127.0.0.1");
	ASSERT_HAS(b, "RAck: 9 77 INVITE\r\n");
	ASSERT_HAS(b, "tag=t-bob");
	answer(&b, "200 OK", NULL);
	hear(&a, "SIP/2.0 183");
	ASSERT_HAS_NOT(a, "RSeq");
	ASSERT_COUNT(rescue_ring_pracks, 1);
	back_to_invite(&b); /* once more, as its PRACK was not there yet */
	answer_with(&b, "183 Session Progress", "t-bob", "Require: 100rel\r\nRSeq: 9\r\n", SDP_B);
	assert_true(never_hears(&b, "PRACK"));
	ASSERT_COUNT(rescue_ring_pracks, 1);
}

static void fork_behind_a_proxy_answers(void **state)
{
	rings_again();
	answer_with(&b, "183 Session Progress", "t-bob", "Require: 100rel\r\nRSeq: 9\r\n", SDP_B);
	hear(&b, "PRACK sip:bob@127.0.0.1");
	back_to_invite(&b);
	answer_with(&b, "183 Session Progress", "t-other", "Require: 100rel\r\nRSeq: 9\r\n", SDP_B);
	hear(&b, "PRACK sip:bob@127.0.0.1");
	ASSERT_HAS(b, "tag=t-other");
	back_to_invite(&b);
	answer_with(&b, "200 OK", "t-other", "", SDP_B);
	hear(&b, "ACK");
	ASSERT_HAS(b, "tag=t-other");
	hear(&a, "SIP/2.0 200");
	assert_string_equal(dialog_peer(&table, da)->remote_tag, "t-other");
	assert_int_equal(da->state, DIALOG_RESCUED);
}

static void offer_of_the_callee_is_answered_by_the_caller(void **state)
{
	called_in(&a, "", NULL); /* neither INVITE had an offer */
	called_out(&b, NULL);
	db = phone_said(&b, "180 Ringing", "", NULL);
	da = server_said(&a, "180 Ringing", "", NULL);
	pair(da, db);
	take_over();
	hear(&b, "INVITE");
	answer(&b, "200 OK", SDP_B);
	hear(&a, "SIP/2.0 200");
	ASSERT_HAS(a, "m=audio 6000 RTP/AVP 0\r\n");
	assert_true(never_hears(&b, "ACK"));
	ask(&a, "ACK", 11, "", "s-a", "", SDP_A);
	hear(&b, "ACK");
	ASSERT_HAS(b, "m=audio 4000 RTP/AVP 0\r\n");
	assert_non_null(memmem(db->sdp_out, db->sdp_out_len, "m=audio 4000 ", 13)); /* for the next offer */
}

static void early_offer_in_update_is_put_off(void **state)
{
	rings_again();
	answer(&b, "180 Ringing", NULL);
	ask(&a, "UPDATE", 12, "", "s-a", "", SDP_A);
	hear(&a, "SIP/2.0 500");
	ASSERT_HAS(a, "Retry-After:");
	ask(&a, "UPDATE", 13, "", "s-a", "", NULL);
	hear(&a, "SIP/2.0 200");
	ASSERT_HAS(a, "CSeq: 13 UPDATE\r\n");
}

static void callee_that_answered_the_dead_server_connects_the_caller(void **state)
{
	ringing();
	phone_said(&b, "200 OK", "", SDP_B);
	assert_int_equal(db->state, DIALOG_CONFIRMED);
	take_over();
	hear(&a, "SIP/2.0 200");
	ASSERT_HAS(a, "m=audio 6000 RTP/AVP 0\r\n");
	assert_int_equal(da->state, DIALOG_RESCUED);
	assert_int_equal(db->state, DIALOG_RESCUED);
}

static void ringing_call_survives_a_second_takeover(void **state)
{
	rings_again();
	answer(&b, "183 Session Progress", SDP_B);
	hear(&a, "SIP/2.0 183");
	next_takeover();
	hear(&b, "INVITE");
	ASSERT_HAS(b, "branch=z9hG4bKout-bob");
	answer(&b, "200 OK", SDP_B);
	hear(&b, "ACK");
	hear(&a, "SIP/2.0 200");
	ASSERT_HAS(a, "To: <sip:100@example>;tag=s-a\r\n");
	ASSERT_HAS(a, "m=audio 6000 RTP/AVP 0\r\n");
	assert_int_equal(da->state, DIALOG_RESCUED);
}

/* RFC 4028 section 9: who answers says what was agreed. */
static void session_timer_that_the_caller_asked_for_is_in_the_200(void **state)
{
	called_in(&a, "Supported: timer\r\nSession-Expires: 600;refresher=uac\r\n", SDP_A);
	called_out(&b, SDP_B_O);
	db = phone_said(&b, "180 Ringing", "", NULL);
	da = server_said(&a, "180 Ringing", "", NULL);
	pair(da, db);
	take_over();
	hear(&b, "INVITE");
	answer(&b, "200 OK", SDP_B);
	hear(&a, "SIP/2.0 200");
	ASSERT_HAS(a, "Session-Expires: 600;refresher=uac\r\n");
	ASSERT_HAS(a, "Require: timer\r\n");
}

/* Two dialogs of one transaction: the callee's proxy had forked the INVITE before the server died. */
static void forked_callee_hears_one_invite(void **state)
{
	ringing();
	phone_said_as(&b, "t-other", "180 Ringing", "", NULL);
	assert_int_equal(table.used, 3);
	take_over();
	hear(&b, "INVITE");
	assert_true(never_hears(&b, "INVITE"));
	answer(&b, "200 OK", SDP_B);
	hear(&a, "SIP/2.0 200");
}

static void second_start_rings_nobody_twice(void **state)
{
	rings_through();
	rescue_start(rescue, 0x201, (uint64_t)now().ns, now());
	assert_true(never_hears(&b, "INVITE"));
	back_to_invite(&b);
	answer(&b, "200 OK", SDP_B);
	hear(&b, "ACK");
	hear(&a, "SIP/2.0 200");
	ASSERT_COUNT(rescue_ring_calls, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(callee_hears_the_same_invite_again),
	        T(ringing_call_is_answered),
	        T(answered_call_is_hung_up_like_any_other),
	        T(caller_who_repeats_its_invite_gets_the_last_response),
	        T(unacknowledged_answer_is_repeated),
	        T(repeated_answer_of_the_callee_is_acknowledged_again),
	        T(early_answer_is_repeated_in_the_200),
	        T(progress_with_sdp_reaches_the_caller),
	        T(reliable_progress_is_acknowledged),
	        T(fork_behind_a_proxy_answers),
	        T(offer_of_the_callee_is_answered_by_the_caller),
	        T(early_offer_in_update_is_put_off),
	        T(callee_that_answered_the_dead_server_connects_the_caller),
	        T(ringing_call_survives_a_second_takeover),
	        T(session_timer_that_the_caller_asked_for_is_in_the_200),
	        T(forked_callee_hears_one_invite),
	        T(second_start_rings_nobody_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
