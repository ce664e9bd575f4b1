/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Tells FreeSWITCH to recover its calls, see recover_socket.h. */
#include "recover_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "addr.h"
#include "loop.h"

#define PAUSE_NS   (250 * NS_PER_MS)
#define BUF_LEN    4096
#define READS      16 /* each time it is readable; the loop comes back for the rest */
#define NOTICE_MAX 8  /* messages before the one that is waited for */

enum state { IDLE, PAUSE, GREETING, AUTH, ANSWER };

struct recover_socket {
	su_root_t *root;
	struct keeper_conf conf;
	recover_socket_done_fn done;
	void *context;
	enum state state;
	uint64_t epoch;
	struct mono until; /* give up then */
	struct loop_alarm alarm;
	struct loop_fd watch;
	int fd;
	int last_error;
	unsigned int notices;
	char buf[BUF_LEN + 1];
	size_t len;
	struct recover_socket_counters counters;
};

static void hang_up(struct recover_socket *s)
{
	loop_fd_remove(&s->watch);
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	s->len = 0;
}

static void finish(struct recover_socket *s, int error, const char *said)
{
	char line[RECOVER_SOCKET_SAID_LEN];
	size_t n = 0;

	while (n < sizeof(line) - 1 && said[n] && said[n] != '\n') {
		line[n] = said[n] < ' ' || said[n] > '~' || said[n] == '"' ? ' ' : said[n];
		n++;
	}
	line[n] = '\0';
	hang_up(s);
	s->state = IDLE;
	s->done(s->context, s->epoch, error, line);
}

/* Not told yet, so it may be tried again; the alarm rings at the end of the pause or of all. */
static void try_again(struct recover_socket *s, int error)
{
	struct mono next = mono_add(loop_now(), PAUSE_NS);

	hang_up(s);
	s->last_error = error;
	s->state = PAUSE;
	loop_alarm_at(&s->alarm, mono_before(next, s->until) ? next : s->until);
}

static void lost(struct recover_socket *s, int error)
{
	if (s->state != ANSWER) {
		try_again(s, error);
		return;
	}
	s->counters.recover_unanswered++;
	finish(s, -ETIMEDOUT, "closed before it answered");
}

/* A line of ours always fits the socket's buffer: whatever else happens is an error. */
static bool say(struct recover_socket *s, const char *word, const char *text)
{
	char line[KEEPER_COMMAND_LEN + 16];
	int n = snprintf(line, sizeof(line), "%s %s\n\n", word, text);
	bool ok = send(s->fd, line, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) == n;

	explicit_bzero(line, sizeof(line));
	return ok;
}

/* Value of a header in the block that ends at `end`; NULL = not there. Its end is the line's. */
static const char *header(const char *block, const char *end, const char *name)
{
	size_t len = strlen(name);

	for (const char *line = block; line && line < end; line = strchr(line, '\n'), line += line != NULL)
		if (!strncasecmp(line, name, len) && line[len] == ':')
			return line + len + 1 + strspn(line + len + 1, " ");
	return NULL;
}

static bool is(const char *value, const char *what)
{
	return value && !strncasecmp(value, what, strlen(what));
}

static void malformed(struct recover_socket *s)
{
	s->counters.recover_malformed++;
	finish(s, -EPROTO, "its answer is not the event socket's protocol");
}

static void refused(struct recover_socket *s, const char *said)
{
	s->counters.recover_refused++;
	finish(s, -EACCES, said);
}

static void authenticated(struct recover_socket *s, const char *reply)
{
	if (!is(reply, "+OK")) {
		refused(s, reply ? reply : "");
		return;
	}
	if (!say(s, "api", s->conf.event_socket_command)) {
		try_again(s, -EPIPE);
		return;
	}
	s->state = ANSWER;
	s->until = mono_add(loop_now(), RECOVER_SOCKET_ANSWER_NS);
	loop_alarm_at(&s->alarm, s->until);
}

static void answered(struct recover_socket *s, const char *body)
{
	if (*body == '-') {
		refused(s, body);
		return;
	}
	s->counters.recover_told++;
	finish(s, 0, body);
}

/* One whole message: headers up to `end`, then `body`. */
static void heard(struct recover_socket *s, const char *end, const char *body)
{
	const char *type = header(s->buf, end, "Content-Type");

	if (is(type, "text/rude-rejection"))
		refused(s, "its access list does not allow this address");
	else if (s->state == GREETING && is(type, "auth/request"))
		say(s, "auth", s->conf.event_socket_password) ? (void)(s->state = AUTH)
		                                              : try_again(s, -EPIPE);
	else if (s->state == AUTH && is(type, "command/reply"))
		authenticated(s, header(s->buf, end, "Reply-Text"));
	else if (s->state == ANSWER && is(type, "api/response"))
		answered(s, body);
	else if (!type || ++s->notices > NOTICE_MAX)
		malformed(s);
}

