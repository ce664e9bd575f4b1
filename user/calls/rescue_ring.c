/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Calls that rang when the server died: the caller's and the callees' INVITE
 * transactions are taken up where they were (rescue_ring_leg.c), and responses go
 * across as a back-to-back server passes them. Owns the table of these calls, which
 * lasts until each is answered, refused or given up; an answered one is an ordinary
 * rescued call. Called by rescue.c only.
 */
#include "rescue_ring.h"

#include "dialog_table.h"

#include <errno.h>
#include <sofia-sip/nta_tag.h>
#include <sofia-sip/sip_header.h>
#include <sofia-sip/sip_status.h>
#include <sofia-sip/sip_tag.h>
#include <sofia-sip/sip_util.h>
#include <sofia-sip/su_tagarg.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE_CHECK_MS 500

struct rescue_rings {
	struct rescue *rescue;
	su_timer_t *timer;
	struct rescue_ring ring[RINGS];
};

static void tell(struct rescue *rescue)
{
	if (rescue->callbacks.progress)
		rescue->callbacks.progress(rescue->context, &rescue->progress);
}

static bool still_rings(const struct rescue_ring *ring)
{
	uint32_t i;

	for (i = 0; i < ring->n_branches; i++)
		if (ring->branch[i].invite)
			return true;
	return ring->join != NULL;
}

/* Gone from the table as soon as nothing of it can come any more. */
static void settle(struct rescue_ring *ring)
{
	if (!ring->over || still_rings(ring) || ring->irq)
		return;
	ring->used = false;
}

static void let_caller_go(struct rescue_ring *ring)
{
	if (!ring->irq)
		return;
	nta_incoming_bind(ring->irq, NULL, NULL);
	nta_incoming_destroy(ring->irq); /* stays with nta for as long as its response may be repeated */
	ring->irq = NULL;
}

static void cancel_all(struct rescue_ring *ring, const struct ring_branch *but)
{
	uint32_t i;

	for (i = 0; i < ring->n_branches; i++)
		if (&ring->branch[i] != but)
			ring_cancel(&ring->branch[i]);
	if (ring->join && ring->over) {
		struct rescue_join *join = ring->join;

		ring->join = NULL;
		rescue_join_drop(join);
	}
}

/* The caller gets a final response that is no 2xx, and nobody rings any more. */
static void refuse(struct rescue_ring *ring, int status, const char *phrase)
{
	if (ring->over)
		return;
	ring->over = true;
	if (ring->irq)
		ring_reply(ring, status, phrase, NULL, 0);
	let_caller_go(ring);
	cancel_all(ring, NULL);
	settle(ring);
}

/* --- what the callees say ----------------------------------------------------------- */

/* As RFC 3261 16.7 step 6 chooses: any 6xx, else of the lowest class, with 4xx that say what to do first. */
static uint16_t best_of(const struct rescue_ring *ring)
{
	uint16_t best = 0;
	uint32_t i;

	for (i = 0; i < ring->n_branches; i++) {
		uint16_t status = ring->branch[i].status;

		if (!status)
			continue;
		if (!best || (status >= 600) > (best >= 600) || (best < 600 && status / 100 < best / 100) ||
		    (status / 100 == best / 100 && best == 408))
			best = status;
	}
	return best;
}

static void all_refused(struct rescue_ring *ring)
{
	struct rescue *rescue = ring->rescue;
	uint16_t best = best_of(ring);
	struct dialog *up = ring->up ? ring_caller(ring) : NULL;

	rescue->counters.rescue_ring_refused++;
	if (up && dialog_is_up(up)) {
		/* The server had answered the caller itself (a queue, an announcement): so does the new one.
		 */
		ring->over = true;
		if (!rescue_join_start(rescue, up))
			rescue_bye(rescue, up, "SIP;cause=480");
		settle(ring);
		return;
	}
	/* The credentials that these ask for were the dead server's; 503 is not for the caller (16.7). */
	if (best == 401 || best == 407)
		rescue->counters.rescue_ring_challenged++;
	if (best == 401 || best == 407 || best == 503 || !best)
		best = 500;
	refuse(ring, best, sip_status_phrase(best));
}

