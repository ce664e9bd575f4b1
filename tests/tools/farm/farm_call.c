// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * callfarm's SIP: calls as RFC 3261 phones place, answer, hold and end them, and
 * what they saw the other end do wrong inside a dialog. See farm.h.
 */
#include "farm.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define T1_NS      500000000LL
#define T2_NS      4000000000LL
#define GIVE_UP_NS 32000000000LL
#define RETRIES    6

static void copy(char *to, size_t size, struct span from)
{
	size_t len = !from.at ? 0 : from.len < size - 1 ? from.len : size - 1;

	memcpy(to, from.at ? from.at : "", len);
	to[len] = 0;
}

static struct span spanned(const char *text)
{
	return (struct span){text, strlen(text)};
}

static void send_sip(struct farm *farm, const char *text, size_t len, const struct sockaddr_in *to)
{
	if (sendto(farm->sip, text, len, 0, (const struct sockaddr *)to, sizeof(*to)) < 0)
		farm->unsent++;
}

static void repeat_clear(struct farm_repeat *r)
{
	free(r->text);
	*r = (struct farm_repeat){0};
}

static void repeat_start(struct farm *farm, struct farm_repeat *r, const struct text *text,
                         const struct sockaddr_in *to)
{
	int64_t now = boot_ns();

	repeat_clear(r);
	if (text->full || !(r->text = malloc(text->len)))
		return;
	send_sip(farm, text->at, text->len, to);
	memcpy(r->text, text->at, text->len);
	*r = (struct farm_repeat){r->text, text->len, now + T1_NS, T1_NS, now + GIVE_UP_NS};
}

/* True when nobody answered for too long. */
static bool repeat_tick(struct farm *farm, struct farm_repeat *r, const struct sockaddr_in *to, int64_t now)
{
	if (!r->text)
		return false;
	if (now > r->until_ns) {
		repeat_clear(r);
		return true;
	}
	if (now >= r->next_ns) {
		send_sip(farm, r->text, r->len, to);
		r->pause_ns = r->pause_ns * 2 < T2_NS ? r->pause_ns * 2 : T2_NS;
		r->next_ns = now + r->pause_ns;
	}
	return false;
}

/* --- calls -------------------------------------------------------------------------- */
static struct farm_call *find(struct farm *farm, struct span call_id)
{
	struct farm_call *call = farm->bucket[text_hash(call_id) % FARM_BUCKETS];

	while (call && !span_equal(spanned(call->call_id), call_id))
		call = call->next;
	return call;
}

static int new_call(struct farm *farm, uint32_t index, struct span call_id, struct farm_call **ret)
{
	struct farm_call *call;
	int err;

	if (index >= FARM_CALLS_MAX || farm->call[index])
		return -EBUSY;
	call = calloc(1, sizeof(*call));
	if (!call)
		return -ENOMEM;
	call->index = index;
	call->fd = -1;
	call->direction = "sendrecv";
	call->sdp_id = 4000000000ULL + farm->run % 1000000 * 100000ULL + index;
	call->sdp_version = 1 + index % 5;
	call->cseq = 1 + index % 50;
	if (call_id.at)
		copy(call->call_id, sizeof(call->call_id), call_id);
	else
		snprintf(call->call_id, sizeof(call->call_id), "%08x%05u@%s", farm->run, index, farm->host);
	snprintf(call->tag, sizeof(call->tag), "p%08x%u", farm->run, index);
	err = farm_media_open(farm, call);
	if (err) {
		farm_media_close(call);
		free(call);
		return err;
	}
	struct farm_call **bucket = &farm->bucket[text_hash(spanned(call->call_id)) % FARM_BUCKETS];
	call->next = *bucket;
	*bucket = call;
	farm->call[index] = call;
	if (index >= farm->n)
		farm->n = index + 1;
	*ret = call;
	return 0;
}

static void end_call(struct farm_call *call, enum farm_state state)
{
	if (call->state == FARM_ENDED || call->state == FARM_FAILED)
		return;
	call->state = state;
	call->ended_ns = boot_ns();
	farm_media_close(call);
}

