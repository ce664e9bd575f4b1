/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Calls with a single leg (IVR, voicemail, conference): the local server is called
 * afresh with what the phone last said as the offer, and the phone is re-INVITEd with
 * the server's answer (third-party call control, RFC 3725). Media then goes between
 * the phone and the local server; only signalling stays here. Owns the server's
 * side of these calls: after another takeover that server is gone, and the phone's leg
 * single again. Called by rescue.c, and by rescue_ring.c for callers nobody rings for.
 */
#include "rescue_join.h"

#include "sdp.h"

#include <errno.h>
#include <sofia-sip/nta_tag.h>
#include <sofia-sip/sip_header.h>
#include <sofia-sip/sip_status.h>
#include <sofia-sip/sip_tag.h>
#include <sofia-sip/su_tagarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER "X-Sipflip-Rejoin" /* names the Call-ID that the caller's dialog has */

struct dialog *join_dialog(const struct rescue_join *join)
{
	return dialog_is_of_call(join->rescue->table, join->dialog, join->call) ? join->dialog : NULL;
}

static struct rescue_joins *joins_of(struct rescue *rescue)
{
	struct rescue_joins *joins;

	if (rescue->joins)
		return rescue->joins;
	joins = calloc(1, sizeof(*joins));
	if (joins)
		joins->of_dialog = calloc(rescue->table->max, sizeof(*joins->of_dialog));
	if (joins && !joins->of_dialog) {
		free(joins);
		joins = NULL;
	}
	rescue->joins = joins;
	return joins;
}

static struct rescue_join *join_of(const struct rescue *rescue, const struct dialog *d)
{
	uint32_t i = rescue->joins ? rescue->joins->of_dialog[d - rescue->table->dialogs] : 0;
	struct rescue_join *join = i ? &rescue->joins->join[i - 1] : NULL;

	return join && join->used && join->dialog == d && join->call == d->call ? join : NULL;
}

static void belongs_to(struct rescue_join *join, struct dialog *d)
{
	struct rescue *rescue = join->rescue;

	join->dialog = d;
	join->call = d->call;
	rescue->joins->of_dialog[d - rescue->table->dialogs] = (uint16_t)(join - rescue->joins->join + 1);
}

static struct rescue_join *take(struct rescue *rescue, struct dialog *d)
{
	struct rescue_joins *joins = joins_of(rescue);
	uint32_t i;

	for (i = 0; joins && i < JOINS; i++) {
		struct rescue_join *join = &joins->join[(joins->hint + i) % JOINS];

		if (join->used)
			continue;
		joins->hint = (joins->hint + i + 1) % JOINS;
		*join = (struct rescue_join){.rescue = rescue, .used = true};
		belongs_to(join, d);
		return join;
	}
	rescue->counters.rescue_join_full++;
	return NULL;
}

nta_outgoing_t *join_ask_server(struct rescue_join *join, sip_method_t method, const char *name,
                                const char *type, const char *body, size_t len, const char *headers,
                                nta_response_f *callback, void *magic)
{
	struct rescue *rescue = join->rescue;
	su_home_t home[1] = {SU_HOME_INIT(home)};
	sip_payload_t *payload;
	nta_outgoing_t *orq;

	su_home_init(home);
	payload = body && len ? sip_payload_create(home, body, (isize_t)len) : NULL;
	/* A leg that has no tag of the server's yet sends its first request to where the caller had called.
	 */
	orq = nta_outgoing_tcreate(
	        join->leg, callback, magic, (const url_string_t *)rescue->server_url, method, name,
	        nta_leg_get_rtag(join->leg) ? NULL : (const url_string_t *)join->dialog->request_uri,
	        SIPTAG_CONTACT_STR(rescue->own_contact), SIPTAG_USER_AGENT_STR("sipflip/" SIPFLIP_VERSION),
	        TAG_IF(headers && headers[0], SIPTAG_HEADER_STR(headers)),
	        TAG_IF(payload, SIPTAG_CONTENT_TYPE_STR(type ? type : "application/sdp")),
	        TAG_IF(payload, SIPTAG_PAYLOAD(payload)), TAG_END());
	su_home_deinit(home);
	if (!orq)
		rescue->counters.rescue_send_failed++;
	else
		join_write_down(join);
	return orq;
}

