/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Names of dialogs that mean nothing on the other leg, put into the other leg's
 * words: Replaces in a Refer-To (RFC 3891, attended transfer), and the id of a
 * refer subscription (RFC 3515 2.4.6). Pure but for the table it looks into.
 */
#include "rescue_pass.h"

#include "addr.h"

#include <errno.h>
#include <sofia-sip/sip_header.h>
#include <sofia-sip/url.h>
#include <stdlib.h>
#include <string.h>

#define RESERVED ";/?:@&=+$," /* RFC 3261 25.1: not to stand unescaped in an hvalue */

/* --- Replaces ------------------------------------------------------------------------ */

/* The dialog that this phone calls so: its own tag is from-tag (RFC 3891 3), some phones say it the other
 * way. */
static struct dialog *named(struct rescue *rescue, const sip_replaces_t *replaces)
{
	uint8_t service = rescue->conf.head.service;
	struct dialog *d;

	if (!replaces->rp_call_id || !replaces->rp_to_tag || !replaces->rp_from_tag)
		return NULL;
	d = dialog_find(rescue->table, service, replaces->rp_call_id, replaces->rp_to_tag,
	                replaces->rp_from_tag);
	if (!d)
		d = dialog_find(rescue->table, service, replaces->rp_call_id, replaces->rp_from_tag,
		                replaces->rp_to_tag);
	return d;
}

/* The leg on the other side of the call that an escaped Replaces names; early_only is kept. */
static struct dialog *third_phone(struct rescue *rescue, su_home_t *home, const char *escaped,
                                  bool *ret_early_only)
{
	char *value = su_strdup(home, escaped);
	sip_replaces_t *replaces;
	struct dialog *d, *third;

	if (!value)
		return NULL;
	url_unescape(value, escaped);
	replaces = sip_replaces_make(home, value);
	d = replaces ? named(rescue, replaces) : NULL;
	third = d ? dialog_peer(rescue->table, d) : NULL;
	if (!third || third->state == DIALOG_ENDED || !third->remote_tag[0] || !third->local_tag[0])
		return NULL;
	*ret_early_only = replaces->rp_early_only;
	return third;
}

/* "Replaces=..." as the third phone will look for it: its own tag is to-tag. */
static const char *replaces_item(su_home_t *home, const struct dialog *third, bool early_only)
{
	char *value = su_sprintf(home, "%s;to-tag=%s;from-tag=%s%s", third->call_id, third->remote_tag,
	                         third->local_tag, early_only ? ";early-only" : "");
	char *escaped = value ? su_alloc(home, 3 * (isize_t)strlen(value) + 1) : NULL;

	if (!escaped)
		return NULL;
	url_escape(escaped, value, RESERVED);
	return su_sprintf(home, "Replaces=%s", escaped);
}

/* The URI's headers with its Replaces in the third phone's words. 0, -ENOENT or -ENOMEM. */
static int map_headers(struct rescue *rescue, su_home_t *home, const char *headers, const char **ret_headers,
                       struct dialog **ret_third)
{
	char *copy = su_strdup(home, headers), *rest = copy, *item;
	const char *all = NULL, *one;
	bool early_only = false;

	if (!copy)
		return -ENOMEM;
	while ((item = strsep(&rest, "&"))) {
		one = item;
		if (!strncasecmp(item, "Replaces=", 9)) {
			*ret_third = third_phone(rescue, home, item + 9, &early_only);
			if (!*ret_third)
				return -ENOENT;
			one = replaces_item(home, *ret_third, early_only);
		}
		all = all ? su_sprintf(home, "%s&%s", all, one) : one;
		if (!all || !one)
			return -ENOMEM;
	}
	*ret_headers = all;
	return 0;
}

static bool is_vip(const struct rescue *rescue, const url_t *url)
{
	struct inaddr16 addr;

	return url->url_host && !addr_parse(url->url_host, &addr) &&
	       !memcmp(&addr, &rescue->conf.vip, sizeof(addr));
}

int pass_refer_to(struct rescue *rescue, su_home_t *home, const sip_refer_to_t *refer_to, const char **ret)
{
	url_t url = *refer_to->r_url;
	struct dialog *third = NULL;
	const char *headers = url.url_headers;
	const url_t *target;
	int err = 0;

	if (headers)
		err = map_headers(rescue, home, headers, &headers, &third);
	if (err) {
		rescue->counters.rescue_refer_unmapped++;
		return err;
	}
	/* The server that runs at the VIP now knows nothing of the call to be replaced. */
	target = third && is_vip(rescue, &url) ? url_make(home, third->remote_target) : NULL;
	if (target)
		url = *target;
	rescue->counters.rescue_refer_mapped += third != NULL;
	url.url_headers = headers;
	*ret = su_sprintf(home, "<%s>", url_as_string(home, &url));
	return *ret ? 0 : -ENOMEM;
}

/* --- ids of refer subscriptions --------------------------------------------------------- */

void pass_refer_note(struct rescue *rescue, const struct dialog *asked_by, uint32_t asked_cseq,
                     uint32_t sent_cseq)
{
	struct pass_refers *refers = pass_refers(rescue);

	refers->refer[refers->n++ % PASS_REFERS] = (struct pass_refer){
	        .call = asked_by->call,
	        .asked_by = asked_by,
	        .asked_cseq = asked_cseq,
	        .sent_cseq = sent_cseq,
	};
}

/* The same number in the words of `to`; unknown ones stay as they are. */
static uint32_t map_id(struct rescue *rescue, const struct dialog *to, uint32_t id)
{
	const struct pass_refers *refers = pass_refers(rescue);
	uint32_t i;

	for (i = 0; i < PASS_REFERS; i++) {
		const struct pass_refer *refer = &refers->refer[i];

		if (!refer->asked_by || refer->call != to->call)
			continue;
		if (refer->asked_by == to && refer->sent_cseq == id)
			return refer->asked_cseq;
		if (refer->asked_by != to && refer->asked_cseq == id)
			return refer->sent_cseq;
	}
	return id;
}

const char *pass_event(struct rescue *rescue, su_home_t *home, const struct dialog *to,
                       const sip_event_t *event)
{
	char *end;
	unsigned long id;

	if (event->o_type && !strcasecmp(event->o_type, "refer") && event->o_id) {
		id = strtoul(event->o_id, &end, 10);
		if (!*end && end != event->o_id)
			return su_sprintf(home, "refer;id=%u", map_id(rescue, to, (uint32_t)id));
	}
	return sip_header_as_string(home, (const sip_header_t *)event);
}
