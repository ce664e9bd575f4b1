/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who listens on a UDP port of this network namespace, from /proc. */
#ifndef SIPFLIP_CLI_SOCKETS_H
#define SIPFLIP_CLI_SOCKETS_H

#include <stdbool.h>
#include <stdint.h>

struct socket_owner {
	int pid; /* 0 = a socket is there, its process is not visible */
	char name[32];
};

/* `addr` in network order, `port` in host order; a socket on any address counts. */
bool sockets_udp_owner(uint32_t addr, uint16_t port, struct socket_owner *ret);

#endif
