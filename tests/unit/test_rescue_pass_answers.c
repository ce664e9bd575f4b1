/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What phones of a rescued call may answer to what passes across: refusals, garbage, nothing at all. */
#include "pass_call.h"
#include "rescue_hurry.h"

static void leg_that_knows_no_such_call_ends_the_other(void **state)
{
	ASK(&a, .method = "INFO", .cseq = 501);
	hear(&b);
	answer(&b, "481 No Such Call", NULL);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 481 ");
	hear(&a);
	ASSERT_HAS(a, "BYE ");
	ASSERT_HAS(a, "Reason: SIP;cause=481");
	assert_int_equal(db->state, DIALOG_ENDED);
	assert_true(silent(&b));
	ASSERT_COUNT(rescue_leg_over, 1);
}

static void subscription_that_is_over_does_not_end_the_call(void **state)
{
	ASK(&a, .method = "NOTIFY", .cseq = 501, .headers = "Event: refer\r\nSubscription-State: active\r\n");
	hear(&b);
	answer(&b, "481 Subscription Does Not Exist", NULL);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 481 Subscription Does Not Exist\r\n");
	assert_true(silent(&a));
	assert_int_equal(da->state, DIALOG_CONFIRMED);
	assert_int_equal(db->state, DIALOG_CONFIRMED);
}

static void demand_for_credentials_is_reported_and_not_repeated(void **state)
{
	hold_reaches_b();
	answer_more(&b, "401 Unauthorized", "WWW-Authenticate: Digest realm=\"b\",nonce=\"1\"\r\n", NULL);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 403 ");
	ASSERT_HAS_NOT(a, "WWW-Authenticate");
	hear(&b);
	ASSERT_HAS(b, "ACK ");
	assert_true(silent(&b));
	ASSERT_SAID(da, "o=ann 1 1 ");
	ASSERT_COUNT(rescue_pass_challenged, 1);
}

static void overload_of_one_phone_is_not_taken_for_the_vips(void **state)
{
	ASK(&a, .method = "INFO", .cseq = 501);
	hear(&b);
	answer_more(&b, "503 Busy", "Retry-After: 7\r\n", NULL);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 500 ");
	ASSERT_HAS(a, "Retry-After: 7\r\n");
}

static void garbage_for_an_answer_is_refused_and_changes_nothing(void **state)
{
	hold_reaches_b();
	answer(&b, "200 OK", "\x01\x02 this is no SDP\r\n");
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 488 ");
	hear(&b);
	ASSERT_HAS(b, "CSeq: 600 ACK\r\n");
	ASSERT_SAID(da, "o=ann 1 1 ");
	ASSERT_SAID(db, "o=bob 2 2 ");
	assert_int_equal(da->state, DIALOG_CONFIRMED);
	assert_false(rescue_is_busy());
	ASSERT_COUNT(rescue_bad_answer, 1);
}

static void answers_that_fit_no_request_are_ignored(void **state)
{
	char text[2048], via[1024];

	ASK(&a, .method = "INFO", .cseq = 501);
	hear(&b);
	strcpy(via, header_lines(b.got, "Via"));
	snprintf(text, sizeof(text), "SIP/2.0 200 OK\r\n%s%s%s%sCSeq: 999 INFO\r\nContent-Length: 0\r\n\r\n",
	         via, header_lines(b.got, "From"), header_lines(b.got, "To"), header_lines(b.got, "Call-ID"));
	say(&b, text);
	snprintf(text, sizeof(text),
	         "SIP/2.0 200 OK\r\n%s%s%sCall-ID: other\r\nCSeq: 600 INFO\r\nContent-Length: 0\r\n\r\n", via,
	         header_lines(b.got, "From"), header_lines(b.got, "To"));
	say(&b, text);
	say(&b, "SIP/2.0 200");
	say(&b, "\r\n\r\n");
	say(&b, "SIP/2.0 200 OK\r\n\r\n");
	say(&b, "\xff\xfe\x00garbage");
	assert_true(silent(&a));
	answer(&b, "200 OK", NULL);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 200 OK");
}

static void phone_that_never_answers_an_offer_but_talks_keeps_its_call(void **state)
{
	hurry();
	hold_reaches_b();
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 500 ");
	assert_int_equal(da->state, DIALOG_CONFIRMED);
	assert_int_equal(db->state, DIALOG_CONFIRMED);
	ASSERT_SAID(da, "o=ann 1 1 ");
	ASSERT_COUNT(rescue_leg_over, 0);
}

static void phone_that_never_answers_an_offer_and_is_silent_ends_the_call(void **state)
{
	hurry();
	phones_silent = true;
	hold_reaches_b();
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 481 ");
	hear(&a);
	ASSERT_HAS(a, "BYE ");
	ASSERT_HAS(a, "Reason: SIP;cause=408");
	assert_int_equal(db->state, DIALOG_ENDED);
	ASSERT_COUNT(rescue_leg_over, 1);
}

static void phone_that_never_answers_an_info_keeps_its_call(void **state)
{
	hurry();
	ASK(&a, .method = "INFO", .cseq = 501);
	hear(&b);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 500 ");
	ASSERT_HAS(a, "CSeq: 501 INFO\r\n");
	assert_int_equal(da->state, DIALOG_CONFIRMED);
	assert_int_equal(db->state, DIALOG_CONFIRMED);
	ASSERT_COUNT(rescue_leg_over, 0);
}

