/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What sipflipd tells sipflip-calls. Configurations that are taken are whole: one a
 * service, every text ended, numbers in range. After the start only roles and the
 * server's state are taken, and every message is told or counted.
 */
#include "fuzz.h"

#include <errno.h>
#include <sofia-sip/su.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../user/calls/link.h"

#define MESSAGES 32

static su_root_t *root;
static int told, closed;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	su_init();
	root = su_root_create(NULL);
	return !root;
}

static void check_conf(const struct keeper_conf *c)
{
	CHECK(c->head.service < MAX_SERVICES && c->sip_port && c->max_dialogs);
	CHECK(c->node && c->node < MAX_NODES && c->peer < MAX_NODES && c->user[0]);
#define X(text) CHECK(memchr(c->text, 0, sizeof(c->text)))
	X(name);
	X(user);
	X(link_header);
	X(event_socket_password);
	X(event_socket_command);
#undef X
}

static void on_role(void *context, const struct keeper_role *role)
{
	CHECK(role->head.type == KEEPER_ROLE && role->head.len == sizeof(*role));
	told++;
}

static void on_server(void *context, const struct keeper_server *server)
{
	CHECK(server->head.type == KEEPER_SERVER && server->head.len == sizeof(*server));
	told++;
}

static void on_closed(void *context)
{
	closed++;
}

/* What comes before the start is read first, the rest in the loop. */
static void read_conf(int fd)
{
	static struct keeper_conf conf[MAX_SERVICES];
	uint64_t seen = 0;
	int n = 0, rc = link_read_conf(fd, conf, &n);

	CHECK(rc == 0 || rc == -EPROTO || rc == -EPIPE);
	for (int i = 0; !rc && i < n; i++) {
		check_conf(&conf[i]);
		CHECK(!(seen >> conf[i].head.service & 1));
		seen |= 1ULL << conf[i].head.service;
	}
	CHECK(rc || n > 0);
}

static void read_rest(int fd, int sent)
{
	static const struct link_handlers handlers = {on_role, on_server, on_closed};
	struct link *link;

	told = closed = 0;
	CHECK(!link_new(root, fd, &handlers, NULL, &link));
	for (int i = 0; i < 4 && !closed; i++)
		su_root_step(root, 0);
	CHECK(closed == 1);
	CHECK(told + (int)link_counters(link)->link_malformed <= sent);
	link_free(link);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct part part;
	uint8_t how;
	int pair[2], sent = 0;

	CHECK(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
	while (sent < MESSAGES && part_next(&data, &size, &how, &part)) {
		if (part.len && send(pair[0], part.at, part.len, MSG_DONTWAIT) == (ssize_t)part.len)
			sent++;
		CHECK(!link_check(part.at, part.len) || link_check(part.at, part.len) == -EPROTO);
		free(part.at);
	}
	shutdown(pair[0], SHUT_WR);
	read_conf(pair[1]);
	read_rest(pair[1], sent);
	close(pair[0]);
	close(pair[1]);
	return 0;
}
