/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The dialogs of a SIP server as its own wire shows them (RFC 3261 section 12,
 * seen from the server: "local" is the server, "remote" the phone or the proxy
 * in front of it). Pure: a message's fields and a time in, a changed table out.
 * A dialog's text is one block (dialog_store.c), all blocks together within a
 * budget. Used by the tracker, the replica (both sides), the rescue and the command
 * line's answers.
 *
 *   half-open --1xx with tag--> early --2xx--> confirmed --takeover--> rescuing --> rescued
 *       |  (INVITE, no tag yet)   |               |                        |            |
 *       +----- 3xx..6xx ----------+---------------+------ BYE, 481 --------+------------+--> ended
 *
 * Half-open ones are an INVITE that nobody has answered with a tag yet: they
 * have state early and one empty tag. They are replicated like the others, so that
 * a ringing call survives; the key's missing tag is then "".
 */
#ifndef SIPFLIP_CORE_DIALOG_H
#define SIPFLIP_CORE_DIALOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mono.h"
#include "sipflip/abi.h"

#define DIALOG_CALL_ID_LEN    256
#define DIALOG_TAG_LEN        256
#define DIALOG_NAME_ADDR_LEN  512
#define DIALOG_ROUTE_LEN      1024
#define DIALOG_URI_LEN        512
#define DIALOG_USER_LEN       64
#define DIALOG_SESSION_ID_LEN 40
#define DIALOG_JOINED_LEN     1024
#define DIALOG_SDP_LEN        4096
#define DIALOG_FORKS          16 /* To tags of one INVITE; more are counted, not kept */
#define DIALOG_TOMBSTONES     8192
#define DIALOG_STONE_BYTES    (96 * DIALOG_TOMBSTONES) /* of their keys together */
#define DIALOG_GONE           1024                     /* BYEs of unknown dialogs that are remembered */
#define DIALOG_STREAMS        4    /* RTP and RTCP of the first two media lines: 2 * line + rtcp */
#define DIALOG_INVITE_LEN     8192 /* of the INVITE that made it, kept until it is answered */
#define DIALOG_BUDGET_BYTES   3072 /* of text a dialog, on the average of a full table */
#define DIALOG_BUDGET_MIN     (256 * 1024)

#define DIALOG_ENDED_KEEP_NS  (32 * NS_PER_S)        /* 64*T1: retransmissions still find it */
#define DIALOG_ENDED_WHOLE_NS (2 * NS_PER_S)         /* a BYE may be challenged, then it was not over */
#define DIALOG_EARLY_KEEP_NS  (200 * NS_PER_S)       /* Timer C, RFC 3261 16.6 item 11, and some */
#define DIALOG_IDLE_KEEP_NS   (24 * 3600 * NS_PER_S) /* confirmed without session timer */
#define DIALOG_SILENT_NS      (300 * NS_PER_S)       /* as long without timer, message and media: over */
#define DIALOG_TIMER_GRACE_NS (32 * NS_PER_S)        /* beyond Session-Expires, RFC 4028 section 10 */

enum dialog_state {
	DIALOG_EARLY = 0,
	DIALOG_CONFIRMED = 1,
	DIALOG_RESCUING = 2,
	DIALOG_RESCUED = 3,
	DIALOG_ENDED = 4,
};

enum dialog_role {
	DIALOG_UAS = 0, /* the server was called */
	DIALOG_UAC = 1, /* the server called */
};

enum dialog_refresher {
	REFRESHER_NONE = 0,
	REFRESHER_LOCAL = 1, /* the server refreshes */
	REFRESHER_REMOTE = 2,
};

/* How the two legs of a call were found, or why not. pairing.h */
enum dialog_paired {
	PAIRED_NOT = 0, /* single leg so far */
	PAIRED_HEADER = 1,
	PAIRED_SESSION_ID = 2,
	PAIRED_SDP = 3,
	PAIRED_NUMBERS = 4,
	PAIRED_AMBIGUOUS = 5, /* more than one leg would fit: not paired */
};

