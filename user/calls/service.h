/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One service in the call keeper: its prober, dialog table, tracker and rescue,
 * and what the node's role means to them. An owner tracks what is captured and
 * replicates it; a node that does not own only holds what its peer says, and keeps
 * the few datagrams that came before it was told that it owns now. Called by main.
 */
#ifndef SIPFLIP_CALLS_SERVICE_H
#define SIPFLIP_CALLS_SERVICE_H

#include "dialog.h"
#include "held.h"
#include "link.h"
#include "media.h"
#include "prober.h"
#include "recover_socket.h"
#include "replica.h"
#include "rescue.h"
#include "rescue_plan.h"
#include "sipflip/capture.h"
#include "track.h"

#define SERVICE_COUNTERS(X)                                                                                  \
	X(service_held, "datagrams captured while this node does not own: kept for when the role comes")     \
	X(service_not_owned, "datagrams of a time before this node owned, read again after a restart")       \
	X(service_own, "datagrams between sipflip-calls and the local server: not tracked")                  \
	X(service_held_lost, "of these, given up before they were old: too many at once, or too large")

struct service_counters {
#define X(name, help) uint64_t name;
	SERVICE_COUNTERS(X)
#undef X
};

struct service {
	struct keeper_conf conf;
	int index;
	struct link *link;
	struct replica *replica;
	struct media *media;
	struct prober *prober;
	struct dialog_table table;
	struct track track;
	struct rescue *rescue;          /* NULL = not RESCUE_AGENT */
	struct recover_socket *recover; /* NULL = not RESCUE_SERVER by an event socket */
	bool owner;
	uint64_t epoch;
	uint64_t flipped_ns; /* since when it owns, if it does */
	uint64_t rescued_epoch;
	bool server_told;        /* table.origin is known, 0 included */
	bool resumed;            /* calls that were rescued before this process started are looked after */
	struct mono server_gone; /* the local server died while this node owned; 0 = no, or seen to */
	struct rescue_counts counts;
	struct rescue_counting counting;
	bool counts_old; /* a count is on its way */
	uint64_t counted_version;
	struct mono count_again;
	uint64_t warmed_version;
	struct mono warm_again;
	uint32_t warm_n; /* as last told */
	uint64_t warm_hash;
	struct keeper_calls said;
	struct held held;
	struct service_counters counters;
};

/* `svc` is zeroed memory that stays where it is. 0 or -errno; service_done in both cases. */
int service_init(struct service *svc, su_root_t *root, const struct keeper_conf *conf, struct link *link,
                 struct replica *replica, struct media *media);
void service_done(struct service *svc);

void service_role(struct service *svc, const struct keeper_role *role);
void service_server(struct service *svc, const struct keeper_server *server);
void service_captured(struct service *svc, const struct capture_record *record);
/* Every 100 ms: expiry, and KEEPER_CALLS when something changed. `lost` = records of the ring that were lost.
 */
void service_tick(struct service *svc, struct mono now, uint64_t lost);

#endif
