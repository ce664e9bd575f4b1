/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* RESIGN: the flip, the gratuitous ARP that the frame becomes, and every refusal. */
#include "node.h"

static void arm(struct world *w)
{
	w->state[SERVICE].armed_until_ns = now_boot_ns() + 60000000000ULL;
}

static void send_resign(struct world *w, const struct msg *msg)
{
	struct frame in = frame_msg(msg, &key_first);

	run_frame(w, &in);
}

static struct frame announcement(void)
{
	return frame_arp(mac_all, mac_self, 1, mac_self, VIP, mac_none, VIP);
}

static void resign_flips_and_becomes_the_gratuitous_arp(void **state)
{
	struct world *w = *state;
	uint64_t before = now_boot_ns();
	struct msg resign = msg_resign(), told;
	struct frame want = announcement();

	arm(w);
	w->state[SERVICE].first_packet_ns = 99;
	send_resign(w, &resign);
	assert_int_equal(w->verdict, XDP_TX);
	assert_frame(w, &want);
	assert_counted(w, REASON_resign_accepted);
	assert_int_equal(node_word(w), resign.grant_ns + LEASE_NS);
	assert_int_equal(w->state[SERVICE].epoch, resign.epoch);
	assert_in_range(w->state[SERVICE].flipped_ns, before, now_boot_ns());
	assert_int_equal(w->state[SERVICE].first_packet_ns, 0);
	assert_memory_equal(node_peer(w, NODE_PEER)->mac, mac_peer, 6);

	assert_int_equal(w->n_events, 1);
	assert_event(w, 0, EVENT_RESIGN_ACCEPTED);
	assert_int_equal(w->events[0].at_ns, w->state[SERVICE].flipped_ns);
	assert_int_equal(msg_open(&w->events[0].msg, sizeof(struct wire_msg), &key_first, 1, &told), 0);
	assert_memory_equal(&told, &resign, sizeof(told));
}

static void resign_under_the_second_key_is_accepted(void **state)
{
	struct world *w = *state;
	struct msg resign = msg_resign();
	struct frame in = frame_msg(&resign, &key_second), want = announcement();

	arm(w);
	run_frame(w, &in);
	assert_int_equal(w->verdict, XDP_TX);
	assert_frame(w, &want);
}

static void only_the_named_service_flips(void **state)
{
	struct world *w = *state;
	struct msg resign = msg_resign();
	int i;

	arm(w);
	send_resign(w, &resign);
	for (i = 0; i < MAX_SERVICES; i++)
		assert_int_equal(w->ownership[i].lease_until_ns,
		                 i == SERVICE ? resign.grant_ns + LEASE_NS : 0);
}

static void arp_is_answered_right_after_the_flip(void **state)
{
	struct world *w = *state;
	struct msg resign = msg_resign();
	struct frame ask = frame_arp(mac_all, mac_far, 1, mac_far, ADDR_FAR, mac_none, VIP), want;

	resign.grant_ns = now_boot_ns();
	arm(w);
	run_frame(w, &ask);
	assert_int_equal(w->verdict, XDP_DROP);
	send_resign(w, &resign);
	run_frame(w, &ask);
	want = frame_arp(mac_far, mac_self, 2, mac_self, VIP, mac_far, ADDR_FAR);
	assert_int_equal(w->verdict, XDP_TX);
	assert_frame(w, &want);
}

static void repeated_resign_changes_nothing(void **state)
{
	struct world *w = *state;
	struct msg resign = msg_resign();
	struct frame in = frame_msg(&resign, &key_first);
	struct service_state was;

	arm(w);
	run_frame(w, &in);
	was = w->state[SERVICE];
	run_frame(w, &in);
	assert_int_equal(w->verdict, XDP_DROP);
	assert_frame(w, &in);
	assert_counted(w, REASON_resign_repeat);
	assert_int_equal(w->n_events, 0);
	assert_memory_equal(&w->state[SERVICE], &was, sizeof(was));
	assert_int_equal(node_word(w), resign.grant_ns + LEASE_NS);
}

static void resign_replayed_after_its_owner_was_fenced_is_refused(void **state)
{
	struct world *w = *state;
	struct msg resign = msg_resign();

	arm(w);
	send_resign(w, &resign);
	w->ownership[SERVICE].lease_until_ns = 0;
	send_resign(w, &resign);
	assert_int_equal(w->verdict, XDP_DROP);
	assert_counted(w, REASON_resign_stale);
	assert_int_equal(node_word(w), 0);
}

static void resign_on_another_interface_flips_and_leaves_the_announcement_to_the_agent(void **state)
{
	struct world *w = *state;
	struct msg resign = msg_resign();

	arm(w);
	w->conf[SERVICE].ifindex = IFINDEX + 1;
	send_resign(w, &resign);
	assert_int_equal(w->verdict, XDP_DROP);
	assert_counted(w, REASON_resign_accepted);
	assert_event(w, 0, EVENT_RESIGN_ACCEPTED);
	assert_int_equal(node_word(w), resign.grant_ns + LEASE_NS);
}

static void copy_of_a_resign_for_another_node_passes(void **state)
{
	struct world *w = *state;
	struct msg resign = msg_resign();
	struct frame in;

	arm(w);
	resign.target = NODE_WIT;
	in = frame_msg(&resign, &key_first);
	run_frame(w, &in);
	assert_int_equal(w->verdict, XDP_PASS);
	assert_frame(w, &in);
	assert_counted(w, REASON_msg_passed);
	assert_int_equal(node_word(w), 0);
	assert_int_equal(w->n_events, 0);
}

/* --- refusals ------------------------------------------------------------------- */
struct refusal {
	const char *name;
	void (*spoil)(struct world *w, struct msg *msg);
	int reason;
};

