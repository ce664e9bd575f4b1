// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Test tool: an attacker on the LAN. Sends frames of one kind as fast as asked, from
 * a packet socket that passes by the queueing discipline, and prints what it did.
 *   flood [-s SECONDS] [-r FRAMES/S] [-n FRAMES] [-t CONFIG-TAG] [-f PCAP] KIND DEV DST-MAC DST-IP SRC-IP
 * KIND, all to DST-MAC:
 *   echo reflect vote resign  a voter's message from SRC-IP to DST-IP in which everything is
 *                             right but the tag: the dearest forgery there is (-t: as the nodes have it)
 *   magic short               the same with another magic; the same, cut
 *   claim                     gratuitous ARP for DST-IP, broadcast
 *   use                       UDP from SRC-IP, which may be a VIP, to DST-IP
 *   replay                    what PCAP holds, with our MAC and DST-MAC, round and round; DST-IP and
 *                             SRC-IP are left as they were recorded
 * At the end one line of JSON: {"kind":..,"frames":..,"failed":..,"seconds":..,"rate":..}
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/ether.h>
#include <netinet/if_ether.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "sipflip/wire.h"

#define BATCH       64
#define RING        1024 /* frames made beforehand: no two alike in a row */
#define FRAME_BYTES 256

struct frame {
	uint8_t b[FRAME_BYTES];
	size_t len;
};

struct flood {
	const char *kind;
	double seconds;
	double rate; /* 0 = as fast as it goes */
	uint64_t most;
	uint32_t config_tag;
	int fd;
	uint8_t mac[6], to[6];
	uint32_t dst, src;
	struct frame frame[RING];
	int n;
	uint64_t sent, failed;
};

