/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The command line's protocol with the daemons. SOCK_SEQPACKET Unix sockets:
 *   RUN_DIR/control.sock  sipflipd       (status, switchover, events, takeovers, counters)
 *   RUN_DIR/calls.sock    sipflip-calls  (dialogs, outcomes, counters)
 * The client sends one struct ctl_request and reads records until CTL_END, one
 * record a packet. Host order, same machine. Text, JSON and metrics are made in
 * the client. A daemon that gets an unknown op answers CTL_END with -EOPNOTSUPP.
 */
#ifndef SIPFLIP_CONTROL_H
#define SIPFLIP_CONTROL_H

#include "abi.h"
#include "event.h"
#include "keeper.h"

#define CTL_VERSION  2
#define CTL_NAME_LEN 32
#define CTL_TEXT_LEN 128

enum ctl_op {
	CTL_STATUS = 1,     /* -> ctl_instance, then per service ctl_service + its ctl_node... */
	CTL_SWITCHOVER = 2, /* service, node (0 = the heir) -> CTL_END with result */
	CTL_TAKEOVERS = 3,  /* -> ctl_takeover..., oldest first */
	CTL_EVENTS = 4,     /* -> ctl_event...; with follow=1 goes on until the client hangs up */
	CTL_DIALOGS = 5,    /* calls.sock -> ctl_dialog... */
	CTL_OUTCOMES = 6,   /* calls.sock -> ctl_outcome... of the last rescues */
	CTL_COUNTERS = 7,   /* both sockets -> ctl_counter... */
};

struct ctl_request {
	__u32 version; /* CTL_VERSION */
	__u32 op;
	char service[CTL_NAME_LEN]; /* "" = all */
	char node[CTL_NAME_LEN];
	__u32 follow;
	__u32 pad;
	__u64 since; /* CTL_EVENTS: only those with a number above */
};

enum ctl_type {
	CTL_END = 0,
	CTL_INSTANCE = 1,
	CTL_SERVICE = 2,
	CTL_NODE = 3,
	CTL_TAKEOVER = 4,
	CTL_EVENT = 5,
	CTL_DIALOG = 6,
	CTL_OUTCOME = 7,
	CTL_COUNTER = 8,
};

struct ctl_head {
	__u32 type;
	__u32 len; /* of the whole record */
};

struct ctl_end {
	struct ctl_head head;
	__s32 result; /* 0 or -errno */
	__u32 pad;
	char text[CTL_TEXT_LEN]; /* why, for people; "" when there is nothing to say */
};

struct ctl_instance {
	struct ctl_head head;
	char version[16];
	char node[CTL_NAME_LEN]; /* own name */
	char key_id[16];         /* first 8 hex digits of a hash of the key: same on all nodes */
	__u32 pid;
	__u32 calls_pid; /* 0 = not running */
	__u32 rt_priority;
	__u32 calls_restarts;
	__u64 now_ns; /* boottime: every age is against this */
	__u64 started_ns;
	__u64 log_dropped;
	__u64 turn_max_us;     /* longest turn of the loop since start */
	char other_key_id[16]; /* of the key that is accepted as well; "" = none */
};

enum ctl_role {
#define ROLE(name, value) ROLE_##name = value,
#include "roles.def"
#undef ROLE
};

enum ctl_xdp_mode {
	XDP_MODE_NONE = 0, /* no data plane: witness */
	XDP_MODE_NATIVE = 1,
	XDP_MODE_GENERIC = 2,
};

struct ctl_service {
	struct ctl_head head;
	char name[CTL_NAME_LEN];
	char vip[64]; /* first, as text with prefix length */
	char interface[16];
	char mode[16];                /* "witness w", "arbiter", "hold", "release" */
	char not_ready[CTL_TEXT_LEN]; /* why this node, or its heir, is not ready; "" = ready */
	__u32 index;
	__u32 role;       /* enum ctl_role of this node */
	__u32 owner_node; /* node believed to own it; 0 = nobody known */
	__u32 heir_node;  /* 0 = none */
	__u32 heir_ready; /* 1 = would be taken over by it at once */
	__u32 xdp_mode;
	__u64 epoch;
	__s64 lease_left_ns; /* of this node's own word; 0 = fenced; INT64_MAX = forever */
	__u64 lease_ns;
	__u64 echo_ns;
	__u32 verdict;     /* enum health_verdict of the own server */
	__u32 server_tgid; /* 0 = none found */
	__u64 ok_age_ns;   /* ~0 = never */
	__u32 limit_us;
	__u32 p50_us;
	__u32 p99_us;
	__u32 dialogs_here;
	__u32 dialogs_peer;
	__u32 replica_up;
	__u32 rescuable;
	__u32 ringing;
	__u32 relayed;
	__u32 flows;
	__u32 ports_held;
	__u32 arbiter; /* 0 = not configured, 1 = seen, 2 = not seen */
	__u64 takeovers;
	__u64 lapses;         /* times the own lease ran out while owner */
	__u64 contests;       /* times another machine began to claim a VIP */
	__u64 contest_age_ns; /* since its last claim; ~0 = never */
	__u8 contest_mac[8];  /* of who claimed last */
	__u32 contest_on;     /* 1 = it goes on, or is over since a few seconds only */
	__u32 pad;
};

