/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Calls that rang when their server died: they are answered, refused, given up and hung up. */
#include "ring_stage.h"

static struct dialog *da, *db, *dc;

static void pair(struct dialog *x, struct dialog *y)
{
	if (x && y && dialog_peer(&table, x) != y)
		dialog_set_paired(&table, x, y, PAIRED_NUMBERS);
}

/* ann calls, bob rings; both have heard 180. */
static void ringing(void)
{
	called_in(&a, "", SDP_A);
	called_out(&b, SDP_B_O);
	db = phone_said(&b, "180 Ringing", "", NULL);
	da = server_said(&a, "180 Ringing", "", NULL);
	assert_non_null(da);
	assert_non_null(db);
	pair(da, db);
}

static void take_over(void)
{
	table.origin = LIVE;
	rescue_start(rescue, 0x201, (uint64_t)now().ns, now());
}

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
	assert_int_equal(COUNTED(rescue_ring_calls), 1);
}

static void ringing_call_is_answered(void **state)
{
	char contact[64];

	snprintf(contact, sizeof(contact), "Contact: <sip:sipflip@" VIP ":%u>\r\n", server.port);
	ringing();
	take_over();
	hear(&b, "INVITE");
	answer(&b, "180 Ringing", NULL);
	hear(&a, "SIP/2.0 180");
	ASSERT_HAS(a, "branch=z9hG4bKin-ann");
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
	while (!da->acked)
		turn();
	assert_int_equal(COUNTED(rescue_ring_answered), 1);
	assert_true(never_hears(&a, "SIP/2.0 200")); /* acknowledged: not repeated */
	assert_true(never_hears(&b, "BYE"));
}

static void answered_call_is_hung_up_like_any_other(void **state)
{
	ringing();
	take_over();
	hear(&b, "INVITE");
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
	ringing();
	take_over();
	hear(&b, "INVITE");
	answer(&b, "180 Ringing", NULL);
	hear(&a, "SIP/2.0 180");
	ask(&a, "INVITE", 11, "z9hG4bKin-ann", "", "", SDP_A);
	hear(&a, "SIP/2.0 180");
	assert_true(never_hears(&b, "CANCEL"));
}

static void unacknowledged_answer_is_repeated(void **state)
{
	ringing();
	take_over();
	hear(&b, "INVITE");
	answer(&b, "200 OK", SDP_B);
	hear(&a, "SIP/2.0 200");
	hear(&a, "SIP/2.0 200");
	hear(&a, "SIP/2.0 200");
}

static void repeated_answer_of_the_callee_is_acknowledged_again(void **state)
{
	ringing();
	take_over();
	hear(&b, "INVITE");
	answer(&b, "200 OK", SDP_B);
	strcpy(b.before, b.got);
	hear(&b, "ACK");
	strcpy(b.got, b.before);
	answer(&b, "200 OK", SDP_B);
	hear(&b, "ACK");
	assert_int_equal(COUNTED(rescue_ring_answered), 1);
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
	ringing();
	take_over();
	hear(&b, "INVITE");
	answer(&b, "183 Session Progress", SDP_B);
	hear(&a, "SIP/2.0 183");
	ASSERT_HAS(a, "m=audio 6000 RTP/AVP 0\r\n");
	answer_with(&b, "200 OK", "t-bob", "", NULL); /* the answer was said already */
	hear(&a, "SIP/2.0 200");
	ASSERT_HAS(a, "m=audio 6000 RTP/AVP 0\r\n");
}

static void busy_callee_is_told_to_the_caller(void **state)
{
	ringing();
	take_over();
	hear(&b, "INVITE");
	answer(&b, "486 Busy Here", NULL);
	hear(&b, "ACK sip:bob@127.0.0.1");
	ASSERT_HAS(b, "branch=z9hG4bKout-bob"); /* of the same transaction, RFC 3261 17.1.1.3 */
	hear(&a, "SIP/2.0 486");
	ASSERT_HAS(a, "tag=s-a");
	ask(&a, "ACK", 11, "z9hG4bKin-ann", "s-a", "", NULL);
	until(da, DIALOG_ENDED);
	until(db, DIALOG_ENDED);
	assert_int_equal(COUNTED(rescue_ring_refused), 1);
}

static void redirection_passes_as_it_is(void **state)
{
	ringing();
	take_over();
	hear(&b, "INVITE");
	answer(&b, "302 Moved Temporarily", NULL);
	hear(&a, "SIP/2.0 302");
}

static void challenge_is_no_answer_for_the_caller(void **state)
{
	ringing();
	take_over();
	hear(&b, "INVITE");
	answer_with(&b, "407 Proxy Authentication Required", "t-bob",
	            "Proxy-Authenticate: Digest realm=\"x\", nonce=\"y\"\r\n", NULL);
	hear(&a, "SIP/2.0 500");
	assert_int_equal(COUNTED(rescue_ring_challenged), 1);
}

