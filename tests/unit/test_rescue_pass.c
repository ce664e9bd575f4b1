/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What two phones of a rescued call ask of each other, and what comes of it: all
 * from the moment of the flip, none of the legs has been re-INVITEd.
 */
#include "../../user/calls/rescue_agent.h"
#include "pairing.h"

#include "pass_script.h"
#include <sofia-sip/nta_tag.h>
#include <sofia-sip/su_tagarg.h>

#define SDP(who, id, version, addr, port, attributes)                                                        \
	"v=0\r\no=" who " " id " " version " IN IP4 " addr "\r\ns=-\r\nc=IN IP4 " addr                       \
	"\r\nt=0 0\r\nm=audio " port " RTP/AVP 0\r\n" attributes

#define SAID_A SDP("ann", "1", "1", "127.0.0.1", "4000", "")
#define TOLD_A SDP("srv", "70", "7", VIP, "20000", "")
#define SAID_B SDP("bob", "2", "2", "127.0.0.2", "6000", "")
#define TOLD_B SDP("srv", "80", "8", VIP, "20002", "")
#define HOLD_A SDP("ann", "1", "2", "127.0.0.1", "4000", "a=sendonly\r\n")
#define BACK_A SDP("ann", "1", "3", "127.0.0.1", "4000", "")
#define HELD_B SDP("bob", "2", "3", "127.0.0.2", "6000", "a=recvonly\r\n")
#define HOLD_B SDP("bob", "2", "3", "127.0.0.2", "6000", "a=sendonly\r\n")
#define HELD_A SDP("ann", "1", "2", "127.0.0.1", "4000", "a=recvonly\r\n")

#define MUTATIONS 5000

static struct phone a, b;
static struct dialog *da, *db;

static int setup(void **state)
{
	world_open();
	phone_open(&a, "call-a", false);
	phone_open(&b, "call-b", true);
	da = enter(&a, SAID_A, TOLD_A);
	db = enter(&b, SAID_B, TOLD_B);
	dialog_set_paired(&world.table, da, db, PAIRED_HEADER);
	return 0;
}

static int teardown(void **state)
{
	world_close();
	close(a.fd);
	close(b.fd);
	return 0;
}

static bool holds(const char *sdp, size_t len, const char *text)
{
	return memmem(sdp, len, text, strlen(text)) != NULL;
}

/* An exchange is left over. */
static bool rescue_is_busy(void)
{
	return rescue_pass_involves(world.rescue, da) || rescue_pass_involves(world.rescue, db);
}

#define ASSERT_SAID(d, text) assert_true(holds((d)->sdp_in, (d)->sdp_in_len, text))
#define ASSERT_TOLD(d, text) assert_true(holds((d)->sdp_out, (d)->sdp_out_len, text))

/* --- BYE -------------------------------------------------------------------------- */

static void bye_is_heard_before_any_re_invite_and_goes_on_above_the_servers_cseq(void **state)
{
	ASK(&a, .method = "BYE", .cseq = 501, .headers = "Reason: Q.850;cause=16;text=\"normal\"\r\n");
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 200 OK");
	hear(&b);
	ASSERT_HAS(b, "BYE sip:phone@192.0.2.99:9 SIP/2.0\r\n");
	ASSERT_HAS(b, "CSeq: 600 BYE\r\n");
	ASSERT_HAS(b, "Reason: Q.850;cause=16;text=\"normal\"\r\n");
	answer(&b, "200 OK", NULL, NULL, NULL);
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
	dialog_set_state(&world.table, da, DIALOG_ENDED, now());
	dialog_set_state(&world.table, db, DIALOG_ENDED, now());
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
	dialog_set_state(&world.table, da, DIALOG_ENDED, now());
	ASK(&a, .method = "BYE", .cseq = 500);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 200 OK");
	hear(&b);
	ASSERT_HAS(b, "BYE ");
}

static void bye_ends_an_offer_under_way(void **state)
{
	ASK(&a, .method = "INVITE", .cseq = 501, .body = HOLD_A);
	hear(&b);
	answer(&b, "180 Ringing", NULL, NULL, NULL);
	turn();
	ASK(&b, .method = "BYE", .cseq = 9);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 487 ");
	hear(&a);
	ASSERT_HAS(a, "BYE ");
	assert_int_equal(da->state, DIALOG_ENDED);
}

/* --- offers ------------------------------------------------------------------------ */

