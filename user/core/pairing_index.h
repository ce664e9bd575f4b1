/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where pairing.c finds the legs that might belong to one: every live dialog, but
 * those that are up with a partner that is up, under what it shares with the other
 * leg of its call (Call-ID and link, Session-IDs, o= lines, and while it has no
 * settled partner its numbers). What it finds only might fit: different texts may
 * meet. One whose partner was dropped while up is back in with its next message.
 * Nobody else includes this.
 */
#ifndef SIPFLIP_CORE_PAIRING_INDEX_H
#define SIPFLIP_CORE_PAIRING_INDEX_H

#include "dialog.h"

#define PAIRING_LOOK 256 /* of each kind looked at for one leg: bounds the work of a message */

enum pairing_key {
	PAIRING_CALL_ID,
	PAIRING_LINK,
	PAIRING_SESSION_IN,
	PAIRING_SESSION_OUT,
	PAIRING_ORIGIN_IN,
	PAIRING_ORIGIN_OUT,
	PAIRING_CALLER,
	PAIRING_ASSERTED,
	PAIRING_CALLEE,
	PAIRING_KEYS,
};

/* Takes in what changed in the table since the last time. */
void pairing_index_update(struct dialog_table *table);

/* The legs that meet `dialog` in its keys first..last, newest first, each once. */
struct pairing_walk {
	const struct dialog *dialog;
	enum pairing_key last;
	/* the walk's own */
	unsigned int key;
	uint32_t node;
	uint32_t hash;
	unsigned int looked;
	uint32_t number;
	unsigned int cut; /* 1 << key: more than PAIRING_LOOK met in it */
};

void pairing_walk_start(struct dialog_table *table, struct pairing_walk *walk, const struct dialog *dialog,
                        enum pairing_key first, enum pairing_key last);
/* NULL at the end. Whatever changes the table ends the walk. */
struct dialog *pairing_walk_next(struct dialog_table *table, struct pairing_walk *walk);

/* Do two writings of a subscriber mean the same one? "" means nobody. */
bool pairing_same_number(const char *a, const char *b);

#endif
