/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A call of a server that died, with two phones that are plain UDP sockets on
 * loopback, and the rescue agent between them; test programs only. The kernel that
 * steers and hides the rescue port is not here.
 */
#ifndef SIPFLIP_TEST_RESCUE_PHONES_H
#define SIPFLIP_TEST_RESCUE_PHONES_H

#include <arpa/inet.h>
#include <poll.h>
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

#include "../../user/calls/rescue.h"
#include "addr.h"
#include "pairing.h"

#pragma GCC diagnostic ignored "-Wunused-function" /* not every program uses all of it */

#define DEADLINE_MS 5000
#define VIP         "127.0.0.9"
#define PHONES_SEE  5060 /* the kernel is not here: phones of these tests answer to the rescue port */

#define OLD_A                                                                                                \
	"v=0\r\no=srv 70 7 IN IP4 " VIP "\r\ns=-\r\nc=IN IP4 " VIP "\r\nt=0 0\r\nm=audio 20000 RTP/AVP "     \
	"0\r\n"
#define OLD_B                                                                                                \
	"v=0\r\no=srv 80 8 IN IP4 " VIP "\r\ns=-\r\nc=IN IP4 " VIP "\r\nt=0 0\r\nm=audio 20002 RTP/AVP "     \
	"0\r\n"
#define SDP_A                                                                                                \
	"v=0\r\no=ann 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP "   \
	"0\r\n"
#define SDP_B                                                                                                \
	"v=0\r\no=bob 2 2 IN IP4 127.0.0.2\r\ns=-\r\nc=IN IP4 127.0.0.2\r\nt=0 0\r\nm=audio 6000 RTP/AVP "   \
	"0\r\n"

struct phone {
	int fd;
	uint16_t port;
	const char *call_id, *own_tag, *server_tag, *own_uri, *server_uri;
	char got[8192];
};

extern su_log_t nta_log[];
static su_root_t *root;
static struct dialog_table table;
static struct track track;
static struct rescue *rescue;
static struct keeper_rescue progress;
static struct phone a, b;
static struct dialog *da, *db;
static uint16_t rescue_port;
static struct dialog *mute; /* whose media is silent */

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

static void on_progress(void *context, const struct keeper_rescue *now_progress)
{
	progress = *now_progress;
}

static void turn(void)
{
	su_root_step(root, 2);
}

/* The next message at the phone; repeats of the last one are not new. */
static const char *hear(struct phone *phone)
{
	int64_t end = now().ns + DEADLINE_MS * NS_PER_MS;
	char message[sizeof(phone->got)];

	while (now().ns < end) {
		ssize_t n = recv(phone->fd, message, sizeof(message) - 1, MSG_DONTWAIT);

		if (n > 0) {
			message[n] = '\0';
			if (strcmp(message, phone->got)) {
				strcpy(phone->got, message);
				return phone->got;
			}
		}
		turn();
	}
	fail_msg("nothing heard; the last was: %.200s", phone->got);
	return "";
}

static bool silent(struct phone *phone)
{
	char message[16];
	int i;

	for (i = 0; i < 20; i++)
		turn();
	return recv(phone->fd, message, sizeof(message), MSG_DONTWAIT) < 0;
}

static void say(struct phone *phone, const char *text)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(rescue_port)};

	sin.sin_addr.s_addr = inet_addr(VIP);
	assert_int_equal(sendto(phone->fd, text, strlen(text), 0, (struct sockaddr *)&sin, sizeof(sin)),
	                 (ssize_t)strlen(text));
}

/* The header's line with its end, from the last message heard. */
static const char *line(const struct phone *phone, const char *name, char buf[1024])
{
	const char *at = phone->got;
	size_t len = strlen(name);

	while ((at = strstr(at, "\r\n"))) {
		at += 2;
		if (!strncmp(at, name, len)) {
			snprintf(buf, 1024, "%.*s", (int)(strstr(at, "\r\n") - at + 2), at);
			return buf;
		}
	}
	return strcpy(buf, "");
}

/* more: header lines */
static void answer_more(struct phone *phone, const char *status, const char *more, const char *sdp)
{
	char text[8192], via[1024], from[1024], to[1024], id[1024], cseq[1024];

	snprintf(text, sizeof(text),
	         "SIP/2.0 %s\r\n%s%s%s%s%s%sContact: <sip:phone@127.0.0.1:%u;new=1>\r\n%sContent-Length: "
	         "%zu\r\n\r\n%s",
	         status, line(phone, "Via:", via), line(phone, "From:", from), line(phone, "To:", to),
	         line(phone, "Call-ID:", id), line(phone, "CSeq:", cseq), more, phone->port,
	         sdp ? "Content-Type: application/sdp\r\n" : "", sdp ? strlen(sdp) : 0, sdp ? sdp : "");
	say(phone, text);
}

static void answer(struct phone *phone, const char *status, const char *sdp)
{
	answer_more(phone, status, "", sdp);
}

