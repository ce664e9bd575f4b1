/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Dialogs of which the capture missed a message. */
#include "dialog_feed.h"

static const char sdp[] = "v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\ns=-\r\n";
static const uint8_t invite_bytes[] = "INVITE sip:bob@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP "
                                      "192.0.2.7;branch=z9hG4bKinvite\r\n";

static struct sip_event with_sdp(struct sip_event ev)
{
	ev.sdp = sdp;
	ev.sdp_len = sizeof(sdp) - 1;
	return ev;
}

static struct sip_event with_branch(struct sip_event ev, const char *branch)
{
	ev.branch = branch;
	return ev;
}

static void ring(bool out)
{
	struct sip_event invite = event(out, SIP_VERB_INVITE, 0, 10, out ? "near" : "far", NULL);

	invite.whole = invite_bytes;
	invite.whole_len = sizeof(invite_bytes);
	feed(with_sdp(invite));
}

static void answer_of_the_server_makes_the_dialog_whose_invite_was_missed(void **state)
{
	struct sip_event answer = event(true, SIP_VERB_INVITE, 200, 10, "far", "near");
	struct dialog *d;

	answer.contact = "sip:server@192.0.2.1";
	answer.to_user = "bob";
	d = feed(with_sdp(answer));
	assert_non_null(d);
	assert_int_equal(d->state, DIALOG_CONFIRMED);
	assert_int_equal(d->role, DIALOG_UAS);
	assert_string_equal(d->local_tag, "near");
	assert_string_equal(d->remote_tag, "far");
	assert_string_equal(d->local, "<sip:bob@b.example>");
	assert_string_equal(d->remote, "\"Ann\" <sip:ann@a.example>");
	assert_string_equal(d->remote_target, "sip:ann@192.0.2.7:5060"); /* where the answer went */
	assert_string_equal(d->caller, "ann");
	assert_string_equal(d->callee, "bob");
	assert_int_equal(d->remote_cseq, 10);
	assert_int_equal(d->sdp_out_len, sizeof(sdp) - 1);
	assert_true(d->flags & DIALOG_INCOMPLETE);
	assert_int_equal(table.counters.dialog_missed_invite, 1);
	assert_int_equal(table.counters.dialog_forked, 0);
}

static void phone_behind_proxies_is_not_guessed(void **state)
{
	struct sip_event answer = event(true, SIP_VERB_INVITE, 200, 10, "far", "near");
	struct dialog *d;

	answer.record_route = "<sip:p1;lr>,<sip:p2;lr>";
	d = feed(answer);
	assert_string_equal(d->route, "<sip:p1;lr>,<sip:p2;lr>");
	assert_string_equal(d->remote_target, "");
}

static void answer_of_a_phone_alone_makes_nothing(void **state)
{
	assert_null(feed(event(false, SIP_VERB_INVITE, 200, 10, "near", "far")));
	assert_null(feed(event(true, SIP_VERB_INVITE, 183, 10, "far", "near")));
	assert_int_equal(table.used, 0);
}

static void ack_of_the_server_makes_the_dialog_whose_invite_was_missed(void **state)
{
	struct sip_event ack = with_branch(event(true, SIP_VERB_ACK, 0, 10, "near", "far"), "z9hG4bKack");
	struct dialog *d;

	ack.request_uri = "sip:bob@192.0.2.9:5070";
	ack.route = "<sip:p2;lr>,<sip:p1;lr>";
	d = feed(ack);
	assert_non_null(d);
	assert_int_equal(d->state, DIALOG_CONFIRMED);
	assert_int_equal(d->role, DIALOG_UAC);
	assert_int_equal(d->acked, 1);
	assert_string_equal(d->remote_target, "sip:bob@192.0.2.9:5070");
	assert_string_equal(d->route, "<sip:p2;lr>,<sip:p1;lr>");
	assert_int_equal(d->local_cseq, 10);
	assert_true(d->flags & DIALOG_INCOMPLETE);
}

static void ack_of_a_phone_alone_makes_nothing(void **state)
{
	assert_null(feed(with_branch(event(false, SIP_VERB_ACK, 0, 10, "far", "near"), "z9hG4bKack")));
	assert_int_equal(table.used, 0);
}

static void ack_of_a_refusal_makes_nothing(void **state)
{
	ring(true);
	feed(event(false, SIP_VERB_INVITE, 486, 10, "near", "far"));
	assert_int_equal(table.used, 0);
	assert_null(feed(with_branch(event(true, SIP_VERB_ACK, 0, 10, "near", "far"), "z9hG4bKinvite")));
	assert_int_equal(table.used, 0);
}

