/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Calls with a single leg: joined to the server that runs now, and what passes then. */
#include "ring_stage.h"

#define SDP_NEW   SDP("srv", "1", "1", VIP, "30000", "")
#define SDP_HOLD  SDP("ann", "1", "2", "127.0.0.1", "4000", "a=sendonly\r\n")
#define SDP_HELD  SDP("srv", "1", "2", VIP, "30000", "a=recvonly\r\n")
#define SDP_MOVED SDP("ann", "1", "2", "127.0.0.1", "4444", "")

/* ann talks to an announcement of the dead server. */
static void connected(void)
{
	called_in(&a, "", SDP_A);
	da = server_said(&a, "200 OK", "", SDP_SRV);
	assert_non_null(da);
	assert_int_equal(da->state, DIALOG_CONFIRMED);
}

/* What the server hears first; answer() to it makes the dialog of the tests below. */
static void called_afresh(void)
{
	connected();
	take_over();
	hear(&server, "INVITE sip:100@" VIP);
}

/* The server's dialog with the agent, from its INVITE: to ask in it later. */
static char server_from[512], server_to[512], server_id[512];

static void joined(void)
{
	const char *to;

	called_afresh();
	to = strchr(header_lines(server.got, "To"), ' ');
	snprintf(server_to, sizeof(server_to), "%s", strchr(header_lines(server.got, "From"), ' '));
	snprintf(server_from, sizeof(server_from), "%.*s;tag=t-server\r\n", (int)strlen(to) - 2, to);
	snprintf(server_id, sizeof(server_id), "%s", header_lines(server.got, "Call-ID"));
	answer(&server, "200 OK", SDP_NEW);
	hear(&server, "ACK");
	hear(&a, "INVITE");
	answer_with(&a, "200 OK", "", "", SDP_A);
	hear(&a, "ACK");
	until(da, DIALOG_RESCUED);
}

static void server_asks(const char *method, uint32_t cseq, const char *more, const char *sdp)
{
	static unsigned int n;
	static char text[TEXT_BYTES];

	snprintf(text, sizeof(text),
	         "%s sip:sipflip@" VIP ":%u SIP/2.0\r\nVia: SIP/2.0/UDP " VIP ":%u;branch=z9hG4bKs%u\r\n"
	         "From:%sTo:%s%sCSeq: %u %s\r\nMax-Forwards: 70\r\nContact: <sip:ivr@" VIP ":%u>\r\n%s%s",
	         method, rescue_port, server.port, ++n, server_from, server_to, server_id, cseq, method,
	         server.port, more, body_text(NULL, sdp));
	send_to_agent(server.fd, text);
}

static void server_is_called_as_the_phone_had_called(void **state)
{
	char contact[96];

	called_afresh();
	snprintf(contact, sizeof(contact), "Contact: <sip:sipflip@" VIP ":%u>\r\n", rescue_port);
	ASSERT_HAS(server, "From: \"P\" <sip:ann@example>;tag=");
	ASSERT_HAS_NOT(server, "tag=p-ann");
	ASSERT_HAS(server, "To: <sip:100@example>\r\n");
	ASSERT_HAS_NOT(server, "Call-ID: call-ann\r\n");
	ASSERT_HAS(server, "X-Sipflip-Rejoin: call-ann\r\n");
	ASSERT_HAS(server, contact);
	snprintf(contact, sizeof(contact), "Via: SIP/2.0/UDP " VIP ":%u;", rescue_port);
	ASSERT_HAS(server, contact);
	ASSERT_HAS(server, "o=ann 1 1 IN IP4 127.0.0.1\r\n");
	ASSERT_HAS(server, "m=audio 4000 RTP/AVP 0\r\n"); /* straight to the phone */
	ASSERT_COUNT(rescue_ring_calls, 0);
	ASSERT_COUNT(rescue_ring_no_invite, 0); /* it did not ring */
	assert_true(never_hears(&a, "INVITE")); /* nothing to offer yet */
}

