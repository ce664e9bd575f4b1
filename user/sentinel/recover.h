/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * rescue = "server" with recover-command: after a takeover, and after it was
 * announced, the configured command is run so that the server recovers its calls
 * itself. No shell; one at a time for a service; killed after 30 s; the last line
 * it wrote is logged. Also reads the event socket's password for the call keeper,
 * which speaks with the socket itself. Called by the calm half of the loop.
 *
 *   IDLE --recover_want--> WANTED --recover_tick: fork+exec--> RUNNING --reaped, or killed--> IDLE
 */
#ifndef SIPFLIP_SENTINEL_RECOVER_H
#define SIPFLIP_SENTINEL_RECOVER_H

#include <stdbool.h>
#include <sys/types.h>

#include "config.h"
#include "mono.h"

#define RECOVER_WORDS    16 /* of the command */
#define RECOVER_LINE_LEN 160
#define RECOVER_LIMIT_NS (30 * NS_PER_S)

struct recover {
	bool wanted; /* a takeover happened: run as soon as none runs */
	uint64_t epoch;
	pid_t pid; /* 0 = none runs */
	int output;
	struct mono started;
	bool killed;
	char line[RECOVER_LINE_LEN]; /* the last one it wrote so far */
	size_t line_len;
	bool line_ended;
	uint64_t runs;
	uint64_t failed; /* could not be started, ended with another status than 0, or was killed */
};

/* Calls of another node's server came here with `epoch`. Only remembers it. */
void recover_want(struct recover *recover, uint64_t epoch);
/* Starts what is wanted, reads what it says, ends what takes too long. Never waits. */
void recover_tick(struct recover *recover, const struct config_service *conf, struct mono now);
/* A child ended; true if it was this one. */
bool recover_reaped(struct recover *recover, const struct config_service *conf, pid_t pid, int status,
                    struct mono now);
/* Ends what still runs: sipflipd ends. */
void recover_stop(struct recover *recover);

/*
 * The first line of the configured file, at most size - 1 bytes. 0, or -errno and
 * one line in *ret_error that says what to do. Nothing happens without a file.
 */
int recover_read_password(const struct config_service *conf, char *ret, size_t size,
                          struct config_error *ret_error);

#endif