/* flags */
#define DIALOG_TRUNCATED 0x1 /* a header was longer than its field: not rescuable */
#define DIALOG_SDP_CUT   0x2 /* an SDP was longer than DIALOG_SDP_LEN: not kept */
#define DIALOG_NO_INVITE                                                                                     \
	0x4 /* its INVITE was longer than DIALOG_INVITE_LEN: cannot be taken over while it rings */
#define DIALOG_JOINED                                                                                        \
	0x8 /* rejoined: its media is the local server's, its signalling stays with sipflip-calls */
#define DIALOG_INCOMPLETE                                                                                    \
	0x10 /* a message that made it was not captured, and no later one has told all of it */
/* what the phone said it understands, in Allow and Supported */
#define DIALOG_ALLOWS_UPDATE   0x100
#define DIALOG_SUPPORTS_TIMER  0x200
#define DIALOG_SUPPORTS_100REL 0x400
#define DIALOG_SUPPORTS        (DIALOG_ALLOWS_UPDATE | DIALOG_SUPPORTS_TIMER | DIALOG_SUPPORTS_100REL)

/*
 * One RTP or RTCP stream of a leg as the owner's kernel saw it (abi.h, struct flow):
 * the phone's real addresses behind NAT. Ports 0 = not seen yet.
 */
struct dialog_stream {
	struct inaddr16 from; /* the phone's packets come from here */
	struct inaddr16 to;   /* and the server sends there */
	uint16_t from_port;
	uint16_t to_port;
	uint8_t mac[6]; /* the phone's next hop */
	uint8_t pad[6];
};

/*
 * One dialog. Its strings end with NUL, are never NULL, "" = not known; they, the
 * SDPs, the INVITE and the streams are the table's memory: good until the next
 * change of this dialog, to be read only. Zero = not known.
 */
struct dialog {
	uint64_t version;       /* of this table, see dialog_next_changed; not replicated */
	uint64_t call;          /* call number; equal on both legs of a paired call */
	struct mono at_invite;  /* INVITE first seen */
	struct mono at_answer;  /* its first 2xx */
	struct mono at_changed; /* last message of the dialog */
	struct mono at_refresh; /* last INVITE or UPDATE answered 2xx */
	struct mono at_ended;
	uint8_t service;
	uint8_t state;              /* enum dialog_state */
	uint8_t role;               /* enum dialog_role */
	uint8_t paired;             /* enum dialog_paired */
	uint8_t refresher;          /* enum dialog_refresher */
	uint8_t acked;              /* 1 = the ACK of the first 2xx was seen */
	uint16_t flow_port;         /* host order */
	struct inaddr16 flow_addr;  /* where its datagrams really come from and go to */
	uint32_t local_cseq;        /* highest that the server used; 0 = none yet */
	uint32_t remote_cseq;       /* highest that the phone used; 0 = none yet */
	uint32_t invite_cseq;       /* of the INVITE that made it */
	uint32_t session_expires_s; /* 0 = no session timer */
	uint32_t flags;
	/*
	 * Which run of which node's server holds it: 0 = none, sipflip-calls does. Only the
	 * node where just that server runs leaves the call alone; all others have its
	 * flows and its Call-ID in their kernel maps.
	 */
	uint64_t origin;
	uint32_t rseq;     /* RFC 3262: of the last reliable 1xx; 0 = none */
	uint16_t progress; /* last 1xx to the INVITE that made it; 0 = none */
	uint16_t sdp_in_len;
	uint16_t sdp_out_len;
	uint16_t invite_len;
	uint8_t n_streams;
	const struct dialog_stream *streams; /* see dialog_stream_of */
	const uint8_t *invite; /* that INVITE as it was on the wire; length 0 once answered, or too long */
	const char *call_id;
	const char *local_tag;
	const char *remote_tag;
	const char *local; /* as in From/To, with display and parameters, no tag */
	const char *remote;
	const char *remote_target;  /* URI of the phone's last Contact */
	const char *local_contact;  /* the server's own */
	const char *request_uri;    /* of the INVITE that made it */
	const char *route;          /* Route values in the order to send them, comma separated */
	const char *caller;         /* user part of From */
	const char *callee;         /* user part of the first request's URI */
	const char *asserted;       /* user part of P-Asserted-Identity or Remote-Party-ID of that request */
	const char *link;           /* Call-ID of the other leg, as a configured header said */
	const char *session_id_in;  /* RFC 7989: sender's UUID, from the phone */
	const char *session_id_out; /* and from the server */
	const char *joined;         /* how the call to the server goes on that it was joined to */
	const char *sdp_in;         /* last SDP from the phone; not NUL-terminated */
	const char *sdp_out;        /* last SDP from the server */
};

