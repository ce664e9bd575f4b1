/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The dialog table's storage, shared by dialog_table.c (storage, replica side)
 * and dialog.c (what SIP messages do). Nobody else includes this.
 */
#ifndef SIPFLIP_CORE_DIALOG_TABLE_H
#define SIPFLIP_CORE_DIALOG_TABLE_H

#include "dialog.h"

#define DIALOG_NIL UINT32_MAX

struct dialog_slot {
	uint32_t next_call_id; /* also the free list's link */
	uint32_t next_call;
	uint32_t older;
	uint32_t newer;
	struct dialog_memo memo;
	uint32_t bytes; /* of its text's block; 0 = none */
	bool used;
	bool listed;   /* in the changed list */
	bool has_call; /* in by_call */
};

/*
 * Changes go through a draft: a copy of the dialog, with pointers to the new text
 * wherever that is; dialog_enter() copies it. `at` NULL enters a new dialog, with
 * the draft's call number or, when 0, one of its own. Returns the dialog; NULL and
 * nothing changed: table full, or no memory for a new key. With no memory for
 * other text the numbers are kept and the dialog is marked DIALOG_TRUNCATED.
 */
struct dialog *dialog_enter(struct dialog_table *table, struct dialog *at, const struct dialog *draft);
/* Leaves a tombstone, and tells the observer first. */
void dialog_slot_drop(struct dialog_table *table, struct dialog *dialog);
/* The funnel of every change: a new version, and the observer is told. */
void dialog_touch(struct dialog_table *table, struct dialog *dialog);
struct dialog *dialog_first_of_call_id(const struct dialog_table *table, uint8_t service,
                                       const char *call_id);
void dialog_set_call(struct dialog_table *table, struct dialog *dialog, uint64_t call);

/* --- dialog_set.c: on drafts --- */

/* Counters, times, and no INVITE any more once it does not ring. */
void dialog_draft_state(struct dialog_table *table, struct dialog *draft, enum dialog_state state,
                        struct mono at);
/* Too long is counted, marked and not kept. */
void dialog_draft_sdp(struct dialog_table *table, struct dialog *draft, bool out, const char *sdp,
                      size_t len);

/* --- dialog_gone.c --- */

/* Strings within the table's limits. */
void dialog_gone_note(struct dialog_table *table, const struct dialog_key *key);

/* --- dialog_store.c --- */

/* NULL strings become "". */
void dialog_fill_blanks(struct dialog *draft);
/*
 * d, of the table, becomes the draft. 0, or -ENOSPC (counted) and nothing changed.
 * *ret_old: the block that was replaced, the caller's; NULL when none was.
 */
int dialog_store(struct dialog_table *table, struct dialog *d, const struct dialog *draft, char **ret_old);
/* What can be had of the draft without memory. */
void dialog_store_numbers(struct dialog *d, const struct dialog *draft);
/* Clears d. Its block is the caller's; NULL = there was none. */
char *dialog_store_release(struct dialog_table *table, struct dialog *d);
/* The stone takes the block, whose beginning is the key, in place of what it had. Cannot fail. */
void dialog_stone_write(struct dialog_tombstone *stone, uint64_t version, uint8_t service, char *block);

#endif
