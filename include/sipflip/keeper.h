/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * sipflipd <-> sipflip-calls. One SOCK_SEQPACKET socketpair, one struct a
 * message, host order (same machine, same build: version checked in HELLO).
 *
 * sipflipd starts sipflip-calls with these descriptors and no others:
 *   0..2  as its own (2 = its log)
 *   3     the socketpair (KEEPER_FD_LINK)
 *   4     the ring-buffer map `capture` (KEEPER_FD_CAPTURE), -1 closed on a node
 *         without a data plane
 *   5     a listening SOCK_SEQPACKET socket RUN_DIR/calls.sock for the command
 *         line (KEEPER_FD_CONTROL), see control.h
 *   6..9  the maps flow_ports, flows, steer, media (abi.h); closed without a data plane
 *   10    a memory file with what the call keeper before it left (KEEPER_FD_TAKE);
 *         closed when that one crashed, or there was none
 *   11    an empty one to leave its own to the next (KEEPER_FD_LEAVE)
 * and then sends one KEEPER_CONF a service, then KEEPER_START. The call keeper
 * drops to conf.user before it reads a byte from anywhere else.
 *
 * Neither side ever blocks on the other: sends are MSG_DONTWAIT; a full socket
 * is counted. End of file on the link ends sipflip-calls; it leaves what it knows in
 * descriptor 11, and sipflipd gives that to the next one when it only starts over.
 */
#ifndef SIPFLIP_KEEPER_H
#define SIPFLIP_KEEPER_H

#include "abi.h"
#include "wire.h"

#define KEEPER_VERSION     2
#define KEEPER_FD_LINK     3
#define KEEPER_FD_CAPTURE  4
#define KEEPER_FD_CONTROL  5
#define KEEPER_FD_PORTS    6
#define KEEPER_FD_FLOWS    7
#define KEEPER_FD_STEER    8
#define KEEPER_FD_MEDIA    9
#define KEEPER_FD_TAKE     10
#define KEEPER_FD_LEAVE    11
#define KEEPER_FD_LAST     11
#define KEEPER_NAME_LEN    32
#define KEEPER_COMMAND_LEN 128

enum keeper_type {
	/* sipflipd -> sipflip-calls */
	KEEPER_CONF = 1,
	KEEPER_START = 2, /* header only: all KEEPER_CONF have been sent */
	KEEPER_ROLE = 3,
	KEEPER_SERVER = 4,
	/* sipflip-calls -> sipflipd */
	KEEPER_HELLO = 16, /* header only: up, privileges dropped */
	KEEPER_HEALTH = 17,
	KEEPER_CALLS = 18,
	KEEPER_RESCUE = 19,
	KEEPER_WARM = 20,
};

struct keeper_head {
	__u16 type; /* enum keeper_type */
	__u8 version;
	__u8 service; /* index; 0 where none */
	__u32 len;    /* of the whole message */
};

enum rescue_mode {
	RESCUE_AGENT = 0,  /* sipflip-calls re-INVITEs */
	RESCUE_OFF = 1,    /* the calls need only the VIP: proxies in the route */
	RESCUE_SERVER = 2, /* the server recovers them itself when told to */
};

struct keeper_conf {
	struct keeper_head head;
	char name[KEEPER_NAME_LEN];
	char user[KEEPER_NAME_LEN]; /* to become before anything else */
	struct inaddr16 vip;        /* the first */
	__u16 sip_port;             /* UDP, the first */
	__u16 rescue_port;          /* sipflip-calls' own SIP port on the VIP, UDP */
	__u16 replica_port;         /* TCP, on the nodes' own addresses */
	__u8 node;                  /* own number */
	__u8 peer;                  /* the other data node's number */
	__u32 probe_interval_us;
	__u32 probe_floor_us;
	__u32 probe_ceiling_us;
	__u32 rescue_rate;      /* calls a second */
	__u32 rescue_mode;      /* enum rescue_mode */
	__u32 max_dialogs;      /* bound of the dialog table */
	__u32 media_direct;     /* 1 = no relay: 3pcc re-INVITEs, media goes from phone to phone */
	__u16 relay_port_first; /* VIP ports for legs that the dead server had given none yet */
	__u16 relay_port_last;
	char link_header[KEEPER_NAME_LEN]; /* carries the other leg's Call-ID; "" = none */
	/* RESCUE_SERVER: FreeSWITCH's event socket on this node and its password */
	struct inaddr16 event_socket;
	__u16 event_socket_port; /* 0 = sipflipd runs the configured command instead */
	__u16 pad0;
	char event_socket_password[KEEPER_NAME_LEN];
	struct siphash_key steer_key; /* abi.h */
	struct inaddr16 node_addr;
	struct inaddr16 peer_addr;
	/* CURVE (RFC 26/CurveZMQ) keys of the replica, derived from the key file */
	__u8 replica_secret[32]; /* own */
	__u8 replica_public[32]; /* own */
	__u8 peer_public[32];
	/* Instance: changes when the agent's maps are made anew */
	__u64 incarnation;
	/* what the event socket is told after a takeover, without "api": "fsctl recover" */
	char event_socket_command[KEEPER_COMMAND_LEN];
	/* while keys are changed: what the peer may prove or hold instead; all zero = nothing */
	__u8 peer_other_public[32];
};

