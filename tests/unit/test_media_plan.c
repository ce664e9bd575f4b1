/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What becomes of a call's media, from its SDPs and what the kernel saw. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "addr.h"
#include "leg.h"
#include "media_plan.h"
#include "sdp.h"

#define VIP                "192.0.2.100"
#define O(host)            "v=0\r\no=- 1 1 IN IP4 " host "\r\ns=-\r\nc=IN IP4 " host "\r\nt=0 0\r\n"
#define AUDIO(port, types) "m=audio " port " RTP/AVP " types "\r\n"
#define TEL(type)          "a=rtpmap:" type " telephone-event/8000\r\n"

static struct dialog_table table;
static struct dialog *a, *b;
static struct inaddr16 vip;
static struct media_plan plan;

static int set_up(void **state)
{
	assert_int_equal(addr_parse(VIP, &vip), 0);
	return dialog_table_init(&table, 16, 1);
}

static int tear_down(void **state)
{
	dialog_table_done(&table);
	return 0;
}

/* A call through the server: phone A called it, it called phone B. */
static void call(const char *a_in, const char *a_out, const char *b_in, const char *b_out)
{
	const struct leg leg_a = {.table = &table, .call_id = "a", .sdp_in = a_in, .sdp_out = a_out};
	const struct leg leg_b = {
	        .table = &table, .call_id = "b", .out = true, .sdp_in = b_in, .sdp_out = b_out};

	leg_invite(&leg_a, 0);
	leg_invite(&leg_b, 1);
	b = leg_answer(&leg_b, 2);
	a = leg_answer(&leg_a, 3);
	assert_non_null(a);
	assert_non_null(b);
	dialog_set_paired(&table, a, b, PAIRED_HEADER);
	media_plan(a, b, &vip, false, &plan);
}

static void plain_call(void)
{
	call(O("10.0.0.1") AUDIO("4000", "0"), O(VIP) AUDIO("30000", "0"), O("10.0.0.2") AUDIO("5000", "0"),
	     O(VIP) AUDIO("30002", "0"));
}

static void assert_plan(enum media_path path, enum media_why why)
{
	assert_string_equal(media_path_name(plan.path), media_path_name(path));
	assert_string_equal(media_why_name(plan.why), media_why_name(why));
}

static void assert_place(const struct inaddr16 *addr, uint16_t port, const char *want, uint16_t want_port)
{
	char text[ADDR_TEXT_LEN];

	assert_string_equal(addr_format(addr, text), want);
	assert_int_equal(port, want_port);
}

static void assert_flow(const struct media_flow *flow, uint16_t vip_port, const char *remote, uint16_t port)
{
	assert_true(flow->used);
	assert_int_equal(flow->vip_port, vip_port);
	assert_place(&flow->remote, flow->remote_port, remote, port);
}

static void see(struct dialog *d, unsigned int stream, const char *from, uint16_t from_port, const char *to,
                uint16_t to_port)
{
	struct dialog_stream seen = {.from_port = from_port, .to_port = to_port, .mac = {2, 0, 0, 0, 0, 9}};

	if (from)
		addr_parse(from, &seen.from);
	if (to)
		addr_parse(to, &seen.to);
	dialog_set_stream(&table, d, stream, &seen);
	media_plan(a, b, &vip, false, &plan);
}

static void call_with_one_codec_is_relayed_between_the_vip_ports(void **state)
{
	static const struct flow_pt none[FLOW_PTS];

	plain_call();
	assert_plan(MEDIA_PATH_relay, MEDIA_WHY_fits);
	assert_flow(&plan.a[0], 30000, "10.0.0.1", 4000);
	assert_flow(&plan.a[1], 30001, "10.0.0.1", 4001);
	assert_flow(&plan.b[0], 30002, "10.0.0.2", 5000);
	assert_flow(&plan.b[1], 30003, "10.0.0.2", 5001);
	assert_false(plan.a[0].rtcp);
	assert_true(plan.a[1].rtcp);
	assert_false(plan.a[2].used);
	assert_int_equal(plan.a[0].source_port, 0);
	assert_memory_equal(plan.a[0].pt, none, sizeof(none));
}

