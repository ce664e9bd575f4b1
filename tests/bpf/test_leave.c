/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What calls add to the fence on the owner: sipflip-calls' datagrams leave from the
 * SIP port, and the local server stays out of rescued calls. Whole frames, verdicts,
 * counters, and what is noted of where media goes.
 */
#include "callid.h"
#include "egress.skel.h"
#include "sipflip/slots.h"

#define TC_OK   0
#define TC_SHOT 2
#define NONE    -1

#define CALL_ID    "abc@host"
#define RESCUED    BYE("Call-ID: " CALL_ID "\r\n")
#define OTHER      BYE("Call-ID: other@host\r\n")
#define SLOT       10
#define MEDIA_PORT 30000
#define MAX_NEWS   8

static struct flow *flows;
static struct ring_buffer *ring;
static struct media_event news[MAX_NEWS];
static int n_news;

static int on_news(void *ctx, void *data, size_t size)
{
	assert_in_range(n_news, 0, MAX_NEWS - 1);
	memcpy(&news[n_news++], data, sizeof(struct media_event));
	return 0;
}

static void egress_destroy(void *skel)
{
	egress_bpf__destroy(skel);
}

static int setup(void **state)
{
	struct service_conf conf = {.sip_port = {SIP_PORT_1, SIP_PORT_2}, .rescue_port = RESCUE_PORT};
	uint32_t zero = 0, service = SERVICE, port = MEDIA_PORT, slot = SLOT;
	struct inaddr16 key = addr_from_be32(htonl(VIP));
	struct vip vip = {.service = SERVICE, .ifindex = IFINDEX};
	struct egress_bpf *skel = egress_bpf__open();
	struct world *w = calloc(1, sizeof(*w));

	if (!skel || !w || sodium_init() < 0)
		return -1;
	vip_slots_add(skel->rodata->vip_slots, &key, vip);
	if (egress_bpf__load(skel))
		return -1;
	w->skel = skel;
	w->destroy = egress_destroy;
	w->prog = bpf_program__fd(skel->progs.egress);
	world_open(w, skel->obj);
	map_put(skel->maps.vips, &key, &vip);
	map_put(skel->maps.service_conf, &service, &conf);
	map_put(skel->maps.steer_key, &zero, &steer_secret);
	steer_put(skel->maps.steer, CALL_ID, strlen(CALL_ID), SERVICE);
	map_put(skel->maps.flow_ports, &port, &slot);
	flows = map_memory(skel->maps.flows);
	flows[SLOT] = (struct flow){.vip = addr_from_be32(htonl(VIP)), .vip_port = MEDIA_PORT};
	n_news = 0;
	ring = ring_buffer__new(bpf_map__fd(skel->maps.media), on_news, NULL, NULL);
	w->ownership[SERVICE].lease_until_ns = LEASE_FOREVER;
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	ring_buffer__free(ring);
	munmap(flows, sizeof(struct flow) * MAX_FLOWS);
	world_close(*state);
	return 0;
}

static struct frame leaving(uint16_t port, const char *text)
{
	return frame_summed(
	        frame_udp(mac_far, mac_self, VIP, port, ADDR_FAR, 5060, text, (uint16_t)strlen(text)));
}

static void leaves(struct world *w, struct frame in, int want, struct frame out, enum reason reason)
{
	n_news = 0;
	run_frame(w, &in);
	assert_int_equal(w->verdict, want);
	assert_frame(w, &out);
	assert_counted(w, reason);
	assert_true(ring_buffer__consume(ring) >= 0);
}

static void datagram_of_the_call_keeper_leaves_from_the_sip_port(void **state)
{
	struct frame in = leaving(RESCUE_PORT, RESCUED), out = leaving(SIP_PORT_1, RESCUED);

	leaves(*state, in, TC_OK, out, REASON_egress_rescue);
}

static void datagram_of_odd_length_leaves_from_the_sip_port(void **state)
{
	struct frame in = leaving(RESCUE_PORT, RESCUED "x"), out = leaving(SIP_PORT_1, RESCUED "x");

	leaves(*state, in, TC_OK, out, REASON_egress_rescue);
}

