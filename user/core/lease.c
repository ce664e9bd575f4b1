/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The voters' machine, see lease.h. Owns no I/O and no clock. Every change of
 * state goes through become().
 */
#include "lease.h"

#include <errno.h>
#include <string.h>

#define RESIGN_REPEAT_NS  (1 * NS_PER_MS)
#define WITHHOLD_LEASES   2 /* an owner with a dead server gets this long to act */
#define PREFERENCE_LEASES 4 /* how much later the second node of a cold start asks */

static struct lease_action *act(struct lease_actions *out, enum lease_action_type type)
{
	if (out->n == LEASE_MAX_ACTIONS) {
		out->dropped++;
		return &out->a[LEASE_MAX_ACTIONS - 1];
	}
	out->a[out->n] = (struct lease_action){.type = type};
	return &out->a[out->n++];
}

static void note(struct lease_actions *out, const char *text)
{
	act(out, LEASE_NOTE)->text = text;
}

int64_t lease_margin_ns(int64_t lease_ns)
{
	return lease_ns / 256 + 50 * NS_PER_US;
}

const char *lease_state_name(enum lease_state state)
{
	static const char *const names[] = {
#define ROLE(name, value) [value] = #name,
#include "sipflip/roles.def"
#undef ROLE
	};
	return names[state];
}

static struct lease_other *other_of(struct lease *lease, uint8_t node)
{
	for (int i = 0; i < 2; i++)
		if (node && lease->other[i].node == node)
			return &lease->other[i];
	return NULL;
}

static struct lease_other *other_data(struct lease *lease)
{
	for (int i = 0; i < 2; i++)
		if (lease->other[i].node && lease->other[i].data)
			return &lease->other[i];
	return NULL;
}

static bool is_witness(const struct lease *lease)
{
	return lease->conf.self == lease->conf.witness;
}

static bool muted(const struct lease *lease, struct mono now)
{
	return mono_before(now, lease->listen_until);
}

static bool promise_runs(const struct lease *lease, struct mono now)
{
	return lease->promise.node && mono_before(now, lease->promise.until);
}

static void promise(struct lease *lease, uint8_t node, uint64_t epoch, struct mono now)
{
	lease->promise.node = node;
	lease->promise.epoch = epoch;
	lease->promise.until = mono_add(now, lease->conf.lease_ns + lease_margin_ns(lease->conf.lease_ns));
	if (epoch > lease->max_epoch)
		lease->max_epoch = epoch;
}

static uint64_t epoch_after(const struct lease *lease, uint8_t owner)
{
	return (((lease->max_epoch >> 8) + 1) << 8) | owner;
}

/* The one funnel of state changes. */
static void become(struct lease *lease, enum lease_state state)
{
	lease->state = state;
	if (state != LEASE_owner)
		lease->lapsed = false;
	if (state != LEASE_candidate)
		lease->asked_epoch = 0;
}

/* Whom this node believes to own the service; says so once, when it changes. */
static void owner_is(struct lease *lease, uint8_t node, uint64_t epoch, enum cause cause,
                     struct lease_actions *out)
{
	struct lease_action *a;
	uint8_t from = lease->owner;

	if (lease->owner == node && lease->epoch == epoch)
		return;
	lease->owner = node;
	lease->epoch = epoch;
	if (epoch > lease->max_epoch)
		lease->max_epoch = epoch;
	if (is_witness(lease) && from == node)
		return;
	a = act(out, LEASE_CHANGED);
	a->node = node;
	a->from = from;
	a->epoch = epoch;
	a->cause = cause;
}

static void follow(struct lease *lease, uint8_t node, uint64_t epoch, enum cause cause,
                   struct lease_actions *out)
{
	owner_is(lease, node, epoch, cause, out);
	if (is_witness(lease)) {
		become(lease, LEASE_witness);
		return;
	}
	become(lease, LEASE_heir);
	act(out, LEASE_EPOCH)->epoch = epoch;
	act(out, LEASE_FORWARD)->node = node;
}

static void stop_owning(struct lease_actions *out)
{
	act(out, LEASE_FENCE);
}

static void send(struct lease *lease, uint8_t target, struct msg msg, const struct lease_view *view,
                 struct lease_actions *out)
{
	struct lease_other *other = other_of(lease, target);

