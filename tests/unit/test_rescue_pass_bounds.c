/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Requests that ask too much of a rescued call, and bytes from anywhere: no harm to others. */
#include "pass_call.h"

static void methods_of_no_call_are_refused_by_name(void **state)
{
	ASK(&a, .method = "PUBLISH", .cseq = 501, .headers = "Event: presence\r\n");
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 405 ");
	ASSERT_HAS(a, "Allow: INVITE, ");
	ASK(&a, .method = "FROBNICATE", .cseq = 502);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 501 ");
	ASSERT_HAS(a, "Allow: INVITE, ");
	assert_true(silent(&b));
}

static void what_nobody_here_understands_is_refused(void **state)
{
	ASK(&a, .method = "INVITE", .cseq = 501, .headers = "Require: timer, precondition\r\n",
	    .body = HOLD_A);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 420 ");
	ASSERT_HAS(a, "Unsupported: precondition\r\n");
	ASK(&a, .method = "MESSAGE", .cseq = 502, .headers = "Content-Encoding: gzip\r\n",
	    .type = "text/plain", .body = "x");
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 415 ");
	ASSERT_HAS(a, "Accept-Encoding: identity\r\n");
	ASK(&a, .method = "INVITE", .cseq = 503, .type = "application/isup", .body = "x");
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 415 ");
	ASSERT_HAS(a, "Accept: application/sdp\r\n");
	ASK(&a, .method = "INVITE", .cseq = 504, .body = "no SDP at all");
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 488 ");
	ASK(&a, .method = "INFO", .cseq = 505, .hops = -1);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 483 ");
	assert_true(silent(&b));
	ASSERT_SAID(da, "o=ann 1 1 ");
}

static void bodies_are_bounded(void **state)
{
	static char body[20000];

	memset(body, 'x', 8192);
	ASK(&a, .method = "MESSAGE", .cseq = 501, .type = "text/plain", .body = body);
	hear(&b);
	ASSERT_HAS(b, "MESSAGE ");
	answer(&b, "200 OK", NULL);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 200 OK");
	memset(body, 'x', 8193);
	ASK(&a, .method = "MESSAGE", .cseq = 502, .type = "text/plain", .body = body);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 413 ");
	strcpy(body, HOLD_A);
	memset(body + strlen(HOLD_A), 'x', 5000);
	ASK(&a, .method = "INVITE", .cseq = 503, .body = body);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 413 ");
	assert_true(silent(&b));
	ASSERT_COUNT(rescue_too_large, 2);
}

static void headers_are_bounded(void **state)
{
	static char headers[9000];

	strcpy(headers, "Subject: ");
	memset(headers + 9, 's', 6000);
	strcpy(headers + 6009, "\r\n");
	ASK(&a, .method = "MESSAGE", .cseq = 501, .headers = headers, .type = "text/plain", .body = "x");
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 413 ");
	assert_true(silent(&b));
}

static void a_thousand_vias_are_no_harm(void **state)
{
	static char headers[60000];
	size_t len = 0;
	int i;

	for (i = 0; i < 1000; i++)
		len += (size_t)snprintf(headers + len, sizeof(headers) - len,
		                        "Via: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK%d\r\n", i);
	ASK(&a, .method = "INFO", .cseq = 501, .headers = headers);
	hear(&b);
	ASSERT_HAS(b, "INFO ");
	assert_true(strlen(header_lines(b.got, "Via")) < 200);
	answer(&b, "200 OK", NULL);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 200 OK");
	ASSERT_HAS(a, "branch=z9hG4bK999\r\n");
}

static void older_cseq_is_refused(void **state)
{
	ASK(&a, .method = "INFO", .cseq = 499);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 500 ");
	/* what the dead server may never have answered is passed on */
	ASK(&a, .method = "INFO", .cseq = 500);
	hear(&b);
	ASSERT_HAS(b, "INFO ");
	ASSERT_COUNT(rescue_old_cseq, 1);
}

