/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The filter of a witness's socket: what is good and fresh is kept whole, once; all
 * else is dropped under the name that ingress has for it. PROG_TEST_RUN gives a socket
 * filter what follows the Ethernet header: here that is UDP's, as at a socket.
 */
#include "world.h"

#include "voters.skel.h"

#define WIT_INC 0x5566778899aabbccULL
#define KEPT    (8 + (int)sizeof(struct wire_msg))

static void destroy(void *skel)
{
	voters_bpf__destroy(skel);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct voters_bpf *skel = voters_bpf__open_and_load();
	uint32_t slot = 0;

	if (!w || !skel)
		return -1;
	w->skel = skel;
	w->destroy = destroy;
	w->prog = bpf_program__fd(skel->progs.voters);
	world_open(w, skel->obj);
	map_put(skel->maps.keys, &slot, &key_first);
	slot = 1;
	map_put(skel->maps.keys, &slot, &key_second);
	w->conf[SERVICE] = (struct service_conf){
	        .lease_ns = LEASE_NS, .incarnation = WIT_INC, .config_tag = CONFIG_TAG, .node = NODE_WIT};
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	world_close(*state);
	return 0;
}

static struct msg reflection(void)
{
	struct msg msg = msg_echo();

	msg.type = WIRE_REFLECT;
	msg.target = NODE_WIT;
	msg.target_inc = WIT_INC;
	msg.sent_ns = now_boot_ns();
	return msg;
}

static void give(struct world *w, const void *payload, uint16_t len)
{
	struct frame f = frame_eth(mac_other, mac_peer, 0x88b5);

	add_udp(&f, WIRE_PORT, WIRE_PORT, payload, len);
	run_frame(w, &f);
}

static void give_msg(struct world *w, const struct msg *msg, const struct siphash_key *key)
{
	struct wire_msg wire;

	msg_seal(msg, key, &wire);
	give(w, &wire, sizeof(wire));
}

static void assert_kept(struct world *w)
{
	assert_int_equal(w->verdict, KEPT);
	assert_counted(w, REASON_msg_passed);
}

static void assert_dropped(struct world *w, int reason)
{
	assert_int_equal(w->verdict, 0);
	assert_counted(w, reason);
}

static void good_message_is_kept_whole_and_once(void **state)
{
	struct world *w = *state;
	struct msg first = reflection(), second;

	give_msg(w, &first, &key_first);
	assert_kept(w);
	give_msg(w, &first, &key_first);
	assert_dropped(w, REASON_msg_replayed);
	second = reflection();
	give_msg(w, &second, &key_second);
	assert_kept(w);
	give_msg(w, &first, &key_second);
	assert_dropped(w, REASON_msg_replayed);
}

static void resign_shown_to_it_is_kept_though_it_names_the_heir(void **state)
{
	struct world *w = *state;
	struct msg resign = msg_resign();

	give_msg(w, &resign, &key_first);
	assert_kept(w);
	give_msg(w, &resign, &key_first);
	assert_dropped(w, REASON_msg_replayed);
}

static void every_flipped_bit_is_noticed(void **state)
{
	struct world *w = *state;
	struct msg msg = reflection();
	struct wire_msg good;
	unsigned int bit;

	msg_seal(&msg, &key_first, &good);
	for (bit = 0; bit < sizeof(good) * 8; bit++) {
		struct wire_msg bad = good;

		((uint8_t *)&bad)[bit / 8] ^= (uint8_t)(1 << bit % 8);
		give(w, &bad, sizeof(bad));
		assert_int_equal(w->verdict, 0);
	}
	give(w, &good, sizeof(good));
	assert_kept(w);
}

static void message_of_another_length_is_dropped(void **state)
{
	struct world *w = *state;
	struct msg msg = reflection();
	struct wire_msg wire[2] = {0};
	uint16_t len;

	msg_seal(&msg, &key_first, &wire[0]);
	for (len = 8; len < sizeof(wire); len++) {
		if (len == sizeof(wire[0]))
			continue;
		give(w, wire, len);
		assert_dropped(w, REASON_msg_bad_length);
	}
}

static void each_way_to_be_wrong_has_its_name(void **state)
{
	struct world *w = *state;
	struct msg msg = reflection();

	msg.config_tag++;
	give_msg(w, &msg, &key_first);
	assert_dropped(w, REASON_msg_config_mismatch);
	msg = reflection();
	msg.target = NODE_SELF;
	give_msg(w, &msg, &key_first);
	assert_dropped(w, REASON_msg_not_for_us);
	msg = reflection();
	msg.service = SERVICE + 1;
	give_msg(w, &msg, &key_first);
	assert_dropped(w, REASON_msg_bad_service);
	msg.service = MAX_SERVICES;
	give_msg(w, &msg, &key_first);
	assert_dropped(w, REASON_msg_bad_service);
	msg = reflection();
	msg.sender = 0;
	give_msg(w, &msg, &key_first);
	assert_dropped(w, REASON_msg_bad_service);
	msg.sender = MAX_NODES;
	give_msg(w, &msg, &key_first);
	assert_dropped(w, REASON_msg_bad_service);
	msg = reflection();
	msg.type = WIRE_RESIGN + 1;
	give_msg(w, &msg, &key_first);
	assert_dropped(w, REASON_msg_bad_magic);
	msg = reflection();
	give_msg(w, &msg, &key_wrong);
	assert_dropped(w, REASON_msg_bad_tag);
	msg.target_inc++;
	give_msg(w, &msg, &key_first);
	assert_dropped(w, REASON_msg_replayed);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(good_message_is_kept_whole_and_once),
	        T(resign_shown_to_it_is_kept_though_it_names_the_heir),
	        T(every_flipped_bit_is_noticed),
	        T(message_of_another_length_is_dropped),
	        T(each_way_to_be_wrong_has_its_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