	msg.service = lease->conf.service;
	msg.sender = lease->conf.self;
	msg.target = msg.type == WIRE_RESIGN ? msg.target : target;
	msg.sender_inc = lease->conf.incarnation;
	if (!msg.target_inc && other)
		msg.target_inc = other->inc;
	if (!msg.sent_ns)
		msg.sent_ns = (uint64_t)view->now.ns;
	msg.config_tag = lease->conf.config_tag;
	msg.flags = lease_flags(lease, view);
	if (msg.type != WIRE_RESIGN) {
		msg.ok_age_us = mono_is_set(view->ok) ? (uint32_t)(mono_diff(view->now, view->ok) / NS_PER_US)
		                                      : UINT32_MAX;
		msg.turn_age_us = 0;
	}
	struct lease_action *a = act(out, LEASE_SEND);

	a->node = target;
	a->msg = msg;
}

void lease_init(struct lease *lease, const struct lease_conf *conf, uint64_t word, uint64_t epoch,
                struct mono now)
{
	int n = 0;

	*lease = (struct lease){.conf = *conf, .epoch = epoch, .max_epoch = epoch, .next_echo = now};
	for (int i = 0; i < 2; i++)
		if (conf->data[i] && conf->data[i] != conf->self)
			lease->other[n++] = (struct lease_other){.node = conf->data[i], .data = true};
	if (conf->witness && conf->witness != conf->self)
		lease->other[n++] = (struct lease_other){.node = conf->witness};

	lease->listen_until = mono_add(now, conf->lease_ns + lease_margin_ns(conf->lease_ns));
	lease->ask_after = lease->listen_until;
	if (conf->data[0] != conf->self)
		lease->ask_after = mono_add(lease->listen_until, PREFERENCE_LEASES * conf->lease_ns);
	if (word != LEASE_FENCED && (epoch & 0xff) == conf->self) {
		lease->owner = conf->self;
		become(lease, LEASE_owner);
	} else {
		become(lease, LEASE_listen);
	}
}

const char *lease_self_unready(const struct lease *lease, const struct lease_view *view)
{
	if (is_witness(lease))
		return "witness";
	if (!view->healthy)
		return "own SIP server is not healthy";
	if (muted(lease, view->now))
		return "listening: started less than a lease ago";
	return NULL;
}

bool lease_armed(const struct lease *lease, const struct lease_view *view)
{
	return lease->state != LEASE_owner && !lease_self_unready(lease, view);
}

uint32_t lease_flags(const struct lease *lease, const struct lease_view *view)
{
	uint32_t flags = view->flags;

	if (lease->state == LEASE_owner)
		flags |= STATUS_CLAIM;
	if (lease->state == LEASE_owner && view->word > (uint64_t)view->now.ns)
		flags |= STATUS_OWNER;
	if (view->healthy)
		flags |= STATUS_HEALTHY;
	if (lease_armed(lease, view))
		flags |= STATUS_ARMED;
	if (muted(lease, view->now) && lease->state != LEASE_owner)
		flags |= STATUS_MUTE;
	if (is_witness(lease))
		flags |= STATUS_WITNESS;
	return flags;
}

const char *lease_heir_unready(const struct lease *lease, const struct lease_view *view)
{
	const struct peer *heir = view->heir;

	if (!heir || !heir->last_echo_ns)
		return "never heard";
	if ((uint64_t)view->now.ns - heir->last_echo_ns > (uint64_t)(lease->conf.lease_ns / 2))
		return "silent";
	if (!(heir->flags & STATUS_ARMED)) {
		if (heir->flags & STATUS_SERVER_DEAD)
			return "its SIP server is dead";
		if (heir->flags & STATUS_HUNG)
			return "its SIP server does not answer OPTIONS";
		if (heir->flags & STATUS_MUTE)
			return "it just started and listens";
		return "its SIP server is not known healthy";
	}
	return NULL;
}

/* --- owner -------------------------------------------------------------- */

static void resign(struct lease *lease, enum cause cause, const struct lease_view *view,
                   struct lease_actions *out)
{
	uint8_t heir = other_data(lease)->node;
	uint64_t epoch = epoch_after(lease, heir);
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
	stop_owning(out);
	act(out, LEASE_FORWARD)->node = heir;
	send(lease, heir, msg, view, out);
	if (lease->conf.witness)
		send(lease, lease->conf.witness, msg, view, out);

