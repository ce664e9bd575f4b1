/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The rescue agent alone on loopback, with an empty dialog table: no kernel that steers
 * to it, and phones are plain UDP sockets that talk to its port. Who the phones are and
 * how their calls came into the table is said in rescue_phones.h and ring_stage.h; test
 * programs only.
 */
#ifndef SIPFLIP_TEST_RESCUE_STAGE_H
#define SIPFLIP_TEST_RESCUE_STAGE_H

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
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
#include "dialog_table.h"

#define DEADLINE_MS 5000
#define VIP         "127.0.0.9"
#define TEXT_BYTES  65536 /* of a message */

/* An SDP of one audio line; more: further lines with CRLF. */
#define SDP(user, id, version, addr, port, more)                                                             \
	"v=0\r\no=" user " " id " " version " IN IP4 " addr "\r\ns=-\r\nc=IN IP4 " addr                      \
	"\r\nt=0 0\r\nm=audio " port " RTP/AVP 0\r\n" more

extern su_log_t nta_log[];
static su_root_t *root;
static struct dialog_table table;
static struct track track;
static struct rescue *rescue;
static uint16_t rescue_port;

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

/* One turn of the agent's loop. */
static inline void turn(void)
{
	su_root_step(root, 2);
}

static inline void send_to_agent(int fd, const char *text)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(rescue_port)};

	sin.sin_addr.s_addr = inet_addr(VIP);
	assert_int_equal(sendto(fd, text, strlen(text), 0, (struct sockaddr *)&sin, sizeof(sin)),
	                 (ssize_t)strlen(text));
}

/* The message that waits at the socket, if any. */
static inline bool receive(int fd, char *buf, size_t size)
{
	ssize_t n = recv(fd, buf, size - 1, MSG_DONTWAIT);

	if (n <= 0)
		return false;
	buf[n] = '\0';
	return true;
}

/* All lines of this header with their ends; "" = none. Good until eight more were asked for. */
static inline const char *header_lines(const char *message, const char *name)
{
	static char bufs[8][8192];
	static unsigned int n;
	char *buf = bufs[n++ % 8];
	const char *at = message, *end = strstr(message, "\r\n\r\n");
	size_t len = strlen(name);

	buf[0] = '\0';
	while ((at = strstr(at, "\r\n")) && at < end) {
		at += 2;
		if (!strncasecmp(at, name, len) && at[len] == ':')
			strncat(buf, at, (size_t)(strstr(at, "\r\n") - at) + 2);
	}
	return buf;
}

/* The end of a message: what its body is, how long, and itself. NULL = no body. */
static inline const char *body_text(const char *type, const char *body)
{
	static char buf[TEXT_BYTES / 2];

	if (!body)
		return "Content-Length: 0\r\n\r\n";
	snprintf(buf, sizeof(buf), "Content-Type: %s\r\nContent-Length: %zu\r\n\r\n%s",
	         type ? type : "application/sdp", strlen(body), body);
	return buf;
}

/* conf's addresses are set here. */
static inline int stage_open(struct keeper_conf *conf, const struct rescue_callbacks *callbacks)
{
	su_init();
	su_log_set_level(nta_log, 0);
	root = su_root_create(NULL);
	dialog_table_init(&table, 64, 7);
	track = (struct track){.table = &table};
	close(udp(VIP, &rescue_port)); /* a port that is free */
	addr_parse(VIP, &conf->vip);
	conf->rescue_port = rescue_port;
	return rescue_new(root, conf, &track, callbacks, NULL, &rescue);
}

static inline void stage_close(void)
{
	rescue_free(rescue);
	dialog_table_done(&table);
	su_root_destroy(root);
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
#define ASSERT_COUNT(name, n) assert_int_equal(rescue_counters(rescue)->name, n)

#endif
