// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Enough SIP and SDP text for the test tools; what it owns is in siptext.h. */
#include "siptext.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static struct span trimmed(const char *at, const char *end)
{
	while (at < end && (*at == ' ' || *at == '\t'))
		at++;
	while (end > at && isspace((unsigned char)end[-1]))
		end--;
	return (struct span){at, (size_t)(end - at)};
}

bool span_is(struct span span, const char *text)
{
	return span.at && span.len == strlen(text) && !strncasecmp(span.at, text, span.len);
}

bool span_equal(struct span a, struct span b)
{
	return a.at && b.at && a.len == b.len && !memcmp(a.at, b.at, a.len);
}

bool sip_is(const struct sip *sip, const char *method)
{
	return span_is(sip->method, method);
}

/* The next line of `rest`, without its end; advances `rest`. */
static bool next_line(struct span *rest, struct span *ret)
{
	if (!rest->len)
		return false;
	const char *end = memchr(rest->at, '\n', rest->len);
	size_t len = end ? (size_t)(end - rest->at) : rest->len;
	size_t used = end ? len + 1 : len;

	*ret = (struct span){rest->at, len};
	if (len && rest->at[len - 1] == '\r')
		ret->len--;
	rest->at += used;
	rest->len -= used;
	return true;
}

/* If `line` is the header `name` (or its compact form), its value. */
static struct span value_of(struct span line, const char *name, const char *compact)
{
	const char *colon = memchr(line.at, ':', line.len);

	if (!colon)
		return (struct span){0};
	struct span key = trimmed(line.at, colon);
	if (!span_is(key, name) && !(compact && span_is(key, compact)))
		return (struct span){0};
	return trimmed(colon + 1, line.at + line.len);
}

struct span sip_header(const struct sip *sip, const char *name, const char *compact)
{
	struct span rest = sip->head, line, value = {0};

	while (!value.at && next_line(&rest, &line))
		value = value_of(line, name, compact);
	return value;
}

static struct span tag_of(struct span value)
{
	static const char key[] = ";tag=";
	const char *from = memchr(value.at, '>', value.len);
	size_t i = from ? (size_t)(from - value.at) : 0;

	for (; i + sizeof(key) - 1 <= value.len; i++) {
		if (strncasecmp(value.at + i, key, sizeof(key) - 1))
			continue;
		struct span tag = {value.at + i + sizeof(key) - 1, 0};
		while (tag.at + tag.len < value.at + value.len && !strchr(";, \t", tag.at[tag.len]))
			tag.len++;
		return tag;
	}
	return (struct span){0};
}

struct span sip_addr_uri(struct span value)
{
	const char *open = value.at ? memchr(value.at, '<', value.len) : NULL;
	const char *end = value.at + value.len;

	if (open) {
		const char *close = memchr(open, '>', (size_t)(end - open));
		return (struct span){open + 1, (size_t)((close ? close : end) - open - 1)};
	}
	const char *semicolon = value.at ? memchr(value.at, ';', value.len) : NULL;
	return (struct span){value.at, semicolon ? (size_t)(semicolon - value.at) : value.len};
}

static struct span user_of(struct span uri)
{
	const char *colon = uri.at ? memchr(uri.at, ':', uri.len) : NULL;
	const char *at = uri.at ? memchr(uri.at, '@', uri.len) : NULL;

	if (!colon || !at || at < colon)
		return (struct span){0};
	return (struct span){colon + 1, (size_t)(at - colon - 1)};
}

bool sip_uri_sockaddr(struct span uri, struct sockaddr_in *ret)
{
	char host[32];
	const char *at = uri.at ? memchr(uri.at, '@', uri.len) : NULL;
	const char *from = at ? at + 1 : uri.at ? memchr(uri.at, ':', uri.len) : NULL;

	if (!from)
		return false;
	from += !at;
	size_t len = 0, left = (size_t)(uri.at + uri.len - from);
	while (len < left && len < sizeof(host) - 1 &&
	       (isdigit((unsigned char)from[len]) || from[len] == '.'))
		len++;
	memcpy(host, from, len);
	host[len] = 0;
	unsigned int port = 5060;
	if (len < left && from[len] == ':')
		port = (unsigned int)strtoul(from + len + 1, NULL, 10);
	*ret = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	return inet_pton(AF_INET, host, &ret->sin_addr) == 1;
}