/* Its strings and the room that each may take, NUL included. The first three are the key. */
#define DIALOG_TEXTS(X)                                                                                      \
	X(call_id, DIALOG_CALL_ID_LEN)                                                                       \
	X(local_tag, DIALOG_TAG_LEN)                                                                         \
	X(remote_tag, DIALOG_TAG_LEN)                                                                        \
	X(local, DIALOG_NAME_ADDR_LEN)                                                                       \
	X(remote, DIALOG_NAME_ADDR_LEN)                                                                      \
	X(remote_target, DIALOG_URI_LEN)                                                                     \
	X(local_contact, DIALOG_URI_LEN)                                                                     \
	X(request_uri, DIALOG_URI_LEN)                                                                       \
	X(route, DIALOG_ROUTE_LEN)                                                                           \
	X(caller, DIALOG_USER_LEN)                                                                           \
	X(callee, DIALOG_USER_LEN)                                                                           \
	X(asserted, DIALOG_USER_LEN)                                                                         \
	X(link, DIALOG_CALL_ID_LEN)                                                                          \
	X(session_id_in, DIALOG_SESSION_ID_LEN)                                                              \
	X(session_id_out, DIALOG_SESSION_ID_LEN)                                                             \
	X(joined, DIALOG_JOINED_LEN)

/* Points to strings of others: of the dialog it was made from, as long as that does not change. */
struct dialog_key {
	uint8_t service;
	const char *call_id;
	const char *local_tag;
	const char *remote_tag;
};

enum sip_verb {
	SIP_VERB_OTHER = 0,
	SIP_VERB_INVITE,
	SIP_VERB_ACK,
	SIP_VERB_BYE,
	SIP_VERB_CANCEL,
	SIP_VERB_UPDATE,
	SIP_VERB_PRACK,
	SIP_VERB_SUBSCRIPTION, /* NOTIFY, SUBSCRIBE, REFER: failing, they end their own usage (RFC 5057 5.1)
	                        */
};

/*
 * What the table needs of one SIP message. Strings end with NUL and live only
 * during the call; NULL = header absent.
 */
struct sip_event {
	struct mono at;
	uint8_t service;
	bool out;           /* sent by the server */
	enum sip_verb verb; /* of the request, or of the CSeq of a response */
	int status;         /* 0 = request */
	uint32_t cseq;
	struct inaddr16 remote; /* the other end of the datagram */
	uint16_t remote_port;
	const char *call_id;
	const char *from; /* header value without the tag parameter */
	const char *from_tag;
	const char *from_user;
	const char *to;
	const char *to_tag;
	const char *to_user;
	const char *branch; /* of the topmost Via */
	const char *request_uri;
	const char *request_user;
	const char *asserted_user;
	const char *contact;      /* first Contact's URI */
	const char *record_route; /* all values in the order of the message, comma separated */
	const char *route;        /* the same of an ACK */
	const char *link;         /* value of the configured header */
	const char *session_id;   /* sender's UUID */
	uint32_t session_expires_s;
	int refresher_uas; /* 1 = refresher=uas, 0 = uac, -1 = not said */
	uint32_t rseq;     /* RFC 3262 RSeq of a response, 0 = none */
	uint32_t supports; /* DIALOG_ALLOWS_*, DIALOG_SUPPORTS_* of the sender */
	const char *sdp;
	size_t sdp_len;
	const uint8_t *whole; /* the datagram; kept of a first INVITE. NULL = not at hand */
	size_t whole_len;
};

