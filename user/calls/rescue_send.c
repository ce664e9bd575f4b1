/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Requests inside a dialog that another server began (RFC 3261 12.2.1.1): all
 * headers come from the table, nothing from nta's own dialogs. Called by the
 * rescue's steps and by what passes requests across.
 */
#include "addr.h"
#include "rescue_agent.h"
#include "sdp.h"

#include <errno.h>
#include <netinet/in.h>
#include <sodium.h>
#include <sofia-sip/hostdomain.h>
#include <sofia-sip/msg_addr.h>
#include <sofia-sip/nta_tag.h>
#include <sofia-sip/sip_header.h>
#include <sofia-sip/sip_status.h>
#include <sofia-sip/sip_tag.h>
#include <sofia-sip/su_tagarg.h>
#include <sofia-sip/url.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define ALLOW "INVITE, ACK, BYE, CANCEL, UPDATE, INFO, MESSAGE, NOTIFY, REFER, PRACK, OPTIONS"

struct mono rescue_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return mono_ns(ts.tv_sec * NS_PER_S + ts.tv_nsec);
}

/* Where a request goes, and what its first line and Route say. */
struct path {
	const url_t *request_uri;
	const sip_route_t *route;
	const char *next_hop; /* URL that the packet itself is sent to */
};

static const char *flow_url(su_home_t *home, const struct dialog *d)
{
	char host[ADDR_PORT_LEN];

	return su_sprintf(home, "sip:%s;transport=udp", addr_format_port(&d->flow_addr, d->flow_port, host));
}

/*
 * RFC 3261 12.2.1.1, with one liberty: without a route set the packet goes to
 * where the phone's packets come from (it may sit behind NAT), and a first hop
 * given by name is taken to be where its packets come from, so that nothing
 * waits for the DNS.
 */
static int make_path(su_home_t *home, const struct dialog *d, struct path *ret)
{
	url_t *target = url_make(home, d->remote_target);
	sip_route_t *route = d->route[0] ? sip_route_make(home, d->route) : NULL, **end;
	struct path path = {.request_uri = target, .route = route};

	if (!target || (d->route[0] && !route))
		return -EINVAL;
	if (route && host_is_ip_address(route->r_url->url_host))
		path.next_hop = url_as_string(home, route->r_url);
	else
		path.next_hop = flow_url(home, d);
	if (!path.next_hop)
		return -ENOMEM;
	if (route && !url_has_param(route->r_url, "lr")) {
		/* strict router: its URI goes into the first line, the target to the end of the route */
		path.request_uri = route->r_url;
		for (end = &route->r_next; *end; end = &(*end)->r_next)
			;
		*end = sip_route_create(home, target, NULL);
		path.route = route->r_next;
	}
	*ret = path;
	return 0;
}

/* RFC 7989: the server's UUID first, then the phone's. */
static const char *session_id(su_home_t *home, const struct dialog *d)
{
	if (!d->session_id_out[0])
		return NULL;
	return su_sprintf(home, "Session-ID: %s;remote=%s", d->session_id_out,
	                  d->session_id_in[0] ? d->session_id_in : "00000000000000000000000000000000");
}

static const char *branch(su_home_t *home)
{
	uint8_t id[12];
	char text[2 * sizeof(id) + 1];

	randombytes_buf(id, sizeof(id));
	return su_strdup(home, sodium_bin2hex(text, sizeof(text), id, sizeof(id)));
}

static nta_outgoing_t *create(struct rescue *rescue, su_home_t *home, struct dialog *d,
                              const struct rescue_request *request, nta_response_f *callback, void *magic,
                              const char *ack_branch)
{
	bool refresh = request->method == sip_method_invite || request->method == sip_method_update;
	const char *id = session_id(home, d);
	const char *type = request->content_type ? request->content_type : "application/sdp";
	sip_payload_t *body = NULL;
	struct path path;

	if (!rescue->agent || make_path(home, d, &path))
		return NULL;
	if (request->body)
		body = sip_payload_create(home, request->body, (isize_t)request->body_len);
	return nta_outgoing_tcreate(
	        rescue->leg, callback, magic, (const url_string_t *)path.next_hop, request->method,
	        request->name, (const url_string_t *)path.request_uri, NTATAG_USER_VIA(1),
	        SIPTAG_VIA_STR(su_sprintf(home, "%s;branch=z9hG4bK%s;rport", rescue->via, branch(home))),
	        SIPTAG_FROM_STR(su_sprintf(home, "%s;tag=%s", d->local, d->local_tag)),
	        SIPTAG_TO_STR(su_sprintf(home, "%s;tag=%s", d->remote, d->remote_tag)),
	        SIPTAG_CALL_ID_STR(d->call_id),
	        SIPTAG_CSEQ_STR(su_sprintf(home, "%u %s", request->cseq, request->name)),
	        TAG_IF(path.route, SIPTAG_ROUTE(path.route)),
	        TAG_IF(refresh, SIPTAG_CONTACT_STR(rescue->contact)),
	        TAG_IF(refresh, SIPTAG_ALLOW_STR(ALLOW)), SIPTAG_USER_AGENT_STR("sipflip/" SIPFLIP_VERSION),
	        TAG_IF(id, SIPTAG_HEADER_STR(id)),
	        TAG_IF(request->headers && request->headers[0], SIPTAG_HEADER_STR(request->headers)),
	        TAG_IF(body, SIPTAG_CONTENT_TYPE_STR(type)), TAG_IF(body, SIPTAG_PAYLOAD(body)),
	        TAG_IF(ack_branch, NTATAG_ACK_BRANCH(ack_branch)), TAG_END());
}

