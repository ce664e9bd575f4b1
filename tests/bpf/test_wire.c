/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Relay and steering between real sockets, over a veth pair with checksums done in
 * software: what is wrong by a bit does not arrive. The node is this process's own
 * network namespace; both phones live in another, behind one device.
 *
 *   node: n0 10.9.0.100 (the VIP) ──── p0 10.9.0.200 (phone A), .201 (phone B)
 */
#include <linux/ethtool.h>
#include <linux/sockios.h>

#include "space.h"

#include "bench.skel.h"
#include "callid.h"
#include "egress.skel.h"
#include "ingress.skel.h"
#include "sipflip/slots.h"

#define PHONE_A  ADDR_FAR
#define PHONE_B  0x0a0900c9U
#define PORT_A   30000
#define PORT_B   30002
#define REMOTE_A 4000
#define REMOTE_B 5000
#define SLOT_A   1
#define SLOT_B   2
#define CALL_ID  "abc@host"
#define RESCUED  BYE("Call-ID: " CALL_ID "\r\n")
#define OTHER    BYE("Call-ID: other\r\n")
#define BIG      3001

static struct wire {
	struct ingress_bpf *in;
	struct egress_bpf *out;
	struct bench_bpf *aid;
	int node_ns, phones_ns;
	struct flow *flows;
	int counters;
	uint8_t mac_phones[6];
} wire;

static void shell(const char *format, ...)
{
	char command[512];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	if (system(command))
		fail_msg("failed: %s", command);
}

static void enter(int ns)
{
	assert_return_code(setns(ns, CLONE_NEWNET), errno);
}

static int new_ns(void)
{
	int fd;

	space_enter(65536);
	fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	assert_return_code(fd, errno);
	return fd;
}

/* An interface's MAC, or its checksums put into software's hands. */
static void device(const char *name, uint8_t ret_mac[6])
{
	struct ethtool_value off = {.cmd = ETHTOOL_STXCSUM};
	struct ifreq ifr = {0};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	strcpy(ifr.ifr_name, name);
	assert_return_code(ioctl(fd, SIOCGIFHWADDR, &ifr), errno);
	memcpy(ret_mac, ifr.ifr_hwaddr.sa_data, 6);
	ifr.ifr_data = (void *)&off;
	assert_return_code(ioctl(fd, SIOCETHTOOL, &ifr), errno);
	close(fd);
}

static void share_maps(void)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, wire.out->obj)
	{
		struct bpf_map *same = bpf_object__find_map_by_name(wire.in->obj, bpf_map__name(map));

		if (same && !bpf_map__is_internal(map))
			assert_return_code(bpf_map__reuse_fd(map, bpf_map__fd(same)), errno);
	}
}

static void load(uint32_t ifindex)
{
	struct inaddr16 key = addr_from_be32(htonl(VIP));
	struct vip vip = {.service = SERVICE, .ifindex = ifindex};

	wire.in = ingress_bpf__open();
	wire.out = egress_bpf__open();
	wire.aid = bench_bpf__open_and_load();
	assert_true(wire.in && wire.out && wire.aid);
	vip_slots_add(wire.in->rodata->vip_slots, &key, vip);
	vip_slots_add(wire.out->rodata->vip_slots, &key, vip);
	assert_int_equal(ingress_bpf__load(wire.in), 0);
	share_maps();
	assert_int_equal(egress_bpf__load(wire.out), 0);
	map_put(wire.in->maps.vips, &key, &vip);
	wire.flows = map_memory(wire.in->maps.flows);
	wire.counters = bpf_map__fd(wire.in->maps.counters);
}

static void attach(uint32_t ifindex)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = bpf_program__fd(wire.out->progs.egress));

	assert_return_code(bpf_tc_hook_create(&hook), errno);
	assert_return_code(bpf_tc_attach(&hook, &opts), errno);
	assert_return_code(bpf_xdp_attach((int)ifindex, bpf_program__fd(wire.in->progs.ingress), 0, NULL),
	                   errno);
	enter(wire.phones_ns);
	assert_return_code(
	        bpf_xdp_attach((int)if_nametoindex("p0"), bpf_program__fd(wire.aid->progs.nothing), 0, NULL),
	        errno);
	enter(wire.node_ns);
}

