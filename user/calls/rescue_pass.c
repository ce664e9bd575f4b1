/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Requests of known dialogs that arrive at the rescue port: this process is the
 * server for them from the flip on, whether or not the leg was re-INVITEd yet.
 * Checks what every request must fulfil (RFC 3261 8.2 and 12.2.2), answers BYE,
 * and keeps the exchanges of rescue_pass_offer.c and rescue_pass_other.c. Called
 * by rescue.c for what no ringing or joined call took.
 */
#include "rescue_pass.h"

#include <errno.h>
#include <sofia-sip/nta_tag.h>
#include <sofia-sip/sip_header.h>
#include <sofia-sip/sip_status.h>
#include <sofia-sip/sip_tag.h>
#include <sofia-sip/sip_util.h>
#include <sofia-sip/su_tagarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* rescue->passes is the first of these; the rest is this file's. */
struct pass_desk {
	struct rescue_pass pass[RESCUE_PASSES];
	struct pass_undo
	        undo[RESCUE_PASSES]; /* had in advance: without memory an offer could not be taken back */
	int top;                     /* none above is used */
	struct pass_refers refers;
};

int rescue_pass_new(struct rescue *rescue)
{
	struct pass_desk *desk = calloc(1, sizeof(*desk));

	rescue->passes = desk ? desk->pass : NULL;
	return desk ? 0 : -ENOMEM;
}

void rescue_pass_free(struct rescue *rescue)
{
	if (rescue->passes)
		rescue_pass_forget_all(rescue);
	free(rescue->passes);
	rescue->passes = NULL;
}

static struct pass_desk *desk_of(const struct rescue *rescue)
{
	return (struct pass_desk *)rescue->passes;
}

struct pass_refers *pass_refers(struct rescue *rescue)
{
	return &desk_of(rescue)->refers;
}

struct pass_undo *pass_undo_of(const struct rescue_pass *pass)
{
	return &desk_of(pass->rescue)->undo[pass - pass->rescue->passes];
}

int pass_top(const struct rescue *rescue)
{
	return desk_of(rescue)->top;
}

bool rescue_pass_involves(const struct rescue *rescue, const struct dialog *dialog)
{
	int i;

	for (i = 0; i < pass_top(rescue); i++)
		if (rescue->passes[i].used && rescue->passes[i].offer &&
		    (rescue->passes[i].from == dialog || rescue->passes[i].to == dialog))
			return true;
	return false;
}

static void forget(struct pass_desk *desk, struct rescue_pass *pass)
{
	*pass = (struct rescue_pass){0};
	while (desk->top && !desk->pass[desk->top - 1].used)
		desk->top--;
}

void rescue_pass_forget_all(struct rescue *rescue)
{
	int i;

	for (i = pass_top(rescue) - 1; i >= 0; i--) /* their transactions go with the agent */
		forget(desk_of(rescue), &rescue->passes[i]);
}

void pass_end(struct rescue_pass *pass)
{
	if (pass->irq) {
		nta_incoming_bind(pass->irq, NULL, NULL);
		nta_incoming_destroy(pass->irq);
	}
	if (pass->orq)
		nta_outgoing_destroy(pass->orq);
	forget(desk_of(pass->rescue), pass);
}

struct rescue_pass *pass_begin(struct rescue *rescue, nta_incoming_t *irq, struct dialog *from,
                               struct dialog *to)
{
	struct pass_desk *desk = desk_of(rescue);
	struct rescue_pass *free_one = NULL;
	int i, mine = 0;

	for (i = 0; i < desk->top; i++) {
		struct rescue_pass *pass = &desk->pass[i];

		if (!pass->used && !free_one)
			free_one = pass;
		mine += pass->used && pass->from == from;
	}
	if (!free_one && desk->top < RESCUE_PASSES && mine < PASS_PER_DIALOG)
		free_one = &desk->pass[desk->top++];
	if (!free_one || mine >= PASS_PER_DIALOG) {
		rescue->counters.rescue_exchange_full++;
		return NULL;
	}
	*free_one = (struct rescue_pass){
	        .rescue = rescue,
	        .used = true,
	        .irq = irq,
	        .from = from,
	        .to = to,
	        .call = from->call,
	        .since = rescue_now(),
	};
	return free_one;
}