static void datagram_without_a_checksum_stays_without(void **state)
{
	struct frame in = leaving(RESCUE_PORT, RESCUED), out;

	put16(in.b + 40, 0);
	out = in;
	put16(out.b + 34, SIP_PORT_1);
	leaves(*state, in, TC_OK, out, REASON_egress_rescue);
}

static void tagged_datagram_of_the_call_keeper_leaves_from_the_sip_port(void **state)
{
	struct frame in = with_tags(leaving(RESCUE_PORT, RESCUED), 2);
	struct frame out = with_tags(leaving(SIP_PORT_1, RESCUED), 2);

	leaves(*state, in, TC_OK, out, REASON_egress_rescue);
}

static void fenced_call_keeper_says_nothing(void **state)
{
	struct world *w = *state;
	struct frame in = leaving(RESCUE_PORT, RESCUED);

	w->ownership[SERVICE].lease_until_ns = LEASE_FENCED;
	leaves(w, in, TC_SHOT, in, REASON_egress_ip_fenced);
}

static void rescue_port_of_the_own_address_is_left_alone(void **state)
{
	struct world *w = *state;
	struct frame in = leaving(RESCUE_PORT, RESCUED);

	put32(in.b + 26, ADDR_SELF);
	run_frame(w, &in);
	assert_int_equal(w->verdict, TC_OK);
	assert_frame(w, &in);
	assert_counted_list(w, (const int[]){NONE});
}

static void server_does_not_speak_in_a_rescued_dialog(void **state)
{
	struct frame in = leaving(SIP_PORT_1, RESCUED);

	leaves(*state, in, TC_SHOT, in, REASON_egress_steered);
	in = leaving(SIP_PORT_2, RESCUED);
	leaves(*state, in, TC_SHOT, in, REASON_egress_steered);
}

static void server_speaks_in_its_own_dialogs(void **state)
{
	struct frame in = leaving(SIP_PORT_1, OTHER);

	leaves(*state, in, TC_OK, in, REASON_egress_vip);
	in = leaving(SIP_PORT_1, "SIP/2.0 200 OK\r\n\r\n");
	leaves(*state, in, TC_OK, in, REASON_egress_vip);
	in = leaving(SIP_PORT_1, "");
	leaves(*state, in, TC_OK, in, REASON_egress_vip);
}

static void another_port_is_not_read(void **state)
{
	struct frame in = leaving(5062, RESCUED);

	leaves(*state, in, TC_OK, in, REASON_egress_vip);
}

static void nothing_is_read_without_a_rescue_port(void **state)
{
	struct world *w = *state;
	struct egress_bpf *skel = w->skel;
	struct service_conf conf = {.sip_port = {SIP_PORT_1}};
	struct frame in = leaving(SIP_PORT_1, RESCUED);
	uint32_t service = SERVICE;

	map_put(skel->maps.service_conf, &service, &conf);
	leaves(w, in, TC_OK, in, REASON_egress_vip);
}

static void later_fragment_leaves_as_it_is(void **state)
{
	struct frame in = leaving(RESCUE_PORT, RESCUED);

	put16(in.b + 20, 0x00b9);
	leaves(*state, in, TC_OK, in, REASON_egress_vip);
}

static void first_fragment_leaves_from_the_sip_port(void **state)
{
	struct frame in = leaving(RESCUE_PORT, RESCUED), out = leaving(SIP_PORT_1, RESCUED);

	put16(in.b + 20, 0x2000);
	put16(out.b + 20, 0x2000);
	leaves(*state, in, TC_OK, out, REASON_egress_rescue);
}

static void ip_options_do_not_hide_the_ports(void **state)
{
	struct frame f = leaving(SIP_PORT_1, RESCUED), in = f;

	memset(in.b + 34, 1, 40);
	memcpy(in.b + 74, f.b + 34, f.len - 34);
	in.len += 40;
	in.b[14] = 0x4f;
	put16(in.b + 16, (uint16_t)(in.len - 14));
	in = frame_summed(in);
	leaves(*state, in, TC_SHOT, in, REASON_egress_steered);
}

static void server_gets_nothing_out_of_a_port_that_a_rescued_call_holds(void **state)
{
	struct frame in = leaving(MEDIA_PORT, "media");

	leaves(*state, in, TC_SHOT, in, REASON_egress_flow_held);
	assert_int_equal(flows[SLOT].sent, 0);
}

