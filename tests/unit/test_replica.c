/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Two call keepers' replicas against each other: first their sessions over a
 * wire that the test can cut, fill and spoil, then their sockets over loopback.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <sys/socket.h>
#include <zmq.h>

#include "../../user/calls/loop.h"
#include "../../user/calls/replica.h"
#include "../../user/calls/replica_session.h"
#include "addr.h"

#define MAX   512
#define QUEUE 256

struct wire {
	int n;
	struct {
		enum replica_channel channel;
		size_t len;
		uint8_t *buf;
	} queue[QUEUE];
};

struct node {
	struct dialog_table table;
	struct replica_session session;
	struct replica_counters counters;
	struct wire in; /* what the other has sent and we have not read */
	struct node *other;
	bool cut;      /* what it sends is lost */
	bool full;     /* its wire takes nothing */
	bool nobody;   /* its wire ends nowhere */
	int64_t ahead; /* its clock's lead */
	uint64_t instance;
};

struct pair {
	struct node a, b;
	struct mono now;
};

static int node_send(void *context, enum replica_channel channel, const void *buf, size_t len)
{
	struct node *node = context;
	struct wire *wire = &node->other->in;

	if (node->nobody)
		return -EHOSTUNREACH;
	if (node->full || wire->n == QUEUE)
		return -EAGAIN;
	if (node->cut)
		return 0;
	wire->queue[wire->n].channel = channel;
	wire->queue[wire->n].len = len;
	wire->queue[wire->n].buf = malloc(len ? len : 1);
	memcpy(wire->queue[wire->n].buf, buf, len);
	wire->n++;
	return 0;
}

static void node_start(struct node *node, uint32_t max)
{
	memset(&node->counters, 0, sizeof(node->counters));
	node->instance += 0x10001;
	assert_int_equal(dialog_table_init(&node->table, max, 7), 0);
	replica_session_init(&node->session, 3, "pbx", &node->table, node->instance, node_send, node,
	                     &node->counters);
}

static void wire_empty(struct wire *wire)
{
	for (int i = 0; i < wire->n; i++)
		free(wire->queue[i].buf);
	wire->n = 0;
}

/* The process ends and another takes its place: the role is told anew. */
static void node_restart(struct node *node)
{
	bool owner = node->session.owner;
	uint64_t epoch = node->session.epoch;

	dialog_table_done(&node->table);
	wire_empty(&node->in);
	wire_empty(&node->other->in);
	node_start(node, MAX);
	if (owner)
		replica_session_role(&node->session, true, epoch);
}

static void pair_start(struct pair *p)
{
	memset(p, 0, sizeof(*p));
	p->now = mono_ns(100 * NS_PER_S);
	p->a.other = &p->b;
	p->b.other = &p->a;
	p->a.instance = 1;
	p->b.instance = 2;
	node_start(&p->a, MAX);
	node_start(&p->b, MAX);
	replica_session_role(&p->a.session, true, 0x101);
}

static void pair_done(struct pair *p)
{
	wire_empty(&p->a.in);
	wire_empty(&p->b.in);
	dialog_table_done(&p->a.table);
	dialog_table_done(&p->b.table);
}

static struct mono clock_of(const struct pair *p, const struct node *node)
{
	return mono_add(p->now, node->ahead);
}

static bool read_one(struct pair *p, struct node *node)
{
	const Replica__Envelope *e;
	enum replica_channel channel;

	if (!node->in.n)
		return false;
	/* The sender's DEALER ends at the ROUTER, whose answers go to clients, and the other way round. */
	channel = node->in.queue[0].channel == REPLICA_TO_SERVER ? REPLICA_TO_CLIENT : REPLICA_TO_SERVER;
	e = replica_unpack(node->in.queue[0].buf, node->in.queue[0].len);
	if (e)
		replica_session_handle(&node->session, channel, e, clock_of(p, node));
	else
		node->counters.replica_malformed++;
	free(node->in.queue[0].buf);
	node->in.n--;
	memmove(node->in.queue, node->in.queue + 1, node->in.n * sizeof(node->in.queue[0]));
	return true;
}

