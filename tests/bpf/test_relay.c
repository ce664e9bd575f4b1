/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Media on the owner: a table of {what the maps hold, frame in, verdict, frame out,
 * counters}, then what takes several packets. A frame that is sent on is compared
 * whole with one that is built from nothing, checksums and all.
 */
#include "node.h"

#define NONE      -1
#define PHONE_A   ADDR_FAR
#define PHONE_B   0x0a0900c9U
#define STRANGER  0x0a0900caU
#define SLOT_A    10
#define SLOT_B    11
#define SLOT_TWIN 12
#define PORT_A    30000 /* on the VIP */
#define PORT_B    30002
#define REMOTE_A  4000 /* on the phones */
#define REMOTE_B  5000
#define MAX_NEWS  16
#define SECOND_NS 1000000000ULL

static const uint8_t mac_b[6] = {2, 0, 0, 0, 0, 0xc9};

/* RTP: version 2, type 101 with the marker bit, and a little payload of odd length. */
static const uint8_t rtp[] = {0x80, 0xe5, 0, 1, 0, 0, 0, 160, 1, 2, 3, 4, 'm', 'e', 'd', 'i', 'a'};

struct news {
	int n;
	struct media_event event[MAX_NEWS];
};

/* What a test has besides the node. */
static struct flow *flows;
static __u64 *ports; /* an array's values lie 8 bytes apart */
static struct ring_buffer *ring;
static struct news news;

static int on_news(void *ctx, void *data, size_t size)
{
	assert_in_range(news.n, 0, MAX_NEWS - 1);
	memcpy(&news.event[news.n++], data, sizeof(struct media_event));
	return 0;
}

static void put_flow(uint32_t slot, struct flow flow)
{
	flow.next = ports[flow.vip_port];
	flows[slot] = flow;
	ports[flow.vip_port] = slot;
}

static struct flow leg_a(void)
{
	struct flow flow = {.vip = mapped(VIP),
	                    .remote = mapped(PHONE_A),
	                    .vip_port = PORT_A,
	                    .remote_port = REMOTE_A,
	                    .service = SERVICE,
	                    .peer = SLOT_B};

	memcpy(flow.mac, mac_far, 6);
	return flow;
}

static struct flow leg_b(void)
{
	struct flow flow = {.vip = mapped(VIP),
	                    .remote = mapped(PHONE_B),
	                    .vip_port = PORT_B,
	                    .remote_port = REMOTE_B,
	                    .service = SERVICE,
	                    .peer = SLOT_A};

	memcpy(flow.mac, mac_b, 6);
	return flow;
}

static int setup(void **state)
{
	const void *test_case = *state;
	struct world *w;
	struct ingress_bpf *skel;

	if (node_setup(state))
		return -1;
	w = *state;
	w->test_case = test_case;
	skel = w->skel;
	flows = map_memory(skel->maps.flows);
	ports = map_memory(skel->maps.flow_ports);
	news.n = 0;
	ring = ring_buffer__new(bpf_map__fd(skel->maps.media), on_news, NULL, NULL);
	put_flow(SLOT_A, leg_a());
	put_flow(SLOT_B, leg_b());
	node_own(w);
	w->state[SERVICE].flipped_ns = now_boot_ns();
	return 0;
}

static int teardown(void **state)
{
	ring_buffer__free(ring);
	munmap(flows, sizeof(struct flow) * MAX_FLOWS);
	munmap(ports, sizeof(*ports) * 65536);
	return node_teardown(state);
}

static void run(struct world *w, struct frame in)
{
	news.n = 0;
	run_frame(w, &in);
	assert_true(ring_buffer__consume(ring) >= 0);
}

static struct frame from_len(uint32_t addr, uint16_t port, uint16_t vip_port, uint16_t len)
{
	uint8_t payload[1400];

	for (int i = 0; i < len; i++)
		payload[i] = i < (int)sizeof(rtp) ? rtp[i] : (uint8_t)(i * 7);
	return frame_summed(frame_udp(mac_self, mac_far, addr, port, VIP, vip_port, payload, len));
}
static struct frame from(uint32_t addr, uint16_t port)
{
	return from_len(addr, port, PORT_A, sizeof(rtp));
}
static struct frame from_a(void)
{
	return from(PHONE_A, REMOTE_A);
}
static struct frame from_b(void)
{
	struct frame f = from_len(PHONE_B, REMOTE_B, PORT_B, sizeof(rtp));

