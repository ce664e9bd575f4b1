/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a takeover does with a call: the decision and the pace. Pure; see rescue_plan.h. */
#include "rescue_plan.h"
#include "media_plan.h"
#include "sdp.h"

#include <string.h>

static const struct {
	const char *name, *word, *text;
	bool keeps;
} plans[] = {
#define X(name, word, keeps, text) {#name, word, text, keeps},
        RESCUE_PLANS(X)
#undef X
};
#define N_PLANS (sizeof(plans) / sizeof(plans[0]))

const char *rescue_plan_text(enum rescue_plan plan)
{
	return plan < N_PLANS ? plans[plan].text : "";
}

const char *rescue_plan_word(enum rescue_plan plan)
{
	return plan < N_PLANS ? plans[plan].word : "";
}

const char *rescue_plan_name(enum rescue_plan plan)
{
	return plan < N_PLANS ? plans[plan].name : "";
}

bool rescue_plan_keeps(enum rescue_plan plan)
{
	return plan < N_PLANS && plans[plan].keeps;
}

bool rescue_plan_is_3pcc(enum rescue_plan plan)
{
	return plan >= PLAN_rekey && plan <= PLAN_direct_transcoded;
}

bool rescue_plan_is_per_leg(enum rescue_plan plan)
{
	return plan == PLAN_relay || plan == PLAN_bypass ||
	       (plan >= PLAN_mute_no_sdp && plan <= PLAN_mute_transcoded);
}

struct rescue_policy rescue_policy_of(const struct keeper_conf *conf)
{
	return (struct rescue_policy){
	        .vip = conf->vip, .direct = conf->media_direct, .mode = conf->rescue_mode};
}

static enum rescue_plan direct_because(enum media_why why)
{
	switch (why) {
	case MEDIA_WHY_sdes:
		return PLAN_direct_sdes;
	case MEDIA_WHY_dtls:
		return PLAN_direct_dtls;
	case MEDIA_WHY_transcoded:
		return PLAN_direct_transcoded;
	default:
		return PLAN_direct;
	}
}

static enum rescue_plan mute_because(enum media_why why)
{
	switch (why) {
	case MEDIA_WHY_no_port:
		return PLAN_mute_no_port;
	case MEDIA_WHY_no_codec:
		return PLAN_mute_no_codec;
	case MEDIA_WHY_profile:
		return PLAN_mute_profile;
	case MEDIA_WHY_sdes:
		return PLAN_mute_sdes;
	case MEDIA_WHY_dtls:
		return PLAN_mute_dtls;
	case MEDIA_WHY_transcoded:
		return PLAN_mute_transcoded;
	case MEDIA_WHY_not_vip:
		return PLAN_bypass;
	default:
		return PLAN_mute_no_sdp;
	}
}

static enum rescue_plan plan_of_media(const struct dialog *a, const struct dialog *b,
                                      const struct rescue_policy *policy)
{
	struct media_plan media;

	media_plan(a, b, &policy->vip, policy->direct, &media);
	switch (media.path) {
	case MEDIA_PATH_relay:
		return PLAN_relay;
	case MEDIA_PATH_rekey:
		return PLAN_rekey;
	case MEDIA_PATH_direct:
		return direct_because(media.why);
	case MEDIA_PATH_bypass:
		return PLAN_bypass;
	default:
		return mute_because(media.why);
	}
}

/* Neither leg's tags or the server's proxying leave the agent anything to do. */
static bool is_proxied(struct dialog_table *table, const struct dialog *d)
{
	const struct dialog *other = dialog_find(table, d->service, d->call_id, d->remote_tag, d->local_tag);

	return other && other != d; /* the same dialog comes in on one side and leaves on the other */
}

/* While it rings the stored INVITE of the first leg is all there is to answer with. */
static enum rescue_plan plan_of_ringing(const struct dialog *d, const struct dialog *peer)
{
	const struct dialog *first = d->role == DIALOG_UAS ? d : peer;

	if (!peer && d->role != DIALOG_UAS)
		return PLAN_ringing_alone;
	if (first && first->state == DIALOG_EARLY && (first->flags & DIALOG_NO_INVITE))
		return PLAN_no_invite;
	return peer ? PLAN_ringing : PLAN_ringing_afresh;
}

