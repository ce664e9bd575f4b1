/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "replica_socket.h"

#include <errno.h>
#include <string.h>

#include "addr.h"
#include "replica_codec.h"

#define QUEUE_MSGS 64 /* each way, each socket */
#define ZAP_FRAMES 7  /* version, request id, domain, address, identity, mechanism, credentials */

int replica_socket_set(void *socket, int option, int value)
{
	return zmq_setsockopt(socket, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

/*
 * libzmq 4.3 aborts the process when a connection breaks while its input waits
 * for room (out_event() of a heartbeat after the I/O error) or is made again
 * meanwhile (restart_input() of the new one; zeromq/libzmq issue 3937). So it has
 * no heartbeat, and its input never waits: the sender keeps to REPLICA_WINDOW.
 * A connection that is dead without a word ends by TCP's own timers.
 */
static void set_timers(void *socket)
{
	replica_socket_set(socket, ZMQ_RCVHWM, 0);
	replica_socket_set(socket, ZMQ_TCP_MAXRT, 2000);
	replica_socket_set(socket, ZMQ_TCP_KEEPALIVE, 1);
	replica_socket_set(socket, ZMQ_TCP_KEEPALIVE_IDLE, 1);
	replica_socket_set(socket, ZMQ_TCP_KEEPALIVE_INTVL, 1);
	replica_socket_set(socket, ZMQ_TCP_KEEPALIVE_CNT, 2);
	replica_socket_set(socket, ZMQ_HANDSHAKE_IVL, 2000);
}

void *replica_socket_new(void *context, int type, const struct keeper_conf *conf)
{
	void *socket = zmq_socket(context, type);
	int64_t max = REPLICA_MESSAGE_MAX;

	if (!socket)
		return NULL;
	replica_socket_set(socket, ZMQ_LINGER, 0);
	replica_socket_set(socket, ZMQ_SNDHWM, QUEUE_MSGS);
	replica_socket_set(socket, ZMQ_RCVHWM, QUEUE_MSGS);
	if (type == ZMQ_REP)
		return socket;
	zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &max, sizeof(max));
	set_timers(socket);
	replica_socket_set(socket, ZMQ_IPV6, !addr_is_v4(&conf->node_addr));
	zmq_setsockopt(socket, ZMQ_ZAP_DOMAIN, "sipflip", 7);
	if (zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, conf->replica_secret, 32) < 0 ||
	    zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, conf->replica_public, 32) < 0) {
		zmq_close(socket);
		return NULL;
	}
	return socket;
}

int replica_socket_fd(void *socket)
{
	int fd;
	size_t len = sizeof(fd);

	return zmq_getsockopt(socket, ZMQ_FD, &fd, &len) < 0 ? -errno : fd;
}

bool replica_socket_readable(void *socket)
{
	int events = 0;
	size_t len = sizeof(events);

	return zmq_getsockopt(socket, ZMQ_EVENTS, &events, &len) == 0 && (events & ZMQ_POLLIN);
}

int replica_socket_receive(void *socket, zmq_msg_t *frames, int max)
{
	int n = 0;
	bool more = true;

	while (more) {
		zmq_msg_t frame;

		zmq_msg_init(&frame);
		if (zmq_msg_recv(&frame, socket, ZMQ_DONTWAIT) < 0) {
			zmq_msg_close(&frame);
			break;
		}
		more = zmq_msg_more(&frame);
		if (n < max) {
			zmq_msg_init(&frames[n]);
			zmq_msg_move(&frames[n], &frame);
		}
		n++;
		zmq_msg_close(&frame);
	}
	return n;
}

void replica_frames_close(zmq_msg_t *frames, int n, int max)
{
	for (int i = 0; i < n && i < max; i++)
		zmq_msg_close(&frames[i]);
}

/* --- whom to let in --------------------------------------------------------- */

static void answer(void *zap, zmq_msg_t frames[ZAP_FRAMES], int n, replica_door_fn *who, void *context)
{
	const char *user = NULL;

	if (n < 2)
		return;
	if (n == ZAP_FRAMES && zmq_msg_size(&frames[5]) == 5 && !memcmp(zmq_msg_data(&frames[5]), "CURVE", 5))
		user = who(context, zmq_msg_data(&frames[6]), zmq_msg_size(&frames[6]));
	zmq_send(zap, "1.0", 3, ZMQ_SNDMORE);
	zmq_send(zap, zmq_msg_data(&frames[1]), zmq_msg_size(&frames[1]), ZMQ_SNDMORE);
	zmq_send(zap, user ? "200" : "400", 3, ZMQ_SNDMORE);
	zmq_send(zap, "", 0, ZMQ_SNDMORE);
	zmq_send(zap, user ? user : "", user ? strlen(user) : 0, ZMQ_SNDMORE);
	zmq_send(zap, "", 0, 0);
}

bool replica_door_serve(void *zap, replica_door_fn *who, void *context)
{
	zmq_msg_t frames[ZAP_FRAMES];
	int n = replica_socket_receive(zap, frames, ZAP_FRAMES);

	if (n == 0)
		return false;
	answer(zap, frames, n, who, context);
	replica_frames_close(frames, n, ZAP_FRAMES);
	return true;
}
