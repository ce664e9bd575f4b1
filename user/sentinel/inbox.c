/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The voters' socket, see inbox.h. */
#include "inbox.h"

#include <sys/socket.h>

uint64_t inbox_read(int fd, const struct siphash_key *keys, struct mono (*clock)(void), inbox_reader *reader,
                    void *ctx)
{
	uint8_t buf[sizeof(struct wire_msg) + 1];
	uint64_t bad = 0;

	for (int i = 0; i < INBOX_TURN; i++) {
		ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
		struct msg msg;

		if (n < 0)
			return bad;
		if (msg_open(buf, (size_t)n, keys, KEY_SLOTS, &msg))
			bad++;
		else
			reader(ctx, &msg, clock());
	}
	return bad;
}
