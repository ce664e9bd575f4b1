/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The command line's side of the control protocol: whatever a daemon answers, each
 * record that reaches a command has every text ended and safe for a terminal, and
 * the conversation ends with a word to people when it fails.
 */
#include "record_check.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../user/cli/client.h"
#include "../../user/cli/text.h"

static int daemon_end = -1;

/* In place of the C library's: the daemon is the other end of a pair that has its answers in it already. */
int connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair))
		return -1;
	dup2(pair[0], fd);
	close(pair[0]);
	dup2(pair[1], daemon_end);
	close(pair[1]);
	return 0;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	daemon_end = dup(STDERR_FILENO);
	return daemon_end < 0;
}

static void text_is_safe(char *text, size_t room)
{
	const char *at = text;

	CHECK(memchr(text, 0, room));
	while (*at) {
		int n = text_utf8_length(at);

		CHECK(n > 0 && (n > 1 || ((unsigned char)*at >= ' ' && *at != 0x7f)));
		at += n;
	}
}

static struct {
	const uint8_t *data;
	size_t size;
	int records;
} input;

/* The first request's send is the moment to answer: all at once, as far as the socket takes it. */
ssize_t send(int fd, const void *buf, size_t len, int flags)
{
	struct part part;
	uint8_t how;

	CHECK(len == sizeof(struct ctl_request) && ((const struct ctl_request *)buf)->version == CTL_VERSION);
	while (part_next(&input.data, &input.size, &how, &part)) {
		ssize_t n = sendto(daemon_end, part.at, part.len, MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0);

		free(part.at);
		if (n < 0)
			break;
	}
	shutdown(daemon_end, SHUT_WR);
	return (ssize_t)len;
}

static void on_record(const union ctl_record *record, void *arg)
{
	union ctl_record copy = *record;

	CHECK(record->head.type != CTL_END);
	record_texts(&copy, text_is_safe);
	input.records++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ctl_request request = client_request(CTL_STATUS, "pbx", NULL);
	struct client_reply reply;
	int rc;

	input.data = data;
	input.size = size;
	input.records = 0;
	rc = client_ask("/run/sipflip", CLIENT_CONTROL, &request, 100, on_record, NULL, &reply);
	CHECK(rc == reply.error);
	text_is_safe(reply.text, sizeof(reply.text));
	CHECK(reply.answered || (rc < 0 && reply.text[0]));
	return 0;
}
