// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A TEST TOOL, not a SIP server for anybody's calls: a back-to-back user agent on
 * one UDP address that holds thousands of calls on part of a core. Every INVITE
 * becomes a new one to --callee, RTP and RTCP are relayed in user space between
 * ports of its own address, latched to the first source as servers do. It knows
 * the happy path of RFC 3261 with its retransmissions, and no more. Benchmarks
 * use it where a real server would be the bottleneck; --pair says how much an
 * observer of its wire is told about which two legs are one call.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "farm/relay.h"
#include "farm/siptext.h"

#define BUCKETS      65536
#define CALLS_MAX    16000
#define SIP_READS    64
#define T1_NS        500000000LL
#define T2_NS        4000000000LL
#define GIVE_UP_NS   32000000000LL
#define TICK_NS      100000000LL
#define LINGER_NS    5000000000LL
#define DATAGRAM_MAX 65536

enum pair_mode { PAIR_NONE, PAIR_HEADER, PAIR_SESSION_ID };

/* A message that is repeated until it is answered. */
struct repeat {
	char *text; /* NULL = nothing is waiting */
	size_t len;
	int64_t next_ns; /* INT64_MAX = provisionally answered: wait on */
	int64_t pause_ns;
	int64_t until_ns;
};

struct leg {
	struct leg *next; /* in its bucket */
	struct call *call;
	int side; /* 0 = the caller's, 1 = the callee's */
	char call_id[128];
	char tag[32];     /* ours */
	char ours[256];   /* our From or To without a tag */
	char theirs[320]; /* the phone's, with its tag once it is known */
	char target[160];
	struct sockaddr_in flow;
	uint32_t cseq;       /* highest of ours */
	uint32_t their_cseq; /* highest of the phone's */
	uint64_t sdp_id, sdp_version;
	struct repeat request; /* ours, until it is answered */
	bool request_is_invite;
	char timer[64];       /* Session-Expires that the phone is told with our 200; "" = none */
	struct repeat answer; /* our final response to an INVITE, until its ACK */
	char *invite;         /* theirs, while it is not answered */
	size_t invite_len;
};

enum call_state { CALL_RINGING, CALL_UP, CALL_ENDED };

struct call {
	struct leg leg[2];
	struct relay_call media;
	enum call_state state;
	uint32_t number;
	int64_t ended_ns;
};

static struct {
	struct sockaddr_in bind, callee;
	bool has_callee;
	enum pair_mode pair;
	bool timers;
	const char *name;
	unsigned int port_first, port_last;
} opt = {.name = "test", .port_first = 10000, .port_last = 59999};

static struct {
	int sip;
	struct leg *buckets[BUCKETS];
	struct call *calls[CALLS_MAX];
	uint32_t n_calls, numbers;
	uint64_t up, ended, unsent, unknown, malformed;
	char host[INET_ADDRSTRLEN];
	unsigned int host_port;
	uint32_t run; /* random: no two runs share a tag */
} self;

static volatile sig_atomic_t stop;

static void on_signal(int signal)
{
	stop = 1;
}

static void send_sip(const char *text, size_t len, const struct sockaddr_in *to)
{
	if (sendto(self.sip, text, len, 0, (const struct sockaddr *)to, sizeof(*to)) < 0)
		self.unsent++;
}

static void send_text(const struct text *text, const struct sockaddr_in *to)
{
	if (text->full)
		self.unsent++;
	else
		send_sip(text->at, text->len, to);
}

/* --- what is repeated --------------------------------------------------------------- */
static void repeat_clear(struct repeat *r)
{
	free(r->text);
	*r = (struct repeat){0};
}

static void repeat_start(struct repeat *r, const struct text *text, const struct sockaddr_in *to)
{
	int64_t now = boot_ns();

	repeat_clear(r);
	send_text(text, to);
	if (text->full || !(r->text = malloc(text->len)))
		return;
	memcpy(r->text, text->at, text->len);
	*r = (struct repeat){r->text, text->len, now + T1_NS, T1_NS, now + GIVE_UP_NS};
}

