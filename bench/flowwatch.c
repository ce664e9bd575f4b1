// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * When did each port of the VIP become relayable in a node's kernel maps? Looks
 * into the pinned flow_ports and flows (sipflip/abi.h) every half millisecond
 * until SIGTERM, then prints JSON: the ports that were not relayable when it began,
 * with CLOCK_BOOTTIME. Relayable: the local server does not hold the flow, it has
 * a partner, and both ends know where to send. Only reads. Used by bench/calls.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "sipflip/abi.h"

#define PORTS       65536
#define PORT_STRIDE 8 /* an array's elements are kept 8 bytes apart */
#define LOOK_NS     500000

static const uint8_t *ports;
static const struct flow *flows;
static uint64_t ready_ns[PORTS]; /* 0 = not yet, 1 = before we began */
static volatile sig_atomic_t stop;

static void on_signal(int signal)
{
	stop = 1;
}

static uint64_t boot_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

static const void *open_map(const char *dir, const char *name, size_t len)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	int fd = bpf_obj_get(path);
	if (fd < 0) {
		fprintf(stderr, "flowwatch: %s: %s\n", path, strerror(errno));
		return NULL;
	}
	void *at = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (at == MAP_FAILED) {
		fprintf(stderr, "flowwatch: mmap %s: %s\n", path, strerror(errno));
		return NULL;
	}
	return at;
}

static const struct flow *filled(uint32_t slot)
{
	const struct flow *flow = slot && slot < MAX_FLOWS ? &flows[slot] : NULL;

	if (!flow || __atomic_load_n(&flow->generation, __ATOMIC_ACQUIRE) & 1 || !flow->remote_port)
		return NULL;
	return flow;
}

static bool relayable(unsigned int port)
{
	uint32_t slot =
	        __atomic_load_n((const uint32_t *)(ports + (size_t)port * PORT_STRIDE), __ATOMIC_ACQUIRE);
	const struct flow *flow = filled(slot);

	return flow && flow->vip_port == port && !(flow->flags & FLOW_SERVER) && filled(flow->peer);
}

/* The time is taken after the look: never too early. */
static void look(uint64_t since_ns)
{
	for (unsigned int port = 0; port < PORTS; port += 2)
		if (!ready_ns[port] && relayable(port))
			ready_ns[port] = since_ns ? since_ns : boot_ns();
}

int main(int argc, char **argv)
{
	struct timespec pause = {0, LOOK_NS};
	struct sched_param priority = {.sched_priority = 5};
	uint64_t longest = 0, last;

	if (argc != 2) {
		fprintf(stderr, "usage: flowwatch PIN-DIRECTORY\n");
		return 2;
	}
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	prctl(PR_SET_TIMERSLACK, 1000);
	ports = open_map(argv[1], "flow_ports", (size_t)PORTS * PORT_STRIDE);
	flows = open_map(argv[1], "flows", (size_t)MAX_FLOWS * sizeof(struct flow));
	if (!ports || !flows)
		return 1;
	sched_setscheduler(0, SCHED_FIFO, &priority);
	look(1);
	puts("watching");
	fflush(stdout);
	for (last = boot_ns(); !stop;) {
		nanosleep(&pause, NULL);
		look(0);
		uint64_t now = boot_ns();
		if (now - last > longest)
			longest = now - last;
		last = now;
	}
	printf("{\"longest_look_ms\":%.3f,\"ports\":{", (double)longest / 1e6);
	const char *comma = "";
	for (unsigned int port = 0; port < PORTS; port += 2)
		if (ready_ns[port] > 1) {
			printf("%s\"%u\":%llu", comma, port, (unsigned long long)ready_ns[port]);
			comma = ",";
		}
	puts("}}");
	return 0;
}
