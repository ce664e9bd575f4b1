/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The voters' machine: who may own a service, decided by one node for one
 * service. Pure: state + event + view + time in, actions out. The sentinel
 * carries the actions out in their order; the kernel's part (renewal by grants,
 * RESIGN) is in bpf/lib/echo.h and resign.h.
 *
 *            start, word is ours and not 0 (agent restarted)
 *   LISTEN ───────────────────────────────────────────────────────▶ OWNER
 *     │ mute for one lease                                          ▲ │ ▲
 *     │                owner heard,                                 │ │ │ RESIGN accepted
 *     │                grants it                    vote of another │ │ │ by ingress
 *     ├─▶ FENCED ───────────────────▶ HEIR ────────▶ CANDIDATE ─────┘ │ │
 *     │      ▲ ▲                      │ ▲ │  promise    │             │ │
 *     │      │ └── owner forgotten ───┘ │ │  expired,   │ refused,    │ │
 *     │      └──────── own server ill ──│─┘  owner      │ owner heard │ │
 *     │                                 │    silent     ▼             │ │
 *     │                                 └──────── FENCED/HEIR         │ │
 *     │                                 └───────── resigned, or ──────┘ │
 *     │                                            higher epoch heard   │
 *     └─▶ WITNESS (grants and votes, never owns)          HEIR ─────────┘
 *
 * Grants. A reflection from owner X carries τ, X's clock when it answered. The
 * voter's next echo returns τ: X may own until τ + lease. The voter's promise to
 * give its vote to nobody else runs for lease + margin from the moment it
 * *received* τ. That is later than τ on any clock, so X's lease from this grant
 * is over before the promise is; echoes that carry the same τ again promise
 * nothing new. (The design's rule 4 counts from the sending of the grant; from
 * the receipt of its τ is as safe and up to one echo interval shorter.)
 *
 * The arbiter. Two voters have no majority. An answer of the arbiter counts for its
 * owner as a grant does: until the time its question was sent + lease. The other
 * node takes over alone only when it has been awake, asking, and has heard nothing
 * of the owner for lease + margin + LEASE_ALONE_ECHOES echoes. So two may own only
 * if the arbiter answered the older one a question sent more than that many echoes
 * after the newer one had last heard it: both saw the arbiter and not each other. A
 * word that no agent renews runs out by itself, as with grants. Once it has run out
 * only the heir's grants renew it.
 */
#ifndef SIPFLIP_CORE_LEASE_H
#define SIPFLIP_CORE_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "echo.h"
#include "mono.h"
#include "msg.h"
#include "sipflip/abi.h"
#include "sipflip/wire.h"

enum lease_state {
#define ROLE(name, value) LEASE_##name = value,
#include "sipflip/roles.def"
#undef ROLE
};
#define LEASE_STATES 6

enum lease_silence {                  /* what a voter pair does when the other is silent */
	             LEASE_WITNESSED, /* three voters: a majority decides */
	             LEASE_ARBITER,
	             LEASE_HOLD,
	             LEASE_RELEASE,
};

struct lease_conf {
	int64_t lease_ns;
	int64_t echo_ns;
	uint32_t config_tag;
	uint64_t incarnation; /* own */
	uint8_t service;
	uint8_t self;
	uint8_t data[2]; /* data nodes in order of preference; 0 = none */
	uint8_t witness; /* 0 = none */
	enum lease_silence silence;
};

/* What the machine is told of the world at each call; the sentinel fills it from the maps. */
struct lease_view {
	struct mono now;
	uint64_t word;           /* ownership.lease_until_ns */
	uint64_t word_epoch;     /* service_state.epoch, read after the word */
	bool healthy;            /* own server answers and lives */
	enum cause ill;          /* why not, when not healthy */
	struct mono ill_since;   /* when that was detected */
	struct mono ok;          /* last good OPTIONS answer */
	uint32_t flags;          /* extra STATUS_* to say of ourselves: HUNG, CALLS_UP, SERVER_DEAD */
	const struct peer *heir; /* ingress's record of the other data node; NULL on a witness */
	struct mono arbiter;     /* LEASE_ARBITER: when the question that it answered last was sent */
	bool vip_unclaimed;      /* LEASE_ARBITER: probed by ARP, nobody answered */
	const struct echo_wake *wake;
};

/* What is known of another node from its reflections. */
struct lease_other {
	uint8_t node; /* 0 = no such node */
	bool data;
	struct echo echo;
	struct mono heard; /* last reflection */
	uint64_t epoch;    /* it recognises */
	uint64_t inc;      /* its incarnation */
	uint64_t tau;      /* granted with the next echo; 0 = no grant */
	uint32_t flags;    /* STATUS_* */
	uint32_t ok_age_us;
	uint32_t turn_age_us;
};

