/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where a reader of the capture ring begins. What a call keeper had read, but had not
 * got to its peer yet when it was killed, is still in the ring: the next one goes back a
 * few seconds and reads it once more. The marks are in the page of the ring that only
 * its reader writes, behind the position that the kernel knows, and so outlive it.
 * Pure: no system call, no clock. Used by user/calls/capture.c alone.
 */
#ifndef SIPFLIP_RING_PAGE_H
#define SIPFLIP_RING_PAGE_H

#include <stdint.h>

/* The kernel reads `consumed`; zero is a ring of which nothing was read. */
struct ring_page {
	uint64_t consumed; /* position of the next record */
	uint64_t mark[2];  /* earlier positions, the older one first */
	uint64_t starts;   /* readers that began since one of them lived to its first mark */
};

struct ring_begun {
	uint64_t again_bytes;   /* what was read before and will be once more */
	uint64_t skipped_bytes; /* what nobody will read */
};

/* So many readers in a row may end early before the records are held for what ends them, and skipped. */
#define RING_PAGE_STARTS 4

/* Before the first record is read; produced = the kernel's position, size = the ring's bytes. */
struct ring_begun ring_page_begin(struct ring_page *page, uint64_t produced, uint64_t size);

/*
 * To be called next, with the kernel's position read after that: what it wrote before it
 * saw the reader go back may lie over what was to be read again. Then that is let be.
 */
void ring_page_settle(struct ring_page *page, struct ring_begun *begun, uint64_t produced, uint64_t size);

/* From time to time, between two records: what was read until then is older than the last such time. */
void ring_page_mark(struct ring_page *page);

#endif
