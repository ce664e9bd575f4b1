/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The rescue of a service's calls after a takeover: when it begins and ends, and the
 * agent on the VIP's rescue port. rescue_turns.c has which calls and in what order,
 * rescue_call.c the steps of each. All of a call's dialog state is in the table; what
 * is kept here about a call lasts only for the rescue itself.
 */
#include "addr.h"
#include "rescue_agent.h"

#include <errno.h>
#include <sofia-sip/nta_tag.h>
#include <sofia-sip/sip_status.h>
#include <sofia-sip/su_tagarg.h>
#include <sofia-sip/tport_tag.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BIND_RETRY_MS 1000
#define SECOND_MS     1000

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

uint64_t rescue_new_outcome(struct rescue *rescue, const struct dialog *dialog)
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

void rescue_end_outcome(struct rescue *rescue, uint64_t number, int result, int status_a, int status_b,
                        const char *text)
{
	struct ctl_outcome *outcome = rescue_outcome_of(rescue, number);

	if (result == 1) {
		rescue->progress.rescued++;
		rescue->counters.rescue_rescued++;
	} else if (result == 2) {
		rescue->progress.failed++;
		rescue->counters.rescue_failed++;
	} else {
		rescue->progress.skipped++;
		rescue->counters.rescue_skipped++;
	}
	if (!outcome)
		return;
	outcome->result = (uint32_t)result;
	outcome->status_a = (uint32_t)status_a;
	outcome->status_b = (uint32_t)status_b;
	outcome->done_ns = (uint64_t)rescue_now().ns;
	if (!outcome->started_ns)
		outcome->started_ns = outcome->done_ns;
	snprintf(outcome->text, sizeof(outcome->text), "%s", text);
}