/* --- writing -------------------------------------------------------------------------- */
static void own_sdp(const struct farm *farm, const struct farm_call *call, struct text *sdp)
{
	text_add(sdp,
	         "v=0\r\no=- %llu %llu IN IP4 %s\r\ns=farm\r\nc=IN IP4 %s\r\nt=0 0\r\nm=audio %u RTP/AVP 0 "
	         "101\r\n"
	         "a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 "
	         "0-15\r\na=ptime:20\r\n"
	         "a=%s\r\n",
	         (unsigned long long)call->sdp_id, (unsigned long long)call->sdp_version, farm->host,
	         farm->host, call->port, call->direction);
}

/* A session changes its version exactly when its description changes (RFC 3264 section 8). */
static void set_direction(struct farm_call *call, const char *direction)
{
	if (!strcmp(call->direction, direction))
		return;
	call->direction = direction;
	call->sdp_version++;
}

static void start_request(const struct farm *farm, const struct farm_call *call, const char *method,
                          uint32_t cseq, struct text *ret)
{
	text_add(
	        ret,
	        "%s %s SIP/2.0\r\nVia: SIP/2.0/UDP %s:%u;rport;branch=z9hG4bK%s-%u%s\r\nMax-Forwards: 70\r\n",
	        method, call->target, farm->host, ntohs(farm->bind.sin_port), call->tag, cseq,
	        strcmp(method, "ACK") ? "" : "k");
	text_add(ret, "From: %s;tag=%s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %u %s\r\n", call->ours, call->tag,
	         call->theirs, call->call_id, cseq, method);
}

static void contact(const struct farm *farm, const struct farm_call *call, struct text *text)
{
	uint32_t user = call->index + (farm->calls_out ? farm->caller_base : farm->callee_base);

	text_add(text,
	         "Contact: <sip:%u@%s:%u>\r\nAllow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO\r\n",
	         user, farm->host, ntohs(farm->bind.sin_port));
	/* RFC 7989: a UUID for each end, the other's as far as it is known */
	text_add(text, "Session-ID: %08x%08x%08x%08x;remote=%032x\r\n", farm->run, call->index, user,
	         0x5f5f5f5f, 0);
}

static void send_invite(struct farm *farm, struct farm_call *call, enum farm_act act)
{
	struct text text = {0}, sdp = {0};

	start_request(farm, call, "INVITE", ++call->cseq, &text);
	contact(farm, call, &text);
	own_sdp(farm, call, &sdp);
	text_body(&text, &sdp);
	call->act = act;
	repeat_start(farm, &call->request, &text, &call->flow);
}

int farm_call_place(struct farm *farm, uint32_t index)
{
	struct farm_call *call;
	int err = new_call(farm, index, (struct span){0}, &call);

	if (err)
		return err;
	call->flow = farm->vip;
	char vip[INET_ADDRSTRLEN];
	inet_ntop(AF_INET, &farm->vip.sin_addr, vip, sizeof(vip));
	snprintf(call->target, sizeof(call->target), "sip:%u@%s:%u", farm->callee_base + index, vip,
	         ntohs(farm->vip.sin_port));
	snprintf(call->ours, sizeof(call->ours), "<sip:%u@%s>", farm->caller_base + index, farm->host);
	snprintf(call->theirs, sizeof(call->theirs), "<sip:%u@%s>", farm->callee_base + index, vip);
	call->state = FARM_CALLING;
	call->invited_ns = boot_ns();
	send_invite(farm, call, ACT_INVITE);
	return 0;
}

int farm_call_wire(struct farm *farm, uint32_t index, const char *addr, uint16_t port)
{
	struct farm_call *call = index < farm->n ? farm->call[index] : NULL;
	int err = call ? 0 : new_call(farm, index, (struct span){0}, &call);

	if (err)
		return err;
	call->rtp = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
	if (inet_pton(AF_INET, addr, &call->rtp.sin_addr) != 1)
		return -EINVAL;
	call->state = FARM_UP;
	farm_media_start(farm, call);
	return 0;
}

int farm_call_reinvite(struct farm *farm, struct farm_call *call, enum farm_act act)
{
	if (call->state != FARM_UP)
		return -ENOTCONN;
	if (call->request.text || call->answer.text) { /* one INVITE at a time; soon again */
		call->retry = act;
		call->retry_ns = boot_ns() + T1_NS;
		return 0;
	}
	set_direction(call, act == ACT_HOLD ? "sendonly" : "sendrecv");
	send_invite(farm, call, act);
	return 0;
}

