/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The voters' machine as the owner: taking, keeping and laying down a service.
 * Called by lease.c and the sentinel.
 */
#include <errno.h>

#include "lease_parts.h"

#define RUN_OUT 1 /* a word that is over, and not that of who is fenced */

static void resign(struct lease *lease, enum cause cause, const struct lease_view *view,
                   struct lease_actions *out)
{
	uint8_t heir = lease_other_data(lease)->node;
	uint64_t epoch = lease_epoch_after(lease, heir);
	int64_t heard_ns;
	struct msg msg = {
	        .type = WIRE_RESIGN,
	        .target = heir,
	        .detail = (uint8_t)cause,
	        .epoch = epoch,
	        .seq = lease->epoch,
	        .target_inc = view->heir->incarnation,
	        .grant_ns = view->heir->sent_ns,
	        .ok_age_us = mono_is_set(view->ok) ? (uint32_t)(mono_diff(view->now, view->ok) / NS_PER_US)
	                                           : UINT32_MAX,
	        .turn_age_us = mono_is_set(view->ill_since)
	                               ? (uint32_t)(mono_diff(view->now, view->ill_since) / NS_PER_US)
	                               : 0,
	};

	/* fence first, tell after: invariant 3 */
	lease_stop_owning(out);
	lease_act(out, LEASE_FORWARD)->node = heir;
	lease_send(lease, heir, msg, view, out);
	if (lease->conf.witness)
		lease_send(lease, lease->conf.witness, msg, view, out);

	/*
	 * The RESIGN is our vote for the heir. His lease runs from the time in his last
	 * echo, which may have come after this turn's time was read.
	 */
	heard_ns = (int64_t)__atomic_load_n(&view->heir->last_echo_ns, __ATOMIC_ACQUIRE);
	lease_promise(lease, heir, epoch, msg.target_inc,
	              heard_ns > view->now.ns ? mono_ns(heard_ns) : view->now);
	lease_other_data(lease)->tau = 0;
	lease->resign = msg;
	lease->resign_last = view->now;
	lease->resign_until = mono_add(view->now, lease->conf.lease_ns);
	lease_follow(lease, heir, epoch, cause, out);
}

void lease_server_ill(struct lease *lease, const struct lease_view *view, struct lease_actions *out)
{
	if (lease->state != LEASE_owner || view->healthy)
		return;
	if (view->word == LEASE_FENCED || lease_heir_unready(lease, view))
		return;
	resign(lease, view->ill, view, out);
}

int lease_hand_over(struct lease *lease, enum cause cause, const struct lease_view *view,
                    struct lease_actions *out)
{
	if (lease->state != LEASE_owner)
		return -EPERM;
	if (lease_heir_unready(lease, view))
		return -EAGAIN;
	resign(lease, cause, view, out);
	return 0;
}

void lease_own(struct lease *lease, uint64_t epoch, uint64_t until, enum cause cause,
               struct lease_actions *out)
{
	struct lease_action *a = lease_act(out, LEASE_OWN);

	a->epoch = epoch;
	a->until = until;
	lease_become(lease, LEASE_owner);
	lease_act(out, LEASE_FORWARD)->node = 0;
	lease_act(out, LEASE_ANNOUNCE);
	lease_owner_is(lease, lease->conf.self, epoch, cause, out);
	lease->promise.node = 0;
}

/* Ingress made this node the owner. */
static void adopt(struct lease *lease, uint64_t epoch, enum cause cause, struct lease_actions *out)
{
	lease_become(lease, LEASE_owner);
	lease->promise.node = 0;
	lease_act(out, LEASE_FORWARD)->node = 0;
	lease_act(out, LEASE_ANNOUNCE);
	lease_owner_is(lease, lease->conf.self, epoch, cause, out);
}

