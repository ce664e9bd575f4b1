/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What bpf/lib/callid.h must find and how it must hash it, written the plain way,
 * and SIP to try it on. For the tests of ingress and egress.
 */
#ifndef SIPFLIP_TEST_CALLID_H
#define SIPFLIP_TEST_CALLID_H

#include <sodium.h>
#include <strings.h>

#include "world.h"

#define SIP_PORT_1  5060
#define SIP_PORT_2  5080
#define RESCUE_PORT 5070
#define TEXT_REACH  2048
#define BLANKS      32

static const struct siphash_key steer_secret = {0x0123456789abcdefULL, 0xfedcba9876543210ULL};

#define BYE(call_id_header)                                                                                  \
	"BYE sip:1001@10.9.0.100 SIP/2.0\r\n"                                                                \
	"Via: SIP/2.0/UDP 10.9.0.200:5060;branch=z9hG4bKb5d3c1;rport\r\n"                                    \
	"Max-Forwards: 70\r\n"                                                                               \
	"From: <sip:1000@10.9.0.200>;tag=8f3c\r\n"                                                           \
	"To: <sip:1001@10.9.0.100>;tag=a77e\r\n" call_id_header "CSeq: 3 BYE\r\n"                            \
	"User-Agent: phone 1.0\r\n"                                                                          \
	"Content-Length: 0\r\n\r\n"

static inline uint64_t call_id_hash(const void *id, size_t len, uint32_t service)
{
	struct siphash_key key = {steer_secret.k0, steer_secret.k1 ^ service};
	uint64_t hash;

	crypto_shorthash((uint8_t *)&hash, id, len, (const uint8_t *)&key);
	return hash;
}

static inline void steer_put(struct bpf_map *map, const void *id, size_t len, uint32_t service)
{
	uint64_t hash = call_id_hash(id, len, service);
	struct steer entry = {.service = service};

	map_put(map, &hash, &entry);
}

/* Of the line at `line` the value's place if it is a Call-ID header. */
static inline size_t plain_value(const uint8_t *text, size_t len, size_t line)
{
	size_t at, name = 0, i;
	bool colon = false;

	if (line + 7 <= len && !strncasecmp((const char *)text + line, "call-id", 7))
		name = 7;
	else if (text[line] == 'i' || text[line] == 'I')
		name = 1;
	if (!name)
		return 0;
	for (i = 0, at = line + name; i < BLANKS && at < len; i++, at++) {
		if (text[at] == ':' && !colon)
			colon = true;
		else if (text[at] != ' ' && text[at] != '\t')
			break;
	}
	return colon ? at : 0;
}

/* The first Call-ID of a datagram. False: none, or not all of it is within reach. */
static inline bool plain_call_id(const uint8_t *text, size_t len, size_t *ret_at, size_t *ret_len)
{
	size_t line, at, n;

	if (len > TEXT_REACH)
		len = TEXT_REACH;
	for (line = 0; line < len; line++) {
		if (line == 0 || text[line - 1] != '\n')
			continue;
		if (text[line] == '\r' || text[line] == '\n')
			return false;
		at = plain_value(text, len, line);
		if (!at)
			continue;
		for (n = 0; at + n < len && text[at + n] > ' ';)
			n++;
		if (n == 0 || at + n >= len)
			return false;
		*ret_at = at;
		*ret_len = n;
		return true;
	}
	return false;
}

static inline uint32_t random_next(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

/* Changes, drops or repeats some bytes; sometimes cuts. Returns the new length. */
static inline size_t mutate(uint8_t *text, size_t len, size_t size, uint32_t *seed)
{
	static const char favourites[] = "\r\n\r\n\n : \t:iIcCall-id\0\xff\x80";
	size_t times = random_next(seed) % 6, i;

	for (i = 0; i < times && len > 1; i++) {
		size_t at = random_next(seed) % len;

		switch (random_next(seed) % 4) {
		case 0:
			text[at] = (uint8_t)random_next(seed);
			break;
		case 1:
			text[at] = (uint8_t)favourites[random_next(seed) % sizeof(favourites)];
			break;
		case 2:
			memmove(text + at, text + at + 1, --len - at);
			break;
		default:
			if (len < size) {
				memmove(text + at + 1, text + at, len++ - at);
				text[at] = (uint8_t)favourites[random_next(seed) % sizeof(favourites)];
			}
		}
	}
	if (random_next(seed) % 8 == 0)
		len = 1 + random_next(seed) % len;
	return len;
}

#endif
