/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * `sipflip status`: the verdict in words first, then what is wrong, then the
 * figures. Exit status 0 when every service is fine, 1 when one is not.
 */
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "json.h"
#include "judge.h"
#include "text.h"
#include "view.h"

static struct text server_text(const struct view_service *v, const struct ctl_node *n)
{
	const struct ctl_service *s = &v->s;
	struct text t;

	if (n->status & STATUS_WITNESS || (n->self && s->role == ROLE_witness))
		snprintf(t.s, sizeof(t.s), "-");
	else if (n->self)
		snprintf(t.s, sizeof(t.s), "%.8s, %.30s",
		         s->server_tgid || s->verdict == HEALTH_OK ? view_verdict_name(s->verdict) : "down",
		         text_ago(s->ok_age_ns).s);
	else if (n->heard_age_ns == TEXT_NEVER || view_is_silent(v, n))
		snprintf(t.s, sizeof(t.s), "unknown");
	else
		snprintf(t.s, sizeof(t.s), "%s, %.30s",
		         n->status & STATUS_SERVER_DEAD ? "dead"
		         : n->status & STATUS_HUNG      ? "hung"
		         : n->status & STATUS_HEALTHY   ? "ok"
		                                        : "not ok",
		         text_ago(n->ok_age_us == UINT32_MAX ? TEXT_NEVER : n->ok_age_us * 1000ULL).s);
	return t;
}

static struct text lease_text(const struct view_service *v, unsigned int node)
{
	struct text t = {"-"};

	/* A node knows only its own word. */
	if (!v->node[node].self || v->s.role == ROLE_witness)
		return t;
	if (v->s.lease_left_ns == INT64_MAX)
		snprintf(t.s, sizeof(t.s), "no end");
	else if (v->s.lease_left_ns <= 0)
		snprintf(t.s, sizeof(t.s), "fenced");
	else
		return text_ns((uint64_t)v->s.lease_left_ns);
	return t;
}

static const char *ready_text(const struct view_service *v, unsigned int node)
{
	const struct ctl_node *n = &v->node[node];

	if (n->status & STATUS_WITNESS || (n->self && v->s.role == ROLE_witness) || node == v->s.owner_node)
		return "-";
	if (node == v->s.heir_node)
		return v->s.heir_ready ? "yes" : "NO";
	return "no";
}

static void print_nodes(const struct view_service *v)
{
	struct table table = {0};

	table_row(&table, 8, "NODE", "ROLE", "ADDRESS", "SERVER, LAST ANSWER", "LEASE LEFT", "READY", "HEARD",
	          "RTT");
	for (unsigned int i = 1; i < MAX_NODES; i++) {
		const struct ctl_node *n = &v->node[i];
		char name[CTL_NAME_LEN + 2];

		if (!v->there[i])
			continue;
		snprintf(name, sizeof(name), "%s%s", n->name, n->self ? " *" : "");
		table_row(&table, 8, name,
		          view_is_silent(v, n) && n->heard_age_ns != TEXT_NEVER ? "silent" : view_role(v, i),
		          n->address, server_text(v, n).s, lease_text(v, i).s, ready_text(v, i),
		          n->self ? "this node" : text_ago(n->heard_age_ns).s,
		          n->rtt_us ? text_us(n->rtt_us).s : "-");
	}
	table_print(&table, 2);
}

