/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Internet checksums kept right while fields change (RFC 1624 equation 3), without
 * reading the rest of the packet: one that was wrong stays wrong. The sum does not
 * care for byte order, so words are taken as they stand.
 */
#ifndef SIPFLIP_BPF_CHECKSUM_H
#define SIPFLIP_BPF_CHECKSUM_H

#include "lib/cursor.h"

/* What a field adds to the inverted sum when it changes. Add up as many as there are. */
static __always_inline __u64 csum_change32(__be32 from, __be32 to)
{
	return (__u64)(__u32)~from + to;
}

static __always_inline __u64 csum_change16(__be16 from, __be16 to)
{
	return (__u64)(__u16)~from + to;
}

static __always_inline __sum16 csum_apply(__sum16 check, __u64 change)
{
	__u64 sum = (__u64)(__u16)~check + change;

	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* UDP over IPv4 (RFC 768): zero says that there is none, and a sum of zero is written as all ones. */
static __always_inline void csum_udp(struct udphdr *udp, __u64 change)
{
	__sum16 check;

	if (!udp->check)
		return;
	check = csum_apply(udp->check, change);
	udp->check = check ? check : 0xffff;
}

#endif
