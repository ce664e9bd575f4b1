/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <string.h>

#include "replica_codec.h"

#define ARENA_BYTES (1 << 20)

/* The fields that are the same on both sides, by kind. */
#define NUMBERS(X)                                                                                           \
	X(call)                                                                                              \
	X(state)                                                                                             \
	X(role)                                                                                              \
	X(paired)                                                                                            \
	X(refresher)                                                                                         \
	X(acked)                                                                                             \
	X(flow_port)                                                                                         \
	X(local_cseq)                                                                                        \
	X(remote_cseq)                                                                                       \
	X(invite_cseq)                                                                                       \
	X(session_expires_s)                                                                                 \
	X(flags)                                                                                             \
	X(origin)                                                                                            \
	X(rseq)                                                                                              \
	X(progress)
#define TIMES(X)                                                                                             \
	X(at_invite)                                                                                         \
	X(at_answer)                                                                                         \
	X(at_changed)                                                                                        \
	X(at_refresh)                                                                                        \
	X(at_ended)
static ProtobufCBinaryData bytes_of(const void *data, size_t len)
{
	/* protobuf-c has no const; it only reads what it packs. */
	return (ProtobufCBinaryData){.len = len, .data = (uint8_t *)(uintptr_t)data};
}

static ProtobufCBinaryData text_of(const char *text)
{
	return bytes_of(text, strlen(text));
}

static void encode_dialog(const struct dialog *from, Replica__Dialog *to)
{
	replica__dialog__init(to);
#define X(field) to->field = from->field;
	NUMBERS(X)
#undef X
#define X(field) to->field = from->field.ns;
	TIMES(X)
#undef X
#define X(field, room) to->field = text_of(from->field);
	DIALOG_TEXTS(X)
#undef X
	to->flow_addr = bytes_of(from->flow_addr.b, sizeof(from->flow_addr.b));
	to->sdp_in = bytes_of(from->sdp_in, from->sdp_in_len);
	to->sdp_out = bytes_of(from->sdp_out, from->sdp_out_len);
	to->invite = bytes_of(from->invite, from->invite_len);
}

static void encode_streams(const struct dialog *from, Replica__Dialog *to,
                           Replica__Stream stream[DIALOG_STREAMS], Replica__Stream *list[DIALOG_STREAMS])
{
	to->streams = list;
	to->n_streams = from->n_streams;
	for (uint32_t i = 0; i < from->n_streams; i++) {
		const struct dialog_stream *seen = &from->streams[i];

		replica__stream__init(&stream[i]);
		stream[i].from = bytes_of(seen->from.b, sizeof(seen->from.b));
		stream[i].to = bytes_of(seen->to.b, sizeof(seen->to.b));
		stream[i].from_port = seen->from_port;
		stream[i].to_port = seen->to_port;
		stream[i].mac = bytes_of(seen->mac, sizeof(seen->mac));
		list[i] = &stream[i];
	}
}

void replica_batch_init(struct replica_batch *batch)
{
	replica__records__init(&batch->records);
	batch->records.dialogs = batch->dialogs;
	batch->records.removed = batch->keys;
	batch->bytes = 0;
}

bool replica_batch_dialog(struct replica_batch *batch, const struct dialog *dialog)
{
	size_t n = batch->records.n_dialogs;

	if (n == REPLICA_BATCH || batch->bytes > REPLICA_BATCH_BYTES)
		return false;
	encode_dialog(dialog, &batch->dialog[n]);
	encode_streams(dialog, &batch->dialog[n], batch->stream[n], batch->streams[n]);
	batch->dialogs[n] = &batch->dialog[n];
	batch->records.n_dialogs++;
	batch->bytes += replica__dialog__get_packed_size(&batch->dialog[n]) + 8;
	return true;
}

bool replica_batch_key(struct replica_batch *batch, const struct dialog_key *key)
{
	size_t n = batch->records.n_removed;

	if (n == REPLICA_BATCH || batch->bytes > REPLICA_BATCH_BYTES)
		return false;
	replica__key__init(&batch->key[n]);
	batch->key[n].call_id = text_of(key->call_id);
	batch->key[n].local_tag = text_of(key->local_tag);
	batch->key[n].remote_tag = text_of(key->remote_tag);
	batch->keys[n] = &batch->key[n];
	batch->records.n_removed++;
	batch->bytes += replica__key__get_packed_size(&batch->key[n]) + 8;
	return true;
}

int replica_pack(const Replica__Envelope *envelope, void *buf, size_t size, size_t *ret_len)
{
	size_t len = replica__envelope__get_packed_size(envelope);

	if (len > size)
		return -EMSGSIZE;
	*ret_len = replica__envelope__pack(envelope, buf);
	return 0;
}

/* --- decoding --------------------------------------------------------------- */

struct arena {
	size_t used;
	_Alignas(16) uint8_t b[ARENA_BYTES];
};

static void *arena_alloc(void *data, size_t size)
{
	struct arena *arena = data;
	size_t rounded = (size + 15) & ~(size_t)15;
	void *p = arena->b + arena->used;

	if (rounded < size || rounded > sizeof(arena->b) - arena->used)
		return NULL;
	arena->used += rounded;
	return p;
}

