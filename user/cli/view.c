/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Judges what sipflipd reports: who plays which part and what is wrong. The one
 * place that decides whether `sipflip status` and `sipflip doctor` call a service
 * degraded. Only the owner knows the others at first hand; a standby sees the
 * owner in its reflections and the witness not at all.
 */
#include "view.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "text.h"

#define VIEW_TIMEOUT_MS    2000
#define SILENT_AT_LEAST_NS 100000000ULL /* below that a loaded machine looks silent */

const char *view_role_name(unsigned int role)
{
	switch (role) {
#define ROLE(name, value)                                                                                    \
	case value:                                                                                          \
		return #name;
#include "sipflip/roles.def"
#undef ROLE
	}
	return "unknown";
}

const char *view_cause_text(unsigned int cause)
{
	switch (cause) {
#define CAUSE(name, value, text)                                                                             \
	case value:                                                                                          \
		return text;
#include "sipflip/causes.def"
#undef CAUSE
	}
	return "unknown cause";
}

const char *view_verdict_name(unsigned int verdict)
{
	static const char *const names[] = {
	        [HEALTH_UNKNOWN] = "unknown",
	        [HEALTH_OK] = "ok",
	        [HEALTH_HUNG] = "hung",
	        [HEALTH_REFUSED] = "refused",
	};

	return verdict < sizeof(names) / sizeof(names[0]) ? names[verdict] : "unknown";
}

const char *view_xdp_name(unsigned int mode)
{
	return mode == XDP_MODE_NATIVE ? "native" : mode == XDP_MODE_GENERIC ? "generic" : "none";
}

const char *view_node_name(const struct view_service *v, unsigned int node)
{
	return node < MAX_NODES && v->there[node] ? v->node[node].name : "?";
}

unsigned int view_self(const struct view_service *v)
{
	for (unsigned int i = 1; i < MAX_NODES; i++)
		if (v->there[i] && v->node[i].self)
			return i;
	return 0;
}

int view_is_silent(const struct view_service *v, const struct ctl_node *node)
{
	uint64_t limit = v->s.lease_ns * 2 > SILENT_AT_LEAST_NS ? v->s.lease_ns * 2 : SILENT_AT_LEAST_NS;

	return !node->self && node->heard_age_ns > limit;
}

const char *view_role(const struct view_service *v, unsigned int node)
{
	const struct ctl_node *n = &v->node[node];

	if (n->self)
		return view_role_name(v->s.role);
	if (n->status & STATUS_WITNESS)
		return "witness";
	if (n->heard_age_ns == TEXT_NEVER)
		return "unknown";
	if (node == v->s.owner_node || n->status & STATUS_OWNER)
		return "owner";
	return node == v->s.heir_node ? "heir" : "standby";
}

__attribute__((format(printf, 2, 3))) static void problem(struct view_service *v, const char *format, ...)
{
	va_list ap;

	if (v->n_problems == VIEW_PROBLEMS)
		return;
	va_start(ap, format);
	vsnprintf(v->problem[v->n_problems++], sizeof(v->problem[0]), format, ap);
	va_end(ap);
}

static void judge_ownership(struct view_service *v)
{
	const struct ctl_service *s = &v->s;

	if (!s->owner_node)
		problem(v, "nobody owns it%s%.90s", s->not_ready[0] ? ": " : "", s->not_ready);
	else if (!s->heir_node)
		problem(v, "no heir%s%.90s", s->not_ready[0] ? ": " : "", s->not_ready);
	else if (!s->heir_ready)
		problem(v, "heir %s is not ready%s%.80s", view_node_name(v, s->heir_node),
		        s->not_ready[0] ? ": " : "", s->not_ready);
}

static void judge_nodes(struct view_service *v)
{
	for (unsigned int i = 1; i < MAX_NODES; i++) {
		const struct ctl_node *n = &v->node[i];

		if (!v->there[i] || n->self)
			continue;
		if (n->heard_age_ns == TEXT_NEVER)
			problem(v,
			        "%s was never heard: is its agent up, has it the same key and configuration?",
			        n->name);
		else if (view_is_silent(v, n))
			problem(v, "%s has been silent for %s", n->name, text_ns(n->heard_age_ns).s);
		if (n->status & STATUS_SERVER_DEAD)
			problem(v, "the server on %s is dead", n->name);
		else if (n->status & STATUS_HUNG)
			problem(v, "the server on %s does not answer OPTIONS", n->name);
	}
}

static void judge_self(struct view_service *v, const struct ctl_instance *instance)
{
	const struct ctl_service *s = &v->s;

	if (s->contest_on)
		problem(v, "another machine, %02x:%02x:%02x:%02x:%02x:%02x, claims the VIP: last %s ago",
		        s->contest_mac[0], s->contest_mac[1], s->contest_mac[2], s->contest_mac[3],
		        s->contest_mac[4], s->contest_mac[5], text_ns(s->contest_age_ns).s);
	if (s->arbiter == 2)
		problem(v, "the arbiter does not answer");
	if (s->xdp_mode == XDP_MODE_NONE)
		return; /* a witness: no server, no calls here */
	if (s->verdict == HEALTH_HUNG || s->verdict == HEALTH_REFUSED)
		problem(v, "the server here %s",
		        s->verdict == HEALTH_HUNG ? "does not answer OPTIONS" : "refuses OPTIONS");
	else if (!s->server_tgid)
		problem(v, "no server listens on the VIP here");
	if (!instance->calls_pid)
		problem(v, "the call keeper is not running here: calls are not tracked");
	else if (!s->replica_up)
		problem(v, "the replica of the calls is not in step: a takeover would lose calls");
}

struct load {
	struct view *view;
	struct view_service *last;
};

static void on_record(const union client_record *r, void *arg)
{
	struct load *load = arg;
	struct view *view = load->view;

	if (r->head.type == CTL_INSTANCE)
		view->instance = r->instance;
	if (r->head.type == CTL_SERVICE && view->n_services < MAX_SERVICES) {
		load->last = &view->service[view->n_services++];
		*load->last = (struct view_service){.s = r->service};
	}
	if (r->head.type == CTL_NODE && load->last && r->node.node && r->node.node < MAX_NODES) {
		load->last->node[r->node.node] = r->node;
		load->last->there[r->node.node] = 1;
	}
}

int view_load(const char *run_dir, const char *service, struct view *ret, struct client_reply *ret_reply)
{
	struct ctl_request request = client_request(CTL_STATUS, service, NULL);
	struct load load = {.view = ret};

	memset(ret, 0, sizeof(*ret));
	if (client_ask(run_dir, CLIENT_CONTROL, &request, VIEW_TIMEOUT_MS, on_record, &load, ret_reply))
		return ret_reply->error;
	for (int i = 0; i < ret->n_services; i++) {
		judge_ownership(&ret->service[i]);
		judge_self(&ret->service[i], &ret->instance);
		ret->service[i].n_own_problems = ret->service[i].n_problems;
		judge_nodes(&ret->service[i]);
	}
	return 0;
}

int view_load_or_say(const char *run_dir, const char *service, struct view *ret)
{
	struct client_reply reply;

	if (!view_load(run_dir, service, ret, &reply)) {
		if (ret->n_services)
			return CLI_OK;
		fprintf(stderr, "sipflip: no service%s%s here; see its configuration\n",
		        service ? " called " : "", service ? service : "");
		return CLI_CANNOT;
	}
	fprintf(stderr, "sipflip: %s\n", reply.text[0] ? reply.text : strerror(-reply.error));
	return CLI_CANNOT;
}
