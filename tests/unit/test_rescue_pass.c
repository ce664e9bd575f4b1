/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What two phones of a rescued call ask of each other and is not about media: BYE, INFO,
 * MESSAGE, SUBSCRIBE, NOTIFY, REFER, OPTIONS; and what the dead server left open.
 */
#include "pass_call.h"

static void bye_is_heard_before_any_re_invite_and_goes_on_above_the_servers_cseq(void **state)
{
	ASK(&a, .method = "BYE", .cseq = 501, .headers = "Reason: Q.850;cause=16;text=\"normal\"\r\n");
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 200 OK");
	hear(&b);
	ASSERT_HAS(b, "BYE sip:phone@192.0.2.99:9 SIP/2.0\r\n");
	ASSERT_HAS(b, "CSeq: 600 BYE\r\n");
	ASSERT_HAS(b, "Reason: Q.850;cause=16;text=\"normal\"\r\n");
	answer(&b, "200 OK", NULL);
	assert_true(silent(&b));
	assert_int_equal(da->state, DIALOG_ENDED);
	assert_int_equal(db->state, DIALOG_ENDED);
	ASSERT_COUNT(rescue_passed_bye, 1);
}

static void reason_that_is_too_long_is_left_out(void **state)
{
	ASK(&a, .method = "BYE", .cseq = 501,
	    .headers =
	            "Reason: SIP;cause=200;text=\"0123456789012345678901234567890123456789012345678901234567"
	            "8901234567890123456789\"\r\n");
	hear(&b);
	ASSERT_HAS(b, "BYE sip:phone@192.0.2.99:9 SIP/2.0\r\n");
	ASSERT_HAS_NOT(b, "Reason:");
	ASSERT_HAS(b, "\r\n\r\n");
}

static void bye_that_the_dead_server_had_answered_is_answered_again(void **state)
{
	dialog_set_state(&table, da, DIALOG_ENDED, now());
	dialog_set_state(&table, db, DIALOG_ENDED, now());
	ASK(&a, .method = "BYE", .cseq = 500);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 200 OK");
	ASK(&a, .method = "INFO", .cseq = 501);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 481 ");
	assert_true(silent(&b));
}

static void bye_that_the_dead_server_did_not_pass_on_goes_on(void **state)
{
	dialog_set_state(&table, da, DIALOG_ENDED, now());
	ASK(&a, .method = "BYE", .cseq = 500);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 200 OK");
	hear(&b);
	ASSERT_HAS(b, "BYE ");
}

static void info_passes_with_its_body_and_its_answer_comes_back(void **state)
{
	ASK(&a, .method = "INFO", .cseq = 501, .hops = 5, .type = "application/dtmf-relay",
	    .headers = "Info-Package: dtmf\r\nP-Asserted-Identity: <sip:secret@a.example>\r\n"
	               "Content-Disposition: Info-Package\r\n",
	    .body = "Signal=5\r\nDuration=160\r\n");
	hear(&b);
	ASSERT_HAS(b, "INFO sip:phone@192.0.2.99:9 SIP/2.0\r\n");
	ASSERT_HAS(b, "CSeq: 600 INFO\r\n");
	ASSERT_HAS(b, "Max-Forwards: 4\r\n");
	ASSERT_HAS(b, "Info-Package: dtmf\r\n");
	ASSERT_HAS(b, "Content-Disposition: Info-Package\r\n");
	ASSERT_HAS(b, "Content-Type: application/dtmf-relay\r\n");
	ASSERT_HAS(b, "\r\n\r\nSignal=5\r\nDuration=160\r\n");
	ASSERT_HAS_NOT(b, "P-Asserted-Identity");
	answer_more(&b, "469 Bad Info Package", "Recv-Info: other\r\n", NULL);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 469 Bad Info Package\r\n");
	ASSERT_HAS(a, "CSeq: 501 INFO\r\n");
	ASSERT_HAS(a, "Recv-Info: other\r\n");
	ASSERT_SAID(da, "o=ann 1 1 ");
	ASSERT_COUNT(rescue_passed_request, 1);
}

