// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The messages that b2bserver writes. See b2b.h. */
#include "b2b.h"

#include <stdlib.h>
#include <string.h>

static void start_request(struct leg *leg, const char *method, uint32_t cseq, struct text *ret)
{
	text_add(
	        ret,
	        "%s %s SIP/2.0\r\nVia: SIP/2.0/UDP %s:%u;rport;branch=z9hG4bK%s-%u%s\r\nMax-Forwards: 70\r\n",
	        method, leg->target, self.host, self.host_port, leg->tag, cseq,
	        strcmp(method, "ACK") ? "" : "k");
	text_add(ret,
	         "From: %s;tag=%s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %u %s\r\nUser-Agent: b2bserver/%s\r\n",
	         leg->ours, leg->tag, leg->theirs, leg->call_id, cseq, method, opt.name);
}

static void contact(struct text *text)
{
	text_add(text,
	         "Contact: <sip:b2b@%s:%u>\r\nAllow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO\r\n",
	         self.host, self.host_port);
}

static void session_id(struct text *text, struct span value)
{
	if (opt.pair == PAIR_SESSION_ID && value.at)
		text_add(text, "Session-ID: %.*s\r\n", (int)value.len, value.at);
}

void respond(struct leg *leg, const struct sip *sip, const struct sockaddr_in *to, int status,
             const char *reason)
{
	struct text text = {0};

	text_response(&text, sip, status, reason, leg ? leg->tag : status == 100 ? "" : "nobody");
	text_add(&text, "Server: b2bserver/%s\r\n", opt.name);
	text_body(&text, NULL);
	send_text(&text, to);
}

void read_timer(const struct sip *sip, char *ret, size_t size)
{
	copy(ret, size, opt.timers ? sip_header(sip, "Session-Expires", "x") : (struct span){0});
}

void answer_invite(struct leg *leg, int status, const char *reason, struct span sid, const struct text *sdp)
{
	struct sip invite;
	struct text text = {0};

	if (!leg->invite || sip_read(leg->invite, leg->invite_len, &invite))
		return;
	text_response(&text, &invite, status, reason, leg->tag);
	contact(&text);
	session_id(&text, sid);
	if (status == 200 && leg->timer[0])
		text_add(&text, "Require: timer\r\nSession-Expires: %s\r\n", leg->timer);
	text_add(&text, "Server: b2bserver/%s\r\n", opt.name);
	text_body(&text, sdp);
	if (status < 200) {
		send_text(&text, &leg->flow);
		return;
	}
	repeat_start(&leg->answer, &text, &leg->flow);
	free(leg->invite);
	leg->invite = NULL;
}

void send_request(struct leg *leg, const char *method)
{
	struct text text = {0};

	start_request(leg, method, ++leg->cseq, &text);
	text_body(&text, NULL);
	leg->request_is_invite = false;
	repeat_start(&leg->request, &text, &leg->flow);
}

void send_invite(struct leg *leg, const struct sip *from, const struct text *sdp)
{
	struct leg *source = other(leg);
	struct text text = {0};
	char timer[64];

	start_request(leg, "INVITE", ++leg->cseq, &text);
	contact(&text);
	if (leg->call->state == CALL_RINGING && leg->side == 1) {
		text_add(&text, "Remote-Party-ID: <sip:%.*s@%s>;party=calling;screen=yes;privacy=off\r\n",
		         (int)from->from_user.len, from->from_user.at, self.host);
		if (opt.pair == PAIR_HEADER)
			text_add(&text, "X-Leg-Call-ID: %s\r\n", source->call_id);
	}
	session_id(&text, from->session_id);
	read_timer(from, timer, sizeof(timer));
	if (timer[0])
		text_add(&text, "Supported: timer\r\nSession-Expires: %s\r\n", timer);
	text_body(&text, sdp);
	leg->request_is_invite = true;
	repeat_start(&leg->request, &text, &leg->flow);
}

void send_ack(struct leg *leg, const struct sip *response)
{
	struct text text = {0};

	if (response->status < 300)
		start_request(leg, "ACK", response->cseq, &text);
	else {
		text_add(&text, "ACK %s SIP/2.0\r\nVia: %.*s\r\nMax-Forwards: 70\r\n", leg->target,
		         (int)response->via.len, response->via.at);
		text_add(&text, "From: %.*s\r\nTo: %.*s\r\nCall-ID: %s\r\nCSeq: %u ACK\r\n",
		         (int)response->from.len, response->from.at, (int)response->to.len, response->to.at,
		         leg->call_id, response->cseq);
	}
	text_body(&text, NULL);
	send_text(&text, &leg->flow);
}

void send_cancel(struct leg *leg)
{
	struct text text = {0};

	start_request(leg, "CANCEL", leg->cseq, &text);
	text_body(&text, NULL);
	send_text(&text, &leg->flow);
}
