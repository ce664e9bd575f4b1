/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Media on the owner: a table of {what the maps hold, frame in, verdict, frame out,
 * counters}. A frame that is sent on is compared whole with one that is built from
 * nothing, checksums and all.
 */
#include "relay.h"

/* --- frames in ---------------------------------------------------------- */
static struct frame from_a_unsummed(void)
{
	struct frame f = from_a();

	put16(f.b + 40, 0);
	return f;
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

int main(void)
{
	struct CMUnitTest tests[COUNT_OF(cases)];
	size_t n = 0;

	add_cases(tests, n, cases, judged, setup, teardown);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
