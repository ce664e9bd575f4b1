/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `sipflip check`: is a configuration file right? Says so in one line; a warning line for its key. */
#include <stdio.h>

#include "cli.h"
#include "files.h"

int cmd_check(const struct cli *cli, int argc, char **argv)
{
	static struct config config;
	const char *path = argc ? argv[0] : cli->config_file;
	struct config_error error;
	struct key_ring keys;
	char text[512];

	if (files_config(path, &config, &error)) {
		fprintf(stderr, "%s\n", error.text);
		return CLI_BAD;
	}
	printf("%s: ok: %d node%s, %d service%s\n", path, config.n_node, config.n_node == 1 ? "" : "s",
	       config.n_service, config.n_service == 1 ? "" : "s");
	if (files_key(config.key_file, &keys, text, sizeof(text)) != FILES_KEY_GOOD)
		fprintf(stderr, "%s: warning: %s\n", path, text);
	return CLI_OK;
}
