/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where a reader of the capture ring begins; see ring_page.h. */
#include "ring_page.h"

#include <stdbool.h>

/* The kernel must not see a position before what was read of it is settled. */
static void move_to(struct ring_page *page, uint64_t position)
{
	__atomic_store_n(&page->consumed, position, __ATOMIC_RELEASE);
}

/* Still there, and room is left for what comes while it is read again. */
static bool is_there(const struct ring_page *page, uint64_t position, uint64_t produced, uint64_t size)
{
	return position <= page->consumed && page->consumed <= produced && produced - position <= size / 2;
}

struct ring_begun ring_page_begin(struct ring_page *page, uint64_t produced, uint64_t size)
{
	struct ring_begun begun = {0};

	if (page->starts >= RING_PAGE_STARTS) {
		begun.skipped_bytes = produced - page->consumed;
		page->starts = 0;
		page->mark[0] = page->mark[1] = produced;
		move_to(page, produced);
		return begun;
	}
	page->starts++;
	for (int i = 0; i < 2; i++)
		if (is_there(page, page->mark[i], produced, size)) {
			begun.again_bytes = page->consumed - page->mark[i];
			move_to(page, page->mark[i]);
			break;
		}
	return begun;
}

void ring_page_settle(struct ring_page *page, struct ring_begun *begun, uint64_t produced, uint64_t size)
{
	if (produced - page->consumed <= size)
		return;
	move_to(page, page->consumed + begun->again_bytes);
	begun->again_bytes = 0;
}

void ring_page_mark(struct ring_page *page)
{
	page->starts = 0;
	page->mark[0] = page->mark[1];
	page->mark[1] = page->consumed;
}
