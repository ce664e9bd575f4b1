/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The map ABI: what the BPF programs and sipflipd share through pinned maps.
 * Fixed-width types, natural alignment, explicit zeroed padding. Zero is safe
 * everywhere: a map full of zeros is a node that owns nothing and answers
 * nothing. Bump ABI_VERSION with every change of a layout in this file or in
 * event.h / capture.h; sipflipd refuses to adopt pinned maps of another version.
 *
 * Clock: every *_ns in a map is CLOCK_BOOTTIME (bpf_ktime_get_boot_ns) of the
 * node the map lives on, unless it says otherwise. Services are numbered from 0
 * and nodes from 1 in the order of the configuration, which is the same file on
 * every node; node 0 means "none".
 */
#ifndef SIPFLIP_ABI_H
#define SIPFLIP_ABI_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#define ABI_VERSION   1
#define MAX_SERVICES  64
#define MAX_NODES     16 /* node numbers 1..15 */
#define MAX_VIPS      256
#define MAX_ENDPOINTS 512
#define MAX_SERVERS   1024 /* watched thread groups, and as many sockets */

#define LEASE_FENCED  0ULL
#define LEASE_FOREVER (~0ULL) /* owner with no heir: never expires by itself */

/* An address of either family; IPv4 is mapped (::ffff:a.b.c.d). Network order. */
struct inaddr16 {
	__u8 b[16];
};

/*
 * map ownership[service], ARRAY, mmapable. THE word: this node owns the service
 * while now < lease_until_ns. Written by sipflipd (0, first lease, LEASE_FOREVER)
 * and by ingress (compare-and-swap forward on a grant; from 0 on RESIGN). Read
 * by every program that must know, and nothing else is read for that.
 */
struct ownership {
	__u64 lease_until_ns;
};

/*
 * map service_conf[service], ARRAY, mmapable. Written by sipflipd before the
 * programs are attached and not after, read by BPF. Zero: no such service here.
 */
struct service_conf {
	__u64 lease_ns;
	/* Random and nonzero; made when the maps are, so it survives an agent's
	 * restart and dies with the machine. A grant or RESIGN for another
	 * incarnation is a replay.
	 */
	__u64 incarnation;
	struct inaddr16 node_addr; /* this node's own address: echoes come here */
	struct inaddr16 first_vip; /* the one RESIGN's gratuitous ARP announces */
	__u32 config_tag;          /* of service name, VIPs, nodes and timing */
	__u32 ifindex;
	__u16 echo_port; /* host order */
	__u8 node;       /* this node's number */
	__u8 pad0;
	__u8 mac[6]; /* this node's, on ifindex */
	__u8 pad1[6];
};

/*
 * map service_state[service], ARRAY, mmapable. Run-time state that reflections
 * carry and that RESIGN and the forwarding of stale traffic need.
 */
struct service_state {
	__u64 epoch;           /* sipflipd; ingress when it accepts RESIGN */
	__u64 armed_until_ns;  /* sipflipd: until then RESIGN may make us owner */
	__u64 turn_ns;         /* sipflipd: its loop's last turn */
	__u64 ok_ns;           /* sipflipd: last good OPTIONS answer; 0 = none yet */
	__u64 server_dead_ns;  /* watch when it sees the death; sipflipd clears to 0 */
	__u64 flipped_ns;      /* when the word last left 0: ingress or sipflipd */
	__u64 first_packet_ns; /* ingress: first IP frame for a VIP since flipped_ns; sipflipd clears */
	__u64 started_ns;      /* sipflipd: when the data plane was first loaded */
	__u32 flags;     /* sipflipd: STATUS_HEALTHY, STATUS_HUNG, STATUS_MUTE ... as sent in reflections */
	__u8 forward_to; /* sipflipd: node that gets stale VIP traffic; 0 = drop it */
	/* sipflipd: nonzero while a switchover lets the server finish: IP frames for
	 * the VIP go to the ring `held` instead of the stack, and from there to the heir.
	 */
	__u8 draining;
	__u8 pad[2];
	__u64 agent_pid;        /* sipflipd: the running agent, 0 after a clean stop */
	__u64 promise_until_ns; /* sipflipd: as a voter, for status only */
	__u64 pad2[5];
};

/*
 * map peers[service * MAX_NODES + node], ARRAY, mmapable. What ingress learned
 * from this node's authenticated messages. Written by ingress only.
 */
