/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Session timers (RFC 4028) of the calls that the agent holds. */
#include "rescue_agent.h"

const char *rescue_timer_headers(struct rescue *rescue, struct dialog *dialog, const sip_t *request,
                                 char buf[RESCUE_TIMER_LEN])
{
	buf[0] = '\0';
	return buf;
}