static void put_leg(uint32_t slot, uint32_t peer, uint16_t port, uint32_t phone, uint16_t remote)
{
	uint32_t key = port;

	wire.flows[slot] = (struct flow){.vip = addr_from_be32(htonl(VIP)),
	                                 .remote = addr_from_be32(htonl(phone)),
	                                 .vip_port = port,
	                                 .remote_port = remote,
	                                 .service = SERVICE,
	                                 .peer = peer};
	memcpy(wire.flows[slot].mac, wire.mac_phones, 6);
	map_put(wire.in->maps.flow_ports, &key, &slot);
}

static void configure(uint32_t ifindex, const uint8_t *mac)
{
	struct service_conf conf = {
	        .ifindex = ifindex, .incarnation = 1, .sip_port = {SIP_PORT_1}, .rescue_port = RESCUE_PORT};
	struct ownership word = {LEASE_FOREVER};
	uint32_t service = SERVICE, zero = 0;

	memcpy(conf.mac, mac, 6);
	map_put(wire.in->maps.service_conf, &service, &conf);
	map_put(wire.in->maps.steer_key, &zero, &steer_secret);
	steer_put(wire.in->maps.steer, CALL_ID, strlen(CALL_ID), SERVICE);
	put_leg(SLOT_A, SLOT_B, PORT_A, PHONE_A, REMOTE_A);
	put_leg(SLOT_B, SLOT_A, PORT_B, PHONE_B, REMOTE_B);
	map_put(wire.in->maps.ownership, &service, &word);
}

static int setup(void **state)
{
	uint8_t mac[6];
	uint32_t ifindex;
	char path[64];

	assert_true(sodium_init() >= 0);
	/* in the emulated kernel's root the one on the path does not know veth */
	setenv("IP", access("/test/tools/ip", X_OK) ? "ip" : "/test/tools/ip", 1);
	wire.phones_ns = new_ns();
	wire.node_ns = new_ns();
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", getpid(), wire.phones_ns);
	shell("$IP link add n0 type veth peer name p0 netns %s", path);
	shell("$IP addr add 10.9.0.100/24 dev n0 && $IP link set n0 up");
	device("n0", mac);
	enter(wire.phones_ns);
	shell("$IP addr add 10.9.0.200/24 dev p0 && $IP addr add 10.9.0.201/24 dev p0 && $IP link set p0 up");
	device("p0", wire.mac_phones);
	enter(wire.node_ns);
	ifindex = if_nametoindex("n0");
	load(ifindex);
	configure(ifindex, mac);
	attach(ifindex);
	return 0;
}

static int teardown(void **state)
{
	munmap(wire.flows, sizeof(struct flow) * MAX_FLOWS);
	ingress_bpf__destroy(wire.in);
	egress_bpf__destroy(wire.out);
	bench_bpf__destroy(wire.aid);
	close(wire.node_ns);
	close(wire.phones_ns);
	return 0;
}

/* --- sockets --------------------------------------------------------------- */

static int bound(int ns, uint32_t addr, uint16_t port)
{
	struct timeval patience = {.tv_sec = DEADLINE_MS / 1000};
	int fd;

	enter(ns);
	fd = space_socket(SOCK_DGRAM, addr, port);
	enter(wire.node_ns);
	assert_return_code(fd, errno);
	assert_return_code(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), errno);
	return fd;
}
static int phone(uint32_t addr, uint16_t port)
{
	return bound(wire.phones_ns, addr, port);
}
static int on_vip(uint16_t port)
{
	return bound(wire.node_ns, VIP, port);
}

static void say(int fd, uint32_t addr, uint16_t port, const void *data, size_t len)
{
	struct sockaddr_in to = {
	        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(addr)};

	assert_int_equal(sendto(fd, data, len, 0, (struct sockaddr *)&to, sizeof(to)), len);
}

