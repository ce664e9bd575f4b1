/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The steps of one rescue. Pure; see rescue_step.h. */
#include "rescue_step.h"

static bool ok(int status)
{
	return status >= 200 && status < 300;
}

/* RFC 3261 12.2.1.2: these mean that the phone has no such dialog. */
static bool gone(int status)
{
	return status == 481 || status == 408;
}

static uint32_t leg_ends(struct rescue_leg_step *step, enum rescue_leg_state state)
{
	step->state = (uint8_t)state;
	return (state == LEG_OVER ? RESCUE_LEG_LOST : 0) | RESCUE_LEG_DONE;
}

static uint32_t leg_waits(struct rescue_leg_step *step)
{
	step->retries++;
	step->state = LEG_WAIT;
	return RESCUE_LEG_WAIT;
}

static uint32_t leg_answered(struct rescue_leg_step *step, int status)
{
	if (ok(status))
		return RESCUE_LEG_ACK | leg_ends(step, LEG_TAKEN);
	if (status == 491 && step->retries < RESCUE_RETRIES)
		return leg_waits(step);
	if (status == 422 && !step->raised) {
		step->raised = true;
		return RESCUE_LEG_SEND;
	}
	return leg_ends(step, gone(status) ? LEG_OVER : LEG_KEPT);
}

/*
 * RFC 3261 12.2.1.2 lets a timeout end the dialog like a 408 of the phone's own. Here it
 * does so only for a phone whose media is silent as well: one that talks is alive.
 * Right after a takeover a neighbour may not be resolved yet: what cannot be reached is tried again.
 */
static uint32_t leg_unanswered(struct rescue_leg_step *step, int status, bool silent)
{
	step->ignored = true;
	if (status != 408 && step->retries < RESCUE_RETRIES)
		return leg_waits(step);
	return leg_ends(step, silent ? LEG_OVER : LEG_KEPT);
}

uint32_t rescue_leg_step(struct rescue_leg_step *step, enum rescue_leg_event event, int status, bool silent)
{
	bool answers = event == LEG_EVENT_ANSWER || event == LEG_EVENT_NONE;

	if (step->state == LEG_TAKEN && event == LEG_EVENT_ANSWER && ok(status))
		return RESCUE_LEG_ACK; /* 2xx come again until their ACK arrives (RFC 3261 13.2.2.4) */
	if (step->state >= LEG_TAKEN)
		return 0;
	if (event == LEG_EVENT_GONE) {
		step->state = LEG_OVER;
		return RESCUE_LEG_DONE;
	}
	if ((event == LEG_EVENT_START && step->state == LEG_IDLE) ||
	    (event == LEG_EVENT_RETRY && step->state == LEG_WAIT)) {
		step->state = LEG_INVITE;
		return RESCUE_LEG_SEND;
	}
	if (!answers || step->state != LEG_INVITE || status < 200)
		return 0;
	step->status = (uint16_t)status;
	step->ignored = false;
	return event == LEG_EVENT_ANSWER ? leg_answered(step, status) : leg_unanswered(step, status, silent);
}

static uint32_t fail(struct rescue_step *step, uint32_t actions)
{
	step->state = STEP_FAILED;
	return actions | RESCUE_DONE;
}

/*
 * Right after a takeover a neighbour may not be resolved yet, so a phone that
 * cannot be reached is tried again; after that it is as gone as one that says 481.
 */
static uint32_t on_unreachable(struct rescue_step *step, bool a, int status)
{
	uint8_t *retries = a ? &step->retries_a : &step->retries_b;

	if (step->state != (a ? STEP_INVITE_A : STEP_INVITE_B))
		return 0;
	*(a ? &step->status_a : &step->status_b) = (uint16_t)status;
	if ((*retries)++ < RESCUE_RETRIES) {
		step->state = a ? STEP_WAIT_A : STEP_WAIT_B;
		return a ? RESCUE_WAIT_A : RESCUE_WAIT_B;
	}
	return fail(step,
	            a ? RESCUE_END_A | RESCUE_BYE_B : RESCUE_ACK_A_FALLBACK | RESCUE_BYE_A | RESCUE_END_B);
}

