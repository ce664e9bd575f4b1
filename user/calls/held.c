/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "held.h"

#include <string.h>

static uint32_t size_of(const struct capture_record *record)
{
	return (uint32_t)((sizeof(*record) + record->len + 7) & ~7ULL);
}

static uint32_t make_room(struct held *held, uint32_t size, uint64_t now_ns)
{
	uint32_t at = 0, lost = 0;

	while (held->len - at + size > HELD_BYTES) {
		const struct capture_record *oldest = (const void *)(held->bytes + at);

		lost += oldest->at_ns + HELD_STALE_NS >= now_ns;
		at += size_of(oldest);
	}
	if (at)
		memmove(held->bytes, held->bytes + at, held->len - at);
	held->len -= at;
	return lost;
}

uint32_t held_add(struct held *held, const struct capture_record *record)
{
	uint32_t size = size_of(record), lost;

	if (size > HELD_BYTES)
		return 1;
	lost = make_room(held, size, record->at_ns);
	memcpy(held->bytes + held->len, record, sizeof(*record) + record->len);
	held->len += size;
	return lost;
}

void held_take(struct held *held, uint64_t flipped_ns, held_fn *fn, void *context)
{
	uint32_t at = 0;

	while (at < held->len) {
		const struct capture_record *record = (const void *)(held->bytes + at);

		if (record->at_ns + HELD_AGE_NS >= flipped_ns)
			fn(context, record);
		at += size_of(record);
	}
	held->len = 0;
}
