/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A joined call outlives the process that joined it: how our call to the local server
 * goes on is written into the phone's dialog, which the peer keeps and a reload hands
 * over, and the next process takes it up from there. A line of text, apart by blanks:
 *
 *   our last CSeq, the server's Contact, its dialog as in a Replaces header (RFC 3891), Routes
 *
 * What was under way when the process ended is lost: each side's own retransmission or
 * timeout deals with it. Called by rescue_join.c only.
 */
#include "rescue_join.h"

#include <sofia-sip/nta_tag.h>
#include <sofia-sip/sip_extra.h>
#include <sofia-sip/sip_header.h>
#include <sofia-sip/sip_tag.h>
#include <sofia-sip/su_tagarg.h>
#include <sofia-sip/url.h>
#include <stdlib.h>
#include <string.h>

/* All of them in one line; "" = none, NULL = no memory. */
static const char *routes(su_home_t *home, const sip_route_t *route)
{
	const char *all = "";

	for (; route && all; route = route->r_next)
		all = su_sprintf(home, "%s%s%s", all, all[0] ? "," : "",
		                 sip_header_as_string(home, (const sip_header_t *)route));
	return all;
}

void join_write_down(struct rescue_join *join)
{
	struct dialog *d = join_dialog(join);
	const sip_route_t *route = NULL;
	const sip_contact_t *target = NULL;
	su_home_t home[1] = {SU_HOME_INIT(home)};
	const char *dialog, *text = NULL, *list;
	sip_replaces_t *names;

	if (!d || !dialog_is_up(d) || join->state != JOIN_UP)
		return;
	su_home_init(home);
	names = nta_leg_make_replaces(join->leg, home, 0);
	nta_leg_get_route(join->leg, &route, &target);
	dialog = names ? sip_header_as_string(home, (const sip_header_t *)names) : NULL;
	list = routes(home, route);
	if (dialog && target && list)
		text = su_sprintf(home, "%u %s %s %s", nta_leg_get_seq(join->leg),
		                  url_as_string(home, target->m_url), dialog, list);
	dialog_set_joined(join->rescue->table, d, text ? text : "");
	su_home_deinit(home);
}

/* The next word of the line, which is cut off there; "" at the end. */
static char *word(char **at)
{
	char *start = *at;

	*at += strcspn(*at, " ");
	if (**at)
		*(*at)++ = '\0';
	return start;
}

static nta_leg_t *make_leg(su_home_t *home, struct rescue_join *join, char *line, nta_request_f *asked)
{
	const struct dialog *d = join->dialog;
	/* The last ones may not have been written down any more. */
	unsigned long seq = strtoul(word(&line), NULL, 10) + RESCUE_CSEQ_MARGIN;
	const sip_contact_t *target = sip_contact_make(home, su_sprintf(home, "<%s>", word(&line)));
	const sip_replaces_t *names = sip_replaces_make(home, word(&line));
	const sip_route_t *route = line[0] ? sip_route_make(home, line) : NULL;
	nta_leg_t *leg;

	if (!target || !names || !names->rp_from_tag || !names->rp_to_tag || seq > INT32_MAX ||
	    (line[0] && !route))
		return NULL;
	leg = nta_leg_tcreate(join->rescue->agent, asked, (nta_leg_magic_t *)join,
	                      SIPTAG_CALL_ID_STR(names->rp_call_id), SIPTAG_FROM_STR(d->remote),
	                      SIPTAG_TO_STR(d->local), SIPTAG_CSEQ_STR(su_sprintf(home, "%lu INVITE", seq)),
	                      TAG_END());
	/* In the order to send them, as a callee has its Record-Routes: SIPTAG_ROUTE would make them strict.
	 */
	if (leg && nta_leg_tag(leg, names->rp_from_tag) && nta_leg_rtag(leg, names->rp_to_tag) &&
	    !nta_leg_server_route(leg, route, target))
		return leg;
	if (leg)
		nta_leg_destroy(leg);
	return NULL;
}

bool join_read_back(struct rescue_join *join, nta_request_f *asked)
{
	su_home_t home[1] = {SU_HOME_INIT(home)};
	char *line;

	su_home_init(home);
	line = su_strdup(home, join->dialog->joined);
	if (line)
		join->leg = make_leg(home, join, line, asked);
	su_home_deinit(home);
	return join->leg != NULL;
}
