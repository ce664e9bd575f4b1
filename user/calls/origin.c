/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "origin.h"

#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static ssize_t read_text(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = read(fd, buf, size - 1);
	close(fd);
	if (n >= 0)
		buf[n] = '\0';
	return n;
}

/* Field 22 of /proc/TGID/stat, in ticks since boot (proc(5)); 0 when the process is gone. */
static unsigned long long start_ticks(pid_t tgid)
{
	char path[40], stat[1024];
	unsigned long long ticks = 0;
	const char *at;

	snprintf(path, sizeof(path), "/proc/%d/stat", tgid);
	if (read_text(path, stat, sizeof(stat)) <= 0)
		return 0;
	at = strrchr(stat, ')'); /* the name before it may have anything in it */
	for (int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	if (at)
		sscanf(at, "%llu", &ticks);
	return ticks;
}

uint64_t origin_of(uint8_t node, pid_t tgid)
{
	static const unsigned char key[crypto_shorthash_KEYBYTES] = "sipflip's server";
	struct {
		uint64_t started;
		int32_t tgid;
		uint32_t node;
		char boot[40];
	} run;
	uint64_t hash;

	memset(&run, 0, sizeof(run));
	run.started = start_ticks(tgid);
	run.tgid = tgid;
	run.node = node;
	read_text("/proc/sys/kernel/random/boot_id", run.boot, sizeof(run.boot));
	crypto_shorthash((unsigned char *)&hash, (const unsigned char *)&run, sizeof(run), key);
	return hash ? hash : 1;
}
