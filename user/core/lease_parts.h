/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the three files of the voters' machine share. Nobody else includes it. */
#ifndef SIPFLIP_CORE_LEASE_PARTS_H
#define SIPFLIP_CORE_LEASE_PARTS_H

#include "lease.h"

#define LEASE_RESIGN_REPEAT_NS NS_PER_MS
#define LEASE_PREFERENCE       4 /* leases: how much later the second node of a cold start asks */
#define LEASE_ALONE_ECHOES                                                                                   \
	3 /* how much longer than any lease of the other one it waits to take over alone                     \
	   */

/* lease.c */
struct lease_action *lease_act(struct lease_actions *out, enum lease_action_type type);
void lease_note(struct lease_actions *out, const char *text);
struct lease_other *lease_other_of(struct lease *lease, uint8_t node);
/* The other data node; NULL when there is none. A witness has two: the first. */
struct lease_other *lease_other_data(struct lease *lease);
bool lease_is_witness(const struct lease *lease);
bool lease_muted(const struct lease *lease, struct mono now);
bool lease_promise_runs(const struct lease *lease, struct mono now);
/* Until when the arbiter's last answer lets this node own; 0 = it says nothing. */
uint64_t lease_arbiter_until(const struct lease *lease, const struct lease_view *view);
/* The vote of this node is that node's, of that incarnation, for a lease and a margin from now. */
void lease_promise(struct lease *lease, uint8_t node, uint64_t epoch, uint64_t inc, struct mono now);
uint64_t lease_epoch_after(const struct lease *lease, uint8_t owner);
/* The one funnel of state changes. */
void lease_become(struct lease *lease, enum lease_state state);
/* Whom this node believes to own the service; says so once, when it changes. */
void lease_owner_is(struct lease *lease, uint8_t node, uint64_t epoch, enum cause cause,
                    struct lease_actions *out);
/* Grants that owner from now on: HEIR, or WITNESS. */
void lease_follow(struct lease *lease, uint8_t node, uint64_t epoch, enum cause cause,
                  struct lease_actions *out);
void lease_stop_owning(struct lease_actions *out);
/* Fills in what every message of ours carries and sends it to `target`. */
void lease_send(struct lease *lease, uint8_t target, struct msg msg, const struct lease_view *view,
                struct lease_actions *out);

/* lease_owner.c */
void lease_own(struct lease *lease, uint64_t epoch, uint64_t until, enum cause cause,
               struct lease_actions *out);
void lease_owner_tick(struct lease *lease, const struct lease_view *view, struct lease_actions *out);
/* The word says that ingress made this node the owner, and nobody told its agent yet. */
void lease_heed_word(struct lease *lease, const struct lease_view *view, struct lease_actions *out);
/* RESIGN may get lost: repeated until the heir shows itself as owner. */
void lease_repeat_resign(struct lease *lease, const struct lease_view *view, struct lease_actions *out);

/* lease_voter.c */
/* Does this voter hear somebody own the service? */
bool lease_owner_heard(struct lease *lease);
/* A data node that does not own: stands by, or asks for votes. */
void lease_data_tick(struct lease *lease, const struct lease_view *view, struct lease_actions *out);

#endif
