/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * SIP bytes to struct sip_event. sofia-sip parses; all that is taken from it are
 * header values as text, in the memory of the message, which is gone at the end.
 */
#include "track.h"
#include "multipart.h"
#include "pairing.h"

#include <sofia-sip/msg.h>
#include <sofia-sip/sip_header.h>
#include <sofia-sip/sip_parser.h>
#include <sofia-sip/sip_util.h>
#include <sofia-sip/su_string.h>
#include <sofia-sip/url.h>
#include <stdlib.h>
#include <string.h>

#define RECORD_ROUTES 64 /* values looked at; the field's length ends it long before */

static enum sip_verb verb_of(sip_method_t method)
{
	switch (method) {
	case sip_method_invite:
		return SIP_VERB_INVITE;
	case sip_method_ack:
		return SIP_VERB_ACK;
	case sip_method_bye:
		return SIP_VERB_BYE;
	case sip_method_cancel:
		return SIP_VERB_CANCEL;
	case sip_method_update:
		return SIP_VERB_UPDATE;
	case sip_method_prack:
		return SIP_VERB_PRACK;
	case sip_method_notify:
	case sip_method_subscribe:
	case sip_method_refer:
		return SIP_VERB_SUBSCRIPTION;
	default:
		return SIP_VERB_OTHER;
	}
}

/* From or To as it stands, without its tag. */
static const char *name_addr(su_home_t *home, const sip_from_t *from)
{
	sip_from_t *copy = sip_from_dup(home, from);

	if (!copy)
		return NULL;
	msg_header_remove_param(copy->a_common, "tag");
	return sip_header_as_string(home, (const sip_header_t *)copy);
}

/* All Record-Route values in their order, comma separated. */
static const char *record_routes(su_home_t *home, const sip_record_route_t *rr)
{
	char *all = NULL;
	int n = 0;

	for (; rr && n < RECORD_ROUTES; rr = rr->r_next, n++) {
		char *one = sip_header_as_string(home, (const sip_header_t *)rr);

		if (!one)
			return NULL;
		all = all ? su_sprintf(home, "%s,%s", all, one) : one;
	}
	return all;
}

static const char *unknown_header(const sip_t *sip, const char *name)
{
	const sip_unknown_t *un;

	for (un = sip->sip_unknown; un; un = un->un_next)
		if (un->un_name && su_casematch(un->un_name, name))
			return un->un_value;
	return NULL;
}

/* The value up to its parameters, without white space and angle brackets. */
static const char *bare_value(su_home_t *home, const char *value)
{
	size_t len;

	if (!value)
		return NULL;
	value += strspn(value, " \t<");
	len = strcspn(value, "; \t>\r\n");
	return len ? su_strndup(home, value, (isize_t)len) : NULL;
}

/* Several headers of one name: the first user that is neither empty nor anonymous. */
static const char *user_in(su_home_t *home, const sip_unknown_t *headers, const char *name)
{
	const sip_unknown_t *un;

	for (un = headers; un; un = un->un_next) {
		const char *uri;
		const url_t *url;

		if (!un->un_name || !su_casematch(un->un_name, name) || !un->un_value)
			continue;
		uri = strchr(un->un_value, '<');
		uri = uri ? uri + 1 : un->un_value + strspn(un->un_value, " \t");
		url = url_make(home, su_strndup(home, uri, (isize_t)strcspn(uri, ">, \t\r\n")));
		if (url && url->url_user && url->url_user[0] && !su_casematch(url->url_user, "anonymous"))
			return url->url_user;
	}
	return NULL;
}

/* RFC 3325, or what came before it and is still FreeSWITCH's default. */
static const char *asserted_user(su_home_t *home, const sip_t *sip)
{
	const char *user = user_in(home, sip->sip_unknown, "P-Asserted-Identity");

	return user ? user : user_in(home, sip->sip_unknown, "Remote-Party-ID");
}

static uint32_t supports(const sip_t *sip)
{
	uint32_t flags = 0;

	if (sip->sip_allow && sip_is_allowed(sip->sip_allow, SIP_METHOD_UPDATE))
		flags |= DIALOG_ALLOWS_UPDATE;
	if (sip_has_feature(sip->sip_supported, "timer") || sip_has_feature(sip->sip_require, "timer"))
		flags |= DIALOG_SUPPORTS_TIMER;
	if (sip_has_feature(sip->sip_supported, "100rel") || sip_has_feature(sip->sip_require, "100rel"))
		flags |= DIALOG_SUPPORTS_100REL;
	return flags;
}

static bool is_sdp(const sip_content_type_t *type)
{
	return !type || (type->c_type && su_casematch(type->c_type, "application/sdp"));
}

/* The SDP in the body, also as one part of several (RFC 5621 section 8). */
static void find_sdp(su_home_t *home, const sip_t *sip, struct sip_event *ev)
{
	const sip_content_type_t *type = sip->sip_content_type;
	const sip_payload_t *body = sip->sip_payload;
	msg_multipart_t *part;

	if (!body || !body->pl_len)
		return;
	if (is_sdp(type)) {
		ev->sdp = body->pl_data;
		ev->sdp_len = body->pl_len;
		return;
	}
	if (!su_casenmatch(type->c_type, "multipart/", 10))
		return;
	part = multipart_parse(home, type, (sip_payload_t *)body);
	for (; part; part = part->mp_next)
		if (part->mp_content_type && is_sdp(part->mp_content_type) && part->mp_payload) {
			ev->sdp = part->mp_payload->pl_data;
			ev->sdp_len = part->mp_payload->pl_len;
			return;
		}
}

