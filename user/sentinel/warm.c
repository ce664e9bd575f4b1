/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Neighbours of calls, see warm.h. Requests are as in the kernel's
 * net/ipv4/fib_frontend.c (RTM_GETROUTE) and net/core/neighbour.c: it handles them
 * in the sender's context, so that the answer is there when send() returns.
 */
#include "warm.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "addr.h"

#define STEPS_A_TURN 8
#define USE_AGAIN_NS                                                                                         \
	(10 * NS_PER_S) /* less than the shortest time a neighbour stays reachable by default                \
	                 */

struct request {
	struct nlmsghdr nh;
	union {
		struct rtmsg rt;
		struct ndmsg nd;
	};
	char attrs[64];
};

static void put(struct request *req, unsigned short type, const void *data, size_t len)
{
	struct rtattr *a = (struct rtattr *)(void *)((char *)req + NLMSG_ALIGN(req->nh.nlmsg_len));

	a->rta_type = type;
	a->rta_len = (unsigned short)RTA_LENGTH(len);
	memcpy(RTA_DATA(a), data, len);
	req->nh.nlmsg_len = NLMSG_ALIGN(req->nh.nlmsg_len) + RTA_ALIGN(a->rta_len);
}

static const struct rtattr *find(const struct nlmsghdr *nh, size_t body, unsigned short type)
{
	const struct rtattr *a = (const void *)((const char *)nh + NLMSG_LENGTH(NLMSG_ALIGN(body)));
	int len = (int)nh->nlmsg_len - (int)NLMSG_LENGTH(NLMSG_ALIGN(body));

	for (; RTA_OK(a, len); a = RTA_NEXT(a, len))
		if (a->rta_type == type)
			return a;
	return NULL;
}

static uint32_t u32_of(const struct rtattr *a)
{
	uint32_t value = 0;

	if (a && RTA_PAYLOAD(a) >= sizeof(value))
		memcpy(&value, RTA_DATA(a), sizeof(value));
	return value;
}

/* The first message that answers `req`: 0 with a message in buf, or the kernel's -errno (0 for its ACK). */
static int ask(struct warm *warm, struct request *req, void *buf, size_t size)
{
	const struct nlmsghdr *nh = buf;

	req->nh.nlmsg_seq = ++warm->seq;
	if (send(warm->fd, req, req->nh.nlmsg_len, MSG_DONTWAIT) < 0)
		return -errno;
	for (int i = 0; i < 8; i++) {
		ssize_t n = recv(warm->fd, buf, size, MSG_DONTWAIT);

		if (n < 0)
			return -errno;
		if (n < (ssize_t)sizeof(*nh) || nh->nlmsg_len > (size_t)n || nh->nlmsg_seq != warm->seq)
			continue;
		if (nh->nlmsg_type == NLMSG_ERROR)
			return ((const struct nlmsgerr *)NLMSG_DATA(nh))->error;
		return 0;
	}
	return -EPROTO;
}

/* Whom the kernel would send to for this phone; -ENETUNREACH when not on this interface. */
static int next_hop(struct warm *warm, const struct iface *iface, uint32_t vip, uint32_t phone, uint32_t *ret)
{
	struct request req = {.nh = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct rtmsg)),
	                             .nlmsg_type = RTM_GETROUTE,
	                             .nlmsg_flags = NLM_F_REQUEST},
	                      .rt = {.rtm_family = AF_INET, .rtm_dst_len = 32, .rtm_src_len = 32}};
	union {
		struct nlmsghdr nh;
		char bytes[1024];
	} answer;
	const struct rtmsg *rt = NLMSG_DATA(&answer.nh);
	uint32_t via;
	int err;

	put(&req, RTA_DST, &phone, sizeof(phone));
	put(&req, RTA_SRC, &vip, sizeof(vip));
	err = ask(warm, &req, &answer, sizeof(answer));
	if (err)
		return err;
	if (answer.nh.nlmsg_type != RTM_NEWROUTE || rt->rtm_type != RTN_UNICAST ||
	    u32_of(find(&answer.nh, sizeof(*rt), RTA_OIF)) != (uint32_t)iface->ifindex)
		return -ENETUNREACH;
	via = u32_of(find(&answer.nh, sizeof(*rt), RTA_GATEWAY));
	*ret = via ? via : phone;
	return 0;
}

