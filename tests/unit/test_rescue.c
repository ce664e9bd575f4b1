/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The rescue agent against two phones: what it sends inside their dialogs, byte for
 * byte where it matters, and what becomes of the call by what they say. Each leg of a
 * relayed call is asked for itself.
 */
#include "../../user/calls/rescue_agent.h"
#include "rescue_call.h"
#include "rescue_hurry.h"

static int setup_slow(void **state)
{
	return setup_with(1, false);
}

static void until(const uint32_t *figure, uint32_t least)
{
	int64_t end = now().ns + DEADLINE_MS * NS_PER_MS;

	while (*figure < least && now().ns < end)
		turn();
	assert_true(*figure >= least);
}

static void each_leg_is_asked_to_go_on_as_it_was(void **state)
{
	caller_is_asked();
	assert_int_equal(da->state, DIALOG_RESCUING);
	assert_int_equal(da->origin, 0);
	ASSERT_HAS(a, "INVITE sip:ann@192.0.2.99:9;ob SIP/2.0\r\n");
	ASSERT_HAS(a, "Via: SIP/2.0/UDP " VIP ":5060;branch=z9hG4bK");
	ASSERT_HAS(a, ";rport");
	ASSERT_HAS(a, "From: <sip:100@b.example>;tag=s1\r\n");
	ASSERT_HAS(a, "To: \"Ann A\" <sip:ann@a.example;user=phone>;tag=a1\r\n");
	ASSERT_HAS(a, "Call-ID: call-a\r\n");
	ASSERT_HAS(a, "CSeq: 100 INVITE\r\n"); /* the server had used none */
	ASSERT_HAS(a, "Contact: <sip:sipflip@" VIP ":5060>\r\n");
	ASSERT_HAS(a, "o=srv 70 8 IN IP4 " VIP "\r\n");
	ASSERT_HAS(a, "c=IN IP4 " VIP "\r\n");
	ASSERT_HAS(a, "m=audio 20000 RTP/AVP 0\r\n");
	ASSERT_HAS_NOT(a, "Route:");
	ASSERT_HAS_NOT(a, "Session-Expires:");
	assert_true(progress.first_reinvite_ns > 0);
	hear(&b); /* at the same time */
	ASSERT_HAS(b, "INVITE sip:bob@192.0.2.98:9 SIP/2.0\r\n");
	ASSERT_HAS(b, "From: <sip:ann@a.example>;tag=s2\r\n");
	ASSERT_HAS(b, "CSeq: 600 INVITE\r\n");
	ASSERT_HAS(b, "o=srv 80 9 IN IP4 " VIP "\r\n");
	ASSERT_HAS(b, "m=audio 20002 RTP/AVP 0\r\n");

	answer(&b, "200 OK", SDP_B);
	hear(&b);
	ASSERT_HAS(b, "ACK sip:phone@127.0.0.1");
	ASSERT_HAS(b, "CSeq: 600 ACK\r\n");
	ASSERT_HAS(b, "Via: SIP/2.0/UDP " VIP ":5060;branch=z9hG4bK");
	ASSERT_HAS_NOT(b, "m=audio");
	answer(&a, "200 OK", SDP_A);
	hear(&a);
	ASSERT_HAS(a, "CSeq: 100 ACK\r\n");
	ASSERT_HAS_NOT(a, "m=audio");
	assert_int_equal(da->state, DIALOG_RESCUED);
	assert_int_equal(db->state, DIALOG_RESCUED);
	assert_int_equal(progress.calls, 1);
	assert_int_equal(progress.rescued, 1);
	assert_int_equal(rescue_outcome(rescue, 0)->result, 1);
	assert_int_equal(rescue_outcome(rescue, 0)->status_a, 200);
	assert_int_equal(rescue_outcome(rescue, 0)->status_b, 200);
	assert_null(rescue_outcome(rescue, 1));
}

static void route_set_is_sent_in_order_and_first_hop_gets_it(void **state)
{
	char route[256], want[600];

	/* the phone's dialog goes through a proxy that is found at b's socket */
	snprintf(route, sizeof(route), "<sip:127.0.0.1:%u;lr>,<sip:second.example;lr>", b.port);
	a.contact = "sip:ann@192.0.2.99";
	a.route = route;
	call();
	take_over();
	hear(&b);
	ASSERT_HAS(b, "INVITE sip:ann@192.0.2.99 SIP/2.0\r\n");
	snprintf(want, sizeof(want), "Route: <sip:127.0.0.1:%u;lr>\r\nRoute: <sip:second.example;lr>\r\n",
	         b.port);
	ASSERT_HAS(b, want);
}

