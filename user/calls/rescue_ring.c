/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Calls that rang when the server died: which ones, and until when. The caller's and
 * the callees' INVITE transactions are taken up where they were (rescue_ring_leg.c),
 * and responses go across (rescue_ring_say.c). Owns the table of these calls, in which
 * each stays until it is answered, refused or given up; an answered one is an ordinary
 * rescued call. Called by rescue.c only.
 */
#include "rescue_ring.h"

#include "dialog_table.h"

#include <errno.h>
#include <sofia-sip/sip_status.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE_CHECK_MS 500

/* The server that runs here holds it: none of ours. */
static bool held_here(const struct rescue *rescue, const struct dialog *d)
{
	return d->origin && d->origin == rescue->table->origin;
}

/* Comes in and leaves with one Call-ID: the server is a proxy in it, and the phones go on by themselves. */
static bool is_forwarded(struct rescue *rescue, const struct dialog *dialog)
{
	struct dialog *d = dialog_first_of_call_id(rescue->table, dialog->service, dialog->call_id);

	for (; d; d = dialog_next_same_call_id(rescue->table, d))
		if (d->role != dialog->role)
			return true;
	return false;
}

static bool is_to_be_taken_up(struct rescue *rescue, const struct dialog *d, enum dialog_role role)
{
	return d->service == rescue->conf.head.service && d->state == DIALOG_EARLY && d->role == role &&
	       !held_here(rescue, d) && !is_forwarded(rescue, d);
}

/* NULL = too many. */
static struct rescue_ring *ring_of_call(struct rescue *rescue, uint64_t call)
{
	struct rescue_ring *spare = NULL, *ring;

	for (ring = rescue->rings->ring; ring < rescue->rings->ring + RINGS; ring++) {
		if (ring->used && ring->call == call)
			return ring;
		if (!ring->used && !spare)
			spare = ring;
	}
	if (!spare) {
		rescue->counters.rescue_ring_full++;
		return NULL;
	}
	*spare = (struct rescue_ring){.rescue = rescue, .used = true, .call = call};
	return spare;
}

/* One of the calls that this takeover has to care for. */
static void count(struct rescue_ring *ring, const struct dialog *d)
{
	struct rescue *rescue = ring->rescue;

	ring->counted = true;
	ring->outcome = rescue_new_outcome(rescue, d);
	rescue_outcome_of(rescue, ring->outcome)->started_ns = (uint64_t)rescue_now().ns;
	rescue->progress.calls++;
	rescue->counters.rescue_ring_calls++;
}

void ring_outcome(struct rescue_ring *ring, int result, int to_caller, int of_callee, const char *text)
{
	struct rescue *rescue = ring->rescue;

	if (!ring->counted)
		return;
	ring->counted = false;
	rescue_end_outcome(rescue, ring->outcome, result, to_caller, of_callee, text);
	rescue->progress.last_done_ns = (uint64_t)rescue_now().ns;
	rescue_report(rescue);
}

static void take_up_caller(struct rescue *rescue, struct dialog *a)
{
	struct rescue_ring *ring = ring_of_call(rescue, a->call);

	if (!ring)
		rescue_skip(rescue, a, "none: more calls rang than can be taken up at once");
	if (!ring || ring->irq)
		return;
	ring->until = mono_add(a->at_invite, RING_PATIENCE_NS);
	ring->irq = ring_revive_caller(rescue, a);
	if (!ring->irq) {
		rescue->counters.rescue_ring_no_invite++;
		rescue_skip(rescue, a, rescue_plan_text(PLAN_no_invite));
		ring->used = false;
		return;
	}
	nta_incoming_bind(ring->irq, ring_on_caller, ring);
	count(ring, a);
}

/* Forks downstream of one INVITE are several dialogs of one transaction. */
static bool is_first_of_invite(struct rescue *rescue, const struct dialog *b)
{
	struct dialog *d = dialog_first_of_call_id(rescue->table, b->service, b->call_id);

	for (; d; d = dialog_next_same_call_id(rescue->table, d))
		if (d->role == DIALOG_UAC && d->invite_cseq == b->invite_cseq &&
		    !strcmp(d->local_tag, b->local_tag))
			return d == b;
	return true;
}

static void take_up_callee(struct rescue *rescue, struct dialog *b)
{
	struct rescue_ring *ring = ring_of_call(rescue, b->call);
	struct dialog *peer = dialog_peer(rescue->table, b);
	struct ring_branch *branch;

	if (!ring || ring->begun || !is_first_of_invite(rescue, b))
		return;
	if (ring->n_branches == RING_BRANCHES) {
		rescue->counters.rescue_ring_full++;
		return;
	}
	if (!ring->irq && !ring->n_branches) {
		ring->until = mono_add(b->at_invite, RING_PATIENCE_NS);
		ring->up = peer && dialog_is_up(peer) ? peer : NULL;
		if (ring->up)
			count(ring, ring->up);
		else if (!peer && b->paired != PAIRED_AMBIGUOUS)
			rescue_skip(rescue, b, rescue_plan_text(PLAN_ringing_alone));
	}
	branch = &ring->branch[ring->n_branches];
	*branch = (struct ring_branch){.ring = ring};
	branch->invite = ring_revive_callee(rescue, b, branch, ring_on_callee);
	if (branch->invite)
		ring->n_branches++;
	else
		rescue->counters.rescue_ring_no_invite++;
	if (!ring->irq && !ring->n_branches) {
		ring_outcome(ring, 2, 0, 0, "rang: the callee's INVITE was not kept");
		ring->used = false;
	} else if (!ring->irq && !ring->up && b->paired == PAIRED_AMBIGUOUS) {
		/* One of the callers that are put through afresh will make it ring again. */
		ring->over = true;
		ring_cancel_all(ring, NULL);
	}
}

