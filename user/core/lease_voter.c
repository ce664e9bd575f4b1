/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The voters' machine as one who does not own: granting the owner, voting, and
 * asking for votes when nobody owns. Called by lease.c and the sentinel.
 */
#include "lease_parts.h"

#define WITHHOLD_LEASES 2       /* an owner with a dead server gets this long to act */
#define FROZEN_US       2000000 /* twice what an OPTIONS may take at most by default */

/* Nothing moves there but the kernel: neither does the agent turn, nor does the server answer OPTIONS. */
static bool programs_frozen(const struct lease *lease, const struct lease_other *owner)
{
	return lease->conf.silence == LEASE_WITNESSED && owner->turn_age_us >= FROZEN_US &&
	       owner->ok_age_us >= FROZEN_US && owner->ok_age_us != UINT32_MAX;
}

/* The owner's server is dead by its kernel's word and its agent does nothing about it; or neither moves. */
static bool agent_fails(struct lease *lease, const struct lease_other *owner, const struct lease_view *view)
{
	struct lease_other *heir = NULL;
	int64_t patience_us = WITHHOLD_LEASES * lease->conf.lease_ns / NS_PER_US;

	bool dead = owner->flags & STATUS_SERVER_DEAD && owner->turn_age_us >= patience_us;

	if (!dead && !programs_frozen(lease, owner))
		return false;
	if (!lease_is_witness(lease))
		return lease_armed(lease, view);
	for (int i = 0; i < 2; i++)
		if (lease->other[i].node && lease->other[i].node != owner->node)
			heir = &lease->other[i];
	return heir && !echo_silent(&heir->echo) && (heir->flags & STATUS_ARMED);
}

/* A reflection of a node that owns, or claims to: grant it if no promise forbids. */
static void hear_owner(struct lease *lease, struct lease_other *other, const struct msg *msg,
                       const struct lease_view *view, struct lease_actions *out)
{
	bool held = lease_promise_runs(lease, view->now);

	if (msg->epoch < lease->promise.epoch) {
		/* its vote was for a higher one, which the owner does not know of: it may take one above */
		struct msg refuse = {.type = WIRE_REFUSE, .epoch = lease->max_epoch, .detail = REFUSE_EPOCH};

		if (!held)
			lease_send(lease, other->node, refuse, view, out);
		return;
	}
	if (held && lease->promise.node != other->node)
		return; /* an owner may raise its own epoch: it is the same node's word */
	lease->withholding = agent_fails(lease, other, view);
	if (lease->withholding)
		return;
	if (lease->state == LEASE_listen && lease_muted(lease, view->now)) {
		/* learns, but grants nothing yet */
		lease_owner_is(lease, other->node, msg->epoch, CAUSE_none, out);
		if (!lease_is_witness(lease)) {
			lease_act(out, LEASE_EPOCH)->epoch = msg->epoch;
			lease_act(out, LEASE_FORWARD)->node = other->node;
		}
		return;
	}
	if (lease->owner != other->node || lease->epoch != msg->epoch ||
	    (lease->state != LEASE_heir && lease->state != LEASE_witness))
		lease_follow(lease, other->node, msg->epoch, CAUSE_none, out);
	other->tau = msg->grant_ns;
	lease_promise(lease, other->node, msg->epoch, msg->sender_inc, view->now);
}

static void on_reflect(struct lease *lease, struct lease_other *other, const struct msg *msg,
                       const struct lease_view *view, struct lease_actions *out)
{
	/* an epoch names its owner: a claim to somebody else's is no claim */
	bool owns = (msg->flags & (STATUS_OWNER | STATUS_CLAIM)) && (msg->epoch & 0xff) == other->node;

	if (!echo_answered(&other->echo, msg->seq, view->now))
		return;
	other->heard = view->now;
	other->epoch = msg->epoch;
	other->inc = msg->sender_inc;
	other->flags = msg->flags;
	other->ok_age_us = msg->ok_age_us;
	other->turn_age_us = msg->turn_age_us;
	if (msg->epoch > lease->max_epoch)
		lease->max_epoch = msg->epoch;

	if (!owns) {
		other->tau = 0;
		return;
	}
	if (lease->state == LEASE_owner) {
		if (msg->epoch < lease->epoch)
			return; /* it will hear of us */
		lease_stop_owning(out);
		lease_note(out, "another owner with a higher epoch: gave up");
		lease->promise.node = 0;
		lease_follow(lease, other->node, msg->epoch, CAUSE_contest, out);
	}
	hear_owner(lease, other, msg, view, out);
}

bool lease_owner_heard(struct lease *lease)
{
	for (int i = 0; i < 2; i++) {
		const struct lease_other *o = &lease->other[i];

		if (o->node && o->data && mono_is_set(o->heard) && !echo_silent(&o->echo) &&
		    (o->flags & STATUS_OWNER) && !lease->withholding)
			return true;
	}
	return false;
}

