/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * For programs that PROG_TEST_RUN cannot drive, or not far enough: a network
 * namespace of the test's own, whose loopback has every address of 127/8, and
 * the root of cgroup v2. All gone when the test's process is.
 */
#ifndef SIPFLIP_TEST_SPACE_H
#define SIPFLIP_TEST_SPACE_H

#include <fcntl.h>
#include <mntent.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "world.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

#define LO_VIP      0x7f090064U /* 127.9.0.100 */
#define LO_PHONE    0x7f0900c8U /* 127.9.0.200 */
#define SIP_PORT    5060
#define DEADLINE_MS 5000

/* A fresh namespace with its loopback up. */
static inline void space_enter(int mtu)
{
	struct ifreq ifr = {.ifr_name = "lo"};
	int fd;

	assert_return_code(unshare(CLONE_NEWNET), errno);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	assert_return_code(fd, errno);
	ifr.ifr_mtu = mtu;
	assert_return_code(ioctl(fd, SIOCSIFMTU, &ifr), errno);
	ifr.ifr_flags = IFF_UP | IFF_RUNNING;
	assert_return_code(ioctl(fd, SIOCSIFFLAGS, &ifr), errno);
	close(fd);
}

static inline uint64_t space_cookie(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	assert_return_code(getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len), errno);
	close(fd);
	return cookie;
}

static inline int space_cgroup(void)
{
	FILE *mounts = setmntent("/proc/self/mounts", "r");
	struct mntent *m;
	int fd = -1;

	assert_non_null(mounts);
	while (fd < 0 && (m = getmntent(mounts)))
		if (!strcmp(m->mnt_type, "cgroup2"))
			fd = open(m->mnt_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	endmntent(mounts);
	assert_return_code(fd, errno);
	return fd;
}

/* port 0: not bound. */
static inline int space_socket(int type, uint32_t addr, uint16_t port)
{
	struct sockaddr_in sin = {
	        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(addr)};
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	if (fd >= 0 && port && bind(fd, (struct sockaddr *)&sin, sizeof(sin))) {
		close(fd);
		return -errno;
	}
	return fd;
}

static inline struct endpoint_key space_endpoint(uint32_t addr, uint16_t port)
{
	struct endpoint_key key = {.port = port, .proto = IPPROTO_UDP};

	if (addr)
		key.addr = addr_from_be32(htonl(addr));
	return key;
}

#endif
