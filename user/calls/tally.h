/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every counter of the call keeper by its name: for the command line while it
 * runs, and as log lines of what is not zero when it ends, so that what was
 * dropped and why is not lost with it.
 */
#ifndef SIPFLIP_CALLS_TALLY_H
#define SIPFLIP_CALLS_TALLY_H

#include "capture.h"
#include "service.h"

/* Each may be NULL: not there. */
struct tally_sources {
	const struct link *link;
	const struct replica *replica;
	const struct capture *capture;
	const struct media *media;
};

/* Returns 0 to go on; anything else ends the walk, which returns it. */
typedef int (*tally_fn)(void *arg, const char *name, const char *help, uint64_t value);

int tally_process(const struct tally_sources *sources, tally_fn fn, void *arg);
int tally_service(const struct service *svc, tally_fn fn, void *arg);

void tally_log(const struct tally_sources *sources, struct service *const services[MAX_SERVICES]);

#endif
