/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Slabs: each page holds blocks of one size and has a list of those given back. See text_pool.h. */
#include "text_pool.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_BYTES 16384
#define STEP       32 /* between one size and the next */
#define LARGEST    2048
#define SIZES      (LARGEST / STEP + 1)
#define NIL        UINT32_MAX

/* A sanitizer sees what is read beyond a block only where each is the heap's own. */
#if defined(__SANITIZE_ADDRESS__)
#define ALL_LARGE 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ALL_LARGE 1
#endif
#endif
#ifndef ALL_LARGE
#define ALL_LARGE 0
#endif

/* In the list of pages with room while it has some, in that of free pages while nothing is in use. */
struct page {
	uint32_t next;
	uint32_t prev;
	uint16_t steps; /* size of its blocks */
	uint16_t used;
	uint16_t fresh; /* blocks from here on were never used */
	uint16_t given; /* first block given back, + 1; each holds the next one's number */
};

struct text_pool {
	char *at;
	struct page *pages;
	uint32_t n_pages;
	uint32_t untouched; /* first page that was never used */
	uint32_t free;
	uint32_t room[SIZES]; /* by steps */
};

struct text_pool *text_pool_new(size_t bytes)
{
	struct text_pool *pool = calloc(1, sizeof(*pool));

	if (!pool)
		return NULL;
	/* a page of each size may be all but empty, and none is used to its end */
	pool->n_pages = (uint32_t)(bytes / (PAGE_BYTES - LARGEST) + SIZES);
	pool->pages = calloc(pool->n_pages, sizeof(*pool->pages));
	/* large: the heap maps it apart, and it takes memory as it is touched */
	pool->at = calloc(pool->n_pages, PAGE_BYTES);
	pool->free = NIL;
	memset(pool->room, 0xff, sizeof(pool->room));
	if (!pool->pages || !pool->at) {
		text_pool_free(pool);
		return NULL;
	}
	return pool;
}

void text_pool_free(struct text_pool *pool)
{
	if (!pool)
		return;
	free(pool->at);
	free(pool->pages);
	free(pool);
}

static void enlist(struct text_pool *pool, uint32_t *list, uint32_t i)
{
	pool->pages[i].next = *list;
	pool->pages[i].prev = NIL;
	if (*list != NIL)
		pool->pages[*list].prev = i;
	*list = i;
}

static void unlist(struct text_pool *pool, uint32_t *list, uint32_t i)
{
	struct page *page = &pool->pages[i];

	if (page->prev != NIL)
		pool->pages[page->prev].next = page->next;
	else
		*list = page->next;
	if (page->next != NIL)
		pool->pages[page->next].prev = page->prev;
}

static bool is_full(const struct page *page)
{
	return page->used == PAGE_BYTES / STEP / page->steps;
}

static char *block_at(const struct text_pool *pool, uint32_t page, uint32_t block)
{
	return pool->at + (size_t)page * PAGE_BYTES + (size_t)block * pool->pages[page].steps * STEP;
}

/* An empty page for blocks of that size. NIL = none left. */
static uint32_t new_page(struct text_pool *pool, uint16_t steps)
{
	uint32_t i = pool->free;

	if (i != NIL)
		unlist(pool, &pool->free, i);
	else if (pool->untouched < pool->n_pages)
		i = pool->untouched++;
	else
		return NIL;
	pool->pages[i] = (struct page){.steps = steps};
	enlist(pool, &pool->room[steps], i);
	return i;
}

size_t text_pool_size(size_t len)
{
	return (len + STEP - 1) & ~(size_t)(STEP - 1);
}

void *text_pool_take(struct text_pool *pool, size_t len)
{
	uint16_t steps = (uint16_t)(text_pool_size(len ? len : 1) / STEP);
	uint32_t i;
	struct page *page;
	char *block;

	if (ALL_LARGE || len > LARGEST)
		return malloc(len);
	i = pool->room[steps] != NIL ? pool->room[steps] : new_page(pool, steps);
	if (i == NIL) /* no page is free, with little in each: the caller's budget says what there may be */
		return malloc(len);
	page = &pool->pages[i];
	if (page->given) {
		block = block_at(pool, i, page->given - 1U);
		memcpy(&page->given, block, sizeof(page->given));
	} else {
		block = block_at(pool, i, page->fresh++);
	}
	page->used++;
	if (is_full(page))
		unlist(pool, &pool->room[steps], i);
	return block;
}

void text_pool_give(struct text_pool *pool, void *block)
{
	uintptr_t offset = (uintptr_t)block - (uintptr_t)pool->at;
	uint32_t i = (uint32_t)(offset / PAGE_BYTES);
	struct page *page;

	if (!block)
		return;
	if (offset >= (uintptr_t)pool->n_pages * PAGE_BYTES) {
		free(block);
		return;
	}
	page = &pool->pages[i];
	if (is_full(page))
		enlist(pool, &pool->room[page->steps], i);
	memcpy(block, &page->given, sizeof(page->given));
	page->given = (uint16_t)(offset % PAGE_BYTES / STEP / page->steps + 1);
	if (--page->used)
		return;
	unlist(pool, &pool->room[page->steps], i);
	enlist(pool, &pool->free, i);
}
