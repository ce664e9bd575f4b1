/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The command that tells a server to recover its calls, see recover.h. */
#include "recover.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "addr.h"
#include "log.h"
#include "secrets.h"

#define OUTPUT_READS 16 /* a turn; what does not fit waits for the next one */

void recover_want(struct recover *recover, uint64_t epoch)
{
	recover->wanted = true;
	recover->epoch = epoch;
}

/* In the child, between fork and exec. Words end at spaces; quotes are the command's own business. */
static void exec_command(const struct recover *recover, const struct config_service *conf, int output)
{
	static char command[KEEPER_COMMAND_LEN], service[64], epoch[64], vip[64];
	char *words[RECOVER_WORDS + 1] = {NULL}, *rest = command, *word;
	char *env[] = {service, epoch, vip,
	               "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", NULL};
	char addr[ADDR_TEXT_LEN];
	sigset_t none;
	int n = 0, null = open("/dev/null", O_RDONLY);

	snprintf(command, sizeof(command), "%s", conf->recover_command);
	snprintf(service, sizeof(service), "SIPFLIP_SERVICE=%s", conf->name);
	snprintf(epoch, sizeof(epoch), "SIPFLIP_EPOCH=%llu", (unsigned long long)recover->epoch);
	snprintf(vip, sizeof(vip), "SIPFLIP_VIP=%s", addr_format(&conf->vip[0].addr, addr));
	while (n < RECOVER_WORDS && (word = strsep(&rest, " ")))
		if (*word)
			words[n++] = word;
	if (null < 0 || dup2(null, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0)
		_exit(126);
	close_range(3, ~0U, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	setpgid(0, 0); /* so that its own children end with it */
	execve(words[0], words, env);
	_exit(127);
}

static void fail(struct recover *recover, const struct config_service *conf, const char *error)
{
	recover->failed++;
	log_error("service=%s event=recover-failed epoch=%llu error=\"%s\"", conf->name,
	          (unsigned long long)recover->epoch, error);
}

static void start(struct recover *recover, const struct config_service *conf, struct mono now)
{
	int pipe_fd[2];
	pid_t pid;

	recover->wanted = false;
	recover->runs++;
	if (pipe2(pipe_fd, O_CLOEXEC | O_NONBLOCK) < 0) {
		fail(recover, conf, strerror(errno));
		return;
	}
	pid = fork();
	if (pid == 0) {
		/* the writer may wait, only the reader may not */
		fcntl(pipe_fd[1], F_SETFL, 0);
		exec_command(recover, conf, pipe_fd[1]);
	}
	close(pipe_fd[1]);
	if (pid < 0) {
		fail(recover, conf, strerror(errno));
		close(pipe_fd[0]);
		return;
	}
	recover->pid = pid;
	recover->output = pipe_fd[0];
	recover->started = now;
	recover->killed = false;
	recover->line_len = 0;
	recover->line_ended = false;
	recover->line[0] = '\0';
	log_info("service=%s event=recover epoch=%llu pid=%d command=\"%s\"", conf->name,
	         (unsigned long long)recover->epoch, pid, conf->recover_command);
}

/* Keeps the last line that is not empty; what would break a log line becomes a blank. */
static void keep_line(struct recover *recover, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '\n' || c == '\r') {
			recover->line_ended = true;
			continue;
		}
		if (recover->line_ended)
			recover->line_len = 0;
		recover->line_ended = false;
		if (recover->line_len < sizeof(recover->line) - 1)
			recover->line[recover->line_len++] = (char)(c < ' ' || c > '~' || c == '"' ? ' ' : c);
		recover->line[recover->line_len] = '\0';
	}
}

static void read_output(struct recover *recover)
{
	char text[512];

	for (int i = 0; i < OUTPUT_READS; i++) {
		ssize_t n = read(recover->output, text, sizeof(text));

		if (n <= 0)
			return;
		keep_line(recover, text, (size_t)n);
	}
}

void recover_tick(struct recover *recover, const struct config_service *conf, struct mono now)
{
	if (!recover->pid) {
		if (recover->wanted && conf->recover_command[0])
			start(recover, conf, now);
		return;
	}
	read_output(recover);
	if (!recover->killed && mono_diff(now, recover->started) > RECOVER_LIMIT_NS) {
		recover->killed = true;
		kill(-recover->pid, SIGKILL);
		kill(recover->pid, SIGKILL);
	}
}

bool recover_reaped(struct recover *recover, const struct config_service *conf, pid_t pid, int status,
                    struct mono now)
{
	bool ok = WIFEXITED(status) && !WEXITSTATUS(status);

	if (!recover->pid || pid != recover->pid)
		return false;
	read_output(recover);
	close(recover->output);
	recover->pid = 0;
	if (ok) {
		log_info("service=%s event=recovered epoch=%llu after-ms=%lld said=\"%s\"", conf->name,
		         (unsigned long long)recover->epoch,
		         (long long)(mono_diff(now, recover->started) / NS_PER_MS), recover->line);
		return true;
	}
	recover->failed++;
	log_error("service=%s event=recover-failed epoch=%llu after-ms=%lld %s=%d said=\"%s\" text=\"%s\"",
	          conf->name, (unsigned long long)recover->epoch,
	          (long long)(mono_diff(now, recover->started) / NS_PER_MS),
	          WIFSIGNALED(status) ? "signal" : "status",
	          WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), recover->line,
	          recover->killed ? "killed: it took longer than 30 s"
	          : WIFEXITED(status) && WEXITSTATUS(status) == 127
	                  ? "cannot be executed: see recover-command"
	                  : "the calls may be lost");
	return true;
}

void recover_stop(struct recover *recover)
{
	if (!recover->pid)
		return;
	kill(-recover->pid, SIGKILL);
	kill(recover->pid, SIGKILL);
	waitpid(recover->pid, NULL, 0);
	close(recover->output);
	recover->pid = 0;
}

int recover_read_password(const struct config_service *conf, char *ret, size_t size,
                          struct config_error *ret_error)
{
	const char *path = conf->event_socket_password_file;
	char text[128];
	size_t len;
	int n;

	ret[0] = '\0';
	if (!path[0])
		return 0;
	n = secrets_read_file(path, text, sizeof(text));
	if (n == -EPERM) {
		snprintf(ret_error->text, sizeof(ret_error->text),
		         "%s: the password can be read by others; make it 0600", path);
		return n;
	}
	if (n < 0) {
		snprintf(ret_error->text, sizeof(ret_error->text),
		         "%s: service \"%s\": cannot read the event socket's password: %s; write it there, "
		         "readable by root only",
		         path, conf->name, strerror(-n));
		return n;
	}
	len = strcspn(text, "\r\n");
	text[len] = '\0';
	if (!len || len >= size) {
		explicit_bzero(text, sizeof(text));
		snprintf(ret_error->text, sizeof(ret_error->text),
		         "%s: the password is empty or longer than %zu bytes; write it in the first line",
		         path, size - 1);
		return -EINVAL;
	}
	memcpy(ret, text, len + 1);
	explicit_bzero(text, sizeof(text));
	return 0;
}