void join_ack_server(struct rescue_join *join, nta_outgoing_t **invite, const char *sdp, size_t len)
{
	su_home_t home[1] = {SU_HOME_INIT(home)};
	msg_t *request = nta_outgoing_getrequest(*invite);
	uint32_t cseq = request ? sip_object(request)->sip_cseq->cs_seq : 0;
	sip_payload_t *payload;
	nta_outgoing_t *ack;

	su_home_init(home);
	payload = sdp && len ? sip_payload_create(home, sdp, (isize_t)len) : NULL;
	ack = nta_outgoing_tcreate(join->leg, NULL, NULL, (const url_string_t *)join->rescue->server_url,
	                           SIP_METHOD_ACK, NULL, SIPTAG_CSEQ_STR(su_sprintf(home, "%u ACK", cseq)),
	                           NTATAG_ACK_BRANCH(nta_outgoing_branch(*invite)),
	                           TAG_IF(payload, SIPTAG_CONTENT_TYPE_STR("application/sdp")),
	                           TAG_IF(payload, SIPTAG_PAYLOAD(payload)), TAG_END());
	su_home_deinit(home);
	msg_destroy(request);
	if (ack)
		nta_outgoing_destroy(ack);
	else
		join->rescue->counters.rescue_send_failed++;
	nta_outgoing_destroy(*invite);
	*invite = NULL;
}

void join_report(struct rescue_join *join, bool joined, int status, const char *text)
{
	if (join->told)
		return;
	join->told = true;
	if (!join->ring)
		rescue_call_joined(join->rescue, join->dialog, joined, status, text);
}

void join_free(struct rescue_join *join, bool tell_server)
{
	struct rescue_ring *ring = join->ring;

	join_report(join, false, 0, "ended before it was joined");
	join_pass_forget(join);
	if (join->retry)
		su_timer_destroy(join->retry);
	if (join->phone) {
		nta_outgoing_tcancel(join->phone, rescue_quiet, NULL, TAG_END());
		nta_outgoing_destroy(join->phone);
	}
	if (join->invite && nta_outgoing_status(join->invite) < 200)
		nta_outgoing_tcancel(join->invite, rescue_quiet, NULL, TAG_END());
	else if (tell_server && join->invite)
		join_ack_server(join, &join->invite, NULL, 0);
	/* Destroyed while it was cancelled: nta answers a 2xx that crosses with ACK and BYE. */
	if (join->invite)
		nta_outgoing_destroy(join->invite);
	if (tell_server && join->leg && nta_leg_get_rtag(join->leg))
		join_ask_server(join, SIP_METHOD_BYE, NULL, NULL, 0, NULL, rescue_quiet, NULL);
	if (join->leg)
		nta_leg_destroy(join->leg);
	if (ring && ring->join == join)
		ring->join = NULL;
	*join = (struct rescue_join){0};
}

/* --- the phone is re-INVITEd -------------------------------------------------------- */

int join_sdp_to_phone(struct rescue_join *join, const sip_t *sip, char *buf, size_t size)
{
	struct dialog *d = join_dialog(join);
	int len;

	if (!d || !rescue_has_sdp(sip))
		return -EINVAL;
	len = sdp_continue(sip->sip_payload->pl_data, sip->sip_payload->pl_len, d->sdp_out, d->sdp_out_len,
	                   buf, size);
	if (len > 0)
		dialog_set_sdp_out(join->rescue->table, d, buf, (size_t)len);
	return len;
}

