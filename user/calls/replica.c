/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A ZeroMQ socket's descriptor is edge-triggered: it says that something happened,
 * once. So whatever wakes us, and after every send, all sockets are asked for
 * their events until none has any (pump), within a bound a turn.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "addr.h"
#include "log.h"
#include "loop.h"
#include "replica.h"
#include "replica_socket.h"

#define TURN_MESSAGES 128
#define TURN_NS       (2 * NS_PER_MS)
#define TICK_NS       (100 * NS_PER_MS)
#define MORE_NS       NS_PER_MS
#define REBIND_NS     NS_PER_S
#define NAME_LEN      8                   /* "n15" */
#define KEY_FIRST_NS  (200 * NS_PER_MS)   /* no word for so long: its server has the other key */
#define KEY_LAST_NS   (16 * KEY_FIRST_NS) /* each attempt has longer: a machine may be slow */
#define QUIET_NS      (1500 * NS_PER_MS)  /* a peer that was heard within that has the right one */

struct remote {
	struct replica *replica;
	uint8_t node; /* 0 = free */
	char name[NAME_LEN];
	/* what it proves, and what its own server must: the second while keys are changed */
	uint8_t public_key[KEY_SLOTS][32];
	int n_key;
	int key; /* the one that its server is taken to have */
	struct mono opened;
	struct mono heard;
	int64_t patience_ns;
	uint64_t instance; /* of the process that this connection leads to; 0 = none yet */
	uint64_t asking;   /* of the one that connects from there */
	struct inaddr16 addr;
	void *dealer;
	struct loop_fd watch;
};

struct exchange {
	struct replica_session session;
	struct remote *peer; /* NULL = service without replica */
};

struct replica {
	su_root_t *root;
	struct keeper_conf conf;
	char name[NAME_LEN]; /* own, as ROUTERs know us */
	uint64_t instance;
	void *context;
	void *zap;
	void *router;
	struct loop_fd zap_watch;
	struct loop_fd router_watch;
	bool bound;
	int bind_error;
	struct mono bind_again;
	struct loop_alarm alarm;
	struct mono ticked;
	bool pumping;
	struct remote remotes[MAX_NODES];
	struct exchange *exchanges[MAX_SERVICES];
	struct replica_counters counters;
};

static void pump(void *arg);

/* --- whom to let in --------------------------------------------------------- */

static const char *peer_by_key(void *context, const void *key, size_t len)
{
	struct replica *r = context;

	for (int i = 0; i < MAX_NODES; i++) {
		const struct remote *peer = &r->remotes[i];

		for (int k = 0; peer->node && k < peer->n_key; k++)
			if (len == sizeof(peer->public_key[k]) && !memcmp(peer->public_key[k], key, len))
				return peer->name;
	}
	r->counters.replica_key_refused++;
	return NULL;
}

/* --- messages --------------------------------------------------------------- */

static struct exchange *exchange_of(struct replica *r, const struct remote *peer, const Replica__Envelope *e)
{
	for (int i = 0; i < MAX_SERVICES; i++) {
		struct exchange *exchange = r->exchanges[i];

		if (exchange && exchange->peer == peer && strlen(exchange->session.name) == e->service.len &&
		    !memcmp(exchange->session.name, e->service.data, e->service.len))
			return exchange;
	}
	return NULL;
}

/* Another process than this connection led to: it may have another key, and need not be waited for long. */
static void is_asked_by(struct remote *peer, uint64_t instance)
{
	if (instance == peer->asking || instance == peer->instance)
		return;
	peer->asking = instance;
	peer->heard = mono_ns(0);
	peer->opened = loop_now();
	peer->patience_ns = KEY_FIRST_NS;
}

static void message_came(struct replica *r, const struct remote *peer, enum replica_channel channel,
                         zmq_msg_t *frame)
{
	const Replica__Envelope *e = replica_unpack(zmq_msg_data(frame), zmq_msg_size(frame));
	struct exchange *exchange;

	if (!e || e->version != REPLICA_VERSION || !e->instance) {
		r->counters.replica_malformed++;
		return;
	}
	exchange = exchange_of(r, peer, e);
	if (!exchange) {
		r->counters.replica_unknown_peer++;
		return;
	}
	if (channel == REPLICA_TO_CLIENT)
		is_asked_by(exchange->peer, e->instance);
	else
		exchange->peer->instance = e->instance;
	replica_session_handle(&exchange->session, channel, e, loop_now());
}

