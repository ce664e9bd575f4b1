/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "warm.h"

#include <sodium.h>
#include <string.h>

#include "addr.h"

#define DIALOGS 4096 /* looked at; many calls of few gateways end the search before they are full */
#define BUCKETS 512  /* twice the addresses: there is always a free one */

static const unsigned char key[crypto_shorthash_KEYBYTES] = "sipflip's phones";

struct found {
	struct keeper_warm *warm;
	uint16_t bucket[BUCKETS]; /* index + 1 into warm->addr */
};

static void add(struct found *found, const struct inaddr16 *addr)
{
	static const struct inaddr16 none;
	struct keeper_warm *warm = found->warm;
	uint64_t hash;

	if (warm->n == KEEPER_WARM_ADDRS || addr_equal(addr, &none))
		return;
	crypto_shorthash((unsigned char *)&hash, addr->b, sizeof(addr->b), key);
	for (uint32_t i = 0; i < BUCKETS; i++) {
		uint16_t *bucket = &found->bucket[(hash + i) % BUCKETS];

		if (!*bucket) {
			warm->addr[warm->n++] = *addr;
			*bucket = (uint16_t)warm->n;
			return;
		}
		if (addr_equal(&warm->addr[*bucket - 1], addr))
			return;
	}
}

void warm_collect(struct dialog_table *table, struct keeper_warm *ret)
{
	struct found found = {.warm = ret};
	const struct dialog *d = NULL;

	_Static_assert(BUCKETS >= 2 * KEEPER_WARM_ADDRS, "buckets for all");
	memset(ret, 0, sizeof(*ret));
	for (uint32_t i = 0; i < DIALOGS && (d = dialog_older(table, d)); i++) {
		if (d->state == DIALOG_ENDED)
			continue;
		add(&found, &d->flow_addr);
		for (unsigned int s = 0; s < DIALOG_STREAMS; s++) {
			const struct dialog_stream *stream = dialog_stream_of(d, s);

			if (stream->to_port)
				add(&found, &stream->to);
			if (stream->from_port)
				add(&found, &stream->from);
		}
	}
}

uint64_t warm_hash(const struct keeper_warm *warm)
{
	uint64_t hash;

	crypto_shorthash((unsigned char *)&hash, (const unsigned char *)warm->addr,
	                 warm->n * sizeof(warm->addr[0]), key);
	return hash;
}
