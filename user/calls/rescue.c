/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The rescue of a service's calls after a takeover: which ones, in what order and
 * how fast; rescue_call.c has the steps of each. Owns the agent on the VIP's rescue
 * port. All of a call's dialog state is in the table; what is kept here about a
 * call lasts only for the rescue itself.
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
#define SECOND_MS     1000

/*
 * Calls that the relay carries wait so long: before, nobody can know whose media is
 * silent, and those come first.
 */
#define SETTLE_NS (100 * NS_PER_MS)

/* What comes first. */
enum order {
	ORDER_SILENT = 0, /* nothing is heard until the phones were asked */
	ORDER_HANG_UP,
	ORDER_OTHERS, /* oldest first */
	ORDER_RELAY,  /* not settled yet whether it is silent */
};

void rescue_report(struct rescue *rescue)
{
	if (rescue->callbacks.progress)
		rescue->callbacks.progress(rescue->context, &rescue->progress);
}

struct ctl_outcome *rescue_outcome_of(struct rescue *rescue, uint64_t number)
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

struct rescue_call *rescue_call_of(const struct rescue *rescue, const struct dialog *dialog)
{
	uint32_t i = rescue->call_of[dialog - rescue->table->dialogs];

	if (!i || rescue->calls[i - 1].number != dialog->call)
		return NULL;
	return &rescue->calls[i - 1];
}

bool rescue_is_under_way(const struct rescue *rescue, const struct dialog *dialog)
{
	const struct rescue_call *call = rescue_call_of(rescue, dialog);

	return call && !call->done;
}

bool rescue_is_silent(struct rescue *rescue, const struct dialog *dialog, struct mono since)
{
	if (rescue->callbacks.silent)
		return rescue->callbacks.silent(rescue->context, dialog, since);
	return rescue->media && media_is_silent(rescue->media, dialog, since);
}

/* --- legs that end -------------------------------------------------------------- */

