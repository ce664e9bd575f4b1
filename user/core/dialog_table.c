/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Storage of the dialog table: slots, the hashes by Call-ID and by call number,
 * the list in order of change, tombstones, expiry, and the replica's receiving
 * side. Knows nothing of SIP messages; that is dialog.c. Pure.
 */
#include "dialog_table.h"
#include "pairing.h"
#include "text_pool.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define CALL_START_BITS 40 /* what two tables are unlikely to begin alike by */

static uint32_t index_of(const struct dialog_table *table, const struct dialog *dialog)
{
	return (uint32_t)(dialog - table->dialogs);
}

static uint32_t bucket(const struct dialog_table *table, uint8_t service, const char *call_id)
{
	unsigned char in[DIALOG_CALL_ID_LEN + 1];
	size_t len = strnlen(call_id, DIALOG_CALL_ID_LEN);
	uint64_t h;

	in[0] = service;
	memcpy(in + 1, call_id, len);
	crypto_shorthash((unsigned char *)&h, in, len + 1, table->hash_key);
	return (uint32_t)h & table->mask;
}

static uint32_t call_bucket(const struct dialog_table *table, uint64_t call)
{
	return (uint32_t)(call * 0x9e3779b97f4a7c15ULL >> 32) & table->mask;
}

int dialog_table_init(struct dialog_table *table, uint32_t max_dialogs, uint64_t seed)
{
	uint32_t size = 1, i;

	if (max_dialogs < 1 || max_dialogs > 1000000)
		return -EINVAL;
	while (size < max_dialogs)
		size *= 2;
	*table = (struct dialog_table){
	        .dialogs = calloc(max_dialogs, sizeof(struct dialog)),
	        .slots = calloc(max_dialogs, sizeof(struct dialog_slot)),
	        .by_call_id = malloc(size * sizeof(uint32_t)),
	        .by_call = malloc(size * sizeof(uint32_t)),
	        .tombstones = calloc(DIALOG_TOMBSTONES, sizeof(struct dialog_tombstone)),
	        .stone_text = malloc(DIALOG_STONE_BYTES),
	        .pairing = pairing_new(max_dialogs),
	        .mask = size - 1,
	        .max = max_dialogs,
	        .first = DIALOG_NIL,
	        .last = DIALOG_NIL,
	        .next_call = 1 + (seed * 0x9e3779b97f4a7c15ULL >> (64 - CALL_START_BITS)),
	        .bytes_max = (uint64_t)max_dialogs * DIALOG_BUDGET_BYTES,
	};
	if (table->bytes_max < DIALOG_BUDGET_MIN)
		table->bytes_max = DIALOG_BUDGET_MIN;
	table->text = text_pool_new(table->bytes_max);
	if (!table->dialogs || !table->slots || !table->by_call_id || !table->by_call || !table->tombstones ||
	    !table->stone_text || !table->pairing || !table->text) {
		dialog_table_done(table);
		return -ENOMEM;
	}
	memcpy(table->hash_key, &seed, sizeof(seed));
	memset(table->by_call_id, 0xff, size * sizeof(uint32_t));
	memset(table->by_call, 0xff, size * sizeof(uint32_t));
	for (i = 0; i < max_dialogs; i++)
		table->slots[i].next_call_id = i + 1 < max_dialogs ? i + 1 : DIALOG_NIL;
	return 0;
}

void dialog_table_done(struct dialog_table *table)
{
	uint32_t i;

	for (i = 0; table->slots && table->dialogs && i < table->max; i++)
		if (table->slots[i].bytes)
			text_pool_give(table->text, dialog_store_release(table, &table->dialogs[i]));
	text_pool_free(table->text);
	pairing_free(table->pairing);
	free(table->dialogs);
	free(table->slots);
	free(table->by_call_id);
	free(table->by_call);
	free(table->tombstones);
	free(table->stone_text);
	*table = (struct dialog_table){0};
}

