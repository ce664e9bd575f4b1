/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The long run: random faults for the voters' machine, step by step, with the
 * invariants looked at after each. Ends with a summary and 0, or with the history
 * of the first broken episode and 1.
 *   lease_sim [--steps N] [--seconds N] [--seed S] [--mode witness|arbiter|hold|release|all]
 *   lease_sim --replay EPISODE --mode MODE
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "chance.h"

static const char *const mode_names[] = {
        [LEASE_WITNESSED] = "witness",
        [LEASE_ARBITER] = "arbiter",
        [LEASE_HOLD] = "hold",
        [LEASE_RELEASE] = "release",
};
#define MODES 4

struct options {
	uint64_t steps, seconds, seed, replay;
	bool has_replay, old_time;
	int mode; /* MODES = all, in turn */
};

static int usage(void)
{
	fputs("usage: lease_sim [--steps N] [--seconds N] [--seed S] [--mode "
	      "witness|arbiter|hold|release|all]\n"
	      "       lease_sim --replay EPISODE --mode MODE\n",
	      stderr);
	return 2;
}

static int mode_of(const char *name)
{
	for (int i = 0; i < MODES; i++)
		if (!strcmp(mode_names[i], name))
			return i;
	return strcmp(name, "all") ? -1 : MODES;
}

static int options_parse(int argc, char **argv, struct options *o)
{
	static const struct option list[] = {
	        {"steps", required_argument, NULL, 'n'},
	        {"seconds", required_argument, NULL, 't'},
	        {"seed", required_argument, NULL, 's'},
	        {"mode", required_argument, NULL, 'm'},
	        {"replay", required_argument, NULL, 'r'},
	        {"old-time", no_argument, NULL, 'o'},
	        {0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", list, NULL)) != -1) {
		if (c == 'n')
			o->steps = strtoull(optarg, NULL, 0);
		else if (c == 't')
			o->seconds = strtoull(optarg, NULL, 0);
		else if (c == 's')
			o->seed = strtoull(optarg, NULL, 0);
		else if (c == 'm')
			o->mode = mode_of(optarg);
		else if (c == 'o')
			o->old_time = true;
		else if (c == 'r') {
			o->replay = strtoull(optarg, NULL, 0);
			o->has_replay = true;
		} else
			return -EINVAL;
	}
	return optind < argc || o->mode < 0 || (o->has_replay && o->mode == MODES) ? -EINVAL : 0;
}

static double seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void summary(const struct chance *c, const uint64_t *episodes, double took)
{
	printf("%llu steps in %.1f s (%.2f million a second), %.0f s of virtual time, %llu episodes:",
	       (unsigned long long)c->steps, took, (double)c->steps / took / 1e6,
	       (double)c->simulated_ns / 1e9, (unsigned long long)c->episodes);
	for (int i = 0; i < MODES; i++)
		printf(" %s %llu", mode_names[i], (unsigned long long)episodes[i]);
	printf("\nfaults:");
	for (int i = 0; i < FAULT_KINDS; i++)
		printf("%s %s %llu", i ? "," : "", fault_names[i], (unsigned long long)c->fault[i]);
	printf("\nchanges of ownership %llu; episodes in which the operator's choice excused two owners "
	       "%llu; "
	       "messages lost to a full network %llu\n",
	       (unsigned long long)c->tenures, (unsigned long long)c->excused,
	       (unsigned long long)c->lost_full);
}

int main(int argc, char **argv)
{
	struct options o = {.steps = 1000000, .seed = 1, .mode = MODES};
	static struct sim sim;
	struct chance c = {0};
	uint64_t episodes[MODES] = {0}, number = 0;
	double begin = seconds_now();

	if (options_parse(argc, argv, &o))
		return usage();
	c.old_time = o.old_time;
	if (o.has_replay) {
		const char *what = chance_episode(&c, &sim, (enum lease_silence)o.mode, o.replay, stdout);

		printf("%s\n", what ? what : "nothing broken");
		return what != NULL;
	}
	while (o.seconds ? seconds_now() - begin < (double)o.seconds : c.steps < o.steps) {
		/* the witness first: it is what most promises rest on */
		int mode = o.mode < MODES ? o.mode : (int)(number % 5 < 2 ? 0 : number % 5 - 1);
		uint64_t seed = o.seed * 1000000007ULL + number++;
		const char *what = chance_episode(&c, &sim, (enum lease_silence)mode, seed, NULL);

		episodes[mode]++;
		if (!what)
			continue;
		chance_episode(&c, &sim, (enum lease_silence)mode, seed, stdout);
		printf("BROKEN after %llu steps: %s\nagain: lease_sim --replay %llu --mode %s\n",
		       (unsigned long long)c.steps, what, (unsigned long long)seed, mode_names[mode]);
		return 1;
	}
	summary(&c, episodes, seconds_now() - begin);
	printf("nothing broken\n");
	return 0;
}
