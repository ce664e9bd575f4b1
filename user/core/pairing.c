/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which two dialogs are the legs of one call; the rules are in pairing.h. Pure. */
#include "pairing.h"
#include "sdp.h"

#include <string.h>

/* How many of the last changed dialogs are looked at: bounds the work of one answer. */
#define LOOK_BACK  1024
#define MIN_DIGITS 6 /* of a number, before a common ending means the same subscriber */
#define MIN_ID     6 /* of an SDP session id: "0" or "1" say nothing */

static bool same_number(const char *a, const char *b)
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

static unsigned int fits_header(const struct dialog *a, const struct dialog *b)
{
	return (a->link[0] && !strcmp(a->link, b->call_id)) || (b->link[0] && !strcmp(b->link, a->call_id));
}

static bool same_id(const char *a, const char *b)
{
	return a[0] && strspn(a, "0") != strlen(a) && !strcmp(a, b);
}

/* A phone's own UUID goes in on its leg and out on the other (RFC 7989 section 6). */
static unsigned int fits_session_id(const struct dialog *a, const struct dialog *b)
{
	return same_id(a->session_id_in, b->session_id_out) || same_id(a->session_id_out, b->session_id_in);
}

static bool same_origin(const char *a, size_t a_len, const char *b, size_t b_len)
{
	struct sdp x, y;

	if (!a_len || !b_len || sdp_parse_origin(a, a_len, &x) || sdp_parse_origin(b, b_len, &y))
		return false;
	return x.session_id.len >= MIN_ID && x.session_id.len == y.session_id.len &&
	       x.username.len == y.username.len &&
	       !memcmp(x.session_id.at, y.session_id.at, x.session_id.len) &&
	       !memcmp(x.username.at, y.username.at, x.username.len);
}

static unsigned int fits_sdp(const struct dialog *a, const struct dialog *b)
{
	return same_origin(a->sdp_in, a->sdp_in_len, b->sdp_out, b->sdp_out_len) ||
	       same_origin(a->sdp_out, a->sdp_out_len, b->sdp_in, b->sdp_in_len);
}

/* 0 = the order of events does not fit, or no number is the same; 2 = both are. */
static unsigned int fits_numbers(const struct dialog *x, const struct dialog *y)
{
	const struct dialog *a = x->role == DIALOG_UAS ? x : y;
	const struct dialog *b = a == x ? y : x;

	if (a->role == b->role)
		return 0;
	if (mono_before(b->at_invite, a->at_invite) || !mono_before(b->at_invite, a->at_answer))
		return 0;
	if (mono_before(a->at_answer, b->at_answer) ||
	    mono_diff(a->at_answer, b->at_answer) > PAIRING_ANSWER_NS)
		return 0;
	return (unsigned int)same_number(a->caller, b->caller) +
	       (unsigned int)same_number(a->callee, b->callee);
}

static const struct {
	enum dialog_paired how;
	unsigned int (*fits)(const struct dialog *a, const struct dialog *b); /* more is better */
} rules[] = {
        {PAIRED_HEADER, fits_header},
        {PAIRED_SESSION_ID, fits_session_id},
        {PAIRED_SDP, fits_sdp},
        {PAIRED_NUMBERS, fits_numbers},
};
#define N_RULES (sizeof(rules) / sizeof(rules[0]))

struct best {
	struct dialog *leg;
	unsigned int fit;
	unsigned int n; /* legs that fit this well */
};

static void weigh(struct best best[N_RULES], const struct dialog *dialog, struct dialog *other)
{
	unsigned int i;

	if (other == dialog || other->service != dialog->service || !dialog_is_up(other))
		return;
	if (other->paired != PAIRED_NOT && other->paired != PAIRED_AMBIGUOUS)
		return;
	if (!strcmp(other->call_id, dialog->call_id))
		return; /* forks of one call, or a proxy */
	for (i = 0; i < N_RULES; i++) {
		unsigned int fit = rules[i].fits(dialog, other);

		if (!fit || fit < best[i].fit)
			continue;
		best[i].n = fit == best[i].fit ? best[i].n + 1 : 1;
		best[i].fit = fit;
		best[i].leg = other;
	}
}

struct dialog *pairing_consider(struct dialog_table *table, struct dialog *dialog)
{
	struct best best[N_RULES] = {0};
	struct dialog *other = NULL;
	unsigned int i, looked = 0;
	bool all = false;

	if (!dialog_is_up(dialog) || dialog->paired != PAIRED_NOT)
		return NULL;
	for (; looked < LOOK_BACK; looked++) {
		other = dialog_older(table, other);
		if (!other) {
			all = true;
			break;
		}
		weigh(best, dialog, other);
	}
	/* What a pair by numbers needs has changed within this time; older ones need not be seen. */
	if (other && mono_diff(dialog->at_answer, other->at_changed) > PAIRING_ANSWER_NS)
		all = true;
	for (i = 0; i < N_RULES; i++) {
		if (!best[i].n)
			continue;
		if (best[i].n > 1 || (rules[i].how == PAIRED_NUMBERS && !all)) {
			dialog_mark_ambiguous(table, dialog);
			return NULL;
		}
		dialog_set_paired(table, dialog, best[i].leg, rules[i].how);
		return best[i].leg;
	}
	return NULL;
}