static void repeat_tick(struct repeat *r, const struct sockaddr_in *to, int64_t now)
{
	if (!r->text)
		return;
	if (now > r->until_ns) {
		repeat_clear(r);
		return;
	}
	if (now < r->next_ns)
		return;
	send_sip(r->text, r->len, to);
	r->pause_ns = r->pause_ns * 2 < T2_NS ? r->pause_ns * 2 : T2_NS;
	r->next_ns = now + r->pause_ns;
}

/* --- calls ----------------------------------------------------------------------------- */
/* Payload types of the phone on `side`, as the other phone knows them: in a list, or after rtpmap: and fmtp:.
 */
static void add_numbered(struct text *ret, struct span span, int side, bool list)
{
	static const char *const before[] = {"a=rtpmap:", "a=fmtp:"};

	for (size_t i = 0; i < span.len;) {
		const char *at = span.at + i;
		size_t left = span.len - i, skip = 0, digits = 0;

		if (list && (i == 0 || at[-1] == ' '))
			digits = strspn(at, "0123456789");
		for (int b = 0; !list && b < 2; b++) {
			size_t len = strlen(before[b]);
			if (left > len && !strncmp(at, before[b], len)) {
				skip = len;
				digits = strspn(at + len, "0123456789");
			}
		}
		if (digits == 0 || skip + digits > left) {
			text_add_span(ret, (struct span){at, 1});
			i++;
			continue;
		}
		text_add_span(ret, (struct span){at, skip});
		text_add(ret, "%u", relay_pt((unsigned int)strtoul(at + skip, NULL, 10), side));
		i += skip + digits;
	}
}

/* What the phone of `from` said, as it is said to the phone of `to`: our address, our o=. */
static bool carry_sdp(struct leg *from, struct leg *to, struct span body, struct text *ret)
{
	struct sdp_line sdp;

	if (sdp_read(body, &sdp))
		return false;
	relay_learn(&from->call->media, from->side, &sdp.rtp);
	to->sdp_version++;
	text_add(ret, "v=0\r\no=b2b %llu %llu IN IP4 %s\r\ns=-\r\nc=IN IP4 %s\r\nt=0 0\r\nm=audio %u ",
	         (unsigned long long)to->sdp_id, (unsigned long long)to->sdp_version, self.host, self.host,
	         to->call->media.leg[to->side].port);
	add_numbered(ret, sdp.formats, from->side, true);
	text_add(ret, "\r\n");
	add_numbered(ret, sdp.media, from->side, false);
	return !ret->full;
}

static void copy(char *to, size_t size, struct span from)
{
	size_t len = from.len < size - 1 ? from.len : size - 1;

	memcpy(to, from.at ? from.at : "", from.at ? len : 0);
	to[from.at ? len : 0] = 0;
}

static struct span spanned(const char *text)
{
	return (struct span){text, strlen(text)};
}

static struct leg *find(struct span call_id)
{
	struct leg *leg = self.buckets[text_hash(call_id) % BUCKETS];

	while (leg && !span_equal(spanned(leg->call_id), call_id))
		leg = leg->next;
	return leg;
}

static void enter(struct leg *leg)
{
	struct leg **bucket = &self.buckets[text_hash(spanned(leg->call_id)) % BUCKETS];

	leg->next = *bucket;
	*bucket = leg;
}

static void leave(struct leg *leg)
{
	struct leg **at = &self.buckets[text_hash(spanned(leg->call_id)) % BUCKETS];

	while (*at && *at != leg)
		at = &(*at)->next;
	if (*at)
		*at = leg->next;
}

static struct leg *other(struct leg *leg)
{
	return &leg->call->leg[!leg->side];
}

static struct call *new_call(void)
{
	struct call *call = self.n_calls < CALLS_MAX ? calloc(1, sizeof(*call)) : NULL;

	if (!call)
		return NULL;
	call->number = ++self.numbers;
	for (int i = 0; i < 2; i++) {
		struct leg *leg = &call->leg[i];
		leg->call = call;
		leg->side = i;
		leg->sdp_id = 3000000000ULL + call->number * 2ULL + (unsigned int)i;
		snprintf(leg->tag, sizeof(leg->tag), "%08x%u%c", self.run, call->number, 'a' + i);
	}
	if (relay_open(&call->media, call->number)) {
		free(call);
		return NULL;
	}
	self.calls[self.n_calls++] = call;
	return call;
}

