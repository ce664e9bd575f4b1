/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reads captured SIP datagrams from the ring buffer that sipflipd handed down,
 * inside the process's su_root loop. Checks every record before anybody sees it.
 */
#ifndef SIPFLIP_CALLS_CAPTURE_H
#define SIPFLIP_CALLS_CAPTURE_H

#include <sofia-sip/su_wait.h>
#include <stdint.h>

#include "mono.h"
#include "sipflip/capture.h"

struct capture;

/*
 * One good record; data[] has record->len bytes. Any with direction CAPTURE_OUT is a
 * sign of life of the server. The record is gone after the call.
 */
typedef void capture_fn(void *context, const struct capture_record *record);

/* map_fd stays the caller's and open. 0 or -ENOMEM. Nothing is read yet. */
int capture_open(su_root_t *root, int map_fd, capture_fn *fn, void *context, struct capture **ret);

/*
 * Reads from now on, first once more what came in the last seconds of a process before
 * this one: what that one knew may not have got to the peer. 0 (also when it has begun
 * already), or -errno: never tried again then.
 */
int capture_begin(struct capture *capture, struct mono now);

/* To be called some times a second: what is read lives on in the peer's replica after a while. */
void capture_tick(struct capture *capture, struct mono now);
void capture_close(struct capture *capture);

struct capture_counters {
	uint64_t captured_read;          /* good records */
	uint64_t captured_malformed;     /* length or field out of range */
	uint64_t captured_again_bytes;   /* read by a process before this one, too */
	uint64_t captured_skipped_bytes; /* not read: they had ended one process after another */
};
const struct capture_counters *capture_counters(const struct capture *capture);

/* The check alone, for tests: is this a record of `size` bytes that can be believed? */
int capture_check(const void *data, size_t size);

#endif
