/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Runs sipflip-calls and talks with it, see include/sipflip/keeper.h. Starts it
 * again when it ends, with growing pauses; never waits for it.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <zmq.h>

#include "clock.h"
#include "log.h"
#include "sentinel.h"

#define KEEPER_FDS       (KEEPER_FD_LAST - KEEPER_FD_LINK + 1)
#define PAUSE_FIRST_NS   (100 * NS_PER_MS)
#define PAUSE_LONGEST_NS (5 * NS_PER_S)
#define NICE             (-10)           /* before ordinary work, behind all that is real-time */
#define CALM_NS          (10 * NS_PER_S) /* having run that long, the pause starts small again */
#define HUNG_NS          (15 * NS_PER_S)
#define HUNG_SURE_NS     NS_PER_S
#define STOP_TURNS       100 /* of 10 ms: to leave what it knows, and end */
#define KEEPSAKE_ENV     "SIPFLIP_CALLS_KEEPSAKE"
/* a table takes 3 KiB of text for each dialog at most, docs/replica.md; memory is used where it is written */
#define KEEPSAKE_A_DIALOG 4096LL
#define KEEPSAKE_FIXED    (1 << 20)

/* CURVE's secret key is a Curve25519 scalar; libzmq computes the public one from Z85 text. */
static void replica_public(const uint8_t secret[32], uint8_t ret[32])
{
	char secret_text[41], public_text[41];

	if (zmq_z85_encode(secret_text, secret, 32) && !zmq_curve_public(public_text, secret_text))
		zmq_z85_decode(ret, public_text);
	explicit_bzero(secret_text, sizeof(secret_text));
}

static int other_node(const struct sentinel *s, const struct service *svc)
{
	for (int i = 0; i < svc->conf->n_node; i++)
		if (svc->conf->node[i] != s->node)
			return svc->conf->node[i];
	return 0;
}

static void send_to(struct sentinel *s, const void *msg, size_t len)
{
	if (s->keeper.link < 0 || send(s->keeper.link, msg, len, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)len)
		s->keeper.send_failed++;
}

static struct keeper_head head_of(enum keeper_type type, int service, size_t len)
{
	return (struct keeper_head){
	        .type = type, .version = KEEPER_VERSION, .service = (uint8_t)service, .len = (uint32_t)len};
}

static void send_conf(struct sentinel *s, const struct service *svc)
{
	const struct config_service *c = svc->conf;
	int peer = other_node(s, svc);
	uint8_t peer_secret[32];
	struct keeper_conf conf = {
	        .head = head_of(KEEPER_CONF, svc->index, sizeof(conf)),
	        .vip = c->vip[0].addr,
	        .sip_port = c->sip_port[0],
	        .rescue_port = c->rescue_port,
	        .replica_port = s->config.replica_port,
	        .node = (uint8_t)s->node,
	        .peer = (uint8_t)peer,
	        .probe_interval_us = c->probe ? (uint32_t)(c->probe_interval_ns / NS_PER_US) : 0,
	        .probe_floor_us = (uint32_t)(c->probe_floor_ns / NS_PER_US),
	        .probe_ceiling_us = (uint32_t)(c->probe_ceiling_ns / NS_PER_US),
	        .rescue_rate = c->rescue_rate,
	        .rescue_mode = c->rescue,
	        .max_dialogs = c->max_dialogs,
	        .media_direct = c->media == MEDIA_DIRECT,
	        .relay_port_first = c->relay_port_first,
	        .relay_port_last = c->relay_port_last,
	        .event_socket = c->event_socket,
	        .event_socket_port = c->event_socket_port,
	        .node_addr = s->config.node[s->node].addr,
	        .incarnation = s->plane.conf[svc->index].incarnation,
	};

	snprintf(conf.name, sizeof(conf.name), "%s", c->name);
	snprintf(conf.user, sizeof(conf.user), "%s", s->config.user);
	snprintf(conf.link_header, sizeof(conf.link_header), "%s", c->link_header);
	snprintf(conf.event_socket_command, sizeof(conf.event_socket_command), "%s", c->event_socket_command);
	memcpy(conf.event_socket_password, s->secrets->event_password[svc->index],
	       sizeof(conf.event_socket_password));
	if (plane_steer_key(&s->plane, &conf.steer_key))
		log_error("service=%s event=call-keeper text=\"no key for steering: rescued calls are not "
		          "steered\"",
		          c->name);
	key_replica_secret(&s->secrets->keys.key[0], s->node, conf.replica_secret);
	replica_public(conf.replica_secret, conf.replica_public);
	if (peer) {
		conf.peer_addr = s->config.node[peer].addr;
		for (int i = 0; i < s->secrets->keys.n; i++) {
			key_replica_secret(&s->secrets->keys.key[i], peer, peer_secret);
			replica_public(peer_secret, i ? conf.peer_other_public : conf.peer_public);
		}
		explicit_bzero(peer_secret, sizeof(peer_secret));
	}
	send_to(s, &conf, sizeof(conf));
	explicit_bzero(&conf, sizeof(conf));
}

