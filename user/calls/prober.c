/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Each OPTIONS is a client transaction of sofia-sip's nta that never retransmits
 * (T1 is beyond its timeout) and has a Call-ID and branch of its own. nta reports
 * any failure to send as a 503 of its own making; that a refusal is ICMP's and
 * not, say, a full buffer is asked of a connected UDP socket, where the kernel
 * gives the very error.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <netinet/in.h>

struct prober_request;
#define NTA_OUTGOING_MAGIC_T struct prober_request
#define NTA_AGENT_MAGIC_T    struct prober
#include <sofia-sip/nta.h>
#include <sofia-sip/sip_header.h>
#include <sofia-sip/sip_status.h>
#include <sofia-sip/sip_tag.h>

#include "addr.h"
#include "loop.h"
#include "prober.h"

#define REQUESTS     128 /* transactions alive; older ones are given up */
#define REPORT_NS    (10 * NS_PER_MS - NS_PER_MS / 2)
#define REBIND_NS    NS_PER_S
#define RECHECK_NS   (5 * NS_PER_MS)
#define NO_RESEND_MS 600000

struct prober_request {
	struct prober *prober;
	uint64_t seq;
	nta_outgoing_t *transaction; /* NULL = free */
	bool over;                   /* answered while it was being made */
};

struct prober {
	su_root_t *root;
	struct keeper_conf conf;
	struct prober_callbacks callbacks;
	void *context;
	struct probe probe;
	nta_agent_t *agent; /* NULL until the VIP could be bound */
	nta_leg_t *leg;
	int refusal_fd;
	struct mono refusal_asked;
	bool refusal;
	int bind_error;
	struct loop_alarm alarm;
	struct mono reported;
	enum health_verdict said;
	uint64_t seq;
	char target[80];
	struct prober_request requests[REQUESTS];
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

/* --- is nobody listening? --------------------------------------------------- */

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

/* A connected socket hears its own ICMP; on loopback that has come when send() returns. */
static bool nobody_listens(struct prober *p, struct mono now)
{
	static const char keepalive[] = "\r\n\r\n"; /* RFC 5626 3.5.1: no server minds */
	char byte;

	if (mono_is_set(p->refusal_asked) && mono_diff(now, p->refusal_asked) < RECHECK_NS)
		return p->refusal;
	p->refusal_asked = now;
	p->refusal = false;
	if (p->refusal_fd < 0) {
		struct sockaddr_storage to;
		socklen_t len = socket_address(&p->conf.vip, p->conf.sip_port, &to);

		p->refusal_fd = socket(to.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (p->refusal_fd < 0)
			return false;
		if (connect(p->refusal_fd, (struct sockaddr *)&to, len) < 0) {
			close(p->refusal_fd);
			p->refusal_fd = -1;
			return false;
		}
	}
	if (send(p->refusal_fd, keepalive, sizeof(keepalive) - 1, MSG_NOSIGNAL) < 0)
		p->refusal = errno == ECONNREFUSED;
	else if (recv(p->refusal_fd, &byte, 1, 0) < 0)
		p->refusal = errno == ECONNREFUSED;
	return p->refusal;
}

/* --- OPTIONS ---------------------------------------------------------------- */

static int answered(struct prober_request *request, nta_outgoing_t *transaction, sip_t const *sip)
{
	struct prober *p = request->prober;
	int status = nta_outgoing_status(transaction);
	bool internal = !sip || nta_sip_is_internal(sip);
	struct mono now = loop_now();

	if (status < 200)
		return 0;
	if (!internal)
		probe_answered(&p->probe, request->seq, now);
	else if (status == 503 && nobody_listens(p, now))
		probe_refused(&p->probe, now);
	request->over = true;
	if (request->transaction) {
		request->transaction = NULL;
		nta_outgoing_destroy(transaction);
	}
	report(p, now);
	return 0;
}

/* An answer so late that its transaction is gone still comes from a living server. */
static int stray(struct prober *p, nta_agent_t *agent, msg_t *msg, sip_t *sip)
{
	if (sip && sip->sip_status) {
		struct mono now = loop_now();

		probe_life(&p->probe, now, now);
	}
	nta_msg_discard(agent, msg);
	return 0;
}

static void send_options(struct prober *p)
{
	uint64_t seq = ++p->seq;
	struct prober_request *request = &p->requests[seq % REQUESTS];
	nta_outgoing_t *transaction;

	if (request->transaction)
		nta_outgoing_destroy(request->transaction);
	*request = (struct prober_request){.prober = p, .seq = seq};
	/* Before it is sent: the time to the answer includes our own sending. */
	probe_sent(&p->probe, seq, loop_now());
	transaction =
	        nta_outgoing_tcreate(p->leg, answered, request, NULL, SIP_METHOD_OPTIONS,
	                             (url_string_t *)p->target, SIPTAG_USER_AGENT_STR("sipflip"), TAG_END());
	if (transaction && request->over)
		nta_outgoing_destroy(transaction);
	else
		request->transaction = transaction;
}

static int bind_vip(struct prober *p)
{
	char addr[ADDR_TEXT_LEN], own[80], from[80], to[96];
	const char *fmt = addr_is_v4(&p->conf.vip) ? "sip:%s:*;transport=udp" : "sip:[%s]:*;transport=udp";

	addr_format(&p->conf.vip, addr);
	snprintf(own, sizeof(own), fmt, addr);
	snprintf(p->target, sizeof(p->target), addr_is_v4(&p->conf.vip) ? "sip:%s:%u" : "sip:[%s]:%u", addr,
	         p->conf.sip_port);
	snprintf(from, sizeof(from), addr_is_v4(&p->conf.vip) ? "<sip:sipflip@%s>" : "<sip:sipflip@[%s]>",
	         addr);
	snprintf(to, sizeof(to), "<%s>", p->target);
	errno = 0;
	p->agent = nta_agent_create(p->root, (url_string_t *)own, stray, p, NTATAG_SIP_T1(NO_RESEND_MS),
	                            NTATAG_SIP_T1X64(p->conf.probe_ceiling_us / 1000 + 1000),
	                            NTATAG_SIP_T4(50), NTATAG_UA(1), NTATAG_CLIENT_RPORT(1),
	                            NTATAG_USE_NAPTR(0), NTATAG_USE_SRV(0), TAG_END());
	if (!p->agent)
		return errno ? -errno : -EADDRNOTAVAIL;
	p->leg = nta_leg_tcreate(p->agent, NULL, NULL, SIPTAG_FROM_STR(from), SIPTAG_TO_STR(to),
	                         NTATAG_NO_DIALOG(1), TAG_END());
	if (p->leg)
		return 0;
	nta_agent_destroy(p->agent);
	p->agent = NULL;
	return -ENOMEM;
}

static void rebind(struct prober *p, struct mono now)
{
	int rc = bind_vip(p);

	if (rc != p->bind_error && p->callbacks.bound)
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

static void turn(void *arg)
{
	struct prober *p = arg;
	struct mono now = loop_now();
	struct probe_turn turn;

	if (!p->agent) {
		rebind(p, now);
		return;
	}
	turn = probe_tick(&p->probe, now);
	report(p, now);
	loop_alarm_at(&p->alarm, turn.wake);
	if (turn.send)
		send_options(p);
}

int prober_new(su_root_t *root, const struct keeper_conf *conf, const struct prober_callbacks *callbacks,
               void *context, struct prober **ret)
{
	struct prober *p = calloc(1, sizeof(*p));
	int rc;

	if (!p)
		return -ENOMEM;
	p->root = root;
	p->conf = *conf;
	p->callbacks = *callbacks;
	p->context = context;
	p->refusal_fd = -1;
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
	for (int i = 0; i < REQUESTS; i++)
		if (p->requests[i].transaction)
			nta_outgoing_destroy(p->requests[i].transaction);
	if (p->leg)
		nta_leg_destroy(p->leg);
	if (p->agent)
		nta_agent_destroy(p->agent);
	loop_alarm_done(&p->alarm);
	if (p->refusal_fd >= 0)
		close(p->refusal_fd);
	free(p);
}

void prober_hurry(struct prober *p)
{
	if (!p->agent)
		return;
	p->refusal_asked = mono_ns(0);
	probe_hurry(&p->probe, loop_now());
	turn(p);
}

void prober_life(struct prober *p, struct mono at)
{
	if (!p->agent)
		return;
	probe_life(&p->probe, at, loop_now());
}
