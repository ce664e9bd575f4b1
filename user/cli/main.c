/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * sipflip, the command line: options, the table of subcommands, usage. A command
 * is one file and one function; none of them changes anything but switchover
 * (through sipflipd) and keygen.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "config.h"
#include "files.h"

#define TAKES_JSON   0x1
#define TAKES_FOLLOW 0x2
#define TAKES_ALL    0x4
#define TAKES_CALLS  0x8 /* --legs, --unrescuable, --match TEXT */

static const struct command {
	const char *name;
	int (*run)(const struct cli *cli, int argc, char **argv);
	int min_args, max_args;
	int takes;
	const char *args;
	const char *help;
} commands[] = {
        {"status", cmd_status, 0, 1, TAKES_JSON, "[--json] [SERVICE]",
         "who owns what, what is wrong, what to do"},
        {"switchover", cmd_switchover, 1, 2, 0, "SERVICE [NODE]",
         "hand a service over now, to its heir or to NODE"},
        {"takeovers", cmd_takeovers, 0, 1, TAKES_JSON, "[--json] [SERVICE]",
         "timeline of each change of ownership"},
        {"dialogs", cmd_dialogs, 0, 1, TAKES_JSON | TAKES_CALLS, "[OPTION...] [SERVICE]",
         "calls known here; --legs: all of each leg;"
         "\n                                         --unrescuable: what a takeover would lose;"
         "\n                                         --match TEXT; --json"},
        {"events", cmd_events, 0, 0, TAKES_JSON | TAKES_FOLLOW, "[-f] [--json]",
         "what happened lately; -f goes on"},
        {"counters", cmd_counters, 0, 1, TAKES_JSON | TAKES_ALL, "[--all] [--json] [SERVICE]",
         "what was counted, by name; --all: also what is zero"},
        {"doctor", cmd_doctor, 0, 0, 0, "", "checks this machine; says what to do about each finding"},
        {"check", cmd_check, 0, 1, 0, "[FILE]", "checks a configuration file without using it"},
        {"keygen", cmd_keygen, 0, 1, 0, "[FILE]", "makes a key, in FILE (which must not exist) or on stdout"},
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void usage(FILE *out)
{
	fprintf(out, "usage: sipflip [--run-dir DIR] [-c FILE] [--pin-dir DIR] COMMAND [ARGUMENT...]\n\n");
	for (size_t i = 0; i < N_COMMANDS; i++)
		fprintf(out, "  %-10s %-27s %s\n", commands[i].name, commands[i].args, commands[i].help);
	fprintf(out,
	        "\n"
	        "  --run-dir DIR  where sipflipd's sockets are (default: run-dir of FILE, or %s)\n"
	        "  -c FILE        configuration, for check, doctor and run-dir (default: %s)\n"
	        "  --pin-dir DIR  where sipflipd pins its maps, for doctor (default: %s)\n"
	        "  --help, --version\n\n"
	        "exit status: 0 fine, 1 degraded or refused, 2 could not ask or wrong usage; see "
	        "sipflip(8)\n",
	        CLI_RUN_DIR, CLI_CONFIG, CLI_PIN_DIR);
}

static int wrong(const char *what, const char *arg)
{
	fprintf(stderr, "sipflip: %s '%s'; see sipflip --help\n", what, arg);
	return CLI_CANNOT;
}

static const struct command *command_by_name(const char *name)
{
	for (size_t i = 0; i < N_COMMANDS; i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

/* The run-dir of a readable, correct configuration file; else the default. */
static const char *run_dir_of(const char *config_file)
{
	static struct config config;
	struct config_error error;

	return files_config(config_file, &config, &error) ? CLI_RUN_DIR : config.run_dir;
}

static int run(struct cli *cli, const struct command *command, int argc, char **argv)
{
	char *args[2];
	int n = 0;

	for (int i = 0; i < argc; i++) {
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
			printf("usage: sipflip %s %s\n  %s\n", command->name, command->args, command->help);
			return CLI_OK;
		}
		if (!strcmp(argv[i], "--json") && command->takes & TAKES_JSON) {
			cli->json = true;
			continue;
		}
		if ((!strcmp(argv[i], "-f") || !strcmp(argv[i], "--follow")) &&
		    command->takes & TAKES_FOLLOW) {
			cli->follow = true;
			continue;
		}
		if (!strcmp(argv[i], "--all") && command->takes & TAKES_ALL) {
			cli->all = true;
			continue;
		}
		if (!strcmp(argv[i], "--legs") && command->takes & TAKES_CALLS) {
			cli->legs = true;
			continue;
		}
		if (!strcmp(argv[i], "--unrescuable") && command->takes & TAKES_CALLS) {
			cli->unrescuable = true;
			continue;
		}
		if (!strcmp(argv[i], "--match") && command->takes & TAKES_CALLS) {
			if (++i == argc)
				return wrong("no value after", "--match");
			cli->match = argv[i];
			continue;
		}
		if (argv[i][0] == '-' && argv[i][1])
			return wrong("unknown option", argv[i]);
		if (n == command->max_args)
			return wrong("too many arguments at", argv[i]);
		args[n++] = argv[i];
	}
	if (n < command->min_args) {
		fprintf(stderr, "sipflip: usage: sipflip %s %s\n", command->name, command->args);
		return CLI_CANNOT;
	}
	if (!cli->run_dir)
		cli->run_dir = run_dir_of(cli->config_file);
	return command->run(cli, n, args);
}

int main(int argc, char **argv)
{
	struct cli cli = {.config_file = CLI_CONFIG, .pin_dir = CLI_PIN_DIR};
	const struct command *command;
	const char **value;
	int i, r;

	for (i = 1; i < argc && argv[i][0] == '-'; i++) {
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
			usage(stdout);
			return CLI_OK;
		}
		if (!strcmp(argv[i], "--version")) {
			puts("sipflip " SIPFLIP_VERSION);
			return CLI_OK;
		}
		if (!strcmp(argv[i], "--run-dir"))
			value = &cli.run_dir;
		else if (!strcmp(argv[i], "--pin-dir"))
			value = &cli.pin_dir;
		else if (!strcmp(argv[i], "-c"))
			value = &cli.config_file;
		else
			return wrong("unknown option", argv[i]);
		if (i + 1 == argc)
			return wrong("no value after", argv[i]);
		*value = argv[++i];
	}
	if (i == argc) {
		usage(stderr);
		return CLI_CANNOT;
	}
	command = command_by_name(argv[i]);
	if (!command)
		return wrong("unknown command", argv[i]);
	r = run(&cli, command, argc - i - 1, argv + i + 1);
	if (fflush(stdout) || ferror(stdout)) {
		fprintf(stderr, "sipflip: cannot write the output; is the disk or the pipe full?\n");
		return CLI_CANNOT;
	}
	return r;
}