static void what_the_kernel_saw_is_better_than_what_was_said(void **state)
{
	plain_call();
	see(a, 0, "203.0.113.7", 61000, "203.0.113.7", 61002);
	assert_flow(&plan.a[0], 30000, "203.0.113.7", 61002);
	assert_place(&plan.a[0].source, plan.a[0].source_port, "203.0.113.7", 61000);
	assert_int_equal(plan.a[0].mac[5], 9);
	assert_plan(MEDIA_PATH_relay, MEDIA_WHY_fits);
}

static void phone_that_was_only_heard_gets_its_media_where_it_sends_from(void **state)
{
	plain_call();
	see(b, 0, "203.0.113.8", 62000, NULL, 0);
	assert_flow(&plan.b[0], 30002, "203.0.113.8", 62000);
}

static void rtcp_of_a_phone_behind_nat_is_not_guessed(void **state)
{
	plain_call();
	see(a, 0, "203.0.113.7", 61000, "203.0.113.7", 61000);
	assert_true(plan.a[1].used);
	assert_int_equal(plan.a[1].remote_port, 0);
	see(a, 1, "203.0.113.7", 61005, NULL, 0);
	assert_flow(&plan.a[1], 30001, "203.0.113.7", 61005);
}

static void rtcp_goes_where_each_side_said(void **state)
{
	call(O("10.0.0.1") AUDIO("4000", "0") "a=rtcp:4500 IN IP4 10.0.0.9\r\n", O(VIP) AUDIO("30000", "0"),
	     O("10.0.0.2") AUDIO("5000", "0"), O(VIP) AUDIO("30002", "0") "a=rtcp:31002\r\n");
	assert_flow(&plan.a[1], 30001, "10.0.0.9", 4500);
	assert_flow(&plan.b[1], 31002, "10.0.0.2", 5001);
}

static void muxed_rtcp_has_no_flow_of_its_own(void **state)
{
	call(O("10.0.0.1") AUDIO("4000", "0") "a=rtcp-mux\r\n", O(VIP) AUDIO("30000", "0") "a=rtcp-mux\r\n",
	     O("10.0.0.2") AUDIO("5000", "0"), O(VIP) AUDIO("30002", "0") "a=rtcp-mux\r\n");
	assert_false(plan.a[1].used);
	assert_true(plan.b[1].used); /* offered to B, which did not take it */
}

static void payload_types_that_differ_are_mapped_each_way(void **state)
{
	call(O("10.0.0.1") AUDIO("4000", "111 0 101") "a=rtpmap:111 opus/48000/2\r\n" TEL("101"),
	     O(VIP) AUDIO("30000", "111 101") "a=rtpmap:111 opus/48000/2\r\n" TEL("101"),
	     O("10.0.0.2") AUDIO("5000", "96 97") "a=rtpmap:96 OPUS/48000/2\r\n" TEL("97"),
	     O(VIP) AUDIO("30002", "96 97") "a=rtpmap:96 opus/48000/2\r\n" TEL("97"));
	assert_plan(MEDIA_PATH_relay, MEDIA_WHY_fits);
	assert_int_equal(plan.a[0].pt[0].from, 111);
	assert_int_equal(plan.a[0].pt[0].to, 96);
	assert_int_equal(plan.a[0].pt[1].from, 101);
	assert_int_equal(plan.a[0].pt[1].to, 97);
	assert_int_equal(plan.a[0].pt[2].from, 0);
	assert_int_equal(plan.b[0].pt[0].from, 96);
	assert_int_equal(plan.b[0].pt[0].to, 111);
	assert_int_equal(plan.b[0].pt[1].from, 97);
	assert_int_equal(plan.b[0].pt[1].to, 101);
}

static void more_differing_types_than_fit_keep_the_one_in_use_and_the_tones(void **state)
{
#define MANY(n)                                                                                              \
	"a=rtpmap:" #n "1 c1/8000\r\na=rtpmap:" #n "2 c2/8000\r\na=rtpmap:" #n "3 c3/8000\r\na=rtpmap:" #n   \
	"4 c4/8000\r\na=rtpmap:" #n "5 c5/8000\r\n" TEL(#n "6")
	call(O("10.0.0.1") AUDIO("4000", "95 91 92 93 94 96") MANY(9),
	     O(VIP) AUDIO("30000", "95 91 92 93 94 96") MANY(9),
	     O("10.0.0.2") AUDIO("5000", "115 111 112 113 114 116") MANY(11),
	     O(VIP) AUDIO("30002", "115 111 112 113 114 116") MANY(11));
	assert_plan(MEDIA_PATH_relay, MEDIA_WHY_fits);
	assert_int_equal(plan.a[0].pt[0].from, 95);
	assert_int_equal(plan.a[0].pt[0].to, 115);
	assert_int_equal(plan.a[0].pt[1].from, 96);
	assert_int_equal(plan.a[0].pt[1].to, 116);
	assert_int_equal(plan.a[0].pt[3].from, 92);
}

