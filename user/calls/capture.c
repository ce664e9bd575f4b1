/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The ring buffer's reader: libbpf's consumer over the inherited map, woken by
 * the su_root loop. Takes a bounded number of records a turn, so that a flood of
 * SIP does not starve the prober; the rest is still ready at the next turn.
 */
#include "capture.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

#define RECORDS_A_TURN 32 /* about a millisecond */

struct capture {
	su_root_t *root;
	struct ring_buffer *ring;
	su_wait_t wait[1];
	int registered; /* su_root's index, 0 = not */
	capture_fn *fn;
	void *context;
	unsigned int left; /* of this turn */
	struct capture_counters counters;
};

int capture_check(const void *data, size_t size)
{
	const struct capture_record *record = data;

	if (size < sizeof(*record) || record->len > size - sizeof(*record))
		return -EMSGSIZE;
	if (record->service >= MAX_SERVICES || record->direction > CAPTURE_OUT ||
	    record->proto != IPPROTO_UDP)
		return -EINVAL;
	return 0;
}

static int on_record(void *context, void *data, size_t size)
{
	struct capture *capture = context;

	if (capture_check(data, size)) {
		capture->counters.captured_malformed++;
	} else {
		capture->counters.captured_read++;
		capture->fn(capture->context, data);
	}
	/* The record is consumed either way; an error only ends this turn. */
	return --capture->left ? 0 : -EAGAIN;
}

static int on_ready(su_root_magic_t *magic, su_wait_t *wait, su_wakeup_arg_t *arg)
{
	struct capture *capture = (struct capture *)arg;

	capture->left = RECORDS_A_TURN;
	ring_buffer__consume(capture->ring);
	return 0;
}

int capture_open(su_root_t *root, int map_fd, capture_fn *fn, void *context, struct capture **ret)
{
	struct capture *capture = calloc(1, sizeof(*capture));
	int err;

	if (!capture)
		return -ENOMEM;
	*capture = (struct capture){.root = root, .fn = fn, .context = context};
	capture->ring = ring_buffer__new(map_fd, on_record, capture, NULL);
	if (!capture->ring) {
		err = errno ? -errno : -EINVAL;
		goto out;
	}
	if (su_wait_create(capture->wait, ring_buffer__epoll_fd(capture->ring), SU_WAIT_IN) < 0) {
		err = -errno;
		goto out;
	}
	capture->registered = su_root_register(root, capture->wait, on_ready, (su_wakeup_arg_t *)capture, 0);
	if (capture->registered <= 0) {
		capture->registered = 0;
		err = -ENOMEM;
		goto out;
	}
	*ret = capture;
	return 0;
out:
	capture_close(capture);
	return err;
}

void capture_close(struct capture *capture)
{
	if (!capture)
		return;
	if (capture->registered)
		su_root_deregister(capture->root, capture->registered);
	ring_buffer__free(capture->ring);
	free(capture);
}

const struct capture_counters *capture_counters(const struct capture *capture)
{
	return &capture->counters;
}
