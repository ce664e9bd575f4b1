/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a call keeper leaves is what the next one has; what is cut off or spoilt is taken as far as it goes.
 */
#include "replica_pair.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../user/calls/keepsake.h"

#define CALLS 300

static struct keepsake of(struct node *node)
{
	return (struct keepsake){.name = "pbx", .service = 3, .table = &node->table, .caught_up = true};
}

/* a's calls in a memory file; b is the one to take them. */
static int left(struct pair *p, int calls)
{
	int fd = memfd_create("test", MFD_CLOEXEC);
	struct keepsake from;

	assert_int_equal(ftruncate(fd, 2 << 20), 0); /* as sipflipd makes it */
	pair_start(p);
	for (int i = 0; i < calls; i++)
		put_dialog(p, &p->a, i);
	from = of(&p->a);
	assert_true(keepsake_is(fd));
	assert_int_equal(keepsake_write(fd, &from), 0);
	return fd;
}

static void the_next_keeper_has_every_dialog_whole(void **state)
{
	struct keepsake to;
	struct pair p;
	uint32_t taken;
	int fd = left(&p, CALLS);

	to = of(&p.b);
	assert_int_equal(keepsake_read(fd, &to, 1, &taken), 0);
	assert_int_equal(taken, CALLS);
	assert_true(to.caught_up);
	assert_same_tables(&p);
	close(fd);
	pair_done(&p);
}

static void no_call_at_all_is_left_and_taken_too(void **state)
{
	struct keepsake to;
	struct pair p;
	uint32_t taken = 7;
	int fd = left(&p, 0);

	to = of(&p.b);
	to.caught_up = false;
	assert_int_equal(keepsake_read(fd, &to, 1, &taken), 0);
	assert_int_equal(taken, 0);
	assert_true(to.caught_up);
	close(fd);
	pair_done(&p);
}

static void who_had_not_caught_up_does_not_say_so(void **state)
{
	struct keepsake from, to;
	struct pair p;
	uint32_t taken;
	int fd = memfd_create("test", MFD_CLOEXEC);

	pair_start(&p);
	put_dialog(&p, &p.a, 1);
	from = of(&p.a);
	from.caught_up = false;
	assert_int_equal(keepsake_write(fd, &from), 0);
	to = of(&p.b);
	assert_int_equal(keepsake_read(fd, &to, 1, &taken), 0);
	assert_int_equal(taken, 1);
	assert_false(to.caught_up);
	close(fd);
	pair_done(&p);
}

static void a_keepsake_cut_off_anywhere_gives_what_came_before(void **state)
{
	off_t whole, cut;
	uint32_t taken, last = 0;

	for (int tenth = 0; tenth < 10; tenth++) {
		struct pair p;
		struct keepsake to;
		int fd = left(&p, CALLS);

		whole = lseek(fd, 0, SEEK_CUR);
		cut = whole * tenth / 10 + (tenth > 0);
		/* the writer was killed: what it had not written is zeros, or is not there */
		assert_int_equal(ftruncate(fd, cut), 0);
		if (tenth & 1)
			assert_int_equal(ftruncate(fd, whole), 0);
		to = of(&p.b);
		assert_int_equal(keepsake_read(fd, &to, 1, &taken), tenth ? -EPROTO : 0);
		assert_false(to.caught_up);
		assert_in_range(taken, last, CALLS - 1);
		assert_int_equal(p.b.table.used, taken);
		last = taken;
		close(fd);
		pair_done(&p);
	}
	assert_true(last > CALLS / 2);
}

static void what_is_no_message_is_refused(void **state)
{
	static const uint8_t junk[] = "\x20\0\0\0this is not a message of the replica";
	struct keepsake to;
	struct pair p;
	uint32_t taken;
	int fd = left(&p, 0);

	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(write(fd, junk, sizeof(junk)), sizeof(junk));
	to = of(&p.b);
	assert_int_equal(keepsake_read(fd, &to, 1, &taken), -EPROTO);
	assert_int_equal(taken, 0);
	assert_false(to.caught_up);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(write(fd, "\xff\xff\xff\xff", 4), 4);
	assert_int_equal(keepsake_read(fd, &to, 1, &taken), -EPROTO);
	close(fd);
	pair_done(&p);
}

