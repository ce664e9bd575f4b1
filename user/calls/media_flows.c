/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From the plan of a call to its slots. Both legs' slots are taken first and filled
 * then, since each names the other. Who may have a port when two calls name it:
 *   - a call that the local server does not hold before one that it does;
 *   - among the local server's: the later call (it gave the port away again);
 *   - an answered leg before one that still rings (forks share the server's port);
 *   - else who has it.
 */
#include <sodium.h>
#include <string.h>

#include "addr.h"
#include "media_service.h"
#include "sdp.h"

/* One leg on its way into the map. */
struct entry {
	struct dialog *dialog;
	struct media_leg *leg;
	const struct media_flow *flows;
	bool local;
	bool forget[MEDIA_LINES];
};

static void drop_flow(struct media_service *svc, struct media_leg *leg, unsigned int stream)
{
	if (!leg->flow[stream])
		return;
	media_maps_drop(&svc->media->maps, leg->flow[stream]);
	leg->flow[stream] = 0;
	svc->n_flows--;
	svc->retry = svc->n_denied > 0;
}

static void set_denied(struct media_service *svc, struct media_leg *leg, unsigned int stream, bool denied,
                       bool held)
{
	uint8_t bit = (uint8_t)(1U << stream), before = leg->denied;

	if (held != !!(leg->held & bit)) {
		leg->held ^= bit;
		svc->n_held += held ? 1 : -1U;
	}
	if (denied != !!(leg->denied & bit))
		leg->denied ^= bit;
	if (!!before != !!leg->denied)
		svc->n_denied += leg->denied ? 1 : -1U;
}

static void set_relayed(struct media_service *svc, struct media_leg *leg, bool relayed)
{
	if (leg->relayed == relayed)
		return;
	leg->relayed = relayed;
	svc->n_relayed += relayed ? 1 : -1U;
}

void media_flows_drop(struct media_service *svc, struct media_leg *leg)
{
	for (unsigned int i = 0; i < DIALOG_STREAMS; i++) {
		drop_flow(svc, leg, i);
		set_denied(svc, leg, i, false, false);
	}
	set_relayed(svc, leg, false);
	leg->planned = 0;
}

/* --- whose a port is ------------------------------------------------------------------- */

static bool comes_first(const struct media_service *svc, const struct dialog *who,
                        const struct dialog *holder)
{
	bool who_local = media_is_local(svc, who), holder_local = media_is_local(svc, holder);

	if (who_local != holder_local)
		return holder_local;
	if ((who->state == DIALOG_EARLY) != (holder->state == DIALOG_EARLY))
		return holder->state == DIALOG_EARLY;
	return who_local && mono_before(holder->at_invite, who->at_invite);
}

/* Makes room if `dialog` may have the port; counts it when it may not. */
static bool claim(struct media_service *svc, struct entry *e, unsigned int stream, uint32_t slot)
{
	const struct media_slot *info = &svc->media->maps.slots[slot];
	struct media_service *other = svc->media->services[info->service];
	struct dialog *holder = other ? media_dialog_at(other, info->dialog) : NULL;
	bool again = e->leg->denied & (1U << stream), held;

	if (holder && other == svc && comes_first(svc, e->dialog, holder)) {
		struct media_leg *leg = media_leg_of(svc, holder);

		leg->planned = 0;
		drop_flow(svc, leg, info->stream);
		media_mark(svc, holder);
		return true;
	}
	held = e->local && holder && !media_is_local(other, holder);
	if (!again && held)
		svc->media->counters.media_port_held++;
	else if (!again)
		svc->media->counters.media_port_taken++;
	set_denied(svc, e->leg, stream, true, held);
	return false;
}

static void take(struct media_service *svc, struct entry *e, unsigned int stream)
{
	const struct media_flow *want = &e->flows[stream];
	struct media_maps *maps = &svc->media->maps;
	uint32_t *slot = &e->leg->flow[stream], other;

	if (*slot && maps->flows[*slot].vip_port == want->vip_port)
		return;
	drop_flow(svc, e->leg, stream);
	other = media_maps_find(maps, &svc->conf.vip, want->vip_port);
	if (other && !maps->slots[other].left && !claim(svc, e, stream, other))
		return;
	set_denied(svc, e->leg, stream, false, false);
	*slot = media_maps_take(maps, &svc->conf.vip, want->vip_port);
	if (!*slot) {
		svc->media->counters.media_flows_full++;
		return;
	}
	svc->n_flows++;
	maps->slots[*slot].service = (uint8_t)svc->conf.head.service;
	maps->slots[*slot].dialog = (uint32_t)(e->dialog - svc->table->dialogs);
	maps->slots[*slot].stream = (uint8_t)stream;
}

static void take_all(struct media_service *svc, struct entry *e)
{
	for (unsigned int i = 0; i < DIALOG_STREAMS && svc->media->maps.flows; i++) {
		if (e->flows[i].used) {
			take(svc, e, i);
			continue;
		}
		drop_flow(svc, e->leg, i);
		set_denied(svc, e->leg, i, false, false);
	}
}

static void put_all(struct media_service *svc, const struct entry *e, const struct entry *peer, bool relay,
                    struct mono now)
{
	for (unsigned int i = 0; i < DIALOG_STREAMS; i++) {
		const struct media_flow *from = &e->flows[i];
		uint32_t other = relay && peer ? peer->leg->flow[i] : 0;
		struct flow want = {
		        .vip = svc->conf.vip,
		        .remote = from->remote,
		        .source = from->source,
		        .vip_port = from->vip_port,
		        .remote_port = from->remote_port,
		        .source_port = from->source_port,
		        .service = (uint8_t)svc->conf.head.service,
		        .flags = (uint8_t)((e->local ? FLOW_SERVER : 0) | (from->rtcp ? FLOW_RTCP : 0) |
		                           (other ? 0 : FLOW_HELD)),
		        .peer = other,
		};

		if (!e->leg->flow[i])
			continue;
		memcpy(want.pt, from->pt, sizeof(want.pt));
		memcpy(want.mac, from->mac, sizeof(want.mac));
		media_maps_put(&svc->media->maps, e->leg->flow[i], &want, e->forget[i / 2], now);
	}
}

/* --- what the phone says ------------------------------------------------------------ */

static uint64_t hash_of(const void *bytes, size_t len)
{
	static const unsigned char key[crypto_shorthash_KEYBYTES] = "sipflip's media";
	uint64_t hash;

	crypto_shorthash((unsigned char *)&hash, bytes, len, key);
	return hash ? hash : 1;
}

static uint64_t place_of(const struct sdp_media *media)
{
	char text[SDP_TOKEN_LEN + 8];

	memset(text, 0, sizeof(text));
	memcpy(text, media->address, strlen(media->address));
	memcpy(text + SDP_TOKEN_LEN, &media->port, sizeof(media->port));
	return hash_of(text, sizeof(text));
}

static uint64_t streams_of(const struct dialog *dialog, unsigned int line)
{
	struct dialog_stream streams[2] = {*dialog_stream_of(dialog, 2 * line),
	                                   *dialog_stream_of(dialog, 2 * line + 1)};

	return hash_of(streams, sizeof(streams));
}

/*
 * A phone that says that its media is elsewhere from now on is no longer where it was
 * seen. Known by its SDP naming another place while nothing new was seen; a hold by
 * address (RFC 3264 8.4) names no place.
 */
static void note_moves(struct media_service *svc, struct entry *e, const struct sdp *in)
{
	static const struct dialog_stream unseen;

	for (unsigned int i = 0; i < MEDIA_LINES; i++) {
		const struct sdp_media *media = i < in->n_media ? &in->media[i] : NULL;
		bool says = media && media->port && strcmp(media->address, "0.0.0.0") != 0;
		uint64_t said = says ? place_of(media) : 0, seen = streams_of(e->dialog, i);

		if (!said)
			continue;
		e->forget[i] = e->leg->said[i] && e->leg->said[i] != said && e->leg->seen[i] == seen;
		if (e->forget[i] && svc->owner) {
			dialog_set_stream(svc->table, e->dialog, 2 * i, &unseen);
			dialog_set_stream(svc->table, e->dialog, 2 * i + 1, &unseen);
			seen = streams_of(e->dialog, i);
		}
		e->leg->said[i] = said;
		e->leg->seen[i] = seen;
	}
}

static bool sends_nothing(const struct sdp *in, const struct sdp *out)
{
	for (unsigned int i = 0; i < MEDIA_LINES && i < in->n_media && i < out->n_media; i++) {
		const struct sdp_media *phone = &in->media[i], *server = &out->media[i];

		if (!phone->port || !server->port)
			continue;
		if (phone->direction != SDP_RECVONLY && phone->direction != SDP_INACTIVE &&
		    server->direction != SDP_SENDONLY && server->direction != SDP_INACTIVE &&
		    strcmp(server->address, "0.0.0.0") != 0 && strcmp(phone->address, "0.0.0.0") != 0)
			return false;
	}
	return true;
}

static void read_phone(struct media_service *svc, struct entry *e)
{
	struct sdp in, out;

	e->leg->on_hold = true;
	if (sdp_parse(e->dialog->sdp_in, e->dialog->sdp_in_len, &in))
		return;
	note_moves(svc, e, &in);
	if (sdp_parse(e->dialog->sdp_out, e->dialog->sdp_out_len, &out) == 0)
		e->leg->on_hold = sends_nothing(&in, &out);
}

/* --- plans ---------------------------------------------------------------------------- */

/* Of all that the plan is made from: the same again needs no new one. Never 0. */
static uint64_t inputs_of(const struct media_service *svc, const struct dialog *d)
{
	struct {
		uint64_t call, in, out, streams[MEDIA_LINES];
		uint32_t flags;
		uint8_t state, paired, local, role;
	} inputs;

	memset(&inputs, 0, sizeof(inputs));
	inputs.call = d->call;
	inputs.in = hash_of(d->sdp_in, d->sdp_in_len);
	inputs.out = hash_of(d->sdp_out, d->sdp_out_len);
	for (unsigned int i = 0; i < MEDIA_LINES; i++)
		inputs.streams[i] = streams_of(d, i);
	inputs.flags = d->flags & DIALOG_JOINED;
	inputs.state = d->state;
	inputs.paired = d->paired;
	inputs.local = media_is_local(svc, d);
	inputs.role = d->role;
	return hash_of(&inputs, sizeof(inputs));
}

/* The other leg has not come yet, and the kernel still has what a former process knew of both. */
static bool waits_for_partner(const struct media_service *svc, const struct dialog *d,
                              const struct media_plan *plan)
{
	const struct media_maps *maps = &svc->media->maps;

	if (!maps->n_left || d->paired == PAIRED_NOT || d->paired == PAIRED_AMBIGUOUS)
		return false;
	for (unsigned int i = 0; i < DIALOG_STREAMS; i++) {
		uint32_t slot =
		        plan->a[i].used ? media_maps_find(maps, &svc->conf.vip, plan->a[i].vip_port) : 0;

		if (slot && maps->slots[slot].left)
			return true;
	}
	return false;
}

void media_flows_plan(struct media_service *svc, struct dialog *dialog, struct dialog *peer)
{
	struct entry a = {.dialog = dialog, .leg = media_leg_of(svc, dialog)}, b = {.dialog = peer};
	uint64_t planned = inputs_of(svc, dialog), peer_planned = peer ? inputs_of(svc, peer) : 0;
	struct mono now = loop_now();
	struct media_plan plan;
	bool relay;

	if (peer)
		b.leg = media_leg_of(svc, peer);
	/* Each leg remembers both, so that a partner that came or went is a change as well. */
	if (a.leg->planned == planned + peer_planned && !a.leg->denied &&
	    (!peer || (b.leg->planned == planned + peer_planned && !b.leg->denied)))
		return;
	a.local = media_is_local(svc, dialog);
	read_phone(svc, &a);
	if (peer) {
		b.local = media_is_local(svc, peer);
		read_phone(svc, &b);
	}
	media_plan(dialog, peer, &svc->conf.vip, svc->conf.media_direct, &plan);
	if (!peer && waits_for_partner(svc, dialog, &plan))
		return;
	relay = plan.path == MEDIA_PATH_relay;
	a.flows = plan.a;
	b.flows = plan.b;
	take_all(svc, &a);
	if (peer)
		take_all(svc, &b);
	put_all(svc, &a, peer ? &b : NULL, relay, now);
	set_relayed(svc, a.leg, relay);
	a.leg->planned = inputs_of(svc, dialog) + (peer ? inputs_of(svc, peer) : 0);
	if (!peer)
		return;
	put_all(svc, &b, &a, relay, now);
	set_relayed(svc, b.leg, relay);
	b.leg->planned = a.leg->planned;
}