/* The key says who it is, and the routing id must say the same: answers go there. */
static const struct remote *peer_of_frames(struct replica *r, zmq_msg_t frames[2])
{
	const char *user = zmq_msg_gets(&frames[1], "User-Id");
	size_t len = user ? strlen(user) : 0;

	if (!len || zmq_msg_size(&frames[0]) != len || memcmp(zmq_msg_data(&frames[0]), user, len) != 0)
		return NULL;
	for (int i = 0; i < MAX_NODES; i++)
		if (r->remotes[i].node && !strcmp(r->remotes[i].name, user))
			return &r->remotes[i];
	return NULL;
}

static bool serve_router(struct replica *r)
{
	zmq_msg_t frames[2];
	int n = replica_socket_receive(r->router, frames, 2);
	const struct remote *peer;

	if (n == 0)
		return false;
	peer = n == 2 ? peer_of_frames(r, frames) : NULL;
	if (peer)
		message_came(r, peer, REPLICA_TO_CLIENT, &frames[1]);
	else
		r->counters.replica_unknown_peer++;
	replica_frames_close(frames, n, 2);
	return true;
}

static bool serve_dealer(struct replica *r, struct remote *peer)
{
	zmq_msg_t frame;
	int n = replica_socket_receive(peer->dealer, &frame, 1);

	if (n == 0)
		return false;
	peer->heard = loop_now();
	peer->patience_ns = KEY_FIRST_NS;
	if (n == 1)
		message_came(r, peer, REPLICA_TO_SERVER, &frame);
	else
		r->counters.replica_malformed++;
	zmq_msg_close(&frame);
	return true;
}

static int send_message(void *context, enum replica_channel channel, const void *buf, size_t len)
{
	struct exchange *exchange = context;
	struct remote *peer = exchange->peer;
	struct replica *r = peer->replica;
	int rc;

	if (channel == REPLICA_TO_SERVER) {
		rc = zmq_send(peer->dealer, buf, len, ZMQ_DONTWAIT);
	} else {
		rc = zmq_send(r->router, peer->name, strlen(peer->name), ZMQ_SNDMORE | ZMQ_DONTWAIT);
		if (rc >= 0)
			rc = zmq_send(r->router, buf, len, ZMQ_DONTWAIT);
	}
	if (rc >= 0)
		return 0;
	return errno == EAGAIN ? -EAGAIN : -EHOSTUNREACH;
}

/* --- sockets ---------------------------------------------------------------- */

static int watch(struct replica *r, void *socket, struct loop_fd *loop_fd)
{
	int fd = replica_socket_fd(socket);

	return fd < 0 ? fd : loop_fd_add(loop_fd, r->root, fd, pump, r);
}

static void remote_close(struct remote *peer)
{
	loop_fd_remove(&peer->watch);
	if (peer->dealer)
		zmq_close(peer->dealer);
	peer->dealer = NULL;
}

/* From the node's own address: it is the one that the peer's server lets in. */
static int remote_open(struct remote *peer)
{
	struct replica *r = peer->replica;
	bool v4 = addr_is_v4(&peer->addr);
	char url[160], here[ADDR_TEXT_LEN], there[ADDR_TEXT_LEN];

	peer->opened = loop_now();
	peer->dealer = replica_socket_new(r->context, ZMQ_DEALER, &r->conf);
	if (!peer->dealer)
		return -ENOMEM;
	if (zmq_setsockopt(peer->dealer, ZMQ_CURVE_SERVERKEY, peer->public_key[peer->key], 32) < 0 ||
	    zmq_setsockopt(peer->dealer, ZMQ_ROUTING_ID, r->name, strlen(r->name)) < 0)
		return -errno;
	/* Nothing is queued for a peer that is not there: it would be old when it comes. */
	replica_socket_set(peer->dealer, ZMQ_IMMEDIATE, 1);
	replica_socket_set(peer->dealer, ZMQ_RECONNECT_IVL, 100);
	replica_socket_set(peer->dealer, ZMQ_RECONNECT_IVL_MAX, 1000);
	replica_socket_set(peer->dealer, ZMQ_CONNECT_TIMEOUT, 1000);
	snprintf(url, sizeof(url), v4 ? "tcp://%s:0;%s:%u" : "tcp://[%s]:0;[%s]:%u",
	         addr_format(&r->conf.node_addr, here), addr_format(&peer->addr, there),
	         r->conf.replica_port);
	if (zmq_connect(peer->dealer, url) < 0)
		return -errno;
	return watch(r, peer->dealer, &peer->watch);
}

/* --- the loop --------------------------------------------------------------- */

/* False when the bound of a turn was reached with something left. */
static bool drain(struct replica *r)
{
	struct mono end = mono_add(loop_now(), TURN_NS);

	for (int i = 0; i < TURN_MESSAGES; i++) {
		bool any = replica_door_serve(r->zap, peer_by_key, r);

		any = (replica_socket_readable(r->router) && serve_router(r)) || any;
		for (int p = 0; p < MAX_NODES; p++)
			if (r->remotes[p].node)
				any = (replica_socket_readable(r->remotes[p].dealer) &&
				       serve_dealer(r, &r->remotes[p])) ||
				      any;
		if (!any)
			return true;
		if (!mono_before(loop_now(), end))
			return false;
	}
	return false;
}

