/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* ARP from user space, see announce.h. */
#include "announce.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <netinet/if_ether.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "addr.h"
#include "filter.h"

#define ARBITER_PATIENCE 8 /* echoes without an answer: said to be not seen */

/* Repetitions after the first, for neighbours that missed it or were in their lock time (1 s on Linux). */
static const int64_t repeat_ns[] = {
        5 * NS_PER_MS, 50 * NS_PER_MS, 200 * NS_PER_MS, NS_PER_S, 2 * NS_PER_S, 5 * NS_PER_S,
};
#define REPEATS ((int)(sizeof(repeat_ns) / sizeof(repeat_ns[0])))

/* After the last claim, each beyond the lock time of who believed it. */
static const int64_t defend_ns[] = {NS_PER_S + 100 * NS_PER_MS, 2 * NS_PER_S + 500 * NS_PER_MS, 5 * NS_PER_S};
#define DEFENCES        ((int)(sizeof(defend_ns) / sizeof(defend_ns[0])))
#define DEFEND_PAUSE_NS (100 * NS_PER_MS) /* whatever comes, no answer follows another sooner */

static void build(struct arp_frame *frame, const uint8_t mac[6], uint32_t sender_be, uint32_t target_be)
{
	struct ether_arp arp = {
	        .arp_hrd = htons(ARPHRD_ETHER),
	        .arp_pro = htons(ETHERTYPE_IP),
	        .arp_hln = 6,
	        .arp_pln = 4,
	        .arp_op = htons(ARPOP_REQUEST),
	};
	struct ether_header eth = {.ether_type = htons(ETHERTYPE_ARP)};

	memset(eth.ether_dhost, 0xff, 6);
	memcpy(eth.ether_shost, mac, 6);
	memcpy(arp.arp_sha, mac, 6);
	memcpy(arp.arp_spa, &sender_be, 4);
	memcpy(arp.arp_tpa, &target_be, 4);
	memset(frame, 0, sizeof(*frame));
	memcpy(frame->b, &eth, sizeof(eth));
	memcpy(frame->b + sizeof(eth), &arp, sizeof(arp));
}

int announcer_init(struct announcer *a, const struct config_service *service, const struct iface *iface,
                   const struct inaddr16 *node_addr, struct mono now)
{
	struct sockaddr_ll ll = {
	        .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ARP), .sll_ifindex = iface->ifindex};
	uint32_t self = addr_to_be32(node_addr), heard[CONFIG_ARBITERS + 1];
	bool listens = service->on_peer_silence == SILENCE_ARBITER;
	int err;

	*a = (struct announcer){.ifindex = iface->ifindex, .step = REPEATS + 1};
	memcpy(a->mac, iface->mac, sizeof(a->mac));
	/* Protocol 0 hears nothing; bind() begins it, with the filter in place. */
	a->fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (a->fd < 0)
		return -errno;
	for (int i = 0; listens && i < service->n_arbiter; i++)
		heard[i] = addr_to_be32(&service->arbiter[i]);
	heard[listens ? service->n_arbiter : 0] = addr_to_be32(&service->vip[0].addr);
	err = listens ? filter_arp(a->fd, heard, service->n_arbiter + 1) : 0;
	if (!listens)
		ll.sll_protocol = 0;
	if (!err && bind(a->fd, (struct sockaddr *)&ll, sizeof(ll)) < 0)
		err = -errno;
	if (err) {
		close(a->fd);
		a->fd = -1;
		return err;
	}
	a->n_vip = service->n_vip;
	for (int i = 0; i < service->n_vip; i++) {
		a->vip_be[i] = addr_to_be32(&service->vip[i].addr);
		build(&a->vip[i], iface->mac, a->vip_be[i], a->vip_be[i]);
	}
	build(&a->probe, iface->mac, 0, a->vip_be[0]);
	if (service->on_peer_silence == SILENCE_ARBITER)
		a->n_arbiter = service->n_arbiter;
	for (int i = 0; i < a->n_arbiter; i++) {
		a->arbiter_be[i] = addr_to_be32(&service->arbiter[i]);
		build(&a->arbiter[i], iface->mac, self, a->arbiter_be[i]);
	}
	a->echo_ns = service->echo_ns;
	a->arbiter_next = now;
	return 0;
}

