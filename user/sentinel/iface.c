/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Interfaces, see iface.h. Used at start and at the end, never on the way to a flip. */
#include "iface.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "addr.h"

int iface_find(const char *name, struct iface *ret)
{
	struct iface iface = {0};
	struct ifreq req = {0};
	int err = 0;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", name);
	if (ioctl(fd, SIOCGIFINDEX, &req) < 0) {
		err = -errno;
		goto out;
	}
	iface.ifindex = req.ifr_ifindex;
	if (ioctl(fd, SIOCGIFHWADDR, &req) < 0) {
		err = -errno;
		goto out;
	}
	if (req.ifr_hwaddr.sa_family != ARPHRD_ETHER) {
		err = -EAFNOSUPPORT;
		goto out;
	}
	memcpy(iface.mac, req.ifr_hwaddr.sa_data, sizeof(iface.mac));
	snprintf(iface.name, sizeof(iface.name), "%s", name);
	*ret = iface;
out:
	close(fd);
	return err;
}

static bool v4_of(const struct sockaddr *sa, uint32_t *ret)
{
	if (!sa || sa->sa_family != AF_INET)
		return false;
	*ret = ((const struct sockaddr_in *)(const void *)sa)->sin_addr.s_addr;
	return true;
}

bool iface_has_addr(const struct inaddr16 *addr)
{
	struct ifaddrs *list, *i;
	bool found = false;
	uint32_t ip;

	if (getifaddrs(&list) < 0)
		return false;
	for (i = list; i && !found; i = i->ifa_next)
		found = v4_of(i->ifa_addr, &ip) && ip == addr_to_be32(addr);
	freeifaddrs(list);
	return found;
}

bool iface_subnet_holds(const char *name, const struct inaddr16 *addr)
{
	struct ifaddrs *list, *i;
	uint32_t want = addr_to_be32(addr), ip, mask;
	bool holds = false;

	if (getifaddrs(&list) < 0)
		return false;
	for (i = list; i && !holds; i = i->ifa_next)
		holds = !strcmp(i->ifa_name, name) && v4_of(i->ifa_addr, &ip) &&
		        v4_of(i->ifa_netmask, &mask) && ip != want && ((ip ^ want) & mask) == 0;
	freeifaddrs(list);
	return holds;
}

static int change_addr(const struct iface *iface, const struct config_vip *vip, uint16_t type, uint16_t flags)
{
	struct {
		struct nlmsghdr nh;
		struct ifaddrmsg ifa;
		char attrs[64];
	} req = {
	        .nh = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifaddrmsg)),
	               .nlmsg_type = type,
	               .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags,
	               .nlmsg_seq = 1},
	        .ifa = {.ifa_family = AF_INET,
	                .ifa_prefixlen = vip->prefix_len,
	                .ifa_index = (unsigned)iface->ifindex},
	};
	struct {
		struct nlmsghdr nh;
		struct nlmsgerr err;
		char rest[256];
	} answer;
	uint32_t be = addr_to_be32(&vip->addr);
	int fd, n;

	for (int i = 0; i < 2; i++) {
		struct rtattr *a = (struct rtattr *)(void *)((char *)&req + req.nh.nlmsg_len);

		a->rta_type = i ? IFA_ADDRESS : IFA_LOCAL;
		a->rta_len = RTA_LENGTH(sizeof(be));
		memcpy(RTA_DATA(a), &be, sizeof(be));
		req.nh.nlmsg_len += RTA_ALIGN(a->rta_len);
	}
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (fd < 0)
		return -errno;
	n = (int)send(fd, &req, req.nh.nlmsg_len, 0);
	if (n >= 0)
		n = (int)recv(fd, &answer, sizeof(answer), 0);
	if (n < 0)
		n = -errno;
	else if (n < (int)sizeof(answer.nh) + (int)sizeof(answer.err) || answer.nh.nlmsg_type != NLMSG_ERROR)
		n = -EPROTO;
	else
		n = answer.err.error;
	close(fd);
	return n;
}

int iface_add_addr(const struct iface *iface, const struct config_vip *vip, bool *ret_added)
{
	int err = change_addr(iface, vip, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL);

	if (err && err != -EEXIST)
		return err;
	*ret_added = !err;
	return 0;
}

int iface_del_addr(const struct iface *iface, const struct config_vip *vip)
{
	return change_addr(iface, vip, RTM_DELADDR, 0);
}

int iface_announce_own_address(const char *name)
{
	char path[96];
	int former = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/arp_announce", name);
	f = fopen(path, "r+e");
	if (!f)
		return -errno;
	if (fscanf(f, "%d", &former) != 1)
		former = -EIO;
	rewind(f);
	if (former >= 0 && former != 2 && fprintf(f, "2\n") < 0)
		former = -EIO;
	if (fclose(f) && former >= 0)
		former = -errno;
	return former;
}
