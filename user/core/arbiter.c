/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Judging the arbiter, see arbiter.h. Pure: called by the announcer with the time. */
#include "arbiter.h"

void arbiter_asked(struct arbiter *arbiter, struct mono now)
{
	if (!mono_is_set(arbiter->open))
		arbiter->open = now;
}

void arbiter_answered(struct arbiter *arbiter, struct mono now)
{
	if (!mono_is_set(arbiter->open))
		return;
	arbiter->answered = arbiter->open;
	arbiter->seen = now;
	arbiter->open = mono_ns(0);
}
