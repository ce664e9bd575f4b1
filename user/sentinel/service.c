/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One service on this node: gathers the lease machine's view of the world and
 * carries its actions out, in their order. What happens on the way to a flip
 * comes first in each function; logging and bookkeeping after it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "addr.h"
#include "clock.h"
#include "log.h"
#include "sentinel.h"
#include "service_parts.h"

#define ARMED_NS    (200 * NS_PER_MS) /* an agent that stopped turning is not armed for longer */
#define DRAIN_NS    NS_PER_MS         /* many times what a server needs for one answer */
#define HOLD_NS     (10 * NS_PER_MS)  /* frames are held for at most that */
#define PATIENCE_NS NS_PER_S          /* with an heir that is not ready at the end of a drain */

static const char *const reason_names[] = {
#define REASON(name, help) #name,
#include "sipflip/reasons.def"
#undef REASON
};

const char *node_name(const struct sentinel *s, int node)
{
	return node > 0 && node <= s->config.n_node ? s->config.node[node].name : "none";
}

static int other_data_node(const struct sentinel *s, const struct service *svc)
{
	for (int i = 0; i < svc->conf->n_node; i++)
		if (svc->conf->node[i] != s->node)
			return svc->conf->node[i];
	return 0;
}

struct lease_view service_view(const struct sentinel *s, const struct service *svc, struct mono now)
{
	struct lease_view view = {.now = now, .wake = &s->wake};
	int other = other_data_node(s, svc);

	if (!svc->here)
		return view;
	view.word = plane_word(&s->plane, svc->index);
	view.word_epoch = __atomic_load_n(&state_of(s, svc)->epoch, __ATOMIC_ACQUIRE);
	view.healthy = svc->ill == CAUSE_none;
	view.ill = svc->ill;
	view.ill_since = svc->ill_since;
	view.ok = mono_ns((int64_t)svc->health.ok_ns);
	if (state_of(s, svc)->server_dead_ns)
		view.flags |= STATUS_SERVER_DEAD;
	if (svc->health.verdict == HEALTH_HUNG)
		view.flags |= STATUS_HUNG;
	if (s->keeper.up && svc->calls.replica_up)
		view.flags |= STATUS_CALLS_UP;
	if (other)
		view.heir = &s->plane.peers[svc->index * MAX_NODES + other];
	if (svc->conf->on_peer_silence == SILENCE_ARBITER) {
		view.arbiter = svc->announcer.judged.answered;
		view.vip_unclaimed = announcer_unclaimed(&svc->announcer, svc->conf->echo_ns, now);
	}
	return view;
}

/* Straight to the MAC that ingress learned, where there is one; by the socket until then. */
static void send_message(struct sentinel *s, struct service *svc, uint8_t node, const struct msg *msg)
{
	static const uint8_t unknown[6];
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(s->config.echo_port)};
	const struct inaddr16 *addr = &s->config.node[node].addr;
	const uint8_t *mac = unknown;
	struct wire_msg wire;

	msg_seal(msg, &s->secrets->siphash[0], &wire);
	if (svc->here)
		mac = s->plane.peers[svc->index * MAX_NODES + node].mac;
	if (memcmp(mac, unknown, sizeof(unknown)) &&
	    announcer_send_message(&svc->announcer, mac, &s->config.node[s->node].addr, addr,
	                           s->config.echo_port, &wire, sizeof(wire)))
		return;
	to.sin_addr.s_addr = addr_to_be32(addr);
	if (sendto(s->udp, &wire, sizeof(wire), MSG_DONTWAIT, (struct sockaddr *)&to, sizeof(to)) !=
	    sizeof(wire))
		s->count.send_failed++;
}

static void do_own(struct sentinel *s, struct service *svc, const struct lease_action *a, struct mono now)
{
	if (!plane_own(&s->plane, svc->index, a->epoch, a->until, now))
		log_warn("service=%s event=flip-overtaken text=\"the word was set already: by RESIGN, or "
		         "only the epoch is new\"",
		         svc->conf->name);
}

static void carry_out(struct sentinel *s, struct service *svc, const struct lease_actions *out,
                      struct mono now)
{
	struct service_state *state = state_of(s, svc);

