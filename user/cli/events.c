/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `sipflip events`: sipflipd's last events, one a line; -f waits for more. JSON is one object a line. */
#include <stdio.h>

#include "cli.h"
#include "client.h"
#include "json.h"
#include "text.h"

static const char *level_name(unsigned int level)
{
	return level <= 3 ? "error" : level == 4 ? "warning" : "info";
}

static void on_record(const union ctl_record *r, void *arg)
{
	const struct cli *cli = arg;
	const struct ctl_event *e = &r->event;

	if (r->head.type != CTL_EVENT)
		return;
	if (cli->json) {
		struct json j = json_start(stdout, true);

		json_object(&j, NULL);
		json_u64(&j, "number", e->number);
		json_u64(&j, "wall_ns", e->wall_ns);
		json_u64(&j, "boottime_ns", e->at_ns);
		json_text(&j, "level", level_name(e->level));
		json_text(&j, "text", e->text);
		json_close(&j);
	} else {
		printf("%s  %-7s  %s\n", text_wall(e->wall_ns).s, level_name(e->level), e->text);
	}
	if (cli->follow)
		fflush(stdout);
}

int cmd_events(const struct cli *cli, int argc, char **argv)
{
	struct ctl_request request = client_request(CTL_EVENTS, NULL, NULL);

	(void)argc;
	(void)argv;
	request.follow = cli->follow;
	return client_ask_or_say(cli->run_dir, CLIENT_CONTROL, &request, on_record, (void *)cli);
}
