/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reliable provisional responses (RFC 3262) of a server that died, on both sides of
 * it: callers acknowledge what it had told them, and callees wait for the PRACK that
 * it sent no more. What these carry of offers and answers (section 5) is not lost.
 * The agent sends no reliable response of its own. Called by rescue_ring_say.c.
 */
#include "rescue_ring.h"

#include <sofia-sip/nta_tag.h>
#include <sofia-sip/sip_header.h>
#include <sofia-sip/sip_status.h>
#include <sofia-sip/sip_tag.h>
#include <sofia-sip/su_tagarg.h>
#include <stdio.h>
#include <string.h>

/* --- of callees --------------------------------------------------------------------- */

/* The caller was told this offer reliably by the server that died: its own PRACK brings the answer. */
static bool caller_will_answer(const struct ring_branch *branch)
{
	const struct rescue_ring *ring = branch->ring;
	const struct dialog *a = ring->irq ? ring_caller(ring) : NULL;

	return branch->offerless && a && a->rseq && a->sdp_out_len && !a->sdp_in_len;
}

static void send_prack(struct ring_branch *branch)
{
	struct rescue *rescue = branch->ring->rescue;
	struct rescue_request request = {.method = sip_method_prack, .name = "PRACK"};
	char rack[64], sdp[DIALOG_SDP_LEN];
	size_t len = 0;

	if (!dialog_is_of_call(rescue->table, branch->rack_of, branch->rack_call))
		return;
	if (branch->rack_offer)
		len = ring_answer_callee(branch, branch->rack_of, ring_caller(branch->ring), sdp,
		                         sizeof(sdp));
	snprintf(rack, sizeof(rack), "RAck: %u %u INVITE\r\n", branch->rack, branch->cseq);
	request.cseq = rescue_cseq(rescue, branch->rack_of);
	request.headers = rack;
	request.body = len ? sdp : NULL;
	request.body_len = len;
	rescue_send_request(rescue, branch->rack_of, &request, rescue_quiet, NULL);
	rescue->counters.rescue_ring_pracks++;
}

void ring_prack(struct ring_branch *branch, struct dialog *b, const sip_t *sip)
{
	if (!sip->sip_rseq || (sip->sip_rseq->rs_response == branch->rack && branch->rack_of == b))
		return; /* repeated: its PRACK is on the way */
	branch->rack = sip->sip_rseq->rs_response;
	branch->rack_of = b;
	branch->rack_call = b->call;
	branch->rack_offer = branch->offerless && rescue_has_sdp(sip);
	branch->rack_waits = branch->rack_offer && caller_will_answer(branch);
	if (!branch->rack_waits)
		send_prack(branch);
}

static void answer_waiting(struct rescue_ring *ring)
{
	uint32_t i;

	for (i = 0; i < ring->n_branches; i++) {
		struct ring_branch *branch = &ring->branch[i];

		if (!branch->rack_waits || caller_will_answer(branch))
			continue;
		branch->rack_waits = false;
		if (branch->invite)
			send_prack(branch);
	}
}

/* --- of the caller ------------------------------------------------------------------ */

/*
 * Of the INVITE that made this dialog. While it rings any RSeq will do: the last ones of
 * the dead server may not have got here.
 */
static bool acknowledges(const struct dialog *a, const sip_t *sip)
{
	const sip_rack_t *rack = sip->sip_rack;

	if (!rack || a->role != DIALOG_UAS || a->state == DIALOG_ENDED ||
	    rack->ra_method != sip_method_invite || rack->ra_cseq != a->invite_cseq)
		return false;
	return a->state == DIALOG_EARLY || rack->ra_response <= a->rseq;
}

bool ring_caller_asked_for_offer(const struct rescue_ring *ring)
{
	msg_t *invite = nta_incoming_getrequest(ring->irq);
	bool asked = invite && !rescue_has_sdp(sip_object(invite));

	msg_destroy(invite);
	return asked;
}

static bool is_known(const struct dialog *a, const sip_payload_t *body)
{
	return a->sdp_in_len == body->pl_len && !memcmp(a->sdp_in, body->pl_data, body->pl_len);
}

/* The caller's first SDP answers the offer that it had asked for. The same once more: that PRACK is repeated.
 */
static bool is_offer(const struct rescue_ring *ring, const struct dialog *a, const sip_t *sip)
{
	if (!rescue_has_sdp(sip) || !a->sdp_in_len)
		return false;
	return !is_known(a, sip->sip_payload) || (ring && !ring_caller_asked_for_offer(ring));
}

static void hear(struct rescue *rescue, struct dialog *a, nta_incoming_t *irq, const sip_t *sip)
{
	msg_t *msg = nta_incoming_getrequest(irq);
	struct inaddr16 addr = a->flow_addr;
	uint16_t port = a->flow_port;

	rescue_source_of(msg, &addr, &port);
	track_message(rescue->track, sip, a->service, false, &addr, port, rescue_now());
	msg_destroy(msg);
}

void ring_take_prack(struct rescue *rescue, struct rescue_ring *ring, struct dialog *a, nta_incoming_t *irq,
                     const sip_t *sip)
{
	char sdp[DIALOG_SDP_LEN];
	sip_payload_t *body;
	su_home_t home[1] = {SU_HOME_INIT(home)};
	bool offer;
	int len = 0;

	if (!a || !acknowledges(a, sip)) {
		nta_incoming_treply(irq, 481, "No such response", TAG_END());
		nta_incoming_destroy(irq);
		rescue->counters.rescue_refused_request++;
		return;
	}
	offer = is_offer(ring, a, sip);
	hear(rescue, a, irq, sip);
	/* RFC 3262 section 5: its answer is in the 200, and nobody else can be asked so soon. */
	if (offer)
		len = rescue_sdp_fallback(rescue, a, sdp, sizeof(sdp));
	su_home_init(home);
	body = len > 0 ? sip_payload_create(home, sdp, (isize_t)len) : NULL;
	nta_incoming_treply(irq, SIP_200_OK, TAG_IF(body, SIPTAG_CONTENT_TYPE_STR("application/sdp")),
	                    TAG_IF(body, SIPTAG_PAYLOAD(body)), TAG_END());
	su_home_deinit(home);
	nta_incoming_destroy(irq);
	rescue->counters.rescue_ring_pracked++;
	if (ring)
		answer_waiting(ring);
	rescue_report(rescue);
}