bool pass_is_alive(const struct rescue_pass *pass)
{
	return dialog_is_of_call(pass->rescue->table, pass->from, pass->call) &&
	       dialog_is_of_call(pass->rescue->table, pass->to, pass->call);
}

/* --- what the table is told ------------------------------------------------------ */

static struct dialog *tell(struct rescue *rescue, struct dialog *d, msg_t *msg, const sip_t *sip,
                           bool with_sdp)
{
	struct inaddr16 addr = d->flow_addr;
	uint16_t port = d->flow_port;
	sip_t bare = *sip;

	if (!with_sdp)
		bare.sip_payload = NULL;
	rescue_source_of(msg, &addr, &port);
	return track_message(rescue->track, &bare, d->service, false, &addr, port, rescue_now());
}

struct dialog *pass_heard(struct rescue *rescue, struct dialog *d, nta_incoming_t *irq, const sip_t *sip,
                          bool with_sdp)
{
	bool second =
	        sip->sip_request->rq_method == sip_method_ack && nta_incoming_method(irq) != sip_method_ack;
	msg_t *msg = second ? nta_incoming_getrequest_ackcancel(irq) : nta_incoming_getrequest(irq);
	struct dialog *changed = tell(rescue, d, msg, sip, with_sdp);

	msg_destroy(msg);
	return changed;
}

void pass_heard_answer(struct rescue_pass *pass, nta_outgoing_t *orq, const sip_t *sip, bool with_sdp)
{
	msg_t *msg = nta_outgoing_getresponse(orq);

	if (sip && !nta_sip_is_internal(sip))
		tell(pass->rescue, pass->to, msg, sip, with_sdp);
	msg_destroy(msg);
}

/* --- answers ----------------------------------------------------------------------- */

int pass_refuse(struct rescue *rescue, nta_incoming_t *irq, int status, const char *headers)
{
	nta_incoming_treply(irq, status, NULL, TAG_IF(headers, SIPTAG_HEADER_STR(headers)), TAG_END());
	nta_incoming_destroy(irq);
	rescue->counters.rescue_refused_request++;
	return 0;
}

int pass_refuse_for_now(struct rescue *rescue, nta_incoming_t *irq)
{
	char headers[32];

	snprintf(headers, sizeof(headers), "Retry-After: %ld\r\n", random() % (PASS_RETRY_MAX_S + 1));
	return pass_refuse(rescue, irq, 500, headers);
}

uint32_t pass_max_forwards(const sip_t *sip)
{
	unsigned long left = sip->sip_max_forwards ? sip->sip_max_forwards->mf_count : 70;

	return left > 70 ? 69 : left ? (uint32_t)left - 1 : 0;
}

/*
 * What a status means on the other leg. 503 would make the phone turn away from the VIP for as long as
 * Retry-After says (RFC 3261 16.7), 408 must not be sent to a request other than INVITE (RFC 4320), and
 * a challenge cannot be met by the phone that asked: it has no account at the other one.
 */
static int status_across(struct rescue *rescue, int status)
{
	switch (status) {
	case 401:
	case 407:
		rescue->counters.rescue_pass_challenged++;
		return 403;
	case 408:
	case 503:
		return 500;
	default:
		return status < 400 ? 500 : status;
	}
}

/*
 * RFC 3261 12.2.1.2 and RFC 5057 5.1: 481 and 408 end the call when they answer a
 * request of the call itself; of a subscription they only end that. A phone that
 * never answers is gone if it owed an answer to INVITE or UPDATE and is not heard
 * to talk either.
 */
static bool ends_the_leg(struct rescue_pass *pass, int status, bool real)
{
	sip_method_t method = pass->method;
	bool of_session = method == sip_method_invite || method == sip_method_update;
	bool of_call = of_session || method == sip_method_info || method == sip_method_message;

	if (real)
		return of_call && (status == 481 || status == 408);
	return of_session && status == 408 && rescue_is_silent(pass->rescue, pass->to, pass->since);
}

