/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * ARP from user space, one packet socket a service: gratuitous ARP in its
 * broadcast request form (RFC 5227 section 3), repeated with growing pauses; the
 * watch over the arbiter; and the probe whether anybody answers for the VIP.
 * Frames are built at start; sending never blocks. The socket hears ARP only where
 * there is an arbiter, only what matters of it (filter.h), and wakes nobody: it is
 * read at the loop's own turns, so a flood of ARP costs no real-time turn.
 */
#ifndef SIPFLIP_SENTINEL_ANNOUNCE_H
#define SIPFLIP_SENTINEL_ANNOUNCE_H

#include <stdbool.h>
#include <stdint.h>

#include "arbiter.h"
#include "config.h"
#include "iface.h"
#include "mono.h"

struct arp_frame {
	uint8_t b[60];
};

struct announcer {
	int fd;
	int ifindex;
	int n_vip;
	struct arp_frame vip[CONFIG_VIPS];
	struct arp_frame probe; /* for the first VIP, sender 0.0.0.0 (RFC 5227 section 2.1.1) */
	uint32_t vip_be[CONFIG_VIPS];
	int n_arbiter;
	struct arp_frame arbiter[CONFIG_ARBITERS];
	uint32_t arbiter_be[CONFIG_ARBITERS];
	uint8_t mac[6];
	/* gratuitous ARP */
	int step; /* next repetition; past the last: idle */
	struct mono next;
	struct mono first_sent; /* of the announcement that runs */
	uint64_t sent;
	uint64_t failed;
	/* defence against another claimant */
	int defend_step;          /* announcements after the answer that have been sent */
	struct mono defend_claim; /* the last claim */
	struct mono defend_next;  /* unset = nothing to defend */
	struct mono defended;     /* the last answer or announcement */
	uint64_t defences;
	/* arbiter */
	int64_t echo_ns;
	bool ask_often; /* each echo, not each second one: the service lives by the answers */
	struct mono arbiter_next;
	struct arbiter judged;
	/* probe */
	int probes;
	struct mono probe_last;
	bool probe_answered;
};

/* Opens the socket and builds the frames. 0 or -errno. */
int announcer_init(struct announcer *a, const struct config_service *service, const struct iface *iface,
                   const struct inaddr16 *node_addr, struct mono now);
void announcer_done(struct announcer *a);

/* Begins (again) to announce: the first frames leave now. */
void announcer_start(struct announcer *a, struct mono now);
void announcer_stop(struct announcer *a);

/*
 * Somebody else claimed the VIP: says whose it is at once, but ten times a second at
 * most, and again when no claim has come for 1.1, 2.5 and 5 s: a neighbour that was
 * in its lock time (net.ipv4.neigh.*.locktime, 1 s on Linux) takes it then.
 */
void announcer_defend(struct announcer *a, struct mono now);

/* Sends what is due. */
void announcer_tick(struct announcer *a, struct mono now);
/* When the next gratuitous ARP is due; false = none is. */
bool announcer_due(const struct announcer *a, struct mono *ret);

/*
 * Sends a voters' message (UDP over IPv4, both ports the same) straight to a MAC:
 * the kernel's neighbour entry may just be unresolved, and then a RESIGN would
 * wait in its queue for up to a second. true = it left.
 */
bool announcer_send_message(struct announcer *a, const uint8_t to[6], const struct inaddr16 *from_addr,
                            const struct inaddr16 *to_addr, uint16_t port, const void *payload, size_t len);

/* Sends a whole frame to `to`'s MAC, from this node's. */
void announcer_pass_on(struct announcer *a, const uint8_t *frame, size_t len, const uint8_t to[6]);

/* Reads what came: answers of the arbiter and for the VIP. */
void announcer_receive(struct announcer *a, struct mono now);

/* One probe for the VIP, at most one per pause_ns. */
void announcer_probe(struct announcer *a, int64_t pause_ns, struct mono now);
/* Three probes went out, the last at least pause_ns ago, and nobody answered. */
bool announcer_unclaimed(const struct announcer *a, int64_t pause_ns, struct mono now);
/* For people; what an answer allows goes by judged.answered. */
bool announcer_arbiter_seen(const struct announcer *a, struct mono now);

#endif
