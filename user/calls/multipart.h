/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Bodies of several parts (RFC 2046 section 5.1), read by sofia-sip once it is sure
 * that it can: without a boundary it looks for one in the body and loses memory when there
 * is none, and it compares the boundary with a body that may be shorter. Used by
 * track.c and the rescue_pass files.
 */
#ifndef SIPFLIP_CALLS_MULTIPART_H
#define SIPFLIP_CALLS_MULTIPART_H

#include <sofia-sip/msg_mime.h>
#include <sofia-sip/sip.h>

/* The first part, in the memory of home; NULL = they cannot be told apart. The body is written to. */
msg_multipart_t *multipart_parse(su_home_t *home, const sip_content_type_t *type, sip_payload_t *body);

#endif