static void connect_call(struct rescue_ring *ring, struct dialog *a, struct dialog *b)
{
	struct rescue *rescue = ring->rescue;
	struct mono now = rescue_now();

	if (dialog_peer(rescue->table, a) != b)
		dialog_set_paired(rescue->table, a, b, a->paired ? a->paired : PAIRED_NUMBERS);
	dialog_set_origin(rescue->table, a, 0);
	dialog_set_origin(rescue->table, b, 0);
	dialog_set_state(rescue->table, a, DIALOG_RESCUED, now);
	dialog_set_state(rescue->table, b, DIALOG_RESCUED, now);
	rescue->counters.rescue_ring_answered++;
	tell(rescue);
}

/* Another callee was faster, the caller has gone, or there never was one here. */
static void not_wanted(struct ring_branch *branch, struct dialog *b)
{
	struct rescue *rescue = branch->ring->rescue;

	ring_ack_callee(branch, b, ring_caller(branch->ring));
	rescue_bye(rescue, b, NULL);
	rescue->counters.rescue_ring_unwanted++;
}

static void answered(struct ring_branch *branch, struct dialog *b)
{
	struct rescue_ring *ring = branch->ring;
	struct dialog *a = ring_caller(ring);
	char sdp[DIALOG_SDP_LEN];
	bool from_ack;
	int len;

	if (ring->over || !a || (!ring->irq && !ring->up)) {
		ring->over = true;
		not_wanted(branch, b);
		settle(ring);
		return;
	}
	ring->over = true;
	from_ack = branch->offerless && !a->sdp_in_len;
	if (ring->up) {
		ring_ack_callee(branch, b, a);
		connect_call(ring, a, b);
		cancel_all(ring, branch);
		settle(ring);
		return;
	}
	len = ring_sdp_to_caller(ring, a, b, sdp, sizeof(sdp));
	if (!from_ack)
		ring_ack_callee(branch, b, a);
	else
		ring->waiting = branch;
	ring_reply(ring, SIP_200_OK, sdp, len);
	cancel_all(ring, branch);
	connect_call(ring, a, b);
}

static void progressed(struct ring_branch *branch, struct dialog *b, int status, const char *phrase,
                       const sip_t *sip)
{
	struct rescue_ring *ring = branch->ring;
	struct dialog *a = ring_caller(ring);
	char sdp[DIALOG_SDP_LEN];
	int len = 0;

	if (b)
		ring_prack(branch, b, sip);
	if (ring->over || !ring->irq || !a || status == 100)
		return;
	/* A caller that is told 1xx reliably has had its share: RSeq and PRACK were the dead server's. */
	if (a->rseq)
		return;
	if (b && b->sdp_in_len && (rescue_has_sdp(sip) || a->sdp_out_len))
		len = ring_sdp_to_caller(ring, a, b, sdp, sizeof(sdp));
	ring_reply(ring, status, phrase, len > 0 ? sdp : NULL, len);
	tell(ring->rescue);
}

static int on_callee(void *magic, nta_outgoing_t *orq, const sip_t *sip)
{
	struct ring_branch *branch = magic;
	struct rescue_ring *ring = branch->ring;
	int status = nta_outgoing_status(orq);
	bool real;
	struct dialog *b = ring_callee(ring->rescue, orq, sip, &real);

	if (status < 200) {
		progressed(branch, b, status, sip->sip_status->st_phrase, sip);
		return 0;
	}
	if (status < 300 && b) {
		answered(branch, b);
		if (!ring->waiting)
			settle(ring);
		return 0;
	}
	/* nta has acknowledged a refusal that came from the wire. */
	branch->status = (uint16_t)(status < 300 ? 500 : status);
	branch->invite = NULL;
	nta_outgoing_destroy(orq);
	if (status >= 600)
		cancel_all(ring, branch); /* RFC 3261 16.7 step 5: nobody else will say better */
	if (still_rings(ring))
		return 0;
	if (!ring->over)
		all_refused(ring);
	settle(ring);
	return 0;
}

