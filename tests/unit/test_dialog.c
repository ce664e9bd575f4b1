/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* RFC 3261 dialogs from the messages of a server. */
#include "dialog_feed.h"

static void called_server_has_the_to_tag_and_the_caller_s_contact(void **state)
{
	struct dialog *d = called(10);

	assert_non_null(d);
	assert_int_equal(d->state, DIALOG_CONFIRMED);
	assert_int_equal(d->role, DIALOG_UAS);
	assert_string_equal(d->local_tag, "near");
	assert_string_equal(d->remote_tag, "far");
	assert_string_equal(d->local, "<sip:bob@b.example>");
	assert_string_equal(d->remote, "\"Ann\" <sip:ann@a.example>");
	assert_string_equal(d->remote_target, "sip:ann@192.0.2.7:5062");
	assert_string_equal(d->local_contact, "sip:server@192.0.2.1");
	assert_ptr_equal(dialog_find(&table, 0, "call-1", "near", "far"), d);
	assert_null(dialog_find(&table, 0, "call-1", "far", "near"));
	assert_null(dialog_find(&table, 1, "call-1", "near", "far"));
}

static void calling_server_has_the_from_tag_and_the_callee_s_contact(void **state)
{
	struct dialog *d = calls(10);

	assert_int_equal(d->role, DIALOG_UAC);
	assert_string_equal(d->local_tag, "near");
	assert_string_equal(d->remote_tag, "far");
	assert_string_equal(d->local, "\"Ann\" <sip:ann@a.example>");
	assert_string_equal(d->remote_target, "sip:bob@192.0.2.9");
}

static void cseqs_of_the_two_directions_are_kept_apart(void **state)
{
	struct dialog *d = called(4000);

	assert_int_equal(d->remote_cseq, 4000);
	assert_int_equal(d->local_cseq, 0);
	feed(event(true, SIP_VERB_OTHER, 0, 17, "near", "far")); /* the server's first own request */
	assert_int_equal(d->remote_cseq, 4000);
	assert_int_equal(d->local_cseq, 17);
	feed(event(false, SIP_VERB_UPDATE, 0, 4001, "far", "near"));
	assert_int_equal(d->remote_cseq, 4001);
	assert_int_equal(d->local_cseq, 17);
	feed(event(false, SIP_VERB_ACK, 0, 4000, "far", "near"));
	assert_int_equal(d->remote_cseq, 4001);
	assert_int_equal(d->acked, 1);
	assert_int_equal(dialog_take_cseq(&table, d, 100), 117);
	assert_int_equal(d->remote_cseq, 4001);
}

static void request_with_an_old_cseq_is_counted_and_changes_nothing(void **state)
{
	struct dialog *d = called(10);
	uint64_t version = d->version;

	assert_null(feed(event(false, SIP_VERB_BYE, 0, 9, "far", "near")));
	assert_int_equal(table.counters.dialog_old_cseq, 1);
	assert_int_equal(d->version, version);
	assert_int_equal(d->state, DIALOG_CONFIRMED);
}

static void called_server_keeps_record_routes_in_order(void **state)
{
	struct sip_event invite = event(false, SIP_VERB_INVITE, 0, 1, "far", NULL);
	struct sip_event answer = event(true, SIP_VERB_INVITE, 200, 1, "far", "near");

	invite.record_route = "<sip:p1;lr>,<sip:p2;lr>";
	answer.record_route = "<sip:p1;lr>,<sip:p2;lr>";
	feed(invite);
	assert_string_equal(feed(answer)->route, "<sip:p1;lr>,<sip:p2;lr>");
}