static void strict_router_gets_the_target_in_the_route(void **state)
{
	char route[256], want[600];

	snprintf(route, sizeof(route), "<sip:127.0.0.1:%u>,<sip:second.example;lr>", b.port);
	a.contact = "sip:ann@192.0.2.99";
	a.route = route;
	call();
	take_over();
	hear(&b);
	snprintf(want, sizeof(want), "INVITE sip:127.0.0.1:%u SIP/2.0\r\n", b.port);
	ASSERT_HAS(b, want);
	ASSERT_HAS(b, "Route: <sip:second.example;lr>\r\nRoute: <sip:ann@192.0.2.99>\r\n");
}

static void bye_passes_across(void **state)
{
	rescued_call();
	ASK(&a, .method = "BYE", .cseq = 501);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 200 OK");
	hear(&b);
	ASSERT_HAS(b, "BYE sip:phone@127.0.0.1");
	ASSERT_HAS(b, "CSeq: 601 BYE\r\n");
	ASSERT_HAS(b, "To: <sip:100@b.example>;tag=b2\r\n");
	answer(&b, "200 OK", NULL);
	assert_true(silent(&b));
	assert_int_equal(da->state, DIALOG_ENDED);
	assert_int_equal(db->state, DIALOG_ENDED);
	ASSERT_COUNT(rescue_passed_bye, 1);
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

static void refusal_keeps_the_call_and_says_so(void **state)
{
	caller_is_asked();
	answer(&a, "488 Not Acceptable Here", NULL);
	hear(&a);
	ASSERT_HAS(a, "ACK ");
	hear(&b);
	ASSERT_HAS(b, "INVITE "); /* not a word of it to the other */
	answer(&b, "200 OK", SDP_B);
	until(&progress.rescued, 1);
	assert_int_equal(da->state, DIALOG_RESCUED);
	assert_int_equal(db->state, DIALOG_RESCUED);
	assert_int_equal(rescue_outcome(rescue, 0)->status_a, 488);
	assert_non_null(strstr(rescue_outcome(rescue, 0)->text, "caller refused (488): kept"));
	ASSERT_COUNT(rescue_kept, 1);
	/* and it is a call as before */
	hear(&b);
	ASSERT_HAS(b, "ACK ");
	ASK(&b, .method = "BYE", .cseq = 9);
	hear(&b);
	hear(&a);
	ASSERT_HAS(a, "BYE ");
}

static void demand_for_credentials_is_reported_not_answered(void **state)
{
	caller_is_asked();
	answer_more(&a, "407 Proxy Authentication Required",
	            "Proxy-Authenticate: Digest realm=\"x\", nonce=\"y\"\r\n", NULL);
	hear(&a);
	ASSERT_HAS(a, "ACK ");
	hear(&b);
	answer(&b, "200 OK", SDP_B);
	until(&progress.rescued, 1);
	assert_true(silent(&a));
	ASSERT_COUNT(rescue_challenged, 1);
	assert_non_null(strstr(rescue_outcome(rescue, 0)->text, "wants credentials (407)"));
}

static void leg_that_is_gone_ends_the_other_with_the_reason(void **state)
{
	call();
	take_over();
	hear(&b);
	answer(&b, "481 No Such Dialog", NULL);
	hear(&a); /* INVITE */
	hear(&a);
	ASSERT_HAS(a, "BYE sip:ann@192.0.2.99:9;ob SIP/2.0\r\n");
	ASSERT_HAS(a, "Reason: SIP;cause=481\r\n");
	assert_int_equal(progress.failed, 1);
	assert_int_equal(da->state, DIALOG_ENDED);
	assert_int_equal(db->state, DIALOG_ENDED);
	assert_int_equal(rescue_outcome(rescue, 0)->status_b, 481);
	assert_non_null(strstr(rescue_outcome(rescue, 0)->text, "callee gone (481)"));
}

static void phone_that_never_answers_but_talks_is_kept(void **state)
{
	call();
	hurry();
	take_over();
	hear(&b);
	answer(&b, "200 OK", SDP_B);
	until(&progress.rescued, 1);
	assert_int_equal(da->state, DIALOG_RESCUED);
	assert_int_equal(rescue_outcome(rescue, 0)->status_a, 408);
	assert_non_null(strstr(rescue_outcome(rescue, 0)->text, "caller no answer: kept"));
}

static void phone_that_never_answers_and_is_mute_is_over(void **state)
{
	call();
	hurry();
	mute = da;
	take_over();
	hear(&b);
	answer(&b, "200 OK", SDP_B);
	hear(&b); /* ACK */
	hear(&b);
	ASSERT_HAS(b, "BYE ");
	ASSERT_HAS(b, "Reason: SIP;cause=408\r\n");
	assert_int_equal(progress.failed, 1);
	assert_int_equal(da->state, DIALOG_ENDED);
}

static void answer_that_is_no_sdp_does_not_touch_the_media(void **state)
{
	caller_is_asked();
	answer(&a, "200 OK", "m=audio nonsense\r\n\r\nv=");
	hear(&a);
	ASSERT_HAS(a, "ACK ");
	hear(&b);
	answer(&b, "200 OK", SDP_B);
	until(&progress.rescued, 1);
	assert_int_equal(da->sdp_in_len, strlen(SDP_A));
	assert_memory_equal(da->sdp_in, SDP_A, strlen(SDP_A));
}

static void glare_is_tried_again_with_the_next_cseq(void **state)
{
	caller_is_asked();
	answer(&a, "491 Request Pending", NULL);
	hear(&a);
	ASSERT_HAS(a, "CSeq: 100 ACK\r\n");
	hear(&a);
	ASSERT_HAS(a, "CSeq: 101 INVITE\r\n");
}

/* RFC 3261 14.1: never two offers at a time; the phone's came first, before the rescue's turn. */
static void re_invite_waits_for_the_phones_own_offer(void **state)
{
	static const char hold[] = SDP("bob", "2", "3", "127.0.0.2", "6000", "a=sendonly\r\n");
	int64_t asked;

	call();
	take_over();
	ASK(&b, .method = "INVITE", .cseq = 9, .body = hold);
	hear(&a);
	ASSERT_HAS(a, "a=sendonly\r\n");
	asked = now().ns;
	while (!mono_is_set(rescue_call_of(rescue, da)->leg[0].asked) && now().ns < asked + 300 * NS_PER_MS)
		turn();
	assert_int_equal(da->state, DIALOG_RESCUING); /* its turn came */
	assert_false(mono_is_set(rescue_call_of(rescue, da)->leg[0].asked));
	answer(&a, "200 OK", SDP_A);
	hear(&a);
	ASSERT_HAS(a, "ACK ");
	hear(&b);
	ASK(&b, .method = "ACK", .cseq = 9);
	hear(&a);
	ASSERT_HAS(a, "INVITE ");
	ASSERT_HAS(a, "a=sendonly\r\n"); /* as it was told last */
}

static void phone_that_hangs_up_meanwhile_ends_the_other(void **state)
{
	caller_is_asked();
	hear(&b);
	/* heard at the new server, which knows nothing of it */
	dialog_set_state(&table, db, DIALOG_ENDED, now());
	rescue_note(rescue, db);
	hear(&a);
	ASSERT_HAS(a, "BYE ");
	assert_int_equal(progress.failed, 1);
	answer(&a, "200 OK", NULL);
}

/* A younger call of the same server. */
static struct dialog *other_call(struct phone *c, struct phone *d)
{
	struct dialog *dc;

	phone_open(c, "call-c", false);
	phone_open(d, "call-d", true);
	dc = enter(c, SDP_A, OLD_A);
	dialog_set_paired(&table, dc, enter(d, SDP_B, OLD_B), PAIRED_HEADER);
	return dc;
}

/* Of two calls the one that nobody hears is asked first, though it is the younger one. */
static void silent_call_comes_first(void **state)
{
	struct phone c, d;
	struct dialog *dc;

	call();
	dc = other_call(&c, &d);
	mute = dc;
	take_over();
	hear(&c);
	assert_int_equal(dc->state, DIALOG_RESCUING);
	assert_int_equal(da->state, DIALOG_CONFIRMED);
	close(c.fd);
	close(d.fd);
}

static void call_whose_turn_has_not_come_can_end(void **state)
{
	struct phone c, d;
	struct dialog *dc;

	call();
	dc = other_call(&c, &d);
	take_over();
	hear(&a);
	assert_int_equal(dc->state, DIALOG_CONFIRMED);
	dialog_set_state(&table, dc, DIALOG_ENDED, now());
	rescue_note(rescue, dc);
	hear(&d);
	ASSERT_HAS(d, "BYE ");
	answer(&a, "200 OK", SDP_A);
	hear(&b);
	answer(&b, "200 OK", SDP_B);
	until(&progress.rescued, 1);
	until(&progress.failed, 1);
	assert_int_equal(progress.failed, 1);
	assert_int_equal(progress.rescued, 1);
	assert_true(silent(&c));
	close(c.fd);
	close(d.fd);
}

static void leg_whose_other_phone_hung_up_before_gets_a_bye(void **state)
{
	call();
	dialog_set_state(&table, da, DIALOG_ENDED, now());
	take_over();
	hear(&b);
	ASSERT_HAS(b, "BYE ");
	assert_true(silent(&a));
	assert_int_equal(progress.skipped, 1);
}

static void calls_of_the_server_that_runs_here_are_left_alone(void **state)
{
	call();
	table.origin = 77;
	dialog_set_origin(&table, da, 77);
	dialog_set_origin(&table, db, 77);
	take_over();
	assert_int_equal(progress.calls, 0);
	assert_true(silent(&a));
}

static void agent_that_comes_back_goes_on_with_what_nobody_holds(void **state)
{
	call();
	table.origin = 77;
	dialog_set_origin(&table, da, 66);
	dialog_set_origin(&table, db, 66);
	rescue_resume(rescue, 0x201, now());
	hear(&a);
	ASSERT_HAS(a, "CSeq: 100 INVITE\r\n");
	hear(&b);
	rescue_stop(rescue); /* and half-way through it goes again */
	assert_int_equal(da->state, DIALOG_RESCUING);
	rescue_resume(rescue, 0x201, now());
	hear(&a);
	ASSERT_HAS(a, "CSeq: 200 INVITE\r\n");
	answer(&a, "200 OK", SDP_A);
	hear(&b);
	answer(&b, "200 OK", SDP_B);
	until(&progress.rescued, 1);
	rescue_stop(rescue);
	rescue_resume(rescue, 0x201, now()); /* rescued ones are not asked again */
	assert_int_equal(progress.rescued, 1);
	hear(&a); /* ACK */
	assert_true(silent(&a));
	ASSERT_COUNT(rescue_orphans, 2);
}

static void calls_that_lose_their_server_without_a_takeover_are_taken_up(void **state)
{
	take_over(); /* nothing to do yet */
	call();
	table.origin = 77;
	dialog_set_origin(&table, da, 77);
	dialog_set_origin(&table, db, 77);
	assert_true(silent(&a));
	table.origin = 78;
	rescue_start(rescue, 0x201, (uint64_t)now().ns, now());
	hear(&a);
	ASSERT_HAS(a, "INVITE ");
}

static void answer_to_a_request_goes_where_it_came_from(void **state)
{
	char text[1024];

	rescued_call();
	snprintf(text, sizeof(text),
	         "BYE sip:sipflip@" VIP " SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.99:9;branch=z9hG4bKn;rport\r\n"
	         "From: %s;tag=a1\r\nTo: %s;tag=s1\r\nCall-ID: call-a\r\nCSeq: 700 BYE\r\n"
	         "Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
	         a.own_uri, a.server_uri);
	say(&a, text);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 200 ");
	ASSERT_HAS(a, "received=127.0.0.1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(each_leg_is_asked_to_go_on_as_it_was),
	        T(route_set_is_sent_in_order_and_first_hop_gets_it),
	        T(strict_router_gets_the_target_in_the_route),
	        T(bye_passes_across),
	        T(second_takeover_goes_on_above_the_first),
	        T(refusal_keeps_the_call_and_says_so),
	        T(demand_for_credentials_is_reported_not_answered),
	        T(leg_that_is_gone_ends_the_other_with_the_reason),
	        T(phone_that_never_answers_but_talks_is_kept),
	        T(phone_that_never_answers_and_is_mute_is_over),
	        T(answer_that_is_no_sdp_does_not_touch_the_media),
	        T(glare_is_tried_again_with_the_next_cseq),
	        T(re_invite_waits_for_the_phones_own_offer),
	        T(phone_that_hangs_up_meanwhile_ends_the_other),
	        cmocka_unit_test_setup_teardown(silent_call_comes_first, setup_slow, teardown),
	        cmocka_unit_test_setup_teardown(call_whose_turn_has_not_come_can_end, setup_slow, teardown),
	        T(leg_whose_other_phone_hung_up_before_gets_a_bye),
	        T(calls_of_the_server_that_runs_here_are_left_alone),
	        T(agent_that_comes_back_goes_on_with_what_nobody_holds),
	        T(calls_that_lose_their_server_without_a_takeover_are_taken_up),
	        T(answer_to_a_request_goes_where_it_came_from),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
