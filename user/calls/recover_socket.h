/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * rescue = "server" with event-socket: after a takeover FreeSWITCH on this node is
 * told over its event socket (inbound mode) to recover the calls itself. Tried
 * again for 10 s until the command was sent, never sent twice for a takeover; its
 * answer is waited for 30 s. One for a service. Never blocks; reads are bounded.
 *
 *   IDLE -> GREETING --auth/request--> AUTH --+OK--> ANSWER --api/response--> IDLE
 *     ^         |                        |
 *     +- PAUSE <-+------ closed, refused +          -ERR, or closed later: failed
 */
#ifndef SIPFLIP_CALLS_RECOVER_SOCKET_H
#define SIPFLIP_CALLS_RECOVER_SOCKET_H

#include <stdint.h>

#include <sofia-sip/su_wait.h>

#include "mono.h"
#include "sipflip/keeper.h"

#define RECOVER_SOCKET_RETRY_NS  (10 * NS_PER_S)
#define RECOVER_SOCKET_ANSWER_NS (30 * NS_PER_S)
#define RECOVER_SOCKET_SAID_LEN  128

#define RECOVER_SOCKET_COUNTERS(X)                                                                           \
	X(recover_told, "times the event socket took the command to recover")                                \
	X(recover_refused, "times it refused the password or the command")                                   \
	X(recover_unreached, "takeovers for which the event socket could not be reached in time")            \
	X(recover_unanswered, "commands whose answer never came: what became of the calls is not known")     \
	X(recover_retries, "connections to the event socket tried again")                                    \
	X(recover_malformed, "answers of the event socket that make no sense")

struct recover_socket_counters {
#define X(name, help) uint64_t name;
	RECOVER_SOCKET_COUNTERS(X)
#undef X
};

struct recover_socket;

/*
 * Once for each start: error 0, or -ECONNREFUSED and the like (never reached),
 * -EACCES (password or command refused), -ETIMEDOUT (no answer), -EPROTO.
 * said: the first line of its answer, printable; "" = nothing.
 */
typedef void (*recover_socket_done_fn)(void *context, uint64_t epoch, int error, const char *said);

/* Connects to nothing yet. conf is copied; conf->event_socket_port must not be 0. 0 or -errno. */
int recover_socket_new(su_root_t *root, const struct keeper_conf *conf, recover_socket_done_fn done,
                       void *context, struct recover_socket **ret);
void recover_socket_free(struct recover_socket *s);

/* A takeover to this node; replaces one that was not told yet. */
void recover_socket_start(struct recover_socket *s, uint64_t epoch, struct mono now);
/* Ownership went: what was not told yet is not told any more, and done is not called. */
void recover_socket_stop(struct recover_socket *s);

const struct recover_socket_counters *recover_socket_counters(const struct recover_socket *s);

#endif
