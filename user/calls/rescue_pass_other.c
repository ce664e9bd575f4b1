/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * INFO, MESSAGE, NOTIFY, SUBSCRIBE and REFER across the two legs, and their
 * answers back: what a phone means for the other one is carried, all that names
 * a hop or an identity stays behind. OPTIONS is answered here. Called by
 * rescue_pass.c for dialogs that are up.
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

/* Headers that nta does not know by itself. */
static const char *const carried_unknown[] = {"Info-Package", "Recv-Info", "Refer-Sub", "Content-ID"};

void pass_header_add(struct pass_headers *headers, const char *name, const char *value)
{
	size_t left = sizeof(headers->text) - headers->len;
	int n;

	if (!value || !value[0] || strpbrk(value, "\r\n"))
		return;
	n = snprintf(headers->text + headers->len, left, "%s: %s\r\n", name, value);
	if (n < 0 || (size_t)n >= left) {
		headers->text[headers->len] = '\0'; /* a line that does not fit stays out whole */
		headers->overflow = true;
		return;
	}
	headers->len += (size_t)n;
}

static void carry(struct pass_headers *headers, su_home_t *home, const void *header)
{
	const sip_header_t *h = header;

	for (; h; h = h->sh_next)
		pass_header_add(headers, h->sh_class->hc_name, sip_header_as_string(home, h));
}

static void carry_unknown(struct pass_headers *headers, const sip_t *sip)
{
	const sip_unknown_t *un;
	size_t i;

	for (un = sip->sip_unknown; un; un = un->un_next)
		for (i = 0; i < sizeof(carried_unknown) / sizeof(carried_unknown[0]); i++)
			if (un->un_name && !strcasecmp(un->un_name, carried_unknown[i]))
				pass_header_add(headers, carried_unknown[i], un->un_value);
}

void pass_answer_headers(struct pass_headers *headers, su_home_t *home, const sip_t *sip)
{
	carry(headers, home, sip->sip_retry_after);
	carry(headers, home, sip->sip_warning);
	carry(headers, home, sip->sip_expires);
	carry(headers, home, sip->sip_min_expires);
	carry(headers, home, sip->sip_accept);
	carry(headers, home, sip->sip_allow_events);
	carry_unknown(headers, sip);
}

/* RFC 3515 2.1, RFC 6665 8.2: these have a Contact, in the request and in its 2xx. */
static bool names_target(sip_method_t method)
{
	return method == sip_method_refer || method == sip_method_subscribe || method == sip_method_notify;
}

/* 0, or the status to refuse it with. */
static int request_headers(struct rescue *rescue, struct pass_headers *headers, su_home_t *home,
                           const struct dialog *to, const sip_t *sip)
{
	sip_method_t method = sip->sip_request->rq_method;
	const char *refer_to = NULL;
	char hops[16];

	if (method == sip_method_refer && (!sip->sip_refer_to || sip->sip_refer_to->r_next))
		return 400; /* RFC 3515 2.4.2 */
	if (sip->sip_refer_to && pass_refer_to(rescue, home, sip->sip_refer_to, &refer_to))
		return 603;
	snprintf(hops, sizeof(hops), "%u", pass_max_forwards(sip));
	pass_header_add(headers, "Max-Forwards", hops);
	pass_header_add(headers, "Refer-To", refer_to);
	if (names_target(method))
		pass_header_add(headers, "Contact", rescue->contact);
	if (sip->sip_event)
		pass_header_add(headers, "Event", pass_event(rescue, home, to, sip->sip_event));
	carry(headers, home, sip->sip_referred_by);
	carry(headers, home, sip->sip_subscription_state);
	carry(headers, home, sip->sip_expires);
	carry(headers, home, sip->sip_accept);
	carry(headers, home, sip->sip_allow_events);
	carry(headers, home, sip->sip_reason);
	carry(headers, home, sip->sip_content_disposition);
	carry(headers, home, sip->sip_content_language);
	carry(headers, home, sip->sip_subject);
	carry(headers, home, sip->sip_priority);
	carry_unknown(headers, sip);
	return headers->overflow ? 413 : 0;
}

