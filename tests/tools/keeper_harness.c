/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Plays sipflipd for one sipflip-calls, by hand or from a script: starts it with
 * its descriptors, configures one service, prints what it says with the time, and
 * passes on what is typed:
 *   role OWNER EPOCH RESCUE | server ALIVE | health | quit
 * Usage: keeper_harness PROGRAM USER VIP SIP-PORT NODE NODE-ADDR PEER PEER-ADDR [calls.sock]
 * No capture map is handed down: that is sipflipd's and its BPF programs' business.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <sodium.h>

#include "addr.h"
#include "key.h"
#include "sipflip/keeper.h"

static double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return ts.tv_sec * 1e3 + ts.tv_nsec / 1e6;
}

static int listen_on(const char *path)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

	snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
	unlink(path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&un, sizeof(un)) < 0 || listen(fd, 8) < 0) {
		perror(path);
		exit(1);
	}
	return fd;
}

static pid_t start(const char *program, int link, int control)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	/* Out of the way of the numbers first. */
	link = fcntl(link, F_DUPFD, 10);
	control = control >= 0 ? fcntl(control, F_DUPFD, 10) : -1;
	dup2(link, KEEPER_FD_LINK);
	close(KEEPER_FD_CAPTURE);
	close(KEEPER_FD_CONTROL);
	if (control >= 0)
		dup2(control, KEEPER_FD_CONTROL);
	execl(program, program, (char *)NULL);
	perror(program);
	_exit(127);
}

static void send_conf(int fd, char **argv)
{
	static const struct key key = {{'k', 'e', 'y'}};
	struct keeper_head go = {.type = KEEPER_START, .version = KEEPER_VERSION, .len = sizeof(go)};
	struct keeper_conf conf = {
	        .head = {.type = KEEPER_CONF, .version = KEEPER_VERSION, .len = sizeof(conf)},
	        .name = "pbx",
	        .sip_port = (__u16)atoi(argv[4]),
	        .rescue_port = 5070,
	        .replica_port = 7474,
	        .node = (__u8)atoi(argv[5]),
	        .peer = (__u8)atoi(argv[7]),
	        .probe_interval_us = 10000,
	        .probe_floor_us = 30000,
	        .probe_ceiling_us = 1000000,
	        .rescue_rate = 200,
	        .rescue_mode = RESCUE_AGENT,
	        .max_dialogs = 20000,
	        .incarnation = 1,
	};
	unsigned char peer_secret[32];

	snprintf(conf.user, sizeof(conf.user), "%s", argv[2]);
	if (addr_parse(argv[3], &conf.vip) < 0 || addr_parse(argv[6], &conf.node_addr) < 0 ||
	    addr_parse(argv[8], &conf.peer_addr) < 0) {
		fprintf(stderr, "bad address\n");
		exit(2);
	}
	key_replica_secret(&key, conf.node, conf.replica_secret);
	crypto_scalarmult_base(conf.replica_public, conf.replica_secret);
	key_replica_secret(&key, conf.peer, peer_secret);
	crypto_scalarmult_base(conf.peer_public, peer_secret);
	send(fd, &conf, sizeof(conf), 0);
	send(fd, &go, sizeof(go), 0);
}

static bool heard(int fd, struct keeper_health *health)
{
	union {
		struct keeper_head head;
		struct keeper_health health;
		struct keeper_calls calls;
		struct keeper_rescue rescue;
	} m;
	ssize_t got = recv(fd, &m, sizeof(m), 0);

	if (got <= 0)
		return false;
	if (m.head.type == KEEPER_HELLO)
		printf("%.3f hello\n", now_ms());
	if (m.head.type == KEEPER_CALLS)
		printf("%.3f calls here=%u calls=%u rescuable=%u peer=%u up=%u seq=%llu\n", now_ms(),
		       m.calls.dialogs_here, m.calls.calls_here, m.calls.rescuable, m.calls.dialogs_peer,
		       m.calls.replica_up, (unsigned long long)m.calls.replica_seq);
	if (m.head.type == KEEPER_RESCUE)
		printf("%.3f rescue calls=%u rescued=%u failed=%u skipped=%u\n", now_ms(), m.rescue.calls,
		       m.rescue.rescued, m.rescue.failed, m.rescue.skipped);
	if (m.head.type == KEEPER_HEALTH) {
		if (m.health.verdict != health->verdict)
			printf("%.3f verdict=%u limit_us=%u silent_ms=%.3f\n", now_ms(), m.health.verdict,
			       m.health.limit_us, now_ms() - m.health.life_ns / 1e6);
		*health = m.health;
	}
	return true;
}

static bool typed(int fd, const struct keeper_health *h)
{
	char line[128];
	struct keeper_role role = {
	        .head = {.type = KEEPER_ROLE, .version = KEEPER_VERSION, .len = sizeof(role)}};
	struct keeper_server server = {
	        .head = {.type = KEEPER_SERVER, .version = KEEPER_VERSION, .len = sizeof(server)}};
	unsigned long long epoch;

	if (!fgets(line, sizeof(line), stdin) || !strncmp(line, "quit", 4))
		return false;
	if (sscanf(line, "role %u %llu %u", &role.owner, &epoch, &role.rescue) == 3) {
		role.epoch = epoch;
		role.flipped_ns = (__u64)(now_ms() * 1e6);
		send(fd, &role, sizeof(role), 0);
	} else if (sscanf(line, "server %u", &server.alive) == 1) {
		send(fd, &server, sizeof(server), 0);
	} else if (!strncmp(line, "health", 6)) {
		printf("%.3f health verdict=%u probes=%llu answers=%llu outstanding=%u p50=%u p99=%u "
		       "max=%u\n",
		       now_ms(), h->verdict, (unsigned long long)h->probes, (unsigned long long)h->answers,
		       h->outstanding, h->p50_us, h->p99_us, h->max_us);
	} else {
		fprintf(stderr, "what? %s", line);
	}
	return true;
}

int main(int argc, char **argv)
{
	struct keeper_health health = {.verdict = ~0U};
	int pair[2], status;
	pid_t pid;

	if (argc < 9) {
		fprintf(stderr,
		        "usage: %s PROGRAM USER VIP SIP-PORT NODE NODE-ADDR PEER PEER-ADDR [SOCKET]\n",
		        argv[0]);
		return 2;
	}
	setlinebuf(stdout);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0 || sodium_init() < 0)
		return 1;
	pid = start(argv[1], pair[1], argc > 9 ? listen_on(argv[9]) : -1);
	close(pair[1]);
	send_conf(pair[0], argv);
	for (;;) {
		struct pollfd fds[2] = {{.fd = pair[0], .events = POLLIN}, {.fd = 0, .events = POLLIN}};

		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			break;
		if (fds[0].revents && !heard(pair[0], &health))
			break;
		if (fds[1].revents && !typed(pair[0], &health))
			break;
	}
	close(pair[0]);
	waitpid(pid, &status, 0);
	printf("%.3f ended status=%d signal=%d\n", now_ms(), WEXITSTATUS(status), WTERMSIG(status));
	return 0;
}
