/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Offers and answers across the two legs (RFC 3264, RFC 6337): hold, resume,
 * another codec, a new media line, an offer asked for. What one phone offers in
 * re-INVITE or UPDATE is offered to the other, and its answer comes back; what
 * changes nothing is answered here. While an offer is under way in a call a
 * further one is refused (RFC 3261 14.2, RFC 3311 5.2); one that comes to nothing
 * leaves the session as it was. Called by rescue_pass.c.
 */
#include "rescue_pass.h"

#include <sofia-sip/nta_tag.h>
#include <sofia-sip/sip_header.h>
#include <sofia-sip/sip_status.h>
#include <sofia-sip/sip_tag.h>
#include <sofia-sip/sip_util.h>
#include <sofia-sip/su_tagarg.h>
#include <stdio.h>
#include <string.h>

/* The same session and version as before: a session refresh (RFC 4028 7.4) or a new Contact. */
static bool is_refresh(const struct dialog *d, const struct sdp *is)
{
	struct sdp was;

	if (!d->sdp_out_len || sdp_parse(d->sdp_in, d->sdp_in_len, &was))
		return false;
	return was.origin.len == is->origin.len && !memcmp(was.origin.at, is->origin.at, is->origin.len);
}

/* --- back to how it was ----------------------------------------------------------------- */

static void remember(struct rescue_pass *pass)
{
	struct pass_undo *kept = pass_undo_of(pass);

	kept->in_len = pass->from->sdp_in_len;
	kept->out_len = pass->to->sdp_out_len;
	memcpy(kept->in, pass->from->sdp_in, kept->in_len);
	memcpy(kept->out, pass->to->sdp_out, kept->out_len);
}

/* RFC 3261 14.1: an offer that was refused never was. */
static void undo(struct rescue_pass *pass)
{
	const struct pass_undo *kept = pass_undo_of(pass);

	dialog_set_sdp_in(pass->rescue->table, pass->from, kept->in, kept->in_len);
	if (!pass->offerless)
		rescue_sdp_refused(pass->rescue, pass->to, kept->out, kept->out_len);
}

/* --- out to the other phone --------------------------------------------------------------- */

static int on_answer(void *magic, nta_outgoing_t *orq, const sip_t *sip);
static int on_ack_or_cancel(void *magic, nta_incoming_t *irq, const sip_t *sip);

/* sdp NULL: asks for an offer. */
static bool send_offer(struct rescue_pass *pass, bool update, const char *sdp, size_t len, uint32_t hops)
{
	struct rescue *rescue = pass->rescue;
	char timer[RESCUE_TIMER_LEN], headers[RESCUE_TIMER_LEN + 32];
	struct rescue_request request = {
	        .method = update ? sip_method_update : sip_method_invite,
	        .name = update ? "UPDATE" : "INVITE",
	        .cseq = rescue_cseq(rescue, pass->to),
	        .body = sdp,
	        .body_len = len,
	        .headers = headers,
	};

	snprintf(headers, sizeof(headers), "Max-Forwards: %u\r\n%s", hops,
	         rescue_timer_headers(rescue, pass->to, NULL, timer));
	pass->method = request.method;
	pass->cseq = request.cseq;
	pass->orq = rescue_send_request(rescue, pass->to, &request, on_answer, pass);
	return pass->orq != NULL;
}

/* Acknowledges the 2xx to our INVITE, with an answer where it brought an offer. */
static void acknowledge(struct rescue_pass *pass, bool with_fallback)
{
	char sdp[DIALOG_SDP_LEN];
	int len = 0;

	if (pass->method != sip_method_invite || !pass->orq)
		return;
	if (with_fallback)
		len = rescue_sdp_fallback(pass->rescue, pass->to, sdp, sizeof(sdp));
	rescue_ack(pass->rescue, pass->to, &pass->orq, pass->cseq, len > 0 ? sdp : NULL,
	           len > 0 ? (size_t)len : 0);
}

/*
 * The phone cancelled its offer, but the other one has taken it already: that one
 * is offered once more what the first phone really does.
 */
static void restore(struct rescue_pass *pass)
{
	char sdp[DIALOG_SDP_LEN];
	int len;

	undo(pass);
	len = rescue_sdp_across(pass->rescue, pass->to, pass->from, false, sdp, sizeof(sdp));
	pass->rescue->counters.rescue_offer_undone++;
	pass->restoring = true;
	pass->early_answer = false;
	if (len <= 0 || !send_offer(pass, false, sdp, (size_t)len, 70))
		pass_end(pass);
}