static struct request neighbour(const struct iface *iface, uint32_t be, unsigned short type,
                                unsigned short flags)
{
	struct request req = {.nh = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct ndmsg)),
	                             .nlmsg_type = type,
	                             .nlmsg_flags = NLM_F_REQUEST | flags},
	                      .nd = {.ndm_family = AF_INET, .ndm_ifindex = iface->ifindex}};

	put(&req, NDA_DST, &be, sizeof(be));
	return req;
}

static bool is_ours(const struct nlmsghdr *nh)
{
	const struct rtattr *protocol = find(nh, sizeof(struct ndmsg), NDA_PROTOCOL);

	return protocol && *(const uint8_t *)RTA_DATA(protocol) == WARM_PROTOCOL;
}

/* Somebody set it by hand, or another program looks after it. */
static bool is_taken(struct warm *warm, const struct iface *iface, uint32_t be)
{
	struct request req = neighbour(iface, be, RTM_GETNEIGH, 0);
	union {
		struct nlmsghdr nh;
		char bytes[1024];
	} answer;
	const struct ndmsg *nd = NLMSG_DATA(&answer.nh);

	if (ask(warm, &req, &answer, sizeof(answer)) || answer.nh.nlmsg_type != RTM_NEWNEIGH)
		return false;
	if (nd->ndm_state & (NUD_PERMANENT | NUD_NOARP))
		return true;
	return nd->ndm_flags & NTF_EXT_LEARNED && !is_ours(&answer.nh);
}

/*
 * managed: the kernel keeps it resolved from now on. Otherwise it is resolved once
 * more, and left to garbage collection with `keep` false. No state is given, so
 * that an entry in use goes on as it is.
 */
static int change(struct warm *warm, const struct iface *iface, uint32_t be, bool managed, bool keep)
{
	struct request req =
	        neighbour(iface, be, RTM_NEWNEIGH, NLM_F_ACK | NLM_F_REPLACE | (keep ? NLM_F_CREATE : 0));
	const uint8_t protocol = WARM_PROTOCOL;
	const uint32_t ext = NTF_EXT_MANAGED;
	char answer[1024];

	req.nd.ndm_flags = (keep ? NTF_EXT_LEARNED : 0) | (managed ? 0 : NTF_USE);
	put(&req, NDA_PROTOCOL, &protocol, sizeof(protocol));
	if (managed)
		put(&req, NDA_FLAGS_EXT, &ext, sizeof(ext));
	return ask(warm, &req, answer, sizeof(answer));
}

static int enter(struct warm *warm, const struct iface *iface, uint32_t be)
{
	int err = 0;

	if (!warm->unmanaged) {
		err = change(warm, iface, be, true, true);
		if (err != -EINVAL && err != -EOPNOTSUPP)
			return err;
	}
	err = change(warm, iface, be, false, true);
	if (!err)
		warm->unmanaged = true;
	return err;
}

static struct warm_hop *hop_of(struct warm *warm, uint32_t be)
{
	for (uint32_t i = 0; i < warm->n_hop; i++)
		if (warm->hop[i].be == be)
			return &warm->hop[i];
	return NULL;
}

static void want(struct warm *warm, const struct iface *iface, uint32_t vip, const struct inaddr16 *phone)
{
	struct warm_hop *hop;
	uint32_t be;

	if (!addr_is_v4(phone))
		return;
	if (next_hop(warm, iface, vip, addr_to_be32(phone), &be)) {
		warm->refused++;
		return;
	}
	hop = hop_of(warm, be);
	if (hop) {
		hop->wanted = true;
		return;
	}
	if (warm->n_hop == KEEPER_WARM_ADDRS || is_taken(warm, iface, be))
		return;
	if (enter(warm, iface, be)) {
		warm->refused++;
		return;
	}
	warm->entered++;
	warm->hop[warm->n_hop++] = (struct warm_hop){.be = be, .wanted = true};
}