static void print_service(const struct view_service *v)
{
	const struct ctl_service *s = &v->s;
	char vip[64], text[256];

	snprintf(vip, sizeof(vip), "%s", s->vip);
	vip[strcspn(vip, "/")] = '\0';
	judge_verdict(v, text, sizeof(text));
	text_line("%s  %s  %s", s->name, vip, text);
	for (int i = 0; i < v->n_problems; i++) {
		text_line("  ! %s", v->problem[i].what);
		text_line("    -> %s", v->problem[i].todo);
	}
	text_line("  %s on %s, XDP %s, %s, lease %s, epoch %llu", s->vip,
	          s->interface[0] ? s->interface : "-", view_xdp_name(s->xdp_mode), s->mode,
	          text_ns(s->lease_ns).s, (unsigned long long)s->epoch);
	print_nodes(v);
	if (s->xdp_mode == XDP_MODE_NONE)
		return;
	text_line("  dialogs %u here, %u at the peer; %u call%s rescuable; replica %s; takeovers %llu, "
	          "lapses %llu",
	          s->dialogs_here, s->dialogs_peer, s->rescuable, s->rescuable == 1 ? "" : "s",
	          s->replica_up ? "in step" : "not in step", (unsigned long long)s->takeovers,
	          (unsigned long long)s->lapses);
	text_line("  %u call%s ringing, %u to relay in %u flows", s->ringing, s->ringing == 1 ? "" : "s",
	          s->relayed, s->flows);
}

static void age(struct json *j, const char *key, uint64_t ns, uint64_t never)
{
	if (ns == never)
		json_null(j, key);
	else
		json_u64(j, key, ns);
}

static void node_name(struct json *j, const char *key, const struct view_service *v, unsigned int node)
{
	if (!node)
		json_null(j, key);
	else
		json_text(j, key, view_node_name(v, node));
}

static void json_node(struct json *j, const struct view_service *v, unsigned int node)
{
	const struct ctl_node *n = &v->node[node];

	json_object(j, NULL);
	json_text(j, "name", n->name);
	json_u64(j, "number", n->node);
	json_text(j, "address", n->address);
	json_bool(j, "self", n->self);
	json_text(j, "role", view_role(v, node));
	json_bool(j, "silent", view_is_silent(v, n));
	age(j, "heard_age_ns", n->heard_age_ns, TEXT_NEVER);
	json_u64(j, "epoch", n->epoch);
	json_bool(j, "owner", n->status & STATUS_OWNER);
	json_bool(j, "healthy", n->status & STATUS_HEALTHY);
	json_bool(j, "armed", n->status & STATUS_ARMED);
	json_bool(j, "server_dead", n->status & STATUS_SERVER_DEAD);
	json_bool(j, "hung", n->status & STATUS_HUNG);
	json_bool(j, "mute", n->status & STATUS_MUTE);
	json_bool(j, "calls_up", n->status & STATUS_CALLS_UP);
	json_bool(j, "witness", n->status & STATUS_WITNESS);
	age(j, "ok_age_us", n->ok_age_us, UINT32_MAX);
	age(j, "turn_age_us", n->turn_age_us, UINT32_MAX);
	age(j, "rtt_us", n->rtt_us, 0);
	json_u64(j, "echoes_sent", n->sent);
	json_u64(j, "echoes_lost", n->lost);
	json_close(j);
}

static void json_contest(struct json *j, const struct ctl_service *s)
{
	char mac[18];

	snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", s->contest_mac[0], s->contest_mac[1],
	         s->contest_mac[2], s->contest_mac[3], s->contest_mac[4], s->contest_mac[5]);
	json_object(j, "contest");
	json_bool(j, "now", s->contest_on);
	json_u64(j, "count", s->contests);
	json_text(j, "mac", s->contests ? mac : "");
	age(j, "age_ns", s->contests ? s->contest_age_ns : TEXT_NEVER, TEXT_NEVER);
	json_close(j);
}

static void json_server(struct json *j, const struct ctl_service *s)
{
	json_object(j, "server");
	json_text(j, "health", view_verdict_name(s->verdict));
	age(j, "pid", s->server_tgid, 0);
	age(j, "ok_age_ns", s->ok_age_ns, TEXT_NEVER);
	json_u64(j, "limit_us", s->limit_us);
	json_u64(j, "p50_us", s->p50_us);
	json_u64(j, "p99_us", s->p99_us);
	json_close(j);
}

