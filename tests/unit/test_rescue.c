/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The rescue agent against two phones that are plain UDP sockets on loopback:
 * what it sends inside their dialogs, byte for byte where it matters, and what
 * it does with what they send.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <sofia-sip/su.h>
#include <sofia-sip/su_log.h>

#include "../../user/calls/rescue.h"
#include "addr.h"
#include "pairing.h"

#define DEADLINE_MS 5000
#define VIP         "127.0.0.9"

#define OLD_A                                                                                                \
	"v=0\r\no=srv 70 7 IN IP4 " VIP "\r\ns=-\r\nc=IN IP4 " VIP "\r\nt=0 0\r\nm=audio 20000 RTP/AVP "     \
	"0\r\n"
#define OLD_B                                                                                                \
	"v=0\r\no=srv 80 8 IN IP4 " VIP "\r\ns=-\r\nc=IN IP4 " VIP "\r\nt=0 0\r\nm=audio 20002 RTP/AVP "     \
	"0\r\n"
#define SDP_A                                                                                                \
	"v=0\r\no=ann 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP "   \
	"0\r\n"
#define SDP_B                                                                                                \
	"v=0\r\no=bob 2 2 IN IP4 127.0.0.2\r\ns=-\r\nc=IN IP4 127.0.0.2\r\nt=0 0\r\nm=audio 6000 RTP/AVP "   \
	"0\r\n"

struct phone {
	int fd;
	uint16_t port;
	const char *call_id, *own_tag, *server_tag, *own_uri, *server_uri;
	char got[8192];
};

extern su_log_t nta_log[];
static su_root_t *root;
static struct dialog_table table;
static struct track track;
static struct rescue *rescue;
static struct keeper_rescue progress;
static struct phone a, b;
static struct dialog *da, *db;
static uint16_t rescue_port;

static struct mono now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return mono_ns(ts.tv_sec * NS_PER_S + ts.tv_nsec);
}

static int udp(const char *addr, uint16_t *ret_port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET};
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	sin.sin_addr.s_addr = inet_addr(addr);
	assert_int_equal(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	getsockname(fd, (struct sockaddr *)&sin, &len);
	*ret_port = ntohs(sin.sin_port);
	return fd;
}

static void on_progress(void *context, const struct keeper_rescue *now_progress)
{
	progress = *now_progress;
}

static void turn(void)
{
	su_root_step(root, 2);
}

/* The next message at the phone; repeats of the last one are not new. */
static const char *hear(struct phone *phone)
{
	int64_t end = now().ns + DEADLINE_MS * NS_PER_MS;
	char message[sizeof(phone->got)];

	while (now().ns < end) {
		ssize_t n = recv(phone->fd, message, sizeof(message) - 1, MSG_DONTWAIT);

		if (n > 0) {
			message[n] = '\0';
			if (strcmp(message, phone->got)) {
				strcpy(phone->got, message);
				return phone->got;
			}
		}
		turn();
	}
	fail_msg("nothing heard; the last was: %.200s", phone->got);
	return "";
}

static bool silent(struct phone *phone)
{
	char message[16];
	int i;

	for (i = 0; i < 20; i++)
		turn();
	return recv(phone->fd, message, sizeof(message), MSG_DONTWAIT) < 0;
}

static void say(struct phone *phone, const char *text)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(rescue_port)};

	sin.sin_addr.s_addr = inet_addr(VIP);
	assert_int_equal(sendto(phone->fd, text, strlen(text), 0, (struct sockaddr *)&sin, sizeof(sin)),
	                 (ssize_t)strlen(text));
}

/* The header's line with its end, from the last message heard. */
static const char *line(const struct phone *phone, const char *name, char buf[1024])
{
	const char *at = phone->got;
	size_t len = strlen(name);

	while ((at = strstr(at, "\r\n"))) {
		at += 2;
		if (!strncmp(at, name, len)) {
			snprintf(buf, 1024, "%.*s", (int)(strstr(at, "\r\n") - at + 2), at);
			return buf;
		}
	}
	return strcpy(buf, "");
}