static void hold_and_resume_pass_across(void **state)
{
	ASK(&a, .method = "INVITE", .cseq = 501, .body = HOLD_A);
	hear(&b);
	ASSERT_HAS(b, "INVITE sip:phone@192.0.2.99:9 SIP/2.0\r\n");
	ASSERT_HAS(b, "CSeq: 600 INVITE\r\n");
	ASSERT_HAS(b, "Max-Forwards: 69\r\n");
	ASSERT_HAS(b, "o=srv 80 9 IN IP4 " VIP "\r\n");
	ASSERT_HAS(b, "a=sendonly\r\n");
	answer(&b, "200 OK", NULL, NULL, HELD_B);
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
	answer(&b, "200 OK", NULL, NULL, SDP("bob", "2", "4", "127.0.0.2", "6000", ""));
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
	ASK(&a, .method = "INVITE", .cseq = 501, .body = HOLD_A);
	hear(&b);
	answer(&b, "200 OK", NULL, NULL, HELD_B);
	hear(&a);
	assert_true(hear_again(&a));
	ASK(&a, .method = "ACK", .cseq = 501);
	turn();
	assert_true(silent(&a));
}

static void repeated_2xx_gets_its_ack_again(void **state)
{
	static char said[65536];

	ASK(&a, .method = "INVITE", .cseq = 501, .body = HOLD_A);
	hear(&b);
	strcpy(said, b.got);
	answer(&b, "200 OK", NULL, NULL, HELD_B);
	hear(&a);
	ASK(&a, .method = "ACK", .cseq = 501);
	hear(&b);
	ASSERT_HAS(b, "CSeq: 600 ACK\r\n");
	strcpy(b.got, said);
	answer(&b, "200 OK", NULL, NULL, HELD_B);
	hear(&b);
	ASSERT_HAS(b, "CSeq: 600 ACK\r\n");
	assert_true(silent(&a));
}

static void repeated_offer_is_not_passed_twice(void **state)
{
	const char *branch = ASK(&a, .method = "INVITE", .cseq = 501, .body = HOLD_A);

	hear(&b);
	ASK(&a, .method = "INVITE", .cseq = 501, .body = HOLD_A, .branch = branch);
	assert_true(silent(&b));
	answer(&b, "200 OK", NULL, NULL, HELD_B);
	hear(&a);
	ASK(&a, .method = "INVITE", .cseq = 501, .body = HOLD_A, .branch = branch);
	assert_true(hear_again(&a));
	ASSERT_COUNT(rescue_passed_offer, 1);
}

static void asked_offer_is_answered_with_the_phones_ack(void **state)
{
	static char said[65536];

	ASK(&a, .method = "INVITE", .cseq = 501);
	hear(&b);
	ASSERT_HAS(b, "INVITE ");
	ASSERT_HAS(b, "Content-Length: 0\r\n");
	strcpy(said, b.got);
	answer(&b, "200 OK", NULL, NULL, SAID_B);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 200 OK");
	ASSERT_HAS(a, "o=srv 70 8 IN IP4 " VIP "\r\n");
	/* The ACK is late: neither is the other phone acknowledged, nor is its 2xx a new one. */
	answer(&b, "200 OK", NULL, NULL, SAID_B);
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
	ASK(&a, .method = "INVITE", .cseq = 501, .body = HOLD_A);
	hear(&b);
	ASSERT_HAS(b, "o=srv 80 9 IN IP4 " VIP "\r\n");
	answer(&b, "488 Not Here", "Warning: 304 b.example \"no media\"\r\n", NULL, NULL);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 488 Not Here\r\n");
	ASSERT_HAS(a, "Warning: 304 b.example \"no media\"\r\n");
	hear(&b);
	ASSERT_HAS(b, "ACK ");
	ASSERT_SAID(da, "o=ann 1 1 ");
	assert_false(holds(db->sdp_out, db->sdp_out_len, "a=sendonly"));
	/* The next one goes on above the version that was refused. */
	ASK(&a, .method = "INVITE", .cseq = 502, .body = BACK_A);
	hear(&b);
	ASSERT_HAS(b, "o=srv 80 10 IN IP4 " VIP "\r\n");
}

