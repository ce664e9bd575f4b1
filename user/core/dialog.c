/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What SIP messages do to the dialogs of a server, by RFC 3261 sections 12 to
 * 15, seen from its own wire. Storage is dialog_table.c. Pure.
 *
 * CSeqs are kept apart for each direction (12.2.1.1): a request of the server
 * moves local_cseq only, a request of the phone remote_cseq only.
 */
#include "dialog.h"
#include "dialog_table.h"

#include <string.h>

static const char *text_of(const char *text)
{
	return text ? text : "";
}

/*
 * The functions below work on a draft (dialog_table.h): text of the message is
 * pointed to, and copied when the draft is entered. What does not fit is left out:
 * a cut header would be worse than none.
 */
void dialog_draft_keep(struct dialog_table *table, struct dialog *d, const char **field, size_t size,
                       const char *value)
{
	if (!value || !value[0])
		return;
	if (strlen(value) >= size) {
		table->counters.dialog_field_too_long++;
		d->flags |= DIALOG_TRUNCATED;
		return;
	}
	*field = value;
}
#define KEEP(field, size, value) dialog_draft_keep(table, d, &d->field, size, value)

/* Optional help for people and for pairing: too long is simply not kept. */
static void keep_short(const char **field, size_t size, const char *value)
{
	if (value && strlen(value) < size)
		*field = value;
}

/* True when the request of this transaction came from the server. */
static bool from_server(const struct sip_event *ev)
{
	return ev->status ? !ev->out : ev->out;
}

static const char *local_tag(const struct sip_event *ev)
{
	return text_of(from_server(ev) ? ev->from_tag : ev->to_tag);
}

static const char *remote_tag(const struct sip_event *ev)
{
	return text_of(from_server(ev) ? ev->to_tag : ev->from_tag);
}

/*
 * Route set, RFC 3261 12.1.1 and 12.1.2: the UAS keeps the Record-Routes in
 * order, the UAC reverses them. Commas inside <> or "" do not separate.
 */
static void set_route(struct dialog_table *table, struct dialog *d, const char *record_route,
                      char route[DIALOG_ROUTE_LEN])
{
	const char *end, *p;
	size_t len, at;
	int angle = 0;
	bool quoted = false;

	d->route = "";
	if (!record_route || !record_route[0])
		return;
	len = strlen(record_route);
	if (d->role == DIALOG_UAS || len >= DIALOG_ROUTE_LEN) {
		KEEP(route, DIALOG_ROUTE_LEN, record_route); /* counts and marks what is too long */
		return;
	}
	/* Fill from the back, value by value; as long as the original. */
	at = len;
	route[len] = '\0';
	for (p = end = record_route;; end++) {
		if (*end == '"' && !angle)
			quoted = !quoted;
		if (!quoted && (*end == '<' || *end == '>'))
			angle = *end == '<';
		if (*end && (*end != ',' || angle || quoted))
			continue;
		at -= (size_t)(end - p);
		memcpy(route + at, p, (size_t)(end - p));
		if (!*end)
			break;
		route[--at] = ',';
		p = end + 1;
	}
	d->route = route;
}

void dialog_draft_message(struct dialog_table *table, struct dialog *d, const struct sip_event *ev)
{
	d->at_changed = ev->at;
	/* Where the phone really is: the source of what it sends, or until then where the server sends. */
	if (!ev->out || !d->flow_port) {
		d->flow_addr = ev->remote;
		d->flow_port = ev->remote_port;
	}
	if (ev->out)
		keep_short(&d->session_id_out, DIALOG_SESSION_ID_LEN, ev->session_id);
	else
		keep_short(&d->session_id_in, DIALOG_SESSION_ID_LEN, ev->session_id);
	keep_short(&d->link, DIALOG_CALL_ID_LEN, ev->link);
	if (!ev->out)
		d->flags |= ev->supports & DIALOG_SUPPORTS;
	if (ev->sdp && ev->sdp_len)
		dialog_draft_sdp(table, d, ev->out, ev->sdp, ev->sdp_len);
	dialog_heal_note(table, d);
}

