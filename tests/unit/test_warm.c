/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which phones' neighbour entries are kept, and the name of a server's run. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../user/calls/origin.h"
#include "../../user/calls/warm.h"
#include "addr.h"

static struct dialog_table table;
static struct keeper_warm warm;

static int set_up(void **state)
{
	return dialog_table_init(&table, 8192, 1);
}

static int tear_down(void **state)
{
	dialog_table_done(&table);
	return 0;
}

static struct inaddr16 phone(unsigned int n)
{
	struct inaddr16 addr;
	char text[32];

	snprintf(text, sizeof(text), "10.%u.%u.%u", n >> 16, n >> 8 & 255, n & 255);
	assert_int_equal(addr_parse(text, &addr), 0);
	return addr;
}

/* The phone's call; its signalling comes from its own address. */
static struct dialog *call(unsigned int n)
{
	char id[16];
	struct sip_event ev = {.at = mono_ns(1),
	                       .verb = SIP_VERB_INVITE,
	                       .cseq = 1,
	                       .remote = phone(n),
	                       .remote_port = 5060,
	                       .call_id = id,
	                       .from_tag = "f"};

	snprintf(id, sizeof(id), "c%u", n);
	dialog_table_event(&table, &ev);
	ev.out = true;
	ev.status = 200;
	ev.to_tag = "t";
	return dialog_table_event(&table, &ev);
}

static void each_address_is_told_once_and_the_newest_first(void **state)
{
	struct dialog *first = call(1);
	struct dialog_stream stream = {.from = phone(7), .from_port = 4000, .to = phone(1), .to_port = 4000};
	struct inaddr16 want[3] = {phone(1), phone(7), phone(2)};

	call(2);
	call(2);
	dialog_set_stream(&table, first, 0, &stream);
	warm_collect(&table, &warm);
	assert_int_equal(warm.n, 3);
	assert_memory_equal(warm.addr, want, sizeof(want));
}

static void ended_calls_need_no_neighbours(void **state)
{
	struct dialog *d = call(1);

	dialog_set_state(&table, d, DIALOG_ENDED, mono_ns(2));
	warm_collect(&table, &warm);
	assert_int_equal(warm.n, 0);
}

static void more_phones_than_fit_are_cut_at_the_oldest(void **state)
{
	struct inaddr16 newest = phone(5000);

	for (unsigned int n = 1; n <= 5000; n++)
		call(n);
	warm_collect(&table, &warm);
	assert_int_equal(warm.n, KEEPER_WARM_ADDRS);
	assert_true(addr_equal(&warm.addr[0], &newest));
}

static void hash_tells_one_set_from_another(void **state)
{
	uint64_t one;

	call(1);
	warm_collect(&table, &warm);
	one = warm_hash(&warm);
	warm_collect(&table, &warm);
	assert_true(warm_hash(&warm) == one);
	call(2);
	warm_collect(&table, &warm);
	assert_true(warm_hash(&warm) != one);
}

static void origin_is_the_same_for_one_run_and_no_other(void **state)
{
	pid_t child = fork();

	if (child == 0) {
		pause();
		_exit(0);
	}
	assert_true(child > 0);
	assert_true(origin_of(1, child) == origin_of(1, child));
	assert_true(origin_of(1, child) != origin_of(2, child));
	assert_true(origin_of(1, child) != origin_of(1, getpid()));
	assert_true(origin_of(1, child) != 0);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	assert_true(origin_of(1, child) != 0); /* gone meanwhile: still a name */
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	        T(each_address_is_told_once_and_the_newest_first),
	        T(ended_calls_need_no_neighbours),
	        T(more_phones_than_fit_are_cut_at_the_oldest),
	        T(hash_tells_one_set_from_another),
	        cmocka_unit_test(origin_is_the_same_for_one_run_and_no_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
