/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The little SDP that a rescue reads and rewrites. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sdp.h"

#define OFFER                                                                                                \
	"v=0\r\no=- 1305 77 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"                      \
	"m=audio 4000/2 RTP/AVP 0 8 101\r\na=sendonly\r\n"                                                   \
	"m=video 0 RTP/SAVP 96\r\nc=IN IP4 192.0.2.2\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x\r\n"

static void parses_origin_and_media(void **state)
{
	struct sdp sdp;

	assert_int_equal(sdp_parse(OFFER, strlen(OFFER), &sdp), 0);
	assert_int_equal(sdp.version, 77);
	assert_int_equal(sdp.session_id.len, 4);
	assert_memory_equal(sdp.session_id.at, "1305", 4);
	assert_int_equal(sdp.n_media, 2);
	assert_string_equal(sdp.media[0].kind, "audio");
	assert_int_equal(sdp.media[0].port, 4000);
	assert_string_equal(sdp.media[0].proto, "RTP/AVP");
	assert_string_equal(sdp.media[0].formats, "0 8 101");
	assert_string_equal(sdp.media[0].address, "192.0.2.1");
	assert_int_equal(sdp.media[0].direction, SDP_SENDONLY);
	assert_false(sdp.media[0].crypto);
	assert_int_equal(sdp.media[1].port, 0);
	assert_string_equal(sdp.media[1].address, "192.0.2.2");
	assert_int_equal(sdp.media[1].direction, SDP_SENDRECV);
	assert_true(sdp.media[1].crypto);
}

static void origin_alone_reads_the_same(void **state)
{
	struct sdp whole, origin;

	assert_int_equal(sdp_parse(OFFER, strlen(OFFER), &whole), 0);
	assert_int_equal(sdp_parse_origin(OFFER, strlen(OFFER), &origin), 0);
	assert_int_equal(origin.version, whole.version);
	assert_int_equal(origin.origin.len, whole.origin.len);
	assert_memory_equal(origin.session_id.at, whole.session_id.at, whole.session_id.len);
	assert_int_equal(origin.n_media, 0);
	assert_int_equal(sdp_parse_origin("v=0\r\n", 5, &origin), -EINVAL);
}

static void session_attributes_hold_for_each_media(void **state)
{
	const char *text =
	        "v=0\no=a 1 1 IN IP4 h\na=inactive\na=fingerprint:sha-256 AA\nm=audio 9 UDP/TLS/RTP/SAVP 0\n";
	struct sdp sdp;

	assert_int_equal(sdp_parse(text, strlen(text), &sdp), 0);
	assert_int_equal(sdp.media[0].direction, SDP_INACTIVE);
	assert_true(sdp.media[0].fingerprint);
}

static void bad_origin_is_refused(void **state)
{
	static const char *const bad[] = {
	        "",
	        "v=0\r\n",
	        "o=\r\n",
	        "o=- 1 2 IN IP4\r\n",
	        "o=- 1 x IN IP4 h\r\n",
	        "o=- 1 99999999999999999999 IN IP4 h",
	        "o=- 1 18446744073709551615 IN IP4 h",
	        "o=- 1  IN IP4 h",
	};
	struct sdp sdp;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(sdp_parse(bad[i], strlen(bad[i]), &sdp), -EINVAL);
}

static void next_version_keeps_the_origin_known_to_the_far_end(void **state)
{
	const char *before = "v=0\r\no=srv 9 41 IN IP4 198.51.100.1\r\nm=audio 1 RTP/AVP 0\r\n";
	const char *want = "v=0\r\no=srv 9 42 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\n";
	char buf[1024];
	int len = sdp_continue(OFFER, strlen(OFFER), before, strlen(before), buf, sizeof(buf));

	assert_true(len > 0);
	assert_memory_equal(buf, want, strlen(want));
	assert_memory_equal(buf + len - 20, OFFER + strlen(OFFER) - 20, 20);
}

