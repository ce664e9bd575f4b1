/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Dialogs that ended before the table knew them: a call keeper that was restarted
 * sees the BYE of a call whose record its peer has not given back yet. The last of
 * them are remembered by their hash, so that such a record is not taken for a call. And
 * half-open ones that got their tag or a refusal while the peer was about to give them back. Pure.
 */
#include "dialog_table.h"

#include <sodium.h>
#include <string.h>

static uint64_t hash_of(const struct dialog_table *table, const struct dialog_key *key)
{
	unsigned char in[1 + DIALOG_CALL_ID_LEN + 2 * DIALOG_TAG_LEN];
	size_t len = 0;
	uint64_t hash;

	in[len++] = key->service;
	memcpy(in + len, key->call_id, strlen(key->call_id) + 1);
	len += strlen(key->call_id) + 1;
	memcpy(in + len, key->local_tag, strlen(key->local_tag) + 1);
	len += strlen(key->local_tag) + 1;
	memcpy(in + len, key->remote_tag, strlen(key->remote_tag) + 1);
	len += strlen(key->remote_tag) + 1;
	crypto_shorthash((unsigned char *)&hash, in, len, table->hash_key);
	return hash;
}

void dialog_gone_note(struct dialog_table *table, const struct dialog_key *key)
{
	table->gone[table->n_gone++ % DIALOG_GONE] = hash_of(table, key);
}

bool dialog_was_hung_up(const struct dialog_table *table, const struct dialog *dialog)
{
	uint32_t n = table->n_gone < DIALOG_GONE ? table->n_gone : DIALOG_GONE;
	struct dialog_key key;
	uint64_t hash;

	if (!n)
		return false;
	dialog_key_of(dialog, &key);
	hash = hash_of(table, &key);
	while (n--)
		if (table->gone[n] == hash)
			return true;
	return false;
}

static const char *callers_tag(const struct dialog *d)
{
	return d->role == DIALOG_UAC ? d->local_tag : d->remote_tag;
}

bool dialog_is_outgrown(struct dialog_table *table, const struct dialog *record)
{
	const struct dialog_tombstone *stone;
	struct dialog *d;
	uint64_t at = 0;

	if (!dialog_is_half_open(record))
		return false;
	for (d = dialog_first_of_call_id(table, record->service, record->call_id); d;
	     d = dialog_next_same_call_id(table, d))
		if (!dialog_is_half_open(d) && d->role == record->role &&
		    d->invite_cseq >= record->invite_cseq && !strcmp(callers_tag(d), callers_tag(record)))
			return true;
	while ((stone = dialog_next_removed(table, 0, &at)))
		if (stone->key.service == record->service && !strcmp(stone->key.call_id, record->call_id) &&
		    !strcmp(stone->key.local_tag, record->local_tag) &&
		    !strcmp(stone->key.remote_tag, record->remote_tag))
			return true;
	return false;
}
