/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Captured SIP datagrams down to the dialog table, and what is worked out from it.
 * The input is a recording: a line `@ in|out ADDRESS:PORT MICROSECONDS` before each
 * datagram. After each of them the table holds what check_table asks; at the end each
 * dialog goes to a second table as the replica sends it, and is the same there.
 */
#include "table_check.h"

#include <netinet/in.h>

#include "../../user/calls/replica_codec.h"
#include "../../user/calls/track.h"
#include "addr.h"
#include "pairing.h"

#define START_NS      (1000 * NS_PER_S)
#define MAX_DATAGRAMS 64
#define LONG_NS       (48 * 3600 * NS_PER_S)

static struct inaddr16 vip;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	return addr_parse("10.9.0.100", &vip);
}

static struct capture_record *record_new(const char *head, const uint8_t *data, size_t len)
{
	struct capture_record *r = malloc(sizeof(*r) + len); /* no byte more: reading past it is seen */
	char way[4] = "", addr[40] = "";
	unsigned int port = 5060;
	unsigned long us = 0;

	CHECK(r);
	memset(r, 0, sizeof(*r));
	sscanf(head, "@ %3s %39[^:]:%u %lu", way, addr, &port, &us);
	if (addr_parse(addr, &r->remote))
		addr_parse("192.0.2.1", &r->remote);
	r->remote_port = (uint16_t)port;
	r->local = vip;
	r->local_port = 5060;
	r->at_ns = (uint64_t)START_NS + us * 1000;
	r->direction = way[0] == 'o' ? CAPTURE_OUT : CAPTURE_IN;
	r->proto = IPPROTO_UDP;
	r->len = (uint32_t)len;
	memcpy(r->data, data, len);
	return r;
}

/* The next datagram of the recording, NULL = no more. */
static struct capture_record *record_next(const uint8_t **data, size_t *size)
{
	const uint8_t *eol, *end;
	char head[128];
	size_t len;
	struct capture_record *r;

	if (*size < 2 || (*data)[0] != '@')
		return NULL;
	eol = memchr(*data, '\n', *size);
	if (!eol)
		return NULL;
	len = (size_t)(eol - *data) < sizeof(head) - 1 ? (size_t)(eol - *data) : sizeof(head) - 1;
	memcpy(head, *data, len);
	head[len] = '\0';
	*size -= (size_t)(eol + 1 - *data);
	*data = eol + 1;
	end = memmem(*data, *size, "\n@ ", 3);
	len = end ? (size_t)(end + 1 - *data) : *size;
	r = record_new(head, *data, len);
	*data += len;
	*size -= len;
	return r;
}

/* Each dialog over the wire into a table of its own. */
static void check_replica(struct dialog_table *table)
{
	static struct replica_batch batch;
	static uint8_t buf[REPLICA_MESSAGE_MAX];
	struct dialog_table other;
	struct dialog *d;

	CHECK(!dialog_table_init(&other, table->max, 9));
	for (d = dialog_next(table, NULL); d; d = dialog_next(table, d)) {
		Replica__Envelope envelope = REPLICA__ENVELOPE__INIT;
		const Replica__Envelope *e;
		const struct dialog *there;
		struct dialog got;
		size_t len;

		replica_batch_init(&batch);
		CHECK(replica_batch_dialog(&batch, d));
		envelope.body_case = REPLICA__ENVELOPE__BODY_RECORDS;
		envelope.records = &batch.records;
		CHECK(!replica_pack(&envelope, buf, sizeof(buf), &len));
		e = replica_unpack(buf, len);
		CHECK(e && e->body_case == REPLICA__ENVELOPE__BODY_RECORDS && e->records->n_dialogs == 1);
		CHECK(!replica_decode_dialog(e->records->dialogs[0], d->service, &got));
		CHECK(!dialog_table_apply(&other, &got, 0));
		there = dialog_find(&other, d->service, d->call_id, d->local_tag, d->remote_tag);
		CHECK(there);
		if (d->state != DIALOG_ENDED)
			check_same_dialog(d, there);
	}
	check_table(&other);
	CHECK(other.used == table->used);
	check_empties(&other);
	dialog_table_done(&other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dialog_table table;
	struct track track = {.table = &table, .link_header = "X-Other-Leg"};
	struct rescue_policy policy = {.vip = vip};
	struct mono now = mono_ns(START_NS + 3600 * NS_PER_S);
	struct capture_record *r;
	uint64_t told, before;

	CHECK(!dialog_table_init(&table, 12, 7));
	for (int n = 0; n < MAX_DATAGRAMS && (r = record_next(&data, &size)); n++) {
		before = track.counters.track_messages + track.counters.track_malformed +
		         track.counters.track_keepalives;
		track_datagram(&track, r, now);
		told = track.counters.track_messages + track.counters.track_malformed +
		       track.counters.track_keepalives;
		CHECK(told == before + 1);
		free(r);
		check_table(&table);
	}
	check_plans(&table, &vip, &policy);
	check_replica(&table);
	for (int i = 0; i < 4 && table.used; i++)
		dialog_table_expire(&table, mono_add(now, (i + 1) * LONG_NS), table.max);
	check_table(&table);
	CHECK(!table.used && !table.bytes);
	dialog_table_done(&table);
	return 0;
}
