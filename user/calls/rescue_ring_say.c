/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What callees and callers of ringing calls say after the takeover, and what the
 * others hear of it, as a back-to-back server passes it. The transactions are
 * rescue_ring_leg.c's; which calls there are is rescue_ring.c's.
 */
#include "rescue_ring.h"

#include <sofia-sip/nta_tag.h>
#include <sofia-sip/sip_header.h>
#include <sofia-sip/sip_status.h>
#include <sofia-sip/sip_tag.h>
#include <sofia-sip/sip_util.h>
#include <sofia-sip/su_tagarg.h>

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

void ring_cancel_all(struct rescue_ring *ring, const struct ring_branch *but)
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

void ring_refuse(struct rescue_ring *ring, int status, const char *phrase)
{
	if (ring->over)
		return;
	ring->over = true;
	if (ring->irq)
		ring_reply(ring, status, phrase, NULL, 0);
	let_caller_go(ring);
	ring_cancel_all(ring, NULL);
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
		if (rescue_join_start(rescue, up)) {
			ring_outcome(ring, 1, 0, best,
			             "rang on, refused: the server is called anew for the caller");
		} else {
			rescue_bye(rescue, up, "SIP;cause=480");
			ring_outcome(ring, 2, 0, best, "rang on, refused: BYE to the caller");
		}
		settle(ring);
		return;
	}
	/* The credentials that these ask for were the dead server's; 503 is not for the caller (16.7). */
	if (best == 401 || best == 407) {
		rescue->counters.rescue_ring_challenged++;
		ring_outcome(ring, 2, 500, best,
		             "rang on, and the callee wants the dead server's credentials");
	}
	if (best == 401 || best == 407 || best == 503 || !best)
		best = 500;
	ring_outcome(ring, 1, best, best_of(ring), "rang on, and was refused");
	ring_refuse(ring, best, sip_status_phrase(best));
}

void ring_connect(struct rescue_ring *ring, struct dialog *a, struct dialog *b)
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
	ring_outcome(ring, 1, 200, 200, "rang on, and was answered");
	rescue_report(rescue);
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
		ring_outcome(ring, 2, 0, 200, "answered when the caller had gone: BYE to the callee");
		not_wanted(branch, b);
		settle(ring);
		return;
	}
	ring->over = true;
	from_ack = branch->offerless && !a->sdp_in_len;
	if (ring->up) {
		ring_ack_callee(branch, b, a);
		ring_connect(ring, a, b);
		ring_cancel_all(ring, branch);
		settle(ring);
		return;
	}
	len = ring_sdp_to_caller(ring, a, b, sdp, sizeof(sdp));
	if (!from_ack)
		ring_ack_callee(branch, b, a);
	else
		ring->waiting = branch;
	ring_reply(ring, SIP_200_OK, sdp, len);
	ring_cancel_all(ring, branch);
	ring_connect(ring, a, b);
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
	rescue_report(ring->rescue);
}

int ring_on_callee(void *magic, nta_outgoing_t *orq, const sip_t *sip)
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
		ring_cancel_all(ring, branch); /* RFC 3261 16.7 step 5: nobody else will say better */
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
	ring_cancel_all(ring, NULL);
	settle(ring);
}

int ring_on_caller(void *magic, nta_incoming_t *irq, const sip_t *sip)
{
	struct rescue_ring *ring = magic;

	if (!sip)
		caller_silent(ring);
	else if (sip->sip_request && sip->sip_request->rq_method == sip_method_cancel) {
		ring->rescue->counters.rescue_ring_cancelled++;
		ring_outcome(ring, 1, 487, 0, "rang on until the caller gave up");
		ring_refuse(ring, SIP_487_REQUEST_TERMINATED);
	} else
		caller_acked(ring, sip);
	return 0;
}

/* In a dialog that is not confirmed yet. Returns the status to answer with. */
static int early_request(struct rescue_ring *ring, const sip_t *sip)
{
	switch (sip->sip_request->rq_method) {
	case sip_method_bye:
		if (ring) {
			ring_outcome(ring, 1, 487, 0, "rang on until the caller hung up");
			ring_refuse(ring, SIP_487_REQUEST_TERMINATED);
		}
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
	struct dialog *d = NULL;
	int status;

	if (to_tag && from_tag)
		d = dialog_find(rescue->table, rescue->conf.head.service, sip->sip_call_id->i_id, to_tag,
		                from_tag);
	if (sip->sip_request->rq_method == sip_method_prack) {
		ring_take_prack(rescue, d ? ring_of_caller(rescue, d) : NULL, d, irq, sip);
		return true;
	}
	if (!rescue->rings || !d || d->state != DIALOG_EARLY)
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

void ring_on_local_server(struct rescue_ring *ring, int status, const char *phrase, const sip_t *sip)
{
	const sip_payload_t *body = rescue_has_sdp(sip) ? sip->sip_payload : NULL;
	struct dialog *a = ring_caller(ring);

	if (status >= 300) {
		int across = status == 401 || status == 407 || status == 503 ? 500 : status;

		ring->join = NULL;
		ring_outcome(ring, 2, across, status,
		             "rang for nobody: the server was called anew and refused");
		ring_refuse(ring, across, phrase);
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
	ring_outcome(ring, 1, 200, status, "rang for nobody: the server was called anew and answered");
	rescue_report(ring->rescue);
}
