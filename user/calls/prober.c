/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One socket, bound to the VIP and connected to the server's address: whatever
 * arrives on it is the server's answer or the kernel's ICMP refusal, as the very
 * error. Answers are parsed by sofia-sip. Its transactions (nta) are not used
 * here: each would leave a timer behind, and su_root spins through the last
 * millisecond before a timer, which at 100 OPTIONS a second is 5 % of a CPU.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <netinet/in.h>

#include <sofia-sip/msg.h>
#include <sofia-sip/msg_parser.h>
#include <sofia-sip/sip_header.h>

#include "addr.h"
#include "loop.h"
#include "prober.h"
#include "starved.h"

#define REPORT_NS    (10 * NS_PER_MS - NS_PER_MS / 2)
#define REBIND_NS    NS_PER_S
#define TURN_ANSWERS 64
#define CSEQ_MASK    0x7fffffff /* RFC 3261 8.1.1.5 */

struct prober {
	su_root_t *root;
	struct keeper_conf conf;
	struct prober_callbacks callbacks;
	void *context;
	struct probe probe;
	int fd; /* -1 until the VIP could be bound */
	struct loop_fd watch;
	int bind_error;
	struct loop_alarm alarm;
	struct mono reported;
	enum health_verdict said;
	uint64_t seq;
	uint64_t nonce; /* in Call-ID, tag and branch */
	char host[56];  /* as in a URI: IPv6 in brackets */
	uint16_t own_port;
	pid_t server; /* as the sentinel knows it; 0 = not known */
	struct starved_look look;
	bool looked;
};

static void report(struct prober *p, struct mono now)
{
	bool changed = p->probe.verdict != p->said;

	if (!changed && mono_diff(now, p->reported) < REPORT_NS)
		return;
	p->said = p->probe.verdict;
	p->reported = now;
	p->callbacks.health(p->context, &p->probe, changed);
}

/* --- what comes ------------------------------------------------------------- */

/* The server's own time to answer ends here; what it says does not matter, only that it does. */
static void datagram_came(struct prober *p, const char *data, size_t len, struct mono now)
{
	msg_t *msg = msg_make(sip_default_mclass(), 0, data, (ssize_t)len);
	const sip_t *sip = msg ? sip_object(msg) : NULL;

	if (sip && sip->sip_status && sip->sip_cseq && sip->sip_cseq->cs_method == sip_method_options) {
		uint64_t seq = (p->seq & ~(uint64_t)CSEQ_MASK) | sip->sip_cseq->cs_seq;

		if (seq > p->seq)
			seq -= (uint64_t)CSEQ_MASK + 1;
		if (sip->sip_status->st_status >= 200)
			probe_answered(&p->probe, seq, now);
		else
			probe_life(&p->probe, now, now);
	} else if (sip && sip->sip_request) {
		probe_life(&p->probe, now, now);
	}
	if (msg)
		msg_destroy(msg);
}

static void readable(void *arg)
{
	struct prober *p = arg;
	static char buf[65536];

	for (int i = 0; i < TURN_ANSWERS; i++) {
		ssize_t got = recv(p->fd, buf, sizeof(buf), MSG_DONTWAIT);
		struct mono now = loop_now();

		if (got >= 0)
			datagram_came(p, buf, (size_t)got, now);
		else if (errno == ECONNREFUSED)
			probe_refused(&p->probe, now);
		else
			break;
		report(p, now);
	}
}

/* --- OPTIONS ---------------------------------------------------------------- */

