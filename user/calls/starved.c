/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Looks at a server's threads, see starved.h. */
#include "starved.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int read_at(int dir, const char *tid, const char *name, char *buf, size_t size)
{
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", tid, name);
	fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, buf, size - 1);
	close(fd);
	if (n <= 0)
		return -EIO;
	buf[n] = '\0';
	return 0;
}

static void look_at(int dir, const char *tid, struct starved_look *look)
{
	char stat[256], schedstat[96];
	const char *state;

	if (read_at(dir, tid, "stat", stat, sizeof(stat)) ||
	    read_at(dir, tid, "schedstat", schedstat, sizeof(schedstat)))
		return;
	state = strrchr(stat, ')'); /* the name before it may hold anything */
	if (!state || strlen(state) < 3)
		return;
	look->thread[look->n].tid = (pid_t)strtol(tid, NULL, 10);
	look->thread[look->n].runnable = state[2] == 'R';
	look->thread[look->n].ran_ns = strtoull(schedstat, NULL, 10);
	look->n++;
}

int starved_take(pid_t tgid, struct mono now, struct starved_look *ret)
{
	char path[64];
	struct dirent *e;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", tgid);
	dir = opendir(path);
	if (!dir)
		return -errno;
	ret->at = now;
	ret->n = 0;
	while (ret->n < STARVED_THREADS && (e = readdir(dir)))
		if (e->d_name[0] != '.')
			look_at(dirfd(dir), e->d_name, ret);
	closedir(dir);
	return ret->n ? 0 : -ESRCH;
}

bool starved_between(const struct starved_look *first, const struct starved_look *second)
{
	uint64_t elapsed = (uint64_t)mono_diff(second->at, first->at);

	for (int i = 0; i < first->n; i++) {
		if (!first->thread[i].runnable)
			continue;
		for (int k = 0; k < second->n; k++)
			if (second->thread[k].tid == first->thread[i].tid && second->thread[k].runnable &&
			    second->thread[k].ran_ns - first->thread[i].ran_ns < elapsed / 4)
				return true;
	}
	return false;
}
