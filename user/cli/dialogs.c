/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `sipflip dialogs`: what the call keeper knows of the calls, and what a takeover would do with each. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "client.h"
#include "json.h"
#include "text.h"

static const char *state_name(unsigned int state)
{
	static const char *const names[] = {"early", "confirmed", "rescuing", "rescued", "ended"};

	return state < sizeof(names) / sizeof(names[0]) ? names[state] : "unknown";
}

static void on_record(const union client_record *r, void *arg)
{
	if (r->head.type == CTL_DIALOG)
		client_list_add(arg, &r->dialog, sizeof(r->dialog));
}

/* Who is at the other end: the part of From or To between "sip:" and the parameters. */
static struct text party(const struct ctl_dialog *d)
{
	const char *uri = d->leg ? d->to : d->from, *start = strstr(uri, "sip:");
	struct text t;

	if (!start)
		start = strstr(uri, "sips:");
	start = start ? strchr(start, ':') + 1 : uri;
	snprintf(t.s, sizeof(t.s), "%.*s", (int)strcspn(start, ">;?"), start);
	return t;
}

static void print_table(const struct client_list *list)
{
	struct table table = {0};

	table_row(&table, 8, "CALL", "SERVICE", "LEG", "STATE", "AGE", "PARTY", "CSEQ", "A TAKEOVER WOULD");
	for (size_t i = 0; i < list->n; i++) {
		const struct ctl_dialog *d = CLIENT_ITEM(list, struct ctl_dialog, i);
		char call[24], cseq[32];

		snprintf(call, sizeof(call), "%" PRIu64, (uint64_t)d->call);
		snprintf(cseq, sizeof(cseq), "%u/%u", d->local_cseq, d->remote_cseq);
		table_row(&table, 8, call, d->service, d->leg ? "out" : "in", state_name(d->state),
		          text_ns(d->age_ns).s, party(d).s, cseq, d->plan);
	}
	table_print(&table, 0);
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
		json_close(&j);
	}
	json_close(&j);
	json_close(&j);
}

int cmd_dialogs(const struct cli *cli, int argc, char **argv)
{
	struct ctl_request request = client_request(CTL_DIALOGS, argc ? argv[0] : NULL, NULL);
	struct client_list list = {0};
	int r = client_ask_or_say(cli->run_dir, CLIENT_CALLS, &request, on_record, &list);

	if (r == CLI_OK) {
		if (cli->json)
			print_json(&list);
		else if (list.n)
			print_table(&list);
		else
			puts("no dialogs");
	}
	if (list.overflow) {
		fprintf(stderr, "sipflip: more dialogs than fit in memory; name a service\n");
		r = CLI_BAD;
	}
	client_list_free(&list);
	return r;
}
