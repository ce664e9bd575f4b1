/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Inside of the rescue agent, shared by rescue.c (which calls, how fast, the
 * steps of each), rescue_send.c (requests inside a dialog), rescue_timer.c
 * (session timers), rescue_pass*.c (requests that arrive at the rescue port),
 * rescue_ring*.c (calls not answered yet) and rescue_join*.c (calls with a
 * single leg). Nobody else includes this.
 */
#ifndef SIPFLIP_CALLS_RESCUE_AGENT_H
#define SIPFLIP_CALLS_RESCUE_AGENT_H

#define NTA_AGENT_MAGIC_T    struct rescue
#define NTA_LEG_MAGIC_T      struct rescue
#define NTA_OUTGOING_MAGIC_T void
#define NTA_INCOMING_MAGIC_T void

#include <sofia-sip/msg.h>
#include <sofia-sip/nta.h>
#include <sofia-sip/sip.h>

#include "media.h"
#include "media_plan.h"
#include "rescue.h"
#include "rescue_plan.h"
#include "rescue_step.h"

#define RESCUE_PASSES 1024 /* requests on their way across at one time */

/*
 * How far above the last CSeq known the first request after a takeover goes: the
 * server may have sent some that were lost on the way to this node.
 */
#define RESCUE_CSEQ_MARGIN 100

/*
 * Calls that the relay carries wait so long after the flip: before, nobody can know
 * whose media is silent, and those come first.
 */
#define RESCUE_SETTLE_NS (100 * NS_PER_MS)

#define RESCUE_TIMER_LEN  192 /* of rescue_timer_headers */
#define RESCUE_REASON_LEN 96

struct rescue_call;
struct rescue_pass;   /* rescue_pass.c */
struct rescue_timers; /* rescue_timer.c */
struct rescue_rings;  /* rescue_ring.c */
struct rescue_joins;  /* rescue_join.c */

struct rescue_leg {
	struct rescue_call *call;
	struct dialog *dialog;  /* NULL: a single leg has no second one */
	nta_outgoing_t *invite; /* NULL once answered and acknowledged */
	su_timer_t *retry;
	struct rescue_leg_step step; /* plans that ask each leg for itself */
	struct mono asked;           /* first INVITE */
	char *told;                  /* before the offer that is under way; NULL = none is */
	size_t told_len;
	uint32_t cseq; /* of the INVITE */
};

struct rescue_call {
	struct rescue *rescue;
	uint64_t number;          /* the dialogs' call number */
	struct rescue_leg leg[2]; /* a: called the server; b: the server called it */
	struct rescue_step step;  /* plans by third-party call control */
	uint64_t outcome;         /* number of its outcome */
	uint8_t plan;             /* enum rescue_plan */
	uint8_t order;            /* what comes first, see rescue.c */
	bool lost;                /* a leg was gone */
	bool done;
};

struct rescue {
	su_root_t *root;
	struct keeper_conf conf;
	struct track *track;
	struct dialog_table *table;
	struct rescue_callbacks callbacks;
	void *context;
	struct media *media;  /* NULL = nothing is known of packets */
	char contact[96];     /* what phones are told: the VIP and its SIP port, in angle brackets */
	char via[96];         /* the same as sent-by: "SIP/2.0/UDP 10.9.0.100:5060" */
	char server_url[96];  /* of the server that runs here */
	char own_contact[96]; /* what that one is told: the VIP and the port that this process really has */
	char vip[46];         /* as text, for SDP */
	nta_agent_t *agent;
	nta_leg_t *leg; /* of no dialog: what requests inside the table's dialogs are made with */
	su_timer_t *bind_timer;
	su_timer_t *pace_timer;
	su_timer_t *second_timer;
	struct rescue_pace pace;
	struct rescue_policy policy;
	bool running;
	struct mono since;  /* the flip, or when the calls lost their server */
	struct mono settle; /* calls that the relay carries are not asked before */
	bool settled;
	struct keeper_rescue progress;
	struct rescue_call *calls; /* of this epoch */
	uint32_t max_calls;
	uint32_t n_calls;
	uint32_t *order;            /* indices of calls, in the order of their turns */
	uint32_t next_call;         /* in order: not started yet from here on */
	uint32_t *call_of;          /* by dialog slot: index + 1 into calls */
	struct rescue_pass *passes; /* RESCUE_PASSES of them */
	struct rescue_timers *timers;
	struct rescue_rings *rings;
	struct rescue_joins *joins;
	struct ctl_outcome outcomes[RESCUE_OUTCOMES];
	uint64_t n_outcomes;
	struct rescue_counters counters;
};

struct mono rescue_now(void);

/* --- rescue_send.c: requests inside a dialog ------------------------------------- */