/* True when a message was taken off the buffer, and another one may be in it. */
static bool take_message(struct recover_socket *s)
{
	enum state before = s->state;
	const char *end, *length;
	unsigned long body_len = 0;
	size_t head_len, whole;
	bool cut;
	char after;

	s->buf[s->len] = '\0';
	end = strstr(s->buf, "\n\n");
	if (!end) {
		if (s->len == BUF_LEN || strlen(s->buf) < s->len)
			malformed(s);
		return false;
	}
	head_len = (size_t)(end - s->buf) + 2;
	length = header(s->buf, end, "Content-Length");
	body_len = length ? strtoul(length, NULL, 10) : 0;
	/* of a body longer than the buffer only the beginning is wanted */
	cut = body_len > BUF_LEN - head_len;
	whole = cut ? BUF_LEN : head_len + body_len;
	if (s->len < whole)
		return false;
	if (cut && before != ANSWER) {
		malformed(s);
		return false;
	}
	/* the body ends where it ends, for who prints it */
	after = s->buf[whole];
	s->buf[whole] = '\0';
	heard(s, end, s->buf + head_len);
	s->buf[whole] = after;
	if (s->state == IDLE || s->state == PAUSE)
		return false;
	memmove(s->buf, s->buf + whole, s->len - whole);
	s->len -= whole;
	return s->len > 0;
}

static void readable(void *arg)
{
	struct recover_socket *s = arg;

	for (int i = 0; i < READS && s->fd >= 0; i++) {
		ssize_t n = recv(s->fd, s->buf + s->len, BUF_LEN - s->len, MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			lost(s, n ? -errno : -ECONNRESET);
			return;
		}
		s->len += (size_t)n;
		while (take_message(s))
			;
	}
}

static void attempt(struct recover_socket *s)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(s->conf.event_socket_port)};

	to.sin_addr.s_addr = addr_to_be32(&s->conf.event_socket);
	s->state = GREETING;
	s->notices = 0;
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->fd < 0 || (connect(s->fd, (struct sockaddr *)&to, sizeof(to)) < 0 && errno != EINPROGRESS)) {
		try_again(s, -errno);
		return;
	}
	/* it speaks first, and a refusal makes it readable too */
	if (loop_fd_add(&s->watch, s->root, s->fd, readable, s) < 0)
		try_again(s, -ENOMEM);
	else
		loop_alarm_at(&s->alarm, s->until);
}

static void rung(void *arg)
{
	struct recover_socket *s = arg;

	if (s->state == IDLE)
		return;
	if (s->state == ANSWER) {
		s->counters.recover_unanswered++;
		finish(s, -ETIMEDOUT, "no answer in time");
	} else if (!mono_before(loop_now(), s->until)) {
		s->counters.recover_unreached++;
		finish(s, s->state == PAUSE ? s->last_error : -ETIMEDOUT, "");
	} else if (s->state == PAUSE) {
		s->counters.recover_retries++;
		attempt(s);
	}
}

int recover_socket_new(su_root_t *root, const struct keeper_conf *conf, recover_socket_done_fn done,
                       void *context, struct recover_socket **ret)
{
	struct recover_socket *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return -ENOMEM;
	s->root = root;
	s->conf = *conf;
	s->done = done;
	s->context = context;
	s->fd = -1;
	rc = loop_alarm_init(&s->alarm, root, rung, s);
	if (rc < 0) {
		free(s);
		return rc;
	}
	*ret = s;
	return 0;
}

void recover_socket_free(struct recover_socket *s)
{
	if (!s)
		return;
	hang_up(s);
	loop_alarm_done(&s->alarm);
	explicit_bzero(&s->conf, sizeof(s->conf));
	free(s);
}

void recover_socket_start(struct recover_socket *s, uint64_t epoch, struct mono now)
{
	hang_up(s);
	s->epoch = epoch;
	s->until = mono_add(now, RECOVER_SOCKET_RETRY_NS);
	attempt(s);
}

void recover_socket_stop(struct recover_socket *s)
{
	hang_up(s);
	s->state = IDLE;
}

const struct recover_socket_counters *recover_socket_counters(const struct recover_socket *s)
{
	return &s->counters;
}
