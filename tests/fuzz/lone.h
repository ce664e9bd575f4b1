/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * For harnesses with sockets: a network namespace of their own, so that nothing
 * they are made to send leaves the machine, and sofia-sip without its log.
 */
#ifndef SIPFLIP_FUZZ_LONE_H
#define SIPFLIP_FUZZ_LONE_H

#include "fuzz.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static inline void lone_start(void)
{
	struct ifreq ifr = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	int fd;

	if (unshare(CLONE_NEWNET)) {
		perror("a network namespace of its own (run as root)");
		exit(1);
	}
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	CHECK(fd >= 0 && !ioctl(fd, SIOCSIFFLAGS, &ifr));
	close(fd);
}

#endif