/* Of a call's own methods only: SUBSCRIBE, OPTIONS or REGISTER have tags as well and are none of ours. */
static void count_unknown(struct dialog_table *table, const struct sip_event *ev)
{
	if (ev->verb == SIP_VERB_INVITE || ev->verb == SIP_VERB_BYE || ev->verb == SIP_VERB_UPDATE)
		table->counters.dialog_unknown++;
}

static bool refreshes_target(const struct sip_event *ev)
{
	return ev->verb == SIP_VERB_INVITE || ev->verb == SIP_VERB_UPDATE;
}

/* Target refresh, RFC 3261 12.2: the other side's Contact; our side's is kept as well. */
static void note_contact(struct dialog_table *table, struct dialog *d, const struct sip_event *ev)
{
	if (!refreshes_target(ev) || !ev->contact)
		return;
	if (ev->out)
		KEEP(local_contact, DIALOG_URI_LEN, ev->contact);
	else
		KEEP(remote_target, DIALOG_URI_LEN, ev->contact);
}

/* RFC 4028: only the 2xx says what was agreed; without the header there is no timer. */
static void note_session_timer(struct dialog *d, const struct sip_event *ev)
{
	bool server_asked = from_server(ev);

	d->at_refresh = ev->at;
	d->session_expires_s = ev->session_expires_s;
	d->refresher = REFRESHER_NONE;
	if (ev->session_expires_s && ev->refresher_uas >= 0)
		d->refresher = (ev->refresher_uas == 1) != server_asked ? REFRESHER_LOCAL : REFRESHER_REMOTE;
}

/* The dialog, or the half-open one, that this side's first INVITE made: same tag of the caller. */
static bool same_invite(const struct dialog *d, const struct sip_event *ev)
{
	bool server = from_server(ev);

	if (d->role != (server ? DIALOG_UAC : DIALOG_UAS))
		return false;
	return !strcmp(server ? d->local_tag : d->remote_tag, text_of(ev->from_tag));
}

struct dialog *dialog_find_half_open(struct dialog_table *table, const struct sip_event *ev)
{
	struct dialog *d = dialog_first_of_call_id(table, ev->service, ev->call_id);

	for (; d; d = dialog_next_same_call_id(table, d))
		if (same_invite(d, ev) && dialog_is_half_open(d))
			return d;
	return NULL;
}

static void keep_invite(struct dialog *d, const struct sip_event *ev)
{
	bool fits = ev->whole_len <= DIALOG_INVITE_LEN;

	d->flags &= ~(uint32_t)DIALOG_NO_INVITE;
	d->flags |= fits ? 0 : DIALOG_NO_INVITE;
	d->invite = ev->whole;
	d->invite_len = fits && ev->whole ? (uint16_t)ev->whole_len : 0;
}

void dialog_draft_blank(const struct dialog_table *table, const struct sip_event *ev, struct dialog *ret)
{
	*ret = (struct dialog){.service = ev->service, .call_id = ev->call_id, .origin = table->origin};
	dialog_fill_blanks(ret);
}

/* First INVITE: no To tag. A retry after 401 has the same From tag and a higher CSeq. */
static struct dialog *on_first_invite(struct dialog_table *table, const struct sip_event *ev)
{
	struct dialog *at = dialog_first_of_call_id(table, ev->service, ev->call_id);
	struct dialog draft, *d = &draft;
	char route[DIALOG_ROUTE_LEN];

