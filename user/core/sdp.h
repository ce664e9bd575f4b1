/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * As much of SDP (RFC 8866) as a rescue needs: the o= line, what the media lines
 * offer, and rewriting of both. Bytes from the network: nothing here trusts a
 * length or an ending. Pure.
 */
#ifndef SIPFLIP_CORE_SDP_H
#define SIPFLIP_CORE_SDP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SDP_MEDIA      8 /* m= lines looked at */
#define SDP_TOKEN_LEN  48
#define SDP_FORMAT_LEN 128

enum sdp_direction {
	SDP_SENDRECV = 0,
	SDP_SENDONLY,
	SDP_RECVONLY,
	SDP_INACTIVE,
};

struct sdp_span {
	const char *at;
	size_t len;
};

struct sdp_media {
	char kind[16];                    /* "audio" */
	char proto[SDP_TOKEN_LEN];        /* "RTP/AVP" */
	char formats[SDP_FORMAT_LEN];     /* "0 8 101", cut when longer */
	char address[SDP_TOKEN_LEN];      /* own c= line, else the session's */
	uint16_t port;                    /* 0 = refused or off */
	uint8_t direction;                /* enum sdp_direction */
	bool fingerprint;                 /* a=fingerprint here or in the session: DTLS */
	bool crypto;                      /* a=crypto: SDES */
	bool rtcp_mux;                    /* RFC 5761 */
	uint16_t rtcp_port;               /* RFC 3605 a=rtcp, else port + 1 */
	char rtcp_address[SDP_TOKEN_LEN]; /* of a=rtcp, else "" */
};

struct sdp {
	struct sdp_span origin;   /* the whole o= line without its line end */
	struct sdp_span username; /* parts of it */
	struct sdp_span session_id;
	uint64_t version;
	struct sdp_media media[SDP_MEDIA];
	uint32_t n_media; /* all m= lines, also those beyond SDP_MEDIA */
};

/* 0, or -EINVAL: no o= line, or it does not read as RFC 8866 5.2 has it. */
int sdp_parse(const char *text, size_t len, struct sdp *ret);

/* Only the o= line, for who compares many: the rest of *ret is zero. */
int sdp_parse_origin(const char *text, size_t len, struct sdp *ret);

/*
 * Makes `text` the next version of a session that `before` described: its o= line
 * with the version raised by one (RFC 3264 section 8), and as many m= lines at
 * least (those missing are added with port 0). With `before` empty, only copies.
 * Writes to buf, returns the length, -EINVAL or -ENOSPC.
 */
int sdp_continue(const char *text, size_t len, const char *before, size_t before_len, char *buf, size_t size);

/* Cuts m= lines beyond the first n. The same in place of buf; returns the length or -ENOSPC. */
int sdp_cut_media(const char *text, size_t len, uint32_t n, char *buf, size_t size);

/*
 * Codec of a payload type in a media description: "PCMU/8000", "opus/48000/2",
 * "telephone-event/8000"; lower-case name. Static types of RFC 3551 need no
 * a=rtpmap. line = index of the m= line. 0 or -ENOENT.
 */
int sdp_codec(const char *text, size_t len, uint32_t line, uint8_t payload_type, char *ret, size_t size);

/*
 * What to offer or answer to one phone so that its media goes to the VIP: `text` is
 * the other phone's SDP; every c= becomes `address`, the port of m= line i becomes
 * port[i] (0 = refused; n of them, further lines are refused), a=rtcp follows, and
 * what only holds end to end between other addresses (a=candidate and other ICE,
 * RFC 8839 and RFC 5245) is left out. The o= line goes on as in sdp_continue().
 * keep_crypto: a=crypto lines stay (SDES keys end to end). Length, -EINVAL or -ENOSPC.
 */
int sdp_relay(const char *text, size_t len, const char *before, size_t before_len, const char *address,
              const uint16_t *port, uint32_t n, bool keep_crypto, char *buf, size_t size);

#endif