static void ask(struct phone *phone, const char *method, uint32_t cseq, const char *sdp)
{
	static unsigned int branch;
	char text[8192];

	snprintf(text, sizeof(text),
	         "%s sip:sipflip@" VIP
	         ":%u SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:%u;branch=z9hG4bKt%u;rport\r\n"
	         "From: %s;tag=%s\r\nTo: %s;tag=%s\r\nCall-ID: %s\r\nCSeq: %u %s\r\nMax-Forwards: 70\r\n"
	         "Contact: <sip:phone@127.0.0.1:%u>\r\n%sContent-Length: %zu\r\n\r\n%s",
	         method, rescue_port, phone->port, ++branch, phone->own_uri, phone->own_tag,
	         phone->server_uri, phone->server_tag, phone->call_id, cseq, method, phone->port,
	         sdp ? "Content-Type: application/sdp\r\n" : "", sdp ? strlen(sdp) : 0, sdp ? sdp : "");
	say(phone, text);
}

/* A dialog of the former server with the phone, as the tracker would have entered it. */
static struct dialog *enter(struct phone *phone, bool out, const char *contact, const char *record_route,
                            const char *sdp_offer, const char *sdp_answer)
{
	struct sip_event ev = {
	        .at = now(),
	        .out = out,
	        .verb = SIP_VERB_INVITE,
	        .cseq = 500,
	        .remote_port = phone->port,
	        .call_id = phone->call_id,
	        .from = out ? phone->server_uri : phone->own_uri,
	        .from_tag = out ? phone->server_tag : phone->own_tag,
	        .from_user = "ann",
	        .to = out ? phone->own_uri : phone->server_uri,
	        .request_uri = "sip:x@127.0.0.1",
	        .request_user = "100",
	        .contact = out ? "sip:srv@" VIP : contact,
	        .record_route = record_route,
	        .refresher_uas = -1,
	        .sdp = sdp_offer,
	        .sdp_len = strlen(sdp_offer),
	};

	addr_parse("127.0.0.1", &ev.remote);
	dialog_table_event(&table, &ev);
	ev.out = !out;
	ev.status = 200;
	ev.to_tag = out ? phone->own_tag : phone->server_tag;
	ev.contact = out ? contact : "sip:srv@" VIP;
	ev.sdp = sdp_answer;
	ev.sdp_len = strlen(sdp_answer);
	ev.at = now();
	return dialog_table_event(&table, &ev);
}

static bool is_silent(void *context, const struct dialog *dialog, struct mono since)
{
	return dialog == mute;
}

static int setup_with(uint32_t calls_a_second, bool direct)
{
	static const struct rescue_callbacks callbacks = {.progress = on_progress, .silent = is_silent};
	struct keeper_conf conf = {
	        .name = "pbx", .rescue_rate = calls_a_second, .media_direct = direct, .sip_port = PHONES_SEE};
	int probe;

	su_init();
	root = su_root_create(NULL);
	dialog_table_init(&table, 64, 7);
	track = (struct track){.table = &table};
	progress = (struct keeper_rescue){0};
	mute = NULL;
	a = (struct phone){.call_id = "call-a", .own_tag = "a1", .server_tag = "s1"};
	b = (struct phone){.call_id = "call-b", .own_tag = "b2", .server_tag = "s2"};
	a.own_uri = "\"Ann A\" <sip:ann@a.example;user=phone>";
	a.server_uri = "<sip:100@b.example>";
	b.own_uri = "<sip:100@b.example>";
	b.server_uri = "<sip:ann@a.example>";
	a.fd = udp("127.0.0.1", &a.port);
	b.fd = udp("127.0.0.1", &b.port);
	su_log_set_level(nta_log, 0);
	probe = udp(VIP, &rescue_port); /* a port that is free */
	close(probe);
	addr_parse(VIP, &conf.vip);
	conf.rescue_port = rescue_port;
	return rescue_new(root, &conf, &track, &callbacks, NULL, &rescue);
}

static int setup(void **state)
{
	return setup_with(200, false);
}

static int teardown(void **state)
{
	rescue_free(rescue);
	dialog_table_done(&table);
	close(a.fd);
	close(b.fd);
	su_root_destroy(root);
	su_deinit();
	return 0;
}

/* Two legs; where their Contacts lead nowhere, so that only the flow's address can be meant. */
static void call(void)
{
	da = enter(&a, false, "sip:ann@192.0.2.99:9;ob", NULL, SDP_A, OLD_A);
	db = enter(&b, true, "sip:bob@192.0.2.98:9", NULL, OLD_B, SDP_B);
	/* order of events: answered there before it answered here */
	da->at_answer = db->at_answer = now();
	da->at_invite = db->at_invite = mono_ns(db->at_answer.ns - NS_PER_S);
	assert_ptr_equal(pairing_consider(&table, da), db);
}

static void take_over(void)
{
	rescue_start(rescue, 0x201, (uint64_t)now().ns, now());
}

/* Each leg on its own, in whichever order. */
static void rescued_call(void)
{
	call();
	take_over();
	hear(&a);
	answer(&a, "200 OK", SDP_A);
	hear(&b);
	answer(&b, "200 OK", SDP_B);
	hear(&a); /* ACK */
	hear(&b);
	assert_int_equal(progress.rescued, 1);
}

#define ASSERT_HAS(phone, text)     assert_non_null(strstr((phone).got, text))
#define ASSERT_HAS_NOT(phone, text) assert_null(strstr((phone).got, text))

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