/* 2xx that refreshes the target: with our Contact, the session timer, and `sdp` when there is one. */
static void reply_ok(struct rescue *rescue, struct dialog *d, nta_incoming_t *irq, const char *sdp, int len)
{
	su_home_t home[1] = {SU_HOME_INIT(home)};
	char timer[RESCUE_TIMER_LEN];
	msg_t *request = nta_incoming_getrequest(irq);
	sip_payload_t *body;

	su_home_init(home);
	/* Before the timer is noted: the dialog's own text does not outlive a change of it. */
	body = len > 0 ? sip_payload_create(home, sdp, (isize_t)len) : NULL;
	rescue_timer_headers(rescue, d, sip_object(request), timer);
	nta_incoming_treply(irq, SIP_200_OK, SIPTAG_CONTACT_STR(rescue->contact),
	                    SIPTAG_ALLOW_STR(PASS_ALLOW), TAG_IF(timer[0], SIPTAG_HEADER_STR(timer)),
	                    TAG_IF(body, SIPTAG_CONTENT_TYPE_STR("application/sdp")),
	                    TAG_IF(body, SIPTAG_PAYLOAD(body)), TAG_END());
	su_home_deinit(home);
	msg_destroy(request);
}

/* --- and back -------------------------------------------------------------------------------- */

/*
 * RFC 3262: nobody was told that we take reliable 1xx, but one that comes is
 * acknowledged, or the other phone would give up. Its SDP is the answer to our
 * offer; an offer in it gets what that phone was last told.
 */
static void on_provisional(struct rescue_pass *pass, nta_outgoing_t *orq, const sip_t *sip)
{
	struct rescue *rescue = pass->rescue;
	char rack[64], sdp[DIALOG_SDP_LEN];
	struct rescue_request prack = {.method = sip_method_prack, .name = "PRACK", .headers = rack};
	nta_outgoing_t *sent;
	bool has_sdp;
	int len = 0;

	if (pass->method != sip_method_invite || !sip || !sip->sip_rseq || !sip->sip_require ||
	    !sip_has_feature(sip->sip_require, "100rel"))
		return;
	has_sdp = pass_has_sdp(sip) && !pass->early_answer;
	pass_heard_answer(pass, orq, sip, has_sdp);
	nta_outgoing_setrseq(orq, sip->sip_rseq->rs_response);
	snprintf(rack, sizeof(rack), "RAck: %u %u INVITE\r\n", (unsigned int)sip->sip_rseq->rs_response,
	         pass->cseq);
	if (has_sdp && pass->offerless)
		len = rescue_sdp_fallback(rescue, pass->to, sdp, sizeof(sdp));
	pass->early_answer |= has_sdp;
	prack.cseq = rescue_cseq(rescue, pass->to);
	prack.body = len > 0 ? sdp : NULL;
	prack.body_len = len > 0 ? (size_t)len : 0;
	sent = rescue_send_request(rescue, pass->to, &prack, rescue_quiet, NULL);
	if (sent)
		rescue->counters.rescue_sent_prack++;
}

/* 2xx that does not answer what was offered, or does not offer what was asked for. */
static void on_bad_answer(struct rescue_pass *pass)
{
	struct rescue *rescue = pass->rescue;

	rescue->counters.rescue_bad_answer++;
	acknowledge(pass, false);
	undo(pass);
	if (pass->irq) {
		pass_refuse(rescue, pass->irq, 488, NULL);
		pass->irq = NULL;
	}
	pass_end(pass);
}

static void on_accepted(struct rescue_pass *pass, nta_outgoing_t *orq, const sip_t *sip)
{
	struct rescue *rescue = pass->rescue;
	bool has_sdp = !pass->early_answer && pass_has_sdp(sip);
	char sdp[DIALOG_SDP_LEN];
	int len;

	pass_heard_answer(pass, orq, sip, has_sdp);
	if (pass->restoring || !dialog_is_up(pass->from)) {
		acknowledge(pass, pass->offerless);
		pass_end(pass);
		return;
	}
	if (!has_sdp && (!pass->early_answer || pass->offerless)) {
		on_bad_answer(pass);
		return;
	}
	if (!pass->irq) { /* cancelled too late */
		acknowledge(pass, pass->offerless);
		if (pass->offerless || !dialog_is_up(pass->from))
			pass_end(pass);
		else
			restore(pass);
		return;
	}
	len = rescue_sdp_across(rescue, pass->from, pass->to, !pass->offerless, sdp, sizeof(sdp));
	if (len < 0) {
		on_bad_answer(pass);
		return;
	}
	reply_ok(rescue, pass->from, pass->irq, sdp, len);
	pass->waits_ack = pass->offerless;
	if (pass->offerless)
		return; /* the answer comes with the phone's ACK */
	acknowledge(pass, false);
	pass_end(pass);
}

