/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What passes between a joined phone and the local server: BYE ends both; an offer
 * (re-INVITE, or UPDATE) becomes a re-INVITE on the other side and its answer comes
 * back; INFO, MESSAGE, NOTIFY and REFER pass as they are. The server hears the
 * phone's SDP as it is; the phone hears the server's as the next version of the one
 * session it knows. Called by rescue_join.c only.
 */
#include "rescue_join.h"

#include <sofia-sip/msg_header.h>
#include <sofia-sip/nta_tag.h>
#include <sofia-sip/sip_header.h>
#include <sofia-sip/sip_status.h>
#include <sofia-sip/sip_tag.h>
#include <sofia-sip/su_tagarg.h>
#include <stdio.h>
#include <string.h>

static void heard_phone(struct rescue_join *join, nta_incoming_t *irq, const sip_t *sip)
{
	struct dialog *d = join_dialog(join);
	msg_t *msg = nta_incoming_getrequest(irq);
	struct inaddr16 addr;
	uint16_t port;

	if (d && rescue_source_of(msg, &addr, &port))
		track_message(join->rescue->track, sip, d->service, false, &addr, port, rescue_now());
	msg_destroy(msg);
}

/* --- offers --------------------------------------------------------------------------- */

static void end_offer(struct rescue_join *join, int status)
{
	nta_incoming_t *irq = join->offer;

	join->offer = NULL;
	if (!irq)
		return;
	nta_incoming_bind(irq, NULL, NULL);
	if (status)
		nta_incoming_treply(irq, status, NULL, TAG_END());
	nta_incoming_destroy(irq);
}

static nta_outgoing_t **side_of(struct rescue_join *join, bool phone)
{
	return phone ? &join->phone : &join->invite;
}

static void ack_side(struct rescue_join *join, bool phone, const char *sdp, size_t len)
{
	struct dialog *d = join_dialog(join);

	if (!phone && join->invite)
		join_ack_server(join, &join->invite, sdp, len);
	else if (phone && join->phone && d)
		rescue_ack(join->rescue, d, &join->phone, join->phone_cseq, sdp, len);
}

static void answer_offer(struct rescue_join *join, const char *sdp, int len)
{
	struct rescue *rescue = join->rescue;
	struct dialog *d = join_dialog(join);
	su_home_t home[1] = {SU_HOME_INIT(home)};
	char timer[RESCUE_TIMER_LEN] = "";
	msg_t *request = nta_incoming_getrequest(join->offer);
	sip_payload_t *body;

	su_home_init(home);
	body = len > 0 ? sip_payload_create(home, sdp, (isize_t)len) : NULL;
	if (join->offer_from_phone && d)
		rescue_timer_headers(rescue, d, sip_object(request), timer);
	nta_incoming_treply(
	        join->offer, SIP_200_OK,
	        SIPTAG_CONTACT_STR(join->offer_from_phone ? rescue->contact : rescue->own_contact),
	        TAG_IF(timer[0], SIPTAG_HEADER_STR(timer)),
	        TAG_IF(body, SIPTAG_CONTENT_TYPE_STR("application/sdp")), TAG_IF(body, SIPTAG_PAYLOAD(body)),
	        TAG_END());
	su_home_deinit(home);
	msg_destroy(request);
}

/* The ACK of who made the offer: with the answer where it had asked for an offer. Silence (sip NULL) too. */
static int on_offer_ack(void *magic, nta_incoming_t *irq, const sip_t *sip)
{
	struct rescue_join *join = magic;
	bool to_phone = !join->offer_from_phone;
	char sdp[DIALOG_SDP_LEN];
	int len = 0;

	if (sip && sip->sip_request->rq_method == sip_method_cancel) {
		/* The other side is asked already; its answer is acknowledged, and nobody waits for it. */
		end_offer(join, 487);
		return 0;
	}
	if (sip && join->offer_from_phone)
		heard_phone(join, irq, sip);
	if (join->offer_empty && sip && rescue_has_sdp(sip)) {
		if (to_phone)
			len = join_sdp_to_phone(join, sip, sdp, sizeof(sdp));
		else
			memcpy(sdp, sip->sip_payload->pl_data, (size_t)(len = (int)sip->sip_payload->pl_len));
	}
	if (join->offer_empty)
		ack_side(join, to_phone, len > 0 ? sdp : NULL, len > 0 ? (size_t)len : 0);
	end_offer(join, 0);
	return 0;
}

