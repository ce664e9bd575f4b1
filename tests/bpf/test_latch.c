/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Media on the owner, several packets after one another: who is taken for the phone
 * and when that may change, what is counted, and what sipflip-calls is told.
 */
#include "relay.h"

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
	assert_in_range(flows[SLOT_A].last_ns, before, now_boot_ns());
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
		flows[SLOT_A].seen_from_port = 0;
		run_frame(w, &in);
		assert_int_equal(w->verdict, XDP_TX);
		assert_counted(w, REASON_relay_sent);
	}
	flows[SLOT_A].seen_from_port = 0;
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

int main(void)
{
	static const struct CMUnitTest tests[] = {
	        of_a_call(relayed_packets_are_counted),
	        of_a_call(phone_is_reached_by_the_mac_its_packets_came_from),
	        of_a_call(mac_of_a_peer_is_not_learnt),
	        of_a_call(stranger_is_refused_while_the_phone_may_still_speak),
	        of_a_call(one_new_source_is_taken_when_the_phone_is_silent),
	        of_a_call(phone_that_was_heard_after_the_flip_is_kept),
	        of_a_call(phone_that_fell_silent_is_replaced),
	        of_a_call(rtcp_is_given_longer_before_another_is_taken),
	        of_a_call(source_is_noted_for_the_local_server),
	        of_a_call(noted_source_is_kept_while_it_speaks),
	        of_a_call(source_that_was_announced_is_noted_at_once),
	        of_a_call(flow_of_the_server_being_filled_passes_unnoted),
	        of_a_call(full_ring_loses_news_but_no_media),
	        of_a_call(draining_owner_holds_media_too),
	        of_a_call(any_packet_leaves_with_good_checksums),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
