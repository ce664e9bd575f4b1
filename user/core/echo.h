/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Judging silence. An echo counts as lost only if it was really sent and the
 * observer's own loop was awake for its whole answer window, so that a stall of
 * the observer is never taken for the other side's death. Pure.
 */
#ifndef SIPFLIP_CORE_ECHO_H
#define SIPFLIP_CORE_ECHO_H

#include <stdbool.h>
#include <stdint.h>

#include "mono.h"

#define ECHO_OUTSTANDING 64 /* ring; an older echo is forgotten, not judged */
#define ECHO_LOST_SILENT 3  /* lost in a row: the node is silent */
#define ECHO_RTTS        32

/* Knows when the observer was awake. One for the whole loop. */
struct echo_wake {
	int64_t slack_ns; /* a longer pause between turns is a stall */
	struct mono last_turn;
	struct mono awake_since;
	uint64_t stalls;
	int64_t longest_ns;
};

/* Echoes to one node. Zeroed is a valid start. */
struct echo {
	uint64_t seq; /* of the last one sent; the first is 1 */
	struct {
		struct mono sent;
		bool open;     /* waits for its judgement */
		bool answered; /* its reflection came, in time or late */
	} out[ECHO_OUTSTANDING];
	uint64_t judged; /* all up to this one are answered, lost or excused */
	uint32_t lost_in_row;
	struct mono answered; /* last answer; unset = never */
	uint64_t lost;        /* since start */
	uint64_t excused;     /* not judged because of an own stall */
	uint64_t late;        /* answered after being judged lost */
	uint32_t rtt_us[ECHO_RTTS];
	uint32_t n_rtt;
};

void echo_wake_init(struct echo_wake *wake, int64_t slack_ns, struct mono now);

/* To be called at the begin of each turn of the loop, before anything is read. */
void echo_wake_turn(struct echo_wake *wake, struct mono now);

/* An echo left: returns its number, which the message carries. */
uint64_t echo_sent(struct echo *echo, struct mono now);

/* The number the next echo_sent() will return. */
uint64_t echo_next_seq(const struct echo *echo);

/*
 * Its reflection came. Duplicates and unknown numbers do nothing. Also one that
 * comes after its echo was judged lost is a sign of life. Returns true if it counts.
 */
bool echo_answered(struct echo *echo, uint64_t seq, struct mono now);

/*
 * Judges all echoes whose answer window is over. To be called after the socket
 * was drained in this turn.
 */
void echo_judge(struct echo *echo, const struct echo_wake *wake, int64_t window_ns, struct mono now);

/* ECHO_LOST_SILENT or more lost in a row and nothing answered since. */
bool echo_silent(const struct echo *echo);

/* Median of the recent round trips, us; 0 = none yet. */
uint32_t echo_rtt_us(const struct echo *echo);

#endif
