/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A stage for calls that rang, or had one leg, when their server died: phones and
 * the new local server are plain UDP sockets on loopback, the dead server is what
 * the capture recorded of it. Used by test_rescue_ring.c and test_rescue_join.c only.
 */
#ifndef SIPFLIP_TEST_RING_STAGE_H
#define SIPFLIP_TEST_RING_STAGE_H

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <sofia-sip/su.h>
#include <sofia-sip/su_log.h>

#include "../../user/calls/rescue_agent.h"
#include "addr.h"
#include "dialog_table.h"
#include "sip_script.h"

#define DEADLINE_MS 5000
#define VIP         "127.0.0.9"
#define DEAD        3 /* origin of what the dead server held */
#define LIVE        5 /* and of the one that runs here now */

#define SDP(user, version, addr, port, more)                                                                 \
	"v=0\r\no=" user " 1 " version " IN IP4 " addr "\r\ns=-\r\nc=IN IP4 " addr                           \
	"\r\nt=0 0\r\nm=audio " port " RTP/AVP 0\r\n" more
#define SDP_A   SDP("ann", "1", "127.0.0.1", "4000", "")
#define SDP_B   SDP("bob", "2", "127.0.0.2", "6000", "")
#define SDP_SRV SDP("srv", "7", VIP, "20000", "")
#define SDP_B_O SDP("srv", "8", VIP, "20002", "")

struct phone {
	int fd;
	uint16_t port;
	const char *name;       /* Call-ID and tags follow from it */
	const char *server_tag; /* "" = the server has given none yet */
	char got[8192];
	char before[8192]; /* the one before, to know repeats */
};

extern su_log_t nta_log[];
static su_root_t *root;
static struct dialog_table table;
static struct track track;
static struct rescue *rescue;
static struct phone a, b, c, server;
static uint16_t rescue_port;
static const char *out_caller; /* in From of what the server sends */

static struct mono now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return mono_ns(ts.tv_sec * NS_PER_S + ts.tv_nsec);
}

static int udp(const char *addr, uint16_t *ret_port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET};
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	sin.sin_addr.s_addr = inet_addr(addr);
	assert_int_equal(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	getsockname(fd, (struct sockaddr *)&sin, &len);
	*ret_port = ntohs(sin.sin_port);
	return fd;
}

static void turn(void)
{
	su_root_step(root, 2);
}

/* The next message at the phone whose first line and CSeq begin so; others are passed over. */
static const char *hear(struct phone *phone, const char *first)
{
	int64_t end = now().ns + DEADLINE_MS * NS_PER_MS;
	char message[sizeof(phone->got)];

	while (now().ns < end) {
		ssize_t n = recv(phone->fd, message, sizeof(message) - 1, MSG_DONTWAIT);

		if (n > 0) {
			message[n] = '\0';
			strcpy(phone->got, message);
			if (!strncmp(message, first, strlen(first)))
				return phone->got;
			continue;
		}
		turn();
	}
	fail_msg("%s heard no %s; the last was: %.300s", phone->name, first, phone->got);
	return "";
}

/* Nothing that begins so comes within some turns of the loop. */
static bool never_hears(struct phone *phone, const char *first)
{
	char message[sizeof(phone->got)];
	int i;

	for (i = 0; i < 25; i++) {
		ssize_t n = recv(phone->fd, message, sizeof(message) - 1, MSG_DONTWAIT);

		if (n > 0 && !strncmp(message, first, strlen(first))) {
			print_message("%s heard: %.*s\n", phone->name, (int)n, message);
			return false;
		}
		turn();
	}
	return true;
}

static void until(const struct dialog *d, enum dialog_state state)
{
	int64_t end = now().ns + DEADLINE_MS * NS_PER_MS;

	while (d->state != state && now().ns < end)
		turn();
	assert_int_equal(d->state, state);
}

static void say(struct phone *phone, const char *text)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(rescue_port)};

	sin.sin_addr.s_addr = inet_addr(VIP);
	assert_int_equal(sendto(phone->fd, text, strlen(text), 0, (struct sockaddr *)&sin, sizeof(sin)),
	                 (ssize_t)strlen(text));
}

/* The header's lines with their ends, from the last message heard. */
static const char *lines(const struct phone *phone, const char *name, char buf[2048])
{
	const char *at = phone->got;
	size_t len = strlen(name), used = 0;

	buf[0] = '\0';
	while ((at = strstr(at, "\r\n"))) {
		at += 2;
		if (!strncmp(at, name, len))
			used += (size_t)snprintf(buf + used, 2048 - used, "%.*s",
			                         (int)(strstr(at, "\r\n") - at + 2), at);
	}
	return buf;
}

