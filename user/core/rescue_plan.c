/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a takeover does with a call: the decision, the pace and the steps. Pure; see rescue_plan.h. */
#include "rescue_plan.h"
#include "sdp.h"

#include <string.h>

const char *rescue_plan_text(enum rescue_plan plan)
{
	static const char *const texts[] = {
#define X(name, text) text,
	        RESCUE_PLANS(X)
#undef X
	};

	return plan < sizeof(texts) / sizeof(texts[0]) ? texts[plan] : "";
}

const char *rescue_plan_name(enum rescue_plan plan)
{
	static const char *const names[] = {
#define X(name, text) #name,
	        RESCUE_PLANS(X)
#undef X
	};

	return plan < sizeof(names) / sizeof(names[0]) ? names[plan] : "";
}

static const struct sdp_media *first_active(const struct sdp *sdp)
{
	uint32_t i;

	for (i = 0; i < sdp->n_media && i < SDP_MEDIA; i++)
		if (sdp->media[i].port)
			return &sdp->media[i];
	return NULL;
}

static enum rescue_plan plan_of_media(const struct dialog *a, const struct dialog *b)
{
	const struct sdp_media *ma, *mb;
	struct sdp sa, sb;

	if (sdp_parse(a->sdp_in, a->sdp_in_len, &sa) || sdp_parse(b->sdp_in, b->sdp_in_len, &sb))
		return PLAN_no_sdp;
	ma = first_active(&sa);
	mb = first_active(&sb);
	if (!ma || !mb)
		return PLAN_no_sdp;
	if (ma->fingerprint || mb->fingerprint)
		return PLAN_dtls;
	if (strcmp(ma->proto, mb->proto))
		return PLAN_profile;
	return PLAN_agent;
}

static enum rescue_plan decide(struct dialog_table *table, const struct dialog *d, const struct dialog *peer)
{
	struct dialog *other = dialog_find(table, d->service, d->call_id, d->remote_tag, d->local_tag);

	if (d->state == DIALOG_ENDED)
		return PLAN_ended;
	if (d->state == DIALOG_EARLY)
		return PLAN_early;
	if (other && other != d)
		return PLAN_proxied; /* the same dialog comes in on one side and leaves on the other */
	if (d->paired == PAIRED_AMBIGUOUS)
		return PLAN_ambiguous;
	if (!peer)
		return PLAN_single_leg;
	if (peer->state == DIALOG_EARLY)
		return PLAN_peer_early;
	if (!d->remote_target[0])
		return PLAN_no_target;
	if (d->flags & DIALOG_TRUNCATED)
		return PLAN_truncated;
	if (peer->state == DIALOG_ENDED)
		return PLAN_hang_up;
	if (!peer->remote_target[0])
		return PLAN_no_target;
	if (peer->flags & DIALOG_TRUNCATED)
		return PLAN_truncated;
	return plan_of_media(d, peer);
}

enum rescue_plan rescue_plan_of(struct dialog_table *table, const struct dialog *dialog)
{
	const struct dialog *peer = dialog_peer(table, dialog);
	struct dialog_memo *memo = dialog_memo(table, dialog);
	uint64_t peer_version = peer ? peer->version : 0;

	/* version 0: half-open, never remembered */
	if (dialog->version && memo->version == dialog->version && memo->peer_version == peer_version)
		return memo->value;
	*memo = (struct dialog_memo){dialog->version, peer_version, (uint8_t)decide(table, dialog, peer)};
	/* A call that can be rescued can be from either leg: the media is looked at once. */
	if (peer && memo->value == PLAN_agent)
		*dialog_memo(table, peer) = (struct dialog_memo){peer_version, dialog->version, PLAN_agent};
	return memo->value;
}

void rescue_plan_counts(struct dialog_table *table, uint8_t service, struct rescue_counts *ret)
{
	struct rescue_counts counts = {0};
	uint32_t paired = 0, agent = 0;
	struct dialog *d = NULL;

	while ((d = dialog_older(table, d))) {
		if (d->service != service || d->state == DIALOG_ENDED || dialog_is_half_open(d))
			continue;
		counts.dialogs++;
		if (!dialog_is_up(d))
			continue;
		if (dialog_peer(table, d))
			paired++;
		else
			counts.calls++;
		agent += rescue_plan_of(table, d) == PLAN_agent;
	}
	counts.calls += (paired + 1) / 2;
	counts.rescuable = agent / 2;
	*ret = counts;
}

static int64_t token_ns(const struct rescue_pace *pace)
{
	return NS_PER_S / pace->rate;
}

static int64_t bucket_ns(const struct rescue_pace *pace)
{
	return pace->rate < 20 ? token_ns(pace) : token_ns(pace) * (pace->rate / 20);
}

void rescue_pace_init(struct rescue_pace *pace, uint32_t rate, struct mono now)
{
	*pace = (struct rescue_pace){.rate = rate ? rate : 1, .filled = now};
	pace->tokens_ns = bucket_ns(pace);
}

bool rescue_pace_take(struct rescue_pace *pace, struct mono now)
{
	if (mono_before(pace->filled, now)) {
		int64_t since = mono_diff(now, pace->filled), room = bucket_ns(pace) - pace->tokens_ns;

		pace->tokens_ns += since < room ? since : room;
		pace->filled = now;
	}
	if (pace->tokens_ns < token_ns(pace))
		return false;
	pace->tokens_ns -= token_ns(pace);
	return true;
}

static uint32_t fail(struct rescue_step *step, uint32_t actions)
{
	step->state = STEP_FAILED;
	return actions | RESCUE_DONE;
}

static bool ok(int status)
{
	return status >= 200 && status < 300;
}

/* RFC 3261 12.2.1.2: these mean that the phone has no such dialog. */
static bool gone(int status)
{
	return status == 481 || status == 408;
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
