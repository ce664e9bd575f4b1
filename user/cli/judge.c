/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Judges what sipflipd reports of a service: each problem says what is wrong, what
 * that means for calls, and what to do about it. Pure: no output, no questions.
 * The reader has been woken up; so a consequence is not told beside its cause.
 */
#include "judge.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "text.h"

#define MODE_NAME_LEN    7             /* so much of the witness's name ctl_service.mode has room for */
#define STALLED_US       1000000U      /* an agent that has not turned for so long does not run */
#define KEEPER_SILENT_NS 2000000000ULL /* beyond the probe's limit: the call keeper reports each 10 ms */

__attribute__((format(printf, 2, 3))) static struct view_problem *problem(struct view_service *v,
                                                                          const char *format, ...)
{
	static struct view_problem one_too_many;
	struct view_problem *p = v->n_problems < VIEW_PROBLEMS ? &v->problem[v->n_problems++] : &one_too_many;
	va_list ap;

	va_start(ap, format);
	vsnprintf(p->what, sizeof(p->what), format, ap);
	va_end(ap);
	p->grave = false;
	return p;
}

/* Not one thing that may fail next, but one that has failed. */
static struct view_problem *grave(struct view_problem *p)
{
	p->grave = true;
	return p;
}

__attribute__((format(printf, 2, 3))) static void todo(struct view_problem *p, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(p->todo, sizeof(p->todo), format, ap);
	va_end(ap);
}

static bool is_data_node(const struct view_service *v)
{
	return v->s.xdp_mode != XDP_MODE_NONE;
}

static bool unheard(const struct view_service *v, const struct ctl_node *n)
{
	return n->heard_age_ns == TEXT_NEVER || view_is_silent(v, n);
}

/* "silent for 1.2 s", "never heard" */
static struct text silence(const struct ctl_node *n)
{
	struct text t;

	if (n->heard_age_ns == TEXT_NEVER)
		snprintf(t.s, sizeof(t.s), "never heard");
	else
		snprintf(t.s, sizeof(t.s), "silent for %.32s", text_ns(n->heard_age_ns).s);
	return t;
}

static bool is_witness(const struct view_service *v, const struct ctl_node *n)
{
	static const char mode[] = "witness ";
	const char *name = v->s.mode + sizeof(mode) - 1;

	if (n->status & STATUS_WITNESS)
		return true;
	return !strncmp(v->s.mode, mode, sizeof(mode) - 1) && !strncmp(n->name, name, MODE_NAME_LEN);
}

/* The record of a node that is there, or NULL. */
static const struct ctl_node *node_of(const struct view_service *v, unsigned int node)
{
	return node && node < MAX_NODES && v->there[node] ? &v->node[node] : NULL;
}

/* Not a single other node is heard. */
static bool is_alone(const struct view_service *v)
{
	unsigned int others = 0;

	for (unsigned int i = 1; i < MAX_NODES; i++) {
		if (!v->there[i] || v->node[i].self)
			continue;
		if (!unheard(v, &v->node[i]))
			return false;
		others++;
	}
	return others > 0;
}

/* The other data node is not heard: no wonder that it has no copy of the calls. */
static bool is_peer_gone(const struct view_service *v)
{
	for (unsigned int i = 1; i < MAX_NODES; i++)
		if (v->there[i] && !v->node[i].self && !is_witness(v, &v->node[i]) && unheard(v, &v->node[i]))
			return true;
	return false;
}

static bool own_server_down(const struct view_service *v)
{
	const struct ctl_service *s = &v->s;

	if (!is_data_node(v))
		return false;
	return s->verdict == HEALTH_HUNG || s->verdict == HEALTH_REFUSED ||
	       (!s->server_tgid && s->verdict != HEALTH_OK);
}

/* The owner's server does not serve, and nobody could take over. */
static bool is_without_server(const struct view_service *v)
{
	const struct ctl_node *owner = node_of(v, v->s.owner_node);

	if (!owner || v->s.heir_ready)
		return false;
	if (owner->self)
		return own_server_down(v);
	return !unheard(v, owner) && owner->status & (STATUS_SERVER_DEAD | STATUS_HUNG);
}

void judge_verdict(const struct view_service *v, char *ret, size_t size)
{
	const struct ctl_service *s = &v->s;
	const struct ctl_node *owner = node_of(v, s->owner_node);
	const char *name = view_node_name(v, s->owner_node),
	           *down = is_without_server(v) ? "NO SERVICE, " : "";
	const char *here = owner && owner->self ? " (this node)" : "";

	if (!s->owner_node && is_alone(v))
		snprintf(ret, size, "owner not known: this node hears nobody");
	else if (!s->owner_node)
		snprintf(ret, size, "NO SERVICE, owned by nobody");
	else if (owner && !owner->self && view_is_silent(v, owner))
		snprintf(ret, size, "owned by %s when last heard, %s", name, text_ago(owner->heard_age_ns).s);
	else if (!s->heir_node)
		snprintf(ret, size, "%sowned by %s%s, NO HEIR", down, name, here);
	else
		snprintf(ret, size, "%sowned by %s%s, heir %s %s", down, name, here,
		         view_node_name(v, s->heir_node), s->heir_ready ? "ready" : "NOT READY");
}

