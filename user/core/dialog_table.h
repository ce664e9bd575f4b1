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
/* Leaves a tombstone if the dialog was ever listed. */
void dialog_slot_drop(struct dialog_table *table, struct dialog *dialog);
/* The funnel of every change: a new version, unless the dialog is half-open. */
void dialog_touch(struct dialog_table *table, struct dialog *dialog);
struct dialog *dialog_first_of_call_id(const struct dialog_table *table, uint8_t service,
                                       const char *call_id);
void dialog_set_call(struct dialog_table *table, struct dialog *dialog, uint64_t call);

#endif
