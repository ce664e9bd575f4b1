/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is not a good message for this node changes nothing and is dropped by
 * name; what is for user space passes untouched. Includes 20,000 mutations of
 * good messages with a fixed seed, against user/core/msg.c as the judge.
 */
#include "node.h"

#define WORD 1234567ULL /* lapsed, but not fenced: any good grant would move it */

/* Everything that a bad message must not change. */
struct memory {
	struct ownership ownership[MAX_SERVICES];
	struct service_conf conf[MAX_SERVICES];
	struct service_state state[MAX_SERVICES];
	struct peer peers[MAX_SERVICES * MAX_NODES];
};

static void memory_read(const struct world *w, struct memory *m)
{
	memcpy(m->ownership, w->ownership, sizeof(m->ownership));
	memcpy(m->conf, w->conf, sizeof(m->conf));
	memcpy(m->state, w->state, sizeof(m->state));
	memcpy(m->peers, w->peers, sizeof(m->peers));
}

static void memory_write(struct world *w, const struct memory *m)
{
	memcpy(w->ownership, m->ownership, sizeof(m->ownership));
	memcpy(w->state, m->state, sizeof(m->state));
	memcpy(w->peers, m->peers, sizeof(m->peers));
}

static void assert_unchanged(const struct world *w, const struct memory *was)
{
	static struct memory now;

	memory_read(w, &now);
	assert_memory_equal(&now, was, sizeof(now));
}

static struct msg msg_renewing(void)
{
	struct msg msg = msg_echo();

	msg.grant_ns = now_boot_ns() - 1000;
	return msg;
}

/* The frame is dropped for this reason, and it and the maps are as they were. */
static void assert_dropped(struct world *w, const struct frame *in, int reason)
{
	static struct memory was;

	w->ownership[SERVICE].lease_until_ns = WORD;
	w->state[SERVICE].armed_until_ns = ~0ULL;
	memory_read(w, &was);
	run_frame(w, in);
	assert_int_equal(w->verdict, XDP_DROP);
	assert_frame(w, in);
	assert_counted(w, reason);
	assert_unchanged(w, &was);
	assert_int_equal(w->n_events, 0);
}

static void assert_passed_unseen(struct world *w, const struct frame *in)
{
	static struct memory was;

	w->ownership[SERVICE].lease_until_ns = WORD;
	memory_read(w, &was);
	run_frame(w, in);
	assert_int_equal(w->verdict, XDP_PASS);
	assert_frame(w, in);
	assert_counted(w);
	assert_unchanged(w, &was);
}

/* --- one way each to be wrong ---------------------------------------------------- */
struct bad_case {
	const char *name;
	void (*spoil)(struct msg *msg, struct wire_msg *wire); /* wire NULL: before sealing */
	int reason;
};

static void magic(struct msg *m, struct wire_msg *wire)
{
	if (wire)
		wire->magic ^= 1;
}
static void version(struct msg *m, struct wire_msg *wire)
{
	if (wire)
		wire->version = WIRE_VERSION + 1;
}
static void type_none(struct msg *m, struct wire_msg *wire)
{
	m->type = 0;
}
static void type_unknown(struct msg *m, struct wire_msg *wire)
{
	m->type = WIRE_RESIGN + 1;
}
static void service_unconfigured(struct msg *m, struct wire_msg *wire)
{
	m->service = SERVICE + 1;
}
static void service_out_of_range(struct msg *m, struct wire_msg *wire)
{
	m->service = MAX_SERVICES;
}
static void sender_none(struct msg *m, struct wire_msg *wire)
{
	m->sender = 0;
}
static void sender_out_of_range(struct msg *m, struct wire_msg *wire)
{
	m->sender = MAX_NODES;
}
static void sender_self(struct msg *m, struct wire_msg *wire)
{
	m->sender = NODE_SELF;
}
static void target_other(struct msg *m, struct wire_msg *wire)
{
	m->target = NODE_WIT;
}
static void vote_for_other(struct msg *m, struct wire_msg *wire)
{
	m->type = WIRE_VOTE;
	m->target = NODE_PEER;
}
static void config_other(struct msg *m, struct wire_msg *wire)
{
	m->config_tag++;
}
static void tag_bit(struct msg *m, struct wire_msg *wire)
{
	if (wire)
		wire->tag[7] ^= 0x80;
}
static void epoch_changed(struct msg *m, struct wire_msg *wire)
{
	if (wire)
		wire->epoch ^= 0x0100;
}
static void resign_forged(struct msg *m, struct wire_msg *wire)
{
	m->type = WIRE_RESIGN;
	if (wire)
		wire->tag[0] ^= 1;
}
static void vote_forged(struct msg *m, struct wire_msg *wire)
{
	m->type = WIRE_VOTE;
	if (wire)
		wire->tag[3] ^= 1;
}

