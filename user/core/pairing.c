/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which dialogs are the legs of one call; the rules are in pairing.h, what might
 * fit is found by pairing_index.c. In here A is a leg on which the server was
 * called, B one on which it called. Pure.
 */
#include "pairing.h"
#include "pairing_index.h"
#include "sdp.h"

#include <string.h>

#define GROUP 16 /* legs taken into one call at one time */

/* --- do two legs fit? -------------------------------------------------------------- */

static bool fits_header(const struct dialog *a, const struct dialog *b)
{
	return (a->link[0] && !strcmp(a->link, b->call_id)) || (b->link[0] && !strcmp(b->link, a->call_id));
}

static bool same_id(const char *a, const char *b)
{
	return a[0] && strspn(a, "0") != strlen(a) && !strcmp(a, b);
}

/* A phone's own UUID goes in on its leg and out on the other (RFC 7989 section 6). */
static bool fits_session_id(const struct dialog *a, const struct dialog *b)
{
	return same_id(a->session_id_in, b->session_id_out) || same_id(a->session_id_out, b->session_id_in);
}

static bool same_origin(const char *a, size_t a_len, const char *b, size_t b_len)
{
	struct sdp x, y;

	if (!a_len || !b_len || sdp_parse_origin(a, a_len, &x) || sdp_parse_origin(b, b_len, &y))
		return false;
	return x.session_id.len == y.session_id.len && x.username.len == y.username.len &&
	       !memcmp(x.session_id.at, y.session_id.at, x.session_id.len) &&
	       !memcmp(x.username.at, y.username.at, x.username.len);
}

static bool fits_sdp(const struct dialog *a, const struct dialog *b)
{
	return same_origin(a->sdp_in, a->sdp_in_len, b->sdp_out, b->sdp_out_len) ||
	       same_origin(a->sdp_out, a->sdp_out_len, b->sdp_in, b->sdp_in_len);
}

/* 0 = none, 2 = caller and callee are the same. */
static unsigned int same_numbers(const struct dialog *a, const struct dialog *b)
{
	bool caller =
	        pairing_same_number(a->caller, b->caller) || pairing_same_number(a->caller, b->asserted) ||
	        pairing_same_number(a->asserted, b->caller) || pairing_same_number(a->asserted, b->asserted);

	return (unsigned int)caller + (unsigned int)pairing_same_number(a->callee, b->callee);
}

static const struct {
	enum dialog_paired how;
	bool (*fits)(const struct dialog *a, const struct dialog *b);
	enum pairing_key first, last;
} rules[] = {
        {PAIRED_HEADER, fits_header, PAIRING_CALL_ID, PAIRING_LINK},
        {PAIRED_SESSION_ID, fits_session_id, PAIRING_SESSION_IN, PAIRING_SESSION_OUT},
        {PAIRED_SDP, fits_sdp, PAIRING_ORIGIN_IN, PAIRING_ORIGIN_OUT},
};
#define N_RULES (sizeof(rules) / sizeof(rules[0]))

/* --- who is with whom ----------------------------------------------------------------- */

/* The partner that is not over yet. */
static struct dialog *partner(struct dialog_table *table, const struct dialog *d)
{
	struct dialog *peer = dialog_peer(table, d);

	return peer && peer->state != DIALOG_ENDED ? peer : NULL;
}

static bool is_ringing_caller(const struct dialog *d)
{
	return d->role == DIALOG_UAS && d->state == DIALOG_EARLY;
}

static bool may_be_revised(const struct dialog *d)
{
	return d->paired == PAIRED_NUMBERS && d->state == DIALOG_EARLY;
}

/* Forks of one call, or what a proxy passed on, are not each other's partners. */
static bool are_strangers(const struct dialog *a, const struct dialog *b)
{
	return a->service == b->service && a->call != b->call && strcmp(a->call_id, b->call_id);
}

/* `d` may leave whom it is with for `other`: it has nobody, rings with several, or is with a guess by
 * numbers. */
static bool is_free_for(struct dialog_table *table, const struct dialog *d, const struct dialog *other)
{
	if (!partner(table, d) || may_be_revised(d))
		return true;
	return is_ringing_caller(d) && other->role == DIALOG_UAC;
}

/* A caller's leg whose last called one is gone before it answered is alone again. */
static void leave_alone(struct dialog_table *table, struct dialog *d)
{
	if (d && d->state != DIALOG_ENDED && d->paired != PAIRED_AMBIGUOUS && !partner(table, d))
		dialog_unpair(table, d);
}

static void leave_partner(struct dialog_table *table, struct dialog *d)
{
	struct dialog *left = partner(table, d);

	if (!left)
		return;
	dialog_unpair(table, d);
	leave_alone(table, left);
}

