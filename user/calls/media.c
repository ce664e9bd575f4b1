/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The table's observer only marks a dialog; media_flush works the marks off, a bounded
 * number a turn, and an alarm at once sees to it that no mark waits for another event.
 * A dialog that goes takes its flows along in that instant.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "media_service.h"

#define MARKS_A_TURN   64
#define SWEEP_NS       (30 * NS_PER_S) /* what a former process left and no dialog claimed by then, goes */
#define LOOK_NS        (100 * NS_PER_MS)
#define RESERVATION_NS (60 * NS_PER_S)

struct media_leg *media_leg_of(const struct media_service *svc, const struct dialog *dialog)
{
	return &svc->legs[dialog - svc->table->dialogs];
}

struct dialog *media_dialog_at(const struct media_service *svc, uint32_t place)
{
	return place < svc->table->max ? &svc->table->dialogs[place] : NULL;
}

bool media_is_local(const struct media_service *svc, const struct dialog *dialog)
{
	return dialog->origin && dialog->origin == svc->table->origin;
}

/* --- marks ------------------------------------------------------------------------- */

static void wake(struct media *media)
{
	if (media->flush_set)
		return;
	media->flush_set = true;
	loop_alarm_at(&media->flush, loop_now());
}

void media_mark(struct media_service *svc, const struct dialog *dialog)
{
	struct media_leg *leg = media_leg_of(svc, dialog);
	struct media *media = svc->media;

	leg->marked = true;
	if (!leg->listed) {
		leg->listed = true;
		svc->marks[(svc->marks_first + svc->n_marks++) % svc->table->max] =
		        (uint32_t)(dialog - svc->table->dialogs);
	}
	wake(media);
}

static void on_changed(void *context, struct dialog *dialog)
{
	media_mark(context, dialog);
}

static void set_steered(struct media_service *svc, const struct dialog *dialog, bool steered)
{
	struct media_leg *leg = media_leg_of(svc, dialog);
	struct media *media = svc->media;

	if (leg->steered == steered)
		return;
	if (!steered) {
		media_steer_remove(&media->steer, leg->hash);
		leg->steered = false;
		return;
	}
	leg->hash = media_steer_hash(&svc->conf.steer_key, (uint8_t)svc->conf.head.service, dialog->call_id);
	if (strlen(dialog->call_id) > STEER_CALL_ID_LEN ||
	    media_steer_add(&media->steer, leg->hash, (uint8_t)svc->conf.head.service)) {
		media->counters.media_steer_full++;
		return;
	}
	leg->steered = true;
}

static void on_removed(void *context, struct dialog *dialog)
{
	struct media_service *svc = context;
	struct media_leg *leg = media_leg_of(svc, dialog);
	struct dialog *peer = dialog_peer(svc->table, dialog);
	bool listed = leg->listed;

	set_steered(svc, dialog, false);
	media_flows_drop(svc, leg);
	*leg = (struct media_leg){.listed = listed};
	if (peer)
		media_mark(svc, peer);
	if (svc->retry)
		wake(svc->media);
}

/* --- working them off ------------------------------------------------------------- */

/* A proxy's dialog comes in on one side and leaves on the other: two entries, one to the other turned around.
 */
static bool is_proxied(struct media_service *svc, const struct dialog *d)
{
	struct dialog *other = dialog_is_half_open(d) ? NULL
	                                              : dialog_find(svc->table, d->service, d->call_id,
	                                                            d->remote_tag, d->local_tag);

	if (!other || other == d)
		return false;
	if (!media_leg_of(svc, other)->proxied)
		media_mark(svc, other);
	return true;
}

static void work_off(struct media_service *svc, struct dialog *dialog)
{
	struct media_leg *leg = media_leg_of(svc, dialog);
	struct dialog *peer = dialog_peer(svc->table, dialog);
	bool entered = svc->conf.rescue_mode == RESCUE_AGENT, had = leg->planned;

	leg->proxied = is_proxied(svc, dialog);
	entered = entered && !leg->proxied;
	set_steered(svc, dialog,
	            entered && (!media_is_local(svc, dialog) || (dialog->flags & DIALOG_JOINED)));
	/* While several phones ring for one caller, his media goes to the one that the table prefers. */
	if (peer && (peer->state == DIALOG_ENDED || media_leg_of(svc, peer)->proxied ||
	             dialog_peer(svc->table, peer) != dialog))
		peer = NULL;
	if (entered && dialog->state != DIALOG_ENDED) {
		media_flows_plan(svc, dialog, peer);
		return;
	}
	media_flows_drop(svc, leg);
	peer = dialog_peer(svc->table, dialog);
	if (had && peer)
		media_mark(svc, peer); /* its media has no other end any more */
}