/* 100 ms of both. */
static void turn(struct pair *p)
{
	p->now = mono_add(p->now, 100 * NS_PER_MS);
	replica_session_tick(&p->a.session, clock_of(p, &p->a));
	replica_session_tick(&p->b.session, clock_of(p, &p->b));
	for (int i = 0; i < 1000; i++) {
		bool more = replica_session_flush(&p->a.session, clock_of(p, &p->a));

		more = replica_session_flush(&p->b.session, clock_of(p, &p->b)) || more;
		more = read_one(p, &p->a) || more;
		more = read_one(p, &p->b) || more;
		if (!more || p->a.full || p->b.full)
			break;
	}
}

static void turns(struct pair *p, int n)
{
	while (n-- > 0)
		turn(p);
}

static bool is_up(const struct pair *p, const struct node *node)
{
	struct replica_status status;

	replica_session_status(&node->session, clock_of(p, node), &status);
	return status.up;
}

/* As an INVITE that rings, or of which nobody has heard yet, with what the kernel saw of early media. */
static void put_ringing(struct dialog *d, int n)
{
	static struct dialog_stream streams[2];
	static uint8_t invite[700];

	d->state = DIALOG_EARLY;
	d->origin = 0x1234567800000000ULL + (unsigned int)n;
	d->rseq = 77;
	d->progress = 183;
	d->request_uri = "sip:echo@10.9.0.100";
	d->invite = memset(invite, 'I', sizeof(invite));
	d->invite_len = sizeof(invite);
	streams[1].from = addr_from_be32(htonl(0x0a090001 + n));
	streams[1].from_port = 30001;
	memcpy(streams[1].mac, "\2\0\0\0\0\7", 6);
	d->streams = streams;
	d->n_streams = 2;
}

static void put_dialog(struct pair *p, struct node *node, int n)
{
	static char sdp_out[DIALOG_SDP_LEN];
	char call_id[64], lt[16], rt[16], remote[64], target[64], sdp_in[64];
	struct dialog d;

	memset(&d, 0, sizeof(d));
	d.service = 3;
	d.call = 1000 + n;
	d.state = DIALOG_CONFIRMED;
	d.role = n & 1;
	d.at_invite = clock_of(p, node);
	d.at_changed = d.at_invite;
	d.flow_port = 5060;
	d.flow_addr = addr_from_be32(htonl(0x0a090001 + n));
	d.local_cseq = 10 + n;
	d.remote_cseq = 20 + n;
	d.session_expires_s = 1800;
	d.refresher = REFRESHER_LOCAL;
	d.call_id = call_id;
	snprintf(call_id, sizeof(call_id), "call-%d@example", n);
	d.local_tag = lt;
	snprintf(lt, sizeof(lt), "lt%d", n);
	d.remote_tag = rt;
	snprintf(rt, sizeof(rt), "rt%d", n);
	d.local = "<sip:pbx@example>";
	d.remote = remote;
	snprintf(remote, sizeof(remote), "\"Ünal \xff\" <sip:%d@example>", n);
	d.remote_target = target;
	snprintf(target, sizeof(target), "sip:%d@10.9.0.7:5062", n);
	d.route = "<sip:p1;lr>, <sip:p2;lr>";
	d.sdp_in = sdp_in;
	d.sdp_in_len = (uint16_t)snprintf(sdp_in, sizeof(sdp_in), "v=0\r\no=- %d 1 IN IP4 10.9.0.7\r\n", n);
	d.sdp_out = memset(sdp_out, 'x', sizeof(sdp_out));
	d.sdp_out_len = n % 3 ? 350 : DIALOG_SDP_LEN;
	if (n % 4 == 0)
		put_ringing(&d, n);
	assert_int_equal(dialog_table_apply(&node->table, &d, 0), 0);
}