/* Legs that only their numbers brought into the call, when a better rule says who belongs to it. */
static void send_guesses_away(struct dialog_table *table, struct dialog *a)
{
	struct dialog *guess[GROUP], *d;
	unsigned int n = 0;

	for (d = dialog_first_of_call(table, a); d && n < GROUP; d = dialog_next_of_call(table, d))
		if (d != a && may_be_revised(d))
			guess[n++] = d;
	while (n)
		dialog_unpair(table, guess[--n]);
}

/* Returns true when it is a new pair. The caller's leg keeps its call number. */
static bool join(struct dialog_table *table, struct dialog *d, struct dialog *other, enum dialog_paired how)
{
	bool d_first =
	        d->role != other->role ? d->role == DIALOG_UAS : mono_before(d->at_invite, other->at_invite);
	struct dialog *a = d_first ? d : other;
	struct dialog *b = d_first ? other : d;

	if (how != PAIRED_NUMBERS)
		send_guesses_away(table, a);
	leave_partner(table, b);
	if (!is_ringing_caller(a))
		leave_partner(table, a);
	dialog_set_paired(table, a, b, how);
	return true;
}

/* --- header, Session-ID, SDP -------------------------------------------------------------- */

struct found {
	struct dialog *leg[GROUP];
	unsigned int n; /* may be more than GROUP */
};

static void find_by_rule(struct dialog_table *table, const struct dialog *d, unsigned int rule,
                         struct found *ret)
{
	struct pairing_walk walk;
	struct dialog *other;

	ret->n = 0;
	pairing_walk_start(table, &walk, d, rules[rule].first, rules[rule].last);
	while ((other = pairing_walk_next(table, &walk))) {
		if (!are_strangers(d, other) || !rules[rule].fits(d, other) ||
		    !is_free_for(table, other, d) || !is_free_for(table, d, other))
			continue;
		if (ret->n < GROUP)
			ret->leg[ret->n] = other;
		ret->n++;
	}
}

/*
 * A ringing caller takes in every called leg that names it; otherwise there can be
 * only one, and *ret_several says that there were more: no weaker rule may choose then.
 */
static struct dialog *by_rules(struct dialog_table *table, struct dialog *d, bool *ret_several)
{
	bool has = partner(table, d) != NULL;
	struct dialog *first = NULL;
	struct found found;

	for (unsigned int rule = 0; rule < N_RULES; rule++) {
		if (has && !is_ringing_caller(d) && rules[rule].how >= d->paired)
			break;
		find_by_rule(table, d, rule, &found);
		if (!found.n)
			continue;
		if (found.n > 1 && !is_ringing_caller(d)) {
			*ret_several = true;
			if (!has)
				dialog_mark_ambiguous(table, d);
			return NULL;
		}
		for (unsigned int i = 0; i < found.n && i < GROUP; i++)
			if (are_strangers(d, found.leg[i]) && join(table, d, found.leg[i], rules[rule].how) &&
			    !first)
				first = found.leg[i];
		return first;
	}
	/* the same partner by a better rule than numbers */
	for (unsigned int rule = 0; has && rule < N_RULES; rule++) {
		struct dialog *with = partner(table, d);

		if (with && d->paired == PAIRED_NUMBERS && rules[rule].fits(d, with))
			dialog_set_paired(table, d->role == DIALOG_UAS ? d : with,
			                  d->role == DIALOG_UAS ? with : d, rules[rule].how);
	}
	return NULL;
}

/* --- numbers and the order of events --------------------------------------------------------- */

struct choice {
	struct dialog *leg;
	unsigned int fit; /* same_numbers() of the best */
	unsigned int n;   /* legs that fit as well */
	bool all;         /* every leg that could fit as well was seen */
};

typedef bool (*order_fn)(struct dialog_table *table, const struct dialog *d, const struct dialog *other);

static void choose(struct dialog_table *table, const struct dialog *d, order_fn in_order, struct choice *ret)
{
	const unsigned int caller = 1U << PAIRING_CALLER | 1U << PAIRING_ASSERTED;
	const unsigned int callee = 1U << PAIRING_CALLEE;
	struct pairing_walk walk;
	struct dialog *other;

	*ret = (struct choice){0};
	pairing_walk_start(table, &walk, d, PAIRING_CALLER, PAIRING_CALLEE);
	while ((other = pairing_walk_next(table, &walk))) {
		unsigned int fit;

		if (!are_strangers(d, other) || !in_order(table, d, other))
			continue;
		fit = same_numbers(d, other);
		if (!fit || fit < ret->fit)
			continue;
		ret->n = fit == ret->fit ? ret->n + 1 : 1;
		ret->fit = fit;
		ret->leg = other;
	}
	/* who has both numbers is found by either of them */
	ret->all = ret->fit == 2 ? !(walk.cut & caller) || !(walk.cut & callee) : !walk.cut;
}