/* Those that were denied a port, when one came free. */
static void mark_denied(struct media_service *svc)
{
	svc->retry = false;
	for (uint32_t i = 0; i < svc->table->max && svc->n_denied; i++)
		if (svc->legs[i].denied)
			media_mark(svc, &svc->table->dialogs[i]);
}

/* Returns what is left of the budget. */
static int flush_service(struct media_service *svc, int budget)
{
	if (!svc->told)
		return budget;
	if (svc->retry)
		mark_denied(svc);
	for (; svc->n_marks && budget; budget--) {
		uint32_t place = svc->marks[svc->marks_first];
		struct media_leg *leg = &svc->legs[place];
		bool marked = leg->marked;

		svc->marks_first = (svc->marks_first + 1) % svc->table->max;
		svc->n_marks--;
		leg->listed = false;
		leg->marked = false;
		if (marked)
			work_off(svc, &svc->table->dialogs[place]);
	}
	return budget;
}

void media_flush(struct media *media)
{
	int budget = MARKS_A_TURN;
	bool more = false;

	media->flush_set = true; /* what is marked meanwhile is seen to below */
	for (int i = 0; i < MAX_SERVICES; i++) {
		if (!media->services[i])
			continue;
		budget = flush_service(media->services[i], budget);
		more = more || (media->services[i]->told &&
		                (media->services[i]->n_marks || media->services[i]->retry));
	}
	media->flush_set = more;
	if (more)
		loop_alarm_at(&media->flush, loop_now());
}

static void on_flush(void *arg)
{
	media_flush(arg);
}

static void on_sweep(void *arg)
{
	struct media *media = arg;

	media_maps_sweep(&media->maps);
	media_steer_sweep(&media->steer);
}

static void on_look(void *arg)
{
	struct media *media = arg;

	media_look(media);
	loop_alarm_at(&media->look, mono_add(loop_now(), LOOK_NS));
}

void media_origin_changed(struct media *media, int service)
{
	struct media_service *svc = media->services[service];
	struct dialog *dialog = NULL;

	if (!svc)
		return;
	svc->told = true;
	while ((dialog = dialog_next(svc->table, dialog)))
		media_mark(svc, dialog);
	media_flush(media);
}

void media_role(struct media *media, int service, bool owner, struct mono now)
{
	struct media_service *svc = media->services[service];

	if (svc && owner && !svc->owner)
		svc->owner_since = now;
	if (svc)
		svc->owner = owner;
}

/* --- making it ------------------------------------------------------------------------ */

int media_new(su_root_t *root, int ports_fd, int flows_fd, int steer_fd, int media_fd, struct media **ret)
{
	struct media *media = calloc(1, sizeof(*media));
	int rc;

	if (!media)
		return -ENOMEM;
	media->root = root;
	media->flush.fd = media->sweep.fd = media->look.fd = -1;
	rc = media_steer_open(&media->steer, steer_fd);
	if (rc == 0)
		rc = media_maps_open(&media->maps, ports_fd, flows_fd);
	if (rc == 0)
		rc = loop_alarm_init(&media->flush, root, on_flush, media);
	if (rc == 0)
		rc = loop_alarm_init(&media->sweep, root, on_sweep, media);
	if (rc == 0)
		rc = loop_alarm_init(&media->look, root, on_look, media);
	if (rc == 0 && media_fd >= 0)
		rc = media_seen_open(media, media_fd);
	if (rc < 0) {
		media_free(media);
		return rc;
	}
	loop_alarm_at(&media->sweep, mono_add(loop_now(), SWEEP_NS));
	loop_alarm_at(&media->look, mono_add(loop_now(), LOOK_NS));
	*ret = media;
	return 0;
}

void media_free(struct media *media)
{
	if (!media)
		return;
	if (media->ring)
		media_seen_close(media);
	loop_alarm_done(&media->flush);
	loop_alarm_done(&media->sweep);
	loop_alarm_done(&media->look);
	for (int i = 0; i < MAX_SERVICES; i++)
		media_remove_service(media, i);
	media_maps_close(&media->maps);
	media_steer_close(&media->steer);
	free(media->reserved_until);
	free(media);
}

