/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Inside of b2bserver: its calls and what is repeated (b2b_call.c), the messages it
 * writes (b2b_write.c). What comes in is dealt with in b2bserver.c. One thread for SIP.
 */
#ifndef B2B_B2B_H
#define B2B_B2B_H

#include <netinet/in.h>

#include "../farm/relay.h"
#include "../farm/siptext.h"

#define BUCKETS    65536
#define CALLS_MAX  16000
#define GIVE_UP_NS 32000000000LL

enum pair_mode { PAIR_NONE, PAIR_HEADER, PAIR_SESSION_ID };

/* A message that is repeated until it is answered. */
struct repeat {
	char *text; /* NULL = nothing is waiting */
	size_t len;
	int64_t next_ns; /* INT64_MAX = provisionally answered: wait on */
	int64_t pause_ns;
	int64_t until_ns;
};

struct leg {
	struct leg *next; /* in its bucket */
	struct call *call;
	int side; /* 0 = the caller's, 1 = the callee's */
	char call_id[128];
	char tag[32];     /* ours */
	char ours[256];   /* our From or To without a tag */
	char theirs[320]; /* the phone's, with its tag once it is known */
	char target[160];
	struct sockaddr_in flow;
	uint32_t cseq;       /* highest of ours */
	uint32_t their_cseq; /* highest of the phone's */
	uint64_t sdp_id, sdp_version;
	struct repeat request; /* ours, until it is answered */
	bool request_is_invite;
	char timer[64];       /* Session-Expires that the phone is told with our 200; "" = none */
	struct repeat answer; /* our final response to an INVITE, until its ACK */
	char *invite;         /* theirs, while it is not answered */
	size_t invite_len;
};

enum call_state { CALL_RINGING, CALL_UP, CALL_ENDED };

struct call {
	struct leg leg[2];
	struct relay_call media;
	enum call_state state;
	uint32_t number;
	int64_t ended_ns;
};

struct b2b_options {
	struct sockaddr_in bind, callee;
	bool has_callee;
	enum pair_mode pair;
	bool timers;
	const char *name;
	unsigned int port_first, port_last;
};

struct b2b_self {
	int sip;
	struct leg *buckets[BUCKETS];
	struct call *calls[CALLS_MAX];
	uint32_t n_calls, numbers;
	uint64_t up, ended, unsent, unknown, malformed;
	char host[INET_ADDRSTRLEN];
	unsigned int host_port;
	uint32_t run; /* random: no two runs share a tag */
};

extern struct b2b_options opt;
extern struct b2b_self self;

/* b2b_call.c */
void send_sip(const char *text, size_t len, const struct sockaddr_in *to);
void send_text(const struct text *text, const struct sockaddr_in *to);
void repeat_clear(struct repeat *r);
void repeat_start(struct repeat *r, const struct text *text, const struct sockaddr_in *to);
void repeat_tick(struct repeat *r, const struct sockaddr_in *to, int64_t now);
/* What the phone of `from` said, as it is said to the phone of `to`: our address, our o=. */
bool carry_sdp(struct leg *from, struct leg *to, struct span body, struct text *ret);
void copy(char *to, size_t size, struct span from);
struct leg *find(struct span call_id);
void enter(struct leg *leg);
struct leg *other(struct leg *leg);
struct call *new_call(void);
void end_call(struct call *call);
void free_call(struct call *call);

/* b2b_write.c */
void respond(struct leg *leg, const struct sip *sip, const struct sockaddr_in *to, int status,
             const char *reason);
/* The Session-Expires of RFC 4028 in a message, "" = none or not asked to carry it. */
void read_timer(const struct sip *sip, char *ret, size_t size);
/* The answer to the INVITE that the phone of `leg` waits with; final ones are repeated until the ACK. */
void answer_invite(struct leg *leg, int status, const char *reason, struct span sid, const struct text *sdp);
void send_request(struct leg *leg, const char *method);
void send_invite(struct leg *leg, const struct sip *from, const struct text *sdp);
/* An ACK of a 2xx is a transaction of its own; that of a failure belongs to the INVITE's (17.1.1.3). */
void send_ack(struct leg *leg, const struct sip *response);
void send_cancel(struct leg *leg);

#endif
