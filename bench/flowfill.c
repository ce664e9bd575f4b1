// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Enters relayed flows into a node's pinned maps by hand, for a benchmark of the
 * relay alone, on a lab's node without calls of its own. Reads lines from stdin:
 *   SLOT VIP-PORT REMOTE-ADDRESS REMOTE-PORT PEER-SLOT
 * and follows the order of sipflip/abi.h. Used by bench/rtpengine.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sipflip/abi.h"

#define PORTS       65536
#define PORT_STRIDE 8 /* an array's elements are kept 8 bytes apart */

static void *open_map(const char *dir, const char *name, size_t len)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	int fd = bpf_obj_get(path);
	void *at = fd < 0 ? MAP_FAILED : mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		fprintf(stderr, "flowfill: %s: %s\n", path, strerror(errno));
	return at == MAP_FAILED ? NULL : at;
}

static int map_address(const char *text, struct inaddr16 *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->b[10] = ret->b[11] = 0xff;
	return inet_pton(AF_INET, text, &ret->b[12]) == 1 ? 0 : -EINVAL;
}

int main(int argc, char **argv)
{
	unsigned int slot, vip_port, remote_port, peer, n = 0;
	char remote[64];
	struct inaddr16 vip;

	if (argc != 3 || map_address(argv[2], &vip)) {
		fprintf(stderr, "usage: flowfill PIN-DIRECTORY VIP <FLOWS\n");
		return 2;
	}
	uint8_t *ports = open_map(argv[1], "flow_ports", (size_t)PORTS * PORT_STRIDE);
	struct flow *flows = open_map(argv[1], "flows", (size_t)MAX_FLOWS * sizeof(struct flow));
	if (!ports || !flows)
		return 1;
	while (scanf("%u %u %63s %u %u", &slot, &vip_port, remote, &remote_port, &peer) == 5) {
		struct flow flow = {.vip = vip,
		                    .vip_port = (uint16_t)vip_port,
		                    .remote_port = (uint16_t)remote_port,
		                    .peer = peer,
		                    .generation = 2};
		if (!slot || slot >= MAX_FLOWS || peer >= MAX_FLOWS || vip_port >= PORTS ||
		    map_address(remote, &flow.remote)) {
			fprintf(stderr, "flowfill: bad flow after %u\n", n);
			return 1;
		}
		flows[slot] = flow;
		__atomic_store_n((uint32_t *)(ports + (size_t)vip_port * PORT_STRIDE), slot,
		                 __ATOMIC_RELEASE);
		n++;
	}
	printf("%u flows\n", n);
	return 0;
}
