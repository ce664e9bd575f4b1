/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What nobody sends in earnest: RFC 4475's and RFC 5118's messages, and lengths beyond all sense. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../user/calls/track.h"
#include "media_plan.h"
#include "sip_script.h"

#define START_NS 1000000000000ULL
#define WIRE_MAX 65507 /* of a UDP datagram over IPv4 */

static struct dialog_table table;
static struct track track;

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
	struct dialog *d = track_datagram(&track, r, mono_ns(2 * (int64_t)START_NS));

	free(r);
	return d;
}

/* --- the RFCs' messages --------------------------------------------------------------- */

struct wire {
	char bytes[WIRE_MAX];
	size_t len;
};

static void put(struct wire *w, const char *text, size_t len)
{
	assert_true(w->len + len <= sizeof(w->bytes));
	memcpy(w->bytes + w->len, text, len);
	w->len += len;
}

/* RFC 4475 section 2: <hex> gives bytes, <repeat count=N> says a text N times. Never across lines. */
static const char *put_marked(struct wire *w, const char *at)
{
	unsigned int count, byte;
	const char *text, *end;

	if (!strncmp(at, "<hex>", 5)) {
		for (at += 5; sscanf(at, "%2x", &byte) == 1 && *at != '<'; at += 2)
			put(w, &(char){(char)byte}, 1);
		return at + strlen("</hex>");
	}
	if (sscanf(at, "<repeat count=%u>", &count) == 1) {
		text = strchr(at, '>') + 1;
		end = strstr(text, "</repeat>");
		assert_non_null(end);
		while (count--)
			put(w, text, (size_t)(end - text));
		return end + strlen("</repeat>");
	}
	put(w, at, 1);
	return at + 1;
}

static void put_line(struct wire *w, char *line)
{
	line[strcspn(line, "\n")] = '\0';
	for (const char *at = line; *at;)
		at = put_marked(w, at);
	put(w, "\r\n", 2);
}

/* What became of a datagram, in the words of the files. Exactly one counter has to know of it. */
static const char *fate(const struct track_counters *was, const struct dialog_counters *dialogs_were,
                        uint32_t used_was)
{
	const struct track_counters *c = &track.counters;

	if (c->track_messages + c->track_malformed != was->track_messages + was->track_malformed + 1)
		return "not counted";
	if (c->track_malformed > was->track_malformed)
		return table.used == used_was ? "malformed" : "malformed, and a dialog";
	if (table.used > used_was)
		return "dialog";
	if (table.counters.dialog_key_too_long > dialogs_were->dialog_key_too_long)
		return "too-long";
	return table.counters.dialog_unknown > dialogs_were->dialog_unknown ? "unknown" : "message";
}

static void judge(const char *name, const char *expected, struct wire *w)
{
	struct track_counters was = track.counters;
	struct dialog_counters dialogs_were = table.counters;
	uint32_t used = table.used;
	struct dialog *d;

	say_bytes(w->bytes, w->len, false);
	if (strcmp(fate(&was, &dialogs_were, used), expected))
		fail_msg("%s: expected %s, but: %s", name, expected, fate(&was, &dialogs_were, used));
	/* what is in the table is sane: it has a key, and its media can be planned */
	for (d = dialog_next(&table, NULL); d; d = dialog_next(&table, d)) {
		struct inaddr16 vip = {.b = {[10] = 0xff, [11] = 0xff, 192, 0, 2, 100}};
		struct media_plan plan;

		assert_true(d->call_id[0] && (d->local_tag[0] || d->remote_tag[0]));
		assert_true(strlen(d->call_id) < DIALOG_CALL_ID_LEN);
		media_plan(d, NULL, &vip, false, &plan);
	}
	dialog_table_clear(&table, 255);
}

static unsigned int play(const char *path)
{
	static struct wire w;
	char line[4096], name[64] = "", expected[32] = "";
	FILE *f = fopen(path, "r");
	unsigned int n = 0;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (line[0] == '#' && !name[0])
			continue;
		if (!strncmp(line, "@ ", 2)) {
			if (name[0])
				judge(name, expected, &w);
			assert_int_equal(sscanf(line, "@ %63s %31s", name, expected), 2);
			w.len = 0;
			n++;
		} else {
			put_line(&w, line);
		}
	}
	fclose(f);
	judge(name, expected, &w);
	return n;
}

static void rfc4475_leads_to_a_counter_or_a_sane_dialog(void **state)
{
	assert_int_equal(play("tests/unit/data/torture/rfc4475.txt"), 49);
	assert_true(track.counters.track_messages >= 20);
	assert_true(track.counters.track_malformed >= 1);
}

static void rfc5118_leads_to_a_counter_or_a_sane_dialog(void **state)
{
	assert_int_equal(play("tests/unit/data/torture/rfc5118.txt"), 11);
	assert_true(track.counters.track_messages >= 8);
}

/* Each of them cut at every byte. */
static void torture_cut_short_is_survived(void **state)
{
	static struct wire w;
	char line[4096];
	FILE *f = fopen("tests/unit/data/torture/rfc4475.txt", "r");
	uint64_t said = 0;

	assert_non_null(f);
	w.len = 0;
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, "@ ", 2)) {
			if (line[0] != '#')
				put_line(&w, line);
			continue;
		}
		for (size_t len = 1; len < w.len; len += 7, said++) {
			say_bytes(w.bytes, len, said % 2);
			dialog_table_clear(&table, 255);
		}
		w.len = 0;
	}
	fclose(f);
	assert_int_equal(track.counters.track_messages + track.counters.track_malformed +
	                         track.counters.track_keepalives,
	                 said);
}

