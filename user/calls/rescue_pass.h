/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Inside of what passes requests across the two legs of a call: rescue_pass.c
 * (who asks what in which dialog, the exchanges), rescue_pass_offer.c (INVITE and
 * UPDATE), rescue_pass_body.c (their SDP), rescue_pass_other.c (the rest) and
 * rescue_pass_refer.c (names of dialogs that are not the same on both legs).
 * Nobody else includes this.
 */
#ifndef SIPFLIP_CALLS_RESCUE_PASS_H
#define SIPFLIP_CALLS_RESCUE_PASS_H

#include "rescue_agent.h"
#include "sdp.h"

#define PASS_PER_DIALOG  8                /* exchanges that one phone may have under way */
#define PASS_BODY_BYTES  8192             /* of a request or an answer */
#define PASS_HEADER_LEN  4096             /* header lines carried with one message */
#define PASS_REFERS      64               /* REFERs remembered; older ones go */
#define PASS_OVERDUE_NS  (180 * NS_PER_S) /* RFC 3261 16.6 item 11: Timer C */
#define PASS_RETRY_MAX_S 10               /* RFC 3261 14.2 */

#define PASS_ALLOW     "INVITE, ACK, BYE, CANCEL, UPDATE, INFO, MESSAGE, NOTIFY, SUBSCRIBE, REFER, PRACK, OPTIONS"
#define PASS_SUPPORTED "timer, 100rel, norefersub"

/* The two descriptions that an offer replaces, for when it comes to nothing. */
struct pass_undo {
	size_t in_len;
	size_t out_len;
	char in[DIALOG_SDP_LEN];  /* what the asking phone had said */
	char out[DIALOG_SDP_LEN]; /* what the other one had been told */
};

/* A request of one phone on its way to the other, and the answer on its way back. */
struct rescue_pass {
	struct rescue *rescue;
	bool used;
	bool offer;        /* re-INVITE or UPDATE; one at a time in a call */
	bool offerless;    /* the phone asked for an offer: the answer comes with its ACK */
	bool waits_ack;    /* and our 200 with that offer is under way */
	bool early_answer; /* a reliable 1xx had the answer */
	bool cancelled;
	bool restoring;      /* offers the old session again to who took a cancelled one */
	nta_incoming_t *irq; /* NULL when nobody waits for an answer */
	nta_outgoing_t *orq;
	sip_method_t method; /* of what goes out */
	uint32_t cseq;       /* of what goes out */
	uint64_t call;
	struct dialog *from;
	struct dialog *to;
	struct mono since;
};

/* --- rescue_pass.c --- */

/* Takes irq. NULL: too many of all, or of this dialog; irq is then still the caller's. */
struct rescue_pass *pass_begin(struct rescue *rescue, nta_incoming_t *irq, struct dialog *from,
                               struct dialog *to);
/* Of an offer; what is in it is rescue_pass_offer.c's. */
struct pass_undo *pass_undo_of(const struct rescue_pass *pass);
/* rescue->passes from here on are free. */
int pass_top(const struct rescue *rescue);
/* Lets go of both transactions; who still waits for an answer gets 500. */
void pass_end(struct rescue_pass *pass);
/* False: a dialog of it went from the table. */
bool pass_is_alive(const struct rescue_pass *pass);
/* Enters a request into the table; without its SDP when that must not count. */
struct dialog *pass_heard(struct rescue *rescue, struct dialog *d, nta_incoming_t *irq, const sip_t *sip,
                          bool with_sdp);
/* The same for the answer to what went out. */
void pass_heard_answer(struct rescue_pass *pass, nta_outgoing_t *orq, const sip_t *sip, bool with_sdp);
/* Answers with a refusal and lets go of irq; headers as in rescue_request. Returns 0, as a callback of nta.
 */
int pass_refuse(struct rescue *rescue, nta_incoming_t *irq, int status, const char *headers);
/* 500 with a Retry-After of 0..10 s (RFC 3261 14.2). */
int pass_refuse_for_now(struct rescue *rescue, nta_incoming_t *irq);
/*
 * The other phone's answer (sip NULL or nta's own: none came) back to the one
 * that asked, then lets go of the exchange. A leg that is over ends the other.
 */
void pass_answer_back(struct rescue_pass *pass, int status, const sip_t *sip);
/* Max-Forwards for what goes on its way because of this request (RFC 7332). */
uint32_t pass_max_forwards(const sip_t *sip);

/* --- rescue_pass_body.c --- */

enum pass_body {
	PASS_NO_BODY,
	PASS_SDP,
	PASS_BAD_SDP, /* does not read, or is longer than the table keeps */
	PASS_OTHER_BODY,
};
/* What a message carries, also as one part of several. ret of PASS_SDP points into home or the message. */
enum pass_body pass_body_of(su_home_t *home, const sip_t *sip, struct sdp *ret);
/* The same as a yes or no: a session description that the table can take. */
bool pass_has_sdp(const sip_t *sip);

/* --- rescue_pass_offer.c --- */

int pass_offer(struct rescue *rescue, struct dialog *d, nta_incoming_t *irq, const sip_t *sip);
/* A phone of it has hung up, or nothing was heard of it for too long: nobody waits for its end any more. */
void pass_offer_drop(struct rescue_pass *pass, int status);

/* --- rescue_pass_other.c --- */

int pass_other(struct rescue *rescue, struct dialog *d, nta_incoming_t *irq, const sip_t *sip);

/* Header lines one after the other. */
struct pass_headers {
	char text[PASS_HEADER_LEN];
	size_t len;
	bool overflow;
};
void pass_header_add(struct pass_headers *headers, const char *name, const char *value);
/* What a final answer of the other phone carries for the one that asked. */
void pass_answer_headers(struct pass_headers *headers, su_home_t *home, const sip_t *sip);

/* --- rescue_pass_refer.c --- */

struct pass_refer {
	uint64_t call;
	const struct dialog *asked_by;
	uint32_t asked_cseq;
	uint32_t sent_cseq;
};
struct pass_refers {
	struct pass_refer refer[PASS_REFERS];
	uint32_t n; /* ever noted */
};

/*
 * Value of Refer-To for the other phone. A Replaces in it names a dialog between
 * this phone and us: what the third phone knows of that call is put in its place,
 * and where the URI leads to the VIP, that phone itself. 0, or -ENOENT: names a dialog that is not in the
 * table.
 */
int pass_refer_to(struct rescue *rescue, su_home_t *home, const sip_refer_to_t *refer_to, const char **ret);
void pass_refer_note(struct rescue *rescue, const struct dialog *asked_by, uint32_t asked_cseq,
                     uint32_t sent_cseq);
/* Value of Event for `to`: an id of a refer subscription is the CSeq that `to` knows (RFC 3515 2.4.6). */
const char *pass_event(struct rescue *rescue, su_home_t *home, const struct dialog *to,
                       const sip_event_t *event);
struct pass_refers *pass_refers(struct rescue *rescue); /* rescue_pass.c */

#endif
