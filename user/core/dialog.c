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

/* Copies what fits whole; a cut header would be worse than none. */
static void keep(struct dialog_table *table, struct dialog *d, char *field, size_t size, const char *value)
{
	size_t len = value ? strlen(value) : 0;

	if (!len)
		return;
	if (len >= size) {
		table->counters.dialog_field_too_long++;
		d->flags |= DIALOG_TRUNCATED;
		return;
	}
	memcpy(field, value, len + 1);
}
#define KEEP(field, value) keep(table, d, d->field, sizeof(d->field), value)

/* Optional help for people and for pairing: too long is simply not kept. */
static void keep_short(char *field, size_t size, const char *value)
{
	if (value && strlen(value) < size)
		strcpy(field, value);
}

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

void dialog_set_state(struct dialog_table *table, struct dialog *dialog, enum dialog_state state,
                      struct mono at)
{
	if (dialog->state == state)
		return;
	if (state == DIALOG_CONFIRMED && dialog->state == DIALOG_EARLY)
		table->counters.dialog_confirmed++;
	if (state == DIALOG_ENDED) {
		table->counters.dialog_ended++;
		dialog->at_ended = at;
	}
	dialog->state = state;
	dialog->at_changed = at;
	if (state != DIALOG_EARLY)
		dialog_keep_invite(table, dialog, NULL, 0);
	dialog_touch(table, dialog);
}

void dialog_set_paired(struct dialog_table *table, struct dialog *a, struct dialog *b, enum dialog_paired how)
{
	a->paired = how;
	b->paired = how;
	dialog_set_call(table, b, a->call);
	dialog_touch(table, a);
	dialog_touch(table, b);
}

void dialog_mark_ambiguous(struct dialog_table *table, struct dialog *dialog)
{
	if (dialog->paired != PAIRED_NOT)
		return;
	dialog->paired = PAIRED_AMBIGUOUS;
	dialog_touch(table, dialog);
}

void dialog_set_flags(struct dialog_table *table, struct dialog *dialog, uint32_t set, uint32_t clear)
{
	uint32_t flags = (dialog->flags & ~clear) | set;

	if (dialog->flags == flags)
		return;
	dialog->flags = flags;
	dialog_touch(table, dialog);
}

const struct dialog_stream *dialog_stream_of(const struct dialog *dialog, unsigned int stream)
{
	static const struct dialog_stream unseen;

	return stream < DIALOG_STREAMS ? &dialog->stream[stream] : &unseen;
}

void dialog_set_stream(struct dialog_table *table, struct dialog *dialog, unsigned int stream,
                       const struct dialog_stream *seen)
{
	if (!memcmp(&dialog->stream[stream], seen, sizeof(*seen)))
		return;
	dialog->stream[stream] = *seen;
	dialog_touch(table, dialog);
}

void dialog_set_origin(struct dialog_table *table, struct dialog *dialog, uint64_t origin)
{
	if (dialog->origin == origin)
		return;
	dialog->origin = origin;
	dialog_touch(table, dialog);
}

uint32_t dialog_take_cseq(struct dialog_table *table, struct dialog *dialog, uint32_t margin)
{
	dialog->local_cseq = (dialog->local_cseq + margin) & 0x7fffffff;
	dialog_touch(table, dialog);
	return dialog->local_cseq;
}

static void keep_sdp(struct dialog_table *table, struct dialog *d, const struct sip_event *ev)
{
	if (!ev->sdp || !ev->sdp_len)
		return;
	if (ev->sdp_len > DIALOG_SDP_LEN) {
		table->counters.dialog_sdp_too_long++;
		d->flags |= DIALOG_SDP_CUT;
		return;
	}
	memcpy(ev->out ? d->sdp_out : d->sdp_in, ev->sdp, ev->sdp_len);
	if (ev->out)
		d->sdp_out_len = (uint16_t)ev->sdp_len;
	else
		d->sdp_in_len = (uint16_t)ev->sdp_len;
}

void dialog_set_sdp_in(struct dialog_table *table, struct dialog *dialog, const char *sdp, size_t len)
{
	const struct sip_event ev = {.sdp = sdp, .sdp_len = len};

	if (!len)
		dialog->sdp_in_len = 0;
	keep_sdp(table, dialog, &ev);
	dialog_touch(table, dialog);
}

