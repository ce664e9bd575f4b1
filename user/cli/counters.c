/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `sipflip counters`: every named count of the kernel's programs, sipflipd and the call keeper. */
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "client.h"
#include "json.h"
#include "text.h"

#define HELP_COLUMN 43 /* where the help of a counter begins */

struct sheet {
	const struct cli *cli;
	struct json json;
	char source[sizeof(((struct ctl_counter *)0)->source)]; /* of the line before */
	char service[CTL_NAME_LEN];
};

/* The help beside its name, in as many lines as it needs, broken at blanks. */
static void print_help(const char *help)
{
	const size_t room = TEXT_COLUMNS - HELP_COLUMN;

	while (strlen(help) > room) {
		size_t n = room;

		while (n && help[n] != ' ')
			n--;
		n = n ? n : room;
		printf("%.*s\n%*s", (int)n, help, HELP_COLUMN, "");
		help += n + (help[n] == ' ');
	}
	puts(help);
}

static void print_line(struct sheet *sheet, const struct ctl_counter *c)
{
	if (!c->value && !sheet->cli->all)
		return;
	if (strcmp(sheet->source, c->source) || strcmp(sheet->service, c->service)) {
		printf("%s%s%s\n", c->source, c->service[0] ? ", service " : "", c->service);
		memcpy(sheet->source, c->source, sizeof(sheet->source));
		memcpy(sheet->service, c->service, sizeof(sheet->service));
	}
	printf("  %12llu  %-26s ", (unsigned long long)c->value, c->name);
	print_help(c->help);
}

static void on_record(const union ctl_record *r, void *arg)
{
	struct sheet *sheet = arg;
	const struct ctl_counter *c = &r->counter;

	if (r->head.type != CTL_COUNTER)
		return;
	if (!sheet->cli->json) {
		print_line(sheet, c);
		return;
	}
	json_object(&sheet->json, NULL);
	json_text(&sheet->json, "source", c->source);
	json_text(&sheet->json, "service", c->service);
	json_text(&sheet->json, "name", c->name);
	json_u64(&sheet->json, "value", c->value);
	json_text(&sheet->json, "help", c->help);
	json_close(&sheet->json);
}

int cmd_counters(const struct cli *cli, int argc, char **argv)
{
	struct ctl_request request = client_request(CTL_COUNTERS, argc > 0 ? argv[0] : NULL, NULL);
	struct sheet sheet = {.cli = cli};
	struct client_reply reply;
	int rc;

	if (cli->json) {
		sheet.json = json_start(stdout, false);
		json_array(&sheet.json, NULL);
	}
	rc = client_ask_or_say(cli->run_dir, CLIENT_CONTROL, &request, on_record, &sheet);
	/* a witness has no call keeper, and one that restarts is no reason to show nothing */
	if (rc == CLI_OK)
		client_ask(cli->run_dir, CLIENT_CALLS, &request, CLIENT_TIMEOUT_MS, on_record, &sheet,
		           &reply);
	if (cli->json)
		json_close(&sheet.json);
	return rc;
}