static void phone_is_re_invited_with_the_servers_answer(void **state)
{
	called_afresh();
	answer(&server, "200 OK", SDP_NEW);
	hear(&server, "ACK sip:server@127.0.0.1");
	ASSERT_HAS(server, "tag=t-server");
	hear(&a, "INVITE sip:ann@127.0.0.1");
	ASSERT_HAS(a, "Call-ID: call-ann\r\n");
	ASSERT_HAS(a, "To: \"P\" <sip:ann@example>;tag=p-ann\r\n");
	ASSERT_HAS(a, "From: <sip:100@example>;tag=s-a\r\n");
	ASSERT_HAS(a, "o=srv 1 8 IN IP4 " VIP "\r\n"); /* the session that the phone knows goes on */
	ASSERT_HAS(a, "m=audio 30000 RTP/AVP 0\r\n");
	answer_with(&a, "200 OK", "", "", SDP_A);
	hear(&a, "ACK");
	until(da, DIALOG_RESCUED);
	assert_true(da->flags & DIALOG_JOINED);
	assert_int_equal(da->origin, LIVE); /* its media is with the server that runs here */
	ASSERT_COUNT(rescue_joined, 1);
	assert_int_equal(rescue_outcome(rescue, 0)->result, 1);
	assert_int_equal(rescue_outcome(rescue, 0)->status_a, 200);
	assert_true(never_hears(&server, "INVITE"));
}

static void bye_of_the_phone_reaches_the_server(void **state)
{
	joined();
	ask(&a, "BYE", 12, "", "s-a", "", NULL);
	hear(&a, "SIP/2.0 200");
	hear(&server, "BYE");
	ASSERT_HAS(server, "tag=t-server");
	assert_int_equal(da->state, DIALOG_ENDED);
}

static void bye_of_the_server_reaches_the_phone(void **state)
{
	joined();
	server_asks("BYE", 5, "", NULL);
	hear(&server, "SIP/2.0 200");
	hear(&a, "BYE sip:ann@127.0.0.1");
	ASSERT_HAS(a, "Call-ID: call-ann\r\n");
	assert_int_equal(da->state, DIALOG_ENDED);
	assert_true(never_hears(&server, "BYE"));
}

static void digits_in_info_reach_the_server_and_its_answer_the_phone(void **state)
{
	joined();
	ask(&a, "INFO", 12, "", "s-a", "X-Digit: 5\r\nInfo-Package: dtmf\r\n", "Signal=5\r\n");
	hear(&server, "INFO");
	ASSERT_HAS(server, "Signal=5\r\n");
	ASSERT_HAS(server, "X-Digit: 5\r\n");
	ASSERT_HAS(server, "Info-Package: dtmf\r\n");
	assert_true(never_hears(&a, "SIP/2.0 200"));
	answer_with(&server, "415 Unsupported Media Type", "", "", NULL);
	hear(&a, "SIP/2.0 415");
	ASSERT_HAS(a, "CSeq: 12 INFO\r\n");
}

static void refer_of_the_server_reaches_the_phone(void **state)
{
	joined();
	server_asks("REFER", 5, "Refer-To: <sip:200@example>\r\n", NULL);
	hear(&a, "REFER");
	ASSERT_HAS(a, "Refer-To: <sip:200@example>\r\n");
	answer_with(&a, "202 Accepted", "", "", NULL);
	hear(&server, "SIP/2.0 202");
}

static void hold_of_the_phone_reaches_the_server_and_its_answer_comes_back(void **state)
{
	joined();
	ask(&a, "INVITE", 12, "", "s-a", "", SDP_HOLD);
	hear(&server, "INVITE");
	ASSERT_HAS(server, "a=sendonly\r\n");
	ASSERT_HAS(server, "o=ann 1 2 IN IP4");
	answer_with(&server, "200 OK", "", "", SDP_HELD);
	hear(&a, "SIP/2.0 200");
	ASSERT_HAS(a, "CSeq: 12 INVITE\r\n");
	ASSERT_HAS(a, "a=recvonly\r\n");
	ASSERT_HAS(a, "o=srv 1 9 IN IP4 " VIP "\r\n");
	hear(&server, "ACK");
	ask(&a, "ACK", 12, "", "s-a", "", NULL);
	turn();
	ask(&a, "INVITE", 13, "", "s-a", "", SDP_A); /* and the next one is not in its way */
	hear(&server, "INVITE");
}

static void offer_of_the_server_reaches_the_phone(void **state)
{
	joined();
	server_asks("INVITE", 5, "", SDP_HELD);
	hear(&a, "INVITE");
	ASSERT_HAS(a, "a=recvonly\r\n");
	answer_with(&a, "200 OK", "", "", SDP_HOLD);
	hear(&server, "SIP/2.0 200");
	ASSERT_HAS(server, "a=sendonly\r\n");
	hear(&a, "ACK");
}

