/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the parts of sipflipd share: one sentinel, one thread, one loop
 * (loop.c). service.c carries out what the lease machine decides, takeover.c
 * remembers the changes of ownership, keeper.c runs sipflip-calls, control.c
 * answers the command line.
 */
#ifndef SIPFLIP_SENTINEL_SENTINEL_H
#define SIPFLIP_SENTINEL_SENTINEL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "announce.h"
#include "config.h"
#include "contest.h"
#include "echo.h"
#include "guard.h"
#include "iface.h"
#include "lease.h"
#include "mono.h"
#include "plane.h"
#include "recover.h"
#include "secrets.h"
#include "sipflip/control.h"
#include "sipflip/keeper.h"
#include "warm.h"

#define SENTINEL_TAKEOVERS 64
#define SENTINEL_CLIENTS   8

struct service {
	int index;
	const struct config_service *conf;
	bool here; /* this node has its VIP: data plane, server, call keeper */
	struct iface iface;
	struct lease lease;
	struct announcer announcer;
	/* health of the own server */
	struct keeper_health health; /* the call keeper's last word */
	bool ever_ok;                /* since it was bound, or last hung or refused */
	bool plane_broken;           /* gate or fence is gone and could not be put back */
	uint32_t server_tgid;        /* 0 = none known to the kernel's watch */
	enum cause ill;
	struct mono ill_since;
	enum cause death; /* how the kernel saw it end */
	bool was_healthy;
	struct keeper_calls calls;
	struct recover recover;              /* the configured command after a takeover */
	struct warm warm;                    /* next hops of the phones, kept resolved */
	struct ctl_takeover *takeover;       /* the one that runs or was last, NULL = none */
	struct keeper_rescue rescued_before; /* of its calls, under call keepers that ended */
	struct mono fenced_at;
	struct mono resigned_at;
	enum lease_state told_state; /* last one logged and told to the call keeper */
	uint64_t told_epoch;
	bool told_owner;
	struct mono tell_keeper_at; /* of a loss of role or server: not urgent; unset = nothing to tell */
	uint64_t takeovers;
	/* a planned hand-over lets the server finish first; unset = none under way */
	struct mono drain_next; /* when to resign, or to try again */
	struct mono drain_since;
	enum cause drain_cause;
	uint64_t held_sent;
	uint64_t held_lost; /* held, but the hand-over failed */
	struct contest contest;
};

struct keeper {
	pid_t pid; /* 0 = not running */
	int link;
	int control_listen; /* calls.sock, made once and inherited by each */
	int take;           /* memory file that one left, for the next to take; -1 = none */
	int leave;          /* for the one that runs, to leave its calls in; -1 = none */
	const char *path;
	bool up; /* said HELLO */
	uint32_t restarts;
	struct mono start_after;
	struct mono started;
	bool probes;              /* has told of a server's health, and goes on to */
	struct mono heard;        /* its last message */
	struct mono silent_since; /* for longer than it may be: seen first; unset = it talks */
	int64_t pause_ns;
	uint64_t send_failed;
	uint64_t bad_messages;
};

struct control_client {
	int fd;
	bool follow;
	uint64_t sent; /* number of the last event sent */
};

struct control {
	gid_t group;      /* may ask; 0 = root only */
	gid_t switchover; /* may switch over; 0 = root only */
	int listen;
	struct mono deaf_until; /* no descriptor was left for a client: not listened before */
	struct control_client client[SENTINEL_CLIENTS];
	uint64_t refused;
	uint64_t forbidden;
};

