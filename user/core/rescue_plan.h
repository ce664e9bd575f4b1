/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a takeover does with a call: which way it goes on, or why not, and how fast.
 * The ways of its media are media_plan.h's; the steps of one rescue are in
 * rescue_step.h. Pure.
 */
#ifndef SIPFLIP_CORE_RESCUE_PLAN_H
#define SIPFLIP_CORE_RESCUE_PLAN_H

#include "dialog.h"
#include "sipflip/keeper.h"

/* PLAN(name, in one word, people go on talking, text for people of at most 127 characters) */
#define RESCUE_PLANS(X)                                                                                      \
	X(relay, "relay", true, "relay: media goes on at once, each leg gets a re-INVITE")                   \
	X(rekey, "rekey", true, "relay once both phones took each other's SDES keys")                        \
	X(direct, "direct", true, "direct: re-INVITEs join the phones end to end")                           \
	X(direct_sdes, "direct", true, "direct, with new SDES keys end to end")                              \
	X(direct_dtls, "direct", true, "direct: DTLS-SRTP keys ended with the server")                       \
	X(direct_transcoded, "direct", true, "direct: the server transcoded, but both phones share a codec") \
	X(bypass, "signalling", true, "signalling only: media never through the VIP")                        \
	X(rejoin, "rejoin", true, "rejoin: the one leg is joined to the server anew")                        \
	X(ringing, "ringing", true, "ringing: its answer is carried across")                                 \
	X(proxied, "vip", true, "VIP only: the server forwards this dialog as a proxy")                      \
	X(off, "vip", true, "VIP only: as configured (rescue = off)")                                        \
	X(server, "server", true, "server: it recovers its calls itself, as configured")                     \
	X(hang_up, "bye", false, "BYE: the other leg has hung up")                                           \
	X(mute_no_sdp, "signalling", false, "signalling only: no SDP seen on a leg")                         \
	X(mute_no_port, "signalling", false, "signalling only: a leg has no open port")                      \
	X(mute_no_codec, "signalling", false, "signalling only: the legs share no codec")                    \
	X(mute_profile, "signalling", false, "signalling only: media profiles of the legs differ")           \
	X(mute_sdes, "signalling", false, "signalling only: SDES keys of each leg ended with the server")    \
	X(mute_dtls, "signalling", false, "signalling only: DTLS-SRTP keys ended with the server")           \
	X(mute_transcoded, "signalling", false, "signalling only: the server transcoded between the legs")   \
	X(single_leg, "none", false, "none: single leg that the server itself called")                       \
	X(ambiguous, "none", false, "none: more than one leg would fit")                                     \
	X(ringing_afresh, "rejoin", true, "rejoin: rings for nobody, the server is called anew")             \
	X(ringing_alone, "none", false, "none: rings, and no second leg is known")                           \
	X(no_invite, "none", false, "none: rings, and its INVITE was too long to keep")                      \
	X(no_target, "none", false, "none: no remote target known")                                          \
	X(truncated, "none", false, "none: a header was too long to keep")                                   \
	X(ended, "none", false, "none: ended")

enum rescue_plan {
#define X(name, word, keeps, text) PLAN_##name,
	RESCUE_PLANS(X)
#undef X
};

/* What of the configuration decides. One for a table: plans are remembered with its dialogs. */
struct rescue_policy {
	struct inaddr16 vip;
	bool direct;
	uint32_t mode; /* enum rescue_mode */
};
struct rescue_policy rescue_policy_of(const struct keeper_conf *conf);

/* For either leg; ask again after any change. */
enum rescue_plan rescue_plan_of(struct dialog_table *table, const struct dialog *dialog,
                                const struct rescue_policy *policy);
/* For people; at most CTL_TEXT_LEN with its NUL. */
const char *rescue_plan_text(enum rescue_plan plan);
/* In one word: "relay", "direct", "rejoin", "none" ... */
const char *rescue_plan_word(enum rescue_plan plan);
/* "direct_dtls": for metrics and outcomes. */
const char *rescue_plan_name(enum rescue_plan plan);
/* True when people go on talking. */
bool rescue_plan_keeps(enum rescue_plan plan);
/* True when the phones are asked anew for all of their media: nothing is heard until then. */
bool rescue_plan_is_3pcc(enum rescue_plan plan);
/* True when each leg is re-INVITEd for itself, if at all. */
bool rescue_plan_is_per_leg(enum rescue_plan plan);

struct rescue_counts {
	uint32_t calls;     /* pairs and single legs that are up */
	uint32_t rescuable; /* calls among them that go on */
	uint32_t dialogs;   /* with both tags, not ended */
	uint32_t ringing;   /* first legs of calls not answered yet */
};

/* A count that goes on over several turns of the loop; zeros = not begun. */
struct rescue_counting {
	struct rescue_counts counts;
	uint32_t paired, halves;
	uint32_t at; /* place in the table */
	int32_t budget;
};
#define RESCUE_PLAN_COST 8 /* of a plan to be worked out, in looks at a dialog */
/*
 * Goes on until `budget` looks are done. True: the table has been walked through, *ret is
 * filled and the counting is ready to begin again. What changed meanwhile may be in it or not.
 */
bool rescue_plan_count(struct dialog_table *table, uint8_t service, const struct rescue_policy *policy,
                       struct rescue_counting *counting, int32_t budget, struct rescue_counts *ret);
/* All at once. */
void rescue_plan_counts(struct dialog_table *table, uint8_t service, const struct rescue_policy *policy,
                        struct rescue_counts *ret);

/* Token bucket: `rate` calls a second, never more than rate/20 (at least 1) at once. */
struct rescue_pace {
	uint32_t rate;
	int64_t tokens_ns; /* time's worth of tokens: one costs 1 s / rate */
	struct mono filled;
};
void rescue_pace_init(struct rescue_pace *pace, uint32_t rate, struct mono now);
bool rescue_pace_take(struct rescue_pace *pace, struct mono now);

#endif
