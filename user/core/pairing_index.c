/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The index behind pairing.c, see pairing_index.h. */
#include "pairing_index.h"
#include "pairing.h"
#include "sdp.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define NIL        UINT32_MAX
#define MIN_DIGITS 6   /* of a number, before a common ending means the same subscriber */
#define MIN_ID     6   /* of an SDP session id: "0" or "1" say nothing */
#define TEXT_LEN   512 /* of what goes into a hash; an o= line is longer only by intent */

/* One key of one dialog; its index is place of the dialog * PAIRING_KEYS + key. */
struct node {
	uint32_t next;
	uint32_t prev; /* NIL = first of its chain */
	uint32_t hash; /* 0 = not in the index */
};

/* Where a dialog that may still find a partner has its nodes. */
struct place {
	uint32_t slot; /* of the dialog; of a free place the next free one */
	uint32_t seen; /* number of the walk that met it last */
};

/* Most calls are settled and have no place, so that only few places are ever touched. */
struct pairing {
	struct node *nodes;
	uint32_t *heads;
	struct place *places;
	uint32_t *place_of; /* by slot: place + 1, 0 = none */
	uint32_t mask;
	uint32_t untouched; /* first place that was never taken */
	uint32_t free;      /* the one given back last */
	uint32_t walks;
	uint64_t since; /* changes up to this version of the table are in */
};

struct pairing *pairing_new(uint32_t max_dialogs)
{
	struct pairing *p = calloc(1, sizeof(*p));
	uint32_t size = 1;

	if (!p)
		return NULL;
	while (size < 2 * max_dialogs)
		size *= 2;
	p->nodes = calloc((size_t)max_dialogs * PAIRING_KEYS, sizeof(*p->nodes));
	p->heads = malloc(size * sizeof(*p->heads));
	p->places = calloc(max_dialogs, sizeof(*p->places));
	p->place_of = calloc(max_dialogs, sizeof(*p->place_of));
	p->mask = size - 1;
	p->free = NIL;
	if (!p->nodes || !p->heads || !p->places || !p->place_of) {
		pairing_free(p);
		return NULL;
	}
	memset(p->heads, 0xff, size * sizeof(*p->heads));
	return p;
}

void pairing_free(struct pairing *pairing)
{
	if (!pairing)
		return;
	free(pairing->nodes);
	free(pairing->heads);
	free(pairing->places);
	free(pairing->place_of);
	free(pairing);
}

static void leave(struct pairing *p, uint32_t i)
{
	struct node *node = &p->nodes[i];

	if (!node->hash)
		return;
	if (node->prev != NIL)
		p->nodes[node->prev].next = node->next;
	else
		p->heads[node->hash & p->mask] = node->next;
	if (node->next != NIL)
		p->nodes[node->next].prev = node->prev;
	node->hash = 0;
}

static void enter(struct pairing *p, uint32_t i, uint32_t hash)
{
	struct node *node = &p->nodes[i];
	uint32_t *head;

	if (node->hash == hash)
		return;
	leave(p, i);
	if (!hash)
		return;
	head = &p->heads[hash & p->mask];
	*node = (struct node){.next = *head, .prev = NIL, .hash = hash};
	if (*head != NIL)
		p->nodes[*head].prev = i;
	*head = i;
}

/* There are as many as dialogs: never none left. */
static uint32_t take_place(struct pairing *p, uint32_t slot)
{
	uint32_t place = p->free;

	if (place == NIL)
		place = p->untouched++;
	else
		p->free = p->places[place].slot;
	p->places[place] = (struct place){.slot = slot};
	p->place_of[slot] = place + 1;
	return place;
}

static void leave_place(struct pairing *p, uint32_t slot)
{
	uint32_t place = p->place_of[slot] - 1;

	for (unsigned int key = 0; key < PAIRING_KEYS; key++)
		leave(p, place * PAIRING_KEYS + key);
	p->place_of[slot] = 0;
	p->places[place].slot = p->free;
	p->free = place;
}

