/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The steps of one rescue. Where the relay carries the media, each leg is asked on
 * its own to go on with what it was told before:
 *
 *   idle --START--> invite --200--> taken
 *                    |  ^ 491, unreachable: wait (RFC 3261 14.1), 422: at once with what it wants
 *                    |  +-- wait
 *                    +-- 481, 408 from the phone; silence on the wire and in the media --> over: BYE the
 * other
 *                    +-- anything else, silence with media that flows --> kept
 *
 * Where only new media can help, third-party call control by RFC 3725 section 4.1
 * (flow I); leg A is the one that called the server:
 *
 *   idle --START--> invite_a --200 with offer--> invite_b --200--> rescued
 *                      |  ^ 491, unreachable: wait     |  ^
 *                      |  |                            |  |
 *                      |  +--- retry timer ---- wait_a |  +--- wait_b
 *                      |                               |
 *                      +-- 481, 408: that leg is over; BYE the other --+--> failed
 *                      +-- anything else: both legs are left as they are
 *
 * Pure: an event in, a set of actions out; the caller sends.
 */
#ifndef SIPFLIP_CORE_RESCUE_STEP_H
#define SIPFLIP_CORE_RESCUE_STEP_H

#include "dialog.h"

#define RESCUE_RETRIES 3 /* of 491 or an unreachable phone, for each leg */

/* --- a leg on its own -------------------------------------------------------------- */

enum rescue_leg_state {
	LEG_IDLE = 0,
	LEG_INVITE,
	LEG_WAIT,  /* for the retry */
	LEG_TAKEN, /* 2xx */
	LEG_KEPT,  /* refused or ignored: goes on as it was */
	LEG_OVER,
};

struct rescue_leg_step {
	uint8_t state; /* enum rescue_leg_state */
	uint8_t retries;
	bool raised;     /* the session timer, once (RFC 4028 section 7.3) */
	bool ignored;    /* no answer of the phone's own */
	uint16_t status; /* last final one, 0 = none */
};

enum rescue_leg_event {
	LEG_EVENT_START = 0,
	LEG_EVENT_ANSWER, /* final status of the phone's own */
	LEG_EVENT_NONE,   /* no answer: timeout (408), ICMP error or the like */
	LEG_EVENT_RETRY,
	LEG_EVENT_GONE, /* the call ends otherwise */
};

#define RESCUE_LEG_SEND 0x01
#define RESCUE_LEG_ACK  0x02
#define RESCUE_LEG_WAIT 0x04 /* arm the retry timer, rescue_retry_ns */
#define RESCUE_LEG_LOST 0x08 /* the leg is over: BYE to the other */
#define RESCUE_LEG_DONE 0x10

/* silent: nothing of the phone's media was heard since it was asked. */
uint32_t rescue_leg_step(struct rescue_leg_step *step, enum rescue_leg_event event, int status, bool silent);

/* --- third-party call control ------------------------------------------------------- */

enum rescue_step_state {
	STEP_IDLE = 0,
	STEP_INVITE_A,
	STEP_WAIT_A, /* for the retry after 491 */
	STEP_INVITE_B,
	STEP_WAIT_B,
	STEP_RESCUED,
	STEP_FAILED,
};

struct rescue_step {
	uint8_t state; /* enum rescue_step_state */
	uint8_t retries_a;
	uint8_t retries_b;
	uint16_t status_a; /* last final status of each leg, 0 = none */
	uint16_t status_b;
};

enum rescue_event {
	RESCUE_START = 0,
	RESCUE_ANSWER_A, /* final status; has_sdp: the 200 had an offer */
	RESCUE_ANSWER_B,
	RESCUE_RETRY,
	RESCUE_UNREACHABLE_A, /* no answer but an ICMP error or the like; status as nta reports it */
	RESCUE_UNREACHABLE_B,
	RESCUE_GONE_A, /* leg hung up, or was found gone, meanwhile */
	RESCUE_GONE_B,
};

#define RESCUE_SEND_INVITE_A  0x001 /* without SDP */
#define RESCUE_SEND_INVITE_B  0x002 /* with A's offer */
#define RESCUE_ACK_A_ANSWER   0x004 /* with B's answer */
#define RESCUE_ACK_A_FALLBACK 0x008 /* with what the server last said to A: B gave no answer */
#define RESCUE_ACK_B          0x010
#define RESCUE_BYE_A          0x020
#define RESCUE_BYE_B          0x040
#define RESCUE_END_A          0x080 /* the phone says that there is no such dialog */
#define RESCUE_END_B          0x100
#define RESCUE_WAIT_A         0x200 /* arm the retry timer, rescue_retry_ns */
#define RESCUE_WAIT_B         0x400
#define RESCUE_DONE           0x800 /* report the outcome */

/* Returns the actions to take, in the order of their bits. */
uint32_t rescue_step(struct rescue_step *step, enum rescue_event event, int status, bool has_sdp);

/* RFC 3261 14.1: 2.1..4 s for who chose the Call-ID, else 0..2 s, in steps of 10 ms. */
int64_t rescue_retry_ns(const struct dialog *dialog, uint32_t random);

#endif