static void answer(struct phone *phone, const char *status, const char *sdp)
{
	char text[8192], via[1024], from[1024], to[1024], id[1024], cseq[1024];

	snprintf(text, sizeof(text),
	         "SIP/2.0 %s\r\n%s%s%s%s%sContact: <sip:phone@127.0.0.1:%u;new=1>\r\n%sContent-Length: "
	         "%zu\r\n\r\n%s",
	         status, line(phone, "Via:", via), line(phone, "From:", from), line(phone, "To:", to),
	         line(phone, "Call-ID:", id), line(phone, "CSeq:", cseq), phone->port,
	         sdp ? "Content-Type: application/sdp\r\n" : "", sdp ? strlen(sdp) : 0, sdp ? sdp : "");
	say(phone, text);
}

static void ask(struct phone *phone, const char *method, uint32_t cseq, const char *sdp)
{
	static unsigned int branch;
	char text[8192];

	snprintf(text, sizeof(text),
	         "%s sip:sipflip@" VIP
	         ":%u SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:%u;branch=z9hG4bKt%u;rport\r\n"
	         "From: %s;tag=%s\r\nTo: %s;tag=%s\r\nCall-ID: %s\r\nCSeq: %u %s\r\nMax-Forwards: 70\r\n"
	         "Contact: <sip:phone@127.0.0.1:%u>\r\n%sContent-Length: %zu\r\n\r\n%s",
	         method, rescue_port, phone->port, ++branch, phone->own_uri, phone->own_tag,
	         phone->server_uri, phone->server_tag, phone->call_id, cseq, method, phone->port,
	         sdp ? "Content-Type: application/sdp\r\n" : "", sdp ? strlen(sdp) : 0, sdp ? sdp : "");
	say(phone, text);
}

/* A dialog of the former server with the phone, as the tracker would have entered it. */
static struct dialog *enter(struct phone *phone, bool out, const char *contact, const char *record_route,
                            const char *sdp_offer, const char *sdp_answer)
{
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
	        .contact = out ? "sip:srv@" VIP : contact,
	        .record_route = record_route,
	        .refresher_uas = -1,
	        .sdp = sdp_offer,
	        .sdp_len = strlen(sdp_offer),
	};

	addr_parse("127.0.0.1", &ev.remote);
	dialog_table_event(&table, &ev);
	ev.out = !out;
	ev.status = 200;
	ev.to_tag = out ? phone->own_tag : phone->server_tag;
	ev.contact = out ? contact : "sip:srv@" VIP;
	ev.sdp = sdp_answer;
	ev.sdp_len = strlen(sdp_answer);
	ev.at = now();
	return dialog_table_event(&table, &ev);
}

static int setup_with_rate(uint32_t calls_a_second)
{
	static const struct rescue_callbacks callbacks = {.progress = on_progress};
	struct keeper_conf conf = {.name = "pbx", .rescue_rate = calls_a_second};
	int probe;

	su_init();
	root = su_root_create(NULL);
	dialog_table_init(&table, 64, 7);
	track = (struct track){.table = &table};
	progress = (struct keeper_rescue){0};
	a = (struct phone){.call_id = "call-a", .own_tag = "a1", .server_tag = "s1"};
	b = (struct phone){.call_id = "call-b", .own_tag = "b2", .server_tag = "s2"};
	a.own_uri = "\"Ann A\" <sip:ann@a.example;user=phone>";
	a.server_uri = "<sip:100@b.example>";
	b.own_uri = "<sip:100@b.example>";
	b.server_uri = "<sip:ann@a.example>";
	a.fd = udp("127.0.0.1", &a.port);
	b.fd = udp("127.0.0.1", &b.port);
	su_log_set_level(nta_log, 0);
	probe = udp(VIP, &rescue_port); /* a port that is free */
	close(probe);
	addr_parse(VIP, &conf.vip);
	conf.rescue_port = rescue_port;
	return rescue_new(root, &conf, &track, &callbacks, NULL, &rescue);
}

static int setup(void **state)
{
	return setup_with_rate(200);
}

static int setup_slow(void **state)
{
	return setup_with_rate(1);
}

static int teardown(void **state)
{
	rescue_free(rescue);
	dialog_table_done(&table);
	close(a.fd);
	close(b.fd);
	su_root_destroy(root);
	su_deinit();
	return 0;
}

/* Two legs; where their Contacts lead nowhere, so that only the flow's address can be meant. */
static void call(void)
{
	da = enter(&a, false, "sip:ann@192.0.2.99:9;ob", NULL, SDP_A, OLD_A);
	db = enter(&b, true, "sip:bob@192.0.2.98:9", NULL, OLD_B, SDP_B);
	/* order of events: answered there before it answered here */
	da->at_answer = db->at_answer = now();
	da->at_invite = db->at_invite = mono_ns(db->at_answer.ns - NS_PER_S);
	assert_ptr_equal(pairing_consider(&table, da), db);
}