static void media_lines_are_never_taken_away(void **state)
{
	const char *text = "v=0\r\no=x 5 5 IN IP4 h\r\nm=audio 1 RTP/AVP 0";
	const char *want =
	        "v=0\r\no=- 1305 78 IN IP4 192.0.2.1\r\nm=audio 1 RTP/AVP 0\r\nm=video 0 RTP/SAVP 96\r\n";
	char buf[1024];
	int len = sdp_continue(text, strlen(text), OFFER, strlen(OFFER), buf, sizeof(buf));

	assert_int_equal(len, strlen(want));
	assert_memory_equal(buf, want, strlen(want));
}

static void first_sdp_of_a_session_is_copied(void **state)
{
	char buf[1024];

	assert_int_equal(sdp_continue(OFFER, strlen(OFFER), "", 0, buf, sizeof(buf)), strlen(OFFER));
	assert_memory_equal(buf, OFFER, strlen(OFFER));
}

static void answer_is_cut_to_the_media_of_its_offer(void **state)
{
	char buf[1024];
	int len = sdp_cut_media(OFFER, strlen(OFFER), 1, buf, sizeof(buf));

	assert_int_equal(len, strstr(OFFER, "m=video") - OFFER);
	assert_memory_equal(buf, OFFER, (size_t)len);
	assert_int_equal(sdp_cut_media(OFFER, strlen(OFFER), 5, buf, sizeof(buf)), strlen(OFFER));
}

static void too_small_buffer_is_an_error(void **state)
{
	char buf[40];

	assert_int_equal(sdp_continue(OFFER, strlen(OFFER), OFFER, strlen(OFFER), buf, sizeof(buf)), -ENOSPC);
	assert_int_equal(sdp_cut_media(OFFER, strlen(OFFER), 2, buf, sizeof(buf)), -ENOSPC);
}

/* Exact-size copies, so that a sanitizer sees one byte too far. */
static void any_cut_and_any_changed_byte_is_survived(void **state)
{
	unsigned int seed = 1;
	size_t len = strlen(OFFER), i;
	int round, parsed = 0;

	for (round = 0; round < 20000; round++) {
		size_t n = (size_t)(rand_r(&seed) % (int)(len + 1));
		char *copy = malloc(n ? n : 1), out[2048];
		struct sdp sdp;

		memcpy(copy, OFFER, n);
		for (i = 0; n && i < (size_t)(round % 4); i++)
			copy[rand_r(&seed) % (int)n] = (char)rand_r(&seed);
		parsed += !sdp_parse(copy, n, &sdp);
		sdp_parse_origin(copy, n, &sdp);
		sdp_continue(copy, n, OFFER, len, out, sizeof(out));
		sdp_continue(OFFER, len, copy, n, out, sizeof(out));
		sdp_cut_media(copy, n, 1, out, sizeof(out));
		free(copy);
	}
	assert_true(parsed > 100);
}

/* --- as phones and servers say it --------------------------------------------- */

/* baresip 1.1 */
#define BARESIP                                                                                              \
	"v=0\r\no=- 3914256100 1 IN IP4 10.0.0.11\r\ns=-\r\nc=IN IP4 10.0.0.11\r\nt=0 0\r\n"                 \
	"a=tool:baresip 1.1.0\r\nm=audio 19302 RTP/AVP 0 8 101\r\nb=AS:125\r\na=rtpmap:0 PCMU/8000\r\n"      \
	"a=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=rtcp:19303\r\n"   \
	"a=sendrecv\r\na=label:1\r\na=ptime:20\r\n"
/* FreeSWITCH 1.10 */
#define FREESWITCH                                                                                           \
	"v=0\r\no=FreeSWITCH 1700000001 1700000002 IN IP4 192.0.2.100\r\ns=FreeSWITCH\r\n"                   \
	"c=IN IP4 192.0.2.100\r\nt=0 0\r\nm=audio 21034 RTP/AVP 8 101\r\na=rtpmap:8 PCMA/8000\r\n"           \
	"a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\n"
