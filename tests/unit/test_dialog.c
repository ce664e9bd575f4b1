/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The dialog table: RFC 3261 dialogs from events, versions and tombstones for the replica, expiry. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "addr.h"
#include "dialog.h"

static struct dialog_table table;
static int64_t clock_ns;

static int setup(void **state)
{
	clock_ns = 1000 * NS_PER_S;
	return dialog_table_init(&table, 32, 7);
}

static int teardown(void **state)
{
	dialog_table_done(&table);
	return 0;
}

static struct sip_event event(bool out, enum sip_verb verb, int status, uint32_t cseq, const char *from_tag,
                              const char *to_tag)
{
	struct sip_event ev = {
	        .at = mono_ns(clock_ns += NS_PER_MS),
	        .out = out,
	        .verb = verb,
	        .status = status,
	        .cseq = cseq,
	        .remote_port = 5060,
	        .call_id = "call-1",
	        .from = "\"Ann\" <sip:ann@a.example>",
	        .to = "<sip:bob@b.example>",
	        .from_user = "ann",
	        .request_user = "bob",
	        .request_uri = "sip:bob@192.0.2.1",
	        .from_tag = from_tag,
	        .to_tag = to_tag,
	        .refresher_uas = -1,
	};

	addr_parse("192.0.2.7", &ev.remote);
	return ev;
}

static struct dialog *feed(struct sip_event ev)
{
	return dialog_table_event(&table, &ev);
}

/* The server is called by tag "far" and answers with tag "near". */
static struct dialog *called(uint32_t cseq)
{
	struct sip_event invite = event(false, SIP_VERB_INVITE, 0, cseq, "far", NULL);
	struct sip_event answer = event(true, SIP_VERB_INVITE, 200, cseq, "far", "near");

	invite.contact = "sip:ann@192.0.2.7:5062";
	answer.contact = "sip:server@192.0.2.1";
	feed(invite);
	return feed(answer);
}

/* The server calls with tag "near"; "far" answers. */
static struct dialog *calls(uint32_t cseq)
{
	struct sip_event answer = event(false, SIP_VERB_INVITE, 200, cseq, "near", "far");

	answer.contact = "sip:bob@192.0.2.9";
	feed(event(true, SIP_VERB_INVITE, 0, cseq, "near", NULL));
	return feed(answer);
}

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

static struct dialog *numbered(int i)
{
	char id[16];
	struct sip_event invite = event(false, SIP_VERB_INVITE, 0, 1, "far", NULL);
	struct sip_event answer = event(true, SIP_VERB_INVITE, 200, 1, "far", "near");

	snprintf(id, sizeof(id), "n-%d", i);
	invite.call_id = answer.call_id = id;
	feed(invite);
	return feed(answer);
}

static void full_table_refuses_and_counts(void **state)
{
	int i;

	for (i = 0; i < 40; i++)
		numbered(i);
	assert_int_equal(table.used, 32);
	assert_int_equal(table.counters.dialog_table_full, 8);
}

static void changes_come_in_the_order_of_their_versions(void **state)
{
	struct dialog *a = numbered(1), *b = numbered(2), *c = numbered(3);
	uint64_t since = table.version;
	const struct dialog *d;

	d = dialog_next_changed(&table, 0, NULL);
	assert_ptr_equal(d, a);
	d = dialog_next_changed(&table, 0, d);
	assert_ptr_equal(d, b);
	d = dialog_next_changed(&table, 0, d);
	assert_ptr_equal(d, c);
	assert_null(dialog_next_changed(&table, 0, d));
	assert_null(dialog_next_changed(&table, since, NULL));
	dialog_take_cseq(&table, a, 1);
	d = dialog_next_changed(&table, since, NULL);
	assert_ptr_equal(d, a);
	assert_null(dialog_next_changed(&table, since, d));
	assert_ptr_equal(dialog_next_changed(&table, b->version, NULL), c);
	assert_true(a->version > c->version);
}