static void refused_offer_is_refused_to_who_made_it(void **state)
{
	joined();
	ask(&a, "INVITE", 12, "", "s-a", "", SDP_HOLD);
	hear(&server, "INVITE");
	answer_with(&server, "488 Not Acceptable Here", "", "", NULL);
	hear(&a, "SIP/2.0 488");
	assert_int_equal(da->state, DIALOG_RESCUED);
	assert_true(never_hears(&a, "BYE"));
}

static void one_offer_at_a_time(void **state)
{
	joined();
	ask(&a, "INVITE", 12, "", "s-a", "", SDP_HOLD);
	hear(&server, "INVITE");
	server_asks("INVITE", 5, "", SDP_HELD);
	hear(&server, "SIP/2.0 491");
}

static void server_that_knows_nothing_any_more_ends_the_call(void **state)
{
	joined();
	ask(&a, "INVITE", 12, "", "s-a", "", SDP_HOLD);
	hear(&server, "INVITE");
	answer_with(&server, "481 Call/Transaction Does Not Exist", "", "", NULL);
	hear(&a, "BYE");
	assert_int_equal(da->state, DIALOG_ENDED);
}

static void moved_phone_is_told_to_the_server(void **state)
{
	called_afresh();
	answer(&server, "200 OK", SDP_NEW);
	hear(&a, "INVITE");
	answer_with(&a, "200 OK", "", "", SDP_MOVED);
	hear(&server, "INVITE");
	ASSERT_HAS(server, "m=audio 4444 RTP/AVP 0\r\n");
	answer_with(&server, "200 OK", "", "", SDP_NEW);
	hear(&server, "ACK");
}

static void refusing_server_ends_the_phones_call(void **state)
{
	called_afresh();
	answer(&server, "404 Not Found", NULL);
	hear(&server, "ACK");
	hear(&a, "BYE sip:ann@127.0.0.1");
	ASSERT_HAS(a, "Reason: SIP;cause=404");
	assert_int_equal(da->state, DIALOG_ENDED);
	ASSERT_COUNT(rescue_join_failed, 1);
	assert_int_equal(rescue_outcome(rescue, 0)->result, 2);
}

static void challenging_server_is_counted(void **state)
{
	called_afresh();
	answer_with(&server, "407 Proxy Authentication Required", "t-server",
	            "Proxy-Authenticate: Digest realm=\"x\", nonce=\"y\"\r\n", NULL);
	hear(&a, "BYE");
	ASSERT_COUNT(rescue_join_challenged, 1);
	assert_true(never_hears(&server, "INVITE"));
}

static void refusing_phone_gives_the_server_back_its_leg(void **state)
{
	called_afresh();
	answer(&server, "200 OK", SDP_NEW);
	hear(&a, "INVITE");
	answer_with(&a, "488 Not Acceptable Here", "", "", NULL);
	hear(&server, "BYE");
	assert_true(never_hears(&a, "BYE")); /* that the phone may do itself */
	ASSERT_COUNT(rescue_join_failed, 1);
}

static void phone_that_is_gone_gives_the_server_back_its_leg(void **state)
{
	called_afresh();
	answer(&server, "200 OK", SDP_NEW);
	hear(&a, "INVITE");
	answer_with(&a, "481 Call/Transaction Does Not Exist", "", "", NULL);
	hear(&server, "BYE");
	until(da, DIALOG_ENDED);
}

static void glare_is_tried_again(void **state)
{
	called_afresh();
	answer(&server, "200 OK", SDP_NEW);
	hear(&a, "INVITE");
	answer_with(&a, "491 Request Pending", "", "", NULL);
	hear(&a, "ACK");
	hear(&a, "INVITE");
	ASSERT_HAS(a, "m=audio 30000 RTP/AVP 0\r\n");
	answer_with(&a, "200 OK", "", "", SDP_A);
	until(da, DIALOG_RESCUED);
}

static void phone_that_hangs_up_meanwhile_cancels_the_call_to_the_server(void **state)
{
	called_afresh();
	answer(&server, "180 Ringing", NULL);
	turn();
	ask(&a, "BYE", 12, "", "s-a", "", NULL);
	hear(&a, "SIP/2.0 200");
	hear(&server, "CANCEL");
	assert_int_equal(da->state, DIALOG_ENDED);
}

static void next_takeover_joins_again(void **state)
{
	joined();
	next_takeover();
	hear(&server, "INVITE sip:100@" VIP);
	answer(&server, "200 OK", SDP_NEW);
	hear(&a, "INVITE");
	answer_with(&a, "200 OK", "", "", SDP_A);
	hear(&a, "ACK");
	until_held_by(da, LIVE + 1);
}

