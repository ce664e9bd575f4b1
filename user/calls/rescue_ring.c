/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Calls that were not answered when the server died: none is taken over yet. */
#include "rescue_agent.h"

int rescue_ring_start(struct rescue *rescue, struct mono now)
{
	return 0;
}

void rescue_ring_stop(struct rescue *rescue) {}

bool rescue_ring_response(struct rescue *rescue, msg_t *msg, const sip_t *sip)
{
	return false;
}

bool rescue_ring_request(struct rescue *rescue, nta_incoming_t *irq, const sip_t *sip)
{
	return false;
}