void announcer_done(struct announcer *a)
{
	if (a->fd >= 0)
		close(a->fd);
	a->fd = -1;
}

static void put(struct announcer *a, const struct arp_frame *frame)
{
	if (send(a->fd, frame->b, sizeof(frame->b), MSG_DONTWAIT) == (ssize_t)sizeof(frame->b))
		a->sent++;
	else
		a->failed++;
}

void announcer_start(struct announcer *a, struct mono now)
{
	a->step = 0;
	a->next = now;
	a->first_sent = mono_ns(0);
	announcer_tick(a, now);
}

void announcer_stop(struct announcer *a)
{
	a->step = REPEATS + 1;
	a->defend_next = mono_ns(0);
}

static void put_vips(struct announcer *a)
{
	for (int i = 0; i < a->n_vip; i++)
		put(a, &a->vip[i]);
}

static void defend(struct announcer *a, struct mono now)
{
	put_vips(a);
	a->defended = now;
	a->defences++;
	a->defend_next =
	        a->defend_step < DEFENCES ? mono_add(a->defend_claim, defend_ns[a->defend_step]) : mono_ns(0);
	a->defend_step++;
}

void announcer_defend(struct announcer *a, struct mono now)
{
	a->defend_claim = now;
	a->defend_step = 0;
	if (mono_is_set(a->defended) && mono_diff(now, a->defended) < DEFEND_PAUSE_NS)
		a->defend_next = mono_add(a->defended, DEFEND_PAUSE_NS);
	else
		defend(a, now);
}

void announcer_tick(struct announcer *a, struct mono now)
{
	if (mono_is_set(a->defend_next) && !mono_before(now, a->defend_next))
		defend(a, now);
	if (a->step <= REPEATS && !mono_before(now, a->next)) {
		put_vips(a);
		if (!a->step)
			a->first_sent = now;
		if (a->step < REPEATS)
			a->next = mono_add(now, repeat_ns[a->step]);
		a->step++;
	}
	if (a->n_arbiter && !mono_before(now, a->arbiter_next)) {
		arbiter_asked(&a->judged, now);
		for (int i = 0; i < a->n_arbiter; i++)
			put(a, &a->arbiter[i]);
		a->arbiter_next = mono_add(now, a->ask_often ? a->echo_ns : 2 * a->echo_ns);
	}
}

bool announcer_due(const struct announcer *a, struct mono *ret)
{
	bool repeats = a->step <= REPEATS, defends = mono_is_set(a->defend_next);

	if (!repeats && !defends)
		return false;
	*ret = !repeats || (defends && mono_before(a->defend_next, a->next)) ? a->defend_next : a->next;
	return true;
}

static uint16_t ip_checksum(const struct iphdr *ip)
{
	const uint16_t *word = (const void *)ip;
	uint32_t sum = 0;

	for (size_t i = 0; i < sizeof(*ip) / 2; i++)
		sum += word[i];
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t) ~((sum & 0xffff) + (sum >> 16));
}

