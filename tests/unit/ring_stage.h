/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Calls that rang, or had one leg, when their server died: ann, bob, cid and the new
 * local server are plain UDP sockets on loopback, the dead server is what the capture
 * recorded of it. Used by test_rescue_ring*.c and test_rescue_join*.c only.
 */
#ifndef SIPFLIP_TEST_RING_STAGE_H
#define SIPFLIP_TEST_RING_STAGE_H

#include "../../user/calls/rescue_agent.h"
#include "rescue_stage.h"
#include "sip_script.h"

#define DEAD 3 /* origin of what the dead server held */
#define LIVE 5 /* and of the one that runs here now */

#define SDP_A   SDP("ann", "1", "1", "127.0.0.1", "4000", "")
#define SDP_B   SDP("bob", "1", "2", "127.0.0.2", "6000", "")
#define SDP_SRV SDP("srv", "1", "7", VIP, "20000", "")
#define SDP_B_O SDP("srv", "1", "8", VIP, "20002", "")

struct phone {
	int fd;
	uint16_t port;
	const char *name;       /* Call-ID and tags follow from it */
	const char *server_tag; /* "" = the server has given none yet */
	char got[8192];
	char invite[8192]; /* the last INVITE heard */
};

static struct phone a, b, c, server;
static struct dialog *da, *db, *dc;
static const char *out_caller; /* in From of what the server sends */

/* The next message at the phone whose first line begins so; others are passed over. */
static inline const char *hear(struct phone *phone, const char *first)
{
	int64_t end = now().ns + DEADLINE_MS * NS_PER_MS;
	char message[sizeof(phone->got)];

	while (now().ns < end) {
		if (!receive(phone->fd, message, sizeof(message))) {
			turn();
			continue;
		}
		strcpy(phone->got, message);
		if (!strncmp(message, "INVITE ", 7))
			strcpy(phone->invite, message);
		if (!strncmp(message, first, strlen(first)))
			return phone->got;
	}
	fail_msg("%s heard no %s; the last was: %.300s", phone->name, first, phone->got);
	return "";
}

/* Nothing that begins so comes within some turns of the loop. */
static inline bool never_hears(struct phone *phone, const char *first)
{
	char message[sizeof(phone->got)];
	int i;

	for (i = 0; i < 25; i++) {
		if (receive(phone->fd, message, sizeof(message)) && !strncmp(message, first, strlen(first))) {
			print_message("%s heard: %s\n", phone->name, message);
			return false;
		}
		turn();
	}
	return true;
}

static inline void until(const struct dialog *d, enum dialog_state state)
{
	int64_t end = now().ns + DEADLINE_MS * NS_PER_MS;

	while (d->state != state && now().ns < end)
		turn();
	assert_int_equal(d->state, state);
}

static inline void until_acked(const struct dialog *d)
{
	int64_t end = now().ns + DEADLINE_MS * NS_PER_MS;

	while (!d->acked && now().ns < end)
		turn();
	assert_true(d->acked);
}

static inline void until_held_by(const struct dialog *d, uint64_t origin)
{
	int64_t end = now().ns + DEADLINE_MS * NS_PER_MS;

	while (d->origin != origin && now().ns < end)
		turn();
	assert_true(d->origin == origin);
}

/* Answers the last request heard; tag "" = its To has one already. */
static inline void answer_with(struct phone *phone, const char *status, const char *tag, const char *more,
                               const char *sdp)
{
	const char *got = phone->got;
	static char text[TEXT_BYTES];
	char to[2048];

	snprintf(to, sizeof(to), "%s", header_lines(got, "To"));
	if (tag[0])
		snprintf(to + strlen(to) - 2, 128, ";tag=%s\r\n", tag);
	snprintf(text, sizeof(text), "SIP/2.0 %s\r\n%s%s%s%s%sContact: <sip:%s@127.0.0.1:%u>\r\n%s%s", status,
	         header_lines(got, "Via"), header_lines(got, "From"), to, header_lines(got, "Call-ID"),
	         header_lines(got, "CSeq"), phone->name, phone->port, more, body_text(NULL, sdp));
	send_to_agent(phone->fd, text);
}

