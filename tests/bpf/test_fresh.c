/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Genuine messages that are sent again by somebody who recorded them: each reaches user
 * space once, teaches no MAC, and neither keeps a dead life of its sender alive nor the
 * living one from being heard.
 */
#include "node.h"

#define OLD_INC  0x0102030405060708ULL /* of the peer before it was restarted */
#define NEVER_NS 0xffffffffffff0000ULL

static struct msg msg_of(uint8_t type)
{
	struct msg msg = msg_echo();

	msg.type = type;
	msg.sent_ns = now_boot_ns();
	if (type == WIRE_VOTE)
		msg.grant_ns = now_boot_ns();
	if (type == WIRE_RESIGN)
		msg.target = NODE_WIT;
	return msg;
}

static void send_from(struct world *w, const struct msg *msg, const uint8_t *mac)
{
	struct frame in = frame_msg(msg, &key_first);

	memcpy(in.b + 6, mac, 6);
	run_frame(w, &in);
}

static void assert_passed(struct world *w, const struct msg *msg)
{
	send_from(w, msg, mac_peer);
	assert_int_equal(w->verdict, XDP_PASS);
	assert_counted(w, REASON_msg_passed);
}

static void assert_replay(struct world *w, const struct msg *msg)
{
	struct peer was = *node_peer(w, NODE_PEER);

	send_from(w, msg, mac_other);
	assert_int_equal(w->verdict, XDP_DROP);
	assert_counted(w, REASON_msg_replayed);
	assert_memory_equal(node_peer(w, NODE_PEER), &was, sizeof(was));
	assert_int_equal(w->n_events, 0);
}

/* The peer answers an echo of this node: from here on its incarnation is known. */
static void meet(struct world *w)
{
	struct msg reflect = msg_of(WIRE_REFLECT);

	assert_passed(w, &reflect);
}

static const uint8_t types[] = {WIRE_REFLECT, WIRE_VOTE_REQ, WIRE_VOTE, WIRE_REFUSE, WIRE_RESIGN};
#define TYPES (int)sizeof(types)

static void each_message_reaches_user_space_once(void **state)
{
	struct world *w = *state;

	meet(w);
	for (int i = 0; i < TYPES; i++) {
		struct msg first = msg_of(types[i]), second;

		assert_passed(w, &first);
		assert_replay(w, &first);
		second = msg_of(types[i]);
		assert_passed(w, &second);
		assert_replay(w, &first);
		assert_replay(w, &second);
	}
}

static void first_messages_of_a_stranger_reach_user_space_once(void **state)
{
	struct world *w = *state;
	struct msg first = msg_of(WIRE_VOTE_REQ), second;

	assert_passed(w, &first);
	assert_replay(w, &first);
	second = msg_of(WIRE_VOTE_REQ);
	assert_passed(w, &second);
}

static void message_for_a_former_life_of_this_node_is_dropped(void **state)
{
	struct world *w = *state;
	const uint8_t answers[] = {WIRE_REFLECT, WIRE_VOTE, WIRE_REFUSE};

	for (size_t i = 0; i < sizeof(answers); i++) {
		struct msg msg = msg_of(answers[i]);

		msg.target_inc = SELF_INC + 1;
		assert_replay(w, &msg);
	}
}

static void time_that_this_node_has_not_had_is_dropped(void **state)
{
	struct world *w = *state;
	struct msg reflect = msg_of(WIRE_REFLECT), vote = msg_of(WIRE_VOTE);

	reflect.sent_ns = NEVER_NS;
	assert_replay(w, &reflect);
	vote.grant_ns = NEVER_NS;
	assert_replay(w, &vote);
}

static void flood_from_a_former_life_is_let_through_at_a_bounded_rate(void **state)
{
	struct world *w = *state;
	uint64_t begin, passed = 0;
	struct msg old = msg_of(WIRE_VOTE_REQ), fresh;
	int i;

	meet(w);
	old.sender_inc = OLD_INC;
	begin = now_boot_ns();
	for (i = 0; i < 5000; i++) {
		old.sent_ns++;
		send_from(w, &old, mac_other);
		passed += w->verdict == XDP_PASS;
	}
	assert_in_range(passed, 1, 1 + (now_boot_ns() - begin) / 1000000);
	assert_memory_equal(node_peer(w, NODE_PEER)->mac, mac_peer, 6);
	/* and what its sender says now comes through */
	fresh = msg_of(WIRE_VOTE_REQ);
	assert_passed(w, &fresh);
}