static void end_call(struct call *call)
{
	if (call->state == CALL_ENDED)
		return;
	self.up -= call->state == CALL_UP;
	self.ended++;
	call->state = CALL_ENDED;
	call->ended_ns = boot_ns();
	relay_close(&call->media);
}

static void free_call(struct call *call)
{
	for (int i = 0; i < 2; i++) {
		leave(&call->leg[i]);
		repeat_clear(&call->leg[i].request);
		repeat_clear(&call->leg[i].answer);
		free(call->leg[i].invite);
	}
	free(call);
}

/* --- writing ------------------------------------------------------------------------------ */
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

static void respond(struct leg *leg, const struct sip *sip, const struct sockaddr_in *to, int status,
                    const char *reason)
{
	struct text text = {0};

	text_response(&text, sip, status, reason, leg ? leg->tag : status == 100 ? "" : "nobody");
	text_add(&text, "Server: b2bserver/%s\r\n", opt.name);
	text_body(&text, NULL);
	send_text(&text, to);
}

/* The Session-Expires of RFC 4028 in a message, "" = none or not asked to carry it. */
static void read_timer(const struct sip *sip, char *ret, size_t size)
{
	copy(ret, size, opt.timers ? sip_header(sip, "Session-Expires", "x") : (struct span){0});
}

/* The answer to the INVITE that the phone of `leg` waits with; final ones are repeated until the ACK. */
static void answer_invite(struct leg *leg, int status, const char *reason, struct span sid,
                          const struct text *sdp)
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

static void send_request(struct leg *leg, const char *method)
{
	struct text text = {0};

	start_request(leg, method, ++leg->cseq, &text);
	text_body(&text, NULL);
	leg->request_is_invite = false;
	repeat_start(&leg->request, &text, &leg->flow);
}

static void send_invite(struct leg *leg, const struct sip *from, const struct text *sdp)
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

/* An ACK of a 2xx is a transaction of its own; that of a failure belongs to the INVITE's (17.1.1.3). */
static void send_ack(struct leg *leg, const struct sip *response)
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

static void send_cancel(struct leg *leg)
{
	struct text text = {0};

	start_request(leg, "CANCEL", leg->cseq, &text);
	text_body(&text, NULL);
	send_text(&text, &leg->flow);
}

/* --- requests ------------------------------------------------------------------------------- */
static bool keep_invite(struct leg *leg, const char *datagram, size_t len)
{
	leg->invite = malloc(len);
	if (!leg->invite)
		return false;
	memcpy(leg->invite, datagram, len);
	leg->invite_len = len;
	return true;
}

static void first_invite(const struct sip *sip, const char *datagram, size_t len,
                         const struct sockaddr_in *from)
{
	struct call *call = opt.has_callee ? new_call() : NULL;
	struct text sdp = {0};

	if (!call) {
		respond(NULL, sip, from, 503, "Service Unavailable");
		return;
	}
	struct leg *a = &call->leg[0], *b = &call->leg[1];
	copy(a->call_id, sizeof(a->call_id), sip->call_id);
	copy(a->ours, sizeof(a->ours), sip->to);
	copy(a->theirs, sizeof(a->theirs), sip->from);
	copy(a->target, sizeof(a->target), sip_addr_uri(sip->contact));
	a->flow = *from;
	a->their_cseq = sip->cseq;
	a->cseq = 100;
	snprintf(b->call_id, sizeof(b->call_id), "%08x-%u-%08lx", self.run, call->number, lrand48());
	snprintf(b->ours, sizeof(b->ours), "<sip:%.*s@%s>", (int)sip->from_user.len, sip->from_user.at,
	         self.host);
	b->flow = opt.callee;
	snprintf(b->target, sizeof(b->target), "sip:%.*s@%s:%u", (int)sip->uri_user.len, sip->uri_user.at,
	         inet_ntoa(opt.callee.sin_addr), ntohs(opt.callee.sin_port));
	snprintf(b->theirs, sizeof(b->theirs), "<%s>", b->target);
	b->cseq = 1000 + call->number % 1000;
	enter(a);
	enter(b);
	respond(NULL, sip, from, 100, "Trying");
	if (!keep_invite(a, datagram, len) || !carry_sdp(a, b, sip->body, &sdp)) {
		answer_invite(a, 488, "Not Acceptable Here", (struct span){0}, NULL);
		end_call(call);
		return;
	}
	send_invite(b, sip, &sdp);
}

