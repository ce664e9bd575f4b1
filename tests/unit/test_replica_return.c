/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Whose word counts when a node, its call keeper or the link comes back. */
#include "replica_pair.h"

static void what_ended_while_cut_off_is_gone_after_the_cut(void **state)
{
	struct pair p;

	pair_start(&p);
	for (int i = 0; i < 20; i++)
		put_dialog(&p, &p.a, i);
	turns(&p, 2);
	p.a.cut = p.b.cut = true;
	for (int i = 0; i < 10; i++)
		drop(&p.a, i);
	put_dialog(&p, &p.a, 30);
	turns(&p, 50);
	assert_false(is_up(&p, &p.a));
	assert_false(is_up(&p, &p.b));
	assert_int_equal(p.b.table.used, 20);
	p.a.cut = p.b.cut = false;
	turns(&p, 20);
	assert_same_tables(&p);
	assert_true(is_up(&p, &p.a));
	assert_true(is_up(&p, &p.b));
	pair_done(&p);
}

static void a_restarted_owner_gets_its_calls_back_from_the_standby(void **state)
{
	struct pair p;

	pair_start(&p);
	for (int i = 0; i < 100; i++)
		put_dialog(&p, &p.a, i);
	turns(&p, 8);
	node_restart(&p.a);
	/* seen before the peer could tell */
	put_dialog(&p, &p.a, 200);
	turns(&p, 30);
	assert_int_equal(p.a.table.used, 101);
	assert_same_tables(&p);
	assert_true(is_up(&p, &p.a));
	pair_done(&p);
}

static void a_restarted_owner_keeps_the_newer_cseq(void **state)
{
	struct pair p;

	pair_start(&p);
	put_dialog(&p, &p.a, 1);
	put_dialog(&p, &p.a, 2);
	turns(&p, 8);
	node_restart(&p.a);
	put_dialog(&p, &p.a, 1);
	dialog_take_cseq(&p.a.table, get(&p.a, 1), 50);
	uint32_t cseq = get(&p.a, 1)->local_cseq;

	turns(&p, 30);
	assert_int_equal(get(&p.a, 1)->local_cseq, cseq);
	assert_int_equal(p.a.table.used, 2);
	assert_same_tables(&p);
	pair_done(&p);
}

/* It reads the last seconds of the wire again: its calls as they were before the rescue. Either may speak
 * first. */
static void restarted_owner_does_not_undo_a_rescue(bool owner_first)
{
	struct pair p;
	uint64_t known;
	uint32_t cseq;
	bool heard = false;

	pair_start(&p);
	put_dialog(&p, &p.a, 1);
	turns(&p, 8);
	cseq = dialog_take_cseq(&p.a.table, get(&p.a, 1), 100);
	dialog_set_state(&p.a.table, get(&p.a, 1), DIALOG_RESCUED, p.now);
	turns(&p, 8);
	node_restart(&p.a);
	put_dialog(&p, &p.a, 1);
	known = get(&p.b, 1)->version;
	/* until then it asks for nothing itself */
	for (int i = 0; i < 40 && owner_first && get(&p.b, 1)->version == known; i++) {
		p.now = mono_add(p.now, 100 * NS_PER_MS);
		replica_session_tick(&p.b.session, p.now);
		while (read_one(&p, &p.a) || replica_session_flush(&p.a.session, p.now) == 1)
			;
		heard = heard || p.b.in.n;
		while (read_one(&p, &p.b))
			;
	}
	assert_true(heard || !owner_first);
	turns(&p, 30);
	assert_int_equal(get(&p.a, 1)->state, DIALOG_RESCUED);
	assert_int_equal(get(&p.a, 1)->local_cseq, cseq);
	assert_same_tables(&p);
	pair_done(&p);
}

static void a_restarted_owner_does_not_undo_its_rescue(void **state)
{
	restarted_owner_does_not_undo_a_rescue(false);
	restarted_owner_does_not_undo_a_rescue(true);
}

static void a_restarted_standby_gets_everything(void **state)
{
	struct pair p;

	pair_start(&p);
	for (int i = 0; i < 100; i++)
		put_dialog(&p, &p.a, i);
	turns(&p, 8);
	node_restart(&p.b);
	turns(&p, 30);
	assert_int_equal(p.b.table.used, 100);
	assert_same_tables(&p);
	assert_true(is_up(&p, &p.a));
	pair_done(&p);
}

