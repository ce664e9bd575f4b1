/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Offers of one phone of a rescued call to the other: re-INVITE, UPDATE, reliable
 * provisional answers, and what remains agreed when the other does not want it.
 */
#include "pass_call.h"

static void hold_and_resume_pass_across(void **state)
{
	hold_reaches_b();
	ASSERT_HAS(b, "INVITE sip:phone@192.0.2.99:9 SIP/2.0\r\n");
	ASSERT_HAS(b, "CSeq: 600 INVITE\r\n");
	ASSERT_HAS(b, "Max-Forwards: 69\r\n");
	ASSERT_HAS(b, "o=srv 80 9 IN IP4 " VIP "\r\n");
	ASSERT_HAS(b, "a=sendonly\r\n");
	answer(&b, "200 OK", HELD_B);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 200 OK");
	ASSERT_HAS(a, "CSeq: 501 INVITE\r\n");
	ASSERT_HAS(a, "o=srv 70 8 IN IP4 " VIP "\r\n");
	ASSERT_HAS(a, "a=recvonly\r\n");
	hear(&b);
	ASSERT_HAS(b, "ACK ");
	ASSERT_HAS(b, "CSeq: 600 ACK\r\n");
	ASK(&a, .method = "ACK", .cseq = 501);

	ASK(&a, .method = "INVITE", .cseq = 502, .body = BACK_A);
	hear(&b);
	ASSERT_HAS(b, "o=srv 80 10 IN IP4 " VIP "\r\n");
	ASSERT_HAS_NOT(b, "a=sendonly\r\n");
	answer(&b, "200 OK", SDP("bob", "2", "4", "127.0.0.2", "6000", ""));
	hear(&a);
	ASSERT_HAS(a, "o=srv 70 9 IN IP4 " VIP "\r\n");
	ASSERT_HAS_NOT(a, "a=recvonly\r\n");
	ASK(&a, .method = "ACK", .cseq = 502);
	assert_true(silent(&a));
	ASSERT_SAID(da, "o=ann 1 3 ");
	ASSERT_COUNT(rescue_passed_offer, 2);
}

static void answer_is_repeated_until_it_is_acknowledged(void **state)
{
	hold_reaches_b();
	answer(&b, "200 OK", HELD_B);
	hear(&a);
	assert_true(hear_again(&a));
	ASK(&a, .method = "ACK", .cseq = 501);
	turn();
	assert_true(silent(&a));
}

static void repeated_2xx_gets_its_ack_again(void **state)
{
	hold_reaches_b();
	answer(&b, "200 OK", HELD_B);
	hear(&a);
	ASK(&a, .method = "ACK", .cseq = 501);
	hear(&b);
	ASSERT_HAS(b, "CSeq: 600 ACK\r\n");
	back_to_invite(&b);
	answer(&b, "200 OK", HELD_B);
	hear(&b);
	ASSERT_HAS(b, "CSeq: 600 ACK\r\n");
	assert_true(silent(&a));
}

static void repeated_offer_is_not_passed_twice(void **state)
{
	const char *branch = hold_reaches_b();

	ASK(&a, .method = "INVITE", .cseq = 501, .body = HOLD_A, .branch = branch);
	assert_true(silent(&b));
	answer(&b, "200 OK", HELD_B);
	hear(&a);
	ASK(&a, .method = "INVITE", .cseq = 501, .body = HOLD_A, .branch = branch);
	assert_true(hear_again(&a));
	ASSERT_COUNT(rescue_passed_offer, 1);
}

static void asked_offer_is_answered_with_the_phones_ack(void **state)
{
	ASK(&a, .method = "INVITE", .cseq = 501);
	hear(&b);
	ASSERT_HAS(b, "INVITE ");
	ASSERT_HAS(b, "Content-Length: 0\r\n");
	answer(&b, "200 OK", SAID_B);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 200 OK");
	ASSERT_HAS(a, "o=srv 70 8 IN IP4 " VIP "\r\n");
	/* The ACK is late: neither is the other phone acknowledged, nor is its 2xx a new one. */
	answer(&b, "200 OK", SAID_B);
	assert_true(silent(&b));
	assert_true(hear_again(&a));
	ASK(&a, .method = "ACK", .cseq = 501, .body = HOLD_A);
	hear(&b);
	ASSERT_HAS(b, "ACK ");
	ASSERT_HAS(b, "CSeq: 600 ACK\r\n");
	ASSERT_HAS(b, "o=srv 80 9 IN IP4 " VIP "\r\n");
	ASSERT_HAS(b, "a=sendonly\r\n");
	ASSERT_SAID(da, "a=sendonly");
}