static void calling_server_reverses_record_routes_of_the_2xx(void **state)
{
	struct sip_event ringing = event(false, SIP_VERB_INVITE, 180, 1, "near", "far");
	struct sip_event answer = event(false, SIP_VERB_INVITE, 200, 1, "near", "far");

	feed(event(true, SIP_VERB_INVITE, 0, 1, "near", NULL));
	ringing.record_route = "<sip:x;lr>";
	assert_string_equal(feed(ringing)->route, "<sip:x;lr>");
	answer.record_route = "<sip:p1;lr>,\"a, b\" <sip:p2;a=1,2;lr>,<sip:p3;lr>";
	assert_string_equal(feed(answer)->route, "<sip:p3;lr>,\"a, b\" <sip:p2;a=1,2;lr>,<sip:p1;lr>");
}

static void quote_within_an_address_hides_no_comma_after_it(void **state)
{
	struct sip_event answer = event(false, SIP_VERB_INVITE, 200, 1, "near", "far");

	feed(event(true, SIP_VERB_INVITE, 0, 1, "near", NULL));
	answer.record_route = "<sip:p1;x=\";lr>,<sip:p2;lr>";
	assert_string_equal(feed(answer)->route, "<sip:p2;lr>,<sip:p1;x=\";lr>");
}

static void re_invite_does_not_change_the_route_set(void **state)
{
	struct sip_event again = event(false, SIP_VERB_INVITE, 0, 2, "far", "near");
	struct dialog *d = called(1);

	again.record_route = "<sip:elsewhere;lr>";
	assert_ptr_equal(feed(again), d);
	assert_string_equal(d->route, "");
}

static void target_and_flow_follow_the_phone(void **state)
{
	struct sip_event again = event(false, SIP_VERB_INVITE, 0, 2, "far", "near");
	struct dialog *d = called(1);
	char text[ADDR_TEXT_LEN];

	again.contact = "sip:ann@198.51.100.4:40000";
	addr_parse("203.0.113.5", &again.remote);
	again.remote_port = 31000;
	feed(again);
	assert_string_equal(d->remote_target, "sip:ann@198.51.100.4:40000");
	assert_string_equal(addr_format(&d->flow_addr, text), "203.0.113.5");
	assert_int_equal(d->flow_port, 31000);
}

static void invite_that_forks_makes_a_dialog_for_each_tag(void **state)
{
	struct dialog *one, *two;
	struct sip_event answer = event(false, SIP_VERB_INVITE, 200, 1, "near", "far-2");

	feed(event(true, SIP_VERB_INVITE, 0, 1, "near", NULL));
	one = feed(event(false, SIP_VERB_INVITE, 180, 1, "near", "far-1"));
	two = feed(event(false, SIP_VERB_INVITE, 180, 1, "near", "far-2"));
	assert_ptr_not_equal(one, two);
	assert_int_equal(table.counters.dialog_forked, 1);
	assert_string_equal(two->local, one->local);
	assert_int_equal(two->local_cseq, 1);
	answer.contact = "sip:two@192.0.2.9";
	assert_ptr_equal(feed(answer), two);
	assert_int_equal(two->state, DIALOG_CONFIRMED);
	assert_int_equal(one->state, DIALOG_EARLY);
	assert_string_equal(one->remote_target, "sip:bob@192.0.2.1");
	assert_int_not_equal(one->call, two->call);
}

static void forks_beyond_the_limit_are_counted_not_kept(void **state)
{
	char tag[16];
	int i;

	feed(event(true, SIP_VERB_INVITE, 0, 1, "near", NULL));
	for (i = 0; i < DIALOG_FORKS + 3; i++) {
		snprintf(tag, sizeof(tag), "far-%d", i);
		feed(event(false, SIP_VERB_INVITE, 180, 1, "near", tag));
	}
	assert_int_equal(table.used, DIALOG_FORKS);
	assert_int_equal(table.counters.dialog_fork_limit, 3);
}

static void retransmissions_make_no_second_dialog(void **state)
{
	feed(event(false, SIP_VERB_INVITE, 0, 1, "far", NULL));
	feed(event(false, SIP_VERB_INVITE, 0, 1, "far", NULL));
	called(1);
	assert_int_equal(table.used, 1);
	assert_int_equal(table.counters.dialog_created, 1);
}