static void unlist(struct dialog_table *table, uint32_t i)
{
	struct dialog_slot *slot = &table->slots[i];

	if (!slot->listed)
		return;
	if (slot->older != DIALOG_NIL)
		table->slots[slot->older].newer = slot->newer;
	else
		table->first = slot->newer;
	if (slot->newer != DIALOG_NIL)
		table->slots[slot->newer].older = slot->older;
	else
		table->last = slot->older;
	slot->listed = false;
}

void dialog_touch(struct dialog_table *table, struct dialog *dialog)
{
	uint32_t i = index_of(table, dialog);
	struct dialog_slot *slot = &table->slots[i];

	unlist(table, i);
	dialog->version = ++table->version;
	slot->older = table->last;
	slot->newer = DIALOG_NIL;
	slot->listed = true;
	if (table->last != DIALOG_NIL)
		table->slots[table->last].newer = i;
	else
		table->first = i;
	table->last = i;
	if (table->observer.changed)
		table->observer.changed(table->observer.context, dialog);
}

static void leave_call(struct dialog_table *table, uint32_t i)
{
	uint32_t *link = &table->by_call[call_bucket(table, table->dialogs[i].call)];

	if (!table->slots[i].has_call)
		return;
	while (*link != i)
		link = &table->slots[*link].next_call;
	*link = table->slots[i].next_call;
	table->slots[i].has_call = false;
}

void dialog_set_call(struct dialog_table *table, struct dialog *dialog, uint64_t call)
{
	uint32_t i = index_of(table, dialog);
	uint32_t *head = &table->by_call[call_bucket(table, call)];

	leave_call(table, i);
	dialog->call = call;
	table->slots[i].next_call = *head;
	table->slots[i].has_call = true;
	*head = i;
	if (call >= table->next_call)
		table->next_call = call + 1;
}

static struct dialog *take_slot(struct dialog_table *table, const struct dialog *draft)
{
	uint32_t i = table->free_head, next;
	uint32_t *head = &table->by_call_id[bucket(table, draft->service, draft->call_id)];
	struct dialog *dialog;
	char *none;

	if (i == DIALOG_NIL) {
		table->counters.dialog_table_full++;
		return NULL;
	}
	dialog = &table->dialogs[i];
	next = table->slots[i].next_call_id;
	table->slots[i] = (struct dialog_slot){.next_call_id = next};
	if (dialog_store(table, dialog, draft, &none) < 0)
		return NULL;
	table->free_head = next;
	table->used++;
	table->slots[i].used = true;
	table->slots[i].next_call_id = *head;
	*head = i;
	dialog_set_call(table, dialog, draft->call ? draft->call : table->next_call);
	table->counters.dialog_created++;
	return dialog;
}

/* Who has a copy knows it by its old key, which is the beginning of its old block. */
static struct dialog *change(struct dialog_table *table, struct dialog *dialog, const struct dialog *draft)
{
	bool renamed = strcmp(dialog->local_tag, draft->local_tag) != 0 ||
	               strcmp(dialog->remote_tag, draft->remote_tag) != 0;
	uint64_t call = dialog->call;
	char *old;

	if (dialog_store(table, dialog, draft, &old) == 0) {
		if (renamed)
			dialog_stone_write(table, dialog->service, old);
		text_pool_give(table->text, old);
	} else if (renamed) {
		return NULL;
	} else {
		dialog_store_numbers(dialog, draft);
	}
	dialog->call = call;
	if (draft->call != call)
		dialog_set_call(table, dialog, draft->call);
	return dialog;
}

struct dialog *dialog_enter(struct dialog_table *table, struct dialog *at, const struct dialog *draft)
{
	struct dialog *dialog = at ? change(table, at, draft) : take_slot(table, draft);

	if (dialog)
		dialog_touch(table, dialog);
	return dialog;
}

void dialog_slot_drop(struct dialog_table *table, struct dialog *dialog)
{
	uint32_t i = index_of(table, dialog);
	uint32_t *link = &table->by_call_id[bucket(table, dialog->service, dialog->call_id)];

	if (table->observer.removed)
		table->observer.removed(table->observer.context, dialog);
	unlist(table, i);
	leave_call(table, i);
	while (*link != i)
		link = &table->slots[*link].next_call_id;
	*link = table->slots[i].next_call_id;
	dialog_stone_write(table, dialog->service, dialog->call_id);
	text_pool_give(table->text, dialog_store_release(table, dialog));
	table->slots[i] = (struct dialog_slot){.next_call_id = table->free_head};
	table->free_head = i;
	table->used--;
}