static void offer_refused(struct rescue_join *join, bool phone, int status)
{
	struct rescue *rescue = join->rescue;
	struct dialog *d = join_dialog(join);

	end_offer(join, status == 481 || status == 408 ? 500 : status);
	if (status != 481 && status != 408)
		return;
	/* That side knows of no dialog any more: neither does the call. */
	if (phone && d)
		dialog_set_state(rescue->table, d, DIALOG_ENDED, rescue_now());
	else if (d && dialog_is_up(d))
		rescue_bye(rescue, d, "SIP;cause=481");
	join_free(join, phone);
}

static int on_offer_answer(void *magic, nta_outgoing_t *orq, const sip_t *sip)
{
	struct rescue_join *join = magic;
	bool phone = orq == join->phone, update;
	struct dialog *d = join_dialog(join);
	int status = nta_outgoing_status(orq), len = 0;
	char sdp[DIALOG_SDP_LEN];

	if (status < 200)
		return 0;
	if (phone)
		rescue_heard(join->rescue, d, orq, sip);
	if (status >= 300) {
		*side_of(join, phone) = NULL;
		nta_outgoing_destroy(orq);
		offer_refused(join, phone, status);
		return 0;
	}
	if (rescue_has_sdp(sip)) {
		if (!phone)
			len = join_sdp_to_phone(join, sip, sdp, sizeof(sdp));
		else
			memcpy(sdp, sip->sip_payload->pl_data, (size_t)(len = (int)sip->sip_payload->pl_len));
	}
	if (!join->offer) {
		ack_side(join, phone, NULL, 0);
		return 0;
	}
	update = nta_incoming_method(join->offer) == sip_method_update;
	answer_offer(join, len > 0 ? sdp : NULL, len);
	if (!join->offer_empty)
		ack_side(join, phone, NULL, 0);
	if (update)
		end_offer(join, 0);
	return 0;
}

static int pass_offer(struct rescue_join *join, bool from_phone, nta_incoming_t *irq, const sip_t *sip)
{
	struct rescue *rescue = join->rescue;
	struct dialog *d = join_dialog(join);
	const sip_payload_t *body = rescue_has_sdp(sip) ? sip->sip_payload : NULL;
	char sdp[DIALOG_SDP_LEN];
	int len = 0;

	if (join->state != JOIN_UP || join->offer || join->phone || join->invite)
		return 491;
	if (from_phone)
		heard_phone(join, irq, sip);
	if (!d)
		return 481;
	join->offer_from_phone = from_phone;
	join->offer_empty = !body;
	if (from_phone) {
		join->invite = join_ask_server(join, SIP_METHOD_INVITE, NULL, body ? body->pl_data : NULL,
		                               body ? body->pl_len : 0, NULL, on_offer_answer, join);
	} else {
		len = body ? join_sdp_to_phone(join, sip, sdp, sizeof(sdp)) : 0;
		join->phone_cseq = rescue_cseq(rescue, d);
		if (len >= 0)
			join->phone = rescue_send(rescue, d, SIP_METHOD_INVITE, join->phone_cseq,
			                          len ? sdp : NULL, (size_t)len, on_offer_answer, join);
	}
	if (!join->phone && !join->invite)
		return 500;
	join->offer = irq;
	nta_incoming_bind(irq, on_offer_ack, join);
	rescue->counters.rescue_passed_offer++;
	return 0;
}

/* --- requests that pass as they are --------------------------------------------------------- */

static struct join_pass *take_pass(struct rescue_join *join)
{
	struct rescue_joins *joins = join->rescue->joins;
	uint32_t i;

	for (i = 0; i < JOIN_PASSES; i++)
		if (!joins->pass[i].used) {
			joins->pass[i] = (struct join_pass){.used = true, .join = join};
			return &joins->pass[i];
		}
	join->rescue->counters.rescue_exchange_full++;
	return NULL;
}

static int on_passed(void *magic, nta_outgoing_t *orq, const sip_t *sip)
{
	struct join_pass *pass = magic;
	struct rescue_join *join = pass->join;
	int status = nta_outgoing_status(orq);
	struct dialog *d = join_dialog(join);

	if (status < 200)
		return 0;
	if (!pass->from_phone)
		rescue_heard(join->rescue, d, orq, sip);
	nta_incoming_treply(
	        pass->irq, status, sip && sip->sip_status ? sip->sip_status->st_phrase : NULL,
	        TAG_IF(sip && sip->sip_content_type, SIPTAG_CONTENT_TYPE(sip ? sip->sip_content_type : NULL)),
	        TAG_IF(sip && sip->sip_payload, SIPTAG_PAYLOAD(sip ? sip->sip_payload : NULL)), TAG_END());
	nta_incoming_destroy(pass->irq);
	nta_outgoing_destroy(orq);
	*pass = (struct join_pass){0};
	return 0;
}