static void another_invite(struct leg *leg, const struct sip *sip, const char *datagram, size_t len)
{
	struct leg *to = other(leg);
	struct text sdp = {0};

	if (sip->cseq == leg->their_cseq) { /* once more */
		if (leg->answer.text)
			send_sip(leg->answer.text, leg->answer.len, &leg->flow);
		else if (leg->invite)
			respond(NULL, sip, &leg->flow, 100, "Trying");
		return;
	}
	if (sip->cseq < leg->their_cseq) {
		respond(leg, sip, &leg->flow, 500, "Late");
		return;
	}
	leg->their_cseq = sip->cseq;
	if (leg->call->state != CALL_UP || leg->invite || to->invite || to->request.text ||
	    leg->request.text) {
		respond(leg, sip, &leg->flow, 491, "Request Pending");
		return;
	}
	respond(NULL, sip, &leg->flow, 100, "Trying");
	if (sip->contact.at)
		copy(leg->target, sizeof(leg->target), sip_addr_uri(sip->contact));
	if (!keep_invite(leg, datagram, len) || !carry_sdp(leg, to, sip->body, &sdp)) {
		answer_invite(leg, 488, "Not Acceptable Here", (struct span){0}, NULL);
		return;
	}
	send_invite(to, sip, &sdp);
}

static void hang_up(struct leg *leg)
{
	struct leg *to = other(leg);

	if (leg->call->state == CALL_UP)
		send_request(to, "BYE");
	else if (leg->call->state == CALL_RINGING)
		send_cancel(to);
	end_call(leg->call);
}

static void in_dialog(struct leg *leg, const struct sip *sip, const char *datagram, size_t len)
{
	if (sip_is(sip, "ACK")) {
		repeat_clear(&leg->answer);
	} else if (sip_is(sip, "INVITE")) {
		another_invite(leg, sip, datagram, len);
	} else if (sip_is(sip, "CANCEL")) {
		respond(leg, sip, &leg->flow, 200, "OK");
		if (leg->invite) {
			answer_invite(leg, 487, "Request Terminated", (struct span){0}, NULL);
			hang_up(leg);
		}
	} else if (sip_is(sip, "BYE")) {
		respond(leg, sip, &leg->flow, 200, "OK");
		hang_up(leg);
	} else {
		respond(leg, sip, &leg->flow, sip->body.len ? 488 : 200,
		        sip->body.len ? "Not Acceptable Here" : "OK");
	}
	if (!sip_is(sip, "ACK") && !sip_is(sip, "CANCEL") && sip->cseq > leg->their_cseq)
		leg->their_cseq = sip->cseq;
}

static void on_request(const struct sip *sip, const char *datagram, size_t len,
                       const struct sockaddr_in *from)
{
	struct leg *leg = find(sip->call_id);

	if (leg) {
		leg->flow = *from;
		in_dialog(leg, sip, datagram, len);
	} else if (sip_is(sip, "INVITE") && !sip->to_tag.at) {
		first_invite(sip, datagram, len, from);
	} else if (sip_is(sip, "ACK")) {
		self.unknown++;
	} else if (sip->to_tag.at || sip_is(sip, "CANCEL")) {
		self.unknown++;
		respond(NULL, sip, from, 481, "Call/Transaction Does Not Exist");
	} else {
		respond(NULL, sip, from, 200, "OK");
	}
}

