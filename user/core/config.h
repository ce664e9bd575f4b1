/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The configuration: one libconfuse file, the same on every node, parsed into a
 * plain struct. Pure: text in, struct or one error out; what needs the machine
 * (does the interface exist, may the key be read) is asked by the callers.
 */
#ifndef SIPFLIP_CORE_CONFIG_H
#define SIPFLIP_CORE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sipflip/abi.h"
#include "sipflip/keeper.h"

#define CONFIG_NAME_LEN     32
#define CONFIG_VIPS         8 /* a service */
#define CONFIG_SIP          8
#define CONFIG_ARBITERS     4
#define CONFIG_DATA_NODES   2 /* for now; the design leaves room for more */
#define CONFIG_MAX_SERVICES MAX_SERVICES
#define CONFIG_PATH_LEN     256

struct config_vip {
	struct inaddr16 addr;
	uint8_t prefix_len; /* 32 when the file gives none */
};

struct config_node {
	char name[CONFIG_NAME_LEN];
	struct inaddr16 addr;
	int line;
};

enum config_silence {
	SILENCE_WITNESS = 0, /* a witness decides: `witness` is set */
	SILENCE_ARBITER,
	SILENCE_HOLD,
	SILENCE_RELEASE,
};

/* Where the media of a call goes after a takeover. */
enum config_media {
	MEDIA_RELAY = 0,  /* through the VIP, in the kernel, from the first packet */
	MEDIA_DIRECT = 1, /* from phone to phone, once both took their re-INVITE */
};

struct config_service {
	char name[CONFIG_NAME_LEN];
	int line;
	char interface[16];
	struct config_vip vip[CONFIG_VIPS];
	int n_vip;
	uint16_t sip_port[CONFIG_SIP]; /* UDP ("udp:5060") */
	int n_sip;
	uint8_t node[CONFIG_DATA_NODES]; /* numbers (1..), order of preference at a cold start */
	int n_node;
	uint8_t witness; /* number, 0 = none */
	enum config_silence on_peer_silence;
	struct inaddr16 arbiter[CONFIG_ARBITERS];
	int n_arbiter;
	char timing[8]; /* "safe", "fast" or "numbers" */
	int64_t echo_ns;
	int64_t lease_ns;
	int64_t probe_interval_ns;
	int64_t probe_floor_ns;
	int64_t probe_ceiling_ns;
	enum rescue_mode rescue;
	uint16_t rescue_port; /* default 5070 */
	uint32_t rescue_rate; /* calls a second, default 200 */
	uint32_t max_dialogs; /* default 20,000 */
	bool probe;           /* default true; false: only the kernel watches the server */
	enum config_media media;
	uint16_t relay_port_first; /* of the VIP, for legs without a port; default 60000 */
	uint16_t relay_port_last;  /* default 61999 */
	char link_header[CONFIG_NAME_LEN];
	/* RESCUE_SERVER: exactly one of the two */
	char recover_command[KEEPER_COMMAND_LEN]; /* absolute path and words; "" = none */
	struct inaddr16 event_socket;             /* port 0 = none */
	uint16_t event_socket_port;
	char event_socket_password_file[CONFIG_PATH_LEN];
	char event_socket_command[KEEPER_COMMAND_LEN]; /* default "fsctl recover" */
};

struct config {
	char key_file[CONFIG_PATH_LEN];         /* absolute; default "/etc/sipflip/key" */
	char user[CONFIG_NAME_LEN];             /* of sipflip-calls; default "sipflip" */
	char run_dir[128];                      /* default "/run/sipflip" */
	char control_group[CONFIG_NAME_LEN];    /* may ask the daemons; "" = root only */
	char switchover_group[CONFIG_NAME_LEN]; /* of them, may switch over; "" = root only */
	uint16_t echo_port;                     /* default WIRE_PORT */
	uint16_t replica_port;                  /* default echo_port + 1 */
	int rt_priority;                        /* default 50, 1..99 */
	struct config_node node[MAX_NODES];     /* [0] is unused: node numbers start at 1 */
	int n_node;                             /* highest number */
	struct config_service service[CONFIG_MAX_SERVICES];
	int n_service;
};

struct config_error {
	char text[512]; /* "FILE:LINE: what is wrong; what to do" */
};

/*
 * Parses `text` (NUL-terminated; `file` only names it in errors) and checks
 * everything that can be checked without a machine: unknown keys, types, ranges,
 * names that do not exist, VIPs used twice, witness that serves, be it another
 * service, lease below 3 echoes, arbiter mode without arbiter, ports used twice, calls'
 * settings that exclude each other.
 * Returns 0, or -EINVAL with *ret_error set and *ret untouched.
 */
int config_parse(const char *text, const char *file, struct config *ret, struct config_error *ret_error);

/* Node number by name, 0 = no such node. */
int config_node_by_name(const struct config *config, const char *name);

/* Service index by name, -1 = no such service. */
int config_service_by_name(const struct config *config, const char *name);

/*
 * 32-bit tag of everything two nodes must agree on for a service (name, VIPs,
 * nodes with their addresses, witness, silence mode, lease and echo): in every message (wire.h).
 */
uint32_t config_service_tag(const struct config *config, int service);

/* Writes the configuration back as text that parses to the same struct. Returns bytes, or -ENOSPC. */
int config_format(const struct config *config, char *buf, size_t size);

#endif