static void transcoded_call_is_offered_anew_when_the_phones_share_a_codec(void **state)
{
	call(O("10.0.0.1") AUDIO("4000", "8 0"), O(VIP) AUDIO("30000", "8"), O("10.0.0.2") AUDIO("5000", "0"),
	     O(VIP) AUDIO("30002", "0"));
	assert_plan(MEDIA_PATH_direct, MEDIA_WHY_transcoded);
	assert_true(plan.a[0].used);
}

static void call_without_a_common_codec_cannot_go_on(void **state)
{
	call(O("10.0.0.1") AUDIO("4000", "8 101") TEL("101"), O(VIP) AUDIO("30000", "8 101") TEL("101"),
	     O("10.0.0.2") AUDIO("5000", "0 101") TEL("101"), O(VIP) AUDIO("30002", "0 101") TEL("101"));
	assert_plan(MEDIA_PATH_none, MEDIA_WHY_no_codec);
}

static void codec_that_the_other_phone_takes_as_well_is_not_transcoding(void **state)
{
	call(O("10.0.0.1") AUDIO("4000", "8 0"), O(VIP) AUDIO("30000", "8 0"),
	     O("10.0.0.2") AUDIO("5000", "0 8"), O(VIP) AUDIO("30002", "0 8"));
	assert_plan(MEDIA_PATH_relay, MEDIA_WHY_fits);
}

#define SECURE(port, key)                                                                                    \
	"m=audio " port " RTP/SAVP 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" key "|2^31\r\n"

static void sdes_calls_need_new_keys_first(void **state)
{
	call(O("10.0.0.1") SECURE("4000", "AAAA"), O(VIP) SECURE("30000", "SSSS"),
	     O("10.0.0.2") SECURE("5000", "BBBB"), O(VIP) SECURE("30002", "TTTT"));
	assert_plan(MEDIA_PATH_rekey, MEDIA_WHY_sdes);
	assert_true(plan.a[0].used);
}

static void sdes_keys_that_the_phones_have_of_each_other_are_relayed(void **state)
{
	call(O("10.0.0.1") SECURE("4000", "AAAA"), O(VIP) SECURE("30000", "BBBB"),
	     O("10.0.0.2") SECURE("5000", "BBBB"), O(VIP) SECURE("30002", "AAAA"));
	assert_plan(MEDIA_PATH_relay, MEDIA_WHY_fits);
}

static void dtls_calls_are_offered_anew_end_to_end(void **state)
{
#define DTLS(port, print) "m=audio " port " UDP/TLS/RTP/SAVP 0\r\na=fingerprint:sha-256 " print "\r\n"
	call(O("10.0.0.1") DTLS("4000", "AA"), O(VIP) DTLS("30000", "55"), O("10.0.0.2") DTLS("5000", "BB"),
	     O(VIP) DTLS("30002", "55"));
	assert_plan(MEDIA_PATH_direct, MEDIA_WHY_dtls);
}

static void legs_of_different_profiles_cannot_be_joined(void **state)
{
	call(O("10.0.0.1") SECURE("4000", "AAAA"), O(VIP) SECURE("30000", "SSSS"),
	     O("10.0.0.2") AUDIO("5000", "0"), O(VIP) AUDIO("30002", "0"));
	assert_plan(MEDIA_PATH_none, MEDIA_WHY_profile);
}

static void media_that_is_not_at_the_vip_is_none_of_ours(void **state)
{
	call(O("10.0.0.1") AUDIO("4000", "0"), O("10.0.0.2") AUDIO("5000", "0"),
	     O("10.0.0.2") AUDIO("5000", "0"), O("10.0.0.1") AUDIO("4000", "0"));
	assert_plan(MEDIA_PATH_bypass, MEDIA_WHY_not_vip);
	assert_false(plan.a[0].used);
}

