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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
