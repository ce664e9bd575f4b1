/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * `sipflip takeovers`: each change of ownership as a timeline around the flip
 * (on the old owner, which does not flip, around the moment it fenced itself),
 * and what became of each call.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "client.h"
#include "json.h"
#include "text.h"
#include "view.h"

#define CALLS_SHOWN 20

static void add_takeover(const union ctl_record *r, void *arg)
{
	if (r->head.type == CTL_TAKEOVER)
		client_list_add(arg, &r->takeover, sizeof(r->takeover));
}

static void add_outcome(const union ctl_record *r, void *arg)
{
	if (r->head.type == CTL_OUTCOME)
		client_list_add(arg, &r->outcome, sizeof(r->outcome));
}

struct step {
	const char *key, *text;
	uint64_t at_ns;
};

#define STEPS 9

static void steps_of(const struct ctl_takeover *t, struct step steps[STEPS])
{
	const struct step all[STEPS] = {
	        {"last_ok", "last good answer of the old owner's server", t->last_ok_ns},
	        {"detected", "failure detected", t->detected_ns},
	        {"fenced", "old owner fenced itself", t->fenced_ns},
	        {"resigned", "RESIGN sent", t->resigned_ns},
	        {"flipped", "flipped: this node owns the VIP", t->flipped_ns},
	        {"announced", "first announcement sent", t->announced_ns},
	        {"first_packet", "first packet for the VIP", t->first_packet_ns},
	        {"first_reinvite", "first re-INVITE sent", t->first_reinvite_ns},
	        {"rescue_done", "last call rescued", t->rescue_done_ns},
	};

	memcpy(steps, all, sizeof(all));
}

/* What the offsets are against. */
static uint64_t zero_of(const struct ctl_takeover *t)
{
	return t->flipped_ns ? t->flipped_ns : t->fenced_ns ? t->fenced_ns : t->detected_ns;
}

static const char *name_of(const struct view *view, const char *service, unsigned int node)
{
	for (int i = 0; i < view->n_services; i++)
		if (!strcmp(view->service[i].s.name, service))
			return node ? view_node_name(&view->service[i], node) : "nobody";
	return node ? "?" : "nobody";
}

static const char *result_name(unsigned int result)
{
	static const char *const names[] = {"pending", "rescued", "failed", "skipped"};

	return result < sizeof(names) / sizeof(names[0]) ? names[result] : "unknown";
}

static int belongs(const struct ctl_outcome *o, const struct ctl_takeover *t)
{
	return o->epoch == t->epoch && !strcmp(o->service, t->service);
}

static void print_calls(const struct ctl_takeover *t, const struct client_list *outcomes)
{
	struct table table = {0};
	size_t left_out = 0;

	for (size_t i = 0; i < outcomes->n; i++) {
		const struct ctl_outcome *o = CLIENT_ITEM(outcomes, struct ctl_outcome, i);
		char answers[32], call[32];

		if (!belongs(o, t))
			continue;
		if (table.rows == CALLS_SHOWN) {
			left_out++;
			continue;
		}
		snprintf(call, sizeof(call), "call %" PRIu64, (uint64_t)o->call);
		snprintf(answers, sizeof(answers), "%u/%u", o->status_a, o->status_b);
		table_row(&table, 5, call, result_name(o->result), answers,
		          o->done_ns >= o->started_ns && o->done_ns ? text_ns(o->done_ns - o->started_ns).s
		                                                    : "-",
		          o->text);
	}
	table_print(&table, 4);
	if (left_out)
		printf("    and %zu more (--json has all, and their Call-IDs)\n", left_out);
}

static void print_takeover(const struct view *view, const struct ctl_takeover *t,
                           const struct client_list *outcomes)
{
	struct step steps[STEPS];
	uint64_t zero = zero_of(t);

	text_line("#%" PRIu64 "  %s  %s: %s -> %s, %s", (uint64_t)t->number, text_wall(t->wall_ns).s,
	          t->service, name_of(view, t->service, t->from_node), name_of(view, t->service, t->to_node),
	          t->planned ? "planned" : "unplanned");
	text_line("    cause: %s; epoch %" PRIu64, view_cause_text(t->cause), (uint64_t)t->epoch);
	steps_of(t, steps);
	for (int i = 0; i < STEPS; i++)
		if (steps[i].at_ns)
			printf("    %12s  %s\n", text_offset((int64_t)(steps[i].at_ns - zero)).s,
			       steps[i].text);
	if (t->calls)
		printf("    calls: %u, %u rescued, %u failed, %u skipped\n", t->calls, t->rescued, t->failed,
		       t->skipped);
	print_calls(t, outcomes);
}