static void one_leg_not_at_the_vip_is_said(void **state)
{
	call(O("10.0.0.1") AUDIO("4000", "0"), O(VIP) AUDIO("30000", "0"), O("10.0.0.2") AUDIO("5000", "0"),
	     O("198.51.100.1") AUDIO("30002", "0"));
	assert_plan(MEDIA_PATH_none, MEDIA_WHY_not_vip);
}

static void configured_direct_is_direct(void **state)
{
	plain_call();
	media_plan(a, b, &vip, true, &plan);
	assert_plan(MEDIA_PATH_direct, MEDIA_WHY_configured);
}

static void held_calls_are_planned_as_well(void **state)
{
	call(O("0.0.0.0") AUDIO("4000", "0"), O(VIP) AUDIO("30000", "0") "a=recvonly\r\n",
	     O("10.0.0.2") AUDIO("5000", "0") "a=recvonly\r\n", O("0.0.0.0") AUDIO("30002", "0"));
	assert_plan(MEDIA_PATH_relay, MEDIA_WHY_fits);
	assert_true(plan.a[0].used);
	assert_int_equal(plan.a[0].remote_port, 0);
	see(a, 0, "10.0.0.1", 4000, "10.0.0.1", 4000);
	assert_flow(&plan.a[0], 30000, "10.0.0.1", 4000);
	assert_flow(&plan.b[0], 30002, "10.0.0.2", 5000);
}

static void single_leg_has_its_ports_and_no_path(void **state)
{
	plain_call();
	media_plan(a, NULL, &vip, false, &plan);
	assert_int_equal(plan.path, MEDIA_PATH_none);
	assert_flow(&plan.a[0], 30000, "10.0.0.1", 4000);
	assert_false(plan.b[0].used);
}

static void half_open_leg_has_the_ports_that_the_server_offered(void **state)
{
	const struct leg leg = {
	        .table = &table, .call_id = "b", .out = true, .sdp_out = O(VIP) AUDIO("30002", "0")};
	struct dialog *d;

	leg_invite(&leg, 0);
	d = dialog_next(&table, NULL);
	assert_non_null(d);
	media_plan(d, NULL, &vip, false, &plan);
	assert_true(plan.a[0].used);
	assert_int_equal(plan.a[0].vip_port, 30002);
	assert_int_equal(plan.a[0].remote_port, 0);
}

static void leg_without_sdp_is_said(void **state)
{
	call(O("10.0.0.1") AUDIO("4000", "0"), O(VIP) AUDIO("30000", "0"), NULL, O(VIP) AUDIO("30002", "0"));
	assert_plan(MEDIA_PATH_none, MEDIA_WHY_no_sdp);
}

static void refused_media_is_said(void **state)
{
	call(O("10.0.0.1") AUDIO("4000", "0"), O(VIP) AUDIO("30000", "0"), O("10.0.0.2") AUDIO("0", "0"),
	     O(VIP) AUDIO("30002", "0"));
	assert_plan(MEDIA_PATH_none, MEDIA_WHY_no_port);
	assert_false(plan.b[0].used);
}

#define VIDEO(port) "m=video " port " RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n"

static void video_goes_along(void **state)
{
	call(O("10.0.0.1") AUDIO("4000", "0") VIDEO("4002"), O(VIP) AUDIO("30000", "0") VIDEO("30004"),
	     O("10.0.0.2") AUDIO("5000", "0") VIDEO("5002"), O(VIP) AUDIO("30002", "0") VIDEO("30006"));
	assert_plan(MEDIA_PATH_relay, MEDIA_WHY_fits);
	assert_flow(&plan.a[2], 30004, "10.0.0.1", 4002);
	assert_flow(&plan.b[3], 30007, "10.0.0.2", 5003);
}

static void video_on_one_leg_only_does_not_hinder_the_audio(void **state)
{
	call(O("10.0.0.1") AUDIO("4000", "0") VIDEO("4002"), O(VIP) AUDIO("30000", "0") VIDEO("0"),
	     O("10.0.0.2") AUDIO("5000", "0"), O(VIP) AUDIO("30002", "0"));
	assert_plan(MEDIA_PATH_relay, MEDIA_WHY_fits);
	assert_false(plan.a[2].used);
	assert_false(plan.b[2].used);
}