static void refused_offer_leaves_what_was_agreed(void **state)
{
	hold_reaches_b();
	ASSERT_HAS(b, "o=srv 80 9 IN IP4 " VIP "\r\n");
	answer_more(&b, "488 Not Here", "Warning: 304 b.example \"no media\"\r\n", NULL);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 488 Not Here\r\n");
	ASSERT_HAS(a, "Warning: 304 b.example \"no media\"\r\n");
	hear(&b);
	ASSERT_HAS(b, "ACK ");
	ASSERT_SAID(da, "o=ann 1 1 ");
	ASSERT_NOT_TOLD(db, "a=sendonly");
	/* The next one goes on above the version that was refused. */
	ASK(&a, .method = "INVITE", .cseq = 502, .body = BACK_A);
	hear(&b);
	ASSERT_HAS(b, "o=srv 80 10 IN IP4 " VIP "\r\n");
}

/* A phone behind NAT is where its last message came from, whatever that said. */
static void refusal_shows_where_the_phone_is_now(void **state)
{
	uint16_t port;
	int old = b.fd;

	hold_reaches_b();
	b.fd = udp("127.0.0.1", &port);
	answer(&b, "488 Not Here", NULL);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 488 ");
	assert_int_equal(db->flow_port, port);
	ASK(&a, .method = "BYE", .cseq = 502);
	hear(&b); /* the new socket */
	ASSERT_HAS(b, "BYE ");
	close(old);
}

static void offer_in_one_part_of_several_is_found(void **state)
{
	ASK(&a, .method = "INVITE", .cseq = 501, .type = "multipart/mixed;boundary=x",
	    .body = "--x\r\nContent-Type: text/plain\r\n\r\nhello\r\n--x\r\nContent-Type: "
	            "application/sdp\r\n\r\n" HOLD_A "\r\n--x--\r\n");
	hear(&b);
	ASSERT_HAS(b, "Content-Type: application/sdp\r\n");
	ASSERT_HAS(b, "o=srv 80 9 IN IP4 " VIP "\r\n");
	ASSERT_HAS(b, "a=sendonly\r\n");
	ASSERT_HAS_NOT(b, "hello");
}

/* As large as the table keeps: what is to be put back has room enough. */
static void large_session_is_as_it_was_after_a_refusal(void **state)
{
	char sdp[DIALOG_SDP_LEN];

	memset(sdp, 'x', sizeof(sdp)); /* one long last line */
	memcpy(sdp, SAID_A "a=", strlen(SAID_A "a="));
	memcpy(sdp + sizeof(sdp) - 2, "\r\n", 2);
	dialog_set_sdp_in(&table, da, sdp, sizeof(sdp));
	hold_reaches_b();
	assert_int_equal(da->sdp_in_len, strlen(HOLD_A));
	answer(&b, "488 Not Here", NULL);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 488 ");
	assert_int_equal(da->sdp_in_len, sizeof(sdp));
	assert_memory_equal(da->sdp_in, sdp, sizeof(sdp));
}

static void new_media_line_without_a_port_at_the_vip_is_refused(void **state)
{
	ASK(&a, .method = "INVITE", .cseq = 501,
	    .body = SDP("ann", "1", "2", "127.0.0.1", "4000", "m=video 4002 RTP/AVP 99\r\n"));
	hear(&b);
	ASSERT_HAS(b, "m=video 0 RTP/AVP 99\r\n");
	answer(&b, "200 OK", SDP("bob", "2", "3", "127.0.0.2", "6000", "m=video 0 RTP/AVP 99\r\n"));
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 200 OK");
	ASSERT_HAS(a, "m=video 0 RTP/AVP 99\r\n");
}

static void refresh_is_answered_here(void **state)
{
	ASK(&a, .method = "INVITE", .cseq = 501, .body = SAID_A);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 200 OK");
	ASSERT_HAS(a, "o=srv 70 7 IN IP4 " VIP "\r\n");
	ASK(&a, .method = "ACK", .cseq = 501);
	ASK(&a, .method = "UPDATE", .cseq = 502);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 200 OK");
	ASSERT_HAS(a, "CSeq: 502 UPDATE\r\n");
	ASSERT_HAS(a, "Contact: <sip:sipflip@" VIP);
	assert_true(silent(&b));
	ASSERT_COUNT(rescue_refreshed, 2);
}

static void update_becomes_a_re_invite_where_it_is_not_allowed(void **state)
{
	ASK(&a, .method = "UPDATE", .cseq = 501, .body = HOLD_A);
	hear(&b);
	ASSERT_HAS(b, "INVITE ");
	answer(&b, "200 OK", HELD_B);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 200 OK");
	ASSERT_HAS(a, "CSeq: 501 UPDATE\r\n");
	ASSERT_HAS(a, "a=recvonly\r\n");
	hear(&b);
	ASSERT_HAS(b, "ACK ");
}