static const struct bad_case bad[] = {
        {"wrong_magic_is_dropped", magic, REASON_msg_bad_magic},
        {"wrong_version_is_dropped", version, REASON_msg_bad_magic},
        {"type_zero_is_dropped", type_none, REASON_msg_bad_magic},
        {"unknown_type_is_dropped", type_unknown, REASON_msg_bad_magic},
        {"unconfigured_service_is_dropped", service_unconfigured, REASON_msg_bad_service},
        {"service_out_of_range_is_dropped", service_out_of_range, REASON_msg_bad_service},
        {"sender_zero_is_dropped", sender_none, REASON_msg_bad_service},
        {"sender_out_of_range_is_dropped", sender_out_of_range, REASON_msg_bad_service},
        {"own_number_as_sender_is_dropped", sender_self, REASON_msg_bad_service},
        {"echo_for_another_node_is_dropped", target_other, REASON_msg_not_for_us},
        {"vote_for_another_node_is_dropped", vote_for_other, REASON_msg_not_for_us},
        {"other_configuration_is_dropped", config_other, REASON_msg_config_mismatch},
        {"forged_tag_is_dropped", tag_bit, REASON_msg_bad_tag},
        {"changed_message_is_dropped", epoch_changed, REASON_msg_bad_tag},
        {"forged_resign_is_dropped", resign_forged, REASON_msg_bad_tag},
        {"forged_vote_is_dropped", vote_forged, REASON_msg_bad_tag},
};

static void bad_message(void **state)
{
	struct world *w = *state;
	const struct bad_case *c = w->test_case;
	struct msg msg = msg_renewing();
	struct wire_msg wire;
	struct frame in;

	c->spoil(&msg, NULL);
	msg_seal(&msg, &key_first, &wire);
	c->spoil(&msg, &wire);
	in = frame_msg(&msg, &key_first);
	memcpy(in.b + MSG_AT, &wire, sizeof(wire));
	assert_dropped(w, &in, c->reason);
}

static void every_flipped_bit_is_noticed(void **state)
{
	struct world *w = *state;
	struct msg msg = msg_renewing();
	struct frame good = frame_msg(&msg, &key_first);
	unsigned int bit;

	w->ownership[SERVICE].lease_until_ns = WORD;
	for (bit = 0; bit < sizeof(struct wire_msg) * 8; bit++) {
		struct frame in = good;

		in.b[MSG_AT + bit / 8] ^= 1 << bit % 8;
		run_frame(w, &in);
		assert_int_equal(w->verdict, XDP_DROP);
		assert_int_equal(node_word(w), WORD);
	}
	run_frame(w, &good);
	assert_int_equal(w->verdict, XDP_TX);
	assert_int_equal(node_word(w), msg.grant_ns + LEASE_NS);
}

static void key_that_is_in_no_slot_is_refused(void **state)
{
	struct world *w = *state;
	struct msg msg = msg_renewing();
	struct frame in = frame_msg(&msg, &key_wrong);

	assert_dropped(w, &in, REASON_msg_bad_tag);
}

static void empty_slot_is_no_key(void **state)
{
	struct world *w = *state;
	const struct siphash_key none = {0, 0};
	struct msg msg = msg_renewing();
	struct frame in = frame_msg(&msg, &none);

	node_key(w, 1, none);
	assert_dropped(w, &in, REASON_msg_bad_tag);
	node_key(w, 0, none);
	assert_dropped(w, &in, REASON_msg_bad_tag);
}

static void message_of_another_length_is_dropped(void **state)
{
	struct world *w = *state;
	struct msg msg = msg_renewing();
	struct wire_msg wire[2] = {0};
	uint16_t len;

	msg_seal(&msg, &key_first, &wire[0]);
	for (len = 0; len < sizeof(wire); len++) {
		struct frame in =
		        frame_udp(mac_self, mac_peer, ADDR_PEER, WIRE_PORT, ADDR_SELF, WIRE_PORT, wire, len);

		if (len != sizeof(wire[0]))
			assert_dropped(w, &in, REASON_msg_bad_length);
	}
}