static void take_over(void)
{
	rescue_start(rescue, 0x201, (uint64_t)now().ns, now());
}

static void rescued_call(void)
{
	call();
	take_over();
	hear(&a);
	answer(&a, "200 OK", SDP_A);
	hear(&b);
	answer(&b, "200 OK", SDP_B);
	hear(&a); /* ACK */
	hear(&b);
	assert_int_equal(progress.rescued, 1);
}

#define ASSERT_HAS(phone, text)     assert_non_null(strstr((phone).got, text))
#define ASSERT_HAS_NOT(phone, text) assert_null(strstr((phone).got, text))

static void both_legs_are_re_invited_inside_their_dialogs(void **state)
{
	char contact[64];

	snprintf(contact, sizeof(contact), "Contact: <sip:sipflip@" VIP ":%u>\r\n", rescue_port);
	call();
	take_over();
	hear(&a);
	assert_int_equal(da->state, DIALOG_RESCUING);
	ASSERT_HAS(a, "INVITE sip:ann@192.0.2.99:9;ob SIP/2.0\r\n");
	ASSERT_HAS(a, "From: <sip:100@b.example>;tag=s1\r\n");
	ASSERT_HAS(a, "To: \"Ann A\" <sip:ann@a.example;user=phone>;tag=a1\r\n");
	ASSERT_HAS(a, "Call-ID: call-a\r\n");
	ASSERT_HAS(a, "CSeq: 100 INVITE\r\n"); /* the server had used none */
	ASSERT_HAS(a, contact);
	ASSERT_HAS(a, "Content-Length: 0\r\n");
	ASSERT_HAS_NOT(a, "Route:");
	assert_true(progress.first_reinvite_ns > 0);
	assert_true(silent(&b));

	answer(&a, "200 OK", SDP_A);
	hear(&b);
	ASSERT_HAS(b, "INVITE sip:bob@192.0.2.98:9 SIP/2.0\r\n");
	ASSERT_HAS(b, "From: <sip:ann@a.example>;tag=s2\r\n");
	ASSERT_HAS(b, "To: <sip:100@b.example>;tag=b2\r\n");
	ASSERT_HAS(b, "CSeq: 600 INVITE\r\n");
	ASSERT_HAS(b, "o=srv 80 9 IN IP4 " VIP "\r\n"); /* goes on from the one the phone knows */
	ASSERT_HAS(b, "m=audio 4000 RTP/AVP 0\r\n");
	ASSERT_HAS(b, "c=IN IP4 127.0.0.1\r\n");

	answer(&b, "200 OK", SDP_B);
	hear(&a);
	ASSERT_HAS(a, "ACK sip:phone@127.0.0.1");
	ASSERT_HAS(a, "CSeq: 100 ACK\r\n");
	ASSERT_HAS(a, "o=srv 70 8 IN IP4 " VIP "\r\n");
	ASSERT_HAS(a, "m=audio 6000 RTP/AVP 0\r\n");
	hear(&b);
	ASSERT_HAS(b, "ACK sip:phone@127.0.0.1");
	ASSERT_HAS(b, "CSeq: 600 ACK\r\n");
	ASSERT_HAS_NOT(b, "m=audio");
	assert_int_equal(da->state, DIALOG_RESCUED);
	assert_int_equal(db->state, DIALOG_RESCUED);
	assert_int_equal(progress.calls, 1);
	assert_int_equal(progress.rescued, 1);
	assert_int_equal(rescue_outcome(rescue, 0)->result, 1);
	assert_int_equal(rescue_outcome(rescue, 0)->status_a, 200);
	assert_int_equal(rescue_outcome(rescue, 0)->status_b, 200);
	assert_null(rescue_outcome(rescue, 1));
}

