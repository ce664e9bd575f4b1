/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* ECHO: the record, the renewal of the lease and the reflection, byte by byte. */
#include "node.h"

/* The reflection of `echo` that the program must have made: its time is taken from the frame, all else is
 * not. */
static struct msg reflection_of(struct world *w, const struct msg *echo)
{
	struct wire_msg wire;

	assert_int_equal(w->out.len, MSG_FRAME);
	memcpy(&wire, w->out.b + MSG_AT, sizeof(wire));
	return (struct msg){
	        .type = WIRE_REFLECT,
	        .service = SERVICE,
	        .sender = NODE_SELF,
	        .target = echo->sender,
	        .epoch = w->state[SERVICE].epoch,
	        .seq = echo->seq,
	        .sender_inc = SELF_INC,
	        .target_inc = echo->sender_inc,
	        .sent_ns = echo->sent_ns,
	        .grant_ns = be64toh(wire.grant_ns),
	        .config_tag = CONFIG_TAG,
	        .ok_age_us = ~0U,
	        .turn_age_us = ~0U,
	};
}

static struct frame frame_reflection(const struct msg *msg, const struct siphash_key *key)
{
	struct wire_msg wire;

	msg_seal(msg, key, &wire);
	return frame_udp(mac_peer, mac_self, ADDR_SELF, WIRE_PORT, ADDR_PEER, WIRE_PORT, &wire, sizeof(wire));
}

static void send_echo(struct world *w, const struct msg *msg)
{
	struct frame in = frame_msg(msg, &key_first);

	run_frame(w, &in);
}

static void echo_comes_back_as_reflection(void **state)
{
	struct world *w = *state;
	uint64_t before = now_boot_ns();
	struct msg echo = msg_echo(), want;
	struct frame frame;

	send_echo(w, &echo);
	assert_int_equal(w->verdict, XDP_TX);
	want = reflection_of(w, &echo);
	assert_in_range(want.grant_ns, before, now_boot_ns());
	frame = frame_reflection(&want, &key_first);
	assert_frame(w, &frame);
	assert_counted(w, REASON_echo_reflected);
	assert_int_equal(node_word(w), 0);
}

static void reflection_is_signed_with_the_key_of_the_echo(void **state)
{
	struct world *w = *state;
	struct msg echo = msg_echo(), want;
	struct frame frame = frame_msg(&echo, &key_second);

	run_frame(w, &frame);
	assert_int_equal(w->verdict, XDP_TX);
	want = reflection_of(w, &echo);
	frame = frame_reflection(&want, &key_second);
	assert_frame(w, &frame);
}

static void echo_is_recorded(void **state)
{
	struct world *w = *state;
	uint64_t before = now_boot_ns();
	struct msg echo = msg_echo();
	struct peer *peer = node_peer(w, NODE_PEER), want;

	send_echo(w, &echo);
	assert_in_range(peer->last_echo_ns, before, now_boot_ns());
	want = (struct peer){
	        .last_echo_ns = peer->last_echo_ns,
	        .sent_ns = echo.sent_ns,
	        .incarnation = PEER_INC,
	        .epoch = EPOCH,
	        .flags = STATUS_HEALTHY,
	        .ok_age_us = 1500,
	        .turn_age_us = 90,
	        .echoes = 1,
	};
	memcpy(want.mac, mac_peer, 6);
	assert_memory_equal(peer, &want, sizeof(want));
}

static void witness_mac_is_not_learnt(void **state)
{
	struct world *w = *state;
	struct msg echo = msg_echo();

	echo.flags = STATUS_WITNESS;
	send_echo(w, &echo);
	assert_int_equal(node_peer(w, NODE_PEER)->echoes, 1);
	assert_memory_equal(node_peer(w, NODE_PEER)->mac, mac_none, 6);
}