	for (; at; at = dialog_next_same_call_id(table, at))
		if (same_invite(at, ev) && at->invite_cseq == ev->cseq)
			return NULL; /* retransmission */
	at = dialog_find_half_open(table, ev);
	if (at)
		*d = *at;
	else
		dialog_draft_blank(table, ev, d);
	d->role = ev->out ? DIALOG_UAC : DIALOG_UAS;
	d->at_invite = ev->at;
	d->invite_cseq = ev->cseq;
	d->progress = 0;
	d->rseq = 0;
	keep_invite(d, ev);
	KEEP(request_uri, DIALOG_URI_LEN, ev->request_uri);
	if (ev->out) {
		d->local_tag = ev->from_tag;
		d->local_cseq = ev->cseq;
		KEEP(local, DIALOG_NAME_ADDR_LEN, ev->from);
		KEEP(remote, DIALOG_NAME_ADDR_LEN, ev->to);
		KEEP(remote_target, DIALOG_URI_LEN, ev->request_uri); /* until a response brings a Contact */
	} else {
		d->remote_tag = ev->from_tag;
		d->remote_cseq = ev->cseq;
		KEEP(local, DIALOG_NAME_ADDR_LEN, ev->to);
		KEEP(remote, DIALOG_NAME_ADDR_LEN, ev->from);
		set_route(table, d, ev->record_route, route);
	}
	keep_short(&d->caller, DIALOG_USER_LEN, ev->from_user);
	keep_short(&d->callee, DIALOG_USER_LEN, ev->request_user);
	keep_short(&d->asserted, DIALOG_USER_LEN, ev->asserted_user);
	note_contact(table, d, ev);
	dialog_draft_message(table, d, ev);
	return dialog_enter(table, at, d);
}

static struct dialog *on_dialog_request(struct dialog_table *table, struct dialog *at,
                                        const struct sip_event *ev)
{
	struct dialog draft = *at, *d = &draft;
	uint32_t *cseq = ev->out ? &d->local_cseq : &d->remote_cseq;

	/* ACK and CANCEL have the number of their INVITE. */
	if (ev->verb != SIP_VERB_ACK && ev->verb != SIP_VERB_CANCEL) {
		if (ev->cseq < *cseq) {
			table->counters.dialog_old_cseq++;
			return NULL;
		}
		*cseq = ev->cseq;
	}
	note_contact(table, d, ev);
	dialog_draft_message(table, d, ev);
	if (ev->verb == SIP_VERB_ACK)
		d->acked = 1;
	if (ev->verb == SIP_VERB_BYE) /* RFC 3261 15.1: over as soon as it is sent */
		dialog_draft_state(table, d, DIALOG_ENDED, ev->at);
	return dialog_enter(table, at, d);
}

static uint32_t count_forks(struct dialog_table *table, const struct sip_event *ev)
{
	struct dialog *d = dialog_first_of_call_id(table, ev->service, ev->call_id);
	uint32_t n = 0;

	for (; d; d = dialog_next_same_call_id(table, d))
		n += same_invite(d, ev);
	return n;
}

/* What a fork has from its sibling; the rest comes with the message. */
static void copy_sibling(struct dialog *d, const struct dialog *sibling)
{
	d->role = sibling->role;
	d->at_invite = sibling->at_invite;
	d->invite_cseq = sibling->invite_cseq;
	d->origin = sibling->origin;
	d->flags = sibling->flags & (DIALOG_TRUNCATED | DIALOG_NO_INVITE);
	if (sibling->role == DIALOG_UAS) /* the same phone; a callee's fork is another */
		d->flags |= sibling->flags & DIALOG_SUPPORTS;
	d->local = sibling->local;
	d->remote = sibling->remote;
	d->local_contact = sibling->local_contact;
	d->request_uri = sibling->request_uri;
	d->caller = sibling->caller;
	d->callee = sibling->callee;
	d->asserted = sibling->asserted;
	d->link = sibling->link;
	d->sdp_out = sibling->sdp_out;
	d->sdp_out_len = sibling->sdp_out_len;
	d->invite = sibling->invite;
	d->invite_len = sibling->invite_len;
	*(d->role == DIALOG_UAC ? &d->local_cseq : &d->remote_cseq) = d->invite_cseq;
}

/*
 * A response to the first INVITE brought a tag that no dialog has yet: the
 * half-open one becomes it (*ret_at); a further tag is a fork (12.1.2) and starts as
 * a copy (*ret_at NULL), and so does one whose INVITE was missed. False: none of this, or too many.
 */