struct ctl_node {
	struct ctl_head head;
	char name[CTL_NAME_LEN];
	char address[64];
	__u32 service;
	__u32 node;
	__u32 status;       /* STATUS_* as it last said */
	__u32 self;         /* 1 = this node */
	__u64 heard_age_ns; /* last authenticated message; ~0 = never */
	__u64 epoch;
	__u32 ok_age_us;
	__u32 turn_age_us;
	__u32 rtt_us; /* median of recent echoes, 0 = unknown */
	__u32 lost;   /* echoes judged lost since start */
	__u64 sent;
};

/* One change of ownership as this node saw it; times boottime of this node, 0 = did not happen here. */
struct ctl_takeover {
	struct ctl_head head;
	char service[CTL_NAME_LEN];
	__u64 number;
	__u64 wall_ns; /* CLOCK_REALTIME of the flip, for people */
	__u64 epoch;
	__u32 from_node;
	__u32 to_node;
	__u32 cause;      /* enum cause */
	__u32 planned;    /* 1 = switchover */
	__u64 last_ok_ns; /* last good answer of the failed server */
	__u64 detected_ns;
	__u64 fenced_ns;
	__u64 resigned_ns;
	__u64 flipped_ns;
	__u64 announced_ns;
	__u64 first_packet_ns;
	__u64 first_reinvite_ns;
	__u64 rescue_done_ns;
	__u32 calls;
	__u32 rescued;
	__u32 failed;
	__u32 skipped;
};

struct ctl_event {
	struct ctl_head head;
	__u64 number;
	__u64 wall_ns;
	__u64 at_ns;
	__u32 level; /* syslog: 3 error, 4 warning, 6 info */
	__u32 pad;
	char text[256]; /* key=value */
};

struct ctl_dialog {
	struct ctl_head head;
	__u64 call;  /* the same number on both legs of a paired call */
	__u32 state; /* 0 early, 1 confirmed, 2 rescuing, 3 rescued, 4 ended */
	__u32 leg;   /* 0 = the server was called (UAS), 1 = the server called (UAC) */
	__u64 age_ns;
	__u32 local_cseq;
	__u32 remote_cseq;
	char service[CTL_NAME_LEN];
	char call_id[CTL_TEXT_LEN]; /* cut with … when longer */
	char from[CTL_TEXT_LEN];
	char to[CTL_TEXT_LEN];
	char remote_target[CTL_TEXT_LEN];
	char flow[64];           /* real address:port */
	char paired_by[32];      /* "sdp", "header", "numbers", "" = single leg */
	char plan[CTL_TEXT_LEN]; /* what a takeover would do, or why not */
	char plan_name[32];      /* the same in one word: "relay", "direct", "rejoin" ... */
	__u32 rescuable;         /* 0 = a takeover would lose the call */
	__u32 local;             /* 1 = the server that runs here holds it */
	struct ctl_stream {
		char vip[64];      /* VIP:port; "" = no such stream */
		char remote[64];   /* the phone's address:port as it is known now */
		__u64 packets;     /* from the phone */
		__u64 sent;        /* to the phone */
		__u64 strange;     /* refused: from elsewhere */
		__u64 last_age_ns; /* ~0 = nothing came yet */
		__u32 relatched;
		__u32 seen; /* 1 = the kernel saw the address, 0 = only the SDP says so */
	} stream[4];        /* RTP and RTCP of the first two media lines: 2 * line + rtcp */
};

struct ctl_outcome {
	struct ctl_head head;
	__u64 epoch;
	__u64 call;
	__u64 started_ns;
	__u64 done_ns;
	__u32 result;   /* 0 pending, 1 rescued, 2 failed, 3 skipped */
	__u32 status_a; /* SIP status of each leg's re-INVITE, 0 = none */
	__u32 status_b; /* of a call that rang: what the caller was told, what the callee said */
	__u32 pad;
	char service[CTL_NAME_LEN];
	char call_id[CTL_TEXT_LEN];
	char text[CTL_TEXT_LEN];
};

/* One named count since the start of what counts it (the kernel's: since the maps were made). */
struct ctl_counter {
	struct ctl_head head;
	__u64 value;
	char source[16];            /* "kernel", "sipflipd", "calls" */
	char service[CTL_NAME_LEN]; /* "" = of the whole source */
	char name[48];
	char help[CTL_TEXT_LEN];
};

#endif
