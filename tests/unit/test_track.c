/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From datagrams to dialogs: recorded calls, headers as they come, and bytes that are not SIP. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../user/calls/track.h"
#include "rescue_plan.h"
#include "sip_script.h"

#define START_NS 1000000000000ULL

static struct dialog_table table;
static struct rescue_policy policy;
static struct track track;
static struct mono now = {2 * (int64_t)START_NS};

static int setup(void **state)
{
	track = (struct track){.table = &table};
	return dialog_table_init(&table, 256, 7);
}

static int teardown(void **state)
{
	dialog_table_done(&table);
	return 0;
}

static struct dialog *say_bytes(const void *text, size_t len, bool out)
{
	struct capture_record *r = script_record(text, len, out, "192.0.2.7", 5062, START_NS);
	struct dialog *d = track_datagram(&track, r, now);

	free(r);
	return d;
}

static struct dialog *say(bool out, const char *text)
{
	return say_bytes(text, strlen(text), out);
}

/* Plays messages [from, to) of the recording. */
static void play(const char *path, int from, int to)
{
	struct capture_record *r;
	struct script script;
	int i = 0;

	assert_true(script_open(&script, path));
	while ((r = script_next(&script, START_NS))) {
		if (i >= from && i < to)
			track_datagram(&track, r, now);
		free(r);
		i++;
	}
	assert_true(i >= from);
}

#define B2BUA "tests/unit/data/b2bua_call.txt"

static struct dialog *leg(enum dialog_role role)
{
	struct dialog *d = NULL;

	while ((d = dialog_next(&table, d)))
		if (d->role == (int)role)
			return d;
	fail_msg("no such leg");
	return NULL;
}

static void call_through_a_real_b2bua_is_two_paired_dialogs(void **state)
{
	struct dialog *a, *b;
	char text[ADDR_TEXT_LEN];

	play(B2BUA, 0, 8); /* up to the caller's ACK */
	assert_int_equal(table.used, 2);
	a = leg(DIALOG_UAS);
	b = leg(DIALOG_UAC);
	assert_int_equal(a->state, DIALOG_CONFIRMED);
	assert_int_equal(b->state, DIALOG_CONFIRMED);
	assert_ptr_equal(dialog_peer(&table, a), b);
	assert_int_equal(a->paired, PAIRED_NUMBERS);
	assert_string_equal(a->call_id, "66abad6e6239c163");
	assert_string_equal(a->remote, "<sip:a@10.77.0.10>");
	assert_string_equal(a->local, "<sip:100@10.77.0.10>");
	assert_string_equal(a->remote_target, "sip:a-0x558fb42bf080@10.77.0.1:5060");
	assert_string_equal(addr_format(&a->flow_addr, text), "10.77.0.1");
	assert_int_equal(a->flow_port, 5060);
	assert_int_equal(a->remote_cseq, 19169);
	assert_int_equal(a->local_cseq, 0);
	assert_int_equal(b->local_cseq, 15317);
	assert_int_equal(b->remote_cseq, 0);
	assert_int_equal(a->acked, 1);
	assert_int_equal(b->acked, 1);
	assert_true(a->sdp_in_len > 100 && a->sdp_out_len > 100);
	assert_true(b->sdp_in_len > 100 && b->sdp_out_len > 100);
	addr_parse("10.77.0.10", &policy.vip);
	assert_int_equal(rescue_plan_of(&table, a, &policy), PLAN_relay);
	assert_int_equal(track.counters.track_messages, 8);
	assert_int_equal(track.counters.track_paired, 1);
}

static void bye_ends_both_legs_of_the_recorded_call(void **state)
{
	play(B2BUA, 0, 10); /* the caller's BYE and its 200 */
	assert_int_equal(leg(DIALOG_UAS)->state, DIALOG_ENDED);
	assert_int_equal(leg(DIALOG_UAC)->state, DIALOG_CONFIRMED);
	assert_int_equal(rescue_plan_of(&table, leg(DIALOG_UAC), &policy), PLAN_hang_up);
	play(B2BUA, 10, 12);
	assert_int_equal(leg(DIALOG_UAC)->state, DIALOG_ENDED);
	assert_int_equal(leg(DIALOG_UAC)->local_cseq, 15318);
	assert_int_equal(table.counters.dialog_unknown, 0);
}

