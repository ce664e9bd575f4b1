// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What the scenario says it breaks and mends, read from a file it appends to.
 * Every line begins with its time; it is written before something is broken and
 * after it has been mended, so that what it explains is never judged too early.
 * Called by the referee.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "referee.h"

static struct {
	int fd;
	size_t len;
	char text[4096];
} file = {.fd = -1};

int ref_marks_open(const char *path)
{
	file.fd = open(path, O_RDONLY | O_CLOEXEC);
	return file.fd < 0 ? -errno : 0;
}

static bool parse(const char *line, struct ref_mark *ret)
{
	static const char *const verbs[] = {"begin", "end", "over", "down", "up"};
	char verb[16] = "", extra[16] = "";
	long long at = 0;

	*ret = (struct ref_mark){0};
	if (sscanf(line, "%lld %15s %63s %63s %15s", &at, verb, ret->what, ret->kind, extra) < 3)
		return false;
	for (int i = 0; i < (int)(sizeof(verbs) / sizeof(verbs[0])); i++)
		if (strcmp(verb, verbs[i]) == 0) {
			ret->at_ns = at;
			ret->verb = (enum ref_verb)i;
			ret->split = strcmp(extra, "split") == 0;
			return true;
		}
	return false;
}

bool ref_marks_next(struct ref_mark *ret)
{
	while (file.fd >= 0) {
		char *end = memchr(file.text, '\n', file.len);
		if (end) {
			bool good;
			*end = 0;
			good = parse(file.text, ret);
			if (!good)
				fprintf(stderr, "referee: not a mark: %s\n", file.text);
			file.len -= (size_t)(end + 1 - file.text);
			memmove(file.text, end + 1, file.len);
			if (good)
				return true;
			continue;
		}
		if (file.len == sizeof(file.text))
			file.len = 0;
		ssize_t n = read(file.fd, file.text + file.len, sizeof(file.text) - file.len);
		if (n <= 0)
			return false;
		file.len += (size_t)n;
	}
	return false;
}