enum lease_action_type {
	LEASE_SEND = 1,  /* msg, to msg.target */
	LEASE_FENCE,     /* store 0; then state.flags without CLAIM */
	LEASE_OWN,       /* store epoch, then compare-and-swap the word from 0 to until */
	LEASE_EXTEND,    /* move a word that is not 0 forward to until, or back from FOREVER; else nothing */
	LEASE_EPOCH,     /* not owner: store the epoch recognised; never a lower one */
	LEASE_FORWARD,   /* stale VIP traffic goes to node (0 = nobody) */
	LEASE_ANNOUNCE,  /* gratuitous ARP, repeated */
	LEASE_PROBE_VIP, /* ask by ARP whether anybody answers for the VIP */
	LEASE_CHANGED,   /* ownership moved as far as this node knows: from, to, cause */
	LEASE_NOTE,      /* something an operator wants to know: text */
};

struct lease_action {
	enum lease_action_type type;
	uint8_t node;
	uint8_t from; /* LEASE_CHANGED */
	enum cause cause;
	uint64_t epoch;
	uint64_t until;
	struct msg msg;
	const char *text; /* static */
};

#define LEASE_MAX_ACTIONS 16
struct lease_actions {
	int n;
	int dropped; /* over the bound; asserted 0 in tests */
	struct lease_action a[LEASE_MAX_ACTIONS];
};

struct lease {
	struct lease_conf conf;
	enum lease_state state;
	uint64_t epoch;     /* recognised: own when OWNER, else of the node granted */
	uint64_t max_epoch; /* highest ever heard or used */
	uint8_t owner;      /* node believed to own; 0 = nobody known */
	struct {
		uint8_t node; /* 0 = none given */
		uint64_t epoch;
		uint64_t inc; /* of the node it was given to */
		struct mono until;
	} promise;
	struct lease_other other[2];
	struct mono listen_until; /* mute before */
	struct mono ask_after;    /* no candidacy before: preference at a cold start */
	struct mono next_echo;
	/* CANDIDATE */
	uint64_t asked_epoch;
	struct mono asked_first;
	struct mono asked_last;
	/* after RESIGN: repeated until the heir shows up */
	struct msg resign;
	struct mono resign_until;
	struct mono resign_last;
	bool alone;  /* OWNER of two voters whose heir grants nothing */
	bool lapsed; /* OWNER whose word has run out */
	struct mono lapsed_since;
	uint64_t lapses;     /* since start */
	uint64_t refused[8]; /* by enum refuse_reason, votes of ours that were refused */
	enum refuse_reason last_refusal;
	bool withholding;            /* grants kept back: owner's server dead, its agent not acting */
	uint8_t moves[LEASE_STATES]; /* by state left: bits of the states entered; a start is none */
};

/* Clock-rate margin of a promise over the lease, ns. */
int64_t lease_margin_ns(int64_t lease_ns);

/*
 * Starts the machine. `word` and `epoch` are what the pinned maps say: a word
 * that is not 0 and whose epoch names this node means the agent restarted under
 * a living data plane, and ownership goes on. Anything else listens first.
 */
void lease_init(struct lease *lease, const struct lease_conf *conf, uint64_t word, uint64_t epoch,
                struct mono now);

/* At each turn of the loop after everything was read: sends due echoes, judges, acts. */
void lease_tick(struct lease *lease, const struct lease_view *view, struct lease_actions *out);

/* An authenticated message from another node of this service. */
void lease_receive(struct lease *lease, const struct msg *msg, const struct lease_view *view,
                   struct lease_actions *out);

/*
 * Ingress accepted this RESIGN: word and epoch are ours already. Should the news
 * of it be late or lost, lease_tick() and lease_receive() go by the word.
 */
void lease_resigned_to_us(struct lease *lease, const struct msg *msg, const struct lease_view *view,
                          struct lease_actions *out);

/* The own server died or hangs, seen this instant: resigns if the heir is ready. */
void lease_server_ill(struct lease *lease, const struct lease_view *view, struct lease_actions *out);

/*
 * Operator or clean stop: hands over. Returns 0, -EPERM not the owner, -EAGAIN
 * the heir is not ready (lease_heir_unready says why).
 */
int lease_hand_over(struct lease *lease, enum cause cause, const struct lease_view *view,
                    struct lease_actions *out);

/* Another machine claimed the VIP while we own it. */
void lease_contested(struct lease *lease, const struct lease_view *view, struct lease_actions *out);

/* NULL = the heir would take over at once; else why not, for people. Owner's view. */
const char *lease_heir_unready(const struct lease *lease, const struct lease_view *view);

/* NULL = this node is fit to be heir; else why not. */
const char *lease_self_unready(const struct lease *lease, const struct lease_view *view);

/* This node accepts RESIGN now; the sentinel keeps armed_until_ns accordingly. */
bool lease_armed(const struct lease *lease, const struct lease_view *view);

/* STATUS_* this node says of itself now. */
uint32_t lease_flags(const struct lease *lease, const struct lease_view *view);

/* When lease_tick() wants to be called next at the latest. */
struct mono lease_next(const struct lease *lease);

const char *lease_state_name(enum lease_state state);

#endif