static void challenged_invite_goes_on_with_the_next_cseq(void **state)
{
	struct dialog *d;

	feed(event(false, SIP_VERB_INVITE, 0, 1, "far", NULL));
	feed(event(true, SIP_VERB_INVITE, 401, 1, "far", "challenge"));
	assert_int_equal(table.used, 0);
	d = called(2);
	assert_int_equal(d->invite_cseq, 2);
	assert_string_equal(d->local_tag, "near");
	assert_int_equal(d->state, DIALOG_CONFIRMED);
}

static void refused_invite_ends_its_early_dialogs(void **state)
{
	struct dialog *d;

	feed(event(false, SIP_VERB_INVITE, 0, 1, "far", NULL));
	d = feed(event(true, SIP_VERB_INVITE, 180, 1, "far", "near"));
	assert_int_equal(d->state, DIALOG_EARLY);
	feed(event(true, SIP_VERB_INVITE, 486, 1, "far", "near"));
	assert_int_equal(d->state, DIALOG_ENDED);
}

static void refused_re_invite_leaves_the_dialog(void **state)
{
	struct dialog *d = called(1);

	feed(event(true, SIP_VERB_INVITE, 0, 1, "near",
	           "far")); /* the same number as the first, other direction */
	feed(event(false, SIP_VERB_INVITE, 488, 1, "near", "far"));
	assert_int_equal(d->state, DIALOG_CONFIRMED);
}

static void bye_and_481_end_a_dialog(void **state)
{
	struct dialog *d = called(1);

	feed(event(false, SIP_VERB_BYE, 0, 2, "far", "near"));
	assert_int_equal(d->state, DIALOG_ENDED);
	assert_int_equal(d->at_ended.ns, clock_ns);
	feed(event(true, SIP_VERB_BYE, 401, 2, "far", "near"));
	assert_int_equal(d->state, DIALOG_CONFIRMED);
	feed(event(true, SIP_VERB_INVITE, 0, 5, "near", "far"));
	feed(event(false, SIP_VERB_INVITE, 481, 5, "near", "far"));
	assert_int_equal(d->state, DIALOG_ENDED);
}

static void session_timer_is_what_the_2xx_says(void **state)
{
	struct sip_event answer = event(true, SIP_VERB_INVITE, 200, 1, "far", "near");
	struct dialog *d;

	answer.session_expires_s = 1800;
	answer.refresher_uas = 1;
	feed(event(false, SIP_VERB_INVITE, 0, 1, "far", NULL));
	d = feed(answer);
	assert_int_equal(d->session_expires_s, 1800);
	assert_int_equal(d->refresher, REFRESHER_LOCAL);
	/* the phone refreshes as UAC, and the answer leaves it to the phone */
	feed(event(false, SIP_VERB_UPDATE, 0, 2, "far", "near"));
	answer = event(true, SIP_VERB_UPDATE, 200, 2, "far", "near");
	answer.session_expires_s = 90;
	answer.refresher_uas = 0;
	feed(answer);
	assert_int_equal(d->session_expires_s, 90);
	assert_int_equal(d->refresher, REFRESHER_REMOTE);
	feed(event(false, SIP_VERB_INVITE, 0, 3, "far", "near"));
	feed(event(true, SIP_VERB_INVITE, 200, 3, "far", "near"));
	assert_int_equal(d->session_expires_s, 0);
}

static void last_sdp_of_each_direction_is_kept(void **state)
{
	struct sip_event again = event(false, SIP_VERB_INVITE, 0, 2, "far", "near");
	struct dialog *d = called(1);

	again.sdp = "v=0\r\no=- 1 2 IN IP4 h\r\n";
	again.sdp_len = strlen(again.sdp);
	feed(again);
	assert_int_equal(d->sdp_in_len, again.sdp_len);
	assert_memory_equal(d->sdp_in, again.sdp, again.sdp_len);
	assert_int_equal(d->sdp_out_len, 0);
	again.cseq = 3;
	again.sdp_len = DIALOG_SDP_LEN + 1;
	again.sdp = calloc(1, again.sdp_len);
	feed(again);
	free((char *)again.sdp);
	assert_int_equal(table.counters.dialog_sdp_too_long, 1);
	assert_int_equal(d->flags, DIALOG_SDP_CUT);
}