static void lines_of_different_kinds_are_not_joined(void **state)
{
	call(O("10.0.0.1") AUDIO("4000", "0") VIDEO("4002"), O(VIP) AUDIO("30000", "0") VIDEO("30004"),
	     O("10.0.0.2") AUDIO("5000", "0") AUDIO("5002", "0"),
	     O(VIP) AUDIO("30002", "0") AUDIO("30006", "0"));
	assert_plan(MEDIA_PATH_relay, MEDIA_WHY_fits);
	assert_false(plan.a[2].used);
	assert_false(plan.b[2].used);
}

/* Relayed is what goes the way of the first line; another line cannot go another way. */
static void video_that_cannot_go_the_way_of_the_audio_is_dropped(void **state)
{
#define H264(port) "m=video " port " RTP/AVP 97\r\na=rtpmap:97 H264/90000\r\n"
	call(O("10.0.0.1") AUDIO("4000", "0") VIDEO("4002"), O(VIP) AUDIO("30000", "0") VIDEO("30004"),
	     O("10.0.0.2") AUDIO("5000", "0") H264("5002"), O(VIP) AUDIO("30002", "0") H264("30006"));
	assert_plan(MEDIA_PATH_relay, MEDIA_WHY_fits);
	assert_true(plan.a[0].used);
	assert_false(plan.a[2].used);
	assert_false(plan.b[2].used);
}

static void garbage_in_place_of_sdp_is_survived(void **state)
{
	call("x", "m=\r\nm=audio\r\no=", "o=- 1 1 IN IP4 h\r\nm=audio 99999 RTP/AVP 0 1 2", "\r\n\r\n");
	assert_plan(MEDIA_PATH_none, MEDIA_WHY_no_sdp);
	dialog_table_clear(&table, 255);
	call("o=- 1 1 IN IP4 h\r\nm=audio 1 RTP/AVP 0", "o=- 1 1 IN IP4 h\r\nm=audio 1 RTP/AVP 0",
	     "o=- 1 1 IN IP4 h\r\nm=audio 1 RTP/AVP 0", "o=- 1 1 IN IP4 h\r\nm=audio 1 RTP/AVP 0");
	assert_plan(MEDIA_PATH_bypass, MEDIA_WHY_not_vip);
}

/* RFC 3264 section 6.1: the answer's order says which codec is in use, and the server answered A. */
static void codec_in_use_is_the_first_of_the_answer(void **state)
{
	call(O("10.0.0.1") AUDIO("4000", "8 0"), O(VIP) AUDIO("30000", "0 8"),
	     O("10.0.0.2") AUDIO("5000", "0"), O(VIP) AUDIO("30002", "0"));
	assert_plan(MEDIA_PATH_relay, MEDIA_WHY_fits);
}

/* A number that is cut off in the list may be another codec's: "80" is not "8". */
static void codec_at_the_end_of_a_list_that_was_cut_is_not_known(void **state)
{
	char types[SDP_FORMAT_LEN + 16] = "0 000", sdp[512];

	while (strlen(types) + strlen(" 99") < SDP_FORMAT_LEN - 2)
		strcat(types, " 99"); /* of no codec: nothing says which */
	strcat(types, " 80");
	assert_int_equal(types[SDP_FORMAT_LEN - 2], '8'); /* the last that is kept */
	snprintf(sdp, sizeof(sdp), "%sm=audio 4000 RTP/AVP %s\r\n", O("10.0.0.1"), types);
	call(sdp, O(VIP) AUDIO("30000", "0"), O("10.0.0.2") AUDIO("5000", "8"), O(VIP) AUDIO("30002", "8"));
	assert_plan(MEDIA_PATH_none, MEDIA_WHY_no_codec);
}

static void type_that_the_other_phone_has_too_is_left_alone(void **state)
{
#define TWICE "a=rtpmap:96 opus/48000/2\r\na=rtpmap:97 opus/48000/2\r\n"
	static const struct flow_pt none[FLOW_PTS];

	call(O("10.0.0.1") AUDIO("4000", "96 97") TWICE, O(VIP) AUDIO("30000", "96 97") TWICE,
	     O("10.0.0.2") AUDIO("5000", "96 97") TWICE, O(VIP) AUDIO("30002", "96 97") TWICE);
	assert_memory_equal(plan.a[0].pt, none, sizeof(none));
	assert_memory_equal(plan.b[0].pt, none, sizeof(none));
}