	/* the RESIGN is our vote for the heir */
	promise(lease, heir, epoch, view->now);
	other_data(lease)->tau = 0;
	lease->resign = msg;
	lease->resign_last = view->now;
	lease->resign_until = mono_add(view->now, lease->conf.lease_ns);
	follow(lease, heir, epoch, cause, out);
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

static void own(struct lease *lease, uint64_t epoch, uint64_t until, enum cause cause,
                const struct lease_view *view, struct lease_actions *out)
{
	struct lease_action *a = act(out, LEASE_OWN);

	a->epoch = epoch;
	a->until = until;
	become(lease, LEASE_owner);
	act(out, LEASE_FORWARD)->node = 0;
	act(out, LEASE_ANNOUNCE);
	owner_is(lease, lease->conf.self, epoch, cause, out);
	lease->promise.node = 0;
	(void)view;
}

void lease_resigned_to_us(struct lease *lease, const struct msg *msg, const struct lease_view *view,
                          struct lease_actions *out)
{
	if (lease->state == LEASE_owner && lease->epoch >= msg->epoch)
		return;
	become(lease, LEASE_owner);
	lease->promise.node = 0;
	act(out, LEASE_FORWARD)->node = 0;
	act(out, LEASE_ANNOUNCE);
	owner_is(lease, lease->conf.self, msg->epoch, msg->detail, out);
	/* the witness may have missed the old owner's copy: its grant to him still runs */
	if (lease->conf.witness) {
		struct lease_action *a = act(out, LEASE_SEND);

		a->node = lease->conf.witness;
		a->msg = *msg; /* relayed as it came; the sentinel re-sends the sealed bytes */
	}
	(void)view;
}

void lease_contested(struct lease *lease, const struct lease_view *view, struct lease_actions *out)
{
	if (lease->state == LEASE_owner && view->word > (uint64_t)view->now.ns)
		act(out, LEASE_ANNOUNCE);
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

static void owner_tick(struct lease *lease, const struct lease_view *view, struct lease_actions *out)
{
	struct lease_other *peer = other_data(lease);
	uint64_t now = (uint64_t)view->now.ns;
	bool lapsed = view->word <= now;
	uint64_t granted = view->heir ? view->heir->grant_until_ns : 0;

	if (lapsed && !lease->lapsed) {
		lease->lapses++;
		note(out, "lease ran out: no voter granted it in time");
	}
	if (!lapsed && lease->lapsed) {
		note(out, "lease renewed after it had run out");
		act(out, LEASE_ANNOUNCE);
	}
	lease->lapsed = lapsed;

	if (lease->conf.silence == LEASE_HOLD || lease->conf.silence == LEASE_ARBITER) {
		bool may_go_alone = lease->conf.silence == LEASE_HOLD || view->arbiter_seen;
		bool alone = peer && peer_gives_nothing(lease, peer, view);

		if (alone && may_go_alone && view->word != LEASE_FOREVER) {
			act(out, LEASE_EXTEND)->until = LEASE_FOREVER;
			note(out, "peer silent: owner with no heir");
		} else if (view->word == LEASE_FOREVER && !alone && granted > now) {
			act(out, LEASE_EXTEND)->until = granted;
			note(out, "peer is back: owner by its grants again");
		} else if (alone && !may_go_alone && (view->word == LEASE_FOREVER || lapsed)) {
			stop_owning(out);
			note(out, "neither peer nor arbiter is seen: gave up ownership");
			become(lease, LEASE_fenced);
			owner_is(lease, 0, lease->epoch, CAUSE_owner_silent, out);
			lease->ask_after = mono_add(view->now, PREFERENCE_LEASES * lease->conf.lease_ns);
			return;
		}
	}
	if (!view->healthy)
		lease_server_ill(lease, view, out);
}

/* --- not owner ---------------------------------------------------------- */

/* The owner's server is dead by its kernel's word and its agent does nothing about it. */
static bool agent_fails(struct lease *lease, const struct lease_other *owner, const struct lease_view *view)
{
	struct lease_other *heir = NULL;
	int64_t patience_us = WITHHOLD_LEASES * lease->conf.lease_ns / NS_PER_US;

	if (!(owner->flags & STATUS_SERVER_DEAD) || owner->turn_age_us < patience_us)
		return false;
	if (!is_witness(lease))
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
	bool held = promise_runs(lease, view->now);

	if (msg->epoch < lease->promise.epoch)
		return;
	if (held && (lease->promise.node != other->node || lease->promise.epoch != msg->epoch))
		return;
	lease->withholding = agent_fails(lease, other, view);
	if (lease->withholding)
		return;
	if (lease->state == LEASE_listen && muted(lease, view->now)) {
		/* learns, but grants nothing yet */
		owner_is(lease, other->node, msg->epoch, CAUSE_none, out);
		if (!is_witness(lease)) {
			act(out, LEASE_EPOCH)->epoch = msg->epoch;
			act(out, LEASE_FORWARD)->node = other->node;
		}
		return;
	}
	if (lease->owner != other->node || lease->epoch != msg->epoch ||
	    (lease->state != LEASE_heir && lease->state != LEASE_witness))
		follow(lease, other->node, msg->epoch, CAUSE_none, out);
	other->tau = msg->grant_ns;
	promise(lease, other->node, msg->epoch, view->now);
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
		stop_owning(out);
		note(out, "another owner with a higher epoch: gave up");
		lease->promise.node = 0;
		follow(lease, other->node, msg->epoch, CAUSE_contest, out);
	}
	hear_owner(lease, other, msg, view, out);
}

/* Does this voter hear somebody own the service? */
static bool owner_heard(struct lease *lease)
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
	if (muted(lease, view->now))
		return REFUSE_MUTE;
	if ((msg->epoch & 0xff) != msg->sender || (msg->epoch <= lease->promise.epoch && !again))
		return REFUSE_EPOCH;
	if (promise_runs(lease, view->now) && lease->promise.node != msg->sender)
		return REFUSE_PROMISED;
	if (owner_heard(lease) && !again)
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
		send(lease, msg->sender, reply, view, out);
		return;
	}
	if (lease->state == LEASE_candidate)
		become(lease, LEASE_fenced); /* its late votes are not ours any more */
	promise(lease, msg->sender, msg->epoch, view->now);
	reply.type = WIRE_VOTE;
	reply.grant_ns = msg->sent_ns;
	send(lease, msg->sender, reply, view, out);
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
	own(lease, msg->epoch, until, before ? CAUSE_owner_silent : CAUSE_cold_start, view, out);
}