static void a_former_owner_cannot_change_the_new_owners_table(void **state)
{
	struct pair p;

	pair_start(&p);
	for (int i = 0; i < 10; i++)
		put_dialog(&p, &p.a, i);
	turns(&p, 8);
	/* b took over; a does not know yet and goes on sending */
	replica_session_role(&p.b.session, true, 0x202);
	drop(&p.a, 1);
	dialog_set_state(&p.a.table, get(&p.a, 2), DIALOG_ENDED, p.now);
	put_dialog(&p, &p.a, 50);
	turns(&p, 3);
	assert_int_equal(p.b.table.used, 10);
	assert_int_equal(get(&p.b, 2)->state, DIALOG_CONFIRMED);
	assert_true(p.b.counters.replica_ignored > 0);
	/* now it knows: it takes the new owner's for the truth */
	replica_session_role(&p.a.session, false, 0x202);
	put_dialog(&p, &p.b, 60);
	turns(&p, 30);
	assert_int_equal(p.b.table.used, 11);
	assert_same_tables(&p);
	assert_true(is_up(&p, &p.b));
	pair_done(&p);
}

static void a_former_owner_that_comes_back_is_set_right(void **state)
{
	struct pair p;

	pair_start(&p);
	for (int i = 0; i < 10; i++)
		put_dialog(&p, &p.a, i);
	turns(&p, 8);
	p.a.cut = p.b.cut = true;
	replica_session_role(&p.b.session, true, 0x202);
	replica_session_role(&p.a.session, false, 0x101);
	drop(&p.b, 1);
	dialog_take_cseq(&p.b.table, get(&p.b, 2), 100);
	put_dialog(&p, &p.b, 60);
	turns(&p, 100);
	p.a.cut = p.b.cut = false;
	turns(&p, 30);
	assert_int_equal(p.b.table.used, 10);
	assert_same_tables(&p);
	pair_done(&p);
}

static void a_call_that_hung_up_before_the_owner_had_it_back_is_over(void **state)
{
	struct pair p;
	struct sip_event bye = {
	        .service = 3,
	        .verb = SIP_VERB_BYE,
	        .cseq = 100,
	        .call_id = "call-1@example",
	        .from_tag = "rt1",
	        .to_tag = "lt1",
	        .refresher_uas = -1,
	};

	pair_start(&p);
	put_dialog(&p, &p.a, 1);
	put_dialog(&p, &p.a, 2);
	turns(&p, 8);
	node_restart(&p.a);
	bye.at = p.now;
	assert_null(dialog_table_event(&p.a.table, &bye));
	turns(&p, 30);
	assert_int_equal(get(&p.a, 1)->state, DIALOG_ENDED);
	assert_int_equal(get(&p.b, 1)->state, DIALOG_ENDED);
	assert_int_equal(get(&p.a, 2)->state, DIALOG_CONFIRMED);
	pair_done(&p);
}

/* A message of a call: the INVITE (status 0), or the server's answer to it. */
static struct dialog *message(struct pair *p, const char *call_id, int status)
{
	struct sip_event ev = {
	        .at = clock_of(p, &p->a),
	        .service = 3,
	        .out = status != 0,
	        .verb = SIP_VERB_INVITE,
	        .status = (uint16_t)status,
	        .cseq = 4711,
	        .remote_port = 5060,
	        .call_id = call_id,
	        .from = "<sip:anna@example>",
	        .from_tag = "annas",
	        .to = "<sip:ben@example>",
	        .to_tag = status ? "servers" : NULL,
	        .contact = status ? "sip:vip.example" : "sip:anna@phone.example",
	        .whole = (const uint8_t *)"INVITE",
	        .whole_len = status ? 0 : 6,
	        .refresher_uas = -1,
	};

	return dialog_table_event(&p->a.table, &ev);
}

/* The one call that rings. */
static void called(struct pair *p, int status)
{
	message(p, "rings@example", status);
}

