/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * ZeroMQ sockets as the replica needs them: how they are set up, and how messages of
 * bounded size are read from them. Whom a socket lets in is answered here too (ZAP,
 * RFC 27): whoever holds a key that the replica knows, and nobody else. Called by replica.c.
 */
#ifndef SIPFLIP_CALLS_REPLICA_SOCKET_H
#define SIPFLIP_CALLS_REPLICA_SOCKET_H

#include <stdbool.h>
#include <stdint.h>

#include <zmq.h>

#include "sipflip/keeper.h"

/* Of a node, with its keys where the type has a connection. NULL: errno says why. */
void *replica_socket_new(void *context, int type, const struct keeper_conf *conf);
/* 0 or -errno. */
int replica_socket_set(void *socket, int option, int value);
/* The descriptor to wait for, or -errno. */
int replica_socket_fd(void *socket);
bool replica_socket_readable(void *socket);
/*
 * Reads one message of up to `max` frames; surplus frames are read and dropped. Returns their
 * number, 0 = none; replica_frames_close() with the same.
 */
int replica_socket_receive(void *socket, zmq_msg_t *frames, int max);
void replica_frames_close(zmq_msg_t *frames, int n, int max);

/* The name of who proves this key; NULL = nobody that is known. */
typedef const char *replica_door_fn(void *context, const void *key, size_t len);
/* Answers one question of libzmq's; false when there was none. */
bool replica_door_serve(void *zap, replica_door_fn *who, void *context);

#endif
