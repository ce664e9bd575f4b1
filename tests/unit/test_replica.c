/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is sent to the standby when: whole tables, changes, what was lost, and no more than it can take. */
#include "replica_pair.h"

static void dialogs_reach_the_standby_whole(void **state)
{
	struct pair p;

	pair_start(&p);
	p.b.ahead = -70 * NS_PER_S;
	for (int i = 0; i < 300; i++)
		put_dialog(&p, &p.a, i);
	turns(&p, 2);
	assert_int_equal(p.b.table.used, 300);
	assert_same_tables(&p);
	assert_true(is_up(&p, &p.a));
	assert_true(is_up(&p, &p.b));
	assert_int_equal(p.b.counters.replica_malformed, 0);
	pair_done(&p);
}

static void a_change_goes_out_with_the_next_flush(void **state)
{
	struct pair p;
	uint64_t sent;

	pair_start(&p);
	for (int i = 0; i < 50; i++)
		put_dialog(&p, &p.a, i);
	turns(&p, 2);
	sent = p.a.counters.replica_dialogs_sent;
	dialog_take_cseq(&p.a.table, get(&p.a, 7), 100);
	assert_false(replica_session_flush(&p.a.session, p.now));
	assert_int_equal(p.b.in.n, 1);
	assert_true(read_one(&p, &p.b));
	assert_int_equal(p.a.counters.replica_dialogs_sent, sent + 1);
	assert_same_tables(&p);
	/* and nothing when nothing changed */
	assert_false(replica_session_flush(&p.a.session, p.now));
	assert_int_equal(p.b.in.n, 0);
	pair_done(&p);
}

static void a_deletion_reaches_the_standby_and_a_new_one_of_its_key_survives(void **state)
{
	struct pair p;

	pair_start(&p);
	put_dialog(&p, &p.a, 1);
	put_dialog(&p, &p.a, 2);
	turns(&p, 2);
	drop(&p.a, 1);
	drop(&p.a, 2);
	put_dialog(&p, &p.a, 2);
	turn(&p);
	assert_null(get(&p.b, 1));
	assert_non_null(get(&p.b, 2));
	assert_same_tables(&p);
	pair_done(&p);
}

static void a_lost_message_is_noticed_and_only_the_rest_is_sent_again(void **state)
{
	struct pair p;
	uint64_t sent;

	pair_start(&p);
	for (int i = 0; i < 200; i++)
		put_dialog(&p, &p.a, i);
	turns(&p, 8);
	sent = p.a.counters.replica_dialogs_sent;
	p.a.cut = true;
	dialog_take_cseq(&p.a.table, get(&p.a, 7), 1);
	replica_session_flush(&p.a.session, p.now);
	p.a.cut = false;
	dialog_take_cseq(&p.a.table, get(&p.a, 8), 1);
	turns(&p, 1);
	assert_int_equal(p.b.counters.replica_gaps, 1);
	assert_same_tables(&p);
	assert_in_range(p.a.counters.replica_dialogs_sent - sent, 3, 6);
	pair_done(&p);
}

static void a_lost_last_message_is_noticed_by_the_next_ping(void **state)
{
	struct pair p;

	pair_start(&p);
	put_dialog(&p, &p.a, 1);
	turns(&p, 8);
	p.a.cut = true;
	put_dialog(&p, &p.a, 2);
	replica_session_flush(&p.a.session, p.now);
	p.a.cut = false;
	turns(&p, 8);
	assert_same_tables(&p);
	assert_true(is_up(&p, &p.b));
	pair_done(&p);
}

static void a_slow_peer_gets_the_newest_state_only(void **state)
{
	struct pair p;
	uint64_t sent;

	pair_start(&p);
	for (int i = 0; i < 10; i++)
		put_dialog(&p, &p.a, i);
	turns(&p, 8);
	sent = p.a.counters.replica_dialogs_sent;
	p.a.full = true;
	for (int i = 0; i < 100; i++) {
		dialog_take_cseq(&p.a.table, get(&p.a, i % 10), 1);
		assert_true(replica_session_flush(&p.a.session, p.now));
	}
	assert_int_equal(p.a.counters.replica_blocked, 100);
	p.a.full = false;
	turn(&p);
	assert_same_tables(&p);
	assert_int_equal(p.a.counters.replica_dialogs_sent - sent, 10);
	assert_int_equal(p.b.counters.replica_gaps, 0);
	pair_done(&p);
}