static void json_calls(struct json *j, const struct ctl_takeover *t, const struct client_list *outcomes)
{
	json_array(j, "outcomes");
	for (size_t i = 0; i < outcomes->n; i++) {
		const struct ctl_outcome *o = CLIENT_ITEM(outcomes, struct ctl_outcome, i);

		if (!belongs(o, t))
			continue;
		json_object(j, NULL);
		json_u64(j, "call", o->call);
		json_text(j, "call_id", o->call_id);
		json_text(j, "result", result_name(o->result));
		json_u64(j, "status_a", o->status_a);
		json_u64(j, "status_b", o->status_b);
		json_u64(j, "started_boottime_ns", o->started_ns);
		json_u64(j, "done_boottime_ns", o->done_ns);
		json_text(j, "text", o->text);
		json_close(j);
	}
	json_close(j);
}

static void json_takeover(struct json *j, const struct view *view, const struct ctl_takeover *t,
                          const struct client_list *outcomes)
{
	uint64_t zero = zero_of(t);
	struct step steps[STEPS];

	json_object(j, NULL);
	json_u64(j, "number", t->number);
	json_text(j, "service", t->service);
	json_u64(j, "wall_ns", t->wall_ns);
	json_u64(j, "epoch", t->epoch);
	json_text(j, "from", name_of(view, t->service, t->from_node));
	json_text(j, "to", name_of(view, t->service, t->to_node));
	json_text(j, "cause", view_cause_text(t->cause));
	json_bool(j, "planned", t->planned);
	json_u64(j, "zero_boottime_ns", zero);
	/* Nanoseconds against zero; null = did not happen on this node. */
	json_object(j, "timeline_ns");
	steps_of(t, steps);
	for (int i = 0; i < STEPS; i++) {
		if (steps[i].at_ns)
			json_i64(j, steps[i].key, (int64_t)(steps[i].at_ns - zero));
		else
			json_null(j, steps[i].key);
	}
	json_close(j);
	json_u64(j, "calls", t->calls);
	json_u64(j, "rescued", t->rescued);
	json_u64(j, "failed", t->failed);
	json_u64(j, "skipped", t->skipped);
	json_calls(j, t, outcomes);
	json_close(j);
}

int cmd_takeovers(const struct cli *cli, int argc, char **argv)
{
	const char *service = argc ? argv[0] : NULL;
	struct ctl_request request = client_request(CTL_TAKEOVERS, service, NULL);
	struct client_list takeovers = {0}, outcomes = {0};
	struct client_reply reply;
	static struct view view;
	struct json j;
	int r = view_load_or_say(cli->run_dir, service, &view);

	if (!r)
		r = client_ask_or_say(cli->run_dir, CLIENT_CONTROL, &request, add_takeover, &takeovers);
	if (r)
		goto out;
	/* A witness has no call keeper; timelines stand without it. */
	request.op = CTL_OUTCOMES;
	if (takeovers.n &&
	    client_ask(cli->run_dir, CLIENT_CALLS, &request, 2000, add_outcome, &outcomes, &reply) &&
	    view.instance.calls_pid)
		fprintf(stderr, "sipflip: outcomes of the calls are missing: %s\n", reply.text);
	if (!cli->json) {
		if (!takeovers.n)
			puts("no takeovers");
		for (size_t i = 0; i < takeovers.n; i++)
			print_takeover(&view, CLIENT_ITEM(&takeovers, struct ctl_takeover, i), &outcomes);
		goto out;
	}
	j = json_start(stdout, false);
	json_object(&j, NULL);
	json_array(&j, "takeovers");
	for (size_t i = 0; i < takeovers.n; i++)
		json_takeover(&j, &view, CLIENT_ITEM(&takeovers, struct ctl_takeover, i), &outcomes);
	json_close(&j);
	json_close(&j);
out:
	client_list_free(&takeovers);
	client_list_free(&outcomes);
	return r;
}