void keeper_role(struct sentinel *s, const struct service *svc, enum cause cause, bool rescue)
{
	struct keeper_role role = {
	        .head = head_of(KEEPER_ROLE, svc->index, sizeof(role)),
	        .owner = svc->lease.state == LEASE_owner,
	        .cause = cause,
	        .epoch = svc->lease.epoch,
	        .flipped_ns = s->plane.state[svc->index].flipped_ns,
	        .rescue = rescue,
	};

	if (s->keeper.up)
		send_to(s, &role, sizeof(role));
}

void keeper_server(struct sentinel *s, const struct service *svc, bool alive)
{
	struct keeper_server server = {
	        .head = head_of(KEEPER_SERVER, svc->index, sizeof(server)),
	        .alive = alive,
	        .tgid = svc->server_tgid,
	};

	if (s->keeper.up)
		send_to(s, &server, sizeof(server));
}

/* --- what it leaves to the next -------------------------------------------------- */

static void close_keepsake(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* As large as all its tables may become and no larger, whatever it writes; without one it leaves nothing. */
static int new_keepsake(const struct sentinel *s)
{
	off_t bytes = KEEPSAKE_FIXED;
	int fd = memfd_create("sipflip-calls", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	for (int i = 0; i < s->n_service; i++)
		if (s->service[i].here)
			bytes += s->service[i].conf->max_dialogs * KEEPSAKE_A_DIALOG;
	if (fd >= 0 && (ftruncate(fd, bytes) < 0 ||
	                fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0))
		close_keepsake(&fd);
	return fd;
}

/* Of the sentinel that this one was before it started over. */
static int inherited_keepsake(void)
{
	const char *text = getenv(KEEPSAKE_ENV);
	int fd = text ? atoi(text) : -1;

	unsetenv(KEEPSAKE_ENV);
	if (fd <= STDERR_FILENO || fcntl(fd, F_GET_SEALS) < 0)
		return -1;
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	return fd;
}

void keeper_bequeath(struct sentinel *s)
{
	char text[16];

	close_keepsake(&s->keeper.take);
	s->keeper.take = s->keeper.leave;
	s->keeper.leave = -1;
	if (s->keeper.take < 0)
		return;
	snprintf(text, sizeof(text), "%d", s->keeper.take);
	if (setenv(KEEPSAKE_ENV, text, 1) == 0)
		fcntl(s->keeper.take, F_SETFD, 0);
}

/* --- its life --------------------------------------------------------------------- */

int keeper_init(struct sentinel *s, const char *path)
{
	s->keeper.link = -1;
	s->keeper.take = inherited_keepsake();
	s->keeper.leave = -1;
	s->keeper.path = path;
	s->keeper.pause_ns = PAUSE_FIRST_NS;
	if (!s->has_plane)
		return 0;
	s->keeper.control_listen = control_listen(s, "calls.sock");
	return s->keeper.control_listen < 0 ? s->keeper.control_listen : 0;
}

/* In the child, between fork and exec: descriptors 3 to 11 and no others. */
static void exec_keeper(const struct sentinel *s, int link)
{
	const char *name = strrchr(s->keeper.path, '/');
	int fd[KEEPER_FDS] = {link,
	                      plane_capture_fd(&s->plane),
	                      s->keeper.control_listen,
	                      -1,
	                      -1,
	                      -1,
	                      -1,
	                      s->keeper.take,
	                      s->keeper.leave};
	sigset_t none;

	plane_media_fds(&s->plane, fd + KEEPER_FD_PORTS - KEEPER_FD_LINK);
	/* out of the way of the targets first */
	for (int i = 0; i < KEEPER_FDS; i++)
		if (fd[i] >= 0 && (fd[i] = fcntl(fd[i], F_DUPFD, KEEPER_FD_LAST + 1)) < 0)
			_exit(126);
	for (int i = 0; i < KEEPER_FDS; i++)
		if (fd[i] < 0)
			close(KEEPER_FD_LINK + i);
		else if (dup2(fd[i], KEEPER_FD_LINK + i) < 0)
			_exit(126);
	close_range(KEEPER_FD_LAST + 1, ~0U, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setpriority(PRIO_PROCESS, 0, NICE); /* where it may not, it runs as it is */
	execl(s->keeper.path, name ? name + 1 : s->keeper.path, (char *)NULL);
	_exit(127);
}

static void start(struct sentinel *s, struct mono now)
{
	struct keeper_head go = head_of(KEEPER_START, 0, sizeof(go));
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0) {
		log_error("event=call-keeper error=\"%s\"", strerror(errno));
		s->keeper.start_after = mono_add(now, s->keeper.pause_ns);
		return;
	}
	s->keeper.leave = new_keepsake(s);
	pid = fork();
	if (pid == 0)
		exec_keeper(s, pair[1]);
	close(pair[1]);
	if (pid < 0) {
		log_error("event=call-keeper error=\"fork: %s\"", strerror(errno));
		close(pair[0]);
		close_keepsake(&s->keeper.leave);
		s->keeper.start_after = mono_add(now, s->keeper.pause_ns);
		return;
	}
	/* for this one only: after its crash it would be old */
	close_keepsake(&s->keeper.take);
	s->keeper.pid = pid;
	s->keeper.link = pair[0];
	s->keeper.started = now;
	s->keeper.heard = now;
	s->keeper.probes = false;
	s->keeper.up = false;
	for (int i = 0; i < s->n_service; i++) {
		takeover_keeper_ended(&s->service[i]);
		if (s->service[i].here)
			send_conf(s, &s->service[i]);
	}
	send_to(s, &go, sizeof(go));
}

/* One that probes says so each few ms. What it said while this process stood still is read before it is
 * judged. */
static void judge_silence(struct sentinel *s, struct mono now)
{
	struct keeper *k = &s->keeper;

	if (!k->pid || (k->up && !k->probes) || mono_diff(now, k->heard) < HUNG_NS) {
		k->silent_since = mono_ns(0);
	} else if (!mono_is_set(k->silent_since)) {
		k->silent_since = now;
	} else if (mono_diff(now, k->silent_since) > HUNG_SURE_NS) {
		log_error("event=call-keeper-hung pid=%d silent-s=%lld text=\"said nothing; it is killed and "
		          "started again\"",
		          k->pid, (long long)(mono_diff(now, k->heard) / NS_PER_S));
		kill(k->pid, SIGKILL);
		k->heard = now; /* its end is to be reaped */
	}
}

void keeper_tick(struct sentinel *s, struct mono now)
{
	judge_silence(s, now);
	if (s->has_plane && !s->keeper.pid && !s->quit && !mono_before(now, s->keeper.start_after))
		start(s, now);
}

static const char *end_text(int status)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return "cannot be executed: see --calls";
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
		return "made a system call that it has no need of: a bug, or an attack; will be started "
		       "again";
	return "will be started again";
}

void keeper_reap(struct sentinel *s, struct mono now)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		struct keeper *k = &s->keeper;

		for (int i = 0; i < s->n_service; i++)
			recover_reaped(&s->service[i].recover, s->service[i].conf, pid, status, now);
		if (pid != k->pid)
			continue;
		if (mono_diff(now, k->started) > CALM_NS)
			k->pause_ns = PAUSE_FIRST_NS;
		if (!s->quit)
			log_error("event=call-keeper-ended %s=%d pause-ms=%lld text=\"%s\"",
			          WIFSIGNALED(status) ? "signal" : "status",
			          WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
			          (long long)(k->pause_ns / NS_PER_MS), end_text(status));
		if (k->link >= 0)
			close(k->link);
		k->link = -1;
		close_keepsake(&k->leave);
		k->pid = 0;
		k->up = false;
		k->restarts++;
		k->start_after = mono_add(now, k->pause_ns);
		k->pause_ns = k->pause_ns * 2 > PAUSE_LONGEST_NS ? PAUSE_LONGEST_NS : k->pause_ns * 2;
		/* its death is never read as the SIP server's */
		for (int i = 0; i < s->n_service; i++) {
			s->service[i].health.verdict = HEALTH_UNKNOWN;
			s->service[i].calls = (struct keeper_calls){0};
		}
	}
}