static void cancelled_offer_that_is_never_answered_keeps_the_call(void **state)
{
	const char *branch;

	hurry();
	branch = hold_reaches_b();
	ASK(&a, .method = "CANCEL", .cseq = 501, .branch = branch);
	hear(&a);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 487 ");
	ASK(&a, .method = "ACK", .cseq = 501, .branch = branch);
	assert_true(rescue_is_busy());
	until_rescue_is_idle();
	assert_int_equal(da->state, DIALOG_CONFIRMED);
	assert_int_equal(db->state, DIALOG_CONFIRMED);
	ASSERT_SAID(da, "o=ann 1 1 ");
	ASSERT_COUNT(rescue_leg_over, 0);
}

static void answer_that_never_comes_is_what_was_said_last(void **state)
{
	hurry();
	ASK(&a, .method = "INVITE", .cseq = 501);
	hear(&b);
	answer(&b, "200 OK", SAID_B);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 200 OK");
	hear(&b); /* no ACK of the first phone for 64*T1 */
	ASSERT_HAS(b, "ACK ");
	ASSERT_HAS(b, "o=srv 80 9 IN IP4 " VIP "\r\n");
	ASSERT_HAS(b, "m=audio 20002 RTP/AVP 0\r\n");
	assert_false(rescue_is_busy());
	assert_int_equal(da->state, DIALOG_CONFIRMED);
	ASSERT_COUNT(rescue_no_ack, 1);
}

static void phone_that_cannot_be_reached_is_not_gone(void **state)
{
	hurry();
	close(b.fd); /* ICMP: port unreachable */
	ASK(&a, .method = "INFO", .cseq = 501);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 500 ");
	assert_int_equal(db->state, DIALOG_CONFIRMED);
	b.fd = udp("127.0.0.1", &b.port);
}

/* RFC 3261 12.2.1.2 and RFC 5057 5.1: of a request of the call itself, not of a subscription in it. */
static void answers_that_say_there_is_no_such_call_end_it(void **state)
{
	static const struct {
		const char *method, *headers, *status;
		bool ends;
	} cases[] = {
	        {"INFO", "", "481 No Such Call", true},
	        {"INFO", "", "408 Request Timeout", true},
	        {"MESSAGE", "", "481 No Such Call", true},
	        {"MESSAGE", "", "408 Request Timeout", true},
	        {"INFO", "", "404 Not Found", false},
	        {"NOTIFY", "Event: refer\r\nSubscription-State: active\r\n", "481 No Such Subscription",
	         false},
	        {"SUBSCRIBE", "Event: dialog\r\n", "481 No Such Subscription", false},
	        {"REFER", "Refer-To: <sip:x@c.example>\r\n", "481 No Such Subscription", false},
	};
	struct phone c, d;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct dialog *dc = other_call(&c, &d);

		ASK(&c, .method = cases[i].method, .cseq = 501, .headers = cases[i].headers,
		    .type = "text/plain", .body = "x");
		hear(&d);
		answer(&d, cases[i].status, NULL);
		hear(&c);
		assert_int_equal(dc->state, cases[i].ends ? DIALOG_ENDED : DIALOG_CONFIRMED);
		close(c.fd);
		close(d.fd);
	}
}

/* What one phone says of itself may mean something else when the VIP says it. */
static void refusal_is_told_as_what_it_means_to_the_other_phone(void **state)
{
	static const struct {
		const char *said, *told;
	} cases[] = {
	        {"302 Moved Temporarily", "SIP/2.0 500 "},
	        {"401 Unauthorized", "SIP/2.0 403 "},
	        {"407 Proxy Authentication Required", "SIP/2.0 403 "},
	        {"486 Busy Here", "SIP/2.0 486 Busy Here"},
	        {"503 Service Unavailable", "SIP/2.0 500 "},
	        {"603 Decline", "SIP/2.0 603 Decline"},
	};
	uint32_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ASK(&a, .method = "INFO", .cseq = 501 + i);
		hear(&b);
		answer(&b, cases[i].said, NULL);
		hear(&a);
		ASSERT_HAS(a, cases[i].told);
	}
	assert_int_equal(da->state, DIALOG_CONFIRMED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(leg_that_knows_no_such_call_ends_the_other),
	        T(subscription_that_is_over_does_not_end_the_call),
	        T(demand_for_credentials_is_reported_and_not_repeated),
	        T(overload_of_one_phone_is_not_taken_for_the_vips),
	        T(garbage_for_an_answer_is_refused_and_changes_nothing),
	        T(answers_that_fit_no_request_are_ignored),
	        T(phone_that_never_answers_an_offer_but_talks_keeps_its_call),
	        T(phone_that_never_answers_an_offer_and_is_silent_ends_the_call),
	        T(phone_that_never_answers_an_info_keeps_its_call),
	        T(cancelled_offer_that_is_never_answered_keeps_the_call),
	        T(answer_that_never_comes_is_what_was_said_last),
	        T(phone_that_cannot_be_reached_is_not_gone),
	        T(answers_that_say_there_is_no_such_call_end_it),
	        T(refusal_is_told_as_what_it_means_to_the_other_phone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
