// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The referee's eyes on the wire: every frame that comes into the bridge and either
 * claims the VIP by ARP (its sender, in a request or an answer) or is IPv4 from it,
 * with the kernel's time of its arrival and the port it came in by. Frames are read
 * by a thread of their own and taken one by one by the judge, through a ring whose
 * overflow is counted. Answers nothing, sends nothing.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "referee.h"

#define RING    16384
#define ARP_SPA 28 /* offsets in an Ethernet frame without VLAN tag */
#define IP_SRC  26
#define SNAP    96

static struct {
	struct ref_frame frame[RING];
	_Atomic uint64_t head, tail;
} ring;

static void push(struct ref_wire *wire, const struct ref_frame *frame)
{
	uint64_t head = atomic_load_explicit(&ring.head, memory_order_relaxed);

	if (head - atomic_load_explicit(&ring.tail, memory_order_acquire) == RING) {
		atomic_fetch_add(&wire->lost, 1);
		return;
	}
	ring.frame[head % RING] = *frame;
	atomic_store_explicit(&ring.head, head + 1, memory_order_release);
}

bool ref_wire_take(struct ref_frame *ret, int64_t until_ns)
{
	uint64_t tail = atomic_load_explicit(&ring.tail, memory_order_relaxed);

	if (tail == atomic_load_explicit(&ring.head, memory_order_acquire) ||
	    ring.frame[tail % RING].at_ns >= until_ns)
		return false;
	*ret = ring.frame[tail % RING];
	atomic_store_explicit(&ring.tail, tail + 1, memory_order_release);
	return true;
}

static void judge_bytes(const struct ref_wire *wire, const uint8_t *f, size_t len, struct ref_frame *ret)
{
	memcpy(ret->mac, f + ETH_ALEN, ETH_ALEN);
	ret->kind = REF_OTHER;
	if (f[12] == 8 && f[13] == 6) {
		ret->kind = REF_CLAIM;
		if (len >= 28)
			memcpy(ret->mac, f + 22, ETH_ALEN); /* ARP's own word on who has it */
		return;
	}
	size_t udp = 14 + (size_t)(f[14] & 0xf) * 4;
	bool fragment = len > 21 && ((f[20] & 0x1f) || f[21]);
	if (len >= udp + 4 && f[23] == IPPROTO_UDP && !fragment &&
	    (f[udp] << 8 | f[udp + 1]) == wire->sip_port)
		ret->kind = REF_SIP;
}

static int port_of(const struct ref_wire *wire, int ifindex)
{
	for (int i = 0; i < wire->n_ports; i++)
		if (wire->ifindex[i] == (unsigned int)ifindex)
			return i;
	return -1;
}

static int64_t arrival(struct msghdr *msg)
{
	struct timespec t, real;
	int64_t now = ref_now();

	clock_gettime(CLOCK_REALTIME, &real);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
			memcpy(&t, CMSG_DATA(c), sizeof(t));
			return now - ((real.tv_sec - t.tv_sec) * 1000000000LL + real.tv_nsec - t.tv_nsec);
		}
	return now;
}

static void *reader(void *context)
{
	struct ref_wire *wire = context;

	for (;;) {
		uint8_t bytes[SNAP];
		char control[128];
		struct sockaddr_ll from;
		struct iovec part = {bytes, sizeof(bytes)};
		struct msghdr msg = {&from, sizeof(from), &part, 1, control, sizeof(control), 0};
		struct ref_frame frame = {0};

		ssize_t n = recvmsg(wire->socket, &msg, 0);
		if (n < 34 || from.sll_pkttype == PACKET_OUTGOING)
			continue;
		int port = port_of(wire, from.sll_ifindex);
		if (port < 0)
			continue; /* the bridge's own device shows the same frame again */
		frame.at_ns = arrival(&msg);
		frame.port = (uint8_t)port;
		judge_bytes(wire, bytes, (size_t)n, &frame);
		push(wire, &frame);
	}
	return NULL;
}

int ref_wire_start(struct ref_wire *wire)
{
	uint32_t vip = ntohl(wire->vip);
	struct sock_filter code[] = {
	        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12),
	        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETHERTYPE_ARP, 0, 2),
	        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ARP_SPA),
	        BPF_STMT(BPF_JMP | BPF_JA, 2), /* to the comparison */
	        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETHERTYPE_IP, 0, 3),
	        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, IP_SRC),
	        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, vip, 0, 1),
	        BPF_STMT(BPF_RET | BPF_K, SNAP),
	        BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};
	int room = 8 << 20, one = 1;
	pthread_t thread;

	for (int i = 0; i < wire->n_ports; i++) {
		wire->ifindex[i] = if_nametoindex(wire->port[i]);
		if (!wire->ifindex[i])
			return -ENODEV;
	}
	wire->socket = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (wire->socket < 0 ||
	    setsockopt(wire->socket, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) ||
	    setsockopt(wire->socket, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof(one)))
		return -errno;
	setsockopt(wire->socket, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	struct sockaddr_ll all = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	if (bind(wire->socket, (struct sockaddr *)&all, sizeof(all)))
		return -errno;
	return -pthread_create(&thread, NULL, reader, wire);
}

uint64_t ref_wire_lost(struct ref_wire *wire)
{
	struct tpacket_stats stats;
	socklen_t len = sizeof(stats);

	if (getsockopt(wire->socket, SOL_PACKET, PACKET_STATISTICS, &stats, &len) == 0)
		atomic_fetch_add(&wire->lost, stats.tp_drops);
	return atomic_load(&wire->lost);
}