static void route_set_is_sent_in_order_and_first_hop_gets_it(void **state)
{
	char route[256], want[600];

	/* the phone's dialog goes through a proxy that is found at b's socket */
	snprintf(route, sizeof(route), "<sip:127.0.0.1:%u;lr>,<sip:second.example;lr>", b.port);
	da = enter(&a, false, "sip:ann@192.0.2.99", route, SDP_A, OLD_A);
	db = enter(&b, true, "sip:bob@192.0.2.98:9", NULL, OLD_B, SDP_B);
	da->at_answer = db->at_answer = now();
	da->at_invite = db->at_invite = mono_ns(now().ns - NS_PER_S);
	assert_ptr_equal(pairing_consider(&table, da), db);
	take_over();
	hear(&b);
	ASSERT_HAS(b, "INVITE sip:ann@192.0.2.99 SIP/2.0\r\n");
	snprintf(want, sizeof(want), "Route: <sip:127.0.0.1:%u;lr>\r\nRoute: <sip:second.example;lr>\r\n",
	         b.port);
	ASSERT_HAS(b, want);
}

static void strict_router_gets_the_target_in_the_route(void **state)
{
	char route[256], want[600];

	snprintf(route, sizeof(route), "<sip:127.0.0.1:%u>,<sip:second.example;lr>", b.port);
	da = enter(&a, false, "sip:ann@192.0.2.99", route, SDP_A, OLD_A);
	db = enter(&b, true, "sip:bob@192.0.2.98:9", NULL, OLD_B, SDP_B);
	da->at_answer = db->at_answer = now();
	da->at_invite = db->at_invite = mono_ns(now().ns - NS_PER_S);
	pairing_consider(&table, da);
	take_over();
	hear(&b);
	snprintf(want, sizeof(want), "INVITE sip:127.0.0.1:%u SIP/2.0\r\n", b.port);
	ASSERT_HAS(b, want);
	ASSERT_HAS(b, "Route: <sip:second.example;lr>\r\nRoute: <sip:ann@192.0.2.99>\r\n");
}

static void bye_passes_across(void **state)
{
	rescued_call();
	ask(&a, "BYE", 501, NULL);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 200 OK");
	hear(&b);
	ASSERT_HAS(b, "BYE sip:phone@127.0.0.1");
	ASSERT_HAS(b, "CSeq: 601 BYE\r\n");
	ASSERT_HAS(b, "To: <sip:100@b.example>;tag=b2\r\n");
	answer(&b, "200 OK", NULL);
	assert_true(silent(&b));
	assert_int_equal(da->state, DIALOG_ENDED);
	assert_int_equal(db->state, DIALOG_ENDED);
	assert_int_equal(rescue_counters(rescue)->rescue_passed_bye, 1);
}

static void second_takeover_goes_on_above_the_first(void **state)
{
	rescued_call();
	rescue_stop(rescue);
	take_over();
	hear(&a);
	ASSERT_HAS(a, "CSeq: 200 INVITE\r\n");
	ASSERT_HAS(a, "INVITE sip:phone@127.0.0.1"); /* its Contact of the first rescue */
}

#define HOLD_B                                                                                               \
	"v=0\r\no=bob 2 3 IN IP4 127.0.0.2\r\ns=-\r\nc=IN IP4 127.0.0.2\r\nt=0 0\r\nm=audio 6000 RTP/AVP "   \
	"0\r\na=sendonly\r\n"
#define HELD_A                                                                                               \
	"v=0\r\no=ann 1 2 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP "   \
	"0\r\na=recvonly\r\n"

static void offer_passes_across_and_its_answer_comes_back(void **state)
{
	rescued_call();
	ask(&b, "INVITE", 9, HOLD_B);
	hear(&a);
	ASSERT_HAS(a, "INVITE sip:phone@127.0.0.1");
	ASSERT_HAS(a, "CSeq: 101 INVITE\r\n");
	ASSERT_HAS(a, "o=srv 70 9 IN IP4 " VIP "\r\n");
	ASSERT_HAS(a, "a=sendonly\r\n");
	answer(&a, "200 OK", HELD_A);
	hear(&b);
	ASSERT_HAS(b, "SIP/2.0 200 OK");
	ASSERT_HAS(b, "CSeq: 9 INVITE\r\n");
	ASSERT_HAS(b, "o=srv 80 10 IN IP4 " VIP "\r\n");
	ASSERT_HAS(b, "a=recvonly\r\n");
	hear(&a);
	ASSERT_HAS(a, "CSeq: 101 ACK\r\n");
	ask(&b, "ACK", 9, NULL);
	assert_true(silent(&b));
	assert_int_equal(rescue_counters(rescue)->rescue_passed_offer, 1);
}