static struct dialog *get(struct node *node, int n)
{
	char call_id[64], lt[16], rt[16];

	snprintf(call_id, sizeof(call_id), "call-%d@example", n);
	snprintf(lt, sizeof(lt), "lt%d", n);
	snprintf(rt, sizeof(rt), "rt%d", n);
	return dialog_find(&node->table, 3, call_id, lt, rt);
}

static void drop(struct node *node, int n)
{
	struct dialog_key key;

	dialog_key_of(get(node, n), &key);
	assert_int_equal(dialog_table_remove(&node->table, &key), 0);
}

/* Everything but the table's own version, and the times as the clocks differ. */
static void assert_same_dialog(const struct dialog *x, const struct dialog *y, int64_t y_ahead)
{
	struct dialog a = *x, b = *y;

	assert_int_equal(a.at_invite.ns + y_ahead, b.at_invite.ns);
	assert_int_equal(a.at_changed.ns + y_ahead, b.at_changed.ns);
	assert_int_equal(a.at_answer.ns, b.at_answer.ns);
#define X(field, room) assert_string_equal(a.field, b.field);
	DIALOG_TEXTS(X)
#undef X
	assert_int_equal(a.sdp_in_len, b.sdp_in_len);
	assert_memory_equal(a.sdp_in, b.sdp_in, a.sdp_in_len);
	assert_int_equal(a.sdp_out_len, b.sdp_out_len);
	assert_memory_equal(a.sdp_out, b.sdp_out, a.sdp_out_len);
	assert_int_equal(a.invite_len, b.invite_len);
	assert_memory_equal(a.invite, b.invite, a.invite_len);
	for (unsigned int i = 0; i < DIALOG_STREAMS; i++)
		assert_memory_equal(dialog_stream_of(&a, i), dialog_stream_of(&b, i),
		                    sizeof(struct dialog_stream));
		/* the rest is numbers; padding is not compared */
#define SAME(field) assert_int_equal(a.field, b.field)
	SAME(call), SAME(service), SAME(state), SAME(role), SAME(paired), SAME(refresher), SAME(acked);
	SAME(flow_port), SAME(local_cseq), SAME(remote_cseq), SAME(invite_cseq), SAME(session_expires_s);
	SAME(flags), SAME(origin), SAME(rseq), SAME(progress);
#undef SAME
	assert_memory_equal(&a.flow_addr, &b.flow_addr, sizeof(a.flow_addr));
}

static void assert_same_tables(struct pair *p)
{
	int64_t ahead = p->b.ahead - p->a.ahead;
	uint32_t n = 0;

	for (struct dialog *d = dialog_next(&p->a.table, NULL); d; d = dialog_next(&p->a.table, d), n++) {
		struct dialog *other =
		        dialog_find(&p->b.table, d->service, d->call_id, d->local_tag, d->remote_tag);

		assert_non_null(other);
		assert_same_dialog(d, other, ahead);
	}
	assert_int_equal(n, p->a.table.used);
	assert_int_equal(p->b.table.used, n);
}

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

static uint32_t draw(uint32_t *seed, uint32_t below)
{
	*seed = *seed * 1664525u + 1013904223u;
	return (uint32_t)(((uint64_t)(*seed >> 4) * below) >> 28);
}