/* Linphone: IPv6, no c= in the session, video, best-effort keys */
#define LINPHONE                                                                                             \
	"v=0\r\no=bob 2890 2891 IN IP6 2001:db8::2\r\ns=Talk\r\nt=0 0\r\na=rtcp-xr:rcvr-rtt=all:10000\r\n"   \
	"m=audio 7078 RTP/AVPF 96 97 0 101\r\nc=IN IP6 2001:db8::2\r\na=rtpmap:96 opus/48000/2\r\n"          \
	"a=rtpmap:97 speex/16000/1\r\na=rtpmap:101 telephone-event/48000\r\n"                                \
	"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:abc\r\nm=video 9078 RTP/AVPF 96\r\n"                      \
	"c=IN IP6 2001:db8::2\r\na=rtpmap:96 VP8/90000\r\na=rtcp-fb:* trr-int 5000\r\n"
/* a browser */
#define BROWSER                                                                                              \
	"v=0\r\no=- 46117 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n"                        \
	"m=audio 9 UDP/TLS/RTP/SAVPF 111 0\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\n"               \
	"a=candidate:1 1 udp 2122 10.1.1.1 5000 typ host\r\na=ice-ufrag:x\r\na=ice-pwd:y\r\n"                \
	"a=end-of-candidates\r\na=remote-candidates:1 192.0.2.3 45664\r\na=fingerprint:sha-256 AA:BB\r\n"    \
	"a=mid:0\r\na=sendrecv\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\n"

static void rtcp_goes_where_the_attribute_says_or_one_port_up(void **state)
{
	const char *text = "o=- 1 1 IN IP4 h\nm=audio 4000 RTP/AVP 0\na=rtcp:53020 IN IP4 126.16.64.4\n"
	                   "m=audio 65535 RTP/AVP 0\nm=audio 0 RTP/AVP 0\nm=audio 6 RTP/AVP 0\na=rtcp:x\n";
	struct sdp sdp;

	assert_int_equal(sdp_parse(BARESIP, strlen(BARESIP), &sdp), 0);
	assert_int_equal(sdp.media[0].rtcp_port, 19303);
	assert_string_equal(sdp.media[0].rtcp_address, "");
	assert_false(sdp.media[0].rtcp_mux);
	assert_int_equal(sdp_parse(FREESWITCH, strlen(FREESWITCH), &sdp), 0);
	assert_int_equal(sdp.media[0].rtcp_port, 21035);
	assert_int_equal(sdp_parse(BROWSER, strlen(BROWSER), &sdp), 0);
	assert_true(sdp.media[0].rtcp_mux);
	assert_true(sdp.media[0].fingerprint);
	assert_int_equal(sdp_parse(text, strlen(text), &sdp), 0);
	assert_int_equal(sdp.media[0].rtcp_port, 53020);
	assert_string_equal(sdp.media[0].rtcp_address, "126.16.64.4");
	assert_int_equal(sdp.media[1].rtcp_port, 0);
	assert_int_equal(sdp.media[2].rtcp_port, 0);
	assert_int_equal(sdp.media[3].rtcp_port, 7);
}

static void assert_codec(const char *text, uint32_t line, uint8_t payload_type, const char *want)
{
	char got[32] = "none";

	if (sdp_codec(text, strlen(text), line, payload_type, got, sizeof(got)))
		assert_string_equal(want, "none");
	assert_string_equal(got, want);
}

