/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "replica_session.h"

#define FLUSH_MESSAGES 4 /* a call: the loop has other things to do */

void replica_session_init(struct replica_session *s, uint8_t service, const char *name,
                          struct dialog_table *table, uint64_t instance, replica_send_fn *send, void *context,
                          struct replica_counters *counters)
{
	memset(s, 0, sizeof(*s));
	s->service = service;
	snprintf(s->name, sizeof(s->name), "%s", name);
	s->table = table;
	s->instance = instance;
	s->send = send;
	s->context = context;
	s->counters = counters;
}

static bool is_recent(struct mono heard, struct mono now)
{
	return mono_is_set(heard) && mono_diff(now, heard) < REPLICA_DEAD_NS;
}

static void envelope_init(const struct replica_session *s, Replica__Envelope *e)
{
	replica__envelope__init(e);
	e->version = REPLICA_VERSION;
	e->service.data = (uint8_t *)(uintptr_t)s->name;
	e->service.len = strlen(s->name);
	e->instance = s->instance;
	e->epoch = s->epoch;
	e->owner = s->owner;
}

static int send_envelope(struct replica_session *s, enum replica_channel channel, const Replica__Envelope *e)
{
	static uint8_t buf[REPLICA_MESSAGE_MAX];
	size_t len;
	int rc = replica_pack(e, buf, sizeof(buf), &len);

	return rc < 0 ? rc : s->send(s->context, channel, buf, len);
}

/* --- sending ---------------------------------------------------------------- */

static void begin_stream(struct replica_session *s, bool whole)
{
	s->out.stream++;
	s->out.seq = 0;
	s->out.acked = 0;
	s->out.begun = false;
	s->out.complete = false;
	s->out.whole = whole;
	s->out.peer_in_step = false;
	if (whole) {
		s->out.version = 0;
		s->out.removed = s->table->n_tombstones;
	}
	s->counters->replica_streams++;
}

/* Deletions that the bounded list has forgotten cannot be told one by one. */
static bool lost_deletions(const struct replica_session *s)
{
	return dialog_needs_snapshot(s->table, s->out.removed);
}

struct cursor {
	uint64_t version;
	uint64_t removed;
	const struct dialog *last;
	bool all;
};

/* The dialog sent last, if it is still where it was: the search for the next one need not start anew. */
static const struct dialog *last_sent(const struct replica_session *s)
{
	const struct dialog *d = s->out.last;

	if (!d || d->version != s->out.version ||
	    dialog_find(s->table, s->service, d->call_id, d->local_tag, d->remote_tag) != d)
		return NULL;
	return d;
}

static void fill_batch(const struct replica_session *s, struct replica_batch *batch, struct cursor *at)
{
	const struct dialog *d = last_sent(s);

	at->last = d;

	at->version = s->out.version;
	at->removed = s->out.removed;
	at->all = false;
	for (;;) {
		uint64_t next = at->removed;
		const struct dialog_tombstone *stone = dialog_next_removed(s->table, 0, &next);

		if (!stone)
			break;
		if (!replica_batch_key(batch, &stone->key))
			return;
		at->removed = next;
	}
	while ((d = dialog_next_changed(s->table, s->out.version, d))) {
		if (!replica_batch_dialog(batch, d))
			return;
		at->version = d->version;
		at->last = d;
	}
	at->all = true;
}

static int send_batch(struct replica_session *s, struct replica_batch *batch, const struct cursor *at,
                      struct mono now)
{
	Replica__Envelope e;
	Replica__Records *r = &batch->records;

	envelope_init(s, &e);
	e.body_case = REPLICA__ENVELOPE__BODY_RECORDS;
	e.records = r;
	r->seq = s->out.seq + 1;
	r->stream = s->out.stream;
	r->first = !s->out.begun;
	r->whole = s->out.whole;
	r->caught_up = s->out.complete || at->all;
	r->authoritative = s->owner && s->caught_up;
	r->at_version = at->version;
	r->at_removed = at->removed;
	r->sent_ns = now.ns;
	return send_envelope(s, REPLICA_TO_CLIENT, &e);
}