static void half_open_invite_is_listed_and_its_key_changes_with_the_first_tag(void **state)
{
	const struct dialog *d;
	const struct dialog_tombstone *stone;
	uint64_t cursor = 0;

	feed(event(false, SIP_VERB_INVITE, 0, 1, "far", NULL));
	d = dialog_next_changed(&table, 0, NULL);
	assert_non_null(d);
	assert_string_equal(d->local_tag, "");
	assert_string_equal(d->remote_tag, "far");
	feed(event(true, SIP_VERB_INVITE, 180, 1, "far", "near"));
	assert_ptr_equal(dialog_next_changed(&table, 0, NULL), d);
	assert_string_equal(d->local_tag, "near");
	stone = dialog_next_removed(&table, 0, &cursor);
	assert_non_null(stone);
	assert_string_equal(stone->key.local_tag, "");
	assert_string_equal(stone->key.remote_tag, "far");
	assert_true(stone->version < d->version);
	assert_null(dialog_next_removed(&table, 0, &cursor));
}

static void deletion_leaves_a_tombstone(void **state)
{
	const struct dialog_tombstone *stone;
	uint64_t cursor = 0, since;
	struct dialog *a = numbered(1);
	struct dialog_key key;

	since = table.version;
	dialog_key_of(a, &key);
	assert_int_equal(dialog_table_remove(&table, &key), 0);
	key = (struct dialog_key){.call_id = "n-1", .local_tag = "near", .remote_tag = "far"};
	assert_int_equal(dialog_table_remove(&table, &key), -ENOENT);
	stone = dialog_next_removed(&table, since, &cursor);
	assert_non_null(stone);
	assert_string_equal(stone->key.call_id, "n-1");
	assert_string_equal(stone->key.local_tag, "near");
	assert_null(dialog_next_removed(&table, since, &cursor));
	cursor = 0;
	assert_null(dialog_next_removed(&table, table.version, &cursor));
	assert_false(dialog_needs_snapshot(&table, since));
}

static void deletions_beyond_the_bound_ask_for_a_snapshot(void **state)
{
	uint64_t first_version = 0;
	struct dialog_key key;
	int i;

	for (i = 0; i < DIALOG_TOMBSTONES + 5; i++) {
		dialog_key_of(numbered(i), &key);
		dialog_table_remove(&table, &key);
		if (!i)
			first_version = table.version;
	}
	assert_true(dialog_needs_snapshot(&table, first_version));
	assert_true(dialog_needs_snapshot(&table, 0));
	assert_false(dialog_needs_snapshot(&table, table.version - 10));
}

static void record_applied_elsewhere_is_the_same_dialog(void **state)
{
	struct dialog *d = called(10), *copy;
	struct dialog_table other;
	struct dialog record;

	dialog_set_sdp_in(&table, d, "v=0", 3);
	record = *d;
	assert_int_equal(dialog_table_init(&other, 4, 99), 0);
	assert_int_equal(dialog_table_apply(&other, &record, -NS_PER_S), 0);
	record.local_cseq = 55;
	assert_int_equal(dialog_table_apply(&other, &record, -NS_PER_S), 0);
	assert_int_equal(other.used, 1);
	copy = dialog_find(&other, 0, "call-1", "near", "far");
	assert_non_null(copy);
	assert_int_equal(copy->local_cseq, 55);
	assert_int_equal(copy->remote_cseq, 10);
	assert_int_equal(copy->at_answer.ns, d->at_answer.ns - NS_PER_S);
	assert_int_equal(copy->at_ended.ns, 0);
	assert_memory_equal(copy->sdp_in, "v=0", 3);
	assert_string_equal(copy->remote_target, d->remote_target);
	assert_true(copy->version > 0);
	assert_true(other.next_call > d->call);
	dialog_table_done(&other);
}

static void record_that_is_no_dialog_is_refused(void **state)
{
	struct dialog record = *called(10);
	char route[DIALOG_ROUTE_LEN + 1];

	memset(route, 'r', DIALOG_ROUTE_LEN);
	route[DIALOG_ROUTE_LEN] = '\0';
	record.route = route;
	assert_int_equal(dialog_table_apply(&table, &record, 0), -EINVAL);
	record = *called(10);
	record.state = 9;
	assert_int_equal(dialog_table_apply(&table, &record, 0), -EINVAL);
	record = *dialog_next(&table, NULL);
	record.sdp_in_len = DIALOG_SDP_LEN + 1;
	assert_int_equal(dialog_table_apply(&table, &record, 0), -EINVAL);
	record = *dialog_next(&table, NULL);
	record.remote_tag = "";
	assert_int_equal(dialog_table_apply(&table, &record, 0), -EINVAL);
	assert_int_equal(table.counters.dialog_apply_bad, 4);
}