static void random_step(struct pair *p, uint32_t *seed)
{
	struct node *owner = p->a.session.owner ? &p->a : &p->b;
	int n = draw(seed, 60);

	switch (draw(seed, 40)) {
	case 0:
		node_restart(draw(seed, 2) ? &p->a : &p->b);
		break;
	case 1:
		p->a.cut = draw(seed, 2);
		p->b.cut = draw(seed, 2);
		break;
	case 2: /* switchover */
		replica_session_role(&owner->session, false, owner->session.epoch + 0x100);
		turns(p, draw(seed, 3));
		replica_session_role(&owner->other->session, true, owner->session.epoch);
		break;
	case 35: /* takeover: for a while the old owner does not know */
		replica_session_role(&owner->other->session, true, owner->session.epoch + 0x100);
		if (get(owner, n))
			drop(owner, n);
		put_dialog(p, owner, n + 1);
		turns(p, draw(seed, 3));
		replica_session_role(&owner->session, false, owner->session.epoch + 0x100);
		break;
	case 3:
		wire_empty(&p->a.in);
		break;
	case 4:
		wire_empty(&p->b.in);
		break;
	case 5 ... 14:
		if (get(owner, n))
			drop(owner, n);
		break;
	case 15 ... 24:
		if (get(owner, n))
			dialog_take_cseq(&owner->table, get(owner, n), 1);
		break;
	case 25 ... 34:
		put_dialog(p, owner, n);
		break;
	default:
		turns(p, draw(seed, 8));
	}
}

static void tables_are_equal_after_any_losses_restarts_and_switchovers(void **state)
{
	for (uint32_t run = 1; run <= 40; run++) {
		struct pair p;
		uint32_t seed = run * 2654435761u;

		pair_start(&p);
		for (int i = 0; i < 400; i++)
			random_step(&p, &seed);
		p.a.cut = p.b.cut = false;
		turns(&p, 60);
		assert_same_tables(&p);
		assert_true(is_up(&p, &p.a));
		assert_true(is_up(&p, &p.b));
		pair_done(&p);
	}
}

/* A good message of the owner's, to be spoiled. */
static size_t capture_message(struct pair *p, uint8_t *buf, size_t size)
{
	size_t len;

	p->a.session.out.active = true;
	replica_session_flush(&p->a.session, p->now);
	assert_true(p->b.in.n > 0);
	len = p->b.in.queue[0].len;
	assert_true(len <= size);
	memcpy(buf, p->b.in.queue[0].buf, len);
	wire_empty(&p->b.in);
	return len;
}

static void give(struct pair *p, const uint8_t *buf, size_t len, enum replica_channel channel)
{
	const Replica__Envelope *e = replica_unpack(buf, len);

	if (e)
		replica_session_handle(&p->b.session, channel, e, p->now);
	wire_empty(&p->a.in);
}