static bool draft_new_tag(struct dialog_table *table, const struct sip_event *ev, struct dialog *draft,
                          struct dialog **ret_at, char target[DIALOG_GUESS_LEN])
{
	struct dialog *d = dialog_find_half_open(table, ev), *sibling = NULL, *s;

	*ret_at = d;
	if (d) {
		*draft = *d;
	} else {
		for (s = dialog_first_of_call_id(table, ev->service, ev->call_id); s;
		     s = dialog_next_same_call_id(table, s))
			if (same_invite(s, ev) && s->invite_cseq == ev->cseq)
				sibling = s;
		if (!sibling) {
			count_unknown(table, ev);
			return dialog_heal_invite(table, ev, draft, target);
		}
		if (count_forks(table, ev) >= DIALOG_FORKS) {
			table->counters.dialog_fork_limit++;
			return false;
		}
		dialog_draft_blank(table, ev, draft);
		copy_sibling(draft, sibling);
	}
	draft->local_tag = local_tag(ev);
	draft->remote_tag = remote_tag(ev);
	return true;
}

struct dialog *dialog_invite_refused(struct dialog_table *table, const struct sip_event *ev)
{
	struct dialog *d = dialog_first_of_call_id(table, ev->service, ev->call_id), *next, *changed = NULL;

	for (; d; d = next) {
		next = dialog_next_same_call_id(table, d);
		if (!same_invite(d, ev) || d->invite_cseq != ev->cseq || d->state != DIALOG_EARLY)
			continue;
		if (dialog_is_half_open(d)) {
			/* its ACK is not to be taken for that of a dialog */
			if (from_server(ev))
				dialog_gone_note(table, &(struct dialog_key){ev->service, ev->call_id,
				                                             local_tag(ev), remote_tag(ev)});
			dialog_slot_drop(table, d);
			continue;
		}
		dialog_set_state(table, d, DIALOG_ENDED, ev->at);
		changed = d;
	}
	return changed;
}

/* 100 comes from the next hop and may come late: it says nothing that a later 1xx has not said. */
static void note_progress(struct dialog *d, const struct sip_event *ev)
{
	if (ev->status >= 200 || d->state != DIALOG_EARLY || (ev->status == 100 && d->progress))
		return;
	d->progress = (uint16_t)ev->status;
	if (ev->rseq)
		d->rseq = ev->rseq;
}

/* 100, or an old 18x without a tag: the transaction goes on, there is no dialog yet. */
static struct dialog *on_tagless_progress(struct dialog_table *table, const struct sip_event *ev)
{
	struct dialog *d = dialog_find_half_open(table, ev);

	if (!d || d->invite_cseq != ev->cseq || ev->status >= 200 || d->progress == ev->status ||
	    (ev->status == 100 && d->progress))
		return NULL;
	d->at_changed = ev->at;
	note_progress(d, ev);
	dialog_touch(table, d);
	return d;
}

/* 1xx with a tag, or 2xx, to the INVITE that makes the dialog; at is NULL before the first with this tag. */
static struct dialog *on_invite_answer(struct dialog_table *table, struct dialog *at,
                                       const struct sip_event *ev)
{
	struct dialog draft, *d = &draft;
	char route[DIALOG_ROUTE_LEN], target[DIALOG_GUESS_LEN];
	bool fork = false;

	if (at) {
		*d = *at;
	} else {
		if (!draft_new_tag(table, ev, d, &at, target))
			return NULL;
		fork = !at;
	}
	if (d->state == DIALOG_ENDED)
		return NULL;
	note_contact(table, d, ev);
	dialog_draft_message(table, d, ev);
	note_progress(d, ev);
	/* The UAC's route set is that of the 2xx, RFC 3261 13.2.2.4. */
	if (d->role == DIALOG_UAC && d->state == DIALOG_EARLY)
		set_route(table, d, ev->record_route, route);
	if (ev->status >= 200 && d->state == DIALOG_EARLY) {
		d->at_answer = ev->at;
		note_session_timer(d, ev);
		dialog_draft_state(table, d, DIALOG_CONFIRMED, ev->at);
	}
	at = dialog_enter(table, at, d);
	table->counters.dialog_forked += at && fork && !(at->flags & DIALOG_INCOMPLETE);
	return at;
}