/* Counters by name: the name here is the name in the metric. */
#define DIALOG_COUNTERS(X)                                                                                   \
	X(dialog_created, "dialogs and half-open ones entered into the table")                               \
	X(dialog_forked, "further dialogs of an INVITE that forked")                                         \
	X(dialog_confirmed, "dialogs confirmed by a 2xx")                                                    \
	X(dialog_ended, "dialogs ended by BYE, 481 or a failed INVITE")                                      \
	X(dialog_expired, "dialogs dropped because nothing was heard for too long")                          \
	X(dialog_table_full, "INVITE not tracked: the table is full")                                        \
	X(dialog_fork_limit, "fork not tracked: too many To tags for one INVITE")                            \
	X(dialog_memory_full, "message not kept whole: the dialogs' text has used up its budget")            \
	X(dialog_silent, "dialogs ended because neither message nor media came any more")                    \
	X(dialog_unknown, "in-dialog message of a dialog that is not in the table")                          \
	X(dialog_missed_invite,                                                                              \
	  "dialogs known from their answer or its ACK only: the INVITE was not captured")                    \
	X(dialog_missed_answer, "dialogs known to be answered from the ACK only")                            \
	X(dialog_missed_bye, "dialogs known to be over from the answer to the BYE only")                     \
	X(dialog_completed, "of the dialogs with a missed message, those that later ones told all of")       \
	X(dialog_key_too_long, "message not tracked: Call-ID or tag longer than the table keeps")            \
	X(dialog_field_too_long, "header longer than its field: the dialog is marked not rescuable")         \
	X(dialog_sdp_too_long, "SDP longer than the table keeps")                                            \
	X(dialog_old_cseq, "request with a CSeq below the last one: a late retransmission")                  \
	X(dialog_incomplete, "message without Call-ID, From tag or CSeq")                                    \
	X(dialog_applied, "dialogs written by the replica")                                                  \
	X(dialog_apply_bad, "records of the replica that are not a dialog")

struct dialog_counters {
#define X(name, help) uint64_t name;
	DIALOG_COUNTERS(X)
#undef X
};

/* What somebody worked out about a dialog and its peer at these versions: good until either changes. */
struct dialog_memo {
	uint64_t version;
	uint64_t peer_version;
	uint8_t value;
};

/*
 * Told of each dialog after it changed, and before it goes; its pair is found with
 * dialog_peer(). Must not change the table. One observer a table: media.c.
 */
struct dialog_observer {
	void (*changed)(void *context, struct dialog *dialog);
	void (*removed)(void *context, struct dialog *dialog);
	void *context;
};

/*
 * Asked of a dialog that has been without messages for DIALOG_SILENT_NS and has no
 * session timer: is it known that its media was silent for so long, and should it not be?
 */
struct dialog_silence {
	bool (*silent)(void *context, const struct dialog *dialog, int64_t for_ns);
	void *context;
};

struct pairing;     /* pairing.h */
struct dialog_slot; /* private links of one dialog */
struct text_pool;   /* text_pool.h */
struct dialog_tombstone {
	uint64_t version;
	uint64_t at;           /* where its text is in stone_text, counted from the first ever */
	struct dialog_key key; /* its strings are there */
};