static inline void answer(struct phone *phone, const char *status, const char *sdp)
{
	char tag[32];

	snprintf(tag, sizeof(tag), "t-%s", phone->name);
	answer_with(phone, status, tag, "", sdp);
}

/* What is answered next is the last INVITE heard, whatever came after it. */
static inline void back_to_invite(struct phone *phone)
{
	strcpy(phone->got, phone->invite);
}

/* In the dialog that the phone has with the dead server. branch "" = a fresh one. */
static inline void ask(struct phone *phone, const char *method, uint32_t cseq, const char *branch,
                       const char *server_tag, const char *more, const char *sdp)
{
	static unsigned int n;
	static char text[TEXT_BYTES];
	char fresh[32];

	snprintf(fresh, sizeof(fresh), "z9hG4bKf%u", ++n);
	snprintf(text, sizeof(text),
	         "%s sip:100@" VIP " SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:%u;branch=%s;rport\r\n"
	         "From: \"P\" <sip:%s@example>;tag=p-%s\r\nTo: <sip:100@example>%s%s\r\n"
	         "Call-ID: call-%s\r\nCSeq: %u %s\r\nMax-Forwards: 70\r\n"
	         "Contact: <sip:%s@127.0.0.1:%u>\r\n%s%s",
	         method, phone->port, branch[0] ? branch : fresh, phone->name, phone->name,
	         server_tag[0] ? ";tag=" : "", server_tag, phone->name, cseq, method, phone->name,
	         phone->port, more, body_text(NULL, sdp));
	send_to_agent(phone->fd, text);
}

/* --- what was on the wire before the server died ------------------------------------------- */

static inline struct dialog *captured(const struct phone *phone, bool out, const char *text)
{
	struct capture_record *record =
	        script_record(text, strlen(text), out, "127.0.0.1", phone->port, (uint64_t)now().ns);
	struct dialog *d = track_datagram(&track, record, now());

	free(record);
	return d;
}

/* The phone called the server. */
static inline struct dialog *called_in(struct phone *phone, const char *more, const char *sdp)
{
	static char text[TEXT_BYTES];

	snprintf(text, sizeof(text),
	         "INVITE sip:100@" VIP " SIP/2.0\r\n"
	         "Via: SIP/2.0/UDP 127.0.0.1:%u;branch=z9hG4bKin-%s;rport\r\n"
	         "Via: SIP/2.0/UDP 192.0.2.77:5099;branch=z9hG4bKfar\r\n"
	         "Record-Route: <sip:127.0.0.1:%u;lr>\r\n"
	         "From: \"P\" <sip:%s@example>;tag=p-%s\r\nTo: <sip:100@example>\r\nCall-ID: call-%s\r\n"
	         "CSeq: 11 INVITE\r\nMax-Forwards: 70\r\nContact: <sip:%s@127.0.0.1:%u>\r\n%s%s",
	         phone->port, phone->name, phone->port, phone->name, phone->name, phone->name, phone->name,
	         phone->port, more, body_text(NULL, sdp));
	return captured(phone, false, text);
}

/* What the server answered it. */
static inline struct dialog *server_said(struct phone *phone, const char *status, const char *more,
                                         const char *sdp)
{
	static char text[TEXT_BYTES];

	snprintf(text, sizeof(text),
	         "SIP/2.0 %s\r\nVia: SIP/2.0/UDP 127.0.0.1:%u;branch=z9hG4bKin-%s;rport\r\n"
	         "Record-Route: <sip:127.0.0.1:%u;lr>\r\n"
	         "From: \"P\" <sip:%s@example>;tag=p-%s\r\nTo: <sip:100@example>;tag=%s\r\n"
	         "Call-ID: call-%s\r\nCSeq: 11 INVITE\r\nContact: <sip:srv@" VIP ">\r\n%s%s",
	         status, phone->port, phone->name, phone->port, phone->name, phone->name, phone->server_tag,
	         phone->name, more, body_text(NULL, sdp));
	return captured(phone, true, text);
}

