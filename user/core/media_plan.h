/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What happens to the media of a call when its server dies: from the last SDP of
 * both legs, and what the kernel saw of their streams, to the flows that the relay
 * in XDP needs (struct flow in sipflip/abi.h), or why it cannot serve. Pure.
 *
 * A stream goes: phone A -> VIP port that A was told -> here -> from the VIP port
 * that B was told -> phone B. The ports are those in the SDP that the server sent.
 */
#ifndef SIPFLIP_CORE_MEDIA_PLAN_H
#define SIPFLIP_CORE_MEDIA_PLAN_H

#include "dialog.h"

/* MEDIA_PATH(name, text for people) */
#define MEDIA_PATHS(X)                                                                                       \
	X(relay, "relay")                              /* from the first packet after the flip */            \
	X(rekey, "relay once both legs took new keys") /* SDES: the phones' own keys, end to end */          \
	X(direct, "direct")                            /* re-offered end to end: 3pcc */                     \
	X(bypass, "never through the VIP")             /* nothing to do */                                   \
	X(none, "none")

enum media_path {
#define X(name, text) MEDIA_PATH_##name,
	MEDIA_PATHS(X)
#undef X
};

/* Why it is not the relay. MEDIA_WHY(name, text) */
#define MEDIA_WHYS(X)                                                                                        \
	X(fits, "")                                                                                          \
	X(no_sdp, "no SDP seen on a leg")                                                                    \
	X(no_port, "a leg has no open port")                                                                 \
	X(not_vip, "the server's media address is not the VIP")                                              \
	X(sdes, "SDES keys of each leg ended with the server")                                               \
	X(dtls, "DTLS-SRTP keys ended with the server")                                                      \
	X(transcoded, "the server transcoded between the legs")                                              \
	X(no_codec, "the legs share no codec")                                                               \
	X(profile, "media profiles of the legs differ")                                                      \
	X(configured, "media = direct")

enum media_why {
#define X(name, text) MEDIA_WHY_##name,
	MEDIA_WHYS(X)
#undef X
};

/* One stream of one leg, as it goes into the map. */
struct media_flow {
	bool used; /* vip_port is known */
	struct inaddr16 remote;
	struct inaddr16 source;
	uint16_t vip_port;
	uint16_t remote_port;
	uint16_t source_port;
	uint8_t mac[6];
	bool rtcp;
	struct flow_pt pt[FLOW_PTS]; /* from this leg to the other */
};

struct media_plan {
	uint8_t path; /* enum media_path */
	uint8_t why;  /* enum media_why */
	struct media_flow a[DIALOG_STREAMS];
	struct media_flow b[DIALOG_STREAMS];
};

/*
 * b NULL: a leg without a partner yet (then only its ports are worked out, path is
 * none). Early dialogs too: early media is media. `direct` = configured so.
 */
void media_plan(const struct dialog *a, const struct dialog *b, const struct inaddr16 *vip, bool direct,
                struct media_plan *ret);

const char *media_path_name(enum media_path path); /* "relay" */
const char *media_path_text(enum media_path path);
const char *media_why_name(enum media_why why);
const char *media_why_text(enum media_why why);

#endif
