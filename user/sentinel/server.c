/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The SIP server of this node, as far as owning depends on it: whether it is well
 * by OPTIONS and by the kernel's word, how it dies and comes back, and which ones
 * run already at the start. Called by service.c and the loop; never talks SIP.
 */
#include <string.h>

#include "addr.h"
#include "clock.h"
#include "finder.h"
#include "log.h"
#include "sentinel.h"
#include "service_parts.h"

/* Is the own server fit to serve, as far as OPTIONS and the kernel tell? */
static enum cause server_ill(const struct sentinel *s, const struct service *svc)
{
	const struct service_state *state = state_of(s, svc);
	bool alive = svc->server_tgid != 0;

	if (svc->plane_broken)
		return CAUSE_data_plane;
	if (__atomic_load_n(&state->server_dead_ns, __ATOMIC_ACQUIRE))
		return svc->death ? svc->death : CAUSE_server_exit;
	if (!svc->conf->probe)
		return alive ? CAUSE_none : CAUSE_server_absent;
	switch (svc->health.verdict) {
	case HEALTH_OK:
		return CAUSE_none;
	case HEALTH_HUNG:
		return CAUSE_server_hung;
	case HEALTH_REFUSED:
		return CAUSE_server_refused;
	default:
		/* the call keeper restarts or was stalled: its silence is not the server's */
		return svc->ever_ok ? CAUSE_none : CAUSE_server_absent;
	}
}

void server_judge(const struct sentinel *s, struct service *svc, struct mono now)
{
	enum cause ill = svc->here ? server_ill(s, svc) : CAUSE_none;

	if (ill == svc->ill)
		return;
	if (!svc->ill)
		svc->ill_since = now;
	svc->ill = ill;
	if (!ill)
		svc->ill_since = mono_ns(0);
}

void server_died(struct sentinel *s, struct service *svc, enum cause cause, const struct event *event)
{
	struct lease_actions out = {0};
	struct lease_view view;
	struct mono now = clock_now();

	if (!svc->death)
		svc->death = cause;
	if (!svc->ill) {
		svc->ill = svc->death;
		svc->ill_since = mono_ns((int64_t)event->at_ns);
	}
	view = service_view(s, svc, now);
	lease_server_ill(&svc->lease, &view, &out);
	service_finish(s, svc, &out, &view);

	log_warn("service=%s event=server-died cause=\"%s\" pid=%u arg=%llu seen-after-us=%lld",
	         svc->conf->name, cause_text(cause), event->tgid, (unsigned long long)event->arg,
	         (long long)(now.ns - (int64_t)event->at_ns) / 1000);
	if (svc->server_tgid == event->tgid)
		svc->server_tgid = 0;
	svc->tell_keeper_at = mono_add(now, CALM_NS);
}

void server_bound(struct sentinel *s, struct service *svc, const struct event *event)
{
	svc->server_tgid = event->tgid;
	svc->death = CAUSE_none;
	svc->ever_ok = false;
	svc->health.verdict = HEALTH_UNKNOWN;
	__atomic_store_n(&s->plane.state[svc->index].server_dead_ns, 0, __ATOMIC_RELEASE);
	log_info("service=%s event=server-bound pid=%u", svc->conf->name, event->tgid);
	keeper_server(s, svc, true);
}

void service_health(struct sentinel *s, struct service *svc, const struct keeper_health *health)
{
	struct service_state *state = state_of(s, svc);
	struct lease_actions out = {0};
	struct lease_view view;
	struct mono now = clock_now();

	if (!svc->here)
		return;
	svc->health = *health;
	if (health->verdict == HEALTH_HUNG || health->verdict == HEALTH_REFUSED)
		svc->ever_ok = false;
	if (health->verdict == HEALTH_OK) {
		svc->ever_ok = true;
		/* it answered after its "death": a second process serves, or a socket was renewed */
		if (state->server_dead_ns && health->ok_ns > state->server_dead_ns + 100 * NS_PER_MS) {
			__atomic_store_n(&state->server_dead_ns, 0, __ATOMIC_RELEASE);
			svc->death = CAUSE_none;
		}
	}
	server_judge(s, svc, now);
	if (!svc->ill || svc->lease.state != LEASE_owner)
		return;
	view = service_view(s, svc, now);
	lease_server_ill(&svc->lease, &view, &out);
	service_finish(s, svc, &out, &view);
}

static bool serves(const struct config_service *c, const struct finder_socket *sock)
{
	static const struct inaddr16 any;
	bool ours = addr_equal(&sock->addr, &any);

	ours |= addr_is_v4(&sock->addr) && addr_to_be32(&sock->addr) == 0;
	for (int i = 0; i < c->n_vip; i++)
		ours |= addr_equal(&sock->addr, &c->vip[i].addr);
	if (!ours)
		return false;
	for (int i = 0; i < c->n_sip; i++)
		if (c->sip_port[i] == sock->port)
			return true;
	return false;
}

void service_find_servers(struct sentinel *s)
{
	static struct finder_socket found[FINDER_MAX];
	uint16_t ports[MAX_SERVICES * CONFIG_SIP];
	int n_ports = 0, n;

	for (int i = 0; i < s->n_service; i++)
		for (int p = 0; s->service[i].here && p < s->service[i].conf->n_sip; p++)
			ports[n_ports++] = s->service[i].conf->sip_port[p];
	n = finder_run(ports, n_ports, found);
	if (n < 0)
		log_warn("event=finder error=\"%s\" text=\"servers that run already are watched by OPTIONS "
		         "only\"",
		         strerror(-n));
	for (int f = 0; f < n; f++) {
		uint64_t services = 0;

		for (int i = 0; i < s->n_service; i++) {
			struct service *svc = &s->service[i];

			if (!svc->here || !serves(svc->conf, &found[f]))
				continue;
			services |= 1ULL << i;
			svc->server_tgid = found[f].tgid[0];
			s->plane.state[i].server_dead_ns = 0;
		}
		if (!services)
			continue;
		plane_add_socket(&s->plane, found[f].cookie, found[f].tgid[0], services);
		for (int t = 0; t < 8 && found[f].tgid[t]; t++)
			plane_add_server(&s->plane, found[f].tgid[t], services);
		log_info("event=server-found pid=%u port=%u", found[f].tgid[0], found[f].port);
	}
}