static struct dialog *on_dialog_response(struct dialog_table *table, struct dialog *at,
                                         const struct sip_event *ev)
{
	struct dialog draft = *at, *d = &draft;
	bool done = ev->status >= 200 && ev->status < 300;

	if (done)
		note_contact(table, d, ev);
	if (done && refreshes_target(ev))
		note_session_timer(d, ev);
	dialog_draft_message(table, d, ev);
	/* What the server answers, the phone has asked: also when that was missed. */
	if (ev->out && ev->cseq > d->remote_cseq)
		d->remote_cseq = ev->cseq;
	/* RFC 3261 12.2.1.2: 481 and 408 end it. A 401 to BYE means that it was not over yet. */
	if ((ev->status == 481 || ev->status == 408) && ev->verb != SIP_VERB_CANCEL &&
	    ev->verb != SIP_VERB_PRACK && ev->verb != SIP_VERB_SUBSCRIPTION)
		dialog_draft_state(table, d, DIALOG_ENDED, ev->at);
	else if (ev->verb == SIP_VERB_BYE && (ev->status == 401 || ev->status == 407) && d->at_answer.ns &&
	         d->state == DIALOG_ENDED)
		dialog_draft_state(table, d, DIALOG_CONFIRMED, ev->at);
	else if (ev->verb == SIP_VERB_BYE && done && dialog_is_up(d)) {
		table->counters.dialog_missed_bye++;
		dialog_draft_state(table, d, DIALOG_ENDED, ev->at);
	}
	return dialog_enter(table, at, d);
}

static struct dialog *on_response(struct dialog_table *table, const struct sip_event *ev)
{
	struct dialog *d = dialog_find(table, ev->service, ev->call_id, local_tag(ev), remote_tag(ev));
	bool first = ev->verb == SIP_VERB_INVITE && (!d || ev->cseq == d->invite_cseq);

	if (first && d && !same_invite(d, ev))
		first = false; /* a re-INVITE of the other side whose number happens to be the same */
	if (first && ev->status >= 300)
		return dialog_invite_refused(table, ev);
	if (ev->status == 100 || !ev->to_tag || !ev->to_tag[0])
		return first ? on_tagless_progress(table, ev) : NULL;
	if (first)
		return on_invite_answer(table, d, ev);
	if (!d) {
		count_unknown(table, ev);
		return NULL;
	}
	return on_dialog_response(table, d, ev);
}

struct dialog *dialog_table_event(struct dialog_table *table, const struct sip_event *ev)
{
	struct dialog *d;

	if (!ev->call_id || !ev->call_id[0] || !ev->from_tag || !ev->from_tag[0]) {
		table->counters.dialog_incomplete++;
		return NULL;
	}
	if (strlen(ev->call_id) >= DIALOG_CALL_ID_LEN || strlen(ev->from_tag) >= DIALOG_TAG_LEN ||
	    strlen(text_of(ev->to_tag)) >= DIALOG_TAG_LEN) {
		table->counters.dialog_key_too_long++;
		return NULL;
	}
	if (ev->status)
		return on_response(table, ev);
	if (!ev->to_tag || !ev->to_tag[0])
		return ev->verb == SIP_VERB_INVITE ? on_first_invite(table, ev) : NULL;
	d = dialog_find(table, ev->service, ev->call_id, local_tag(ev), remote_tag(ev));
	if (ev->verb == SIP_VERB_ACK && (!d || d->state == DIALOG_EARLY))
		return dialog_heal_answer(table, d, ev);
	if (!d) {
		count_unknown(table, ev);
		if (ev->verb == SIP_VERB_BYE)
			dialog_gone_note(table, &(struct dialog_key){ev->service, ev->call_id, local_tag(ev),
			                                             remote_tag(ev)});
		return NULL;
	}
	return on_dialog_request(table, d, ev);
}