/* bob and cid ring for ann. */
static void group_rings(void)
{
	ringing();
	called_out(&c, SDP("srv", "9", VIP, "20004", ""));
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
	strcpy(c.before, c.got);
	answer(&c, "200 OK", SDP_B);
	hear(&c, "ACK");
	hear(&a, "SIP/2.0 200");
	strcpy(b.before, b.got);
	hear(&b, "CANCEL sip:bob@127.0.0.1");
	ASSERT_HAS(b, "branch=z9hG4bKout-bob");
	answer(&b, "200 OK", NULL);
	strcpy(b.got, b.before);
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
	strcpy(c.before, c.got);
	hear(&c, "CANCEL");
	strcpy(c.got, c.before);
	answer(&c, "487 Request Terminated", NULL);
	hear(&a, "SIP/2.0 603");
}

static void cancel_of_the_caller_reaches_the_callee(void **state)
{
	ringing();
	take_over();
	hear(&b, "INVITE");
	answer(&b, "180 Ringing", NULL);
	hear(&a, "SIP/2.0 180");
	strcpy(b.before, b.got);
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
	strcpy(b.got, b.before);
	answer(&b, "487 Request Terminated", NULL);
	hear(&b, "ACK");
	until(da, DIALOG_ENDED);
	until(db, DIALOG_ENDED);
	assert_int_equal(COUNTED(rescue_ring_cancelled), 1);
}

static void cancel_waits_for_a_first_response_of_the_callee(void **state)
{
	ringing();
	take_over();
	hear(&b, "INVITE");
	ask(&a, "CANCEL", 11, "z9hG4bKin-ann", "", "", NULL);
	hear(&a, "SIP/2.0 487");
	assert_true(never_hears(&b, "CANCEL")); /* RFC 3261 9.1 */
	answer(&b, "180 Ringing", NULL);
	hear(&b, "CANCEL");
}

static void answer_that_crosses_the_cancel_is_hung_up(void **state)
{
	ringing();
	take_over();
	hear(&b, "INVITE");
	answer(&b, "180 Ringing", NULL);
	hear(&a, "SIP/2.0 180");
	strcpy(b.before, b.got);
	ask(&a, "CANCEL", 11, "z9hG4bKin-ann", "", "", NULL);
	hear(&b, "CANCEL");
	strcpy(b.got, b.before);
	answer(&b, "200 OK", SDP_B);
	hear(&b, "ACK");
	hear(&b, "BYE sip:bob@127.0.0.1");
	hear(&a, "SIP/2.0 487");
	assert_true(never_hears(&a, "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKin-ann"));
	assert_int_equal(COUNTED(rescue_ring_unwanted), 1);
}

static void caller_may_hang_up_by_bye(void **state)
{
	ringing();
	take_over();
	hear(&b, "INVITE");
	answer(&b, "180 Ringing", NULL);
	hear(&a, "SIP/2.0 180");
	ask(&a, "BYE", 12, "", "s-a", "", NULL);
	hear(&a, "SIP/2.0 487");
	hear(&a, "SIP/2.0 200");
	hear(&b, "CANCEL");
}

static void reliable_progress_is_acknowledged(void **state)
{
	ringing();
	take_over();
	hear(&b, "INVITE");
	answer_with(&b, "183 Session Progress", "t-bob", "Require: 100rel\r\nRSeq: 9\r\n", SDP_B);
	hear(&b, "PRACK sip:bob@127.0.0.1");
	ASSERT_HAS(b, "RAck: 9 77 INVITE\r\n");
	ASSERT_HAS(b, "tag=t-bob");
	answer(&b, "200 OK", NULL);
	hear(&a, "SIP/2.0 183");
	ASSERT_HAS_NOT(a, "RSeq");
	assert_int_equal(COUNTED(rescue_ring_pracks), 1);
}

static void early_offer_in_update_is_put_off(void **state)
{
	ringing();
	take_over();
	hear(&b, "INVITE");
	answer(&b, "180 Ringing", NULL);
	ask(&a, "UPDATE", 12, "", "s-a", "", SDP_A);
	hear(&a, "SIP/2.0 500");
	ASSERT_HAS(a, "Retry-After:");
	ask(&a, "UPDATE", 13, "", "s-a", "", NULL);
	hear(&a, "SIP/2.0 200");
	ASSERT_HAS(a, "CSeq: 13 UPDATE\r\n");
}