/* What goes out besides what the dialog itself says (RFC 3261 12.2.1.1). */
struct rescue_request {
	sip_method_t method;
	const char *name; /* with SIP_METHOD_INFO and the like both at once */
	uint32_t cseq;    /* from dialog_take_cseq(), see rescue_cseq() */
	const char *body; /* NULL = none */
	size_t body_len;
	const char *content_type; /* NULL = application/sdp */
	const char *headers;      /* further header lines, each with its CRLF; NULL = none */
	const char *ack_branch;   /* of the INVITE's Via: ACK only, and for it nta insists on one */
};

/* The next CSeq of ours: well above the server's last one as long as it may have sent more. */
uint32_t rescue_cseq(struct rescue *rescue, struct dialog *dialog);
/* NULL when it could not be made, which is counted. callback NULL for ACK only. */
nta_outgoing_t *rescue_send_request(struct rescue *rescue, struct dialog *dialog,
                                    const struct rescue_request *request, nta_response_f *callback,
                                    void *magic);
/* The same without further headers. sdp NULL = no body. */
nta_outgoing_t *rescue_send(struct rescue *rescue, struct dialog *dialog, sip_method_t method,
                            const char *name, uint32_t cseq, const char *sdp, size_t sdp_len,
                            nta_response_f *callback, void *magic);
/* A callback for what is not waited for: lets go of it with its final response. */
int rescue_quiet(void *magic, nta_outgoing_t *orq, const sip_t *sip);
/* Acknowledges the 2xx of *invite with the INVITE's CSeq and lets go of it. */
void rescue_ack(struct rescue *rescue, struct dialog *dialog, nta_outgoing_t **invite, uint32_t cseq,
                const char *sdp, size_t sdp_len);
/* BYE inside the dialog, which is ended with it. reason: a Reason header's value (RFC 3326), NULL = none. */
void rescue_bye(struct rescue *rescue, struct dialog *dialog, const char *reason);
/*
 * Enters a response to a request of ours into the table (dialog NULL: only asks).
 * False: nobody sent it, nta made it up after a timeout or a transport error.
 */
bool rescue_heard(struct rescue *rescue, const struct dialog *dialog, nta_outgoing_t *orq, const sip_t *sip);
/* Where a message really came from; false: made by nta itself. */
bool rescue_source_of(msg_t *msg, struct inaddr16 *ret_addr, uint16_t *ret_port);
/* How the media of this leg's call goes on. none: a single leg. */
enum media_path rescue_path_of(struct rescue *rescue, const struct dialog *dialog);
/*
 * What to say to `to` when `from` offers or answers: from's last SDP as the next
 * version of the session that `to` knows; where the relay serves, with the VIP and
 * the ports that `to` was told before. Also noted as sent. Length or -errno.
 */
int rescue_sdp_across(struct rescue *rescue, struct dialog *to, const struct dialog *from, bool answer,
                      char *buf, size_t size);
/* What the server last said to the leg, shaped as an answer to its last offer. Length or -errno. */
int rescue_sdp_fallback(struct rescue *rescue, struct dialog *leg, char *buf, size_t size);
/*
 * The leg refused what it was told last, and that never was (RFC 3261 14.1): `before` is in force
 * again. Only the version that the phone has seen stays used up (RFC 3264 section 8).
 */
void rescue_sdp_refused(struct rescue *rescue, struct dialog *leg, const char *before, size_t before_len);
/* The SDP in a message that the table could keep. */
bool rescue_has_sdp(const sip_t *sip);

/* What the server (or this process after it) last said to the leg, as the next version. Length or -errno. */
int rescue_sdp_again(struct rescue *rescue, struct dialog *leg, char *buf, size_t size);

/* --- rescue_timer.c: RFC 4028 ----------------------------------------------------- */

/*
 * Header lines for our INVITE or UPDATE (request NULL) or for our 2xx to the phone's;
 * then the refresh is noted, too. "" where there is no session timer.
 */
const char *rescue_timer_headers(struct rescue *rescue, struct dialog *dialog, const sip_t *request,
                                 char buf[RESCUE_TIMER_LEN]);

/* A 422 said what is the least: the next request offers it. */
void rescue_timer_raise(struct rescue *rescue, struct dialog *dialog, const sip_t *sip);
int rescue_timer_new(struct rescue *rescue); /* 0 or -ENOMEM */
void rescue_timer_free(struct rescue *rescue);
/* Once a second: sends what is due, ends what was not refreshed. */
void rescue_timer_tick(struct rescue *rescue, struct mono now);
/* The agent closes: its transactions are gone. */
void rescue_timer_stop(struct rescue *rescue);

/* --- rescue_pass.c: requests of a known dialog at the rescue port ------------------- */