static void repeated_or_overtaken_echo_is_reflected_but_not_recorded(void **state)
{
	struct world *w = *state;
	struct msg echo = msg_echo(), older = msg_echo();
	struct peer want;

	send_echo(w, &echo);
	want = *node_peer(w, NODE_PEER);
	send_echo(w, &echo);
	assert_counted(w, REASON_echo_reflected);
	assert_memory_equal(node_peer(w, NODE_PEER), &want, sizeof(want));
	older.sent_ns--;
	older.flags = 0;
	older.grant_ns = 1;
	send_echo(w, &older);
	assert_counted(w, REASON_echo_reflected);
	assert_memory_equal(node_peer(w, NODE_PEER), &want, sizeof(want));
}

static void restarted_voter_is_recorded_although_its_clock_is_behind(void **state)
{
	struct world *w = *state;
	struct msg echo = msg_echo();

	send_echo(w, &echo);
	echo.sender_inc++;
	echo.sent_ns = 5;
	send_echo(w, &echo);
	assert_int_equal(node_peer(w, NODE_PEER)->sent_ns, 5);
	assert_int_equal(node_peer(w, NODE_PEER)->incarnation, PEER_INC + 1);
}

/* --- grants ------------------------------------------------------------------ */
enum word_is {
	NODE_OWNS,   /* one lease before the grant's */
	NODE_AHEAD,  /* further than the grant reaches */
	NODE_LAPSED, /* run out, but not fenced */
	NODE_FENCED,
	NODE_FOREVER,
};

struct grant_case {
	const char *name;
	enum word_is word;
	uint64_t state_epoch, epoch, target_inc;
	int64_t age_ns; /* of the grant */
	int reason;
	bool moves;
	bool recorded;
};

#define MS 1000000LL

static const struct grant_case grants[] = {
        {"grant_moves_the_lease_forward", NODE_OWNS, EPOCH, EPOCH, SELF_INC, MS, REASON_echo_renewed, true,
         true},
        {"grant_revives_a_lapsed_lease", NODE_LAPSED, EPOCH, EPOCH, SELF_INC, MS, REASON_echo_renewed, true,
         true},
        {"grant_never_moves_the_lease_back", NODE_AHEAD, EPOCH, EPOCH, SELF_INC, MS, REASON_echo_grant_stale,
         false, true},
        {"grant_never_lifts_the_fence", NODE_FENCED, EPOCH, EPOCH, SELF_INC, MS, REASON_echo_grant_fenced,
         false, false},
        {"grant_does_not_end_a_lease_for_ever", NODE_FOREVER, EPOCH, EPOCH, SELF_INC, MS,
         REASON_echo_grant_stale, false, true},
        {"grant_for_an_older_epoch_is_ignored", NODE_OWNS, EPOCH, EPOCH - 0x100, SELF_INC, MS,
         REASON_echo_grant_mismatch, false, false},
        {"grant_for_a_newer_epoch_is_ignored", NODE_OWNS, EPOCH, EPOCH + 0x100, SELF_INC, MS,
         REASON_echo_grant_mismatch, false, false},
        {"grant_for_another_owner_is_ignored", NODE_OWNS, 0x0701, 0x0701, SELF_INC, MS,
         REASON_echo_grant_mismatch, false, false},
        {"grant_for_another_incarnation_is_ignored", NODE_OWNS, EPOCH, EPOCH, SELF_INC ^ 1, MS,
         REASON_echo_grant_mismatch, false, false},
        {"grant_for_no_incarnation_is_ignored", NODE_OWNS, EPOCH, EPOCH, 0, MS, REASON_echo_grant_mismatch,
         false, false},
        {"grant_from_the_future_is_ignored", NODE_OWNS, EPOCH, EPOCH, SELF_INC, -10000 * MS,
         REASON_echo_grant_mismatch, false, false},
        {"grant_from_the_end_of_time_is_ignored", NODE_OWNS, EPOCH, EPOCH, SELF_INC, INT64_MIN,
         REASON_echo_grant_mismatch, false, false},
};