static bool flush_all(struct replica *r)
{
	bool more = false;

	for (int i = 0; i < MAX_SERVICES; i++)
		if (r->exchanges[i] && r->exchanges[i]->peer)
			more = replica_session_flush(&r->exchanges[i]->session, loop_now()) || more;
	return more;
}

static void bind_router(struct replica *r, struct mono now)
{
	char url[80], addr[ADDR_TEXT_LEN];
	bool v4 = addr_is_v4(&r->conf.node_addr);
	int error = 0;

	if (r->bound || mono_before(now, r->bind_again))
		return;
	snprintf(url, sizeof(url), v4 ? "tcp://%s:%u" : "tcp://[%s]:%u",
	         addr_format(&r->conf.node_addr, addr), r->conf.replica_port);
	if (zmq_bind(r->router, url) == 0)
		r->bound = true;
	else
		error = errno;
	if (error != r->bind_error)
		calls_log("replica_address=%s %s%s", url, error ? "error=" : "bound=1",
		          error ? zmq_strerror(error) : "");
	r->bind_error = error;
	r->bind_again = mono_add(now, REBIND_NS);
}

/*
 * CURVE's client must know its server's key beforehand. While keys are changed a peer
 * may have been told of the change sooner or later than this node: what its server
 * proves then is found by trying. Whom this node lets in is no such question.
 */
static void try_other_key(struct remote *peer, struct mono now)
{
	if (peer->n_key < 2 || mono_diff(now, peer->opened) < peer->patience_ns ||
	    (mono_is_set(peer->heard) && mono_diff(now, peer->heard) < QUIET_NS))
		return;
	peer->patience_ns = peer->patience_ns * 2 < KEY_LAST_NS ? peer->patience_ns * 2 : KEY_LAST_NS;
	peer->key = !peer->key;
	remote_close(peer);
	if (remote_open(peer) < 0)
		calls_log("replica_peer=%s error=\"no socket: %s\"", peer->name, zmq_strerror(errno));
}

static void tick(struct replica *r, struct mono now)
{
	if (mono_is_set(r->ticked) && mono_diff(now, r->ticked) < TICK_NS)
		return;
	r->ticked = now;
	bind_router(r, now);
	for (int i = 0; i < MAX_NODES; i++)
		if (r->remotes[i].node)
			try_other_key(&r->remotes[i], now);
	for (int i = 0; i < MAX_SERVICES; i++)
		if (r->exchanges[i] && r->exchanges[i]->peer)
			replica_session_tick(&r->exchanges[i]->session, now);
}

static void pump(void *arg)
{
	struct replica *r = arg;
	struct mono now = loop_now();
	bool all, more;

	r->pumping = true;
	tick(r, now);
	more = flush_all(r);
	all = drain(r);
	r->pumping = false;
	loop_alarm_at(&r->alarm, mono_add(loop_now(), !all ? 0 : more ? MORE_NS : TICK_NS));
}

/* --- making it -------------------------------------------------------------- */

static int open_sockets(struct replica *r)
{
	int rc;

	r->context = zmq_ctx_new();
	if (!r->context)
		return -ENOMEM;
	r->zap = replica_socket_new(r->context, ZMQ_REP, &r->conf);
	r->router = replica_socket_new(r->context, ZMQ_ROUTER, &r->conf);
	if (!r->zap || !r->router)
		return errno == EINVAL ? -ENOTSUP : -ENOMEM;
	/* Before anybody can connect: without a handler libzmq lets every key in. */
	if (zmq_bind(r->zap, "inproc://zeromq.zap.01") < 0)
		return -errno;
	replica_socket_set(r->router, ZMQ_CURVE_SERVER, 1);
	replica_socket_set(r->router, ZMQ_ROUTER_MANDATORY, 1);
	replica_socket_set(r->router, ZMQ_ROUTER_HANDOVER, 1);
	rc = watch(r, r->zap, &r->zap_watch);
	return rc < 0 ? rc : watch(r, r->router, &r->router_watch);
}