static void refusal_of_an_offer_comes_back(void **state)
{
	rescued_call();
	ask(&b, "INVITE", 9, HOLD_B);
	hear(&a);
	answer(&a, "488 Not Acceptable Here", NULL);
	hear(&b);
	ASSERT_HAS(b, "SIP/2.0 488 ");
	assert_int_equal(da->state, DIALOG_RESCUED);
	assert_int_equal(db->state, DIALOG_RESCUED);
}

static void wish_for_an_offer_passes_across_and_the_answer_follows_in_the_ack(void **state)
{
	rescued_call();
	ask(&b, "INVITE", 9, NULL);
	hear(&a);
	ASSERT_HAS(a, "INVITE ");
	ASSERT_HAS(a, "Content-Length: 0\r\n");
	answer(&a, "200 OK", HELD_A);
	hear(&b);
	ASSERT_HAS(b, "SIP/2.0 200 OK");
	ASSERT_HAS(b, "m=audio 4000 RTP/AVP 0\r\n");
	ask(&b, "ACK", 9, HOLD_B);
	hear(&a);
	ASSERT_HAS(a, "CSeq: 101 ACK\r\n");
	ASSERT_HAS(a, "a=sendonly\r\n");
}

static void session_refresh_is_answered_here(void **state)
{
	rescued_call();
	ask(&b, "INVITE", 9, SDP_B);
	hear(&b);
	ASSERT_HAS(b, "SIP/2.0 200 OK");
	ASSERT_HAS(b, "o=srv 80 9 IN IP4 " VIP "\r\n"); /* what was last said to it */
	ASSERT_HAS_NOT(b, "Session-Expires");
	ask(&b, "ACK", 9, NULL);
	ask(&b, "UPDATE", 10, NULL);
	hear(&b);
	ASSERT_HAS(b, "SIP/2.0 200 OK");
	ASSERT_HAS(b, "CSeq: 10 UPDATE\r\n");
	assert_true(silent(&a));
}

static void leg_that_is_gone_ends_the_other(void **state)
{
	call();
	take_over();
	hear(&a);
	answer(&a, "481 No Such Dialog", NULL);
	hear(&b);
	ASSERT_HAS(b, "BYE sip:bob@192.0.2.98:9 SIP/2.0\r\n");
	ASSERT_HAS(b, "CSeq: 600 BYE\r\n");
	assert_int_equal(progress.failed, 1);
	assert_int_equal(da->state, DIALOG_ENDED);
	assert_int_equal(rescue_outcome(rescue, 0)->status_a, 481);
}

static void second_leg_that_is_gone_gives_the_first_an_answer_and_a_bye(void **state)
{
	call();
	take_over();
	hear(&a);
	answer(&a, "200 OK", SDP_A);
	hear(&b);
	answer(&b, "481 No Such Dialog", NULL);
	hear(&a);
	ASSERT_HAS(a, "CSeq: 100 ACK\r\n");
	ASSERT_HAS(a, "o=srv 70 8 IN IP4 " VIP "\r\n");
	ASSERT_HAS(a, "m=audio 20000 RTP/AVP 0\r\n"); /* where the server's media was */
	hear(&a);
	ASSERT_HAS(a, "BYE ");
}

static void refused_re_invite_leaves_both_legs(void **state)
{
	call();
	take_over();
	hear(&a);
	answer(&a, "488 Not Acceptable Here", NULL);
	hear(&a); /* ACK of the refusal */
	ASSERT_HAS(a, "ACK ");
	assert_true(silent(&b));
	assert_int_equal(progress.failed, 1);
	assert_int_equal(da->state, DIALOG_CONFIRMED);
	assert_int_equal(db->state, DIALOG_CONFIRMED);
}

static void glare_is_tried_again_with_the_next_cseq(void **state)
{
	call();
	take_over();
	hear(&a);
	answer(&a, "491 Request Pending", NULL);
	hear(&a);
	ASSERT_HAS(a, "CSeq: 100 ACK\r\n");
	hear(&a);
	ASSERT_HAS(a, "CSeq: 101 INVITE\r\n");
}

static void phone_that_hangs_up_meanwhile_ends_the_other(void **state)
{
	call();
	take_over();
	hear(&a);
	answer(&a, "200 OK", SDP_A);
	hear(&b);
	/* heard at the new server, which knows nothing of it */
	dialog_set_state(&table, db, DIALOG_ENDED, now());
	rescue_note(rescue, db);
	hear(&a);
	ASSERT_HAS(a, "ACK ");
	hear(&a);
	ASSERT_HAS(a, "BYE ");
	assert_int_equal(progress.failed, 1);
}