static void message_cut_short_on_the_wire_is_dropped(void **state)
{
	struct world *w = *state;
	struct msg msg = msg_renewing();
	struct frame in = frame_msg(&msg, &key_first);

	for (in.len = MSG_FRAME - 1; in.len >= MSG_AT; in.len--)
		assert_dropped(w, &in, REASON_msg_bad_length);
	for (; in.len >= 14; in.len--)
		assert_passed_unseen(w, &in);
}

static void lengths_that_disagree_are_dropped(void **state)
{
	struct world *w = *state;
	struct msg msg = msg_renewing();
	struct frame in = frame_msg(&msg, &key_first);

	put16(in.b + 38, 87);
	assert_dropped(w, &in, REASON_msg_bad_length);
	in = frame_msg(&msg, &key_first);
	put16(in.b + 16, 109);
	assert_dropped(w, &in, REASON_msg_bad_length);
}

static void what_is_not_for_the_echo_address_passes(void **state)
{
	struct world *w = *state;
	struct msg msg = msg_renewing();
	struct frame in = frame_msg(&msg, &key_first);

	put32(in.b + 30, ADDR_FAR);
	assert_passed_unseen(w, &in);
	in.b[MSG_AT] ^= 1;
	assert_passed_unseen(w, &in);
	in = frame_msg(&msg, &key_first);
	put16(in.b + 36, WIRE_PORT + 1);
	assert_passed_unseen(w, &in);
	in = frame_msg(&msg, &key_first);
	in.b[14 + 9] = 6;
	assert_passed_unseen(w, &in);
}

static void fragments_and_ip_options_pass(void **state)
{
	struct world *w = *state;
	struct msg msg = msg_renewing();
	struct frame in = frame_msg(&msg, &key_first);

	put16(in.b + 20, 0x2000);
	assert_passed_unseen(w, &in);
	put16(in.b + 20, 0x0001);
	assert_passed_unseen(w, &in);
	in = frame_msg(&msg, &key_first);
	in.b[14] = 0x46;
	assert_passed_unseen(w, &in);
}

static void node_without_a_service_answers_nothing(void **state)
{
	struct world *w = *state;
	struct msg msg = msg_renewing();
	struct frame in = frame_msg(&msg, &key_first);

	memset(&w->conf[SERVICE], 0, sizeof(w->conf[SERVICE]));
	assert_passed_unseen(w, &in);
	w->conf[0] = (struct service_conf){
	        .incarnation = 1, .node_addr = mapped(ADDR_SELF), .echo_port = WIRE_PORT, .node = NODE_SELF};
	assert_dropped(w, &in, REASON_msg_bad_service);
}

static void messages_for_user_space_pass_untouched(void **state)
{
	struct world *w = *state;
	const uint8_t types[] = {WIRE_REFLECT, WIRE_VOTE_REQ, WIRE_VOTE, WIRE_REFUSE};
	unsigned int i;

	for (i = 0; i < sizeof(types); i++) {
		struct msg msg = msg_renewing();
		struct frame in;
		bool says_who = types[i] == WIRE_REFLECT || types[i] == WIRE_VOTE_REQ;

		msg.type = types[i];
		in = frame_msg(&msg, i % 2 ? &key_second : &key_first);
		memset(node_peer(w, NODE_PEER), 0, sizeof(struct peer));
		run_frame(w, &in);
		assert_int_equal(w->verdict, XDP_PASS);
		assert_frame(w, &in);
		assert_counted(w, REASON_msg_passed);
		assert_memory_equal(node_peer(w, NODE_PEER)->mac, says_who ? mac_peer : mac_none, 6);
		assert_int_equal(node_peer(w, NODE_PEER)->echoes, 0);
	}
}