#define VIA "Via: SIP/2.0/UDP 192.0.2.7:5062;branch=z9hG4bK1\r\n"
#define INVITE                                                                                               \
	"INVITE sip:bob@192.0.2.1 SIP/2.0\r\n" VIA                                                           \
	"From: \"Ann, of \\\"A\\\"\" <sip:ann@a.example;user=phone>;x=y;tag=far\r\n"                         \
	"To: sip:bob@b.example\r\nCall-ID: c1@host\r\nCSeq: 7 INVITE\r\n"                                    \
	"Record-Route: <sip:p1;lr>, <sip:p2;lr;a=b,c>\r\nRecord-Route: <sip:p3;lr>\r\n"                      \
	"Contact: \"A\" <sip:ann@192.0.2.7:5062;ob;transport=udp>;expires=60\r\n"                            \
	"Session-ID: ab30317f1a784dc48ff824d0d3715d86;remote=00000000000000000000000000000000\r\n"           \
	"X-Other-Leg: <other@call>;p=1\r\n"
#define OK                                                                                                   \
	"SIP/2.0 200 OK\r\n" VIA                                                                             \
	"From: \"Ann, of \\\"A\\\"\" <sip:ann@a.example;user=phone>;x=y;tag=far\r\n"                         \
	"To: sip:bob@b.example;tag=near\r\nCall-ID: c1@host\r\nCSeq: 7 INVITE\r\n"                           \
	"Contact: <sip:srv@192.0.2.1>\r\nSession-Expires: 1800;refresher=uac\r\n"

static void headers_are_kept_as_they_came(void **state)
{
	struct dialog *d;

	strcpy(track.link_header, "x-other-leg");
	say(false, INVITE "Content-Length: 0\r\n\r\n");
	d = say(true, OK "Content-Length: 0\r\n\r\n");
	assert_non_null(d);
	assert_string_equal(d->remote, "\"Ann, of \\\"A\\\"\" <sip:ann@a.example;user=phone>;x=y");
	assert_string_equal(d->local, "sip:bob@b.example");
	assert_string_equal(d->route, "<sip:p1;lr>,<sip:p2;lr;a=b,c>,<sip:p3;lr>");
	assert_string_equal(d->remote_target, "sip:ann@192.0.2.7:5062;ob;transport=udp");
	assert_string_equal(d->session_id_in, "ab30317f1a784dc48ff824d0d3715d86");
	assert_string_equal(d->link, "other@call");
	assert_int_equal(d->session_expires_s, 1800);
	assert_int_equal(d->refresher, REFRESHER_REMOTE);
	assert_string_equal(d->caller, "ann");
	assert_string_equal(d->callee, "bob");
}

static void compact_and_folded_headers_are_understood(void **state)
{
	struct dialog *d;

	say(false,
	    "INVITE sip:bob@h SIP/2.0\r\nv: SIP/2.0/UDP h;branch=z9hG4bK2\r\nf: <sip:a@h>\r\n ;tag=far\r\n"
	    "t: <sip:bob@h>\r\ni: c2\r\nCSeq: 1\r\n\tINVITE\r\nm: <sip:a@10.0.0.1>\r\nl: 0\r\n\r\n");
	d = say(true, "SIP/2.0 200 OK\r\nv: SIP/2.0/UDP h;branch=z9hG4bK2\r\nf: <sip:a@h>;tag=far\r\n"
	              "t: <sip:bob@h>;tag=near\r\ni: c2\r\nCSeq: 1 INVITE\r\nl: 0\r\n\r\n");
	assert_non_null(d);
	assert_string_equal(d->remote_target, "sip:a@10.0.0.1");
	assert_int_equal(d->state, DIALOG_CONFIRMED);
}