struct dialog *dialog_first_of_call_id(const struct dialog_table *table, uint8_t service, const char *call_id)
{
	uint32_t i = table->by_call_id[bucket(table, service, call_id)];

	for (; i != DIALOG_NIL; i = table->slots[i].next_call_id)
		if (table->dialogs[i].service == service && !strcmp(table->dialogs[i].call_id, call_id))
			return &table->dialogs[i];
	return NULL;
}

struct dialog *dialog_next_same_call_id(struct dialog_table *table, const struct dialog *prev)
{
	uint32_t i = table->slots[index_of(table, prev)].next_call_id;

	for (; i != DIALOG_NIL; i = table->slots[i].next_call_id)
		if (table->dialogs[i].service == prev->service &&
		    !strcmp(table->dialogs[i].call_id, prev->call_id))
			return &table->dialogs[i];
	return NULL;
}

struct dialog *dialog_find(struct dialog_table *table, uint8_t service, const char *call_id,
                           const char *local_tag, const char *remote_tag)
{
	struct dialog *d;

	if (strlen(call_id) >= DIALOG_CALL_ID_LEN)
		return NULL;
	for (d = dialog_first_of_call_id(table, service, call_id); d; d = dialog_next_same_call_id(table, d))
		if (!strcmp(d->local_tag, local_tag) && !strcmp(d->remote_tag, remote_tag))
			return d;
	return NULL;
}

static struct dialog *same_call(struct dialog_table *table, uint32_t i, const struct dialog *of)
{
	for (; i != DIALOG_NIL; i = table->slots[i].next_call)
		if (table->dialogs[i].call == of->call && table->dialogs[i].service == of->service)
			return &table->dialogs[i];
	return NULL;
}

struct dialog *dialog_first_of_call(struct dialog_table *table, const struct dialog *of)
{
	return same_call(table, table->by_call[call_bucket(table, of->call)], of);
}

struct dialog *dialog_next_of_call(struct dialog_table *table, const struct dialog *prev)
{
	return same_call(table, table->slots[index_of(table, prev)].next_call, prev);
}

static bool is_paired(const struct dialog *d)
{
	return d->paired != PAIRED_NOT && d->paired != PAIRED_AMBIGUOUS;
}

struct dialog *dialog_peer(struct dialog_table *table, const struct dialog *dialog)
{
	struct dialog *d, *best = NULL;
	int best_rank = -1;

	if (!is_paired(dialog))
		return NULL;
	for (d = dialog_first_of_call(table, dialog); d; d = dialog_next_of_call(table, d)) {
		int rank = (d->role != dialog->role ? 4 : 0) + (dialog_is_up(d)            ? 2
		                                                : d->state == DIALOG_EARLY ? 1
		                                                                           : 0);

		if (d == dialog || !is_paired(d) || rank <= best_rank)
			continue;
		best = d;
		best_rank = rank;
	}
	return best;
}

bool dialog_is_of_call(const struct dialog_table *table, const struct dialog *dialog, uint64_t call)
{
	return table->slots[index_of(table, dialog)].used && dialog->call == call;
}

struct dialog *dialog_next(struct dialog_table *table, const struct dialog *prev)
{
	uint32_t i;

	for (i = prev ? index_of(table, prev) + 1 : 0; i < table->max; i++)
		if (table->slots[i].used)
			return &table->dialogs[i];
	return NULL;
}

struct dialog *dialog_older(struct dialog_table *table, const struct dialog *newer)
{
	uint32_t i = newer ? table->slots[index_of(table, newer)].older : table->last;

	return i == DIALOG_NIL ? NULL : &table->dialogs[i];
}

struct dialog_memo *dialog_memo(struct dialog_table *table, const struct dialog *dialog)
{
	return &table->slots[index_of(table, dialog)].memo;
}

