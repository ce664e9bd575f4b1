/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * `sipflip dialogs`: the calls that the call keeper knows here, how their two legs
 * were found, where their media flows, and what a takeover would do with each.
 * --unrescuable: those that a takeover would lose, before it does.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "client.h"
#include "json.h"
#include "text.h"

#define STATE_ENDED 4

static const char *state_name(unsigned int state)
{
	static const char *const names[] = {"early", "confirmed", "rescuing", "rescued", "ended"};

	return state < sizeof(names) / sizeof(names[0]) ? names[state] : "unknown";
}

struct wanted {
	const struct cli *cli;
	struct client_list *list;
};

/* A text that people search a call by. */
static bool matches(const struct ctl_dialog *d, const char *text)
{
	const char *const fields[] = {d->call_id, d->from,      d->to,       d->remote_target,
	                              d->flow,    d->paired_by, d->plan_name};

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (strcasestr(fields[i], text))
			return true;
	for (int i = 0; i < 4; i++)
		if (strcasestr(d->stream[i].vip, text) || strcasestr(d->stream[i].remote, text))
			return true;
	return false;
}

static void on_record(const union ctl_record *r, void *arg)
{
	const struct wanted *wanted = arg;
	const struct ctl_dialog *d = &r->dialog;

	if (r->head.type != CTL_DIALOG)
		return;
	if (wanted->cli->unrescuable && (d->rescuable || d->state == STATE_ENDED))
		return;
	if (wanted->cli->match && !matches(d, wanted->cli->match))
		return;
	client_list_add(wanted->list, d, sizeof(*d));
}

/* By service and call; the leg that called the server first. */
static int by_call(const void *a, const void *b)
{
	const struct ctl_dialog *x = a, *y = b;
	int order = strcmp(x->service, y->service);

	if (!order)
		order = x->call < y->call ? -1 : x->call > y->call;
	return order ? order : (int)x->leg - (int)y->leg;
}

static bool same_call(const struct ctl_dialog *a, const struct ctl_dialog *b)
{
	return a->call == b->call && !strcmp(a->service, b->service);
}

/* The part of a From or To between "sip:" and the parameters. */
static struct text uri_of(const char *name_addr)
{
	const char *start = strstr(name_addr, "sip:");
	struct text t;

	if (!start)
		start = strstr(name_addr, "sips:");
	start = start ? strchr(start, ':') + 1 : name_addr;
	snprintf(t.s, sizeof(t.s), "%.*s", (int)strcspn(start, ">;?"), start);
	return t;
}

static struct text party(const struct ctl_dialog *d)
{
	return uri_of(d->leg ? d->to : d->from);
}

/* Packets from the phone and to it, of the first stream. */
static struct text audio(const struct ctl_dialog *d)
{
	struct text t = {"-"};

	if (d->stream[0].vip[0])
		snprintf(t.s, sizeof(t.s), "%" PRIu64 "/%" PRIu64, (uint64_t)d->stream[0].packets,
		         (uint64_t)d->stream[0].sent);
	return t;
}

/* The other leg of the i-th, which follows it, or NULL. */
static const struct ctl_dialog *other_leg(const struct client_list *list, size_t i)
{
	const struct ctl_dialog *a = CLIENT_ITEM(list, struct ctl_dialog, i), *b;

	if (i + 1 >= list->n)
		return NULL;
	b = CLIENT_ITEM(list, struct ctl_dialog, i + 1);
	return same_call(a, b) ? b : NULL;
}

/* One line a call. */
static void print_calls(const struct client_list *list)
{
	struct table table = {0};

	table_row(&table, 9, "CALL", "SERVICE", "STATE", "AGE", "CALLER", "CALLED", "PAIRED BY", "RTP IN/OUT",
	          "TAKEOVER");
	for (size_t i = 0; i < list->n; i++) {
		const struct ctl_dialog *a = CLIENT_ITEM(list, struct ctl_dialog, i), *b = other_leg(list, i);
		char call[24];

		snprintf(call, sizeof(call), "%" PRIu64, (uint64_t)a->call);
		table_row(&table, 9, call, a->service, state_name(a->state), text_ns(a->age_ns).s,
		          uri_of(a->from).s, uri_of(b ? b->to : a->to).s, b ? a->paired_by : "one leg",
		          audio(a).s, a->plan_name);
		i += b != NULL;
	}
	table_print(&table, 0);
}

/* What would be lost, and below each why: a reason is too long for a column. */
static void print_lost(const struct client_list *list)
{
	for (size_t i = 0; i < list->n; i++) {
		const struct ctl_dialog *a = CLIENT_ITEM(list, struct ctl_dialog, i), *b = other_leg(list, i);

		text_line("call %" PRIu64 "  %s  %s  %s  %s > %s", (uint64_t)a->call, a->service,
		          state_name(a->state), text_ns(a->age_ns).s, uri_of(a->from).s,
		          uri_of(b ? b->to : a->to).s);
		text_line("  a takeover would: %s", a->plan);
		i += b != NULL;
	}
}

