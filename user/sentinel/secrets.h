/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Everything secret that sipflipd holds, in pages of its own that are locked, not in
 * a core dump and between guard pages (sodium_malloc). No copy of it is to be made
 * anywhere but on the stack of who uses it, wiped there. Read at the start and for
 * a reload; never logged, never told to the command line but as key_id().
 */
#ifndef SIPFLIP_SENTINEL_SECRETS_H
#define SIPFLIP_SENTINEL_SECRETS_H

#include "config.h"
#include "key.h"

struct secrets {
	struct key_ring keys; /* keys.key[0] signs, the other is accepted too */
	struct siphash_key siphash[KEY_SLOTS];
	char event_password[MAX_SERVICES][KEEPER_NAME_LEN]; /* of the server's event socket, by service */
};

/* NULL = out of memory that may be locked. */
struct secrets *secrets_new(void);
void secrets_free(struct secrets *secrets);

/* Keys and what is derived from them. 0, or -errno with a line for people. */
int secrets_read_keys(struct secrets *secrets, const char *path, struct config_error *ret_error);

/*
 * At most size - 1 bytes of a file that nobody but its owner may read or write, and a
 * NUL. Their number; -EPERM: others may; or -errno. Nothing of it stays behind in a buffer.
 */
int secrets_read_file(const char *path, char *ret, size_t size);

/* No core dump of this process, and no ptrace by others of its user. */
void secrets_keep(void);

#endif
