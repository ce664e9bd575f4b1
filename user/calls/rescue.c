/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The rescue of a service's calls after a takeover: which ones, how fast, and the
 * steps of each (rescue_plan.h has the machine). Owns the agent on the VIP's
 * rescue port. All of a call's dialog state is in the table; what is kept here
 * about a call lasts only for the rescue itself.
 */
#include "addr.h"
#include "rescue_agent.h"

#include <errno.h>
#include <sofia-sip/nta_tag.h>
#include <sofia-sip/sip_status.h>
#include <sofia-sip/su_tagarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BIND_RETRY_MS 1000
#define PACE_MS       5

#define A 0
#define B 1

static void report(struct rescue *rescue)
{
	if (rescue->callbacks.progress)
		rescue->callbacks.progress(rescue->context, &rescue->progress);
}

static struct ctl_outcome *outcome_of(struct rescue *rescue, uint64_t number)
{
	if (number + RESCUE_OUTCOMES < rescue->n_outcomes)
		return NULL; /* overwritten by newer ones */
	return &rescue->outcomes[number % RESCUE_OUTCOMES];
}

static uint64_t new_outcome(struct rescue *rescue, const struct dialog *dialog)
{
	struct ctl_outcome *outcome = &rescue->outcomes[rescue->n_outcomes % RESCUE_OUTCOMES];

	*outcome = (struct ctl_outcome){
	        .epoch = rescue->progress.epoch,
	        .call = dialog->call,
	};
	snprintf(outcome->service, sizeof(outcome->service), "%s", rescue->conf.name);
	snprintf(outcome->call_id, sizeof(outcome->call_id), "%.*s", CTL_TEXT_LEN - 1, dialog->call_id);
	return rescue->n_outcomes++;
}

const struct ctl_outcome *rescue_outcome(const struct rescue *rescue, uint32_t i)
{
	uint64_t first = rescue->n_outcomes > RESCUE_OUTCOMES ? rescue->n_outcomes - RESCUE_OUTCOMES : 0;

	return first + i < rescue->n_outcomes ? &rescue->outcomes[(first + i) % RESCUE_OUTCOMES] : NULL;
}

const struct rescue_counters *rescue_counters(const struct rescue *rescue)
{
	return &rescue->counters;
}

/* --- the steps of one call ------------------------------------------------------- */

static struct dialog *live(struct rescue_call *call, int leg)
{
	struct dialog *d = call->leg[leg].dialog;

	return dialog_is_of_call(call->rescue->table, d, call->number) ? d : NULL;
}

static void act(struct rescue_call *call, uint32_t actions);

static void on_retry(su_root_magic_t *magic, su_timer_t *timer, su_timer_arg_t *arg)
{
	struct rescue_call *call = (struct rescue_call *)arg;

	act(call, rescue_step(&call->step, RESCUE_RETRY, 0, false));
}

static void arm_retry(struct rescue_call *call, int leg)
{
	struct dialog *d = live(call, leg);
	int64_t ns = d ? rescue_retry_ns(d, (uint32_t)random()) : 0;

	if (!call->retry)
		call->retry = su_timer_create(su_root_task(call->rescue->root), 0);
	if (call->retry)
		su_timer_set_interval(call->retry, on_retry, (su_timer_arg_t *)call,
		                      (su_duration_t)(ns / NS_PER_MS));
}

static int on_invite_answer(void *magic, nta_outgoing_t *orq, const sip_t *sip)
{
	struct rescue_leg *leg = magic;
	struct rescue_call *call = leg->call;
	int which = leg == &call->leg[A] ? A : B;
	int status = nta_outgoing_status(orq);
	struct dialog *d = live(call, which);
	bool unreachable;

	if (status < 200)
		return 0;
	unreachable = !rescue_heard(call->rescue, d, orq, sip) && status != 408;
	if (status >= 300) {
		leg->invite = NULL;
		nta_outgoing_destroy(orq);
	}
	if (unreachable) {
		act(call, rescue_step(&call->step, which == A ? RESCUE_UNREACHABLE_A : RESCUE_UNREACHABLE_B,
		                      status, false));
		return 0;
	}
	act(call, rescue_step(&call->step, which == A ? RESCUE_ANSWER_A : RESCUE_ANSWER_B, status,
	                      rescue_has_sdp(sip)));
	return 0;
}