struct dialog_table {
	struct dialog *dialogs;    /* max of them */
	struct dialog_slot *slots; /* same index */
	uint32_t *by_call_id;      /* hash heads, mask + 1 of them */
	uint32_t *by_call;
	uint32_t mask;
	uint32_t max;
	uint32_t used; /* all states, half-open included */
	uint32_t free_head;
	uint32_t first; /* changed list, oldest version first */
	uint32_t last;
	uint32_t expire_cursor;
	uint8_t hash_key[16];
	uint64_t version;                    /* of the last change; never goes down */
	uint64_t next_call;                  /* call numbers: one above every number seen, see _init */
	struct dialog_tombstone *tombstones; /* ring of DIALOG_TOMBSTONES */
	uint64_t n_tombstones;               /* ever written */
	uint64_t first_tombstone;            /* the oldest that is kept */
	char *stone_text;                    /* ring of DIALOG_STONE_BYTES */
	uint64_t stone_at;                   /* ever written */
	uint64_t gone[DIALOG_GONE];          /* ring: see dialog_was_hung_up */
	uint32_t n_gone;
	uint64_t origin; /* of the server that runs here: new dialogs get it */
	struct text_pool *text;
	uint64_t bytes; /* of text, as the pool counts it; tombstones apart */
	uint64_t bytes_max;
	struct pairing *pairing; /* its index */
	struct dialog_observer observer;
	struct dialog_silence silence;
	struct dialog_counters counters;
};

/*
 * Everything for max_dialogs (1..1,000,000) but their text; seed keys the hash and says
 * where the call numbers begin: those of a process before this one come back from the
 * peer, and two calls of one number would be taken for one. 0, -EINVAL or -ENOMEM.
 */
int dialog_table_init(struct dialog_table *table, uint32_t max_dialogs, uint64_t seed);
void dialog_table_done(struct dialog_table *table);

/*
 * One message of the server's. Returns the dialog it changed (a fork's new one
 * if it made one), NULL when it changed none; the reason is in the counters.
 */
struct dialog *dialog_table_event(struct dialog_table *table, const struct sip_event *event);

/* Exact key, as seen from the server. NULL = not there. */
struct dialog *dialog_find(struct dialog_table *table, uint8_t service, const char *call_id,
                           const char *local_tag, const char *remote_tag);
/*
 * The other leg of a paired call; NULL = none. Of several (a group that rings) one of
 * the other role first, one that is up before one that rings before one that ended.
 */
struct dialog *dialog_peer(struct dialog_table *table, const struct dialog *dialog);
/* All dialogs with this one's call number, itself among them. NULL ends. */
struct dialog *dialog_first_of_call(struct dialog_table *table, const struct dialog *of);
struct dialog *dialog_next_of_call(struct dialog_table *table, const struct dialog *prev);
/* Next dialog of any state, half-open included; NULL prev starts, NULL ends. */
struct dialog *dialog_next(struct dialog_table *table, const struct dialog *prev);
/* Same Call-ID as prev in the same service; to walk the forks. */
struct dialog *dialog_next_same_call_id(struct dialog_table *table, const struct dialog *prev);

/* From the last changed one (NULL) back in time. */
struct dialog *dialog_older(struct dialog_table *table, const struct dialog *newer);
struct dialog_memo *dialog_memo(struct dialog_table *table, const struct dialog *dialog);

/* Who changes a dialog from outside goes through these, so that the change gets its version. */
void dialog_set_state(struct dialog_table *table, struct dialog *dialog, enum dialog_state state,
                      struct mono at);
void dialog_set_paired(struct dialog_table *table, struct dialog *a, struct dialog *b,
                       enum dialog_paired how);
/* A call number of its own again. Its former legs stay as they are. */
void dialog_unpair(struct dialog_table *table, struct dialog *dialog);
void dialog_mark_ambiguous(struct dialog_table *table, struct dialog *dialog);
/* What this node itself sent inside the dialog after a takeover; longer than DIALOG_SDP_LEN is marked and not
 * kept. */
void dialog_set_sdp_out(struct dialog_table *table, struct dialog *dialog, const char *sdp, size_t len);
/* What this node sent to the other leg in the phone's name, or takes back (RFC 3261 14.1). len 0 = forget. */
void dialog_set_sdp_in(struct dialog_table *table, struct dialog *dialog, const char *sdp, size_t len);
void dialog_set_flags(struct dialog_table *table, struct dialog *dialog, uint32_t set, uint32_t clear);
/* What is known of a stream: never NULL, zeros = not seen. Read streams through this, not d->stream. */
const struct dialog_stream *dialog_stream_of(const struct dialog *dialog, unsigned int stream);
/* What the kernel saw of a stream; nothing happens when it is known already. stream < DIALOG_STREAMS. */
void dialog_set_stream(struct dialog_table *table, struct dialog *dialog, unsigned int stream,
                       const struct dialog_stream *seen);