/* sipflip-calls has died and is there again, and has not been told yet of all calls. */
static void died(void)
{
	static const struct rescue_callbacks callbacks = {0};
	struct keeper_conf conf = rescue->conf;

	rescue_free(rescue);
	assert_int_equal(rescue_new(root, &conf, &track, &callbacks, NULL, &rescue), 0);
}

/* It goes on with what the table's copy knows; no server or phone notices. */
static void restarted(void)
{
	died();
	rescue_resume(rescue, 0x201, now());
	ASSERT_COUNT(rescue_join_resumed, 1);
	assert_true(never_hears(&server, "BYE"));
	assert_true(never_hears(&a, "INVITE")); /* it goes on, and is not joined anew */
	ASSERT_COUNT(rescue_join_calls, 0);
}

/* The header's lines in what was heard are those of before. */
static void assert_same(const char *name, const char *before)
{
	assert_string_equal(header_lines(server.got, name), before);
}

static void bye_of_the_phone_reaches_the_server_after_a_restart(void **state)
{
	char from[512], to[512], id[512];

	joined();
	snprintf(from, sizeof(from), "%s", header_lines(server.got, "From"));
	snprintf(to, sizeof(to), "%s", header_lines(server.got, "To"));
	snprintf(id, sizeof(id), "%s", header_lines(server.got, "Call-ID"));
	restarted();
	ask(&a, "BYE", 12, "", "s-a", "", NULL);
	hear(&a, "SIP/2.0 200");
	hear(&server, "BYE sip:server@127.0.0.1"); /* its Contact */
	assert_same("From", from);
	assert_same("To", to);
	assert_same("Call-ID", id);
	assert_int_equal(da->state, DIALOG_ENDED);
}

static void bye_of_the_server_reaches_the_phone_after_a_restart(void **state)
{
	joined();
	restarted();
	server_asks("BYE", 5, "", NULL);
	hear(&server, "SIP/2.0 200");
	hear(&a, "BYE sip:ann@127.0.0.1");
	assert_int_equal(da->state, DIALOG_ENDED);
	assert_true(never_hears(&server, "BYE"));
}

/* A 481 would end what goes on; a repeated request finds its call. */
static void who_asks_before_calls_are_known_again_has_to_repeat_it(void **state)
{
	joined();
	died();
	server_asks("INFO", 5, "", NULL);
	ask(&a, "BYE", 12, "z9hG4bKearly", "s-a", "", NULL);
	ask(&b, "BYE", 12, "", "s-b", "", NULL); /* in a call that nobody told of */
	assert_true(never_hears(&server, "SIP/2.0"));
	assert_true(never_hears(&a, "SIP/2.0"));
	ASSERT_COUNT(rescue_too_early, 3);
	assert_int_equal(da->state, DIALOG_RESCUED);
	rescue_resume(rescue, 0x201, now());
	ask(&a, "BYE", 12, "z9hG4bKearly", "s-a", "", NULL);
	hear(&a, "SIP/2.0 200");
	hear(&server, "BYE");
	ask(&b, "BYE", 12, "", "s-b", "", NULL); /* and never will */
	hear(&b, "SIP/2.0 481");
	ASSERT_COUNT(rescue_too_early, 3);
}

static uint32_t cseq_heard_by_server(void)
{
	return (uint32_t)strtoul(header_lines(server.got, "CSeq") + strlen("CSeq: "), NULL, 10);
}

static void hold_crosses_after_a_restart_above_the_last_cseq(void **state)
{
	uint32_t cseq = 12, last;

	joined();
	for (; cseq < 14 + RESCUE_CSEQ_MARGIN; cseq++) { /* more than the margin alone would cover */
		ask(&a, "INFO", cseq, "", "s-a", "", "Signal=5\r\n");
		hear(&server, "INFO");
		answer_with(&server, "200 OK", "", "", NULL);
		hear(&a, "SIP/2.0 200");
	}
	last = cseq_heard_by_server();
	restarted();
	ask(&a, "INVITE", cseq, "", "s-a", "", SDP_HOLD);
	hear(&server, "INVITE");
	assert_true(cseq_heard_by_server() > last);
	answer_with(&server, "200 OK", "", "", SDP_HELD);
	hear(&a, "SIP/2.0 200");
	ASSERT_HAS(a, "o=srv 1 9 IN IP4 " VIP "\r\n");
	hear(&server, "ACK");
}

