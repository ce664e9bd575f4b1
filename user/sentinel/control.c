/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The control socket, see include/sipflip/control.h. Serves a handful of clients
 * after everything urgent; a client that does not read loses its connection.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "addr.h"
#include "clock.h"
#include "log.h"
#include "sentinel.h"

int control_listen(const struct sentinel *s, const char *name)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd, err;

	if (snprintf(un.sun_path, sizeof(un.sun_path), "%s/%s", s->run_dir, name) >= (int)sizeof(un.sun_path))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	unlink(un.sun_path);
	/* made in the group, since giving it to one later takes CAP_CHOWN */
	setfsgid(s->control.group);
	err = bind(fd, (struct sockaddr *)&un, sizeof(un)) < 0 ? -errno : 0;
	setfsgid(getegid());
	if (!err && (chmod(un.sun_path, 0660) < 0 || listen(fd, 8) < 0))
		err = -errno;
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}

int control_init(struct sentinel *s)
{
	for (int i = 0; i < SENTINEL_CLIENTS; i++)
		s->control.client[i].fd = -1;
	s->control.listen = control_listen(s, "control.sock");
	return s->control.listen < 0 ? s->control.listen : 0;
}

static void drop(struct control_client *c)
{
	close(c->fd);
	*c = (struct control_client){.fd = -1};
}

bool control_accept(struct sentinel *s)
{
	int fd = accept4(s->control.listen, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	int size = 1 << 20;

	if (fd < 0)
		return errno != EMFILE && errno != ENFILE && errno != ENOMEM && errno != ENOBUFS;
	for (int i = 0; i < SENTINEL_CLIENTS; i++) {
		struct epoll_event ev = {.events = EPOLLIN, .data.u64 = (uint64_t)(100 + i)};

		if (s->control.client[i].fd >= 0)
			continue;
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
		s->control.client[i] = (struct control_client){.fd = fd};
		if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &ev) < 0)
			drop(&s->control.client[i]);
		return true;
	}
	s->control.refused++;
	close(fd);
	return true;
}

/* Records are at most a few hundred bytes; a full socket means the client does not read. */
static bool put(struct control_client *c, const void *record, size_t len)
{
	return send(c->fd, record, len, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)len;
}

static bool put_end(struct control_client *c, int result, const char *text)
{
	struct ctl_end end = {.head = {.type = CTL_END, .len = sizeof(end)}, .result = result};

	snprintf(end.text, sizeof(end.text), "%s", text);
	return put(c, &end, sizeof(end));
}

static bool put_instance(struct sentinel *s, struct control_client *c, struct mono now)
{
	struct ctl_instance i = {
	        .head = {.type = CTL_INSTANCE, .len = sizeof(i)},
	        .version = SIPFLIP_VERSION,
	        .pid = (uint32_t)getpid(),
	        .calls_pid = (uint32_t)s->keeper.pid,
	        .rt_priority = (uint32_t)s->rt_priority,
	        .calls_restarts = s->keeper.restarts,
	        .now_ns = (uint64_t)now.ns,
	        .started_ns = (uint64_t)s->started.ns,
	        .log_dropped = log_dropped(),
	        .turn_max_us = (uint64_t)(s->turn_max_ns / NS_PER_US),
	};

	snprintf(i.node, sizeof(i.node), "%s", node_name(s, s->node));
	memcpy(i.key_id, s->key_id[0], sizeof(i.key_id));
	memcpy(i.other_key_id, s->key_id[1], sizeof(i.other_key_id));
	return put(c, &i, sizeof(i));
}

/* Ingress may have heard somebody after this turn of the loop began: then just now. */
static uint64_t age_ns(struct mono now, uint64_t then_ns)
{
	return (uint64_t)now.ns > then_ns ? (uint64_t)now.ns - then_ns : 0;
}

/* A witness knows the heir by its reflections only. */
static const char *heard_unready(const struct service *svc, int heir)
{
	for (int i = 0; i < 2; i++) {
		const struct lease_other *o = &svc->lease.other[i];

		if (o->node != heir)
			continue;
		if (!mono_is_set(o->heard))
			return "never heard";
		if (echo_silent(&o->echo))
			return "silent";
		return o->flags & STATUS_ARMED ? NULL : "it does not call itself ready";
	}
	return "never heard";
}