static void cancel_passes_across(void **state)
{
	const char *branch = ASK(&a, .method = "INVITE", .cseq = 501, .body = HOLD_A);
	static char said[65536];

	hear(&b);
	strcpy(said, b.got);
	answer(&b, "180 Ringing", NULL, NULL, NULL);
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
	answer(&b, "200 OK", NULL, NULL, NULL);
	strcpy(b.got, said);
	answer(&b, "487 Request Terminated", NULL, NULL, NULL);
	hear(&b);
	ASSERT_HAS(b, "ACK ");
	assert_true(silent(&b));
	ASSERT_SAID(da, "o=ann 1 1 ");
	assert_false(rescue_is_busy());
	ASSERT_COUNT(rescue_passed_cancel, 1);
}

static void offer_cancelled_too_late_is_taken_back(void **state)
{
	const char *branch = ASK(&a, .method = "INVITE", .cseq = 501, .body = HOLD_A);

	hear(&b);
	ASK(&a, .method = "CANCEL", .cseq = 501, .branch = branch);
	hear(&a);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 487 ");
	ASK(&a, .method = "ACK", .cseq = 501, .branch = branch);
	answer(&b, "200 OK", NULL, NULL, HELD_B);
	hear(&b);
	ASSERT_HAS(b, "CSeq: 600 ACK\r\n");
	hear(&b);
	ASSERT_HAS(b, "INVITE ");
	ASSERT_HAS(b, "o=srv 80 10 IN IP4 " VIP "\r\n");
	ASSERT_HAS_NOT(b, "a=sendonly\r\n");
	answer(&b, "200 OK", NULL, NULL, SDP("bob", "2", "4", "127.0.0.2", "6000", ""));
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
	rescue_start(world.rescue, 0x201, (uint64_t)now().ns, now());
	ASK(&a, .method = "INVITE", .cseq = 501, .body = HOLD_A);
	hear(&b);
	ASSERT_HAS(b, "INVITE ");
	ASSERT_HAS(b, "a=sendonly\r\n");
	answer(&b, "200 OK", NULL, NULL, HELD_B);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 200 OK");
}