static enum rescue_plan plan_of_single(const struct dialog *d)
{
	if (d->role != DIALOG_UAS)
		return PLAN_single_leg;
	if (!d->remote_target[0])
		return PLAN_no_target;
	return d->flags & DIALOG_TRUNCATED ? PLAN_truncated : PLAN_rejoin;
}

static enum rescue_plan decide(struct dialog_table *table, const struct dialog *d, const struct dialog *peer,
                               const struct rescue_policy *policy)
{
	if (d->state == DIALOG_ENDED)
		return PLAN_ended;
	if (policy->mode == RESCUE_OFF)
		return PLAN_off;
	if (policy->mode == RESCUE_SERVER)
		return PLAN_server;
	if (is_proxied(table, d))
		return PLAN_proxied;
	if (d->paired == PAIRED_AMBIGUOUS)
		return PLAN_ambiguous;
	if (peer && peer->state == DIALOG_ENDED && dialog_is_up(d))
		return d->remote_target[0] ? PLAN_hang_up : PLAN_no_target;
	if (d->state == DIALOG_EARLY || (peer && peer->state == DIALOG_EARLY))
		return plan_of_ringing(d, peer);
	if (!peer)
		return plan_of_single(d);
	if (!d->remote_target[0] || !peer->remote_target[0])
		return PLAN_no_target;
	if ((d->flags | peer->flags) & DIALOG_TRUNCATED)
		return PLAN_truncated;
	return plan_of_media(d, peer, policy);
}

/* True while what was decided last still holds. */
static bool is_decided(struct dialog_table *table, const struct dialog *d, const struct dialog *peer)
{
	const struct dialog_memo *memo = dialog_memo(table, d);

	return d->version && memo->version == d->version && memo->peer_version == (peer ? peer->version : 0);
}

enum rescue_plan rescue_plan_of(struct dialog_table *table, const struct dialog *dialog,
                                const struct rescue_policy *policy)
{
	const struct dialog *peer = dialog_peer(table, dialog);
	struct dialog_memo *memo = dialog_memo(table, dialog);
	uint64_t peer_version = peer ? peer->version : 0;
	enum rescue_plan plan;

	if (is_decided(table, dialog, peer))
		return memo->value;
	plan = decide(table, dialog, peer, policy);
	*memo = (struct dialog_memo){dialog->version, peer_version, (uint8_t)plan};
	/* What is done about the media is the same from either leg: looked at once. */
	if (peer && (rescue_plan_is_3pcc(plan) || rescue_plan_is_per_leg(plan)))
		*dialog_memo(table, peer) =
		        (struct dialog_memo){peer_version, dialog->version, (uint8_t)plan};
	return plan;
}

static void count(struct dialog_table *table, struct dialog *d, const struct rescue_policy *policy,
                  struct rescue_counting *c)
{
	struct dialog *peer;
	bool decided;

	c->counts.dialogs += !dialog_is_half_open(d);
	if (!dialog_is_up(d)) {
		c->counts.ringing += d->role == DIALOG_UAS;
		return;
	}
	peer = dialog_peer(table, d);
	if (peer)
		c->paired++;
	else
		c->counts.calls++;
	decided = is_decided(table, d, peer);
	c->budget -= decided ? 1 : RESCUE_PLAN_COST;
	if (rescue_plan_keeps(rescue_plan_of(table, d, policy)))
		c->halves += peer ? 1 : 2;
}

bool rescue_plan_count(struct dialog_table *table, uint8_t service, const struct rescue_policy *policy,
                       struct rescue_counting *c, int32_t budget, struct rescue_counts *ret)
{
	struct dialog *d;

	c->budget = budget;
	while (c->budget > 0) {
		d = dialog_next(table, c->at ? &table->dialogs[c->at - 1] : NULL);
		if (!d) {
			*ret = c->counts;
			ret->calls += (c->paired + 1) / 2;
			ret->rescuable = c->halves / 2;
			*c = (struct rescue_counting){0};
			return true;
		}
		c->at = (uint32_t)(d - table->dialogs) + 1;
		if (d->service == service && d->state != DIALOG_ENDED)
			count(table, d, policy, c);
		else
			c->budget--;
	}
	return false;
}

void rescue_plan_counts(struct dialog_table *table, uint8_t service, const struct rescue_policy *policy,
                        struct rescue_counts *ret)
{
	struct rescue_counting counting = {0};

	rescue_plan_count(table, service, policy, &counting, INT32_MAX, ret);
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
