/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A cursor over a frame's linear bytes. take() is the bounds check and the only
 * way forward: it returns the next n bytes, or NULL when the frame is shorter.
 * Also the constants and headers that the kernel's BTF does not have.
 */
#ifndef SIPFLIP_BPF_CURSOR_H
#define SIPFLIP_BPF_CURSOR_H

#include "vmlinux.h"

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "sipflip/abi.h"

#define ETH_P_IP      0x0800
#define ETH_P_ARP     0x0806
#define ETH_P_8021Q   0x8100
#define ETH_P_8021AD  0x88a8
#define ETH_P_IPV6    0x86dd
#define ARPHRD_ETHER  1
#define ARPOP_REQUEST 1
#define ARPOP_REPLY   2
#define IP_MF_OFFSET  0x3fff /* more fragments, or an offset */
#define IP_OFFSET     0x1fff /* not the first fragment */

/* RFC 826 with Ethernet and IPv4. Addresses in halves: they are 2-byte aligned. */
struct arp_ipv4 {
	__be16 hrd;
	__be16 pro;
	__u8 hln;
	__u8 pln;
	__be16 op;
	__u8 sha[6];
	__be16 spa[2];
	__u8 tha[6];
	__be16 tpa[2];
};
_Static_assert(sizeof(struct arp_ipv4) == 28, "RFC 826");

struct vlan_tag {
	__be16 tci;
	__be16 proto;
};

struct cursor {
	void *pos;
	void *end;
};

static __always_inline void *take(struct cursor *c, __u32 bytes)
{
	void *at = c->pos;

	if (at + bytes > c->end)
		return NULL;
	c->pos = at + bytes;
	return at;
}

/* Not byte by byte, as the compiler would for an alignment of 1. */
#define AT16(p) (*(__u16 *)(p))
#define AT32(p) (*(__u32 *)(p))
#define AT64(p) (*(__u64 *)(p))

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define LE64(x) (x)
#else
#define LE64(x) __builtin_bswap64(x)
#endif

static __always_inline bool mac_equal(const void *a, const void *b)
{
	return AT32(a) == AT32(b) && AT16(a + 4) == AT16(b + 4);
}

static __always_inline void mac_copy(void *to, const void *from)
{
	AT32(to) = AT32(from);
	AT16(to + 4) = AT16(from + 4);
}

static __always_inline void mac_fill(void *to, __u16 value)
{
	AT32(to) = (__u32)value << 16 | value;
	AT16(to + 4) = value;
}

static __always_inline bool mac_is_multicast(const void *mac)
{
	return *(const __u8 *)mac & 1;
}

static __always_inline bool arp_is_ipv4(const struct arp_ipv4 *arp)
{
	return arp->hrd == bpf_htons(ARPHRD_ETHER) && arp->pro == bpf_htons(ETH_P_IP) && arp->hln == 6 &&
	       arp->pln == 4;
}

static __always_inline __be32 arp_addr(const __be16 addr[2])
{
	return AT32(addr);
}

/* An address as a map's key: aligned, which the stack must be. */
union addr_key {
	struct inaddr16 addr;
	__u32 w[4];
	__u64 d[2];
};

static __always_inline union addr_key mapped(__be32 addr)
{
	return (union addr_key){.w = {0, 0, bpf_htonl(0xffff), addr}};
}

/* The IPv4 address in a mapped one; 0 when it is IPv6. */
static __always_inline __be32 unmapped(const struct inaddr16 *addr)
{
	if (AT64(&addr->b[0]) || AT32(&addr->b[8]) != bpf_htonl(0xffff))
		return 0;
	return AT32(&addr->b[12]);
}

#endif