struct peer {
	__u64 last_echo_ns;   /* when its last good echo came */
	__u64 last_grant_ns;  /* when its last echo with a valid grant came */
	__u64 grant_until_ns; /* grant + lease of that one, on our clock */
	__u64 sent_ns;        /* its own clock in its last echo: RESIGN returns it */
	__u64 incarnation;    /* its own, from its last echo */
	__u64 epoch;          /* the epoch it recognises */
	__u32 flags;          /* STATUS_* from its last echo */
	__u32 ok_age_us;
	__u32 turn_age_us;
	__u32 pad0;
	__u8 mac[8]; /* source MAC of its last good message; [6..7] zero */
	__u64 echoes;
};

/* map vips{addr}, HASH. Written by sipflipd, read by ingress and egress. */
struct vip {
	__u32 service;
	__u32 ifindex;
};

/*
 * vip_slots[256] in the read-only data of ingress and egress: every VIP by its
 * last byte, filled by sipflipd before the load (slots.h) from what it writes
 * into vips. It spares a frame that is none of ours, and mostly also one that
 * is, the look-up. A VIP that is missing is not gated and not fenced.
 */
#define VIP_SLOTS 256
enum slot_kind {
	SLOT_EMPTY = 0, /* no VIP ends in this byte */
	SLOT_ONE = 1,   /* exactly one does, IPv4: addr and vip say which */
	SLOT_ASK = 2,   /* several do, or an IPv6 one: vips knows */
};
struct vip_slot {
	__u32 kind; /* enum slot_kind */
	__u32 addr; /* network order */
	struct vip vip;
};

/*
 * map endpoints{addr, port}, HASH: where the services' SIP servers listen.
 * addr is a VIP, or all zero for a socket bound to any address. Written by
 * sipflipd, read by watch (post_bind) and capture. The value is a bit for each
 * service. port is in host order.
 */
struct endpoint_key {
	struct inaddr16 addr;
	__u16 port;
	__u8 proto; /* IPPROTO_UDP */
	__u8 pad;
};
struct endpoint {
	__u64 services;
};

/*
 * map servers{tgid}, HASH and map sockets{cookie}, HASH: the SIP servers'
 * processes (initial pid namespace) and sockets. Written by sipflipd (what it
 * found at start) and watch (post_bind adds, exit and release remove).
 */
struct server {
	__u64 services;
	__u64 since_ns;
	__u64 dead_ns; /* watch: first sign of death; one event per process */
};
struct server_socket {
	__u64 services;
	__u32 tgid;
	__u32 pad;
};

/*
 * ring buffer held: frames that came for a VIP while its switchover was under way.
 * Writer: ingress. Reader: sipflipd, which sends them to the new owner.
 */
#define HELD_FRAME_BYTES 2048 /* a longer frame is not held but passed */
struct held_frame {
	__u64 at_ns;
	__u32 service;
	__u32 len; /* bytes of frame[] in use */
	__u8 frame[HELD_FRAME_BYTES];
};

/* map keys[slot], ARRAY. SipHash-2-4 keys; slot 0 signs, both are accepted. */
#define KEY_SLOTS 2
struct siphash_key {
	__u64 k0;
	__u64 k1; /* both 0: the slot is empty */
};

/* map abi[0], ARRAY. Written by sipflipd when it creates the maps. */
struct abi {
	__u32 version; /* ABI_VERSION; 0 = not yet initialised */
	__u32 services;
	__u64 created_ns;
};

/*
 * map counters[0], PERCPU_ARRAY of one value: a named field for each reason, so
 * that `bpftool map dump` reads as names and numbers.
 */
enum reason {
#define REASON(name, help) REASON_##name,
#include "reasons.def"
#undef REASON
	REASON_COUNT
};
struct counters {
#define REASON(name, help) __u64 name;
#include "reasons.def"
#undef REASON
};

_Static_assert(sizeof(struct ownership) == 8, "ownership is one word");
_Static_assert(sizeof(struct service_conf) == 72, "service_conf layout");
_Static_assert(sizeof(struct service_state) == 128, "service_state layout");
_Static_assert(sizeof(struct peer) == 80, "peer layout");
_Static_assert(sizeof(struct vip_slot) == 16, "vip_slot layout");
_Static_assert(sizeof(struct endpoint_key) == 20, "endpoint_key layout");
_Static_assert(sizeof(struct counters) == REASON_COUNT * 8, "one u64 a reason");

#endif