static void on_refuse(struct lease *lease, const struct msg *msg)
{
	if (msg->epoch > lease->max_epoch)
		lease->max_epoch = msg->epoch;
	if (lease->state != LEASE_candidate || msg->detail >= 8)
		return;
	lease->refused[msg->detail]++;
	lease->last_refusal = msg->detail;
	if (msg->detail == REFUSE_EPOCH)
		lease->asked_epoch = 0; /* asks again with a higher one */
}

/* The old owner, or the heir on its behalf, shows a voter that it laid down the service. */
static void on_resign_shown(struct lease *lease, const struct msg *msg, const struct lease_view *view,
                            struct lease_actions *out)
{
	struct lease_other *heir = other_of(lease, msg->target);

	if (!heir || lease->state == LEASE_owner || (msg->epoch & 0xff) != msg->target ||
	    msg->epoch <= lease->promise.epoch)
		return;
	if (lease->promise.node && (lease->promise.node != msg->sender || lease->promise.epoch != msg->seq))
		return;
	if (muted(lease, view->now))
		return;
	heir->tau = 0;
	promise(lease, msg->target, msg->epoch, view->now);
	follow(lease, msg->target, msg->epoch, msg->detail, out);
}

void lease_receive(struct lease *lease, const struct msg *msg, const struct lease_view *view,
                   struct lease_actions *out)
{
	struct lease_other *other = other_of(lease, msg->sender);

