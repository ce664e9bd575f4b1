/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Memory for the dialogs' text, apart from the heap. Those blocks live as long as
 * their calls, what sofia-sip has of the heap lives for seconds: side by side each
 * would keep the other's pages from going back. Small blocks are of like size a
 * page, large ones (a ringing call with a long INVITE) are the heap's, and so is what
 * finds no page. Pure; used by dialog_store.c and dialog_table.c alone.
 */
#ifndef SIPFLIP_CORE_TEXT_POOL_H
#define SIPFLIP_CORE_TEXT_POOL_H

#include <stddef.h>

struct text_pool;

/* Address space for small blocks of `bytes` together; takes memory only as it is used. NULL = none. */
struct text_pool *text_pool_new(size_t bytes);
/* All in its pages goes with it; what is the heap's is the caller's to give back before. */
void text_pool_free(struct text_pool *pool);

/* What a block of that length takes. */
size_t text_pool_size(size_t len);
/* Aligned for anything. NULL = no memory. */
void *text_pool_take(struct text_pool *pool, size_t len);
/* NULL is nothing. */
void text_pool_give(struct text_pool *pool, void *block);

#endif