/* How the call to the server that it was joined to goes on; too long for DIALOG_JOINED_LEN: "". */
void dialog_set_joined(struct dialog_table *table, struct dialog *dialog, const char *joined);
/* From now on `origin` holds it (0 = sipflip-calls). */
void dialog_set_origin(struct dialog_table *table, struct dialog *dialog, uint64_t origin);
/* True while this slot still holds a dialog of that call: for who keeps a pointer over time. */
bool dialog_is_of_call(const struct dialog_table *table, const struct dialog *dialog, uint64_t call);
/* Reserves the next local CSeq, `margin` above the last one. Below 2^31 (RFC 3261 8.1.1.5). */
uint32_t dialog_take_cseq(struct dialog_table *table, struct dialog *dialog, uint32_t margin);

/*
 * For the sending side of the replica. Changed dialogs in the order of their
 * versions: the first after `since` with prev NULL, then the one after prev.
 * The iteration is void after any change of the table; go on with
 * since = version of the last one then.
 */
const struct dialog *dialog_next_changed(const struct dialog_table *table, uint64_t since,
                                         const struct dialog *prev);
/* Deletions after `since` in order; *cursor starts at 0. NULL ends. */
const struct dialog_tombstone *dialog_next_removed(const struct dialog_table *table, uint64_t since,
                                                   uint64_t *cursor);
/* True when deletions from `cursor` on have fallen out of the bounded list: send a snapshot. */
bool dialog_needs_snapshot(const struct dialog_table *table, uint64_t cursor);

/*
 * For the receiving side: enters or overwrites by key; checks every string's end,
 * every enum and length first. Times are moved by shift_ns: this node's clock
 * minus the sender's. The record's pointers may be NULL for "" and are copied.
 * Of an ended dialog only what retransmissions need is kept. 0, -EINVAL (counted)
 * or -ENOSPC. The change gets a version of this table.
 */
int dialog_table_apply(struct dialog_table *table, const struct dialog *record, int64_t shift_ns);
/*
 * True when this dialog's BYE passed here while it was not in the table: for the
 * owner that takes back its calls after a restart, before that nothing is remembered.
 */
bool dialog_was_hung_up(const struct dialog_table *table, const struct dialog *dialog);
/*
 * True for a record of a half-open dialog that has its tag in this table, or was refused here:
 * nobody has that key any more, and whoever tells of it is behind.
 */
bool dialog_is_outgrown(struct dialog_table *table, const struct dialog *record);
/* The key's strings may be the dialog's own. 0, or -ENOENT. */
int dialog_table_remove(struct dialog_table *table, const struct dialog_key *key);
/* Before a snapshot is applied: drops all dialogs of `service` (every one with 255). */
void dialog_table_clear(struct dialog_table *table, uint8_t service);

/*
 * Drops what is over, ends what is silent, and keeps of what ended only what
 * retransmissions need. For the owner only: elsewhere the owner's
 * deletions arrive by the replica. Looks at up to `budget` slots a call. Returns how many went.
 */
uint32_t dialog_table_expire(struct dialog_table *table, struct mono now, uint32_t budget);

void dialog_key_of(const struct dialog *dialog, struct dialog_key *ret);
bool dialog_is_half_open(const struct dialog *dialog);
/* Confirmed, rescuing or rescued. */
bool dialog_is_up(const struct dialog *dialog);
const char *dialog_state_name(enum dialog_state state);
/* "header", "session-id", "sdp", "numbers", "" */
const char *dialog_paired_name(enum dialog_paired how);

struct dialog_counts {
	uint32_t dialogs; /* with both tags and not ended */
	uint32_t calls;   /* pairs and single legs that are up */
};
void dialog_table_counts(const struct dialog_table *table, uint8_t service, struct dialog_counts *ret);

#endif