bool endpoint_read(char *text, struct sockaddr_in *ret)
{
	char *colon = strrchr(text, ':');

	*ret = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(5060)};
	if (colon) {
		ret->sin_port = htons((uint16_t)atoi(colon + 1));
		*colon = 0;
	}
	return inet_pton(AF_INET, text, &ret->sin_addr) == 1;
}

static int read_first_line(struct sip *sip, struct span line)
{
	static const char version[] = "SIP/2.0 ";
	size_t v = sizeof(version) - 1;

	if (line.len > v + 3 && !strncasecmp(line.at, version, v)) {
		sip->status = atoi(line.at + v);
		return sip->status >= 100 && sip->status < 700 ? 0 : -EINVAL;
	}
	const char *space = memchr(line.at, ' ', line.len);
	const char *end = line.at + line.len;
	if (!space)
		return -EINVAL;
	const char *second = memchr(space + 1, ' ', (size_t)(end - space - 1));
	if (!second)
		return -EINVAL;
	sip->method = (struct span){line.at, (size_t)(space - line.at)};
	sip->uri = (struct span){space + 1, (size_t)(second - space - 1)};
	return 0;
}

static void read_header(struct sip *sip, struct span line)
{
	static const struct {
		const char *name, *compact;
		size_t offset;
	} known[] = {
	        {"Via", "v", offsetof(struct sip, via)},
	        {"From", "f", offsetof(struct sip, from)},
	        {"To", "t", offsetof(struct sip, to)},
	        {"Call-ID", "i", offsetof(struct sip, call_id)},
	        {"Contact", "m", offsetof(struct sip, contact)},
	        {"Session-ID", NULL, offsetof(struct sip, session_id)},
	        {"Remote-Party-ID", NULL, offsetof(struct sip, rpid)},
	};
	struct span value;

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		struct span *field = (struct span *)((char *)sip + known[i].offset);
		if (!field->at && (value = value_of(line, known[i].name, known[i].compact)).at) {
			*field = value;
			return;
		}
	}
	value = value_of(line, "CSeq", NULL);
	if (!value.at)
		return;
	size_t i = 0;
	for (; i < value.len && isdigit((unsigned char)value.at[i]); i++)
		sip->cseq = sip->cseq * 10 + (uint32_t)(value.at[i] - '0');
	if (sip->status)
		sip->method = trimmed(value.at + i, value.at + value.len);
}

int sip_read(const char *text, size_t len, struct sip *ret)
{
	struct span rest = {text, len}, line;

	memset(ret, 0, sizeof(*ret));
	if (!next_line(&rest, &line) || read_first_line(ret, line))
		return -EINVAL;
	ret->head.at = rest.at;
	while (next_line(&rest, &line) && line.len)
		read_header(ret, line);
	ret->head.len = (size_t)(rest.at - ret->head.at);
	ret->body = rest;
	if (!ret->via.at || !ret->from.at || !ret->to.at || !ret->call_id.at || !ret->method.at)
		return -EINVAL;
	ret->from_tag = tag_of(ret->from);
	ret->to_tag = tag_of(ret->to);
	ret->from_user = user_of(sip_addr_uri(ret->from));
	ret->uri_user = user_of(ret->uri);
	return 0;
}

void text_add(struct text *text, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	int n = vsnprintf(text->at + text->len, sizeof(text->at) - text->len, format, args);
	va_end(args);
	if (n < 0 || (size_t)n >= sizeof(text->at) - text->len)
		text->full = true;
	else
		text->len += (size_t)n;
}

void text_add_span(struct text *text, struct span span)
{
	text_add(text, "%.*s", (int)span.len, span.at ? span.at : "");
}

