/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A table and the events of its calls; test programs only. */
#ifndef SIPFLIP_TEST_DIALOG_FEED_H
#define SIPFLIP_TEST_DIALOG_FEED_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "addr.h"
#include "dialog.h"

static struct dialog_table table;
static int64_t clock_ns;

static inline int setup(void **state)
{
	clock_ns = 1000 * NS_PER_S;
	return dialog_table_init(&table, 32, 7);
}

static inline int teardown(void **state)
{
	dialog_table_done(&table);
	return 0;
}

static inline struct sip_event event(bool out, enum sip_verb verb, int status, uint32_t cseq,
                                     const char *from_tag, const char *to_tag)
{
	struct sip_event ev = {
	        .at = mono_ns(clock_ns += NS_PER_MS),
	        .out = out,
	        .verb = verb,
	        .status = status,
	        .cseq = cseq,
	        .remote_port = 5060,
	        .call_id = "call-1",
	        .from = "\"Ann\" <sip:ann@a.example>",
	        .to = "<sip:bob@b.example>",
	        .from_user = "ann",
	        .request_user = "bob",
	        .request_uri = "sip:bob@192.0.2.1",
	        .from_tag = from_tag,
	        .to_tag = to_tag,
	        .refresher_uas = -1,
	};

	addr_parse("192.0.2.7", &ev.remote);
	return ev;
}

static inline struct dialog *feed(struct sip_event ev)
{
	return dialog_table_event(&table, &ev);
}

/* The server is called by tag "far" and answers with tag "near". */
static inline struct dialog *called(uint32_t cseq)
{
	struct sip_event invite = event(false, SIP_VERB_INVITE, 0, cseq, "far", NULL);
	struct sip_event answer = event(true, SIP_VERB_INVITE, 200, cseq, "far", "near");

	invite.contact = "sip:ann@192.0.2.7:5062";
	answer.contact = "sip:server@192.0.2.1";
	feed(invite);
	return feed(answer);
}

/* The server calls with tag "near"; "far" answers. */
static inline struct dialog *calls(uint32_t cseq)
{
	struct sip_event answer = event(false, SIP_VERB_INVITE, 200, cseq, "near", "far");

	answer.contact = "sip:bob@192.0.2.9";
	feed(event(true, SIP_VERB_INVITE, 0, cseq, "near", NULL));
	return feed(answer);
}

static inline struct dialog *numbered(int i)
{
	char id[16];
	struct sip_event invite = event(false, SIP_VERB_INVITE, 0, 1, "far", NULL);
	struct sip_event answer = event(true, SIP_VERB_INVITE, 200, 1, "far", "near");

	snprintf(id, sizeof(id), "n-%d", i);
	invite.call_id = answer.call_id = id;
	feed(invite);
	return feed(answer);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
