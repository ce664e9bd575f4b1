/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A call that rang, with reliable 1xx (RFC 3262) of the server that died: PRACKs find somebody. */
#include "ring_call.h"

#define RELIABLE(rseq) "Require: 100rel\r\nRSeq: " #rseq "\r\n"
#define SDP_A2         SDP("ann", "1", "2", "127.0.0.1", "4400", "")

/* ann was told 183 with this RSeq; bob has answered with 180. */
static void ringing_reliably(void)
{
	called_in(&a, "Supported: 100rel\r\n", SDP_A);
	called_out(&b, SDP_B_O);
	db = phone_said(&b, "180 Ringing", "", NULL);
	da = server_said(&a, "183 Session Progress", RELIABLE(5), SDP_SRV);
	pair(da, db);
	take_over();
	hear(&b, "INVITE");
	answer(&b, "180 Ringing", NULL);
}

/* Neither INVITE had an offer: bob made one in a reliable 183, and so did the server to ann. */
static void ringing_with_late_offer(void)
{
	called_in(&a, "Supported: 100rel\r\n", NULL);
	called_out(&b, NULL);
	db = phone_said(&b, "183 Session Progress", RELIABLE(9), SDP_B);
	da = server_said(&a, "183 Session Progress", RELIABLE(5), SDP_SRV);
	pair(da, db);
	take_over();
	hear(&b, "INVITE");
}

static void bob_picks_up(const char *sdp)
{
	back_to_invite(&b);
	answer(&b, "200 OK", sdp);
	hear(&b, "ACK");
	hear(&a, "SIP/2.0 200");
}

static void prack_of_the_dead_servers_progress_is_answered(void **state)
{
	ringing_reliably();
	ask(&a, "PRACK", 12, "z9hG4bKpr", "s-a", "RAck: 5 11 INVITE\r\n", NULL);
	hear(&a, "SIP/2.0 ");
	ASSERT_HAS(a, "SIP/2.0 200 ");
	ASSERT_HAS(a, "CSeq: 12 PRACK\r\n");
	ASSERT_HAS_NOT(a, "m=");
	ask(&a, "PRACK", 12, "z9hG4bKpr", "s-a", "RAck: 5 11 INVITE\r\n", NULL); /* once more */
	hear(&a, "SIP/2.0 200");
	ASSERT_COUNT(rescue_ring_pracked, 1);
	assert_int_equal(da->remote_cseq, 12);
	bob_picks_up(SDP_B);
	ASSERT_HAS(a, "CSeq: 11 INVITE\r\n");
	ASSERT_HAS(a, "m=audio 20000 RTP/AVP 0\r\n");
	assert_int_equal(da->state, DIALOG_RESCUED);
}

/* The dead server's last RSeq may not have got to this node. */
static void prack_of_progress_that_was_not_seen_is_answered(void **state)
{
	ringing_reliably();
	ask(&a, "PRACK", 12, "", "s-a", "RAck: 6 11 INVITE\r\n", NULL);
	hear(&a, "SIP/2.0 ");
	ASSERT_HAS(a, "SIP/2.0 200 ");
}

static void prack_of_another_invite_is_refused(void **state)
{
	ringing_reliably();
	ask(&a, "PRACK", 12, "", "s-a", "RAck: 5 10 INVITE\r\n", NULL);
	hear(&a, "SIP/2.0 ");
	ASSERT_HAS(a, "SIP/2.0 481 ");
	ask(&a, "PRACK", 13, "", "s-other", "RAck: 5 11 INVITE\r\n", NULL);
	hear(&a, "SIP/2.0 ");
	ASSERT_HAS(a, "SIP/2.0 481 ");
	ASSERT_HAS(a, "CSeq: 13 PRACK\r\n");
	ASSERT_COUNT(rescue_ring_pracked, 0);
	assert_int_equal(da->state, DIALOG_EARLY);
}

static void prack_that_comes_after_the_answer_is_answered(void **state)
{
	ringing_reliably();
	bob_picks_up(SDP_B);
	ask(&a, "ACK", 11, "", "s-a", "", NULL);
	until_acked(da);
	ask(&a, "PRACK", 12, "", "s-a", "RAck: 5 11 INVITE\r\n", NULL);
	hear(&a, "SIP/2.0 ");
	ASSERT_HAS(a, "SIP/2.0 200 ");
	ask(&a, "PRACK", 13, "", "s-a", "RAck: 6 11 INVITE\r\n", NULL); /* never said */
	hear(&a, "SIP/2.0 ");
	ASSERT_HAS(a, "SIP/2.0 481 ");
	assert_int_equal(da->state, DIALOG_RESCUED);
}