	memcpy(f.b + 6, mac_b, 6);
	return f;
}

/* The frame as it must leave, put together anew. */
static struct frame sent_to(struct frame f, const uint8_t *mac, uint16_t vip_port, uint32_t addr,
                            uint16_t port)
{
	uint8_t *udp = f.b + 14 + (f.b[14] & 15) * 4;
	bool summed = udp[6] || udp[7];

	memcpy(f.b, mac, 6);
	memcpy(f.b + 6, mac_self, 6);
	f.b[22]--;
	put32(f.b + 26, VIP);
	put32(f.b + 30, addr);
	put16(udp, vip_port);
	put16(udp + 2, port);
	f = frame_summed(f);
	if (!summed)
		put16(udp + 6, 0);
	return f;
}
static struct frame sent_to_b(struct frame f)
{
	return sent_to(f, mac_b, PORT_B, PHONE_B, REMOTE_B);
}
static struct frame sent_to_a(struct frame f)
{
	return sent_to(f, mac_far, PORT_A, PHONE_A, REMOTE_A);
}

static struct frame with_type(struct frame f, uint8_t second_byte)
{
	f.b[43] = second_byte;
	return frame_summed(f);
}

/* --- frames in ---------------------------------------------------------- */
static struct frame from_a_unsummed(void)
{
	struct frame f = from_a();

	put16(f.b + 40, 0);
	return f;
}
static struct frame from_a_even(void)
{
	return from_len(PHONE_A, REMOTE_A, PORT_A, 172);
}
static struct frame from_a_long(void)
{
	return from_len(PHONE_A, REMOTE_A, PORT_A, 1399);
}
static struct frame from_a_empty(void)
{
	return from_len(PHONE_A, REMOTE_A, PORT_A, 0);
}
static struct frame from_a_padded(void)
{
	struct frame f = from_len(PHONE_A, REMOTE_A, PORT_A, 5);

	f.len = 60;
	return f;
}
static struct frame from_a_port(void)
{
	return from(PHONE_A, REMOTE_A + 2);
}
static struct frame from_stranger(void)
{
	return from(STRANGER, REMOTE_A);
}
static struct frame from_a_last_hop(void)
{
	struct frame f = from_a();

	f.b[22] = 1;
	return frame_summed(f);
}
static struct frame from_a_first_fragment(void)
{
	struct frame f = from_a();

	put16(f.b + 20, 0x2000);
	return frame_summed(f);
}
static struct frame from_a_later_fragment(void)
{
	struct frame f = from_a();

	put16(f.b + 20, 0x2010);
	return f;
}
static struct frame from_a_cut(void)
{
	struct frame f = from_a();

	f.len -= 3;
	return f;
}
static struct frame from_a_udp_too_long(void)
{
	struct frame f = from_a();

	put16(f.b + 38, 8 + sizeof(rtp) + 1);
	return f;
}
static struct frame from_a_udp_too_short(void)
{
	struct frame f = from_a();

	put16(f.b + 38, 7);
	return f;
}
static struct frame from_a_cut_in_udp(void)
{
	struct frame f = from_a();

	f.len = 14 + 20 + 7;
	return f;
}
static struct frame from_a_overheard(void)
{
	struct frame f = from_a();

	memcpy(f.b, mac_other, 6);
	return f;
}
static struct frame from_a_with_options(void)
{
	struct frame f = from_a(), g = f;

	memset(g.b + 34, 1, 8); /* eight no-operations */
	memcpy(g.b + 42, f.b + 34, f.len - 34);
	g.len += 8;
	g.b[14] = 0x47;
	put16(g.b + 16, 28 + 8 + sizeof(rtp));
	return frame_summed(g);
}
static struct frame from_a_second_vip(void)
{
	struct frame f = from_a();

	put32(f.b + 30, VIP2);
	return frame_summed(f);
}
static struct frame to_another_port(void)
{
	return from_len(PHONE_A, REMOTE_A, PORT_A + 7, sizeof(rtp));
}
static struct frame from_a_rtp_1(void)
{
	struct frame f = from_a();