static void sdp_is_found_inside_a_multipart_body(void **state)
{
	const char *body = "--b\r\nContent-Type: application/isup\r\n\r\nxyz\r\n--b\r\nContent-Type: "
	                   "application/sdp\r\n\r\n"
	                   "v=0\r\no=- 5 5 IN IP4 h\r\nm=audio 9 RTP/AVP 0\r\n\r\n--b--\r\n";
	char text[2048];
	struct dialog *d;

	snprintf(text, sizeof(text),
	         INVITE "Content-Type: multipart/mixed;boundary=b\r\nContent-Length: %zu\r\n\r\n%s",
	         strlen(body), body);
	say(false, text);
	d = say(true, OK "Content-Length: 0\r\n\r\n");
	assert_non_null(d);
	assert_true(d->sdp_in_len > 20);
	assert_memory_equal(d->sdp_in, "v=0\r\no=- 5 5", 12);
}

static void bad_header_that_nobody_needs_does_not_lose_the_dialog(void **state)
{
	say(false, INVITE "Date: the day after\r\nMax-Forwards: many\r\nContent-Length: 0\r\n\r\n");
	assert_int_equal(table.used, 1);
}

static void keepalives_are_no_malformed_messages(void **state)
{
	say_bytes("\r\n\r\n", 4, false);
	say_bytes("\0", 1, false);
	say_bytes("", 0, false);
	assert_int_equal(track.counters.track_keepalives, 3);
	assert_int_equal(track.counters.track_malformed, 0);
}

static void what_is_not_sip_is_counted(void **state)
{
	static const char *const bad[] = {
	        "hello",
	        "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
	        "INVITE sip:bob@h SIP/2.0\r\n\r\n",
	        "SIP/2.0 200 OK\r\nCall-ID: x\r\n\r\n",
	        "INVITE sip:bob@h SIP/2.0\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\nCSeq: 1 "
	        "INVITE\r\n\r\n",
	};
	size_t i, n = sizeof(bad) / sizeof(bad[0]);

	for (i = 0; i < n; i++)
		assert_null(say(false, bad[i]));
	assert_int_equal(track.counters.track_malformed, n);
	assert_int_equal(table.used, 0);
}

/* The same messages cut and with bytes changed: whatever comes out, nothing breaks and nothing is believed
 * blindly. */
static void any_damage_to_recorded_messages_is_survived(void **state)
{
	struct capture_record *messages[64];
	struct script script;
	unsigned int seed = 42;
	int n = 0, round;

	assert_true(script_open(&script, B2BUA));
	while (n < 64 && (messages[n] = script_next(&script, START_NS)))
		n++;
	for (round = 0; round < 20000; round++) {
		const struct capture_record *from = messages[rand_r(&seed) % n];
		uint32_t len = round % 3 ? from->len : (uint32_t)rand_r(&seed) % (from->len + 1);
		struct capture_record *r = malloc(sizeof(*r) + len);
		int changes = round % 7;

		memcpy(r, from, sizeof(*r) + len);
		r->len = len;
		while (len && changes--)
			r->data[(uint32_t)rand_r(&seed) % len] = (uint8_t)rand_r(&seed);
		track_datagram(&track, r, now);
		free(r);
	}
	while (n)
		free(messages[--n]);
	assert_true(track.counters.track_malformed > 1000);
	assert_true(track.counters.track_messages > 1000);
	assert_true(table.used <= table.max);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(call_through_a_real_b2bua_is_two_paired_dialogs),
	        T(bye_ends_both_legs_of_the_recorded_call),
	        T(headers_are_kept_as_they_came),
	        T(compact_and_folded_headers_are_understood),
	        T(sdp_is_found_inside_a_multipart_body),
	        T(bad_header_that_nobody_needs_does_not_lose_the_dialog),
	        T(keepalives_are_no_malformed_messages),
	        T(what_is_not_sip_is_counted),
	        T(any_damage_to_recorded_messages_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