static void answer_in_a_prack_reaches_the_callee_that_offered(void **state)
{
	ringing_with_late_offer();
	answer_with(&b, "183 Session Progress", "t-bob", RELIABLE(9), SDP_B);
	assert_true(never_hears(&b, "PRACK")); /* what it would have to say is not known yet */
	ask(&a, "PRACK", 12, "", "s-a", "RAck: 5 11 INVITE\r\n", SDP_A);
	hear(&a, "SIP/2.0 200");
	ASSERT_HAS(a, "CSeq: 12 PRACK\r\n");
	ASSERT_HAS_NOT(a, "m="); /* an answer is not answered */
	hear(&b, "PRACK sip:bob@127.0.0.1");
	ASSERT_HAS(b, "RAck: 9 77 INVITE\r\n");
	ASSERT_HAS(b, "m=audio 4000 RTP/AVP 0\r\n"); /* no relay in this test */
	answer(&b, "200 OK", NULL);
	assert_non_null(memmem(db->sdp_out, db->sdp_out_len, "m=audio 4000 ", 13)); /* for the next offer */
	bob_picks_up(NULL);
	ASSERT_HAS_NOT(b, "m="); /* offer and answer are done (RFC 3261 13.2.1) */
	ASSERT_HAS(a, "CSeq: 11 INVITE\r\n");
	ASSERT_HAS_NOT(a, "m=");
	ASSERT_COUNT(rescue_ring_pracks, 1);
	assert_int_equal(da->state, DIALOG_RESCUED);
}

/* The PRACK got to the server, which died before it told bob. */
static void answer_that_the_dead_server_had_heard_reaches_the_callee(void **state)
{
	called_in(&a, "Supported: 100rel\r\n", NULL);
	called_out(&b, NULL);
	db = phone_said(&b, "183 Session Progress", RELIABLE(9), SDP_B);
	da = server_said(&a, "183 Session Progress", RELIABLE(5), SDP_SRV);
	pair(da, db);
	dialog_set_sdp_in(&table, da, SDP_A, strlen(SDP_A));
	take_over();
	hear(&b, "INVITE");
	answer_with(&b, "183 Session Progress", "t-bob", RELIABLE(9), SDP_B);
	hear(&b, "PRACK");
	ASSERT_HAS(b, "m=audio 4000 RTP/AVP 0\r\n");
	ask(&a, "PRACK", 12, "", "s-a", "RAck: 5 11 INVITE\r\n", SDP_A); /* its 200 was lost */
	hear(&a, "SIP/2.0 200");
	ASSERT_HAS_NOT(a, "m=");
	assert_true(never_hears(&b, "PRACK"));
}

/* RFC 3262 section 5: what the server had said last is the answer that can be given at once. */
static void offer_in_a_prack_is_answered_in_its_200(void **state)
{
	ringing_reliably();
	ask(&a, "PRACK", 12, "", "s-a", "RAck: 5 11 INVITE\r\n", SDP_A2);
	hear(&a, "SIP/2.0 200");
	ASSERT_HAS(a, "CSeq: 12 PRACK\r\n");
	ASSERT_HAS(a, "Content-Type: application/sdp\r\n");
	ASSERT_HAS(a, "o=srv 1 ");
	ASSERT_HAS(a, "m=audio 20000 RTP/AVP 0\r\n");
	assert_non_null(memmem(da->sdp_in, da->sdp_in_len, "m=audio 4400 ", 13));
	assert_true(never_hears(&b, "UPDATE"));
	bob_picks_up(SDP_B);
	assert_int_equal(da->state, DIALOG_RESCUED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(prack_of_the_dead_servers_progress_is_answered),
	        T(prack_of_progress_that_was_not_seen_is_answered),
	        T(prack_of_another_invite_is_refused),
	        T(prack_that_comes_after_the_answer_is_answered),
	        T(answer_in_a_prack_reaches_the_callee_that_offered),
	        T(answer_that_the_dead_server_had_heard_reaches_the_callee),
	        T(offer_in_a_prack_is_answered_in_its_200),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
