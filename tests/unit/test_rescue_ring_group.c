/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Calls that rang and are not one caller and one callee: groups, queues, nobody called yet. */
#include "../../user/calls/rescue_ring.h"
#include "ring_call.h"

/* bob and cid ring for ann. */
static void group_rings(void)
{
	ringing();
	called_out(&c, SDP("srv", "1", "9", VIP, "20004", ""));
	dc = phone_said(&c, "180 Ringing", "", NULL);
	if (dc->call != da->call)
		dialog_set_call(&table, dc, da->call);
	dc->paired = da->paired;
}

static void one_of_a_group_answers_and_the_others_stop_ringing(void **state)
{
	group_rings();
	take_over();
	hear(&b, "INVITE");
	hear(&c, "INVITE");
	answer(&b, "180 Ringing", NULL);
	answer(&c, "180 Ringing", NULL);
	hear(&a, "SIP/2.0 180");
	answer(&c, "200 OK", SDP_B);
	hear(&c, "ACK");
	hear(&a, "SIP/2.0 200");
	hear(&b, "CANCEL sip:bob@127.0.0.1");
	ASSERT_HAS(b, "branch=z9hG4bKout-bob");
	answer(&b, "200 OK", NULL);
	back_to_invite(&b);
	answer(&b, "487 Request Terminated", NULL);
	hear(&b, "ACK");
	until(db, DIALOG_ENDED);
	assert_int_equal(dc->state, DIALOG_RESCUED);
	assert_int_equal(da->state, DIALOG_RESCUED);
}

static void caller_is_refused_only_when_all_of_a_group_refused(void **state)
{
	group_rings();
	take_over();
	hear(&b, "INVITE");
	hear(&c, "INVITE");
	answer(&b, "480 Temporarily Unavailable", NULL);
	hear(&b, "ACK");
	assert_true(never_hears(&a, "SIP/2.0 4"));
	answer(&c, "503 Service Unavailable", NULL);
	hear(&a, "SIP/2.0 480");
}

static void decline_of_one_ends_the_group(void **state)
{
	group_rings();
	take_over();
	hear(&b, "INVITE");
	hear(&c, "INVITE");
	answer(&c, "180 Ringing", NULL);
	answer(&b, "603 Decline", NULL);
	hear(&c, "CANCEL");
	back_to_invite(&c);
	answer(&c, "487 Request Terminated", NULL);
	hear(&a, "SIP/2.0 603");
}

static void callee_that_was_cancelled_hears_no_second_cancel(void **state)
{
	group_rings();
	take_over();
	hear(&b, "INVITE");
	hear(&c, "INVITE");
	answer(&c, "180 Ringing", NULL);
	answer(&b, "603 Decline", NULL);
	hear(&c, "CANCEL");
	answer(&c, "200 OK", NULL);
	ask(&a, "CANCEL", 11, "z9hG4bKin-ann", "", "", NULL);
	hear(&a, "SIP/2.0 487");
	assert_true(never_hears(&c, "CANCEL"));
	ASSERT_COUNT(rescue_ring_cancels, 1);
}

static void callees_of_one_call_are_bounded(void **state)
{
	static const char *const names[RING_BRANCHES] = {"m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8"};
	struct phone more = b;
	struct dialog *d;
	int i;

	ringing();
	for (i = 0; i < RING_BRANCHES; i++) { /* one too many, with bob */
		more.name = names[i];
		called_out(&more, SDP_B_O);
		d = phone_said(&more, "180 Ringing", "", NULL);
		if (d->call != da->call)
			dialog_set_call(&table, d, da->call);
		d->paired = da->paired;
	}
	take_over();
	for (i = 0; i < RING_BRANCHES; i++)
		hear(&b, "INVITE");
	assert_true(never_hears(&b, "INVITE"));
	ASSERT_COUNT(rescue_ring_full, 1);
}

static void ambiguous_callee_is_cancelled_and_its_callers_are_put_through_afresh(void **state)
{
	out_caller = "zed"; /* no number in common */
	called_in(&a, "", SDP_A);
	called_out(&b, SDP_B_O);
	db = phone_said(&b, "180 Ringing", "", NULL);
	da = server_said(&a, "180 Ringing", "", NULL);
	dialog_mark_ambiguous(&table, db);
	dialog_mark_ambiguous(&table, da);
	assert_int_equal(da->paired, PAIRED_AMBIGUOUS);
	assert_int_equal(db->paired, PAIRED_AMBIGUOUS);
	take_over();
	hear(&b, "INVITE");
	answer(&b, "180 Ringing", NULL);
	hear(&b, "CANCEL");
	hear(&server, "INVITE sip:100@" VIP);
}

static void call_answered_by_its_server_waits_on_for_the_callee(void **state)
{
	ringing();
	server_said(&a, "200 OK", "", SDP_SRV); /* music on hold while bob rings */
	assert_int_equal(da->state, DIALOG_CONFIRMED);
	pair(da, db);
	take_over();
	hear(&b, "INVITE");
	answer(&b, "200 OK", SDP_B);
	hear(&b, "ACK");
	until(da, DIALOG_RESCUED);
	until(db, DIALOG_RESCUED);
	assert_true(never_hears(&b, "BYE"));
	ASSERT_COUNT(rescue_ring_answered, 1);
}

/* The server had answered the caller itself, and bob rings for it. */
static void queue_rings(void)
{
	ringing();
	server_said(&a, "200 OK", "", SDP_SRV);
	pair(da, db);
	take_over();
	hear(&b, "INVITE");
}

