/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Inside of the joined calls, shared by rescue_join.c (making the join),
 * rescue_join_pass.c (what passes between the phone and the local server then) and
 * rescue_join_again.c (when another process goes on). Nobody else includes this.
 *
 *   calling --200--> joining --phone's 200--> up
 *      |  (INVITE to the local server)  |  (re-INVITE to the phone)
 *      +--> refused: BYE to the phone   +--> refused: BYE to the server
 */
#ifndef SIPFLIP_CALLS_RESCUE_JOIN_H
#define SIPFLIP_CALLS_RESCUE_JOIN_H

#include "rescue_ring.h"

#define JOINS        4096
#define JOIN_PASSES  256 /* requests other than offers on their way across */
#define JOIN_RETRIES 3   /* of 491 */

enum join_state {
	JOIN_CALLING = 0,
	JOIN_JOINING, /* also: the caller's 200 waits for its ACK */
	JOIN_UP,
};

struct rescue_join {
	struct rescue *rescue;
	bool used;
	uint8_t state; /* enum join_state */
	uint8_t retries;
	bool told;             /* rescue_call_joined was called */
	bool offerless;        /* the server was asked for an offer: the answer goes with our ACK */
	struct dialog *dialog; /* the phone's leg */
	uint64_t call;
	nta_leg_t *leg;         /* to the local server */
	nta_outgoing_t *invite; /* to the server */
	nta_outgoing_t *phone;  /* to the phone */
	uint32_t phone_cseq;
	su_timer_t *retry;
	struct rescue_ring *ring; /* the caller is answered by that; NULL = its leg was up */
	rescue_join_heard *heard;
	/* One offer on its way across at a time, RFC 3261 14.1 */
	nta_incoming_t *offer;
	bool offer_from_phone;
	bool offer_empty; /* it asked for an offer: the answer comes with its ACK */
};

struct join_pass {
	bool used;
	struct rescue_join *join;
	bool from_phone;
	nta_incoming_t *irq;
	nta_outgoing_t *orq;
};

struct rescue_joins {
	struct rescue_join join[JOINS];
	struct join_pass pass[JOIN_PASSES];
	uint32_t hint;       /* next place to look for a free one */
	uint16_t *of_dialog; /* by dialog slot: index + 1 into join */
};

/* --- rescue_join.c ------------------------------------------------------------------ */

/* The phone's leg; NULL = gone meanwhile. */
struct dialog *join_dialog(const struct rescue_join *join);
/* Request in the server's dialog; INVITEs and ACKs carry sdp. NULL = could not. */
nta_outgoing_t *join_ask_server(struct rescue_join *join, sip_method_t method, const char *name,
                                const char *type, const char *body, size_t len, const char *headers,
                                nta_response_f *callback, void *magic);
void join_ack_server(struct rescue_join *join, nta_outgoing_t **invite, const char *sdp, size_t len);
/* The server's SDP as the next one that the phone hears; noted as sent. Length or -errno. */
int join_sdp_to_phone(struct rescue_join *join, const sip_t *sip, char *buf, size_t size);
/* What became of the call, once. */
void join_report(struct rescue_join *join, bool joined, int status, const char *text);
/* Ends what is left of it: BYE or CANCEL to the server when asked for. */
void join_free(struct rescue_join *join, bool tell_server);

/* --- rescue_join_again.c -------------------------------------------------------------- */

/* In the phone's dialog, once it is up: after each request of ours in the server's. */
void join_write_down(struct rescue_join *join);
/* Makes the leg to the server as it was written down. False: it does not read, or no memory. */
bool join_read_back(struct rescue_join *join, nta_request_f *asked);

/* --- rescue_join_pass.c --------------------------------------------------------------- */

/* A request of either side in a join. Returns the status to answer with, 0 = taken. */
int join_pass_request(struct rescue_join *join, bool from_phone, nta_incoming_t *irq, const sip_t *sip);
void join_pass_forget(struct rescue_join *join);

#endif
