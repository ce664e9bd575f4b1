// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Test tool: loads the two-instruction XDP program "return XDP_PASS" with the
 * bare bpf() call and attaches it in native mode to the named devices of the
 * network namespace it runs in. The lab needs it on the bridge's end of every
 * veth pair: without it, what the other end sends by XDP_TX is lost. The
 * program stays for as long as the device does. With -d it returns XDP_DROP:
 * the least that a frame can cost. Called by tests/netns/lab and bench/flood.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

struct attach_request {
	struct nlmsghdr head;
	struct ifinfomsg info;
	struct nlattr xdp;
	struct nlattr fd_attr;
	int32_t fd;
	struct nlattr flags_attr;
	uint32_t flags;
};

static int load(int verdict)
{
	const struct bpf_insn insns[] = {
	        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = verdict},
	        {.code = BPF_JMP | BPF_EXIT},
	};
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_XDP;
	attr.insns = (uintptr_t)insns;
	attr.insn_cnt = sizeof(insns) / sizeof(insns[0]);
	attr.license = (uintptr_t) "Dual BSD/GPL";
	memcpy(attr.prog_name, "lab_pass", sizeof("lab_pass"));
	int fd = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
	return fd < 0 ? -errno : fd;
}

static int attach(int netlink, int ifindex, int prog)
{
	struct attach_request request = {
	        .head = {.nlmsg_len = sizeof(request),
	                 .nlmsg_type = RTM_SETLINK,
	                 .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
	        .info = {.ifi_family = AF_UNSPEC, .ifi_index = ifindex},
	        .xdp = {.nla_len = sizeof(request) - offsetof(struct attach_request, xdp),
	                .nla_type = IFLA_XDP | NLA_F_NESTED},
	        .fd_attr = {.nla_len = sizeof(struct nlattr) + 4, .nla_type = IFLA_XDP_FD},
	        .fd = prog,
	        .flags_attr = {.nla_len = sizeof(struct nlattr) + 4, .nla_type = IFLA_XDP_FLAGS},
	        .flags = XDP_FLAGS_DRV_MODE,
	};
	struct {
		struct nlmsghdr head;
		struct nlmsgerr error;
		char rest[256];
	} answer;

	if (send(netlink, &request, sizeof(request), 0) < 0)
		return -errno;
	ssize_t n = recv(netlink, &answer, sizeof(answer), 0);
	if (n < 0)
		return -errno;
	if ((size_t)n < sizeof(answer.head) + sizeof(answer.error) || answer.head.nlmsg_type != NLMSG_ERROR)
		return -EPROTO;
	return answer.error.error;
}

int main(int argc, char **argv)
{
	bool drop = argc > 1 && !strcmp(argv[1], "-d");
	int first = drop ? 2 : 1;

	if (argc <= first) {
		fprintf(stderr, "usage: xdp_pass [-d] DEVICE...\n");
		return 2;
	}
	int prog = load(drop ? XDP_DROP : XDP_PASS);
	if (prog < 0) {
		fprintf(stderr, "xdp_pass: cannot load: %s\n", strerror(-prog));
		return 1;
	}
	int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (netlink < 0) {
		perror("xdp_pass: netlink");
		return 1;
	}
	for (int i = first; i < argc; i++) {
		int ifindex = (int)if_nametoindex(argv[i]);
		int err = ifindex ? attach(netlink, ifindex, prog) : -ENODEV;
		if (err) {
			fprintf(stderr, "xdp_pass: %s: %s\n", argv[i], strerror(-err));
			return 1;
		}
	}
	return 0;
}