static void json_service(struct json *j, const struct view_service *v)
{
	const struct ctl_service *s = &v->s;
	char text[256];

	judge_verdict(v, text, sizeof(text));
	json_object(j, NULL);
	json_text(j, "name", s->name);
	json_text(j, "verdict", text);
	json_bool(j, "fine", !v->n_problems);
	json_array(j, "problems");
	for (int i = 0; i < v->n_problems; i++)
		json_text(j, NULL, v->problem[i].what);
	json_close(j);
	json_array(j, "advice");
	for (int i = 0; i < v->n_problems; i++)
		json_text(j, NULL, v->problem[i].todo);
	json_close(j);
	json_text(j, "vip", s->vip);
	json_text(j, "interface", s->interface);
	json_text(j, "mode", s->mode);
	json_text(j, "role", view_role_name(s->role));
	node_name(j, "owner", v, s->owner_node);
	node_name(j, "heir", v, s->heir_node);
	json_bool(j, "heir_ready", s->heir_ready);
	json_text(j, "not_ready", s->not_ready);
	json_text(j, "xdp_mode", view_xdp_name(s->xdp_mode));
	json_u64(j, "epoch", s->epoch);
	json_bool(j, "lease_forever", s->lease_left_ns == INT64_MAX);
	if (s->lease_left_ns == INT64_MAX)
		json_null(j, "lease_left_ns");
	else
		json_i64(j, "lease_left_ns", s->lease_left_ns);
	json_u64(j, "lease_ns", s->lease_ns);
	json_u64(j, "echo_ns", s->echo_ns);
	json_server(j, s);
	json_u64(j, "dialogs_here", s->dialogs_here);
	json_u64(j, "dialogs_peer", s->dialogs_peer);
	json_bool(j, "replica_up", s->replica_up);
	json_u64(j, "rescuable_calls", s->rescuable);
	json_u64(j, "ringing_calls", s->ringing);
	json_u64(j, "relayed_calls", s->relayed);
	json_u64(j, "flows", s->flows);
	json_u64(j, "ports_held", s->ports_held);
	json_text(j, "arbiter", s->arbiter == 1 ? "seen" : s->arbiter == 2 ? "not seen" : "none");
	json_u64(j, "takeovers", s->takeovers);
	json_u64(j, "lapses", s->lapses);
	json_contest(j, s);
	json_array(j, "nodes");
	for (unsigned int i = 1; i < MAX_NODES; i++)
		if (v->there[i])
			json_node(j, v, i);
	json_close(j);
	json_close(j);
}

static void json_status(const struct view *view)
{
	const struct ctl_instance *in = &view->instance;
	struct json j = json_start(stdout, false);

	json_object(&j, NULL);
	json_object(&j, "instance");
	json_text(&j, "node", in->node);
	json_text(&j, "version", in->version);
	json_text(&j, "key_id", in->key_id);
	if (in->other_key_id[0])
		json_text(&j, "other_key_id", in->other_key_id);
	else
		json_null(&j, "other_key_id");
	json_u64(&j, "pid", in->pid);
	age(&j, "calls_pid", in->calls_pid, 0);
	json_u64(&j, "calls_restarts", in->calls_restarts);
	json_u64(&j, "rt_priority", in->rt_priority);
	json_u64(&j, "uptime_ns", in->now_ns - in->started_ns);
	json_u64(&j, "log_dropped", in->log_dropped);
	json_u64(&j, "turn_max_us", in->turn_max_us);
	json_close(&j);
	json_array(&j, "services");
	for (int i = 0; i < view->n_services; i++)
		json_service(&j, &view->service[i]);
	json_close(&j);
	json_close(&j);
}

int cmd_status(const struct cli *cli, int argc, char **argv)
{
	static struct view view;
	int r = view_load_or_say(cli->run_dir, argc ? argv[0] : NULL, &view);

	if (r)
		return r;
	if (cli->json)
		json_status(&view);
	for (int i = 0; i < view.n_services; i++) {
		if (!cli->json) {
			if (i)
				putchar('\n');
			print_service(&view.service[i]);
		}
		if (view.service[i].n_problems)
			r = CLI_BAD;
	}
	return r;
}