static void arena_free(void *data, void *p)
{
	/* all at once, by the next message */
}

const Replica__Envelope *replica_unpack(const void *buf, size_t len)
{
	static struct arena arena;
	ProtobufCAllocator allocator = {arena_alloc, arena_free, &arena};

	if (len > REPLICA_MESSAGE_MAX)
		return NULL;
	arena.used = 0;
	return replica__envelope__unpack(&allocator, len, buf);
}

static bool text_fits(const ProtobufCBinaryData *from, size_t size)
{
	return from->len < size && (!from->len || !memchr(from->data, 0, from->len));
}

/* The message's bytes have no NUL: it is written into room of the decoder's, up to the next decoding. */
static const char *take_text(const ProtobufCBinaryData *from, char *room)
{
	if (from->len)
		memcpy(room, from->data, from->len);
	room[from->len] = '\0';
	return room;
}

static bool numbers_fit(const Replica__Dialog *from)
{
	return from->state <= UINT8_MAX && from->role <= UINT8_MAX && from->paired <= UINT8_MAX &&
	       from->refresher <= UINT8_MAX && from->acked <= 1 && from->flow_port <= UINT16_MAX &&
	       from->progress <= 199;
}

static bool streams_fit(const Replica__Dialog *from)
{
	if (from->n_streams > DIALOG_STREAMS)
		return false;
	for (size_t i = 0; i < from->n_streams; i++) {
		const Replica__Stream *s = from->streams[i];

		if (s->from.len != sizeof(struct inaddr16) || s->to.len != sizeof(struct inaddr16) ||
		    s->mac.len != 6 || s->from_port > UINT16_MAX || s->to_port > UINT16_MAX)
			return false;
	}
	return true;
}

static void take_streams(const Replica__Dialog *from, struct dialog_stream to[DIALOG_STREAMS])
{
	memset(to, 0, DIALOG_STREAMS * sizeof(*to));
	for (size_t i = 0; i < from->n_streams; i++) {
		const Replica__Stream *s = from->streams[i];

		memcpy(to[i].from.b, s->from.data, sizeof(to[i].from.b));
		memcpy(to[i].to.b, s->to.data, sizeof(to[i].to.b));
		to[i].from_port = (uint16_t)s->from_port;
		to[i].to_port = (uint16_t)s->to_port;
		memcpy(to[i].mac, s->mac.data, sizeof(to[i].mac));
	}
}

static bool lengths_fit(const Replica__Dialog *from)
{
#define X(field, room)                                                                                       \
	if (!text_fits(&from->field, room))                                                                  \
		return false;
	DIALOG_TEXTS(X)
#undef X
	return from->flow_addr.len == sizeof(struct inaddr16) && from->sdp_in.len <= DIALOG_SDP_LEN &&
	       from->sdp_out.len <= DIALOG_SDP_LEN && from->invite.len <= DIALOG_INVITE_LEN;
}

int replica_decode_dialog(const Replica__Dialog *from, uint8_t service, struct dialog *to)
{
	static struct {
#define X(field, room) char field[room];
		DIALOG_TEXTS(X)
#undef X
		struct dialog_stream streams[DIALOG_STREAMS];
	} rooms;

	if (!numbers_fit(from) || !streams_fit(from) || !lengths_fit(from))
		return -EINVAL;
	memset(to, 0, sizeof(*to));
	to->service = service;
#define X(field) to->field = from->field;
	NUMBERS(X)
#undef X
#define X(field) to->field = mono_ns(from->field);
	TIMES(X)
#undef X
#define X(field, room) to->field = take_text(&from->field, rooms.field);
	DIALOG_TEXTS(X)
#undef X
	memcpy(to->flow_addr.b, from->flow_addr.data, sizeof(to->flow_addr.b));
	to->sdp_in = (const char *)from->sdp_in.data;
	to->sdp_in_len = (uint16_t)from->sdp_in.len;
	to->sdp_out = (const char *)from->sdp_out.data;
	to->sdp_out_len = (uint16_t)from->sdp_out.len;
	to->invite = from->invite.data;
	to->invite_len = (uint16_t)from->invite.len;
	take_streams(from, rooms.streams);
	to->streams = rooms.streams;
	to->n_streams = (uint8_t)from->n_streams;
	return 0;
}

int replica_decode_key(const Replica__Key *from, uint8_t service, struct dialog_key *to)
{
	static struct {
		char call_id[DIALOG_CALL_ID_LEN];
		char local_tag[DIALOG_TAG_LEN];
		char remote_tag[DIALOG_TAG_LEN];
	} rooms;

	if (!text_fits(&from->call_id, sizeof(rooms.call_id)) ||
	    !text_fits(&from->local_tag, sizeof(rooms.local_tag)) ||
	    !text_fits(&from->remote_tag, sizeof(rooms.remote_tag)))
		return -EINVAL;
	to->service = service;
	to->call_id = take_text(&from->call_id, rooms.call_id);
	to->local_tag = take_text(&from->local_tag, rooms.local_tag);
	to->remote_tag = take_text(&from->remote_tag, rooms.remote_tag);
	return 0;
}