	if (!other || (msg->target != lease->conf.self && msg->type != WIRE_RESIGN))
		return;
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

/* Nobody of the data nodes owns, as far as honest listening can tell. */
static bool service_orphaned(struct lease *lease, const struct lease_view *view)
{
	struct lease_other *peer = other_data(lease);

	if (promise_runs(lease, view->now) || owner_heard(lease))
		return false;
	if (!peer)
		return true;
	/* either silent by the count of echoes, or it answers that it does not own */
	return echo_silent(&peer->echo) ||
	       (mono_is_set(peer->heard) &&
	        mono_diff(view->now, peer->heard) < lease->conf.lease_ns + 2 * lease->conf.echo_ns &&
	        (!(peer->flags & STATUS_OWNER) || lease->withholding));
}

/* Two voters and the other one is silent: what the operator chose. */
static bool may_take_alone(struct lease *lease, const struct lease_view *view, struct lease_actions *out)
{
	struct lease_other *peer = other_data(lease);

	if (lease->conf.silence == LEASE_WITNESSED || lease->conf.silence == LEASE_RELEASE)
		return false;
	if (!peer || !echo_silent(&peer->echo))
		return false;
	if (lease->conf.silence == LEASE_HOLD)
		return true;
	if (!view->arbiter_seen)
		return false;
	if (!view->vip_unclaimed) {
		act(out, LEASE_PROBE_VIP);
		return false;
	}
	return true;
}

static void ask_votes(struct lease *lease, const struct lease_view *view, struct lease_actions *out)
{
	if (!lease->asked_epoch) {
		lease->asked_epoch = epoch_after(lease, lease->conf.self);
		lease->max_epoch = lease->asked_epoch;
		lease->asked_first = view->now;
	}
	lease->asked_last = view->now;
	for (int i = 0; i < 2; i++) {
		struct msg msg = {.type = WIRE_VOTE_REQ, .epoch = lease->asked_epoch};

		if (lease->other[i].node)
			send(lease, lease->other[i].node, msg, view, out);
	}
}

static void forget_owner(struct lease *lease, struct lease_actions *out)
{
	become(lease, LEASE_fenced);
	act(out, LEASE_FORWARD)->node = 0;
}

static void data_tick(struct lease *lease, const struct lease_view *view, struct lease_actions *out)
{
	bool fit = !lease_self_unready(lease, view);
	bool orphaned = service_orphaned(lease, view);

	if (lease->state == LEASE_listen && !muted(lease, view->now))
		become(lease, LEASE_fenced);
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
		own(lease, epoch_after(lease, lease->conf.self), LEASE_FOREVER,
		    lease->owner ? CAUSE_owner_silent : CAUSE_cold_start, view, out);
		return;
	}
	if (lease->state != LEASE_candidate) {
		act(out, LEASE_FORWARD)->node = 0;
		become(lease, LEASE_candidate);
		ask_votes(lease, view, out);
	} else if (mono_diff(view->now, lease->asked_last) >= lease->conf.echo_ns) {
		ask_votes(lease, view, out);
	}
}

/* RESIGN may get lost: repeated until the heir shows itself as owner. */
static void repeat_resign(struct lease *lease, const struct lease_view *view, struct lease_actions *out)
{
	struct lease_other *heir;

	if (!lease->resign.type)
		return;
	heir = other_of(lease, lease->resign.target);
	if (!mono_before(view->now, lease->resign_until) || lease->state == LEASE_owner ||
	    (heir->epoch >= lease->resign.epoch && (heir->flags & STATUS_OWNER))) {
		lease->resign.type = 0;
		return;
	}
	if (mono_diff(view->now, lease->resign_last) < RESIGN_REPEAT_NS)
		return;
	lease->resign_last = view->now;
	send(lease, lease->resign.target, lease->resign, view, out);
}

static void send_echoes(struct lease *lease, const struct lease_view *view, struct lease_actions *out)
{
	bool mute = muted(lease, view->now) && lease->state != LEASE_owner;

	for (int i = 0; i < 2; i++) {
		struct lease_other *other = &lease->other[i];
		struct msg msg = {.type = WIRE_ECHO, .epoch = lease->epoch};

		if (!other->node || !other->data)
			continue;
		if (other->tau && !mute && lease->promise.node == other->node &&
		    lease->state != LEASE_owner) {
			msg.epoch = lease->promise.epoch;
			msg.grant_ns = other->tau;
		}
		msg.seq = echo_sent(&other->echo, view->now);
		send(lease, other->node, msg, view, out);
	}
}

void lease_tick(struct lease *lease, const struct lease_view *view, struct lease_actions *out)
{
	for (int i = 0; i < 2; i++)
		if (lease->other[i].node && lease->other[i].data)
			echo_judge(&lease->other[i].echo, view->wake, lease->conf.echo_ns, view->now);

	if (is_witness(lease)) {
		if (lease->state == LEASE_listen && !muted(lease, view->now))
			become(lease, LEASE_witness);
		if (lease->owner && !promise_runs(lease, view->now) && !owner_heard(lease) &&
		    lease->state == LEASE_witness)
			owner_is(lease, 0, lease->epoch, CAUSE_owner_silent, out);
	} else if (lease->state == LEASE_owner) {
		owner_tick(lease, view, out);
	} else {
		repeat_resign(lease, view, out);
		data_tick(lease, view, out);
	}

	if (!mono_before(view->now, lease->next_echo)) {
		send_echoes(lease, view, out);
		lease->next_echo = mono_add(lease->next_echo, lease->conf.echo_ns);
		if (mono_before(lease->next_echo, view->now))
			lease->next_echo = mono_add(view->now, lease->conf.echo_ns);
	}
}

struct mono lease_next(const struct lease *lease)
{
	struct mono repeat = mono_add(lease->resign_last, RESIGN_REPEAT_NS);

	if (lease->resign.type && mono_before(repeat, lease->next_echo))
		return repeat;
	return lease->next_echo;
}
