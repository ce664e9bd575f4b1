/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `sipflip switchover`: asks sipflipd to hand a service over. It refuses when nobody is ready. */
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "view.h"

#define SWITCHOVER_TIMEOUT_MS 5000

static void ignore(const union ctl_record *record, void *arg)
{
	(void)record;
	(void)arg;
}

int cmd_switchover(const struct cli *cli, int argc, char **argv)
{
	struct ctl_request request = client_request(CTL_SWITCHOVER, argv[0], argc > 1 ? argv[1] : NULL);
	static struct view view;
	struct client_reply reply;
	int r = view_load_or_say(cli->run_dir, argv[0], &view);

	if (r)
		return r;
	if (client_ask(cli->run_dir, CLIENT_CONTROL, &request, SWITCHOVER_TIMEOUT_MS, ignore, NULL, &reply)) {
		fprintf(stderr, "sipflip: %s%s\n", reply.answered ? "not switched over: " : "",
		        reply.text[0] ? reply.text : strerror(-reply.error));
		return reply.answered ? CLI_BAD : CLI_CANNOT;
	}
	printf("%s: handed over from %s to %s\n", argv[0],
	       view_node_name(&view.service[0], view.service[0].s.owner_node),
	       argc > 1 ? argv[1] : view_node_name(&view.service[0], view.service[0].s.heir_node));
	return CLI_OK;
}