static void grant(void **state)
{
	struct world *w = *state;
	const struct grant_case *c = w->test_case;
	uint64_t now = now_boot_ns(), grant_ns = now - (uint64_t)c->age_ns;
	const uint64_t words[] = {[NODE_OWNS] = now - MS,
	                          [NODE_AHEAD] = now + 20000 * MS,
	                          [NODE_LAPSED] = 1,
	                          [NODE_FOREVER] = LEASE_FOREVER};
	struct peer *peer = node_peer(w, NODE_PEER);
	struct msg echo = msg_echo(), want;
	struct frame frame;

	w->ownership[SERVICE].lease_until_ns = words[c->word];
	w->state[SERVICE].epoch = c->state_epoch;
	echo.epoch = c->epoch;
	echo.target_inc = c->target_inc;
	echo.grant_ns = grant_ns;
	send_echo(w, &echo);
	assert_int_equal(w->verdict, XDP_TX);
	assert_counted(w, REASON_echo_reflected, c->reason);
	assert_int_equal(node_word(w), c->moves ? grant_ns + LEASE_NS : words[c->word]);
	assert_int_equal(peer->grant_until_ns, c->recorded ? grant_ns + LEASE_NS : 0);
	assert_int_equal(peer->last_grant_ns, c->recorded ? peer->last_echo_ns : 0);
	want = reflection_of(w, &echo);
	if (node_word(w) > want.grant_ns)
		want.flags = STATUS_OWNER;
	frame = frame_reflection(&want, &key_first);
	assert_frame(w, &frame);
}

static void replayed_grant_renews_nothing(void **state)
{
	struct world *w = *state;
	struct msg echo = msg_echo();
	struct frame in;

	echo.grant_ns = now_boot_ns() - 1;
	in = frame_msg(&echo, &key_first);
	w->ownership[SERVICE].lease_until_ns = 1;
	run_frame(w, &in);
	assert_int_equal(node_word(w), echo.grant_ns + LEASE_NS);
	w->ownership[SERVICE].lease_until_ns = 0; /* the agent fences */
	run_frame(w, &in);
	assert_int_equal(node_word(w), 0);
	assert_counted(w, REASON_echo_reflected);
}

static void lease_of_another_service_is_left_alone(void **state)
{
	struct world *w = *state;
	struct msg echo = msg_echo();
	int i;

	echo.grant_ns = now_boot_ns() - 1;
	for (i = 0; i < MAX_SERVICES; i++)
		w->ownership[i].lease_until_ns = 7;
	send_echo(w, &echo);
	for (i = 0; i < MAX_SERVICES; i++)
		assert_int_equal(w->ownership[i].lease_until_ns, i == SERVICE ? echo.grant_ns + LEASE_NS : 7);
}

/* --- what the reflection says ------------------------------------------------- */
static void reflection_tells_owner_armed_and_dead_from_the_maps(void **state)
{
	struct world *w = *state;
	struct service_state *s = &w->state[SERVICE];
	struct msg echo = msg_echo(), want;
	struct frame frame;

	node_own(w);
	s->armed_until_ns = ~0ULL;
	s->server_dead_ns = 1;
	s->flags = STATUS_HEALTHY | STATUS_CALLS_UP;
	send_echo(w, &echo);
	want = reflection_of(w, &echo);
	want.flags = STATUS_OWNER | STATUS_ARMED | STATUS_SERVER_DEAD | STATUS_HEALTHY | STATUS_CALLS_UP;
	frame = frame_reflection(&want, &key_first);
	assert_frame(w, &frame);

	w->ownership[SERVICE].lease_until_ns = 1;
	s->armed_until_ns = 1;
	s->server_dead_ns = 0;
	s->flags =
	        STATUS_OWNER | STATUS_ARMED | STATUS_SERVER_DEAD | STATUS_HUNG; /* not the agent's to say */
	send_echo(w, &echo);
	want = reflection_of(w, &echo);
	want.flags = STATUS_HUNG;
	frame = frame_reflection(&want, &key_first);
	assert_frame(w, &frame);
}

