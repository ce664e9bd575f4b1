/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The capture: real datagrams over a loopback with an MTU of 1500, so that long
 * ones are fragmented; and made packets for what a stack would not send.
 */
#include "space.h"

#include "capture.skel.h"
#include "sipflip/capture.h"

#define ANY_NAMESPACE 0 /* as on kernels without the helper */
#define OWN_NAMESPACE 1

struct taken {
	int n;
	size_t size;
	struct capture_record head;
	uint8_t data[65536];
};

struct tap {
	struct capture_bpf *skel;
	struct ring_buffer *ring;
	struct taken last;
	int cgroup;
	struct world w; /* for its counters */
};

static int on_record(void *ctx, void *data, size_t size)
{
	struct taken *t = ctx;

	t->n++;
	t->size = size;
	memcpy(&t->head, data, sizeof(t->head));
	assert_in_range(t->head.len, 1, size - sizeof(t->head));
	memcpy(t->data, (uint8_t *)data + sizeof(t->head), t->head.len);
	return 0;
}

/* From kernel 6.13 on; before, address and port decide alone. */
static bool can_filter(void)
{
	return libbpf_probe_bpf_helper(BPF_PROG_TYPE_CGROUP_SKB, BPF_FUNC_get_netns_cookie, NULL) == 1;
}

static struct tap *tap_open(uint8_t netns_filter)
{
	struct tap *tap = calloc(1, sizeof(*tap));
	struct endpoint_key key = space_endpoint(LO_VIP, SIP_PORT);
	struct endpoint endpoint = {.services = 1ULL << SERVICE};

	assert_non_null(tap);
	tap->skel = capture_bpf__open();
	assert_non_null(tap->skel);
	tap->skel->rodata->netns_filter = netns_filter && can_filter();
	tap->skel->rodata->netns_cookie = space_cookie();
	assert_return_code(capture_bpf__load(tap->skel), errno);
	tap->cgroup = space_cgroup();
	tap->skel->links.capture_in = bpf_program__attach_cgroup(tap->skel->progs.capture_in, tap->cgroup);
	tap->skel->links.capture_out = bpf_program__attach_cgroup(tap->skel->progs.capture_out, tap->cgroup);
	assert_non_null(tap->skel->links.capture_in);
	assert_non_null(tap->skel->links.capture_out);
	map_put(tap->skel->maps.endpoints, &key, &endpoint);
	tap->ring = ring_buffer__new(bpf_map__fd(tap->skel->maps.capture), on_record, &tap->last, NULL);
	assert_non_null(tap->ring);
	tap->w.counters = bpf_map__fd(tap->skel->maps.counters);
	tap->w.before = counters_read(tap->w.counters);
	return tap;
}

static int setup(void **state)
{
	space_enter(1500);
	*state = tap_open(OWN_NAMESPACE);
	return 0;
}

static int teardown(void **state)
{
	struct tap *tap = *state;

	ring_buffer__free(tap->ring);
	capture_bpf__destroy(tap->skel);
	close(tap->cgroup);
	free(tap);
	return 0;
}

/* One datagram over the loopback; it has been received when this returns. */
static void send_datagram(struct tap *tap, int from, int to, uint32_t to_addr, uint16_t to_port,
                          const void *data, size_t len)
{
	struct sockaddr_in sin = {
	        .sin_family = AF_INET, .sin_port = htons(to_port), .sin_addr.s_addr = htonl(to_addr)};
	static uint8_t got[65536];
	struct pollfd p = {.fd = to, .events = POLLIN};

	tap->last.n = 0;
	tap->w.before = counters_read(tap->w.counters);
	assert_int_equal(sendto(from, data, len, 0, (struct sockaddr *)&sin, sizeof(sin)), len);
	assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
	assert_int_equal(recv(to, got, sizeof(got), 0), len);
	assert_memory_equal(got, data, len);
	assert_true(ring_buffer__consume(tap->ring) >= 0);
}

static void assert_taken(const struct tap *tap, uint64_t since_ns, uint8_t direction, const void *data,
                         uint32_t len, uint32_t class)
{
	struct inaddr16 vip = addr_from_be32(htonl(LO_VIP)), phone = addr_from_be32(htonl(LO_PHONE));
	struct capture_record want = {
	        .at_ns = tap->last.head.at_ns,
	        .remote = phone,
	        .local = vip,
	        .remote_port = 5080,
	        .local_port = SIP_PORT,
	        .service = SERVICE,
	        .direction = direction,
	        .proto = IPPROTO_UDP,
	        .len = len,
	};

	assert_int_equal(tap->last.n, 1);
	assert_in_range(tap->last.head.at_ns, since_ns, now_boot_ns());
	assert_memory_equal(&tap->last.head, &want, sizeof(want));
	assert_memory_equal(tap->last.data, data, len);
	assert_int_equal(tap->last.size, sizeof(want) + class);
	assert_counted(&tap->w, REASON_captured);
}

