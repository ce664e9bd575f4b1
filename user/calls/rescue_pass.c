/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Requests that arrive at the rescue port: this process is the server now for the
 * dialogs that it re-INVITEd. BYE ends both legs; an offer goes to the other
 * phone and its answer comes back; a refresh that changes nothing is answered
 * here. Session timers are not agreed to (RFC 4028 section 9: a 2xx without
 * Session-Expires switches them off).
 */
#include "rescue_agent.h"
#include "sdp.h"

#include <errno.h>
#include <sofia-sip/sip_header.h>
#include <sofia-sip/sip_status.h>
#include <sofia-sip/sip_tag.h>
#include <sofia-sip/su_tagarg.h>
#include <stdlib.h>
#include <string.h>

/* A re-INVITE or UPDATE of one phone on its way to the other. */
struct rescue_pass {
	struct rescue *rescue;
	bool used;
	nta_incoming_t *irq;    /* NULL when cancelled or answered */
	nta_outgoing_t *invite; /* to the other phone */
	uint32_t cseq;
	uint64_t call;
	struct dialog *from;
	struct dialog *to;
	bool offerless; /* the phone asked for an offer: the answer comes with its ACK */
};

int rescue_pass_new(struct rescue *rescue)
{
	rescue->passes = calloc(RESCUE_PASSES, sizeof(*rescue->passes));
	return rescue->passes ? 0 : -ENOMEM;
}

void rescue_pass_free(struct rescue *rescue)
{
	free(rescue->passes);
}

bool rescue_pass_response(struct rescue *rescue, msg_t *msg, const sip_t *sip)
{
	return false;
}

bool rescue_pass_involves(const struct rescue *rescue, const struct dialog *dialog)
{
	int i;

	for (i = 0; i < RESCUE_PASSES; i++)
		if (rescue->passes[i].used &&
		    (rescue->passes[i].from == dialog || rescue->passes[i].to == dialog))
			return true;
	return false;
}

void rescue_pass_forget_all(struct rescue *rescue)
{
	memset(rescue->passes, 0,
	       RESCUE_PASSES * sizeof(*rescue->passes)); /* their transactions go with the agent */
}

static void done(struct rescue_pass *pass)
{
	if (pass->irq) {
		nta_incoming_bind(pass->irq, NULL, NULL);
		nta_incoming_destroy(pass->irq);
	}
	*pass = (struct rescue_pass){0};
}

static struct rescue_pass *begin(struct rescue *rescue)
{
	int i;

	for (i = 0; i < RESCUE_PASSES; i++)
		if (!rescue->passes[i].used) {
			rescue->passes[i] = (struct rescue_pass){.rescue = rescue, .used = true};
			return &rescue->passes[i];
		}
	rescue->counters.rescue_exchange_full++;
	return NULL;
}

static bool alive(const struct rescue_pass *pass)
{
	return dialog_is_of_call(pass->rescue->table, pass->from, pass->call) &&
	       dialog_is_of_call(pass->rescue->table, pass->to, pass->call);
}

/* 2xx that refreshes the target: with our Contact, and with `sdp` when there is one. */
static void reply_ok(struct rescue *rescue, nta_incoming_t *irq, const char *sdp, int len)
{
	su_home_t home[1] = {SU_HOME_INIT(home)};
	sip_payload_t *body;

	su_home_init(home);
	body = len > 0 ? sip_payload_create(home, sdp, (isize_t)len) : NULL;
	nta_incoming_treply(irq, SIP_200_OK, SIPTAG_CONTACT_STR(rescue->contact),
	                    TAG_IF(body, SIPTAG_CONTENT_TYPE_STR("application/sdp")),
	                    TAG_IF(body, SIPTAG_PAYLOAD(body)), TAG_END());
	su_home_deinit(home);
}

static struct dialog *heard(struct rescue *rescue, struct dialog *d, nta_incoming_t *irq, const sip_t *sip)
{
	msg_t *msg = nta_incoming_getrequest(irq);
	struct inaddr16 addr = d->flow_addr;
	uint16_t port = d->flow_port;

	rescue_source_of(msg, &addr, &port);
	msg_destroy(msg);
	return track_message(rescue->track, sip, d->service, false, &addr, port, rescue_now());
}

