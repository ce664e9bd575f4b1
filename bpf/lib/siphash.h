/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * SipHash-2-4 (Aumasson, Bernstein 2012) of the tagged part of a wire_msg: nine
 * 8-byte words, so the last block is the length alone. Straight-line code; the
 * test vectors are libsodium's crypto_shorthash.
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

/* The nine tagged words of a message, as they stand in memory. */
#define MSG_WORDS (WIRE_TAGGED_LEN / 8)

/* The tag as it stands in wire_msg.tag when that is read as one native word. */
static __always_inline __u64 siphash_msg(const __u64 word[MSG_WORDS], const struct siphash_key *key)
{
	__u64 v0 = key->k0 ^ 0x736f6d6570736575ULL;
	__u64 v1 = key->k1 ^ 0x646f72616e646f6dULL;
	__u64 v2 = key->k0 ^ 0x6c7967656e657261ULL;
	__u64 v3 = key->k1 ^ 0x7465646279746573ULL;
	int i;

#pragma unroll
	for (i = 0; i < MSG_WORDS; i++)
		SIPWORD(LE64(word[i]));
	SIPWORD((__u64)WIRE_TAGGED_LEN << 56);
	v2 ^= 0xff;
	SIPROUND;
	SIPROUND;
	SIPROUND;
	SIPROUND;
	return LE64(v0 ^ v1 ^ v2 ^ v3);
}

#endif
