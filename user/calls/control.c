/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "addr.h"
#include "control.h"
#include "loop.h"
#include "rescue_plan.h"
#include "sipflip/control.h"

#define PAGE          64                /* records a turn */
#define PAGE_PAUSE_NS (200 * NS_PER_US) /* between turns that filled their page */
#define FULL_PAUSE_NS (5 * NS_PER_MS)   /* the reader is slow */
#define PATIENCE_NS   (10 * NS_PER_S)   /* a client that does not read is let go */

struct client {
	struct control *control;
	int fd; /* -1 = free */
	struct loop_fd watch;
	struct loop_alarm more;
	bool asked;
	struct ctl_request request;
	int service;        /* where the answer is */
	struct dialog *at;  /* last dialog written, NULL = before the first */
	uint32_t n_outcome; /* next outcome */
	struct mono progress;
};

struct control {
	su_root_t *root;
	int listen_fd;
	struct service *const *services;
	const struct tally_sources *sources;
	struct loop_fd watch;
	struct client clients[CONTROL_CLIENTS];
};

static void client_close(struct client *client)
{
	if (client->fd < 0)
		return;
	loop_fd_remove(&client->watch);
	loop_alarm_done(&client->more);
	close(client->fd);
	client->fd = -1;
}

/* --- records ---------------------------------------------------------------- */

/* Cuts with an ellipsis, as people expect it, never inside a UTF-8 character of ours. */
static void copy_text(char *to, size_t size, const char *from)
{
	static const char ellipsis[] = "…";

	if (snprintf(to, size, "%s", from) < (int)size)
		return;
	memcpy(to + size - sizeof(ellipsis), ellipsis, sizeof(ellipsis));
}

static uint64_t age_ns(struct mono since, struct mono now)
{
	return mono_is_set(since) && mono_before(since, now) ? (uint64_t)mono_diff(now, since) : 0;
}

static void format_place(char *to, size_t size, const struct inaddr16 *addr, uint16_t port)
{
	char text[ADDR_PORT_LEN];

	if (port)
		snprintf(to, size, "%s", addr_format_port(addr, port, text));
}

/* As the kernel's map has it now: what it counted, and where the phone is taken to be. */
static void fill_stream(const struct service *svc, const struct dialog *d, unsigned int i, struct mono now,
                        struct ctl_stream *ret)
{
	const struct flow *flow = svc->media ? media_flow_of(svc->media, d, i) : NULL;
	const struct dialog_stream *seen = dialog_stream_of(d, i);

	ret->last_age_ns = ~0ULL;
	ret->seen = seen->from_port || seen->to_port;
	if (!flow)
		return;
	format_place(ret->vip, sizeof(ret->vip), &flow->vip, flow->vip_port);
	format_place(ret->remote, sizeof(ret->remote), &flow->remote, flow->remote_port);
	ret->packets = flow->packets;
	ret->sent = flow->sent;
	ret->strange = flow->strange;
	ret->relatched = flow->relatched_ns != 0;
	if (flow->last_ns)
		ret->last_age_ns = age_ns(mono_ns((int64_t)flow->last_ns), now);
}

static void fill_dialog(struct service *svc, const struct dialog *d, struct mono now, struct ctl_dialog *ret)
{
	const struct rescue_policy policy = rescue_policy_of(&svc->conf);
	bool uas = d->role == DIALOG_UAS;
	enum rescue_plan plan;

	memset(ret, 0, sizeof(*ret));
	ret->head.type = CTL_DIALOG;
	ret->head.len = sizeof(*ret);
	ret->call = d->call;
	ret->state = d->state;
	ret->leg = d->role;
	ret->age_ns = age_ns(mono_is_set(d->at_answer) ? d->at_answer : d->at_invite, now);
	ret->local_cseq = d->local_cseq;
	ret->remote_cseq = d->remote_cseq;
	copy_text(ret->service, sizeof(ret->service), svc->conf.name);
	copy_text(ret->call_id, sizeof(ret->call_id), d->call_id);
	copy_text(ret->from, sizeof(ret->from), uas ? d->remote : d->local);
	copy_text(ret->to, sizeof(ret->to), uas ? d->local : d->remote);
	copy_text(ret->remote_target, sizeof(ret->remote_target), d->remote_target);
	format_place(ret->flow, sizeof(ret->flow), &d->flow_addr, d->flow_port);
	copy_text(ret->paired_by, sizeof(ret->paired_by), dialog_paired_name(d->paired));
	plan = rescue_plan_of(&svc->table, d, &policy);
	copy_text(ret->plan, sizeof(ret->plan), rescue_plan_text(plan));
	copy_text(ret->plan_name, sizeof(ret->plan_name), rescue_plan_word(plan));
	ret->rescuable = rescue_plan_keeps(plan);
	ret->local = d->origin && d->origin == svc->table.origin;
	for (unsigned int i = 0; i < DIALOG_STREAMS; i++)
		fill_stream(svc, d, i, now, &ret->stream[i]);
}