static void server_behind_a_proxy_is_reached_by_its_route_after_a_restart(void **state)
{
	called_afresh();
	answer_with(&server, "200 OK", "t-server",
	            "Record-Route: <sip:in@192.0.2.1;lr>, <sip:out@192.0.2.2;lr>\r\n", SDP_NEW);
	hear(&a, "INVITE");
	answer_with(&a, "200 OK", "", "", SDP_A);
	hear(&a, "ACK");
	until(da, DIALOG_RESCUED);
	restarted();
	ask(&a, "BYE", 12, "", "s-a", "", NULL);
	hear(&server, "BYE sip:server@127.0.0.1");
	assert_same("Route", "Route: <sip:out@192.0.2.2;lr>\r\nRoute: <sip:in@192.0.2.1;lr>\r\n");
}

static void what_does_not_read_of_a_join_is_not_gone_on_with(void **state)
{
	static const char *const lines[] = {
	        "7",
	        "7 sip:x@127.0.0.1",
	        "7 sip:x@127.0.0.1 id;from-tag=f",
	        "4294967295 sip:x@127.0.0.1 id"
	        ";from-tag=f;to-tag=t",
	        "7 sip:x@127.0.0.1 id;from-tag=f;to-tag=t <<",
	};
	unsigned int i;

	joined();
	rescue_stop(rescue);
	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		dialog_set_joined(&table, da, lines[i]);
		rescue_join_resume(rescue, da);
		ASSERT_COUNT(rescue_join_resumed, 0);
		assert_string_equal(da->joined, ""); /* and not tried again */
	}
	dialog_set_joined(&table, da, "7 sip:x@127.0.0.1 id;from-tag=f;to-tag=t");
	rescue_join_resume(rescue, da);
	ASSERT_COUNT(rescue_join_resumed, 1);
}

/* Nothing tells where the server's half is, but the phone's is known: it is not told that its call never was.
 */
static void phone_hangs_up_a_join_that_is_not_gone_on_with(void **state)
{
	joined();
	rescue_stop(rescue);
	dialog_set_joined(&table, da, "");
	rescue_resume(rescue, 0x201, now());
	ASSERT_COUNT(rescue_join_resumed, 0);
	assert_true(da->origin == table.origin);
	ask(&a, "BYE", 12, "", "s-a", "", NULL);
	hear(&a, "SIP/2.0 ");
	ASSERT_HAS(a, "SIP/2.0 200 ");
	assert_int_equal(da->state, DIALOG_ENDED);
}

static void leg_that_the_server_called_is_not_joined(void **state)
{
	called_out(&b, SDP_B_O);
	db = phone_said(&b, "200 OK", "", SDP_B);
	take_over();
	assert_true(never_hears(&server, "INVITE"));
	assert_false(rescue_join_start(rescue, db));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(server_is_called_as_the_phone_had_called),
	        T(phone_is_re_invited_with_the_servers_answer),
	        T(bye_of_the_phone_reaches_the_server),
	        T(bye_of_the_server_reaches_the_phone),
	        T(digits_in_info_reach_the_server_and_its_answer_the_phone),
	        T(refer_of_the_server_reaches_the_phone),
	        T(hold_of_the_phone_reaches_the_server_and_its_answer_comes_back),
	        T(offer_of_the_server_reaches_the_phone),
	        T(refused_offer_is_refused_to_who_made_it),
	        T(one_offer_at_a_time),
	        T(server_that_knows_nothing_any_more_ends_the_call),
	        T(moved_phone_is_told_to_the_server),
	        T(refusing_server_ends_the_phones_call),
	        T(challenging_server_is_counted),
	        T(refusing_phone_gives_the_server_back_its_leg),
	        T(phone_that_is_gone_gives_the_server_back_its_leg),
	        T(glare_is_tried_again),
	        T(phone_that_hangs_up_meanwhile_cancels_the_call_to_the_server),
	        T(next_takeover_joins_again),
	        T(bye_of_the_phone_reaches_the_server_after_a_restart),
	        T(bye_of_the_server_reaches_the_phone_after_a_restart),
	        T(who_asks_before_calls_are_known_again_has_to_repeat_it),
	        T(hold_crosses_after_a_restart_above_the_last_cseq),
	        T(server_behind_a_proxy_is_reached_by_its_route_after_a_restart),
	        T(what_does_not_read_of_a_join_is_not_gone_on_with),
	        T(phone_hangs_up_a_join_that_is_not_gone_on_with),
	        T(leg_that_the_server_called_is_not_joined),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