	f.b[42] = 0x40;
	return frame_summed(f);
}
static struct frame from_a_short_rtp(void)
{
	return from_len(PHONE_A, REMOTE_A, PORT_A, 11);
}
static struct frame from_a_type_0(void)
{
	return with_type(from_a(), 0);
}
static struct frame from_a_rtcp(void)
{
	return with_type(from_a(), 200); /* 72, were it RTP */
}
/* The sum that is written as all ones both before and after. */
static struct frame from_a_all_ones(void)
{
	struct frame f = from_a_even(), g = sent_to_b(f);

	/* Make the sum of what leaves zero: give the payload what is missing. */
	put16(f.b + 60, (uint16_t)((f.b[60] << 8 | f.b[61]) + udp_sum(&g)));
	f = frame_summed(f);
	return f;
}

/* --- what the maps hold -------------------------------------------------- */
static void fenced(struct world *w)
{
	w->ownership[SERVICE].lease_until_ns = LEASE_FENCED;
}
static void odd(struct world *w)
{
	flows[SLOT_A].generation = 7;
}
static void peer_odd(struct world *w)
{
	flows[SLOT_B].generation = 7;
}
static void held(struct world *w)
{
	flows[SLOT_A].flags = FLOW_HELD;
}
static void alone(struct world *w)
{
	flows[SLOT_A].peer = 0;
}
static void peer_nowhere(struct world *w)
{
	flows[SLOT_B].remote_port = 0;
}
static void no_mac(struct world *w)
{
	memset(flows[SLOT_B].mac, 0, 6);
}
static void seen_mac(struct world *w)
{
	memcpy(flows[SLOT_B].seen_mac, mac_b, 6);
	memcpy(flows[SLOT_B].mac, mac_other, 6);
}
static void hop_known(struct world *w)
{
	memcpy(flows[SLOT_B].next_hop, mac_b, 6);
	memcpy(flows[SLOT_B].mac, mac_other, 6);
	flows[SLOT_B].next_hop_ns = now_boot_ns() + 3600 * SECOND_NS;
}
static void behind_nat(struct world *w)
{
	flows[SLOT_A].remote = mapped(0xc0a80102);
	flows[SLOT_A].source = mapped(PHONE_A);
	flows[SLOT_A].source_port = REMOTE_A;
}
static void remote_is_good_too(struct world *w)
{
	flows[SLOT_A].source = mapped(STRANGER);
	flows[SLOT_A].source_port = 999;
}
static void types(struct world *w)
{
	flows[SLOT_A].pt[0] = (struct flow_pt){96, 97};
	flows[SLOT_A].pt[1] = (struct flow_pt){101, 96};
}
static void type_zero(struct world *w)
{
	flows[SLOT_A].pt[3] = (struct flow_pt){0, 8};
}
static void types_rtcp(struct world *w)
{
	types(w);
	flows[SLOT_A].flags = FLOW_RTCP;
}
static void types_72(struct world *w)
{
	flows[SLOT_A].pt[0] = (struct flow_pt){72, 73};
}
/* Another VIP's flow with the same port comes first. */
static void twin(struct world *w)
{
	struct flow flow = leg_a();

	flow.vip = mapped(VIP2);
	flow.remote = mapped(STRANGER);
	flow.peer = 0;
	put_flow(SLOT_TWIN, flow);
}
static void chain_in_a_ring(struct world *w)
{
	flows[SLOT_A].vip = mapped(VIP2);
	flows[SLOT_A].next = SLOT_A;
}
static void server(struct world *w)
{
	flows[SLOT_A].flags = FLOW_SERVER;
}
static void peer_of_unowned_vip(struct world *w)
{
	struct ingress_bpf *skel = w->skel;
	struct inaddr16 key = mapped(VIP_TWIN);
	struct vip other = {.service = SERVICE + 1, .ifindex = IFINDEX};

	map_put(skel->maps.vips, &key, &other);
	flows[SLOT_B].vip = key;
}

struct relay_case {
	const char *name;
	void (*prepare)(struct world *w);
	struct frame (*in)(void);
	int verdict;
	struct frame (*out)(struct frame in); /* NULL: as it came */
	int reason[3];
};

#define CASE(case_name, p, f, v, o, r)                                                                       \
	{                                                                                                    \
		.name = #case_name, .prepare = p, .in = f, .verdict = v, .out = o, .reason = { r, NONE }     \
	}