static void restarted_sender_is_known_by_its_first_reflection(void **state)
{
	struct world *w = *state;
	struct msg request = msg_of(WIRE_VOTE_REQ), reflect;

	request.sender_inc = OLD_INC;
	request.sent_ns = NEVER_NS; /* its clock was far ahead then */
	assert_passed(w, &request);
	meet(w);
	request = msg_of(WIRE_VOTE_REQ);
	assert_passed(w, &request);
	reflect = msg_of(WIRE_REFLECT);
	reflect.sender_inc = OLD_INC + 1;
	assert_passed(w, &reflect);
	request = msg_of(WIRE_VOTE_REQ);
	request.sender_inc = OLD_INC + 1;
	request.sent_ns = 1;
	assert_passed(w, &request);
}

/* Reflected, as each good echo is, but believed in nothing. */
static void echo_of_a_former_life_is_not_recorded(void **state)
{
	struct world *w = *state;
	struct msg old = msg_echo(), living = msg_echo();
	struct peer was;

	living.sent_ns = 7;
	old.sender_inc = OLD_INC;
	old.flags = STATUS_ARMED;
	meet(w);
	send_from(w, &living, mac_peer);
	was = *node_peer(w, NODE_PEER);
	assert_int_equal(was.sent_ns, 7);
	send_from(w, &old, mac_other);
	assert_int_equal(w->verdict, XDP_TX);
	assert_counted(w, REASON_echo_reflected);
	assert_memory_equal(node_peer(w, NODE_PEER), &was, sizeof(was));
}

static void echo_of_a_restarted_peer_is_recorded_when_no_reflection_speaks_against_it(void **state)
{
	struct world *w = *state;
	struct msg echo = msg_echo();

	meet(w);
	/* the agent here has sent no echo for long */
	w->fresh[SERVICE * MAX_NODES + NODE_PEER].newest_ns[WIRE_REFLECT] = 1;
	w->conf[SERVICE].lease_ns = 1000000;
	echo.sender_inc = OLD_INC;
	send_from(w, &echo, mac_peer);
	assert_int_equal(node_peer(w, NODE_PEER)->incarnation, OLD_INC);
}

/* Its time is this node's own, so it is fresh whatever its sender was before. */
static void grant_of_a_restarted_voter_moves_the_lease(void **state)
{
	struct world *w = *state;
	struct msg echo = msg_echo();

	meet(w);
	w->ownership[SERVICE].lease_until_ns = 1;
	echo.sender_inc = OLD_INC;
	echo.grant_ns = now_boot_ns();
	send_from(w, &echo, mac_peer);
	assert_int_equal(node_word(w), echo.grant_ns + LEASE_NS);
}

/* Or a dead heir would seem to grant, and its owner wait for it until the lease is over. */
static void old_grant_of_a_former_life_is_none_of_now(void **state)
{
	struct world *w = *state;
	struct peer *peer = node_peer(w, NODE_PEER);
	struct msg old = msg_echo(), living = msg_echo();
	uint64_t granted_ns;

	w->ownership[SERVICE].lease_until_ns = 1;
	old.sender_inc = OLD_INC;
	old.grant_ns = now_boot_ns();
	send_from(w, &old, mac_peer);
	assert_int_equal(peer->grant_until_ns, old.grant_ns + LEASE_NS);
	living.grant_ns = now_boot_ns();
	send_from(w, &living, mac_peer);
	assert_int_equal(peer->grant_until_ns, living.grant_ns + LEASE_NS);
	granted_ns = peer->last_grant_ns;
	send_from(w, &old, mac_other);
	assert_counted(w, REASON_echo_reflected, REASON_echo_grant_stale);
	assert_int_equal(peer->grant_until_ns, living.grant_ns + LEASE_NS);
	assert_int_equal(peer->last_grant_ns, granted_ns);
}

static void refused_resign_teaches_no_mac(void **state)
{
	struct world *w = *state;
	struct msg resign = msg_resign();

	resign.epoch = EPOCH;
	send_from(w, &resign, mac_other);
	assert_counted(w, REASON_resign_stale);
	assert_memory_equal(node_peer(w, NODE_PEER)->mac, mac_none, 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        behaviour(each_message_reaches_user_space_once),
	        behaviour(first_messages_of_a_stranger_reach_user_space_once),
	        behaviour(message_for_a_former_life_of_this_node_is_dropped),
	        behaviour(time_that_this_node_has_not_had_is_dropped),
	        behaviour(flood_from_a_former_life_is_let_through_at_a_bounded_rate),
	        behaviour(restarted_sender_is_known_by_its_first_reflection),
	        behaviour(echo_of_a_former_life_is_not_recorded),
	        behaviour(echo_of_a_restarted_peer_is_recorded_when_no_reflection_speaks_against_it),
	        behaviour(grant_of_a_restarted_voter_moves_the_lease),
	        behaviour(old_grant_of_a_former_life_is_none_of_now),
	        behaviour(refused_resign_teaches_no_mac),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