/* The next datagram must be this one, from there. */
static void hears(int fd, uint32_t addr, uint16_t port, const void *data, size_t len)
{
	struct sockaddr_in from = {0};
	socklen_t from_len = sizeof(from);
	static char got[65536];
	ssize_t n = recvfrom(fd, got, sizeof(got), 0, (struct sockaddr *)&from, &from_len);

	assert_return_code(n, errno);
	assert_int_equal(n, len);
	assert_memory_equal(got, data, len);
	assert_int_equal(ntohl(from.sin_addr.s_addr), addr);
	assert_int_equal(ntohs(from.sin_port), port);
}

static struct counters counts(void)
{
	return counters_read(wire.counters);
}

/* --- media ------------------------------------------------------------------ */

static void talk(int a, int b)
{
	uint8_t rtp[173] = {0x80, 8};
	int i;

	for (i = 0; i < 50; i++) {
		size_t len = i % 2 ? 173 : 172;

		rtp[3] = (uint8_t)i;
		rtp[20] = (uint8_t)(i * 37);
		say(a, VIP, PORT_A, rtp, len);
		hears(b, VIP, PORT_B, rtp, len);
		say(b, VIP, PORT_B, rtp, len);
		hears(a, VIP, PORT_A, rtp, len);
	}
}

static void phones_hear_each_other_over_the_relay(void **state)
{
	int a = phone(PHONE_A, REMOTE_A), b = phone(PHONE_B, REMOTE_B);

	talk(a, b);
	assert_int_equal(counts().relay_sent, 100);
	assert_int_equal(wire.flows[SLOT_A].packets, 50);
	assert_int_equal(wire.flows[SLOT_B].sent, 50);
	assert_memory_equal(wire.flows[SLOT_A].seen_mac, wire.mac_phones, 6);
	close(a);
	close(b);
}

static void next_hop_is_asked_of_the_kernel(void **state)
{
	int a = phone(PHONE_A, REMOTE_A), b = phone(PHONE_B, REMOTE_B);
	const uint8_t *m = wire.mac_phones;

	shell("echo 1 > /proc/sys/net/ipv4/conf/n0/forwarding");
	shell("$IP neigh replace 10.9.0.201 lladdr %02x:%02x:%02x:%02x:%02x:%02x dev n0 nud permanent", m[0],
	      m[1], m[2], m[3], m[4], m[5]);
	/* what is known from elsewhere is wrong, and would not arrive */
	memcpy(wire.flows[SLOT_B].mac, mac_other, 6);
	memcpy(wire.flows[SLOT_B].seen_mac, mac_other, 6);
	say(a, VIP, PORT_A, "media", 5);
	hears(b, VIP, PORT_B, "media", 5);
	assert_memory_equal(wire.flows[SLOT_B].next_hop, m, 6);
	close(a);
	close(b);
}

static void media_of_the_server_is_seen_both_ways(void **state)
{
	int a = phone(PHONE_A, REMOTE_A), server = on_vip(PORT_A);
	struct inaddr16 at = addr_from_be32(htonl(PHONE_A));

	wire.flows[SLOT_A].flags = FLOW_SERVER;
	say(a, VIP, PORT_A, "up", 2);
	hears(server, PHONE_A, REMOTE_A, "up", 2);
	say(server, PHONE_A, REMOTE_A, "down", 4);
	hears(a, VIP, PORT_A, "down", 4);
	assert_memory_equal(&wire.flows[SLOT_A].seen_from, &at, sizeof(at));
	assert_memory_equal(&wire.flows[SLOT_A].seen_to, &at, sizeof(at));
	assert_int_equal(wire.flows[SLOT_A].seen_to_port, REMOTE_A);
	close(a);
	close(server);
}

static void server_is_kept_out_of_the_ports_of_a_rescued_call(void **state)
{
	int a = phone(PHONE_A, REMOTE_A), b = phone(PHONE_B, REMOTE_B), server = on_vip(PORT_A);
	struct sockaddr_in to = {
	        .sin_family = AF_INET, .sin_port = htons(REMOTE_A), .sin_addr.s_addr = htonl(PHONE_A)};

	/* what the fence drops, the socket may be told */
	if (sendto(server, "noise", 5, 0, (struct sockaddr *)&to, sizeof(to)) < 0)
		assert_int_equal(errno, ENOBUFS);
	say(b, VIP, PORT_B, "media", 5);
	hears(a, VIP, PORT_A, "media", 5);
	assert_int_equal(counts().egress_flow_held, 1);
	close(a);
	close(b);
	close(server);
}

