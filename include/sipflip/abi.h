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

#define ABI_VERSION   3
#define MAX_SERVICES  64
#define MAX_NODES     16 /* node numbers 1..15 */
#define MAX_VIPS      256
#define MAX_ENDPOINTS 512
#define MAX_SERVERS   1024 /* watched thread groups, and as many sockets */
#define MAX_SIP_PORTS 8
#define MAX_FLOWS     65536  /* four a call: RTP and RTCP of two legs */
#define MAX_STEERED   131072 /* Call-IDs */

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
	__u16 sip_port[MAX_SIP_PORTS]; /* UDP, host order; 0 = none. The first is what sipflip-calls speaks
	                                  from */
	__u16 rescue_port; /* where sipflip-calls listens on the VIP; 0 = no rescue here, nothing is steered
	                    */
	__u8 pad2[6];
};

/*
 * map service_state[service], ARRAY, mmapable. Run-time state that reflections
 * carry and that RESIGN and the forwarding of stale traffic need.
 */
struct service_state {
	__u64 epoch;           /* sipflipd; ingress when it accepts RESIGN */
	__u64 armed_until_ns;  /* sipflipd: until then RESIGN may make us owner */
	__u64 turn_ns;         /* sipflipd: its loop's last turn */
	__u64 ok_ns;           /* sipflipd, capture: last good OPTIONS answer; 0 = none, or no agent */
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
	__u64 agent_pid;        /* sipflipd: the running agent; watch: 0 when it has ended */
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

/*
 * map fresh[service * MAX_NODES + node], ARRAY. What tells a node's message from a
 * replay of it. Written and read by ingress only. newest_ns is by the type of message:
 * this node's own time that came back for REFLECT (sent_ns) and VOTE (grant_ns), for
 * the others the sender's sent_ns.
 */
#define FRESH_TYPES 8
struct fresh {
	__u64 incarnation; /* the sender's: as its newest reflection has it, else its first message; 0 = none
	                    */
	__u64 stranger_ns; /* when a message of another incarnation was last let through */
	__u64 newest_ns[FRESH_TYPES];
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
 * found at start, and itself for no service) and watch (post_bind adds, exit and
 * release remove).
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

/*
 * Media of calls, by the VIP's port. Both maps are arrays that sipflip-calls maps
 * into its memory; the flip touches neither.
 *
 *   map flow_ports[port], ARRAY of __u32, mmapable: first slot in `flows` of this
 *     UDP port (host order), 0 = none; in memory 8 bytes apart, as an array's values
 *     are. Written by sipflip-calls.
 *   map flows[slot], ARRAY, mmapable: one VIP port, which is one leg's RTP or RTCP.
 *     Slot 0 is never used. A slot is filled before it is linked into flow_ports
 *     (release) and unlinked before it is filled anew; slots of other VIPs with
 *     the same port hang on by `next`, at most FLOW_CHAIN of them.
 *
 * With FLOW_SERVER the local server holds the call: its packets pass, and only what
 * the standby will need is noted. Without it the server of this call is not here:
 * while this node owns the service, ingress sends what comes from the known source
 * on to the other leg, and egress lets nothing of the local server out from this port.
 */
#define FLOW_CHAIN 8
#define FLOW_PTS   4

#define FLOW_SERVER 0x01 /* the server that runs here handles it: watch only */
#define FLOW_RTCP   0x02
#define FLOW_HELD   0x04 /* nothing to relay to: the port is only kept from the local server */

struct flow_pt { /* RTP payload types, both 0 = unused */
	__u8 from;
	__u8 to;
};

struct flow {
	/* sipflip-calls writes, the programs read: one cache line */
	struct inaddr16 vip;
	struct inaddr16 remote; /* the phone: what goes out for this leg goes here */
	struct inaddr16 source; /* where the phone's packets come from; zero = the same as remote */
	__u16 vip_port;         /* host order, as all ports here */
	__u16 remote_port;      /* 0 = not known yet: nothing is sent to this leg */
	__u16 source_port;      /* 0 = the same as remote_port */
	__u8 service;
	__u8 flags; /* FLOW_* */
	__u32 peer; /* slot of the other leg's flow; 0 = none */
	__u32 next; /* next slot of the same port */

	/* sipflip-calls writes, ingress reads */
	struct flow_pt pt[FLOW_PTS]; /* of what comes from this leg: payload types to rewrite for the other */
	__u64 generation;            /* odd while the slot is being filled; ingress does not use it then */
	__u8 mac[6]; /* next hop of the phone as its packets showed it, here or at the old owner */
	__u16 pad0;

	/* ingress and egress write, from here to the end */
	__u64 packets; /* from the phone */
	__u64 bytes;   /* of their UDP payload */
	__u64 last_ns; /* when the last one came */
	__u64 sent;    /* to the phone: relayed, or the local server's */
	__u64 strange; /* refused: not from the known source */

	__u64 relatched_ns; /* when the source was taken anew; 0 = never. Once for each filling of the slot */
	__u64 next_hop_ns;  /* next_hop is good until then */
	/* what ingress (from) and egress (to) saw; sipflip-calls reads after a media_event. Port 0 = nothing
	 * yet */
	struct inaddr16 seen_from; /* first or only source of the phone's packets */
	struct inaddr16 seen_to;   /* where the local server sends */
	__u8 next_hop[6];
	__u16 seen_from_port;
	__u8 seen_mac[6];
	__u16 seen_to_port;
};

/* ring buffer media, 256 KiB: something about a flow is new. Writers: ingress, egress. Reader: sipflip-calls.
 */
enum media_event_kind {
	MEDIA_SEEN_FROM = 1, /* first packet, or from another source than before */
	MEDIA_SEEN_TO = 2,
	MEDIA_RELATCHED = 3,
};
struct media_event {
	__u64 at_ns;
	__u32 slot;
	__u32 kind; /* enum media_event_kind */
};

/*
 * map steer{SipHash-2-4 of the Call-ID}, HASH: the dialogs that sipflip-calls
 * answers for while this node owns the service. Written by sipflip-calls, read by
 * ingress (to the rescue port) and egress (the local server may not speak in them).
 * The hash is the reference's (libsodium's crypto_shorthash) over the bytes of the
 * Call-ID under the key of steer_key with the service's number exclusive-ored to k1.
 * map steer_key[0], ARRAY of struct siphash_key: random, made with the maps.
 */
#define STEER_CALL_ID_LEN 256 /* a longer Call-ID is not steered */
struct steer {
	__u64 packets; /* steered; ingress counts */
	__u32 service;
	__u32 pad;
};

/*
 * map keys[slot], ARRAY. SipHash-2-4 keys that are accepted, in any order; a reflection
 * is signed with the one that verified its echo. Written by sipflipd, which itself
 * signs with the first of the key file.
 */
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
_Static_assert(sizeof(struct service_conf) == 96, "service_conf layout");
_Static_assert(sizeof(struct service_state) == 128, "service_state layout");
_Static_assert(sizeof(struct peer) == 80, "peer layout");
_Static_assert(sizeof(struct fresh) == 80, "fresh layout");
_Static_assert(sizeof(struct vip_slot) == 16, "vip_slot layout");
_Static_assert(__builtin_offsetof(struct flow, pt) == 64, "flow: first line");
_Static_assert(__builtin_offsetof(struct flow, relatched_ns) == 128, "flow: third line");
_Static_assert(sizeof(struct flow) == 192, "flow layout");
_Static_assert(sizeof(struct endpoint_key) == 20, "endpoint_key layout");
_Static_assert(sizeof(struct counters) == REASON_COUNT * 8, "one u64 a reason");

#endif
