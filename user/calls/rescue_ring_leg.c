/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The transactions of a dead server, made again from the INVITEs as they were on
 * the wire. RFC 3261 17.2.3 tells a server transaction by branch, sent-by and
 * method, and 17.1.3 a client transaction by branch and CSeq method: whoever has
 * these bytes is the same transaction to the other end.
 */
#include "rescue_ring.h"

#include "addr.h"
#include "sdp.h"

#include <errno.h>
#include <sofia-sip/msg_header.h>
#include <sofia-sip/nta_tag.h>
#include <sofia-sip/nta_tport.h>
#include <sofia-sip/sip_header.h>
#include <sofia-sip/sip_parser.h>
#include <sofia-sip/sip_status.h>
#include <sofia-sip/sip_tag.h>
#include <sofia-sip/sip_util.h>
#include <sofia-sip/su_string.h>
#include <sofia-sip/su_tagarg.h>
#include <sofia-sip/tport.h>
#include <stdio.h>
#include <string.h>

static msg_t *invite_of(const struct dialog *d)
{
	msg_t *msg = d->invite_len ? msg_make(sip_default_mclass(), 0, d->invite, d->invite_len) : NULL;
	const sip_t *sip = msg ? sip_object(msg) : NULL;

	if (sip && !(sip->sip_flags & MSG_FLG_ERROR) && sip->sip_request && sip->sip_via && sip->sip_cseq &&
	    sip->sip_call_id && sip->sip_from && sip->sip_to && sip->sip_from->a_tag &&
	    sip->sip_request->rq_method == sip_method_invite && sip->sip_via->v_branch)
		return msg;
	msg_destroy(msg);
	return NULL;
}

/* RFC 3261 18.2.1 and RFC 3581 section 4, as the dead server did when this came in. */
static void note_source(msg_t *msg, sip_via_t *via, const struct dialog *d)
{
	su_home_t *home = msg_home(msg);
	char addr[ADDR_TEXT_LEN];

	addr_format(&d->flow_addr, addr);
	if (!su_casematch(addr, via->v_host))
		msg_header_replace_param(home, via->v_common, su_sprintf(home, "received=%s", addr));
	if (via->v_rport)
		msg_header_replace_param(home, via->v_common, su_sprintf(home, "rport=%u", d->flow_port));
}

static tport_t *udp_of(const struct rescue *rescue)
{
	tport_t *tport = tport_primaries(nta_agent_tports(rescue->agent));

	while (tport && !tport_is_udp(tport))
		tport = tport_next(tport);
	return tport;
}

nta_incoming_t *ring_revive_caller(struct rescue *rescue, struct dialog *d)
{
	msg_t *msg = invite_of(d);
	tport_t *tport = udp_of(rescue);
	nta_incoming_t *irq;

	if (!msg || !tport) {
		msg_destroy(msg);
		return NULL;
	}
	note_source(msg, sip_object(msg)->sip_via, d);
	irq = nta_incoming_create(rescue->agent, NULL, msg, sip_object(msg), NTATAG_TPORT(tport), TAG_END());
	if (irq)
		nta_incoming_tag(irq, d->local_tag[0] ? d->local_tag : NULL);
	return irq;
}

nta_outgoing_t *ring_revive_callee(struct rescue *rescue, const struct dialog *d, struct ring_branch *branch,
                                   nta_response_f *callback)
{
	msg_t *msg = invite_of(d);
	const char *key = msg ? sip_object(msg)->sip_via->v_branch : NULL;
	char host[ADDR_PORT_LEN], url[96];
	nta_outgoing_t *orq;

	if (!msg)
		return NULL;
	snprintf(url, sizeof(url), "sip:%s;transport=udp",
	         addr_format_port(&d->flow_addr, d->flow_port, host));
	branch->cseq = d->invite_cseq;
	branch->offerless = !d->sdp_out_len;
	orq = nta_outgoing_mcreate(rescue->agent, callback, branch, (const url_string_t *)url, msg,
	                           NTATAG_USER_VIA(1), NTATAG_BRANCH_KEY(key), TAG_END());
	if (!orq)
		msg_destroy(msg);
	return orq;
}

struct dialog *ring_caller(const struct rescue_ring *ring)
{
	struct rescue *rescue = ring->rescue;
	uint8_t service = rescue->conf.head.service;
	msg_t *msg = ring->irq ? nta_incoming_getrequest(ring->irq) : NULL;
	const sip_t *sip = msg ? sip_object(msg) : NULL;
	struct dialog *d = NULL;

	if (ring->up)
		return dialog_is_of_call(rescue->table, ring->up, ring->call) ? ring->up : NULL;
	if (sip) {
		d = dialog_find(rescue->table, service, sip->sip_call_id->i_id,
		                nta_incoming_gettag(ring->irq), sip->sip_from->a_tag);
		if (!d)
			d = dialog_find(rescue->table, service, sip->sip_call_id->i_id, "",
			                sip->sip_from->a_tag);
	}
	msg_destroy(msg);
	return d;
}

struct dialog *ring_callee(struct rescue *rescue, nta_outgoing_t *orq, const sip_t *sip, bool *ret_real)
{
	msg_t *msg = nta_outgoing_getresponse(orq);
	uint8_t service = rescue->conf.head.service;
	struct inaddr16 addr;
	uint16_t port;
	struct dialog *d = NULL;