static void print_stream(const struct ctl_dialog *d, int i)
{
	const struct ctl_stream *s = &d->stream[i];
	char strange[48] = "", relatched[48] = "";

	if (!s->vip[0])
		return;
	if (s->strange)
		snprintf(strange, sizeof(strange), ", %" PRIu64 " from elsewhere refused",
		         (uint64_t)s->strange);
	if (s->relatched)
		snprintf(relatched, sizeof(relatched), ", source changed after the takeover");
	text_line("       %-5s %s <> %s%s  %" PRIu64 " in, %" PRIu64 " out, last %s%s%s",
	          i % 2 ? "rtcp" : "rtp", s->vip, s->remote[0] ? s->remote : "?", s->seen ? "" : " (by SDP)",
	          (uint64_t)s->packets, (uint64_t)s->sent, text_ago(s->last_age_ns).s, strange, relatched);
}

/* All there is to know of each leg. */
static void print_legs(const struct client_list *list)
{
	for (size_t i = 0; i < list->n; i++) {
		const struct ctl_dialog *d = CLIENT_ITEM(list, struct ctl_dialog, i);

		if (!i || !same_call(d, CLIENT_ITEM(list, struct ctl_dialog, i - 1))) {
			text_line("call %" PRIu64 "  %s  %s  %s  %s%s", (uint64_t)d->call, d->service,
			          state_name(d->state), text_ns(d->age_ns).s,
			          d->paired_by[0] ? "paired by " : "one leg", d->paired_by);
			text_line("  a takeover would: %s", d->plan);
		}
		text_line("  %-3s  %s  at %s  cseq %u/%u%s", d->leg ? "out" : "in", party(d).s, d->flow,
		          d->local_cseq, d->remote_cseq, d->local ? "" : "  not of the server here");
		text_line("       call-id %s", d->call_id);
		for (int s = 0; s < 4; s++)
			print_stream(d, s);
	}
}

static void json_stream(struct json *j, const struct ctl_stream *s, int i)
{
	json_object(j, NULL);
	json_text(j, "kind", i % 2 ? "rtcp" : "rtp");
	json_u64(j, "media_line", (uint64_t)i / 2);
	json_text(j, "vip", s->vip);
	json_text(j, "remote", s->remote);
	json_bool(j, "seen", s->seen);
	json_u64(j, "packets_in", s->packets);
	json_u64(j, "packets_out", s->sent);
	json_u64(j, "strange", s->strange);
	json_bool(j, "relatched", s->relatched);
	if (s->last_age_ns == TEXT_NEVER)
		json_null(j, "last_age_ns");
	else
		json_u64(j, "last_age_ns", s->last_age_ns);
	json_close(j);
}

static void print_json(const struct client_list *list)
{
	struct json j = json_start(stdout, false);

	json_object(&j, NULL);
	json_array(&j, "dialogs");
	for (size_t i = 0; i < list->n; i++) {
		const struct ctl_dialog *d = CLIENT_ITEM(list, struct ctl_dialog, i);

		json_object(&j, NULL);
		json_text(&j, "service", d->service);
		json_u64(&j, "call", d->call);
		json_text(&j, "leg", d->leg ? "uac" : "uas");
		json_text(&j, "state", state_name(d->state));
		json_u64(&j, "age_ns", d->age_ns);
		json_text(&j, "call_id", d->call_id);
		json_text(&j, "from", d->from);
		json_text(&j, "to", d->to);
		json_u64(&j, "local_cseq", d->local_cseq);
		json_u64(&j, "remote_cseq", d->remote_cseq);
		json_text(&j, "remote_target", d->remote_target);
		json_text(&j, "flow", d->flow);
		json_text(&j, "paired_by", d->paired_by);
		json_text(&j, "plan", d->plan);
		json_text(&j, "plan_name", d->plan_name);
		json_bool(&j, "rescuable", d->rescuable);
		json_bool(&j, "local", d->local);
		json_array(&j, "streams");
		for (int s = 0; s < 4; s++)
			if (d->stream[s].vip[0])
				json_stream(&j, &d->stream[s], s);
		json_close(&j);
		json_close(&j);
	}
	json_close(&j);
	json_close(&j);
}

static void print(const struct cli *cli, const struct client_list *list)
{
	if (cli->json)
		print_json(list);
	else if (!list->n)
		puts(cli->unrescuable ? "nothing would be lost" : "no dialogs");
	else if (cli->legs)
		print_legs(list);
	else if (cli->unrescuable)
		print_lost(list);
	else
		print_calls(list);
}

int cmd_dialogs(const struct cli *cli, int argc, char **argv)
{
	struct ctl_request request = client_request(CTL_DIALOGS, argc ? argv[0] : NULL, NULL);
	struct client_list list = {0};
	struct wanted wanted = {cli, &list};
	int r = client_ask_or_say(cli->run_dir, CLIENT_CALLS, &request, on_record, &wanted);

	if (r == CLI_OK) {
		if (list.n)
			qsort(list.items, list.n, sizeof(struct ctl_dialog), by_call);
		print(cli, &list);
		if (cli->unrescuable && list.n)
			r = CLI_BAD;
	}
	if (list.overflow) {
		fprintf(stderr, "sipflip: more dialogs than fit in memory; name a service\n");
		r = CLI_BAD;
	}
	client_list_free(&list);
	return r;
}