uint32_t rescue_cseq(struct rescue *rescue, struct dialog *dialog)
{
	return dialog_take_cseq(rescue->table, dialog,
	                        dialog->state == DIALOG_RESCUED ? 1 : RESCUE_CSEQ_MARGIN);
}

nta_outgoing_t *rescue_send_request(struct rescue *rescue, struct dialog *dialog,
                                    const struct rescue_request *request, nta_response_f *callback,
                                    void *magic)
{
	su_home_t home[1] = {SU_HOME_INIT(home)};
	nta_outgoing_t *orq;

	su_home_init(home);
	orq = create(rescue, home, dialog, request, callback, magic, request->ack_branch);
	su_home_deinit(home);
	if (!orq)
		rescue->counters.rescue_send_failed++;
	else if (request->method == sip_method_invite)
		rescue->counters.rescue_invites++;
	return orq;
}

nta_outgoing_t *rescue_send(struct rescue *rescue, struct dialog *dialog, sip_method_t method,
                            const char *name, uint32_t cseq, const char *sdp, size_t sdp_len,
                            nta_response_f *callback, void *magic)
{
	const struct rescue_request request = {
	        .method = method, .name = name, .cseq = cseq, .body = sdp, .body_len = sdp_len};

	return rescue_send_request(rescue, dialog, &request, callback, magic);
}

void rescue_ack(struct rescue *rescue, struct dialog *dialog, nta_outgoing_t **invite, uint32_t cseq,
                const char *sdp, size_t sdp_len)
{
	const struct rescue_request request = {
	        .method = sip_method_ack, .name = "ACK", .cseq = cseq, .body = sdp, .body_len = sdp_len};
	su_home_t home[1] = {SU_HOME_INIT(home)};
	nta_outgoing_t *ack;

	if (!*invite)
		return;
	su_home_init(home);
	ack = create(rescue, home, dialog, &request, NULL, NULL, nta_outgoing_branch(*invite));
	su_home_deinit(home);
	/* nta keeps both for as long as the 2xx may come again, and answers it with this ACK. */
	if (ack)
		nta_outgoing_destroy(ack);
	else
		rescue->counters.rescue_send_failed++;
	nta_outgoing_destroy(*invite);
	*invite = NULL;
}

int rescue_quiet(void *magic, nta_outgoing_t *orq, const sip_t *sip)
{
	if (nta_outgoing_status(orq) >= 200)
		nta_outgoing_destroy(orq);
	return 0;
}

void rescue_bye(struct rescue *rescue, struct dialog *dialog, const char *reason)
{
	struct rescue_request request = {.method = sip_method_bye, .name = "BYE"};
	char header[RESCUE_REASON_LEN];

	if (!dialog_is_up(dialog))
		return;
	if (reason) {
		snprintf(header, sizeof(header), "Reason: %s\r\n", reason);
		request.headers = header;
	}
	request.cseq = rescue_cseq(rescue, dialog);
	rescue_send_request(rescue, dialog, &request, rescue_quiet, NULL);
	dialog_set_state(rescue->table, dialog, DIALOG_ENDED, rescue_now());
}

bool rescue_source_of(msg_t *msg, struct inaddr16 *ret_addr, uint16_t *ret_port)
{
	const su_sockaddr_t *su = msg ? msg_addr(msg) : NULL;

	if (su && su->su_family == AF_INET) {
		*ret_addr = addr_from_be32(su->su_sin.sin_addr.s_addr);
		*ret_port = ntohs(su->su_sin.sin_port);
	} else if (su && su->su_family == AF_INET6) {
		memcpy(ret_addr->b, &su->su_sin6.sin6_addr, sizeof(ret_addr->b));
		*ret_port = ntohs(su->su_sin6.sin6_port);
	} else {
		return false;
	}
	return true;
}