static void codecs_are_known_by_name(void **state)
{
	assert_codec(BARESIP, 0, 0, "pcmu/8000");
	assert_codec(BARESIP, 0, 101, "telephone-event/8000");
	assert_codec(BARESIP, 0, 18, "g729/8000");
	assert_codec(BARESIP, 0, 96, "none");
	assert_codec(BARESIP, 1, 0, "none");
	assert_codec(LINPHONE, 0, 96, "opus/48000/2");
	assert_codec(LINPHONE, 0, 97, "speex/16000");
	assert_codec(LINPHONE, 0, 0, "pcmu/8000");
	assert_codec(LINPHONE, 1, 96, "vp8/90000");
	assert_codec("o=- 1 1 IN IP4 h\nm=audio 1 RTP/AVP 0\na=rtpmap:0 G729/8000", 0, 0, "g729/8000");
	assert_codec("m=audio 1 RTP/AVP 96\na=rtpmap:96\na=rtpmap:\na=rtpmap:x y\na=rtpmap:96 ", 0, 96,
	             "none");
}

static void codec_longer_than_its_room_is_not_cut(void **state)
{
	char got[8];

	assert_int_equal(sdp_codec(BARESIP, strlen(BARESIP), 0, 101, got, sizeof(got)), -ENOENT);
	assert_int_equal(sdp_codec(BARESIP, strlen(BARESIP), 0, 0, got, sizeof(got)), -ENOENT);
}

static void assert_relayed(const char *text, const char *before, const char *address, const uint16_t *port,
                           uint32_t n, bool keep_crypto, const char *want)
{
	char buf[4096];
	int len = sdp_relay(text, strlen(text), before, strlen(before), address, port, n, keep_crypto, buf,
	                    sizeof(buf) - 1);

	assert_true(len > 0);
	buf[len] = '\0';
	assert_string_equal(buf, want);
}

static void relayed_offer_has_the_vip_and_goes_on_in_the_known_session(void **state)
{
	const uint16_t port[] = {30000};

	assert_relayed(
	        BARESIP, FREESWITCH, "192.0.2.100", port, 1, false,
	        "v=0\r\no=FreeSWITCH 1700000001 1700000003 IN IP4 192.0.2.100\r\ns=-\r\n"
	        "c=IN IP4 192.0.2.100\r\nt=0 0\r\na=tool:baresip 1.1.0\r\nm=audio 30000 RTP/AVP 0 8 101\r\n"
	        "b=AS:125\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n"
	        "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=sendrecv\r\na=label:1\r\n"
	        "a=ptime:20\r\n");
}

static void rtcp_port_that_the_phone_was_told_stays(void **state)
{
	const uint16_t port[] = {30000};

	assert_relayed(
	        "o=- 1 1 IN IP4 a\nc=IN IP4 a\nm=audio 4 RTP/AVP 0",
	        "o=s 7 8 IN IP4 v\r\nm=audio 30000 RTP/AVP 0\r\na=rtcp:31000\r\n", "192.0.2.1", port, 1,
	        false,
	        "o=s 7 9 IN IP4 v\r\nc=IN IP4 192.0.2.1\r\nm=audio 30000 RTP/AVP 0\r\na=rtcp:31000\r\n");
}

static void each_media_line_gets_its_own_port_and_address(void **state)
{
	const uint16_t port[] = {30000, 30002};

	assert_relayed(
	        LINPHONE, "", "2001:db8::100", port, 2, true,
	        "v=0\r\no=bob 2890 2891 IN IP6 2001:db8::2\r\ns=Talk\r\nt=0 0\r\n"
	        "a=rtcp-xr:rcvr-rtt=all:10000\r\nm=audio 30000 RTP/AVPF 96 97 0 101\r\n"
	        "c=IN IP6 2001:db8::100\r\na=rtpmap:96 opus/48000/2\r\na=rtpmap:97 speex/16000/1\r\n"
	        "a=rtpmap:101 telephone-event/48000\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:abc\r\n"
	        "m=video 30002 RTP/AVPF 96\r\nc=IN IP6 2001:db8::100\r\na=rtpmap:96 VP8/90000\r\n"
	        "a=rtcp-fb:* trr-int 5000\r\n");
}