#define R(name)                     REASON_##name
#define DROPPED(case_name, p, f, r) CASE(case_name, p, f, XDP_DROP, NULL, r)
#define SENT(case_name, p, f, o)    CASE(case_name, p, f, XDP_TX, o, R(relay_sent))
#define PASSED(case_name, p, f, r)  CASE(case_name, p, f, XDP_PASS, NULL, r)

static struct frame to_b_type_96(struct frame f)
{
	return with_type(sent_to_b(f), 0xe0);
}
static struct frame to_b_type_8(struct frame f)
{
	return with_type(sent_to_b(f), 8);
}

static const struct relay_case cases[] = {
        SENT(media_of_one_leg_goes_to_the_other, NULL, from_a, sent_to_b),
        SENT(media_of_the_other_leg_comes_back, NULL, from_b, sent_to_a),
        SENT(datagram_without_a_checksum_stays_without, NULL, from_a_unsummed, sent_to_b),
        SENT(datagram_of_even_length_is_sent_on, NULL, from_a_even, sent_to_b),
        SENT(long_datagram_of_odd_length_is_sent_on, NULL, from_a_long, sent_to_b),
        SENT(empty_datagram_is_sent_on, NULL, from_a_empty, sent_to_b),
        SENT(padding_of_a_short_frame_is_left_alone, NULL, from_a_padded, sent_to_b),
        SENT(sum_of_zero_is_written_as_all_ones, NULL, from_a_all_ones, sent_to_b),
        SENT(ip_options_are_sent_on, NULL, from_a_with_options, sent_to_b),
        SENT(source_behind_nat_is_taken, behind_nat, from_a, sent_to_b),
        SENT(exact_remote_address_is_taken_beside_the_source, remote_is_good_too, from_a, sent_to_b),
        SENT(mac_that_was_seen_is_preferred_to_the_old_owners, seen_mac, from_a, sent_to_b),
        SENT(known_next_hop_is_used, hop_known, from_a, sent_to_b),
        SENT(second_flow_of_a_port_is_found, twin, from_a, sent_to_b),

        SENT(payload_type_is_rewritten_and_the_marker_kept, types, from_a, to_b_type_96),
        SENT(payload_type_zero_is_rewritten, type_zero, from_a_type_0, to_b_type_8),
        SENT(other_payload_types_stay, type_zero, from_a, sent_to_b),
        SENT(payload_type_of_another_version_stays, types, from_a_rtp_1, sent_to_b),
        SENT(payload_type_of_a_short_packet_stays, types, from_a_short_rtp, sent_to_b),
        SENT(rtcp_flow_keeps_its_types, types_rtcp, from_a, sent_to_b),
        SENT(rtcp_on_the_rtp_port_keeps_its_type, types_72, from_a_rtcp, sent_to_b),

        DROPPED(another_port_of_the_phone_is_strange, NULL, from_a_port, R(relay_strange_source)),
        DROPPED(another_address_is_strange, NULL, from_stranger, R(relay_strange_source)),
        DROPPED(flow_being_filled_is_not_used, odd, from_a, R(relay_busy)),
        DROPPED(peer_being_filled_is_not_used, peer_odd, from_a, R(relay_busy)),
        DROPPED(held_port_takes_nothing, held, from_a, R(relay_no_peer)),
        DROPPED(leg_without_another_takes_nothing, alone, from_a, R(relay_no_peer)),
        DROPPED(phone_whose_address_is_unknown_gets_nothing, peer_nowhere, from_a, R(relay_no_target)),
        DROPPED(phone_without_a_known_next_hop_gets_nothing, no_mac, from_a, R(relay_no_route)),
        DROPPED(ttl_runs_out, NULL, from_a_last_hop, R(relay_ttl)),
        DROPPED(first_fragment_is_dropped, NULL, from_a_first_fragment, R(relay_fragment)),
        DROPPED(datagram_cut_short_is_dropped, NULL, from_a_cut, R(relay_malformed)),
        DROPPED(udp_longer_than_ip_is_dropped, NULL, from_a_udp_too_long, R(relay_malformed)),
        DROPPED(udp_shorter_than_its_header_is_dropped, NULL, from_a_udp_too_short, R(relay_malformed)),
        DROPPED(leg_on_a_vip_that_is_not_owned_is_not_spoken_for, peer_of_unowned_vip, from_a, R(tx_fenced)),
        DROPPED(fenced_node_relays_nothing, fenced, from_a, R(vip_no_owner)),

        PASSED(later_fragment_passes, NULL, from_a_later_fragment, R(steer_fragment)),
        PASSED(frame_for_another_mac_is_not_relayed, NULL, from_a_overheard, R(vip_passed)),
        PASSED(frame_cut_in_its_ports_passes, NULL, from_a_cut_in_udp, R(vip_passed)),
        PASSED(same_port_of_another_vip_passes, NULL, from_a_second_vip, R(vip_passed)),
        PASSED(port_without_a_call_passes, NULL, to_another_port, R(vip_passed)),
        PASSED(ring_of_slots_ends, chain_in_a_ring, from_a, R(vip_passed)),
        PASSED(call_of_the_local_server_passes, server, from_a, R(flow_seen)),
        PASSED(strange_packet_for_the_local_server_passes, server, from_stranger, R(flow_seen)),
        PASSED(fragment_for_the_local_server_passes, server, from_a_first_fragment, R(flow_seen)),
};