static void clear_drops_one_service(void **state)
{
	struct dialog record = *called(10);

	record.service = 3;
	assert_int_equal(dialog_table_apply(&table, &record, 0), 0);
	assert_int_equal(table.used, 2);
	dialog_table_clear(&table, 0);
	assert_int_equal(table.used, 1);
	assert_non_null(dialog_find(&table, 3, "call-1", "near", "far"));
}

static void what_is_over_or_silent_is_dropped(void **state)
{
	struct sip_event answer = event(true, SIP_VERB_INVITE, 200, 1, "far", "near");
	struct dialog *ended = numbered(1), *idle = numbered(2);

	feed(event(false, SIP_VERB_INVITE, 0, 1, "far", NULL));
	answer.session_expires_s = 90;
	feed(answer);
	dialog_set_state(&table, ended, DIALOG_ENDED, mono_ns(clock_ns));
	assert_int_equal(dialog_table_expire(&table, mono_ns(clock_ns + DIALOG_ENDED_KEEP_NS), 1000), 0);
	assert_int_equal(dialog_table_expire(&table, mono_ns(clock_ns + DIALOG_ENDED_KEEP_NS + 1), 1000), 1);
	assert_int_equal(table.counters.dialog_expired, 0);
	/* no refresh came in time */
	assert_int_equal(dialog_table_expire(&table, mono_ns(clock_ns + 130 * NS_PER_S), 1000), 1);
	assert_int_equal(table.counters.dialog_expired, 1);
	assert_ptr_equal(dialog_next(&table, NULL), idle);
	assert_int_equal(
	        dialog_table_expire(&table, mono_ns(clock_ns + DIALOG_IDLE_KEEP_NS + NS_PER_S), 1000), 1);
	feed(event(false, SIP_VERB_INVITE, 0, 5, "far", NULL));
	assert_int_equal(dialog_table_expire(&table, mono_ns(clock_ns + DIALOG_EARLY_KEEP_NS + 1), 1000), 1);
	assert_int_equal(table.used, 0);
}

static void slots_are_used_again(void **state)
{
	struct dialog_key key;
	int i;

	for (i = 0; i < 1000; i++) {
		struct dialog *d = numbered(i);

		assert_non_null(d);
		dialog_key_of(d, &key);
		assert_int_equal(dialog_table_remove(&table, &key), 0);
	}
	assert_int_equal(table.counters.dialog_table_full, 0);
	assert_null(dialog_next(&table, NULL));
}