	s->count.actions_dropped += (uint64_t)out->dropped;
	for (int i = 0; i < out->n; i++) {
		const struct lease_action *a = &out->a[i];

		switch (a->type) {
		case LEASE_SEND:
			send_message(s, svc, a->node, &a->msg);
			if (a->msg.type == WIRE_RESIGN && a->msg.sender == s->node &&
			    a->node == a->msg.target && !mono_is_set(svc->resigned_at))
				svc->resigned_at = clock_now();
			break;
		case LEASE_FENCE:
			plane_fence(&s->plane, svc->index);
			svc->fenced_at = clock_now();
			svc->resigned_at = mono_ns(0);
			state->flags &= ~(uint32_t)(STATUS_CLAIM | STATUS_OWNER);
			announcer_stop(&svc->announcer);
			break;
		case LEASE_OWN:
			do_own(s, svc, a, now);
			break;
		case LEASE_EXTEND:
			plane_extend(&s->plane, svc->index, a->until);
			break;
		case LEASE_EPOCH:
			plane_recognise(&s->plane, svc->index, a->epoch);
			break;
		case LEASE_FORWARD:
			state->forward_to = a->node;
			break;
		case LEASE_ANNOUNCE:
			announcer_start(&svc->announcer, now);
			break;
		case LEASE_PROBE_VIP:
			announcer_probe(&svc->announcer, svc->conf->echo_ns, now);
			break;
		case LEASE_CHANGED:
			takeover_changed(s, svc, a->from, a->node, a->epoch, a->cause, now);
			break;
		case LEASE_NOTE:
			log_warn("service=%s event=note text=\"%s\"", svc->conf->name, a->text);
			break;
		}
	}
}

/* What the kernel's programs and the call keeper must know of the machine's state. */
static void publish(struct sentinel *s, struct service *svc, const struct lease_view *view)
{
	struct service_state *state = state_of(s, svc);
	bool owner = svc->lease.state == LEASE_owner;

	if (state) {
		/* STATUS_OWNER, ARMED and SERVER_DEAD are ingress's to say, at the instant of the echo */
		state->flags = lease_flags(&svc->lease, view) &
		               ~(uint32_t)(STATUS_OWNER | STATUS_ARMED | STATUS_SERVER_DEAD);
		state->armed_until_ns =
		        lease_armed(&svc->lease, view) ? (uint64_t)(view->now.ns + ARMED_NS) : 0;
		state->turn_ns = (uint64_t)view->now.ns;
		state->ok_ns = svc->health.ok_ns;
		state->promise_until_ns = (uint64_t)svc->lease.promise.until.ns;
	}
	if (svc->lease.state != svc->told_state) {
		log_info("service=%s event=role from=%s to=%s epoch=%llu owner=%s", svc->conf->name,
		         lease_state_name(svc->told_state), lease_state_name(svc->lease.state),
		         (unsigned long long)svc->lease.epoch, node_name(s, svc->lease.owner));
		svc->told_state = svc->lease.state;
	}
	if (svc->here && (owner != svc->told_owner || svc->lease.epoch != svc->told_epoch)) {
		const struct ctl_takeover *t = svc->takeover;
		enum cause cause = t && t->epoch == svc->lease.epoch ? (enum cause)t->cause : CAUSE_none;
		bool rescue = !svc->told_owner && t && t->from_node;

		if (owner)
			keeper_role(s, svc, cause, rescue);
		else
			svc->tell_keeper_at = mono_add(view->now, CALM_NS);
		if (owner && rescue)
			recover_want(&svc->recover, svc->lease.epoch);
		svc->told_owner = owner;
		svc->told_epoch = svc->lease.epoch;
	}
}

void service_finish(struct sentinel *s, struct service *svc, const struct lease_actions *out,
                    struct lease_view *view)
{
	carry_out(s, svc, out, view->now);
	if (svc->here)
		view->word = plane_word(&s->plane, svc->index);
	publish(s, svc, view);
}

void service_start(struct sentinel *s, struct service *svc, struct mono now)
{
	const struct config_service *c = svc->conf;
	static const enum lease_silence silence[] = {
	        [SILENCE_WITNESS] = LEASE_WITNESSED,
	        [SILENCE_ARBITER] = LEASE_ARBITER,
	        [SILENCE_HOLD] = LEASE_HOLD,
	        [SILENCE_RELEASE] = LEASE_RELEASE,
	};
	struct lease_conf conf = {
	        .lease_ns = c->lease_ns,
	        .echo_ns = c->echo_ns,
	        .config_tag = config_service_tag(&s->config, svc->index),
	        .incarnation = svc->here ? s->plane.conf[svc->index].incarnation : s->incarnation,
	        .service = (uint8_t)svc->index,
	        .self = (uint8_t)s->node,
	        .witness = c->witness,
	        .silence = silence[c->on_peer_silence],
	};
	uint64_t word = 0, epoch = 0;

	for (int i = 0; i < c->n_node; i++)
		conf.data[i] = c->node[i];
	if (svc->here) {
		word = plane_word(&s->plane, svc->index);
		epoch = s->plane.state[svc->index].epoch;
	}
	lease_init(&svc->lease, &conf, word, epoch, now);
	svc->told_state = svc->lease.state;
	if (svc->lease.state == LEASE_owner) {
		log_info("service=%s event=adopted epoch=%llu text=\"agent restarted, ownership kept\"",
		         c->name, (unsigned long long)epoch);
		announcer_start(&svc->announcer, now);
		/* healthy by the kernel's word until the new call keeper has probed */
		svc->ever_ok = svc->server_tgid || s->plane.state[svc->index].flags & STATUS_HEALTHY;
	} else if (svc->here) {
		plane_fence(&s->plane, svc->index);
		s->plane.state[svc->index].forward_to = 0;
	}
}