static void send_invite(struct rescue_call *call, int which)
{
	struct rescue *rescue = call->rescue;
	struct dialog *d = live(call, which), *other = live(call, !which);
	struct rescue_leg *leg = &call->leg[which];
	char sdp[DIALOG_SDP_LEN];
	int len = 0;

	if (d && other && which == B)
		len = rescue_sdp_across(rescue, d, other, false, sdp, sizeof(sdp));
	if (d && other && len >= 0) {
		bool first = !call->step.retries_a && !call->step.retries_b;

		leg->cseq = dialog_take_cseq(rescue->table, d, first ? RESCUE_CSEQ_MARGIN : 1);
		leg->invite = rescue_send(rescue, d, SIP_METHOD_INVITE, leg->cseq, len ? sdp : NULL,
		                          (size_t)len, on_invite_answer, leg);
	}
	if (!leg->invite) {
		/* as if the phone had refused */
		act(call,
		    rescue_step(&call->step, which == A ? RESCUE_ANSWER_A : RESCUE_ANSWER_B, 500, false));
		return;
	}
	if (!rescue->progress.first_reinvite_ns) {
		rescue->progress.first_reinvite_ns = (uint64_t)rescue_now().ns;
		report(rescue);
	}
}

static void ack(struct rescue_call *call, int which, bool answer)
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

static void end(struct rescue_call *call, int which)
{
	struct dialog *d = live(call, which);

	if (d)
		dialog_set_state(call->rescue->table, d, DIALOG_ENDED, rescue_now());
}

static void bye(struct rescue_call *call, int which)
{
	struct dialog *d = live(call, which);

	if (d)
		rescue_bye(call->rescue, d, NULL);
}

static void describe(struct rescue_call *call, struct ctl_outcome *outcome)
{
	const char *why = "";

	if (call->step.state == STEP_RESCUED)
		why = "both phones took the re-INVITE";
	else if (call->hang_up)
		why = "one phone had hung up: BYE to the other";
	else if (call->leg[A].dialog->state == DIALOG_ENDED || call->leg[B].dialog->state == DIALOG_ENDED)
		why = "a leg was gone: the other was hung up";
	else
		why = "re-INVITE refused: both legs left as they were";
	snprintf(outcome->text, sizeof(outcome->text), "%s", why);
}

static void finish(struct rescue_call *call)
{
	struct rescue *rescue = call->rescue;
	bool rescued = call->step.state == STEP_RESCUED;
	struct ctl_outcome *outcome = outcome_of(rescue, call->outcome);
	int i;

	if (call->done)
		return;
	call->done = true;
	for (i = A; i <= B; i++) {
		struct dialog *d = live(call, i);

		if (d && dialog_is_up(d))
			dialog_set_state(rescue->table, d, rescued ? DIALOG_RESCUED : DIALOG_CONFIRMED,
			                 rescue_now());
	}
	if (call->retry)
		su_timer_destroy(call->retry);
	call->retry = NULL;
	rescue->progress.last_done_ns = (uint64_t)rescue_now().ns;
	if (outcome) {
		outcome->result = call->hang_up ? 3 : rescued ? 1 : 2;
		outcome->status_a = call->step.status_a;
		outcome->status_b = call->step.status_b;
		outcome->done_ns = rescue->progress.last_done_ns;
		describe(call, outcome);
	}
	if (call->hang_up) {
		rescue->progress.skipped++;
		rescue->counters.rescue_skipped++;
	} else if (rescued) {
		rescue->progress.rescued++;
		rescue->counters.rescue_rescued++;
	} else {
		rescue->progress.failed++;
		rescue->counters.rescue_failed++;
	}
	report(rescue);
}

static void act(struct rescue_call *call, uint32_t actions)
{
	if (actions & RESCUE_SEND_INVITE_A)
		send_invite(call, A);
	if (actions & RESCUE_SEND_INVITE_B)
		send_invite(call, B);
	if (actions & RESCUE_ACK_A_ANSWER)
		ack(call, A, true);
	if (actions & RESCUE_ACK_A_FALLBACK)
		ack(call, A, false);
	if (actions & RESCUE_ACK_B)
		ack(call, B, false);
	if (actions & RESCUE_BYE_A)
		bye(call, A);
	if (actions & RESCUE_BYE_B)
		bye(call, B);
	if (actions & RESCUE_END_A)
		end(call, A);
	if (actions & RESCUE_END_B)
		end(call, B);
	if (actions & RESCUE_WAIT_A)
		arm_retry(call, A);
	if (actions & RESCUE_WAIT_B)
		arm_retry(call, B);
	if (actions & RESCUE_DONE)
		finish(call);
}

