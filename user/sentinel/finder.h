/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Finds the SIP servers that were running before the agent: the UDP sockets
 * bound to a VIP's SIP port (sock_diag) and the processes that hold them (/proc).
 * Reads a lot, so it runs once, before the loop; later starts are told by the
 * kernel (post_bind in bpf/watch.bpf.c).
 */
#ifndef SIPFLIP_SENTINEL_FINDER_H
#define SIPFLIP_SENTINEL_FINDER_H

#include <stdint.h>

#include "sipflip/abi.h"

#define FINDER_MAX 64

struct finder_socket {
	struct inaddr16 addr; /* bound to; all zero (IPv4 part) = any */
	uint16_t port;        /* host order */
	uint64_t cookie;      /* as bpf_get_socket_cookie() */
	uint32_t inode;
	uint32_t tgid[8]; /* processes that hold it, 0 ends */
};

/*
 * All UDP sockets bound to one of `ports`, with their holders. Returns how many
 * (at most FINDER_MAX), or -errno.
 */
int finder_run(const uint16_t *ports, int n_ports, struct finder_socket ret[FINDER_MAX]);

#endif
