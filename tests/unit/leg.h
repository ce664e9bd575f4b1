/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Legs of calls made from events, for the tests of pairing and of rescue plans; test programs only. */
#ifndef SIPFLIP_TEST_LEG_H
#define SIPFLIP_TEST_LEG_H

#include <string.h>

#include "dialog.h"

struct leg {
	struct dialog_table *table;
	const char *call_id;
	bool out; /* the server calls */
	const char *caller;
	const char *callee;
	const char *link;
	const char *id_in, *id_out; /* Session-ID from the phone, from the server */
	const char *sdp_in, *sdp_out;
	const char *asserted; /* of P-Asserted-Identity or Remote-Party-ID */
	const char *tag;      /* of the called side, NULL = "t" */
	uint8_t service;
};

static inline struct dialog *leg_event(const struct leg *leg, int status, int64_t at_ms)
{
	/* requests of an outgoing leg and responses of an incoming one come from the server */
	bool out = status ? !leg->out : leg->out;
	const char *sdp = out ? leg->sdp_out : leg->sdp_in;
	struct sip_event ev = {
	        .at = mono_ns(NS_PER_S + at_ms * NS_PER_MS),
	        .service = leg->service,
	        .out = out,
	        .verb = SIP_VERB_INVITE,
	        .status = status,
	        .cseq = 1,
	        .remote_port = 5060,
	        .call_id = leg->call_id,
	        .from = "<sip:from@x>",
	        .to = "<sip:to@x>",
	        .from_user = leg->caller,
	        .request_user = leg->callee,
	        .request_uri = "sip:to@192.0.2.2",
	        .from_tag = "f",
	        .to_tag = status <= 100 ? NULL
	                  : leg->tag    ? leg->tag
	                                : "t",
	        .asserted_user = leg->asserted,
	        .contact = "sip:contact@192.0.2.2",
	        .link = leg->link,
	        .session_id = out ? leg->id_out : leg->id_in,
	        .refresher_uas = -1,
	        .sdp = sdp,
	        .sdp_len = sdp ? strlen(sdp) : 0,
	};

	return dialog_table_event(leg->table, &ev);
}

static inline void leg_invite(const struct leg *leg, int64_t at_ms)
{
	leg_event(leg, 0, at_ms);
}

static inline struct dialog *leg_answer(const struct leg *leg, int64_t at_ms)
{
	return leg_event(leg, 200, at_ms);
}

#endif