/* The phone's answer to the offer that came with our 200: its ACK. Also CANCEL, or silence (sip NULL). */
static int on_ack_or_cancel(void *magic, nta_incoming_t *irq, const sip_t *sip)
{
	struct rescue_pass *pass = magic;
	char sdp[DIALOG_SDP_LEN];
	int len = -1;

	if (sip && sip->sip_request && sip->sip_request->rq_method == sip_method_cancel) {
		/* The other phone is asked already: its answer is acknowledged, but nobody waits for it. */
		nta_incoming_treply(irq, SIP_487_REQUEST_TERMINATED, TAG_END());
		nta_incoming_destroy(irq);
		pass->irq = NULL;
		return 0;
	}
	if (!pass->offerless || !alive(pass)) {
		done(pass);
		return 0;
	}
	if (sip && rescue_has_sdp(sip) && heard(pass->rescue, pass->from, irq, sip))
		len = rescue_sdp_across(pass->rescue, pass->to, pass->from, true, sdp, sizeof(sdp));
	if (len < 0)
		len = rescue_sdp_fallback(pass->rescue, pass->to, sdp, sizeof(sdp));
	rescue_ack(pass->rescue, pass->to, &pass->invite, pass->cseq, len > 0 ? sdp : NULL,
	           len > 0 ? (size_t)len : 0);
	done(pass);
	return 0;
}

static void pass_failed(struct rescue_pass *pass, int status)
{
	if (pass->irq)
		nta_incoming_treply(pass->irq, status == 408 || status == 481 ? 500 : status, NULL,
		                    TAG_END());
	/* The other phone has no such dialog any more: neither has this call. */
	if (status == 408 || status == 481) {
		dialog_set_state(pass->rescue->table, pass->to, DIALOG_ENDED, rescue_now());
		rescue_bye(pass->rescue, pass->from, NULL);
	}
	done(pass);
}

static int on_pass_answer(void *magic, nta_outgoing_t *orq, const sip_t *sip)
{
	struct rescue_pass *pass = magic;
	struct rescue *rescue = pass->rescue;
	int status = nta_outgoing_status(orq), len;
	char sdp[DIALOG_SDP_LEN];

	if (status < 200)
		return 0;
	if (!alive(pass)) {
		nta_outgoing_destroy(orq);
		done(pass);
		return 0;
	}
	rescue_heard(rescue, pass->to, orq, sip);
	if (status >= 300) {
		nta_outgoing_destroy(orq);
		pass_failed(pass, status);
		return 0;
	}
	len = -1;
	if (pass->irq && rescue_has_sdp(sip))
		len = rescue_sdp_across(rescue, pass->from, pass->to, !pass->offerless, sdp, sizeof(sdp));
	if (pass->irq && len > 0)
		reply_ok(rescue, pass->irq, sdp, len);
	else if (pass->irq)
		nta_incoming_treply(pass->irq, SIP_488_NOT_ACCEPTABLE, TAG_END());
	if (pass->offerless && pass->irq && len > 0)
		return 0; /* the answer comes with the phone's ACK: on_ack_or_cancel */
	len = pass->offerless ? rescue_sdp_fallback(rescue, pass->to, sdp, sizeof(sdp)) : 0;
	rescue_ack(rescue, pass->to, &pass->invite, pass->cseq, len > 0 ? sdp : NULL,
	           len > 0 ? (size_t)len : 0);
	done(pass);
	return 0;
}

/* An offer (or the wish for one) on its way to the other phone. Returns the status to answer now, 0 = later.
 */
