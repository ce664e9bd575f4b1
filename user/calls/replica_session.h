/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One service's replica with one peer, both directions, without a socket: messages
 * in, table changes and messages out. docs/replica.md has the picture. The
 * rules that keep two tables from spoiling each other:
 *   - only an owner sends changes as they happen; anybody sends what it holds when asked;
 *   - a node that does not own takes everything from an owner, and when the
 *     owner's list is complete drops what was not in it;
 *   - an owner takes nothing, but once after its start, what its peer kept for it.
 * Called by replica.c; tested against itself in tests/unit/test_replica.c.
 */
#ifndef SIPFLIP_CALLS_REPLICA_SESSION_H
#define SIPFLIP_CALLS_REPLICA_SESSION_H

#include "dialog.h"
#include "replica_codec.h"
#include "sipflip/keeper.h"

#define REPLICA_PING_NS    (500 * NS_PER_MS)
#define REPLICA_DEAD_NS    (2 * NS_PER_S) /* not heard for so long: down */
#define REPLICA_WINDOW     512            /* messages with dialogs that the peer has not said it applied */
#define REPLICA_ACK_EVERY  64             /* messages applied between two Pings that say so */
#define REPLICA_LACKING_NS (5 * NS_PER_S) /* between attempts when the table did not take all */

#define REPLICA_COUNTERS(X)                                                                                  \
	X(replica_sent, "messages with dialogs sent")                                                        \
	X(replica_received, "messages with dialogs received in order")                                       \
	X(replica_dialogs_sent, "dialogs in them sent")                                                      \
	X(replica_dialogs_applied, "dialogs in them applied")                                                \
	X(replica_ignored, "dialogs not applied: this node owns, or knows better")                           \
	X(replica_swept, "dialogs dropped: the owner's complete list did not have them")                     \
	X(replica_streams, "streams begun for the peer")                                                     \
	X(replica_gaps, "messages lost on the way, or another instance: asked anew")                         \
	X(replica_blocked, "times the peer did not take more; sent later, the newest state only")            \
	X(replica_malformed, "messages or dialogs that do not parse or exceed a bound")                      \
	X(replica_unknown_peer, "messages from a node or for a service that is not configured")              \
	X(replica_key_refused, "connections refused: not the peer's key")                                    \
	X(replica_not_applied, "dialogs that the table did not take")

struct replica_counters {
#define X(name, help) uint64_t name;
	REPLICA_COUNTERS(X)
#undef X
};

enum replica_channel {
	REPLICA_TO_SERVER, /* DEALER: what we want */
	REPLICA_TO_CLIENT, /* ROUTER: what the peer wants */
};

/* 0, -EAGAIN: cannot take it now, or -EHOSTUNREACH: nobody there. Must not keep buf. */
typedef int replica_send_fn(void *context, enum replica_channel channel, const void *buf, size_t len);

enum replica_in_state {
	REPLICA_DOWN = 0, /* asks with Hello */
	REPLICA_STREAM = 1,
	REPLICA_IN_STEP = 2,
};

struct replica_session {
	uint8_t service;
	char name[KEEPER_NAME_LEN];
	struct dialog_table *table;
	uint64_t instance;
	replica_send_fn *send;
	void *context;
	struct replica_counters *counters;
	bool owner;
	uint64_t epoch;
	bool caught_up;   /* has had everything that the peer held, once */
	uint32_t dialogs; /* held here, for the peer's status */
	struct mono pinged;
	struct {
		bool active; /* the peer asked */
		bool begun;  /* the stream's first message is out */
		bool whole;
		bool complete;
		uint64_t stream;
		uint64_t seq;
		uint64_t acked;   /* of this stream, by the peer's Pings */
		uint64_t version; /* of the last dialog sent */
		const struct dialog *last;
		uint64_t removed; /* deletions sent, by the table's count */
		bool peer_in_step;
		uint32_t peer_dialogs;
		struct mono heard;
	} out;
	struct {
		enum replica_in_state state;
		uint64_t instance;
		uint64_t stream;
		uint64_t seq;
		uint64_t version; /* the peer's, to go on from */
		uint64_t removed;
		uint64_t floor; /* the own table's version when a whole stream began */
		bool whole;
		bool lacking; /* the table did not take all */
		uint32_t peer_dialogs;
		struct mono heard;
		struct mono asked; /* last Hello */
	} in;
};

struct replica_status {
	uint32_t up; /* 1 = in step: the peer with an owner, else this node with its peer */
	uint32_t dialogs_peer;
	uint64_t seq;
};

void replica_session_init(struct replica_session *s, uint8_t service, const char *name,
                          struct dialog_table *table, uint64_t instance, replica_send_fn *send, void *context,
                          struct replica_counters *counters);
void replica_session_role(struct replica_session *s, bool owner, uint64_t epoch);
/* Sends what changed; true when there is more to send now, or the peer did not take it. */
bool replica_session_flush(struct replica_session *s, struct mono now);
/* A message from the peer, already found to be for this service. */
void replica_session_handle(struct replica_session *s, enum replica_channel from, const Replica__Envelope *e,
                            struct mono now);
/* Every 100 ms or so: Hello while down, Ping, and noticing silence. */
void replica_session_tick(struct replica_session *s, struct mono now);
void replica_session_status(const struct replica_session *s, struct mono now, struct replica_status *ret);

#endif