bool rescue_heard(struct rescue *rescue, const struct dialog *dialog, nta_outgoing_t *orq, const sip_t *sip)
{
	msg_t *msg = nta_outgoing_getresponse(orq);
	struct inaddr16 addr;
	uint16_t port;
	bool real = sip && rescue_source_of(msg, &addr, &port);

	if (real && dialog)
		track_message(rescue->track, sip, dialog->service, false, &addr, port, rescue_now());
	msg_destroy(msg);
	return real;
}

enum media_path rescue_path_of(struct rescue *rescue, const struct dialog *dialog)
{
	struct dialog *peer = dialog_peer(rescue->table, dialog);
	struct media_plan plan;

	if (!peer)
		return MEDIA_PATH_none;
	media_plan(dialog, peer, &rescue->conf.vip, rescue->conf.media_direct, &plan);
	return plan.path;
}

/* The ports that the leg was told, line by line. */
static uint32_t told_ports(const struct dialog *leg, uint16_t ret[SDP_MEDIA])
{
	struct sdp told;
	uint32_t i, n;

	if (sdp_parse(leg->sdp_out, leg->sdp_out_len, &told))
		return 0;
	n = told.n_media < SDP_MEDIA ? told.n_media : SDP_MEDIA;
	for (i = 0; i < n; i++)
		ret[i] = told.media[i].port;
	return n;
}

int rescue_sdp_across(struct rescue *rescue, struct dialog *to, const struct dialog *from, bool answer,
                      char *buf, size_t size)
{
	enum media_path path = rescue_path_of(rescue, to);
	uint16_t port[SDP_MEDIA];
	struct sdp offer;
	int len;

	if (path == MEDIA_PATH_relay || path == MEDIA_PATH_rekey)
		len = sdp_relay(from->sdp_in, from->sdp_in_len, to->sdp_out, to->sdp_out_len, rescue->vip,
		                port, told_ports(to, port), path == MEDIA_PATH_rekey, buf, size);
	else
		len = sdp_continue(from->sdp_in, from->sdp_in_len, to->sdp_out, to->sdp_out_len, buf, size);
	if (len < 0)
		return len;
	/* An answer has exactly the m= lines of its offer (RFC 3264 section 6). */
	if (answer && !sdp_parse(to->sdp_in, to->sdp_in_len, &offer))
		len = sdp_cut_media(buf, (size_t)len, offer.n_media, buf, size);
	if (len >= 0)
		dialog_set_sdp_out(rescue->table, to, buf, (size_t)len);
	return len;
}

int rescue_sdp_again(struct rescue *rescue, struct dialog *leg, char *buf, size_t size)
{
	int len = sdp_continue(leg->sdp_out, leg->sdp_out_len, leg->sdp_out, leg->sdp_out_len, buf, size);

	if (len >= 0)
		dialog_set_sdp_out(rescue->table, leg, buf, (size_t)len);
	return len;
}

void rescue_sdp_refused(struct rescue *rescue, struct dialog *leg, const char *before, size_t before_len)
{
	char sdp[DIALOG_SDP_LEN];
	int len = sdp_continue(before, before_len, before, before_len, sdp, sizeof(sdp));

	if (len > 0)
		dialog_set_sdp_out(rescue->table, leg, sdp, (size_t)len);
}

int rescue_sdp_fallback(struct rescue *rescue, struct dialog *leg, char *buf, size_t size)
{
	char shaped[DIALOG_SDP_LEN];
	struct sdp offer;
	int len;

	/* First the offer's m= lines where the old SDP has fewer, then the old o= line again. */
	len = sdp_continue(leg->sdp_out, leg->sdp_out_len, leg->sdp_in, leg->sdp_in_len, shaped,
	                   sizeof(shaped));
	if (len < 0)
		return len;
	len = sdp_continue(shaped, (size_t)len, leg->sdp_out, leg->sdp_out_len, buf, size);
	if (len >= 0 && !sdp_parse(leg->sdp_in, leg->sdp_in_len, &offer))
		len = sdp_cut_media(buf, (size_t)len, offer.n_media, buf, size);
	if (len >= 0)
		dialog_set_sdp_out(rescue->table, leg, buf, (size_t)len);
	return len;
}

bool rescue_has_sdp(const sip_t *sip)
{
	return sip && sip->sip_payload && sip->sip_payload->pl_len &&
	       sip->sip_payload->pl_len <= DIALOG_SDP_LEN;
}