void rescue_leg_gone(struct rescue *rescue, struct dialog *dialog, const char *reason)
{
	struct rescue_call *call = rescue_call_of(rescue, dialog);
	struct dialog *other = dialog_peer(rescue->table, dialog);

	if (call && !call->done) {
		rescue_call_gone(call, dialog, reason);
		return;
	}
	if (rescue_join_leg_gone(rescue, dialog) || !other || !dialog_is_up(other))
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

/* --- which calls, in what order ----------------------------------------------------- */

static uint8_t order_of(struct rescue *rescue, const struct rescue_call *call)
{
	if (call->plan == PLAN_hang_up)
		return ORDER_HANG_UP;
	if (rescue_plan_is_3pcc(call->plan) || call->plan == PLAN_rejoin)
		return ORDER_SILENT;
	if (!rescue->settled)
		return ORDER_RELAY;
	if (rescue_is_silent(rescue, call->leg[0].dialog, rescue->since) ||
	    rescue_is_silent(rescue, call->leg[1].dialog, rescue->since))
		return ORDER_SILENT;
	return ORDER_OTHERS;
}

static int compare_turns(const void *x, const void *y, void *arg)
{
	const struct rescue_call *calls = arg, *a = &calls[*(const uint32_t *)x],
	                         *b = &calls[*(const uint32_t *)y];
	int64_t age = mono_diff(a->leg[0].dialog->at_answer, b->leg[0].dialog->at_answer);

	if (a->order != b->order)
		return a->order < b->order ? -1 : 1;
	return age < 0 ? -1 : age > 0;
}

static void sort_turns(struct rescue *rescue)
{
	uint32_t i;

	for (i = rescue->next_call; i < rescue->n_calls; i++) {
		struct rescue_call *call = &rescue->calls[rescue->order[i]];

		call->order = order_of(rescue, call);
	}
	qsort_r(rescue->order + rescue->next_call, rescue->n_calls - rescue->next_call,
	        sizeof(*rescue->order), compare_turns, rescue->calls);
}

static void enter(struct rescue *rescue, struct dialog *a, struct dialog *b, enum rescue_plan plan)
{
	uint32_t i = rescue->n_calls++;
	struct rescue_call *call = &rescue->calls[i];

	*call = (struct rescue_call){
	        .rescue = rescue,
	        .number = a->call,
	        .leg = {{.call = call, .dialog = a}, {.call = call, .dialog = b}},
	        .plan = (uint8_t)plan,
	        .outcome = new_outcome(rescue, a),
	};
	rescue->order[i] = i;
	rescue->call_of[a - rescue->table->dialogs] = i + 1;
	if (b)
		rescue->call_of[b - rescue->table->dialogs] = i + 1;
	rescue->progress.calls++;
}

/* Nothing can be done for its media or for finding its phones; what they send is answered all the same. */
static void skip(struct rescue *rescue, struct dialog *dialog, struct dialog *peer, enum rescue_plan plan)
{
	struct ctl_outcome *outcome = rescue_outcome_of(rescue, new_outcome(rescue, dialog));

	outcome->result = 3;
	outcome->started_ns = outcome->done_ns = (uint64_t)rescue_now().ns;
	snprintf(outcome->text, sizeof(outcome->text), "%s", rescue_plan_text(plan));
	dialog_set_origin(rescue->table, dialog, 0);
	if (peer)
		dialog_set_origin(rescue->table, peer, 0);
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

static void consider(struct rescue *rescue, struct dialog *d)
{
	enum rescue_plan plan = rescue_plan_of(rescue->table, d, &rescue->policy);
	struct dialog *peer = dialog_peer(rescue->table, d);

	switch (plan) {
	case PLAN_hang_up:
		enter(rescue, d, peer, plan);
		break;
	case PLAN_rejoin:
		enter(rescue, d, NULL, plan);
		break;
	case PLAN_ringing: /* rescue_ring.c */
	case PLAN_proxied: /* the server that runs here forwards it like the one before */
	case PLAN_off:
	case PLAN_server:
	case PLAN_ended:
		break;
	default:
		if (rescue_plan_is_3pcc(plan) || rescue_plan_is_per_leg(plan)) {
			if (is_leg_a(d, peer))
				enter(rescue, d, peer, plan);
		} else if (!peer || !dialog_is_up(peer) || is_leg_a(d, peer)) {
			skip(rescue, d, peer, plan);
		}
	}
}

static bool is_local(const struct rescue *rescue, const struct dialog *d)
{
	return d->origin && d->origin == rescue->table->origin;
}

/* Some server's that is not there any more, or left half-way by an agent that died. */
static bool is_orphan(const struct rescue *rescue, const struct dialog *d)
{
	return (d->origin && !is_local(rescue, d)) || d->state == DIALOG_RESCUING;
}

static void plan_calls(struct rescue *rescue, bool only_orphans)
{
	struct dialog *d = NULL;

	while ((d = dialog_next(rescue->table, d)) && rescue->n_calls < rescue->max_calls) {
		if (d->service != rescue->conf.head.service || !dialog_is_up(d) || is_local(rescue, d) ||
		    rescue_is_under_way(rescue, d))
			continue;
		if (!only_orphans || is_orphan(rescue, d))
			consider(rescue, d);
	}
}

/* --- how fast ------------------------------------------------------------------------ */

static void settle(struct rescue *rescue, struct mono now)
{
	if (rescue->settled || mono_before(now, rescue->settle))
		return;
	rescue->settled = true;
	sort_turns(rescue);
}

static void on_pace(su_root_magic_t *magic, su_timer_t *timer, su_timer_arg_t *arg)
{
	struct rescue *rescue = (struct rescue *)arg;

	if (!rescue->running)
		return;
	settle(rescue, rescue_now());
	while (rescue->agent && rescue->next_call < rescue->n_calls) {
		struct rescue_call *call = &rescue->calls[rescue->order[rescue->next_call]];

		if (call->order == ORDER_RELAY || !rescue_pace_take(&rescue->pace, rescue_now()))
			break;
		rescue->next_call++;
		rescue_call_start(call);
	}
	if (rescue->next_call < rescue->n_calls)
		su_timer_set_interval(rescue->pace_timer, on_pace, arg, PACE_MS);
}

static void forget_calls(struct rescue *rescue)
{
	uint32_t i;

	for (i = 0; i < rescue->n_calls; i++)
		rescue_call_forget(&rescue->calls[i]);
	memset(rescue->call_of, 0, rescue->table->max * sizeof(*rescue->call_of));
	rescue->n_calls = rescue->next_call = 0;
}

/* The places of a rescue that is over are free for the next one. */
static void make_room(struct rescue *rescue)
{
	uint32_t i;

	for (i = 0; i < rescue->n_calls; i++)
		if (!rescue->calls[i].done)
			return;
	forget_calls(rescue);
}

static void adopt_orphans(struct rescue *rescue)
{
	uint32_t before;

	make_room(rescue);
	before = rescue->progress.calls;
	plan_calls(rescue, true);
	if (rescue->progress.calls == before)
		return;
	rescue->counters.rescue_orphans += rescue->progress.calls - before;
	sort_turns(rescue);
	rescue_report(rescue);
	on_pace(NULL, NULL, (su_timer_arg_t *)rescue);
}

static void on_second(su_root_magic_t *magic, su_timer_t *timer, su_timer_arg_t *arg)
{
	struct rescue *rescue = (struct rescue *)arg;

	if (!rescue->running)
		return;
	su_timer_set_interval(rescue->second_timer, on_second, arg, SECOND_MS);
	if (rescue->settled && rescue->next_call < rescue->n_calls)
		sort_turns(rescue);
	/* As long as nobody knows which server runs here, none of its calls may be taken from it. */
	if (rescue->table->origin)
		adopt_orphans(rescue);
	if (rescue->agent)
		rescue_timer_tick(rescue, rescue_now());
}

/* --- the agent ------------------------------------------------------------------- */

static void close_agent(struct rescue *rescue)
{
	rescue_ring_stop(rescue);
	rescue_timer_stop(rescue);
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
	rescue->policy = rescue_policy_of(conf);
	rescue->track = track;
	rescue->table = track->table;
	rescue->callbacks = *callbacks;
	rescue->context = context;
	rescue->max_calls = track->table->max;
	rescue->calls = calloc(rescue->max_calls, sizeof(*rescue->calls));
	rescue->order = calloc(rescue->max_calls, sizeof(*rescue->order));
	rescue->call_of = calloc(track->table->max, sizeof(*rescue->call_of));
	rescue->bind_timer = su_timer_create(su_root_task(root), BIND_RETRY_MS);
	rescue->pace_timer = su_timer_create(su_root_task(root), PACE_MS);
	rescue->second_timer = su_timer_create(su_root_task(root), SECOND_MS);
	if (!rescue->calls || !rescue->call_of || !rescue->bind_timer || !rescue->pace_timer ||
	    !rescue->second_timer || !rescue->order || rescue_pass_new(rescue) || rescue_timer_new(rescue)) {
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
	rescue_timer_free(rescue);
	if (rescue->second_timer)
		su_timer_destroy(rescue->second_timer);
	free(rescue->order);
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

static void run(struct rescue *rescue, struct mono since)
{
	rescue->running = true;
	rescue->since = since;
	rescue->settle = mono_add(since, SETTLE_NS);
	rescue->settled = false;
	su_timer_set_interval(rescue->second_timer, on_second, (su_timer_arg_t *)rescue, SECOND_MS);
}

void rescue_start(struct rescue *rescue, uint64_t epoch, uint64_t flipped_ns, struct mono now)
{
	if (rescue->conf.rescue_mode != RESCUE_AGENT)
		return;
	if (rescue->running && rescue->progress.epoch == epoch) {
		run(rescue, now);
		rescue_ring_start(rescue, now);
		adopt_orphans(rescue);
		return;
	}
	rescue_stop(rescue);
	rescue->progress = (struct keeper_rescue){.epoch = epoch};
	rescue_pace_init(&rescue->pace, rescue->conf.rescue_rate, now);
	run(rescue, mono_ns((int64_t)flipped_ns));
	plan_calls(rescue, false);
	sort_turns(rescue);
	rescue_ring_start(rescue, now);
	rescue_report(rescue);
	on_pace(NULL, NULL, (su_timer_arg_t *)rescue);
}

void rescue_resume(struct rescue *rescue, uint64_t epoch, struct mono now)
{
	if (rescue->running || rescue->conf.rescue_mode != RESCUE_AGENT)
		return;
	rescue->progress = (struct keeper_rescue){.epoch = epoch};
	rescue_pace_init(&rescue->pace, rescue->conf.rescue_rate, now);
	run(rescue, now);
	rescue_ring_start(rescue, now);
	adopt_orphans(rescue);
}

void rescue_stop(struct rescue *rescue)
{
	if (!rescue->running)
		return;
	rescue->running = false;
	su_timer_reset(rescue->pace_timer);
	su_timer_reset(rescue->second_timer);
	forget_calls(rescue);
	/* With the agent go its transactions: none of them may be repeated by a node that does not own. */
	if (rescue->agent) {
		close_agent(rescue);
		on_bind(NULL, NULL, (su_timer_arg_t *)rescue);
	}
}
