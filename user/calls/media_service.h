/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Inside of media.c (dialogs to marks, marks to plans), media_flows.c (plans to
 * slots) and media_seen.c (the kernel's news to dialogs). Nobody else includes this.
 */
#ifndef SIPFLIP_CALLS_MEDIA_SERVICE_H
#define SIPFLIP_CALLS_MEDIA_SERVICE_H

#include "loop.h"
#include "media.h"
#include "media_maps.h"
#include "media_steer.h"

#define MEDIA_LINES (DIALOG_STREAMS / 2)

/* What is kept of a dialog, by its place in the table. */
struct media_leg {
	uint32_t flow[DIALOG_STREAMS]; /* slots; 0 = none */
	uint64_t hash;                 /* of the Call-ID, while steered */
	uint64_t planned;              /* what the last plan was made from; 0 = none */
	uint64_t said[MEDIA_LINES];    /* where the phone's SDP wanted the media, last time; 0 = nowhere */
	uint64_t seen[MEDIA_LINES];    /* and what was known of its streams then */
	bool marked;                   /* changed since the last flush */
	bool listed;                   /* its place is in the list of marks */
	bool steered;
	bool proxied;
	bool on_hold;   /* its phone has been told, or has said, to send nothing */
	bool relayed;   /* counted */
	uint8_t denied; /* a bit a stream: another call holds its port */
	uint8_t held;   /* the same, and that call is a rescued one and this one the local server's */
};

struct media_service {
	struct media *media;
	struct keeper_conf conf;
	struct dialog_table *table;
	void (*on_seen)(void *context);
	void *context;
	struct media_leg *legs;
	uint32_t *marks; /* ring of places in the table, table->max of them */
	uint32_t marks_first;
	uint32_t n_marks;
	uint32_t n_relayed; /* legs */
	uint32_t n_flows;
	uint32_t n_held;   /* ports */
	uint32_t n_denied; /* legs with a bit in denied */
	bool retry;        /* a port came free: those may have it now */
	bool told;         /* whose server runs here is known: before that nothing is entered */
	bool owner;
	struct mono owner_since;
};

struct media {
	su_root_t *root;
	struct media_maps maps;
	struct media_steer steer;
	struct ring_buffer *ring;
	struct loop_fd ring_watch;
	unsigned int ring_left; /* records of this turn */
	struct loop_alarm flush;
	bool flush_set;
	struct loop_alarm sweep;
	struct loop_alarm look;
	uint32_t look_at; /* slot */
	struct media_service *services[MAX_SERVICES];
	int64_t *reserved_until; /* by port / 2; NULL until the first is taken */
	uint16_t next_port;
	struct media_counters counters;
};

/* media.c */
void media_mark(struct media_service *svc, const struct dialog *dialog);
struct media_leg *media_leg_of(const struct media_service *svc, const struct dialog *dialog);
struct dialog *media_dialog_at(const struct media_service *svc, uint32_t place);
/* The server that runs here holds the call. */
bool media_is_local(const struct media_service *svc, const struct dialog *dialog);

/* media_flows.c */

/* Brings the flows of a dialog and of its partner (NULL = none) into line with the table. */
void media_flows_plan(struct media_service *svc, struct dialog *dialog, struct dialog *peer);
void media_flows_drop(struct media_service *svc, struct media_leg *leg);

/* media_seen.c */
int media_seen_open(struct media *media, int fd);
void media_seen_close(struct media *media);
/* One record of the ring. True when it changed a dialog. */
bool media_seen(struct media *media, const struct media_event *event);
/* At some of the slots, in turn, for news that were lost. */
void media_look(struct media *media);

#endif