/* --- what the caller says ------------------------------------------------------------ */

static void caller_acked(struct rescue_ring *ring, const sip_t *sip)
{
	struct rescue *rescue = ring->rescue;
	struct dialog *a = ring_caller(ring), *b = a ? dialog_peer(rescue->table, a) : NULL;

	if (a)
		track_message(rescue->track, sip, a->service, false, &a->flow_addr, a->flow_port,
		              rescue_now());
	if (ring->join) {
		rescue_join_connected(ring->join, a, rescue_has_sdp(sip) ? sip->sip_payload->pl_data : NULL,
		                      rescue_has_sdp(sip) ? sip->sip_payload->pl_len : 0);
		ring->join = NULL;
	}
	if (ring->waiting && b)
		ring_ack_callee(ring->waiting, b, a);
	ring->waiting = NULL;
	let_caller_go(ring);
	settle(ring);
}

/* RFC 3261 13.3.1.4: a 2xx that is never acknowledged ends in a BYE. */
static void caller_silent(struct rescue_ring *ring)
{
	struct rescue *rescue = ring->rescue;
	struct dialog *a = ring_caller(ring), *b = a ? dialog_peer(rescue->table, a) : NULL;

	if (ring->waiting && b)
		ring_ack_callee(ring->waiting, b, a);
	ring->waiting = NULL;
	ring->over = true;
	if (a)
		rescue_bye(rescue, a, NULL);
	if (b && dialog_is_up(b))
		rescue_bye(rescue, b, NULL);
	let_caller_go(ring);
	cancel_all(ring, NULL);
	settle(ring);
}

static int on_caller(void *magic, nta_incoming_t *irq, const sip_t *sip)
{
	struct rescue_ring *ring = magic;

	if (!sip)
		caller_silent(ring);
	else if (sip->sip_request && sip->sip_request->rq_method == sip_method_cancel) {
		ring->rescue->counters.rescue_ring_cancelled++;
		refuse(ring, SIP_487_REQUEST_TERMINATED);
	} else
		caller_acked(ring, sip);
	return 0;
}

/* In a dialog that is not confirmed yet. Returns the status to answer with. */
static int early_request(struct rescue_ring *ring, const sip_t *sip)
{
	switch (sip->sip_request->rq_method) {
	case sip_method_prack:
		return 200; /* of a reliable 1xx of the dead server */
	case sip_method_bye:
		if (ring)
			refuse(ring, SIP_487_REQUEST_TERMINATED);
		return 200;
	case sip_method_update:
		/* RFC 3311 5.2: an offer while another is open can wait; without one it is a refresh. */
		return rescue_has_sdp(sip) ? 500 : 200;
	default:
		return 0;
	}
}

static struct rescue_ring *ring_of_caller(const struct rescue *rescue, const struct dialog *d)
{
	uint32_t i;

	for (i = 0; rescue->rings && i < RINGS; i++) {
		struct rescue_ring *ring = &rescue->rings->ring[i];

		if (ring->used && ring->irq && ring_caller(ring) == d)
			return ring;
	}
	return NULL;
}

bool rescue_ring_request(struct rescue *rescue, nta_incoming_t *irq, const sip_t *sip)
{
	const char *to_tag = sip->sip_to->a_tag, *from_tag = sip->sip_from->a_tag;
	struct dialog *d;
	int status;

	if (!rescue->rings || !to_tag || !from_tag)
		return false;
	d = dialog_find(rescue->table, rescue->conf.head.service, sip->sip_call_id->i_id, to_tag, from_tag);
	if (!d || d->state != DIALOG_EARLY)
		return false;
	status = early_request(ring_of_caller(rescue, d), sip);
	if (!status)
		return false;
	nta_incoming_treply(irq, status, NULL, TAG_IF(status == 500, SIPTAG_RETRY_AFTER_STR("2")),
	                    TAG_IF(status == 200, SIPTAG_CONTACT_STR(rescue->contact)), TAG_END());
	nta_incoming_destroy(irq);
	return true;
}

/* --- a caller that nobody rings for --------------------------------------------------- */

