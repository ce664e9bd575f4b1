/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The sentinel's log, see log.h. Its ring is the one piece of global state. */
#include "log.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"

static struct {
	struct ctl_event kept[LOG_KEPT];
	uint64_t last;    /* number of the newest line; the first is 1 */
	uint64_t written; /* number of the last line that went to stderr */
	uint64_t dropped;
} ring;

void log_line(enum log_level level, const char *format, ...)
{
	struct ctl_event *e = &ring.kept[++ring.last % LOG_KEPT];
	va_list args;

	*e = (struct ctl_event){
	        .head = {.type = CTL_EVENT, .len = sizeof(*e)},
	        .number = ring.last,
	        .wall_ns = clock_wall_ns(),
	        .at_ns = (uint64_t)clock_now().ns,
	        .level = level,
	};
	va_start(args, format);
	vsnprintf(e->text, sizeof(e->text), format, args);
	va_end(args);
	if (ring.last - ring.written > LOG_KEPT) {
		ring.dropped += ring.last - ring.written - LOG_KEPT;
		ring.written = ring.last - LOG_KEPT;
	}
}

static bool write_line(const struct ctl_event *e)
{
	/* "<6>": systemd reads the level from it, a person can live with it */
	struct pollfd pfd = {.fd = STDERR_FILENO, .events = POLLOUT};
	char line[sizeof(e->text) + 64];
	uint64_t ms = e->wall_ns / NS_PER_MS % 1000;
	time_t s = (time_t)(e->wall_ns / NS_PER_S);
	struct tm tm;
	int n;

	if (poll(&pfd, 1, 0) != 1 || !(pfd.revents & POLLOUT))
		return false;
	if (getenv("JOURNAL_STREAM")) {
		n = snprintf(line, sizeof(line), "<%u>%s\n", e->level, e->text);
	} else {
		gmtime_r(&s, &tm);
		n = snprintf(line, sizeof(line), "%02d:%02d:%02d.%03u %s%s\n", tm.tm_hour, tm.tm_min,
		             tm.tm_sec, (unsigned)ms,
		             e->level <= LOG_LEVEL_ERROR  ? "error: "
		             : e->level == LOG_LEVEL_WARN ? "warning: "
		                                          : "",
		             e->text);
	}
	if (n >= (int)sizeof(line))
		n = sizeof(line) - 1;
	/* a line is shorter than PIPE_BUF, so it goes out whole or not at all */
	return write(STDERR_FILENO, line, (size_t)n) == n;
}

void log_flush(void)
{
	while (ring.written < ring.last) {
		if (!write_line(&ring.kept[(ring.written + 1) % LOG_KEPT]))
			return;
		ring.written++;
	}
}

void log_flush_final(void)
{
	struct pollfd pfd = {.fd = STDERR_FILENO, .events = POLLOUT};

	for (int i = 0; i < 10 && ring.written < ring.last; i++) {
		poll(&pfd, 1, 100);
		log_flush();
	}
}

uint64_t log_dropped(void)
{
	return ring.dropped;
}

uint64_t log_last_number(void)
{
	return ring.last;
}

const struct ctl_event *log_kept(uint64_t number)
{
	if (number == 0 || number > ring.last || ring.last - number >= LOG_KEPT)
		return NULL;
	return &ring.kept[number % LOG_KEPT];
}

void fatal(const char *format, ...)
{
	va_list args;

	log_flush_final();
	fputs("sipflipd: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}
