/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Whole SIP datagrams as the cgroup_skb programs copy them into the ring buffer
 * `capture` (32 MiB). Writer: capture.bpf.c. Reader: sipflip-calls, which
 * inherits the map's descriptor. Part of the map ABI.
 *
 * A record is reserved in the smallest class that holds it: payload of up to
 * 456, 712, 968, 1,480, 8,136 or 65,536 bytes; len says how much of data[] is payload.
 * Datagrams whose two ends are both the same VIP (the prober's own OPTIONS on
 * loopback) are not captured.
 */
#ifndef SIPFLIP_CAPTURE_H
#define SIPFLIP_CAPTURE_H

#include "abi.h"

#define CAPTURE_IN  0 /* to the server */
#define CAPTURE_OUT 1 /* from the server */

struct capture_record {
	__u64 at_ns; /* boottime */
	struct inaddr16 remote;
	struct inaddr16 local; /* the VIP */
	__u16 remote_port;     /* host order */
	__u16 local_port;
	__u8 service;
	__u8 direction; /* CAPTURE_IN or CAPTURE_OUT */
	__u8 proto;     /* IPPROTO_UDP */
	__u8 pad;
	__u32 len; /* bytes of data[] in use */
	__u32 pad1;
	__u8 data[];
};

_Static_assert(__builtin_offsetof(struct capture_record, data) == 56, "capture_record layout");

#endif