/* --- lengths ----------------------------------------------------------------------------- */

static struct wire w;

static void say_text(const char *format, ...)
{
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(w.bytes + w.len, sizeof(w.bytes) - w.len, format, ap);
	va_end(ap);
	assert_true(n >= 0 && (size_t)n < sizeof(w.bytes) - w.len);
	w.len += (size_t)n;
}

static void begin(const char *call_id)
{
	w.len = 0;
	say_text("INVITE sip:bob@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.7:5062;branch=z9hG4bK1\r\n"
	         "From: <sip:ann@a.example>;tag=far\r\nTo: <sip:bob@b.example>\r\nCall-ID: %s\r\n"
	         "CSeq: 7 INVITE\r\nContact: <sip:ann@192.0.2.7:5062>\r\n",
	         call_id);
}

static struct dialog *sent(const char *body)
{
	say_text("Content-Length: %zu\r\n%s\r\n%s", strlen(body),
	         body[0] ? "Content-Type: application/sdp\r\n" : "", body);
	return say_bytes(w.bytes, w.len, false);
}

static void call_id_of_one_character_is_as_good_as_any(void **state)
{
	struct dialog *d;

	begin("x");
	d = sent("");
	assert_non_null(d);
	assert_string_equal(d->call_id, "x");
}

static void call_id_of_a_thousand_characters_is_counted_and_not_kept(void **state)
{
	char call_id[1001];

	memset(call_id, 'c', sizeof(call_id) - 1);
	call_id[1000] = '\0';
	begin(call_id);
	assert_null(sent(""));
	assert_int_equal(table.counters.dialog_key_too_long, 1);
	assert_int_equal(track.counters.track_messages, 1);
	assert_int_equal(table.used, 0);
}

static void tag_of_255_characters_is_kept_and_a_longer_one_counted(void **state)
{
	struct dialog *d;

	for (int len = DIALOG_TAG_LEN - 1; len <= DIALOG_TAG_LEN; len++) {
		w.len = 0;
		say_text(
		        "INVITE sip:bob@192.0.2.1 SIP/2.0\r\n"
		        "Via: SIP/2.0/UDP 192.0.2.7:5062;branch=z9hG4bK1\r\n"
		        "From: <sip:ann@a.example>;tag=%0*d\r\nTo: <sip:bob@b.example>\r\nCall-ID: tag-%d\r\n"
		        "CSeq: 7 INVITE\r\nContact: <sip:ann@192.0.2.7:5062>\r\n",
		        len, 7, len);
		d = sent("");
		assert_int_equal(d ? strlen(d->remote_tag) : 0, len < DIALOG_TAG_LEN ? len : 0);
	}
	assert_int_equal(table.counters.dialog_key_too_long, 1);
}

static void thousands_of_vias_are_read_past(void **state)
{
	begin("vias");
	for (int i = 0; i < 1200; i++)
		say_text("v: SIP/2.0/UDP h%d.example;branch=z9hG4bK%d\r\n", i, i);
	assert_non_null(sent(""));
	/* longer than what is kept for a caller that still rings */
	assert_true(dialog_next(&table, NULL)->flags & DIALOG_NO_INVITE);
}

static void thousands_of_record_routes_mark_only_this_dialog(void **state)
{
	struct dialog *d;

	begin("routes");
	for (int i = 0; i < 1500; i++)
		say_text("Record-Route: <sip:p%d.example;lr>\r\n", i);
	d = sent("");
	assert_non_null(d);
	assert_true(d->flags & DIALOG_TRUNCATED);
	assert_int_equal(table.counters.dialog_field_too_long, 1);
	begin("next");
	d = sent("");
	assert_non_null(d);
	assert_false(d->flags & DIALOG_TRUNCATED);
}

static void sdp_with_many_media_lines_is_planned_for_those_that_count(void **state)
{
	static char sdp[4000];
	const struct inaddr16 vip = {.b = {[10] = 0xff, [11] = 0xff, 192, 0, 2, 100}};
	struct media_plan plan;
	struct dialog *d;
	int n = snprintf(sdp, sizeof(sdp),
	                 "v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\n"
	                 "t=0 0\r\n");

	for (int i = 0; i < 120; i++)
		n += snprintf(sdp + n, sizeof(sdp) - (size_t)n, "m=audio %d RTP/AVP 0\r\n",
		              i % 3 ? 4000 + i : 0);
	begin("media");
	d = sent(sdp);
	assert_non_null(d);
	assert_int_equal(d->sdp_in_len, strlen(sdp));
	media_plan(d, NULL, &vip, false, &plan);
	assert_int_equal(plan.path, MEDIA_PATH_none);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(rfc4475_leads_to_a_counter_or_a_sane_dialog),
	        T(rfc5118_leads_to_a_counter_or_a_sane_dialog),
	        T(torture_cut_short_is_survived),
	        T(call_id_of_one_character_is_as_good_as_any),
	        T(call_id_of_a_thousand_characters_is_counted_and_not_kept),
	        T(tag_of_255_characters_is_kept_and_a_longer_one_counted),
	        T(thousands_of_vias_are_read_past),
	        T(thousands_of_record_routes_mark_only_this_dialog),
	        T(sdp_with_many_media_lines_is_planned_for_those_that_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
