/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The waiting room of a planned switchover: what is held, what passes, and what comes out again. */
#include "node.h"

struct room {
	int n;
	struct held_frame last;
};

static int on_held(void *ctx, void *data, size_t size)
{
	struct room *room = ctx;

	assert_true(size >= sizeof(room->last));
	memcpy(&room->last, data, sizeof(room->last));
	room->n++;
	return 0;
}

static struct frame sip(void)
{
	return frame_udp(mac_self, mac_far, ADDR_FAR, 5060, VIP, 5060, "OPTIONS", 7);
}

/* A frame of that many bytes, addressed to the VIP. */
static struct frame sized(uint32_t len)
{
	struct frame f = sip();

	assert_true(len <= sizeof(f.b));
	for (uint32_t i = f.len; i < len; i++)
		f.b[i] = (uint8_t)i;
	f.len = len;
	return f;
}

static struct ring_buffer *enter(struct world *w, struct room *room)
{
	struct ingress_bpf *skel = w->skel;
	struct ring_buffer *ring = ring_buffer__new(bpf_map__fd(skel->maps.held), on_held, room, NULL);

	assert_non_null(ring);
	node_own(w);
	w->state[SERVICE].draining = 1;
	return ring;
}

static void a_frame_for_the_vip_is_held_whole(void **state)
{
	struct world *w = *state;
	struct room room = {0};
	struct ring_buffer *ring = enter(w, &room);
	struct frame in = sip();

	run_frame(w, &in);
	assert_int_equal(w->verdict, XDP_DROP);
	assert_counted(w, REASON_vip_held);
	assert_int_equal(ring_buffer__consume(ring), 1);
	assert_int_equal(room.last.service, SERVICE);
	assert_int_equal(room.last.len, in.len);
	assert_memory_equal(room.last.frame, in.b, in.len);
	ring_buffer__free(ring);
}

static void the_longest_frame_is_held_and_a_longer_one_passes(void **state)
{
	struct world *w = *state;
	struct room room = {0};
	struct ring_buffer *ring = enter(w, &room);
	struct frame fits = sized(HELD_FRAME_BYTES), longer = sized(HELD_FRAME_BYTES + 1);

	run_frame(w, &fits);
	assert_int_equal(w->verdict, XDP_DROP);
	assert_counted(w, REASON_vip_held);
	run_frame(w, &longer);
	assert_int_equal(w->verdict, XDP_PASS);
	assert_counted(w, REASON_held_ring_full);
	assert_int_equal(ring_buffer__consume(ring), 1);
	assert_int_equal(room.last.len, HELD_FRAME_BYTES);
	assert_memory_equal(room.last.frame, fits.b, HELD_FRAME_BYTES);
	ring_buffer__free(ring);
}

static void a_full_room_lets_frames_pass_and_counts_them(void **state)
{
	struct world *w = *state;
	struct room room = {0};
	struct ring_buffer *ring = enter(w, &room);
	struct frame in = sip();
	int held = 0;

	for (; held < 2000; held++) {
		run_frame(w, &in);
		if (w->verdict == XDP_PASS)
			break;
	}
	assert_in_range(held, 400, 512); /* 1 MiB of a little over 2 KiB each */
	assert_counted(w, REASON_held_ring_full);
	assert_int_equal(ring_buffer__consume(ring), held);
	run_frame(w, &in);
	assert_int_equal(w->verdict, XDP_DROP);
	ring_buffer__free(ring);
}

static void who_does_not_own_holds_nothing(void **state)
{
	struct world *w = *state;
	struct room room = {0};
	struct ring_buffer *ring = enter(w, &room);
	struct frame in = sip();

	w->ownership[SERVICE].lease_until_ns = 0;
	run_frame(w, &in);
	assert_int_equal(w->verdict, XDP_DROP);
	assert_counted(w, REASON_vip_no_owner);
	assert_int_equal(ring_buffer__consume(ring), 0);
	ring_buffer__free(ring);
}

static void arp_is_answered_while_frames_are_held(void **state)
{
	struct world *w = *state;
	struct room room = {0};
	struct ring_buffer *ring = enter(w, &room);
	struct frame in = frame_arp(mac_all, mac_far, 1, mac_far, ADDR_FAR, mac_none, VIP);

	run_frame(w, &in);
	assert_int_equal(w->verdict, XDP_TX);
	assert_counted(w, REASON_arp_answered);
	ring_buffer__free(ring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        behaviour(a_frame_for_the_vip_is_held_whole),
	        behaviour(the_longest_frame_is_held_and_a_longer_one_passes),
	        behaviour(a_full_room_lets_frames_pass_and_counts_them),
	        behaviour(who_does_not_own_holds_nothing),
	        behaviour(arp_is_answered_while_frames_are_held),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
