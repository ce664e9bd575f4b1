/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The wire format of the voters' messages: one layout, 80 bytes, in UDP over
 * IPv4 between the nodes' own addresses on the echo port (source port the same).
 * Built by user/core/msg.c and, for reflections, in place by bpf/lib/echo.h.
 *
 * All integers in network order. The tag is SipHash-2-4 (Aumasson, Bernstein
 * 2012; 64-bit output, little-endian words as there) over the 72 bytes before
 * it, written as 8 bytes little-endian.
 *
 * msg.h of user/core has the host-order twin. Fields not named for a type are 0.
 */
#ifndef SIPFLIP_WIRE_H
#define SIPFLIP_WIRE_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#define WIRE_MAGIC      0x5f11 /* "sip flip" */
#define WIRE_VERSION    1
#define WIRE_PORT       7473 /* default of `echo-port` */
#define WIRE_TAGGED_LEN 72

/*
 * ECHO     voter -> data node, each echo interval. grant_ns = τ of the last
 *          reflection this voter grants, 0 = no grant.
 * REFLECT  the ECHO turned round by ingress: sender/target swapped,
 *          sender_inc/target_inc too, seq kept, epoch and status the
 *          reflecting node's own, grant_ns = τ = its boottime now,
 *          sent_ns kept (the voter's own time of sending).
 * VOTE_REQ candidate -> voter. epoch = the epoch it wants, sent_ns = its own
 *          boottime now: its first lease will run from there.
 * VOTE     voter -> candidate. epoch as asked, grant_ns = sent_ns of the
 *          request, target_inc = sender_inc of the request.
 * REFUSE   voter -> candidate: no. epoch = the highest the voter knows,
 *          detail = enum refuse_reason.
 * RESIGN   old owner -> heir, and a copy to the other voters. epoch = the
 *          heir's new one, prev_epoch (in seq) = the one laid down,
 *          grant_ns = heir's sent_ns in its last echo, target_inc = heir's,
 *          detail = enum cause, ok_age_us = age of the last good OPTIONS
 *          answer, turn_age_us = time since the cause was detected.
 */
enum wire_type {
	WIRE_ECHO = 1,
	WIRE_REFLECT = 2,
	WIRE_VOTE_REQ = 3,
	WIRE_VOTE = 4,
	WIRE_REFUSE = 5,
	WIRE_RESIGN = 6,
};

/* Why a service changed hands; in RESIGN's detail, takeover records, events. */
enum cause {
#define CAUSE(name, value, text) CAUSE_##name = value,
#include "causes.def"
#undef CAUSE
};

enum refuse_reason {
	REFUSE_NONE = 0,
	REFUSE_MUTE = 1,        /* voter (re)started less than one lease ago */
	REFUSE_PROMISED = 2,    /* its promise to another still runs */
	REFUSE_OWNER_HEARD = 3, /* it still hears the owner */
	REFUSE_EPOCH = 4,       /* the epoch asked for is not above what it knows */
	REFUSE_OWNER = 5,       /* it is the owner */
};

/* What a node says of itself in ECHO and REFLECT (flags). */
#define STATUS_OWNER       0x01 /* now < lease_until_ns (REFLECT: set by ingress) */
#define STATUS_HEALTHY     0x02 /* its server answers OPTIONS and is not known dead */
#define STATUS_ARMED       0x04 /* would accept RESIGN now (REFLECT: set by ingress) */
#define STATUS_SERVER_DEAD 0x08 /* the kernel saw its server die (REFLECT: set by ingress) */
#define STATUS_HUNG        0x10 /* its server's OPTIONS are overdue */
#define STATUS_MUTE        0x20 /* a voter that may not grant yet */
#define STATUS_CALLS_UP    0x40 /* its call keeper runs and its replica is in step */
#define STATUS_WITNESS     0x80 /* votes, has no VIP */
#define STATUS_CLAIM       0x100 /* its machine is owner, also while its lease has lapsed: grants may renew it */

struct wire_msg {
	__be16 magic;
	__u8 version;
	__u8 type;
	__u8 service;
	__u8 sender; /* node number */
	__u8 target; /* node number */
	__u8 detail;
	__be64 epoch; /* low byte: its owner's node number */
	__be64 seq;
	__be64 sender_inc;
	__be64 target_inc; /* 0 = not known yet */
	__be64 sent_ns;
	__be64 grant_ns;
	__be32 config_tag;
	__be32 flags;
	__be32 ok_age_us;   /* ~0 = never */
	__be32 turn_age_us; /* ~0 = never */
	__u8 tag[8];
};

_Static_assert(sizeof(struct wire_msg) == WIRE_TAGGED_LEN + 8, "wire_msg is 80 bytes");
_Static_assert(__builtin_offsetof(struct wire_msg, tag) == WIRE_TAGGED_LEN, "tag is last");

#endif
