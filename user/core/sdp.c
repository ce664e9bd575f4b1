/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* As much of SDP (RFC 8866) as a rescue needs. Pure; every access is within [text, text + len). */
#include "sdp.h"
#include "sdp_line.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

bool sdp_next_line(const char **at, const char *end, struct sdp_span *ret)
{
	const char *p = *at, *eol;

	if (p >= end)
		return false;
	eol = memchr(p, '\n', (size_t)(end - p));
	*at = eol ? eol + 1 : end;
	if (!eol)
		eol = end;
	if (eol > p && eol[-1] == '\r')
		eol--;
	*ret = (struct sdp_span){p, (size_t)(eol - p)};
	return true;
}

struct sdp_span sdp_word(struct sdp_span *rest)
{
	struct sdp_span w = {rest->at, 0};

	while (w.len < rest->len && w.at[w.len] != ' ')
		w.len++;
	rest->at += w.len;
	rest->len -= w.len;
	while (rest->len && *rest->at == ' ') {
		rest->at++;
		rest->len--;
	}
	return w;
}

static void copy(char *to, size_t size, struct sdp_span from)
{
	size_t len = from.len < size - 1 ? from.len : size - 1;

	memcpy(to, from.at, len);
	to[len] = '\0';
}

static int number(struct sdp_span text, uint64_t max, uint64_t *ret)
{
	uint64_t n = 0;
	size_t i;

	if (!text.len)
		return -EINVAL;
	for (i = 0; i < text.len; i++) {
		unsigned int digit = (unsigned char)text.at[i] - '0';

		if (digit > 9 || __builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, digit, &n) ||
		    n > max)
			return -EINVAL;
	}
	*ret = n;
	return 0;
}

bool sdp_starts(struct sdp_span line, const char *with)
{
	size_t len = strlen(with);

	return line.len >= len && !memcmp(line.at, with, len);
}

/* o=<username> <sess-id> <sess-version> <nettype> <addrtype> <address>, RFC 8866 5.2 */
static int parse_origin(struct sdp_span line, struct sdp *sdp)
{
	struct sdp_span rest = {line.at + 2, line.len - 2}, version, net, type;

	sdp->origin = line;
	sdp->username = sdp_word(&rest);
	sdp->session_id = sdp_word(&rest);
	version = sdp_word(&rest);
	net = sdp_word(&rest);
	type = sdp_word(&rest);
	if (!sdp->username.len || !sdp->session_id.len || !net.len || !type.len || !rest.len)
		return -EINVAL;
	return number(version, UINT64_MAX - 1, &sdp->version);
}

/* m=<media> <port>[/<number>] <proto> <fmt> ... */
static void parse_media(struct sdp_span line, struct sdp_media *media)
{
	struct sdp_span rest = {line.at + 2, line.len - 2}, port;
	const char *slash;
	uint64_t n;

	copy(media->kind, sizeof(media->kind), sdp_word(&rest));
	port = sdp_word(&rest);
	slash = memchr(port.at, '/', port.len);
	if (slash)
		port.len = (size_t)(slash - port.at);
	media->port = number(port, 65535, &n) ? 0 : (uint16_t)n;
	copy(media->proto, sizeof(media->proto), sdp_word(&rest));
	copy(media->formats, sizeof(media->formats), rest);
}

static const char *const direction_lines[] = {"a=sendrecv", "a=sendonly", "a=recvonly", "a=inactive"};

static bool is(struct sdp_span line, const char *text)
{
	return line.len == strlen(text) && sdp_starts(line, text);
}

static bool is_direction(struct sdp_span line, uint8_t *ret)
{
	uint8_t i;

	for (i = 0; i < 4; i++)
		if (is(line, direction_lines[i])) {
			*ret = i;
			return true;
		}
	return false;
}

/* a=rtcp:<port> [<nettype> <addrtype> <address>], RFC 3605 2.1 */
static void parse_rtcp(struct sdp_span line, struct sdp_media *media)
{
	struct sdp_span rest = {line.at + strlen("a=rtcp:"), line.len - strlen("a=rtcp:")};
	uint64_t port;

	if (number(sdp_word(&rest), 65535, &port))
		return;
	media->rtcp_port = (uint16_t)port;
	sdp_word(&rest);
	sdp_word(&rest);
	copy(media->rtcp_address, sizeof(media->rtcp_address), sdp_word(&rest));
}

