// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Test tool: reads the ownership words of several nodes of a lab, which share
 * one machine and so one CLOCK_BOOTTIME, through their pinned maps.
 *   ownwatch once NAME=PIN...             one line a node: NAME owner MICROSECONDS | expired | fenced |
 * absent ownwatch watch [--us N] NAME=PIN...   samples until SIGTERM or SIGINT, then prints JSON PIN is the
 * pinned `ownership` map. A sample never accuses falsely: a word counts as lapsed only if its time had passed
 * before it was read, and two nodes count as owners only if both words held at one instant. Called by the
 * lab's scenarios; it only reads.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "sipflip/abi.h"

#define NODES_MAX 8
#define STALL_NS  10000000ULL

struct node {
	const char *name;
	const char *pin;
	const volatile uint64_t *word;
	uint64_t samples;
	uint64_t owned;    /* samples with the lease running */
	uint64_t gained;   /* times it became owner, seen between samples */
	uint64_t lost;     /* times it stopped being owner */
	uint64_t stalled;  /* those of them that a stall of this machine explains */
	uint64_t since_ns; /* start of the present time without ownership; 0 = owns now */
	uint64_t longest_lapse_ns;
	bool owns;
};

static volatile sig_atomic_t stop;

static void on_signal(int signal)
{
	stop = 1;
}

static uint64_t boot_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_BOOTTIME, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

/* The word of service 0, or NULL while nothing is pinned there. */
static const volatile uint64_t *open_word(const char *pin)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.pathname = (uintptr_t)pin;
	int fd = (int)syscall(SYS_bpf, BPF_OBJ_GET, &attr, sizeof(attr));
	if (fd < 0)
		return NULL;
	void *map = mmap(NULL, sysconf(_SC_PAGESIZE), PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	return map == MAP_FAILED ? NULL : map;
}

static void sample(struct node *node, uint64_t gap_ns)
{
	uint64_t before = boot_ns();
	bool owns = node->word && *node->word > before;

	node->samples++;
	node->owned += owns;
	node->gained += owns && !node->owns;
	node->lost += !owns && node->owns;
	/* A word that a stall let run out; one that was stored as 0 was given up. */
	node->stalled += !owns && node->owns && gap_ns > STALL_NS && *node->word != LEASE_FENCED;
	if (!owns && (node->owns || !node->since_ns))
		node->since_ns = before;
	if (node->since_ns && before - node->since_ns > node->longest_lapse_ns)
		node->longest_lapse_ns = before - node->since_ns;
	if (owns)
		node->since_ns = 0;
	node->owns = owns;
}

/*
 * A word only moves forward or to 0, so the first word unchanged around the
 * reading of the second one was in force all the while.
 */
static bool both_own(const struct node *a, const struct node *b)
{
	if (!a->word || !b->word)
		return false;
	uint64_t first = *a->word, second = *b->word, again = *a->word, now = boot_ns();
	return first == again && now < first && now < second;
}

static int once(struct node *nodes, int n)
{
	for (int i = 0; i < n; i++) {
		uint64_t word = nodes[i].word ? *nodes[i].word : 0, now = boot_ns();
		if (!nodes[i].word)
			printf("%s absent\n", nodes[i].name);
		else if (word == LEASE_FENCED)
			printf("%s fenced\n", nodes[i].name);
		else if (word == LEASE_FOREVER)
			printf("%s owner forever\n", nodes[i].name);
		else if (word <= now)
			printf("%s expired\n", nodes[i].name);
		else
			printf("%s owner %llu\n", nodes[i].name, (unsigned long long)(word - now) / 1000);
	}
	return 0;
}

static void print_json(const struct node *nodes, int n, uint64_t both, uint64_t none_ns, uint64_t gap_ns)
{
	printf("{\"both_owned\":%llu,\"longest_without_owner_ms\":%.3f,\"longest_stall_ms\":%.3f,\"nodes\":{",
	       (unsigned long long)both, none_ns / 1e6, gap_ns / 1e6);
	for (int i = 0; i < n; i++)
		printf("%s\"%s\":{\"owns\":%d,\"samples\":%llu,\"owned\":%llu,\"gained\":%llu,\"lost\":%llu,"
		       "\"stalled\":%llu,\"longest_lapse_ms\":%.3f}",
		       i ? "," : "", nodes[i].name, nodes[i].owns, (unsigned long long)nodes[i].samples,
		       (unsigned long long)nodes[i].owned, (unsigned long long)nodes[i].gained,
		       (unsigned long long)nodes[i].lost, (unsigned long long)nodes[i].stalled,
		       nodes[i].longest_lapse_ns / 1e6);
	printf("}}\n");
}

static int watch(struct node *nodes, int n, long every_us)
{
	struct timespec pause = {every_us / 1000000, every_us % 1000000 * 1000};
	struct sched_param priority = {.sched_priority = 60};
	uint64_t both = 0, longest_none = 0, none_since = 0, reopen_at = 0, last = boot_ns(), longest_gap = 0;

	prctl(PR_SET_TIMERSLACK, 1000);
	sched_setscheduler(0, SCHED_FIFO, &priority);
	fprintf(stderr, "watching\n");
	while (!stop) {
		bool any = false;
		uint64_t now = boot_ns(), gap = now - last;
		last = now;
		if (gap > longest_gap)
			longest_gap = gap;
		if (now >= reopen_at) {
			for (int i = 0; i < n; i++)
				if (!nodes[i].word)
					nodes[i].word = open_word(nodes[i].pin);
			reopen_at = now + 20000000;
		}
		for (int i = 0; i < n; i++) {
			sample(&nodes[i], gap);
			any |= nodes[i].owns;
			for (int j = 0; j < i; j++)
				both += both_own(&nodes[j], &nodes[i]);
		}
		if (any)
			none_since = 0;
		else if (!none_since)
			none_since = now;
		else if (now - none_since > longest_none)
			longest_none = now - none_since;
		nanosleep(&pause, NULL);
	}
	print_json(nodes, n, both, longest_none, longest_gap);
	return 0;
}

int main(int argc, char **argv)
{
	struct node nodes[NODES_MAX] = {0};
	long every_us = 100;
	int n = 0, arg = 2;

	bool watching = argc > 2 && strcmp(argv[1], "watch") == 0;
	if (watching && argc > 4 && strcmp(argv[2], "--us") == 0) {
		every_us = atol(argv[3]);
		arg = 4;
	}
	for (; arg < argc && n < NODES_MAX; arg++, n++) {
		char *equals = strchr(argv[arg], '=');
		if (!equals)
			break;
		*equals = 0;
		nodes[n] = (struct node){.name = argv[arg], .pin = equals + 1, .word = open_word(equals + 1)};
	}
	if (n == 0 || arg < argc || every_us < 1 || (!watching && strcmp(argv[1], "once") != 0)) {
		fprintf(stderr, "usage: ownwatch once NAME=PIN... | ownwatch watch [--us N] NAME=PIN...\n");
		return 2;
	}
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	return watching ? watch(nodes, n, every_us) : once(nodes, n);
}
