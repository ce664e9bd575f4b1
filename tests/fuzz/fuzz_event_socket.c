/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What FreeSWITCH's event socket answers, in the pieces of the input. However it
 * answers: the password goes out only after it asked for it, the command only after
 * it took the password, both once, and the end is told at most once, in printable words.
 */
#include "lone.h"

#include <ctype.h>
#include <sofia-sip/su.h>
#include <strings.h>

#include "../../user/calls/loop.h"
#include "../../user/calls/recover_socket.h"
#include "addr.h"

#define AUTH  "auth ClueCon\n\n"
#define ORDER "api fsctl recover\n\n"

static su_root_t *root;
static struct keeper_conf conf = {.event_socket_password = "ClueCon",
                                  .event_socket_command = "fsctl recover"};
static int listener, done;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct sockaddr_in me = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(me);

	lone_start();
	su_init();
	root = su_root_create(NULL);
	listener = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(root && !bind(listener, (struct sockaddr *)&me, sizeof(me)) && !listen(listener, 8));
	getsockname(listener, (struct sockaddr *)&me, &len);
	conf.event_socket_port = ntohs(me.sin_port);
	return addr_parse("127.0.0.1", &conf.event_socket);
}

static void on_done(void *context, uint64_t epoch, int error, const char *said)
{
	CHECK(epoch == 77 && strlen(said) < RECOVER_SOCKET_SAID_LEN && error <= 0);
	for (; *said; said++)
		CHECK(isprint((unsigned char)*said));
	done++;
}

/* What it has said so far; at most the password and the command, in this order. */
static void check_said(int peer, bool asked)
{
	static const char all[] = AUTH ORDER;
	char said[256] = "";
	ssize_t n = recv(peer, said, sizeof(said) - 1, MSG_DONTWAIT | MSG_PEEK);

	CHECK(n <= (ssize_t)strlen(all));
	CHECK(n <= 0 || (!strncmp(said, all, (size_t)n) && asked));
}

static bool has(const uint8_t *data, size_t size, const char *what)
{
	for (size_t i = 0; i + strlen(what) <= size; i++)
		if (!strncasecmp((const char *)data + i, what, strlen(what)))
			return true;
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct linger now = {1, 0};
	struct recover_socket *s;
	bool asked = has(data, size, "auth/request");
	struct part part;
	uint8_t how = 0;
	int peer;

	done = 0;
	CHECK(!recover_socket_new(root, &conf, on_done, NULL, &s));
	recover_socket_start(s, 77, loop_now());
	peer = accept(listener, NULL, NULL);
	CHECK(peer >= 0);
	while (done == 0 && part_next(&data, &size, &how, &part)) {
		ssize_t sent = send(peer, part.at, part.len, MSG_DONTWAIT | MSG_NOSIGNAL);

		free(part.at);
		if (sent < 0)
			break;
		su_root_step(root, 0);
		check_said(peer, asked);
	}
	if (how & 1)
		shutdown(peer, SHUT_WR);
	for (int i = 0; i < 3; i++)
		su_root_step(root, 0);
	check_said(peer, asked);
	CHECK(done <= 1);
	CHECK(recover_socket_counters(s)->recover_told <= 1);
	recover_socket_stop(s);
	recover_socket_free(s);
	setsockopt(peer, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(peer);
	CHECK(done <= 1);
	return 0;
}