/* 1 = sent and more to do, 0 = nothing to do, or -errno. */
static int flush_one(struct replica_session *s, struct mono now)
{
	static struct replica_batch batch;
	struct cursor at;
	int rc;

	if (s->out.complete && !s->owner)
		return 0;
	if (lost_deletions(s))
		begin_stream(s, true);
	replica_batch_init(&batch);
	fill_batch(s, &batch, &at);
	if (s->out.complete && !batch.records.n_dialogs && !batch.records.n_removed)
		return 0;
	rc = send_batch(s, &batch, &at, now);
	if (rc < 0)
		return rc;
	s->out.begun = true;
	s->out.seq++;
	s->out.version = at.version;
	s->out.removed = at.removed;
	s->out.last = at.last;
	s->out.complete = s->out.complete || at.all;
	s->counters->replica_sent++;
	s->counters->replica_dialogs_sent += batch.records.n_dialogs;
	return !at.all;
}

bool replica_session_flush(struct replica_session *s, struct mono now)
{
	/* What it just takes back from its peer it would only send to it again. */
	if (s->owner && !s->caught_up && s->in.state == REPLICA_STREAM)
		return false;
	for (int i = 0; i < FLUSH_MESSAGES && s->out.active; i++) {
		int rc = s->out.seq - s->out.acked < REPLICA_WINDOW ? flush_one(s, now) : -EAGAIN;

		if (rc == 0)
			return false;
		if (rc == -EAGAIN) {
			s->counters->replica_blocked++;
			return true;
		}
		if (rc < 0) {
			s->out.active = false;
			s->out.peer_in_step = false;
		}
	}
	return s->out.active;
}

static void send_pong(struct replica_session *s)
{
	Replica__Envelope e;
	Replica__Pong pong;

	envelope_init(s, &e);
	replica__pong__init(&pong);
	pong.seq = s->out.active ? s->out.seq : 0;
	pong.dialogs = s->dialogs;
	e.body_case = REPLICA__ENVELOPE__BODY_PONG;
	e.pong = &pong;
	send_envelope(s, REPLICA_TO_CLIENT, &e);
}

static void hello_came(struct replica_session *s, const Replica__Hello *hello, struct mono now)
{
	bool go_on = hello->instance == s->instance && hello->stream == s->out.stream &&
	             hello->at_version <= s->table->version && hello->at_removed <= s->table->n_tombstones;

	s->out.active = true;
	s->out.heard = now;
	if (go_on) {
		s->out.version = hello->at_version;
		s->out.removed = hello->at_removed;
	}
	begin_stream(s, !go_on);
	replica_session_flush(s, now);
}

static void ping_came(struct replica_session *s, const Replica__Ping *ping, struct mono now)
{
	s->out.heard = now;
	s->out.peer_dialogs = ping->dialogs;
	s->out.peer_in_step = ping->in_step;
	/* more than was sent: said of the stream before this one */
	if (ping->seq <= s->out.seq && ping->seq > s->out.acked)
		s->out.acked = ping->seq;
	send_pong(s);
}

void replica_session_role(struct replica_session *s, bool owner, uint64_t epoch)
{
	bool became = owner && !s->owner;

	/* What the new owner said while we thought to own was not heard: ask for all of it. */
	if (!owner && s->owner) {
		memset(&s->in, 0, sizeof(s->in));
		s->pinged = mono_ns(0);
	}
	s->owner = owner;
	s->epoch = epoch;
	/* From now on what we have is the truth: say all of it once. */
	if (became && s->out.active)
		begin_stream(s, true);
}

/* --- receiving -------------------------------------------------------------- */

static void send_hello(struct replica_session *s, struct mono now)
{
	Replica__Envelope e;
	Replica__Hello hello;

	s->in.asked = now;
	envelope_init(s, &e);
	replica__hello__init(&hello);
	/* What the table did not take must come again. */
	if (!s->in.lacking && !s->in.whole) {
		hello.instance = s->in.instance;
		hello.stream = s->in.stream;
		hello.at_version = s->in.version;
		hello.at_removed = s->in.removed;
	}
	e.body_case = REPLICA__ENVELOPE__BODY_HELLO;
	e.hello = &hello;
	s->pinged = now;
	send_envelope(s, REPLICA_TO_SERVER, &e);
}

