/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The media of the test tool b2bserver: RTP and RTCP from one leg's port to the
 * other's, in user space, by a few threads. Each thread has a file table of its own
 * (CLONE_FILES undone), since 10,000 calls have more sockets than a process may open;
 * it alone touches the sockets and addresses of its calls.
 */
#ifndef FARM_RELAY_H
#define FARM_RELAY_H

#include "siptext.h"

struct relay_leg {
	uint16_t port; /* RTP, even; RTCP is the next. 0 = none. The caller may read it */
	int fd[2];     /* this and the rest are the thread's */
	struct sockaddr_in media[2];
	bool latched[2];
};

struct relay_call {
	unsigned int thread;
	struct relay_leg leg[2];
};

struct relay_counts {
	uint64_t relayed;
	uint64_t strange; /* not from the source that a leg is latched to */
	uint64_t unsent;
};

/* Before anything else is opened: a thread keeps what is open then. 0 or -errno. */
int relay_start(struct in_addr addr, unsigned int port_first, unsigned int port_last);
/* Dynamic payload types of the caller's leg are higher by `shift` (modulo 32) at the callee's. Before any
 * call. */
void relay_shift(unsigned int shift);
/* What the phone of `side` calls `pt` is called so at the other one. */
unsigned int relay_pt(unsigned int pt, int side);
/* Opens both legs' ports. 0 or -errno, then nothing is open. Each of these waits for the thread. */
int relay_open(struct relay_call *call, unsigned int number);
/* The leg's phone says it is there; a new address is latched anew. */
void relay_learn(struct relay_call *call, int side, const struct sockaddr_in *rtp);
/* Closes what is open. The call may go then. */
void relay_close(struct relay_call *call);
void relay_count(struct relay_counts *ret);

#endif