	*ret_real = sip && rescue_source_of(msg, &addr, &port);
	if (*ret_real) {
		track_message(rescue->track, sip, service, false, &addr, port, rescue_now());
		if (sip->sip_to->a_tag)
			d = dialog_find(rescue->table, service, sip->sip_call_id->i_id, sip->sip_from->a_tag,
			                sip->sip_to->a_tag);
	}
	msg_destroy(msg);
	return d;
}

void ring_reply(struct rescue_ring *ring, int status, const char *phrase, const char *sdp, int len)
{
	struct rescue *rescue = ring->rescue;
	struct dialog *a = ring_caller(ring);
	msg_t *request = nta_incoming_getrequest(ring->irq);
	msg_t *msg = nta_msg_create(rescue->agent, 0);
	sip_payload_t *body = NULL;
	char timer[RESCUE_TIMER_LEN] = "";
	bool ok = status >= 200 && status < 300;

	if (!msg || !request || !a) {
		msg_destroy(msg);
		msg_destroy(request);
		nta_incoming_treply(ring->irq, ok ? 500 : status, ok ? NULL : phrase, TAG_END());
		return;
	}
	if (ok)
		rescue_timer_headers(rescue, a, sip_object(request), timer);
	if (len > 0)
		body = sip_payload_create(msg_home(msg), sdp, (isize_t)len);
	nta_incoming_complete_response(ring->irq, msg, status, phrase,
	                               TAG_IF(status < 300, SIPTAG_CONTACT_STR(rescue->contact)),
	                               TAG_IF(timer[0], SIPTAG_HEADER_STR(timer)),
	                               TAG_IF(body, SIPTAG_CONTENT_TYPE_STR("application/sdp")),
	                               TAG_IF(body, SIPTAG_PAYLOAD(body)), TAG_END());
	track_message(rescue->track, sip_object(msg), a->service, true, &a->flow_addr, a->flow_port,
	              rescue_now());
	nta_incoming_mreply(ring->irq, msg);
	msg_destroy(request);
}

/* Ports of the VIP for the media lines of an SDP whose like the dead server had not told the other leg yet.
 */
static uint32_t take_ports(struct rescue *rescue, const struct dialog *from, uint16_t port[SDP_MEDIA])
{
	struct sdp sdp;
	uint32_t i, n;

	memset(port, 0, SDP_MEDIA * sizeof(*port));
	if (!rescue->media || sdp_parse(from->sdp_in, from->sdp_in_len, &sdp))
		return 0;
	n = sdp.n_media < SDP_MEDIA ? sdp.n_media : SDP_MEDIA;
	for (i = 0; i < n && i < DIALOG_STREAMS / 2; i++)
		if (sdp.media[i].port)
			port[i] = media_take_port(rescue->media, rescue->conf.head.service, rescue_now());
	return n && port[0] ? n : 0;
}

/* The first SDP to a leg: what the other phone said, with the relay between where that can be. */
static int first_sdp(struct rescue *rescue, const struct dialog *from, char *buf, size_t size)
{
	uint16_t port[SDP_MEDIA];
	uint32_t n = rescue->conf.media_direct ? 0 : take_ports(rescue, from, port);

	if (n)
		return sdp_relay(from->sdp_in, from->sdp_in_len, "", 0, rescue->vip, port, n, true, buf,
		                 size);
	if (!rescue->conf.media_direct)
		rescue->counters.rescue_ring_no_port++;
	return sdp_continue(from->sdp_in, from->sdp_in_len, "", 0, buf, size);
}

int ring_sdp_to_caller(struct rescue_ring *ring, struct dialog *a, struct dialog *b, char *buf, size_t size)
{
	/* RFC 3261 13.2.1: no further offer once the caller has answered the one it asked for (in a PRACK).
	 */
	if (a->sdp_in_len && ring->irq && ring_caller_asked_for_offer(ring))
		return 0;
	/* The 200 repeats what an early answer said. */
	if (a->sdp_out_len && a->sdp_out_len <= size) {
		memcpy(buf, a->sdp_out, a->sdp_out_len);
		return a->sdp_out_len;
	}
	return b->sdp_in_len ? first_sdp(ring->rescue, b, buf, size) : -ENOENT;
}

size_t ring_answer_callee(struct ring_branch *branch, struct dialog *b, const struct dialog *a, char *buf,
                          size_t size)
{
	struct rescue *rescue = branch->ring->rescue;
	int len = branch->offerless && a && a->sdp_in_len ? first_sdp(rescue, a, buf, size) : 0;

	if (len <= 0)
		return 0;
	branch->offerless = false;
	dialog_set_sdp_out(rescue->table, b, buf, (size_t)len);
	return (size_t)len;
}

void ring_ack_callee(struct ring_branch *branch, struct dialog *b, const struct dialog *a)
{
	char sdp[DIALOG_SDP_LEN];
	size_t len = ring_answer_callee(branch, b, a, sdp, sizeof(sdp));

	rescue_ack(branch->ring->rescue, b, &branch->invite, branch->cseq, len ? sdp : NULL, len);
}

void ring_cancel(struct ring_branch *branch)
{
	if (!branch->invite || branch->cancelled)
		return;
	branch->cancelled = true;
	/* Before a first response it waits for one (RFC 3261 9.1): nta does that. */
	if (nta_outgoing_tcancel(branch->invite, rescue_quiet, NULL, TAG_END()))
		branch->ring->rescue->counters.rescue_ring_cancels++;
}