static void fill_readiness(const struct sentinel *s, const struct service *svc, const struct lease_view *view,
                           struct ctl_service *r)
{
	const char *why;
	int heir = 0;

	for (int i = 0; i < svc->conf->n_node; i++)
		if (svc->lease.owner && svc->conf->node[i] != svc->lease.owner)
			heir = svc->conf->node[i];
	r->heir_node = (uint32_t)heir;
	if (svc->lease.state == LEASE_owner)
		why = svc->conf->n_node > 1 ? lease_heir_unready(&svc->lease, view) : "only one node";
	else if (heir == s->node)
		why = lease_self_unready(&svc->lease, view);
	else
		why = heir ? heard_unready(svc, heir) : lease_self_unready(&svc->lease, view);
	r->heir_ready = !why && heir;
	if (svc->plane_broken)
		why = "the data plane here is detached; restart sipflipd";
	snprintf(r->not_ready, sizeof(r->not_ready), "%s", why ? why : "");
}

static bool put_service(struct sentinel *s, struct service *svc, struct control_client *c, struct mono now)
{
	static const char *const modes[] = {
	        [SILENCE_ARBITER] = "arbiter", [SILENCE_HOLD] = "hold", [SILENCE_RELEASE] = "release"};
	struct lease_view view = service_view(s, svc, now);
	char addr[ADDR_TEXT_LEN];
	struct ctl_service r = {
	        .head = {.type = CTL_SERVICE, .len = sizeof(r)},
	        .index = (uint32_t)svc->index,
	        .role = svc->lease.state,
	        .owner_node = svc->lease.owner,
	        .xdp_mode = svc->here ? (uint32_t)s->plane.xdp_mode[svc->index] : XDP_MODE_NONE,
	        .epoch = svc->lease.epoch,
	        .lease_ns = (uint64_t)svc->conf->lease_ns,
	        .echo_ns = (uint64_t)svc->conf->echo_ns,
	        .verdict = svc->health.verdict,
	        .server_tgid = svc->server_tgid,
	        .ok_age_ns = svc->health.ok_ns ? age_ns(now, svc->health.ok_ns) : ~0ULL,
	        .limit_us = svc->health.limit_us,
	        .p50_us = svc->health.p50_us,
	        .p99_us = svc->health.p99_us,
	        .dialogs_here = svc->calls.dialogs_here,
	        .dialogs_peer = svc->calls.dialogs_peer,
	        .replica_up = svc->calls.replica_up,
	        .rescuable = svc->calls.rescuable,
	        .ringing = svc->calls.ringing,
	        .relayed = svc->calls.relayed,
	        .flows = svc->calls.flows,
	        .ports_held = svc->calls.ports_held,
	        .takeovers = svc->takeovers,
	        .lapses = svc->lease.lapses,
	        .contests = svc->contest.count,
	        .contest_on = svc->contest.on,
	        .contest_age_ns = svc->contest.count ? (uint64_t)mono_diff(now, svc->contest.last) : ~0ULL,
	};

	memcpy(r.contest_mac, svc->contest.mac, sizeof(svc->contest.mac));
	snprintf(r.name, sizeof(r.name), "%s", svc->conf->name);
	snprintf(r.vip, sizeof(r.vip), "%s/%u", addr_format(&svc->conf->vip[0].addr, addr),
	         svc->conf->vip[0].prefix_len);
	snprintf(r.interface, sizeof(r.interface), "%s", svc->conf->interface);
	if (svc->conf->on_peer_silence == SILENCE_WITNESS)
		snprintf(r.mode, sizeof(r.mode), "witness %.7s", node_name(s, svc->conf->witness));
	else
		snprintf(r.mode, sizeof(r.mode), "%s", modes[svc->conf->on_peer_silence]);
	if (view.word == LEASE_FOREVER)
		r.lease_left_ns = INT64_MAX;
	else if (view.word)
		r.lease_left_ns = (int64_t)view.word - now.ns;
	if (svc->conf->on_peer_silence == SILENCE_ARBITER && svc->here)
		r.arbiter = announcer_arbiter_seen(&svc->announcer, now) ? 1 : 2;
	if (svc->ill == CAUSE_server_signal || svc->ill == CAUSE_server_exit)
		r.server_tgid = 0;
	fill_readiness(s, svc, &view, &r);
	return put(c, &r, sizeof(r));
}