/* One that nobody wants any more, or used again; false: nothing is left to do. */
static bool tidy(struct warm *warm, const struct iface *iface, struct mono now)
{
	for (uint32_t i = 0; i < warm->n_hop; i++) {
		if (warm->hop[i].wanted)
			continue;
		change(warm, iface, warm->hop[i].be, false, false);
		warm->released++;
		warm->hop[i] = warm->hop[--warm->n_hop];
		return true;
	}
	if (warm->unmanaged && !mono_before(now, warm->use_again)) {
		warm->use_again = mono_add(now, USE_AGAIN_NS);
		for (uint32_t i = 0; i < warm->n_hop; i++)
			change(warm, iface, warm->hop[i].be, false, true);
	}
	return false;
}

void warm_set(struct warm *warm, const struct inaddr16 *addr, uint32_t n)
{
	memcpy(warm->want, addr, n * sizeof(*addr));
	warm->n_want = n;
	warm->cursor = 0;
	warm->round = true;
	for (uint32_t i = 0; i < warm->n_hop; i++)
		warm->hop[i].wanted = false;
}

void warm_tick(struct warm *warm, const struct iface *iface, const struct inaddr16 *vip, struct mono now)
{
	if (warm->fd <= 0)
		return;
	for (int i = 0; i < STEPS_A_TURN; i++) {
		if (warm->round && warm->cursor < warm->n_want)
			want(warm, iface, addr_to_be32(vip), &warm->want[warm->cursor++]);
		else if (!tidy(warm, iface, now))
			break;
	}
	if (warm->cursor == warm->n_want)
		warm->round = false;
}

/* --- at the start and at the end ----------------------------------------------------------- */

/* Calls on_ours with each entry of ours on the interface. 0 or -errno. */
static int dump(int fd, const struct iface *iface, void (*on_ours)(void *arg, uint32_t be), void *arg)
{
	struct request req = {.nh = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct ndmsg)),
	                             .nlmsg_type = RTM_GETNEIGH,
	                             .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
	                             .nlmsg_seq = 1},
	                      .nd = {.ndm_family = AF_INET}};
	uint32_t ifindex = (uint32_t)iface->ifindex;
	static _Alignas(struct nlmsghdr) char buf[32768];

	put(&req, NDA_IFINDEX, &ifindex, sizeof(ifindex));
	if (send(fd, &req, req.nh.nlmsg_len, 0) < 0)
		return -errno;
	for (;;) {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);
		const struct nlmsghdr *nh = (const void *)buf;

		if (n < 0)
			return -errno;
		for (; NLMSG_OK(nh, n); nh = NLMSG_NEXT(nh, n)) {
			const struct ndmsg *nd = NLMSG_DATA(nh);

			if (nh->nlmsg_type == NLMSG_DONE || nh->nlmsg_type == NLMSG_ERROR)
				return 0;
			if (nh->nlmsg_type == RTM_NEWNEIGH && nd->ndm_ifindex == iface->ifindex &&
			    nd->ndm_flags & NTF_EXT_LEARNED && is_ours(nh))
				on_ours(arg, u32_of(find(nh, sizeof(*nd), NDA_DST)));
		}
	}
}

static int open_netlink(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	return fd < 0 ? -errno : fd;
}

static void take_over(void *arg, uint32_t be)
{
	struct warm *warm = arg;

	if (warm->n_hop < KEEPER_WARM_ADDRS)
		warm->hop[warm->n_hop++] = (struct warm_hop){.be = be, .wanted = true};
}

int warm_open(struct warm *warm, const struct iface *iface)
{
	int fd = open_netlink(), err;

	if (fd < 0)
		return fd;
	warm->fd = fd;
	err = dump(fd, iface, take_over, warm);
	warm->seq = 1;
	return err;
}

struct leftovers {
	uint32_t be[2 * KEEPER_WARM_ADDRS];
	int n;
};

static void note(void *arg, uint32_t be)
{
	struct leftovers *l = arg;

	if (l->n < 2 * KEEPER_WARM_ADDRS)
		l->be[l->n++] = be;
}

int warm_forget(const struct iface *iface)
{
	struct warm warm = {.fd = open_netlink(), .seq = 1};
	struct leftovers left = {.n = 0};
	char answer[1024];
	int gone = 0;

	if (warm.fd < 0)
		return 0;
	dump(warm.fd, iface, note, &left);
	for (int i = 0; i < left.n; i++) {
		struct request req = neighbour(iface, left.be[i], RTM_DELNEIGH, NLM_F_ACK);

		gone += !ask(&warm, &req, answer, sizeof(answer));
	}
	close(warm.fd);
	return gone;
}