const struct dialog *dialog_next_changed(const struct dialog_table *table, uint64_t since,
                                         const struct dialog *prev)
{
	uint32_t i;

	if (prev) {
		i = table->slots[index_of(table, prev)].newer;
		return i == DIALOG_NIL ? NULL : &table->dialogs[i];
	}
	if (table->first == DIALOG_NIL || table->dialogs[table->last].version <= since)
		return NULL;
	if (table->dialogs[table->first].version > since)
		return &table->dialogs[table->first];
	/* Deltas are short: from the new end back to the first one after `since`. */
	for (i = table->last; table->dialogs[table->slots[i].older].version > since;)
		i = table->slots[i].older;
	return &table->dialogs[i];
}

const struct dialog_tombstone *dialog_next_removed(const struct dialog_table *table, uint64_t since,
                                                   uint64_t *cursor)
{
	if (*cursor < table->first_tombstone)
		*cursor = table->first_tombstone;
	while (*cursor < table->n_tombstones) {
		const struct dialog_tombstone *stone = &table->tombstones[(*cursor)++ % DIALOG_TOMBSTONES];

		if (stone->version > since)
			return stone;
	}
	return NULL;
}

bool dialog_needs_snapshot(const struct dialog_table *table, uint64_t cursor)
{
	return cursor < table->first_tombstone;
}

static bool may_be_half_open(const struct dialog *r)
{
	return (r->local_tag[0] || r->remote_tag[0]) &&
	       (r->state == DIALOG_EARLY || r->state == DIALOG_ENDED);
}

static bool record_is_good(const struct dialog *r)
{
#define X(field, room)                                                                                       \
	if (strnlen(r->field, room) == (room))                                                               \
		return false;
	DIALOG_TEXTS(X)
#undef X
	return r->call_id[0] && (!dialog_is_half_open(r) || may_be_half_open(r)) &&
	       r->service < MAX_SERVICES && r->state <= DIALOG_ENDED && r->role <= DIALOG_UAC &&
	       r->paired <= PAIRED_AMBIGUOUS && r->refresher <= REFRESHER_REMOTE &&
	       r->n_streams <= DIALOG_STREAMS && r->invite_len <= DIALOG_INVITE_LEN &&
	       r->sdp_in_len <= DIALOG_SDP_LEN && r->sdp_out_len <= DIALOG_SDP_LEN && r->call > 0 &&
	       r->call < UINT64_MAX;
}

static void shift(struct mono *t, int64_t ns)
{
	/* A record's times are bytes from a peer: no overflow, and never "unset". */
	if (t->ns && __builtin_add_overflow(t->ns, ns, &t->ns))
		t->ns = 1;
	if (t->ns < 0)
		t->ns = 1;
}

/* What nobody asks of a dialog that ended. */
static void cut_down(struct dialog *draft)
{
	draft->sdp_in_len = 0;
	draft->sdp_out_len = 0;
	draft->invite_len = 0;
	draft->n_streams = 0;
	draft->local_contact = "";
	draft->request_uri = "";
	draft->link = "";
	draft->session_id_in = "";
	draft->session_id_out = "";
	draft->joined = "";
}

int dialog_table_apply(struct dialog_table *table, const struct dialog *record, int64_t shift_ns)
{
	struct dialog draft = *record, *d;

	dialog_fill_blanks(&draft);
	if (!record_is_good(&draft)) {
		table->counters.dialog_apply_bad++;
		return -EINVAL;
	}
	if (draft.state != DIALOG_EARLY)
		draft.invite_len = 0;
	if (draft.state == DIALOG_ENDED)
		cut_down(&draft);
	shift(&draft.at_invite, shift_ns);
	shift(&draft.at_answer, shift_ns);
	shift(&draft.at_changed, shift_ns);
	shift(&draft.at_refresh, shift_ns);
	shift(&draft.at_ended, shift_ns);
	d = dialog_find(table, draft.service, draft.call_id, draft.local_tag, draft.remote_tag);
	d = dialog_enter(table, d, &draft);
	/* Less than all of it is no copy: who sent it is asked again. */
	if (!d || (d->flags & ~record->flags & DIALOG_TRUNCATED))
		return -ENOSPC;
	table->counters.dialog_applied++;
	return 0;
}