void lease_heed_word(struct lease *lease, const struct lease_view *view, struct lease_actions *out)
{
	if (lease_is_witness(lease) || lease->state == LEASE_owner || view->word == LEASE_FENCED)
		return;
	if ((view->word_epoch & 0xff) == lease->conf.self) {
		lease_note(out, "ingress had accepted RESIGN before its event was read: owner by the word");
		adopt(lease, view->word_epoch, CAUSE_none, out);
	} else {
		lease_stop_owning(out);
	}
}

void lease_resigned_to_us(struct lease *lease, const struct msg *msg, const struct lease_view *view,
                          struct lease_actions *out)
{
	if (view->word == LEASE_FENCED || msg->epoch < view->word_epoch)
		return; /* old news: laid down, or overtaken, since */
	if (lease->state != LEASE_owner || lease->epoch < msg->epoch)
		adopt(lease, msg->epoch, msg->detail, out);
	if (msg->epoch > view->word_epoch) {
		/* votes for an older epoch came between ingress and here */
		struct lease_action *a = lease_act(out, LEASE_OWN);

		a->epoch = msg->epoch;
		a->until = view->word;
	}
	/* the witness may have missed the old owner's copy: its grant to him still runs */
	if (lease->conf.witness) {
		struct lease_action *a = lease_act(out, LEASE_SEND);

		a->node = lease->conf.witness;
		a->msg = *msg; /* relayed as it came; the sentinel re-sends the sealed bytes */
	}
}

void lease_contested(struct lease *lease, const struct lease_view *view, struct lease_actions *out)
{
	if (lease->state == LEASE_owner && view->word > (uint64_t)view->now.ns)
		lease_act(out, LEASE_ANNOUNCE);
}

/*
 * Two voters: the other one grants nothing any more, because it is silent or
 * because its agent is (its data plane still reflects, and says it does not own).
 */
static bool peer_gives_nothing(const struct lease *lease, const struct lease_other *peer,
                               const struct lease_view *view)
{
	int64_t patience_ns = ECHO_LOST_SILENT * lease->conf.echo_ns;
	int64_t awake_ns = mono_diff(view->now, view->wake->awake_since);
	int64_t since_grant_ns = view->now.ns - (int64_t)view->heir->last_grant_ns;

	if (since_grant_ns <= patience_ns || awake_ns <= patience_ns)
		return false;
	return echo_silent(&peer->echo) || !(peer->flags & STATUS_OWNER);
}

/* Stays so through a stall of our own: only a grant ends it. */
static void judge_heir(struct lease *lease, const struct lease_other *peer, const struct lease_view *view,
                       struct lease_actions *out)
{
	int64_t since_grant_ns = view->now.ns - (int64_t)view->heir->last_grant_ns;

	if (!lease->alone && peer_gives_nothing(lease, peer, view)) {
		lease->alone = true;
		lease_note(out, "peer silent: owner with no heir");
	} else if (lease->alone && since_grant_ns <= ECHO_LOST_SILENT * lease->conf.echo_ns) {
		lease->alone = false;
		lease_note(out, "peer is back: owner by its grants again");
	}
}

static void give_up(struct lease *lease, enum cause cause, struct lease_actions *out)
{
	lease_stop_owning(out);
	lease_become(lease, LEASE_fenced);
	lease_owner_is(lease, 0, lease->epoch, cause, out);
}

/* Its echoes come and say so, though it may not hear ours. */
static bool peer_owns(const struct lease *lease, const struct lease_other *peer,
                      const struct lease_view *view)
{
	const struct peer *heard = view->heir;

	return heard && heard->flags & STATUS_CLAIM && (heard->epoch & 0xff) == peer->node &&
	       heard->epoch > lease->epoch &&
	       view->now.ns - (int64_t)heard->last_echo_ns < lease->conf.lease_ns / 2;
}

/*
 * A voter that gave its vote for a higher epoch never grants this one again, even
 * when nobody took that vote. While awake, nothing came for as long as any promise
 * to us could have run: a new epoch loses nothing.
 */