static void sdes_keys_that_only_one_phone_has_of_the_other_do_not_do(void **state)
{
	call(O("10.0.0.1") SECURE("4000", "AAAA"), O(VIP) SECURE("30000", "BBBB"),
	     O("10.0.0.2") SECURE("5000", "BBBB"), O(VIP) SECURE("30002", "TTTT"));
	assert_plan(MEDIA_PATH_rekey, MEDIA_WHY_sdes);
	dialog_table_clear(&table, 255);
	call(O("10.0.0.1") SECURE("4000", "AAAA"), O(VIP) SECURE("30000", "SSSS"),
	     O("10.0.0.2") SECURE("5000", "BBBB"), O(VIP) SECURE("30002", "AAAA"));
	assert_plan(MEDIA_PATH_rekey, MEDIA_WHY_sdes);
}

/* RFC 4568 section 6.1: lifetime and MKI come after the key. */
static void sdes_key_is_the_same_whatever_its_lifetime(void **state)
{
#define KEYED(port, key)                                                                                     \
	"m=audio " port " RTP/SAVP 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" key "\r\n"
	call(O("10.0.0.1") KEYED("4000", "AAAA|2^31"), O(VIP) KEYED("30000", "BBBB|2^20|1:4"),
	     O("10.0.0.2") KEYED("5000", "BBBB|2^31"), O(VIP) KEYED("30002", "AAAA|2^20"));
	assert_plan(MEDIA_PATH_relay, MEDIA_WHY_fits);
}

static void legs_of_unknown_profiles_are_joined_when_they_are_the_same(void **state)
{
#define BFCP(port) "m=application " port " UDP/BFCP *\r\n"
#define MSRP(port) "m=application " port " TCP/MSRP *\r\n"
	call(O("10.0.0.1") BFCP("4000"), O(VIP) BFCP("30000"), O("10.0.0.2") BFCP("5000"),
	     O(VIP) BFCP("30002"));
	assert_plan(MEDIA_PATH_relay, MEDIA_WHY_fits);
	dialog_table_clear(&table, 255);
	call(O("10.0.0.1") BFCP("4000"), O(VIP) BFCP("30000"), O("10.0.0.2") MSRP("5000"),
	     O(VIP) MSRP("30002"));
	assert_plan(MEDIA_PATH_none, MEDIA_WHY_profile);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	        T(call_with_one_codec_is_relayed_between_the_vip_ports),
	        T(what_the_kernel_saw_is_better_than_what_was_said),
	        T(phone_that_was_only_heard_gets_its_media_where_it_sends_from),
	        T(rtcp_of_a_phone_behind_nat_is_not_guessed),
	        T(rtcp_goes_where_each_side_said),
	        T(muxed_rtcp_has_no_flow_of_its_own),
	        T(payload_types_that_differ_are_mapped_each_way),
	        T(more_differing_types_than_fit_keep_the_one_in_use_and_the_tones),
	        T(transcoded_call_is_offered_anew_when_the_phones_share_a_codec),
	        T(call_without_a_common_codec_cannot_go_on),
	        T(codec_that_the_other_phone_takes_as_well_is_not_transcoding),
	        T(sdes_calls_need_new_keys_first),
	        T(sdes_keys_that_the_phones_have_of_each_other_are_relayed),
	        T(dtls_calls_are_offered_anew_end_to_end),
	        T(legs_of_different_profiles_cannot_be_joined),
	        T(media_that_is_not_at_the_vip_is_none_of_ours),
	        T(one_leg_not_at_the_vip_is_said),
	        T(configured_direct_is_direct),
	        T(held_calls_are_planned_as_well),
	        T(single_leg_has_its_ports_and_no_path),
	        T(half_open_leg_has_the_ports_that_the_server_offered),
	        T(leg_without_sdp_is_said),
	        T(refused_media_is_said),
	        T(video_goes_along),
	        T(video_on_one_leg_only_does_not_hinder_the_audio),
	        T(lines_of_different_kinds_are_not_joined),
	        T(garbage_in_place_of_sdp_is_survived),
	        T(codec_in_use_is_the_first_of_the_answer),
	        T(codec_at_the_end_of_a_list_that_was_cut_is_not_known),
	        T(type_that_the_other_phone_has_too_is_left_alone),
	        T(sdes_keys_that_only_one_phone_has_of_the_other_do_not_do),
	        T(sdes_key_is_the_same_whatever_its_lifetime),
	        T(legs_of_unknown_profiles_are_joined_when_they_are_the_same),
	        T(video_that_cannot_go_the_way_of_the_audio_is_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
