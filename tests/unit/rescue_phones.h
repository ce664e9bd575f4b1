/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Scripted phones of confirmed calls: plain UDP sockets on loopback, each in a dialog
 * that a server which is gone has left in the table. They hear, answer and ask; test
 * programs only.
 */
#ifndef SIPFLIP_TEST_RESCUE_PHONES_H
#define SIPFLIP_TEST_RESCUE_PHONES_H

#include "rescue_stage.h"

struct phone {
	int fd;
	uint16_t port;
	const char *call_id, *own_tag, *server_tag;
	const char *own_uri, *server_uri;
	const char *contact;  /* in the dialog; it leads nowhere, only the flow's address can be meant */
	const char *route;    /* Record-Route in the dialog; NULL = none */
	bool called;          /* the server called it */
	const char *supports; /* Allow and the like in its messages, with CRLF */
	char got[65536];
	char invite[65536]; /* the last one heard */
};

/* What a phone sends; zero = the usual. */
struct ask {
	const char *method;
	uint32_t cseq;
	const char *headers; /* with CRLF each */
	const char *type;    /* of the body; NULL = application/sdp */
	const char *body;
	const char *branch; /* of an earlier one */
	int hops;           /* Max-Forwards; 0 = 70, -1 = 0 */
};

static inline void phone_open(struct phone *phone, const char *call_id, bool called)
{
	*phone = (struct phone){
	        .call_id = call_id,
	        .own_tag = "phone",
	        .server_tag = "server",
	        .own_uri = "<sip:phone@a.example>",
	        .server_uri = "<sip:100@b.example>",
	        .contact = "sip:phone@192.0.2.99:9",
	        .called = called,
	};
	phone->fd = udp("127.0.0.1", &phone->port);
}

/*
 * A dialog of the former server with the phone, as the tracker would have entered it;
 * CSeq 500 was the last. said: the phone's SDP, told: what the server told it.
 */
static inline struct dialog *enter(const struct phone *phone, const char *said, const char *told)
{
	bool out = phone->called;
	const char *offer = out ? told : said, *reply = out ? said : told;
	struct sip_event ev = {
	        .at = now(),
	        .out = out,
	        .verb = SIP_VERB_INVITE,
	        .cseq = 500,
	        .remote_port = phone->port,
	        .call_id = phone->call_id,
	        .from = out ? phone->server_uri : phone->own_uri,
	        .from_tag = out ? phone->server_tag : phone->own_tag,
	        .from_user = "ann",
	        .to = out ? phone->own_uri : phone->server_uri,
	        .request_uri = "sip:x@127.0.0.1",
	        .request_user = "100",
	        .contact = out ? "sip:srv@" VIP : phone->contact,
	        .record_route = phone->route,
	        .refresher_uas = -1,
	        .sdp = offer,
	        .sdp_len = strlen(offer),
	};

	addr_parse("127.0.0.1", &ev.remote);
	dialog_table_event(&table, &ev);
	ev.out = !out;
	ev.status = 200;
	ev.to_tag = out ? phone->own_tag : phone->server_tag;
	ev.contact = out ? phone->contact : "sip:srv@" VIP;
	ev.sdp = reply;
	ev.sdp_len = strlen(reply);
	ev.at = now();
	return dialog_table_event(&table, &ev);
}

/* The next message at the phone; repeats of the last one are not new, 100 Trying is not waited for. */
static inline const char *hear(struct phone *phone)
{
	static char message[sizeof(phone->got)];
	int64_t end = now().ns + DEADLINE_MS * NS_PER_MS;

	while (now().ns < end) {
		if (receive(phone->fd, message, sizeof(message)) && strcmp(message, phone->got) &&
		    strncmp(message, "SIP/2.0 100 ", 12)) {
			strcpy(phone->got, message);
			if (!strncmp(message, "INVITE ", 7))
				strcpy(phone->invite, message);
			return phone->got;
		}
		turn();
	}
	fail_msg("nothing new heard; the last was: %.300s", phone->got);
	return "";
}

/* The last message once more. */
static inline bool hear_again(struct phone *phone)
{
	static char message[sizeof(phone->got)];
	int64_t end = now().ns + DEADLINE_MS * NS_PER_MS;

	while (now().ns < end) {
		if (receive(phone->fd, message, sizeof(message)))
			return !strcmp(message, phone->got);
		turn();
	}
	return false;
}

/* Everything that was said has been worked off, and nothing came of it for this phone. */
static inline bool silent(struct phone *phone)
{
	char message[16];
	int i;

	for (i = 0; i < 20; i++)
		turn();
	return !receive(phone->fd, message, sizeof(message));
}

static inline void say(const struct phone *phone, const char *text)
{
	send_to_agent(phone->fd, text);
}

/* What is answered next is the last INVITE heard, whatever came after it. */
static inline void back_to_invite(struct phone *phone)
{
	strcpy(phone->got, phone->invite);
}

/* To the last request heard. headers: with CRLF each; type NULL = application/sdp */
static inline void answer_typed(struct phone *phone, const char *status, const char *headers,
                                const char *type, const char *body)
{
	static char text[TEXT_BYTES];
	const char *got = phone->got;

	snprintf(text, sizeof(text),
	         "SIP/2.0 %s\r\n%s%s%s%s%sContact: <sip:phone@127.0.0.1:%u;new=1>\r\n%s%s%s", status,
	         header_lines(got, "Via"), header_lines(got, "From"), header_lines(got, "To"),
	         header_lines(got, "Call-ID"), header_lines(got, "CSeq"), phone->port,
	         phone->supports ? phone->supports : "", headers, body_text(type, body));
	say(phone, text);
}

static inline void answer_more(struct phone *phone, const char *status, const char *headers, const char *sdp)
{
	answer_typed(phone, status, headers, NULL, sdp);
}

static inline void answer(struct phone *phone, const char *status, const char *sdp)
{
	answer_typed(phone, status, "", NULL, sdp);
}

/* Returns the branch, for the CANCEL or the repetition. */
static inline const char *ask(struct phone *phone, const struct ask *ask)
{
	static char text[TEXT_BYTES], branches[16][32];
	static unsigned int n;
	char *branch = branches[++n % 16];

	snprintf(branch, sizeof(branches[0]), "z9hG4bKt%u", n);
	if (ask->branch)
		strcpy(branch, ask->branch);
	snprintf(text, sizeof(text),
	         "%s sip:sipflip@" VIP ":%u SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:%u;branch=%s;rport\r\n"
	         "From: %s;tag=%s\r\nTo: %s;tag=%s\r\nCall-ID: %s\r\nCSeq: %u %s\r\nMax-Forwards: %d\r\n"
	         "Contact: <sip:phone@127.0.0.1:%u>\r\n%s%s%s",
	         ask->method, rescue_port, phone->port, branch, phone->own_uri, phone->own_tag,
	         phone->server_uri, phone->server_tag, phone->call_id, ask->cseq, ask->method,
	         ask->hops < 0   ? 0
	         : ask->hops > 0 ? ask->hops
	                         : 70,
	         phone->port, phone->supports ? phone->supports : "", ask->headers ? ask->headers : "",
	         body_text(ask->type, ask->body));
	say(phone, text);
	return branch;
}
#define ASK(phone, ...) ask(phone, &(struct ask){__VA_ARGS__})

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
