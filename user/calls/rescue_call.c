/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The rescue of one call: carries out what rescue_step.h says, leg by leg or by
 * third-party call control, and says at the end what became of it. Which calls and
 * when is rescue.c's business.
 */
#include "rescue_agent.h"
#include "sdp.h"

#include <sofia-sip/nta_tag.h>
#include <sofia-sip/sip_header.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define A 0
#define B 1

static struct dialog *live(const struct rescue_call *call, int leg)
{
	struct dialog *d = call->leg[leg].dialog;

	return d && dialog_is_of_call(call->rescue->table, d, call->number) ? d : NULL;
}

static void steps_of_call(struct rescue_call *call, uint32_t actions, const char *reason);
static void steps_of_leg(struct rescue_leg *leg, uint32_t actions);

/* --- the end: what people are told ------------------------------------------------ */

static const char *leg_text(const struct rescue_leg *leg, char buf[40])
{
	const struct rescue_leg_step *step = &leg->step;

	if (step->state == LEG_TAKEN)
		return "took it";
	if (step->state == LEG_OVER && step->ignored)
		return "silent: over";
	if (step->state == LEG_OVER && (step->status == 481 || step->status == 408))
		snprintf(buf, 40, "gone (%u)", step->status);
	else if (step->state == LEG_OVER)
		return "hung up";
	else if (step->ignored)
		return "no answer: kept";
	else if (step->status == 401 || step->status == 407)
		snprintf(buf, 40, "wants credentials (%u): kept", step->status);
	else if (step->status)
		snprintf(buf, 40, "refused (%u): kept", step->status);
	else
		return "not asked";
	return buf;
}

static const char *text_of_3pcc(const struct rescue_call *call, char buf[CTL_TEXT_LEN])
{
	bool b = call->step.status_b;
	unsigned int status = b ? call->step.status_b : call->step.status_a;

	if (call->step.state == STEP_RESCUED)
		return "both phones took the re-INVITE";
	if (call->lost)
		return "a leg was gone: the other was hung up";
	snprintf(buf, CTL_TEXT_LEN, "%s %s (%u): both legs left as they were", b ? "callee" : "caller",
	         status < 300 ? "sent no SDP" : "refused the re-INVITE", status);
	return buf;
}

/* text NULL = as the steps went. */
static void describe(const struct rescue_call *call, const char *text, char *buf, size_t size)
{
	char a[40], b[40], both[CTL_TEXT_LEN];

	if (!text && rescue_plan_is_3pcc(call->plan))
		text = text_of_3pcc(call, both);
	else if (!text && call->leg[A].step.state == LEG_TAKEN && call->leg[B].step.state == LEG_TAKEN)
		text = "both phones took the re-INVITE";
	if (text)
		snprintf(buf, size, "%s", text);
	else
		snprintf(buf, size, "caller %s, callee %s", leg_text(&call->leg[A], a),
		         leg_text(&call->leg[B], b));
}

/* result as in struct ctl_outcome; text as in describe(). */
static void finish(struct rescue_call *call, int result, const char *text)
{
	struct rescue *rescue = call->rescue;
	bool alone = rescue_plan_is_3pcc(call->plan);
	char said[CTL_TEXT_LEN];
	int i;

	if (call->done)
		return;
	call->done = true;
	for (i = A; i <= B; i++) {
		struct dialog *d = live(call, i);

		if (d && d->state == DIALOG_RESCUING)
			dialog_set_state(rescue->table, d, DIALOG_RESCUED, rescue_now());
	}
	describe(call, text, said, sizeof(said));
	rescue_end_outcome(rescue, call->outcome, result,
	                   alone ? call->step.status_a : call->leg[A].step.status,
	                   alone ? call->step.status_b : call->leg[B].step.status, said);
	rescue->progress.last_done_ns = (uint64_t)rescue_now().ns;
	rescue_report(rescue);
}

/* --- what both kinds of steps use --------------------------------------------------- */

