/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel's news of the media: read from the ring, believed only for a slot that
 * is still what it was when they were written, and entered into the dialog's streams,
 * from where the replica carries them to the standby.
 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>

#include "addr.h"
#include "media_service.h"

#define RECORDS_A_TURN 256
#define SLOTS_A_LOOK   2048 /* all of them in 3.2 s */

/* Of a slot that is in use: the dialog it was filled for, while it still has it. */
static struct dialog *dialog_of(struct media *media, const struct media_event *event,
                                struct media_service **ret_svc, unsigned int *ret_stream)
{
	const struct media_slot *info = &media->maps.slots[event->slot];
	struct media_service *svc = info->service < MAX_SERVICES ? media->services[info->service] : NULL;
	struct dialog *dialog;

	if (!info->linked || info->left || !svc || event->at_ns < (uint64_t)info->filled.ns)
		return NULL;
	dialog = media_dialog_at(svc, info->dialog);
	if (!dialog || media_leg_of(svc, dialog)->flow[info->stream] != event->slot)
		return NULL;
	*ret_svc = svc;
	*ret_stream = info->stream;
	return dialog;
}

static bool is_zero(const uint8_t *bytes, size_t n)
{
	while (n && !*bytes) {
		bytes++;
		n--;
	}
	return !n;
}

static void take_from(const struct flow *flow, struct dialog_stream *stream)
{
	stream->from = flow->seen_from;
	stream->from_port = flow->seen_from_port;
	if (!is_zero(flow->seen_mac, sizeof(flow->seen_mac)))
		memcpy(stream->mac, flow->seen_mac, sizeof(stream->mac));
}

static void enter(const struct flow *flow, enum media_event_kind kind, struct dialog_stream *stream)
{
	bool symmetric = !stream->to_port ||
	                 (stream->to_port == stream->from_port && addr_equal(&stream->to, &stream->from));

	if (kind == MEDIA_SEEN_TO) {
		stream->to = flow->seen_to;
		stream->to_port = flow->seen_to_port;
		return;
	}
	take_from(flow, stream);
	/* Nobody here sends to it by himself, so where it moved to is where it wants its packets. */
	if (kind == MEDIA_RELATCHED && symmetric) {
		stream->to = stream->from;
		stream->to_port = stream->from_port;
	}
}

bool media_seen(struct media *media, const struct media_event *event)
{
	struct media_service *svc;
	struct dialog_stream stream;
	struct dialog *dialog;
	const struct flow *flow;
	uint64_t version;
	unsigned int i;

	if (!media->maps.flows || event->slot == 0 || event->slot >= MAX_FLOWS ||
	    event->kind < MEDIA_SEEN_FROM || event->kind > MEDIA_RELATCHED) {
		media->counters.media_malformed++;
		return false;
	}
	dialog = dialog_of(media, event, &svc, &i);
	if (!dialog)
		return false;
	flow = &media->maps.flows[event->slot];
	if (event->kind == MEDIA_SEEN_TO ? !flow->seen_to_port : !flow->seen_from_port)
		return false; /* forgotten since */
	stream = *dialog_stream_of(dialog, i);
	enter(flow, event->kind, &stream);
	version = dialog->version;
	dialog_set_stream(svc->table, dialog, i, &stream);
	if (dialog->version == version)
		return false;
	if (event->kind == MEDIA_RELATCHED)
		media->counters.media_relatched++;
	else
		media->counters.media_seen++;
	return true;
}

/*
 * What a slot itself shows, for news that never came: the ring was full, or a call keeper
 * ended. Only what was written since this node owns; older is a former owner's.
 */
static bool look_at(struct media *media, const struct media_service *svc, uint32_t slot, uint64_t now_ns)
{
	const struct flow *flow = &media->maps.flows[slot];
	uint64_t since_ns = (uint64_t)svc->owner_since.ns;
	struct media_event event = {.at_ns = now_ns, .slot = slot, .kind = MEDIA_SEEN_FROM};
	bool news = false;

	if (!(flow->flags & FLOW_SERVER)) {
		event.kind = MEDIA_RELATCHED;
		return flow->relatched_ns >= since_ns && media_seen(media, &event);
	}
	if (flow->last_ns >= since_ns)
		news = media_seen(media, &event);
	event.kind = MEDIA_SEEN_TO;
	return media_seen(media, &event) || news;
}

static void flush_all(struct media *media)
{
	media_flush(media);
	for (int i = 0; i < MAX_SERVICES; i++)
		if (media->services[i] && media->services[i]->on_seen)
			media->services[i]->on_seen(media->services[i]->context);
}

void media_look(struct media *media)
{
	uint64_t now_ns = (uint64_t)loop_now().ns;
	bool news = false;

	for (uint32_t n = 0; n < SLOTS_A_LOOK && media->maps.flows; n++) {
		const struct media_slot *info = &media->maps.slots[media->look_at];
		const struct media_service *svc =
		        info->linked && info->service < MAX_SERVICES ? media->services[info->service] : NULL;

		if (svc && svc->owner && look_at(media, svc, media->look_at, now_ns)) {
			media->counters.media_missed++;
			news = true;
		}
		media->look_at = (media->look_at + 1) % MAX_FLOWS;
	}
	if (news)
		flush_all(media);
}

static int on_record(void *context, void *data, size_t size)
{
	struct media *media = context;
	const struct media_event *event = data;

	if (size < sizeof(*event))
		media->counters.media_malformed++;
	else
		media_seen(media, event);
	/* The record is consumed either way; an error only ends this turn. */
	return --media->ring_left ? 0 : -EAGAIN;
}

static void on_ready(void *arg)
{
	struct media *media = arg;

	media->ring_left = RECORDS_A_TURN;
	ring_buffer__consume(media->ring);
	flush_all(media);
}

int media_seen_open(struct media *media, int fd)
{
	int rc;

	media->ring = ring_buffer__new(fd, on_record, media, NULL);
	if (!media->ring)
		return errno ? -errno : -EINVAL;
	rc = loop_fd_add(&media->ring_watch, media->root, ring_buffer__epoll_fd(media->ring), on_ready,
	                 media);
	if (rc < 0)
		media_seen_close(media);
	return rc;
}

void media_seen_close(struct media *media)
{
	loop_fd_remove(&media->ring_watch);
	ring_buffer__free(media->ring);
	media->ring = NULL;
}
