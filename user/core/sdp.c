/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* As much of SDP (RFC 8866) as a rescue needs. Pure; every access is within [text, text + len). */
#include "sdp.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The next line without its end; false past the last one. */
static bool next_line(const char **at, const char *end, struct sdp_span *ret)
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

/* Cuts the next space-separated word off the front of *rest. */
static struct sdp_span word(struct sdp_span *rest)
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

static bool starts(struct sdp_span line, const char *with)
{
	size_t len = strlen(with);

	return line.len >= len && !memcmp(line.at, with, len);
}

/* o=<username> <sess-id> <sess-version> <nettype> <addrtype> <address>, RFC 8866 5.2 */
static int parse_origin(struct sdp_span line, struct sdp *sdp)
{
	struct sdp_span rest = {line.at + 2, line.len - 2}, version, net, type;

	sdp->origin = line;
	sdp->username = word(&rest);
	sdp->session_id = word(&rest);
	version = word(&rest);
	net = word(&rest);
	type = word(&rest);
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

	copy(media->kind, sizeof(media->kind), word(&rest));
	port = word(&rest);
	slash = memchr(port.at, '/', port.len);
	if (slash)
		port.len = (size_t)(slash - port.at);
	media->port = number(port, 65535, &n) ? 0 : (uint16_t)n;
	copy(media->proto, sizeof(media->proto), word(&rest));
	copy(media->formats, sizeof(media->formats), rest);
}

static void parse_attribute(struct sdp_span line, struct sdp_media *media)
{
	static const char *const directions[] = {"a=sendrecv", "a=sendonly", "a=recvonly", "a=inactive"};
	uint8_t i;

	for (i = 0; i < 4; i++)
		if (line.len == strlen(directions[i]) && starts(line, directions[i]))
			media->direction = i;
	if (starts(line, "a=fingerprint:"))
		media->fingerprint = true;
	if (starts(line, "a=crypto:"))
		media->crypto = true;
}

int sdp_parse_origin(const char *text, size_t len, struct sdp *ret)
{
	const char *at = text, *end = text + len;
	struct sdp_span line;

	while (next_line(&at, end, &line)) {
		struct sdp sdp = {0};

		if (!starts(line, "o="))
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

	while (next_line(&at, end, &line)) {
		if (starts(line, "o=") && !origin) {
			if (parse_origin(line, &sdp))
				return -EINVAL;
			origin = true;
		} else if (starts(line, "m=")) {
			media = sdp.n_media < SDP_MEDIA ? &sdp.media[sdp.n_media] : &ignored;
			*media = session; /* what the session says holds until the media says else */
			parse_media(line, media);
			sdp.n_media++;
		} else if (starts(line, "c=")) {
			struct sdp_span rest = {line.at + 2, line.len - 2};

			word(&rest);
			word(&rest);
			copy(media->address, sizeof(media->address), word(&rest));
		} else if (starts(line, "a=")) {
			parse_attribute(line, media);
		}
	}
	if (!origin)
		return -EINVAL;
	*ret = sdp;
	return 0;
}

struct out {
	char *buf;
	size_t size;
	size_t len;
	bool full;
};

static void put(struct out *out, const char *bytes, size_t len)
{
	if (out->full || len > out->size - out->len) {
		out->full = true;
		return;
	}
	memcpy(out->buf + out->len, bytes, len);
	out->len += len;
}

/* `before`'s o= line with its version raised by one. */
static void put_origin(struct out *out, const struct sdp *before)
{
	const char *p = before->session_id.at + before->session_id.len;
	const char *end = before->origin.at + before->origin.len;
	struct sdp_span rest;
	char version[24];
	int n = snprintf(version, sizeof(version), " %" PRIu64 " ", before->version + 1);

	put(out, before->origin.at, (size_t)(p - before->origin.at));
	put(out, version, (size_t)n);
	while (p < end && *p == ' ')
		p++;
	rest = (struct sdp_span){p, (size_t)(end - p)};
	word(&rest); /* the old version */
	put(out, rest.at, rest.len);
}

int sdp_continue(const char *text, size_t len, const char *before, size_t before_len, char *buf, size_t size)
{
	struct out out = {buf, size, 0, false};
	struct sdp now, then;
	uint32_t i;

	if (sdp_parse(text, len, &now))
		return -EINVAL;
	if (sdp_parse(before, before_len, &then)) {
		put(&out, text, len);
		return out.full ? -ENOSPC : (int)out.len;
	}
	put(&out, text, (size_t)(now.origin.at - text));
	put_origin(&out, &then);
	put(&out, now.origin.at + now.origin.len, len - (size_t)(now.origin.at + now.origin.len - text));
	if (now.n_media < then.n_media && out.len && out.buf[out.len - 1] != '\n')
		put(&out, "\r\n", 2);
	/* RFC 3264 section 8: m= lines are never taken away, only refused. */
	for (i = now.n_media; i < then.n_media && i < SDP_MEDIA; i++) {
		char line[256];
		const char *formats = then.media[i].formats;
		int n = snprintf(line, sizeof(line), "m=%s 0 %s %.*s\r\n", then.media[i].kind,
		                 then.media[i].proto, (int)strcspn(formats, " "), formats);

		put(&out, line, (size_t)n);
	}
	return out.full ? -ENOSPC : (int)out.len;
}

int sdp_cut_media(const char *text, size_t len, uint32_t n, char *buf, size_t size)
{
	const char *at = text, *end = text + len;
	struct sdp_span line;
	uint32_t seen = 0;

	while (next_line(&at, end, &line))
		if (starts(line, "m=") && seen++ == n) {
			len = (size_t)(line.at - text);
			break;
		}
	if (len > size)
		return -ENOSPC;
	memmove(buf, text, len);
	return (int)len;
}
