/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * SipHash-2-4 (Aumasson, Bernstein 2012): its steps as macros over v0 to v3, and
 * that of the tagged part of a wire_msg: nine 8-byte words, so the last block is
 * the length alone. Straight-line code; the test vectors are libsodium's
 * crypto_shorthash. Called by message.h, echo.h and callid.h.
 */
#ifndef SIPFLIP_BPF_SIPHASH_H
#define SIPFLIP_BPF_SIPHASH_H

#include "lib/cursor.h"

#include "sipflip/wire.h"

#define ROTL(x, bits) ((x) << (bits) | (x) >> (64 - (bits)))

#define SIPROUND                                                                                             \
	do {                                                                                                 \
		v0 += v1;                                                                                    \
		v2 += v3;                                                                                    \
		v1 = ROTL(v1, 13) ^ v0;                                                                      \
		v3 = ROTL(v3, 16) ^ v2;                                                                      \
		v0 = ROTL(v0, 32);                                                                           \
		v2 += v1;                                                                                    \
		v0 += v3;                                                                                    \
		v1 = ROTL(v1, 17) ^ v2;                                                                      \
		v3 = ROTL(v3, 21) ^ v0;                                                                      \
		v2 = ROTL(v2, 32);                                                                           \
	} while (0)

#define SIPWORD(word)                                                                                        \
	do {                                                                                                 \
		__u64 m = (word);                                                                            \
		v3 ^= m;                                                                                     \
		SIPROUND;                                                                                    \
		SIPROUND;                                                                                    \
		v0 ^= m;                                                                                     \
	} while (0)

#define SIPBEGIN(k0, k1)                                                                                     \
	do {                                                                                                 \
		__u64 key0 = (k0), key1 = (k1);                                                              \
		v0 = key0 ^ 0x736f6d6570736575ULL;                                                           \
		v1 = key1 ^ 0x646f72616e646f6dULL;                                                           \
		v2 = key0 ^ 0x6c7967656e657261ULL;                                                           \
		v3 = key1 ^ 0x7465646279746573ULL;                                                           \
	} while (0)

/* Then the hash is v0 ^ v1 ^ v2 ^ v3, in memory as LE64() of it. */
#define SIPEND                                                                                               \
	do {                                                                                                 \
		v2 ^= 0xff;                                                                                  \
		SIPROUND;                                                                                    \
		SIPROUND;                                                                                    \
		SIPROUND;                                                                                    \
		SIPROUND;                                                                                    \
	} while (0)

/* The nine tagged words of a message, as they stand in memory. */
#define MSG_WORDS (WIRE_TAGGED_LEN / 8)

/* The tag as it stands in wire_msg.tag when that is read as one native word. */
static __always_inline __u64 siphash_msg(const __u64 word[MSG_WORDS], const struct siphash_key *key)
{
	__u64 v0, v1, v2, v3;
	int i;

	SIPBEGIN(key->k0, key->k1);
#pragma unroll
	for (i = 0; i < MSG_WORDS; i++)
		SIPWORD(LE64(word[i]));
	SIPWORD((__u64)WIRE_TAGGED_LEN << 56);
	SIPEND;
	return LE64(v0 ^ v1 ^ v2 ^ v3);
}

#endif