static bool preferred(const struct lease *lease, uint8_t node)
{
	return lease->conf.data[0] == node;
}

static enum refuse_reason judge_request(struct lease *lease, const struct msg *msg,
                                        const struct lease_view *view)
{
	bool again = lease->promise.node == msg->sender && lease->promise.epoch == msg->epoch;

	if (lease->state == LEASE_owner)
		return REFUSE_OWNER;
	if (lease_muted(lease, view->now))
		return REFUSE_MUTE;
	if ((msg->epoch & 0xff) != msg->sender || (msg->epoch <= lease->promise.epoch && !again))
		return REFUSE_EPOCH;
	if (lease_promise_runs(lease, view->now) && lease->promise.node != msg->sender)
		return REFUSE_PROMISED;
	if (lease_owner_heard(lease) && !again)
		return REFUSE_OWNER_HEARD;
	if (lease->state == LEASE_candidate && !preferred(lease, msg->sender))
		return REFUSE_PROMISED; /* own vote is ours */
	return REFUSE_NONE;
}

static void on_vote_request(struct lease *lease, const struct msg *msg, const struct lease_view *view,
                            struct lease_actions *out)
{
	enum refuse_reason why = judge_request(lease, msg, view);
	struct msg reply = {.epoch = msg->epoch, .seq = msg->seq, .target_inc = msg->sender_inc};

	if (why) {
		reply.type = WIRE_REFUSE;
		reply.detail = why;
		reply.epoch = lease->max_epoch;
		lease_send(lease, msg->sender, reply, view, out);
		return;
	}
	if (lease->state == LEASE_candidate)
		lease_become(lease, LEASE_fenced); /* its late votes are not ours any more */
	lease_promise(lease, msg->sender, msg->epoch, msg->sender_inc, view->now);
	reply.type = WIRE_VOTE;
	reply.grant_ns = msg->sent_ns;
	lease_send(lease, msg->sender, reply, view, out);
}

static void on_vote(struct lease *lease, const struct msg *msg, const struct lease_view *view,
                    struct lease_actions *out)
{
	uint64_t until = msg->grant_ns + (uint64_t)lease->conf.lease_ns;
	uint8_t before = lease->owner;

	if (lease->state != LEASE_candidate || msg->epoch != lease->asked_epoch)
		return;
	if (msg->target_inc != lease->conf.incarnation || (int64_t)msg->grant_ns < lease->asked_first.ns ||
	    (int64_t)msg->grant_ns > view->now.ns || until <= (uint64_t)view->now.ns)
		return;
	lease_own(lease, msg->epoch, until, before ? CAUSE_owner_silent : CAUSE_cold_start, out);
}

static void on_refuse(struct lease *lease, const struct msg *msg)
{
	if (msg->epoch > lease->max_epoch)
		lease->max_epoch = msg->epoch;
	if (lease->state != LEASE_candidate || msg->detail >= 8)
		return;
	lease->refused[msg->detail]++;
	lease->last_refusal = msg->detail;
	/* asks again with a higher one; a refusal of an earlier question comes too late for that */
	if (msg->detail == REFUSE_EPOCH && msg->epoch >= lease->asked_epoch)
		lease->asked_epoch = 0;
}

/* The old owner, or the heir on its behalf, shows a voter that it laid down the service. */
static void on_resign_shown(struct lease *lease, const struct msg *msg, const struct lease_view *view,
                            struct lease_actions *out)
{
	struct lease_other *heir = lease_other_of(lease, msg->target);

	if (!heir || lease->state == LEASE_owner || (msg->epoch & 0xff) != msg->target ||
	    msg->epoch <= lease->promise.epoch)
		return;
	/* an epoch may come again when all nodes have lost their memory; an incarnation does not */
	if (lease->promise.node && (lease->promise.node != msg->sender || lease->promise.epoch != msg->seq ||
	                            lease->promise.inc != msg->sender_inc))
		return;
	if (lease_muted(lease, view->now))
		return;
	heir->tau = 0;
	lease_promise(lease, msg->target, msg->epoch, msg->target_inc, view->now);
	lease_follow(lease, msg->target, msg->epoch, msg->detail, out);
}

void lease_receive(struct lease *lease, const struct msg *msg, const struct lease_view *view,
                   struct lease_actions *out)
{
	struct lease_other *other = lease_other_of(lease, msg->sender);

	if (!other || (msg->target != lease->conf.self && msg->type != WIRE_RESIGN))
		return;
	lease_heed_word(lease, view, out);
	switch (msg->type) {
	case WIRE_REFLECT:
		if (msg->target_inc == lease->conf.incarnation && other->data)
			on_reflect(lease, other, msg, view, out);
		break;
	case WIRE_VOTE_REQ:
		if (other->data)
			on_vote_request(lease, msg, view, out);
		break;
	case WIRE_VOTE:
		on_vote(lease, msg, view, out);
		break;
	case WIRE_REFUSE:
		if (msg->target_inc == lease->conf.incarnation)
			on_refuse(lease, msg);
		break;
	case WIRE_RESIGN:
		on_resign_shown(lease, msg, view, out);
		break;
	default:
		break;
	}
}

