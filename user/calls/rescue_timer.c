/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Session timers (RFC 4028) of the calls that the agent holds, in whichever role the
 * dead server had: it refreshes at half the interval where the server did, and ends
 * calls whose phone should have refreshed and did not. One walk of the table a
 * second; at most RESCUE_REFRESHES refreshes wait for their answers at a time.
 */
#include "rescue_agent.h"

#include <errno.h>
#include <sofia-sip/nta_tag.h>
#include <sofia-sip/sip_extra.h>
#include <sofia-sip/sip_header.h>
#include <sofia-sip/su_string.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RESCUE_REFRESHES 512
#define LEAST_S          90              /* RFC 4028 section 4 */
#define AGAIN_NS         (10 * NS_PER_S) /* after a refusal of any other kind */
#define EXPIRY_LEAD_NS   (32 * NS_PER_S) /* BYE so long before the end, or a third (section 10) */

/* One for each place of the table. */
struct timer {
	uint64_t call;
	struct mono next; /* not before */
	uint32_t min_se;  /* 422 asked for it */
	bool no_update;   /* the phone says so, whatever it allowed before */
};

struct refresh {
	struct rescue *rescue;
	struct dialog *dialog; /* NULL = free */
	uint64_t call;
	nta_outgoing_t *orq;
	struct mono asked;
	uint32_t cseq;
	bool invite;
};

struct rescue_timers {
	struct timer *timers;
	struct refresh refreshes[RESCUE_REFRESHES];
};

int rescue_timer_new(struct rescue *rescue)
{
	rescue->timers = calloc(1, sizeof(*rescue->timers));
	if (!rescue->timers)
		return -ENOMEM;
	rescue->timers->timers = calloc(rescue->table->max, sizeof(struct timer));
	return rescue->timers->timers ? 0 : -ENOMEM;
}

void rescue_timer_free(struct rescue *rescue)
{
	if (!rescue->timers)
		return;
	free(rescue->timers->timers);
	free(rescue->timers);
}

void rescue_timer_stop(struct rescue *rescue)
{
	if (rescue->timers)
		memset(rescue->timers->refreshes, 0, sizeof(rescue->timers->refreshes));
}

static struct timer *timer_of(const struct rescue *rescue, const struct dialog *d)
{
	struct timer *timer = &rescue->timers->timers[d - rescue->table->dialogs];

	if (timer->call != d->call)
		*timer = (struct timer){.call = d->call};
	return timer;
}

void rescue_timer_raise(struct rescue *rescue, struct dialog *dialog, const sip_t *sip)
{
	const sip_min_se_t *least = sip ? sip_min_se(sip) : NULL;

	if (least && least->min_delta > dialog->session_expires_s)
		timer_of(rescue, dialog)->min_se = (uint32_t)least->min_delta;
}

/* --- headers ------------------------------------------------------------------------- */

/* Our answer to the phone's request, as the table is to remember it. */
static void note_answer(struct rescue *rescue, const struct dialog *d, const sip_t *request,
                        uint32_t interval_s, bool phone_refreshes)
{
	const struct sip_event ev = {
	        .at = rescue_now(),
	        .service = d->service,
	        .out = true,
	        .verb = request->sip_request->rq_method == sip_method_update ? SIP_VERB_UPDATE
	                                                                     : SIP_VERB_INVITE,
	        .status = 200,
	        .cseq = request->sip_cseq->cs_seq,
	        .remote = d->flow_addr,
	        .remote_port = d->flow_port,
	        .call_id = d->call_id,
	        .from = d->remote,
	        .from_tag = d->remote_tag,
	        .to = d->local,
	        .to_tag = d->local_tag,
	        .session_expires_s = interval_s,
	        .refresher_uas = !phone_refreshes,
	};

	dialog_table_event(rescue->table, &ev);
}

/* Section 9: what the phone asks for; without a wish of its own, the role of the server stays ours. */
static const char *headers_of_answer(struct rescue *rescue, struct dialog *d, const sip_t *request,
                                     char buf[RESCUE_TIMER_LEN])
{
	const sip_session_expires_t *wish = request->sip_session_expires;
	bool knows = sip_has_supported(request->sip_supported, "timer");
	uint32_t interval_s = wish ? (uint32_t)wish->x_delta : 0;
	bool phone = wish && wish->x_refresher ? su_casematch(wish->x_refresher, "uac") : knows;

	buf[0] = '\0';
	if (!wish && d->refresher == REFRESHER_LOCAL)
		interval_s = d->session_expires_s;
	if (!wish)
		phone = false;
	if (interval_s && interval_s < LEAST_S)
		interval_s = LEAST_S;
	if (interval_s)
		snprintf(buf, RESCUE_TIMER_LEN, "Supported: timer\r\n%sSession-Expires: %u;refresher=%s\r\n",
		         phone ? "Require: timer\r\n" : "", interval_s, phone ? "uac" : "uas");
	note_answer(rescue, d, request, interval_s, phone);
	return buf;
}

const char *rescue_timer_headers(struct rescue *rescue, struct dialog *dialog, const sip_t *request,
                                 char buf[RESCUE_TIMER_LEN])
{
	const struct timer *timer = timer_of(rescue, dialog);
	uint32_t interval_s = dialog->session_expires_s;
	uint32_t least_s = timer->min_se > LEAST_S ? timer->min_se : LEAST_S;

	if (request)
		return headers_of_answer(rescue, dialog, request, buf);
	buf[0] = '\0';
	if (interval_s)
		snprintf(buf, RESCUE_TIMER_LEN,
		         "Supported: timer\r\nSession-Expires: %u;refresher=%s\r\nMin-SE: %u\r\n",
		         interval_s > least_s ? interval_s : least_s,
		         dialog->refresher == REFRESHER_REMOTE ? "uas" : "uac", least_s);
	return buf;
}

