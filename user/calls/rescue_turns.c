/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which calls a rescue takes up, in what order, and how fast: the ones that nobody
 * hears first. rescue_plan.h says what is done with each, rescue_call.c does it.
 */
#include "rescue_agent.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PACE_MS 5

/* What comes first. */
enum order {
	ORDER_SILENT = 0, /* nothing is heard until the phones were asked */
	ORDER_HANG_UP,
	ORDER_OTHERS, /* oldest first */
	ORDER_RELAY,  /* not settled yet whether it is silent */
};

/* --- which calls, in what order ----------------------------------------------------- */

static uint8_t order_of(struct rescue *rescue, const struct rescue_call *call)
{
	if (call->plan == PLAN_hang_up)
		return ORDER_HANG_UP;
	if (rescue_plan_is_3pcc(call->plan) || call->plan == PLAN_rejoin)
		return ORDER_SILENT;
	if (!rescue->settled)
		return ORDER_RELAY;
	if (rescue_is_silent(rescue, call->leg[0].dialog, rescue->since) ||
	    rescue_is_silent(rescue, call->leg[1].dialog, rescue->since))
		return ORDER_SILENT;
	return ORDER_OTHERS;
}

static int compare_turns(const void *x, const void *y, void *arg)
{
	const struct rescue_call *calls = arg, *a = &calls[*(const uint32_t *)x],
	                         *b = &calls[*(const uint32_t *)y];
	int64_t age = mono_diff(a->leg[0].dialog->at_answer, b->leg[0].dialog->at_answer);

	if (a->order != b->order)
		return a->order < b->order ? -1 : 1;
	return age < 0 ? -1 : age > 0;
}

void rescue_sort_turns(struct rescue *rescue)
{
	uint32_t i;

	for (i = rescue->next_call; i < rescue->n_calls; i++) {
		struct rescue_call *call = &rescue->calls[rescue->order[i]];

		call->order = order_of(rescue, call);
	}
	qsort_r(rescue->order + rescue->next_call, rescue->n_calls - rescue->next_call,
	        sizeof(*rescue->order), compare_turns, rescue->calls);
}

static void enter(struct rescue *rescue, struct dialog *a, struct dialog *b, enum rescue_plan plan)
{
	uint32_t i = rescue->n_calls++;
	struct rescue_call *call = &rescue->calls[i];

	*call = (struct rescue_call){
	        .rescue = rescue,
	        .number = a->call,
	        .leg = {{.call = call, .dialog = a}, {.call = call, .dialog = b}},
	        .plan = (uint8_t)plan,
	        .outcome = rescue_new_outcome(rescue, a),
	};
	rescue->order[i] = i;
	rescue->call_of[a - rescue->table->dialogs] = i + 1;
	if (b)
		rescue->call_of[b - rescue->table->dialogs] = i + 1;
	rescue->progress.calls++;
}

/* Nothing can be done for its media or for finding its phones; what they send is answered all the same. */
static void skip(struct rescue *rescue, struct dialog *dialog, struct dialog *peer, enum rescue_plan plan)
{
	dialog_set_origin(rescue->table, dialog, 0);
	if (peer)
		dialog_set_origin(rescue->table, peer, 0);
	rescue_skip(rescue, dialog, rescue_plan_text(plan));
}

/* Leg A is the one that called; of two that the server called, the first. */
static bool is_leg_a(const struct dialog *d, const struct dialog *peer)
{
	if (d->role != peer->role)
		return d->role == DIALOG_UAS;
	return d->at_invite.ns < peer->at_invite.ns || (d->at_invite.ns == peer->at_invite.ns && d < peer);
}

static void consider(struct rescue *rescue, struct dialog *d)
{
	enum rescue_plan plan = rescue_plan_of(rescue->table, d, &rescue->policy);
	struct dialog *peer = dialog_peer(rescue->table, d);

	switch (plan) {
	case PLAN_hang_up:
		enter(rescue, d, peer, plan);
		break;
	case PLAN_rejoin:
		enter(rescue, d, NULL, plan);
		break;
	case PLAN_ringing: /* rescue_ring.c */
	case PLAN_proxied: /* the server that runs here forwards it like the one before */
	case PLAN_off:
	case PLAN_server:
	case PLAN_ended:
		break;
	default:
		if (rescue_plan_is_3pcc(plan) || rescue_plan_is_per_leg(plan)) {
			if (is_leg_a(d, peer))
				enter(rescue, d, peer, plan);
		} else if (!peer || !dialog_is_up(peer) || is_leg_a(d, peer)) {
			skip(rescue, d, peer, plan);
		}
	}
}

