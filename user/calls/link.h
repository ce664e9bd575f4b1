/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * sipflip-calls' end of the link with sipflipd (include/sipflip/keeper.h): reads
 * the configuration before the loop runs, then messages in the loop. Every
 * message is checked for version, type and exact length; it never blocks on
 * sipflipd, and what does not fit its socket is counted, not kept: the next one
 * tells the same, newer.
 */
#ifndef SIPFLIP_CALLS_LINK_H
#define SIPFLIP_CALLS_LINK_H

#include <sofia-sip/su_wait.h>

#include "sipflip/keeper.h"

struct link;

struct link_handlers {
	void (*role)(void *context, const struct keeper_role *role);
	void (*server)(void *context, const struct keeper_server *server);
	void (*closed)(void *context); /* sipflipd is gone */
};

#define LINK_COUNTERS(X)                                                                                     \
	X(link_malformed, "messages from sipflipd of a wrong length, version or type")                       \
	X(link_full, "messages not sent: sipflipd does not read")

struct link_counters {
#define X(name, help) uint64_t name;
	LINK_COUNTERS(X)
#undef X
};

/*
 * Blocks until KEEPER_START. conf[i] belongs to service conf[i].head.service;
 * *ret_n of them. 0, -EPROTO (malformed, another version, twice the same
 * service, none at all), -EPIPE (sipflipd gone) or -errno.
 */
int link_read_conf(int fd, struct keeper_conf conf[MAX_SERVICES], int *ret_n);

/* fd stays the caller's. 0 or -errno. */
int link_new(su_root_t *root, int fd, const struct link_handlers *handlers, void *context, struct link **ret);
void link_free(struct link *link);

/*
 * Fills in the head (type, version, len, service) of the message that starts with
 * one and sends it. 0, -EAGAIN (counted) or -errno.
 */
int link_send(struct link *link, enum keeper_type type, int service, void *msg, size_t len);
const struct link_counters *link_counters(const struct link *link);

/* True when `len` bytes at `buf` are a message that sipflipd may send. For tests. */
int link_check(const void *buf, size_t len);

#endif
