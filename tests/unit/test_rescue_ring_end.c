/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A call that rang when its server died and comes to nothing: refused, given up, or not ours. */
#include "../../user/calls/rescue_ring.h"
#include "ring_call.h"

static void busy_callee_is_told_to_the_caller(void **state)
{
	rings_again();
	answer(&b, "486 Busy Here", NULL);
	hear(&b, "ACK sip:bob@127.0.0.1");
	ASSERT_HAS(b, "branch=z9hG4bKout-bob"); /* of the same transaction, RFC 3261 17.1.1.3 */
	hear(&a, "SIP/2.0 486");
	ASSERT_HAS(a, "tag=s-a");
	ask(&a, "ACK", 11, "z9hG4bKin-ann", "s-a", "", NULL);
	until(da, DIALOG_ENDED);
	until(db, DIALOG_ENDED);
	ASSERT_COUNT(rescue_ring_refused, 1);
}

static void redirection_passes_as_it_is(void **state)
{
	rings_again();
	answer(&b, "302 Moved Temporarily", NULL);
	hear(&a, "SIP/2.0 302");
}

static void challenge_is_no_answer_for_the_caller(void **state)
{
	rings_again();
	answer_with(&b, "407 Proxy Authentication Required", "t-bob",
	            "Proxy-Authenticate: Digest realm=\"x\", nonce=\"y\"\r\n", NULL);
	hear(&a, "SIP/2.0 500");
	ASSERT_COUNT(rescue_ring_challenged, 1);
}

static void cancel_of_the_caller_reaches_the_callee(void **state)
{
	rings_through();
	ask(&a, "CANCEL", 11, "z9hG4bKin-ann", "", "", NULL);
	hear(&a, "SIP/2.0 200");
	ASSERT_HAS(a, "CSeq: 11 CANCEL\r\n");
	hear(&a, "SIP/2.0 487");
	ASSERT_HAS(a, "CSeq: 11 INVITE\r\n");
	ask(&a, "ACK", 11, "z9hG4bKin-ann", "s-a", "", NULL);
	hear(&b, "CANCEL sip:bob@127.0.0.1");
	ASSERT_HAS(b, "Via: SIP/2.0/UDP " VIP ":5060;branch=z9hG4bKout-bob");
	ASSERT_HAS(b, "CSeq: 77 CANCEL\r\n");
	answer(&b, "200 OK", NULL);
	back_to_invite(&b);
	answer(&b, "487 Request Terminated", NULL);
	hear(&b, "ACK");
	until(da, DIALOG_ENDED);
	until(db, DIALOG_ENDED);
	ASSERT_COUNT(rescue_ring_cancelled, 1);
	ASSERT_COUNT(rescue_ring_cancels, 1);
}

static void cancel_waits_for_a_first_response_of_the_callee(void **state)
{
	rings_again();
	ask(&a, "CANCEL", 11, "z9hG4bKin-ann", "", "", NULL);
	hear(&a, "SIP/2.0 487");
	assert_true(never_hears(&b, "CANCEL")); /* RFC 3261 9.1 */
	answer(&b, "180 Ringing", NULL);
	hear(&b, "CANCEL");
}

static void answer_that_crosses_the_cancel_is_hung_up(void **state)
{
	rings_through();
	ask(&a, "CANCEL", 11, "z9hG4bKin-ann", "", "", NULL);
	hear(&a, "SIP/2.0 200");
	ASSERT_HAS(a, "CSeq: 11 CANCEL\r\n");
	hear(&a, "SIP/2.0 487");
	hear(&b, "CANCEL");
	back_to_invite(&b);
	answer(&b, "200 OK", SDP_B);
	hear(&b, "ACK");
	hear(&b, "BYE sip:bob@127.0.0.1");
	assert_true(never_hears(&a, "SIP/2.0 200"));
	ASSERT_COUNT(rescue_ring_unwanted, 1);
}

static void caller_may_hang_up_by_bye(void **state)
{
	rings_through();
	ask(&a, "BYE", 12, "", "s-a", "", NULL);
	hear(&a, "SIP/2.0 487");
	hear(&a, "SIP/2.0 200");
	hear(&b, "CANCEL");
}

static void call_that_nobody_answers_ends(void **state)
{
	ringing();
	da->at_invite = mono_ns(now().ns - 181 * NS_PER_S);
	take_over();
	hear(&a, "SIP/2.0 408");
	hear(&b, "INVITE");
	answer(&b, "180 Ringing", NULL);
	hear(&b, "CANCEL");
	ASSERT_COUNT(rescue_ring_timeout, 1);
}

static void answered_call_has_all_the_time(void **state)
{
	rings_again();
	answer(&b, "200 OK", SDP_B);
	hear(&a, "SIP/2.0 200"); /* not acknowledged yet */
	rescue->rings->ring[0].until = now();
	rescue_ring_start(rescue, now()); /* looks whose time is over */
	ASSERT_COUNT(rescue_ring_timeout, 0);
	ask(&a, "ACK", 11, "", "s-a", "", NULL);
	until_acked(da);
	assert_int_equal(da->state, DIALOG_RESCUED);
	assert_true(never_hears(&a, "BYE"));
}

static void calls_of_the_server_that_runs_here_are_left_alone(void **state)
{
	table.origin = LIVE;
	ringing();
	take_over();
	assert_true(never_hears(&b, "INVITE"));
	assert_true(never_hears(&a, "SIP/2.0"));
	ASSERT_COUNT(rescue_ring_calls, 0);
}

static void calls_that_the_server_forwards_as_a_proxy_are_left_alone(void **state)
{
	struct phone callee = b;

	callee.name = "ann"; /* the caller's Call-ID goes out again */
	called_in(&a, "", SDP_A);
	called_out(&callee, SDP_A);
	take_over();
	assert_true(never_hears(&b, "INVITE"));
	assert_true(never_hears(&server, "INVITE"));
	assert_true(never_hears(&a, "SIP/2.0"));
}

static void nothing_is_sent_after_the_node_owns_no_more(void **state)
{
	rings_again();
	rescue_stop(rescue);
	assert_true(never_hears(&a, "SIP/2.0"));
	assert_true(never_hears(&b, ""));
}

static void caller_whose_invite_was_too_long_is_left_alone(void **state)
{
	char more[DIALOG_INVITE_LEN + 16];

	memset(more, 'x', sizeof(more));
	memcpy(more, "X-Long: ", 8);
	strcpy(more + sizeof(more) - 3, "\r\n");
	called_in(&a, more, SDP_A);
	take_over();
	ASSERT_COUNT(rescue_ring_no_invite, 1);
	assert_true(never_hears(&a, ""));
	assert_true(never_hears(&server, ""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(busy_callee_is_told_to_the_caller),
	        T(redirection_passes_as_it_is),
	        T(challenge_is_no_answer_for_the_caller),
	        T(cancel_of_the_caller_reaches_the_callee),
	        T(cancel_waits_for_a_first_response_of_the_callee),
	        T(answer_that_crosses_the_cancel_is_hung_up),
	        T(caller_may_hang_up_by_bye),
	        T(call_that_nobody_answers_ends),
	        T(answered_call_has_all_the_time),
	        T(calls_of_the_server_that_runs_here_are_left_alone),
	        T(calls_that_the_server_forwards_as_a_proxy_are_left_alone),
	        T(nothing_is_sent_after_the_node_owns_no_more),
	        T(caller_whose_invite_was_too_long_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