bool announcer_send_message(struct announcer *a, const uint8_t to[6], const struct inaddr16 *from_addr,
                            const struct inaddr16 *to_addr, uint16_t port, const void *payload, size_t len)
{
	struct sockaddr_ll ll = {
	        .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP), .sll_ifindex = a->ifindex};
	struct {
		struct ether_header eth;
		struct iphdr ip;
		struct udphdr udp;
	} __attribute__((packed)) head = {
	        .eth.ether_type = htons(ETHERTYPE_IP),
	        .ip = {.version = 4,
	               .ihl = 5,
	               .tos = 0xc0, /* network control, RFC 2474 section 4.2.2.2 */
	               .tot_len = htons((uint16_t)(sizeof(struct iphdr) + sizeof(struct udphdr) + len)),
	               .frag_off = htons(IP_DF),
	               .ttl = 64,
	               .protocol = IPPROTO_UDP,
	               .saddr = addr_to_be32(from_addr),
	               .daddr = addr_to_be32(to_addr)},
	        .udp = {.source = htons(port),
	                .dest = htons(port),
	                .len = htons((uint16_t)(sizeof(struct udphdr) + len))},
	};
	struct iphdr ip = head.ip;
	struct iovec iov[2] = {{&head, sizeof(head)}, {(void *)(uintptr_t)payload, len}};
	struct msghdr msg = {.msg_name = &ll, .msg_namelen = sizeof(ll), .msg_iov = iov, .msg_iovlen = 2};

	memcpy(head.eth.ether_dhost, to, 6);
	memcpy(head.eth.ether_shost, a->mac, 6);
	head.ip.check = ip_checksum(&ip);
	return sendmsg(a->fd, &msg, MSG_DONTWAIT) == (ssize_t)(sizeof(head) + len);
}

void announcer_pass_on(struct announcer *a, const uint8_t *frame, size_t len, const uint8_t to[6])
{
	struct sockaddr_ll ll = {
	        .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP), .sll_ifindex = a->ifindex};
	uint8_t macs[12];
	struct iovec iov[2] = {{macs, sizeof(macs)}, {(void *)(uintptr_t)(frame + 12), len - 12}};
	struct msghdr msg = {.msg_name = &ll, .msg_namelen = sizeof(ll), .msg_iov = iov, .msg_iovlen = 2};

	memcpy(macs, to, 6);
	memcpy(macs + 6, a->mac, 6);
	if (len > sizeof(macs) && sendmsg(a->fd, &msg, MSG_DONTWAIT) == (ssize_t)len)
		a->sent++;
	else
		a->failed++;
}

void announcer_receive(struct announcer *a, struct mono now)
{
	uint8_t buf[128];
	uint32_t sender;

	for (int i = 0; i < 64 && a->n_arbiter; i++) {
		struct ether_arp arp;
		ssize_t n = recv(a->fd, buf, sizeof(buf), MSG_DONTWAIT);

		if (n < 0)
			return;
		if (n < (ssize_t)(sizeof(struct ether_header) + sizeof(arp)))
			continue;
		memcpy(&arp, buf + sizeof(struct ether_header), sizeof(arp));
		if (!memcmp(arp.arp_sha, a->mac, 6))
			continue;
		memcpy(&sender, arp.arp_spa, 4);
		for (int k = 0; k < a->n_arbiter; k++)
			if (sender == a->arbiter_be[k] && arp.arp_op == htons(ARPOP_REPLY) &&
			    !memcmp(arp.arp_tha, a->mac, 6))
				arbiter_answered(&a->judged, now);
		if (sender == a->vip_be[0])
			a->probe_answered = true;
	}
}

void announcer_probe(struct announcer *a, int64_t pause_ns, struct mono now)
{
	int64_t since = mono_diff(now, a->probe_last);

	if (mono_is_set(a->probe_last) && since < pause_ns)
		return;
	/* an old series, or one that was answered, proves nothing now */
	if (since > 4 * pause_ns || a->probe_answered) {
		a->probes = 0;
		a->probe_answered = false;
	}
	put(a, &a->probe);
	a->probes++;
	a->probe_last = now;
}

bool announcer_unclaimed(const struct announcer *a, int64_t pause_ns, struct mono now)
{
	int64_t since = mono_diff(now, a->probe_last);

	return a->probes >= 3 && !a->probe_answered && since >= pause_ns && since <= 4 * pause_ns;
}

bool announcer_arbiter_seen(const struct announcer *a, struct mono now)
{
	return mono_is_set(a->judged.seen) && mono_diff(now, a->judged.seen) < ARBITER_PATIENCE * a->echo_ns;
}
