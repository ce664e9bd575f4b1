/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reads /proc/net/udp, /proc/net/udp6 (proc_net_udp(5)) and the processes' open files. Only for the doctor.
 */
#include "sockets.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "files.h"

/* Inode of the UDP socket bound to addr:port or to port on any address; 0 = none. */
static unsigned long find_inode(const char *table, uint32_t addr, uint16_t port)
{
	FILE *f = fopen(table, "re");
	unsigned long inode, any = 0, exact = 0;
	char line[512], local[64];
	unsigned int local_port;

	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f)) {
		char want[16];

		if (sscanf(line, " %*d: %63[0-9A-Fa-f]:%x %*s %*x %*s %*s %*s %*u %*d %lu", local,
		           &local_port, &inode) != 3 ||
		    local_port != port)
			continue;
		snprintf(want, sizeof(want), "%08X", addr);
		if (!strcmp(local, want))
			exact = inode;
		else if (strspn(local, "0") == strlen(local))
			any = inode;
	}
	fclose(f);
	return exact ? exact : any;
}

static bool has_socket(const char *pid, const char *want)
{
	char path[300], target[64];
	struct dirent *entry;
	bool found = false;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%s/fd", pid);
	dir = opendir(path);
	if (!dir)
		return false;
	while (!found && (entry = readdir(dir))) {
		ssize_t n = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);

		if (n < 0)
			continue;
		target[n] = '\0';
		found = !strcmp(target, want);
	}
	closedir(dir);
	return found;
}

bool sockets_udp_owner(uint32_t addr, uint16_t port, struct socket_owner *ret)
{
	unsigned long inode = find_inode("/proc/net/udp", addr, port);
	char want[64], path[300];
	struct dirent *entry;
	DIR *proc;
	int n;

	*ret = (struct socket_owner){0};
	if (!inode)
		inode = find_inode("/proc/net/udp6", addr, port);
	if (!inode)
		return false;
	snprintf(want, sizeof(want), "socket:[%lu]", inode);
	proc = opendir("/proc");
	while (proc && !ret->pid && (entry = readdir(proc))) {
		if (!isdigit((unsigned char)entry->d_name[0]) || !has_socket(entry->d_name, want))
			continue;
		ret->pid = atoi(entry->d_name);
		snprintf(path, sizeof(path), "/proc/%s/comm", entry->d_name);
		n = files_read(path, ret->name, sizeof(ret->name));
		ret->name[n > 0 ? strcspn(ret->name, "\n") : 0] = '\0';
	}
	if (proc)
		closedir(proc);
	return true;
}