/* --- signalling -------------------------------------------------------------- */

static void exchange(const char *rescued, const char *other, size_t rescued_len, size_t other_len)
{
	int a = phone(PHONE_A, SIP_PORT_1), server = on_vip(SIP_PORT_1), calls = on_vip(RESCUE_PORT);

	say(a, VIP, SIP_PORT_1, rescued, rescued_len);
	hears(calls, PHONE_A, SIP_PORT_1, rescued, rescued_len);
	say(calls, PHONE_A, SIP_PORT_1, rescued, rescued_len);
	hears(a, VIP, SIP_PORT_1, rescued, rescued_len);

	say(a, VIP, SIP_PORT_1, other, other_len);
	hears(server, PHONE_A, SIP_PORT_1, other, other_len);
	say(server, PHONE_A, SIP_PORT_1, other, other_len);
	hears(a, VIP, SIP_PORT_1, other, other_len);
	close(a);
	close(server);
	close(calls);
}

static void rescued_dialog_is_steered_and_answered_from_the_sip_port(void **state)
{
	exchange(RESCUED, OTHER, strlen(RESCUED), strlen(OTHER));
	assert_int_equal(counts().steer_calls, 1);
	assert_int_equal(counts().steer_server, 1);
	assert_int_equal(counts().egress_rescue, 1);
}

static void fragmented_datagrams_are_steered_whole(void **state)
{
	static char rescued[BIG], other[BIG];

	memset(rescued, 'r', BIG);
	memset(other, 'o', BIG);
	memcpy(rescued, RESCUED, strlen(RESCUED));
	memcpy(other, OTHER, strlen(OTHER));
	exchange(rescued, other, BIG, BIG);
	assert_int_equal(counts().steer_calls, 1);
	assert_int_equal(counts().steer_server, 1);
	assert_int_equal(counts().steer_fragment, 4); /* three pieces each */
	assert_int_equal(counts().egress_rescue, 1);
}

static void rescue_port_is_closed_to_the_outside(void **state)
{
	int a = phone(PHONE_A, SIP_PORT_1), server = on_vip(SIP_PORT_1), calls = on_vip(RESCUE_PORT);
	char c;

	say(a, VIP, RESCUE_PORT, RESCUED, strlen(RESCUED));
	say(a, VIP, SIP_PORT_1, OTHER, strlen(OTHER));
	hears(server, PHONE_A, SIP_PORT_1, OTHER, strlen(OTHER));
	assert_int_equal(recv(calls, &c, 1, MSG_DONTWAIT), -1);
	assert_int_equal(counts().steer_direct, 1);
	close(a);
	close(server);
	close(calls);
}

static void server_does_not_speak_in_a_rescued_dialog(void **state)
{
	int a = phone(PHONE_A, SIP_PORT_1), server = on_vip(SIP_PORT_1);
	struct sockaddr_in to = {
	        .sin_family = AF_INET, .sin_port = htons(SIP_PORT_1), .sin_addr.s_addr = htonl(PHONE_A)};

	if (sendto(server, RESCUED, strlen(RESCUED), 0, (struct sockaddr *)&to, sizeof(to)) < 0)
		assert_int_equal(errno, ENOBUFS);
	say(server, PHONE_A, SIP_PORT_1, OTHER, strlen(OTHER));
	hears(a, VIP, SIP_PORT_1, OTHER, strlen(OTHER));
	assert_int_equal(counts().egress_steered, 1);
	close(a);
	close(server);
}

#define behaviour(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
	        behaviour(phones_hear_each_other_over_the_relay),
	        behaviour(next_hop_is_asked_of_the_kernel),
	        behaviour(media_of_the_server_is_seen_both_ways),
	        behaviour(server_is_kept_out_of_the_ports_of_a_rescued_call),
	        behaviour(rescued_dialog_is_steered_and_answered_from_the_sip_port),
	        behaviour(fragmented_datagrams_are_steered_whole),
	        behaviour(rescue_port_is_closed_to_the_outside),
	        behaviour(server_does_not_speak_in_a_rescued_dialog),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
