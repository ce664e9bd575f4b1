/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the BPF programs tell sipflipd through the ring buffer `events`
 * (256 KiB). Writer: ingress, watch. Reader: sipflipd. Part of the map ABI.
 */
#ifndef SIPFLIP_EVENT_H
#define SIPFLIP_EVENT_H

#include "abi.h"
#include "wire.h"

enum event_type {
	EVENT_RESIGN_ACCEPTED = 1, /* msg = the RESIGN; word and epoch are already ours */
	EVENT_RESIGN_REFUSED = 2,  /* msg = the RESIGN; arg = enum reason */
	EVENT_SERVER_SIGNAL = 3,   /* arg = signal, tgid */
	EVENT_SERVER_EXIT = 4,     /* tgid */
	EVENT_SOCKET_RELEASED = 5, /* tgid, arg = cookie */
	EVENT_SERVER_BOUND = 6,    /* tgid, arg = cookie */
	EVENT_CONTEST =
	        7, /* mac = who claimed the VIP, arg = enum reason; at most one a service every 10 ms */
	EVENT_FIRST_PACKET = 8, /* first IP frame for a VIP after a flip */
};

struct event {
	__u64 at_ns; /* boottime */
	__u64 arg;
	__u64 services; /* a bit for each service concerned */
	__u32 type;     /* enum event_type */
	__u32 tgid;
	__u8 mac[8];
	struct wire_msg msg;
};

_Static_assert(sizeof(struct event) == 120, "event layout");

#endif