static void parse_attribute(struct sdp_span line, struct sdp_media *media)
{
	if (is_direction(line, &media->direction))
		return;
	if (sdp_starts(line, "a=fingerprint:"))
		media->fingerprint = true;
	else if (sdp_starts(line, "a=crypto:"))
		media->crypto = true;
	else if (is(line, "a=rtcp-mux"))
		media->rtcp_mux = true;
	else if (sdp_starts(line, "a=rtcp:"))
		parse_rtcp(line, media);
}

int sdp_parse_origin(const char *text, size_t len, struct sdp *ret)
{
	const char *at = text, *end = text + len;
	struct sdp_span line;

	while (sdp_next_line(&at, end, &line)) {
		struct sdp sdp = {0};

		if (!sdp_starts(line, "o="))
			continue;
		if (parse_origin(line, &sdp))
			return -EINVAL;
		*ret = sdp;
		return 0;
	}
	return -EINVAL;
}

int sdp_parse(const char *text, size_t len, struct sdp *ret)
{
	const char *at = text, *end = text + len;
	struct sdp sdp = {0};
	struct sdp_media session = {0}, ignored, *media = &session;
	struct sdp_span line;
	bool origin = false;
	uint32_t i;

	while (sdp_next_line(&at, end, &line)) {
		if (sdp_starts(line, "o=") && !origin) {
			if (parse_origin(line, &sdp))
				return -EINVAL;
			origin = true;
		} else if (sdp_starts(line, "m=")) {
			media = sdp.n_media < SDP_MEDIA ? &sdp.media[sdp.n_media] : &ignored;
			*media = session; /* what the session says holds until the media says else */
			parse_media(line, media);
			sdp.n_media++;
		} else if (sdp_starts(line, "c=")) {
			struct sdp_span rest = {line.at + 2, line.len - 2};

			sdp_word(&rest);
			sdp_word(&rest);
			copy(media->address, sizeof(media->address), sdp_word(&rest));
		} else if (sdp_starts(line, "a=")) {
			parse_attribute(line, media);
		}
	}
	if (!origin)
		return -EINVAL;
	for (i = 0; i < sdp.n_media && i < SDP_MEDIA; i++)
		if (!sdp.media[i].rtcp_port && sdp.media[i].port && sdp.media[i].port < 65535)
			sdp.media[i].rtcp_port = sdp.media[i].port + 1;
	*ret = sdp;
	return 0;
}

void sdp_put(struct sdp_out *out, const char *bytes, size_t len)
{
	if (out->full || len > out->size - out->len) {
		out->full = true;
		return;
	}
	memcpy(out->buf + out->len, bytes, len);
	out->len += len;
}

void sdp_put_origin(struct sdp_out *out, const struct sdp *before)
{
	const char *p = before->session_id.at + before->session_id.len;
	const char *end = before->origin.at + before->origin.len;
	struct sdp_span rest;
	char version[24];
	int n = snprintf(version, sizeof(version), " %" PRIu64 " ", before->version + 1);

	sdp_put(out, before->origin.at, (size_t)(p - before->origin.at));
	sdp_put(out, version, (size_t)n);
	while (p < end && *p == ' ')
		p++;
	rest = (struct sdp_span){p, (size_t)(end - p)};
	sdp_word(&rest); /* the old version */
	sdp_put(out, rest.at, rest.len);
}

void sdp_put_missing_media(struct sdp_out *out, uint32_t from, const struct sdp *then)
{
	uint32_t i;

	for (i = from; i < then->n_media && i < SDP_MEDIA; i++) {
		char line[256];
		const char *formats = then->media[i].formats;
		int n = snprintf(line, sizeof(line), "m=%s 0 %s %.*s\r\n", then->media[i].kind,
		                 then->media[i].proto, (int)strcspn(formats, " "), formats);

		sdp_put(out, line, (size_t)n);
	}
}