static void fork_behind_a_proxy_answers(void **state)
{
	ringing();
	take_over();
	hear(&b, "INVITE");
	answer_with(&b, "183 Session Progress", "t-bob", "Require: 100rel\r\nRSeq: 9\r\n", SDP_B);
	strcpy(b.before, b.got);
	hear(&b, "PRACK sip:bob@127.0.0.1");
	strcpy(b.got, b.before);
	answer_with(&b, "183 Session Progress", "t-other", "Require: 100rel\r\nRSeq: 9\r\n", SDP_B);
	hear(&b, "PRACK sip:bob@127.0.0.1");
	ASSERT_HAS(b, "tag=t-other");
	strcpy(b.got, b.before);
	answer_with(&b, "200 OK", "t-other", "", SDP_B);
	hear(&b, "ACK");
	ASSERT_HAS(b, "tag=t-other");
	hear(&a, "SIP/2.0 200");
	assert_string_equal(dialog_peer(&table, da)->remote_tag, "t-other");
	assert_int_equal(da->state, DIALOG_RESCUED);
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
	assert_int_equal(COUNTED(rescue_ring_timeout), 1);
}

static void ringing_call_survives_a_second_takeover(void **state)
{
	ringing();
	take_over();
	hear(&b, "INVITE");
	answer(&b, "183 Session Progress", SDP_B);
	hear(&a, "SIP/2.0 183");
	rescue_stop(rescue);
	table.origin = LIVE + 1;
	rescue_start(rescue, 0x302, (uint64_t)now().ns, now());
	hear(&b, "INVITE");
	ASSERT_HAS(b, "branch=z9hG4bKout-bob");
	answer(&b, "200 OK", SDP_B);
	hear(&b, "ACK");
	hear(&a, "SIP/2.0 200");
	ASSERT_HAS(a, "To: <sip:100@example>;tag=s-a\r\n");
	ASSERT_HAS(a, "m=audio 6000 RTP/AVP 0\r\n");
	assert_int_equal(da->state, DIALOG_RESCUED);
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
}

static void caller_in_a_queue_goes_back_to_the_server_when_the_callee_refuses(void **state)
{
	ringing();
	server_said(&a, "200 OK", "", SDP_SRV);
	pair(da, db);
	take_over();
	hear(&b, "INVITE");
	answer(&b, "486 Busy Here", NULL);
	hear(&b, "ACK");
	hear(&server, "INVITE sip:100@" VIP);
	ASSERT_HAS(server, "X-Sipflip-Rejoin: call-ann\r\n");
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

static void calls_of_the_server_that_runs_here_are_left_alone(void **state)
{
	table.origin = LIVE;
	ringing();
	take_over();
	assert_true(never_hears(&b, "INVITE"));
	assert_true(never_hears(&a, "SIP/2.0"));
	assert_int_equal(COUNTED(rescue_ring_calls), 0);
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
	ringing();
	take_over();
	hear(&b, "INVITE");
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
	assert_int_equal(COUNTED(rescue_ring_no_invite), 1);
	assert_true(never_hears(&a, ""));
	assert_true(never_hears(&server, ""));
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
	strcpy(server.before, server.got);
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
	while (!da->acked)
		turn();
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
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	        T(callee_hears_the_same_invite_again),
	        T(ringing_call_is_answered),
	        T(answered_call_is_hung_up_like_any_other),
	        T(caller_who_repeats_its_invite_gets_the_last_response),
	        T(unacknowledged_answer_is_repeated),
	        T(repeated_answer_of_the_callee_is_acknowledged_again),
	        T(early_answer_is_repeated_in_the_200),
	        T(progress_with_sdp_reaches_the_caller),
	        T(busy_callee_is_told_to_the_caller),
	        T(redirection_passes_as_it_is),
	        T(challenge_is_no_answer_for_the_caller),
	        T(one_of_a_group_answers_and_the_others_stop_ringing),
	        T(caller_is_refused_only_when_all_of_a_group_refused),
	        T(decline_of_one_ends_the_group),
	        T(cancel_of_the_caller_reaches_the_callee),
	        T(cancel_waits_for_a_first_response_of_the_callee),
	        T(answer_that_crosses_the_cancel_is_hung_up),
	        T(caller_may_hang_up_by_bye),
	        T(reliable_progress_is_acknowledged),
	        T(early_offer_in_update_is_put_off),
	        T(fork_behind_a_proxy_answers),
	        T(ambiguous_callee_is_cancelled_and_its_callers_are_put_through_afresh),
	        T(offer_of_the_callee_is_answered_by_the_caller),
	        T(call_that_nobody_answers_ends),
	        T(ringing_call_survives_a_second_takeover),
	        T(call_answered_by_its_server_waits_on_for_the_callee),
	        T(caller_in_a_queue_goes_back_to_the_server_when_the_callee_refuses),
	        T(callee_without_a_caller_is_hung_up_when_it_answers),
	        T(callee_that_answered_the_dead_server_connects_the_caller),
	        T(calls_of_the_server_that_runs_here_are_left_alone),
	        T(calls_that_the_server_forwards_as_a_proxy_are_left_alone),
	        T(nothing_is_sent_after_the_node_owns_no_more),
	        T(caller_whose_invite_was_too_long_is_left_alone),
	        T(caller_without_callee_is_put_through_to_the_local_server),
	        T(cancel_reaches_the_local_server),
	        T(refusal_of_the_local_server_is_told_to_the_caller),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