static uint32_t on_answer_a(struct rescue_step *step, int status, bool has_sdp)
{
	step->status_a = (uint16_t)status;
	if (ok(status) && has_sdp) {
		step->state = STEP_INVITE_B;
		return RESCUE_SEND_INVITE_B;
	}
	if (ok(status))
		return fail(step, RESCUE_ACK_A_FALLBACK);
	if (status == 491 && step->retries_a++ < RESCUE_RETRIES) {
		step->state = STEP_WAIT_A;
		return RESCUE_WAIT_A;
	}
	return fail(step, gone(status) ? RESCUE_END_A | RESCUE_BYE_B : 0);
}

static uint32_t on_answer_b(struct rescue_step *step, int status, bool has_sdp)
{
	step->status_b = (uint16_t)status;
	if (ok(status) && has_sdp) {
		step->state = STEP_RESCUED;
		return RESCUE_ACK_B | RESCUE_ACK_A_ANSWER | RESCUE_DONE;
	}
	if (ok(status))
		return fail(step, RESCUE_ACK_B | RESCUE_ACK_A_FALLBACK);
	if (status == 491 && step->retries_b++ < RESCUE_RETRIES) {
		step->state = STEP_WAIT_B;
		return RESCUE_WAIT_B;
	}
	return fail(step, RESCUE_ACK_A_FALLBACK | (gone(status) ? RESCUE_BYE_A | RESCUE_END_B : 0));
}

/* A leg went while the steps were under way; a 200 of A that waits is acknowledged first (RFC 3261 15). */
static uint32_t on_gone(struct rescue_step *step, bool a)
{
	bool a_waits = step->state == STEP_INVITE_B || step->state == STEP_WAIT_B;

	if (step->state == STEP_RESCUED || step->state == STEP_FAILED)
		return a ? RESCUE_BYE_B : RESCUE_BYE_A;
	return fail(step, (a_waits ? RESCUE_ACK_A_FALLBACK : 0) | (a ? RESCUE_BYE_B : RESCUE_BYE_A));
}

/* 2xx come again until their ACK arrives (RFC 3261 13.2.2.4). */
static uint32_t on_repeated(const struct rescue_step *step, enum rescue_event event, int status)
{
	if (!ok(status))
		return 0;
	if (event == RESCUE_ANSWER_B)
		return RESCUE_ACK_B;
	return step->state == STEP_RESCUED ? RESCUE_ACK_A_ANSWER : RESCUE_ACK_A_FALLBACK;
}

uint32_t rescue_step(struct rescue_step *step, enum rescue_event event, int status, bool has_sdp)
{
	if (event == RESCUE_GONE_A || event == RESCUE_GONE_B)
		return on_gone(step, event == RESCUE_GONE_A);
	if (event == RESCUE_UNREACHABLE_A || event == RESCUE_UNREACHABLE_B)
		return on_unreachable(step, event == RESCUE_UNREACHABLE_A, status);
	switch (step->state) {
	case STEP_IDLE:
		if (event != RESCUE_START)
			return 0;
		step->state = STEP_INVITE_A;
		return RESCUE_SEND_INVITE_A;
	case STEP_INVITE_A:
		return event == RESCUE_ANSWER_A && status >= 200 ? on_answer_a(step, status, has_sdp) : 0;
	case STEP_WAIT_A:
		if (event != RESCUE_RETRY)
			return 0;
		step->state = STEP_INVITE_A;
		return RESCUE_SEND_INVITE_A;
	case STEP_INVITE_B:
		return event == RESCUE_ANSWER_B && status >= 200 ? on_answer_b(step, status, has_sdp) : 0;
	case STEP_WAIT_B:
		if (event != RESCUE_RETRY)
			return 0;
		step->state = STEP_INVITE_B;
		return RESCUE_SEND_INVITE_B;
	default:
		return event == RESCUE_ANSWER_A || event == RESCUE_ANSWER_B ? on_repeated(step, event, status)
		                                                            : 0;
	}
}

int64_t rescue_retry_ns(const struct dialog *dialog, uint32_t random)
{
	/* Who sent the first INVITE chose the Call-ID. */
	if (dialog->role == DIALOG_UAC)
		return (210 + random % 191) * 10 * NS_PER_MS;
	return random % 201 * 10 * NS_PER_MS;
}