void pass_answer_back(struct rescue_pass *pass, int status, const sip_t *sip)
{
	struct rescue *rescue = pass->rescue;
	struct dialog *to = pass->to;
	bool real = sip && !nta_sip_is_internal(sip);
	bool over = ends_the_leg(pass, status, real);
	struct pass_headers headers = {.len = 0};
	su_home_t home[1] = {SU_HOME_INIT(home)};

	if (pass->irq && over) {
		nta_incoming_treply(pass->irq, SIP_481_NO_TRANSACTION, TAG_END());
	} else if (pass->irq) {
		int across = status_across(rescue, status);
		const char *phrase = real && across == status ? sip->sip_status->st_phrase : NULL;

		su_home_init(home);
		if (real)
			pass_answer_headers(&headers, home, sip);
		nta_incoming_treply(pass->irq, across, phrase,
		                    TAG_IF(headers.len, SIPTAG_HEADER_STR(headers.text)), TAG_END());
		su_home_deinit(home);
	}
	pass_end(pass);
	if (over) {
		rescue->counters.rescue_leg_over++;
		rescue_leg_lost(rescue, to, status);
	}
}

/* --- requests --------------------------------------------------------------------------- */

static void drop_all_of(struct rescue *rescue, const struct dialog *d)
{
	int i;

	for (i = 0; i < pass_top(rescue); i++) {
		struct rescue_pass *pass = &rescue->passes[i];

		if (!pass->used || (pass->from != d && pass->to != d))
			continue;
		if (pass->offer)
			pass_offer_drop(pass, 487);
		else
			pass_end(pass);
	}
}

/*
 * A BYE that comes again after the dead server answered it finds an ended dialog:
 * 200 as before, and the other leg is hung up should the server not have got there.
 */
static int on_bye(struct rescue *rescue, struct dialog *d, nta_incoming_t *irq, const sip_t *sip)
{
	su_home_t home[1] = {SU_HOME_INIT(home)};
	const char *reason = NULL;

	su_home_init(home);
	if (sip->sip_reason)
		reason = sip_header_as_string(home, (const sip_header_t *)sip->sip_reason);
	if (reason && strlen(reason) + sizeof("Reason: \r\n") > RESCUE_REASON_LEN)
		reason = NULL;
	pass_heard(rescue, d, irq, sip, false);
	nta_incoming_treply(irq, SIP_200_OK, TAG_END());
	nta_incoming_destroy(irq);
	drop_all_of(rescue, d);
	rescue_leg_gone(rescue, d, reason);
	su_home_deinit(home);
	return 0;
}

/* RFC 3261 8.2.2.3: 0, or the refusal was sent. */
static bool refuses_extensions(struct rescue *rescue, nta_incoming_t *irq, const sip_t *sip)
{
	su_home_t home[1] = {SU_HOME_INIT(home)};
	sip_unsupported_t *unsupported;
	bool refused = false;

	su_home_init(home);
	unsupported = sip->sip_require ? sip_has_unsupported(home, sip_supported_make(home, PASS_SUPPORTED),
	                                                     sip->sip_require)
	                               : NULL;
	if (unsupported) {
		nta_incoming_treply(irq, SIP_420_BAD_EXTENSION, SIPTAG_UNSUPPORTED(unsupported), TAG_END());
		nta_incoming_destroy(irq);
		rescue->counters.rescue_refused_request++;
		refused = true;
	}
	su_home_deinit(home);
	return refused;
}

static bool is_encoded(const sip_t *sip)
{
	const sip_content_encoding_t *encoding = sip->sip_content_encoding;

	return encoding && encoding->k_items && encoding->k_items[0] &&
	       strcasecmp(encoding->k_items[0], "identity") != 0;
}

static int on_live_request(struct rescue *rescue, struct dialog *d, nta_incoming_t *irq, const sip_t *sip)
{
	sip_method_t method = sip->sip_request->rq_method;

	if (refuses_extensions(rescue, irq, sip))
		return 0;
	if (is_encoded(sip))
		return pass_refuse(rescue, irq, 415, "Accept-Encoding: identity\r\n");
	if (sip->sip_payload && sip->sip_payload->pl_len > PASS_BODY_BYTES) {
		rescue->counters.rescue_too_large++;
		return pass_refuse(rescue, irq, 413, NULL);
	}
	if (method != sip_method_options && sip->sip_max_forwards && !sip->sip_max_forwards->mf_count)
		return pass_refuse(rescue, irq, 483, NULL);
	if (method == sip_method_invite || method == sip_method_update)
		return pass_offer(rescue, d, irq, sip);
	return pass_other(rescue, d, irq, sip);
}

static bool is_known(sip_method_t method)
{
	switch (method) {
	case sip_method_invite:
	case sip_method_bye:
	case sip_method_update:
	case sip_method_info:
	case sip_method_message:
	case sip_method_notify:
	case sip_method_subscribe:
	case sip_method_refer:
	case sip_method_options:
		return true;
	default:
		return false;
	}
}