static void spoiled_messages_do_no_harm(void **state)
{
	static uint8_t good[REPLICA_MESSAGE_MAX], bad[REPLICA_MESSAGE_MAX];
	struct pair p;
	uint32_t seed = 42;
	size_t len;

	pair_start(&p);
	for (int i = 0; i < 5; i++)
		put_dialog(&p, &p.a, i);
	len = capture_message(&p, good, sizeof(good));
	for (size_t cut = 0; cut < len; cut += 1 + cut / 50)
		give(&p, good, cut, REPLICA_TO_SERVER);
	for (int i = 0; i < 20000; i++) {
		memcpy(bad, good, len);
		for (uint32_t flips = 1 + draw(&seed, 4); flips; flips--)
			bad[draw(&seed, i % 2 ? 200 : (uint32_t)len)] ^= 1 << draw(&seed, 8);
		give(&p, bad, len, draw(&seed, 2) ? REPLICA_TO_SERVER : REPLICA_TO_CLIENT);
	}
	for (struct dialog *d = dialog_next(&p.b.table, NULL); d; d = dialog_next(&p.b.table, d)) {
		assert_true(d->sdp_in_len <= DIALOG_SDP_LEN);
		assert_true(d->state <= DIALOG_ENDED);
		assert_true(strlen(d->remote) < DIALOG_NAME_ADDR_LEN);
	}
	assert_true(p.b.counters.replica_malformed > 0);
	/* and the truth still gets through */
	p.a.session.out.active = false;
	turns(&p, 60);
	assert_same_tables(&p);
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

static void a_dialog_that_cannot_be_decoded_is_asked_for_again(void **state)
{
	static uint8_t buf[REPLICA_MESSAGE_MAX];
	const Replica__Envelope *e;
	struct pair p;
	size_t len;

	pair_start(&p);
	turns(&p, 8);
	put_dialog(&p, &p.a, 1);
	put_dialog(&p, &p.a, 2);
	replica_session_flush(&p.a.session, p.now);
	e = replica_unpack(p.b.in.queue[0].buf, p.b.in.queue[0].len);
	e->records->dialogs[0]->flow_port = 65536;
	assert_int_equal(replica_pack(e, buf, sizeof(buf), &len), 0);
	wire_empty(&p.b.in);
	replica_session_handle(&p.b.session, REPLICA_TO_SERVER, replica_unpack(buf, len), p.now);
	assert_int_equal(p.b.counters.replica_malformed, 1);
	assert_null(get(&p.b, 1));
	assert_non_null(get(&p.b, 2));
	turns(&p, 2);
	assert_false(is_up(&p, &p.b));
	turns(&p, 70);
	assert_same_tables(&p);
	assert_true(is_up(&p, &p.a));
	pair_done(&p);
}

static void a_stream_cut_or_spoiled_at_any_byte_does_no_harm(void **state)
{
	static uint8_t good[REPLICA_MESSAGE_MAX], bad[REPLICA_MESSAGE_MAX];
	struct pair p;
	size_t len;

	pair_start(&p);
	put_dialog(&p, &p.a, 4); /* rings: all that there can be is in it */
	put_dialog(&p, &p.a, 5);
	drop(&p.a, 5);
	len = capture_message(&p, good, sizeof(good));
	for (size_t at = 0; at < len; at++) {
		give(&p, good, at, REPLICA_TO_SERVER);
		for (int bit = 0; bit < 8; bit++) {
			memcpy(bad, good, len);
			bad[at] ^= (uint8_t)(1 << bit);
			give(&p, bad, len, REPLICA_TO_SERVER);
		}
	}
	assert_true(p.b.counters.replica_malformed > 0);
	p.a.session.out.active = false;
	turns(&p, 80);
	assert_same_tables(&p);
	assert_true(is_up(&p, &p.b));
	pair_done(&p);
}

static void a_field_that_does_not_fit_is_refused(void **state)
{
	static char huge[DIALOG_CALL_ID_LEN + 1];
	struct dialog_key key;
	struct dialog d;
	uint8_t addr[16] = {0};
	Replica__Dialog from = REPLICA__DIALOG__INIT;
	Replica__Key from_key = REPLICA__KEY__INIT;

	memset(huge, 'h', sizeof(huge));
	from.flow_addr = (ProtobufCBinaryData){16, addr};
	assert_int_equal(replica_decode_dialog(&from, 3, &d), 0);
	from.call_id = (ProtobufCBinaryData){DIALOG_CALL_ID_LEN - 1, (uint8_t *)huge};
	assert_int_equal(replica_decode_dialog(&from, 3, &d), 0);
	assert_int_equal(strlen(d.call_id), DIALOG_CALL_ID_LEN - 1);
	from.call_id.len = DIALOG_CALL_ID_LEN;
	assert_int_equal(replica_decode_dialog(&from, 3, &d), -EINVAL);
	from.call_id = (ProtobufCBinaryData){3, (uint8_t *)"a\0b"};
	assert_int_equal(replica_decode_dialog(&from, 3, &d), -EINVAL);
	from.call_id.len = 1;
	from.flow_port = 65536;
	assert_int_equal(replica_decode_dialog(&from, 3, &d), -EINVAL);
	from.flow_port = 0;
	from.flow_addr.len = 4;
	assert_int_equal(replica_decode_dialog(&from, 3, &d), -EINVAL);
	from_key.local_tag = (ProtobufCBinaryData){DIALOG_TAG_LEN, (uint8_t *)huge};
	assert_int_equal(replica_decode_key(&from_key, 3, &key), -EINVAL);
}

/* --- over real sockets ------------------------------------------------------ */

struct site {
	struct replica *replica;
	struct dialog_table table;
	struct keeper_conf conf;
};

static uint16_t free_port(void)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
	close(fd);
	return ntohs(in.sin_port);
}

