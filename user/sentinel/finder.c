/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sockets and their processes, see finder.h. */
#include "finder.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "addr.h"

static bool wanted(const uint16_t *ports, int n_ports, uint16_t port)
{
	for (int i = 0; i < n_ports; i++)
		if (ports[i] == port)
			return true;
	return false;
}

/* A dual-stack socket on :: serves IPv4 too: it counts as bound to any. */
static struct inaddr16 bound_to(const struct inet_diag_msg *m)
{
	struct inaddr16 addr;

	if (m->idiag_family == AF_INET)
		return addr_from_be32(m->id.idiag_src[0]);
	memcpy(addr.b, m->id.idiag_src, sizeof(addr.b));
	return addr;
}

static int list_family(int family, const uint16_t *ports, int n_ports, struct finder_socket *ret, int n)
{
	struct {
		struct nlmsghdr nh;
		struct inet_diag_req_v2 req;
	} ask = {
	        .nh = {.nlmsg_len = sizeof(ask),
	               .nlmsg_type = SOCK_DIAG_BY_FAMILY,
	               .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
	        .req = {.sdiag_family = (uint8_t)family, .sdiag_protocol = IPPROTO_UDP, .idiag_states = ~0U},
	};
	_Alignas(struct nlmsghdr) char buf[16384];
	int err = 0, fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

	if (fd < 0)
		return -errno;
	if (send(fd, &ask, sizeof(ask), 0) < 0) {
		err = -errno;
		goto out;
	}
	for (;;) {
		int len = (int)recv(fd, buf, sizeof(buf), 0);

		if (len < 0) {
			err = -errno;
			goto out;
		}
		for (struct nlmsghdr *nh = (void *)buf; NLMSG_OK(nh, (unsigned)len);
		     nh = NLMSG_NEXT(nh, len)) {
			const struct inet_diag_msg *m = NLMSG_DATA(nh);

			if (nh->nlmsg_type == NLMSG_DONE || nh->nlmsg_type == NLMSG_ERROR)
				goto out;
			if (!wanted(ports, n_ports, ntohs(m->id.idiag_sport)) || n == FINDER_MAX)
				continue;
			ret[n++] = (struct finder_socket){
			        .addr = bound_to(m),
			        .port = ntohs(m->id.idiag_sport),
			        .cookie = (uint64_t)m->id.idiag_cookie[1] << 32 | m->id.idiag_cookie[0],
			        .inode = m->idiag_inode,
			};
		}
	}
out:
	close(fd);
	return err ? err : n;
}

static void add_holder(struct finder_socket *socks, int n, uint32_t inode, uint32_t tgid)
{
	for (int i = 0; i < n; i++) {
		if (socks[i].inode != inode)
			continue;
		for (int j = 0; j < 8 && socks[i].tgid[j] != tgid; j++) {
			if (!socks[i].tgid[j]) {
				socks[i].tgid[j] = tgid;
				break;
			}
		}
	}
}

static void find_holders(struct finder_socket *socks, int n)
{
	DIR *proc = opendir("/proc");
	struct dirent *p, *f;

	if (!proc)
		return;
	while ((p = readdir(proc))) {
		char path[300], target[64];
		long tgid = strtol(p->d_name, NULL, 10);
		DIR *fds;

		if (tgid <= 0)
			continue;
		snprintf(path, sizeof(path), "/proc/%ld/fd", tgid);
		fds = opendir(path);
		if (!fds)
			continue; /* gone, or a kernel thread */
		while ((f = readdir(fds))) {
			unsigned inode;
			ssize_t len = readlinkat(dirfd(fds), f->d_name, target, sizeof(target) - 1);

			if (len <= 0)
				continue;
			target[len] = '\0';
			if (sscanf(target, "socket:[%u]", &inode) == 1)
				add_holder(socks, n, inode, (uint32_t)tgid);
		}
		closedir(fds);
	}
	closedir(proc);
}

int finder_run(const uint16_t *ports, int n_ports, struct finder_socket ret[FINDER_MAX])
{
	int n = list_family(AF_INET, ports, n_ports, ret, 0);

	if (n >= 0)
		n = list_family(AF_INET6, ports, n_ports, ret, n);
	if (n > 0)
		find_holders(ret, n);
	return n;
}
