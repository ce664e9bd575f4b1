/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Messages that come again, come late, or are about something else than they seem. */
#include "dialog_feed.h"

/* The 401 was missed, or a dialog is only seen from the retry on. */
static void retry_with_a_higher_cseq_is_the_invite_from_then_on(void **state)
{
	struct dialog *d = feed(event(false, SIP_VERB_INVITE, 0, 1, "far", NULL));

	assert_ptr_equal(feed(event(true, SIP_VERB_INVITE, 180, 1, "far", NULL)), d);
	assert_int_equal(d->progress, 180);
	assert_ptr_equal(feed(event(false, SIP_VERB_INVITE, 0, 2, "far", NULL)), d);
	assert_int_equal(d->invite_cseq, 2);
	assert_int_equal(d->remote_cseq, 2);
	assert_int_equal(d->progress, 0);
	assert_int_equal(table.used, 1);
	assert_ptr_equal(feed(event(true, SIP_VERB_INVITE, 200, 2, "far", "near")), d);
	assert_int_equal(d->state, DIALOG_CONFIRMED);
}

static void repeated_request_is_not_an_old_one(void **state)
{
	struct dialog *d = called(1);

	feed(event(false, SIP_VERB_OTHER, 0, 2, "far", "near"));
	assert_ptr_equal(feed(event(false, SIP_VERB_OTHER, 0, 2, "far", "near")), d);
	assert_int_equal(table.counters.dialog_old_cseq, 0);
}

/* RFC 3261 9.1: its number is that of its INVITE, whatever was asked since. */
static void cancel_and_ack_are_never_old(void **state)
{
	struct dialog *d = called(1);

	feed(event(false, SIP_VERB_INVITE, 0, 5, "far", "near"));
	feed(event(false, SIP_VERB_OTHER, 0, 6, "far", "near"));
	assert_ptr_equal(feed(event(false, SIP_VERB_CANCEL, 0, 5, "far", "near")), d);
	assert_ptr_equal(feed(event(false, SIP_VERB_ACK, 0, 5, "far", "near")), d);
	assert_int_equal(table.counters.dialog_old_cseq, 0);
	assert_int_equal(d->remote_cseq, 6);
}

static void repeated_answer_does_not_revive_a_call_that_is_over(void **state)
{
	struct sip_event again = event(true, SIP_VERB_INVITE, 200, 1, "far", "near");
	struct dialog *d = called(1);

	feed(event(false, SIP_VERB_BYE, 0, 2, "far", "near"));
	assert_int_equal(d->state, DIALOG_ENDED);
	again.contact = "sip:other@192.0.2.1";
	assert_null(feed(again));
	assert_int_equal(d->state, DIALOG_ENDED);
	assert_string_equal(d->local_contact, "sip:server@192.0.2.1");
}

/* RFC 3262 section 3: of the provisional answer, not of the call. */
static void refused_prack_does_not_end_the_call(void **state)
{
	struct dialog *d = called(1);

	feed(event(false, SIP_VERB_PRACK, 0, 2, "far", "near"));
	feed(event(true, SIP_VERB_PRACK, 481, 2, "far", "near"));
	assert_int_equal(d->state, DIALOG_CONFIRMED);
	feed(event(false, SIP_VERB_OTHER, 0, 3, "far", "near"));
	feed(event(true, SIP_VERB_OTHER, 481, 3, "far", "near"));
	assert_int_equal(d->state, DIALOG_ENDED);
}

static void challenge_of_a_bye_does_not_answer_a_call_that_rang(void **state)
{
	struct dialog *d;

	feed(event(false, SIP_VERB_INVITE, 0, 1, "far", NULL));
	d = feed(event(true, SIP_VERB_INVITE, 180, 1, "far", "near"));
	feed(event(false, SIP_VERB_BYE, 0, 2, "far", "near"));
	feed(event(true, SIP_VERB_BYE, 401, 2, "far", "near"));
	assert_int_equal(d->state, DIALOG_ENDED);
}

/* Both sides may use the same number: whose INVITE it was is said by the tags. */
static void re_invite_of_the_server_may_have_the_number_of_the_phones_invite(void **state)
{
	struct sip_event answer = event(false, SIP_VERB_INVITE, 200, 10, "near", "far");
	struct dialog *d = called(10);

	feed(event(true, SIP_VERB_INVITE, 0, 10, "near", "far"));
	answer.session_expires_s = 600;
	answer.refresher_uas = 0;
	assert_ptr_equal(feed(answer), d);
	assert_int_equal(d->session_expires_s, 600);
	assert_int_equal(d->refresher, REFRESHER_LOCAL);
}

