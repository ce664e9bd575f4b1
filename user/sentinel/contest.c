/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Contests, see contest.h. */
#include "contest.h"

#include <string.h>

bool contest_claimed(struct contest *contest, const uint8_t mac[6], struct mono now)
{
	bool begins = !contest->on;

	if (begins) {
		contest->on = true;
		contest->began = now;
		contest->claims = 0;
		contest->count++;
	}
	contest->claims++;
	contest->last = now;
	memcpy(contest->mac, mac, sizeof(contest->mac));
	return begins;
}

bool contest_over(struct contest *contest, struct mono now)
{
	if (!contest->on || mono_diff(now, contest->last) < CONTEST_CALM_NS)
		return false;
	contest->on = false;
	return true;
}
