/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Two call keepers' replica sessions over a wire that the test can cut, fill and spoil; test programs only.
 */
#ifndef SIPFLIP_TEST_REPLICA_PAIR_H
#define SIPFLIP_TEST_REPLICA_PAIR_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>

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

static inline int node_send(void *context, enum replica_channel channel, const void *buf, size_t len)
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

static inline void node_start(struct node *node, uint32_t max)
{
	memset(&node->counters, 0, sizeof(node->counters));
	node->instance += 0x10001;
	assert_int_equal(dialog_table_init(&node->table, max, node->instance), 0);
	replica_session_init(&node->session, 3, "pbx", &node->table, node->instance, node_send, node,
	                     &node->counters);
}

static inline void wire_empty(struct wire *wire)
{
	for (int i = 0; i < wire->n; i++)
		free(wire->queue[i].buf);
	wire->n = 0;
}

/* The process ends and another takes its place: the role is told anew. */
static inline void node_restart(struct node *node)
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

static inline void pair_start(struct pair *p)
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

static inline void pair_done(struct pair *p)
{
	wire_empty(&p->a.in);
	wire_empty(&p->b.in);
	dialog_table_done(&p->a.table);
	dialog_table_done(&p->b.table);
}

static inline struct mono clock_of(const struct pair *p, const struct node *node)
{
	return mono_add(p->now, node->ahead);
}

static inline bool read_one(struct pair *p, struct node *node)
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
static inline void turn(struct pair *p)
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

static inline void turns(struct pair *p, int n)
{
	while (n-- > 0)
		turn(p);
}

static inline bool is_up(const struct pair *p, const struct node *node)
{
	struct replica_status status;

	replica_session_status(&node->session, clock_of(p, node), &status);
	return status.up;
}

/* As an INVITE that rings, or of which nobody has heard yet, with what the kernel saw of early media. */
static inline void put_ringing(struct dialog *d, int n)
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

static inline void put_dialog(struct pair *p, struct node *node, int n)
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
	if (n % 5 == 0)
		d.joined = "7 sip:ivr@10.9.0.100 id;from-tag=f;to-tag=t ";
	d.sdp_in = sdp_in;
	d.sdp_in_len = (uint16_t)snprintf(sdp_in, sizeof(sdp_in), "v=0\r\no=- %d 1 IN IP4 10.9.0.7\r\n", n);
	d.sdp_out = memset(sdp_out, 'x', sizeof(sdp_out));
	d.sdp_out_len = n % 3 ? 350 : DIALOG_SDP_LEN;
	if (n % 4 == 0)
		put_ringing(&d, n);
	assert_int_equal(dialog_table_apply(&node->table, &d, 0), 0);
}

static inline struct dialog *get(struct node *node, int n)
{
	char call_id[64], lt[16], rt[16];

	snprintf(call_id, sizeof(call_id), "call-%d@example", n);
	snprintf(lt, sizeof(lt), "lt%d", n);
	snprintf(rt, sizeof(rt), "rt%d", n);
	return dialog_find(&node->table, 3, call_id, lt, rt);
}

static inline void drop(struct node *node, int n)
{
	struct dialog_key key;

	dialog_key_of(get(node, n), &key);
	assert_int_equal(dialog_table_remove(&node->table, &key), 0);
}

/* Everything but the table's own version, and the times as the clocks differ. */
static inline void assert_same_dialog(const struct dialog *x, const struct dialog *y, int64_t y_ahead)
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

static inline void assert_same_tables(struct pair *p)
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

#endif