/* The server called the phone. */
static inline struct dialog *called_out(struct phone *phone, const char *sdp)
{
	static char text[TEXT_BYTES];

	snprintf(text, sizeof(text),
	         "INVITE sip:%s@127.0.0.1:%u SIP/2.0\r\n"
	         "Via: SIP/2.0/UDP " VIP ":5060;branch=z9hG4bKout-%s;rport\r\n"
	         "From: \"P\" <sip:%s@example>;tag=%s\r\nTo: <sip:%s@example>\r\nCall-ID: call-%s\r\n"
	         "CSeq: 77 INVITE\r\nMax-Forwards: 70\r\nContact: <sip:srv@" VIP
	         ">\r\nX-Kept: as it was\r\n%s",
	         phone->name, phone->port, phone->name, out_caller, phone->server_tag, phone->name,
	         phone->name, body_text(NULL, sdp));
	return captured(phone, true, text);
}

/* What the phone answered it, or a fork behind it: by its tag. */
static inline struct dialog *phone_said_as(struct phone *phone, const char *tag, const char *status,
                                           const char *more, const char *sdp)
{
	static char text[TEXT_BYTES];

	snprintf(text, sizeof(text),
	         "SIP/2.0 %s\r\nVia: SIP/2.0/UDP " VIP ":5060;branch=z9hG4bKout-%s;rport\r\n"
	         "From: \"P\" <sip:%s@example>;tag=%s\r\nTo: <sip:%s@example>;tag=%s\r\nCall-ID: "
	         "call-%s\r\n"
	         "CSeq: 77 INVITE\r\nContact: <sip:%s@127.0.0.1:%u>\r\n%s%s",
	         status, phone->name, out_caller, phone->server_tag, phone->name, tag, phone->name,
	         phone->name, phone->port, more, body_text(NULL, sdp));
	return captured(phone, false, text);
}

static inline struct dialog *phone_said(struct phone *phone, const char *status, const char *more,
                                        const char *sdp)
{
	char tag[32];

	snprintf(tag, sizeof(tag), "t-%s", phone->name);
	return phone_said_as(phone, tag, status, more, sdp);
}

/* --- the stage ------------------------------------------------------------------------------- */

static inline void open_phone(struct phone *phone, const char *addr, const char *name, const char *server_tag)
{
	*phone = (struct phone){.name = name, .server_tag = server_tag};
	phone->fd = udp(addr, &phone->port);
}

static inline int setup(void **state)
{
	static const struct rescue_callbacks callbacks = {0};
	struct keeper_conf conf = {.name = "pbx", .rescue_rate = 200, .rescue_mode = RESCUE_AGENT};

	open_phone(&a, "127.0.0.1", "ann", "s-a");
	open_phone(&b, "127.0.0.1", "bob", "s-b");
	open_phone(&c, "127.0.0.1", "cid", "s-c");
	open_phone(&server, VIP, "server", "");
	da = db = dc = NULL;
	out_caller = "ann";
	conf.sip_port = server.port;
	if (stage_open(&conf, &callbacks))
		return -1;
	table.origin = DEAD;
	return 0;
}

static inline int teardown(void **state)
{
	stage_close();
	close(a.fd);
	close(b.fd);
	close(c.fd);
	close(server.fd);
	return 0;
}

static inline void take_over(void)
{
	table.origin = LIVE;
	rescue_start(rescue, 0x201, (uint64_t)now().ns, now());
}

/* And once more, with another server. */
static inline void next_takeover(void)
{
	rescue_stop(rescue);
	table.origin = LIVE + 1;
	rescue_start(rescue, 0x302, (uint64_t)now().ns, now());
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