int farm_call_bye(struct farm *farm, struct farm_call *call)
{
	struct text text = {0};

	if (call->state != FARM_UP)
		return -ENOTCONN;
	start_request(farm, call, "BYE", ++call->cseq, &text);
	text_body(&text, NULL);
	call->act = ACT_BYE;
	call->retry = ACT_NONE;
	repeat_start(farm, &call->request, &text, &call->flow);
	call->state = FARM_ENDING;
	farm_media_close(call);
	return 0;
}

static void send_ack(struct farm *farm, struct farm_call *call, const struct sip *response)
{
	struct text text = {0};

	if (response->status < 300)
		start_request(farm, call, "ACK", response->cseq, &text);
	else {
		text_add(&text, "ACK %s SIP/2.0\r\nVia: %.*s\r\nMax-Forwards: 70\r\n", call->target,
		         (int)response->via.len, response->via.at);
		text_add(&text, "From: %.*s\r\nTo: %.*s\r\nCall-ID: %s\r\nCSeq: %u ACK\r\n",
		         (int)response->from.len, response->from.at, (int)response->to.len, response->to.at,
		         call->call_id, response->cseq);
	}
	text_body(&text, NULL);
	send_sip(farm, text.at, text.len, &call->flow);
}

static void respond(struct farm *farm, const struct farm_call *call, const struct sip *sip,
                    const struct sockaddr_in *to, int status, const char *reason)
{
	struct text text = {0};

	text_response(&text, sip, status, reason, call ? call->tag : "nobody");
	if (call && status < 300)
		contact(farm, call, &text);
	text_body(&text, NULL);
	send_sip(farm, text.at, text.len, to);
}

static void answer_with_sdp(struct farm *farm, struct farm_call *call, const struct sip *sip, bool repeat)
{
	struct text text = {0}, sdp = {0};

	text_response(&text, sip, 200, "OK", call->tag);
	contact(farm, call, &text);
	own_sdp(farm, call, &sdp);
	text_body(&text, &sdp);
	if (repeat)
		repeat_start(farm, &call->answer, &text, &call->flow);
	else
		send_sip(farm, text.at, text.len, &call->flow);
}

/* --- what the other end said ------------------------------------------------------------ */
static bool take_sdp(struct farm_call *call, struct span body, bool first)
{
	struct farm_seen *seen = &call->seen;
	struct sdp_line sdp;

	if (sdp_read(body, &sdp))
		return false;
	if (!first) {
		seen->moved += sdp.rtp.sin_port != call->rtp.sin_port ||
		               sdp.rtp.sin_addr.s_addr != call->rtp.sin_addr.s_addr;
		if (sdp.session_id == call->their_sdp_id && sdp.version == call->their_sdp_version + 1)
			seen->origin_raised++;
		else if (sdp.session_id == call->their_sdp_id && sdp.version == call->their_sdp_version)
			seen->origin_same++;
		else
			seen->origin_bad++;
	}
	call->their_sdp_id = sdp.session_id;
	call->their_sdp_version = sdp.version;
	call->rtp = sdp.rtp;
	/* Who is told to listen only, or nothing, stops sending. */
	call->tx.stopped = span_is(sdp.direction, "sendonly") || span_is(sdp.direction, "inactive");
	return true;
}

/* An offer inside the dialog: how we answer it (RFC 3264 section 6.1). */
static void take_offer(struct farm_call *call, const struct sip *sip)
{
	bool was_stopped = call->tx.stopped;

	if (!sip->body.len || !take_sdp(call, sip->body, false))
		return;
	call->seen.holds += call->tx.stopped && !was_stopped;
	call->seen.resumes += !call->tx.stopped && was_stopped;
	if (call->tx.stopped)
		set_direction(call, "recvonly");
	else if (!strcmp(call->direction, "recvonly"))
		set_direction(call, "sendrecv");
}

/* The first few are shown in the report. */
static void keep_strange(struct farm *farm, const struct farm_call *call, struct span whole)
{
	size_t room = whole.len + 160;
	char *text = farm->n_strange < FARM_STRANGE ? malloc(room) : NULL;

	if (!text)
		return;
	snprintf(text, room, "call %u, our tag %s, theirs %s: %.*s", call->index, call->tag, call->theirs_tag,
	         (int)whole.len, whole.at);
	farm->strange[farm->n_strange++] = text;
}

