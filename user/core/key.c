/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The shared key and what is derived from it. Owns the text form and the
 * derivation contexts; never reads a file and never prints the key. Called by
 * sipflipd (all of it) and by the command line (keygen, check, doctor).
 */
#include "key.h"

#include <endian.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>

/* One context a use: crypto_kdf keeps subkeys of different contexts independent. */
static const char context_votes[crypto_kdf_CONTEXTBYTES] = {'s', 'f', '-', 'v', 'o', 't', 'e', 's'};
static const char context_replica[crypto_kdf_CONTEXTBYTES] = {'s', 'f', '-', 'r', 'e', 'p', 'l', 'i'};
static const uint8_t id_domain[crypto_generichash_KEYBYTES_MIN] = "sipflip key id";

_Static_assert(KEY_BYTES == crypto_kdf_KEYBYTES, "the key is a crypto_kdf master key");
_Static_assert(KEY_SLOTS == 2, "a key file holds one key, or two");
_Static_assert(KEY_TEXT_LEN == 2 * KEY_BYTES + 2, "digits, newline, NUL");

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static int is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Steps over white space and comments; false at the end of the text. */
static int next_word(const char *text, size_t len, size_t *at)
{
	size_t i = *at;

	for (; i < len && text[i]; i++) {
		int line_start = i == 0 || text[i - 1] == '\n';

		if (line_start && text[i] == '#')
			while (i + 1 < len && text[i + 1] && text[i + 1] != '\n')
				i++;
		else if (!is_space(text[i]))
			break;
	}
	*at = i;
	return i < len && text[i];
}

/* Exactly 64 digits up to white space or the end. */
static int take_key(const char *text, size_t len, size_t *at, struct key *ret)
{
	struct key key = {0};
	size_t digits = 0, i = *at;
	int err = -EINVAL;

	for (; i < len && text[i] && !is_space(text[i]); i++) {
		int v = digit_value(text[i]);

		if (v < 0 || digits == 2 * KEY_BYTES)
			goto out;
		key.b[digits / 2] |= (uint8_t)(digits % 2 ? v : v << 4);
		digits++;
	}
	if (digits != 2 * KEY_BYTES)
		goto out;
	*ret = key;
	*at = i;
	err = 0;
out:
	sodium_memzero(&key, sizeof(key));
	return err;
}

int key_ring_parse(const char *text, size_t len, struct key_ring *ret)
{
	struct key_ring ring = {0};
	size_t at = 0;
	int err = -EINVAL;

	while (next_word(text, len, &at)) {
		if (ring.n == KEY_SLOTS || take_key(text, len, &at, &ring.key[ring.n]))
			goto out;
		ring.n++;
	}
	if (!ring.n || (ring.n == 2 && !sodium_memcmp(&ring.key[0], &ring.key[1], sizeof(struct key))))
		goto out;
	*ret = ring;
	err = 0;
out:
	sodium_memzero(&ring, sizeof(ring));
	return err;
}

int key_parse(const char *text, size_t len, struct key *ret)
{
	struct key_ring ring;
	int err = key_ring_parse(text, len, &ring);

	if (err)
		return err;
	if (ring.n == 1)
		*ret = ring.key[0];
	else
		err = -EINVAL;
	sodium_memzero(&ring, sizeof(ring));
	return err;
}

void key_format(const struct key *key, char buf[KEY_TEXT_LEN])
{
	sodium_bin2hex(buf, KEY_TEXT_LEN, key->b, KEY_BYTES);
	buf[2 * KEY_BYTES] = '\n';
	buf[2 * KEY_BYTES + 1] = '\0';
}

struct siphash_key key_siphash(const struct key *key)
{
	struct siphash_key ret;
	uint8_t sub[16];
	uint64_t k0, k1;

	crypto_kdf_derive_from_key(sub, sizeof(sub), 1, context_votes, key->b);
	memcpy(&k0, sub, 8);
	memcpy(&k1, sub + 8, 8);
	ret.k0 = le64toh(k0);
	ret.k1 = le64toh(k1);
	sodium_memzero(sub, sizeof(sub));
	return ret;
}

void key_replica_secret(const struct key *key, int node, uint8_t ret_secret[32])
{
	crypto_kdf_derive_from_key(ret_secret, 32, (uint64_t)node, context_replica, key->b);
}

void key_id(const struct key *key, char buf[16])
{
	uint8_t hash[crypto_generichash_BYTES_MIN];

	crypto_generichash(hash, sizeof(hash), key->b, KEY_BYTES, id_domain, sizeof(id_domain));
	memset(buf, 0, 16);
	sodium_bin2hex(buf, 9, hash, 4);
}