/* The node's role for a service, sent at each change and once after KEEPER_START. */
struct keeper_role {
	struct keeper_head head;
	__u32 owner; /* 1 = this node owns the service now */
	__u32 cause; /* enum cause of the change */
	__u64 epoch;
	__u64 flipped_ns; /* boottime */
	/* 1 = the calls of the former owner's server must be rescued here now:
	 * ownership came from another node. 0 at cold start and agent restart.
	 */
	__u32 rescue;
	__u32 pad;
};

/* What the kernel saw of the SIP server: a hint to probe at once. */
struct keeper_server {
	struct keeper_head head;
	__u32 alive; /* 1 = a process listens; 0 = gone */
	__u32 tgid;
};

enum health_verdict {
	HEALTH_UNKNOWN = 0, /* not probed long enough, or the prober itself was stalled */
	HEALTH_OK = 1,
	HEALTH_HUNG = 2,    /* no sign of life for longer than the limit */
	HEALTH_REFUSED = 3, /* ICMP port unreachable: nobody listens */
};

/* Sent at each change of verdict at once, else at most every 10 ms. */
struct keeper_health {
	struct keeper_head head;
	__u32 verdict;     /* enum health_verdict */
	__u32 outstanding; /* OPTIONS without an answer yet */
	__u64 ok_ns;       /* boottime of the last good OPTIONS answer, 0 = never */
	__u64 life_ns;     /* boottime of the last sign of life of any kind */
	__u32 limit_us;    /* the adaptive limit now */
	__u32 p50_us;      /* of recent answers */
	__u32 p99_us;
	__u32 max_us;
	__u64 probes;
	__u64 answers;
};

/* At each change, at most every 100 ms. */
struct keeper_calls {
	struct keeper_head head;
	__u32 dialogs_here;  /* in the table: tracked or replicated */
	__u32 calls_here;    /* pairs and single legs among them */
	__u32 rescuable;     /* calls a takeover would rescue */
	__u32 dialogs_peer;  /* what the peer said it holds */
	__u32 replica_up;    /* 1 = connected and in step */
	__u32 captured_lost; /* records dropped, malformed or over a bound */
	__u32 ringing;       /* calls not answered yet */
	__u32 relayed;       /* calls whose media this node would relay, or does */
	__u32 flows;         /* slots of the map flows in use */
	__u32 ports_held;    /* ports that the server here wants and a rescued call holds */
	__u32 pad0;
	__u64 replica_seq; /* last applied or sent */
};

/* During and after a rescue. */
struct keeper_rescue {
	struct keeper_head head;
	__u64 epoch;
	__u64 first_reinvite_ns; /* boottime, 0 = none sent yet */
	__u64 last_done_ns;
	__u32 calls;
	__u32 rescued;
	__u32 failed;
	__u32 skipped; /* not rescuable: single leg, no SDP ... */
};

/*
 * Next hops to keep resolved: phones of calls that a takeover would have to reach.
 * The whole set each time, most recent calls first; sipflipd keeps them as managed
 * neighbours (or their gateway) on the service's interface. At most once a second.
 */
#define KEEPER_WARM_ADDRS 256
struct keeper_warm {
	struct keeper_head head;
	__u32 n;
	__u32 pad;
	struct inaddr16 addr[KEEPER_WARM_ADDRS];
};

#endif