/* The headers that give such a request its meaning, as lines. */
static const char *meaning(su_home_t *home, const sip_t *sip)
{
	const sip_header_t *const known[] = {
	        (const sip_header_t *)sip->sip_event,
	        (const sip_header_t *)sip->sip_subscription_state,
	        (const sip_header_t *)sip->sip_refer_to,
	        (const sip_header_t *)sip->sip_referred_by,
	};
	const sip_unknown_t *un;
	char *all = su_strdup(home, "");
	unsigned int i;

	for (i = 0; all && i < sizeof(known) / sizeof(known[0]); i++)
		if (known[i])
			all = su_sprintf(home, "%s%s: %s\r\n", all, known[i]->sh_class->hc_name,
			                 sip_header_as_string(home, known[i]));
	for (un = sip->sip_unknown; all && un; un = un->un_next)
		if (un->un_name && un->un_value &&
		    (!strncasecmp(un->un_name, "X-", 2) || !strcasecmp(un->un_name, "Info-Package")))
			all = su_sprintf(home, "%s%s: %s\r\n", all, un->un_name, un->un_value);
	return all;
}

static int pass_as_it_is(struct rescue_join *join, bool from_phone, nta_incoming_t *irq, const sip_t *sip)
{
	struct rescue *rescue = join->rescue;
	struct dialog *d = join_dialog(join);
	struct join_pass *pass;
	su_home_t home[1] = {SU_HOME_INIT(home)};
	const sip_payload_t *body = sip->sip_payload;
	struct rescue_request request = {.method = sip->sip_request->rq_method,
	                                 .name = sip->sip_request->rq_method_name};
	nta_outgoing_t *orq;

	if (from_phone)
		heard_phone(join, irq, sip);
	pass = d ? take_pass(join) : NULL;
	if (!pass)
		return d ? 503 : 481;
	su_home_init(home);
	request.headers = meaning(home, sip);
	request.body = body ? body->pl_data : NULL;
	request.body_len = body ? body->pl_len : 0;
	if (sip->sip_content_type)
		request.content_type =
		        sip_header_as_string(home, (const sip_header_t *)sip->sip_content_type);
	if (from_phone) {
		orq = join_ask_server(join, request.method, request.name, request.content_type, request.body,
		                      request.body_len, request.headers, on_passed, pass);
	} else {
		request.cseq = rescue_cseq(rescue, d);
		orq = rescue_send_request(rescue, d, &request, on_passed, pass);
	}
	su_home_deinit(home);
	if (!orq) {
		*pass = (struct join_pass){0};
		return 500;
	}
	pass->from_phone = from_phone;
	pass->irq = irq;
	pass->orq = orq;
	rescue->counters.rescue_join_passed++;
	return 0;
}

void join_pass_forget(struct rescue_join *join)
{
	struct rescue_joins *joins = join->rescue->joins;
	uint32_t i;

	end_offer(join, join->offer ? 481 : 0);
	for (i = 0; i < JOIN_PASSES; i++) {
		struct join_pass *pass = &joins->pass[i];

		if (!pass->used || pass->join != join)
			continue;
		nta_incoming_treply(pass->irq, SIP_481_NO_TRANSACTION, TAG_END());
		nta_incoming_destroy(pass->irq);
		nta_outgoing_destroy(pass->orq);
		*pass = (struct join_pass){0};
	}
}

static int hang_up(struct rescue_join *join, bool from_phone, nta_incoming_t *irq, const sip_t *sip)
{
	struct rescue *rescue = join->rescue;
	struct dialog *d = join_dialog(join);

	if (from_phone)
		heard_phone(join, irq, sip);
	nta_incoming_treply(irq, SIP_200_OK, TAG_END());
	nta_incoming_destroy(irq);
	if (!from_phone && d && dialog_is_up(d))
		rescue_bye(rescue, d, NULL);
	rescue->counters.rescue_passed_bye++;
	join_free(join, from_phone);
	return 0;
}

int join_pass_request(struct rescue_join *join, bool from_phone, nta_incoming_t *irq, const sip_t *sip)
{
	bool body = sip->sip_payload && sip->sip_payload->pl_len;

	switch (sip->sip_request->rq_method) {
	case sip_method_bye:
		return hang_up(join, from_phone, irq, sip);
	case sip_method_ack:
		nta_incoming_destroy(irq);
		return 0;
	case sip_method_update:
		if (!body) {
			if (from_phone)
				heard_phone(join, irq, sip);
			return 200;
		}
		return pass_offer(join, from_phone, irq, sip);
	case sip_method_invite:
		return pass_offer(join, from_phone, irq, sip);
	case sip_method_options:
		return 200;
	case sip_method_info:
	case sip_method_message:
	case sip_method_notify:
	case sip_method_refer:
		return pass_as_it_is(join, from_phone, irq, sip);
	default:
		return 501;
	}
}
