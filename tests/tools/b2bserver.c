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

#include "b2b/b2b.h"

#define SIP_READS    64
#define TICK_NS      100000000LL
#define LINGER_NS    5000000000LL
#define DATAGRAM_MAX 65536

struct b2b_options opt = {.name = "test", .port_first = 10000, .port_last = 59999};
struct b2b_self self;

static volatile sig_atomic_t stop;

static void on_signal(int signal)
{
	stop = 1;
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
			good = opt.has_callee = endpoint_read(optarg, &opt.callee);
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
	return optind == argc - 1 && endpoint_read(argv[optind], &opt.bind);
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