static void die(const char *what)
{
	fprintf(stderr, "flood: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void open_socket(struct flood *f, const char *device)
{
	struct sockaddr_ll ll = {.sll_family = AF_PACKET};
	struct ifreq req = {0};
	int one = 1, size = 8 << 20;

	f->fd = socket(AF_PACKET, SOCK_RAW, 0);
	if (f->fd < 0)
		die("packet socket");
	snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", device);
	if (ioctl(f->fd, SIOCGIFHWADDR, &req) < 0)
		die(device);
	memcpy(f->mac, req.ifr_hwaddr.sa_data, 6);
	ll.sll_ifindex = (int)if_nametoindex(device);
	if (bind(f->fd, (struct sockaddr *)&ll, sizeof(ll)) < 0)
		die(device);
	setsockopt(f->fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one));
	setsockopt(f->fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
}

static void ethernet(const struct flood *f, struct frame *frame, const uint8_t to[6], uint16_t type)
{
	memcpy(frame->b, to, 6);
	memcpy(frame->b + 6, f->mac, 6);
	frame->b[12] = (uint8_t)(type >> 8);
	frame->b[13] = (uint8_t)type;
	frame->len = 14;
}

static uint16_t checksum(const struct iphdr *ip)
{
	const uint8_t *b = (const void *)ip;
	uint32_t sum = 0;

	for (size_t i = 0; i < sizeof(*ip); i += 2)
		sum += (uint32_t)b[i] << 8 | b[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

static void udp(const struct flood *f, struct frame *frame, uint16_t port, const void *payload, size_t len)
{
	struct iphdr ip = {
	        .version = 4,
	        .ihl = 5,
	        .tot_len = htons((uint16_t)(sizeof(ip) + sizeof(struct udphdr) + len)),
	        .ttl = 64,
	        .protocol = IPPROTO_UDP,
	        .saddr = f->src,
	        .daddr = f->dst,
	};
	struct udphdr udp = {
	        .source = htons(port), .dest = htons(port), .len = htons((uint16_t)(sizeof(udp) + len))};

	ip.check = checksum(&ip);
	ethernet(f, frame, f->to, ETH_P_IP);
	memcpy(frame->b + 14, &ip, sizeof(ip));
	memcpy(frame->b + 14 + sizeof(ip), &udp, sizeof(udp));
	memcpy(frame->b + 14 + sizeof(ip) + sizeof(udp), payload, len);
	frame->len = 14 + sizeof(ip) + sizeof(udp) + len;
}

/* The node numbers are the last octets of the lab's addresses. */
static void message(const struct flood *f, struct frame *frame, uint8_t type)
{
	struct wire_msg msg;

	getrandom(&msg, sizeof(msg), 0);
	msg.magic = htons(strcmp(f->kind, "magic") ? WIRE_MAGIC : 0x1234);
	msg.version = WIRE_VERSION;
	msg.type = type;
	msg.service = 0;
	msg.sender = (uint8_t)(ntohl(f->src) & 0xff);
	msg.target = (uint8_t)(ntohl(f->dst) & 0xff);
	msg.config_tag = htonl(f->config_tag);
	udp(f, frame, WIRE_PORT, &msg, strcmp(f->kind, "short") ? sizeof(msg) : 40);
}

static void claim(const struct flood *f, struct frame *frame)
{
	struct ether_arp arp = {.arp_hrd = htons(ARPHRD_ETHER),
	                        .arp_pro = htons(ETHERTYPE_IP),
	                        .arp_hln = 6,
	                        .arp_pln = 4,
	                        .arp_op = htons(ARPOP_REQUEST)};
	static const uint8_t all[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

	memcpy(arp.arp_sha, f->mac, 6);
	memcpy(arp.arp_spa, &f->dst, 4);
	memcpy(arp.arp_tpa, &f->dst, 4);
	ethernet(f, frame, all, ETH_P_ARP);
	memcpy(frame->b + 14, &arp, sizeof(arp));
	frame->len = 60;
}

static void read_pcap(struct flood *f, const char *path)
{
	uint32_t head[6], record[4];
	FILE *in = fopen(path, "r");

	if (!in || fread(head, sizeof(head), 1, in) != 1 || (head[0] != 0xa1b2c3d4 && head[0] != 0xa1b23c4d))
		die(path);
	while (f->n < RING && fread(record, sizeof(record), 1, in) == 1) {
		struct frame *frame = &f->frame[f->n];

		if (record[2] < 14 || record[2] > FRAME_BYTES || fread(frame->b, record[2], 1, in) != 1)
			break;
		frame->len = record[2];
		memcpy(frame->b, f->to, 6);
		memcpy(frame->b + 6, f->mac, 6);
		f->n++;
	}
	fclose(in);
	if (!f->n)
		die("nothing to replay");
}

static bool make(struct flood *f, const char *pcap)
{
	static const struct {
		const char *kind;
		uint8_t type;
	} messages[] = {{"echo", WIRE_ECHO},     {"reflect", WIRE_REFLECT}, {"vote", WIRE_VOTE},
	                {"resign", WIRE_RESIGN}, {"magic", WIRE_ECHO},      {"short", WIRE_ECHO}};
	static const uint8_t rtp[40];

	if (!strcmp(f->kind, "replay")) {
		if (pcap)
			read_pcap(f, pcap);
		return pcap;
	}
	for (; f->n < RING; f->n++) {
		struct frame *frame = &f->frame[f->n];

		frame->len = 0;
		for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++)
			if (!strcmp(f->kind, messages[i].kind))
				message(f, frame, messages[i].type);
		if (!strcmp(f->kind, "claim"))
			claim(f, frame);
		if (!strcmp(f->kind, "use"))
			udp(f, frame, 5060, rtp, sizeof(rtp));
		if (!frame->len)
			return false;
	}
	return true;
}

static void run(struct flood *f)
{
	static struct mmsghdr msg[BATCH];
	static struct iovec iov[BATCH];
	double begin = now(), t = begin;
	uint64_t next = 0;

	while (t - begin < f->seconds && f->sent + f->failed < f->most) {
		uint64_t due = f->rate > 0 ? (uint64_t)((t - begin) * f->rate) : UINT64_MAX;
		unsigned int n = 0;
		int done;

		while (n < BATCH && f->sent + f->failed + n < due && f->sent + f->failed + n < f->most) {
			struct frame *frame = &f->frame[next++ % (uint64_t)f->n];

			iov[n] = (struct iovec){frame->b, frame->len};
			msg[n] = (struct mmsghdr){.msg_hdr = {.msg_iov = &iov[n], .msg_iovlen = 1}};
			n++;
		}
		if (!n) {
			nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
			t = now();
			continue;
		}
		done = sendmmsg(f->fd, msg, n, 0);
		if (done > 0)
			f->sent += (uint64_t)done;
		else
			f->failed++;
		t = now();
	}
	printf("{\"kind\":\"%s\",\"frames\":%llu,\"failed\":%llu,\"seconds\":%.3f,\"rate\":%.0f}\n", f->kind,
	       (unsigned long long)f->sent, (unsigned long long)f->failed, t - begin,
	       (double)f->sent / (t - begin));
}

int main(int argc, char **argv)
{
	static struct flood f = {.seconds = 1, .most = UINT64_MAX};
	struct ether_addr to;
	const char *pcap = NULL;
	int opt;

	while ((opt = getopt(argc, argv, "s:r:n:t:f:")) != -1) {
		if (opt == 's')
			f.seconds = strtod(optarg, NULL);
		else if (opt == 'r')
			f.rate = strtod(optarg, NULL);
		else if (opt == 'n')
			f.most = strtoull(optarg, NULL, 10);
		else if (opt == 't')
			f.config_tag = (uint32_t)strtoul(optarg, NULL, 0);
		else if (opt == 'f')
			pcap = optarg;
		else
			return 2;
	}
	if (argc - optind != 5 || !ether_aton_r(argv[optind + 2], &to) ||
	    inet_pton(AF_INET, argv[optind + 3], &f.dst) != 1 ||
	    inet_pton(AF_INET, argv[optind + 4], &f.src) != 1) {
		fputs("usage: flood [-s SECONDS] [-r FRAMES/S] [-n FRAMES] [-t CONFIG-TAG] [-f PCAP] KIND "
		      "DEV DST-MAC "
		      "DST-IP SRC-IP\n",
		      stderr);
		return 2;
	}
	f.kind = argv[optind];
	memcpy(f.to, to.ether_addr_octet, 6);
	open_socket(&f, argv[optind + 1]);
	if (!make(&f, pcap)) {
		fprintf(stderr, "flood: no such kind, or replay without -f: %s\n", f.kind);
		return 2;
	}
	run(&f);
	return 0;
}
