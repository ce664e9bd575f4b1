/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reads captured SIP datagrams from the ring buffer that sipflipd handed down,
 * inside the process's su_root loop. Checks every record before anybody sees it.
 */
#ifndef SIPFLIP_CALLS_CAPTURE_H
#define SIPFLIP_CALLS_CAPTURE_H

#include <sofia-sip/su_wait.h>
#include <stdint.h>

#include "sipflip/capture.h"

struct capture;

/*
 * One good record; data[] has record->len bytes. Any with direction CAPTURE_OUT is a
 * sign of life of the server. The record is gone after the call.
 */
typedef void capture_fn(void *context, const struct capture_record *record);

/* map_fd stays the caller's. 0, or -errno of libbpf or of the loop's registration. */
int capture_open(su_root_t *root, int map_fd, capture_fn *fn, void *context, struct capture **ret);
void capture_close(struct capture *capture);

struct capture_counters {
	uint64_t captured_read;      /* good records */
	uint64_t captured_malformed; /* length or field out of range */
};
const struct capture_counters *capture_counters(const struct capture *capture);

/* The check alone, for tests: is this a record of `size` bytes that can be believed? */
int capture_check(const void *data, size_t size);

#endif