static void same_port_of_another_vip_is_left_alone(void **state)
{
	struct frame in = leaving(MEDIA_PORT, "media");

	flows[SLOT].vip = addr_from_be32(htonl(VIP2));
	leaves(*state, in, TC_OK, in, REASON_egress_vip);
}

static void where_the_server_sends_is_noted(void **state)
{
	struct world *w = *state;
	struct frame in = leaving(MEDIA_PORT, "media");
	struct inaddr16 far = addr_from_be32(htonl(ADDR_FAR));

	flows[SLOT].flags = FLOW_SERVER;
	leaves(w, in, TC_OK, in, REASON_egress_vip);
	assert_int_equal(n_news, 1);
	assert_int_equal(news[0].kind, MEDIA_SEEN_TO);
	assert_int_equal(news[0].slot, SLOT);
	assert_memory_equal(&flows[SLOT].seen_to, &far, sizeof(far));
	assert_int_equal(flows[SLOT].seen_to_port, 5060);

	leaves(w, in, TC_OK, in, REASON_egress_vip);
	assert_int_equal(n_news, 0);
	assert_int_equal(flows[SLOT].sent, 2);

	put16(in.b + 36, 4000);
	in = frame_summed(in);
	leaves(w, in, TC_OK, in, REASON_egress_vip);
	assert_int_equal(n_news, 1);
	assert_int_equal(flows[SLOT].seen_to_port, 4000);
}

static void flow_being_filled_is_left_alone(void **state)
{
	struct frame in = leaving(MEDIA_PORT, "media");

	flows[SLOT].generation = 1;
	leaves(*state, in, TC_OK, in, REASON_egress_vip);
	assert_int_equal(flows[SLOT].sent, 0);
}

static void random_texts_are_read_as_the_plain_way_does(void **state)
{
	struct world *w = *state;
	struct egress_bpf *skel = w->skel;
	uint32_t seed = 5118;
	int i;

	for (i = 0; i < 2000; i++) {
		uint8_t text[1400];
		size_t len = strlen(RESCUED), at, n = 0;
		bool dropped = false;
		struct frame in;
		uint64_t hash = 0;

		memcpy(text, RESCUED, len);
		len = mutate(text, len, sizeof(text), &seed);
		in = frame_summed(
		        frame_udp(mac_far, mac_self, VIP, SIP_PORT_1, ADDR_FAR, 5060, text, (uint16_t)len));
		if (plain_call_id(text, len, &at, &n)) {
			hash = call_id_hash(text + at, n, SERVICE);
			steer_put(skel->maps.steer, text + at, n, SERVICE);
			dropped = n <= STEER_CALL_ID_LEN;
		}
		leaves(w, in, dropped ? TC_SHOT : TC_OK, in,
		       dropped ? REASON_egress_steered : REASON_egress_vip);
		if (n)
			bpf_map_delete_elem(bpf_map__fd(skel->maps.steer), &hash);
	}
}

#define behaviour(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
	        behaviour(datagram_of_the_call_keeper_leaves_from_the_sip_port),
	        behaviour(datagram_of_odd_length_leaves_from_the_sip_port),
	        behaviour(datagram_without_a_checksum_stays_without),
	        behaviour(tagged_datagram_of_the_call_keeper_leaves_from_the_sip_port),
	        behaviour(fenced_call_keeper_says_nothing),
	        behaviour(rescue_port_of_the_own_address_is_left_alone),
	        behaviour(server_does_not_speak_in_a_rescued_dialog),
	        behaviour(server_speaks_in_its_own_dialogs),
	        behaviour(another_port_is_not_read),
	        behaviour(nothing_is_read_without_a_rescue_port),
	        behaviour(later_fragment_leaves_as_it_is),
	        behaviour(first_fragment_leaves_from_the_sip_port),
	        behaviour(ip_options_do_not_hide_the_ports),
	        behaviour(server_gets_nothing_out_of_a_port_that_a_rescued_call_holds),
	        behaviour(same_port_of_another_vip_is_left_alone),
	        behaviour(where_the_server_sends_is_noted),
	        behaviour(flow_being_filled_is_left_alone),
	        behaviour(random_texts_are_read_as_the_plain_way_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
