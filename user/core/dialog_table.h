/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The dialog table's storage, shared by dialog_table.c (storage, replica side)
 * and dialog.c (what SIP messages do). Nobody else includes this.
 */
#ifndef SIPFLIP_CORE_DIALOG_TABLE_H
#define SIPFLIP_CORE_DIALOG_TABLE_H

#include "dialog.h"

#define DIALOG_NIL       UINT32_MAX
#define DIALOG_GUESS_LEN (DIALOG_USER_LEN + 64) /* of a target made from where a phone's datagrams go */

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

/* --- dialog.c: on drafts, shared with dialog_heal.c --- */

/* What any message of a dialog tells. */
void dialog_draft_message(struct dialog_table *table, struct dialog *draft, const struct sip_event *ev);
/* A dialog of this message's Call-ID that nothing is known of yet. */
void dialog_draft_blank(const struct dialog_table *table, const struct sip_event *ev, struct dialog *ret);
/* Copies value to the field, or counts and marks that it is too long. */
void dialog_draft_keep(struct dialog_table *table, struct dialog *draft, const char **field, size_t size,
                       const char *value);
struct dialog *dialog_find_half_open(struct dialog_table *table, const struct sip_event *ev);
/* 3xx..6xx to the first INVITE: none of its dialogs comes to be (RFC 3261 12.3). */
struct dialog *dialog_invite_refused(struct dialog_table *table, const struct sip_event *ev);

/* --- dialog_heal.c --- */

/* The server answers an INVITE that nobody saw. False: it is none, or says too little. */
bool dialog_heal_invite(struct dialog_table *table, const struct sip_event *answer, struct dialog *ret_draft,
                        char target[DIALOG_GUESS_LEN]);
/* An ACK of an INVITE whose answer nobody saw; at NULL = nothing with its tags is known. */
struct dialog *dialog_heal_answer(struct dialog_table *table, struct dialog *at, const struct sip_event *ack);
/* Clears DIALOG_INCOMPLETE of a draft that has everything now. */
void dialog_heal_note(struct dialog_table *table, struct dialog *draft);

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
/* Keeps the block's beginning, which is the key, as the newest tombstone. Cannot fail. */
void dialog_stone_write(struct dialog_table *table, uint8_t service, const char *block);

#endif
