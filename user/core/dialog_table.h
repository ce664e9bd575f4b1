/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The dialog table's storage, shared by dialog_table.c (storage, replica side)
 * and dialog.c (what SIP messages do). Nobody else includes this.
 */
#ifndef SIPFLIP_CORE_DIALOG_TABLE_H
#define SIPFLIP_CORE_DIALOG_TABLE_H

#include "dialog.h"

#define DIALOG_NIL UINT32_MAX

/* The bytes of a dialog before its SDPs: what is cleared and copied without looking. */
#define DIALOG_HEAD_LEN offsetof(struct dialog, sdp_in)

struct dialog_slot {
	uint32_t next_call_id; /* also the free list's link */
	uint32_t next_call;
	uint32_t older;
	uint32_t newer;
	struct dialog_memo memo;
	bool used;
	bool listed;   /* in the changed list */
	bool has_call; /* in by_call */
};

/* A cleared dialog with its Call-ID and a call number of its own; NULL = table full. */
struct dialog *dialog_slot_take(struct dialog_table *table, uint8_t service, const char *call_id);
/* Leaves a tombstone, and tells the observer first. */
void dialog_slot_drop(struct dialog_table *table, struct dialog *dialog);
/* The funnel of every change: a new version, and the observer is told. */
void dialog_touch(struct dialog_table *table, struct dialog *dialog);
struct dialog *dialog_first_of_call_id(const struct dialog_table *table, uint8_t service,
                                       const char *call_id);
void dialog_set_call(struct dialog_table *table, struct dialog *dialog, uint64_t call);

/* The key changes: the old one is deleted for whoever has a copy. The caller touches it afterwards. */
void dialog_set_tags(struct dialog_table *table, struct dialog *dialog, const char *local,
                     const char *remote);
/* Copies it; too long sets DIALOG_NO_INVITE. len 0 drops what is kept. */
void dialog_keep_invite(struct dialog_table *table, struct dialog *dialog, const uint8_t *invite, size_t len);

#endif
