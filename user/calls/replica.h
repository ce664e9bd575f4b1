/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The replica's sockets: ZeroMQ over TCP between the nodes' own addresses, each
 * connection encrypted and both ends known by key (CurveZMQ). One ROUTER for
 * everybody who wants our state, one DEALER to each peer whose state we want, and
 * the answer to libzmq's question whom to let in (ZAP, RFC 27): the configured
 * peers, nobody else. What is said is replica_session.c's business.
 */
#ifndef SIPFLIP_CALLS_REPLICA_H
#define SIPFLIP_CALLS_REPLICA_H

#include <sofia-sip/su_wait.h>

#include "replica_session.h"

struct replica;

/*
 * The node's own part of any service's configuration: address, port, keys. Binds
 * now or as soon as it can, tried every second. replica_port 0 = no replica at all.
 * 0, -ENOTSUP: libzmq without CURVE, or -errno.
 */
int replica_new(su_root_t *root, const struct keeper_conf *conf, struct replica **ret);
void replica_free(struct replica *replica);

/* Before the loop runs; table outlives the replica's last call. peer 0 = none. 0 or -errno. */
int replica_add_service(struct replica *replica, const struct keeper_conf *conf, struct dialog_table *table);

void replica_role(struct replica *replica, int service, bool owner, uint64_t epoch);
/* Sends what changed in the service's table: after each handled datagram. */
void replica_flush(struct replica *replica, int service);
/* How many dialogs are held here, for the peer's status. */
void replica_holds(struct replica *replica, int service, uint32_t dialogs);
void replica_status(const struct replica *replica, int service, struct replica_status *ret);
/* This process has had all that the peer held, or has no peer to have it from. */
bool replica_caught_up(const struct replica *replica, int service);
/* The table was filled with what the process before this one left, all of it: its word counts like its own.
 */
void replica_restored(struct replica *replica, int service);
const struct replica_counters *replica_counters(const struct replica *replica);

#endif