static void on_retry(su_root_magic_t *magic, su_timer_t *timer, su_timer_arg_t *arg)
{
	struct rescue_leg *leg = (struct rescue_leg *)arg;

	if (rescue_plan_is_3pcc(leg->call->plan))
		steps_of_call(leg->call, rescue_step(&leg->call->step, RESCUE_RETRY, 0, false), NULL);
	else
		steps_of_leg(leg, rescue_leg_step(&leg->step, LEG_EVENT_RETRY, 0, false));
}

static void arm_retry(struct rescue_leg *leg)
{
	int64_t ns = leg->dialog ? rescue_retry_ns(leg->dialog, (uint32_t)random()) : 0;

	if (!leg->retry)
		leg->retry = su_timer_create(su_root_task(leg->call->rescue->root), 0);
	if (leg->retry)
		su_timer_set_interval(leg->retry, on_retry, (su_timer_arg_t *)leg,
		                      (su_duration_t)(ns / NS_PER_MS));
}

/* No INVITE while the phone's own, or one for it, is under way (RFC 3261 14.1): put off, no retry spent. */
static bool is_busy(struct rescue_leg *leg, const struct dialog *d)
{
	if (!rescue_pass_involves(leg->call->rescue, d))
		return false;
	arm_retry(leg);
	return true;
}

static void end(struct rescue_call *call, int which)
{
	struct dialog *d = live(call, which);

	call->lost = true;
	if (d)
		dialog_set_state(call->rescue->table, d, DIALOG_ENDED, rescue_now());
}

static void bye(struct rescue_call *call, int which, const char *reason)
{
	struct dialog *d = live(call, which);

	call->lost = true;
	if (d)
		rescue_bye(call->rescue, d, reason);
}

/* True when it went out. */
static bool invite(struct rescue_leg *leg, struct dialog *d, const char *sdp, size_t len, bool again,
                   nta_response_f *answered)
{
	struct rescue *rescue = leg->call->rescue;
	char headers[RESCUE_TIMER_LEN];
	struct rescue_request request = {
	        .method = sip_method_invite,
	        .name = "INVITE",
	        .cseq = dialog_take_cseq(rescue->table, d, again ? 1 : RESCUE_CSEQ_MARGIN),
	        .body = len ? sdp : NULL,
	        .body_len = len,
	        .headers = rescue_timer_headers(rescue, d, NULL, headers),
	};

	leg->cseq = request.cseq;
	if (!mono_is_set(leg->asked))
		leg->asked = rescue_now();
	leg->invite = rescue_send_request(rescue, d, &request, answered, leg);
	if (leg->invite && !rescue->progress.first_reinvite_ns) {
		rescue->progress.first_reinvite_ns = (uint64_t)rescue_now().ns;
		rescue_report(rescue);
	}
	return leg->invite;
}

/*
 * Enters an answer into the table, but not an SDP that is none: the call's media
 * goes on with what the phone said before. False: nobody sent it.
 */
static bool hear(struct rescue *rescue, struct dialog *d, nta_outgoing_t *orq, const sip_t *sip)
{
	char before[DIALOG_SDP_LEN];
	size_t len = d ? d->sdp_in_len : 0;
	struct sdp sdp;
	bool real;

	if (len)
		memcpy(before, d->sdp_in, len);
	real = rescue_heard(rescue, d, orq, sip);
	if (len && (d->sdp_in_len != len || memcmp(before, d->sdp_in, len)) &&
	    sdp_parse(d->sdp_in, d->sdp_in_len, &sdp))
		dialog_set_sdp_in(rescue->table, d, before, len);
	return real;
}

/* A final answer that needs no ACK of ours: nta sent it. */
static void drop(struct rescue_leg *leg, nta_outgoing_t *orq)
{
	if (leg->invite == orq)
		leg->invite = NULL;
	nta_outgoing_destroy(orq);
}

/* --- each leg for itself ------------------------------------------------------------ */

