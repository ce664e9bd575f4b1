/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What holds of every record that a daemon sends to the command line. */
#ifndef SIPFLIP_FUZZ_RECORD_CHECK_H
#define SIPFLIP_FUZZ_RECORD_CHECK_H

#include "fuzz.h"

#include <sys/socket.h>

#include "record.h"

static inline void text_ends(char *text, size_t room)
{
	CHECK(memchr(text, 0, room));
}

/*
 * Reads what a daemon has answered so far. Every record is whole and ends its texts.
 * Returns how many CTL_END there were among them.
 */
static inline int check_answers(int fd)
{
	union ctl_record r;
	ssize_t n;
	int ends = 0;

	while ((n = recv(fd, &r, sizeof(r), MSG_DONTWAIT | MSG_TRUNC)) > 0) {
		CHECK((size_t)n <= sizeof(r) && n >= (ssize_t)sizeof(r.head) && r.head.len == (size_t)n);
		CHECK(record_texts(&r, text_ends) == (size_t)n);
		CHECK(!ends); /* nothing after the end */
		ends += r.head.type == CTL_END;
	}
	return ends;
}

#endif
