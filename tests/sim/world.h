/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A world for the voters' machine in virtual time: the real user/core/lease.c of
 * up to three nodes, a plain C twin of the kernel's part (bpf/lib/echo.h,
 * resign.h), a network that loses, repeats, delays and reorders, and clocks that
 * drift. Event by event; after each the invariants are looked at, and the first
 * one broken is kept in `violation`. No threads, no real time: the same calls
 * give the same history. Used by tests/unit/test_lease*.c and lease_sim.
 */
#ifndef SIPFLIP_SIM_WORLD_H
#define SIPFLIP_SIM_WORLD_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "arbiter.h"
#include "lease.h"

#define SIM_FLYING 512
#define SIM_A      1
#define SIM_B      2
#define SIM_W      3

struct sim_node {
	struct lease lease;
	struct lease_conf conf;
	struct echo_wake wake;
	/* its CLOCK_BOOTTIME: clock_base at real_base, and from there at its own rate */
	int64_t real_base, clock_base, drift_ppm;
	/* the kernel's maps */
	uint64_t word, epoch, armed_until;
	uint32_t flags;
	struct peer peer[4];
	struct msg news; /* EVENT_RESIGN_ACCEPTED on its way to the agent; type 0 = none */
	int64_t news_due;
	bool ring_full; /* events are lost */
	bool healthy;
	bool alive;           /* the machine */
	bool agent;           /* its sipflipd */
	int64_t stalled_till; /* its loop, real time */
	int64_t turn_due;     /* its loop's next turn, real time */
	bool arbiter;         /* it sees the arbiter */
	struct arbiter judged;
	int64_t ask_due;         /* the arbiter, real time */
	int64_t answer_due;      /* its answer on the way, real time; 0 = none */
	bool asked_apart[2];     /* the open question, the answered one: sent when the other was deaf to us */
	uint64_t arbiter_word;   /* the last word that an answer allowed */
	bool arbiter_word_apart; /* and that answer's question was one sent apart */
	int64_t awake_at;        /* its agent began, or went on after a stall, real time */
	int64_t heard_at;        /* the last reflection of the other data node came, real time */
	bool claimed;            /* its ARP probes are answered */
	int die_after;           /* kill -9 after so many further actions; -1 = never */
	int probes;
	int announced;
	int changes;
	uint8_t moves[LEASE_STATES]; /* transitions seen, as in struct lease */
};

struct sim_flying {
	int64_t due;
	uint64_t id; /* the earlier sent first among those due at once */
	int to;
	struct msg msg;
};

struct sim {
	int64_t real;
	struct sim_node node[4]; /* 1 = a, 2 = b, 3 = witness */
	enum lease_silence silence;
	int n_node;
	bool cut[4][4]; /* one-way: from, to */
	int loss_pct, dup_pct;
	int64_t delay_max_ns;
	uint8_t slow_type; /* messages of this kind take slow_ns more; 0 = none */
	int64_t slow_ns;
	struct sim_flying flying[SIM_FLYING]; /* a heap by due, id */
	int n_flying;
	uint64_t ids, rng, steps, lost_full;
	bool excused;   /* the operator's choice gave up one owner only: see two_are_excused() */
	bool two;       /* two own, excused since they began to */
	bool owned[3];  /* at the last look */
	int64_t cut_at; /* the data nodes were cut apart, in one direction or both, the last time */
	bool old_time;  /* a wrong loop: tells the machine the time of its turn's begin */
	int64_t stall_in_turn_ns;
	uint64_t tenure; /* the last owner's epoch */
	int tenant;
	const char *violation;
	FILE *history; /* NULL = none */
};

/* All nodes just started, well and connected. */
void sim_init(struct sim *s, uint64_t seed, enum lease_silence silence, int64_t lease_ns, int64_t echo_ns);
uint32_t sim_rnd(struct sim *s, uint32_t n);
struct mono sim_clock(const struct sim *s, const struct sim_node *n);
void sim_set_drift(struct sim *s, int node, int64_t ppm);
struct lease_view sim_view(struct sim *s, int node);
bool sim_owns(const struct sim *s, int node);
/* The first of the data nodes that owns, 0 = none. */
int sim_owner(const struct sim *s);
/* Next event at or before `until`; false when there is none (then it is `until`), or after a violation. */
bool sim_step(struct sim *s, int64_t until);
void sim_run(struct sim *s, int64_t ns);
void sim_fly(struct sim *s, int from, int to, const struct msg *msg);
void sim_carry_out(struct sim *s, int node, struct lease_actions *out);
void sim_machine_start(struct sim *s, int node);
void sim_agent_start(struct sim *s, int node);
void sim_stall(struct sim *s, int node, int64_t ns);
void sim_server_dies(struct sim *s, int node);
/* As `sipflip switchover`. */
int sim_hand_over(struct sim *s, int node);
void sim_say(struct sim *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