static void judge_nobody(struct view_service *v)
{
	const char *need = "the other node is heard", *why = v->s.not_ready;
	struct view_problem *p;

	if (!strncmp(v->s.mode, "witness", 7))
		need = "two of the three nodes hear each other";
	else if (!strcmp(v->s.mode, "arbiter"))
		need = "the other node or the arbiter is heard";
	else if (!strcmp(v->s.mode, "hold"))
		need = "sipflipd runs";
	p = grave(problem(v, "nobody owns it, so nobody can call%s%.80s", why[0] ? ": " : "", why));
	todo(p, "a node becomes owner when its SIP server answers and %s", need);
}

static void judge_heir(struct view_service *v)
{
	const struct ctl_service *s = &v->s;
	const struct ctl_node *heir = node_of(v, s->heir_node);
	const char *name = view_node_name(v, s->heir_node), *why = s->not_ready;
	struct text text;
	struct view_problem *p;

	if (heir && heir->self && own_server_down(v))
		return; /* told as such */
	if (heir && !heir->self && unheard(v, heir)) {
		text = silence(heir);
		why = text.s;
	} else if (heir && !heir->self && heir->turn_age_us != UINT32_MAX && heir->turn_age_us > STALLED_US) {
		snprintf(text.s, sizeof(text.s), "sipflipd stands still there for %.12s",
		         text_us(heir->turn_age_us).s);
		why = text.s;
	}
	p = problem(v, "heir %.31s is not ready%s%.50s; nobody could take over", name, why[0] ? ": " : "",
	            why);
	if (!heir || heir->self)
		todo(p, "wait a second if it was just started; else see sipflip events");
	else if (unheard(v, heir))
		todo(grave(p),
		     "look at %s: is it up, does sipflipd run? see also sipflip doctor, here and there",
		     name);
	else if (heir->status & STATUS_SERVER_DEAD)
		todo(p, "start the SIP server on %s", name);
	else if (heir->status & STATUS_HUNG)
		todo(p, "look at the SIP server on %s: its log, its load; restart it", name);
	else
		todo(p, "on %s: systemctl status sipflipd, sipflip status, sipflip events", name);
}

static void judge_ownership(struct view_service *v)
{
	const struct ctl_service *s = &v->s;
	const char *heir = s->heir_node ? view_node_name(v, s->heir_node) : "its heir";
	struct view_problem *p;

	if (!s->owner_node) {
		if (!is_alone(v))
			judge_nobody(v);
		return;
	}
	if (is_without_server(v)) {
		p = problem(v, "no SIP server serves the VIP: calls that are up go on, nobody can call");
		todo(grave(p), "start the SIP server on %s or on %s", view_node_name(v, s->owner_node), heir);
	}
	if (!s->heir_node) {
		p = problem(v, "no heir%s%.60s; nobody could take over", s->not_ready[0] ? ": " : "",
		            s->not_ready);
		todo(p, "bring the other node up; see sipflip status there");
	} else if (!s->heir_ready) {
		judge_heir(v);
	}
}

static void judge_server(struct view_service *v)
{
	const struct ctl_service *s = &v->s;
	const char *means = s->owner_node == view_self(v) ? "" : "; this node cannot take over";
	struct view_problem *p;

	if (own_server_down(v) && !s->server_tgid) {
		p = problem(v, "no SIP server listens here%s", means);
		todo(p, "start it; it must listen on the VIP or on 0.0.0.0, at the port of sip =");
	} else if (s->verdict == HEALTH_HUNG) {
		p = problem(v, "the SIP server here (pid %u) has not answered OPTIONS for %s%s",
		            s->server_tgid, text_ns(s->ok_age_ns).s, means);
		todo(p, "look at its log and its load; restart it");
	} else if (s->verdict == HEALTH_REFUSED) {
		p = problem(v, "the SIP server here (pid %u) refuses OPTIONS: its port is closed%s",
		            s->server_tgid, means);
		todo(p, "restart it");
	} else if (!s->server_tgid && s->verdict == HEALTH_OK) {
		p = problem(v, "the SIP server's process is not known here: its death would be seen late");
		todo(p, "restart the SIP server, or sipflipd");
	}
}