static void not_armed(struct world *w, struct msg *m)
{
	w->state[SERVICE].armed_until_ns = 0;
}
static void no_longer_armed(struct world *w, struct msg *m)
{
	w->state[SERVICE].armed_until_ns = now_boot_ns() - 1;
}
static void owner_already(struct world *w, struct msg *m)
{
	w->ownership[SERVICE].lease_until_ns = LEASE_FOREVER;
}
static void lapsed_owner(struct world *w, struct msg *m)
{
	w->ownership[SERVICE].lease_until_ns = 5;
}
static void old_epoch(struct world *w, struct msg *m)
{
	w->state[SERVICE].epoch = m->epoch + 0x100;
}
static void same_epoch(struct world *w, struct msg *m)
{
	w->state[SERVICE].epoch = m->epoch;
}
static void others_epoch(struct world *w, struct msg *m)
{
	m->epoch = m->epoch + 0x100 - NODE_SELF + NODE_PEER;
}
static void other_incarnation(struct world *w, struct msg *m)
{
	m->target_inc ^= 1ULL << 63;
}
static void future_time(struct world *w, struct msg *m)
{
	m->grant_ns = now_boot_ns() + 60000000000ULL;
}
static void end_of_time(struct world *w, struct msg *m)
{
	m->grant_ns = ~0ULL;
}
static void spent_time(struct world *w, struct msg *m)
{
	m->grant_ns = now_boot_ns() - LEASE_NS;
}
static void no_time(struct world *w, struct msg *m)
{
	m->grant_ns = 0;
}

static const struct refusal refusals[] = {
        {"resign_is_refused_unless_armed", not_armed, REASON_resign_not_armed},
        {"resign_is_refused_when_no_longer_armed", no_longer_armed, REASON_resign_not_armed},
        {"resign_is_refused_by_an_owner_of_another_epoch", owner_already, REASON_resign_not_armed},
        {"resign_is_refused_while_an_old_lease_is_not_fenced", lapsed_owner, REASON_resign_not_armed},
        {"resign_of_an_old_epoch_is_refused", old_epoch, REASON_resign_stale},
        {"resign_of_the_known_epoch_is_refused", same_epoch, REASON_resign_stale},
        {"resign_to_another_owners_epoch_is_refused", others_epoch, REASON_resign_stale},
        {"resign_to_another_incarnation_is_refused", other_incarnation, REASON_resign_stale},
        {"resign_with_a_future_time_is_refused", future_time, REASON_resign_stale},
        {"resign_from_the_end_of_time_is_refused", end_of_time, REASON_resign_stale},
        {"resign_whose_lease_is_spent_is_refused", spent_time, REASON_resign_stale},
        {"resign_without_a_time_is_refused", no_time, REASON_resign_stale},
};

static void refused(void **state)
{
	struct world *w = *state;
	const struct refusal *c = w->test_case;
	struct msg resign = msg_resign(), told;
	struct service_state was;
	struct frame in;
	uint64_t word;

	arm(w);
	c->spoil(w, &resign);
	was = w->state[SERVICE];
	word = node_word(w);
	in = frame_msg(&resign, &key_first);
	run_frame(w, &in);
	assert_int_equal(w->verdict, XDP_DROP);
	assert_frame(w, &in);
	assert_counted(w, c->reason);
	assert_memory_equal(&w->state[SERVICE], &was, sizeof(was));
	assert_int_equal(node_word(w), word);
	assert_int_equal(w->n_events, 1);
	assert_event(w, 0, EVENT_RESIGN_REFUSED);
	assert_int_equal(w->events[0].arg, c->reason);
	assert_int_equal(msg_open(&w->events[0].msg, sizeof(struct wire_msg), &key_first, 1, &told), 0);
	assert_memory_equal(&told, &resign, sizeof(told));
}

static void refusals_are_told_once_in_ten_milliseconds_but_all_counted(void **state)
{
	struct world *w = *state;
	struct msg resign = msg_resign();
	struct frame in = frame_msg(&resign, &key_first);
	uint64_t first;
	unsigned int told = 0, i;

	run_frame(w, &in);
	assert_event(w, 0, EVENT_RESIGN_REFUSED);
	first = w->events[0].at_ns;
	for (i = 0; i < 200000 && !told; i++) {
		run_frame(w, &in);
		assert_int_equal(w->verdict, XDP_DROP);
		told = w->n_events;
	}
	assert_int_equal(told, 1);
	assert_true(w->events[0].at_ns - first >= 10000000);
	assert_int_equal(
	        counters_read(w->counters).resign_not_armed + counters_read(w->counters).resign_stale, i + 1);
}

int main(void)
{
	static const struct CMUnitTest single[] = {
	        behaviour(resign_flips_and_becomes_the_gratuitous_arp),
	        behaviour(resign_under_the_second_key_is_accepted),
	        behaviour(only_the_named_service_flips),
	        behaviour(arp_is_answered_right_after_the_flip),
	        behaviour(repeated_resign_changes_nothing),
	        behaviour(resign_replayed_after_its_owner_was_fenced_is_refused),
	        behaviour(resign_on_another_interface_flips_and_leaves_the_announcement_to_the_agent),
	        behaviour(copy_of_a_resign_for_another_node_passes),
	        behaviour(refusals_are_told_once_in_ten_milliseconds_but_all_counted),
	};
	struct CMUnitTest tests[COUNT_OF(single) + COUNT_OF(refusals)];
	size_t n = COUNT_OF(single);

	memcpy(tests, single, sizeof(single));
	add_cases(tests, n, refusals, refused, node_setup, node_teardown);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
