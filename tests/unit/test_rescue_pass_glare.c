/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Offers across a rescued call that are taken back or meet something else under way:
 * CANCEL, a BYE, the other phone's offer, the rescue's own.
 */
#include "../../user/calls/rescue_pass.h"
#include "pass_call.h"

static void cancel_passes_across(void **state)
{
	const char *branch = hold_reaches_b();

	answer(&b, "180 Ringing", NULL);
	turn();
	ASK(&a, .method = "CANCEL", .cseq = 501, .branch = branch);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 200 OK");
	ASSERT_HAS(a, "CSeq: 501 CANCEL\r\n");
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 487 ");
	ASSERT_HAS(a, "CSeq: 501 INVITE\r\n");
	ASK(&a, .method = "ACK", .cseq = 501, .branch = branch);
	hear(&b);
	ASSERT_HAS(b, "CANCEL sip:phone@192.0.2.99:9 SIP/2.0\r\n");
	ASSERT_HAS(b, "CSeq: 600 CANCEL\r\n");
	answer(&b, "200 OK", NULL);
	back_to_invite(&b);
	answer(&b, "487 Request Terminated", NULL);
	hear(&b);
	ASSERT_HAS(b, "ACK ");
	assert_true(silent(&b));
	ASSERT_SAID(da, "o=ann 1 1 ");
	assert_false(rescue_is_busy());
	ASSERT_COUNT(rescue_passed_cancel, 1);
}

static void offer_cancelled_too_late_is_taken_back(void **state)
{
	const char *branch = hold_reaches_b();

	ASK(&a, .method = "CANCEL", .cseq = 501, .branch = branch);
	hear(&a);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 487 ");
	ASK(&a, .method = "ACK", .cseq = 501, .branch = branch);
	answer(&b, "200 OK", HELD_B);
	hear(&b);
	ASSERT_HAS(b, "CSeq: 600 ACK\r\n");
	hear(&b);
	ASSERT_HAS(b, "INVITE ");
	ASSERT_HAS(b, "o=srv 80 10 IN IP4 " VIP "\r\n");
	ASSERT_HAS_NOT(b, "a=sendonly\r\n");
	answer(&b, "200 OK", SDP("bob", "2", "4", "127.0.0.2", "6000", ""));
	hear(&b);
	ASSERT_HAS(b, "ACK ");
	assert_true(silent(&b));
	assert_true(silent(&a));
	ASSERT_SAID(da, "o=ann 1 1 ");
	assert_false(rescue_is_busy());
	ASSERT_COUNT(rescue_offer_undone, 1);
}

static void offer_of_a_call_whose_turn_has_not_come_passes_at_once(void **state)
{
	rescue_start(rescue, 0x201, (uint64_t)now().ns, now());
	hold_reaches_b();
	ASSERT_HAS(b, "INVITE ");
	ASSERT_HAS(b, "a=sendonly\r\n");
	answer(&b, "200 OK", HELD_B);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 200 OK");
}

static void offer_that_meets_the_rescues_own_is_pending(void **state)
{
	rescue_start(rescue, 0x201, (uint64_t)now().ns, now());
	hear(&b);
	ASSERT_HAS(b, "INVITE ");
	hear(&a);
	ASSERT_HAS(a, "INVITE ");
	answer(&a, "200 OK", SAID_A);
	hear(&a);
	ASSERT_HAS(a, "ACK ");
	ASK(&a, .method = "INVITE", .cseq = 501, .body = HOLD_A);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 491 ");
	answer(&b, "200 OK", SAID_B);
	hear(&b);
	ASSERT_HAS(b, "ACK ");
	ASK(&a, .method = "INVITE", .cseq = 502, .body = HOLD_A);
	hear(&b);
	ASSERT_HAS(b, "CSeq: 601 INVITE\r\n");
	ASSERT_HAS(b, "a=sendonly\r\n");
}

static void cancel_of_nothing_is_refused(void **state)
{
	ASK(&a, .method = "CANCEL", .cseq = 501);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 481 ");
	assert_true(silent(&b));
}

static void glare_is_told_both_ways(void **state)
{
	hold_reaches_b();
	ASK(&b, .method = "INVITE", .cseq = 9, .body = HOLD_B);
	hear(&b);
	ASSERT_HAS(b, "SIP/2.0 491 ");
	back_to_invite(&b);
	answer(&b, "491 Request Pending", NULL);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 491 Request Pending\r\n");
	ASSERT_SAID(da, "o=ann 1 1 ");
	ASSERT_SAID(db, "o=bob 2 2 ");
	ASSERT_COUNT(rescue_glare, 1);
	ASK(&b, .method = "INVITE", .cseq = 10, .body = HOLD_B);
	hear(&a);
	ASSERT_HAS(a, "INVITE ");
}

static void second_offer_of_the_same_phone_is_for_later(void **state)
{
	hold_reaches_b();
	ASK(&a, .method = "INVITE", .cseq = 502, .body = BACK_A);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 500 ");
	ASSERT_HAS(a, "CSeq: 502 INVITE\r\n");
	ASSERT_HAS(a, "Retry-After: ");
	answer(&b, "200 OK", HELD_B);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 200 OK");
	ASSERT_HAS(a, "CSeq: 501 INVITE\r\n");
}