static void update_passes_as_what_it_is_and_falls_back(void **state)
{
	b.supports = "Allow: INVITE, ACK, BYE, UPDATE\r\n";
	ASK(&b, .method = "OPTIONS", .cseq = 9);
	hear(&b);
	dialog_set_flags(&table, db, DIALOG_ALLOWS_UPDATE, 0);
	ASK(&a, .method = "UPDATE", .cseq = 501, .body = HOLD_A);
	hear(&b);
	ASSERT_HAS(b, "UPDATE ");
	ASSERT_HAS(b, "a=sendonly\r\n");
	answer(&b, "200 OK", HELD_B);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 200 OK");
	ASSERT_HAS(a, "a=recvonly\r\n");
	assert_true(silent(&b));

	ASK(&a, .method = "UPDATE", .cseq = 502, .body = BACK_A);
	hear(&b);
	ASSERT_HAS(b, "UPDATE ");
	answer(&b, "405 Method Not Allowed", NULL);
	hear(&b);
	ASSERT_HAS(b, "INVITE ");
	answer(&b, "200 OK", SAID_B);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 200 OK");
	ASSERT_HAS(a, "CSeq: 502 UPDATE\r\n");
}

static void update_without_offer_is_in_order_at_any_time(void **state)
{
	hold_reaches_b();
	ASK(&a, .method = "UPDATE", .cseq = 502);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 200 OK");
	ASK(&a, .method = "UPDATE", .cseq = 503, .body = BACK_A);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 500 ");
	ASSERT_HAS(a, "Retry-After: ");
}

static void reliable_provisional_answer_is_acknowledged(void **state)
{
	hold_reaches_b();
	answer_more(&b, "183 Session Progress", "Require: 100rel\r\nRSeq: 77\r\n", HELD_B);
	hear(&b);
	ASSERT_HAS(b, "PRACK ");
	ASSERT_HAS(b, "RAck: 77 600 INVITE\r\n");
	ASSERT_HAS_NOT(b, "CSeq: 600 ");
	answer(&b, "200 OK", NULL);
	back_to_invite(&b);
	answer(&b, "200 OK", NULL); /* its answer was in the 183 */
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 200 OK");
	ASSERT_HAS(a, "a=recvonly\r\n");
	ASSERT_COUNT(rescue_sent_prack, 1);
}

static void prack_for_nothing_is_refused(void **state)
{
	ASK(&a, .method = "PRACK", .cseq = 501, .headers = "RAck: 1 500 INVITE\r\n");
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 481 ");
	assert_true(silent(&b));
}

/* An offer in it is answered in the PRACK; the 200 brings nothing that the asking phone could be told. */
static void early_offer_is_answered_with_what_was_told_last(void **state)
{
	ASK(&a, .method = "INVITE", .cseq = 501);
	hear(&b);
	answer_more(&b, "183 Session Progress", "Require: 100rel\r\nRSeq: 77\r\n", SAID_B);
	hear(&b);
	ASSERT_HAS(b, "PRACK ");
	ASSERT_HAS(b, "m=audio 20002 RTP/AVP 0\r\n");
	answer(&b, "200 OK", NULL);
	back_to_invite(&b);
	answer(&b, "200 OK", NULL);
	hear(&b);
	ASSERT_HAS(b, "CSeq: 600 ACK\r\n");
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 488 ");
	ASSERT_COUNT(rescue_bad_answer, 1);
}

static void update_falls_back_for_a_phone_that_does_not_know_it(void **state)
{
	dialog_set_flags(&table, db, DIALOG_ALLOWS_UPDATE, 0);
	ASK(&a, .method = "UPDATE", .cseq = 501, .body = HOLD_A);
	hear(&b);
	ASSERT_HAS(b, "UPDATE ");
	answer(&b, "501 Not Implemented", NULL);
	hear(&b);
	ASSERT_HAS(b, "INVITE ");
	ASSERT_HAS(b, "a=sendonly\r\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(hold_and_resume_pass_across),
	        T(answer_is_repeated_until_it_is_acknowledged),
	        T(repeated_2xx_gets_its_ack_again),
	        T(repeated_offer_is_not_passed_twice),
	        T(asked_offer_is_answered_with_the_phones_ack),
	        T(refused_offer_leaves_what_was_agreed),
	        T(refusal_shows_where_the_phone_is_now),
	        T(offer_in_one_part_of_several_is_found),
	        T(large_session_is_as_it_was_after_a_refusal),
	        T(new_media_line_without_a_port_at_the_vip_is_refused),
	        T(refresh_is_answered_here),
	        T(update_becomes_a_re_invite_where_it_is_not_allowed),
	        T(update_passes_as_what_it_is_and_falls_back),
	        T(update_without_offer_is_in_order_at_any_time),
	        T(reliable_provisional_answer_is_acknowledged),
	        T(prack_for_nothing_is_refused),
	        T(early_offer_is_answered_with_what_was_told_last),
	        T(update_falls_back_for_a_phone_that_does_not_know_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