/* --- responses -------------------------------------------------------------------------------- */
static void invite_answered(struct leg *leg, const struct sip *sip)
{
	struct leg *to = other(leg);
	struct text sdp = {0};

	copy(leg->theirs, sizeof(leg->theirs), sip->to);
	if (sip->contact.at)
		copy(leg->target, sizeof(leg->target), sip_addr_uri(sip->contact));
	send_ack(leg, sip);
	if (!leg->request.text) /* the 200 once more */
		return;
	repeat_clear(&leg->request);
	if (leg->call->state == CALL_ENDED) { /* it crossed with a CANCEL */
		send_request(leg, "BYE");
		return;
	}
	if (!carry_sdp(leg, to, sip->body, &sdp)) {
		answer_invite(to, 488, "Not Acceptable Here", (struct span){0}, NULL);
		return;
	}
	read_timer(sip, to->timer, sizeof(to->timer));
	answer_invite(to, 200, "OK", sip->session_id, &sdp);
	if (leg->call->state == CALL_RINGING) {
		leg->call->state = CALL_UP;
		self.up++;
	}
}

static void on_invite_response(struct leg *leg, const struct sip *sip)
{
	struct leg *to = other(leg);

	if (sip->status < 200) {
		leg->request.next_ns = INT64_MAX;
		leg->request.until_ns = INT64_MAX;
		struct text sdp = {0};
		bool early = leg->call->state == CALL_RINGING && sip->status > 100;
		if (early)
			answer_invite(to, sip->status, sip->status == 183 ? "Session Progress" : "Ringing",
			              sip->session_id,
			              sip->body.len && carry_sdp(leg, to, sip->body, &sdp) ? &sdp : NULL);
	} else if (sip->status < 300) {
		invite_answered(leg, sip);
	} else {
		send_ack(leg, sip);
		repeat_clear(&leg->request);
		answer_invite(to, sip->status, "Refused", sip->session_id, NULL);
		if (leg->call->state == CALL_RINGING)
			end_call(leg->call);
	}
}

static void on_response(const struct sip *sip)
{
	struct leg *leg = find(sip->call_id);

	if (!leg || sip->cseq > leg->cseq) {
		self.unknown++;
		return;
	}
	if (sip_is(sip, "INVITE")) {
		/* Of an older one it can only be a repetition, whose ACK was lost. */
		if (leg->request.text && (!leg->request_is_invite || sip->cseq != leg->cseq)) {
			if (sip->status >= 200)
				send_ack(leg, sip);
			return;
		}
		if (leg->request.text || sip->status >= 200)
			on_invite_response(leg, sip);
	} else if (sip->status >= 200 && sip->cseq == leg->cseq && !leg->request_is_invite) {
		repeat_clear(&leg->request);
	}
}

/* --- the loop ------------------------------------------------------------------------------------ */
static void read_sip(void)
{
	static char datagram[DATAGRAM_MAX];

	for (int i = 0; i < SIP_READS; i++) {
		struct sockaddr_in from;
		socklen_t from_len = sizeof(from);
		struct sip sip;
		ssize_t n = recvfrom(self.sip, datagram, sizeof(datagram), 0, (struct sockaddr *)&from,
		                     &from_len);
		if (n < 0)
			return;
		if (sip_read(datagram, (size_t)n, &sip))
			self.malformed++;
		else if (sip.status)
			on_response(&sip);
		else
			on_request(&sip, datagram, (size_t)n, &from);
	}
}

static void tick(int64_t now)
{
	for (uint32_t i = 0; i < self.n_calls;) {
		struct call *call = self.calls[i];
		for (int side = 0; side < 2; side++) {
			repeat_tick(&call->leg[side].request, &call->leg[side].flow, now);
			repeat_tick(&call->leg[side].answer, &call->leg[side].flow, now);
		}
		bool waits = call->leg[0].request.text || call->leg[1].request.text;
		if (call->state == CALL_ENDED && now - call->ended_ns > LINGER_NS &&
		    (!waits || now - call->ended_ns > GIVE_UP_NS)) {
			free_call(call);
			self.calls[i] = self.calls[--self.n_calls];
		} else {
			i++;
		}
	}
}

static void serve(void)
{
	struct pollfd sip = {self.sip, POLLIN, 0};
	int64_t next = boot_ns() + TICK_NS;

	while (!stop) {
		poll(&sip, 1, 20);
		read_sip();
		int64_t now = boot_ns();
		if (now >= next) {
			tick(now);
			next = now + TICK_NS;
		}
	}
}