/* RFC 4028 section 7.2: only what refreshes the session says anything of its timer. */
static void answer_to_info_leaves_the_session_timer_alone(void **state)
{
	struct sip_event answer = event(true, SIP_VERB_INVITE, 200, 2, "far", "near");
	struct dialog *d = called(1);

	feed(event(false, SIP_VERB_INVITE, 0, 2, "far", "near"));
	answer.session_expires_s = 600;
	answer.refresher_uas = 1;
	feed(answer);
	assert_int_equal(d->session_expires_s, 600);
	feed(event(false, SIP_VERB_OTHER, 0, 3, "far", "near"));
	feed(event(true, SIP_VERB_OTHER, 200, 3, "far", "near"));
	assert_int_equal(d->session_expires_s, 600);
	assert_int_equal(d->refresher, REFRESHER_LOCAL);
}

/* What the server can do is its own affair: the agent asks the phone. */
static void only_the_phones_own_word_says_what_it_supports(void **state)
{
	struct sip_event asks = event(true, SIP_VERB_OTHER, 0, 1, "near", "far");
	struct sip_event says = event(false, SIP_VERB_OTHER, 200, 1, "near", "far");
	struct dialog *d = called(1);

	asks.supports = DIALOG_ALLOWS_UPDATE;
	feed(asks);
	assert_false(d->flags & DIALOG_ALLOWS_UPDATE);
	says.supports = DIALOG_ALLOWS_UPDATE;
	feed(says);
	assert_true(d->flags & DIALOG_ALLOWS_UPDATE);
}

static void phone_that_has_not_answered_is_where_the_server_sent_the_invite(void **state)
{
	struct dialog *d = feed(event(true, SIP_VERB_INVITE, 0, 1, "near", NULL));
	char text[ADDR_TEXT_LEN];

	assert_string_equal(addr_format(&d->flow_addr, text), "192.0.2.7");
	assert_int_equal(d->flow_port, 5060);
}

/* A cut route set would be another route; it is said that there is none. */
static void route_set_that_is_too_long_is_none_in_either_role(void **state)
{
	static char route[DIALOG_ROUTE_LEN + 64];
	struct sip_event invite = event(false, SIP_VERB_INVITE, 0, 1, "far", NULL);
	struct sip_event answer = event(false, SIP_VERB_INVITE, 200, 1, "near", "far");
	struct dialog *d;

	memset(route, 'x', sizeof(route) - 1);
	memcpy(route, "<sip:p1;lr>,<sip:", 17);
	invite.call_id = "in";
	invite.record_route = answer.record_route = route;
	d = feed(invite);
	assert_true(d->flags & DIALOG_TRUNCATED);
	feed(event(true, SIP_VERB_INVITE, 0, 1, "near", NULL));
	d = feed(answer);
	assert_true(d->flags & DIALOG_TRUNCATED);
	assert_true(strlen(d->route) < DIALOG_ROUTE_LEN);
}

static void answer_to_an_invite_that_was_missed_is_no_fork_of_an_earlier_one(void **state)
{
	calls(1);
	feed(event(false, SIP_VERB_INVITE, 200, 7, "near", "other"));
	assert_int_equal(table.counters.dialog_forked, 0);
	assert_int_equal(table.counters.dialog_unknown, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(retry_with_a_higher_cseq_is_the_invite_from_then_on),
	        T(repeated_request_is_not_an_old_one),
	        T(cancel_and_ack_are_never_old),
	        T(repeated_answer_does_not_revive_a_call_that_is_over),
	        T(refused_prack_does_not_end_the_call),
	        T(challenge_of_a_bye_does_not_answer_a_call_that_rang),
	        T(re_invite_of_the_server_may_have_the_number_of_the_phones_invite),
	        T(answer_to_info_leaves_the_session_timer_alone),
	        T(only_the_phones_own_word_says_what_it_supports),
	        T(phone_that_has_not_answered_is_where_the_server_sent_the_invite),
	        T(route_set_that_is_too_long_is_none_in_either_role),
	        T(answer_to_an_invite_that_was_missed_is_no_fork_of_an_earlier_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
