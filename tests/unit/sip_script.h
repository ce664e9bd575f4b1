/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Recorded SIP as text: '@ in|out ADDRESS:PORT MICROSECONDS' before each message,
 * '#' lines before the first. Feeds capture records to who asks; test programs only.
 */
#ifndef SIPFLIP_TEST_SIP_SCRIPT_H
#define SIPFLIP_TEST_SIP_SCRIPT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "addr.h"
#include "sipflip/capture.h"

#define SCRIPT_TEXT_MAX 65536

struct script {
	FILE *file;
	char line[4096];
	bool has_line;
};

static inline struct capture_record *script_record(const char *text, size_t len, bool out, const char *remote,
                                                   uint16_t port, uint64_t at_ns)
{
	struct capture_record *r = calloc(1, sizeof(*r) + len);

	r->at_ns = at_ns;
	addr_parse(remote, &r->remote);
	r->remote_port = port;
	r->local_port = 5060;
	r->direction = out ? CAPTURE_OUT : CAPTURE_IN;
	r->proto = IPPROTO_UDP;
	r->len = (uint32_t)len;
	memcpy(r->data, text, len);
	return r;
}

static inline bool script_open(struct script *s, const char *path)
{
	*s = (struct script){.file = fopen(path, "r")};
	return s->file != NULL;
}

/* The next message; the caller frees it. NULL at the end. */
static inline struct capture_record *script_next(struct script *s, uint64_t start_ns)
{
	static char text[SCRIPT_TEXT_MAX];
	char way[8], addr[64];
	unsigned int port;
	unsigned long us;
	size_t len = 0;

	while (!s->has_line || s->line[0] != '@') {
		if (!fgets(s->line, sizeof(s->line), s->file)) {
			fclose(s->file);
			return NULL;
		}
		s->has_line = true;
	}
	if (sscanf(s->line, "@ %7s %63[^:]:%u %lu", way, addr, &port, &us) != 4)
		return NULL;
	while ((s->has_line = fgets(s->line, sizeof(s->line), s->file) != NULL) && s->line[0] != '@') {
		size_t n = strcspn(s->line, "\r\n");

		if (len + n + 2 > sizeof(text))
			return NULL;
		memcpy(text + len, s->line, n);
		memcpy(text + len + n, "\r\n", 2);
		len += n + 2;
	}
	if (!s->has_line)
		s->line[0] = '\0';
	return script_record(text, len, !strcmp(way, "out"), addr, (uint16_t)port, start_ns + us * 1000);
}

#endif