/* True when it is a new request of this dialog; else it has been answered. */
static bool belongs(struct farm *farm, struct farm_call *call, const struct sip *sip,
                    const struct sockaddr_in *from, struct span whole)
{
	if (!span_equal(sip->to_tag, spanned(call->tag)) ||
	    !span_equal(sip->from_tag, spanned(call->theirs_tag))) {
		call->seen.tag_bad++;
		keep_strange(farm, call, whole);
		respond(farm, NULL, sip, from, 481, "Call/Transaction Does Not Exist");
		return false;
	}
	if (sip->cseq == call->their_cseq) {
		call->seen.repeats++;
		if (sip_is(sip, "INVITE") && call->answer.text)
			send_sip(farm, call->answer.text, call->answer.len, &call->flow);
		else if (!sip_is(sip, "INVITE"))
			respond(farm, call, sip, from, 200, "OK");
		return false;
	}
	if (call->their_cseq && sip->cseq < call->their_cseq) {
		call->seen.cseq_bad++;
		respond(farm, call, sip, from, 500, "CSeq Too Low");
		return false;
	}
	call->their_cseq = sip->cseq;
	return true;
}

static void on_reinvite(struct farm *farm, struct farm_call *call, const struct sip *sip,
                        const struct sockaddr_in *from, int64_t at_ns)
{
	if (call->request.text && call->act != ACT_BYE) {
		respond(farm, call, sip, from, 491, "Request Pending");
		return;
	}
	call->seen.reinvites++;
	if (!call->seen.first_reinvite_ns)
		call->seen.first_reinvite_ns = at_ns;
	call->seen.last_reinvite_ns = at_ns;
	if (sip->contact.at)
		copy(call->target, sizeof(call->target), sip_addr_uri(sip->contact));
	take_offer(call, sip);
	answer_with_sdp(farm, call, sip, true);
}

static void in_dialog(struct farm *farm, struct farm_call *call, const struct sip *sip,
                      const struct sockaddr_in *from, int64_t at_ns, struct span whole)
{
	if (sip_is(sip, "ACK")) {
		if (!call->acked_ns)
			call->acked_ns = at_ns;
		repeat_clear(&call->answer);
		return;
	}
	if (!belongs(farm, call, sip, from, whole))
		return;
	if (call->state != FARM_UP && call->state != FARM_ENDING) {
		respond(farm, NULL, sip, from, 481, "Call/Transaction Does Not Exist");
	} else if (sip_is(sip, "INVITE")) {
		on_reinvite(farm, call, sip, from, at_ns);
	} else if (sip_is(sip, "BYE")) {
		call->seen.byes++;
		respond(farm, call, sip, from, 200, "OK");
		repeat_clear(&call->answer);
		if (call->state == FARM_UP)
			end_call(call, FARM_ENDED);
	} else if (sip_is(sip, "UPDATE")) {
		call->seen.updates++;
		take_offer(call, sip);
		if (sip->body.len)
			answer_with_sdp(farm, call, sip, false);
		else
			respond(farm, call, sip, from, 200, "OK");
	} else {
		call->seen.others++;
		respond(farm, call, sip, from, 200, "OK");
	}
}

static void on_call(struct farm *farm, const struct sip *sip, const struct sockaddr_in *from, int64_t at_ns)
{
	struct farm_call *call;
	uint32_t user = sip->uri_user.at ? (uint32_t)strtoul(sip->uri_user.at, NULL, 10) : 0;
	int err = new_call(farm, user - farm->callee_base, sip->call_id, &call);

	if (err) {
		farm->refused++;
		respond(farm, NULL, sip, from, 486, "Busy Here");
		return;
	}
	call->flow = *from;
	copy(call->ours, sizeof(call->ours), sip->to);
	copy(call->theirs, sizeof(call->theirs), sip->from);
	copy(call->theirs_tag, sizeof(call->theirs_tag), sip->from_tag);
	copy(call->target, sizeof(call->target), sip_addr_uri(sip->contact));
	call->their_cseq = sip->cseq;
	call->invited_ns = at_ns;
	if (!take_sdp(call, sip->body, true)) {
		respond(farm, call, sip, from, 488, "Not Acceptable Here");
		end_call(call, FARM_FAILED);
		return;
	}
	respond(farm, call, sip, from, 180, "Ringing");
	call->answered_ns = boot_ns();
	call->state = FARM_UP;
	answer_with_sdp(farm, call, sip, true);
	farm_media_start(farm, call);
}

