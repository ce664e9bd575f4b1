/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Asks the daemons. Owns the connection and the trust in what comes back: short
 * records are filled with zeros, texts are terminated and
 * made printable, unknown types are skipped.
 * Says what could not be reached and what to do about it. Prints only in
 * client_ask_or_say.
 */
#include "client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli.h"
#include "text.h"

struct ctl_request client_request(enum ctl_op op, const char *service, const char *node)
{
	struct ctl_request request = {.version = CTL_VERSION, .op = op};

	snprintf(request.service, sizeof(request.service), "%s", service ? service : "");
	snprintf(request.node, sizeof(request.node), "%s", node ? node : "");
	return request;
}

static void clean(char *text, size_t room)
{
	text[room - 1] = '\0';
	text_clean(text);
}

static int reply_error(struct client_reply *reply, int error, const char *path, const char *what,
                       const char *todo)
{
	reply->error = error;
	snprintf(reply->text, sizeof(reply->text), "%s: %s%s%s; %s", path, what, error ? ": " : "",
	         error ? strerror(-error) : "", todo);
	return error;
}

static int connect_to(const char *path, const char *socket_name, struct client_reply *reply)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	const char *todo;
	int fd, error;

	if (strlen(path) >= sizeof(addr.sun_path))
		return reply_error(reply, -ENAMETOOLONG, path, "cannot connect", "choose a shorter run-dir");
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return reply_error(reply, -errno, path, "cannot make a socket", "try again");
	if (!connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		return fd;
	error = -errno;
	close(fd);
	if (error == -EACCES || error == -EPERM)
		todo = "run as root, or as a member of control-group (sipflip.conf(5))";
	else if (!strcmp(socket_name, CLIENT_CALLS))
		todo = "is sipflipd running here? a witness keeps no calls: ask a node that runs the server";
	else
		todo = "is sipflipd running here? start it (systemctl start sipflipd), or give the right "
		       "--run-dir";
	return reply_error(reply, error, path, "cannot reach the daemon", todo);
}

/* One record into *record; 0 at the end of the conversation by the other side. */
static ssize_t receive(int fd, int timeout_ms, union ctl_record *record)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	ssize_t n;
	int r;

	do
		r = poll(&pfd, 1, timeout_ms ? timeout_ms : -1);
	while (r < 0 && errno == EINTR);
	if (r <= 0)
		return r ? -errno : -ETIMEDOUT;
	memset(record, 0, sizeof(*record));
	n = recv(fd, record, sizeof(*record), 0);
	return n < 0 ? -errno : n;
}

int client_ask(const char *run_dir, const char *socket, const struct ctl_request *request, int timeout_ms,
               client_fn fn, void *arg, struct client_reply *ret)
{
	union ctl_record record;
	char path[256];
	int fd;

	*ret = (struct client_reply){0};
	snprintf(path, sizeof(path), "%s/%s", run_dir, socket);
	fd = connect_to(path, socket, ret);
	if (fd < 0)
		return ret->error;
	if (send(fd, request, sizeof(*request), MSG_NOSIGNAL) != sizeof(*request)) {
		reply_error(ret, errno ? -errno : -EIO, path, "cannot ask", "try again");
		goto out;
	}
	for (;;) {
		ssize_t n = receive(fd, timeout_ms, &record);

		if (n == -ETIMEDOUT) {
			reply_error(ret, -ETIMEDOUT, path, "no answer",
			            strcmp(socket, CLIENT_CALLS)
			                    ? "sipflipd may hang: see its log, restart it"
			                    : "sipflip-calls may hang: kill -9 it, sipflipd starts it again");
			break;
		}
		if (n < (ssize_t)sizeof(struct ctl_head)) {
			reply_error(ret, n < 0 ? (int)n : -EPIPE, path, "the answer broke off",
			            "did the daemon just end?");
			break;
		}
		record_texts(&record, clean);
		if (record.head.type == CTL_END) {
			ret->answered = true;
			ret->error = record.end.result;
			snprintf(ret->text, sizeof(ret->text), "%s", record.end.text);
			break;
		}
		fn(&record, arg);
	}
out:
	close(fd);
	return ret->error;
}

int client_ask_or_say(const char *run_dir, const char *socket, const struct ctl_request *request,
                      client_fn fn, void *arg)
{
	struct client_reply reply;

	if (!client_ask(run_dir, socket, request, request->follow ? 0 : CLIENT_TIMEOUT_MS, fn, arg, &reply))
		return CLI_OK;
	fprintf(stderr, "sipflip: %s\n", reply.text[0] ? reply.text : strerror(-reply.error));
	return reply.answered ? CLI_BAD : CLI_CANNOT;
}

void client_list_add(struct client_list *list, const void *item, size_t size)
{
	if (list->n == list->room) {
		size_t room = list->room ? list->room * 2 : 16;
		void *items = list->room < CLIENT_LIST_MAX ? realloc(list->items, room * size) : NULL;

		if (!items) {
			list->overflow = true;
			return;
		}
		list->items = items;
		list->room = room;
	}
	memcpy(list->items + list->n++ * size, item, size);
}

void client_list_free(struct client_list *list)
{
	free(list->items);
	*list = (struct client_list){0};
}
