/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Inside of the ringing calls, shared by rescue_ring.c (which calls, how long),
 * rescue_ring_say.c (what passes across), rescue_ring_prack.c (its reliable 1xx) and rescue_ring_leg.c (the
 * transactions of the dead server, made again from the INVITE as it was on the wire, and what is said in
 * them). Nobody else includes this but rescue_join.c, which calls the local server for a caller nobody
 * rings for.
 */
#ifndef SIPFLIP_CALLS_RESCUE_RING_H
#define SIPFLIP_CALLS_RESCUE_RING_H

#include "rescue_agent.h"

#define RINGS            1024
#define RING_BRANCHES    8
#define RING_PATIENCE_NS (180 * NS_PER_S) /* since the caller's INVITE; Timer C, RFC 3261 16.6 item 11 */

struct rescue_ring;
struct rescue_join;

/* One INVITE of the dead server to a callee. */
struct ring_branch {
	struct rescue_ring *ring;
	nta_outgoing_t *invite; /* NULL once it has its final response */
	uint32_t cseq;
	uint32_t rack;          /* RSeq of the last reliable 1xx; 0 = none */
	struct dialog *rack_of; /* and of which fork */
	uint64_t rack_call;
	bool rack_offer; /* it makes the offer */
	bool rack_waits; /* and its PRACK waits for the caller's answer */
	bool offerless;  /* its INVITE had no SDP: the answer goes with the ACK, or before in a PRACK */
	uint16_t status; /* final status that is not a 2xx; 0 = none yet */
	bool cancelled;
};

struct rescue_ring {
	struct rescue *rescue;
	bool used;
	bool begun;          /* at an earlier rescue_ring_start */
	bool over;           /* the caller has its final response, or is gone */
	bool counted;        /* among the outcomes, and pending */
	uint64_t outcome;    /* its number, if so */
	uint64_t call;       /* as it was at the takeover: groups the legs */
	struct mono until;   /* patience ends */
	nta_incoming_t *irq; /* the caller's INVITE; NULL = no caller, or its leg is up */
	struct dialog *up;   /* the caller's leg where the server had answered it before */
	struct ring_branch branch[RING_BRANCHES];
	uint32_t n_branches;
	struct rescue_join *join;    /* instead of branches: the local server's leg */
	struct ring_branch *waiting; /* its 2xx waits for the answer in the caller's ACK */
};

struct rescue_rings {
	struct rescue *rescue;
	su_timer_t *timer;
	struct rescue_ring ring[RINGS];
};

/* --- rescue_ring.c ---------------------------------------------------------------- */

/* What became of the call, once; result as in struct ctl_outcome, 0 = was not said. */
void ring_outcome(struct rescue_ring *ring, int result, int to_caller, int of_callee, const char *text);

/* --- rescue_ring_say.c ------------------------------------------------------------ */

/* Callbacks of nta for a callee's and the caller's INVITE, and of the local server's leg. */
int ring_on_callee(void *magic, nta_outgoing_t *orq, const sip_t *sip);
int ring_on_caller(void *magic, nta_incoming_t *irq, const sip_t *sip);
void ring_on_local_server(struct rescue_ring *ring, int status, const char *phrase, const sip_t *sip);
/* The caller gets a final response that is no 2xx, and nobody rings any more. */
void ring_refuse(struct rescue_ring *ring, int status, const char *phrase);
/* Both legs are answered: an ordinary rescued call from now on. */
void ring_connect(struct rescue_ring *ring, struct dialog *a, struct dialog *b);
/* CANCEL to each callee but one, and to the local server once it is over. but NULL = all. */
void ring_cancel_all(struct rescue_ring *ring, const struct ring_branch *but);

/* --- rescue_ring_leg.c ---------------------------------------------------------- */

/* The caller's transaction as the dead server had it. NULL when its INVITE does not read well. */
nta_incoming_t *ring_revive_caller(struct rescue *rescue, struct dialog *d);
/* The same bytes again: to the callee a retransmission, to be answered with its last response. */
nta_outgoing_t *ring_revive_callee(struct rescue *rescue, const struct dialog *d, struct ring_branch *branch,
                                   nta_response_f *callback);
/* The caller's dialog now; NULL = not in the table any more. */
struct dialog *ring_caller(const struct rescue_ring *ring);
/* The dialog of a response of a callee, after it was entered into the table. NULL = none. */
struct dialog *ring_callee(struct rescue *rescue, nta_outgoing_t *orq, const sip_t *sip, bool *ret_real);
/* Response in the caller's transaction, also entered into the table. */
void ring_reply(struct rescue_ring *ring, int status, const char *phrase, const char *sdp, int len);
/* What the caller is told of b's SDP in the 200, with the relay between. Length, 0 = nothing, or -errno. */
int ring_sdp_to_caller(struct rescue_ring *ring, struct dialog *a, struct dialog *b, char *buf, size_t size);
/* What a callee that made the offer is answered, once: the caller's SDP, noted as sent. Length, 0 = none. */
size_t ring_answer_callee(struct ring_branch *branch, struct dialog *b, const struct dialog *a, char *buf,
                          size_t size);
/* Acknowledges the callee's 2xx, with that answer where it is due. */
void ring_ack_callee(struct ring_branch *branch, struct dialog *b, const struct dialog *a);
void ring_cancel(struct ring_branch *branch);

/* --- rescue_ring_prack.c ---------------------------------------------------------- */

/* Acknowledges a reliable 1xx of b; if that is an offer which the caller is about to answer, then. */
void ring_prack(struct ring_branch *branch, struct dialog *b, const sip_t *sip);
/* A PRACK in the dialog a (NULL = none), with its ring if that is still there. Answers it and lets go of irq.
 */
void ring_take_prack(struct rescue *rescue, struct rescue_ring *ring, struct dialog *a, nta_incoming_t *irq,
                     const sip_t *sip);
/* The INVITE in ring->irq had no SDP. */
bool ring_caller_asked_for_offer(const struct rescue_ring *ring);

/* --- rescue_join.c, for a caller that nobody rings for ----------------------------- */

/* status >= 100 and what the local server says; after a final status other than 2xx the join is gone. */
typedef void rescue_join_heard(struct rescue_ring *ring, int status, const char *phrase, const sip_t *sip);

/* The local server is called as the caller's INVITE would have done. NULL = could not. */
struct rescue_join *rescue_join_call(struct rescue *rescue, struct dialog *a, struct rescue_ring *ring,
                                     rescue_join_heard *heard);
/* The caller took the 200 that carried the server's SDP: sdp is its answer, where that came with the ACK. */
void rescue_join_connected(struct rescue_join *join, struct dialog *a, const char *sdp, size_t len);
/* The caller has hung up, or never acknowledged. */
void rescue_join_drop(struct rescue_join *join);

#endif