/* 0, -EAGAIN when the reader is slow, or -errno. */
static int put(struct client *client, const void *record, size_t len)
{
	if (send(client->fd, record, len, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)len)
		return 0;
	return errno == EWOULDBLOCK || errno == ENOBUFS ? -EAGAIN : -errno;
}

static int put_end(struct client *client, int result, const char *text)
{
	struct ctl_end end = {.head = {CTL_END, sizeof(end)}, .result = result};

	copy_text(end.text, sizeof(end.text), text);
	return put(client, &end, sizeof(end));
}

static bool is_asked_for(const struct client *client, const struct service *svc)
{
	return svc && (!client->request.service[0] || !strcmp(client->request.service, svc->conf.name));
}

/* One record; 0 = written, 1 = no more in this service, or -errno. */
static int put_next(struct client *client, struct service *svc, struct mono now)
{
	if (client->request.op == CTL_DIALOGS) {
		struct dialog *next = dialog_next(&svc->table, client->at);
		struct ctl_dialog record;
		int rc;

		if (!next)
			return 1;
		fill_dialog(svc, next, now, &record);
		rc = put(client, &record, sizeof(record));
		if (rc == 0)
			client->at = next;
		return rc;
	}
	const struct ctl_outcome *outcome =
	        svc->rescue ? rescue_outcome(svc->rescue, client->n_outcome) : NULL;
	struct ctl_outcome record;
	int rc;

	if (!outcome)
		return 1;
	record = *outcome;
	record.head.type = CTL_OUTCOME;
	record.head.len = sizeof(record);
	rc = put(client, &record, sizeof(record));
	if (rc == 0)
		client->n_outcome++;
	return rc;
}

static bool knows_service(const struct client *client)
{
	for (int i = 0; i < MAX_SERVICES; i++)
		if (is_asked_for(client, client->control->services[i]))
			return true;
	return false;
}

struct telling {
	struct client *client;
	const char *service;
};

static int tell_counter(void *arg, const char *name, const char *help, uint64_t value)
{
	struct telling *telling = arg;
	struct ctl_counter record = {.head = {CTL_COUNTER, sizeof(record)}, .value = value};

	copy_text(record.source, sizeof(record.source), "calls");
	copy_text(record.service, sizeof(record.service), telling->service);
	copy_text(record.name, sizeof(record.name), name);
	copy_text(record.help, sizeof(record.help), help);
	return put(telling->client, &record, sizeof(record));
}

/* All in one turn: they are few and the socket holds them. */
static int put_counters(struct client *client)
{
	struct telling telling = {client, ""};
	int rc = tally_process(client->control->sources, tell_counter, &telling);

	for (int i = 0; i < MAX_SERVICES && rc == 0; i++) {
		const struct service *svc = client->control->services[i];

		if (!is_asked_for(client, svc))
			continue;
		telling.service = svc->conf.name;
		rc = tally_service(svc, tell_counter, &telling);
	}
	rc = rc ? rc : put_end(client, 0, "");
	return rc == -EAGAIN ? -ENOBUFS : rc ?: 1;
}