static void message_passes_and_so_does_what_its_answer_carries(void **state)
{
	ASK(&b, .method = "MESSAGE", .cseq = 9, .type = "text/plain;charset=UTF-8", .body = "hello");
	hear(&a);
	ASSERT_HAS(a, "MESSAGE ");
	ASSERT_HAS(a, "CSeq: 100 MESSAGE\r\n"); /* the server had used none */
	ASSERT_HAS(a, "Content-Type: text/plain;charset=UTF-8\r\n");
	ASSERT_HAS(a, "\r\n\r\nhello");
	answer_typed(&a, "202 Taken", "", "text/plain", "later");
	hear(&b);
	ASSERT_HAS(b, "SIP/2.0 202 Taken\r\n");
	ASSERT_HAS(b, "\r\n\r\nlater");
}

static void subscribe_passes_and_notify_comes_back(void **state)
{
	ASK(&a, .method = "SUBSCRIBE", .cseq = 501, .headers = "Event: dialog\r\nExpires: 300\r\n");
	hear(&b);
	ASSERT_HAS(b, "SUBSCRIBE ");
	ASSERT_HAS(b, "Event: dialog\r\n");
	ASSERT_HAS(b, "Expires: 300\r\n");
	ASSERT_HAS(b, "Contact: <sip:sipflip@" VIP);
	answer_more(&b, "200 OK", "Expires: 120\r\n", NULL);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 200 OK");
	ASSERT_HAS(a, "Expires: 120\r\n");
	ASSERT_HAS(a, "Contact: <sip:sipflip@" VIP);
	ASK(&b, .method = "NOTIFY", .cseq = 9,
	    .headers = "Event: dialog\r\nSubscription-State: active;expires=120\r\n",
	    .type = "application/dialog-info+xml", .body = "<dialog-info/>");
	hear(&a);
	ASSERT_HAS(a, "NOTIFY ");
	ASSERT_HAS(a, "Subscription-State: active;expires=120\r\n");
	ASSERT_HAS(a, "<dialog-info/>");
}

static void refer_passes_and_its_notify_names_it_as_the_phone_does(void **state)
{
	ASK(&a, .method = "REFER", .cseq = 501,
	    .headers = "Refer-To: <sip:carol@c.example>\r\nReferred-By: <sip:ann@a.example>\r\n");
	hear(&b);
	ASSERT_HAS(b, "REFER ");
	ASSERT_HAS(b, "CSeq: 600 REFER\r\n");
	ASSERT_HAS(b, "Refer-To: <sip:carol@c.example>\r\n");
	ASSERT_HAS(b, "Referred-By: <sip:ann@a.example>\r\n");
	ASSERT_HAS(b, "Contact: <sip:sipflip@" VIP);
	answer(&b, "202 Accepted", NULL);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 202 Accepted\r\n");
	ASK(&b, .method = "NOTIFY", .cseq = 9,
	    .headers = "Event: refer;id=600\r\nSubscription-State: terminated;reason=noresource\r\n",
	    .type = "message/sipfrag;version=2.0", .body = "SIP/2.0 200 OK\r\n");
	hear(&a);
	ASSERT_HAS(a, "NOTIFY ");
	ASSERT_HAS(a, "Event: refer;id=501\r\n");
	ASSERT_HAS(a, "Content-Type: message/sipfrag;version=2.0\r\n");
	answer(&a, "200 OK", NULL);
	hear(&b);
	ASSERT_HAS(b, "SIP/2.0 200 OK");
}

static void refer_that_replaces_names_the_call_as_the_third_phone_knows_it(void **state)
{
	struct phone a2, c;
	struct dialog *da2, *dc;

	phone_open(&a2, "call-a2@a.example", false);
	a2.own_tag = "a2";
	a2.server_tag = "s2";
	phone_open(&c, "call-c@b.example", true);
	c.own_tag = "c3";
	c.server_tag = "s3";
	da2 = enter(&a2, SAID_A, TOLD_A);
	dc = enter(&c, SAID_B, TOLD_B);
	dialog_set_paired(&table, da2, dc, PAIRED_HEADER);
	ASK(&a, .method = "REFER", .cseq = 501,
	    .headers =
	            "Refer-To: <sip:carol@c.example?Replaces=call-a2%40a.example%3Bto-tag%3Ds2%3Bfrom-tag%3D"
	            "a2&Require=replaces>\r\n");
	hear(&b);
	ASSERT_HAS(b,
	           "Refer-To: <sip:carol@c.example?Replaces=call-c%40b.example%3Bto-tag%3Dc3%3Bfrom-tag%3Ds3"
	           "&Require=replaces>\r\n");
	answer(&b, "202 Accepted", NULL);
	hear(&a);
	/* At the VIP nobody knows that call: to the third phone itself. */
	ASK(&a, .method = "REFER", .cseq = 502,
	    .headers = "Refer-To: <sip:carol@" VIP
	               "?replaces=call-a2%40a.example%3Bto-tag%3Ds2%3Bfrom-tag%3Da2>\r\n");
	hear(&b);
	ASSERT_HAS(b, "Refer-To: <sip:phone@192.0.2.99:9?Replaces=call-c%40b.example");
	ASSERT_COUNT(rescue_refer_mapped, 2);
	close(a2.fd);
	close(c.fd);
}