/* --- refreshes of ours ------------------------------------------------------------------ */

static void end_call(struct rescue *rescue, struct dialog *d)
{
	const char *reason = "SIP;cause=408;text=\"Session timer expired\"";

	rescue_bye(rescue, d, reason);
	rescue_leg_gone(rescue, d, reason);
}

static void refused(struct rescue *rescue, struct refresh *r, const sip_t *sip, int status, bool real)
{
	struct dialog *d = r->dialog;
	struct timer *timer = timer_of(rescue, d);
	int64_t wait_ns = AGAIN_NS;

	if (real && (status == 481 || status == 408)) {
		rescue_leg_lost(rescue, d, status);
		return;
	}
	/* Section 10 lets a timeout end the session; here, as everywhere, not that of a phone that talks. */
	if (!real && rescue_is_silent(rescue, d, r->asked)) {
		end_call(rescue, d);
		return;
	}
	if (status == 422) {
		rescue_timer_raise(rescue, d, sip);
		wait_ns = 0;
	} else if (status == 491) {
		wait_ns = rescue_retry_ns(d, (uint32_t)random());
	} else if (!r->invite && (status == 405 || status == 501)) {
		timer->no_update = true;
		wait_ns = 0;
	}
	timer->next = mono_add(rescue_now(), wait_ns);
}

static int on_answer(void *magic, nta_outgoing_t *orq, const sip_t *sip)
{
	struct refresh *r = magic;
	struct rescue *rescue = r->rescue;
	int status = nta_outgoing_status(orq);
	bool alive, real;

	if (status < 200)
		return 0;
	alive = r->dialog && dialog_is_of_call(rescue->table, r->dialog, r->call);
	real = rescue_heard(rescue, alive ? r->dialog : NULL, orq, sip);
	if (alive && status < 300 && r->invite)
		rescue_ack(rescue, r->dialog, &r->orq, r->cseq, NULL, 0);
	else
		nta_outgoing_destroy(orq);
	if (alive && status >= 300)
		refused(rescue, r, sip, status, real);
	*r = (struct refresh){0};
	return 0;
}

static struct refresh *take_refresh(struct rescue *rescue)
{
	int i;

	for (i = 0; i < RESCUE_REFRESHES; i++)
		if (!rescue->timers->refreshes[i].dialog)
			return &rescue->timers->refreshes[i];
	return NULL;
}

static void send_refresh(struct rescue *rescue, struct dialog *d, struct refresh *r, bool update)
{
	char headers[RESCUE_TIMER_LEN], sdp[DIALOG_SDP_LEN];
	int len = update ? 0 : rescue_sdp_again(rescue, d, sdp, sizeof(sdp));
	struct rescue_request request = {
	        .method = update ? sip_method_update : sip_method_invite,
	        .name = update ? "UPDATE" : "INVITE",
	        .cseq = rescue_cseq(rescue, d),
	        .body = len > 0 ? sdp : NULL,
	        .body_len = len > 0 ? (size_t)len : 0,
	        .headers = rescue_timer_headers(rescue, d, NULL, headers),
	};

	if (len < 0)
		return;
	*r = (struct refresh){.rescue = rescue,
	                      .dialog = d,
	                      .call = d->call,
	                      .asked = rescue_now(),
	                      .cseq = request.cseq,
	                      .invite = !update};
	r->orq = rescue_send_request(rescue, d, &request, on_answer, r);
	if (r->orq)
		rescue->counters.rescue_refreshes++;
	else
		*r = (struct refresh){0};
}

/* --- once a second ------------------------------------------------------------------------ */

static bool is_ours(const struct rescue *rescue, const struct dialog *d)
{
	return d->service == rescue->conf.head.service && d->state == DIALOG_RESCUED &&
	       (!d->origin || (d->flags & DIALOG_JOINED)) && d->session_expires_s;
}

static void look_at(struct rescue *rescue, struct dialog *d, struct mono now)
{
	int64_t whole = d->session_expires_s * NS_PER_S;
	int64_t lead = whole / 3 < EXPIRY_LEAD_NS ? whole / 3 : EXPIRY_LEAD_NS;
	struct timer *timer = timer_of(rescue, d);
	struct refresh *r;

	if (d->refresher == REFRESHER_REMOTE) {
		if (mono_diff(now, d->at_refresh) > whole - lead) {
			rescue->counters.rescue_expired++;
			end_call(rescue, d);
		}
		return;
	}
	if (mono_diff(now, d->at_refresh) < whole / 2 || mono_before(now, timer->next))
		return;
	r = take_refresh(rescue);
	if (!r)
		return;                                  /* the next second */
	timer->next = mono_add(now, 2 * EXPIRY_LEAD_NS); /* longer than a transaction lasts */
	send_refresh(rescue, d, r, (d->flags & DIALOG_ALLOWS_UPDATE) && !timer->no_update);
}

void rescue_timer_tick(struct rescue *rescue, struct mono now)
{
	struct dialog *d = NULL;

	while ((d = dialog_next(rescue->table, d)))
		if (is_ours(rescue, d) && !rescue_is_under_way(rescue, d) && !rescue_pass_involves(rescue, d))
			look_at(rescue, d, now);
}