/* --- which calls, how fast --------------------------------------------------------- */

static struct rescue_call *call_of(const struct rescue *rescue, const struct dialog *dialog)
{
	uint32_t i = rescue->call_of[dialog - rescue->table->dialogs];

	if (!i || rescue->calls[i - 1].number != dialog->call)
		return NULL;
	return &rescue->calls[i - 1];
}

bool rescue_is_under_way(const struct rescue *rescue, const struct dialog *dialog)
{
	const struct rescue_call *call = call_of(rescue, dialog);

	return call && !call->done;
}

void rescue_leg_gone(struct rescue *rescue, struct dialog *dialog, const char *reason)
{
	struct rescue_call *call = call_of(rescue, dialog);
	struct dialog *other = dialog_peer(rescue->table, dialog);

	if (call && !call->done) {
		act(call,
		    rescue_step(&call->step, call->leg[A].dialog == dialog ? RESCUE_GONE_A : RESCUE_GONE_B, 0,
		                false));
		return;
	}
	if (!other || !dialog_is_up(other))
		return;
	rescue->counters.rescue_passed_bye++;
	rescue_bye(rescue, other, reason);
}

void rescue_leg_lost(struct rescue *rescue, struct dialog *dialog, int status)
{
	char reason[RESCUE_REASON_LEN];

	snprintf(reason, sizeof(reason), "SIP;cause=%d", status);
	dialog_set_state(rescue->table, dialog, DIALOG_ENDED, rescue_now());
	rescue_leg_gone(rescue, dialog, reason);
}

void rescue_note(struct rescue *rescue, struct dialog *dialog)
{
	struct dialog *other = dialog_peer(rescue->table, dialog);

	if (dialog->service != rescue->conf.head.service || dialog->state != DIALOG_ENDED)
		return;
	/* Calls of the server that runs here now end by its own doing. */
	if (rescue_is_under_way(rescue, dialog) ||
	    (other && (other->state == DIALOG_RESCUING || other->state == DIALOG_RESCUED)))
		rescue_leg_gone(rescue, dialog, NULL);
}

/* Each when its turn comes: to mark all at once would send the whole table to the peer first. */
static void mark_rescuing(struct rescue_call *call)
{
	int i;

	for (i = A; i <= B; i++) {
		struct dialog *d = live(call, i);

		if (d && dialog_is_up(d))
			dialog_set_state(call->rescue->table, d, DIALOG_RESCUING, rescue_now());
	}
}

static void start_call(struct rescue_call *call)
{
	struct ctl_outcome *outcome = outcome_of(call->rescue, call->outcome);

	if (call->done)
		return; /* a leg went before its turn came */
	if (outcome)
		outcome->started_ns = (uint64_t)rescue_now().ns;
	if (call->hang_up) {
		bye(call, A);
		finish(call);
		return;
	}
	mark_rescuing(call);
	act(call, rescue_step(&call->step, RESCUE_START, 0, false));
}

static void on_pace(su_root_magic_t *magic, su_timer_t *timer, su_timer_arg_t *arg)
{
	struct rescue *rescue = (struct rescue *)arg;

	while (rescue->running && rescue->agent && rescue->next_call < rescue->n_calls &&
	       rescue_pace_take(&rescue->pace, rescue_now()))
		start_call(&rescue->calls[rescue->next_call++]);
	if (rescue->running && rescue->next_call < rescue->n_calls)
		su_timer_set_interval(rescue->pace_timer, on_pace, (su_timer_arg_t *)rescue, PACE_MS);
}

static void enter(struct rescue *rescue, struct dialog *a, struct dialog *b, bool hang_up)
{
	struct rescue_call *call = &rescue->calls[rescue->n_calls++];

	*call = (struct rescue_call){
	        .rescue = rescue,
	        .number = a->call,
	        .leg = {{.call = call, .dialog = a}, {.call = call, .dialog = b}},
	        .hang_up = hang_up,
	        .outcome = new_outcome(rescue, a),
	};
	rescue->call_of[a - rescue->table->dialogs] = rescue->n_calls;
	rescue->call_of[b - rescue->table->dialogs] = rescue->n_calls;
	rescue->progress.calls++;
}