static void header_that_does_not_fit_marks_the_dialog(void **state)
{
	struct sip_event invite = event(false, SIP_VERB_INVITE, 0, 1, "far", NULL);
	char contact[DIALOG_URI_LEN + 1];

	memset(contact, 'x', DIALOG_URI_LEN);
	contact[DIALOG_URI_LEN] = '\0';
	invite.contact = contact;
	feed(invite);
	assert_int_equal(feed(event(true, SIP_VERB_INVITE, 200, 1, "far", "near"))->flags, DIALOG_TRUNCATED);
	assert_int_equal(table.counters.dialog_field_too_long, 1);
}

static void messages_that_cannot_be_keyed_are_counted(void **state)
{
	char id[DIALOG_CALL_ID_LEN + 1];
	struct sip_event ev = event(false, SIP_VERB_INVITE, 0, 1, "far", NULL);

	memset(id, 'i', DIALOG_CALL_ID_LEN);
	id[DIALOG_CALL_ID_LEN] = '\0';
	ev.call_id = id;
	assert_null(feed(ev));
	assert_int_equal(table.counters.dialog_key_too_long, 1);
	assert_null(feed(event(false, SIP_VERB_INVITE, 0, 1, NULL, NULL)));
	assert_int_equal(table.counters.dialog_incomplete, 1);
	assert_null(feed(event(false, SIP_VERB_BYE, 0, 1, "nobody", "knows")));
	assert_int_equal(table.counters.dialog_unknown, 1);
	assert_int_equal(table.used, 0);
}

static void invite_is_kept_while_it_rings(void **state)
{
	static const uint8_t bytes[] = "INVITE sip:bob@192.0.2.1 SIP/2.0\r\n";
	struct sip_event invite = event(true, SIP_VERB_INVITE, 0, 1, "near", NULL);
	struct sip_event progress = event(false, SIP_VERB_INVITE, 183, 1, "near", "far-1");
	struct dialog *one, *two;

	invite.whole = bytes;
	invite.whole_len = sizeof(bytes);
	one = feed(invite);
	assert_int_equal(one->invite_len, sizeof(bytes));
	assert_ptr_not_equal(one->invite, bytes);
	assert_string_equal(one->request_uri, "sip:bob@192.0.2.1");
	assert_int_equal(one->progress, 0);
	progress.rseq = 9;
	progress.supports = DIALOG_SUPPORTS_100REL;
	assert_ptr_equal(feed(progress), one);
	assert_int_equal(one->progress, 183);
	assert_int_equal(one->rseq, 9);
	assert_int_equal(one->flags, DIALOG_SUPPORTS_100REL);
	two = feed(event(false, SIP_VERB_INVITE, 180, 1, "near", "far-2"));
	assert_int_equal(two->progress, 180);
	assert_int_equal(two->flags, 0);
	assert_int_equal(one->invite_len, sizeof(bytes));
	assert_memory_equal(two->invite, bytes, sizeof(bytes));
	assert_string_equal(two->request_uri, "sip:bob@192.0.2.1");
	feed(event(false, SIP_VERB_INVITE, 200, 1, "near", "far-2"));
	assert_int_equal(two->invite_len, 0);
	assert_int_equal(one->invite_len, sizeof(bytes));
	dialog_set_state(&table, one, DIALOG_ENDED, mono_ns(clock_ns));
	assert_int_equal(one->invite_len, 0);
}