static int on_leg_answer(void *magic, nta_outgoing_t *orq, const sip_t *sip)
{
	struct rescue_leg *leg = magic;
	struct rescue *rescue = leg->call->rescue;
	struct dialog *d = live(leg->call, leg == &leg->call->leg[A] ? A : B);
	int status = nta_outgoing_status(orq);
	bool real, silent;

	if (status < 200)
		return 0;
	real = hear(rescue, d, orq, sip);
	if (real && status == 422 && d)
		rescue_timer_raise(rescue, d, sip);
	if (real && (status == 401 || status == 407))
		rescue->counters.rescue_challenged++;
	if (status >= 300 || !d)
		drop(leg, orq);
	else if (leg->step.state != LEG_INVITE && leg->invite && d)
		/* hung up meanwhile: the 2xx still wants its ACK (RFC 3261 15) */
		rescue_ack(rescue, d, &leg->invite, leg->cseq, NULL, 0);
	silent = !real && d && rescue_is_silent(rescue, d, leg->asked);
	steps_of_leg(leg,
	             rescue_leg_step(&leg->step, real ? LEG_EVENT_ANSWER : LEG_EVENT_NONE, status, silent));
	return 0;
}

static void invite_leg(struct rescue_leg *leg, struct dialog *d)
{
	char sdp[DIALOG_SDP_LEN];
	int len;

	if (is_busy(leg, d)) {
		leg->step.state = LEG_WAIT;
		return;
	}
	len = rescue_sdp_again(leg->call->rescue, d, sdp, sizeof(sdp));
	if (len <= 0) {
		/* nothing that could be said again: the dialog is held, no more */
		leg->step.state = LEG_KEPT;
		steps_of_leg(leg, RESCUE_LEG_DONE);
		return;
	}
	if (!invite(leg, d, sdp, (size_t)len, leg->step.retries || leg->step.raised, on_leg_answer))
		steps_of_leg(leg, rescue_leg_step(&leg->step, LEG_EVENT_NONE, 503, false));
}

static void leg_lost(struct rescue_leg *leg)
{
	struct rescue_call *call = leg->call;
	int which = leg == &call->leg[A] ? A : B;
	char reason[RESCUE_REASON_LEN];

	snprintf(reason, sizeof(reason), "SIP;cause=%u", leg->step.status);
	end(call, which);
	bye(call, !which, reason);
	rescue_leg_step(&call->leg[!which].step, LEG_EVENT_GONE, 0, false);
}

static void leg_done(struct rescue_call *call)
{
	const struct rescue_leg *a = &call->leg[A], *b = &call->leg[B];

	if (a->step.state < LEG_TAKEN || b->step.state < LEG_TAKEN || call->done)
		return;
	call->rescue->counters.rescue_kept += (a->step.state == LEG_KEPT) + (b->step.state == LEG_KEPT);
	if (call->lost)
		finish(call, 2, NULL);
	else if (!rescue_plan_keeps(call->plan))
		finish(call, 3, rescue_plan_text(call->plan));
	else
		finish(call, 1, NULL);
}

static void steps_of_leg(struct rescue_leg *leg, uint32_t actions)
{
	struct rescue_call *call = leg->call;
	struct dialog *d = live(call, leg == &call->leg[A] ? A : B);

	if (!d && actions) {
		leg->step.state = LEG_OVER;
		actions = RESCUE_LEG_DONE;
	}
	if (actions & RESCUE_LEG_SEND)
		invite_leg(leg, d);
	if (actions & RESCUE_LEG_ACK)
		rescue_ack(call->rescue, d, &leg->invite, leg->cseq, NULL, 0);
	if (actions & RESCUE_LEG_WAIT)
		arm_retry(leg);
	if (actions & RESCUE_LEG_LOST)
		leg_lost(leg);
	if (actions & RESCUE_LEG_DONE)
		leg_done(call);
}

/* --- third-party call control --------------------------------------------------------- */

