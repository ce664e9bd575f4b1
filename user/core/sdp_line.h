/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Lines of SDP, in and out: inside of sdp.c and sdp_relay.c. Nobody else includes this. Pure. */
#ifndef SIPFLIP_CORE_SDP_LINE_H
#define SIPFLIP_CORE_SDP_LINE_H

#include "sdp.h"

/* The next line without its end; false past the last one. */
bool sdp_next_line(const char **at, const char *end, struct sdp_span *ret);
/* Cuts the next space-separated word off the front of *rest. */
struct sdp_span sdp_word(struct sdp_span *rest);
bool sdp_starts(struct sdp_span line, const char *with);

struct sdp_out {
	char *buf;
	size_t size;
	size_t len;
	bool full; /* something did not fit: nothing more is written */
};

void sdp_put(struct sdp_out *out, const char *bytes, size_t len);
/* The o= line of `before` with its version raised by one. */
void sdp_put_origin(struct sdp_out *out, const struct sdp *before);
/* RFC 3264 section 8: m= lines are never taken away, only refused: those of `then` from the given one on. */
void sdp_put_missing_media(struct sdp_out *out, uint32_t from, const struct sdp *then);

#endif