int replica_new(su_root_t *root, const struct keeper_conf *conf, struct replica **ret)
{
	struct replica *r = calloc(1, sizeof(*r));
	int rc;

	if (!r)
		return -ENOMEM;
	r->root = root;
	r->conf = *conf;
	r->alarm.fd = -1;
	snprintf(r->name, sizeof(r->name), "n%u", conf->node);
	while (!r->instance)
		if (getrandom(&r->instance, sizeof(r->instance), 0) != sizeof(r->instance))
			r->instance = 0;
	*ret = r;
	if (!conf->replica_port)
		return 0;
	if (!zmq_has("curve"))
		rc = -ENOTSUP;
	else
		rc = open_sockets(r);
	if (rc == 0)
		rc = loop_alarm_init(&r->alarm, root, pump, r);
	if (rc == 0) {
		loop_alarm_at(&r->alarm, loop_now());
		return 0;
	}
	replica_free(r);
	*ret = NULL;
	return rc;
}

void replica_free(struct replica *r)
{
	if (!r)
		return;
	loop_alarm_done(&r->alarm);
	for (int i = 0; i < MAX_NODES; i++) {
		remote_close(&r->remotes[i]);
	}
	loop_fd_remove(&r->router_watch);
	loop_fd_remove(&r->zap_watch);
	if (r->router)
		zmq_close(r->router);
	if (r->zap)
		zmq_close(r->zap);
	if (r->context)
		zmq_ctx_term(r->context);
	for (int i = 0; i < MAX_SERVICES; i++)
		free(r->exchanges[i]);
	free(r);
}

static int connect_peer(struct replica *r, struct remote *peer, const struct keeper_conf *conf)
{
	static const uint8_t none[32];
	char addr[ADDR_TEXT_LEN];
	int rc;

	peer->replica = r;
	peer->addr = conf->peer_addr;
	snprintf(peer->name, sizeof(peer->name), "n%u", conf->peer);
	memcpy(peer->public_key[0], conf->peer_public, sizeof(peer->public_key[0]));
	memcpy(peer->public_key[1], conf->peer_other_public, sizeof(peer->public_key[1]));
	peer->patience_ns = KEY_FIRST_NS;
	peer->n_key = memcmp(conf->peer_other_public, none, sizeof(none)) ? 2 : 1;
	/* Strangers are hung up on before they can say a word, or hold a descriptor for long. */
	addr_format(&conf->peer_addr, addr);
	if (zmq_setsockopt(r->router, ZMQ_TCP_ACCEPT_FILTER, addr, strlen(addr)) < 0)
		return -errno;
	rc = remote_open(peer);
	if (rc == 0)
		peer->node = conf->peer;
	return rc;
}

int replica_add_service(struct replica *r, const struct keeper_conf *conf, struct dialog_table *table)
{
	struct exchange *exchange = calloc(1, sizeof(*exchange));
	int service = conf->head.service;

	if (!exchange)
		return -ENOMEM;
	r->exchanges[service] = exchange;
	replica_session_init(&exchange->session, service, conf->name, table, r->instance, send_message,
	                     exchange, &r->counters);
	if (!conf->peer || !r->context)
		return 0;
	struct remote *peer = &r->remotes[conf->peer];

	exchange->peer = peer;
	return peer->node ? 0 : connect_peer(r, peer, conf);
}

/* --- the services' side ----------------------------------------------------- */

static struct exchange *exchange_at(const struct replica *r, int service)
{
	struct exchange *exchange = r->exchanges[service];

	return exchange && exchange->peer ? exchange : NULL;
}

void replica_role(struct replica *r, int service, bool owner, uint64_t epoch)
{
	struct exchange *exchange = exchange_at(r, service);

	if (exchange)
		replica_session_role(&exchange->session, owner, epoch);
}

void replica_flush(struct replica *r, int service)
{
	struct exchange *exchange = exchange_at(r, service);

	if (!exchange || r->pumping)
		return;
	/* A send may swallow the edge of something that came: look, but later. */
	if (replica_session_flush(&exchange->session, loop_now()) || replica_socket_readable(r->router) ||
	    replica_socket_readable(exchange->peer->dealer))
		loop_alarm_at(&r->alarm, loop_now());
}

void replica_holds(struct replica *r, int service, uint32_t dialogs)
{
	if (r->exchanges[service])
		r->exchanges[service]->session.dialogs = dialogs;
}

void replica_status(const struct replica *r, int service, struct replica_status *ret)
{
	struct exchange *exchange = exchange_at(r, service);

	memset(ret, 0, sizeof(*ret));
	if (exchange)
		replica_session_status(&exchange->session, loop_now(), ret);
}

bool replica_caught_up(const struct replica *r, int service)
{
	struct exchange *exchange = exchange_at(r, service);

	return !exchange || exchange->session.caught_up;
}

void replica_restored(struct replica *r, int service)
{
	struct exchange *exchange = exchange_at(r, service);

	if (exchange)
		exchange->session.caught_up = true;
}

const struct replica_counters *replica_counters(const struct replica *r)
{
	return &r->counters;
}