static int on_dialog_request(struct rescue *rescue, struct dialog *d, nta_incoming_t *irq, const sip_t *sip)
{
	sip_method_t method = sip->sip_request->rq_method;

	if (!is_known(method))
		return pass_refuse(rescue, irq, method == sip_method_unknown ? 501 : 405,
		                   "Allow: " PASS_ALLOW "\r\n");
	/* RFC 3261 12.2.2; 0 = none seen yet. An equal one may be what the dead server never answered. */
	if (sip->sip_cseq->cs_seq < d->remote_cseq) {
		rescue->counters.rescue_old_cseq++;
		return pass_refuse(rescue, irq, 500, NULL);
	}
	if (method == sip_method_bye)
		return on_bye(rescue, d, irq, sip);
	if (d->state == DIALOG_ENDED)
		return pass_refuse(rescue, irq, 481, NULL);
	if (!dialog_is_up(d))
		return pass_refuse_for_now(rescue, irq);
	return on_live_request(rescue, d, irq, sip);
}

/* Calls of the server that runs here now are none of the agent's business. */
static struct dialog *find(struct rescue *rescue, const sip_t *sip, const char *local_tag,
                           const char *remote_tag)
{
	struct dialog *d = NULL;

	if (local_tag && remote_tag)
		d = dialog_find(rescue->table, rescue->conf.head.service, sip->sip_call_id->i_id, local_tag,
		                remote_tag);
	if (d && d->origin && d->origin == rescue->table->origin && !(d->flags & DIALOG_JOINED))
		return NULL;
	return d;
}

/* No transaction waits for it: it acknowledges a 2xx that the server sent before it died. */
static int on_ack(struct rescue *rescue, struct dialog *d, nta_incoming_t *irq, const sip_t *sip)
{
	if (d) {
		rescue->counters.rescue_stray_ack++;
		pass_heard(rescue, d, irq, sip, pass_has_sdp(sip));
	}
	nta_incoming_destroy(irq);
	return 0;
}

int rescue_on_request(struct rescue *rescue, nta_incoming_t *irq, const sip_t *sip)
{
	sip_method_t method = sip->sip_request->rq_method;
	struct dialog *d = find(rescue, sip, sip->sip_to->a_tag, sip->sip_from->a_tag);

	if (method == sip_method_ack)
		return on_ack(rescue, d, irq, sip);
	if (!sip->sip_to->a_tag && method != sip_method_cancel) {
		rescue->counters.rescue_refused_request += method != sip_method_options;
		return method == sip_method_options ? 200 : 404;
	}
	if (!d || method == sip_method_cancel) { /* nta knows the CANCELs of its own transactions */
		rescue->counters.rescue_unknown_dialog++;
		return pass_refuse(rescue, irq, 481, NULL);
	}
	return on_dialog_request(rescue, d, irq, sip);
}

/*
 * A 2xx to a re-INVITE that the dead server had sent, or one whose exchange was
 * dropped here: the phone repeats it until it is acknowledged (RFC 3261 13.3.1.4),
 * and would hang up in the end.
 */
bool rescue_pass_response(struct rescue *rescue, msg_t *msg, const sip_t *sip)
{
	struct rescue_request ack = {.method = sip_method_ack, .name = "ACK"};
	nta_outgoing_t *orq;
	struct dialog *d;

	if (sip->sip_status->st_status < 200 || sip->sip_status->st_status >= 300 ||
	    sip->sip_cseq->cs_method != sip_method_invite || !sip->sip_via || !sip->sip_via->v_branch)
		return false;
	d = find(rescue, sip, sip->sip_from->a_tag, sip->sip_to->a_tag);
	if (!d || d->state == DIALOG_EARLY)
		return false;
	if (dialog_is_up(d))
		tell(rescue, d, msg, sip, pass_has_sdp(sip));
	ack.cseq = sip->sip_cseq->cs_seq;
	ack.ack_branch = sip->sip_via->v_branch; /* nta answers its repetitions with the same ACK */
	orq = rescue_send_request(rescue, d, &ack, NULL, NULL);
	if (orq)
		nta_outgoing_destroy(orq);
	rescue->counters.rescue_stray_acked++;
	return true;
}