static void judge_calls(struct view_service *v, const struct ctl_instance *in)
{
	const struct ctl_service *s = &v->s;
	uint64_t limit_ns = s->limit_us * 1000ULL + KEEPER_SILENT_NS;
	struct view_problem *p;

	if (!in->calls_pid) {
		p = problem(v, "the call keeper does not run here; calls are not followed and would be lost");
		todo(p, "sipflipd starts it again; if it does not last see sipflip events");
	} else if (s->verdict == HEALTH_OK && s->ok_age_ns != TEXT_NEVER && s->ok_age_ns > limit_ns) {
		p = problem(v, "the call keeper here has said nothing for %s; calls are not followed",
		            text_ns(s->ok_age_ns).s);
		todo(p, "sipflipd restarts it after 15 s; or kill -9 %u now: VIP and calls do not notice",
		     in->calls_pid);
	} else if (!s->replica_up && !is_peer_gone(v)) {
		p = problem(v, "the replica of the calls is not in step: a takeover would lose calls");
		todo(p, "give it some seconds; else: do both call keepers run, does TCP replica-port pass?");
	}
	if (s->ports_held) {
		p = problem(v,
		            "%u port%s that the server here wants %s a rescued call; its new call is silent",
		            s->ports_held, s->ports_held == 1 ? "" : "s",
		            s->ports_held == 1 ? "carries" : "carry");
		todo(p, "give the server a wider range of RTP ports; over when the rescued call ends");
	}
}

static struct text mac_text(const uint8_t *mac)
{
	struct text t;

	snprintf(t.s, sizeof(t.s), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
	         mac[5]);
	return t;
}

static void judge_self(struct view_service *v, const struct ctl_instance *instance)
{
	const struct ctl_service *s = &v->s;
	struct view_problem *p;

	if (s->contest_on) {
		p = problem(v, "another machine, %s, claims the VIP, last %s; phones may reach it",
		            mac_text(s->contest_mac).s, text_ago(s->contest_age_ns).s);
		todo(p, "find that machine by its MAC at the switch, and take the address off it");
	}
	if (s->arbiter == 2) {
		p = problem(v, "the arbiter does not answer; if the other node falls silent, this one stops");
		todo(p, "is an address of arbiter = up, and on this network? arping it from here");
	}
	if (!is_data_node(v))
		return;
	judge_server(v);
	judge_calls(v, instance);
}

static void judge_silent(struct view_service *v, unsigned int i)
{
	const struct ctl_node *n = &v->node[i];
	const char *means = "", *role = "";
	struct view_problem *p;

	if (i == v->s.heir_node)
		return; /* told with the heir */
	if (is_witness(v, n)) {
		role = "witness ";
		means = "; one more machine that fails ends the service";
	} else if (i == v->s.owner_node) {
		role = "owner ";
		means = "; others still hear it, else this node would own";
	}
	p = problem(v, "%s%.31s %s %s%s", role, n->name, n->heard_age_ns == TEXT_NEVER ? "was" : "has been",
	            silence(n).s, means);
	todo(grave(p), n->heard_age_ns == TEXT_NEVER
	                       ? "does its sipflipd run, with the same key and file? sipflip doctor there"
	                       : "look at that machine, its sipflipd, and the network between");
}

/* Somebody who is heard. */
static void judge_heard(struct view_service *v, const struct ctl_node *n)
{
	struct view_problem *p;

	if (n->turn_age_us != UINT32_MAX && n->turn_age_us > STALLED_US) {
		p = problem(v, "sipflipd on %.31s stands still for %s; its kernel goes on alone", n->name,
		            text_us(n->turn_age_us).s);
		todo(p, "on %s: systemctl status sipflipd; start it", n->name);
	}
	if (n->status & STATUS_SERVER_DEAD)
		todo(problem(v, "the SIP server on %s is dead", n->name), "start it there");
	else if (n->status & STATUS_HUNG)
		todo(problem(v, "the SIP server on %s does not answer OPTIONS", n->name), "restart it there");
}

static void judge_nodes(struct view_service *v)
{
	struct view_problem *p;

	if (is_alone(v) && v->s.owner_node != view_self(v)) {
		p = problem(v, "this node hears nobody; it can take nothing over, and the others may serve");
		todo(grave(p),
		     "look at its link, at filters for UDP echo-port, at key and file: sipflip doctor");
		return;
	}
	for (unsigned int i = 1; i < MAX_NODES; i++) {
		const struct ctl_node *n = &v->node[i];

		if (!v->there[i] || n->self)
			continue;
		if (unheard(v, n))
			judge_silent(v, i);
		else if (v->s.heir_ready || i != v->s.heir_node) /* else it is told with the heir */
			judge_heard(v, n);
	}
}

void judge_service(struct view_service *v, const struct ctl_instance *instance)
{
	v->n_problems = 0;
	judge_ownership(v);
	judge_self(v, instance);
	judge_nodes(v);
}
