/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * `sipflip doctor`: looks at everything sipflip needs of this machine, each
 * finding a line with what to do about it. It changes nothing, needs no running
 * agent, and goes on after each failure. The checks are in doctor_*.c.
 */
#include "doctor.h"

#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "files.h"

static void print_finding(const char *level, const char *what, va_list ap, const char *todo)
{
	printf("%-4s  ", level);
	vprintf(what, ap);
	if (todo)
		printf("  -> %s", todo);
	putchar('\n');
}

void doctor_ok(const char *what, ...)
{
	va_list ap;

	va_start(ap, what);
	print_finding("ok", what, ap, NULL);
	va_end(ap);
}

void doctor_warn(struct doctor *d, const char *todo, const char *what, ...)
{
	va_list ap;

	d->n_warn++;
	va_start(ap, what);
	print_finding("warn", what, ap, todo);
	va_end(ap);
}

void doctor_fail(struct doctor *d, const char *todo, const char *what, ...)
{
	va_list ap;

	d->n_fail++;
	va_start(ap, what);
	print_finding("FAIL", what, ap, todo);
	va_end(ap);
}

static void check_files(struct doctor *d)
{
	struct config_error error;
	char text[512], *todo, id[16];
	struct passwd *user;

	if (files_config(d->cli->config_file, &d->config, &error)) {
		todo = strstr(error.text, "; ");
		if (todo)
			*todo = '\0';
		doctor_fail(d, todo ? todo + 2 : "see sipflip.conf(5)", "%s", error.text);
		return;
	}
	d->have_config = true;
	doctor_ok("%s: %d node%s, %d service%s", d->cli->config_file, d->config.n_node,
	          d->config.n_node == 1 ? "" : "s", d->config.n_service, d->config.n_service == 1 ? "" : "s");

	switch (files_key(d->config.key_file, &d->keys, text, sizeof(text))) {
	case FILES_KEY_GOOD:
		key_id(&d->keys.key[0], id);
		doctor_ok("key file %s: key %s, for root only", d->config.key_file, id);
		if (d->keys.n > 1) {
			key_id(&d->keys.key[1], id);
			doctor_ok(
			        "key file %s: key %s is accepted too, until the keys are changed everywhere",
			        d->config.key_file, id);
		}
		d->have_key = true;
		break;
	case FILES_KEY_EXPOSED:
	case FILES_KEY_FOREIGN:
		d->have_key = true;
		/* fall through */
	default:
		todo = strstr(text, "; ");
		if (todo)
			*todo = '\0';
		doctor_fail(d, todo ? todo + 2 : "see sipflip(8)", "%s", text);
	}

	user = getpwnam(d->config.user);
	if (!user)
		doctor_fail(d, "systemd-sysusers, or useradd --system it",
		            "there is no user %s for the call keeper", d->config.user);
	else if (!user->pw_uid)
		doctor_fail(d, "set user to one without rights", "user %s for the call keeper is root",
		            d->config.user);
	else
		doctor_ok("user %s for the call keeper exists", d->config.user);
}

int cmd_doctor(const struct cli *cli, int argc, char **argv)
{
	static struct doctor d;
	struct client_reply reply;

	(void)argc;
	(void)argv;
	d.cli = cli;
	if (geteuid())
		doctor_fail(&d, "run sipflip doctor as root; some findings below may be wrong", "not root");
	else
		doctor_ok("running as root");
	check_files(&d);
	d.agent_up = !view_load(cli->run_dir, NULL, &d.view, &reply);
	doctor_kernel(&d);
	if (d.have_config) {
		doctor_find_self(&d);
		doctor_net(&d);
	}
	if (d.agent_up)
		doctor_agent(&d);
	else
		doctor_warn(&d, "systemctl start sipflipd, or give its --run-dir",
		            "sipflipd is not running (%s/%s): this node cannot take over, nor vote",
		            cli->run_dir, CLIENT_CONTROL);
	if (d.n_fail || d.n_warn)
		printf("%d failed, %d warning%s\n", d.n_fail, d.n_warn, d.n_warn == 1 ? "" : "s");
	else
		puts("all is well");
	return d.n_fail ? CLI_BAD : CLI_OK;
}
