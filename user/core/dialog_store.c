/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The text of a dialog: strings, SDPs, INVITE and streams in one block that is
 * as long as they are, and is built anew when one of them changes. The blocks of a
 * table have a budget together. A block begins with the dialog's key: what is told
 * of a dialog that went. Pure; used by dialog_table.c alone.
 */
#include "dialog_table.h"
#include "text_pool.h"

#include <errno.h>
#include <string.h>

static size_t block_len(const struct dialog *d)
{
	size_t len = 0;

#define X(field, room) len += strlen(d->field) + 1;
	DIALOG_TEXTS(X)
#undef X
	len += d->sdp_in_len + d->sdp_out_len + d->invite_len;
	if (d->n_streams) /* and what aligns them */
		len += d->n_streams * sizeof(*d->streams) + _Alignof(struct dialog_stream);
	return len;
}

static char *put(char *at, const void *data, size_t len)
{
	if (len)
		memcpy(at, data, len);
	return at + len;
}

/* Copies all of from's text into the block; `to` points there. The two may be one. */
static void fill_block(char *at, const struct dialog *from, struct dialog *to)
{
#define X(field, room)                                                                                       \
	{                                                                                                    \
		const char *start = at;                                                                      \
                                                                                                             \
		at = put(at, from->field, strlen(from->field) + 1);                                          \
		to->field = start;                                                                           \
	}
	DIALOG_TEXTS(X)
#undef X
	char *sdp_in = at, *sdp_out = put(sdp_in, from->sdp_in, from->sdp_in_len);
	char *invite = put(sdp_out, from->sdp_out, from->sdp_out_len);
	char *streams = put(invite, from->invite, from->invite_len);

	to->sdp_in = sdp_in;
	to->sdp_out = sdp_out;
	to->invite = (const uint8_t *)invite;
	if (from->n_streams) {
		streams += -(uintptr_t)streams & (_Alignof(struct dialog_stream) - 1);
		put(streams, from->streams, from->n_streams * sizeof(*from->streams));
	}
	to->streams = (const struct dialog_stream *)(void *)streams;
}

static bool same(const void *a, size_t a_len, const void *b, size_t b_len)
{
	return a_len == b_len && (!a_len || a == b || !memcmp(a, b, a_len));
}

static bool same_text(const struct dialog *a, const struct dialog *b)
{
#define X(field, room)                                                                                       \
	if (a->field != b->field && strcmp(a->field, b->field) != 0)                                         \
		return false;
	DIALOG_TEXTS(X)
#undef X
	return same(a->sdp_in, a->sdp_in_len, b->sdp_in, b->sdp_in_len) &&
	       same(a->sdp_out, a->sdp_out_len, b->sdp_out, b->sdp_out_len) &&
	       same(a->invite, a->invite_len, b->invite, b->invite_len) &&
	       same(a->streams, a->n_streams * sizeof(*a->streams), b->streams,
	            b->n_streams * sizeof(*b->streams));
}

static void copy_text_pointers(struct dialog *to, const struct dialog *from)
{
#define X(field, room) to->field = from->field;
	DIALOG_TEXTS(X)
#undef X
	to->sdp_in = from->sdp_in;
	to->sdp_in_len = from->sdp_in_len;
	to->sdp_out = from->sdp_out;
	to->sdp_out_len = from->sdp_out_len;
	to->invite = from->invite;
	to->invite_len = from->invite_len;
	to->streams = from->streams;
	to->n_streams = from->n_streams;
}

void dialog_fill_blanks(struct dialog *d)
{
#define X(field, room) d->field = d->field ? d->field : "";
	DIALOG_TEXTS(X)
#undef X
	d->sdp_in = d->sdp_in ? d->sdp_in : "";
	d->sdp_out = d->sdp_out ? d->sdp_out : "";
	d->invite = d->invite ? d->invite : (const uint8_t *)"";
}

/* All but the text, which stays as it was; less of it is possible without memory. */
static void store_numbers(struct dialog *d, const struct dialog *draft)
{
	struct dialog old = *d;

	*d = *draft;
	copy_text_pointers(d, &old);
	if (!draft->invite_len)
		d->invite_len = 0;
}

int dialog_store(struct dialog_table *table, struct dialog *d, const struct dialog *draft, char **ret_old)
{
	struct dialog_slot *slot = &table->slots[d - table->dialogs];
	size_t len;
	char *block;
	uint32_t bytes;

	*ret_old = NULL;
	if (slot->bytes && same_text(d, draft)) {
		store_numbers(d, draft);
		return 0;
	}
	len = block_len(draft);
	bytes = (uint32_t)text_pool_size(len);
	block = table->bytes - slot->bytes + bytes <= table->bytes_max ? text_pool_take(table->text, len)
	                                                               : NULL;
	if (!block) {
		table->counters.dialog_memory_full++;
		return -ENOSPC;
	}
	if (slot->bytes)
		*ret_old = (char *)d->call_id;
	table->bytes = table->bytes - slot->bytes + bytes; /* not +=: the difference may be negative */
	slot->bytes = bytes;
	*d = *draft;
	fill_block(block, draft, d);
	return 0;
}

void dialog_store_numbers(struct dialog *d, const struct dialog *draft)
{
	store_numbers(d, draft);
	d->flags |= DIALOG_TRUNCATED;
}

char *dialog_store_release(struct dialog_table *table, struct dialog *d)
{
	struct dialog_slot *slot = &table->slots[d - table->dialogs];
	char *block = slot->bytes ? (char *)d->call_id : NULL;

	table->bytes -= slot->bytes;
	slot->bytes = 0;
	memset(d, 0, sizeof(*d));
	dialog_fill_blanks(d);
	return block;
}

/* The oldest ones go, until there is room for one more. */
static char *stone_room(struct dialog_table *table, size_t len)
{
	uint64_t left = DIALOG_STONE_BYTES - table->stone_at % DIALOG_STONE_BYTES;

	table->stone_at += left < len ? left : 0; /* in one piece */
	while (table->first_tombstone < table->n_tombstones) {
		const struct dialog_tombstone *oldest =
		        &table->tombstones[table->first_tombstone % DIALOG_TOMBSTONES];

		if (table->n_tombstones - table->first_tombstone < DIALOG_TOMBSTONES &&
		    oldest->at + DIALOG_STONE_BYTES >= table->stone_at + len)
			break;
		table->first_tombstone++;
	}
	return table->stone_text + table->stone_at % DIALOG_STONE_BYTES;
}

void dialog_stone_write(struct dialog_table *table, uint8_t service, const char *block)
{
	size_t call_id = strlen(block) + 1;
	size_t local = call_id + strlen(block + call_id) + 1;
	size_t len = local + strlen(block + local) + 1;
	char *text = stone_room(table, len);

	memcpy(text, block, len);
	table->tombstones[table->n_tombstones++ % DIALOG_TOMBSTONES] = (struct dialog_tombstone){
	        ++table->version, table->stone_at, {service, text, text + call_id, text + local}};
	table->stone_at += len;
}