/*
 * The server had its moment: resign, and what came meanwhile follows the RESIGN on
 * the wire. With an heir that is silent just now (a stall, a lost echo) frames are
 * held a little longer, and then it gets its chance at each later turn.
 */
static void end_drain(struct sentinel *s, struct service *svc, struct mono now)
{
	struct lease_actions out = {0};
	struct lease_view view = service_view(s, svc, now);
	int64_t age_ns = mono_diff(now, svc->drain_since);
	int err = lease_hand_over(&svc->lease, svc->drain_cause, &view, &out);

	if (!err)
		service_finish(s, svc, &out, &view);
	if (err == -EAGAIN && age_ns < HOLD_NS) {
		svc->drain_next = mono_add(now, DRAIN_NS / 4);
		return;
	}
	state_of(s, svc)->draining = 0;
	plane_held(&s->plane);
	if (err == -EAGAIN && age_ns < PATIENCE_NS) {
		svc->drain_next = mono_add(now, svc->conf->echo_ns);
		return;
	}
	svc->drain_next = mono_ns(0);
	if (err == -EAGAIN)
		log_error("service=%s event=hand-over-failed text=\"the heir was lost before it could take "
		          "over: %s; ask again when sipflip status calls it ready\"",
		          svc->conf->name, lease_heir_unready(&svc->lease, &view));
}

static void contest_calmed(const struct service *svc)
{
	log_warn(
	        "service=%s event=contest-over claims=%llu answers=%llu lasted-ms=%lld text=\"no other claim "
	        "came for %lld s\"",
	        svc->conf->name, (unsigned long long)svc->contest.claims,
	        (unsigned long long)svc->announcer.defences,
	        (long long)(mono_diff(svc->contest.last, svc->contest.began) / NS_PER_MS),
	        (long long)(CONTEST_CALM_NS / NS_PER_S));
}

void service_tick(struct sentinel *s, struct service *svc, struct mono now)
{
	struct lease_actions out = {0};
	struct lease_view view;
	bool healthy;

	if (mono_is_set(svc->drain_next) && !mono_before(now, svc->drain_next))
		end_drain(s, svc, now);
	if (svc->here)
		announcer_receive(&svc->announcer, now);
	server_judge(s, svc, now);
	view = service_view(s, svc, now);
	lease_tick(&svc->lease, &view, &out);
	service_finish(s, svc, &out, &view);

	if (!svc->here)
		return;
	healthy = svc->ill == CAUSE_none;
	if (healthy != svc->was_healthy) {
		log_info("service=%s event=server healthy=%d cause=\"%s\"", svc->conf->name, healthy,
		         cause_text(svc->ill));
		svc->was_healthy = healthy;
	}
	takeover_update(svc, state_of(s, svc));
	svc->announcer.ask_often = svc->lease.alone;
	announcer_tick(&svc->announcer, now);
	if (contest_over(&svc->contest, now))
		contest_calmed(svc);
	if (mono_is_set(svc->tell_keeper_at) && !mono_before(now, svc->tell_keeper_at)) {
		svc->tell_keeper_at = mono_ns(0);
		keeper_server(s, svc, svc->server_tgid != 0);
		if (svc->lease.state != LEASE_owner)
			keeper_role(s, svc, CAUSE_none, false);
	}
}

void service_message(struct sentinel *s, struct service *svc, const struct msg *msg, struct mono now)
{
	struct lease_actions out = {0};
	struct lease_view view = service_view(s, svc, now);

	lease_receive(&svc->lease, msg, &view, &out);
	service_finish(s, svc, &out, &view);
}

int service_hand_over(struct sentinel *s, struct service *svc, enum cause cause, struct mono now)
{
	struct lease_view view = service_view(s, svc, now);

	if (svc->lease.state != LEASE_owner)
		return -EPERM;
	if (lease_heir_unready(&svc->lease, &view))
		return -EAGAIN;
	if (mono_is_set(svc->drain_next))
		return 0;
	svc->drain_cause = cause;
	svc->drain_since = now;
	svc->drain_next = mono_add(now, DRAIN_NS);
	state_of(s, svc)->draining = 1;
	return 0;
}

