/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "link.h"
#include "loop.h"

#define TURN_MESSAGES 64

struct link {
	int fd;
	struct link_handlers handlers;
	void *context;
	struct loop_fd watch;
	struct link_counters counters;
};

union message {
	struct keeper_head head;
	struct keeper_conf conf;
	struct keeper_role role;
	struct keeper_server server;
};

static size_t length_of(unsigned type)
{
	switch (type) {
	case KEEPER_CONF:
		return sizeof(struct keeper_conf);
	case KEEPER_START:
		return sizeof(struct keeper_head);
	case KEEPER_ROLE:
		return sizeof(struct keeper_role);
	case KEEPER_SERVER:
		return sizeof(struct keeper_server);
	}
	return 0;
}

int link_check(const void *buf, size_t len)
{
	struct keeper_head head;

	if (len < sizeof(head))
		return -EPROTO;
	memcpy(&head, buf, sizeof(head));
	if (head.version != KEEPER_VERSION || head.service >= MAX_SERVICES || head.len != len ||
	    len != length_of(head.type))
		return -EPROTO;
	return 0;
}

#define ENDS(text) (memchr(text, 0, sizeof(text)) != NULL)

static bool conf_is_good(const struct keeper_conf *c, const struct keeper_conf *others, int n)
{
	for (int i = 0; i < n; i++)
		if (others[i].head.service == c->head.service)
			return false;
	return ENDS(c->name) && ENDS(c->user) && ENDS(c->link_header) && ENDS(c->event_socket_password) &&
	       ENDS(c->event_socket_command) && c->user[0] && c->sip_port && c->max_dialogs && c->node &&
	       c->node < MAX_NODES && c->peer < MAX_NODES;
}

int link_read_conf(int fd, struct keeper_conf conf[MAX_SERVICES], int *ret_n)
{
	int n = 0;

	for (;;) {
		union message m;
		ssize_t got = recv(fd, &m, sizeof(m), 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			return -EPIPE;
		if (link_check(&m, got) < 0)
			return -EPROTO;
		if (m.head.type == KEEPER_START)
			break;
		if (m.head.type != KEEPER_CONF || n == MAX_SERVICES || !conf_is_good(&m.conf, conf, n))
			return -EPROTO;
		conf[n++] = m.conf;
	}
	if (n == 0)
		return -EPROTO;
	*ret_n = n;
	return 0;
}

/* False when there is nothing more to read now. */
static bool read_one(struct link *link)
{
	union message m;
	ssize_t got = recv(link->fd, &m, sizeof(m), MSG_DONTWAIT | MSG_TRUNC);

	if (got < 0 && errno == EINTR)
		return true;
	if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return false;
	if (got <= 0) {
		loop_fd_remove(&link->watch);
		link->handlers.closed(link->context);
		return false;
	}
	if ((size_t)got > sizeof(m) || link_check(&m, got) < 0) {
		link->counters.link_malformed++;
		return true;
	}
	if (m.head.type == KEEPER_ROLE)
		link->handlers.role(link->context, &m.role);
	else if (m.head.type == KEEPER_SERVER)
		link->handlers.server(link->context, &m.server);
	else
		link->counters.link_malformed++; /* a configuration is for the start only */
	return true;
}

static void readable(void *arg)
{
	for (int i = 0; i < TURN_MESSAGES && read_one(arg); i++)
		;
}

int link_new(su_root_t *root, int fd, const struct link_handlers *handlers, void *context, struct link **ret)
{
	struct link *link = calloc(1, sizeof(*link));
	int rc;

	if (!link)
		return -ENOMEM;
	link->fd = fd;
	link->handlers = *handlers;
	link->context = context;
	rc = loop_fd_add(&link->watch, root, fd, readable, link);
	if (rc < 0) {
		free(link);
		return rc;
	}
	*ret = link;
	return 0;
}

void link_free(struct link *link)
{
	if (!link)
		return;
	loop_fd_remove(&link->watch);
	free(link);
}

int link_send(struct link *link, enum keeper_type type, int service, void *msg, size_t len)
{
	struct keeper_head *head = msg;

	*head = (struct keeper_head){
	        .type = type, .version = KEEPER_VERSION, .service = (__u8)service, .len = (__u32)len};
	if (send(link->fd, msg, len, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)len)
		return 0;
	if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS) {
		link->counters.link_full++;
		return -EAGAIN;
	}
	return -errno;
}

const struct link_counters *link_counters(const struct link *link)
{
	return &link->counters;
}
