/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* ann's call to bob, who rings when the server dies; for test_rescue_ring*.c only. */
#ifndef SIPFLIP_TEST_RING_CALL_H
#define SIPFLIP_TEST_RING_CALL_H

#include "ring_stage.h"

static inline void pair(struct dialog *x, struct dialog *y)
{
	if (x && y && dialog_peer(&table, x) != y)
		dialog_set_paired(&table, x, y, PAIRED_NUMBERS);
}

/* Both have heard 180. */
static inline void ringing(void)
{
	called_in(&a, "", SDP_A);
	called_out(&b, SDP_B_O);
	db = phone_said(&b, "180 Ringing", "", NULL);
	da = server_said(&a, "180 Ringing", "", NULL);
	assert_non_null(da);
	assert_non_null(db);
	pair(da, db);
}

/* The agent has sent bob the dead server's INVITE once more. */
static inline void rings_again(void)
{
	ringing();
	take_over();
	hear(&b, "INVITE");
}

/* bob has answered that it rings, and ann has heard it. */
static inline void rings_through(void)
{
	rings_again();
	answer(&b, "180 Ringing", NULL);
	hear(&a, "SIP/2.0 180");
}

#endif