static bool put_node(struct sentinel *s, struct service *svc, int node, struct control_client *c,
                     struct mono now)
{
	struct lease_view view = service_view(s, svc, now);
	char addr[ADDR_TEXT_LEN];
	struct ctl_node r = {
	        .head = {.type = CTL_NODE, .len = sizeof(r)},
	        .service = (uint32_t)svc->index,
	        .node = (uint32_t)node,
	        .self = node == s->node,
	        .heard_age_ns = ~0ULL,
	        .ok_age_us = UINT32_MAX,
	        .turn_age_us = UINT32_MAX,
	};

	snprintf(r.name, sizeof(r.name), "%s", node_name(s, node));
	snprintf(r.address, sizeof(r.address), "%s", addr_format(&s->config.node[node].addr, addr));
	if (r.self) {
		r.status = lease_flags(&svc->lease, &view);
		r.heard_age_ns = 0;
		r.turn_age_us = 0;
		r.epoch = svc->lease.epoch;
		if (svc->health.ok_ns)
			r.ok_age_us = (uint32_t)(age_ns(now, svc->health.ok_ns) / 1000);
		return put(c, &r, sizeof(r));
	}
	for (int i = 0; i < 2; i++) {
		const struct lease_other *o = &svc->lease.other[i];

		if (o->node != node)
			continue;
		r.lost = (uint32_t)o->echo.lost;
		r.sent = o->echo.seq;
		r.rtt_us = echo_rtt_us(&o->echo);
		if (mono_is_set(o->heard)) {
			r.status = o->flags;
			r.heard_age_ns = (uint64_t)mono_diff(now, o->heard);
			r.epoch = o->epoch;
			r.ok_age_us = o->ok_age_us;
			r.turn_age_us = o->turn_age_us;
		}
	}
	if (svc->here) { /* a witness is not asked, it asks: its echoes are what is known of it */
		const struct peer *p = &s->plane.peers[svc->index * MAX_NODES + node];

		if (p->last_echo_ns && age_ns(now, p->last_echo_ns) < r.heard_age_ns) {
			r.heard_age_ns = age_ns(now, p->last_echo_ns);
			r.status = p->flags;
			r.epoch = p->epoch;
			r.ok_age_us = p->ok_age_us;
			r.turn_age_us = p->turn_age_us;
		}
	}
	return put(c, &r, sizeof(r));
}

static bool wanted(const struct service *svc, const struct ctl_request *req)
{
	return !req->service[0] || !strcmp(req->service, svc->conf->name);
}

static bool status(struct sentinel *s, struct control_client *c, const struct ctl_request *req)
{
	struct mono now = clock_now();
	bool ok = put_instance(s, c, now);

	for (int i = 0; i < s->n_service && ok; i++) {
		struct service *svc = &s->service[i];

		if (!wanted(svc, req))
			continue;
		ok = put_service(s, svc, c, now);
		for (int n = 0; n < svc->conf->n_node && ok; n++)
			ok = put_node(s, svc, svc->conf->node[n], c, now);
		if (svc->conf->witness && ok)
			ok = put_node(s, svc, svc->conf->witness, c, now);
	}
	return ok && put_end(c, 0, "");
}

/* Who connected, as the kernel knows it: root, or a member of switchover-group. */
static bool may_switch_over(const struct sentinel *s, int fd)
{
	struct ucred who;
	gid_t groups[64];
	socklen_t len = sizeof(who), groups_len = sizeof(groups);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0)
		return false;
	if (!who.uid)
		return true;
	if (!s->control.switchover)
		return false;
	if (who.gid == s->control.switchover)
		return true;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &groups_len) < 0)
		return false;
	for (size_t i = 0; i < groups_len / sizeof(groups[0]); i++)
		if (groups[i] == s->control.switchover)
			return true;
	return false;
}