void dialog_set_sdp_out(struct dialog_table *table, struct dialog *dialog, const char *sdp, size_t len)
{
	const struct sip_event ev = {.out = true, .sdp = sdp, .sdp_len = len};

	keep_sdp(table, dialog, &ev);
	dialog_touch(table, dialog);
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
static void set_route(struct dialog_table *table, struct dialog *d, const char *record_route)
{
	char route[DIALOG_ROUTE_LEN];
	const char *end, *p;
	size_t len, at;
	int angle = 0;
	bool quoted = false;

	d->route[0] = '\0';
	if (!record_route || !record_route[0])
		return;
	if (d->role == DIALOG_UAS) {
		KEEP(route, record_route);
		return;
	}
	len = strlen(record_route);
	if (len + 1 > sizeof(route)) {
		KEEP(route, record_route); /* counts and marks it */
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
	KEEP(route, route);
}

/* What any message of a dialog tells. */
static void note_message(struct dialog_table *table, struct dialog *d, const struct sip_event *ev)
{
	d->at_changed = ev->at;
	/* Where the phone really is: the source of what it sends, or until then where the server sends. */
	if (!ev->out || !d->flow_port) {
		d->flow_addr = ev->remote;
		d->flow_port = ev->remote_port;
	}
	if (ev->out)
		keep_short(d->session_id_out, sizeof(d->session_id_out), ev->session_id);
	else
		keep_short(d->session_id_in, sizeof(d->session_id_in), ev->session_id);
	keep_short(d->link, sizeof(d->link), ev->link);
	if (!ev->out)
		d->flags |= ev->supports & DIALOG_SUPPORTS;
	keep_sdp(table, d, ev);
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
		KEEP(local_contact, ev->contact);
	else
		KEEP(remote_target, ev->contact);
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

static struct dialog *find_half_open(struct dialog_table *table, const struct sip_event *ev)
{
	struct dialog *d = dialog_first_of_call_id(table, ev->service, ev->call_id);

	for (; d; d = dialog_next_same_call_id(table, d))
		if (same_invite(d, ev) && dialog_is_half_open(d))
			return d;
	return NULL;
}

/* First INVITE: no To tag. A retry after 401 has the same From tag and a higher CSeq. */
static struct dialog *on_first_invite(struct dialog_table *table, const struct sip_event *ev)
{
	struct dialog *d = dialog_first_of_call_id(table, ev->service, ev->call_id);

	for (; d; d = dialog_next_same_call_id(table, d))
		if (same_invite(d, ev) && d->invite_cseq == ev->cseq)
			return NULL; /* retransmission */
	d = find_half_open(table, ev);
	if (!d)
		d = dialog_slot_take(table, ev->service, ev->call_id);
	if (!d)
		return NULL;
	d->role = ev->out ? DIALOG_UAC : DIALOG_UAS;
	d->at_invite = ev->at;
	d->invite_cseq = ev->cseq;
	dialog_set_tags(table, d, ev->out ? ev->from_tag : "", ev->out ? "" : ev->from_tag);
	d->progress = 0;
	d->rseq = 0;
	dialog_keep_invite(table, d, ev->whole, ev->whole_len);
	KEEP(request_uri, ev->request_uri);
	if (ev->out) {
		d->local_cseq = ev->cseq;
		KEEP(local, ev->from);
		KEEP(remote, ev->to);
		KEEP(remote_target, ev->request_uri); /* until a response brings a Contact */
	} else {
		d->remote_cseq = ev->cseq;
		KEEP(local, ev->to);
		KEEP(remote, ev->from);
		set_route(table, d, ev->record_route);
	}
	keep_short(d->caller, sizeof(d->caller), ev->from_user);
	keep_short(d->callee, sizeof(d->callee), ev->request_user);
	note_contact(table, d, ev);
	note_message(table, d, ev);
	dialog_touch(table, d);
	return d;
}

static struct dialog *on_dialog_request(struct dialog_table *table, struct dialog *d,
                                        const struct sip_event *ev)
{
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
	note_message(table, d, ev);
	if (ev->verb == SIP_VERB_ACK && d->state != DIALOG_EARLY)
		d->acked = 1;
	dialog_touch(table, d);
	if (ev->verb == SIP_VERB_BYE) /* RFC 3261 15.1: over as soon as it is sent */
		dialog_set_state(table, d, DIALOG_ENDED, ev->at);
	return d;
}

static uint32_t count_forks(struct dialog_table *table, const struct sip_event *ev)
{
	struct dialog *d = dialog_first_of_call_id(table, ev->service, ev->call_id);
	uint32_t n = 0;

	for (; d; d = dialog_next_same_call_id(table, d))
		n += same_invite(d, ev);
	return n;
}

/*
 * A response to the first INVITE brought a tag that no dialog has yet: the
 * half-open one becomes it; a further tag is a fork (12.1.2) and starts as a copy.
 */
static struct dialog *new_dialog(struct dialog_table *table, const struct sip_event *ev)
{
	struct dialog *d = find_half_open(table, ev);
	struct dialog *sibling = NULL, *s;

	if (!d) {
		for (s = dialog_first_of_call_id(table, ev->service, ev->call_id); s;
		     s = dialog_next_same_call_id(table, s))
			if (same_invite(s, ev) && s->invite_cseq == ev->cseq)
				sibling = s;
		if (!sibling) {
			count_unknown(table, ev);
			return NULL;
		}
		if (count_forks(table, ev) >= DIALOG_FORKS) {
			table->counters.dialog_fork_limit++;
			return NULL;
		}
		d = dialog_slot_take(table, ev->service, ev->call_id);
		if (!d)
			return NULL;
		table->counters.dialog_forked++;
		d->role = sibling->role;
		d->at_invite = sibling->at_invite;
		d->invite_cseq = sibling->invite_cseq;
		d->flags = sibling->flags & (DIALOG_TRUNCATED | DIALOG_NO_INVITE);
		if (sibling->role == DIALOG_UAS) /* the same phone; a callee's fork is another */
			d->flags |= sibling->flags & DIALOG_SUPPORTS;
		d->origin = sibling->origin;
		strcpy(d->request_uri, sibling->request_uri);
		if (sibling->invite_len)
			dialog_keep_invite(table, d, sibling->invite, sibling->invite_len);
		strcpy(d->local, sibling->local);
		strcpy(d->remote, sibling->remote);
		strcpy(d->local_contact, sibling->local_contact);
		strcpy(d->caller, sibling->caller);
		strcpy(d->callee, sibling->callee);
		strcpy(d->link, sibling->link);
		memcpy(d->sdp_out, sibling->sdp_out, sibling->sdp_out_len);
		d->sdp_out_len = sibling->sdp_out_len;
		if (d->role == DIALOG_UAC)
			d->local_cseq = d->invite_cseq;
		else
			d->remote_cseq = d->invite_cseq;
	}
	dialog_set_tags(table, d, local_tag(ev), remote_tag(ev));
	return d;
}

/* 3xx..6xx to the first INVITE: none of its dialogs comes to be (RFC 3261 12.3). */
static struct dialog *on_invite_refused(struct dialog_table *table, const struct sip_event *ev)
{
	struct dialog *d = dialog_first_of_call_id(table, ev->service, ev->call_id), *next, *changed = NULL;

	for (; d; d = next) {
		next = dialog_next_same_call_id(table, d);
		if (!same_invite(d, ev) || d->invite_cseq != ev->cseq || d->state != DIALOG_EARLY)
			continue;
		if (dialog_is_half_open(d)) {
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
	struct dialog *d = find_half_open(table, ev);

	if (!d || d->invite_cseq != ev->cseq || ev->status >= 200 || d->progress == ev->status ||
	    (ev->status == 100 && d->progress))
		return NULL;
	d->at_changed = ev->at;
	note_progress(d, ev);
	dialog_touch(table, d);
	return d;
}

/* 1xx with a tag, or 2xx, to the INVITE that makes the dialog. */
static struct dialog *on_invite_answer(struct dialog_table *table, struct dialog *d,
                                       const struct sip_event *ev)
{
	bool confirms = ev->status >= 200 && d->state == DIALOG_EARLY;

	if (d->state == DIALOG_ENDED)
		return NULL;
	note_contact(table, d, ev);
	note_message(table, d, ev);
	note_progress(d, ev);
	/* The UAC's route set is that of the 2xx, RFC 3261 13.2.2.4. */
	if (d->role == DIALOG_UAC && d->state == DIALOG_EARLY)
		set_route(table, d, ev->record_route);
	dialog_touch(table, d);
	if (confirms) {
		d->at_answer = ev->at;
		note_session_timer(d, ev);
		dialog_set_state(table, d, DIALOG_CONFIRMED, ev->at);
	}
	return d;
}

static struct dialog *on_dialog_response(struct dialog_table *table, struct dialog *d,
                                         const struct sip_event *ev)
{
	note_message(table, d, ev);
	if (ev->status >= 200 && ev->status < 300) {
		note_contact(table, d, ev);
		if (refreshes_target(ev))
			note_session_timer(d, ev);
	}
	dialog_touch(table, d);
	/* RFC 3261 12.2.1.2: 481 and 408 end it. A 401 to BYE means that it was not over yet. */
	if ((ev->status == 481 || ev->status == 408) && ev->verb != SIP_VERB_CANCEL &&
	    ev->verb != SIP_VERB_PRACK)
		dialog_set_state(table, d, DIALOG_ENDED, ev->at);
	else if (ev->verb == SIP_VERB_BYE && (ev->status == 401 || ev->status == 407) && d->at_answer.ns)
		dialog_set_state(table, d, DIALOG_CONFIRMED, ev->at);
	return d;
}

static struct dialog *on_response(struct dialog_table *table, const struct sip_event *ev)
{
	struct dialog *d = dialog_find(table, ev->service, ev->call_id, local_tag(ev), remote_tag(ev));
	bool first = ev->verb == SIP_VERB_INVITE && (!d || ev->cseq == d->invite_cseq);

	if (first && d && !same_invite(d, ev))
		first = false; /* a re-INVITE of the other side whose number happens to be the same */
	if (first && ev->status >= 300)
		return on_invite_refused(table, ev);
	if (ev->status == 100 || !ev->to_tag || !ev->to_tag[0])
		return first ? on_tagless_progress(table, ev) : NULL;
	if (!d && first)
		d = new_dialog(table, ev);
	else if (!d)
		count_unknown(table, ev);
	if (!d)
		return NULL;
	return first ? on_invite_answer(table, d, ev) : on_dialog_response(table, d, ev);
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
	if (!d) {
		count_unknown(table, ev);
		return NULL;
	}
	return on_dialog_request(table, d, ev);
}
