/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a call keeper leaves to the next one on this node, when sipflipd ends it to
 * start over (a reload): all dialogs, as the replica's messages in a memory file that
 * sipflipd holds meanwhile. So a reload forgets no call, be the peer there or not.
 * A keeper that crashed leaves nothing; then the peer knows. Called by main.
 */
#ifndef SIPFLIP_CALLS_KEEPSAKE_H
#define SIPFLIP_CALLS_KEEPSAKE_H

#include "dialog.h"

struct keepsake {
	const char *name; /* of the service */
	uint8_t service;
	struct dialog_table *table;
	/* writing: this keeper had all that its peer held; reading: so had the one that left it, and all is
	 * here */
	bool caught_up;
	bool lacking; /* reading: not all of it was taken */
};

/* Is the descriptor a memory file? Any other that happens to be open there is not touched. */
bool keepsake_is(int fd);
/* Appends all dialogs of one service. 0 or -errno. */
int keepsake_write(int fd, const struct keepsake *from);
/*
 * Reads from the beginning into the tables of `to`, by the services' names; what belongs to none
 * is passed over. *ret_dialogs were taken. 0, or -EPROTO when it breaks off: what came before is kept.
 */
int keepsake_read(int fd, struct keepsake *to, int n, uint32_t *ret_dialogs);

#endif
