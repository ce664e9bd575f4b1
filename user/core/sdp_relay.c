/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One phone's SDP for the other one, with the media at the VIP. Works line by line;
 * a media description is one m= line and what follows it.
 */
#include "sdp.h"
#include "sdp_line.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct relay {
	struct sdp_out out;
	const char *address;
	const uint16_t *port;
	uint32_t n;
	bool keep_crypto;
	struct sdp now;
	struct sdp then; /* zero = none */
	/* where the walk is */
	uint32_t seen;     /* m= lines so far; 0 = still in the session's part */
	bool has_address;  /* the session has a c= line */
	bool said_address; /* this description has */
};

static void put_text(struct relay *r, const char *text)
{
	sdp_put(&r->out, text, strlen(text));
	sdp_put(&r->out, "\r\n", 2);
}

static void put_line(struct relay *r, struct sdp_span line)
{
	sdp_put(&r->out, line.at, line.len);
	sdp_put(&r->out, "\r\n", 2);
}

static void put_address(struct relay *r)
{
	char line[96];

	snprintf(line, sizeof(line), "c=IN %s %s", strchr(r->address, ':') ? "IP6" : "IP4", r->address);
	put_text(r, line);
}

/* A media description without an address of its own or of the session gets one: without it, it means nothing.
 */
static void need_address(struct relay *r)
{
	if (!r->seen || r->has_address || r->said_address)
		return;
	put_address(r);
	r->said_address = true;
}

/* c=IN IP4 0.0.0.0 is how RFC 2543 puts a call on hold (RFC 3264 8.4): the other phone must hear that. */
static bool is_hold(struct sdp_span line)
{
	struct sdp_span rest = {line.at + 2, line.len - 2}, address;

	sdp_word(&rest);
	sdp_word(&rest);
	address = sdp_word(&rest);
	return address.len == 7 && !memcmp(address.at, "0.0.0.0", 7);
}

/* What the old server had told this phone beside its RTP port stays (RFC 3605); port + 1 needs no word. */
static void put_rtcp(struct relay *r, uint32_t i)
{
	const struct sdp_media *then = i < SDP_MEDIA && i < r->then.n_media ? &r->then.media[i] : NULL;
	char line[32];

	if (!then || !then->port || i >= r->n || then->port != r->port[i] || then->rtcp_mux ||
	    then->rtcp_port == then->port + 1 || !then->rtcp_port || r->now.media[i].rtcp_mux)
		return;
	snprintf(line, sizeof(line), "a=rtcp:%u", then->rtcp_port);
	put_text(r, line);
}

static void end_media(struct relay *r)
{
	if (!r->seen)
		return;
	need_address(r);
	put_rtcp(r, r->seen - 1);
}

/* m=<media> <port>[/<number>] <proto> <fmt> ... */
static void begin_media(struct relay *r, struct sdp_span line)
{
	uint32_t i = r->seen++;
	struct sdp_span rest = {line.at + 2, line.len - 2}, kind = sdp_word(&rest);
	bool open = i < r->n && i < SDP_MEDIA && r->now.media[i].port;
	char port[8];

	sdp_word(&rest); /* the other phone's */
	snprintf(port, sizeof(port), " %u ", open ? r->port[i] : 0);
	sdp_put(&r->out, "m=", 2);
	sdp_put(&r->out, kind.at, kind.len);
	sdp_put(&r->out, port, strlen(port));
	put_line(r, rest);
	r->said_address = false;
}

/* Holds only between other addresses than these (RFC 8839, RFC 5245, RFC 3605). */
static bool is_left_out(const struct relay *r, struct sdp_span line)
{
	static const char *const ends[] = {"a=candidate:", "a=ice-",
	                                   "a=remote-candidates:", "a=end-of-candidates", "a=rtcp:"};
	size_t i;

	for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (sdp_starts(line, ends[i]))
			return true;
	return sdp_starts(line, "a=crypto:") && !r->keep_crypto;
}

static void relay_line(struct relay *r, struct sdp_span line)
{
	if (line.at == r->now.origin.at && r->then.origin.at) {
		sdp_put_origin(&r->out, &r->then);
		sdp_put(&r->out, "\r\n", 2);
		return;
	}
	if (sdp_starts(line, "m=")) {
		end_media(r);
		begin_media(r, line);
		return;
	}
	if (sdp_starts(line, "c=")) {
		/* Once for each description: the layers of a multicast session are none of ours. */
		if (!r->said_address && is_hold(line))
			put_text(r, "c=IN IP4 0.0.0.0"); /* whatever else stood in the line */
		else if (!r->said_address)
			put_address(r);
		r->said_address = true;
		r->has_address = r->has_address || !r->seen;
		return;
	}
	/* RFC 8866 section 5: c= comes after i= and before all else. */
	if (!sdp_starts(line, "i="))
		need_address(r);
	if (line.len && !is_left_out(r, line))
		put_line(r, line);
}

int sdp_relay(const char *text, size_t len, const char *before, size_t before_len, const char *address,
              const uint16_t *port, uint32_t n, bool keep_crypto, char *buf, size_t size)
{
	struct relay r = {.out = {buf, size, 0, false},
	                  .address = address,
	                  .port = port,
	                  .n = n,
	                  .keep_crypto = keep_crypto};
	const char *at = text, *end = text + len;
	struct sdp_span line;

	if (sdp_parse(text, len, &r.now))
		return -EINVAL;
	if (sdp_parse(before, before_len, &r.then))
		r.then = (struct sdp){0};
	while (sdp_next_line(&at, end, &line))
		relay_line(&r, line);
	end_media(&r);
	sdp_put_missing_media(&r.out, r.now.n_media, &r.then);
	return r.out.full ? -ENOSPC : (int)r.out.len;
}
