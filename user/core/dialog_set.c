/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What others read of a dialog and change in it: the rescue, the pairing, who
 * watches the kernel's media. Every change gets its version. Pure.
 */
#include "dialog_table.h"

#include <string.h>

bool dialog_is_half_open(const struct dialog *dialog)
{
	return !dialog->local_tag[0] || !dialog->remote_tag[0];
}

bool dialog_is_up(const struct dialog *dialog)
{
	return dialog->state >= DIALOG_CONFIRMED && dialog->state <= DIALOG_RESCUED;
}

const char *dialog_state_name(enum dialog_state state)
{
	static const char *const names[] = {"early", "confirmed", "rescuing", "rescued", "ended"};

	return state <= DIALOG_ENDED ? names[state] : "unknown";
}

const char *dialog_paired_name(enum dialog_paired how)
{
	static const char *const names[] = {"", "header", "session-id", "sdp", "numbers", ""};

	return how <= PAIRED_AMBIGUOUS ? names[how] : "";
}

void dialog_draft_state(struct dialog_table *table, struct dialog *d, enum dialog_state state, struct mono at)
{
	if (state == DIALOG_CONFIRMED && d->state == DIALOG_EARLY)
		table->counters.dialog_confirmed++;
	if (state == DIALOG_ENDED && d->state != DIALOG_ENDED) {
		table->counters.dialog_ended++;
		d->at_ended = at;
	}
	d->state = state;
	d->at_changed = at;
	/* Only as long as it rings is there somebody to answer it. */
	if (state != DIALOG_EARLY) {
		d->invite_len = 0;
		d->flags &= ~(uint32_t)DIALOG_NO_INVITE;
	}
}

void dialog_set_state(struct dialog_table *table, struct dialog *dialog, enum dialog_state state,
                      struct mono at)
{
	struct dialog draft = *dialog;

	if (dialog->state == state)
		return;
	dialog_draft_state(table, &draft, state, at);
	dialog_enter(table, dialog, &draft);
}

void dialog_set_paired(struct dialog_table *table, struct dialog *a, struct dialog *b, enum dialog_paired how)
{
	a->paired = how;
	b->paired = how;
	dialog_set_call(table, b, a->call);
	dialog_touch(table, a);
	dialog_touch(table, b);
}

void dialog_unpair(struct dialog_table *table, struct dialog *dialog)
{
	dialog->paired = PAIRED_NOT;
	dialog_set_call(table, dialog, table->next_call);
	dialog_touch(table, dialog);
}

void dialog_mark_ambiguous(struct dialog_table *table, struct dialog *dialog)
{
	if (dialog->paired == PAIRED_AMBIGUOUS)
		return;
	if (dialog->paired != PAIRED_NOT)
		dialog_set_call(table, dialog, table->next_call);
	dialog->paired = PAIRED_AMBIGUOUS;
	dialog_touch(table, dialog);
}

uint32_t dialog_take_cseq(struct dialog_table *table, struct dialog *dialog, uint32_t margin)
{
	dialog->local_cseq = (dialog->local_cseq + margin) & 0x7fffffff;
	dialog_touch(table, dialog);
	return dialog->local_cseq;
}

void dialog_draft_sdp(struct dialog_table *table, struct dialog *d, bool out, const char *sdp, size_t len)
{
	if (len > DIALOG_SDP_LEN) {
		table->counters.dialog_sdp_too_long++;
		d->flags |= DIALOG_SDP_CUT;
		return;
	}
	*(out ? &d->sdp_out : &d->sdp_in) = sdp;
	*(out ? &d->sdp_out_len : &d->sdp_in_len) = (uint16_t)len;
}

static void set_sdp(struct dialog_table *table, struct dialog *dialog, bool out, const char *sdp, size_t len)
{
	struct dialog draft = *dialog;

	dialog_draft_sdp(table, &draft, out, sdp, len);
	dialog_enter(table, dialog, &draft);
}

void dialog_set_sdp_in(struct dialog_table *table, struct dialog *dialog, const char *sdp, size_t len)
{
	set_sdp(table, dialog, false, sdp, len);
}

void dialog_set_sdp_out(struct dialog_table *table, struct dialog *dialog, const char *sdp, size_t len)
{
	set_sdp(table, dialog, true, sdp, len);
}

void dialog_set_flags(struct dialog_table *table, struct dialog *dialog, uint32_t set, uint32_t clear)
{
	uint32_t flags = (dialog->flags & ~clear) | set;

	if (dialog->flags == flags)
		return;
	dialog->flags = flags;
	dialog_touch(table, dialog);
}

void dialog_set_joined(struct dialog_table *table, struct dialog *dialog, const char *joined)
{
	struct dialog draft = *dialog;

	draft.joined = strlen(joined) < DIALOG_JOINED_LEN ? joined : "";
	dialog_enter(table, dialog, &draft);
}

const struct dialog_stream *dialog_stream_of(const struct dialog *dialog, unsigned int stream)
{
	static const struct dialog_stream unseen;

	return stream < dialog->n_streams ? &dialog->streams[stream] : &unseen;
}

void dialog_set_stream(struct dialog_table *table, struct dialog *dialog, unsigned int stream,
                       const struct dialog_stream *seen)
{
	struct dialog_stream streams[DIALOG_STREAMS] = {0};
	struct dialog draft = *dialog;

	if (!memcmp(dialog_stream_of(dialog, stream), seen, sizeof(*seen)))
		return;
	for (unsigned int i = 0; i < dialog->n_streams; i++)
		streams[i] = dialog->streams[i];
	streams[stream] = *seen;
	draft.streams = streams;
	if (draft.n_streams <= stream)
		draft.n_streams = (uint8_t)(stream + 1);
	dialog_enter(table, dialog, &draft);
}

void dialog_set_origin(struct dialog_table *table, struct dialog *dialog, uint64_t origin)
{
	if (dialog->origin == origin)
		return;
	dialog->origin = origin;
	dialog_touch(table, dialog);
}