static void send_options(struct prober *p)
{
	char buf[1024];
	uint64_t seq = ++p->seq;
	int len = snprintf(buf, sizeof(buf),
	                   "OPTIONS sip:%s:%u SIP/2.0\r\n"
	                   "Via: SIP/2.0/UDP %s:%u;rport;branch=z9hG4bK%" PRIx64 "-%" PRIx64 "\r\n"
	                   "Max-Forwards: 70\r\n"
	                   "From: <sip:sipflip@%s>;tag=%" PRIx64 "-%" PRIx64 "\r\n"
	                   "To: <sip:%s:%u>\r\n"
	                   "Call-ID: %" PRIx64 "-%" PRIx64 "@sipflip\r\n"
	                   "CSeq: %" PRIu64 " OPTIONS\r\n"
	                   "Contact: <sip:sipflip@%s:%u>\r\n"
	                   "Accept: application/sdp\r\n"
	                   "User-Agent: sipflip\r\n"
	                   "Content-Length: 0\r\n\r\n",
	                   p->host, p->conf.sip_port, p->host, p->own_port, p->nonce, seq, p->host, p->nonce,
	                   seq, p->host, p->conf.sip_port, p->nonce, seq, seq & CSEQ_MASK, p->host,
	                   p->own_port);

	/* Before it is sent: on loopback the answer may be there when send() returns. */
	probe_sent(&p->probe, seq, loop_now());
	if (send(p->fd, buf, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == ECONNREFUSED) {
		/* of the one before; this one did not leave */
		probe_refused(&p->probe, loop_now());
		report(p, loop_now());
	}
}

static socklen_t socket_address(const struct inaddr16 *addr, uint16_t port, struct sockaddr_storage *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (addr_is_v4(addr)) {
		struct sockaddr_in *in = (struct sockaddr_in *)ret;

		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		in->sin_addr.s_addr = addr_to_be32(addr);
		return sizeof(*in);
	}
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;

	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(port);
	memcpy(&in6->sin6_addr, addr->b, sizeof(addr->b));
	return sizeof(*in6);
}

/* 0 = bound and connected. The chosen port must not be the server's own, or we would take it away. */
static int connect_vip(struct prober *p, int fd)
{
	struct sockaddr_storage own, server;
	socklen_t len = socket_address(&p->conf.vip, 0, &own);

	socket_address(&p->conf.vip, p->conf.sip_port, &server);
	if (bind(fd, (struct sockaddr *)&own, len) < 0 || getsockname(fd, (struct sockaddr *)&own, &len) < 0)
		return -errno;
	p->own_port = ntohs(own.ss_family == AF_INET ? ((struct sockaddr_in *)&own)->sin_port
	                                             : ((struct sockaddr_in6 *)&own)->sin6_port);
	if (p->own_port == p->conf.sip_port)
		return -EADDRINUSE;
	return connect(fd, (struct sockaddr *)&server, len) < 0 ? -errno : 0;
}

static int bind_vip(struct prober *p)
{
	int rc, fd = socket(addr_is_v4(&p->conf.vip) ? AF_INET : AF_INET6,
	                    SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	rc = connect_vip(p, fd);
	if (rc == 0)
		rc = loop_fd_add(&p->watch, p->root, fd, readable, p);
	if (rc < 0) {
		close(fd);
		return rc;
	}
	p->fd = fd;
	return 0;
}

static void rebind(struct prober *p, struct mono now)
{
	int rc = bind_vip(p);

	if (rc != p->bind_error)
		p->callbacks.bound(p->context, rc);
	p->bind_error = rc;
	if (rc == 0) {
		struct probe_conf conf = {p->conf.probe_interval_us * NS_PER_US,
		                          p->conf.probe_floor_us * NS_PER_US,
		                          p->conf.probe_ceiling_us * NS_PER_US};

		probe_init(&p->probe, &conf, now);
	}
	loop_alarm_at(&p->alarm, rc == 0 ? now : mono_add(now, REBIND_NS));
}

/* A suspicion stands since the last turn: did the server want a CPU all the while and get none? */
static void look_again(struct prober *p, struct mono now)
{
	struct starved_look again;

	if (!p->looked || !probe_suspects(&p->probe) || starved_take(p->server, now, &again))
		return;
	if (starved_between(&p->look, &again))
		probe_starved(&p->probe, now);
	p->look = again;
}

static void look_first(struct prober *p, struct mono now)
{
	if (!probe_suspects(&p->probe) || !p->server)
		p->looked = false;
	else if (!p->looked)
		p->looked = !starved_take(p->server, now, &p->look);
}

static void turn(void *arg)
{
	struct prober *p = arg;
	struct mono now = loop_now();
	struct probe_turn turn;

	if (p->fd < 0) {
		rebind(p, now);
		return;
	}
	look_again(p, now);
	turn = probe_tick(&p->probe, now);
	look_first(p, now);
	report(p, now);
	loop_alarm_at(&p->alarm, turn.wake);
	if (turn.send)
		send_options(p);
}

int prober_new(su_root_t *root, const struct keeper_conf *conf, const struct prober_callbacks *callbacks,
               void *context, struct prober **ret)
{
	struct prober *p = calloc(1, sizeof(*p));
	char addr[ADDR_TEXT_LEN];
	int rc;

	if (!p)
		return -ENOMEM;
	p->root = root;
	p->conf = *conf;
	p->callbacks = *callbacks;
	p->context = context;
	p->fd = -1;
	snprintf(p->host, sizeof(p->host), addr_is_v4(&conf->vip) ? "%s" : "[%s]",
	         addr_format(&conf->vip, addr));
	if (getrandom(&p->nonce, sizeof(p->nonce), 0) != sizeof(p->nonce)) {
		free(p);
		return -EIO;
	}
	rc = loop_alarm_init(&p->alarm, root, turn, p);
	if (rc < 0) {
		free(p);
		return rc;
	}
	if (conf->probe_interval_us)
		rebind(p, loop_now());
	*ret = p;
	return 0;
}

void prober_free(struct prober *p)
{
	if (!p)
		return;
	loop_fd_remove(&p->watch);
	loop_alarm_done(&p->alarm);
	if (p->fd >= 0)
		close(p->fd);
	free(p);
}

static void hurry(struct prober *p)
{
	if (p->fd < 0)
		return;
	probe_hurry(&p->probe, loop_now());
	turn(p);
}

void prober_server(struct prober *p, pid_t tgid)
{
	p->server = tgid;
	p->looked = false;
	hurry(p);
}

void prober_life(struct prober *p, struct mono at)
{
	if (p->fd < 0)
		return;
	probe_life(&p->probe, at, loop_now());
}