static void offer_that_meets_the_rescues_own_is_pending(void **state)
{
	rescue_start(world.rescue, 0x201, (uint64_t)now().ns, now());
	hear(&b);
	ASSERT_HAS(b, "INVITE ");
	hear(&a);
	ASSERT_HAS(a, "INVITE ");
	answer(&a, "200 OK", NULL, NULL, SAID_A);
	hear(&a);
	ASSERT_HAS(a, "ACK ");
	ASK(&a, .method = "INVITE", .cseq = 501, .body = HOLD_A);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 491 ");
	answer(&b, "200 OK", NULL, NULL, SAID_B);
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
	static char said[65536];

	ASK(&a, .method = "INVITE", .cseq = 501, .body = HOLD_A);
	hear(&b);
	strcpy(said, b.got);
	ASK(&b, .method = "INVITE", .cseq = 9, .body = HOLD_B);
	hear(&b);
	ASSERT_HAS(b, "SIP/2.0 491 ");
	strcpy(b.got, said);
	answer(&b, "491 Request Pending", NULL, NULL, NULL);
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
	ASK(&a, .method = "INVITE", .cseq = 501, .body = HOLD_A);
	hear(&b);
	ASK(&a, .method = "INVITE", .cseq = 502, .body = BACK_A);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 500 ");
	ASSERT_HAS(a, "CSeq: 502 INVITE\r\n");
	ASSERT_HAS(a, "Retry-After: ");
	answer(&b, "200 OK", NULL, NULL, HELD_B);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 200 OK");
	ASSERT_HAS(a, "CSeq: 501 INVITE\r\n");
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

static void new_media_line_without_a_port_at_the_vip_is_refused(void **state)
{
	ASK(&a, .method = "INVITE", .cseq = 501,
	    .body = SDP("ann", "1", "2", "127.0.0.1", "4000", "m=video 4002 RTP/AVP 99\r\n"));
	hear(&b);
	ASSERT_HAS(b, "m=video 0 RTP/AVP 99\r\n");
	answer(&b, "200 OK", NULL, NULL,
	       SDP("bob", "2", "3", "127.0.0.2", "6000", "m=video 0 RTP/AVP 99\r\n"));
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

/* --- UPDATE ---------------------------------------------------------------------------- */

static void update_becomes_a_re_invite_where_it_is_not_allowed(void **state)
{
	ASK(&a, .method = "UPDATE", .cseq = 501, .body = HOLD_A);
	hear(&b);
	ASSERT_HAS(b, "INVITE ");
	answer(&b, "200 OK", NULL, NULL, HELD_B);
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
	dialog_set_flags(&world.table, db, DIALOG_ALLOWS_UPDATE, 0);
	ASK(&a, .method = "UPDATE", .cseq = 501, .body = HOLD_A);
	hear(&b);
	ASSERT_HAS(b, "UPDATE ");
	ASSERT_HAS(b, "a=sendonly\r\n");
	answer(&b, "200 OK", NULL, NULL, HELD_B);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 200 OK");
	ASSERT_HAS(a, "a=recvonly\r\n");
	assert_true(silent(&b));

	ASK(&a, .method = "UPDATE", .cseq = 502, .body = BACK_A);
	hear(&b);
	ASSERT_HAS(b, "UPDATE ");
	answer(&b, "405 Method Not Allowed", NULL, NULL, NULL);
	hear(&b);
	ASSERT_HAS(b, "INVITE ");
	answer(&b, "200 OK", NULL, NULL, SAID_B);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 200 OK");
	ASSERT_HAS(a, "CSeq: 502 UPDATE\r\n");
}

static void update_without_offer_is_in_order_at_any_time(void **state)
{
	ASK(&a, .method = "INVITE", .cseq = 501, .body = HOLD_A);
	hear(&b);
	ASK(&a, .method = "UPDATE", .cseq = 502);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 200 OK");
	ASK(&a, .method = "UPDATE", .cseq = 503, .body = BACK_A);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 500 ");
	ASSERT_HAS(a, "Retry-After: ");
}

/* --- reliable provisional answers ----------------------------------------------------------- */

static void reliable_provisional_answer_is_acknowledged(void **state)
{
	static char said[65536];

	ASK(&a, .method = "INVITE", .cseq = 501, .body = HOLD_A);
	hear(&b);
	strcpy(said, b.got);
	answer(&b, "183 Session Progress", "Require: 100rel\r\nRSeq: 77\r\n", NULL, HELD_B);
	hear(&b);
	ASSERT_HAS(b, "PRACK ");
	ASSERT_HAS(b, "RAck: 77 600 INVITE\r\n");
	ASSERT_HAS_NOT(b, "CSeq: 600 ");
	answer(&b, "200 OK", NULL, NULL, NULL);
	strcpy(b.got, said);
	answer(&b, "200 OK", NULL, NULL, NULL); /* its answer was in the 183 */
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

/* --- the others ------------------------------------------------------------------------------- */

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
	answer(&b, "469 Bad Info Package", "Recv-Info: other\r\n", NULL, NULL);
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
	answer(&a, "202 Taken", NULL, "text/plain", "later");
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
	answer(&b, "200 OK", "Expires: 120\r\n", NULL, NULL);
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
	answer(&b, "202 Accepted", NULL, NULL, NULL);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 202 Accepted\r\n");
	ASK(&b, .method = "NOTIFY", .cseq = 9,
	    .headers = "Event: refer;id=600\r\nSubscription-State: terminated;reason=noresource\r\n",
	    .type = "message/sipfrag;version=2.0", .body = "SIP/2.0 200 OK\r\n");
	hear(&a);
	ASSERT_HAS(a, "NOTIFY ");
	ASSERT_HAS(a, "Event: refer;id=501\r\n");
	ASSERT_HAS(a, "Content-Type: message/sipfrag;version=2.0\r\n");
	answer(&a, "200 OK", NULL, NULL, NULL);
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
	dialog_set_paired(&world.table, da2, dc, PAIRED_HEADER);
	ASK(&a, .method = "REFER", .cseq = 501,
	    .headers =
	            "Refer-To: <sip:carol@c.example?Replaces=call-a2%40a.example%3Bto-tag%3Ds2%3Bfrom-tag%3D"
	            "a2&Require=replaces>\r\n");
	hear(&b);
	ASSERT_HAS(b,
	           "Refer-To: <sip:carol@c.example?Replaces=call-c%40b.example%3Bto-tag%3Dc3%3Bfrom-tag%3Ds3"
	           "&Require=replaces>\r\n");
	answer(&b, "202 Accepted", NULL, NULL, NULL);
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

/* --- what other phones answer ------------------------------------------------------------------- */

static void leg_that_knows_no_such_call_ends_the_other(void **state)
{
	ASK(&a, .method = "INFO", .cseq = 501);
	hear(&b);
	answer(&b, "481 No Such Call", NULL, NULL, NULL);
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
	answer(&b, "481 Subscription Does Not Exist", NULL, NULL, NULL);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 481 Subscription Does Not Exist\r\n");
	assert_true(silent(&a));
	assert_int_equal(da->state, DIALOG_CONFIRMED);
	assert_int_equal(db->state, DIALOG_CONFIRMED);
}

static void demand_for_credentials_is_reported_and_not_repeated(void **state)
{
	ASK(&a, .method = "INVITE", .cseq = 501, .body = HOLD_A);
	hear(&b);
	answer(&b, "401 Unauthorized", "WWW-Authenticate: Digest realm=\"b\",nonce=\"1\"\r\n", NULL, NULL);
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
	answer(&b, "503 Busy", "Retry-After: 7\r\n", NULL, NULL);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 500 ");
	ASSERT_HAS(a, "Retry-After: 7\r\n");
}

static void garbage_for_an_answer_is_refused_and_changes_nothing(void **state)
{
	ASK(&a, .method = "INVITE", .cseq = 501, .body = HOLD_A);
	hear(&b);
	answer(&b, "200 OK", NULL, NULL, "\x01\x02 this is no SDP\r\n");
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
	strcpy(via, lines(&b, "Via"));
	snprintf(text, sizeof(text), "SIP/2.0 200 OK\r\n%s%s%s%sCSeq: 999 INFO\r\nContent-Length: 0\r\n\r\n",
	         via, lines(&b, "From"), lines(&b, "To"), lines(&b, "Call-ID"));
	say(&b, text);
	snprintf(text, sizeof(text),
	         "SIP/2.0 200 OK\r\n%s%s%sCall-ID: other\r\nCSeq: 600 INFO\r\nContent-Length: 0\r\n\r\n", via,
	         lines(&b, "From"), lines(&b, "To"));
	say(&b, text);
	say(&b, "SIP/2.0 200");
	say(&b, "\r\n\r\n");
	say(&b, "SIP/2.0 200 OK\r\n\r\n");
	say(&b, "\xff\xfe\x00garbage");
	assert_true(silent(&a));
	answer(&b, "200 OK", NULL, NULL, NULL);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 200 OK");
}

/* --- phones that say nothing --------------------------------------------------------------------- */

/* RFC 3261's timers, but hurried: 64*T1 is 0.6 s. */
static void hurry(void)
{
	nta_agent_set_params(world.rescue->agent, NTATAG_SIP_T1(10), NTATAG_SIP_T2(80), NTATAG_SIP_T4(80),
	                     NTATAG_SIP_T1X64(640), TAG_END());
}

static void phone_that_never_answers_an_offer_but_talks_keeps_its_call(void **state)
{
	hurry();
	ASK(&a, .method = "INVITE", .cseq = 501, .body = HOLD_A);
	hear(&b);
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
	world.silent = true;
	ASK(&a, .method = "INVITE", .cseq = 501, .body = HOLD_A);
	hear(&b);
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
	branch = ASK(&a, .method = "INVITE", .cseq = 501, .body = HOLD_A);
	hear(&b);
	ASK(&a, .method = "CANCEL", .cseq = 501, .branch = branch);
	hear(&a);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 487 ");
	ASK(&a, .method = "ACK", .cseq = 501, .branch = branch);
	assert_true(rescue_is_busy());
	while (rescue_is_busy())
		turn();
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
	answer(&b, "200 OK", NULL, NULL, SAID_B);
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

/* --- requests that ask too much ----------------------------------------------------------------------- */

static void methods_of_no_call_are_refused_by_name(void **state)
{
	ASK(&a, .method = "PUBLISH", .cseq = 501, .headers = "Event: presence\r\n");
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 405 ");
	ASSERT_HAS(a, "Allow: INVITE, ");
	ASK(&a, .method = "FROBNICATE", .cseq = 502);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 501 ");
	ASSERT_HAS(a, "Allow: INVITE, ");
	assert_true(silent(&b));
}

static void what_nobody_here_understands_is_refused(void **state)
{
	ASK(&a, .method = "INVITE", .cseq = 501, .headers = "Require: timer, precondition\r\n",
	    .body = HOLD_A);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 420 ");
	ASSERT_HAS(a, "Unsupported: precondition\r\n");
	ASK(&a, .method = "MESSAGE", .cseq = 502, .headers = "Content-Encoding: gzip\r\n",
	    .type = "text/plain", .body = "x");
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 415 ");
	ASSERT_HAS(a, "Accept-Encoding: identity\r\n");
	ASK(&a, .method = "INVITE", .cseq = 503, .type = "application/isup", .body = "x");
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 415 ");
	ASSERT_HAS(a, "Accept: application/sdp\r\n");
	ASK(&a, .method = "INVITE", .cseq = 504, .body = "no SDP at all");
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 488 ");
	ASK(&a, .method = "INFO", .cseq = 505, .hops = -1);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 483 ");
	assert_true(silent(&b));
	ASSERT_SAID(da, "o=ann 1 1 ");
}

static void bodies_are_bounded(void **state)
{
	static char body[20000];

	memset(body, 'x', 8192);
	ASK(&a, .method = "MESSAGE", .cseq = 501, .type = "text/plain", .body = body);
	hear(&b);
	ASSERT_HAS(b, "MESSAGE ");
	answer(&b, "200 OK", NULL, NULL, NULL);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 200 OK");
	memset(body, 'x', 8193);
	ASK(&a, .method = "MESSAGE", .cseq = 502, .type = "text/plain", .body = body);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 413 ");
	strcpy(body, HOLD_A);
	memset(body + strlen(HOLD_A), 'x', 5000);
	ASK(&a, .method = "INVITE", .cseq = 503, .body = body);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 413 ");
	assert_true(silent(&b));
	ASSERT_COUNT(rescue_too_large, 2);
}

static void headers_are_bounded(void **state)
{
	static char headers[9000];

	strcpy(headers, "Subject: ");
	memset(headers + 9, 's', 6000);
	strcpy(headers + 6009, "\r\n");
	ASK(&a, .method = "MESSAGE", .cseq = 501, .headers = headers, .type = "text/plain", .body = "x");
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 413 ");
	assert_true(silent(&b));
}

static void a_thousand_vias_are_no_harm(void **state)
{
	static char headers[60000];
	size_t len = 0;
	int i;

	for (i = 0; i < 1000; i++)
		len += (size_t)snprintf(headers + len, sizeof(headers) - len,
		                        "Via: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK%d\r\n", i);
	ASK(&a, .method = "INFO", .cseq = 501, .headers = headers);
	hear(&b);
	ASSERT_HAS(b, "INFO ");
	assert_int_equal(strlen(lines(&b, "Via")) < 200, 1);
	answer(&b, "200 OK", NULL, NULL, NULL);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 200 OK");
	ASSERT_HAS(a, "branch=z9hG4bK999\r\n");
}

static void older_cseq_is_refused(void **state)
{
	ASK(&a, .method = "INFO", .cseq = 499);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 500 ");
	/* what the dead server may never have answered is passed on */
	ASK(&a, .method = "INFO", .cseq = 500);
	hear(&b);
	ASSERT_HAS(b, "INFO ");
	ASSERT_COUNT(rescue_old_cseq, 1);
}

static void exchanges_of_one_phone_are_bounded(void **state)
{
	struct phone c, d;
	struct dialog *dc, *dd;
	uint32_t i;

	phone_open(&c, "call-c", false);
	phone_open(&d, "call-d", true);
	dc = enter(&c, SAID_A, TOLD_A);
	dd = enter(&d, SAID_B, TOLD_B);
	dialog_set_paired(&world.table, dc, dd, PAIRED_HEADER);
	for (i = 0; i < 8; i++) {
		ASK(&a, .method = "INFO", .cseq = 501 + i);
		hear(&b);
	}
	ASK(&a, .method = "INFO", .cseq = 509);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 500 ");
	ASSERT_HAS(a, "Retry-After: ");
	ASSERT_COUNT(rescue_exchange_full, 1);
	ASK(&c, .method = "INFO", .cseq = 501);
	hear(&d);
	ASSERT_HAS(d, "INFO ");
	answer(&b, "200 OK", NULL, NULL, NULL);
	hear(&a);
	ASSERT_HAS(a, "CSeq: 508 INFO\r\n");
	ASK(&a, .method = "INFO", .cseq = 510);
	hear(&b);
	ASSERT_HAS(b, "INFO ");
	close(c.fd);
	close(d.fd);
}

/* --- bytes from anywhere ----------------------------------------------------------------------------- */

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

/* Some bytes are others, a piece is gone, or a piece is there twice. */
static size_t mutate(char *text, size_t len, size_t size, uint32_t *seed)
{
	uint32_t n = 1 + next_random(seed) % 6;
	size_t at = next_random(seed) % len, piece = next_random(seed) % (len - at) % 64;

	while (n--)
		text[next_random(seed) % len] = (char)next_random(seed);
	if (next_random(seed) % 3 == 0) {
		memmove(text + at, text + at + piece, len - at - piece);
		return len - piece;
	}
	if (next_random(seed) % 3 == 0 && len + piece < size) {
		memmove(text + at + piece, text + at, len - at);
		return len + piece;
	}
	return len;
}

static void say_mutated(const char *text, uint32_t *seed)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(world.port)};
	static char bytes[65536];
	size_t len = strlen(text);

	memcpy(bytes, text, len);
	len = mutate(bytes, len, sizeof(bytes), seed);
	sin.sin_addr.s_addr = inet_addr(VIP);
	sendto(a.fd, bytes, len, 0, (struct sockaddr *)&sin, sizeof(sin));
	su_root_step(world.root, 0);
}

static size_t make_victim(char *text, size_t size, unsigned int which, uint32_t cseq)
{
	static const char *const methods[] = {"INVITE", "UPDATE", "INFO",   "REFER",
	                                      "NOTIFY", "ACK",    "CANCEL", "PRACK"};
	const char *method = methods[which % 8];

	if (which % 9 == 8) /* as if it answered something of ours */
		return (size_t)snprintf(
		        text, size,
		        "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP " VIP
		        ":%u;branch=z9hG4bKx%u\r\nFrom: %s;tag=%s\r\nTo: %s;tag=%s\r\nCall-ID: "
		        "%s\r\nCSeq: %u INVITE\r\nContact: <sip:p@127.0.0.1>\r\nRequire: "
		        "100rel\r\nRSeq: 1\r\nContent-Type: application/sdp\r\nContent-Length: "
		        "%zu\r\n\r\n%s",
		        world.port, cseq, b.server_uri, b.server_tag, b.own_uri, b.own_tag, b.call_id, cseq,
		        strlen(HELD_B), HELD_B);
	return (size_t)snprintf(text, size,
	                        "%s sip:sipflip@" VIP ":%u SIP/2.0\r\nVia: SIP/2.0/UDP "
	                        "127.0.0.1:%u;branch=z9hG4bKm%u;rport\r\nFrom: %s;tag=%s\r\nTo: "
	                        "%s;tag=%s\r\nCall-ID: %s\r\nCSeq: %u %s\r\nMax-Forwards: 70\r\nContact: "
	                        "<sip:p@127.0.0.1>\r\nEvent: refer;id=%u\r\nSubscription-State: "
	                        "active\r\nRAck: 1 2 INVITE\r\nSession-Expires: 90;refresher=uac\r\n"
	                        "Refer-To: <sip:c@" VIP
	                        "?Replaces=call-a%%3Bto-tag%%3Dserver%%3Bfrom-tag%%3Dphone>\r\n"
	                        "Content-Type: application/sdp\r\nContent-Length: %zu\r\n\r\n%s",
	                        method, world.port, a.port, cseq, a.own_uri, a.own_tag, a.server_uri,
	                        a.server_tag, a.call_id, cseq, method, cseq, strlen(HOLD_A), HOLD_A);
}

static void mutated_messages_harm_no_other_call(void **state)
{
	static char text[4096], drain[65536];
	struct phone c, d;
	struct dialog *dc, *dd;
	uint32_t seed = 20260730, i;

	phone_open(&c, "call-c", false);
	phone_open(&d, "call-d", true);
	dc = enter(&c, SAID_A, TOLD_A);
	dd = enter(&d, SAID_B, TOLD_B);
	dialog_set_paired(&world.table, dc, dd, PAIRED_HEADER);
	for (i = 0; i < MUTATIONS; i++) {
		make_victim(text, sizeof(text), i, 501 + i);
		say_mutated(text, &seed);
		while (receive(&a, drain, sizeof(drain)) || receive(&b, drain, sizeof(drain)))
			;
	}
	ASK(&c, .method = "INVITE", .cseq = 501, .body = HOLD_A);
	hear(&d);
	ASSERT_HAS(d, "a=sendonly\r\n");
	answer(&d, "200 OK", NULL, NULL, HELD_B);
	hear(&c);
	ASSERT_HAS(c, "SIP/2.0 200 OK");
	assert_int_equal(dc->state, DIALOG_CONFIRMED);
	assert_int_equal(dd->state, DIALOG_CONFIRMED);
	close(c.fd);
	close(d.fd);
}

/* What sofia-sip would look up and wait for: the answer would come back to this phone by "localhost". */
static void no_name_is_ever_looked_up(void **state)
{
	static const char *const vias[] = {"localhost:%u", "127.0.0.1:%u;maddr=localhost"};
	char text[1024], via[64];
	size_t i;

	for (i = 0; i < 2; i++) {
		snprintf(via, sizeof(via), vias[i], a.port);
		snprintf(text, sizeof(text),
		         "INFO sip:x@" VIP " SIP/%s\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bKn%zu\r\nFrom: "
		         "<sip:a@a>;tag=1\r\nTo: <sip:b@b>;tag=2\r\nCall-ID: n\r\nCSeq: 1 "
		         "INFO\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
		         i ? "2.0" : "3.0", via, i);
		say(&a, text);
		assert_true(silent(&a));
	}
}

/* --- what the dead server left open
 * -------------------------------------------------------------------------- */

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
	         world.port, b.server_uri, b.server_tag, b.own_uri, b.own_tag, b.call_id, b.port,
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
	world.table.origin = 0x1234;
	dialog_set_origin(&world.table, da, 0x1234);
	ASK(&a, .method = "BYE", .cseq = 501);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 481 ");
	assert_true(silent(&b));
	assert_int_equal(da->state, DIALOG_CONFIRMED);
	ASSERT_COUNT(rescue_unknown_dialog, 1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(bye_is_heard_before_any_re_invite_and_goes_on_above_the_servers_cseq),
	        T(reason_that_is_too_long_is_left_out),
	        T(bye_that_the_dead_server_had_answered_is_answered_again),
	        T(bye_that_the_dead_server_did_not_pass_on_goes_on),
	        T(bye_ends_an_offer_under_way),
	        T(hold_and_resume_pass_across),
	        T(answer_is_repeated_until_it_is_acknowledged),
	        T(repeated_2xx_gets_its_ack_again),
	        T(repeated_offer_is_not_passed_twice),
	        T(asked_offer_is_answered_with_the_phones_ack),
	        T(refused_offer_leaves_what_was_agreed),
	        T(cancel_passes_across),
	        T(offer_cancelled_too_late_is_taken_back),
	        T(offer_of_a_call_whose_turn_has_not_come_passes_at_once),
	        T(offer_that_meets_the_rescues_own_is_pending),
	        T(cancel_of_nothing_is_refused),
	        T(glare_is_told_both_ways),
	        T(second_offer_of_the_same_phone_is_for_later),
	        T(offer_in_one_part_of_several_is_found),
	        T(new_media_line_without_a_port_at_the_vip_is_refused),
	        T(refresh_is_answered_here),
	        T(update_becomes_a_re_invite_where_it_is_not_allowed),
	        T(update_passes_as_what_it_is_and_falls_back),
	        T(update_without_offer_is_in_order_at_any_time),
	        T(reliable_provisional_answer_is_acknowledged),
	        T(prack_for_nothing_is_refused),
	        T(info_passes_with_its_body_and_its_answer_comes_back),
	        T(message_passes_and_so_does_what_its_answer_carries),
	        T(subscribe_passes_and_notify_comes_back),
	        T(refer_passes_and_its_notify_names_it_as_the_phone_does),
	        T(refer_that_replaces_names_the_call_as_the_third_phone_knows_it),
	        T(refer_that_replaces_an_unknown_call_is_declined),
	        T(options_is_answered_here),
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
	        T(methods_of_no_call_are_refused_by_name),
	        T(what_nobody_here_understands_is_refused),
	        T(bodies_are_bounded),
	        T(headers_are_bounded),
	        T(a_thousand_vias_are_no_harm),
	        T(older_cseq_is_refused),
	        T(exchanges_of_one_phone_are_bounded),
	        T(mutated_messages_harm_no_other_call),
	        T(no_name_is_ever_looked_up),
	        T(ack_of_the_dead_servers_answer_is_taken_in_silence),
	        T(answer_to_the_dead_servers_re_invite_is_acknowledged),
	        T(calls_of_the_server_that_runs_here_are_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