/* The callee's 200 had come, the caller's had not gone out yet. */
static void finish_answer(struct rescue_ring *ring, struct dialog *a, struct dialog *b)
{
	char sdp[DIALOG_SDP_LEN];
	int len = ring_sdp_to_caller(ring, a, b, sdp, sizeof(sdp));

	ring->over = true;
	ring_reply(ring, SIP_200_OK, sdp, len);
	ring_connect(ring, a, b);
}

static void see_to_callers(struct rescue *rescue)
{
	struct rescue_ring *ring;

	for (ring = rescue->rings->ring; ring < rescue->rings->ring + RINGS; ring++) {
		struct dialog *a = ring->used && ring->irq && !ring->over ? ring_caller(ring) : NULL;
		struct dialog *b = a ? dialog_peer(rescue->table, a) : NULL;

		ring->begun = ring->used;
		if (!a || ring->n_branches || ring->join)
			continue;
		if (b && dialog_is_up(b)) {
			finish_answer(ring, a, b);
			continue;
		}
		ring->join = rescue_join_call(rescue, a, ring, ring_on_local_server);
		if (ring->join)
			continue;
		ring_outcome(ring, 2, 480, 0, "rang for nobody, and the server could not be called anew");
		ring_refuse(ring, SIP_480_TEMPORARILY_UNAVAILABLE);
	}
}

static void on_patience(su_root_magic_t *magic, su_timer_t *timer, su_timer_arg_t *arg)
{
	struct rescue_rings *rings = (struct rescue_rings *)arg;
	struct mono now = rescue_now();
	bool any = false;
	uint32_t i;

	for (i = 0; i < RINGS; i++) {
		struct rescue_ring *ring = &rings->ring[i];

		if (!ring->used)
			continue;
		any = true;
		if (ring->over || mono_before(now, ring->until))
			continue;
		rings->rescue->counters.rescue_ring_timeout++;
		ring_outcome(ring, 2, 408, 0, "rang on, and nobody answered in time");
		ring_refuse(ring, SIP_408_REQUEST_TIMEOUT);
	}
	if (any)
		su_timer_set_interval(rings->timer, on_patience, arg, PATIENCE_CHECK_MS);
}

static int make_rings(struct rescue *rescue)
{
	struct rescue_rings *rings;

	if (rescue->rings)
		return 0;
	rings = calloc(1, sizeof(*rings));
	if (!rings)
		return -ENOMEM;
	rings->rescue = rescue;
	rings->timer = su_timer_create(su_root_task(rescue->root), PATIENCE_CHECK_MS);
	if (!rings->timer) {
		free(rings);
		return -ENOMEM;
	}
	rescue->rings = rings;
	return 0;
}

int rescue_ring_start(struct rescue *rescue, struct mono now)
{
	uint32_t before = rescue->progress.calls;
	struct dialog *d = NULL;
	int rc = rescue->agent ? make_rings(rescue) : -ENOTCONN;

	if (rc < 0)
		return rc;
	while ((d = dialog_next(rescue->table, d)))
		if (is_to_be_taken_up(rescue, d, DIALOG_UAS))
			take_up_caller(rescue, d);
	d = NULL;
	while ((d = dialog_next(rescue->table, d)))
		if (is_to_be_taken_up(rescue, d, DIALOG_UAC))
			take_up_callee(rescue, d);
	see_to_callers(rescue);
	if (rescue->progress.calls != before)
		rescue_report(rescue);
	on_patience(NULL, NULL, (su_timer_arg_t *)rescue->rings);
	return 0;
}

bool rescue_ring_leg_gone(struct rescue *rescue, const struct dialog *dialog)
{
	struct rescue_ring *ring = rescue->rings ? rescue->rings->ring : NULL;
	uint32_t i;

	for (i = 0; ring && i < RINGS; i++, ring++) {
		if (!ring->used || ring->over || ring->up != dialog || ring->call != dialog->call)
			continue;
		ring_outcome(ring, 1, 0, 0, "rang on until the caller hung up");
		ring_refuse(ring, SIP_487_REQUEST_TERMINATED);
		return true;
	}
	return false;
}

void rescue_ring_stop(struct rescue *rescue)
{
	if (!rescue->rings)
		return;
	/* Their transactions go with the agent. */
	su_timer_destroy(rescue->rings->timer);
	free(rescue->rings);
	rescue->rings = NULL;
}
