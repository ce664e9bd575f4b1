/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Socket filters, see filter.h. */
#include "filter.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <net/ethernet.h>
#include <netinet/if_ether.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stddef.h>
#include <sys/socket.h>

#include "sipflip/wire.h"

#define KEEP_ALL 0xffffffffU

struct program {
	struct sock_filter code[FILTER_SENDERS + 16];
	unsigned short n;
};

static void put(struct program *p, struct sock_filter instruction)
{
	p->code[p->n++] = instruction;
}

/* Drops what is not equal to `value`. */
static void must_be(struct program *p, unsigned short load, uint32_t offset, uint32_t value)
{
	put(p, (struct sock_filter)BPF_STMT(BPF_LD | load, offset));
	put(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 1, 0));
	put(p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0));
}

/* Keeps what has one of the addresses at `offset`, and nothing else. */
static int finish(struct program *p, int fd, uint32_t offset, const uint32_t *sender_be, int n)
{
	struct sock_fprog attach = {.filter = p->code};

	if (n > FILTER_SENDERS)
		return -E2BIG;
	put(p, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset));
	for (int i = 0; i < n; i++)
		put(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ntohl(sender_be[i]),
		                                    (unsigned char)(n - i), 0));
	put(p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0));
	put(p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, KEEP_ALL));
	attach.len = p->n;
	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &attach, sizeof(attach)) < 0 ? -errno : 0;
}

int filter_arp(int fd, const uint32_t *sender_be, int n)
{
	struct program p = {.n = 0};

	return finish(&p, fd, sizeof(struct ether_header) + offsetof(struct ether_arp, arp_spa), sender_be,
	              n);
}

int filter_messages(int fd, const uint32_t *sender_be, int n)
{
	struct program p = {.n = 0};

	must_be(&p, BPF_W | BPF_LEN, 0, sizeof(struct udphdr) + sizeof(struct wire_msg));
	must_be(&p, BPF_H | BPF_ABS, sizeof(struct udphdr), WIRE_MAGIC);
	must_be(&p, BPF_B | BPF_ABS, sizeof(struct udphdr) + offsetof(struct wire_msg, version),
	        WIRE_VERSION);
	return finish(&p, fd, (uint32_t)SKF_NET_OFF + offsetof(struct iphdr, saddr), sender_be, n);
}