static int pass_offer(struct rescue *rescue, struct dialog *from, nta_incoming_t *irq, bool offerless)
{
	struct dialog *to = dialog_peer(rescue->table, from);
	struct rescue_pass *pass;
	char sdp[DIALOG_SDP_LEN];
	int len = 0;

	if (!to || !dialog_is_up(to))
		return 488;
	if (rescue_pass_involves(rescue, to))
		return 491;
	if (!offerless)
		len = rescue_sdp_across(rescue, to, from, false, sdp, sizeof(sdp));
	if (len < 0)
		return 488;
	pass = begin(rescue);
	if (!pass)
		return 503;
	pass->irq = irq;
	pass->from = from;
	pass->to = to;
	pass->call = from->call;
	pass->offerless = offerless;
	pass->cseq =
	        dialog_take_cseq(rescue->table, to, to->state == DIALOG_RESCUED ? 1 : RESCUE_CSEQ_MARGIN);
	nta_incoming_bind(irq, on_ack_or_cancel, pass);
	pass->invite = rescue_send(rescue, to, SIP_METHOD_INVITE, pass->cseq, len ? sdp : NULL, (size_t)len,
	                           on_pass_answer, pass);
	if (!pass->invite) {
		nta_incoming_bind(irq, NULL, NULL);
		*pass = (struct rescue_pass){0};
		return 500;
	}
	rescue->counters.rescue_passed_offer++;
	return 0;
}

/* The same session and version as before: a session refresh (RFC 4028) or a new Contact. */
static bool is_refresh(const struct dialog *d, const sip_t *sip)
{
	struct sdp was, is;

	if (!d->sdp_out_len || sdp_parse(d->sdp_in, d->sdp_in_len, &was) ||
	    sdp_parse(sip->sip_payload->pl_data, sip->sip_payload->pl_len, &is))
		return false;
	return was.origin.len == is.origin.len && !memcmp(was.origin.at, is.origin.at, is.origin.len);
}

static int on_offer(struct rescue *rescue, struct dialog *d, nta_incoming_t *irq, const sip_t *sip)
{
	bool offerless = !sip->sip_payload || !sip->sip_payload->pl_len;
	bool update = sip->sip_request->rq_method == sip_method_update;
	int status = 0;

	if (!offerless && !rescue_has_sdp(sip))
		return 413;
	/* RFC 3261 14.2: one at a time in a dialog. */
	if (rescue_is_under_way(rescue, d) || rescue_pass_involves(rescue, d))
		return 491;
	if (offerless && update) {
		heard(rescue, d, irq, sip);
		reply_ok(rescue, irq, NULL, 0);
	} else if (!offerless && is_refresh(d, sip)) {
		heard(rescue, d, irq, sip);
		reply_ok(rescue, irq, d->sdp_out, d->sdp_out_len);
	} else {
		heard(rescue, d, irq, sip);
		status = pass_offer(rescue, d, irq, offerless);
		if (!status)
			return 0;
	}
	if (!status)
		nta_incoming_destroy(irq);
	return status;
}

static int on_dialog_request(struct rescue *rescue, struct dialog *d, nta_incoming_t *irq, const sip_t *sip)
{
	sip_method_t method = sip->sip_request->rq_method;

	/* RFC 3261 12.2.2; 0 = none seen yet */
	if (sip->sip_cseq->cs_seq < d->remote_cseq)
		return 500;
	switch (method) {
	case sip_method_bye:
		heard(rescue, d, irq, sip);
		nta_incoming_treply(irq, SIP_200_OK, TAG_END());
		nta_incoming_destroy(irq);
		rescue_leg_gone(rescue, d, NULL);
		return 0;
	case sip_method_invite:
	case sip_method_update:
		return d->state == DIALOG_ENDED ? 481 : on_offer(rescue, d, irq, sip);
	case sip_method_options:
	case sip_method_info:
		heard(rescue, d, irq, sip);
		return 200;
	default:
		return 501;
	}
}

int rescue_on_request(struct rescue *rescue, nta_leg_t *leg, nta_incoming_t *irq, const sip_t *sip)
{
	sip_method_t method = sip->sip_request->rq_method;
	const char *to_tag = sip->sip_to->a_tag, *from_tag = sip->sip_from->a_tag;
	struct dialog *d;
	int status;

	if (method == sip_method_ack) {
		nta_incoming_destroy(irq);
		return 0;
	}
	if (!to_tag)
		status = method == sip_method_options ? 200 : 404;
	else if (!from_tag || !(d = dialog_find(rescue->table, rescue->conf.head.service,
	                                        sip->sip_call_id->i_id, to_tag, from_tag))) {
		rescue->counters.rescue_unknown_dialog++;
		return 481;
	} else {
		status = on_dialog_request(rescue, d, irq, sip);
	}
	if (status >= 300)
		rescue->counters.rescue_refused_request++;
	return status;
}