static void a_restarted_owner_gives_new_calls_no_number_of_one_that_it_gets_back(void **state)
{
	const struct dialog *d;
	uint64_t old, new;
	struct pair p;

	pair_start(&p);
	message(&p, "old@example", 0);
	old = message(&p, "old@example", 200)->call;
	turns(&p, 8);
	node_restart(&p.a);
	/* before the peer could tell */
	message(&p, "new@example", 0);
	new = message(&p, "new@example", 200)->call;
	turns(&p, 30);
	assert_int_equal(p.a.table.used, 2);
	for (d = dialog_next(&p.a.table, NULL); d; d = dialog_next(&p.a.table, d))
		assert_int_equal(d->call, strcmp(d->call_id, "old@example") ? new : old);
	assert_int_not_equal(new, old);
	assert_same_tables(&p);
	pair_done(&p);
}

static void a_restarted_owner_takes_no_half_open_dialog_back_that_got_its_tag_meanwhile(void **state)
{
	struct pair p;

	pair_start(&p);
	called(&p, 0);
	turns(&p, 8);
	assert_true(dialog_is_half_open(dialog_next(&p.b.table, NULL)));
	node_restart(&p.a);
	called(&p, 0);
	called(&p, 180);
	turns(&p, 30);
	assert_int_equal(p.a.table.used, 1);
	assert_false(dialog_is_half_open(dialog_next(&p.a.table, NULL)));
	assert_same_tables(&p);
	pair_done(&p);
}

static void a_restarted_owner_takes_no_half_open_dialog_back_whose_invite_it_missed(void **state)
{
	struct pair p;

	pair_start(&p);
	called(&p, 0);
	turns(&p, 8);
	node_restart(&p.a);
	called(&p, 200);
	assert_int_equal(p.a.table.used, 1);
	turns(&p, 30);
	assert_int_equal(p.a.table.used, 1);
	assert_int_equal(dialog_next(&p.a.table, NULL)->state, DIALOG_CONFIRMED);
	assert_same_tables(&p);
	pair_done(&p);
}

static void a_restarted_owner_takes_no_half_open_dialog_back_that_was_refused_meanwhile(void **state)
{
	struct pair p;

	pair_start(&p);
	called(&p, 0);
	turns(&p, 8);
	node_restart(&p.a);
	called(&p, 0);
	called(&p, 486);
	assert_int_equal(p.a.table.used, 0);
	turns(&p, 30);
	assert_int_equal(p.a.table.used, 0);
	assert_int_equal(p.b.table.used, 0);
	pair_done(&p);
}

static void an_owner_does_not_send_back_what_it_is_just_given(void **state)
{
	struct pair p;
	uint64_t sent;

	pair_start(&p);
	for (int i = 0; i < 400; i++)
		put_dialog(&p, &p.a, i);
	turns(&p, 8);
	sent = p.b.counters.replica_dialogs_sent;
	node_restart(&p.a);
	turns(&p, 30);
	assert_same_tables(&p);
	/* each of them once to the owner, and once back as the owner's complete list */
	assert_int_equal(p.b.counters.replica_dialogs_sent - sent, 400);
	assert_int_equal(p.a.counters.replica_dialogs_sent, 400);
	pair_done(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(what_ended_while_cut_off_is_gone_after_the_cut),
	        cmocka_unit_test(a_restarted_owner_gets_its_calls_back_from_the_standby),
	        cmocka_unit_test(a_restarted_owner_keeps_the_newer_cseq),
	        cmocka_unit_test(a_restarted_owner_does_not_undo_its_rescue),
	        cmocka_unit_test(a_restarted_standby_gets_everything),
	        cmocka_unit_test(a_former_owner_cannot_change_the_new_owners_table),
	        cmocka_unit_test(a_former_owner_that_comes_back_is_set_right),
	        cmocka_unit_test(a_call_that_hung_up_before_the_owner_had_it_back_is_over),
	        cmocka_unit_test(a_restarted_owner_gives_new_calls_no_number_of_one_that_it_gets_back),
	        cmocka_unit_test(a_restarted_owner_takes_no_half_open_dialog_back_that_got_its_tag_meanwhile),
	        cmocka_unit_test(a_restarted_owner_takes_no_half_open_dialog_back_whose_invite_it_missed),
	        cmocka_unit_test(a_restarted_owner_takes_no_half_open_dialog_back_that_was_refused_meanwhile),
	        cmocka_unit_test(an_owner_does_not_send_back_what_it_is_just_given),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