int sdp_continue(const char *text, size_t len, const char *before, size_t before_len, char *buf, size_t size)
{
	struct sdp_out out = {buf, size, 0, false};
	struct sdp now, then;

	if (sdp_parse(text, len, &now))
		return -EINVAL;
	if (sdp_parse(before, before_len, &then)) {
		sdp_put(&out, text, len);
		return out.full ? -ENOSPC : (int)out.len;
	}
	sdp_put(&out, text, (size_t)(now.origin.at - text));
	sdp_put_origin(&out, &then);
	sdp_put(&out, now.origin.at + now.origin.len, len - (size_t)(now.origin.at + now.origin.len - text));
	if (now.n_media < then.n_media && out.len && out.buf[out.len - 1] != '\n')
		sdp_put(&out, "\r\n", 2);
	sdp_put_missing_media(&out, now.n_media, &then);
	return out.full ? -ENOSPC : (int)out.len;
}

int sdp_cut_media(const char *text, size_t len, uint32_t n, char *buf, size_t size)
{
	const char *at = text, *end = text + len;
	struct sdp_span line;
	uint32_t seen = 0;

	while (sdp_next_line(&at, end, &line))
		if (sdp_starts(line, "m=") && seen++ == n) {
			len = (size_t)(line.at - text);
			break;
		}
	if (len > size)
		return -ENOSPC;
	memmove(buf, text, len);
	return (int)len;
}

/* RFC 3551 section 6, tables 4 and 5 */
static const char *static_codec(uint8_t payload_type)
{
	static const char *const names[] = {
	        [0] = "pcmu/8000",    [3] = "gsm/8000",    [4] = "g723/8000",   [5] = "dvi4/8000",
	        [6] = "dvi4/16000",   [7] = "lpc/8000",    [8] = "pcma/8000",   [9] = "g722/8000",
	        [10] = "l16/44100/2", [11] = "l16/44100",  [12] = "qcelp/8000", [13] = "cn/8000",
	        [14] = "mpa/90000",   [15] = "g728/8000",  [16] = "dvi4/11025", [17] = "dvi4/22050",
	        [18] = "g729/8000",   [25] = "celb/90000", [26] = "jpeg/90000", [28] = "nv/90000",
	        [31] = "h261/90000",  [32] = "mpv/90000",  [33] = "mp2t/90000", [34] = "h263/90000",
	};

	return payload_type < sizeof(names) / sizeof(names[0]) ? names[payload_type] : NULL;
}

/* a=rtpmap:<payload type> <encoding>/<clock>[/<channels>]; one channel is the same as none said (RFC
 * 8866 6.6).
 */
static bool read_rtpmap(struct sdp_span line, uint8_t payload_type, struct sdp_span *ret)
{
	struct sdp_span rest = {line.at + strlen("a=rtpmap:"), line.len - strlen("a=rtpmap:")};
	uint64_t type;

	if (number(sdp_word(&rest), 127, &type) || type != payload_type)
		return false;
	*ret = sdp_word(&rest);
	if (ret->len > 2 && ret->at[ret->len - 1] == '1' && ret->at[ret->len - 2] == '/')
		ret->len -= 2;
	return ret->len > 0 && !memchr(ret->at, 0, ret->len); /* it becomes a string */
}

int sdp_codec(const char *text, size_t len, uint32_t line_index, uint8_t payload_type, char *ret, size_t size)
{
	const char *at = text, *end = text + len, *fixed;
	struct sdp_span line, codec;
	uint32_t seen = 0;
	size_t i;

	while (sdp_next_line(&at, end, &line)) {
		if (sdp_starts(line, "m=") && seen++ > line_index)
			break;
		if (seen != line_index + 1 || !sdp_starts(line, "a=rtpmap:") ||
		    !read_rtpmap(line, payload_type, &codec))
			continue;
		if (codec.len >= size)
			return -ENOENT;
		for (i = 0; i < codec.len; i++)
			ret[i] = codec.at[i] >= 'A' && codec.at[i] <= 'Z' ? (char)(codec.at[i] + 32)
			                                                  : codec.at[i];
		ret[codec.len] = '\0';
		return 0;
	}
	fixed = seen > line_index ? static_codec(payload_type) : NULL;
	if (!fixed || strlen(fixed) >= size)
		return -ENOENT;
	strcpy(ret, fixed);
	return 0;
}