static void send_ping(struct replica_session *s, struct mono now)
{
	Replica__Envelope e;
	Replica__Ping ping;

	envelope_init(s, &e);
	replica__ping__init(&ping);
	ping.seq = s->in.seq;
	ping.in_step = s->in.state == REPLICA_IN_STEP && !s->in.lacking;
	ping.dialogs = s->dialogs;
	e.body_case = REPLICA__ENVELOPE__BODY_PING;
	e.ping = &ping;
	s->pinged = now;
	send_envelope(s, REPLICA_TO_SERVER, &e);
}

static void ask_anew(struct replica_session *s, struct mono now)
{
	s->counters->replica_gaps++;
	s->in.state = REPLICA_DOWN;
	send_hello(s, now);
}

/* Drops what the owner's complete list did not bring: it ended while we were not told. */
static void sweep(struct replica_session *s)
{
	struct dialog *d = dialog_next(s->table, NULL);

	while (d) {
		struct dialog *next = dialog_next(s->table, d);
		struct dialog_key key;

		if (d->version <= s->in.floor) {
			dialog_key_of(d, &key);
			if (dialog_table_remove(s->table, &key) == 0)
				s->counters->replica_swept++;
		}
		d = next;
	}
}

static bool is_behind(const struct dialog *record, const struct dialog *own)
{
	return own->local_cseq > record->local_cseq || own->remote_cseq > record->remote_cseq ||
	       own->state > record->state;
}

/*
 * An owner that was restarted may have seen newer messages of the dialog than its peer
 * was told; or it has read again what it saw before, and its peer knows how that went on.
 */
static bool knows_better(struct replica_session *s, const struct dialog *record, bool authoritative)
{
	const struct dialog *own =
	        dialog_find(s->table, s->service, record->call_id, record->local_tag, record->remote_tag);

	if (!s->owner)
		return own && !authoritative && is_behind(record, own);
	if (!own)
		return dialog_is_outgrown(s->table, record);
	return !(own->flags & ~record->flags & DIALOG_INCOMPLETE) && is_behind(record, own);
}

/* Its BYE passed here before the peer could give it back. */
static void end(struct replica_session *s, const struct dialog *record, struct mono now)
{
	struct dialog *d =
	        dialog_find(s->table, s->service, record->call_id, record->local_tag, record->remote_tag);

	if (d)
		dialog_set_state(s->table, d, DIALOG_ENDED, now);
}

static void apply_dialogs(struct replica_session *s, const Replica__Records *r, struct mono now)
{
	struct dialog record;

	for (size_t i = 0; i < r->n_dialogs; i++) {
		if (replica_decode_dialog(r->dialogs[i], s->service, &record) < 0) {
			s->counters->replica_malformed++;
			s->in.lacking = true;
			continue;
		}
		if (knows_better(s, &record, r->authoritative)) {
			s->counters->replica_ignored++;
			continue;
		}
		int64_t shift = 0;

		if (__builtin_sub_overflow(now.ns, r->sent_ns, &shift))
			shift = 0;
		if (dialog_table_apply(s->table, &record, shift) < 0) {
			s->counters->replica_not_applied++;
			s->in.lacking = true;
			continue;
		}
		s->counters->replica_dialogs_applied++;
		if (s->owner && dialog_was_hung_up(s->table, &record))
			end(s, &record, now);
	}
}

static void apply_removed(struct replica_session *s, const Replica__Records *r)
{
	struct dialog_key key;

	for (size_t i = 0; i < r->n_removed; i++) {
		if (replica_decode_key(r->removed[i], s->service, &key) < 0)
			s->counters->replica_malformed++;
		else
			dialog_table_remove(s->table, &key);
	}
}

/* Is this the message that comes next? Begins a stream when it is a first one. */
static bool is_next(struct replica_session *s, const Replica__Envelope *e)
{
	const Replica__Records *r = e->records;

	if (r->first) {
		if (r->seq != 1 || (!r->whole && e->instance != s->in.instance))
			return false;
		s->in.state = REPLICA_STREAM;
		s->in.instance = e->instance;
		s->in.stream = r->stream;
		s->in.whole = r->whole;
		s->in.floor = s->table->version;
		if (r->whole)
			s->in.lacking = false;
	} else if (s->in.state == REPLICA_DOWN || e->instance != s->in.instance ||
	           r->stream != s->in.stream || r->seq != s->in.seq + 1) {
		return false;
	}
	s->in.seq = r->seq;
	return true;
}

