/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The doctor's look at the network: for each service that runs on this node. */
#include <arpa/inet.h>
#include <bpf/libbpf.h>
#include <ifaddrs.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "addr.h"
#include "doctor.h"
#include "files.h"
#include "sockets.h"

static uint32_t ip_of(const struct sockaddr *sa)
{
	return ((const struct sockaddr_in *)(const void *)sa)->sin_addr.s_addr;
}

static bool is_v4(const struct ifaddrs *i)
{
	return i->ifa_addr && i->ifa_addr->sa_family == AF_INET;
}

void doctor_find_self(struct doctor *d)
{
	struct ifaddrs *list;

	if (getifaddrs(&list))
		return;
	for (struct ifaddrs *i = list; i; i = i->ifa_next)
		for (int n = 1; is_v4(i) && n <= d->config.n_node; n++)
			if (ip_of(i->ifa_addr) == addr_to_be32(&d->config.node[n].addr))
				d->self = n;
	freeifaddrs(list);
	if (d->self)
		doctor_ok("this machine is node %s", d->config.node[d->self].name);
	else
		doctor_fail(d, "give the interface the address of its node, or mend the file",
		            "no node's address is on this machine");
}

static void driver_of(const char *interface, char *ret, size_t size)
{
	struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};
	struct ifreq ifr = {.ifr_data = (char *)&info};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(ret, size, "unknown driver");
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", interface);
	if (fd >= 0 && !ioctl(fd, SIOCETHTOOL, &ifr))
		snprintf(ret, size, "driver %.31s", info.driver);
	if (fd >= 0)
		close(fd);
}

static void check_xdp(struct doctor *d, const char *interface, unsigned int ifindex)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, opts);
	char driver[64];

	driver_of(interface, driver, sizeof(driver));
	if (bpf_xdp_query((int)ifindex, 0, &opts) || opts.attach_mode == XDP_ATTACHED_NONE) {
		if (d->agent_up)
			doctor_fail(d, "see sipflipd's log; restart it", "no XDP program on %s (%s)",
			            interface, driver);
		else
			doctor_ok("interface %s is there (%s), no XDP program yet", interface, driver);
	} else if (opts.attach_mode == XDP_ATTACHED_SKB) {
		doctor_warn(d, "use a driver with native XDP for the shortest takeovers",
		            "XDP on %s is generic (%s): it works, but slower", interface, driver);
	} else {
		doctor_ok("XDP on %s is native (%s)", interface, driver);
	}
}

static void check_vip(struct doctor *d, const struct config_service *s, const struct config_vip *vip)
{
	uint32_t ip = addr_to_be32(&vip->addr);
	bool bound = false, inside = false;
	struct ifaddrs *list;
	char text[ADDR_TEXT_LEN];

	addr_format(&vip->addr, text);
	if (getifaddrs(&list))
		return;
	for (struct ifaddrs *i = list; i; i = i->ifa_next) {
		if (!is_v4(i))
			continue;
		if (ip_of(i->ifa_addr) == ip)
			bound = true;
		else if (!strcmp(i->ifa_name, s->interface) && i->ifa_netmask)
			inside |= !((ip_of(i->ifa_addr) ^ ip) & ip_of(i->ifa_netmask));
	}
	freeifaddrs(list);
	if (!inside)
		doctor_fail(d, "choose a VIP of that subnet, or the right interface",
		            "%s: VIP %s is outside the subnet of %s", s->name, text, s->interface);
	if (bound)
		doctor_ok("%s: VIP %s is bound here", s->name, text);
	else if (d->agent_up)
		doctor_fail(d, "see sipflipd's log; or ip addr add it", "%s: VIP %s is not bound here",
		            s->name, text);
	else
		doctor_warn(d, "sipflipd binds it when it starts", "%s: VIP %s is not bound here yet",
		            s->name, text);
}

static void check_server(struct doctor *d, const struct config_service *s)
{
	uint32_t vip = addr_to_be32(&s->vip[0].addr);
	struct socket_owner owner;

	for (int i = 0; i < s->n_sip; i++) {
		if (!sockets_udp_owner(vip, s->sip_port[i], &owner))
			doctor_fail(d, "start the SIP server, on the VIP or on 0.0.0.0",
			            "%s: nothing listens on UDP port %u of the VIP", s->name, s->sip_port[i]);
		else if (owner.pid)
			doctor_ok("%s: %s (pid %d) listens on UDP port %u", s->name, owner.name, owner.pid,
			          s->sip_port[i]);
		else
			doctor_warn(d, "run as root on the machine itself",
			            "%s: something listens on UDP port %u, but which process cannot be seen",
			            s->name, s->sip_port[i]);
	}
	if (s->rescue == RESCUE_AGENT && sockets_udp_owner(vip, s->rescue_port, &owner) && owner.pid &&
	    strncmp(owner.name, "sipflip", 7))
		doctor_fail(d, "set calls { port = ... } to a free one on every node",
		            "%s: %s (pid %d) holds UDP port %u, which a rescue needs", s->name, owner.name,
		            owner.pid, s->rescue_port);
}

static void check_rp_filter(struct doctor *d, const char *interface)
{
	char path[96], text[16];
	long all = 0, own = 0;

	if (files_read("/proc/sys/net/ipv4/conf/all/rp_filter", text, sizeof(text)) > 0)
		all = strtol(text, NULL, 10);
	snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/rp_filter", interface);
	if (files_read(path, text, sizeof(text)) > 0)
		own = strtol(text, NULL, 10);
	/* Documentation/networking/ip-sysctl: the larger of the two counts. */
	if ((all > own ? all : own) == 1)
		doctor_warn(d,
		            "set net.ipv4.conf.*.rp_filter to 2 if clients are reached by another interface",
		            "rp_filter is strict on %s", interface);
	else
		doctor_ok("rp_filter is not strict on %s", interface);
}

static void check_service(struct doctor *d, const struct config_service *s)
{
	unsigned int ifindex = if_nametoindex(s->interface);

	if (!ifindex) {
		doctor_fail(d, "mend interface = in the file", "%s: there is no interface %s here", s->name,
		            s->interface);
		return;
	}
	check_xdp(d, s->interface, ifindex);
	for (int i = 0; i < s->n_vip; i++)
		check_vip(d, s, &s->vip[i]);
	check_server(d, s);
	check_rp_filter(d, s->interface);
}

void doctor_net(struct doctor *d)
{
	for (int i = 0; i < d->config.n_service; i++) {
		const struct config_service *s = &d->config.service[i];

		for (int k = 0; k < s->n_node; k++)
			if (s->node[k] == d->self)
				check_service(d, s);
	}
}
