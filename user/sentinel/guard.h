/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel's filter before a witness's socket: forged and repeated messages do not
 * wake the sentinel. Only for a node without a data plane; sipflipd puts it there once,
 * before its loop, and goes on without it where the kernel refuses.
 */
#ifndef SIPFLIP_SENTINEL_GUARD_H
#define SIPFLIP_SENTINEL_GUARD_H

#include "config.h"
#include "sipflip/abi.h"

struct guard {
	int counters; /* the filter's map; 0 = there is no filter */
};

struct guard_conf {
	const struct config *config;
	int node;
	uint64_t incarnation;
	const struct siphash_key *keys; /* KEY_SLOTS of them */
};

/* 0 or -errno; then the socket's former filter is still there. */
int guard_socket(struct guard *guard, int fd, const struct guard_conf *conf);

#endif