/* An INVITE, or, where that was missed, the server's answer to it or its ACK. */
static bool may_make(const struct sip_event *ev)
{
	if (ev->verb == SIP_VERB_ACK)
		return ev->out;
	return ev->verb == SIP_VERB_INVITE &&
	       (!ev->status || (ev->out && ev->status >= 200 && ev->status < 300));
}

static void fill(struct track *track, su_home_t *home, const sip_t *sip, struct sip_event *ev)
{
	const sip_session_expires_t *se = sip->sip_session_expires;

	ev->verb = verb_of(sip->sip_cseq->cs_method);
	ev->status = sip->sip_status ? sip->sip_status->st_status : 0;
	ev->cseq = sip->sip_cseq->cs_seq;
	ev->call_id = sip->sip_call_id->i_id;
	ev->from_tag = sip->sip_from->a_tag;
	ev->to_tag = sip->sip_to->a_tag;
	ev->from_user = sip->sip_from->a_url->url_user;
	ev->to_user = sip->sip_to->a_url->url_user;
	ev->branch = sip->sip_via ? sip->sip_via->v_branch : NULL;
	ev->refresher_uas = -1;
	/* Only what makes a dialog needs them as text. */
	if (may_make(ev)) {
		ev->from = name_addr(home, sip->sip_from);
		ev->to = name_addr(home, sip->sip_to);
	}
	if (ev->verb == SIP_VERB_INVITE && !ev->status)
		ev->asserted_user = asserted_user(home, sip);
	if (sip->sip_request) {
		ev->request_uri = url_as_string(home, sip->sip_request->rq_url);
		ev->request_user = sip->sip_request->rq_url->url_user;
	}
	if (sip->sip_contact && sip->sip_contact->m_url->url_type != url_any)
		ev->contact = url_as_string(home, sip->sip_contact->m_url);
	if (ev->verb == SIP_VERB_INVITE)
		ev->record_route = record_routes(home, sip->sip_record_route);
	if (ev->verb == SIP_VERB_ACK && ev->out)
		ev->route = record_routes(home, sip->sip_route);
	ev->session_id = bare_value(home, unknown_header(sip, "Session-ID"));
	if (track->link_header[0])
		ev->link = bare_value(home, unknown_header(sip, track->link_header));
	if (se) {
		ev->session_expires_s = (uint32_t)se->x_delta;
		if (se->x_refresher && su_casematch(se->x_refresher, "uas"))
			ev->refresher_uas = 1;
		else if (se->x_refresher && su_casematch(se->x_refresher, "uac"))
			ev->refresher_uas = 0;
	}
	if (sip->sip_rseq)
		ev->rseq = sip->sip_rseq->rs_response;
	ev->supports = supports(sip);
	find_sdp(home, sip, ev);
}

static void pair(struct track *track, struct dialog *dialog)
{
	bool was_ambiguous = dialog->paired == PAIRED_AMBIGUOUS;

	if (pairing_consider(track->table, dialog))
		track->counters.track_paired++;
	else if (dialog->paired == PAIRED_AMBIGUOUS && !was_ambiguous)
		track->counters.track_unpaired_ambiguous++;
}

/* What a dialog stands on; a request is of one method (RFC 3261 8.1.1.5). */
static bool is_whole(const sip_t *sip)
{
	const sip_request_t *request = sip->sip_request;

	if (!sip->sip_cseq || !sip->sip_call_id || !sip->sip_from || !sip->sip_to)
		return false;
	if (!request)
		return sip->sip_status;
	return request->rq_method == sip->sip_cseq->cs_method &&
	       !strcmp(request->rq_method_name, sip->sip_cseq->cs_method_name);
}

static struct dialog *track_sip(struct track *track, const sip_t *sip, struct sip_event *ev)
{
	su_home_t home[1] = {SU_HOME_INIT(home)};
	struct dialog *dialog;

	if (!is_whole(sip)) {
		track->counters.track_malformed++;
		return NULL;
	}
	su_home_init(home);
	fill(track, home, sip, ev);
	dialog = dialog_table_event(track->table, ev);
	su_home_deinit(home);
	track->counters.track_messages++;
	if (dialog)
		pair(track, dialog);
	return dialog;
}

struct dialog *track_message(struct track *track, const sip_t *sip, uint8_t service, bool out,
                             const struct inaddr16 *remote, uint16_t remote_port, struct mono at)
{
	struct sip_event ev = {
	        .at = at, .service = service, .out = out, .remote = *remote, .remote_port = remote_port};

	return track_sip(track, sip, &ev);
}

static bool is_keepalive(const uint8_t *data, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (data[i] != '\r' && data[i] != '\n' && data[i] != '\0')
			return false;
	return true;
}

struct dialog *track_datagram(struct track *track, const struct capture_record *record, struct mono now)
{
	struct sip_event ev = {
	        .at = mono_ns((int64_t)record->at_ns),
	        .service = record->service,
	        .out = record->direction == CAPTURE_OUT,
	        .remote = record->remote,
	        .remote_port = record->remote_port,
	        .whole = record->data,
	        .whole_len = record->len,
	};
	struct dialog *dialog = NULL;
	msg_t *msg;
	sip_t *sip;

	if (is_keepalive(record->data, record->len)) {
		track->counters.track_keepalives++;
		return NULL;
	}
	if (record->at_ns > (uint64_t)now.ns)
		ev.at = now;
	msg = msg_make(sip_default_mclass(), 0, record->data, (ssize_t)record->len);
	sip = msg ? sip_object(msg) : NULL;
	/* A bad header that nobody needs is no reason to lose the dialog; track_sip asks for the others.
	 */
	if (sip && !(sip->sip_flags & MSG_FLG_ERROR))
		dialog = track_sip(track, sip, &ev);
	else
		track->counters.track_malformed++;
	msg_destroy(msg);
	return dialog;
}