static void exchanges_of_one_phone_are_bounded(void **state)
{
	struct phone c, d;
	uint32_t i;

	other_call(&c, &d);
	for (i = 0; i < 8; i++) {
		ASK(&a, .method = "INFO", .cseq = 501 + i);
		hear(&b);
	}
	ASK(&a, .method = "INFO", .cseq = 509);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 500 ");
	ASSERT_HAS(a, "Retry-After: ");
	ASSERT_COUNT(rescue_exchange_full, 1);
	ASK(&c, .method = "INFO", .cseq = 501);
	hear(&d);
	ASSERT_HAS(d, "INFO ");
	answer(&b, "200 OK", NULL);
	hear(&a);
	ASSERT_HAS(a, "CSeq: 508 INFO\r\n");
	ASK(&a, .method = "INFO", .cseq = 510);
	hear(&b);
	ASSERT_HAS(b, "INFO ");
	close(c.fd);
	close(d.fd);
}

static void hops_are_counted_down_from_70_at_the_most(void **state)
{
	ASK(&a, .method = "INFO", .cseq = 501, .hops = 255);
	hear(&b);
	ASSERT_HAS(b, "Max-Forwards: 69\r\n");
}

static void body_that_is_said_to_be_unchanged_passes(void **state)
{
	ASK(&a, .method = "MESSAGE", .cseq = 501, .headers = "Content-Encoding: identity\r\n",
	    .type = "text/plain", .body = "plain");
	hear(&b);
	ASSERT_HAS(b, "MESSAGE ");
	ASSERT_HAS(b, "\r\n\r\nplain");
}

static void request_in_a_call_that_rings_is_for_later(void **state)
{
	dialog_set_state(&table, da, DIALOG_EARLY, now());
	ASK(&a, .method = "INFO", .cseq = 501);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 500 ");
	ASSERT_HAS(a, "Retry-After: ");
	assert_true(silent(&b));
}

#define MUTATIONS 5000

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

/* Some bytes are others, a piece is gone, or a piece is there twice. */
static size_t mutate(char *text, size_t len, size_t size, uint32_t *seed)
{
	uint32_t n = 1 + next_random(seed) % 6;
	size_t at = next_random(seed) % len, piece = next_random(seed) % (len - at) % 64;

	while (n--)
		text[next_random(seed) % len] = (char)next_random(seed);
	if (next_random(seed) % 3 == 0) {
		memmove(text + at, text + at + piece, len - at - piece);
		return len - piece;
	}
	if (next_random(seed) % 3 == 0 && len + piece < size) {
		memmove(text + at + piece, text + at, len - at);
		return len + piece;
	}
	return len;
}

static void say_mutated(const char *text, uint32_t *seed)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(rescue_port)};
	static char bytes[65536];
	size_t len = strlen(text);

	memcpy(bytes, text, len);
	len = mutate(bytes, len, sizeof(bytes), seed);
	sin.sin_addr.s_addr = inet_addr(VIP);
	sendto(a.fd, bytes, len, 0, (struct sockaddr *)&sin, sizeof(sin));
	su_root_step(root, 0);
}

