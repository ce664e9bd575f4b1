/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * SDP of the phones: two texts, `now` and what was said `before`, and in the first
 * byte how to relay. What is written reads again, has no address but the VIP's (or
 * the hold's 0.0.0.0) and no port but those given, its session goes on by one, and
 * nothing is written behind the buffer.
 */
#include "fuzz.h"

#include <errno.h>
#include <strings.h>

#include "sdp.h"

#define N_PORTS 4
/* The one after it does not read (RFC 3264 section 5 starts below 2^62, and each offer adds one). */
#define LAST_VERSION (UINT64_MAX - 1)

static const char *const vips[] = {"10.9.0.100", "2001:db8::100"};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	return 0;
}

static void check_span(const struct part *text, struct sdp_span span)
{
	const char *from = (const char *)text->at, *to = from + text->len;

	CHECK(!span.len || (span.at >= from && span.at + span.len <= to));
}

static bool parse(const struct part *text, struct sdp *ret)
{
	struct sdp origin;
	int rc = sdp_parse((const char *)text->at, text->len, ret);

	CHECK(rc == 0 || rc == -EINVAL);
	CHECK(sdp_parse_origin((const char *)text->at, text->len, &origin) == rc);
	if (rc)
		return false;
	CHECK(origin.version == ret->version && origin.origin.at == ret->origin.at);
	check_span(text, ret->origin);
	check_span(text, ret->username);
	check_span(text, ret->session_id);
	for (uint32_t i = 0; i < ret->n_media && i < SDP_MEDIA; i++) {
		CHECK(strnlen(ret->media[i].kind, sizeof(ret->media[i].kind)) < sizeof(ret->media[i].kind));
		CHECK(memchr(ret->media[i].proto, 0, SDP_TOKEN_LEN) &&
		      memchr(ret->media[i].formats, 0, SDP_FORMAT_LEN) &&
		      memchr(ret->media[i].address, 0, SDP_TOKEN_LEN) &&
		      memchr(ret->media[i].rtcp_address, 0, SDP_TOKEN_LEN));
		CHECK(ret->media[i].direction <= SDP_INACTIVE);
	}
	return true;
}

static void check_line(const char *line, size_t len, const char *vip, bool keep_crypto)
{
	char text[512];

	if (len >= sizeof(text))
		len = sizeof(text) - 1;
	memcpy(text, line, len);
	text[len] = '\0';
	if (!strncmp(text, "c=", 2)) {
		const char *address = strrchr(text, ' ');

		CHECK(strstr(text, "0.0.0.0") || (address && !strcmp(address + 1, vip)));
	}
	CHECK(strncmp(text, "a=candidate:", 12) && strncmp(text, "a=ice-", 6));
	CHECK(keep_crypto || strncmp(text, "a=crypto:", 9));
	CHECK(strncmp(text, "a=rtcp:", 7) || !strchr(text, ' '));
}

static void check_lines(const char *out, size_t len, const char *vip, bool keep_crypto)
{
	const char *end = out + len;

	while (out < end) {
		const char *eol = memchr(out, '\n', (size_t)(end - out));
		size_t n = (size_t)((eol ? eol : end) - out);

		if (n && out[n - 1] == '\r')
			n--;
		check_line(out, n, vip, keep_crypto);
		out = eol ? eol + 1 : end;
	}
}

/* The same with less room says so, and leaves what is behind the room alone. */
static void check_room(const struct part *now, const struct part *before, const char *vip,
                       const uint16_t *port, bool keep, int len)
{
	char *small = malloc((size_t)len);

	CHECK(small);
	CHECK(sdp_relay((const char *)now->at, now->len, (const char *)before->at, before->len, vip, port,
	                N_PORTS, keep, small, (size_t)len - 1) == -ENOSPC);
	CHECK(sdp_relay((const char *)now->at, now->len, (const char *)before->at, before->len, vip, port,
	                N_PORTS, keep, small, (size_t)len) == len);
	free(small);
}

static void relay(const struct part *now, const struct part *before, const struct sdp *said,
                  const struct sdp *then, uint8_t how)
{
	static char buf[256 * 1024];
	static const uint16_t ports[N_PORTS] = {30000, 30002, 0, 30006};
	const char *vip = vips[how >> 1 & 1];
	bool keep = how & 1;
	struct part out = {(uint8_t *)buf, 0};
	struct sdp sdp;
	int len = sdp_relay((const char *)now->at, now->len, (const char *)before->at, before->len, vip,
	                    ports, N_PORTS, keep, buf, sizeof(buf));

	CHECK(len > 0 || len == -ENOSPC);
	if (len < 0 || (then && then->version >= LAST_VERSION))
		return;
	out.len = (size_t)len;
	check_room(now, before, vip, ports, keep, len);
	CHECK(parse(&out, &sdp));
	check_lines(buf, out.len, vip, keep);
	CHECK(sdp.n_media >= said->n_media);
	if (then)
		CHECK(sdp.version == then->version + 1);
	for (uint32_t i = 0; i < sdp.n_media && i < SDP_MEDIA; i++) {
		CHECK(sdp.media[i].port == 0 || (i < N_PORTS && sdp.media[i].port == ports[i]));
		CHECK(!sdp.media[i].port || !strcmp(sdp.media[i].address, vip) ||
		      !strncmp(sdp.media[i].address, "0.0.0.0", 7));
	}
}

static void go_on(const struct part *now, const struct part *before, const struct sdp *said,
                  const struct sdp *then)
{
	static char buf[256 * 1024];
	struct part out = {(uint8_t *)buf, 0};
	struct sdp sdp;
	int len = sdp_continue((const char *)now->at, now->len, (const char *)before->at, before->len, buf,
	                       sizeof(buf));

	CHECK(len > 0 || len == -ENOSPC);
	if (len < 0 || (then && then->version >= LAST_VERSION))
		return;
	out.len = (size_t)len;
	CHECK(parse(&out, &sdp));
	CHECK(sdp.n_media >= said->n_media);
	if (then)
		CHECK(sdp.version == then->version + 1);
	if (then && then->n_media <= SDP_MEDIA)
		CHECK(sdp.n_media >= then->n_media);
}

static void cut_and_look(const struct part *now, const struct sdp *said, uint8_t how)
{
	char *buf = malloc(now->len + 1), codec[32];
	struct part out = {(uint8_t *)buf, 0};
	struct sdp sdp;
	int len = sdp_cut_media((const char *)now->at, now->len, how & 3, buf, now->len);

	CHECK(buf && len >= 0);
	out.len = (size_t)len;
	if (parse(&out, &sdp))
		CHECK(sdp.n_media <= (how & 3));
	free(buf);
	for (uint32_t line = 0; line < said->n_media && line < 3; line++)
		for (int type = 0; type < 128; type += 1 + (how & 7)) {
			memset(codec, 0x5a, sizeof(codec));
			if (!sdp_codec((const char *)now->at, now->len, line, (uint8_t)type, codec, 24))
				CHECK(memchr(codec, 0, 24) && codec[0]);
			CHECK(codec[24] == 0x5a);
		}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct part now, before;
	struct sdp said, then;
	bool has_then;
	uint8_t how;

	if (size < 2 || size > 60000)
		return 0;
	how = *data++;
	size--;
	now = part_of_text(&data, &size);
	before = part_copy(data, size);
	has_then = parse(&before, &then);
	if (parse(&now, &said)) {
		relay(&now, &before, &said, has_then ? &then : NULL, how);
		go_on(&now, &before, &said, has_then ? &then : NULL);
		cut_and_look(&now, &said, how);
	}
	free(now.at);
	free(before.at);
	return 0;
}
