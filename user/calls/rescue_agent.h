/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Inside of the rescue agent, shared by rescue.c (which calls, how fast, the
 * steps of each), rescue_send.c (requests inside a dialog) and rescue_pass.c
 * (requests that arrive at the rescue port). Nobody else includes this.
 */
#ifndef SIPFLIP_CALLS_RESCUE_AGENT_H
#define SIPFLIP_CALLS_RESCUE_AGENT_H

#define NTA_AGENT_MAGIC_T    struct rescue
#define NTA_LEG_MAGIC_T      struct rescue
#define NTA_OUTGOING_MAGIC_T void
#define NTA_INCOMING_MAGIC_T struct rescue_pass

#include <sofia-sip/nta.h>
#include <sofia-sip/sip.h>

#include "rescue.h"
#include "rescue_plan.h"

#define RESCUE_PASSES 256 /* offers on their way across at one time */

/*
 * How far above the last CSeq known the first request after a takeover goes: the
 * server may have sent some that were lost on the way to this node.
 */
#define RESCUE_CSEQ_MARGIN 100

struct rescue_call;

struct rescue_leg {
	struct rescue_call *call;
	struct dialog *dialog;
	nta_outgoing_t *invite; /* NULL once answered and acknowledged */
	uint32_t cseq;          /* of the INVITE */
};

struct rescue_call {
	struct rescue *rescue;
	uint64_t number;          /* the dialogs' call number */
	struct rescue_leg leg[2]; /* a: called the server; b: the server called it */
	struct rescue_step step;
	su_timer_t *retry;
	uint64_t outcome; /* number of its outcome */
	bool hang_up;     /* leg b hung up already: only BYE to leg a */
	bool done;
};

/* A re-INVITE or UPDATE of one phone on its way to the other. */
struct rescue_pass {
	struct rescue *rescue;
	bool used;
	nta_incoming_t *irq;    /* NULL when cancelled or answered */
	nta_outgoing_t *invite; /* to the other phone */
	uint32_t cseq;
	uint64_t call;
	struct dialog *from;
	struct dialog *to;
	bool offerless; /* the phone asked for an offer: the answer comes with its ACK */
};

struct rescue {
	su_root_t *root;
	struct keeper_conf conf;
	struct track *track;
	struct dialog_table *table;
	struct rescue_callbacks callbacks;
	void *context;
	char contact[96];
	nta_agent_t *agent;
	nta_leg_t *leg; /* default leg: every request at the rescue port */
	su_timer_t *bind_timer;
	su_timer_t *pace_timer;
	struct rescue_pace pace;
	bool running;
	struct keeper_rescue progress;
	struct rescue_call *calls; /* of this epoch */
	uint32_t max_calls;
	uint32_t n_calls;
	uint32_t next_call; /* not started yet from here on */
	uint32_t *call_of;  /* by dialog slot: index + 1 into calls */
	struct rescue_pass passes[RESCUE_PASSES];
	struct ctl_outcome outcomes[RESCUE_OUTCOMES];
	uint64_t n_outcomes;
	struct rescue_counters counters;
};

struct mono rescue_now(void);

/* rescue_send.c */

/* sdp NULL = no body. NULL when it could not be made, which is counted. */
nta_outgoing_t *rescue_send(struct rescue *rescue, struct dialog *dialog, sip_method_t method,
                            const char *name, uint32_t cseq, const char *sdp, size_t sdp_len,
                            nta_response_f *callback, void *magic);
/* Acknowledges the 2xx of *invite with the INVITE's CSeq and lets go of it. */
void rescue_ack(struct rescue *rescue, struct dialog *dialog, nta_outgoing_t **invite, uint32_t cseq,
                const char *sdp, size_t sdp_len);
/* BYE inside the dialog, which is ended with it. */
void rescue_bye(struct rescue *rescue, struct dialog *dialog);
/*
 * Enters a response to a request of ours into the table (dialog NULL: only asks).
 * False: nobody sent it, nta made it up after a timeout or a transport error.
 */
bool rescue_heard(struct rescue *rescue, const struct dialog *dialog, nta_outgoing_t *orq, const sip_t *sip);
/* Where a message really came from; false: made by nta itself. */
bool rescue_source_of(msg_t *msg, struct inaddr16 *ret_addr, uint16_t *ret_port);
/*
 * What to say to `to` when `from` offers or answers: from's last SDP as the next
 * version of the session that `to` knows. Also noted as sent. Length or -errno.
 */
int rescue_sdp_across(struct rescue *rescue, struct dialog *to, const struct dialog *from, bool answer,
                      char *buf, size_t size);
/* What the server last said to the leg, shaped as an answer to its last offer. Length or -errno. */
int rescue_sdp_fallback(struct rescue *rescue, struct dialog *leg, char *buf, size_t size);
/* The SDP in a message that the table could keep. */
bool rescue_has_sdp(const sip_t *sip);

/* rescue_pass.c */
int rescue_on_request(struct rescue *rescue, nta_leg_t *leg, nta_incoming_t *irq, const sip_t *sip);
bool rescue_pass_involves(const struct rescue *rescue, const struct dialog *dialog);
void rescue_pass_forget_all(struct rescue *rescue);

/* rescue.c, for rescue_pass.c */

/* The phone of this leg has hung up: BYE to the other one. */
void rescue_leg_gone(struct rescue *rescue, struct dialog *dialog);
/* True while a re-INVITE of the rescue is under way on this leg's call. */
bool rescue_is_under_way(const struct rescue *rescue, const struct dialog *dialog);

#endif
