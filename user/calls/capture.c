/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The ring buffer's reader: libbpf's consumer over the inherited map, woken by
 * the su_root loop. Takes a bounded number of records a turn, so that a flood of
 * SIP does not starve the prober; the rest is still ready at the next turn. What a
 * reader before this one may have taken with it is read again (ring_page.h).
 */
#include "capture.h"
#include "ring_page.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define RECORDS_A_TURN 32 /* about a millisecond */
#define MARK_NS        (2 * NS_PER_S)

struct capture {
	su_root_t *root;
	int map_fd;
	struct ring_buffer *ring;
	struct ring_page *page; /* NULL = not read yet */
	struct mono mark_at;
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

	if (!capture)
		return -ENOMEM;
	*capture = (struct capture){.root = root, .map_fd = map_fd, .fn = fn, .context = context};
	*ret = capture;
	return 0;
}

/* The ring's first page is its reader's, the second the kernel's. */
static int map_page(struct capture *capture)
{
	void *page =
	        mmap(NULL, (size_t)getpagesize(), PROT_READ | PROT_WRITE, MAP_SHARED, capture->map_fd, 0);

	if (page == MAP_FAILED)
		return -errno;
	capture->page = page;
	return 0;
}

static int go_back(struct capture *capture)
{
	struct bpf_map_info info = {0};
	__u32 len = sizeof(info);
	struct ring_begun begun;
	const uint64_t *produced;

	if (bpf_obj_get_info_by_fd(capture->map_fd, &info, &len))
		return -errno;
	produced = mmap(NULL, (size_t)getpagesize(), PROT_READ, MAP_SHARED, capture->map_fd, getpagesize());
	if (produced == MAP_FAILED)
		return -errno;
	begun = ring_page_begin(capture->page, __atomic_load_n(produced, __ATOMIC_ACQUIRE), info.max_entries);
	ring_page_settle(capture->page, &begun, __atomic_load_n(produced, __ATOMIC_ACQUIRE),
	                 info.max_entries);
	capture->counters.captured_again_bytes = begun.again_bytes;
	capture->counters.captured_skipped_bytes = begun.skipped_bytes;
	munmap((void *)produced, (size_t)getpagesize());
	return 0;
}

/* After going back: what is there then wakes the loop. Behind a reader's back nothing would, ever. */
static int open_ring(struct capture *capture)
{
	capture->ring = ring_buffer__new(capture->map_fd, on_record, capture, NULL);
	if (!capture->ring)
		return errno ? -errno : -EINVAL;
	if (su_wait_create(capture->wait, ring_buffer__epoll_fd(capture->ring), SU_WAIT_IN) < 0)
		return -errno;
	capture->registered =
	        su_root_register(capture->root, capture->wait, on_ready, (su_wakeup_arg_t *)capture, 0);
	if (capture->registered > 0)
		return 0;
	capture->registered = 0;
	return -ENOMEM;
}

int capture_begin(struct capture *capture, struct mono now)
{
	int err;

	if (capture->page)
		return 0;
	err = map_page(capture);
	err = err ? err : go_back(capture);
	capture->mark_at = mono_add(now, MARK_NS);
	return err ? err : open_ring(capture);
}

void capture_tick(struct capture *capture, struct mono now)
{
	if (!capture->registered || mono_before(now, capture->mark_at))
		return;
	ring_page_mark(capture->page);
	capture->mark_at = mono_add(now, MARK_NS);
}

void capture_close(struct capture *capture)
{
	if (!capture)
		return;
	if (capture->registered)
		su_root_deregister(capture->root, capture->registered);
	if (capture->page)
		munmap(capture->page, (size_t)getpagesize());
	ring_buffer__free(capture->ring);
	free(capture);
}

const struct capture_counters *capture_counters(const struct capture *capture)
{
	return &capture->counters;
}
