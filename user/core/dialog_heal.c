/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Dialogs of which a message was not captured: the ring ran full, or the call keeper
 * was being restarted. On the wire everything went well, so it will not come again;
 * what later messages tell has to do. Only what the server itself says makes a
 * dialog here, so that nobody else fills the table. Called by dialog.c. Pure.
 */
#include "dialog_table.h"

#include "addr.h"

#include <stdio.h>
#include <string.h>

static bool has(const char *text)
{
	return text && text[0];
}

void dialog_heal_note(struct dialog_table *table, struct dialog *draft)
{
	if (!(draft->flags & DIALOG_INCOMPLETE) || !has(draft->remote_target) || !draft->sdp_in_len ||
	    !draft->sdp_out_len)
		return;
	draft->flags &= ~(uint32_t)DIALOG_INCOMPLETE;
	table->counters.dialog_completed++;
}

static void keep_short(const char **field, const char *value)
{
	if (value && strlen(value) < DIALOG_USER_LEN)
		*field = value;
}

/* No earlier than this; when exactly was missed. */
static struct mono earliest_invite(struct mono answered)
{
	struct mono at = mono_add(answered, -DIALOG_EARLY_KEEP_NS);

	return at.ns > 0 ? at : mono_ns(1);
}

/* The Contact was missed; without proxies between, the phone is where the answer went. */
static const char *guess_target(const struct sip_event *ev, char target[DIALOG_GUESS_LEN])
{
	const char *user = has(ev->from_user) && strlen(ev->from_user) < DIALOG_USER_LEN ? ev->from_user : "";
	char host[ADDR_PORT_LEN];

	snprintf(target, DIALOG_GUESS_LEN, "sip:%s%s%s", user, user[0] ? "@" : "",
	         addr_format_port(&ev->remote, ev->remote_port, host));
	return target;
}

bool dialog_heal_invite(struct dialog_table *table, const struct sip_event *ev, struct dialog *d,
                        char target[DIALOG_GUESS_LEN])
{
	if (!ev->out || ev->status < 200 || ev->status >= 300 || !has(ev->from) || !has(ev->to) ||
	    table->used == table->max)
		return false;
	dialog_draft_blank(table, ev, d);
	d->role = DIALOG_UAS;
	d->flags = DIALOG_INCOMPLETE;
	d->at_invite = earliest_invite(ev->at);
	d->invite_cseq = ev->cseq;
	d->remote_cseq = ev->cseq;
	d->local_tag = ev->to_tag;
	d->remote_tag = ev->from_tag;
	dialog_draft_keep(table, d, &d->local, DIALOG_NAME_ADDR_LEN, ev->to);
	dialog_draft_keep(table, d, &d->remote, DIALOG_NAME_ADDR_LEN, ev->from);
	dialog_draft_keep(table, d, &d->route, DIALOG_ROUTE_LEN, ev->record_route);
	if (!has(ev->record_route))
		d->remote_target = guess_target(ev, target);
	keep_short(&d->caller, ev->from_user);
	keep_short(&d->callee, ev->to_user);
	table->counters.dialog_missed_invite++;
	return true;
}

/* The server's ACK of a 2xx says where the phone is (RFC 3261 13.2.2.4), but not where its media is. */
static bool draft_from_ack(struct dialog_table *table, const struct sip_event *ev, struct dialog *d)
{
	if (!ev->out || !has(ev->from) || !has(ev->to) || !has(ev->request_uri) || table->used == table->max)
		return false;
	dialog_draft_blank(table, ev, d);
	d->local_tag = ev->from_tag;
	d->remote_tag = ev->to_tag;
	if (dialog_was_hung_up(table, d)) /* or refused, and this is that one's */
		return false;
	d->role = DIALOG_UAC;
	d->flags = DIALOG_INCOMPLETE;
	d->at_invite = ev->at;
	d->invite_cseq = ev->cseq;
	dialog_draft_keep(table, d, &d->local, DIALOG_NAME_ADDR_LEN, ev->from);
	dialog_draft_keep(table, d, &d->remote, DIALOG_NAME_ADDR_LEN, ev->to);
	keep_short(&d->caller, ev->from_user);
	keep_short(&d->callee, ev->to_user);
	table->counters.dialog_missed_invite++;
	return true;
}

/* The ACK of a refusal is a part of the INVITE's transaction, that of a 2xx is not (17.1.1.3). */
static bool is_of_refusal(const struct dialog *d, const struct sip_event *ack)
{
	return memmem(d->invite, d->invite_len, ack->branch, strlen(ack->branch)) != NULL;
}

static struct dialog *confirm(struct dialog_table *table, struct dialog *at, struct dialog *d,
                              const struct sip_event *ev)
{
	d->local_tag = ev->out ? ev->from_tag : ev->to_tag;
	d->remote_tag = ev->out ? ev->to_tag : ev->from_tag;
	if (ev->out) {
		d->local_cseq = d->local_cseq > ev->cseq ? d->local_cseq : ev->cseq;
		dialog_draft_keep(table, d, &d->remote_target, DIALOG_URI_LEN, ev->request_uri);
		dialog_draft_keep(table, d, &d->route, DIALOG_ROUTE_LEN, ev->route);
	}
	d->flags |= DIALOG_INCOMPLETE;
	d->acked = 1;
	d->at_answer = ev->at;
	d->at_refresh = ev->at;
	dialog_draft_state(table, d, DIALOG_CONFIRMED, ev->at);
	dialog_draft_message(table, d, ev);
	return dialog_enter(table, at, d);
}

struct dialog *dialog_heal_answer(struct dialog_table *table, struct dialog *at, const struct sip_event *ev)
{
	struct dialog draft;

	at = at ? at : dialog_find_half_open(table, ev);
	if (!at)
		return draft_from_ack(table, ev, &draft) ? confirm(table, NULL, &draft, ev) : NULL;
	if (at->invite_cseq != ev->cseq || !has(ev->branch) || !at->invite_len)
		return NULL;
	if (is_of_refusal(at, ev))
		return dialog_invite_refused(table, ev);
	draft = *at;
	table->counters.dialog_missed_answer++;
	return confirm(table, at, &draft, ev);
}
