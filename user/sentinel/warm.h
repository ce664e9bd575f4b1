/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The next hops of the phones that a takeover would have to reach, kept resolved
 * on a service's interface, so that the relay's first packet finds a MAC. The call
 * keeper says which phones (KEEPER_WARM); a few of them are worked on in each calm
 * part of the loop, by netlink requests that the kernel answers at once. Nothing
 * of it is on the path of a flip.
 *
 * An entry of ours is a managed neighbour (Linux 5.16: the kernel itself keeps it
 * resolved), exempt from garbage collection, with protocol WARM_PROTOCOL. An older
 * kernel's is only used now and then. Permanent entries, and those that somebody
 * else manages, are left alone.
 */
#ifndef SIPFLIP_SENTINEL_WARM_H
#define SIPFLIP_SENTINEL_WARM_H

#include <stdbool.h>
#include <stdint.h>

#include "iface.h"
#include "mono.h"
#include "sipflip/keeper.h"

#define WARM_PROTOCOL 115 /* `ip neigh show proto 115` */

struct warm_hop {
	uint32_t be; /* IPv4, network order */
	bool wanted; /* by the set that is worked on */
};

struct warm {
	int fd; /* netlink; 0 = not opened */
	uint32_t seq;
	struct inaddr16 want[KEEPER_WARM_ADDRS]; /* the call keeper's last word */
	uint32_t n_want;
	uint32_t cursor; /* the next of them to look at; past them: a round is over */
	bool round;
	bool unmanaged; /* the kernel does not manage neighbours: use them again now and then */
	struct mono use_again;
	struct warm_hop hop[KEEPER_WARM_ADDRS];
	uint32_t n_hop;
	uint64_t entered;
	uint64_t released;
	uint64_t refused; /* entries or routes that the kernel did not take or have */
};

/* Opens the socket and finds what an earlier agent left: it goes if nobody wants it. 0 or -errno. */
int warm_open(struct warm *warm, const struct iface *iface);

/* The whole set of phones from now on; n <= KEEPER_WARM_ADDRS. Only remembers it. */
void warm_set(struct warm *warm, const struct inaddr16 *addr, uint32_t n);

/* A few steps; vip is whom the phones are talked to as. Never waits. */
void warm_tick(struct warm *warm, const struct iface *iface, const struct inaddr16 *vip, struct mono now);

/* --unload: deletes every entry of ours on the interface. Returns how many. */
int warm_forget(const struct iface *iface);

#endif