static void judged(void **state)
{
	struct world *w = *state;
	const struct relay_case *c = w->test_case;
	struct frame in, out;

	if (c->prepare)
		c->prepare(w);
	in = c->in();
	out = c->out ? c->out(in) : in;
	run(w, in);
	assert_int_equal(w->verdict, c->verdict);
	assert_frame(w, &out);
	assert_counted_list(w, c->reason);
}

/* --- several packets ----------------------------------------------------- */

static void assert_news(int kind, uint32_t slot)
{
	assert_int_equal(news.n, 1);
	assert_int_equal(news.event[0].kind, kind);
	assert_int_equal(news.event[0].slot, slot);
	assert_true(news.event[0].at_ns <= now_boot_ns());
}

static void assert_seen(const struct flow *flow, uint32_t addr, uint16_t port, const uint8_t *mac)
{
	struct inaddr16 want = mapped(addr);

	assert_memory_equal(&flow->seen_from, &want, sizeof(want));
	assert_int_equal(flow->seen_from_port, port);
	assert_memory_equal(flow->seen_mac, mac, 6);
}

static void relayed_packets_are_counted(void **state)
{
	struct world *w = *state;
	uint64_t before = now_boot_ns();

	run(w, from_a());
	assert_news(MEDIA_SEEN_FROM, SLOT_A);
	run(w, from_a_even());
	assert_int_equal(news.n, 0);
	assert_int_equal(flows[SLOT_A].packets, 2);
	assert_int_equal(flows[SLOT_A].bytes, sizeof(rtp) + 172);
	assert_in_range(flows[SLOT_A].first_ns, before, now_boot_ns());
	assert_in_range(flows[SLOT_A].last_ns, flows[SLOT_A].first_ns, now_boot_ns());
	assert_int_equal(flows[SLOT_B].sent, 2);
	assert_int_equal(flows[SLOT_B].packets, 0);
	assert_seen(&flows[SLOT_A], PHONE_A, REMOTE_A, mac_far);
}

static void phone_is_reached_by_the_mac_its_packets_came_from(void **state)
{
	struct world *w = *state;
	struct frame in = from_a(), out;

	memset(flows[SLOT_B].mac, 0, 6);
	run(w, from_b());
	run(w, in);
	out = sent_to_b(in);
	assert_int_equal(w->verdict, XDP_TX);
	assert_frame(w, &out);
}

static void mac_of_a_peer_is_not_learnt(void **state)
{
	struct world *w = *state;
	struct frame in = from_b();

	memcpy(node_peer(w, NODE_PEER)->mac, mac_peer, 6);
	memcpy(in.b + 6, mac_peer, 6);
	run(w, in);
	assert_int_equal(w->verdict, XDP_TX);
	assert_seen(&flows[SLOT_B], PHONE_B, REMOTE_B, mac_none);
}

static void stranger_is_refused_while_the_phone_may_still_speak(void **state)
{
	struct world *w = *state;
	int i;

	for (i = 1; i <= 3; i++) {
		run(w, from_stranger());
		assert_int_equal(w->verdict, XDP_DROP);
		assert_counted(w, REASON_relay_strange_source);
		assert_int_equal(flows[SLOT_A].strange, i);
	}
	assert_int_equal(flows[SLOT_A].packets, 0);
	assert_int_equal(flows[SLOT_A].relatched_ns, 0);
	assert_int_equal(news.n, 0);
}