/* Answers the last request heard; tag "" = its To has one already. */
static void answer_with(struct phone *phone, const char *status, const char *tag, const char *more,
                        const char *sdp)
{
	char text[8192], via[2048], from[2048], to[2048], id[2048], cseq[2048];

	lines(phone, "To:", to);
	if (tag[0])
		snprintf(to + strlen(to) - 2, 128, ";tag=%s\r\n", tag);
	snprintf(
	        text, sizeof(text),
	        "SIP/2.0 %s\r\n%s%s%s%s%sContact: <sip:%s@127.0.0.1:%u>\r\n%s%sContent-Length: %zu\r\n\r\n%s",
	        status, lines(phone, "Via:", via), lines(phone, "From:", from), to,
	        lines(phone, "Call-ID:", id), lines(phone, "CSeq:", cseq), phone->name, phone->port, more,
	        sdp ? "Content-Type: application/sdp\r\n" : "", sdp ? strlen(sdp) : 0, sdp ? sdp : "");
	say(phone, text);
}

static void answer(struct phone *phone, const char *status, const char *sdp)
{
	char tag[32];

	snprintf(tag, sizeof(tag), "t-%s", phone->name);
	answer_with(phone, status, tag, "", sdp);
}

/* In the dialog that the phone has with the dead server. branch "" = a fresh one. */
static void ask(struct phone *phone, const char *method, uint32_t cseq, const char *branch,
                const char *server_tag, const char *more, const char *sdp)
{
	static unsigned int n;
	char text[8192], fresh[32];

	snprintf(fresh, sizeof(fresh), "z9hG4bKf%u", ++n);
	snprintf(text, sizeof(text),
	         "%s sip:100@" VIP " SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:%u;branch=%s;rport\r\n"
	         "From: \"P\" <sip:%s@example>;tag=p-%s\r\nTo: <sip:100@example>%s%s\r\n"
	         "Call-ID: call-%s\r\nCSeq: %u %s\r\nMax-Forwards: 70\r\n"
	         "Contact: <sip:%s@127.0.0.1:%u>\r\n%s%sContent-Length: %zu\r\n\r\n%s",
	         method, phone->port, branch[0] ? branch : fresh, phone->name, phone->name,
	         server_tag[0] ? ";tag=" : "", server_tag, phone->name, cseq,
	         strcmp(method, "ACK") ? method : "ACK", phone->name, phone->port, more,
	         sdp ? "Content-Type: application/sdp\r\n" : "", sdp ? strlen(sdp) : 0, sdp ? sdp : "");
	say(phone, text);
}

/* --- what was on the wire before the server died ------------------------------------------- */

static struct dialog *captured(const struct phone *phone, bool out, const char *text)
{
	struct capture_record *record =
	        script_record(text, strlen(text), out, "127.0.0.1", phone->port, (uint64_t)now().ns);
	struct dialog *d = track_datagram(&track, record, now());

	free(record);
	return d;
}

/* The phone called the server. */
static struct dialog *called_in(struct phone *phone, const char *more, const char *sdp)
{
	char text[16384];

	snprintf(text, sizeof(text),
	         "INVITE sip:100@" VIP " SIP/2.0\r\n"
	         "Via: SIP/2.0/UDP 127.0.0.1:%u;branch=z9hG4bKin-%s;rport\r\n"
	         "Via: SIP/2.0/UDP 192.0.2.77:5099;branch=z9hG4bKfar\r\n"
	         "Record-Route: <sip:127.0.0.1:%u;lr>\r\n"
	         "From: \"P\" <sip:%s@example>;tag=p-%s\r\nTo: <sip:100@example>\r\nCall-ID: call-%s\r\n"
	         "CSeq: 11 INVITE\r\nMax-Forwards: 70\r\nContact: <sip:%s@127.0.0.1:%u>\r\n%s%s"
	         "Content-Length: %zu\r\n\r\n%s",
	         phone->port, phone->name, phone->port, phone->name, phone->name, phone->name, phone->name,
	         phone->port, more, sdp ? "Content-Type: application/sdp\r\n" : "", sdp ? strlen(sdp) : 0,
	         sdp ? sdp : "");
	return captured(phone, false, text);
}

/* What the server answered it. */
static struct dialog *server_said(struct phone *phone, const char *status, const char *more, const char *sdp)
{
	char text[8192];

