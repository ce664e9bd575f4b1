/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Scripted phones for the tests of what passes across a rescued call: plain UDP
 * sockets on loopback, each in a dialog that a server which is gone has left in
 * the table. Test programs only.
 */
#ifndef SIPFLIP_TEST_PASS_SCRIPT_H
#define SIPFLIP_TEST_PASS_SCRIPT_H

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <sofia-sip/su.h>
#include <sofia-sip/su_log.h>

#include "../../user/calls/rescue.h"
#include "addr.h"
#include "dialog.h"

#define DEADLINE_MS 5000
#define VIP         "127.0.0.9"

struct phone {
	int fd;
	uint16_t port;
	const char *call_id, *own_tag, *server_tag;
	const char *own_uri, *server_uri;
	bool called;          /* the server called it */
	const char *supports; /* Allow and the like in its messages, with CRLF */
	char got[65536];
};

/* What a phone sends; zero = the usual. */
struct ask {
	const char *method;
	uint32_t cseq;
	const char *headers; /* with CRLF each */
	const char *type;    /* of the body; NULL = application/sdp */
	const char *body;
	const char *branch; /* of an earlier one */
	int hops;           /* Max-Forwards; 0 = 70, -1 = 0 */
};

struct world {
	su_root_t *root;
	struct dialog_table table;
	struct track track;
	struct rescue *rescue;
	uint16_t port; /* of the agent */
	bool silent;   /* no phone's media is heard */
};

static struct world world;

static inline struct mono now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return mono_ns(ts.tv_sec * NS_PER_S + ts.tv_nsec);
}

static inline int udp(const char *addr, uint16_t *ret_port)
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

static inline void turn(void)
{
	su_root_step(world.root, 2);
}

static inline bool receive(struct phone *phone, char *buf, size_t size)
{
	ssize_t n = recv(phone->fd, buf, size - 1, MSG_DONTWAIT);

	if (n <= 0)
		return false;
	buf[n] = '\0';
	return true;
}

/* The next message at the phone; repeats of the last one are not new, 100 Trying is not waited for. */
static inline const char *hear(struct phone *phone)
{
	static char message[sizeof(phone->got)];
	int64_t end = now().ns + DEADLINE_MS * NS_PER_MS;

	while (now().ns < end) {
		if (receive(phone, message, sizeof(message)) && strcmp(message, phone->got) &&
		    strncmp(message, "SIP/2.0 100 ", 12)) {
			strcpy(phone->got, message);
			return phone->got;
		}
		turn();
	}
	fail_msg("nothing new heard; the last was: %.300s", phone->got);
	return "";
}

/* The last message once more. */
static inline bool hear_again(struct phone *phone)
{
	static char message[sizeof(phone->got)];
	int64_t end = now().ns + DEADLINE_MS * NS_PER_MS;

	while (now().ns < end) {
		if (receive(phone, message, sizeof(message)))
			return !strcmp(message, phone->got);
		turn();
	}
	return false;
}

/* Everything that was said has been worked off, and nothing came of it for this phone. */
static inline bool silent(struct phone *phone)
{
	char message[16];
	int i;

	for (i = 0; i < 20; i++)
		turn();
	return recv(phone->fd, message, sizeof(message), MSG_DONTWAIT) < 0;
}

static inline void say(const struct phone *phone, const char *text)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(world.port)};

	sin.sin_addr.s_addr = inet_addr(VIP);
	assert_int_equal(sendto(phone->fd, text, strlen(text), 0, (struct sockaddr *)&sin, sizeof(sin)),
	                 (ssize_t)strlen(text));
}

/* The lines of this header with their ends, from the last message heard; "" = none. */
static inline const char *lines(const struct phone *phone, const char *name)
{
	static char bufs[8][8192];
	static unsigned int n;
	char *buf = bufs[n++ % 8];
	const char *at = phone->got, *end = strstr(phone->got, "\r\n\r\n");
	size_t len = strlen(name);

	buf[0] = '\0';
	while ((at = strstr(at, "\r\n")) && at < end) {
		at += 2;
		if (!strncasecmp(at, name, len) && at[len] == ':')
			strncat(buf, at, (size_t)(strstr(at, "\r\n") - at) + 2);
	}
	return buf;
}

static inline void answer(struct phone *phone, const char *status, const char *headers, const char *type,
                          const char *body)
{
	static char text[65536];

	snprintf(text, sizeof(text),
	         "SIP/2.0 %s\r\n%s%s%s%s%sContact: <sip:phone@127.0.0.1:%u>\r\n%s%s%s%s%sContent-Length: "
	         "%zu\r\n\r\n%s",
	         status, lines(phone, "Via"), lines(phone, "From"), lines(phone, "To"),
	         lines(phone, "Call-ID"), lines(phone, "CSeq"), phone->port,
	         phone->supports ? phone->supports : "", headers ? headers : "", body ? "Content-Type: " : "",
	         body ? (type ? type : "application/sdp") : "", body ? "\r\n" : "", body ? strlen(body) : 0,
	         body ? body : "");
	say(phone, text);
}