/* 0 = taken, else the status to answer with. ACKs come here, too. */
int rescue_on_request(struct rescue *rescue, nta_incoming_t *irq, const sip_t *sip);
/* A response that no transaction of ours waits for. msg stays the caller's. */
bool rescue_pass_response(struct rescue *rescue, msg_t *msg, const sip_t *sip);
int rescue_pass_new(struct rescue *rescue); /* 0 or -ENOMEM */
void rescue_pass_free(struct rescue *rescue);
bool rescue_pass_involves(const struct rescue *rescue, const struct dialog *dialog);
void rescue_pass_forget_all(struct rescue *rescue);

/* --- rescue_call.c: the steps of one call --------------------------------------------- */

void rescue_call_start(struct rescue_call *call);
/* One of its legs went while the steps were under way, or before its turn. */
void rescue_call_gone(struct rescue_call *call, const struct dialog *dialog, const char *reason);
void rescue_call_forget(struct rescue_call *call);
/*
 * For rescue_join.c: what became of a single leg that rescue_join_start took; once.
 * status: of the phone's re-INVITE, 0 = none; text for people.
 */
void rescue_call_joined(struct rescue *rescue, struct dialog *dialog, bool joined, int status,
                        const char *text);

/* --- rescue_turns.c: which calls, in what order, how fast ----------------------------- */

/* Enters what is to be done; only_orphans: not what an agent holds already. */
void rescue_plan_calls(struct rescue *rescue, bool only_orphans);
void rescue_sort_turns(struct rescue *rescue);
/* Starts those whose turn it is, and comes back for the rest. */
void rescue_take_turns(struct rescue *rescue);
/* Calls found without a server, or left half-way. */
void rescue_adopt_orphans(struct rescue *rescue);
void rescue_forget_calls(struct rescue *rescue);

/* --- rescue.c ----------------------------------------------------------------------- */

/* NULL when it is not one of this rescue. */
struct rescue_call *rescue_call_of(const struct rescue *rescue, const struct dialog *dialog);
uint64_t rescue_new_outcome(struct rescue *rescue, const struct dialog *dialog);
/* NULL when newer ones took its place. */
struct ctl_outcome *rescue_outcome_of(struct rescue *rescue, uint64_t number);
/* Counts what became of it, and puts it down; result as in struct ctl_outcome. rescue_report() is the
 * caller's. */
void rescue_end_outcome(struct rescue *rescue, uint64_t number, int result, int status_a, int status_b,
                        const char *text);
/* A call that nothing can be done for, with its outcome. */
void rescue_skip(struct rescue *rescue, const struct dialog *dialog, const char *why);
void rescue_report(struct rescue *rescue);
/* Nothing came from this leg's phone since then, as far as anybody knows. */
bool rescue_is_silent(struct rescue *rescue, const struct dialog *dialog, struct mono since);

/* The phone of this leg has hung up: BYE to the other one, with `reason` as in rescue_bye(). */
void rescue_leg_gone(struct rescue *rescue, struct dialog *dialog, const char *reason);
/* This leg's phone answered a request of ours with 481 or 408: the leg ends, BYE with the reason to the
 * other. */
void rescue_leg_lost(struct rescue *rescue, struct dialog *dialog, int status);
/* True while a re-INVITE of the rescue is under way on this leg's call. */
bool rescue_is_under_way(const struct rescue *rescue, const struct dialog *dialog);

/* --- rescue_ring.c: calls that were not answered when the server died ---------------- */

/* At each rescue_start. 0 or -errno, which only costs the ringing calls. */
int rescue_ring_start(struct rescue *rescue, struct mono now);
/* The node owns no more, or the agent closes: all transactions are gone with it. */
void rescue_ring_stop(struct rescue *rescue);
/* The phone of this answered leg has hung up. True: others rang for it, and stop. */
bool rescue_ring_leg_gone(struct rescue *rescue, const struct dialog *dialog);
/* Every request (all PRACKs, and ACK and CANCEL, too) before the others see it. True = taken with its irq. */
bool rescue_ring_request(struct rescue *rescue, nta_incoming_t *irq, const sip_t *sip);

/* --- rescue_join.c: one leg to the server that runs here now ------------------------- */

/* At the call's turn. False: cannot be joined. */
bool rescue_join_start(struct rescue *rescue, struct dialog *dialog);
/* A leg that the server which runs here has: another process had joined it, before this one. */
void rescue_join_resume(struct rescue *rescue, struct dialog *dialog);
bool rescue_join_request(struct rescue *rescue, nta_incoming_t *irq, const sip_t *sip);
void rescue_join_stop(struct rescue *rescue);
/* The phone of this single leg is gone. True: its new other half was told. */
bool rescue_join_leg_gone(struct rescue *rescue, struct dialog *dialog);

#endif