static void whole_datagrams_are_copied_both_ways_in_their_class(void **state)
{
	struct tap *tap = *state;
	static const struct {
		uint32_t len, class;
	} sizes[] = {{1, 456},     {4, 456},      {455, 456},     {456, 456},    {457, 712},   {712, 712},
	             {713, 968},   {968, 968},    {969, 1480},    {1480, 1480},  {1481, 8136}, {3000, 8136},
	             {8136, 8136}, {8137, 65536}, {40000, 65536}, {65507, 65536}};
	static uint8_t data[65536];
	int server = space_socket(SOCK_DGRAM, LO_VIP, SIP_PORT),
	    phone = space_socket(SOCK_DGRAM, LO_PHONE, 5080);
	unsigned int i, seed = 1;

	for (i = 0; i < sizeof(data); i++)
		data[i] = rand_r(&seed) >> 4;
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint64_t since = now_boot_ns();

		send_datagram(tap, phone, server, LO_VIP, SIP_PORT, data, sizes[i].len);
		assert_taken(tap, since, CAPTURE_IN, data, sizes[i].len, sizes[i].class);
		since = now_boot_ns();
		send_datagram(tap, server, phone, LO_PHONE, 5080, data, sizes[i].len);
		assert_taken(tap, since, CAPTURE_OUT, data, sizes[i].len, sizes[i].class);
	}
	close(server);
	close(phone);
}

static void nothing_is_copied(struct tap *tap, uint32_t from_addr, uint16_t from_port, uint32_t to_addr,
                              uint16_t to_port, size_t len)
{
	int from = space_socket(SOCK_DGRAM, from_addr, from_port),
	    to = space_socket(SOCK_DGRAM, to_addr, to_port);

	send_datagram(tap, from, to, to_addr, to_port, "OPTIONS sip:x", len);
	assert_int_equal(tap->last.n, 0);
	assert_counted(&tap->w);
	close(from);
	close(to);
}

static void datagrams_between_others_are_not_copied(void **state)
{
	nothing_is_copied(*state, LO_PHONE, 5080, LO_VIP + 1, SIP_PORT, 13);
}
static void datagrams_to_another_port_are_not_copied(void **state)
{
	nothing_is_copied(*state, LO_PHONE, 5080, LO_VIP, SIP_PORT + 1, 13);
}
static void datagrams_from_the_vip_to_itself_are_not_copied(void **state)
{
	nothing_is_copied(*state, LO_VIP, 5081, LO_VIP, SIP_PORT, 13);
}
static uint64_t answered_ns(const struct tap *tap)
{
	struct service_state now;
	uint32_t service = SERVICE;

	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(tap->skel->maps.service_state), &service, &now), 0);
	return now.ok_ns;
}
static void servers_answer_to_a_probe_is_noted_without_the_agent(void **state)
{
	struct tap *tap = *state;
	struct service_state agent = {.agent_pid = 1}, gone = {0};
	uint32_t service = SERVICE;
	uint64_t before = now_boot_ns();

	nothing_is_copied(tap, LO_VIP, SIP_PORT, LO_VIP, 5081, 13);
	assert_int_equal(answered_ns(tap), 0); /* nobody asks any more */
	map_put(tap->skel->maps.service_state, &service, &agent);
	nothing_is_copied(tap, LO_VIP, 5081, LO_VIP, SIP_PORT, 13);
	assert_int_equal(answered_ns(tap), 0);
	nothing_is_copied(tap, LO_VIP, SIP_PORT, LO_VIP, 5081, 13);
	assert_in_range(answered_ns(tap), before, now_boot_ns());
	map_put(tap->skel->maps.service_state, &service, &gone);
}
static void empty_datagrams_are_not_copied(void **state)
{
	nothing_is_copied(*state, LO_PHONE, 5080, LO_VIP, SIP_PORT, 0);
}

static void datagrams_of_another_namespace_are_not_copied(void **state)
{
	if (!can_filter())
		skip(); /* such a kernel has address and port only: docs/kernels.md */
	space_enter(1500);
	nothing_is_copied(*state, LO_PHONE, 5080, LO_VIP, SIP_PORT, 13);
}

static void address_and_port_alone_decide_without_the_namespace_filter(void **state)
{
	struct tap *tap = *state;
	int server, phone;
	uint64_t since = now_boot_ns();

	teardown(state);
	*state = tap = tap_open(ANY_NAMESPACE);
	space_enter(1500);
	server = space_socket(SOCK_DGRAM, LO_VIP, SIP_PORT);
	phone = space_socket(SOCK_DGRAM, LO_PHONE, 5080);
	send_datagram(tap, phone, server, LO_VIP, SIP_PORT, "BYE", 3);
	assert_taken(tap, since, CAPTURE_IN, "BYE", 3, 456);
	close(server);
	close(phone);
}

