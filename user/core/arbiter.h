/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Judging the arbiter: an answer is worth what was known when its question was
 * sent, so that neither a late answer nor a frozen reader makes it fresher than it
 * is. Pure; ARP itself is the announcer's, what an answer allows is lease.c's.
 *
 * ARP answers carry no number. One is therefore taken for the answer to the oldest
 * question that is still open, and all that were open are closed with it: lost
 * answers make the arbiter look older than it is, never newer. An answer that comes
 * after that, to a question already closed, may pass for the next one's: then it
 * counts for as much too young as it is late.
 */
#ifndef SIPFLIP_CORE_ARBITER_H
#define SIPFLIP_CORE_ARBITER_H

#include "mono.h"

/* Zeroed is a valid start. */
struct arbiter {
	struct mono open;     /* the oldest question without an answer was sent; unset = none is open */
	struct mono answered; /* the question that was answered last was sent; unset = never */
	struct mono seen;     /* when that answer was read */
};

/* A question is about to be sent, at a time read before that. */
void arbiter_asked(struct arbiter *arbiter, struct mono now);
/* An answer to this node was read. */
void arbiter_answered(struct arbiter *arbiter, struct mono now);

#endif
