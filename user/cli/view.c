/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Puts together what sipflipd reports: who plays which part, by which name. What
 * is wrong with it is judge.c's opinion.
 */
#include "view.h"

#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "judge.h"
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

struct load {
	struct view *view;
	struct view_service *last;
};

static void on_record(const union ctl_record *r, void *arg)
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
		judge_service(&ret->service[i], &ret->instance);
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