static void invite_that_is_too_long_is_marked_until_it_is_answered(void **state)
{
	struct sip_event invite = event(false, SIP_VERB_INVITE, 0, 1, "far", NULL);
	struct dialog *d;

	invite.whole = calloc(1, DIALOG_INVITE_LEN + 1);
	invite.whole_len = DIALOG_INVITE_LEN + 1;
	d = feed(invite);
	free((void *)invite.whole);
	assert_int_equal(d->flags, DIALOG_NO_INVITE);
	assert_int_equal(d->invite_len, 0);
	feed(event(true, SIP_VERB_INVITE, 200, 1, "far", "near"));
	assert_int_equal(d->flags, 0);
}

static void progress_without_a_tag_leaves_the_dialog_half_open(void **state)
{
	struct dialog *d = feed(event(true, SIP_VERB_INVITE, 0, 1, "near", NULL));

	assert_ptr_equal(feed(event(false, SIP_VERB_INVITE, 100, 1, "near", NULL)), d);
	assert_int_equal(d->progress, 100);
	assert_ptr_equal(feed(event(false, SIP_VERB_INVITE, 180, 1, "near", NULL)), d);
	assert_int_equal(d->progress, 180);
	/* late, and of an INVITE that is not there */
	assert_null(feed(event(false, SIP_VERB_INVITE, 100, 1, "near", NULL)));
	assert_null(feed(event(false, SIP_VERB_INVITE, 180, 2, "near", NULL)));
	assert_int_equal(d->progress, 180);
	assert_true(dialog_is_half_open(d));
	assert_int_equal(table.n_tombstones, 0);
}

static void refused_half_open_invite_leaves_a_tombstone(void **state)
{
	const struct dialog_tombstone *stone;
	uint64_t cursor = 0;

	feed(event(true, SIP_VERB_INVITE, 0, 1, "near", NULL));
	feed(event(false, SIP_VERB_INVITE, 486, 1, "near", "far"));
	assert_int_equal(table.used, 0);
	stone = dialog_next_removed(&table, 0, &cursor);
	assert_non_null(stone);
	assert_string_equal(stone->key.local_tag, "near");
	assert_string_equal(stone->key.remote_tag, "");
}

static void failed_subscription_does_not_end_the_call(void **state)
{
	struct dialog *d = called(1);

	feed(event(true, SIP_VERB_SUBSCRIPTION, 0, 5, "near", "far"));
	feed(event(false, SIP_VERB_SUBSCRIPTION, 481, 5, "near", "far"));
	assert_int_equal(d->state, DIALOG_CONFIRMED);
	feed(event(false, SIP_VERB_OTHER, 481, 5, "near", "far"));
	assert_int_equal(d->state, DIALOG_ENDED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(called_server_has_the_to_tag_and_the_caller_s_contact),
	        T(calling_server_has_the_from_tag_and_the_callee_s_contact),
	        T(cseqs_of_the_two_directions_are_kept_apart),
	        T(request_with_an_old_cseq_is_counted_and_changes_nothing),
	        T(called_server_keeps_record_routes_in_order),
	        T(calling_server_reverses_record_routes_of_the_2xx),
	        T(quote_within_an_address_hides_no_comma_after_it),
	        T(re_invite_does_not_change_the_route_set),
	        T(target_and_flow_follow_the_phone),
	        T(invite_that_forks_makes_a_dialog_for_each_tag),
	        T(forks_beyond_the_limit_are_counted_not_kept),
	        T(retransmissions_make_no_second_dialog),
	        T(challenged_invite_goes_on_with_the_next_cseq),
	        T(refused_invite_ends_its_early_dialogs),
	        T(refused_re_invite_leaves_the_dialog),
	        T(bye_and_481_end_a_dialog),
	        T(session_timer_is_what_the_2xx_says),
	        T(last_sdp_of_each_direction_is_kept),
	        T(header_that_does_not_fit_marks_the_dialog),
	        T(messages_that_cannot_be_keyed_are_counted),
	        T(invite_is_kept_while_it_rings),
	        T(invite_that_is_too_long_is_marked_until_it_is_answered),
	        T(progress_without_a_tag_leaves_the_dialog_half_open),
	        T(refused_half_open_invite_leaves_a_tombstone),
	        T(failed_subscription_does_not_end_the_call),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