static void calls_of_a_service_that_is_gone_are_passed_over(void **state)
{
	struct keepsake to;
	struct pair p;
	uint32_t taken;
	int fd = left(&p, 5);

	to = of(&p.b);
	to.name = "other";
	assert_int_equal(keepsake_read(fd, &to, 1, &taken), 0);
	assert_int_equal(taken, 0);
	assert_int_equal(p.b.table.used, 0);
	assert_false(to.caught_up);
	close(fd);
	pair_done(&p);
}

static void a_table_without_room_has_not_caught_up(void **state)
{
	struct dialog_table small;
	struct keepsake to;
	struct pair p;
	uint32_t taken;
	int fd = left(&p, 5);

	assert_int_equal(dialog_table_init(&small, 3, 1), 0);
	to = of(&p.b);
	to.table = &small;
	assert_int_equal(keepsake_read(fd, &to, 1, &taken), 0);
	assert_int_equal(taken, small.used);
	assert_int_equal(small.used, 3);
	assert_false(to.caught_up);
	dialog_table_done(&small);
	close(fd);
	pair_done(&p);
}

static void a_file_that_is_too_small_is_an_error_and_no_more(void **state)
{
	struct keepsake from;
	struct pair p;
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	pair_start(&p);
	for (int i = 0; i < CALLS; i++)
		put_dialog(&p, &p.a, i);
	assert_int_equal(ftruncate(fd, 100000), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), 0);
	from = of(&p.a);
	assert_true(keepsake_write(fd, &from) < 0);
	close(fd);
	pair_done(&p);
}

static void any_other_descriptor_is_no_keepsake(void **state)
{
	int pipes[2];

	assert_int_equal(pipe(pipes), 0);
	assert_false(keepsake_is(pipes[0]));
	assert_false(keepsake_is(-1));
	close(pipes[0]);
	close(pipes[1]);
}

/* Both nodes' keepers are started over at once: no call is forgotten, and none that is over comes back. */
static void an_owner_with_its_keepsake_has_the_last_word(void **state)
{
	struct keepsake to;
	struct pair p;
	uint32_t taken;
	int fd = left(&p, 20);

	turns(&p, 8);
	drop(&p.a, 3);
	close(fd);
	fd = memfd_create("test", MFD_CLOEXEC);
	to = of(&p.a);
	assert_int_equal(keepsake_write(fd, &to), 0);
	p.a.cut = p.b.cut = true;
	node_restart(&p.a);
	to = of(&p.a);
	assert_int_equal(keepsake_read(fd, &to, 1, &taken), 0);
	p.a.session.caught_up = to.caught_up;
	p.a.cut = p.b.cut = false;
	turns(&p, 30);
	assert_int_equal(p.a.table.used, 19);
	assert_null(get(&p.b, 3));
	assert_same_tables(&p);
	assert_true(is_up(&p, &p.a));
	close(fd);
	pair_done(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_next_keeper_has_every_dialog_whole),
	        cmocka_unit_test(no_call_at_all_is_left_and_taken_too),
	        cmocka_unit_test(who_had_not_caught_up_does_not_say_so),
	        cmocka_unit_test(a_keepsake_cut_off_anywhere_gives_what_came_before),
	        cmocka_unit_test(what_is_no_message_is_refused),
	        cmocka_unit_test(calls_of_a_service_that_is_gone_are_passed_over),
	        cmocka_unit_test(a_table_without_room_has_not_caught_up),
	        cmocka_unit_test(a_file_that_is_too_small_is_an_error_and_no_more),
	        cmocka_unit_test(any_other_descriptor_is_no_keepsake),
	        cmocka_unit_test(an_owner_with_its_keepsake_has_the_last_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