static void joined(struct rescue_join *join, struct dialog *d)
{
	struct rescue *rescue = join->rescue;

	join->state = JOIN_UP;
	dialog_set_flags(rescue->table, d, DIALOG_JOINED, 0);
	/* The server that runs here has its media now; its signalling stays with this process. */
	dialog_set_origin(rescue->table, d, rescue->table->origin);
	dialog_set_state(rescue->table, d, DIALOG_RESCUED, rescue_now());
	join_write_down(join);
	rescue->counters.rescue_joined++;
	join_report(join, true, 200, "joined to the server that runs here");
}

static void failed(struct rescue_join *join, bool tell_server)
{
	join->rescue->counters.rescue_join_failed++;
	join_free(join, tell_server);
}

/* The phone's answer may move its media: then the server hears of it, once. */
static bool same_media(const struct dialog *d, const sip_t *sip)
{
	struct sdp was, is;

	if (!rescue_has_sdp(sip) || sdp_parse(d->sdp_in, d->sdp_in_len, &was) ||
	    sdp_parse(sip->sip_payload->pl_data, sip->sip_payload->pl_len, &is) || !was.n_media ||
	    !is.n_media)
		return true;
	return was.media[0].port == is.media[0].port && was.media[0].direction == is.media[0].direction &&
	       !strcmp(was.media[0].address, is.media[0].address) &&
	       !strcmp(was.media[0].formats, is.media[0].formats);
}

static int on_moved(void *magic, nta_outgoing_t *orq, const sip_t *sip)
{
	struct rescue_join *join = magic;
	int status = nta_outgoing_status(orq);

	if (status < 200)
		return 0;
	join->invite = orq;
	if (status < 300)
		join_ack_server(join, &join->invite, NULL, 0);
	else
		nta_outgoing_destroy(orq);
	join->invite = NULL;
	return 0;
}

static void re_invite_phone(struct rescue_join *join, const char *sdp, size_t len);

static void on_retry(su_root_magic_t *magic, su_timer_t *timer, su_timer_arg_t *arg)
{
	struct rescue_join *join = (struct rescue_join *)arg;
	struct dialog *d = join_dialog(join);
	char sdp[DIALOG_SDP_LEN];

	if (!d || !dialog_is_up(d)) {
		failed(join, true);
		return;
	}
	memcpy(sdp, d->sdp_out, d->sdp_out_len);
	re_invite_phone(join, sdp, d->sdp_out_len);
}

/* 491: both of us asked at once (RFC 3261 14.1). */
static bool wait_and_retry(struct rescue_join *join, const struct dialog *d)
{
	if (++join->retries > JOIN_RETRIES)
		return false;
	if (!join->retry)
		join->retry = su_timer_create(su_root_task(join->rescue->root), 0);
	return join->retry &&
	       su_timer_set_interval(join->retry, on_retry, (su_timer_arg_t *)join,
	                             (su_duration_t)(rescue_retry_ns(d, (uint32_t)random()) / NS_PER_MS)) ==
	               0;
}

static int on_phone(void *magic, nta_outgoing_t *orq, const sip_t *sip)
{
	struct rescue_join *join = magic;
	struct rescue *rescue = join->rescue;
	struct dialog *d = join_dialog(join);
	int status = nta_outgoing_status(orq);
	bool same;

	if (status < 200)
		return 0;
	same = d && same_media(d, sip);
	rescue_heard(rescue, d, orq, sip);
	if (status >= 300) {
		join->phone = NULL;
		nta_outgoing_destroy(orq);
		if (status == 491 && d && wait_and_retry(join, d))
			return 0;
		join_report(join, false, status, "the phone refused to be joined");
		if (d && (status == 481 || status == 408))
			dialog_set_state(rescue->table, d, DIALOG_ENDED, rescue_now());
		failed(join, true);
		return 0;
	}
	if (!d) {
		failed(join, true);
		return 0;
	}
	rescue_ack(rescue, d, &join->phone, join->phone_cseq, NULL, 0);
	if (join->offerless)
		join_ack_server(join, &join->invite, d->sdp_in, d->sdp_in_len);
	else if (!same)
		join->invite = join_ask_server(join, SIP_METHOD_INVITE, NULL, d->sdp_in, d->sdp_in_len, NULL,
		                               on_moved, join);
	joined(join, d);
	return 0;
}