static void skip(struct rescue *rescue, struct dialog *dialog, enum rescue_plan plan)
{
	struct ctl_outcome *outcome = outcome_of(rescue, new_outcome(rescue, dialog));

	outcome->result = 3;
	outcome->started_ns = outcome->done_ns = (uint64_t)rescue_now().ns;
	snprintf(outcome->text, sizeof(outcome->text), "%s", rescue_plan_text(plan));
	rescue->progress.calls++;
	rescue->progress.skipped++;
	rescue->counters.rescue_skipped++;
}

/* Leg A is the one that called; of two that the server called, the first. */
static bool is_leg_a(const struct dialog *d, const struct dialog *peer)
{
	if (d->role != peer->role)
		return d->role == DIALOG_UAS;
	return d->at_invite.ns < peer->at_invite.ns || (d->at_invite.ns == peer->at_invite.ns && d < peer);
}

static void plan_calls(struct rescue *rescue)
{
	struct dialog *d = NULL, *peer;

	while ((d = dialog_next(rescue->table, d)) && rescue->n_calls < rescue->max_calls) {
		enum rescue_plan plan;

		if (d->service != rescue->conf.head.service || !dialog_is_up(d))
			continue;
		plan = rescue_plan_of(rescue->table, d);
		peer = dialog_peer(rescue->table, d);
		if (plan == PLAN_hang_up)
			enter(rescue, d, peer, true);
		else if (plan == PLAN_agent && is_leg_a(d, peer))
			enter(rescue, d, peer, false);
		else if (plan != PLAN_agent && (!peer || !dialog_is_up(peer) || is_leg_a(d, peer)))
			skip(rescue, d, plan);
	}
}

/* --- the agent ------------------------------------------------------------------- */

static void forget_calls(struct rescue *rescue)
{
	uint32_t i;

	for (i = 0; i < rescue->n_calls; i++)
		if (rescue->calls[i].retry)
			su_timer_destroy(rescue->calls[i].retry);
	memset(rescue->call_of, 0, rescue->table->max * sizeof(*rescue->call_of));
	rescue->n_calls = rescue->next_call = 0;
}

static void close_agent(struct rescue *rescue)
{
	rescue_ring_stop(rescue);
	rescue_join_stop(rescue);
	rescue_pass_forget_all(rescue);
	if (rescue->leg)
		nta_leg_destroy(rescue->leg);
	if (rescue->agent)
		nta_agent_destroy(rescue->agent);
	rescue->leg = NULL;
	rescue->agent = NULL;
}

/* Ringing and joined calls know their own; the rest is in a dialog, or is refused. */
static int on_request(struct rescue *rescue, nta_leg_t *leg, nta_incoming_t *irq, const sip_t *sip)
{
	if (rescue_ring_request(rescue, irq, sip) || rescue_join_request(rescue, irq, sip))
		return 0;
	return rescue_on_request(rescue, leg, irq, sip);
}

/* Only responses without a transaction come here: requests have the default leg. */
static int on_stray(struct rescue *rescue, nta_agent_t *agent, msg_t *msg, sip_t *sip)
{
	if (sip && sip->sip_status && !rescue_ring_response(rescue, msg, sip) &&
	    !rescue_pass_response(rescue, msg, sip))
		rescue->counters.rescue_stray_response++;
	msg_destroy(msg);
	return 0;
}

static void name_agent(struct rescue *rescue, const char *host)
{
	uint16_t port = rescue->conf.sip_port ? rescue->conf.sip_port : rescue->conf.rescue_port;

	snprintf(rescue->contact, sizeof(rescue->contact), "<sip:sipflip@%s:%u>", host, port);
	snprintf(rescue->via, sizeof(rescue->via), "SIP/2.0/UDP %s:%u", host, port);
}

