/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The sentinel's one loop. A turn: note the time (was the loop awake?), the
 * kernel's events, the voters' messages, the call keeper's word, then the
 * machines' ticks; only then the command line and the log. Nothing in it
 * allocates, resolves, touches a disk or blocks.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "addr.h"
#include "clock.h"
#include "filter.h"
#include "inbox.h"
#include "log.h"
#include "sentinel.h"

/* epoll's data: what a descriptor is for; control clients are 100 + index */
enum { FD_EVENTS = 1, FD_UDP, FD_TIMER, FD_SIGNALS, FD_KEEPER, FD_CONTROL, FD_CLIENT = 100 };

static int watch(struct sentinel *s, int fd, uint64_t what)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = what};

	return epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

static void on_event(void *ctx, const struct event *event)
{
	service_event(ctx, event);
}

static void on_held(void *ctx, const struct held_frame *frame)
{
	service_held(ctx, frame);
}

static int open_udp(struct sentinel *s)
{
	struct sockaddr_in me = {.sin_family = AF_INET, .sin_port = htons(s->config.echo_port)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	uint32_t senders[MAX_NODES];
	int priority = 6, err;

	if (fd < 0)
		return -errno;
	me.sin_addr.s_addr = addr_to_be32(&s->config.node[s->node].addr);
	setsockopt(fd, SOL_SOCKET, SO_PRIORITY, &priority, sizeof(priority));
	for (int i = 1; i <= s->config.n_node; i++)
		senders[i - 1] = addr_to_be32(&s->config.node[i].addr);
	/* a witness has no ingress before it that drops forgeries */
	err = filter_messages(fd, senders, s->config.n_node);
	if (err) {
		close(fd);
		return err;
	}
	if (bind(fd, (struct sockaddr *)&me, sizeof(me)) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

int loop_init(struct sentinel *s)
{
	sigset_t set;
	int err = 0;

	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	s->timer = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	s->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (s->epoll < 0 || s->timer < 0 || s->signals < 0)
		return -errno;
	s->udp = open_udp(s);
	if (s->udp < 0)
		return s->udp;
	err = watch(s, s->udp, FD_UDP);
	err = err ? err : watch(s, s->timer, FD_TIMER);
	err = err ? err : watch(s, s->signals, FD_SIGNALS);
	err = err ? err : watch(s, s->control.listen, FD_CONTROL);
	if (s->has_plane && !err) {
		err = plane_on_event(&s->plane, on_event, s);
		err = err ? err : watch(s, plane_events_fd(&s->plane), FD_EVENTS);
		err = err ? err : plane_on_held(&s->plane, on_held, s);
	}
	return err;
}

static void on_message(void *ctx, const struct msg *msg, struct mono now)
{
	struct sentinel *s = ctx;

	if (msg->service >= s->n_service || msg->sender == s->node)
		s->count.msg_bad++;
	else if (msg->config_tag != s->service[msg->service].lease.conf.config_tag)
		s->count.msg_mismatch++;
	else
		service_message(s, &s->service[msg->service], msg, now);
}

static void read_signals(struct sentinel *s, struct mono now)
{
	struct signalfd_siginfo si;

	while (read(s->signals, &si, sizeof(si)) == sizeof(si)) {
		switch (si.ssi_signo) {
		case SIGCHLD:
			keeper_reap(s, now);
			break;
		case SIGHUP:
			s->reload = true;
			break;
		case SIGUSR2:
			s->quit_keep = true;
			s->quit = true;
			break;
		default:
			s->quit = true;
			break;
		}
	}
}

static void arm_timer(struct sentinel *s, struct mono now)
{
	struct mono next = mono_add(now, 100 * NS_PER_MS);
	struct itimerspec at = {0};

	for (int i = 0; i < s->n_service; i++) {
		struct mono t = service_next(&s->service[i]);

		if (mono_before(t, next))
			next = t;
	}
	at.it_value.tv_sec = next.ns / NS_PER_S;
	at.it_value.tv_nsec = next.ns % NS_PER_S;
	timerfd_settime(s->timer, TFD_TIMER_ABSTIME, &at, NULL);
}

/* The urgent half of a turn. */
static void urgent(struct sentinel *s, const struct epoll_event *ev, int n)
{
	struct mono now = clock_now();
	uint64_t ticks;

	echo_wake_turn(&s->wake, now);
	for (int i = 0; i < n; i++)
		if (ev[i].data.u64 == FD_EVENTS)
			plane_events(&s->plane);
	/* always: an answer that waits in the socket must be seen before silence is judged */
	s->count.msg_bad += inbox_read(s->udp, s->secrets->siphash, clock_now, on_message, s);
	for (int i = 0; i < n; i++) {
		if (ev[i].data.u64 == FD_KEEPER)
			keeper_readable(s);
		else if (ev[i].data.u64 == FD_SIGNALS)
			read_signals(s, now);
		else if (ev[i].data.u64 == FD_TIMER && read(s->timer, &ticks, sizeof(ticks)) < 0)
			continue;
	}
	now = clock_now();
	for (int i = 0; i < s->n_service; i++)
		service_tick(s, &s->service[i], now);
}

/*
 * Without a descriptor left, a client that waits to be let in would wake the loop
 * again and again, at real-time priority: it waits, unwatched, for a second.
 */
static void let_clients_in(struct sentinel *s, const struct epoll_event *ev, int n, struct mono now)
{
	struct epoll_event listening = {.data.u64 = FD_CONTROL};

	if (mono_is_set(s->control.deaf_until)) {
		if (mono_before(now, s->control.deaf_until))
			return;
		s->control.deaf_until = mono_ns(0);
		listening.events = EPOLLIN;
		epoll_ctl(s->epoll, EPOLL_CTL_MOD, s->control.listen, &listening);
	}
	for (int i = 0; i < n; i++) {
		if (ev[i].data.u64 != FD_CONTROL || control_accept(s))
			continue;
		s->control.deaf_until = mono_add(now, NS_PER_S);
		epoll_ctl(s->epoll, EPOLL_CTL_MOD, s->control.listen, &listening);
	}
}

static void check_planes(struct sentinel *s, struct mono now)
{
	if (!s->has_plane || mono_before(now, s->plane_check_at))
		return;
	s->plane_check_at = mono_add(now, NS_PER_S);
	for (int i = 0; i < s->n_service; i++)
		if (s->service[i].here)
			service_check_plane(s, &s->service[i]);
}

/* After a takeover and its first announcement; and what prepares the next one. */
static void look_after_calls(struct sentinel *s, struct mono now)
{
	for (int i = 0; i < s->n_service; i++) {
		struct service *svc = &s->service[i];

		if (!svc->here)
			continue;
		recover_tick(&svc->recover, svc->conf, now);
		warm_tick(&svc->warm, &svc->iface, &svc->conf->vip[0].addr, now);
	}
}

/* A clean stop hands over and goes on for a moment, until the heirs have shown themselves. */
static bool over(const struct sentinel *s)
{
	if (!mono_is_set(s->stop_at))
		return false;
	if (!mono_before(clock_now(), s->stop_at))
		return true;
	for (int i = 0; i < s->n_service; i++)
		if (s->service[i].lease.resign.type || mono_is_set(s->service[i].drain_next))
			return false;
	return true;
}

int loop_run(struct sentinel *s)
{
	struct epoll_event ev[32];
	pid_t watched = 0;

	echo_wake_init(&s->wake, s->wake.slack_ns, clock_now());
	while (!s->quit && !s->reload && !over(s)) {
		struct mono begin;
		int n;

		arm_timer(s, clock_now());
		n = epoll_wait(s->epoll, ev, 32, 1000);
		begin = clock_now();
		urgent(s, ev, n < 0 ? 0 : n);
		keeper_tick(s, begin);
		if (s->keeper.pid != watched) {
			watched = s->keeper.pid;
			if (watched)
				watch(s, s->keeper.link, FD_KEEPER);
		}
		for (int i = 0; i < n; i++) {
			if (ev[i].data.u64 >= FD_CLIENT)
				control_readable(s, (int)(ev[i].data.u64 - FD_CLIENT));
		}
		let_clients_in(s, ev, n, begin);
		control_flush(s);
		look_after_calls(s, begin);
		check_planes(s, begin);
		log_flush();
		if (mono_diff(clock_now(), begin) > s->turn_max_ns)
			s->turn_max_ns = mono_diff(clock_now(), begin);
	}
	return 0;
}