static void pointer_kept_over_time_knows_its_call(void **state)
{
	struct dialog *d = numbered(1);
	uint64_t call = d->call;
	struct dialog_key key;

	assert_true(dialog_is_of_call(&table, d, call));
	dialog_key_of(d, &key);
	dialog_table_remove(&table, &key);
	assert_false(dialog_is_of_call(&table, d, call));
	assert_ptr_equal(numbered(2), d); /* the same slot */
	assert_false(dialog_is_of_call(&table, d, call));
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

static void new_dialogs_are_held_by_the_server_that_runs_here(void **state)
{
	struct dialog *d, record;
	uint64_t version;

	table.origin = 42;
	d = called(1);
	assert_int_equal(d->origin, 42);
	record = *d;
	record.call_id = "call-2";
	record.origin = 7;
	assert_int_equal(dialog_table_apply(&table, &record, 0), 0);
	assert_int_equal(dialog_find(&table, 0, "call-2", "near", "far")->origin, 7);
	version = d->version;
	dialog_set_origin(&table, d, 42);
	assert_int_equal(d->version, version);
	dialog_set_origin(&table, d, 0);
	assert_true(d->version > version);
}

static void streams_are_kept_once_seen(void **state)
{
	struct dialog_stream seen = {.from_port = 4000, .mac = {2, 0, 0, 0, 0, 1}};
	struct dialog *d = called(1);
	uint64_t version, bytes = table.bytes;

	assert_int_equal(dialog_stream_of(d, 1)->from_port, 0);
	dialog_set_stream(&table, d, 1, &seen);
	assert_int_equal(dialog_stream_of(d, 0)->from_port, 0);
	assert_memory_equal(dialog_stream_of(d, 1), &seen, sizeof(seen));
	assert_int_equal(dialog_stream_of(d, DIALOG_STREAMS)->from_port, 0);
	assert_true(table.bytes > bytes);
	version = d->version;
	dialog_set_stream(&table, d, 1, &seen);
	assert_int_equal(d->version, version);
	dialog_set_stream(&table, d, 3, &seen);
	assert_memory_equal(dialog_stream_of(d, 1), &seen, sizeof(seen));
	assert_int_equal(d->n_streams, 4);
}

struct watched {
	int changed, removed;
	char last_removed[32];
};

static void note_changed(void *context, struct dialog *d)
{
	((struct watched *)context)->changed++;
}

static void note_removed(void *context, struct dialog *d)
{
	struct watched *w = context;

	w->removed++;
	snprintf(w->last_removed, sizeof(w->last_removed), "%s", d->call_id);
}

static void observer_hears_of_every_change_and_before_a_dialog_goes(void **state)
{
	struct watched w = {0};
	struct dialog_key key;
	struct dialog *d;
	uint64_t version;

	table.observer = (struct dialog_observer){note_changed, note_removed, &w};
	d = called(1);
	assert_int_equal(w.changed, 2);
	version = d->version;
	dialog_take_cseq(&table, d, 1);
	dialog_set_flags(&table, d, DIALOG_JOINED, 0);
	dialog_set_sdp_out(&table, d, "v=0", 3);
	assert_int_equal(w.changed, 5);
	assert_int_equal(d->version, version + 3);
	dialog_key_of(d, &key);
	dialog_table_remove(&table, &key);
	assert_int_equal(w.removed, 1);
	assert_string_equal(w.last_removed, "call-1");
	numbered(1);
	numbered(2);
	dialog_table_clear(&table, 255);
	assert_int_equal(w.removed, 3);
	numbered(3);
	assert_int_equal(dialog_table_expire(&table, mono_ns(clock_ns + 2 * DIALOG_IDLE_KEEP_NS), 1000), 1);
	assert_int_equal(w.removed, 4);
	assert_string_equal(w.last_removed, "n-3");
}

static bool always(void *context, const struct dialog *d, int64_t for_ns)
{
	*(int64_t *)context = for_ns;
	return true;
}

static void call_without_media_and_messages_ends(void **state)
{
	struct sip_event answer = event(true, SIP_VERB_INVITE, 200, 1, "far", "near");
	struct dialog *silent = numbered(1), *timed, *ringing;
	int64_t asked = 0;
	struct mono later;

	feed(event(false, SIP_VERB_INVITE, 0, 1, "far", NULL));
	answer.session_expires_s = 1800;
	timed = feed(answer);
	answer = event(false, SIP_VERB_INVITE, 0, 1, "rings", NULL);
	answer.call_id = "rings";
	ringing = feed(answer);
	later = mono_ns(clock_ns + DIALOG_SILENT_NS + 1);
	ringing->at_changed = later;
	dialog_table_expire(&table, later, 1000);
	assert_int_equal(silent->state, DIALOG_CONFIRMED);
	table.silence = (struct dialog_silence){always, &asked};
	dialog_table_expire(&table, mono_ns(clock_ns + DIALOG_SILENT_NS / 2), 1000);
	assert_int_equal(silent->state, DIALOG_CONFIRMED);
	dialog_table_expire(&table, later, 1000);
	assert_int_equal(silent->state, DIALOG_ENDED);
	assert_int_equal(timed->state, DIALOG_CONFIRMED);
	assert_int_equal(ringing->state, DIALOG_EARLY);
	assert_int_equal(table.counters.dialog_silent, 1);
	assert_int_equal(asked, DIALOG_SILENT_NS);
	assert_int_equal(dialog_table_expire(&table, mono_add(later, DIALOG_ENDED_KEEP_NS + 1), 1000), 1);
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

static void peer_in_a_group_is_the_one_that_answered(void **state)
{
	struct dialog *a = called(1), *b[3];
	struct sip_event ev = event(true, SIP_VERB_INVITE, 0, 1, "x", NULL);
	char id[] = "b-0";

	for (int i = 0; i < 3; i++) {
		id[2] = (char)('0' + i);
		ev.call_id = id;
		b[i] = feed(ev);
		dialog_set_paired(&table, a, b[i], PAIRED_NUMBERS);
	}
	dialog_set_state(&table, b[0], DIALOG_ENDED, mono_ns(clock_ns));
	dialog_set_state(&table, b[1], DIALOG_CONFIRMED, mono_ns(clock_ns));
	assert_ptr_equal(dialog_peer(&table, a), b[1]);
	for (int i = 0; i < 3; i++)
		assert_ptr_equal(dialog_peer(&table, b[i]), a);
	dialog_unpair(&table, b[1]);
	assert_null(dialog_peer(&table, b[1]));
	assert_int_not_equal(b[1]->call, a->call);
	assert_ptr_equal(dialog_peer(&table, a), b[2]);
	int n = 0;

	for (struct dialog *d = dialog_first_of_call(&table, a); d; d = dialog_next_of_call(&table, d))
		n++;
	assert_int_equal(n, 3);
}

static void text_is_counted_up_and_down(void **state)
{
	static char sdp[3000];
	struct dialog *d = called(1);
	uint64_t before = table.bytes;

	dialog_set_sdp_in(&table, d, sdp, sizeof(sdp));
	assert_in_range(table.bytes, before + sizeof(sdp) - 16, before + sizeof(sdp) + 16);
	dialog_set_sdp_in(&table, d, sdp, 100);
	assert_in_range(table.bytes, before + 100 - 16, before + 100 + 16);
	dialog_set_sdp_in(&table, d, sdp, 0);
	assert_int_equal(table.bytes, before);
	dialog_table_clear(&table, 255);
	assert_int_equal(table.bytes, 0);
}

static void call_of_a_usual_size_fits_its_share(void **state)
{
	static char sdp[350];
	struct dialog *d = called(1);
	struct dialog_stream seen = {.from_port = 1};

	dialog_set_sdp_in(&table, d, sdp, sizeof(sdp));
	dialog_set_sdp_out(&table, d, sdp, sizeof(sdp));
	dialog_set_stream(&table, d, 0, &seen);
	dialog_set_stream(&table, d, 1, &seen);
	/* of 4 KiB a call: two legs, and 1 KiB for flows in the kernel */
	assert_true(table.bytes + sizeof(struct dialog) < 1536 - 128);
}

static void memory_that_is_used_up_costs_one_call_its_text_and_nothing_else(void **state)
{
	static char sdp[DIALOG_SDP_LEN];
	struct dialog *d = called(1), *other;
	struct sip_event bye = event(false, SIP_VERB_BYE, 0, 2, "far", "near");

	other = numbered(1);
	dialog_set_sdp_in(&table, other, "v=0", 3);
	table.bytes_max = table.bytes + 1000;
	dialog_set_sdp_in(&table, d, sdp, sizeof(sdp));
	assert_int_equal(table.counters.dialog_memory_full, 1);
	assert_int_equal(d->flags, DIALOG_TRUNCATED);
	assert_int_equal(d->sdp_in_len, 0);
	assert_string_equal(d->remote_target, "sip:ann@192.0.2.7:5062");
	assert_int_equal(other->flags, 0);
	assert_memory_equal(other->sdp_in, "v=0", 3);
	/* numbers still change, and what ends gives its memory back */
	table.bytes_max = table.bytes;
	bye.contact = "sip:somewhere@192.0.2.7";
	assert_ptr_equal(feed(bye), d);
	assert_int_equal(d->remote_cseq, 2);
	assert_int_equal(d->state, DIALOG_ENDED);
	/* a key that cannot be kept: no dialog, no half of one */
	table.bytes_max = 0;
	assert_null(numbered(2));
	assert_int_equal(table.used, 2);
	assert_null(dialog_find(&table, 0, "n-2", "", "far"));
}

static void what_ended_is_cut_down_to_what_retransmissions_need(void **state)
{
	static char sdp[350];
	struct dialog *d = called(1);
	uint64_t whole, version;

	dialog_set_sdp_in(&table, d, sdp, sizeof(sdp));
	dialog_set_state(&table, d, DIALOG_ENDED, mono_ns(clock_ns));
	whole = table.bytes;
	version = d->version;
	dialog_table_expire(&table, mono_ns(clock_ns + DIALOG_ENDED_WHOLE_NS), 100);
	assert_int_equal(table.bytes, whole);
	dialog_table_expire(&table, mono_ns(clock_ns + DIALOG_ENDED_WHOLE_NS + 1), 100);
	assert_true(table.bytes <= whole - sizeof(sdp));
	assert_int_equal(d->version, version);
	assert_string_equal(d->call_id, "call-1");
	assert_string_equal(d->remote_target, "sip:ann@192.0.2.7:5062");
}

/* Any order of anything: what the table counts is what is there, and ASan sees the rest. */
static void random_events_keep_the_accounts(void **state)
{
	static char sdp[DIALOG_SDP_LEN];
	static const int statuses[] = {0, 100, 180, 183, 200, 200, 200, 404, 481};
	static const char *const tags[] = {NULL, "t1", "t2", "t3"};
	uint32_t seed = 99, left = 0;
	char id[8];

	table.bytes_max = 24 * 1024;
	for (int i = 0; i < 20000; i++) {
		uint32_t r = seed = seed * 1664525u + 1013904223u;
		struct sip_event ev = event(r >> 8 & 1, (enum sip_verb)((r >> 9) % 8),
		                            statuses[(r >> 12) % 9], r >> 16 & 3, "from", tags[r >> 18 & 3]);

		if (r >> 30)
			ev.verb = SIP_VERB_INVITE;
		snprintf(id, sizeof(id), "r-%u", r >> 20 & 31);
		ev.call_id = id;
		ev.sdp = sdp;
		ev.sdp_len = (r >> 25 & 3) ? 0 : r >> 4 & 2047;
		ev.whole = (const uint8_t *)sdp;
		ev.whole_len = r >> 5 & 1023;
		feed(ev);
		assert_true(table.bytes <= table.bytes_max);
		if (i % 50 == 0)
			dialog_table_expire(&table, mono_ns(clock_ns += 3 * NS_PER_S), 8);
	}
	for (struct dialog *d = dialog_next(&table, NULL); d; d = dialog_next(&table, d))
		left++;
	assert_int_equal(left, table.used);
	assert_true(table.counters.dialog_memory_full > 0);
	dialog_table_clear(&table, 255);
	assert_int_equal(table.bytes, 0);
	assert_int_equal(table.used, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(called_server_has_the_to_tag_and_the_caller_s_contact),
	        T(calling_server_has_the_from_tag_and_the_callee_s_contact),
	        T(cseqs_of_the_two_directions_are_kept_apart),
	        T(request_with_an_old_cseq_is_counted_and_changes_nothing),
	        T(called_server_keeps_record_routes_in_order),
	        T(calling_server_reverses_record_routes_of_the_2xx),
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
	        T(full_table_refuses_and_counts),
	        T(changes_come_in_the_order_of_their_versions),
	        T(half_open_invite_is_listed_and_its_key_changes_with_the_first_tag),
	        T(deletion_leaves_a_tombstone),
	        T(deletions_beyond_the_bound_ask_for_a_snapshot),
	        T(record_applied_elsewhere_is_the_same_dialog),
	        T(record_that_is_no_dialog_is_refused),
	        T(clear_drops_one_service),
	        T(what_is_over_or_silent_is_dropped),
	        T(slots_are_used_again),
	        T(pointer_kept_over_time_knows_its_call),
	        T(invite_is_kept_while_it_rings),
	        T(invite_that_is_too_long_is_marked_until_it_is_answered),
	        T(progress_without_a_tag_leaves_the_dialog_half_open),
	        T(refused_half_open_invite_leaves_a_tombstone),
	        T(new_dialogs_are_held_by_the_server_that_runs_here),
	        T(streams_are_kept_once_seen),
	        T(observer_hears_of_every_change_and_before_a_dialog_goes),
	        T(call_without_media_and_messages_ends),
	        T(failed_subscription_does_not_end_the_call),
	        T(peer_in_a_group_is_the_one_that_answered),
	        T(text_is_counted_up_and_down),
	        T(call_of_a_usual_size_fits_its_share),
	        T(memory_that_is_used_up_costs_one_call_its_text_and_nothing_else),
	        T(what_ended_is_cut_down_to_what_retransmissions_need),
	        T(random_events_keep_the_accounts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