static void keep_told(struct rescue_leg *leg, const struct dialog *d)
{
	free(leg->told);
	leg->told_len = d->sdp_out_len;
	leg->told = malloc(leg->told_len + 1);
	if (leg->told)
		memcpy(leg->told, d->sdp_out, leg->told_len);
}

/* The offer was answered: taken, or it never was. */
static void settle_told(struct rescue_leg *leg, struct dialog *d, bool taken)
{
	if (leg->told && leg->told_len && d && !taken)
		rescue_sdp_refused(leg->call->rescue, d, leg->told, leg->told_len);
	free(leg->told);
	leg->told = NULL;
}

static int on_call_answer(void *magic, nta_outgoing_t *orq, const sip_t *sip)
{
	struct rescue_leg *leg = magic;
	struct rescue_call *call = leg->call;
	bool a = leg == &call->leg[A];
	int status = nta_outgoing_status(orq);
	struct dialog *d = live(call, a ? A : B);
	char reason[RESCUE_REASON_LEN];
	bool unreachable, has_sdp;

	if (status < 200)
		return 0;
	unreachable = !hear(call->rescue, d, orq, sip) && status != 408;
	if (status == 401 || status == 407)
		call->rescue->counters.rescue_challenged++;
	has_sdp = rescue_has_sdp(sip);
	settle_told(leg, d, status < 300 && has_sdp);
	if (status >= 300 || !d)
		drop(leg, orq);
	snprintf(reason, sizeof(reason), "SIP;cause=%d", status);
	if (unreachable)
		steps_of_call(call,
		              rescue_step(&call->step, a ? RESCUE_UNREACHABLE_A : RESCUE_UNREACHABLE_B,
		                          status, false),
		              reason);
	else
		steps_of_call(
		        call,
		        rescue_step(&call->step, a ? RESCUE_ANSWER_A : RESCUE_ANSWER_B, status, has_sdp),
		        reason);
	return 0;
}

static void invite_3pcc(struct rescue_call *call, int which)
{
	struct dialog *d = live(call, which), *other = live(call, !which);
	bool again = which == A ? call->step.retries_a : call->step.retries_b;
	char sdp[DIALOG_SDP_LEN];
	int len = 0;

	if (d && is_busy(&call->leg[which], d)) {
		call->step.state = which == A ? STEP_WAIT_A : STEP_WAIT_B;
		return;
	}
	if (d && other && which == B) {
		keep_told(&call->leg[B], d);
		len = rescue_sdp_across(call->rescue, d, other, false, sdp, sizeof(sdp));
	}
	if (d && other && len >= 0 && invite(&call->leg[which], d, sdp, (size_t)len, again, on_call_answer))
		return;
	/* as if the phone had refused */
	settle_told(&call->leg[which], d, false);
	steps_of_call(call,
	              rescue_step(&call->step, which == A ? RESCUE_ANSWER_A : RESCUE_ANSWER_B, 500, false),
	              NULL);
}

static void ack_3pcc(struct rescue_call *call, int which, bool answer)
{
	struct dialog *d = live(call, which), *other = live(call, !which);
	char sdp[DIALOG_SDP_LEN];
	int len = 0;

	if (!d)
		return;
	if (which == A && answer && other)
		len = rescue_sdp_across(call->rescue, d, other, true, sdp, sizeof(sdp));
	else if (which == A)
		len = rescue_sdp_fallback(call->rescue, d, sdp, sizeof(sdp));
	rescue_ack(call->rescue, d, &call->leg[which].invite, call->leg[which].cseq, len > 0 ? sdp : NULL,
	           len > 0 ? (size_t)len : 0);
}