struct sentinel {
	struct config config;
	const char *config_path;
	const char *run_dir;
	const char *pin_dir;
	char **argv;
	int node;
	struct secrets *secrets;
	char key_id[KEY_SLOTS][16]; /* what may be shown of the keys; "" = no second one */
	bool has_plane;
	struct plane plane;
	struct guard guard;   /* of a node without a data plane */
	uint64_t incarnation; /* of a node without maps: the witness */
	int n_service;
	struct service service[MAX_SERVICES];
	int udp;
	int epoll;
	int timer;
	int signals;
	int rt_priority; /* granted; 0 = none */
	struct echo_wake wake;
	struct mono started;
	struct mono plane_check_at;
	struct keeper keeper;
	struct control control;
	struct ctl_takeover takeover[SENTINEL_TAKEOVERS];
	uint64_t n_takeover; /* ever; the newest is [(n - 1) % SENTINEL_TAKEOVERS] */
	struct {
		uint64_t msg_bad; /* messages in user space that did not verify */
		uint64_t msg_mismatch;
		uint64_t send_failed;
		uint64_t actions_dropped;
	} count;
	int64_t turn_max_ns;
	struct mono stop_at; /* set while a clean stop hands over */
	bool quit;
	bool quit_keep; /* SIGUSR2: keep ownership */
	bool reload;
};

/* loop.c */
int loop_run(struct sentinel *s);
/* Socket, timer, signals; after it nothing allocates. 0 or -errno with a log line. */
int loop_init(struct sentinel *s);

/* service.c: glue between the lease machine and the world. */
void service_start(struct sentinel *s, struct service *svc, struct mono now);
void service_tick(struct sentinel *s, struct service *svc, struct mono now);
void service_message(struct sentinel *s, struct service *svc, const struct msg *msg, struct mono now);
void service_event(struct sentinel *s, const struct event *event);
/*
 * Planned: checks that it can be done, then lets the server finish what it has for
 * a moment before it resigns. 0; -EPERM not the owner; -EAGAIN the heir is not ready.
 */
int service_hand_over(struct sentinel *s, struct service *svc, enum cause cause, struct mono now);
void service_held(struct sentinel *s, const struct held_frame *frame);
struct lease_view service_view(const struct sentinel *s, const struct service *svc, struct mono now);
struct mono service_next(const struct service *svc);
/* Once a second: is the data plane still there? */
void service_check_plane(struct sentinel *s, struct service *svc);

/* server.c: the SIP server of this node. */
void service_health(struct sentinel *s, struct service *svc, const struct keeper_health *health);
void service_find_servers(struct sentinel *s);

/* takeover.c: the records behind `sipflip takeovers`. */
void takeover_changed(struct sentinel *s, struct service *svc, uint8_t from, uint8_t to, uint64_t epoch,
                      enum cause cause, struct mono now);
void takeover_resigned_to_us(struct service *svc, const struct msg *msg);
void takeover_update(struct service *svc, const struct service_state *state);
void takeover_rescue(struct service *svc, const struct keeper_rescue *rescue);
/* The next call keeper counts from 0, and what this one had not got to is counted by that one again. */
void takeover_keeper_ended(struct service *svc);
const char *cause_text(enum cause cause);

/* keeper.c */
int keeper_init(struct sentinel *s, const char *path);
void keeper_tick(struct sentinel *s, struct mono now);
void keeper_readable(struct sentinel *s);
void keeper_reap(struct sentinel *s, struct mono now);
void keeper_role(struct sentinel *s, const struct service *svc, enum cause cause, bool rescue);
void keeper_server(struct sentinel *s, const struct service *svc, bool alive);
void keeper_stop(struct sentinel *s);
/* After keeper_stop: what it left is for the sentinel that takes this one's place by exec. */
void keeper_bequeath(struct sentinel *s);

/* control.c */
int control_init(struct sentinel *s);
/* Lets a waiting client in, or sends it away; false = nothing could be done with it for want of memory or
 * descriptors. */
bool control_accept(struct sentinel *s);
void control_readable(struct sentinel *s, int client);
/* New log lines to those who follow. */
void control_flush(struct sentinel *s);
void control_done(struct sentinel *s);
/* A listening SOCK_SEQPACKET socket at run_dir/name, mode 0660 for root and the group. fd or -errno. */
int control_listen(const struct sentinel *s, const char *name);

const char *node_name(const struct sentinel *s, int node);

#endif