static void bye_ends_an_offer_under_way(void **state)
{
	hold_reaches_b();
	answer(&b, "180 Ringing", NULL);
	turn();
	ASK(&b, .method = "BYE", .cseq = 9);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 487 ");
	hear(&a);
	ASSERT_HAS(a, "BYE ");
	assert_int_equal(da->state, DIALOG_ENDED);
	ASSERT_SAID(da, "o=ann 1 1 ");
}

static void answer_to_a_phone_that_is_gone_is_acknowledged_and_not_told(void **state)
{
	hold_reaches_b();
	dialog_set_state(&table, da, DIALOG_ENDED, now());
	answer(&b, "200 OK", HELD_B);
	hear(&b);
	ASSERT_HAS(b, "CSeq: 600 ACK\r\n");
	assert_true(silent(&b));
	while (receive(a.fd, a.got, sizeof(a.got)))
		ASSERT_HAS_NOT(a, "SIP/2.0 200");
	assert_false(rescue_is_busy());
}

static void offer_to_a_phone_that_hung_up_is_refused(void **state)
{
	dialog_set_state(&table, db, DIALOG_ENDED, now());
	ASK(&a, .method = "INVITE", .cseq = 501, .body = HOLD_A);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 488 ");
	assert_true(silent(&b));
	ASSERT_SAID(da, "o=ann 1 1 ");
}

/* It offered, and nobody will answer: it is told what it was told last. */
static void offer_that_was_asked_for_and_is_not_wanted_any_more_gets_an_answer(void **state)
{
	const char *branch = ASK(&a, .method = "INVITE", .cseq = 501);

	hear(&b);
	ASK(&a, .method = "CANCEL", .cseq = 501, .branch = branch);
	hear(&a);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 487 ");
	answer(&b, "200 OK", SAID_B);
	hear(&b);
	ASSERT_HAS(b, "CSeq: 600 ACK\r\n");
	ASSERT_HAS(b, "m=audio 20002 RTP/AVP 0\r\n");
	assert_true(silent(&b));
	assert_false(rescue_is_busy());
}

static void phone_that_hangs_up_in_place_of_its_ack_leaves_no_offer_unanswered(void **state)
{
	ASK(&a, .method = "INVITE", .cseq = 501);
	hear(&b);
	answer(&b, "200 OK", SAID_B);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 200 OK");
	ASK(&a, .method = "BYE", .cseq = 502);
	hear(&b);
	ASSERT_HAS(b, "CSeq: 600 ACK\r\n");
	ASSERT_HAS(b, "m=audio 20002 RTP/AVP 0\r\n");
	hear(&b);
	ASSERT_HAS(b, "BYE ");
}

/* RFC 3261 14.2: 500 is for a second INVITE before the first has its final response. */
static void offer_before_the_ack_of_the_last_one_is_pending(void **state)
{
	ASK(&a, .method = "INVITE", .cseq = 501);
	hear(&b);
	answer(&b, "200 OK", SAID_B);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 200 OK");
	ASK(&a, .method = "INVITE", .cseq = 502, .body = BACK_A);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 491 ");
}

static void refusal_of_what_takes_an_offer_back_changes_nothing_more(void **state)
{
	const char *branch = hold_reaches_b();

	ASK(&a, .method = "CANCEL", .cseq = 501, .branch = branch);
	hear(&a);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 487 ");
	answer(&b, "200 OK", HELD_B);
	hear(&b); /* ACK */
	hear(&b);
	ASSERT_HAS(b, "o=srv 80 10 IN IP4 " VIP "\r\n");
	answer(&b, "488 Not Acceptable Here", NULL);
	hear(&b);
	ASSERT_HAS(b, "ACK ");
	ASSERT_TOLD(db, "o=srv 80 10 ");
	ASSERT_SAID(da, "o=ann 1 1 ");
	assert_false(rescue_is_busy());
}

/* An answer that does not come must not keep the phones from agreeing on anything for ever. */
static void offer_that_waits_for_too_long_is_withdrawn_when_the_next_one_comes(void **state)
{
	hold_reaches_b();
	rescue->passes[0].since = mono_add(now(), -2 * PASS_OVERDUE_NS);
	ASK(&b, .method = "INVITE", .cseq = 9, .body = HOLD_B);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 504 ");
	ASSERT_HAS(a, "CSeq: 501 INVITE\r\n");
	ASSERT_COUNT(rescue_pass_overdue, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(cancel_passes_across),
	        T(offer_cancelled_too_late_is_taken_back),
	        T(offer_of_a_call_whose_turn_has_not_come_passes_at_once),
	        T(offer_that_meets_the_rescues_own_is_pending),
	        T(cancel_of_nothing_is_refused),
	        T(glare_is_told_both_ways),
	        T(second_offer_of_the_same_phone_is_for_later),
	        T(bye_ends_an_offer_under_way),
	        T(answer_to_a_phone_that_is_gone_is_acknowledged_and_not_told),
	        T(offer_to_a_phone_that_hung_up_is_refused),
	        T(offer_that_was_asked_for_and_is_not_wanted_any_more_gets_an_answer),
	        T(phone_that_hangs_up_in_place_of_its_ack_leaves_no_offer_unanswered),
	        T(offer_before_the_ack_of_the_last_one_is_pending),
	        T(refusal_of_what_takes_an_offer_back_changes_nothing_more),
	        T(offer_that_waits_for_too_long_is_withdrawn_when_the_next_one_comes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