static void steps_of_call(struct rescue_call *call, uint32_t actions, const char *reason)
{
	if (actions & RESCUE_SEND_INVITE_A)
		invite_3pcc(call, A);
	if (actions & RESCUE_SEND_INVITE_B)
		invite_3pcc(call, B);
	if (actions & RESCUE_ACK_A_ANSWER)
		ack_3pcc(call, A, true);
	if (actions & RESCUE_ACK_A_FALLBACK)
		ack_3pcc(call, A, false);
	if (actions & RESCUE_ACK_B)
		ack_3pcc(call, B, false);
	if (actions & RESCUE_BYE_A)
		bye(call, A, reason);
	if (actions & RESCUE_BYE_B)
		bye(call, B, reason);
	if (actions & RESCUE_END_A)
		end(call, A);
	if (actions & RESCUE_END_B)
		end(call, B);
	if (actions & RESCUE_WAIT_A)
		arm_retry(&call->leg[A]);
	if (actions & RESCUE_WAIT_B)
		arm_retry(&call->leg[B]);
	if (actions & RESCUE_DONE)
		finish(call, call->step.state == STEP_RESCUED ? 1 : 2, NULL);
}

/* --- begin and end ---------------------------------------------------------------------- */

/* From now on this process holds it. Each when its turn comes: all at once would keep the replica busy. */
static void take(struct rescue_call *call)
{
	struct rescue *rescue = call->rescue;
	int i;

	for (i = A; i <= B; i++) {
		struct dialog *d = live(call, i);

		if (!d)
			continue;
		dialog_set_origin(rescue->table, d, 0);
		if (dialog_is_up(d))
			dialog_set_state(rescue->table, d, DIALOG_RESCUING, rescue_now());
	}
}

void rescue_call_start(struct rescue_call *call)
{
	struct ctl_outcome *outcome = rescue_outcome_of(call->rescue, call->outcome);

	if (call->done)
		return; /* a leg went before its turn came */
	if (outcome)
		outcome->started_ns = (uint64_t)rescue_now().ns;
	take(call);
	if (call->plan == PLAN_hang_up) {
		bye(call, A, NULL);
		finish(call, 3, "one phone had hung up: BYE to the other");
	} else if (call->plan == PLAN_rejoin) {
		if (!live(call, A) || !rescue_join_start(call->rescue, live(call, A)))
			finish(call, 2, "could not be joined to the server");
	} else if (rescue_plan_is_3pcc(call->plan)) {
		steps_of_call(call, rescue_step(&call->step, RESCUE_START, 0, false), NULL);
	} else {
		steps_of_leg(&call->leg[A], rescue_leg_step(&call->leg[A].step, LEG_EVENT_START, 0, false));
		steps_of_leg(&call->leg[B], rescue_leg_step(&call->leg[B].step, LEG_EVENT_START, 0, false));
	}
}

void rescue_call_gone(struct rescue_call *call, const struct dialog *dialog, const char *reason)
{
	bool a = call->leg[A].dialog == dialog;

	if (call->plan == PLAN_rejoin) {
		rescue_join_leg_gone(call->rescue, call->leg[A].dialog);
		finish(call, 2, "the phone hung up");
	} else if (rescue_plan_is_3pcc(call->plan)) {
		steps_of_call(call, rescue_step(&call->step, a ? RESCUE_GONE_A : RESCUE_GONE_B, 0, false),
		              reason);
	} else {
		bye(call, a ? B : A, reason);
		rescue_leg_step(&call->leg[A].step, LEG_EVENT_GONE, 0, false);
		rescue_leg_step(&call->leg[B].step, LEG_EVENT_GONE, 0, false);
		finish(call, 2, "a phone hung up: BYE to the other");
	}
}

void rescue_call_joined(struct rescue *rescue, struct dialog *dialog, bool joined, int status,
                        const char *text)
{
	struct rescue_call *call = rescue_call_of(rescue, dialog);

	if (!call || call->plan != PLAN_rejoin)
		return;
	call->leg[A].step.status = (uint16_t)status;
	finish(call, joined ? 1 : 2, text);
}

void rescue_call_forget(struct rescue_call *call)
{
	int i;

	for (i = A; i <= B; i++) {
		if (call->leg[i].retry)
			su_timer_destroy(call->leg[i].retry);
		call->leg[i].retry = NULL;
		free(call->leg[i].told);
		call->leg[i].told = NULL;
	}
}