static void call_whose_turn_has_not_come_can_end(void **state)
{
	struct phone c = a, d = b;
	struct dialog *dc, *dd;
	int64_t end;

	call();
	c.call_id = "call-c";
	c.fd = udp("127.0.0.1", &c.port);
	d.call_id = "call-d";
	d.fd = udp("127.0.0.1", &d.port);
	dc = enter(&c, false, "sip:cat@192.0.2.97", NULL, SDP_A, OLD_A);
	dd = enter(&d, true, "sip:dan@192.0.2.96", NULL, OLD_B, SDP_B);
	dialog_set_paired(&table, dc, dd, PAIRED_HEADER);
	take_over();
	hear(&a);
	assert_int_equal(dc->state, DIALOG_CONFIRMED);
	dialog_set_state(&table, dc, DIALOG_ENDED, now());
	rescue_note(rescue, dc);
	hear(&d);
	assert_non_null(strstr(d.got, "BYE "));
	answer(&a, "200 OK", SDP_A);
	hear(&b);
	answer(&b, "200 OK", SDP_B);
	end = now().ns + DEADLINE_MS * NS_PER_MS;
	while (progress.rescued + progress.failed < 2 && now().ns < end)
		turn();
	assert_int_equal(progress.failed, 1);
	assert_int_equal(progress.rescued, 1);
	assert_true(silent(&c));
	close(c.fd);
	close(d.fd);
}

static void leg_whose_other_phone_hung_up_before_gets_a_bye(void **state)
{
	call();
	dialog_set_state(&table, da, DIALOG_ENDED, now());
	take_over();
	hear(&b);
	ASSERT_HAS(b, "BYE ");
	assert_true(silent(&a));
	assert_int_equal(progress.skipped, 1);
}

static void single_leg_is_skipped_and_says_why(void **state)
{
	da = enter(&a, false, "sip:ann@192.0.2.99", NULL, SDP_A, OLD_A);
	take_over();
	assert_true(silent(&a));
	assert_int_equal(progress.calls, 1);
	assert_int_equal(progress.skipped, 1);
	assert_int_equal(rescue_outcome(rescue, 0)->result, 3);
	assert_non_null(strstr(rescue_outcome(rescue, 0)->text, "single leg"));
	assert_int_equal(da->state, DIALOG_CONFIRMED);
}

static void requests_that_are_none_of_ours_are_refused_politely(void **state)
{
	rescued_call();
	ask(&a, "PUBLISH", 501, NULL);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 405 ");
	ask(&a, "OPTIONS", 502, NULL);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 200 ");
	ask(&a, "BYE", 400, NULL);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 500 "); /* below what the phone had used: RFC 3261 12.2.2 */
	assert_int_equal(da->state, DIALOG_RESCUED);
	a.server_tag = "other";
	ask(&a, "BYE", 503, NULL);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 481 ");
	assert_int_equal(rescue_counters(rescue)->rescue_unknown_dialog, 1);
	assert_true(silent(&b));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(both_legs_are_re_invited_inside_their_dialogs),
	        T(route_set_is_sent_in_order_and_first_hop_gets_it),
	        T(strict_router_gets_the_target_in_the_route),
	        T(bye_passes_across),
	        T(second_takeover_goes_on_above_the_first),
	        T(offer_passes_across_and_its_answer_comes_back),
	        T(refusal_of_an_offer_comes_back),
	        T(wish_for_an_offer_passes_across_and_the_answer_follows_in_the_ack),
	        T(session_refresh_is_answered_here),
	        T(leg_that_is_gone_ends_the_other),
	        T(second_leg_that_is_gone_gives_the_first_an_answer_and_a_bye),
	        T(refused_re_invite_leaves_both_legs),
	        T(glare_is_tried_again_with_the_next_cseq),
	        T(phone_that_hangs_up_meanwhile_ends_the_other),
	        cmocka_unit_test_setup_teardown(call_whose_turn_has_not_come_can_end, setup_slow, teardown),
	        T(leg_whose_other_phone_hung_up_before_gets_a_bye),
	        T(single_leg_is_skipped_and_says_why),
	        T(requests_that_are_none_of_ours_are_refused_politely),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