static void came_up(struct sentinel *s)
{
	s->keeper.up = true;
	log_info("event=call-keeper-up pid=%d", s->keeper.pid);
	for (int i = 0; i < s->n_service; i++)
		if (s->service[i].here) {
			keeper_role(s, &s->service[i], CAUSE_none, false);
			keeper_server(s, &s->service[i], s->service[i].server_tgid != 0);
		}
}

static bool fits(const struct keeper_head *head, size_t len, size_t want, const struct sentinel *s)
{
	return len == want && head->len == want && head->service < s->n_service;
}

void keeper_readable(struct sentinel *s)
{
	union {
		struct keeper_head head;
		struct keeper_health health;
		struct keeper_calls calls;
		struct keeper_rescue rescue;
		struct keeper_warm warm;
	} msg;

	for (int i = 0; i < 64 && s->keeper.link >= 0; i++) {
		ssize_t n = recv(s->keeper.link, &msg, sizeof(msg), MSG_DONTWAIT);
		const struct keeper_head *head = &msg.head;

		if (n == 0) { /* it ends; keeper_reap() starts the next */
			close(s->keeper.link);
			s->keeper.link = -1;
		}
		if (n <= 0)
			return;
		s->keeper.heard = clock_now();
		if ((size_t)n < sizeof(*head) || head->version != KEEPER_VERSION)
			s->keeper.bad_messages++;
		else if (head->type == KEEPER_HELLO)
			came_up(s);
		else if (head->type == KEEPER_HEALTH && fits(head, (size_t)n, sizeof(msg.health), s)) {
			s->keeper.probes = true;
			service_health(s, &s->service[head->service], &msg.health);
		} else if (head->type == KEEPER_CALLS && fits(head, (size_t)n, sizeof(msg.calls), s))
			s->service[head->service].calls = msg.calls;
		else if (head->type == KEEPER_RESCUE && fits(head, (size_t)n, sizeof(msg.rescue), s))
			takeover_rescue(&s->service[head->service], &msg.rescue);
		else if (head->type == KEEPER_WARM && fits(head, (size_t)n, sizeof(msg.warm), s) &&
		         msg.warm.n <= KEEPER_WARM_ADDRS)
			warm_set(&s->service[head->service].warm, msg.warm.addr, msg.warm.n);
		else
			s->keeper.bad_messages++;
	}
}

void keeper_stop(struct sentinel *s)
{
	if (!s->keeper.pid)
		return;
	if (s->keeper.link >= 0)
		close(s->keeper.link); /* end of file ends it */
	s->keeper.link = -1;
	for (int i = 0; i < STOP_TURNS && s->keeper.pid; i++) {
		if (waitpid(s->keeper.pid, NULL, WNOHANG) == s->keeper.pid) {
			s->keeper.pid = 0;
			return;
		}
		usleep(10000);
	}
	kill(s->keeper.pid, SIGKILL);
	waitpid(s->keeper.pid, NULL, 0);
	s->keeper.pid = 0;
}