static int open_agent(struct rescue *rescue)
{
	char host[ADDR_TEXT_LEN + 2], url[96];
	bool v4 = addr_is_v4(&rescue->conf.vip);

	addr_format(&rescue->conf.vip, rescue->vip);
	snprintf(host, sizeof(host), "%s%s%s", v4 ? "" : "[", rescue->vip, v4 ? "" : "]");
	snprintf(url, sizeof(url), "sip:%s:%u;transport=udp", host, rescue->conf.rescue_port);
	name_agent(rescue, host);
	errno = 0;
	rescue->agent = nta_agent_create(rescue->root, (url_string_t *)url, on_stray, rescue, NTATAG_UA(1),
	                                 NTATAG_USE_NAPTR(0), NTATAG_USE_SRV(0), TAG_END());
	if (!rescue->agent)
		return errno ? -errno : -EADDRNOTAVAIL;
	rescue->leg = nta_leg_tcreate(rescue->agent, on_request, rescue, NTATAG_NO_DIALOG(1), TAG_END());
	if (!rescue->leg) {
		close_agent(rescue);
		return -ENOMEM;
	}
	return 0;
}

static void on_bind(su_root_magic_t *magic, su_timer_t *timer, su_timer_arg_t *arg)
{
	struct rescue *rescue = (struct rescue *)arg;
	int err = open_agent(rescue);

	if (rescue->callbacks.bound)
		rescue->callbacks.bound(rescue->context, err);
	if (err)
		su_timer_set_interval(rescue->bind_timer, on_bind, arg, BIND_RETRY_MS);
	else
		on_pace(NULL, NULL, arg);
}

int rescue_new(su_root_t *root, const struct keeper_conf *conf, struct track *track,
               const struct rescue_callbacks *callbacks, void *context, struct rescue **ret)
{
	struct rescue *rescue = calloc(1, sizeof(*rescue));

	if (!rescue)
		return -ENOMEM;
	rescue->root = root;
	rescue->conf = *conf;
	rescue->track = track;
	rescue->table = track->table;
	rescue->callbacks = *callbacks;
	rescue->context = context;
	rescue->max_calls = track->table->max;
	rescue->calls = calloc(rescue->max_calls, sizeof(*rescue->calls));
	rescue->call_of = calloc(track->table->max, sizeof(*rescue->call_of));
	rescue->bind_timer = su_timer_create(su_root_task(root), BIND_RETRY_MS);
	rescue->pace_timer = su_timer_create(su_root_task(root), PACE_MS);
	if (!rescue->calls || !rescue->call_of || !rescue->bind_timer || !rescue->pace_timer ||
	    rescue_pass_new(rescue)) {
		rescue_free(rescue);
		return -ENOMEM;
	}
	on_bind(NULL, NULL, (su_timer_arg_t *)rescue);
	*ret = rescue;
	return 0;
}

void rescue_free(struct rescue *rescue)
{
	if (!rescue)
		return;
	if (rescue->call_of)
		forget_calls(rescue);
	if (rescue->passes)
		close_agent(rescue);
	rescue_pass_free(rescue);
	if (rescue->bind_timer)
		su_timer_destroy(rescue->bind_timer);
	if (rescue->pace_timer)
		su_timer_destroy(rescue->pace_timer);
	free(rescue->calls);
	free(rescue->call_of);
	free(rescue);
}

void rescue_set_media(struct rescue *rescue, struct media *media)
{
	rescue->media = media;
}

void rescue_resume(struct rescue *rescue, uint64_t epoch, struct mono now)
{
	rescue->progress.epoch = epoch;
	rescue->running = true;
}

void rescue_start(struct rescue *rescue, uint64_t epoch, uint64_t flipped_ns, struct mono now)
{
	if (rescue->running)
		rescue_stop(rescue);
	rescue->progress = (struct keeper_rescue){.epoch = epoch};
	rescue->running = true;
	if (rescue->conf.rescue_mode != RESCUE_AGENT)
		return;
	plan_calls(rescue);
	rescue_pace_init(&rescue->pace, rescue->conf.rescue_rate, now);
	report(rescue);
	on_pace(NULL, NULL, (su_timer_arg_t *)rescue);
}

void rescue_stop(struct rescue *rescue)
{
	if (!rescue->running)
		return;
	rescue->running = false;
	su_timer_reset(rescue->pace_timer);
	forget_calls(rescue);
	/* With the agent go its transactions: none of them may be repeated by a node that does not own. */
	if (rescue->agent) {
		close_agent(rescue);
		on_bind(NULL, NULL, (su_timer_arg_t *)rescue);
	}
}
