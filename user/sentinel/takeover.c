/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The records behind `sipflip takeovers`: one for each change of ownership this node took part in. */
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "sentinel.h"

const char *cause_text(enum cause cause)
{
	switch (cause) {
#define CAUSE(name, value, text)                                                                             \
	case CAUSE_##name:                                                                                   \
		return text;
#include "sipflip/causes.def"
#undef CAUSE
	}
	return "unknown";
}

static bool is_planned(enum cause cause)
{
	return cause == CAUSE_switchover || cause == CAUSE_agent_stop;
}

void takeover_changed(struct sentinel *s, struct service *svc, uint8_t from, uint8_t to, uint64_t epoch,
                      enum cause cause, struct mono now)
{
	const struct service_state *state = svc->here ? &s->plane.state[svc->index] : NULL;
	struct ctl_takeover *t;

	if (from == to || !to || (from != s->node && to != s->node)) {
		log_info("service=%s event=owner from=%s to=%s epoch=%llu", svc->conf->name,
		         node_name(s, from), node_name(s, to), (unsigned long long)epoch);
		return;
	}
	t = &s->takeover[s->n_takeover % SENTINEL_TAKEOVERS];
	*t = (struct ctl_takeover){
	        .head = {.type = CTL_TAKEOVER, .len = sizeof(*t)},
	        .number = ++s->n_takeover,
	        .wall_ns = clock_wall_ns(),
	        .epoch = epoch,
	        .from_node = from,
	        .to_node = to,
	        .cause = cause,
	        .planned = is_planned(cause),
	};
	snprintf(t->service, sizeof(t->service), "%s", svc->conf->name);
	svc->takeover = t;
	svc->rescued_before = (struct keeper_rescue){0};
	svc->takeovers++;
	if (from == s->node) {
		t->last_ok_ns = svc->health.ok_ns;
		t->detected_ns = (uint64_t)svc->ill_since.ns;
		t->fenced_ns = (uint64_t)svc->fenced_at.ns;
		t->resigned_ns = (uint64_t)svc->resigned_at.ns;
	} else {
		t->flipped_ns = state ? state->flipped_ns : (uint64_t)now.ns;
		t->announced_ns = (uint64_t)svc->announcer.first_sent.ns;
	}
	log_warn("service=%s event=takeover from=%s to=%s epoch=%llu cause=\"%s\"", svc->conf->name,
	         node_name(s, from), node_name(s, to), (unsigned long long)epoch, cause_text(cause));
}

void takeover_resigned_to_us(struct service *svc, const struct msg *msg)
{
	struct ctl_takeover *t = svc->takeover;

	if (!t || t->epoch != msg->epoch)
		return;
	if (t->cause == CAUSE_none) { /* the word was seen before this, which says why */
		t->cause = msg->detail;
		t->planned = is_planned(msg->detail);
		log_warn("service=%s event=takeover-cause epoch=%llu cause=\"%s\"", svc->conf->name,
		         (unsigned long long)t->epoch, cause_text(msg->detail));
	}
	/* ingress turned the RESIGN itself into the first announcement */
	t->announced_ns = t->flipped_ns;
	if (msg->ok_age_us != UINT32_MAX)
		t->last_ok_ns = t->flipped_ns - (uint64_t)msg->ok_age_us * 1000;
	if (msg->turn_age_us && msg->turn_age_us != UINT32_MAX)
		t->detected_ns = t->flipped_ns - (uint64_t)msg->turn_age_us * 1000;
}

void takeover_update(struct service *svc, const struct service_state *state)
{
	struct ctl_takeover *t = svc->takeover;

	if (t && t->flipped_ns && !t->first_packet_ns && t->epoch == state->epoch)
		t->first_packet_ns = state->first_packet_ns;
}

void takeover_rescue(struct service *svc, const struct keeper_rescue *rescue)
{
	const struct keeper_rescue *before = &svc->rescued_before;
	struct ctl_takeover *t = svc->takeover;

	if (!t || t->epoch != rescue->epoch)
		return;
	if (!t->first_reinvite_ns)
		t->first_reinvite_ns = rescue->first_reinvite_ns;
	if (rescue->last_done_ns)
		t->rescue_done_ns = rescue->last_done_ns;
	t->calls = before->calls + rescue->calls;
	t->rescued = before->rescued + rescue->rescued;
	t->failed = before->failed + rescue->failed;
	t->skipped = before->skipped + rescue->skipped;
}

void takeover_keeper_ended(struct service *svc)
{
	const struct ctl_takeover *t = svc->takeover;

	if (!t)
		return;
	svc->rescued_before = (struct keeper_rescue){
	        .calls = t->rescued + t->failed + t->skipped,
	        .rescued = t->rescued,
	        .failed = t->failed,
	        .skipped = t->skipped,
	};
}