	snprintf(text, sizeof(text),
	         "SIP/2.0 %s\r\nVia: SIP/2.0/UDP 127.0.0.1:%u;branch=z9hG4bKin-%s;rport\r\n"
	         "Record-Route: <sip:127.0.0.1:%u;lr>\r\n"
	         "From: \"P\" <sip:%s@example>;tag=p-%s\r\nTo: <sip:100@example>;tag=%s\r\n"
	         "Call-ID: call-%s\r\nCSeq: 11 INVITE\r\nContact: <sip:srv@" VIP ">\r\n%s%s"
	         "Content-Length: %zu\r\n\r\n%s",
	         status, phone->port, phone->name, phone->port, phone->name, phone->name, phone->server_tag,
	         phone->name, more, sdp ? "Content-Type: application/sdp\r\n" : "", sdp ? strlen(sdp) : 0,
	         sdp ? sdp : "");
	return captured(phone, true, text);
}

/* The server called the phone. */
static struct dialog *called_out(struct phone *phone, const char *sdp)
{
	char text[8192];

	snprintf(text, sizeof(text),
	         "INVITE sip:%s@127.0.0.1:%u SIP/2.0\r\n"
	         "Via: SIP/2.0/UDP " VIP ":5060;branch=z9hG4bKout-%s;rport\r\n"
	         "From: \"P\" <sip:%s@example>;tag=%s\r\nTo: <sip:%s@example>\r\nCall-ID: call-%s\r\n"
	         "CSeq: 77 INVITE\r\nMax-Forwards: 70\r\nContact: <sip:srv@" VIP
	         ">\r\nX-Kept: as it was\r\n%s"
	         "Content-Length: %zu\r\n\r\n%s",
	         phone->name, phone->port, phone->name, out_caller, phone->server_tag, phone->name,
	         phone->name, sdp ? "Content-Type: application/sdp\r\n" : "", sdp ? strlen(sdp) : 0,
	         sdp ? sdp : "");
	return captured(phone, true, text);
}

/* What the phone answered it. */
static struct dialog *phone_said(struct phone *phone, const char *status, const char *more, const char *sdp)
{
	char text[8192];

	snprintf(text, sizeof(text),
	         "SIP/2.0 %s\r\nVia: SIP/2.0/UDP " VIP ":5060;branch=z9hG4bKout-%s;rport\r\n"
	         "From: \"P\" <sip:%s@example>;tag=%s\r\nTo: <sip:%s@example>;tag=t-%s\r\nCall-ID: "
	         "call-%s\r\n"
	         "CSeq: 77 INVITE\r\nContact: <sip:%s@127.0.0.1:%u>\r\n%s%sContent-Length: %zu\r\n\r\n%s",
	         status, phone->name, out_caller, phone->server_tag, phone->name, phone->name, phone->name,
	         phone->name, phone->port, more, sdp ? "Content-Type: application/sdp\r\n" : "",
	         sdp ? strlen(sdp) : 0, sdp ? sdp : "");
	return captured(phone, false, text);
}

/* --- the stage ------------------------------------------------------------------------------- */

static void open_phone(struct phone *phone, const char *addr, const char *name, const char *server_tag)
{
	*phone = (struct phone){.name = name, .server_tag = server_tag};
	phone->fd = udp(addr, &phone->port);
}

static int setup(void **state)
{
	static const struct rescue_callbacks callbacks = {0};
	struct keeper_conf conf = {.name = "pbx", .rescue_rate = 200, .rescue_mode = RESCUE_AGENT};
	int probe;

	su_init();
	root = su_root_create(NULL);
	dialog_table_init(&table, 64, 7);
	table.origin = DEAD;
	track = (struct track){.table = &table};
	open_phone(&a, "127.0.0.1", "ann", "s-a");
	open_phone(&b, "127.0.0.1", "bob", "s-b");
	open_phone(&c, "127.0.0.1", "cid", "s-c");
	open_phone(&server, VIP, "server", "");
	su_log_set_level(nta_log, getenv("NTA_LOG") ? 9 : 0);
	probe = udp(VIP, &rescue_port); /* a port that is free */
	close(probe);
	addr_parse(VIP, &conf.vip);
	conf.rescue_port = rescue_port;
	out_caller = "ann";
	conf.sip_port = server.port;
	return rescue_new(root, &conf, &track, &callbacks, NULL, &rescue);
}

static int teardown(void **state)
{
	rescue_free(rescue);
	dialog_table_done(&table);
	close(a.fd);
	close(b.fd);
	close(c.fd);
	close(server.fd);
	su_root_destroy(root);
	su_deinit();
	return 0;
}

#define COUNTED(name)               (rescue_counters(rescue)->name)
#define ASSERT_HAS(phone, text)     assert_non_null(strstr((phone).got, text))
#define ASSERT_HAS_NOT(phone, text) assert_null(strstr((phone).got, text))

#endif