static void re_invite_phone(struct rescue_join *join, const char *sdp, size_t len)
{
	struct dialog *d = join_dialog(join);

	join->phone_cseq = rescue_cseq(join->rescue, d);
	join->phone =
	        rescue_send(join->rescue, d, SIP_METHOD_INVITE, join->phone_cseq, sdp, len, on_phone, join);
	if (!join->phone)
		failed(join, true);
}

/* --- the local server is called -------------------------------------------------------- */

static void server_refused(struct rescue_join *join, int status, const char *phrase, const sip_t *sip)
{
	struct rescue *rescue = join->rescue;
	struct dialog *d = join_dialog(join);
	struct rescue_ring *ring = join->ring;
	rescue_join_heard *heard = join->heard;
	char reason[RESCUE_REASON_LEN];

	snprintf(reason, sizeof(reason), "SIP;cause=%d", status);
	join_report(join, false, 0, "the server refused the call: BYE to the phone");
	failed(join, false);
	if (ring)
		heard(ring, status, phrase, sip);
	else if (d && dialog_is_up(d))
		rescue_bye(rescue, d, reason); /* there is nothing to talk to */
}

static void server_answered(struct rescue_join *join, const sip_t *sip)
{
	struct dialog *d = join_dialog(join);
	char sdp[DIALOG_SDP_LEN];
	int len;

	nta_leg_rtag(join->leg, sip->sip_to->a_tag);
	nta_leg_client_reroute(join->leg, sip->sip_record_route, sip->sip_contact, 1);
	if (!d || !rescue_has_sdp(sip) || (!join->ring && !dialog_is_up(d))) {
		struct rescue_ring *ring = join->ring;
		rescue_join_heard *heard = join->heard;

		failed(join, true);
		if (ring)
			heard(ring, SIP_500_INTERNAL_SERVER_ERROR, NULL);
		return;
	}
	join->state = JOIN_JOINING;
	if (!join->offerless)
		join_ack_server(join, &join->invite, NULL, 0);
	if (join->ring) {
		join->heard(join->ring, SIP_200_OK, sip);
		return;
	}
	len = join_sdp_to_phone(join, sip, sdp, sizeof(sdp));
	if (len > 0)
		re_invite_phone(join, sdp, (size_t)len);
	else
		failed(join, true);
}

static int on_server(void *magic, nta_outgoing_t *orq, const sip_t *sip)
{
	struct rescue_join *join = magic;
	int status = nta_outgoing_status(orq);
	const char *phrase = sip && sip->sip_status ? sip->sip_status->st_phrase : sip_status_phrase(status);

	if (status < 200) {
		if (join->ring)
			join->heard(join->ring, status, phrase, sip);
		return 0;
	}
	if (status < 300) {
		server_answered(join, sip);
		return 0;
	}
	if (status == 401 || status == 407)
		join->rescue->counters.rescue_join_challenged++;
	join->invite = NULL;
	nta_outgoing_destroy(orq);
	server_refused(join, status, phrase, sip);
	return 0;
}

/* Requests of the local server in the dialog with us. */
static int on_server_request(nta_leg_magic_t *magic, nta_leg_t *leg, nta_incoming_t *irq, const sip_t *sip)
{
	struct rescue_join *join = (struct rescue_join *)magic;

	return join_pass_request(join, false, irq, sip);
}

static struct rescue_join *call_server(struct rescue *rescue, struct dialog *d)
{
	struct rescue_join *join = take(rescue, d);
	char header[DIALOG_CALL_ID_LEN + sizeof(HEADER) + 8];