/* --- hashes -------------------------------------------------------------------- */

static uint32_t hash_of(const struct dialog_table *table, char kind, uint8_t service, const char *text,
                        size_t len)
{
	unsigned char in[TEXT_LEN + 2];
	uint64_t h;

	if (!len || len > TEXT_LEN)
		return 0;
	in[0] = (unsigned char)kind;
	in[1] = service;
	memcpy(in + 2, text, len);
	crypto_shorthash((unsigned char *)&h, in, len + 2, table->hash_key);
	return (uint32_t)h ? (uint32_t)h : 1;
}

static uint32_t text_hash(const struct dialog_table *table, char kind, uint8_t service, const char *text)
{
	return hash_of(table, kind, service, text, strlen(text));
}

/* Numbers that pairing_same_number() calls the same have the same hash. */
static uint32_t number_hash(const struct dialog_table *table, char kind, uint8_t service, const char *text)
{
	size_t len;

	text += *text == '+';
	len = strlen(text);
	if (len > MIN_DIGITS && strspn(text, "0123456789") == len)
		text += len - MIN_DIGITS;
	return text_hash(table, kind, service, text);
}

static uint32_t session_hash(const struct dialog_table *table, char kind, uint8_t service, const char *id)
{
	return strspn(id, "0") == strlen(id) ? 0 : text_hash(table, kind, service, id);
}

static uint32_t origin_hash(const struct dialog_table *table, char kind, uint8_t service, const char *sdp,
                            size_t len)
{
	struct sdp parsed;

	if (!len || sdp_parse_origin(sdp, len, &parsed) || parsed.session_id.len < MIN_ID)
		return 0;
	return hash_of(table, kind, service, parsed.session_id.at, parsed.session_id.len);
}

/*
 * Everything meets across: what came in on one leg went out on the other, a link
 * names a Call-ID, a called leg has the numbers of a calling one. So a key has two
 * hashes: the one it is entered under, and the one under which its other half is.
 */
static uint32_t key_hash(const struct dialog_table *table, const struct dialog *d, unsigned int key,
                         bool others)
{
	bool uas = (d->role == DIALOG_UAS) != others;

	switch (key) {
	case PAIRING_CALL_ID:
		return text_hash(table, others ? 'l' : 'c', d->service, d->call_id);
	case PAIRING_LINK:
		return text_hash(table, others ? 'c' : 'l', d->service, d->link);
	case PAIRING_SESSION_IN:
		return session_hash(table, others ? 's' : 'S', d->service, d->session_id_in);
	case PAIRING_SESSION_OUT:
		return session_hash(table, others ? 'S' : 's', d->service, d->session_id_out);
	case PAIRING_ORIGIN_IN:
		return origin_hash(table, others ? 'o' : 'O', d->service, d->sdp_in, d->sdp_in_len);
	case PAIRING_ORIGIN_OUT:
		return origin_hash(table, others ? 'O' : 'o', d->service, d->sdp_out, d->sdp_out_len);
	case PAIRING_CALLER:
		return number_hash(table, uas ? 'f' : 'F', d->service, d->caller);
	case PAIRING_ASSERTED:
		return number_hash(table, uas ? 'f' : 'F', d->service, d->asserted);
	default:
		return number_hash(table, uas ? 't' : 'T', d->service, d->callee);
	}
}

bool pairing_same_number(const char *a, const char *b)
{
	size_t la, lb, len;

	a += *a == '+';
	b += *b == '+';
	la = strlen(a);
	lb = strlen(b);
	len = la < lb ? la : lb;
	if (!len)
		return false;
	if (la == lb)
		return !strcmp(a, b);
	/* national and international writing of one number */
	if (len < MIN_DIGITS || strspn(a, "0123456789") != la || strspn(b, "0123456789") != lb)
		return false;
	a += *a == '0' && la < lb;
	b += *b == '0' && lb < la;
	la = strlen(a);
	lb = strlen(b);
	len = la < lb ? la : lb;
	return len >= MIN_DIGITS && !strcmp(a + la - len, b + lb - len);
}