static void full_ring_is_counted_and_the_datagram_still_arrives(void **state)
{
	struct tap *tap = *state;
	static uint8_t data[9000];
	int server = space_socket(SOCK_DGRAM, LO_VIP, SIP_PORT),
	    phone = space_socket(SOCK_DGRAM, LO_PHONE, 5080);
	struct sockaddr_in sin = {
	        .sin_family = AF_INET, .sin_port = htons(SIP_PORT), .sin_addr.s_addr = htonl(LO_VIP)};
	struct counters now = {0};
	int i;

	for (i = 0; i < 600 && !now.capture_ring_full; i++) {
		struct pollfd p = {.fd = server, .events = POLLIN};

		assert_int_equal(sendto(phone, data, sizeof(data), 0, (struct sockaddr *)&sin, sizeof(sin)),
		                 sizeof(data));
		assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
		assert_int_equal(recv(server, data, sizeof(data), 0), sizeof(data));
		now = counters_read(tap->w.counters);
	}
	assert_in_range(now.captured, 500, 512); /* 32 MiB of records of the largest class */
	assert_int_equal(now.capture_ring_full, 1);
	close(server);
	close(phone);
}

/* --- made packets ----------------------------------------------------------------- */
static void run_packet(struct tap *tap, const struct frame *in)
{
	tap->last.n = 0;
	tap->w.prog = bpf_program__fd(tap->skel->progs.capture_in);
	run_frame(&tap->w, in);
	assert_int_equal(tap->w.verdict, 1);
	assert_true(ring_buffer__consume(tap->ring) >= 0);
}

static struct frame made(void)
{
	return frame_udp(mac_self, mac_far, LO_PHONE, 5080, LO_VIP, SIP_PORT, "INVITE", 6);
}

static void ip_options_are_stepped_over(void **state)
{
	struct tap *tap = *state;
	uint64_t since = now_boot_ns();
	struct frame in = made(), longer = in;

	memcpy(longer.b + 38, in.b + 34, in.len - 34);
	memset(longer.b + 34, 1, 4); /* no operation, four times */
	longer.b[14] = 0x46;
	put16(longer.b + 16, 24 + 8 + 6);
	longer.len += 4;
	run_packet(tap, &longer);
	assert_taken(tap, since, CAPTURE_IN, "INVITE", 6, 456);
}

static void datagram_shorter_than_it_says_is_counted_and_let_through(void **state)
{
	struct tap *tap = *state;
	struct frame in = made();

	put16(in.b + 38, 8 + 100);
	run_packet(tap, &in);
	assert_int_equal(tap->last.n, 0);
	assert_counted(&tap->w, REASON_capture_load_failed);
}

static void nonsense_is_let_through_uncounted(void **state)
{
	struct tap *tap = *state;
	struct frame in = made();

	put16(in.b + 38, 7); /* shorter than UDP's own header */
	run_packet(tap, &in);
	assert_counted(&tap->w);
	in = made();
	in.len = 14 + 20 + 7;
	run_packet(tap, &in);
	assert_counted(&tap->w);
	in = made();
	put16(in.b + 20, 0x2000);
	run_packet(tap, &in);
	assert_counted(&tap->w);
	in = made();
	in.b[14 + 9] = 6;
	run_packet(tap, &in);
	assert_counted(&tap->w);
	in = made();
	put16(in.b + 12, 0x0806);
	run_packet(tap, &in);
	assert_counted(&tap->w);
	assert_int_equal(tap->last.n, 0);
}

static void every_service_number_is_told(void **state)
{
	struct tap *tap = *state;
	struct endpoint_key key = space_endpoint(LO_VIP, SIP_PORT);
	struct frame in = made();
	int i;

	for (i = 0; i < MAX_SERVICES; i++) {
		struct endpoint endpoint = {.services = 1ULL << i};

		map_put(tap->skel->maps.endpoints, &key, &endpoint);
		run_packet(tap, &in);
		assert_int_equal(tap->last.n, 1);
		assert_int_equal(tap->last.head.service, i);
	}
}

#define behaviour(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        behaviour(whole_datagrams_are_copied_both_ways_in_their_class),
	        behaviour(datagrams_between_others_are_not_copied),
	        behaviour(datagrams_to_another_port_are_not_copied),
	        behaviour(datagrams_from_the_vip_to_itself_are_not_copied),
	        behaviour(servers_answer_to_a_probe_is_noted_without_the_agent),
	        behaviour(empty_datagrams_are_not_copied),
	        behaviour(datagrams_of_another_namespace_are_not_copied),
	        behaviour(address_and_port_alone_decide_without_the_namespace_filter),
	        behaviour(full_ring_is_counted_and_the_datagram_still_arrives),
	        behaviour(ip_options_are_stepped_over),
	        behaviour(datagram_shorter_than_it_says_is_counted_and_let_through),
	        behaviour(nonsense_is_let_through_uncounted),
	        behaviour(every_service_number_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