	if (!join)
		return NULL;
	snprintf(header, sizeof(header), HEADER ": %s\r\n", d->call_id);
	join->offerless = !d->sdp_in_len;
	join->leg = nta_leg_tcreate(rescue->agent, on_server_request, (nta_leg_magic_t *)join,
	                            SIPTAG_FROM_STR(d->remote), SIPTAG_TO_STR(d->local), TAG_END());
	if (join->leg && nta_leg_tag(join->leg, NULL))
		join->invite = join_ask_server(join, SIP_METHOD_INVITE, NULL, d->sdp_in, d->sdp_in_len,
		                               header, on_server, join);
	if (!join->invite) {
		join_free(join, false);
		return NULL;
	}
	rescue->counters.rescue_join_calls++;
	return join;
}

bool rescue_join_start(struct rescue *rescue, struct dialog *dialog)
{
	/* What the server called itself (click to dial) has no address that would lead back to it. */
	if (!rescue->agent || dialog->role != DIALOG_UAS || !dialog->request_uri[0] || !dialog->sdp_in_len ||
	    !dialog_is_up(dialog) || join_of(rescue, dialog))
		return false;
	return call_server(rescue, dialog) != NULL;
}

void rescue_join_resume(struct rescue *rescue, struct dialog *dialog)
{
	struct rescue_join *join;

	if (!rescue->agent || !(dialog->flags & DIALOG_JOINED) || !dialog->joined[0] ||
	    !dialog_is_up(dialog) || join_of(rescue, dialog))
		return;
	join = take(rescue, dialog);
	if (!join)
		return;
	join->state = JOIN_UP;
	join->told = true;
	if (join_read_back(join, on_server_request)) {
		rescue->counters.rescue_join_resumed++;
		return;
	}
	*join = (struct rescue_join){0};
	dialog_set_joined(rescue->table, dialog, "");
}

struct rescue_join *rescue_join_call(struct rescue *rescue, struct dialog *a, struct rescue_ring *ring,
                                     rescue_join_heard *heard)
{
	struct rescue_join *join = a->request_uri[0] ? call_server(rescue, a) : NULL;

	if (!join)
		return NULL;
	join->ring = ring;
	join->heard = heard;
	return join;
}

void rescue_join_connected(struct rescue_join *join, struct dialog *a, const char *sdp, size_t len)
{
	join->ring = NULL;
	if (!a) {
		failed(join, true);
		return;
	}
	belongs_to(join, a);
	if (join->offerless && join->invite)
		join_ack_server(join, &join->invite, sdp, len);
	joined(join, a);
}

void rescue_join_drop(struct rescue_join *join)
{
	join->ring = NULL;
	failed(join, true);
}

bool rescue_join_request(struct rescue *rescue, nta_incoming_t *irq, const sip_t *sip)
{
	const char *to_tag = sip->sip_to->a_tag, *from_tag = sip->sip_from->a_tag;
	struct dialog *d = NULL;
	struct rescue_join *join;
	int status;

	if (!rescue->joins || !to_tag || !from_tag)
		return false;
	d = dialog_find(rescue->table, rescue->conf.head.service, sip->sip_call_id->i_id, to_tag, from_tag);
	join = d ? join_of(rescue, d) : NULL;
	if (!join)
		return false;
	status = join_pass_request(join, true, irq, sip);
	if (status) {
		nta_incoming_treply(irq, status, NULL, TAG_END());
		nta_incoming_destroy(irq);
	}
	return true;
}

bool rescue_join_leg_gone(struct rescue *rescue, struct dialog *dialog)
{
	struct rescue_join *join = join_of(rescue, dialog);

	if (!join)
		return false;
	join_free(join, true);
	return true;
}

void rescue_join_stop(struct rescue *rescue)
{
	uint32_t i;

	/* Their transactions go with the agent. */
	for (i = 0; rescue->joins && i < JOINS; i++)
		if (rescue->joins->join[i].used && rescue->joins->join[i].retry)
			su_timer_destroy(rescue->joins->join[i].retry);
	if (rescue->joins)
		free(rescue->joins->of_dialog);
	free(rescue->joins);
	rescue->joins = NULL;
}
