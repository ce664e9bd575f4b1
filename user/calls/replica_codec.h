/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * struct dialog to and from the replica's protobuf messages. Encoding points into
 * the table and copies nothing; decoding bounds everything: memory (an arena of
 * fixed size), counts and lengths. Called by replica_session.c.
 */
#ifndef SIPFLIP_CALLS_REPLICA_CODEC_H
#define SIPFLIP_CALLS_REPLICA_CODEC_H

#include "dialog.h"
#include "replica.pb-c.h"

#define REPLICA_VERSION     2
#define REPLICA_MESSAGE_MAX 131072 /* bytes on the wire; larger ones end the connection */
#define REPLICA_BATCH_BYTES 49152  /* a message takes no further dialog above that */
#define REPLICA_BATCH       64     /* dialogs a message, and as many keys */

/* Room for one message in the making. */
struct replica_batch {
	Replica__Records records;
	Replica__Dialog dialog[REPLICA_BATCH];
	Replica__Dialog *dialogs[REPLICA_BATCH];
	Replica__Stream stream[REPLICA_BATCH][DIALOG_STREAMS];
	Replica__Stream *streams[REPLICA_BATCH][DIALOG_STREAMS];
	Replica__Key key[REPLICA_BATCH];
	Replica__Key *keys[REPLICA_BATCH];
	size_t bytes;
};

void replica_batch_init(struct replica_batch *batch);
/* False when the batch is full. The dialog (or key) must stay until the batch is packed. */
bool replica_batch_dialog(struct replica_batch *batch, const struct dialog *dialog);
bool replica_batch_key(struct replica_batch *batch, const struct dialog_key *key);

/* 0, or -EMSGSIZE when `size` is too small; *ret_len bytes were written. */
int replica_pack(const Replica__Envelope *envelope, void *buf, size_t size, size_t *ret_len);

/*
 * NULL for anything that is not a message. The result lives until the next call:
 * one arena, one thread.
 */
const Replica__Envelope *replica_unpack(const void *buf, size_t len);

/*
 * Fills every field; `service` is the receiver's number. Text stays where the message
 * and the decoder have it: until the next one is decoded. 0, or -EINVAL: too long, no address.
 */
int replica_decode_dialog(const Replica__Dialog *from, uint8_t service, struct dialog *ret);
int replica_decode_key(const Replica__Key *from, uint8_t service, struct dialog_key *ret);

#endif