static void ack_shows_that_a_ringing_call_was_answered(void **state)
{
	struct dialog *d;

	ring(false);
	d = feed(event(true, SIP_VERB_INVITE, 180, 10, "far", "near"));
	assert_int_equal(d->state, DIALOG_EARLY);
	assert_ptr_equal(feed(with_branch(event(false, SIP_VERB_ACK, 0, 10, "far", "near"), "z9hG4bKack")),
	                 d);
	assert_int_equal(d->state, DIALOG_CONFIRMED);
	assert_int_equal(d->invite_len, 0);
	assert_true(d->flags & DIALOG_INCOMPLETE);
	assert_int_equal(table.counters.dialog_missed_answer, 1);
}

static void ack_brings_the_tag_that_no_answer_brought(void **state)
{
	struct sip_event ack = with_branch(event(true, SIP_VERB_ACK, 0, 10, "near", "far"), "z9hG4bKack");
	struct dialog *d;

	ring(true);
	ack.request_uri = "sip:bob@192.0.2.9:5070";
	d = feed(ack);
	assert_int_equal(table.used, 1);
	assert_string_equal(d->remote_tag, "far");
	assert_string_equal(d->remote_target, "sip:bob@192.0.2.9:5070");
	assert_int_equal(d->state, DIALOG_CONFIRMED);
}

static void ack_in_the_invite_s_transaction_shows_that_it_was_refused(void **state)
{
	ring(false);
	feed(event(true, SIP_VERB_INVITE, 180, 10, "far", "near"));
	assert_int_equal(
	        feed(with_branch(event(false, SIP_VERB_ACK, 0, 10, "far", "near"), "z9hG4bKinvite"))->state,
	        DIALOG_ENDED);
	assert_int_equal(table.counters.dialog_missed_answer, 0);
}

static void ack_without_a_branch_decides_nothing(void **state)
{
	struct dialog *d;

	ring(false);
	d = feed(event(true, SIP_VERB_INVITE, 180, 10, "far", "near"));
	feed(event(false, SIP_VERB_ACK, 0, 10, "far", "near"));
	assert_int_equal(d->state, DIALOG_EARLY);
}

static void answer_to_the_bye_ends_the_dialog_whose_bye_was_missed(void **state)
{
	struct dialog *d = called(10);

	feed(event(true, SIP_VERB_BYE, 200, 11, "far", "near"));
	assert_int_equal(d->state, DIALOG_ENDED);
	assert_int_equal(table.counters.dialog_missed_bye, 1);
	assert_int_equal(table.counters.dialog_ended, 1);
}

static void seen_bye_is_not_counted_as_missed(void **state)
{
	called(10);
	feed(event(false, SIP_VERB_BYE, 0, 11, "far", "near"));
	feed(event(true, SIP_VERB_BYE, 200, 11, "far", "near"));
	assert_int_equal(table.counters.dialog_missed_bye, 0);
}

static void answer_of_the_server_raises_the_phone_s_cseq(void **state)
{
	struct dialog *d = called(10);

	feed(event(true, SIP_VERB_UPDATE, 200, 14, "far", "near"));
	assert_int_equal(d->remote_cseq, 14);
	feed(event(false, SIP_VERB_UPDATE, 200, 900, "near", "far")); /* a phone's word is not enough */
	assert_int_equal(d->local_cseq, 0);
}

static void reinvite_completes_what_was_missed(void **state)
{
	struct sip_event again = event(false, SIP_VERB_INVITE, 0, 11, "far", "near");
	struct dialog *d = feed(with_sdp(event(true, SIP_VERB_INVITE, 200, 10, "far", "near")));

	again.contact = "sip:ann@192.0.2.7:5062";
	feed(with_sdp(again));
	assert_string_equal(d->remote_target, "sip:ann@192.0.2.7:5062");
	assert_int_equal(d->flags & DIALOG_INCOMPLETE, 0);
	assert_int_equal(table.counters.dialog_completed, 1);
}

static void full_table_makes_no_room_for_what_was_missed(void **state)
{
	for (uint32_t i = 0; i < table.max; i++)
		numbered((int)i);
	assert_int_equal(table.used, table.max);
	assert_null(feed(event(true, SIP_VERB_INVITE, 200, 10, "far", "near")));
	assert_int_equal(table.counters.dialog_table_full, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(answer_of_the_server_makes_the_dialog_whose_invite_was_missed),
	        T(phone_behind_proxies_is_not_guessed),
	        T(answer_of_a_phone_alone_makes_nothing),
	        T(ack_of_the_server_makes_the_dialog_whose_invite_was_missed),
	        T(ack_of_a_phone_alone_makes_nothing),
	        T(ack_of_a_refusal_makes_nothing),
	        T(ack_shows_that_a_ringing_call_was_answered),
	        T(ack_brings_the_tag_that_no_answer_brought),
	        T(ack_in_the_invite_s_transaction_shows_that_it_was_refused),
	        T(ack_without_a_branch_decides_nothing),
	        T(answer_to_the_bye_ends_the_dialog_whose_bye_was_missed),
	        T(seen_bye_is_not_counted_as_missed),
	        T(answer_of_the_server_raises_the_phone_s_cseq),
	        T(reinvite_completes_what_was_missed),
	        T(full_table_makes_no_room_for_what_was_missed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