/* The wire takes everything, but its end reads nothing: what waits there is bounded all the same. */
static void a_peer_that_reads_nothing_is_not_sent_more_than_the_window(void **state)
{
	struct pair p;
	uint64_t sent;

	pair_start(&p);
	put_dialog(&p, &p.a, 1);
	turns(&p, 8);
	sent = p.a.session.out.seq;
	for (int i = 0; i < REPLICA_WINDOW + 100; i++) {
		dialog_take_cseq(&p.a.table, get(&p.a, 1), 1);
		replica_session_flush(&p.a.session, p.now);
		if (p.b.in.n > 100)
			wire_empty(&p.b.in); /* read by nobody who would say so */
	}
	assert_true(p.a.session.out.seq - p.a.session.out.acked == REPLICA_WINDOW);
	assert_true(p.a.session.out.seq <= sent + REPLICA_WINDOW);
	assert_true(p.a.counters.replica_blocked >= 100);
	turns(&p, 100);
	assert_same_tables(&p);
	pair_done(&p);
}

static void a_busy_stream_is_acknowledged_before_the_window_is_full(void **state)
{
	struct pair p;

	pair_start(&p);
	put_dialog(&p, &p.a, 1);
	turns(&p, 8);
	for (int i = 0; i < 3 * REPLICA_WINDOW; i++) {
		dialog_take_cseq(&p.a.table, get(&p.a, 1), 1);
		replica_session_flush(&p.a.session, p.now);
		while (read_one(&p, &p.b) || read_one(&p, &p.a))
			;
	}
	assert_int_equal(p.a.counters.replica_blocked, 0);
	assert_same_tables(&p);
	pair_done(&p);
}

static void forgotten_deletions_lead_to_a_whole_stream(void **state)
{
	struct pair p;
	uint64_t streams;

	pair_start(&p);
	for (int i = 0; i < 10; i++)
		put_dialog(&p, &p.a, i);
	turns(&p, 8);
	streams = p.a.counters.replica_streams;
	p.a.full = true;
	drop(&p.a, 3);
	for (int i = 0; i < DIALOG_TOMBSTONES; i++) {
		put_dialog(&p, &p.a, 1000);
		drop(&p.a, 1000);
	}
	p.a.full = false;
	turn(&p);
	assert_int_equal(p.a.counters.replica_streams, streams + 1);
	assert_null(get(&p.b, 3));
	assert_same_tables(&p);
	pair_done(&p);
}

static void a_full_table_is_not_in_step(void **state)
{
	struct pair p;

	pair_start(&p);
	dialog_table_done(&p.b.table);
	node_start(&p.b, 8);
	for (int i = 0; i < 10; i++)
		put_dialog(&p, &p.a, i);
	turns(&p, 8);
	assert_int_equal(p.b.table.used, 8);
	assert_true(p.b.counters.replica_not_applied > 0);
	assert_false(is_up(&p, &p.a));
	assert_false(is_up(&p, &p.b));
	/* and when there is room again, it is */
	for (int i = 0; i < 5; i++)
		drop(&p.a, i);
	turns(&p, 70);
	assert_same_tables(&p);
	assert_true(is_up(&p, &p.a));
	pair_done(&p);
}

static void a_peer_that_is_gone_is_not_sent_to(void **state)
{
	struct pair p;
	uint64_t sent;

	pair_start(&p);
	put_dialog(&p, &p.a, 1);
	turns(&p, 8);
	p.a.nobody = true;
	put_dialog(&p, &p.a, 2);
	assert_false(replica_session_flush(&p.a.session, p.now));
	assert_false(p.a.session.out.active);
	assert_false(is_up(&p, &p.a));
	sent = p.a.counters.replica_sent;
	put_dialog(&p, &p.a, 3);
	assert_false(replica_session_flush(&p.a.session, p.now));
	assert_int_equal(p.a.counters.replica_sent, sent);
	p.a.nobody = false;
	turns(&p, 30);
	assert_same_tables(&p);
	assert_true(is_up(&p, &p.a));
	pair_done(&p);
}