static bool switchover(struct sentinel *s, struct control_client *c, const struct ctl_request *req)
{
	struct service *svc = NULL;
	struct lease_view view;
	char text[CTL_TEXT_LEN];
	int err;

	for (int i = 0; i < s->n_service; i++)
		if (!strcmp(req->service, s->service[i].conf->name))
			svc = &s->service[i];
	if (!svc)
		return put_end(c, -ENOENT, "no such service here; see: sipflip status");
	if (!may_switch_over(s, c->fd)) {
		s->control.forbidden++;
		return put_end(c, -EACCES,
		               "only root and members of switchover-group may; see sipflip.conf(5)");
	}
	view = service_view(s, svc, clock_now());
	if (svc->lease.state != LEASE_owner) {
		snprintf(text, sizeof(text), "this node does not own %s: %s does; ask there", svc->conf->name,
		         node_name(s, svc->lease.owner));
		return put_end(c, -EPERM, text);
	}
	if (req->node[0]) {
		int node = config_node_by_name(&s->config, req->node);

		if (node == s->node)
			return put_end(c, -EALREADY, "this node owns it already");
		if (!node || (svc->conf->node[0] != node && svc->conf->node[1] != node))
			return put_end(c, -EINVAL, "no such node in this service");
	}
	err = service_hand_over(s, svc, CAUSE_switchover, view.now);
	if (err == -EAGAIN) {
		snprintf(text, sizeof(text), "the heir is not ready: %s",
		         lease_heir_unready(&svc->lease, &view));
		return put_end(c, err, text);
	}
	return put_end(c, err, "");
}

static bool takeovers(struct sentinel *s, struct control_client *c, const struct ctl_request *req)
{
	uint64_t first = s->n_takeover > SENTINEL_TAKEOVERS ? s->n_takeover - SENTINEL_TAKEOVERS : 0;
	bool ok = true;

	for (uint64_t n = first; n < s->n_takeover && ok; n++) {
		const struct ctl_takeover *t = &s->takeover[n % SENTINEL_TAKEOVERS];

		if (!req->service[0] || !strcmp(req->service, t->service))
			ok = put(c, t, sizeof(*t));
	}
	return ok && put_end(c, 0, "");
}

static bool put_counter(struct control_client *c, const char *source, const char *service, const char *name,
                        const char *help, uint64_t value)
{
	struct ctl_counter r = {.head = {.type = CTL_COUNTER, .len = sizeof(r)}, .value = value};

	snprintf(r.source, sizeof(r.source), "%s", source);
	snprintf(r.service, sizeof(r.service), "%s", service);
	snprintf(r.name, sizeof(r.name), "%s", name);
	snprintf(r.help, sizeof(r.help), "%s", help);
	return put(c, &r, sizeof(r));
}

static bool put_own_counters(struct sentinel *s, struct control_client *c)
{
	const struct {
		const char *name, *help;
		uint64_t value;
	} own[] = {
	        {"voter_msg_bad", "messages that did not verify, seen in user space", s->count.msg_bad},
	        {"voter_msg_mismatch", "messages of another configuration, seen in user space",
	         s->count.msg_mismatch},
	        {"voter_send_failed", "messages to other voters that did not leave", s->count.send_failed},
	        {"actions_dropped", "actions of the lease machine over its bound", s->count.actions_dropped},
	        {"loop_stalls", "turns of the loop that came late", s->wake.stalls},
	        {"log_dropped", "log lines that stderr did not take", log_dropped()},
	        {"keeper_send_failed", "messages the call keeper's socket did not take",
	         s->keeper.send_failed},
	        {"keeper_bad_messages", "messages of the call keeper that were not understood",
	         s->keeper.bad_messages},
	        {"keeper_restarts", "times the call keeper was started again", s->keeper.restarts},
	        {"control_forbidden", "switchovers asked for by somebody who may not", s->control.forbidden},
	        {"control_refused", "command lines turned away: too many at once", s->control.refused},
	};

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if (!put_counter(c, "sipflipd", "", own[i].name, own[i].help, own[i].value))
			return false;
	return true;
}

