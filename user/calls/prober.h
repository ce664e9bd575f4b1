/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Asks a service's SIP server OPTIONS over loopback, VIP to VIP, and tells what
 * core/probe makes of the answers. Any final response is an answer: a 404 or 405
 * comes from a living server too. Sends nothing else, and decides nothing.
 */
#ifndef SIPFLIP_CALLS_PROBER_H
#define SIPFLIP_CALLS_PROBER_H

#include <sofia-sip/su_wait.h>

#include "probe.h"

struct prober;

struct prober_callbacks {
	/* At each change of the verdict at once, else at most every 10 ms. */
	void (*health)(void *context, const struct probe *probe, bool changed);
	/* The VIP could not be bound (error < 0), or now it could (0); tried again every second. */
	void (*bound)(void *context, int error);
};

/* probe_interval_us 0 = never probes, stays UNKNOWN. conf is copied. 0 or -errno. */
int prober_new(su_root_t *root, const struct keeper_conf *conf, const struct prober_callbacks *callbacks,
               void *context, struct prober **ret);
void prober_free(struct prober *prober);

/*
 * The kernel saw the server come (its process) or go (0): probes now. A silent
 * server whose process is known is looked at before it is judged hung.
 */
void prober_server(struct prober *prober, pid_t tgid);
/* The server sent SIP of its own at `at`. */
void prober_life(struct prober *prober, struct mono at);

#endif