void service_held(struct sentinel *s, const struct held_frame *frame)
{
	struct service *svc = &s->service[frame->service < (uint32_t)s->n_service ? frame->service : 0];
	uint8_t to = svc->here ? state_of(s, svc)->forward_to : 0;

	if (!to || svc->lease.state == LEASE_owner) {
		svc->held_lost++;
		return;
	}
	announcer_pass_on(&svc->announcer, frame->frame, frame->len,
	                  s->plane.peers[svc->index * MAX_NODES + to].mac);
	svc->held_sent++;
}

static void flipped_by_resign(struct sentinel *s, struct service *svc, const struct event *event)
{
	struct lease_actions out = {0};
	struct lease_view view = service_view(s, svc, clock_now());
	struct msg msg;

	if (msg_open(&event->msg, sizeof(event->msg), s->secrets->siphash, KEY_SLOTS, &msg))
		return;
	lease_resigned_to_us(&svc->lease, &msg, &view, &out);
	service_finish(s, svc, &out, &view);
	takeover_resigned_to_us(svc, &msg);
}

static void contested(struct sentinel *s, struct service *svc, const struct event *event)
{
	struct lease_actions out = {0};
	struct lease_view view = service_view(s, svc, clock_now());

	lease_contested(&svc->lease, &view, &out);
	if (!out.n) /* not the owner any more: it is the new one's contest */
		return;
	announcer_defend(&svc->announcer, view.now);
	if (contest_claimed(&svc->contest, event->mac, view.now))
		log_error("service=%s event=contest mac=%02x:%02x:%02x:%02x:%02x:%02x seen=%s text=\"another "
		          "machine uses the VIP; announcing until it stops; find it and take the address "
		          "off\"",
		          svc->conf->name, event->mac[0], event->mac[1], event->mac[2], event->mac[3],
		          event->mac[4], event->mac[5],
		          event->arg < REASON_COUNT ? reason_names[event->arg] : "unknown");
}

static void event_for(struct sentinel *s, struct service *svc, const struct event *event)
{
	switch (event->type) {
	case EVENT_RESIGN_ACCEPTED:
		flipped_by_resign(s, svc, event);
		break;
	case EVENT_RESIGN_REFUSED:
		log_warn("service=%s event=resign-refused reason=%s", svc->conf->name,
		         event->arg < REASON_COUNT ? reason_names[event->arg] : "unknown");
		break;
	case EVENT_SERVER_SIGNAL:
		server_died(s, svc, CAUSE_server_signal, event);
		break;
	case EVENT_SERVER_EXIT:
		server_died(s, svc, CAUSE_server_exit, event);
		break;
	case EVENT_SOCKET_RELEASED:
		server_died(s, svc, CAUSE_server_socket, event);
		break;
	case EVENT_SERVER_BOUND:
		server_bound(s, svc, event);
		break;
	case EVENT_CONTEST:
		contested(s, svc, event);
		break;
	default: /* EVENT_FIRST_PACKET: takeover_update() reads it from the map */
		break;
	}
}

void service_event(struct sentinel *s, const struct event *event)
{
	for (int i = 0; i < s->n_service; i++)
		if (event->services & 1ULL << i && s->service[i].here)
			event_for(s, &s->service[i], event);
}

struct mono service_next(const struct service *svc)
{
	struct mono next = lease_next(&svc->lease), due;

	if (svc->here && announcer_due(&svc->announcer, &due) && mono_before(due, next))
		next = due;
	if (mono_is_set(svc->drain_next) && mono_before(svc->drain_next, next))
		next = svc->drain_next;
	return next;
}

void service_check_plane(struct sentinel *s, struct service *svc)
{
	int err = plane_check(&s->plane, &svc->iface);

	if (err == -EAGAIN)
		return; /* what cannot be seen is not known to be gone: no reason to lay down the service */
	if (err == 1)
		log_error("service=%s event=data-plane-put-back interface=%s text=\"gate or fence had been "
		          "taken off; see who runs ip link, tc or bpftool\"",
		          svc->conf->name, svc->iface.name);
	if (err < 0 && !svc->plane_broken)
		log_error(
		        "service=%s event=data-plane-gone interface=%s error=\"%s\" text=\"nothing gates or "
		        "fences the VIP here; take it off the interface, mend that, restart sipflipd\"",
		        svc->conf->name, svc->iface.name, strerror(-err));
	svc->plane_broken = err < 0;
}
