/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Calls that rang are among what a takeover says of its calls: pending while they ring, then how it ended. */
#include "ring_call.h"

/* The one call of this takeover. */
static void assert_only(unsigned int result, unsigned int to_caller, unsigned int of_callee, const char *text)
{
	const struct ctl_outcome *o = rescue_outcome(rescue, 0);

	assert_non_null(o);
	assert_null(rescue_outcome(rescue, 1));
	assert_string_equal(o->text, text);
	assert_int_equal(o->result, result);
	assert_int_equal(o->status_a, to_caller);
	assert_int_equal(o->status_b, of_callee);
	assert_true(o->started_ns > 0);
	assert_int_equal(!o->done_ns, !result);
	assert_int_equal(rescue->progress.calls, 1);
	assert_int_equal(rescue->progress.rescued, result == 1);
	assert_int_equal(rescue->progress.failed, result == 2);
	assert_int_equal(rescue->progress.skipped, result == 3);
}

static void answered_call_is_pending_until_then(void **state)
{
	rings_through();
	assert_only(0, 0, 0, "");
	assert_string_equal(rescue_outcome(rescue, 0)->call_id, "call-ann");
	assert_int_equal(rescue_outcome(rescue, 0)->call, da->call);
	assert_int_equal(rescue_outcome(rescue, 0)->epoch, 0x201);
	answer(&b, "200 OK", SDP_B);
	hear(&a, "SIP/2.0 200");
	assert_only(1, 200, 200, "rang on, and was answered");
	assert_int_equal(rescue->progress.last_done_ns > 0, 1);
	ask(&a, "ACK", 11, "", "s-a", "", NULL);
	ask(&a, "BYE", 12, "", "s-a", "", NULL);
	hear(&b, "BYE");
	assert_only(1, 200, 200,
	            "rang on, and was answered"); /* what comes later is no outcome of the takeover */
}

static void refusal_of_the_callee_is_no_failure(void **state)
{
	rings_again();
	answer(&b, "486 Busy Here", NULL);
	hear(&a, "SIP/2.0 486");
	assert_only(1, 486, 486, "rang on, and was refused");
}

static void caller_may_give_up(void **state)
{
	rings_through();
	ask(&a, "CANCEL", 11, "z9hG4bKin-ann", "", "", NULL);
	hear(&a, "SIP/2.0 487");
	assert_only(1, 487, 0, "rang on until the caller gave up");
	back_to_invite(&b);
	answer(&b, "200 OK", SDP_B); /* crosses: changes nothing */
	hear(&b, "BYE");
	assert_only(1, 487, 0, "rang on until the caller gave up");
}

static void challenge_is_a_failure(void **state)
{
	rings_again();
	answer_with(&b, "407 Proxy Authentication Required", "t-bob",
	            "Proxy-Authenticate: Digest realm=\"x\", nonce=\"y\"\r\n", NULL);
	hear(&a, "SIP/2.0 500");
	assert_only(2, 500, 407, "rang on, and the callee wants the dead server's credentials");
}

static void caller_that_nobody_rings_for_is_put_through_by_the_new_server(void **state)
{
	called_in(&a, "", SDP_A);
	da = server_said(&a, "180 Ringing", "", NULL);
	take_over();
	hear(&server, "INVITE");
	assert_only(0, 0, 0, "");
	answer(&server, "200 OK", SDP_SRV);
	hear(&a, "SIP/2.0 200");
	assert_only(1, 200, 200, "rang for nobody: the server was called anew and answered");
}

static void caller_that_the_new_server_refuses_is_a_failure(void **state)
{
	called_in(&a, "", SDP_A);
	da = server_said(&a, "180 Ringing", "", NULL);
	take_over();
	hear(&server, "INVITE");
	answer(&server, "404 Not Found", NULL);
	hear(&a, "SIP/2.0 404");
	assert_only(2, 404, 404, "rang for nobody: the server was called anew and refused");
}

static void callee_without_a_caller_is_skipped(void **state)
{
	called_out(&b, SDP_B_O);
	db = phone_said(&b, "180 Ringing", "", NULL);
	take_over();
	hear(&b, "INVITE");
	assert_only(3, 0, 0, rescue_plan_text(PLAN_ringing_alone));
}

static void caller_whose_invite_was_too_long_is_skipped(void **state)
{
	static char more[DIALOG_INVITE_LEN + 64];

	snprintf(more, sizeof(more), "X-Long: %0*d\r\n", DIALOG_INVITE_LEN, 0);
	called_in(&a, more, SDP_A);
	da = server_said(&a, "180 Ringing", "", NULL);
	assert_true(da->flags & DIALOG_NO_INVITE);
	take_over();
	assert_only(3, 0, 0, rescue_plan_text(PLAN_no_invite));
}

static void group_of_callees_is_one_call(void **state)
{
	ringing();
	called_out(&c, SDP("srv", "1", "9", VIP, "20004", ""));
	dc = phone_said(&c, "180 Ringing", "", NULL);
	if (dc->call != da->call)
		dialog_set_call(&table, dc, da->call);
	dc->paired = da->paired;
	take_over();
	hear(&b, "INVITE");
	hear(&c, "INVITE");
	answer(&b, "480 Temporarily Unavailable", NULL);
	hear(&b, "ACK");
	assert_only(0, 0, 0, "");
	answer(&c, "200 OK", SDP_B);
	hear(&a, "SIP/2.0 200");
	assert_only(1, 200, 200, "rang on, and was answered");
}

static void call_is_counted_once_in_a_takeover_and_anew_in_the_next(void **state)
{
	rings_through();
	rescue_start(rescue, 0x201, (uint64_t)now().ns, now());
	assert_only(0, 0, 0, "");
	next_takeover();
	hear(&b, "INVITE");
	assert_int_equal(rescue->progress.epoch, 0x302);
	assert_int_equal(rescue->progress.calls, 1);
	assert_int_equal(rescue_outcome(rescue, 1)->epoch, 0x302);
	assert_null(rescue_outcome(rescue, 2));
	answer(&b, "200 OK", SDP_B);
	hear(&a, "SIP/2.0 200");
	assert_int_equal(rescue->progress.rescued, 1);
	assert_int_equal(rescue_outcome(rescue, 0)->result, 0); /* never known to the one before */
	assert_int_equal(rescue_outcome(rescue, 1)->result, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(answered_call_is_pending_until_then),
	        T(refusal_of_the_callee_is_no_failure),
	        T(caller_may_give_up),
	        T(challenge_is_a_failure),
	        T(caller_that_nobody_rings_for_is_put_through_by_the_new_server),
	        T(caller_that_the_new_server_refuses_is_a_failure),
	        T(callee_without_a_caller_is_skipped),
	        T(caller_whose_invite_was_too_long_is_skipped),
	        T(group_of_callees_is_one_call),
	        T(call_is_counted_once_in_a_takeover_and_anew_in_the_next),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
