/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The calls' part of the kernel maps (sipflip/abi.h: flow_ports, flows, steer,
 * media): from each change of the dialog table to flows and steered Call-IDs, and
 * from what the kernel saw of the media back into the table. Writes them on every
 * node at all times; whether they mean anything is the ownership word's business.
 * One for the process, since ports and slots are shared by its services.
 */
#ifndef SIPFLIP_CALLS_MEDIA_H
#define SIPFLIP_CALLS_MEDIA_H

#include <sofia-sip/su_wait.h>

#include "dialog.h"
#include "media_plan.h"
#include "sipflip/keeper.h"

struct media;

#define MEDIA_COUNTERS(X)                                                                                    \
	X(media_flows_full, "flows not entered: the map is full")                                            \
	X(media_port_held, "ports that the local server wants and a rescued call holds")                     \
	X(media_port_taken, "flows not entered: another call holds the port")                                \
	X(media_steer_full, "Call-IDs not steered: the map is full or refused them")                         \
	X(media_seen, "streams whose real addresses the kernel showed")                                      \
	X(media_missed, "of these, those that a look into the map showed first: the news was lost or late")  \
	X(media_relatched, "streams whose source changed after a takeover")                                  \
	X(media_malformed, "records of the media ring that make no sense")

struct media_counters {
#define X(name, help) uint64_t name;
	MEDIA_COUNTERS(X)
#undef X
};

/* The descriptors of keeper.h, or -1 each: without a data plane it plans and writes nothing. 0 or -errno. */
int media_new(su_root_t *root, int ports_fd, int flows_fd, int steer_fd, int media_fd, struct media **ret);
void media_free(struct media *media);

/*
 * Sets the table's observer. Before the loop runs; conf and table outlive media.
 * on_seen is called after the kernel's news changed a dialog (to flush the replica).
 * Nothing is entered with rescue_mode other than RESCUE_AGENT.
 */
int media_add_service(struct media *media, const struct keeper_conf *conf, struct dialog_table *table,
                      void (*on_seen)(void *context), void *context);
/* Before the table goes. What is in the kernel's maps stays: the media goes on without this process. */
void media_remove_service(struct media *media, int service);
/*
 * table->origin changed: which calls the local server holds is worked out anew. To be
 * called once at the start as well, as soon as it is known: nothing is entered before.
 */
void media_origin_changed(struct media *media, int service);
/* Whether this node owns the service: only at an owner the phones are heard. */
void media_role(struct media *media, int service, bool owner, struct mono now);
/*
 * Writes what changed since the last call; after each handled datagram. A bounded
 * number of dialogs a turn; the rest, and what changed without this being called
 * (the replica's), follows as soon as the loop turns.
 */
void media_flush(struct media *media);

/* The flows of a leg as they are in the maps now. NULL = none for this stream. */
const struct flow *media_flow_of(const struct media *media, const struct dialog *dialog, unsigned int stream);
/* True when no packet came from this leg's phone since `since`, while its media is not on hold. */
bool media_is_silent(const struct media *media, const struct dialog *dialog, struct mono since);
/*
 * The same of a whole call that sipflip-calls holds, while this node has owned since
 * then. False for every other call.
 */
bool media_call_is_silent(const struct media *media, const struct dialog *dialog, struct mono since);
/*
 * A free even port of the VIP (and the odd one above) for a leg that the dead server had given none;
 * reserved until a dialog's SDP names it, or 60 s. 0 = none left.
 */
uint16_t media_take_port(struct media *media, int service, struct mono now);

struct media_counts {
	uint32_t flows;
	uint32_t relayed; /* calls */
	uint32_t ports_held;
};
void media_counts(const struct media *media, int service, struct media_counts *ret);
const struct media_counters *media_counters(const struct media *media);

#endif