static bool is_local(const struct rescue *rescue, const struct dialog *d)
{
	return d->origin && d->origin == rescue->table->origin;
}

/* Some server's that is not there any more, or left half-way by an agent that died. */
static bool is_orphan(const struct rescue *rescue, const struct dialog *d)
{
	return (d->origin && !is_local(rescue, d)) || d->state == DIALOG_RESCUING;
}

void rescue_plan_calls(struct rescue *rescue, bool only_orphans)
{
	struct dialog *d = NULL;

	while ((d = dialog_next(rescue->table, d)) && rescue->n_calls < rescue->max_calls) {
		if (d->service != rescue->conf.head.service || !dialog_is_up(d) ||
		    rescue_is_under_way(rescue, d))
			continue;
		if (is_local(rescue, d))
			rescue_join_resume(rescue, d);
		else if (!only_orphans || is_orphan(rescue, d))
			consider(rescue, d);
	}
}

/* --- how fast ------------------------------------------------------------------------ */

static void settle(struct rescue *rescue, struct mono now)
{
	if (rescue->settled || mono_before(now, rescue->settle))
		return;
	rescue->settled = true;
	rescue_sort_turns(rescue);
}

static void on_pace(su_root_magic_t *magic, su_timer_t *timer, su_timer_arg_t *arg)
{
	rescue_take_turns((struct rescue *)arg);
}

void rescue_take_turns(struct rescue *rescue)
{

	if (!rescue->running)
		return;
	settle(rescue, rescue_now());
	while (rescue->agent && rescue->next_call < rescue->n_calls) {
		struct rescue_call *call = &rescue->calls[rescue->order[rescue->next_call]];

		if (call->order == ORDER_RELAY || !rescue_pace_take(&rescue->pace, rescue_now()))
			break;
		rescue->next_call++;
		rescue_call_start(call);
	}
	if (rescue->next_call < rescue->n_calls)
		su_timer_set_interval(rescue->pace_timer, on_pace, (su_timer_arg_t *)rescue, PACE_MS);
}

/* Nobody needs them before the next takeover, and enter() writes all of a call. */
static void give_pages_back(const struct rescue *rescue)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t from = ((uintptr_t)rescue->calls + page - 1) & ~(page - 1);
	uintptr_t to = (uintptr_t)(rescue->calls + rescue->n_calls) & ~(page - 1);

	if (from < to)
		madvise((void *)from, to - from, MADV_DONTNEED);
}

void rescue_forget_calls(struct rescue *rescue)
{
	uint32_t i;

	for (i = 0; i < rescue->n_calls; i++)
		rescue_call_forget(&rescue->calls[i]);
	give_pages_back(rescue);
	memset(rescue->call_of, 0, rescue->table->max * sizeof(*rescue->call_of));
	rescue->n_calls = rescue->next_call = 0;
}

/* The places of a rescue that is over are free for the next one. */
static void make_room(struct rescue *rescue)
{
	uint32_t i;

	for (i = 0; i < rescue->n_calls; i++)
		if (!rescue->calls[i].done || rescue->calls[i].leg[0].invite ||
		    rescue->calls[i].leg[1].invite)
			return;
	if (rescue->n_calls)
		rescue_forget_calls(rescue);
}

void rescue_adopt_orphans(struct rescue *rescue)
{
	uint32_t before;

	make_room(rescue);
	before = rescue->progress.calls;
	rescue_plan_calls(rescue, true);
	if (rescue->progress.calls == before)
		return;
	rescue->counters.rescue_orphans += rescue->progress.calls - before;
	rescue_sort_turns(rescue);
	rescue_report(rescue);
	rescue_take_turns(rescue);
}