static void flipped_ago(struct world *w, uint64_t ago_ns)
{
	w->state[SERVICE].flipped_ns = now_boot_ns() - ago_ns;
}

static void one_new_source_is_taken_when_the_phone_is_silent(void **state)
{
	struct world *w = *state;
	struct frame in = from_stranger(), back = from_b(), out;

	flipped_ago(w, SECOND_NS);
	run(w, in);
	assert_int_equal(w->verdict, XDP_TX);
	assert_counted(w, REASON_relay_relatched, REASON_relay_sent);
	assert_news(MEDIA_RELATCHED, SLOT_A);
	assert_seen(&flows[SLOT_A], STRANGER, REMOTE_A, mac_far);
	assert_true(flows[SLOT_A].relatched_ns != 0);

	/* it is the phone from now on */
	run(w, in);
	out = sent_to_b(in);
	assert_frame(w, &out);
	assert_counted(w, REASON_relay_sent);
	run(w, back);
	out = sent_to(back, mac_far, PORT_A, STRANGER, REMOTE_A);
	assert_frame(w, &out);

	/* and nobody else is, the former one included */
	flows[SLOT_A].last_ns = now_boot_ns() - SECOND_NS;
	run(w, from_a_port());
	assert_counted(w, REASON_relay_strange_source);
	run(w, from_a());
	assert_counted(w, REASON_relay_strange_source);
	assert_int_equal(flows[SLOT_A].strange, 2);
}

static void phone_that_was_heard_after_the_flip_is_kept(void **state)
{
	struct world *w = *state;

	flipped_ago(w, 10 * SECOND_NS);
	run(w, from_a());
	run(w, from_stranger());
	assert_int_equal(w->verdict, XDP_DROP);
	assert_counted(w, REASON_relay_strange_source);
}

static void phone_that_fell_silent_is_replaced(void **state)
{
	struct world *w = *state;

	flipped_ago(w, 10 * SECOND_NS);
	run(w, from_a());
	flows[SLOT_A].last_ns -= SECOND_NS;
	run(w, from_stranger());
	assert_counted(w, REASON_relay_relatched, REASON_relay_sent);
	assert_seen(&flows[SLOT_A], STRANGER, REMOTE_A, mac_far);
}

static void rtcp_is_given_longer_before_another_is_taken(void **state)
{
	struct world *w = *state;

	flows[SLOT_A].flags = FLOW_RTCP;
	flipped_ago(w, 9 * SECOND_NS);
	run(w, from_stranger());
	assert_counted(w, REASON_relay_strange_source);
	flipped_ago(w, 11 * SECOND_NS);
	run(w, from_stranger());
	assert_counted(w, REASON_relay_relatched, REASON_relay_sent);
}

static void source_is_noted_for_the_local_server(void **state)
{
	struct world *w = *state;

	server(w);
	flows[SLOT_A].remote = mapped(0xc0a80102); /* what SDP said */
	run(w, from_a());
	assert_news(MEDIA_SEEN_FROM, SLOT_A);
	assert_seen(&flows[SLOT_A], PHONE_A, REMOTE_A, mac_far);
	assert_int_equal(flows[SLOT_A].packets, 1);
	run(w, from_a());
	assert_int_equal(news.n, 0);
	assert_int_equal(flows[SLOT_A].packets, 2);
	assert_int_equal(flows[SLOT_A].sent, 0);
}

static void noted_source_is_kept_while_it_speaks(void **state)
{
	struct world *w = *state;

	server(w);
	flows[SLOT_A].remote_port = 1;
	run(w, from_a());
	run(w, from_stranger());
	assert_int_equal(news.n, 0);
	assert_int_equal(flows[SLOT_A].packets, 1);
	assert_seen(&flows[SLOT_A], PHONE_A, REMOTE_A, mac_far);

	flows[SLOT_A].last_ns -= 2 * SECOND_NS;
	run(w, from_stranger());
	assert_news(MEDIA_SEEN_FROM, SLOT_A);
	assert_seen(&flows[SLOT_A], STRANGER, REMOTE_A, mac_far);
}

