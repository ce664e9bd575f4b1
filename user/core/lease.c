/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The voters' machine, see lease.h: what its parts share, its start, its tick.
 * The owner's side is in lease_owner.c, the voters' and candidates' in
 * lease_voter.c. Owns no I/O and no clock. Every change of state goes through
 * lease_become().
 */
#include "lease_parts.h"

struct lease_action *lease_act(struct lease_actions *out, enum lease_action_type type)
{
	if (out->n == LEASE_MAX_ACTIONS) {
		out->dropped++;
		return &out->a[LEASE_MAX_ACTIONS - 1];
	}
	out->a[out->n] = (struct lease_action){.type = type};
	return &out->a[out->n++];
}

void lease_note(struct lease_actions *out, const char *text)
{
	lease_act(out, LEASE_NOTE)->text = text;
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

struct lease_other *lease_other_of(struct lease *lease, uint8_t node)
{
	for (int i = 0; i < 2; i++)
		if (node && lease->other[i].node == node)
			return &lease->other[i];
	return NULL;
}

struct lease_other *lease_other_data(struct lease *lease)
{
	for (int i = 0; i < 2; i++)
		if (lease->other[i].node && lease->other[i].data)
			return &lease->other[i];
	return NULL;
}

bool lease_is_witness(const struct lease *lease)
{
	return lease->conf.self == lease->conf.witness;
}

bool lease_muted(const struct lease *lease, struct mono now)
{
	return mono_before(now, lease->listen_until);
}

bool lease_promise_runs(const struct lease *lease, struct mono now)
{
	return lease->promise.node && mono_before(now, lease->promise.until);
}

uint64_t lease_arbiter_until(const struct lease *lease, const struct lease_view *view)
{
	if (lease->conf.silence != LEASE_ARBITER || !mono_is_set(view->arbiter))
		return 0;
	return (uint64_t)(view->arbiter.ns + lease->conf.lease_ns);
}

void lease_promise(struct lease *lease, uint8_t node, uint64_t epoch, uint64_t inc, struct mono now)
{
	lease->promise.node = node;
	lease->promise.epoch = epoch;
	lease->promise.inc = inc;
	lease->promise.until = mono_add(now, lease->conf.lease_ns + lease_margin_ns(lease->conf.lease_ns));
	if (epoch > lease->max_epoch)
		lease->max_epoch = epoch;
}

uint64_t lease_epoch_after(const struct lease *lease, uint8_t owner)
{
	return (((lease->max_epoch >> 8) + 1) << 8) | owner;
}

void lease_become(struct lease *lease, enum lease_state state)
{
	if (lease->state != state)
		lease->moves[lease->state] |= (uint8_t)(1U << state);
	lease->state = state;
	if (state == LEASE_owner)
		lease->resign.type = 0; /* nothing to repeat any more, nor to wake up for */
	else
		lease->lapsed = lease->alone = false;
	if (state != LEASE_candidate)
		lease->asked_epoch = 0;
}

void lease_owner_is(struct lease *lease, uint8_t node, uint64_t epoch, enum cause cause,
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
	if (lease_is_witness(lease) && from == node)
		return;
	a = lease_act(out, LEASE_CHANGED);
	a->node = node;
	a->from = from;
	a->epoch = epoch;
	a->cause = cause;
}

void lease_follow(struct lease *lease, uint8_t node, uint64_t epoch, enum cause cause,
                  struct lease_actions *out)
{
	lease_owner_is(lease, node, epoch, cause, out);
	if (lease_is_witness(lease)) {
		lease_become(lease, LEASE_witness);
		return;
	}
	lease_become(lease, LEASE_heir);
	lease_act(out, LEASE_EPOCH)->epoch = epoch;
	lease_act(out, LEASE_FORWARD)->node = node;
}

void lease_stop_owning(struct lease_actions *out)
{
	lease_act(out, LEASE_FENCE);
}

void lease_send(struct lease *lease, uint8_t target, struct msg msg, const struct lease_view *view,
                struct lease_actions *out)
{
	struct lease_other *other = lease_other_of(lease, target);

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
	struct lease_action *a = lease_act(out, LEASE_SEND);

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
		lease->ask_after = mono_add(lease->listen_until, LEASE_PREFERENCE * conf->lease_ns);
	if (word != LEASE_FENCED && (epoch & 0xff) == conf->self) {
		lease->owner = conf->self;
		lease->state = LEASE_owner;
	} else {
		lease->state = LEASE_listen;
	}
}

const char *lease_self_unready(const struct lease *lease, const struct lease_view *view)
{
	if (lease_is_witness(lease))
		return "witness";
	if (!view->healthy)
		return "own SIP server is not healthy";
	if (lease_muted(lease, view->now))
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
	if (lease_muted(lease, view->now) && lease->state != LEASE_owner)
		flags |= STATUS_MUTE;
	if (lease_is_witness(lease))
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

static void send_echoes(struct lease *lease, const struct lease_view *view, struct lease_actions *out)
{
	bool mute = lease_muted(lease, view->now) && lease->state != LEASE_owner;

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
		lease_send(lease, other->node, msg, view, out);
	}
}

void lease_tick(struct lease *lease, const struct lease_view *view, struct lease_actions *out)
{
	for (int i = 0; i < 2; i++)
		if (lease->other[i].node && lease->other[i].data)
			echo_judge(&lease->other[i].echo, view->wake, lease->conf.echo_ns, view->now);

	lease_heed_word(lease, view, out);
	if (lease_is_witness(lease)) {
		if (lease->state == LEASE_listen && !lease_muted(lease, view->now))
			lease_become(lease, LEASE_witness);
		if (lease->owner && !lease_promise_runs(lease, view->now) && !lease_owner_heard(lease) &&
		    lease->state == LEASE_witness)
			lease_owner_is(lease, 0, lease->epoch, CAUSE_owner_silent, out);
	} else if (lease->state == LEASE_owner) {
		lease_owner_tick(lease, view, out);
	} else {
		lease_repeat_resign(lease, view, out);
		lease_data_tick(lease, view, out);
	}

	if (!mono_before(view->now, lease->next_echo)) {
		send_echoes(lease, view, out);
		lease->next_echo = mono_add(lease->next_echo, lease->conf.echo_ns);
		if (!mono_before(view->now, lease->next_echo))
			lease->next_echo = mono_add(view->now, lease->conf.echo_ns);
	}
}

struct mono lease_next(const struct lease *lease)
{
	struct mono repeat = mono_add(lease->resign_last, LEASE_RESIGN_REPEAT_NS);

	if (lease->resign.type && mono_before(repeat, lease->next_echo))
		return repeat;
	return lease->next_echo;
}