void rescue_skip(struct rescue *rescue, const struct dialog *dialog, const char *why)
{
	rescue->progress.calls++;
	rescue_end_outcome(rescue, rescue_new_outcome(rescue, dialog), 3, 0, 0, why);
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
	if (rescue_ring_leg_gone(rescue, dialog) || rescue_join_leg_gone(rescue, dialog) || !other ||
	    !dialog_is_up(other))
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

/* --- once a second ------------------------------------------------------------------ */

static void on_second(su_root_magic_t *magic, su_timer_t *timer, su_timer_arg_t *arg)
{
	struct rescue *rescue = (struct rescue *)arg;

	if (!rescue->running)
		return;
	su_timer_set_interval(rescue->second_timer, on_second, arg, SECOND_MS);
	if (rescue->settled && rescue->next_call < rescue->n_calls)
		rescue_sort_turns(rescue);
	/* As long as nobody knows which server runs here, none of its calls may be taken from it. */
	if (rescue->table->origin)
		rescue_adopt_orphans(rescue);
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

/*
 * A process that restarted has its calls again when the one before it or the peer has told
 * them. Until then a 481 would end what goes on: who asks will ask once more.
 */
static bool is_too_early(const struct rescue *rescue, const sip_t *sip)
{
	struct dialog_table *table = rescue->table;
	const struct dialog *d;

	if (rescue->running || !sip->sip_to->a_tag || !sip->sip_from->a_tag)
		return false;
	d = dialog_find(table, rescue->conf.head.service, sip->sip_call_id->i_id, sip->sip_to->a_tag,
	                sip->sip_from->a_tag);
	return !d || ((d->flags & DIALOG_JOINED) && d->origin == table->origin);
}

/* Ringing and joined calls know their own; the rest is in a dialog, or is refused. */
static void on_request(struct rescue *rescue, msg_t *msg, sip_t *sip)
{
	nta_incoming_t *irq;
	int status;

	if (is_too_early(rescue, sip)) {
		rescue->counters.rescue_too_early++;
		msg_destroy(msg);
		return;
	}
	irq = nta_incoming_create(rescue->agent, NULL, msg, sip, TAG_END());
	if (!irq || rescue_ring_request(rescue, irq, sip) || rescue_join_request(rescue, irq, sip))
		return;
	status = rescue_on_request(rescue, irq, sip);
	if (!status)
		return;
	nta_incoming_treply(irq, status, NULL, TAG_END());
	nta_incoming_destroy(irq);
}

/* What belongs to no transaction yet. */
static int on_message(struct rescue *rescue, nta_agent_t *agent, msg_t *msg, sip_t *sip)
{
	if (sip && sip->sip_request) {
		on_request(rescue, msg, sip);
		return 0;
	}
	if (sip && sip->sip_status && !rescue_pass_response(rescue, msg, sip))
		rescue->counters.rescue_stray_response++;
	msg_destroy(msg);
	return 0;
}

static void name_agent(struct rescue *rescue)
{
	const struct keeper_conf *conf = &rescue->conf;
	char known[ADDR_PORT_LEN], own[ADDR_PORT_LEN], server[ADDR_PORT_LEN];

	addr_format(&conf->vip, rescue->vip);
	addr_format_port(&conf->vip, conf->sip_port ? conf->sip_port : conf->rescue_port, known);
	addr_format_port(&conf->vip, conf->sip_port ? conf->sip_port : 5060, server);
	addr_format_port(&conf->vip, conf->rescue_port, own);
	snprintf(rescue->contact, sizeof(rescue->contact), "<sip:sipflip@%s>", known);
	snprintf(rescue->via, sizeof(rescue->via), "SIP/2.0/UDP %s", known);
	snprintf(rescue->server_url, sizeof(rescue->server_url), "sip:%s;transport=udp", server);
	snprintf(rescue->own_contact, sizeof(rescue->own_contact), "<sip:sipflip@%s>", own);
}

static int open_agent(struct rescue *rescue)
{
	char own[ADDR_PORT_LEN], url[96];

	name_agent(rescue);
	snprintf(url, sizeof(url), "sip:%s;transport=udp",
	         addr_format_port(&rescue->conf.vip, rescue->conf.rescue_port, own));
	errno = 0;
	/* Stateless: nta's legs would refuse the PRACKs of what the dead server sent, so on_request makes the
	 * transactions. */
	rescue->agent = nta_agent_create(rescue->root, (url_string_t *)url, on_message, rescue, NTATAG_UA(1),
	                                 NTATAG_STATELESS(1), NTATAG_USE_NAPTR(0), NTATAG_USE_SRV(0),
	                                 TPTAG_STUN_SERVER(0), TAG_END());
	if (!rescue->agent)
		return errno ? -errno : -EADDRNOTAVAIL;
	rescue->leg = nta_leg_tcreate(rescue->agent, NULL, NULL, NTATAG_NO_DIALOG(1), TAG_END());
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
		rescue_take_turns(rescue);
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
	rescue->pace_timer = su_timer_create(su_root_task(root), 0);
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
		rescue_forget_calls(rescue);
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
	rescue->settle = mono_add(since, RESCUE_SETTLE_NS);
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
		rescue_adopt_orphans(rescue);
		return;
	}
	rescue_stop(rescue);
	rescue->progress = (struct keeper_rescue){.epoch = epoch};
	rescue_pace_init(&rescue->pace, rescue->conf.rescue_rate, now);
	run(rescue, mono_ns((int64_t)flipped_ns));
	rescue_plan_calls(rescue, false);
	rescue_sort_turns(rescue);
	rescue_ring_start(rescue, now);
	rescue_report(rescue);
	rescue_take_turns(rescue);
}

void rescue_resume(struct rescue *rescue, uint64_t epoch, struct mono now)
{
	if (rescue->running || rescue->conf.rescue_mode != RESCUE_AGENT)
		return;
	rescue->progress = (struct keeper_rescue){.epoch = epoch};
	rescue_pace_init(&rescue->pace, rescue->conf.rescue_rate, now);
	run(rescue, now);
	rescue_ring_start(rescue, now);
	rescue_adopt_orphans(rescue);
}

void rescue_stop(struct rescue *rescue)
{
	if (!rescue->running)
		return;
	rescue->running = false;
	su_timer_reset(rescue->pace_timer);
	su_timer_reset(rescue->second_timer);
	rescue_forget_calls(rescue);
	/* With the agent go its transactions: none of them may be repeated by a node that does not own. */
	if (rescue->agent) {
		close_agent(rescue);
		on_bind(NULL, NULL, (su_timer_arg_t *)rescue);
	}
}
