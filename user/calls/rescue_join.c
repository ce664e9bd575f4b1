/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Calls with a single leg: none is joined to the new server yet. */
#include "rescue_agent.h"

bool rescue_join_start(struct rescue *rescue, struct dialog *dialog)
{
	return false;
}

bool rescue_join_request(struct rescue *rescue, nta_incoming_t *irq, const sip_t *sip)
{
	return false;
}

void rescue_join_stop(struct rescue *rescue) {}

bool rescue_join_leg_gone(struct rescue *rescue, struct dialog *dialog)
{
	return false;
}