static bool put_service_counters(struct service *svc, struct control_client *c)
{
	const char *name = svc->conf->name;

	return put_counter(c, "sipflipd", name, "lapses", "times the lease ran out while owner",
	                   svc->lease.lapses) &&
	       put_counter(c, "sipflipd", name, "arp_sent", "ARP frames sent", svc->announcer.sent) &&
	       put_counter(c, "sipflipd", name, "arp_send_failed", "ARP frames that did not leave",
	                   svc->announcer.failed) &&
	       put_counter(c, "sipflipd", name, "contests", "times another machine began to claim a VIP",
	                   svc->contest.count) &&
	       put_counter(c, "sipflipd", name, "contest_answers",
	                   "announcements in answer to claims, ten a second at most",
	                   svc->announcer.defences) &&
	       put_counter(c, "sipflipd", name, "held_sent", "frames held in a switchover and sent on",
	                   svc->held_sent) &&
	       put_counter(c, "sipflipd", name, "held_lost", "frames held in a switchover that then failed",
	                   svc->held_lost) &&
	       put_counter(c, "sipflipd", name, "recover_runs", "runs of recover-command",
	                   svc->recover.runs) &&
	       put_counter(c, "sipflipd", name, "recover_failed",
	                   "runs of recover-command that failed or were killed", svc->recover.failed) &&
	       put_counter(c, "sipflipd", name, "warm_entered", "neighbours of calls kept resolved",
	                   svc->warm.entered) &&
	       put_counter(c, "sipflipd", name, "warm_released", "of them, given back", svc->warm.released) &&
	       put_counter(c, "sipflipd", name, "warm_refused",
	                   "of them, without a route on the interface, or not taken by the kernel",
	                   svc->warm.refused);
}

static bool counters(struct sentinel *s, struct control_client *c, const struct ctl_request *req)
{
	struct counters kernel;
	bool ok = true;

	if (s->has_plane ? !plane_counters(&s->plane, &kernel)
	                 : s->guard.counters && !plane_sum_counters(s->guard.counters, &kernel)) {
#define REASON(name, help) ok = ok && put_counter(c, "kernel", "", #name, help, kernel.name);
#include "sipflip/reasons.def"
#undef REASON
	}
	ok = ok && put_own_counters(s, c);
	for (int i = 0; i < s->n_service && ok; i++)
		if (wanted(&s->service[i], req) && s->service[i].here)
			ok = put_service_counters(&s->service[i], c);
	return ok && put_end(c, 0, "");
}

/* Sends what is new, until the socket is full or a bound is reached. */
static bool put_events(struct control_client *c)
{
	if (log_last_number() > LOG_KEPT && c->sent < log_last_number() - LOG_KEPT)
		c->sent = log_last_number() - LOG_KEPT;
	for (int i = 0; i < LOG_KEPT && c->sent < log_last_number(); i++) {
		const struct ctl_event *e = log_kept(c->sent + 1);

		if (e && !put(c, e, sizeof(*e)))
			return errno == EAGAIN;
		c->sent++;
	}
	return true;
}

void control_readable(struct sentinel *s, int client)
{
	struct control_client *c = &s->control.client[client];
	struct ctl_request req;
	bool ok;
	ssize_t n;

	if (c->fd < 0)
		return;
	n = recv(c->fd, &req, sizeof(req), MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n != sizeof(req) || req.version != CTL_VERSION) {
		if (n > 0)
			put_end(c, -EPROTO, "this command and the running agent are of different versions");
		drop(c);
		return;
	}
	req.service[CTL_NAME_LEN - 1] = '\0';
	req.node[CTL_NAME_LEN - 1] = '\0';
	switch (req.op) {
	case CTL_STATUS:
		ok = status(s, c, &req);
		break;
	case CTL_SWITCHOVER:
		ok = switchover(s, c, &req);
		break;
	case CTL_TAKEOVERS:
		ok = takeovers(s, c, &req);
		break;
	case CTL_COUNTERS:
		ok = counters(s, c, &req);
		break;
	case CTL_EVENTS:
		c->sent = req.since;
		ok = put_events(c);
		c->follow = req.follow;
		ok = ok && (c->follow || put_end(c, 0, ""));
		break;
	default:
		ok = put_end(c, -EOPNOTSUPP, "the agent does not know this request");
		break;
	}
	if (!ok)
		drop(c);
}

void control_flush(struct sentinel *s)
{
	for (int i = 0; i < SENTINEL_CLIENTS; i++) {
		struct control_client *c = &s->control.client[i];

		if (c->fd >= 0 && c->follow && !put_events(c))
			drop(c);
	}
}

void control_done(struct sentinel *s)
{
	char path[160];

	for (int i = 0; i < SENTINEL_CLIENTS; i++)
		if (s->control.client[i].fd >= 0)
			drop(&s->control.client[i]);
	snprintf(path, sizeof(path), "%s/control.sock", s->run_dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/calls.sock", s->run_dir);
	unlink(path);
}
