/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Each message is a length of 4 bytes, of this machine, and a replica Envelope with
 * Records; the last one of a service says `caught_up`. A length of 0 is the end, since
 * the file has its full size from the beginning. The times in it need no shift.
 */
#include "keepsake.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "replica_codec.h"

static uint8_t message[REPLICA_MESSAGE_MAX];

bool keepsake_is(int fd)
{
	return fcntl(fd, F_GET_SEALS) >= 0;
}

/* --- leaving ---------------------------------------------------------------- */

static int write_whole(int fd, const void *buf, size_t len)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = write(fd, (const uint8_t *)buf + at, len - at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		at += (size_t)n;
	}
	return 0;
}

static int write_batch(int fd, const struct keepsake *from, struct replica_batch *batch, bool last)
{
	Replica__Envelope e;
	uint32_t head;
	size_t len;
	int rc;

	replica__envelope__init(&e);
	e.version = REPLICA_VERSION;
	e.service.data = (uint8_t *)(uintptr_t)from->name;
	e.service.len = strlen(from->name);
	e.body_case = REPLICA__ENVELOPE__BODY_RECORDS;
	e.records = &batch->records;
	batch->records.caught_up = last;
	batch->records.authoritative = from->caught_up;
	rc = replica_pack(&e, message, sizeof(message), &len);
	if (rc < 0)
		return rc;
	head = (uint32_t)len;
	rc = write_whole(fd, &head, sizeof(head));
	return rc < 0 ? rc : write_whole(fd, message, len);
}

int keepsake_write(int fd, const struct keepsake *from)
{
	static struct replica_batch batch;
	const struct dialog *d = NULL;
	int rc;

	replica_batch_init(&batch);
	while ((d = dialog_next_changed(from->table, 0, d))) {
		if (replica_batch_dialog(&batch, d))
			continue;
		rc = write_batch(fd, from, &batch, false);
		if (rc < 0)
			return rc;
		replica_batch_init(&batch);
		replica_batch_dialog(&batch, d);
	}
	return write_batch(fd, from, &batch, true);
}

/* --- taking ----------------------------------------------------------------- */

/* 1, 0 = the end, -EPROTO = it breaks off. */
static int read_whole(int fd, void *buf, size_t len)
{
	size_t at = 0;

	while (at < len) {
		ssize_t n = read(fd, (uint8_t *)buf + at, len - at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return at ? -EPROTO : 0;
		at += (size_t)n;
	}
	return 1;
}

static struct keepsake *service_of(struct keepsake *to, int n, const Replica__Envelope *e)
{
	for (int i = 0; i < n; i++)
		if (strlen(to[i].name) == e->service.len &&
		    !memcmp(to[i].name, e->service.data, e->service.len))
			return &to[i];
	return NULL;
}

static void take(struct keepsake *to, const Replica__Records *r, uint32_t *taken)
{
	struct dialog record;

	for (size_t i = 0; i < r->n_dialogs; i++)
		if (replica_decode_dialog(r->dialogs[i], to->service, &record) == 0 &&
		    dialog_table_apply(to->table, &record, 0) == 0)
			++*taken;
		else
			to->lacking = true;
	if (r->caught_up)
		to->caught_up = r->authoritative && !to->lacking;
}

int keepsake_read(int fd, struct keepsake *to, int n, uint32_t *ret_dialogs)
{
	uint32_t len;
	int rc;

	*ret_dialogs = 0;
	for (int i = 0; i < n; i++)
		to[i].caught_up = to[i].lacking = false;
	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	while ((rc = read_whole(fd, &len, sizeof(len))) == 1 && len) {
		const Replica__Envelope *e;
		struct keepsake *service;

		if (len > sizeof(message) || read_whole(fd, message, len) != 1)
			return -EPROTO;
		e = replica_unpack(message, len);
		if (!e || e->version != REPLICA_VERSION || e->body_case != REPLICA__ENVELOPE__BODY_RECORDS)
			return -EPROTO;
		service = service_of(to, n, e);
		if (service)
			take(service, e->records, ret_dialogs);
	}
	return rc < 0 ? rc : 0;
}
