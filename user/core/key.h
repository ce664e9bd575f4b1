/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The shared key: 32 random bytes, in a file as 64 hex digits and a newline. While
 * keys are changed the file holds two: the first signs, both are accepted.
 * Everything else is derived from it with libsodium's crypto_kdf (BLAKE2b), so
 * that no two uses share a key. Pure: the caller reads the file.
 */
#ifndef SIPFLIP_CORE_KEY_H
#define SIPFLIP_CORE_KEY_H

#include <stddef.h>
#include <stdint.h>

#include "sipflip/abi.h"

#define KEY_BYTES    32
#define KEY_TEXT_LEN 66 /* 64 digits, newline, NUL */

struct key {
	uint8_t b[KEY_BYTES];
};

/* What a key file holds. */
struct key_ring {
	struct key key[KEY_SLOTS];
	int n;
};

/* As key_parse, of one key or of two that differ. 0, or -EINVAL with *ret untouched. */
int key_ring_parse(const char *text, size_t len, struct key_ring *ret);

/* Hex text with surrounding white space and lines starting with '#'. 0, or -EINVAL. */
int key_parse(const char *text, size_t len, struct key *ret);
/* As key_parse reads it, with the newline; for `sipflip keygen`. */
void key_format(const struct key *key, char buf[KEY_TEXT_LEN]);
/* The voters' SipHash key. */
struct siphash_key key_siphash(const struct key *key);
/* CURVE secret key of `node` for the replica; the public one is computed from it by libzmq. */
void key_replica_secret(const struct key *key, int node, uint8_t ret_secret[32]);
/* 8 hex digits and NUL that two people can compare without learning the key. */
void key_id(const struct key *key, char buf[16]);

#endif