/* --- taking in ------------------------------------------------------------------- */

/* A caller's leg may get more partners until it is answered; a called one is done with its first. */
static bool wants_numbers(const struct dialog *d, const struct dialog *peer)
{
	if (d->role == DIALOG_UAS && d->state == DIALOG_EARLY)
		return true;
	return !peer || peer->state == DIALOG_ENDED || (d->role == DIALOG_UAS && !dialog_is_up(peer));
}

static void take_in(struct dialog_table *table, const struct dialog *d)
{
	struct pairing *p = table->pairing;
	uint32_t slot = (uint32_t)(d - table->dialogs), place;
	const struct dialog *peer = dialog_peer(table, d);
	bool numbers;

	if (d->state == DIALOG_ENDED || (peer && dialog_is_up(d) && dialog_is_up(peer))) {
		if (p->place_of[slot])
			leave_place(p, slot);
		if (d->state == DIALOG_ENDED && peer && peer->state != DIALOG_ENDED)
			take_in(table, peer); /* it is settled no more */
		return;
	}
	place = p->place_of[slot] ? p->place_of[slot] - 1 : take_place(p, slot);
	numbers = wants_numbers(d, peer);
	for (unsigned int key = 0; key < PAIRING_KEYS; key++)
		enter(p, place * PAIRING_KEYS + key,
		      key < PAIRING_CALLER || numbers ? key_hash(table, d, key, false) : 0);
}

void pairing_index_update(struct dialog_table *table)
{
	const struct dialog *d = dialog_next_changed(table, table->pairing->since, NULL);

	for (; d; d = dialog_next_changed(table, table->pairing->since, d))
		take_in(table, d);
	table->pairing->since = table->version;
}

/* --- looking ---------------------------------------------------------------------- */

/* At the first node of the next chain, or past the last one. */
static void next_chain(struct dialog_table *table, struct pairing_walk *walk)
{
	const struct dialog *d = walk->dialog;

	walk->node = NIL;
	while (walk->node == NIL && walk->key <= walk->last) {
		walk->hash = key_hash(table, d, walk->key++, true);
		walk->looked = 0;
		if (walk->hash)
			walk->node = table->pairing->heads[walk->hash & table->pairing->mask];
	}
}

void pairing_walk_start(struct dialog_table *table, struct pairing_walk *walk, const struct dialog *dialog,
                        enum pairing_key first, enum pairing_key last)
{
	struct pairing *p = table->pairing;

	*walk = (struct pairing_walk){.dialog = dialog, .last = last, .key = first, .number = ++p->walks};
	if (!walk->number) { /* wrapped: old stamps would mean something again */
		for (uint32_t place = 0; place < p->untouched; place++)
			p->places[place].seen = 0;
		walk->number = ++p->walks;
	}
	next_chain(table, walk);
}

struct dialog *pairing_walk_next(struct dialog_table *table, struct pairing_walk *walk)
{
	struct pairing *p = table->pairing;

	while (walk->node != NIL) {
		struct place *place = &p->places[walk->node / PAIRING_KEYS];
		bool meets = p->nodes[walk->node].hash == walk->hash;
		struct dialog *d = &table->dialogs[place->slot];

		walk->node = p->nodes[walk->node].next;
		if (++walk->looked == PAIRING_LOOK && walk->node != NIL) {
			walk->cut |= 1U << (walk->key - 1);
			walk->node = NIL;
		}
		if (walk->node == NIL)
			next_chain(table, walk);
		if (!meets || place->seen == walk->number || d == walk->dialog)
			continue;
		place->seen = walk->number;
		/* dropped since: its slot is empty, and was not taken in again */
		if (dialog_is_of_call(table, d, d->call) && d->state != DIALOG_ENDED)
			return d;
	}
	return NULL;
}
