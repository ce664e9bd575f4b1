/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The dialog table: versions and tombstones for the replica, expiry, pairs, memory. */
#include "dialog_feed.h"

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
	struct dialog_key key;
	int i;

	for (i = 0; i < DIALOG_TOMBSTONES + 5; i++) {
		dialog_key_of(numbered(i), &key);
		dialog_table_remove(&table, &key);
	}
	assert_true(dialog_needs_snapshot(&table, 0));
	assert_true(dialog_needs_snapshot(&table, table.n_tombstones - DIALOG_TOMBSTONES - 1));
	assert_false(dialog_needs_snapshot(&table, table.n_tombstones - DIALOG_TOMBSTONES));
}

/* Their text is bounded, too: with long keys fewer are kept, and those are whole. */
static void deletions_with_long_keys_are_kept_as_far_as_their_text_goes(void **state)
{
	char id[DIALOG_CALL_ID_LEN];
	const struct dialog_tombstone *stone;
	struct dialog_key key;
	uint64_t cursor = 0, kept = 0;
	int i, n = DIALOG_STONE_BYTES / 100;

	for (i = 0; i < n; i++) {
		struct sip_event ev = event(false, SIP_VERB_INVITE, 0, 1, "far", NULL);

		snprintf(id, sizeof(id), "%0*d", 100 + i % 150, i);
		ev.call_id = id;
		dialog_key_of(feed(ev), &key);
		assert_int_equal(dialog_table_remove(&table, &key), 0);
	}
	assert_true(dialog_needs_snapshot(&table, 0));
	while ((stone = dialog_next_removed(&table, 0, &cursor))) {
		i = (int)cursor - 1;
		snprintf(id, sizeof(id), "%0*d", 100 + i % 150, i);
		assert_string_equal(stone->key.call_id, id);
		assert_string_equal(stone->key.local_tag, "");
		assert_string_equal(stone->key.remote_tag, "far");
		kept++;
	}
	assert_int_equal(cursor, n);
	assert_in_range(kept, DIALOG_STONE_BYTES / 256 - 1, DIALOG_STONE_BYTES / 106);
	assert_false(dialog_needs_snapshot(&table, (uint64_t)n - kept));
	assert_true(dialog_needs_snapshot(&table, (uint64_t)n - kept - 1));
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

static void what_a_dialog_is_joined_to_is_kept_unless_it_is_too_long(void **state)
{
	struct dialog *d = called(1);
	char text[DIALOG_JOINED_LEN + 1];
	uint64_t version = d->version;

	memset(text, 'x', sizeof(text));
	text[DIALOG_JOINED_LEN - 1] = '\0';
	dialog_set_joined(&table, d, text);
	assert_string_equal(d->joined, text);
	assert_true(d->version > version); /* the peer hears of it */
	text[DIALOG_JOINED_LEN - 1] = 'x';
	text[DIALOG_JOINED_LEN] = '\0';
	dialog_set_joined(&table, d, text);
	assert_string_equal(d->joined, "");
	assert_false(d->flags & DIALOG_TRUNCATED);
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
	assert_in_range(table.bytes, before + sizeof(sdp) - 32, before + sizeof(sdp) + 32);
	dialog_set_sdp_in(&table, d, sdp, 100);
	assert_in_range(table.bytes, before + 100 - 32, before + 100 + 32);
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
	assert_true(table.bytes <= whole - sizeof(sdp) + 32);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(full_table_refuses_and_counts),
	        T(changes_come_in_the_order_of_their_versions),
	        T(half_open_invite_is_listed_and_its_key_changes_with_the_first_tag),
	        T(deletion_leaves_a_tombstone),
	        T(deletions_beyond_the_bound_ask_for_a_snapshot),
	        T(deletions_with_long_keys_are_kept_as_far_as_their_text_goes),
	        T(record_applied_elsewhere_is_the_same_dialog),
	        T(record_that_is_no_dialog_is_refused),
	        T(clear_drops_one_service),
	        T(what_is_over_or_silent_is_dropped),
	        T(slots_are_used_again),
	        T(pointer_kept_over_time_knows_its_call),
	        T(new_dialogs_are_held_by_the_server_that_runs_here),
	        T(streams_are_kept_once_seen),
	        T(what_a_dialog_is_joined_to_is_kept_unless_it_is_too_long),
	        T(observer_hears_of_every_change_and_before_a_dialog_goes),
	        T(call_without_media_and_messages_ends),
	        T(peer_in_a_group_is_the_one_that_answered),
	        T(text_is_counted_up_and_down),
	        T(call_of_a_usual_size_fits_its_share),
	        T(memory_that_is_used_up_costs_one_call_its_text_and_nothing_else),
	        T(what_ended_is_cut_down_to_what_retransmissions_need),
	        T(random_events_keep_the_accounts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