static void stream_complete(struct replica_session *s, const Replica__Envelope *e, struct mono now)
{
	bool was_in_step = s->in.state == REPLICA_IN_STEP;

	if (s->in.whole && e->records->authoritative && e->owner && !s->owner)
		sweep(s);
	s->in.whole = false;
	s->in.state = REPLICA_IN_STEP;
	if (!s->caught_up) {
		s->caught_up = true;
		/* An owner's list is complete only now. */
		if (s->owner && s->out.active)
			begin_stream(s, true);
	}
	if (!was_in_step)
		send_ping(s, now);
	replica_session_flush(s, now);
}

static void records_came(struct replica_session *s, const Replica__Envelope *e, struct mono now)
{
	const Replica__Records *r = e->records;

	if (!is_next(s, e)) {
		/* While a Hello is under way the old stream's rest still comes in. */
		if (s->in.state != REPLICA_DOWN || mono_diff(now, s->pinged) > REPLICA_PING_NS)
			ask_anew(s, now);
		return;
	}
	s->counters->replica_received++;
	if (s->owner ? s->caught_up : s->caught_up && !e->owner) {
		s->counters->replica_ignored += r->n_dialogs;
	} else {
		if (e->owner && !s->owner)
			apply_removed(s, r);
		apply_dialogs(s, r, now);
	}
	s->in.version = r->at_version;
	s->in.removed = r->at_removed;
	if (r->seq % REPLICA_ACK_EVERY == 0)
		send_ping(s, now);
	if (r->caught_up)
		stream_complete(s, e, now);
}

static void pong_came(struct replica_session *s, const Replica__Envelope *e, struct mono now)
{
	s->in.peer_dialogs = e->pong->dialogs;
	if (s->in.state != REPLICA_DOWN && (e->instance != s->in.instance || e->pong->seq != s->in.seq))
		ask_anew(s, now);
}

void replica_session_handle(struct replica_session *s, enum replica_channel from, const Replica__Envelope *e,
                            struct mono now)
{
	if (from == REPLICA_TO_CLIENT && e->body_case == REPLICA__ENVELOPE__BODY_HELLO) {
		hello_came(s, e->hello, now);
	} else if (from == REPLICA_TO_CLIENT && e->body_case == REPLICA__ENVELOPE__BODY_PING) {
		ping_came(s, e->ping, now);
	} else if (from == REPLICA_TO_SERVER && e->body_case == REPLICA__ENVELOPE__BODY_RECORDS) {
		s->in.heard = now;
		records_came(s, e, now);
	} else if (from == REPLICA_TO_SERVER && e->body_case == REPLICA__ENVELOPE__BODY_PONG) {
		s->in.heard = now;
		pong_came(s, e, now);
	} else {
		s->counters->replica_malformed++;
	}
}

void replica_session_tick(struct replica_session *s, struct mono now)
{
	if (s->in.state != REPLICA_DOWN && !is_recent(s->in.heard, now))
		s->in.state = REPLICA_DOWN;
	if (mono_is_set(s->pinged) && mono_diff(now, s->pinged) < REPLICA_PING_NS)
		return;
	/* A full table will hardly have room at once. */
	if (s->in.state == REPLICA_DOWN ||
	    (s->in.lacking && mono_diff(now, s->in.asked) >= REPLICA_LACKING_NS))
		send_hello(s, now);
	else
		send_ping(s, now);
}

void replica_session_status(const struct replica_session *s, struct mono now, struct replica_status *ret)
{
	bool out = s->out.active && is_recent(s->out.heard, now);
	bool in = s->in.state != REPLICA_DOWN && is_recent(s->in.heard, now);

	ret->up = s->owner ? out && s->out.complete && s->out.peer_in_step && s->caught_up
	                   : in && s->in.state == REPLICA_IN_STEP && !s->in.lacking;
	ret->dialogs_peer = out ? s->out.peer_dialogs : in ? s->in.peer_dialogs : 0;
	ret->seq = s->owner ? s->out.seq : s->in.seq;
}