/* Returns the branch, for the CANCEL or the repetition. */
static inline const char *ask(struct phone *phone, const struct ask *ask)
{
	static char text[65536], branches[16][32];
	static unsigned int n;
	char *branch = branches[++n % 16];

	snprintf(branch, sizeof(branches[0]), "z9hG4bKt%u", n);
	if (ask->branch)
		strcpy(branch, ask->branch);
	snprintf(text, sizeof(text),
	         "%s sip:sipflip@" VIP ":%u SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:%u;branch=%s;rport\r\n"
	         "From: %s;tag=%s\r\nTo: %s;tag=%s\r\nCall-ID: %s\r\nCSeq: %u %s\r\nMax-Forwards: %d\r\n"
	         "Contact: <sip:phone@127.0.0.1:%u>\r\n%s%s%s%s%sContent-Length: %zu\r\n\r\n%s",
	         ask->method, world.port, phone->port, branch, phone->own_uri, phone->own_tag,
	         phone->server_uri, phone->server_tag, phone->call_id, ask->cseq, ask->method,
	         ask->hops < 0   ? 0
	         : ask->hops > 0 ? ask->hops
	                         : 70,
	         phone->port, phone->supports ? phone->supports : "", ask->headers ? ask->headers : "",
	         ask->body ? "Content-Type: " : "",
	         ask->body ? (ask->type ? ask->type : "application/sdp") : "", ask->body ? "\r\n" : "",
	         ask->body ? strlen(ask->body) : 0, ask->body ? ask->body : "");
	say(phone, text);
	return branch;
}
#define ASK(phone, ...) ask(phone, &(struct ask){__VA_ARGS__})

/* A dialog of the former server with the phone, as the tracker would have entered it; CSeq 500 was the last.
 */
static inline struct dialog *enter(const struct phone *phone, const char *said, const char *told)
{
	bool out = phone->called;
	const char *offer = out ? told : said, *reply = out ? said : told;
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
	        .contact = out ? "sip:srv@" VIP : "sip:phone@192.0.2.99:9",
	        .refresher_uas = -1,
	        .sdp = offer,
	        .sdp_len = strlen(offer),
	};

	addr_parse("127.0.0.1", &ev.remote);
	dialog_table_event(&world.table, &ev);
	ev.out = !out;
	ev.status = 200;
	ev.to_tag = out ? phone->own_tag : phone->server_tag;
	ev.contact = out ? "sip:phone@192.0.2.99:9" : "sip:srv@" VIP;
	ev.sdp = reply;
	ev.sdp_len = strlen(reply);
	ev.at = now();
	return dialog_table_event(&world.table, &ev);
}

static inline void phone_open(struct phone *phone, const char *call_id, bool called)
{
	*phone = (struct phone){
	        .call_id = call_id,
	        .own_tag = "phone",
	        .server_tag = "server",
	        .own_uri = "<sip:phone@a.example>",
	        .server_uri = "<sip:100@b.example>",
	        .called = called,
	};
	phone->fd = udp("127.0.0.1", &phone->port);
}

static bool phones_are_silent(void *context, const struct dialog *dialog, struct mono since)
{
	return world.silent;
}

static inline void world_open(void)
{
	extern su_log_t nta_log[];
	static const struct rescue_callbacks callbacks = {.silent = phones_are_silent};
	struct keeper_conf conf = {.name = "pbx", .rescue_rate = 200};

	su_init();
	su_log_set_level(nta_log, 0);
	world = (struct world){.root = su_root_create(NULL)};
	dialog_table_init(&world.table, 64, 7);
	world.track = (struct track){.table = &world.table};
	close(udp(VIP, &world.port)); /* a port that is free */
	addr_parse(VIP, &conf.vip);
	conf.rescue_port = world.port;
	assert_int_equal(rescue_new(world.root, &conf, &world.track, &callbacks, NULL, &world.rescue), 0);
}

static inline void world_close(void)
{
	rescue_free(world.rescue);
	dialog_table_done(&world.table);
	su_root_destroy(world.root);
	su_deinit();
}

#define ASSERT_HAS(phone, text)                                                                              \
	do {                                                                                                 \
		if (!strstr((phone).got, text))                                                              \
			fail_msg("no '%s' in: %.1500s", text, (phone).got);                                  \
	} while (0)
#define ASSERT_HAS_NOT(phone, text)                                                                          \
	do {                                                                                                 \
		if (strstr((phone).got, text))                                                               \
			fail_msg("'%s' in: %.1500s", text, (phone).got);                                     \
	} while (0)
#define ASSERT_COUNT(name, n) assert_int_equal(rescue_counters(world.rescue)->name, n)

#endif