/* 2xx with what it carries. A body that is too long to be carried is left out. */
static void accept_back(struct rescue_pass *pass, int status, const sip_t *sip)
{
	struct pass_headers headers = {.len = 0};
	su_home_t home[1] = {SU_HOME_INIT(home)};
	const sip_payload_t *body = sip->sip_payload;

	su_home_init(home);
	pass_answer_headers(&headers, home, sip);
	if (names_target(pass->method))
		pass_header_add(&headers, "Contact", pass->rescue->contact);
	if (body && (!body->pl_len || body->pl_len > PASS_BODY_BYTES))
		body = NULL;
	nta_incoming_treply(pass->irq, status, sip->sip_status->st_phrase,
	                    TAG_IF(headers.len, SIPTAG_HEADER_STR(headers.text)),
	                    TAG_IF(body && sip->sip_content_type, SIPTAG_CONTENT_TYPE(sip->sip_content_type)),
	                    TAG_IF(body, SIPTAG_PAYLOAD(body)), TAG_END());
	su_home_deinit(home);
	pass_end(pass);
}

static int on_answer(void *magic, nta_outgoing_t *orq, const sip_t *sip)
{
	struct rescue_pass *pass = magic;
	int status = nta_outgoing_status(orq);

	if (status < 200)
		return 0;
	if (!pass->used || pass->orq != orq) {
		nta_outgoing_destroy(orq);
		return 0;
	}
	if (!pass_is_alive(pass)) {
		pass_end(pass);
		return 0;
	}
	/* The table takes 481 and 408 for the end of the call: pass_answer_back() knows better. */
	if (status != 481 && status != 408)
		pass_heard_answer(pass, orq, sip, false);
	if (status < 300)
		accept_back(pass, status, sip);
	else
		pass_answer_back(pass, status, sip);
	return 0;
}

static bool send_on(struct rescue_pass *pass, const sip_t *sip, const char *headers, const char *type)
{
	struct rescue_request request = {
	        .method = sip->sip_request->rq_method,
	        .name = sip->sip_request->rq_method_name,
	        .headers = headers,
	        .content_type = type,
	};

	if (sip->sip_payload && sip->sip_payload->pl_len) {
		request.body = sip->sip_payload->pl_data;
		request.body_len = sip->sip_payload->pl_len;
	}
	request.cseq = rescue_cseq(pass->rescue, pass->to);
	pass->method = request.method;
	pass->cseq = request.cseq;
	pass->orq = rescue_send_request(pass->rescue, pass->to, &request, on_answer, pass);
	if (pass->orq && request.method == sip_method_refer)
		pass_refer_note(pass->rescue, pass->from, sip->sip_cseq->cs_seq, request.cseq);
	return pass->orq != NULL;
}

static int pass_on(struct rescue *rescue, struct dialog *d, nta_incoming_t *irq, const sip_t *sip,
                   su_home_t *home)
{
	struct dialog *to = dialog_peer(rescue->table, d);
	struct pass_headers headers = {.len = 0};
	const char *type = NULL;
	struct rescue_pass *pass;
	int status;

	if (!to || !dialog_is_up(to))
		return pass_refuse_for_now(rescue, irq);
	status = request_headers(rescue, &headers, home, to, sip);
	if (status)
		return pass_refuse(rescue, irq, status, NULL);
	if (sip->sip_payload && sip->sip_payload->pl_len) {
		if (!sip->sip_content_type) /* RFC 3261 20.15 */
			return pass_refuse(rescue, irq, 400, NULL);
		type = sip_header_as_string(home, (const sip_header_t *)sip->sip_content_type);
	}
	pass = pass_begin(rescue, irq, d, to);
	if (!pass)
		return pass_refuse_for_now(rescue, irq);
	if (!send_on(pass, sip, headers.text, type)) {
		pass_end(pass);
		rescue->counters.rescue_refused_request++;
		return 0;
	}
	rescue->counters.rescue_passed_request++;
	return 0;
}

int pass_other(struct rescue *rescue, struct dialog *d, nta_incoming_t *irq, const sip_t *sip)
{
	su_home_t home[1] = {SU_HOME_INIT(home)};

	pass_heard(rescue, d, irq, sip, false);
	if (sip->sip_request->rq_method == sip_method_options) {
		nta_incoming_treply(
		        irq, SIP_200_OK, SIPTAG_ALLOW_STR(PASS_ALLOW), SIPTAG_ACCEPT_STR("application/sdp"),
		        SIPTAG_SUPPORTED_STR(PASS_SUPPORTED), SIPTAG_CONTACT_STR(rescue->contact), TAG_END());
		nta_incoming_destroy(irq);
		return 0;
	}
	su_home_init(home);
	pass_on(rescue, d, irq, sip, home);
	su_home_deinit(home);
	return 0;
}
