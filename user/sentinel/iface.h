/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the sentinel asks of interfaces: their facts, their addresses, and the VIP's binding. */
#ifndef SIPFLIP_SENTINEL_IFACE_H
#define SIPFLIP_SENTINEL_IFACE_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"

struct iface {
	char name[16];
	int ifindex;
	uint8_t mac[6];
};

/* 0; -ENODEV no such interface; -EAFNOSUPPORT it is not Ethernet. */
int iface_find(const char *name, struct iface *ret);

/* Is this address on any interface here? */
bool iface_has_addr(const struct inaddr16 *addr);

/* Does the interface have an IPv4 address, other than this one, whose subnet holds it? */
bool iface_subnet_holds(const char *name, const struct inaddr16 *addr);

/*
 * ARP requests from this interface must name the node's own address as sender, not
 * the VIP: a fenced node's would not leave, and the neighbour stay unresolved for
 * a second into its ownership. Sets net.ipv4.conf.NAME.arp_announce to 2 unless it
 * is. Returns the former value, or -errno.
 */
int iface_announce_own_address(const char *name);

/* Adds the address. 0, also when it was there already (*ret_added = false), or -errno of the kernel. */
int iface_add_addr(const struct iface *iface, const struct config_vip *vip, bool *ret_added);
int iface_del_addr(const struct iface *iface, const struct config_vip *vip);

#endif