/* --- candidacy ---------------------------------------------------------- */

/* Its echoes come and say that it owns, though our own may not reach it. */
static bool owner_echoes(const struct lease *lease, const struct lease_view *view)
{
	return view->heir && view->heir->flags & STATUS_OWNER && !lease->withholding &&
	       view->now.ns - (int64_t)view->heir->last_echo_ns < lease->conf.lease_ns / 2;
}

/* Nobody of the data nodes owns, as far as honest listening can tell. */
static bool service_orphaned(struct lease *lease, const struct lease_view *view)
{
	struct lease_other *peer = lease_other_data(lease);

	if (lease_promise_runs(lease, view->now) || lease_owner_heard(lease) || owner_echoes(lease, view))
		return false;
	if (!peer)
		return true;
	/* either silent by the count of echoes, or it answers that it does not own */
	return echo_silent(&peer->echo) ||
	       (mono_is_set(peer->heard) &&
	        mono_diff(view->now, peer->heard) < lease->conf.lease_ns + 2 * lease->conf.echo_ns &&
	        (!(peer->flags & STATUS_OWNER) || lease->withholding));
}

/*
 * The arbiter's answers may have renewed the owner's word for a while after we had
 * heard the last of it, also when we had promised nothing: that is over now.
 */
static bool waited_for_owner(const struct lease *lease, const struct lease_other *peer,
                             const struct lease_view *view)
{
	int64_t wait_ns = lease->conf.lease_ns + lease_margin_ns(lease->conf.lease_ns) +
	                  LEASE_ALONE_ECHOES * lease->conf.echo_ns;

	return mono_diff(view->now, peer->heard) >= wait_ns &&
	       mono_diff(view->now, view->wake->awake_since) >= wait_ns;
}

/* Two voters and the other one is silent: what the operator chose. */
static bool may_take_alone(struct lease *lease, const struct lease_view *view, struct lease_actions *out)
{
	struct lease_other *peer = lease_other_data(lease);

	if (lease->conf.silence == LEASE_WITNESSED || lease->conf.silence == LEASE_RELEASE)
		return false;
	if (!peer || !echo_silent(&peer->echo))
		return false;
	if (lease->conf.silence == LEASE_HOLD)
		return true;
	if (lease_arbiter_until(lease, view) <= (uint64_t)view->now.ns ||
	    !waited_for_owner(lease, peer, view))
		return false;
	if (!view->vip_unclaimed) {
		lease_act(out, LEASE_PROBE_VIP);
		return false;
	}
	return true;
}

static void ask_votes(struct lease *lease, const struct lease_view *view, struct lease_actions *out)
{
	if (!lease->asked_epoch) {
		lease->asked_epoch = lease_epoch_after(lease, lease->conf.self);
		lease->max_epoch = lease->asked_epoch;
		lease->asked_first = view->now;
	}
	lease->asked_last = view->now;
	for (int i = 0; i < 2; i++) {
		struct msg msg = {.type = WIRE_VOTE_REQ, .epoch = lease->asked_epoch};

		if (lease->other[i].node)
			lease_send(lease, lease->other[i].node, msg, view, out);
	}
}

static void forget_owner(struct lease *lease, struct lease_actions *out)
{
	lease_become(lease, LEASE_fenced);
	lease_act(out, LEASE_FORWARD)->node = 0;
}

void lease_data_tick(struct lease *lease, const struct lease_view *view, struct lease_actions *out)
{
	bool fit = !lease_self_unready(lease, view);
	bool orphaned = service_orphaned(lease, view);

	if (lease->state == LEASE_listen && !lease_muted(lease, view->now))
		lease_become(lease, LEASE_fenced);
	if (lease->state == LEASE_listen)
		return;
	if (!orphaned || !fit) {
		if (lease->state == LEASE_candidate || (orphaned && lease->state == LEASE_heir))
			forget_owner(lease, out);
		return;
	}
	if (!lease->owner && mono_before(view->now, lease->ask_after))
		return;
	if (may_take_alone(lease, view, out)) {
		uint64_t until =
		        lease->conf.silence == LEASE_HOLD ? LEASE_FOREVER : lease_arbiter_until(lease, view);

		lease_own(lease, lease_epoch_after(lease, lease->conf.self), until,
		          lease->owner ? CAUSE_owner_silent : CAUSE_cold_start, out);
		return;
	}
	if (lease->state != LEASE_candidate) {
		lease_act(out, LEASE_FORWARD)->node = 0;
		lease_become(lease, LEASE_candidate);
		ask_votes(lease, view, out);
	} else if (mono_diff(view->now, lease->asked_last) >= lease->conf.echo_ns) {
		ask_votes(lease, view, out);
	}
}