static void on_refused(struct rescue_pass *pass, nta_outgoing_t *orq, int status, const sip_t *sip)
{
	if (status != 481 && status != 408)
		pass_heard_answer(pass, orq, sip, false);
	/* It said once that it knows UPDATE; re-INVITE it must know. */
	if (pass->method == sip_method_update && (status == 405 || status == 501)) {
		char sdp[DIALOG_SDP_LEN];
		size_t len = pass->to->sdp_out_len;

		memcpy(sdp, pass->to->sdp_out, len);
		nta_outgoing_destroy(orq);
		if (send_offer(pass, false, sdp, len, 70))
			return;
	}
	if (!pass->restoring)
		undo(pass);
	/* RFC 3261 9.1: a cancelled INVITE that is never answered is over, the call is not. */
	if (pass->cancelled && status == 408)
		pass_end(pass);
	else
		pass_answer_back(pass, status, sip);
}

static int on_answer(void *magic, nta_outgoing_t *orq, const sip_t *sip)
{
	struct rescue_pass *pass = magic;
	int status = nta_outgoing_status(orq);

	if (!pass->used || pass->orq != orq) {
		if (status >= 200)
			nta_outgoing_destroy(orq);
		return 0;
	}
	if (!pass_is_alive(pass)) {
		if (status >= 200)
			pass_end(pass);
		return 0;
	}
	if (status < 200)
		on_provisional(pass, orq, sip);
	else if (status >= 300)
		on_refused(pass, orq, status, sip);
	else
		on_accepted(pass, orq, sip);
	return 0;
}

/* --- what else the asking phone does -------------------------------------------------------------- */

/*
 * Nobody waits for the answer any more. The exchange ends with the other phone's
 * 487 or its 200, for which it must be there: nta would answer the 200 of an INVITE
 * that nobody keeps with ACK and BYE.
 */
static void withdraw(struct rescue_pass *pass, int status, const sip_reason_t *reason)
{
	nta_incoming_t *irq = pass->irq;

	pass->irq = NULL;
	pass->cancelled = true;
	if (irq) {
		nta_incoming_bind(irq, NULL, NULL);
		nta_incoming_treply(irq, status, NULL, TAG_END());
		nta_incoming_destroy(irq);
	}
	if (pass->method == sip_method_invite)
		nta_outgoing_tcancel(pass->orq, NULL, NULL, TAG_IF(reason, SIPTAG_REASON(reason)), TAG_END());
}

/* The ACK brings the answer to the offer in our 200; sip NULL: it never came (RFC 3261 13.3.1.4). */
static int on_ack_or_cancel(void *magic, nta_incoming_t *irq, const sip_t *sip)
{
	struct rescue_pass *pass = magic;
	struct rescue *rescue = pass->rescue;
	char sdp[DIALOG_SDP_LEN];
	int len = -1;

	if (sip && sip->sip_request && sip->sip_request->rq_method == sip_method_cancel) {
		rescue->counters.rescue_passed_cancel++;
		withdraw(pass, 487, sip->sip_reason);
		return 0;
	}
	if (!sip)
		rescue->counters.rescue_no_ack++;
	if (!pass->waits_ack || !pass_is_alive(pass)) {
		pass_end(pass);
		return 0;
	}
	if (sip && pass_has_sdp(sip) && pass_heard(rescue, pass->from, irq, sip, true))
		len = rescue_sdp_across(rescue, pass->to, pass->from, true, sdp, sizeof(sdp));
	if (len < 0)
		acknowledge(pass, true);
	else
		rescue_ack(rescue, pass->to, &pass->orq, pass->cseq, sdp, (size_t)len);
	pass_end(pass);
	return 0;
}

void pass_offer_drop(struct rescue_pass *pass, int status)
{
	struct rescue *rescue = pass->rescue;

	if (pass->waits_ack)
		acknowledge(pass, true);
	else if (pass->orq && pass->method == sip_method_invite && !pass->cancelled)
		nta_outgoing_tcancel(pass->orq, NULL, NULL, TAG_END());
	if (pass->irq && !pass->waits_ack) {
		nta_incoming_bind(pass->irq, NULL, NULL);
		pass_refuse(rescue, pass->irq, status, NULL);
		pass->irq = NULL;
	}
	if (pass_is_alive(pass) && !pass->waits_ack)
		undo(pass);
	pass_end(pass);
}

/* --- in from the asking phone ------------------------------------------------------------------------ */

/*
 * An INVITE of the rescue itself is out on a leg of this call. A call whose turn has
 * not come, or waits after a 491, is open for its phones' own offers.
 */