static size_t make_victim(char *text, size_t size, unsigned int which, uint32_t cseq)
{
	static const char *const methods[] = {"INVITE", "UPDATE", "INFO",   "REFER",
	                                      "NOTIFY", "ACK",    "CANCEL", "PRACK"};
	const char *method = methods[which % 8];

	if (which % 9 == 8) /* as if it answered something of ours */
		return (size_t)snprintf(
		        text, size,
		        "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP " VIP
		        ":%u;branch=z9hG4bKx%u\r\nFrom: %s;tag=%s\r\nTo: %s;tag=%s\r\nCall-ID: "
		        "%s\r\nCSeq: %u INVITE\r\nContact: <sip:p@127.0.0.1>\r\nRequire: "
		        "100rel\r\nRSeq: 1\r\nContent-Type: application/sdp\r\nContent-Length: "
		        "%zu\r\n\r\n%s",
		        rescue_port, cseq, b.server_uri, b.server_tag, b.own_uri, b.own_tag, b.call_id, cseq,
		        strlen(HELD_B), HELD_B);
	return (size_t)snprintf(text, size,
	                        "%s sip:sipflip@" VIP ":%u SIP/2.0\r\nVia: SIP/2.0/UDP "
	                        "127.0.0.1:%u;branch=z9hG4bKm%u;rport\r\nFrom: %s;tag=%s\r\nTo: "
	                        "%s;tag=%s\r\nCall-ID: %s\r\nCSeq: %u %s\r\nMax-Forwards: 70\r\nContact: "
	                        "<sip:p@127.0.0.1>\r\nEvent: refer;id=%u\r\nSubscription-State: "
	                        "active\r\nRAck: 1 2 INVITE\r\nSession-Expires: 90;refresher=uac\r\n"
	                        "Refer-To: <sip:c@" VIP
	                        "?Replaces=call-a%%3Bto-tag%%3Dserver%%3Bfrom-tag%%3Dphone>\r\n"
	                        "Content-Type: application/sdp\r\nContent-Length: %zu\r\n\r\n%s",
	                        method, rescue_port, a.port, cseq, a.own_uri, a.own_tag, a.server_uri,
	                        a.server_tag, a.call_id, cseq, method, cseq, strlen(HOLD_A), HOLD_A);
}

static void mutated_messages_harm_no_other_call(void **state)
{
	static char text[4096], drain[65536];
	struct phone c, d;
	struct dialog *dc = other_call(&c, &d);
	uint32_t seed = 20260730, i;

	for (i = 0; i < MUTATIONS; i++) {
		make_victim(text, sizeof(text), i, 501 + i);
		say_mutated(text, &seed);
		while (receive(a.fd, drain, sizeof(drain)) || receive(b.fd, drain, sizeof(drain)))
			;
	}
	ASK(&c, .method = "INVITE", .cseq = 501, .body = HOLD_A);
	hear(&d);
	ASSERT_HAS(d, "a=sendonly\r\n");
	answer(&d, "200 OK", HELD_B);
	hear(&c);
	ASSERT_HAS(c, "SIP/2.0 200 OK");
	assert_int_equal(dc->state, DIALOG_CONFIRMED);
	assert_int_equal(dialog_peer(&table, dc)->state, DIALOG_CONFIRMED);
	close(c.fd);
	close(d.fd);
}

/* What sofia-sip would look up and wait for: the answer would come back to this phone by "localhost". */
static void no_name_is_ever_looked_up(void **state)
{
	static const char *const vias[] = {"localhost:%u", "127.0.0.1:%u;maddr=localhost"};
	char text[1024], via[64];
	size_t i;

	for (i = 0; i < 2; i++) {
		snprintf(via, sizeof(via), vias[i], a.port);
		snprintf(text, sizeof(text),
		         "INFO sip:x@" VIP " SIP/%s\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bKn%zu\r\nFrom: "
		         "<sip:a@a>;tag=1\r\nTo: <sip:b@b>;tag=2\r\nCall-ID: n\r\nCSeq: 1 "
		         "INFO\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
		         i ? "2.0" : "3.0", via, i);
		say(&a, text);
		assert_true(silent(&a));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(methods_of_no_call_are_refused_by_name),
	        T(what_nobody_here_understands_is_refused),
	        T(bodies_are_bounded),
	        T(headers_are_bounded),
	        T(a_thousand_vias_are_no_harm),
	        T(older_cseq_is_refused),
	        T(exchanges_of_one_phone_are_bounded),
	        T(mutated_messages_harm_no_other_call),
	        T(no_name_is_ever_looked_up),
	        T(hops_are_counted_down_from_70_at_the_most),
	        T(body_that_is_said_to_be_unchanged_passes),
	        T(request_in_a_call_that_rings_is_for_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