static void caller_in_a_queue_goes_back_to_the_server_when_the_callee_refuses(void **state)
{
	queue_rings();
	answer(&b, "486 Busy Here", NULL);
	hear(&b, "ACK");
	hear(&server, "INVITE sip:100@" VIP);
	ASSERT_HAS(server, "X-Sipflip-Rejoin: call-ann\r\n");
}

static void callee_stops_ringing_when_the_caller_leaves_the_queue(void **state)
{
	queue_rings();
	answer(&b, "180 Ringing", NULL);
	ask(&a, "BYE", 12, "", "s-a", "", NULL);
	hear(&a, "SIP/2.0 200");
	hear(&b, "CANCEL sip:bob@127.0.0.1");
	ASSERT_HAS(b, "branch=z9hG4bKout-bob");
	assert_string_equal(rescue_outcome(rescue, 0)->text, "rang on until the caller hung up");
	back_to_invite(&b);
	answer(&b, "200 OK", SDP_B); /* crosses the CANCEL */
	hear(&b, "ACK");
	hear(&b, "BYE");
	assert_int_equal(da->state, DIALOG_ENDED);
	assert_int_equal(db->state, DIALOG_ENDED);
	ASSERT_COUNT(rescue_ring_answered, 0);
}

static void caller_in_a_queue_is_connected_when_the_callee_answers(void **state)
{
	queue_rings();
	answer(&b, "200 OK", SDP_B);
	hear(&b, "ACK");
	until(db, DIALOG_RESCUED);
	assert_int_equal(da->state, DIALOG_RESCUED);
	assert_string_equal(rescue_outcome(rescue, 0)->text, "rang on, and was answered");
	assert_null(rescue_outcome(rescue, 1));
}

static void callee_without_a_caller_is_hung_up_when_it_answers(void **state)
{
	called_out(&b, SDP_B_O);
	db = phone_said(&b, "180 Ringing", "", NULL);
	take_over();
	hear(&b, "INVITE");
	answer(&b, "180 Ringing", NULL);
	assert_true(never_hears(&b, "CANCEL"));
	answer(&b, "200 OK", SDP_B);
	hear(&b, "ACK");
	hear(&b, "BYE");
}

/* --- nobody rings for the caller yet --------------------------------------------------------- */

static void caller_without_callee_is_put_through_to_the_local_server(void **state)
{
	called_in(&a, "", SDP_A);
	take_over();
	hear(&server, "INVITE sip:100@" VIP);
	ASSERT_HAS(server, "From: \"P\" <sip:ann@example>;tag=");
	ASSERT_HAS(server, "To: <sip:100@example>\r\n");
	ASSERT_HAS(server, "X-Sipflip-Rejoin: call-ann\r\n");
	ASSERT_HAS(server, "m=audio 4000 RTP/AVP 0\r\n");
	ASSERT_HAS_NOT(server, "Call-ID: call-ann\r\n");
	answer(&server, "180 Ringing", NULL);
	hear(&a, "SIP/2.0 180");
	ASSERT_HAS(a, "branch=z9hG4bKin-ann");
	answer(&server, "200 OK", SDP_SRV);
	hear(&server, "ACK");
	hear(&a, "SIP/2.0 200");
	ASSERT_HAS(a, "m=audio 20000 RTP/AVP 0\r\n");
	da = dialog_first_of_call_id(&table, 0, "call-ann");
	assert_non_null(da);
	ask(&a, "ACK", 11, "", da->local_tag, "", NULL);
	until_acked(da);
	assert_int_equal(da->state, DIALOG_RESCUED);
	assert_true(da->flags & DIALOG_JOINED);
	assert_int_equal(da->origin, LIVE);
	ask(&a, "BYE", 12, "", da->local_tag, "", NULL);
	hear(&a, "SIP/2.0 200");
	hear(&server, "BYE");
}

static void cancel_reaches_the_local_server(void **state)
{
	called_in(&a, "", SDP_A);
	take_over();
	hear(&server, "INVITE");
	answer(&server, "180 Ringing", NULL);
	hear(&a, "SIP/2.0 180");
	ask(&a, "CANCEL", 11, "z9hG4bKin-ann", "", "", NULL);
	hear(&a, "SIP/2.0 487");
	hear(&server, "CANCEL");
}

static void refusal_of_the_local_server_is_told_to_the_caller(void **state)
{
	called_in(&a, "", SDP_A);
	take_over();
	hear(&server, "INVITE");
	answer(&server, "404 Not Found", NULL);
	hear(&a, "SIP/2.0 404");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(one_of_a_group_answers_and_the_others_stop_ringing),
	        T(caller_is_refused_only_when_all_of_a_group_refused),
	        T(decline_of_one_ends_the_group),
	        T(callee_that_was_cancelled_hears_no_second_cancel),
	        T(callees_of_one_call_are_bounded),
	        T(ambiguous_callee_is_cancelled_and_its_callers_are_put_through_afresh),
	        T(call_answered_by_its_server_waits_on_for_the_callee),
	        T(caller_in_a_queue_goes_back_to_the_server_when_the_callee_refuses),
	        T(callee_stops_ringing_when_the_caller_leaves_the_queue),
	        T(caller_in_a_queue_is_connected_when_the_callee_answers),
	        T(callee_without_a_caller_is_hung_up_when_it_answers),
	        T(caller_without_callee_is_put_through_to_the_local_server),
	        T(cancel_reaches_the_local_server),
	        T(refusal_of_the_local_server_is_told_to_the_caller),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