static uint32_t age_said(struct world *w, uint64_t ok_ns, uint64_t turn_ns, uint64_t *ret_now_ns)
{
	struct msg echo = msg_echo(), want;
	struct frame frame;
	struct wire_msg wire;

	w->state[SERVICE].ok_ns = ok_ns;
	w->state[SERVICE].turn_ns = turn_ns;
	send_echo(w, &echo);
	memcpy(&wire, w->out.b + MSG_AT, sizeof(wire));
	want = reflection_of(w, &echo);
	want.ok_age_us = be32toh(wire.ok_age_us);
	want.turn_age_us = be32toh(wire.turn_age_us);
	frame = frame_reflection(&want, &key_first);
	assert_frame(w, &frame);
	assert_int_equal(want.turn_age_us, turn_ns > want.grant_ns ? 0 : ~0U);
	*ret_now_ns = want.grant_ns;
	return want.ok_age_us;
}

static void reflection_tells_ages(void **state)
{
	struct world *w = *state;
	const uint64_t ages[] = {1, 999, 1000, 1001, 5 * MS, 12345678, 1000 * MS, 2000000 * MS};
	uint64_t now;
	unsigned int i;

	for (i = 0; i < sizeof(ages) / sizeof(ages[0]); i++) {
		uint64_t then = now_boot_ns();
		uint32_t us;

		if (ages[i] >= then)
			continue; /* the machine is not up that long */
		then -= ages[i];
		us = age_said(w, then, 0, &now);
		assert_int_equal(us, (now - then) / 1000);
	}
	assert_int_equal(age_said(w, 0, 0, &now), ~0U);
	assert_int_equal(age_said(w, now_boot_ns() + 60000 * MS, ~0ULL, &now), 0);
}

static void ttl_of_the_reflection_is_64_and_its_checksum_good(void **state)
{
	struct world *w = *state;
	const uint8_t ttls[] = {1, 17, 63, 65, 128, 254, 255};
	unsigned int i, id;

	for (i = 0; i < sizeof(ttls) * 256; i++) {
		struct msg echo = msg_echo(), want;
		struct frame in = frame_msg(&echo, &key_first), frame;

		id = i * 257 + i / 256; /* many different checksums */
		in.b[14 + 8] = ttls[i % sizeof(ttls)];
		put16(in.b + 14 + 4, id);
		put16(in.b + 14 + 10, 0);
		put16(in.b + 14 + 10, ip_sum(in.b + 14));
		run_frame(w, &in);
		want = reflection_of(w, &echo);
		frame = frame_reflection(&want, &key_first);
		put16(frame.b + 14 + 4, id);
		put16(frame.b + 14 + 10, 0);
		put16(frame.b + 14 + 10, ip_sum(frame.b + 14));
		assert_frame(w, &frame);
	}
}

static void udp_ports_are_swapped_and_the_udp_checksum_is_none(void **state)
{
	struct world *w = *state;
	struct msg echo = msg_echo(), want;
	struct frame in = frame_msg(&echo, &key_first), frame;

	put16(in.b + 34, 40001);
	put16(in.b + 40, 0xabcd);
	run_frame(w, &in);
	want = reflection_of(w, &echo);
	frame = frame_reflection(&want, &key_first);
	put16(frame.b + 36, 40001);
	assert_frame(w, &frame);
}

int main(void)
{
	static const struct CMUnitTest single[] = {
	        behaviour(echo_comes_back_as_reflection),
	        behaviour(reflection_is_signed_with_the_key_of_the_echo),
	        behaviour(echo_is_recorded),
	        behaviour(witness_mac_is_not_learnt),
	        behaviour(repeated_or_overtaken_echo_is_reflected_but_not_recorded),
	        behaviour(restarted_voter_is_recorded_although_its_clock_is_behind),
	        behaviour(replayed_grant_renews_nothing),
	        behaviour(lease_of_another_service_is_left_alone),
	        behaviour(reflection_tells_owner_armed_and_dead_from_the_maps),
	        behaviour(reflection_tells_ages),
	        behaviour(ttl_of_the_reflection_is_64_and_its_checksum_good),
	        behaviour(udp_ports_are_swapped_and_the_udp_checksum_is_none),
	};
	struct CMUnitTest tests[COUNT_OF(single) + COUNT_OF(grants)];
	size_t n = COUNT_OF(single);

	memcpy(tests, single, sizeof(single));
	add_cases(tests, n, grants, grant, node_setup, node_teardown);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