/* A message of a call that rings, at node a's clock. */
static struct dialog *ring(struct pair *p, int n, bool out, int status, const char *to_tag)
{
	static const uint8_t bytes[] = "INVITE ...";
	char call_id[32];
	struct sip_event ev = {
	        .at = p->now,
	        .service = 3,
	        .out = out,
	        .verb = SIP_VERB_INVITE,
	        .status = status,
	        .cseq = 1,
	        .from = "<sip:a@x>",
	        .to = "<sip:b@x>",
	        .from_tag = "from",
	        .to_tag = to_tag,
	        .request_uri = "sip:b@10.9.0.7",
	        .refresher_uas = -1,
	        .whole = status ? NULL : bytes,
	        .whole_len = sizeof(bytes),
	};

	snprintf(call_id, sizeof(call_id), "ring-%d", n);
	ev.call_id = call_id;
	return dialog_table_event(&p->a.table, &ev);
}

static void a_ringing_call_is_one_dialog_on_the_standby_at_every_stage(void **state)
{
	struct pair p;
	struct dialog *d;

	pair_start(&p);
	turns(&p, 2);
	ring(&p, 1, true, 0, NULL);
	turn(&p);
	assert_same_tables(&p);
	d = dialog_find(&p.b.table, 3, "ring-1", "from", "");
	assert_non_null(d);
	assert_string_equal((const char *)d->invite, "INVITE ...");
	ring(&p, 1, false, 180, "to");
	turn(&p);
	assert_same_tables(&p);
	assert_int_equal(p.b.table.used, 1);
	assert_null(dialog_find(&p.b.table, 3, "ring-1", "from", ""));
	d = dialog_find(&p.b.table, 3, "ring-1", "from", "to");
	assert_int_equal(d->progress, 180);
	assert_string_equal((const char *)d->invite, "INVITE ...");
	ring(&p, 1, false, 200, "to");
	turn(&p);
	assert_same_tables(&p);
	assert_int_equal(d->invite_len, 0);
	pair_done(&p);
}

static void a_refused_invite_is_gone_or_over_on_the_standby(void **state)
{
	struct pair p;

	pair_start(&p);
	ring(&p, 1, true, 0, NULL);
	ring(&p, 2, true, 0, NULL);
	ring(&p, 2, false, 180, "to");
	turns(&p, 2);
	assert_int_equal(p.b.table.used, 2);
	ring(&p, 1, false, 486, "busy");
	ring(&p, 2, false, 486, "to");
	turn(&p);
	assert_null(dialog_find(&p.b.table, 3, "ring-1", "from", ""));
	assert_int_equal(dialog_find(&p.b.table, 3, "ring-2", "from", "to")->state, DIALOG_ENDED);
	pair_done(&p);
}

static void a_flush_is_bounded_and_says_that_there_is_more(void **state)
{
	struct pair p;
	int turns_of_loop = 0;

	pair_start(&p);
	turns(&p, 2);
	for (int i = 0; i < MAX; i++)
		put_dialog(&p, &p.a, i);
	assert_true(replica_session_flush(&p.a.session, p.now));
	assert_int_equal(p.b.in.n, 4);
	while (replica_session_flush(&p.a.session, p.now))
		turns_of_loop++;
	assert_in_range(turns_of_loop, 2, 20);
	while (read_one(&p, &p.b))
		;
	assert_same_tables(&p);
	pair_done(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(dialogs_reach_the_standby_whole),
	        cmocka_unit_test(a_change_goes_out_with_the_next_flush),
	        cmocka_unit_test(a_deletion_reaches_the_standby_and_a_new_one_of_its_key_survives),
	        cmocka_unit_test(a_lost_message_is_noticed_and_only_the_rest_is_sent_again),
	        cmocka_unit_test(a_lost_last_message_is_noticed_by_the_next_ping),
	        cmocka_unit_test(a_slow_peer_gets_the_newest_state_only),
	        cmocka_unit_test(a_peer_that_reads_nothing_is_not_sent_more_than_the_window),
	        cmocka_unit_test(a_busy_stream_is_acknowledged_before_the_window_is_full),
	        cmocka_unit_test(forgotten_deletions_lead_to_a_whole_stream),
	        cmocka_unit_test(a_full_table_is_not_in_step),
	        cmocka_unit_test(a_peer_that_is_gone_is_not_sent_to),
	        cmocka_unit_test(a_ringing_call_is_one_dialog_on_the_standby_at_every_stage),
	        cmocka_unit_test(a_refused_invite_is_gone_or_over_on_the_standby),
	        cmocka_unit_test(a_flush_is_bounded_and_says_that_there_is_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