/* B's INVITE left while A rang. A is not with a partner that a better rule gave it. */
static bool rang_before(struct dialog_table *table, const struct dialog *b, const struct dialog *a)
{
	const struct dialog *with = partner(table, a);

	return is_ringing_caller(a) && !mono_before(b->at_invite, a->at_invite) &&
	       (!with || with->paired == PAIRED_NUMBERS);
}

/* B's INVITE left after A had been answered by the server itself. */
static bool was_up_before(struct dialog_table *table, const struct dialog *b, const struct dialog *a)
{
	return a->role == DIALOG_UAS && dialog_is_up(a) && !partner(table, a) &&
	       mono_before(a->at_answer, b->at_invite) && same_numbers(a, b) == 2;
}

/* A was answered soon after B, which had been called while A rang. */
static bool answered_before(struct dialog_table *table, const struct dialog *a, const struct dialog *b)
{
	return b->role == DIALOG_UAC && dialog_is_up(b) && !partner(table, b) &&
	       !mono_before(b->at_invite, a->at_invite) && mono_before(b->at_invite, a->at_answer) &&
	       !mono_before(a->at_answer, b->at_answer) &&
	       mono_diff(a->at_answer, b->at_answer) <= PAIRING_ANSWER_NS;
}

/* B rings or was answered, its partner is not known, and it could be of A. */
static bool could_be_of(struct dialog_table *table, const struct dialog *a, const struct dialog *b)
{
	return b->role == DIALOG_UAC && !partner(table, b) && !mono_before(b->at_invite, a->at_invite);
}

/* Not only B does not know its caller: whoever might be it does not know B. */
static void mark_callers(struct dialog_table *table, const struct dialog *b, unsigned int fit)
{
	struct dialog *mark[GROUP], *a;
	struct pairing_walk walk;
	unsigned int n = 0;

	pairing_walk_start(table, &walk, b, PAIRING_CALLER, PAIRING_CALLEE);
	while (n < GROUP && (a = pairing_walk_next(table, &walk)))
		if (are_strangers(a, b) && rang_before(table, b, a) && !partner(table, a) &&
		    same_numbers(a, b) == fit)
			mark[n++] = a;
	while (n)
		dialog_mark_ambiguous(table, mark[--n]);
}

static struct dialog *settle(struct dialog_table *table, struct dialog *d, const struct choice *choice)
{
	if (choice->n == 1 && choice->all) {
		join(table, d, choice->leg, PAIRED_NUMBERS);
		return choice->leg;
	}
	if (!partner(table, d))
		dialog_mark_ambiguous(table, d);
	return NULL;
}

static void not_ambiguous(struct dialog_table *table, struct dialog *d)
{
	if (d->paired == PAIRED_AMBIGUOUS)
		dialog_unpair(table, d);
}

static struct dialog *find_caller(struct dialog_table *table, struct dialog *b)
{
	struct choice choice;

	choose(table, b, rang_before, &choice);
	if (choice.n > 1)
		mark_callers(table, b, choice.fit);
	if (!choice.n)
		choose(table, b, was_up_before, &choice);
	if (choice.n)
		return settle(table, b, &choice);
	not_ambiguous(table, b);
	return NULL;
}

static struct dialog *find_called(struct dialog_table *table, struct dialog *a)
{
	struct choice choice;

	if (dialog_is_up(a)) {
		choose(table, a, answered_before, &choice);
		if (choice.n)
			return settle(table, a, &choice);
	}
	if (a->paired == PAIRED_AMBIGUOUS) {
		choose(table, a, could_be_of, &choice);
		if (!choice.n)
			not_ambiguous(table, a);
	}
	return NULL;
}

/* --- all of it ------------------------------------------------------------------------------------ */

static void ended(struct dialog_table *table, struct dialog *d)
{
	struct dialog *with, *peer = dialog_peer(table, d);

	/* one that had been answered stays its partner's: who takes over hangs up on that one */
	if (!peer || d->at_answer.ns || peer->role != DIALOG_UAS)
		return;
	with = partner(table, peer);
	if (!with)
		leave_alone(table, peer);
}

struct dialog *pairing_consider(struct dialog_table *table, struct dialog *d)
{
	struct dialog *with, *found;
	bool several = false;

	pairing_index_update(table);
	if (d->state == DIALOG_ENDED) {
		ended(table, d);
		return NULL;
	}
	with = partner(table, d);
	if (with && dialog_is_up(d) && dialog_is_up(with))
		return NULL;
	if (!with && d->paired != PAIRED_NOT && d->paired != PAIRED_AMBIGUOUS && !dialog_peer(table, d))
		dialog_unpair(table, d); /* its partner is gone from the table */
	found = by_rules(table, d, &several);
	if (found || several)
		return found;
	with = partner(table, d);
	if (d->role == DIALOG_UAC)
		return with ? NULL : find_caller(table, d);
	return with && dialog_is_up(with) ? NULL : find_called(table, d);
}
