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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