static bool rescue_asks(const struct rescue *rescue, const struct dialog *d)
{
	const struct rescue_call *call = rescue_call_of(rescue, d);

	if (!call || call->done)
		return false;
	return call->leg[0].invite || call->leg[1].invite ||
	       (rescue_plan_is_3pcc(call->plan) && call->step.state != STEP_IDLE);
}

/* 0, 491 (ours is under way in this dialog) or 500 (its own is). RFC 3261 14.2, RFC 3311 5.2. */
static int conflict(struct rescue *rescue, const struct dialog *d)
{
	int i, status = 0;

	for (i = 0; i < pass_top(rescue); i++) {
		struct rescue_pass *pass = &rescue->passes[i];

		if (!pass->used || !pass->offer || (pass->from != d && pass->to != d))
			continue;
		if (!pass->cancelled && rescue_now().ns - pass->since.ns > PASS_OVERDUE_NS) {
			rescue->counters.rescue_pass_overdue++;
			withdraw(pass, 504, NULL);
		}
		status = pass->from == d && pass->irq && !pass->waits_ack ? 500 : 491;
	}
	return !status && rescue_asks(rescue, d) ? 491 : status;
}

static int begin_offer(struct rescue *rescue, struct dialog *d, nta_incoming_t *irq, const sip_t *sip,
                       bool offerless)
{
	struct dialog *to = dialog_peer(rescue->table, d);
	bool update = sip->sip_request->rq_method == sip_method_update;
	struct rescue_pass *pass = NULL;
	char sdp[DIALOG_SDP_LEN];
	int len = 0;

	if (!to || !dialog_is_up(to)) {
		pass_heard(rescue, d, irq, sip, false);
		return pass_refuse(rescue, irq, 488, NULL);
	}
	pass = pass_begin(rescue, irq, d, to);
	if (!pass)
		return pass_refuse_for_now(rescue, irq);
	pass->offer = true;
	pass->offerless = offerless;
	remember(pass);
	pass_heard(rescue, d, irq, sip, true);
	nta_incoming_bind(irq, on_ack_or_cancel, pass);
	if (!offerless)
		len = rescue_sdp_across(rescue, to, d, false, sdp, sizeof(sdp));
	if (len < 0 || !send_offer(pass, update && (to->flags & DIALOG_ALLOWS_UPDATE), len ? sdp : NULL,
	                           (size_t)len, pass_max_forwards(sip))) {
		nta_incoming_bind(irq, NULL, NULL);
		pass->irq = NULL;
		undo(pass);
		pass_end(pass);
		return pass_refuse(rescue, irq, len < 0 ? 488 : 500, NULL);
	}
	rescue->counters.rescue_passed_offer++;
	return 0;
}

static int refresh(struct rescue *rescue, struct dialog *d, nta_incoming_t *irq, const sip_t *sip,
                   bool answer)
{
	pass_heard(rescue, d, irq, sip, true);
	reply_ok(rescue, d, irq, d->sdp_out, answer ? d->sdp_out_len : 0);
	nta_incoming_destroy(irq);
	rescue->counters.rescue_refreshed++;
	return 0;
}

int pass_offer(struct rescue *rescue, struct dialog *d, nta_incoming_t *irq, const sip_t *sip)
{
	bool update = sip->sip_request->rq_method == sip_method_update;
	su_home_t home[1] = {SU_HOME_INIT(home)};
	enum pass_body body;
	bool unchanged;
	struct sdp sdp;
	int status;

	su_home_init(home);
	body = pass_body_of(home, sip, &sdp);
	unchanged = body == PASS_SDP && is_refresh(d, &sdp);
	su_home_deinit(home);
	if (body == PASS_OTHER_BODY)
		return pass_refuse(rescue, irq, 415, "Accept: application/sdp\r\n");
	if (body == PASS_BAD_SDP) {
		bool large = sip->sip_payload->pl_len > DIALOG_SDP_LEN;

		rescue->counters.rescue_too_large += large;
		return pass_refuse(rescue, irq, large ? 413 : 488, NULL);
	}
	if (update && body == PASS_NO_BODY) /* no offer: always in order */
		return refresh(rescue, d, irq, sip, false);
	status = conflict(rescue, d);
	if (status) {
		rescue->counters.rescue_glare++;
		pass_heard(rescue, d, irq, sip, false);
		return status == 500 ? pass_refuse_for_now(rescue, irq) : pass_refuse(rescue, irq, 491, NULL);
	}
	if (unchanged)
		return refresh(rescue, d, irq, sip, true);
	return begin_offer(rescue, d, irq, sip, body == PASS_NO_BODY);
}
