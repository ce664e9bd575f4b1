/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * For the test tools b2bserver and callfarm only: enough SIP over UDP (RFC 3261)
 * and SDP to place thousands of calls cheaply. Reads a message in place, writes
 * one into a bounded buffer. Trusts no length; it is no stack: no TCP, no folded
 * header lines, no multiple values in one Via line.
 */
#ifndef FARM_SIPTEXT_H
#define FARM_SIPTEXT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIP_MAX 4000 /* of what the tools write */

struct span {
	const char *at; /* NULL = not there */
	size_t len;
};

struct sip {
	struct span method; /* of the request, or of the CSeq of a response */
	int status;         /* 0 = request */
	struct span uri;    /* of a request */
	struct span via;    /* the first Via's value */
	struct span from, to, call_id, contact, session_id, rpid;
	struct span from_tag, to_tag, from_user, uri_user;
	uint32_t cseq;
	struct span head; /* everything between the first line and the body */
	struct span body;
};

/* 0, or -EINVAL when a header that every message has is missing. */
int sip_read(const char *text, size_t len, struct sip *ret);
/* The value of the first header of that name, without surrounding space. */
struct span sip_header(const struct sip *sip, const char *name, const char *compact);
bool sip_is(const struct sip *sip, const char *method);
bool span_is(struct span span, const char *text);
bool span_equal(struct span a, struct span b);
/* What is between < and >, or the span itself without parameters. */
struct span sip_addr_uri(struct span name_addr);
/* "sip:user@1.2.3.4:5070;x" -> address; the port is 5060 when none is said. */
bool sip_uri_sockaddr(struct span uri, struct sockaddr_in *ret);

/* "1.2.3.4:5070", as on a command line; the port is 5060 when none is said. Cuts text at the colon. */
bool endpoint_read(char *text, struct sockaddr_in *ret);

/* A message being written; full = it did not fit and must not be sent. */
struct text {
	char at[SIP_MAX];
	size_t len;
	bool full;
};
void text_add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_add_span(struct text *text, struct span span);
/* First line, all Vias, From, To (with `tag` when it has none), Call-ID and CSeq of a response to `sip`. */
void text_response(struct text *text, const struct sip *sip, int status, const char *reason, const char *tag);
/* Content-Length and body, or an empty one. */
void text_body(struct text *text, const struct text *sdp);

struct sdp_line {
	uint64_t session_id;
	uint64_t version;
	struct sockaddr_in rtp;
	struct span formats;   /* of the m= line: "RTP/AVP 0 101" */
	struct span direction; /* "sendrecv" when not said */
	struct span media;     /* the a= lines below m= */
};
/* 0, or -EINVAL when there is no o=, c= or m=audio with an address. */
int sdp_read(struct span body, struct sdp_line *ret);

int64_t boot_ns(void);
/* A non-blocking UDP socket on addr:port, with the kernel's time stamps if asked. 0 or -errno. */
int rtp_open(struct in_addr addr, uint16_t port, bool stamps, int *ret_fd);
uint32_t text_hash(struct span span);

#endif