static void lines_beyond_the_ports_are_refused_and_keys_left_out(void **state)
{
	const uint16_t port[] = {30000};
	char buf[4096];
	int len = sdp_relay(LINPHONE, strlen(LINPHONE), "", 0, "192.0.2.1", port, 1, false, buf,
	                    sizeof(buf) - 1);

	assert_true(len > 0);
	buf[len] = '\0';
	assert_non_null(strstr(buf, "m=audio 30000 RTP/AVPF"));
	assert_non_null(strstr(buf, "m=video 0 RTP/AVPF 96\r\n"));
	assert_null(strstr(buf, "a=crypto"));
	assert_null(strstr(buf, "IP6 2001:db8::2\r\na=rtpmap"));
	assert_non_null(strstr(buf, "c=IN IP4 192.0.2.1\r\n"));
}

static void what_holds_between_other_addresses_is_left_out(void **state)
{
	const uint16_t port[] = {30000};

	assert_relayed(BROWSER, "", "192.0.2.1", port, 1, false,
	               "v=0\r\no=- 46117 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n"
	               "m=audio 30000 UDP/TLS/RTP/SAVPF 111 0\r\nc=IN IP4 0.0.0.0\r\n"
	               "a=fingerprint:sha-256 AA:BB\r\na=mid:0\r\na=sendrecv\r\na=rtcp-mux\r\na=rtpmap:111 "
	               "opus/48000/2\r\n");
}

static void missing_addresses_and_line_ends_are_made_good(void **state)
{
	const uint16_t port[] = {30000, 30002};

	assert_relayed(
	        "o=- 1 1 IN IP4 a\ns=-\nm=audio 4/2 RTP/AVP 0\ni=words\na=ptime:20\n\nm=video 0 RTP/AVP 96",
	        "", "192.0.2.1", port, 2, false,
	        "o=- 1 1 IN IP4 a\r\ns=-\r\nm=audio 30000 RTP/AVP 0\r\ni=words\r\nc=IN IP4 192.0.2.1\r\n"
	        "a=ptime:20\r\nm=video 0 RTP/AVP 96\r\nc=IN IP4 192.0.2.1\r\n");
}

static void hold_by_address_is_passed_on(void **state)
{
	const uint16_t port[] = {30000, 30002};

	assert_relayed("o=- 1 1 IN IP4 a\nc=IN IP4 0.0.0.0\nm=audio 4 RTP/AVP 0\n"
	               "m=video 6 RTP/AVP 96\nc=IN IP4 10.0.0.1\n",
	               "", "192.0.2.1", port, 2, false,
	               "o=- 1 1 IN IP4 a\r\nc=IN IP4 0.0.0.0\r\nm=audio 30000 RTP/AVP 0\r\n"
	               "m=video 30002 RTP/AVP 96\r\nc=IN IP4 192.0.2.1\r\n");
}

static void relayed_answer_keeps_all_lines_that_were_offered(void **state)
{
	const uint16_t port[] = {30000};

	assert_relayed("o=- 1 1 IN IP4 a\nc=IN IP4 a\nm=audio 4 RTP/AVP 0\n", OFFER, "192.0.2.9", port, 1,
	               false,
	               "o=- 1305 78 IN IP4 192.0.2.1\r\nc=IN IP4 192.0.2.9\r\nm=audio 30000 RTP/AVP 0\r\n"
	               "m=video 0 RTP/SAVP 96\r\n");
}

static void ten_media_lines_are_all_answered(void **state)
{
	const uint16_t port[12] = {1000, 1002, 1004, 1006, 1008, 1010, 1012, 1014, 1016, 1018, 1020, 1022};
	char text[1024] = "o=- 1 1 IN IP4 a\r\nc=IN IP4 a\r\n", buf[2048];
	int i, len, open = 0, lines = 0;
	const char *p;

	for (i = 0; i < 10; i++)
		strcat(text, "m=audio 4000 RTP/AVP 0\r\n");
	len = sdp_relay(text, strlen(text), "", 0, "192.0.2.1", port, 12, false, buf, sizeof(buf) - 1);
	assert_true(len > 0);
	buf[len] = '\0';
	for (p = buf; (p = strstr(p, "m=audio ")); p++, lines++)
		open += strncmp(p, "m=audio 0 ", 10) != 0;
	assert_int_equal(lines, 10);
	assert_int_equal(open, SDP_MEDIA);
}