static bool lapsed_for_long(const struct lease *lease, const struct lease_view *view)
{
	int64_t patience_ns = lease->conf.lease_ns + lease_margin_ns(lease->conf.lease_ns);

	return mono_diff(view->now, lease->lapsed_since) >= patience_ns &&
	       mono_diff(view->now, view->wake->awake_since) >= patience_ns;
}

/*
 * Two voters: what the owner goes by but its heir's grants. Only hold makes a word
 * endless; one that an agent of another mode left behind ends at once.
 */
static void go_without_grants(struct lease *lease, const struct lease_view *view, struct lease_actions *out)
{
	bool hold = lease->conf.silence == LEASE_HOLD;
	uint64_t granted = view->heir->grant_until_ns, asked = lease_arbiter_until(lease, view);

	if (view->word == LEASE_FOREVER) {
		if (!hold || (!lease->alone && granted > (uint64_t)view->now.ns))
			lease_act(out, LEASE_EXTEND)->until = granted ? granted : RUN_OUT;
	} else if (hold && lease->alone) {
		lease_act(out, LEASE_EXTEND)->until = LEASE_FOREVER;
	} else if (asked > view->word && !lease->lapsed) {
		lease_act(out, LEASE_EXTEND)->until = asked;
	}
}

void lease_owner_tick(struct lease *lease, const struct lease_view *view, struct lease_actions *out)
{
	struct lease_other *peer = lease_other_data(lease);
	uint64_t now = (uint64_t)view->now.ns;
	bool lapsed = view->word <= now;

	if (lapsed && !lease->lapsed) {
		lease->lapses++;
		lease_note(out, "lease ran out: no voter granted it in time");
	}
	if (!lapsed && lease->lapsed) {
		lease_note(out, "lease renewed after it had run out");
		lease_act(out, LEASE_ANNOUNCE);
	}
	if (lapsed && !lease->lapsed)
		lease->lapsed_since = view->now;
	lease->lapsed = lapsed;

	if (peer && peer_owns(lease, peer, view)) {
		lease_note(out, "the peer owns with a higher epoch, by its echo: gave up");
		give_up(lease, CAUSE_contest, out);
		return;
	}
	if (peer && (lease->conf.silence == LEASE_HOLD || lease->conf.silence == LEASE_ARBITER))
		judge_heir(lease, peer, view, out);
	if (lease->conf.silence == LEASE_ARBITER && lease->alone && lapsed) {
		/* whoever sees the arbiter may own by now: it asks for the service as anybody else */
		lease_note(out, "neither peer nor arbiter was seen in time: gave up ownership");
		give_up(lease, CAUSE_owner_silent, out);
		return;
	}
	if (peer)
		go_without_grants(lease, view, out);
	if (!lapsed && lease->max_epoch > lease->epoch) {
		/* voters that forgot made it the owner; the one that remembers would never grant it */
		lease_note(out, "a voter knows a higher epoch: owner with a new one");
		lease_own(lease, lease_epoch_after(lease, lease->conf.self), view->word, CAUSE_none, out);
	}
	if (lapsed && view->healthy && lapsed_for_long(lease, view)) {
		lease_note(out, "no voter grants this epoch any more: asks for votes with a new one");
		give_up(lease, CAUSE_owner_silent, out);
		return;
	}
	if (!view->healthy)
		lease_server_ill(lease, view, out);
}

void lease_repeat_resign(struct lease *lease, const struct lease_view *view, struct lease_actions *out)
{
	struct lease_other *heir;

	if (!lease->resign.type)
		return;
	heir = lease_other_of(lease, lease->resign.target);
	if (!mono_before(view->now, lease->resign_until) || lease->state == LEASE_owner ||
	    (heir->epoch >= lease->resign.epoch && (heir->flags & STATUS_OWNER))) {
		lease->resign.type = 0;
		return;
	}
	if (mono_diff(view->now, lease->resign_last) < LEASE_RESIGN_REPEAT_NS)
		return;
	lease->resign_last = view->now;
	lease_send(lease, lease->resign.target, lease->resign, view, out);
}