void text_response(struct text *text, const struct sip *sip, int status, const char *reason, const char *tag)
{
	struct span rest = sip->head, line;

	text_add(text, "SIP/2.0 %d %s\r\n", status, reason);
	while (next_line(&rest, &line) && line.len)
		if (value_of(line, "Via", "v").at)
			text_add(text, "%.*s\r\n", (int)line.len, line.at);
	text_add(text, "From: %.*s\r\nTo: %.*s", (int)sip->from.len, sip->from.at, (int)sip->to.len,
	         sip->to.at);
	if (!sip->to_tag.at && tag && *tag)
		text_add(text, ";tag=%s", tag);
	text_add(text, "\r\nCall-ID: %.*s\r\nCSeq: %u %.*s\r\n", (int)sip->call_id.len, sip->call_id.at,
	         sip->cseq, (int)sip->method.len, sip->method.at);
}

void text_body(struct text *text, const struct text *sdp)
{
	if (!sdp) {
		text_add(text, "Content-Length: 0\r\n\r\n");
		return;
	}
	text_add(text, "Content-Type: application/sdp\r\nContent-Length: %zu\r\n\r\n", sdp->len);
	text_add(text, "%.*s", (int)sdp->len, sdp->at);
}

static bool read_address(struct span value, struct in_addr *ret)
{
	static const char kind[] = "IN IP4 ";
	char host[INET_ADDRSTRLEN];

	if (value.len < sizeof(kind) || strncmp(value.at, kind, sizeof(kind) - 1))
		return false;
	size_t len = 0, left = value.len - (sizeof(kind) - 1);
	const char *from = value.at + sizeof(kind) - 1;
	while (len < left && len < sizeof(host) - 1 && from[len] != ' ' && from[len] != '/')
		len++;
	memcpy(host, from, len);
	host[len] = 0;
	return inet_pton(AF_INET, host, ret) == 1;
}

static bool read_origin(struct span value, struct sdp_line *sdp)
{
	char line[200];

	if (value.len >= sizeof(line))
		return false;
	memcpy(line, value.at, value.len);
	line[value.len] = 0;
	unsigned long long id, version;
	if (sscanf(line, "%*s %llu %llu", &id, &version) != 2)
		return false;
	sdp->session_id = id;
	sdp->version = version;
	return true;
}

int sdp_read(struct span body, struct sdp_line *ret)
{
	struct span rest = body, line;
	bool origin = false, address = false, audio = false, after = false;

	memset(ret, 0, sizeof(*ret));
	ret->rtp.sin_family = AF_INET;
	ret->direction = (struct span){"sendrecv", 8};
	while (next_line(&rest, &line)) {
		struct span value = {line.at + 2, line.len - 2};
		if (line.len < 3 || line.at[1] != '=')
			continue;
		if (line.at[0] == 'o')
			origin = read_origin(value, ret);
		else if (line.at[0] == 'c' && !after)
			address = read_address(value, &ret->rtp.sin_addr) || address;
		else if (line.at[0] == 'm' && audio)
			after = true; /* only the first audio line counts */
		else if (line.at[0] == 'm' && value.len > 6 && !strncmp(value.at, "audio ", 6)) {
			char *end;
			audio = true;
			ret->rtp.sin_port = htons((uint16_t)strtoul(value.at + 6, &end, 10));
			ret->formats = trimmed(end, value.at + value.len);
			ret->media = (struct span){rest.at, 0};
		} else if (line.at[0] == 'a' && (span_is(value, "sendrecv") || span_is(value, "sendonly") ||
		                                 span_is(value, "recvonly") || span_is(value, "inactive")))
			ret->direction = value;
		if (audio && !after)
			ret->media.len = (size_t)(rest.at - ret->media.at);
	}
	return origin && address && audio ? 0 : -EINVAL;
}

int64_t boot_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int rtp_open(struct in_addr addr, uint16_t port, bool stamps, int *ret_fd)
{
	struct sockaddr_in bind_to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = addr};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1, err;

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&bind_to, sizeof(bind_to)) ||
	    (stamps && setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof(one)))) {
		err = -errno;
		close(fd);
		return err;
	}
	*ret_fd = fd;
	return 0;
}

uint32_t text_hash(struct span span)
{
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < span.len; i++)
		hash = (hash ^ (unsigned char)span.at[i]) * 16777619u;
	return hash;
}
