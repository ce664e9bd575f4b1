/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a takeover does with a call: whether the agent can rescue it or why not,
 * how fast, and the steps of one rescue. Third-party call control by RFC 3725
 * section 4.1 (flow I): leg A is the one that called the server.
 *
 *   idle --START--> invite_a --200 with offer--> invite_b --200--> rescued
 *                      |  ^ 491, unreachable: wait     |  ^
 *                      |  |      (RFC 3261 14.1)       |  |
 *                      |  +--- retry timer ---- wait_a |  +--- wait_b
 *                      |                               |
 *                      +-- 481, 408: that leg is over; BYE the other --+--> failed
 *                      +-- anything else: both legs are left as they are
 *
 * Pure: an event in, a set of actions out; the caller sends.
 */
#ifndef SIPFLIP_CORE_RESCUE_PLAN_H
#define SIPFLIP_CORE_RESCUE_PLAN_H

#include "dialog.h"

#define RESCUE_RETRIES 3 /* of 491 or an unreachable phone, for each leg */

/* What a takeover would do with the call of a dialog. PLAN(name, text for people). */
#define RESCUE_PLANS(X)                                                                                      \
	X(agent, "agent: two legs, 3pcc re-INVITE")                                                          \
	X(single_leg, "none: single leg, no second phone to connect")                                        \
	X(ambiguous, "none: more than one leg would fit")                                                    \
	X(early, "none: not answered yet")                                                                   \
	X(ended, "none: ended")                                                                              \
	X(peer_early, "none: other leg not answered yet")                                                    \
	X(hang_up, "agent: BYE, the other leg has hung up")                                                  \
	X(no_target, "none: no remote target known")                                                         \
	X(truncated, "none: a header was too long to keep")                                                  \
	X(no_sdp, "none: no SDP seen on a leg")                                                              \
	X(dtls, "none: DTLS-SRTP keys ended with the server")                                                \
	X(profile, "none: media profiles of the legs differ")                                                \
	X(proxied, "none: the server forwards this dialog as a proxy")

enum rescue_plan {
#define X(name, text) PLAN_##name,
	RESCUE_PLANS(X)
#undef X
};

/* For either leg; ask again after any change. */
enum rescue_plan rescue_plan_of(struct dialog_table *table, const struct dialog *dialog);
/* "agent: two legs, 3pcc re-INVITE"; at most CTL_TEXT_LEN with its NUL. */
const char *rescue_plan_text(enum rescue_plan plan);
/* "single_leg": for metrics and outcomes. */
const char *rescue_plan_name(enum rescue_plan plan);

struct rescue_counts {
	uint32_t calls;     /* pairs and single legs that are up */
	uint32_t rescuable; /* calls among them with PLAN_agent */
	uint32_t dialogs;   /* with both tags, not ended */
};
/* Walks the table: at most every 100 ms, and only after a change of table->version. */
void rescue_plan_counts(struct dialog_table *table, uint8_t service, struct rescue_counts *ret);

/* Token bucket: `rate` calls a second, never more than rate/20 (at least 1) at once. */
struct rescue_pace {
	uint32_t rate;
	int64_t tokens_ns; /* time's worth of tokens: one costs 1 s / rate */
	struct mono filled;
};
void rescue_pace_init(struct rescue_pace *pace, uint32_t rate, struct mono now);
bool rescue_pace_take(struct rescue_pace *pace, struct mono now);

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
