/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The voters' socket: takes what waits there, one message after another, and gives
 * each that verifies to its reader with a time that was read after it was taken.
 * The loop's time of a turn would not do: a promise that begins before the message
 * came is over before the lease that it is for. Never blocks. Called by the loop.
 */
#ifndef SIPFLIP_SENTINEL_INBOX_H
#define SIPFLIP_SENTINEL_INBOX_H

#include <stdint.h>

#include "key.h"
#include "mono.h"
#include "msg.h"

#define INBOX_TURN 256 /* messages a turn at most; the rest wait for the next one */

typedef void inbox_reader(void *ctx, const struct msg *msg, struct mono now);

/* Returns how many did not verify with any of the KEY_SLOTS keys. */
uint64_t inbox_read(int fd, const struct siphash_key *keys, struct mono (*clock)(void), inbox_reader *reader,
                    void *ctx);

#endif