static void key_pair(uint8_t public_key[32], uint8_t secret[32])
{
	char public_text[41], secret_text[41];

	assert_int_equal(zmq_curve_keypair(public_text, secret_text), 0);
	assert_non_null(zmq_z85_decode(public_key, public_text));
	assert_non_null(zmq_z85_decode(secret, secret_text));
}

static void site_start(struct site *site, su_root_t *root)
{
	assert_int_equal(dialog_table_init(&site->table, MAX, 1), 0);
	assert_int_equal(replica_new(root, &site->conf, &site->replica), 0);
	assert_int_equal(replica_add_service(site->replica, &site->conf, &site->table), 0);
}

static void site_stop(struct site *site)
{
	replica_free(site->replica);
	dialog_table_done(&site->table);
}

/* Nodes 1 and 2 on 127.0.0.1 and 127.0.0.2, one port. */
static void two_sites(struct site *a, struct site *b)
{
	uint16_t port = free_port();

	memset(a, 0, sizeof(*a));
	a->conf = (struct keeper_conf){.head.service = 3, .name = "pbx", .node = 1, .peer = 2};
	a->conf.replica_port = port;
	a->conf.node_addr = addr_from_be32(htonl(0x7f000001));
	a->conf.peer_addr = addr_from_be32(htonl(0x7f000002));
	key_pair(a->conf.replica_public, a->conf.replica_secret);
	memset(b, 0, sizeof(*b));
	b->conf = a->conf;
	b->conf.node = 2;
	b->conf.peer = 1;
	b->conf.node_addr = a->conf.peer_addr;
	b->conf.peer_addr = a->conf.node_addr;
	key_pair(b->conf.replica_public, b->conf.replica_secret);
	memcpy(a->conf.peer_public, b->conf.replica_public, 32);
	memcpy(b->conf.peer_public, a->conf.replica_public, 32);
}

static bool site_up(struct site *site)
{
	struct replica_status status;

	replica_status(site->replica, 3, &status);
	return status.up;
}

static bool wait_until(su_root_t *root, bool (*done)(struct site *, struct site *), struct site *a,
                       struct site *b)
{
	struct mono end = mono_add(loop_now(), 20 * NS_PER_S);

	while (!done(a, b)) {
		if (!mono_before(loop_now(), end))
			return false;
		su_root_step(root, 20);
	}
	return true;
}

static bool both_up(struct site *a, struct site *b)
{
	return site_up(a) && site_up(b);
}

static bool b_has_all_of_a(struct site *a, struct site *b)
{
	return b->table.used == a->table.used;
}

static bool b_was_refused(struct site *a, struct site *b)
{
	return replica_counters(a->replica)->replica_key_refused > 0;
}

static void fill_site(struct site *site, int from, int to)
{
	struct pair p = {.now = loop_now()};
	struct node node = {.table = site->table};

	for (int i = from; i < to; i++)
		put_dialog(&p, &node, i);
	site->table = node.table;
}

static su_root_t *loop_open(void)
{
	su_root_t *root;

	su_init();
	root = su_root_create(NULL);
	assert_non_null(root);
	return root;
}