static void invite_done(struct farm *farm, struct farm_call *call, const struct sip *sip, int64_t at_ns)
{
	enum farm_act act = call->act;
	bool first = call->state == FARM_CALLING;

	repeat_clear(&call->request);
	if (act == ACT_HOLD)
		call->hold_status = sip->status;
	else if (act == ACT_RESUME)
		call->resume_status = sip->status;
	else
		call->invite_status = sip->status;
	if (sip->status >= 300) {
		if (first) {
			end_call(call, FARM_FAILED);
		} else if (sip->status == 491 && call->retries++ < RETRIES) {
			call->retry = act;
			call->retry_ns = at_ns + 2100000000LL + lrand48() % 1900 * 1000000LL;
		} else if (sip->status == 481 || sip->status == 408) {
			end_call(call, FARM_FAILED);
		}
		return;
	}
	if (!take_sdp(call, sip->body, first) || !first)
		return;
	call->answered_ns = at_ns;
	call->state = FARM_UP;
	farm_media_start(farm, call);
}

static void on_response(struct farm *farm, const struct sip *sip, int64_t at_ns)
{
	struct farm_call *call = find(farm, sip->call_id);

	if (!call) {
		farm->unknown++;
		return;
	}
	if (sip_is(sip, "INVITE") && sip->status >= 200) {
		if (call->state == FARM_CALLING || !call->theirs_tag[0]) {
			copy(call->theirs, sizeof(call->theirs), sip->to);
			copy(call->theirs_tag, sizeof(call->theirs_tag), sip->to_tag);
		}
		if (sip->status < 300 && sip->contact.at)
			copy(call->target, sizeof(call->target), sip_addr_uri(sip->contact));
		send_ack(farm, call, sip);
	}
	if (sip->cseq != call->cseq || !call->request.text)
		return; /* late, or once more */
	if (sip->status < 200) {
		if (sip_is(sip, "INVITE"))
			call->request.next_ns = call->request.until_ns = INT64_MAX;
	} else if (sip_is(sip, "INVITE")) {
		invite_done(farm, call, sip, at_ns);
	} else if (sip_is(sip, "BYE")) {
		repeat_clear(&call->request);
		call->bye_status = sip->status;
		end_call(call, FARM_ENDED);
	}
}

void farm_call_datagram(struct farm *farm, const char *text, size_t len, const struct sockaddr_in *from,
                        int64_t at_ns)
{
	struct sip sip;

	if (sip_read(text, len, &sip)) {
		farm->malformed++;
		return;
	}
	if (sip.status) {
		on_response(farm, &sip, at_ns);
		return;
	}
	struct farm_call *call = find(farm, sip.call_id);
	if (call && !sip.to_tag.at && sip_is(&sip, "INVITE") && sip.cseq == call->their_cseq) {
		if (call->answer.text) /* the first INVITE once more */
			send_sip(farm, call->answer.text, call->answer.len, &call->flow);
	} else if (call) {
		in_dialog(farm, call, &sip, from, at_ns, (struct span){text, len});
	} else if (sip_is(&sip, "INVITE") && !sip.to_tag.at && !farm->calls_out) {
		on_call(farm, &sip, from, at_ns);
	} else if (!sip_is(&sip, "ACK")) {
		bool asks = sip_is(&sip, "OPTIONS") && !sip.to_tag.at;
		farm->unknown += !asks;
		respond(farm, NULL, &sip, from, asks ? 200 : 481,
		        asks ? "OK" : "Call/Transaction Does Not Exist");
	}
}

void farm_call_tick(struct farm *farm, int64_t now_ns)
{
	for (uint32_t i = 0; i < farm->n; i++) {
		struct farm_call *call = farm->call[i];
		if (!call)
			continue;
		if (repeat_tick(farm, &call->request, &call->flow, now_ns)) {
			farm->timeouts++;
			if (call->state == FARM_CALLING || call->state == FARM_ENDING)
				end_call(call, FARM_FAILED);
		}
		repeat_tick(farm, &call->answer, &call->flow, now_ns);
		if (call->retry && now_ns >= call->retry_ns) {
			enum farm_act act = call->retry;
			call->retry = ACT_NONE;
			farm_call_reinvite(farm, call, act);
		}
	}
}