int dialog_table_remove(struct dialog_table *table, const struct dialog_key *key)
{
	struct dialog *d = dialog_find(table, key->service, key->call_id, key->local_tag, key->remote_tag);

	if (!d)
		return -ENOENT;
	dialog_slot_drop(table, d);
	return 0;
}

void dialog_table_clear(struct dialog_table *table, uint8_t service)
{
	struct dialog *d = NULL;

	while ((d = dialog_next(table, d)))
		if (service == 255 || d->service == service)
			dialog_slot_drop(table, d);
}

static bool is_over(const struct dialog *d, struct mono now)
{
	int64_t idle_ns = mono_diff(now, d->at_changed);

	if (d->state == DIALOG_ENDED)
		return mono_diff(now, d->at_ended) > DIALOG_ENDED_KEEP_NS;
	if (d->state == DIALOG_EARLY)
		return idle_ns > DIALOG_EARLY_KEEP_NS;
	if (d->session_expires_s)
		return mono_diff(now, d->at_refresh) >
		       d->session_expires_s * NS_PER_S + DIALOG_TIMER_GRACE_NS;
	return idle_ns > DIALOG_IDLE_KEEP_NS;
}

/* The BYE was lost, or nobody was left to say it. */
static bool is_silent(const struct dialog_table *table, const struct dialog *d, struct mono now)
{
	return dialog_is_up(d) && !d->session_expires_s && mono_diff(now, d->at_changed) > DIALOG_SILENT_NS &&
	       table->silence.silent && table->silence.silent(table->silence.context, d, DIALOG_SILENT_NS);
}

/* No change for anybody: who has a copy has cut it down when it was told of the end. */
static void shorten(struct dialog_table *table, struct dialog *d)
{
	struct dialog draft = *d;
	char *old;

	cut_down(&draft);
	if (dialog_store(table, d, &draft, &old) == 0)
		text_pool_give(table->text, old);
}

uint32_t dialog_table_expire(struct dialog_table *table, struct mono now, uint32_t budget)
{
	uint32_t gone = 0;

	if (budget > table->max)
		budget = table->max;
	for (; budget; budget--) {
		struct dialog *d = &table->dialogs[table->expire_cursor];
		bool used = table->slots[table->expire_cursor].used;

		table->expire_cursor = (table->expire_cursor + 1) % table->max;
		if (!used)
			continue;
		if (is_silent(table, d, now)) {
			table->counters.dialog_silent++;
			dialog_set_state(table, d, DIALOG_ENDED, now);
		}
		if (d->state == DIALOG_ENDED && mono_diff(now, d->at_ended) > DIALOG_ENDED_WHOLE_NS)
			shorten(table, d);
		if (!is_over(d, now))
			continue;
		if (d->state != DIALOG_ENDED)
			table->counters.dialog_expired++;
		dialog_slot_drop(table, d);
		gone++;
	}
	return gone;
}

void dialog_key_of(const struct dialog *dialog, struct dialog_key *ret)
{
	*ret = (struct dialog_key){dialog->service, dialog->call_id, dialog->local_tag, dialog->remote_tag};
}

void dialog_table_counts(const struct dialog_table *table, uint8_t service, struct dialog_counts *ret)
{
	struct dialog_counts counts = {0};
	uint32_t i, paired = 0;

	for (i = table->first; i != DIALOG_NIL; i = table->slots[i].newer) {
		const struct dialog *d = &table->dialogs[i];

		if (d->service != service || d->state == DIALOG_ENDED || dialog_is_half_open(d))
			continue;
		counts.dialogs++;
		if (!dialog_is_up(d))
			continue;
		if (dialog_peer((struct dialog_table *)table, d))
			paired++;
		else
			counts.calls++;
	}
	counts.calls += (paired + 1) / 2;
	*ret = counts;
}
