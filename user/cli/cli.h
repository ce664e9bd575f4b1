/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the subcommands share: the options before the command's name, the exit
 * statuses, and one function a command. main.c fills struct cli; commands read it.
 */
#ifndef SIPFLIP_CLI_H
#define SIPFLIP_CLI_H

#include <stdbool.h>

#define CLI_RUN_DIR "/run/sipflip"
#define CLI_CONFIG  "/etc/sipflip/sipflip.conf"
#define CLI_PIN_DIR "/sys/fs/bpf/sipflip"

enum cli_exit {
	CLI_OK = 0,
	CLI_BAD = 1,    /* degraded, refused or wrong: what was asked about is not fine */
	CLI_CANNOT = 2, /* could not ask, or wrong usage */
};

struct cli {
	const char *run_dir;
	const char *config_file;
	const char *pin_dir;
	bool json;
	bool follow;
	bool all;
	bool unrescuable;
	bool legs;
	const char *match; /* NULL = all */
};

int cmd_status(const struct cli *cli, int argc, char **argv);
int cmd_switchover(const struct cli *cli, int argc, char **argv);
int cmd_dialogs(const struct cli *cli, int argc, char **argv);
int cmd_takeovers(const struct cli *cli, int argc, char **argv);
int cmd_events(const struct cli *cli, int argc, char **argv);
int cmd_counters(const struct cli *cli, int argc, char **argv);
int cmd_doctor(const struct cli *cli, int argc, char **argv);
int cmd_check(const struct cli *cli, int argc, char **argv);
int cmd_keygen(const struct cli *cli, int argc, char **argv);

#endif