int media_add_service(struct media *media, const struct keeper_conf *conf, struct dialog_table *table,
                      void (*on_seen)(void *context), void *context)
{
	struct media_service *svc = calloc(1, sizeof(*svc));

	if (!svc)
		return -ENOMEM;
	*svc = (struct media_service){
	        .media = media, .conf = *conf, .table = table, .on_seen = on_seen, .context = context};
	svc->legs = calloc(table->max, sizeof(*svc->legs));
	svc->marks = calloc(table->max, sizeof(*svc->marks));
	if (!svc->legs || !svc->marks) {
		free(svc->legs);
		free(svc->marks);
		free(svc);
		return -ENOMEM;
	}
	media->services[conf->head.service] = svc;
	table->observer = (struct dialog_observer){on_changed, on_removed, svc};
	return 0;
}

void media_remove_service(struct media *media, int service)
{
	struct media_service *svc = media->services[service];

	if (!svc)
		return;
	svc->table->observer = (struct dialog_observer){0};
	media->services[service] = NULL;
	free(svc->legs);
	free(svc->marks);
	free(svc);
}

/* --- questions ------------------------------------------------------------------------ */

static struct media_service *service_of(const struct media *media, const struct dialog *dialog)
{
	return dialog->service < MAX_SERVICES ? media->services[dialog->service] : NULL;
}

const struct flow *media_flow_of(const struct media *media, const struct dialog *dialog, unsigned int stream)
{
	struct media_service *svc = service_of(media, dialog);
	uint32_t slot = svc && stream < DIALOG_STREAMS ? media_leg_of(svc, dialog)->flow[stream] : 0;

	return slot ? &media->maps.flows[slot] : NULL;
}

bool media_is_silent(const struct media *media, const struct dialog *dialog, struct mono since)
{
	struct media_service *svc = service_of(media, dialog);
	const struct media_leg *leg = svc ? media_leg_of(svc, dialog) : NULL;
	bool any = false;

	if (!leg || leg->on_hold)
		return false;
	for (unsigned int i = 0; i < DIALOG_STREAMS; i += 2) {
		uint32_t slot = leg->flow[i];

		if (!slot)
			continue;
		if (mono_before(since, media->maps.slots[slot].filled) ||
		    media->maps.flows[slot].last_ns >= (uint64_t)since.ns)
			return false;
		any = true;
	}
	return any;
}

bool media_call_is_silent(const struct media *media, const struct dialog *dialog, struct mono since)
{
	struct media_service *svc = service_of(media, dialog);
	struct dialog *peer = svc ? dialog_peer(svc->table, dialog) : NULL;

	/* The phones of a call of the local server, or of another node's, are heard there. */
	if (!svc || !svc->owner || mono_before(since, svc->owner_since) || media_is_local(svc, dialog))
		return false;
	return media_is_silent(media, dialog, since) && (!peer || media_is_silent(media, peer, since));
}

static bool is_free(const struct media *media, uint16_t port, struct mono now)
{
	return media->reserved_until[port / 2] <= now.ns && !media_maps_has_port(&media->maps, port) &&
	       !media_maps_has_port(&media->maps, port + 1);
}

uint16_t media_take_port(struct media *media, int service, struct mono now)
{
	const struct media_service *svc = media->services[service];
	uint32_t first, n;

	if (!svc || !svc->conf.relay_port_first || svc->conf.relay_port_last <= svc->conf.relay_port_first)
		return 0;
	if (!media->reserved_until)
		media->reserved_until = calloc(UINT16_MAX / 2 + 1, sizeof(*media->reserved_until));
	if (!media->reserved_until)
		return 0;
	first = (svc->conf.relay_port_first + 1U) & ~1U;
	n = (svc->conf.relay_port_last + 1U - first) / 2;
	for (uint32_t i = 0; i < n; i++) {
		uint16_t port = (uint16_t)(first + 2 * ((media->next_port + i) % n));

		if (!is_free(media, port, now))
			continue;
		media->reserved_until[port / 2] = now.ns + RESERVATION_NS;
		media->next_port = (uint16_t)((media->next_port + i + 1) % n);
		return port;
	}
	return 0;
}

void media_counts(const struct media *media, int service, struct media_counts *ret)
{
	const struct media_service *svc = media->services[service];

	*ret = (struct media_counts){0};
	if (svc)
		*ret = (struct media_counts){svc->n_flows, svc->n_relayed / 2, svc->n_held};
}

const struct media_counters *media_counters(const struct media *media)
{
	return &media->counters;
}