static void two_keepers_replicate_over_curve(void **state)
{
	su_root_t *root = loop_open();
	struct site a, b;

	two_sites(&a, &b);
	site_start(&a, root);
	site_start(&b, root);
	replica_role(a.replica, 3, true, 0x101);
	fill_site(&a, 0, 200);
	assert_true(wait_until(root, both_up, &a, &b));
	assert_int_equal(b.table.used, 200);
	fill_site(&a, 200, 201);
	replica_flush(a.replica, 3);
	assert_true(wait_until(root, b_has_all_of_a, &a, &b));
	/* a restart of the standby, then of the owner */
	site_stop(&b);
	site_start(&b, root);
	assert_true(wait_until(root, b_has_all_of_a, &a, &b));
	site_stop(&a);
	site_start(&a, root);
	replica_role(a.replica, 3, true, 0x101);
	assert_true(wait_until(root, both_up, &a, &b));
	assert_int_equal(a.table.used, 201);
	assert_int_equal(b.table.used, 201);
	assert_int_equal(replica_counters(a.replica)->replica_key_refused, 0);
	assert_int_equal(replica_counters(b.replica)->replica_malformed, 0);
	site_stop(&a);
	site_stop(&b);
	su_root_destroy(root);
}

static void a_peer_with_a_wrong_key_is_not_let_in(void **state)
{
	su_root_t *root = loop_open();
	struct site a, b;

	two_sites(&a, &b);
	/* b knows a's key, but a expects another b */
	key_pair(b.conf.replica_public, b.conf.replica_secret);
	site_start(&a, root);
	site_start(&b, root);
	replica_role(a.replica, 3, true, 0x101);
	fill_site(&a, 0, 10);
	assert_true(wait_until(root, b_was_refused, &a, &b));
	for (int i = 0; i < 20; i++)
		su_root_step(root, 20);
	assert_int_equal(b.table.used, 0);
	assert_false(site_up(&a));
	assert_false(site_up(&b));
	site_stop(&a);
	site_stop(&b);
	su_root_destroy(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(dialogs_reach_the_standby_whole),
	        cmocka_unit_test(a_change_goes_out_with_the_next_flush),
	        cmocka_unit_test(a_deletion_reaches_the_standby_and_a_new_one_of_its_key_survives),
	        cmocka_unit_test(what_ended_while_cut_off_is_gone_after_the_cut),
	        cmocka_unit_test(a_lost_message_is_noticed_and_only_the_rest_is_sent_again),
	        cmocka_unit_test(a_lost_last_message_is_noticed_by_the_next_ping),
	        cmocka_unit_test(a_restarted_owner_gets_its_calls_back_from_the_standby),
	        cmocka_unit_test(a_restarted_owner_keeps_the_newer_cseq),
	        cmocka_unit_test(a_restarted_standby_gets_everything),
	        cmocka_unit_test(a_former_owner_cannot_change_the_new_owners_table),
	        cmocka_unit_test(a_former_owner_that_comes_back_is_set_right),
	        cmocka_unit_test(a_slow_peer_gets_the_newest_state_only),
	        cmocka_unit_test(forgotten_deletions_lead_to_a_whole_stream),
	        cmocka_unit_test(a_full_table_is_not_in_step),
	        cmocka_unit_test(a_peer_that_is_gone_is_not_sent_to),
	        cmocka_unit_test(tables_are_equal_after_any_losses_restarts_and_switchovers),
	        cmocka_unit_test(spoiled_messages_do_no_harm),
	        cmocka_unit_test(a_field_that_does_not_fit_is_refused),
	        cmocka_unit_test(a_ringing_call_is_one_dialog_on_the_standby_at_every_stage),
	        cmocka_unit_test(a_refused_invite_is_gone_or_over_on_the_standby),
	        cmocka_unit_test(a_call_that_hung_up_before_the_owner_had_it_back_is_over),
	        cmocka_unit_test(an_owner_does_not_send_back_what_it_is_just_given),
	        cmocka_unit_test(a_flush_is_bounded_and_says_that_there_is_more),
	        cmocka_unit_test(a_dialog_that_cannot_be_decoded_is_asked_for_again),
	        cmocka_unit_test(a_stream_cut_or_spoiled_at_any_byte_does_no_harm),
	        cmocka_unit_test(two_keepers_replicate_over_curve),
	        cmocka_unit_test(a_peer_with_a_wrong_key_is_not_let_in),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