static int usage(void)
{
	puts("usage: b2bserver [--callee ADDR:PORT] [--pair none|header|session-id] [--rtp FIRST-LAST]\n"
	     "                 [--shift-pt N] [--timers] [--name NAME] ADDR:PORT\n"
	     "A TEST TOOL, not a SIP server: calls --callee (the user is kept) for whoever calls it, relays "
	     "RTP.\n"
	     "  --pair   what the two legs have in common for an observer: only the numbers, X-Leg-Call-ID "
	     "on\n"
	     "           the second leg, or the Session-ID of RFC 7989 passed across\n"
	     "  --shift-pt  dynamic payload types are higher by N (modulo 32) at the callee than at the "
	     "caller\n"
	     "  --timers    Session-Expires is passed across; who refreshes whom is the phones' affair");
	return 2;
}

static bool read_endpoint(char *text, struct sockaddr_in *ret)
{
	char *colon = strrchr(text, ':');

	*ret = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(5060)};
	if (colon) {
		ret->sin_port = htons((uint16_t)atoi(colon + 1));
		*colon = 0;
	}
	return inet_pton(AF_INET, text, &ret->sin_addr) == 1;
}

static bool parse(int argc, char **argv)
{
	static const char *const modes[] = {"none", "header", "session-id"};
	static const struct option known[] = {{"callee", 1, NULL, 'c'},   {"pair", 1, NULL, 'p'},
	                                      {"rtp", 1, NULL, 'r'},      {"name", 1, NULL, 'n'},
	                                      {"shift-pt", 1, NULL, 's'}, {"timers", 0, NULL, 't'},
	                                      {"help", 0, NULL, 'h'},     {NULL, 0, NULL, 0}};
	int c;

	while ((c = getopt_long(argc, argv, "h", known, NULL)) != -1) {
		bool good = c == 'n' || c == 's' || c == 't';
		if (c == 'c')
			good = opt.has_callee = read_endpoint(optarg, &opt.callee);
		for (int i = 0; c == 'p' && i < 3; i++)
			if (!strcmp(optarg, modes[i])) {
				opt.pair = (enum pair_mode)i;
				good = true;
			}
		if (c == 'r')
			good = sscanf(optarg, "%u-%u", &opt.port_first, &opt.port_last) == 2 &&
			       opt.port_last < 65536 && opt.port_first + 3 < opt.port_last &&
			       opt.port_first % 2 == 0;
		if (c == 'n')
			opt.name = optarg;
		if (c == 's')
			relay_shift((unsigned int)atoi(optarg));
		if (c == 't')
			opt.timers = true;
		if (!good)
			return false;
	}
	return optind == argc - 1 && read_endpoint(argv[optind], &opt.bind);
}

static int start(void)
{
	struct rlimit files;
	int room = 8 << 20;

	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	int err = relay_start(opt.bind.sin_addr, opt.port_first, opt.port_last);
	if (err)
		return err;
	self.sip = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (self.sip < 0 || bind(self.sip, (struct sockaddr *)&opt.bind, sizeof(opt.bind)))
		return -errno;
	setsockopt(self.sip, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	inet_ntop(AF_INET, &opt.bind.sin_addr, self.host, sizeof(self.host));
	self.host_port = ntohs(opt.bind.sin_port);
	srand48(boot_ns() ^ getpid());
	self.run = (uint32_t)lrand48();
	return 0;
}

int main(int argc, char **argv)
{
	if (!parse(argc, argv))
		return usage();
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	int err = start();
	if (err) {
		fprintf(stderr, "b2bserver: %s\n", strerror(-err));
		return 1;
	}
	printf("b2bserver: a test tool, listening\n");
	fflush(stdout);
	serve();
	struct relay_counts media;
	relay_count(&media);
	fprintf(stderr,
	        "b2bserver: up=%llu ended=%llu relayed=%llu strange=%llu unsent=%llu unknown=%llu "
	        "malformed=%llu\n",
	        (unsigned long long)self.up, (unsigned long long)self.ended,
	        (unsigned long long)media.relayed, (unsigned long long)media.strange,
	        (unsigned long long)(self.unsent + media.unsent), (unsigned long long)self.unknown,
	        (unsigned long long)self.malformed);
	return 0;
}