static void refer_that_replaces_an_unknown_call_is_declined(void **state)
{
	ASK(&a, .method = "REFER", .cseq = 501,
	    .headers = "Refer-To: <sip:c@c.example?Replaces=other%3Bto-tag%3D1%3Bfrom-tag%3D2>\r\n");
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 603 ");
	ASK(&a, .method = "REFER", .cseq = 502,
	    .headers = "Refer-To: <sip:c@c.example?Replaces=%zz%3B;;%>\r\n");
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 ");
	ASK(&a, .method = "REFER", .cseq = 503);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 400 ");
	assert_true(silent(&b));
}

static void options_is_answered_here(void **state)
{
	ASK(&a, .method = "OPTIONS", .cseq = 501, .hops = -1);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 200 OK");
	ASSERT_HAS(a, "Allow: INVITE, ACK, BYE, CANCEL, UPDATE, INFO, MESSAGE, NOTIFY, SUBSCRIBE, REFER");
	assert_true(silent(&b));
}

static void ack_of_the_dead_servers_answer_is_taken_in_silence(void **state)
{
	ASK(&a, .method = "ACK", .cseq = 500);
	assert_true(silent(&a));
	assert_true(silent(&b));
	ASSERT_COUNT(rescue_stray_ack, 1);
}

static void answer_to_the_dead_servers_re_invite_is_acknowledged(void **state)
{
	char text[2048];

	snprintf(text, sizeof(text),
	         "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP " VIP ":%u;branch=z9hG4bKdead\r\nFrom: "
	         "%s;tag=%s\r\nTo: %s;tag=%s\r\nCall-ID: %s\r\nCSeq: 504 INVITE\r\nContact: "
	         "<sip:phone@127.0.0.1:%u>\r\nContent-Type: application/sdp\r\nContent-Length: %zu\r\n\r\n%s",
	         rescue_port, b.server_uri, b.server_tag, b.own_uri, b.own_tag, b.call_id, b.port,
	         strlen(HELD_B), HELD_B);
	say(&b, text);
	hear(&b);
	ASSERT_HAS(b, "ACK sip:phone@127.0.0.1:");
	ASSERT_HAS(b, "CSeq: 504 ACK\r\n");
	ASSERT_SAID(db, "o=bob 2 3 ");
	say(&b, text);
	assert_true(hear_again(&b));
	assert_true(silent(&a));
	ASSERT_COUNT(rescue_stray_acked, 1);
	ASSERT_COUNT(rescue_stray_response, 0);
}

static void calls_of_the_server_that_runs_here_are_left_alone(void **state)
{
	table.origin = 0x1234;
	dialog_set_origin(&table, da, 0x1234);
	ASK(&a, .method = "BYE", .cseq = 501);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 481 ");
	assert_true(silent(&b));
	assert_int_equal(da->state, DIALOG_CONFIRMED);
	ASSERT_COUNT(rescue_unknown_dialog, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(bye_is_heard_before_any_re_invite_and_goes_on_above_the_servers_cseq),
	        T(reason_that_is_too_long_is_left_out),
	        T(bye_that_the_dead_server_had_answered_is_answered_again),
	        T(bye_that_the_dead_server_did_not_pass_on_goes_on),
	        T(info_passes_with_its_body_and_its_answer_comes_back),
	        T(message_passes_and_so_does_what_its_answer_carries),
	        T(subscribe_passes_and_notify_comes_back),
	        T(refer_passes_and_its_notify_names_it_as_the_phone_does),
	        T(refer_that_replaces_names_the_call_as_the_third_phone_knows_it),
	        T(refer_that_replaces_an_unknown_call_is_declined),
	        T(options_is_answered_here),
	        T(ack_of_the_dead_servers_answer_is_taken_in_silence),
	        T(answer_to_the_dead_servers_re_invite_is_acknowledged),
	        T(calls_of_the_server_that_runs_here_are_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