static void relay_of_no_session_is_an_error(void **state)
{
	const uint16_t port[] = {1};
	char buf[64];

	assert_int_equal(sdp_relay("", 0, "", 0, "192.0.2.1", port, 1, false, buf, sizeof(buf)), -EINVAL);
	assert_int_equal(
	        sdp_relay(OFFER, strlen(OFFER), "", 0, "192.0.2.1", port, 1, false, buf, sizeof(buf)),
	        -ENOSPC);
}

/* Exact-size copies, so that a sanitizer sees one byte too far. */
static void any_cut_or_changed_real_session_is_survived(void **state)
{
	static const char *const texts[] = {BARESIP, FREESWITCH, LINPHONE, BROWSER};
	const uint16_t port[] = {30000, 30002};
	unsigned int seed = 2;
	int round, relayed = 0;

	for (round = 0; round < 20000; round++) {
		const char *text = texts[round % 4];
		size_t len = strlen(text), n = len - (size_t)(rand_r(&seed) % (int)(len / 2 + 1)), i;
		char *copy = malloc(n), out[2048], codec[16];

		memcpy(copy, text, n);
		for (i = 0; i < (size_t)(round % 5); i++)
			copy[rand_r(&seed) % (int)n] = (char)rand_r(&seed);
		relayed += sdp_relay(copy, n, texts[rand_r(&seed) % 4], 120, "192.0.2.1", port, 2, round & 1,
		                     out, sizeof(out)) > 0;
		sdp_relay(text, len, copy, n, "192.0.2.1", port, 2, round & 1, out, sizeof(out));
		sdp_codec(copy, n, (uint32_t)(round % 3), (uint8_t)(rand_r(&seed) % 128), codec,
		          sizeof(codec));
		free(copy);
	}
	assert_true(relayed > 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(parses_origin_and_media),
	        cmocka_unit_test(origin_alone_reads_the_same),
	        cmocka_unit_test(session_attributes_hold_for_each_media),
	        cmocka_unit_test(bad_origin_is_refused),
	        cmocka_unit_test(next_version_keeps_the_origin_known_to_the_far_end),
	        cmocka_unit_test(media_lines_are_never_taken_away),
	        cmocka_unit_test(first_sdp_of_a_session_is_copied),
	        cmocka_unit_test(answer_is_cut_to_the_media_of_its_offer),
	        cmocka_unit_test(too_small_buffer_is_an_error),
	        cmocka_unit_test(any_cut_and_any_changed_byte_is_survived),
	        cmocka_unit_test(rtcp_goes_where_the_attribute_says_or_one_port_up),
	        cmocka_unit_test(codecs_are_known_by_name),
	        cmocka_unit_test(codec_longer_than_its_room_is_not_cut),
	        cmocka_unit_test(relayed_offer_has_the_vip_and_goes_on_in_the_known_session),
	        cmocka_unit_test(rtcp_port_that_the_phone_was_told_stays),
	        cmocka_unit_test(each_media_line_gets_its_own_port_and_address),
	        cmocka_unit_test(lines_beyond_the_ports_are_refused_and_keys_left_out),
	        cmocka_unit_test(what_holds_between_other_addresses_is_left_out),
	        cmocka_unit_test(missing_addresses_and_line_ends_are_made_good),
	        cmocka_unit_test(hold_by_address_is_passed_on),
	        cmocka_unit_test(relayed_answer_keeps_all_lines_that_were_offered),
	        cmocka_unit_test(ten_media_lines_are_all_answered),
	        cmocka_unit_test(relay_of_no_session_is_an_error),
	        cmocka_unit_test(any_cut_or_changed_real_session_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
