/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Is the SIP server alive? Judged from its answers to OPTIONS, with a limit that
 * follows the latency seen. Pure: the prober (user/calls/prober.c) sends, hears
 * and wakes; this file decides. It never reads a clock and never touches the net.
 *
 *            3 answers                 silence > limit
 *  UNKNOWN ─────────────▶ OK ───────────────────────────▶ HUNG
 *     ▲                   │ ▲   answer                    │
 *     │ own stall > limit │ └──────── 3 answers ◀─────────┤
 *     └───────────────────┘                               │
 *   any ── ICMP refusal ──▶ REFUSED ── 3 answers ──▶ OK ◀─┘
 *
 * Silence is how long the oldest unanswered OPTIONS waits and, at the same time,
 * how long the server sent no SIP at all. Both run on the observer's own waking
 * time: probe_tick says when it must be called next, and whatever any call comes
 * later than that is a stall of the observer and is taken off every age.
 * A server that never answered is UNKNOWN, not HUNG: it may not speak OPTIONS.
 */
#ifndef SIPFLIP_CORE_PROBE_H
#define SIPFLIP_CORE_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include "mono.h"
#include "sipflip/keeper.h"

#define PROBE_OUTSTANDING 64 /* unanswered OPTIONS remembered */
#define PROBE_SLOTS       6  /* the latency window: slots of */
#define PROBE_SLOT_NS     (10 * NS_PER_S)
#define PROBE_BUCKETS     184 /* log-linear, 8 an octave, 1 us to over 4 s */
#define PROBE_MIN_ANSWERS 100 /* below, the limit is the ceiling */
#define PROBE_RECOVERY    3   /* answers from not OK to OK */

struct probe_conf {
	int64_t interval_ns;
	int64_t floor_ns;
	int64_t ceiling_ns;
};

struct probe_slot {
	uint32_t count[PROBE_BUCKETS];
	uint32_t answers;
	uint32_t max_us;
};

struct probe {
	struct probe_conf conf;
	enum health_verdict verdict;
	struct mono due; /* probe_tick asked to be called by then */
	struct mono next_send;
	int64_t stalled_ns; /* own stalls since probe_init */
	struct {
		uint64_t seq;
		int64_t sent;     /* here and below: waking time, due clock minus stalled_ns */
	} out[PROBE_OUTSTANDING]; /* oldest first */
	int n_out;
	int64_t waiting_since; /* of the oldest unanswered since the last life; 0 = none */
	int64_t life;
	int64_t suspect; /* over the limit at that tick; the next one confirms. 0 = not */
	int64_t recovered;
	int64_t last_answer;
	int64_t last_answered_sent;
	int64_t refused;
	int run;             /* answers in a row while not OK */
	bool established;    /* was OK once */
	struct mono ok_at;   /* last answer */
	struct mono life_at; /* last sign of life of any kind */
	uint64_t probes;
	uint64_t answers;
	uint64_t late;         /* answers to an OPTIONS no longer remembered */
	uint64_t forgotten;    /* OPTIONS given up without an answer */
	uint64_t stalls;       /* own stalls longer than the limit */
	uint64_t starved;      /* hangs not judged because the server waited for a CPU */
	int64_t starved_since; /* of the silence that runs; 0 = not */
	struct probe_slot slot[PROBE_SLOTS];
	uint32_t total[PROBE_BUCKETS]; /* sum over the slots */
	uint32_t total_answers;
	int newest;
	struct mono slot_end;
	int64_t limit_ns;
	uint32_t p50_us;
	uint32_t p99_us;
	uint32_t max_us;
	uint32_t unread; /* answers since the limit was computed */
};

/* What the prober does now. */
struct probe_turn {
	bool send;        /* send one OPTIONS and say so with probe_sent */
	struct mono wake; /* call probe_tick by then at the latest */
};

void probe_init(struct probe *probe, const struct probe_conf *conf, struct mono now);

/* Judges; call whenever `wake` has come, earlier is harmless. */
struct probe_turn probe_tick(struct probe *probe, struct mono now);

/* Asks for an OPTIONS at the next tick: the kernel saw something happen to the server. */
void probe_hurry(struct probe *probe, struct mono now);

/* One OPTIONS went out; `seq` rises from call to call. */
void probe_sent(struct probe *probe, uint64_t seq, struct mono now);

/* Any final response to OPTIONS `seq`: a 404 comes from a living server too. */
void probe_answered(struct probe *probe, uint64_t seq, struct mono now);

/* The server sent some other SIP message at `at`. */
void probe_life(struct probe *probe, struct mono at, struct mono now);

/* ICMP said that nobody listens. */
void probe_refused(struct probe *probe, struct mono now);

/* Silence has reached the limit; the next tick will judge it a hang. */
bool probe_suspects(const struct probe *probe);

/*
 * The suspected server was runnable and did not get a CPU since the last tick:
 * the judgement is put off to a later tick, for the ceiling at most.
 */
void probe_starved(struct probe *probe, struct mono now);

/* The message for the sentinel; its head is the caller's. */
void probe_health(const struct probe *probe, struct keeper_health *ret);

#endif