static void tag_is_that_of_libsodium_for_many_messages_and_keys(void **state)
{
	struct world *w = *state;
	unsigned int seed = 20091122, i, j;

	for (i = 0; i < 2000; i++) {
		struct msg echo = msg_echo(), got;
		struct siphash_key key;
		uint8_t random[56];
		struct frame in;

		for (j = 0; j < sizeof(random); j++)
			random[j] = rand_r(&seed) >> 8;
		memcpy(&key, random, 16);
		memcpy(&echo.seq, random + 16, 8);
		memcpy(&echo.sent_ns, random + 24, 8);
		memcpy(&echo.epoch, random + 32, 8);
		memcpy(&echo.sender_inc, random + 40, 8);
		memcpy(&echo.ok_age_us, random + 48, 4);
		memcpy(&echo.turn_age_us, random + 52, 4);
		node_key(w, i % 2, key);
		in = frame_msg(&echo, &key);
		run_frame(w, &in);
		assert_int_equal(w->verdict, XDP_TX);
		assert_int_equal(msg_open(w->out.b + MSG_AT, sizeof(struct wire_msg), &key, 1, &got), 0);
		assert_int_equal(got.seq, echo.seq);
		assert_int_equal(got.target_inc, echo.sender_inc);
	}
}

/* One to eight bytes changed anywhere, sometimes cut or lengthened. */
static struct frame mutate(const struct frame *good, unsigned int *seed)
{
	struct frame f = *good;
	int changes = 1 + rand_r(seed) % 8;

	while (changes--)
		f.b[(unsigned int)rand_r(seed) % f.len] ^= 1 + rand_r(seed) % 255;
	if (rand_r(seed) % 8 == 0)
		f.len = 14 + (unsigned int)rand_r(seed) % 200;
	return f;
}

static void mutated(struct world *w, const struct frame *good, const struct memory *before,
                    unsigned int *seed, int *ret_touched)
{
	const struct siphash_key keys[] = {key_first, key_second};
	static struct memory now, blank;
	struct frame in = mutate(good, seed);
	struct msg msg;

	memory_write(w, before);
	run_frame(w, &in);
	if (in.len < MSG_FRAME || msg_open(in.b + MSG_AT, sizeof(struct wire_msg), keys, 2, &msg)) {
		blank = *before;
		memory_read(w, &now);
		assert_memory_equal(&now, &blank, sizeof(now));
		assert_int_not_equal(w->verdict, XDP_ABORTED);
	} else if (node_word(w) != before->ownership[SERVICE].lease_until_ns) {
		++*ret_touched;
	}
}

static void no_mutation_moves_the_word_unless_the_tag_is_good(void **state)
{
	struct world *w = *state;
	struct msg echo = msg_renewing(), resign;
	static struct memory owner, heir;
	struct frame good;
	unsigned int seed = 5060;
	int i, touched = 0;

	w->ownership[SERVICE].lease_until_ns = WORD;
	memory_read(w, &owner);
	w->ownership[SERVICE].lease_until_ns = 0;
	w->state[SERVICE].armed_until_ns = ~0ULL;
	memory_read(w, &heir);

	good = frame_msg(&echo, &key_second);
	for (i = 0; i < 20000; i++)
		mutated(w, &good, &owner, &seed, &touched);
	assert_true(touched > 0); /* only the headers were hit: the good message works */
	touched = 0;
	for (i = 0; i < 5000; i++) {
		resign = msg_resign();
		good = frame_msg(&resign, &key_first);
		mutated(w, &good, &heir, &seed, &touched);
	}
	assert_true(touched > 0);
}

int main(void)
{
	static const struct CMUnitTest single[] = {
	        behaviour(every_flipped_bit_is_noticed),
	        behaviour(key_that_is_in_no_slot_is_refused),
	        behaviour(empty_slot_is_no_key),
	        behaviour(message_of_another_length_is_dropped),
	        behaviour(message_cut_short_on_the_wire_is_dropped),
	        behaviour(lengths_that_disagree_are_dropped),
	        behaviour(what_is_not_for_the_echo_address_passes),
	        behaviour(fragments_and_ip_options_pass),
	        behaviour(node_without_a_service_answers_nothing),
	        behaviour(messages_for_user_space_pass_untouched),
	        behaviour(tag_is_that_of_libsodium_for_many_messages_and_keys),
	        behaviour(no_mutation_moves_the_word_unless_the_tag_is_good),
	};
	struct CMUnitTest tests[COUNT_OF(single) + COUNT_OF(bad)];
	size_t n = COUNT_OF(single);

	memcpy(tests, single, sizeof(single));
	add_cases(tests, n, bad, bad_message, node_setup, node_teardown);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
