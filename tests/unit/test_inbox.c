/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The voters' socket as the loop reads it: what is told of each message, and when it came. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../user/sentinel/inbox.h"

static const struct siphash_key keys[KEY_SLOTS] = {{1, 2}, {3, 4}};
static int fd[2];
static int64_t time_ns;

static struct mono clock_shown(void)
{
	return mono_ns(time_ns);
}

static void send_message(uint64_t seq, const struct siphash_key *key)
{
	struct msg msg = {.type = WIRE_REFLECT, .sender = 1, .target = 2, .seq = seq};
	struct wire_msg wire;

	msg_seal(&msg, key, &wire);
	assert_int_equal(send(fd[1], &wire, sizeof(wire), 0), sizeof(wire));
}

struct seen {
	int n;
	uint64_t seq[INBOX_TURN];
	int64_t at_ns[INBOX_TURN];
	uint64_t answer_until; /* while it is told of a message, the next one up to this is sent */
};

static void reader(void *ctx, const struct msg *msg, struct mono now)
{
	struct seen *seen = ctx;

	seen->seq[seen->n] = msg->seq;
	seen->at_ns[seen->n++] = now.ns;
	time_ns += 20 * NS_PER_MS; /* the turn stalls here */
	if (msg->seq < seen->answer_until)
		send_message(msg->seq + 1, &keys[0]);
}

static int setup(void **state)
{
	time_ns = NS_PER_S;
	return socketpair(AF_UNIX, SOCK_DGRAM, 0, fd);
}

static int teardown(void **state)
{
	close(fd[0]);
	close(fd[1]);
	return 0;
}

static uint64_t read_into(struct seen *seen)
{
	return inbox_read(fd[0], keys, clock_shown, reader, seen);
}

static void no_message_is_given_a_time_before_it_came(void **state)
{
	struct seen seen = {.answer_until = 3};

	send_message(1, &keys[0]);
	assert_int_equal(read_into(&seen), 0);
	assert_int_equal(seen.n, 3);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(seen.seq[i], i + 1);
		assert_int_equal(seen.at_ns[i], NS_PER_S + i * 20 * NS_PER_MS);
	}
}

static void either_key_opens_a_message_and_what_neither_opens_is_counted(void **state)
{
	static const struct siphash_key foreign = {9, 9};
	struct seen seen = {0};

	send_message(1, &keys[1]);
	send_message(2, &foreign);
	assert_int_equal(send(fd[1], "short", 5, 0), 5);
	send_message(3, &keys[0]);
	assert_int_equal(read_into(&seen), 2);
	assert_int_equal(seen.n, 2);
	assert_int_equal(seen.seq[0], 1);
	assert_int_equal(seen.seq[1], 3);
}

static void a_flood_leaves_the_loop_its_turns(void **state)
{
	struct seen seen = {.answer_until = 10 * INBOX_TURN};

	send_message(1, &keys[0]);
	assert_int_equal(read_into(&seen), 0);
	assert_int_equal(seen.n, INBOX_TURN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(no_message_is_given_a_time_before_it_came, setup, teardown),
	        cmocka_unit_test_setup_teardown(either_key_opens_a_message_and_what_neither_opens_is_counted,
	                                        setup, teardown),
	        cmocka_unit_test_setup_teardown(a_flood_leaves_the_loop_its_turns, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