/* 1 = the answer is complete. */
static int put_page(struct client *client, struct mono now)
{
	int rc = 0;

	if (client->request.op == CTL_COUNTERS)
		return put_counters(client);
	if (client->request.op != CTL_DIALOGS && client->request.op != CTL_OUTCOMES)
		return put_end(client, -EOPNOTSUPP, "not asked of sipflip-calls") ?: 1;
	if (!knows_service(client))
		return put_end(client, -ENOENT, "no such service") ?: 1;
	for (int n = 0; n < PAGE && client->service < MAX_SERVICES; n++) {
		struct service *svc = client->control->services[client->service];

		rc = is_asked_for(client, svc) ? put_next(client, svc, now) : 1;
		if (rc < 0)
			return rc;
		client->progress = now;
		if (rc == 1) {
			client->service++;
			client->at = NULL;
			client->n_outcome = 0;
		}
	}
	if (client->service < MAX_SERVICES)
		return 0;
	return put_end(client, 0, "") ?: 1;
}

static void go_on(void *arg)
{
	struct client *client = arg;
	struct mono now = loop_now();
	int rc = put_page(client, now);

	if (rc == 0)
		loop_alarm_at(&client->more, mono_add(now, PAGE_PAUSE_NS));
	else if (rc == -EAGAIN && mono_diff(now, client->progress) < PATIENCE_NS)
		loop_alarm_at(&client->more, mono_add(now, FULL_PAUSE_NS));
	else
		client_close(client);
}

/* --- clients ---------------------------------------------------------------- */

static void readable(void *arg)
{
	struct client *client = arg;
	struct ctl_request request;
	ssize_t got = recv(client->fd, &request, sizeof(request), MSG_DONTWAIT | MSG_TRUNC);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0 || client->asked) {
		client_close(client);
		return;
	}
	if (got != sizeof(request) || request.version != CTL_VERSION ||
	    !memchr(request.service, 0, sizeof(request.service))) {
		put_end(client, -EPROTO, "request of another version");
		client_close(client);
		return;
	}
	client->asked = true;
	client->request = request;
	client->progress = loop_now();
	go_on(client);
}

static struct client *client_free_slot(struct control *control)
{
	for (int i = 0; i < CONTROL_CLIENTS; i++)
		if (control->clients[i].fd < 0)
			return &control->clients[i];
	return NULL;
}

static void welcome(struct control *control, int fd)
{
	struct client *client = client_free_slot(control);

	if (!client) {
		struct client turned_away = {.fd = fd};

		put_end(&turned_away, -EBUSY, "too many clients");
		close(fd);
		return;
	}
	*client = (struct client){.control = control, .fd = fd, .more = {.fd = -1}};
	if (loop_fd_add(&client->watch, control->root, fd, readable, client) < 0 ||
	    loop_alarm_init(&client->more, control->root, go_on, client) < 0)
		client_close(client);
}

static void acceptable(void *arg)
{
	struct control *control = arg;

	for (int i = 0; i < CONTROL_CLIENTS; i++) {
		int fd = accept4(control->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0)
			return;
		welcome(control, fd);
	}
}

int control_new(su_root_t *root, int listen_fd, struct service *const services[MAX_SERVICES],
                const struct tally_sources *sources, struct control **ret)
{
	struct control *control = calloc(1, sizeof(*control));
	int rc;

	if (!control)
		return -ENOMEM;
	control->root = root;
	control->listen_fd = listen_fd;
	control->services = services;
	control->sources = sources;
	if (fcntl(listen_fd, F_SETFL, O_NONBLOCK) < 0) {
		rc = -errno;
		free(control);
		return rc;
	}
	for (int i = 0; i < CONTROL_CLIENTS; i++)
		control->clients[i].fd = -1;
	rc = loop_fd_add(&control->watch, root, listen_fd, acceptable, control);
	if (rc < 0) {
		free(control);
		return rc;
	}
	*ret = control;
	return 0;
}

void control_free(struct control *control)
{
	if (!control)
		return;
	for (int i = 0; i < CONTROL_CLIENTS; i++)
		client_close(&control->clients[i]);
	loop_fd_remove(&control->watch);
	free(control);
}