static void source_that_was_announced_is_noted_at_once(void **state)
{
	struct world *w = *state;

	server(w);
	run(w, from_stranger());
	assert_news(MEDIA_SEEN_FROM, SLOT_A);
	run(w, from_a());
	assert_news(MEDIA_SEEN_FROM, SLOT_A);
	assert_seen(&flows[SLOT_A], PHONE_A, REMOTE_A, mac_far);
	run(w, from_stranger());
	assert_int_equal(news.n, 0);
}

static void flow_of_the_server_being_filled_passes_unnoted(void **state)
{
	struct world *w = *state;

	server(w);
	odd(w);
	run(w, from_a());
	assert_int_equal(w->verdict, XDP_PASS);
	assert_counted(w, REASON_flow_seen);
	assert_int_equal(news.n, 0);
	assert_int_equal(flows[SLOT_A].packets, 0);
}

static void full_ring_loses_news_but_no_media(void **state)
{
	struct world *w = *state;
	struct frame in = from_a();
	int i;

	/* a record is 8 bytes of head and 16 of news */
	for (i = 0; i < 256 * 1024 / 24; i++) {
		flows[SLOT_A].first_ns = 0;
		run_frame(w, &in);
		assert_int_equal(w->verdict, XDP_TX);
		assert_counted(w, REASON_relay_sent);
	}
	flows[SLOT_A].first_ns = 0;
	run_frame(w, &in);
	assert_int_equal(w->verdict, XDP_TX);
	assert_counted(w, REASON_media_ring_full, REASON_relay_sent);
}

static void draining_owner_holds_media_too(void **state)
{
	struct world *w = *state;

	w->state[SERVICE].draining = 1;
	run(w, from_a());
	assert_int_equal(w->verdict, XDP_DROP);
	assert_counted(w, REASON_vip_held);
}

/* Every checksum of 2,000 packets that differ in all that can, against a sum over all of it. */
static void any_packet_leaves_with_good_checksums(void **state)
{
	struct world *w = *state;
	uint32_t seed = 20;
	int i;

	types(w);
	for (i = 0; i < 2000; i++) {
		uint8_t payload[256];
		struct frame in;
		uint16_t len;
		int k;

		seed = seed * 1664525 + 1013904223;
		len = 12 + (seed >> 24) % 200;
		for (k = 0; k < len; k++) {
			seed = seed * 1664525 + 1013904223;
			payload[k] = seed >> 24;
		}
		if (i % 2)
			payload[1] = i % 4 == 1 ? 96 : 101;
		in = frame_udp(mac_self, mac_far, PHONE_A, REMOTE_A, VIP, PORT_A, payload, len);
		in.b[22] = 2 + i % 200;
		put16(in.b + 18, seed);
		run_frame(w, (in = frame_summed(in), &in));
		assert_int_equal(w->verdict, XDP_TX);
		assert_int_equal(ip_sum(w->out.b + 14), 0);
		assert_int_equal(w->out.b[40] << 8 | w->out.b[41], udp_sum(&w->out));
	}
}

#define several(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	static const struct CMUnitTest more[] = {
	        several(relayed_packets_are_counted),
	        several(phone_is_reached_by_the_mac_its_packets_came_from),
	        several(mac_of_a_peer_is_not_learnt),
	        several(stranger_is_refused_while_the_phone_may_still_speak),
	        several(one_new_source_is_taken_when_the_phone_is_silent),
	        several(phone_that_was_heard_after_the_flip_is_kept),
	        several(phone_that_fell_silent_is_replaced),
	        several(rtcp_is_given_longer_before_another_is_taken),
	        several(source_is_noted_for_the_local_server),
	        several(noted_source_is_kept_while_it_speaks),
	        several(source_that_was_announced_is_noted_at_once),
	        several(flow_of_the_server_being_filled_passes_unnoted),
	        several(full_ring_loses_news_but_no_media),
	        several(draining_owner_holds_media_too),
	        several(any_packet_leaves_with_good_checksums),
	};
	enum { N = sizeof(cases) / sizeof(cases[0]), M = sizeof(more) / sizeof(more[0]) };
	struct CMUnitTest tests[N + M];
	int i;

	for (i = 0; i < N; i++)
		tests[i] = (struct CMUnitTest){cases[i].name, judged, setup, teardown, (void *)&cases[i]};
	memcpy(tests + N, more, sizeof(more));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