static void on_local_server(struct rescue_ring *ring, int status, const char *phrase, const sip_t *sip)
{
	const sip_payload_t *body = rescue_has_sdp(sip) ? sip->sip_payload : NULL;
	struct dialog *a = ring_caller(ring);

	if (status >= 300) {
		ring->join = NULL;
		refuse(ring, status == 401 || status == 407 || status == 503 ? 500 : status, phrase);
		return;
	}
	if (!a || !ring->irq || status == 100 || (status < 200 && a->rseq))
		return;
	if (status >= 200)
		ring->over = true;
	ring_reply(ring, status, phrase, body ? body->pl_data : NULL, body ? (int)body->pl_len : 0);
	if (status < 200)
		return;
	a = ring_caller(ring);
	if (a) {
		dialog_set_flags(ring->rescue->table, a, DIALOG_JOINED, 0);
		dialog_set_origin(ring->rescue->table, a, ring->rescue->table->origin);
		dialog_set_state(ring->rescue->table, a, DIALOG_RESCUED, rescue_now());
	}
	ring->rescue->counters.rescue_ring_answered++;
	tell(ring->rescue);
}

/* --- which calls ------------------------------------------------------------------- */

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

static struct rescue_ring *ring_of_call(struct rescue *rescue, uint64_t call, bool make)
{
	struct rescue_ring *spare = NULL, *ring;

	for (ring = rescue->rings->ring; ring < rescue->rings->ring + RINGS; ring++) {
		if (ring->used && ring->call == call)
			return ring;
		if (!ring->used && !spare)
			spare = ring;
	}
	if (!make)
		return NULL;
	if (!spare) {
		rescue->counters.rescue_ring_full++;
		return NULL;
	}
	*spare = (struct rescue_ring){.rescue = rescue, .used = true, .call = call};
	return spare;
}

static void take_up_caller(struct rescue *rescue, struct dialog *a)
{
	struct rescue_ring *ring = ring_of_call(rescue, a->call, true);

	if (!ring || ring->irq)
		return;
	ring->until = mono_add(a->at_invite, RING_PATIENCE_NS);
	ring->irq = ring_revive_caller(rescue, a);
	if (!ring->irq) {
		rescue->counters.rescue_ring_no_invite++;
		ring->used = false;
		return;
	}
	nta_incoming_bind(ring->irq, on_caller, ring);
	rescue->counters.rescue_ring_calls++;
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
	struct rescue_ring *ring = ring_of_call(rescue, b->call, true);
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
		ring->rescue->counters.rescue_ring_calls += ring->up != NULL;
	}
	branch = &ring->branch[ring->n_branches];
	*branch = (struct ring_branch){.ring = ring};
	branch->invite = ring_revive_callee(rescue, b, branch, on_callee);
	if (branch->invite)
		ring->n_branches++;
	else
		rescue->counters.rescue_ring_no_invite++;
	if (!ring->irq && !ring->n_branches) {
		ring->used = false;
	} else if (!ring->irq && !ring->up && b->paired == PAIRED_AMBIGUOUS) {
		/* One of the callers that are put through afresh will make it ring again. */
		ring->over = true;
		cancel_all(ring, NULL);
	}
}

/* The callee's 200 had come, the caller's had not gone out yet. */
static void finish_answer(struct rescue_ring *ring, struct dialog *a, struct dialog *b)
{
	char sdp[DIALOG_SDP_LEN];
	int len = ring_sdp_to_caller(ring, a, b, sdp, sizeof(sdp));

	ring->over = true;
	ring_reply(ring, SIP_200_OK, sdp, len);
	connect_call(ring, a, b);
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
		ring->join = rescue_join_call(rescue, a, ring, on_local_server);
		if (!ring->join)
			refuse(ring, SIP_480_TEMPORARILY_UNAVAILABLE);
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
		refuse(ring, SIP_408_REQUEST_TIMEOUT);
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
	on_patience(NULL, NULL, (su_timer_arg_t *)rescue->rings);
	return 0;
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

bool rescue_ring_response(struct rescue *rescue, msg_t *msg, const sip_t *sip)
{
	return false;
}
