/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the agent may do to the word and its epoch, also while ingress changes them. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "word.h"

#define OURS   0x201 /* an epoch of node 1 */
#define OTHERS 0x302

static __u64 word, epoch;

static void only_who_is_fenced_becomes_owner(void **state)
{
	struct service_state service = {.epoch = OTHERS, .flipped_ns = 7, .first_packet_ns = 8};

	word = LEASE_FENCED;
	assert_true(word_own(&service, &word, OURS + 0x200, 100, 50));
	assert_int_equal(word, 100);
	assert_int_equal(service.epoch, OURS + 0x200);
	assert_int_equal(service.flipped_ns, 50);
	assert_int_equal(service.first_packet_ns, 0);
	assert_false(word_own(&service, &word, OURS + 0x200, 200, 60));
	assert_int_equal(word, 100);
}

/* Since then it owns: the call keeper and the relay go by it. */
static void a_new_epoch_of_an_owner_is_no_flip(void **state)
{
	struct service_state service = {.epoch = OURS, .flipped_ns = 7, .first_packet_ns = 8};

	word = 100;
	assert_false(word_own(&service, &word, OURS + 0x100, 100, 50));
	assert_int_equal(word, 100);
	assert_int_equal(service.epoch, OURS + 0x100);
	assert_int_equal(service.flipped_ns, 7);
	assert_int_equal(service.first_packet_ns, 8);
}

static void a_word_moves_forward_and_never_back(void **state)
{
	word = 100;
	assert_true(word_extend(&word, 200));
	assert_false(word_extend(&word, 150));
	assert_false(word_extend(&word, 200));
	assert_int_equal(word, 200);
}

static void only_an_endless_word_may_be_shortened(void **state)
{
	word = 100;
	assert_true(word_extend(&word, LEASE_FOREVER));
	assert_true(word_extend(&word, 300));
	assert_int_equal(word, 300);
}

static void who_is_fenced_stays_fenced(void **state)
{
	word = 100;
	word_fence(&word);
	assert_false(word_extend(&word, LEASE_FOREVER));
	assert_int_equal(word_read(&word), LEASE_FENCED);
}

static void a_higher_epoch_of_another_is_recognised_by_who_is_fenced(void **state)
{
	word = LEASE_FENCED;
	epoch = 0x101;
	assert_true(word_recognise(&epoch, &word, OTHERS));
	assert_int_equal(epoch, OTHERS);
}

static void a_lower_epoch_is_never_stored_over_a_higher_one(void **state)
{
	word = LEASE_FENCED;
	epoch = OTHERS;
	assert_false(word_recognise(&epoch, &word, OURS));
	assert_false(word_recognise(&epoch, &word, OTHERS));
	assert_int_equal(epoch, OTHERS);
}

static void an_owner_keeps_its_epoch(void **state)
{
	word = 1;
	epoch = OURS;
	assert_false(word_recognise(&epoch, &word, OTHERS));
	assert_int_equal(epoch, OURS);
}

static __u64 *watched; /* a word whose next reading is the instant at which ingress acts */
static bool ingress_ends;

/* resign.h: the epoch, and then the word. */
static void ingress_accepts(int signo)
{
	mprotect(watched, sizeof(*watched), PROT_READ | PROT_WRITE);
	epoch = OURS;
	if (ingress_ends)
		*watched = 100;
}

static void no_epoch_is_stored_over_one_that_ingress_takes_over_with(void **state)
{
	struct sigaction was, act = {.sa_handler = ingress_accepts};

	watched = mmap(NULL, sizeof(*watched), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(watched, MAP_FAILED);
	assert_int_equal(sigaction(SIGSEGV, &act, &was), 0);
	for (int i = 0; i < 2; i++) {
		ingress_ends = i;
		*watched = LEASE_FENCED;
		epoch = 0x101;
		mprotect(watched, sizeof(*watched), PROT_NONE);
		assert_false(word_recognise(&epoch, watched, 0x150));
		assert_int_equal(epoch, OURS);
		assert_int_equal(*watched, i ? 100 : LEASE_FENCED);
	}
	sigaction(SIGSEGV, &was, NULL);
	munmap(watched, sizeof(*watched));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(only_who_is_fenced_becomes_owner),
	        cmocka_unit_test(a_new_epoch_of_an_owner_is_no_flip),
	        cmocka_unit_test(a_word_moves_forward_and_never_back),
	        cmocka_unit_test(only_an_endless_word_may_be_shortened),
	        cmocka_unit_test(who_is_fenced_stays_fenced),
	        cmocka_unit_test(a_higher_epoch_of_another_is_recognised_by_who_is_fenced),
	        cmocka_unit_test(a_lower_epoch_is_never_stored_over_a_higher_one),
	        cmocka_unit_test(an_owner_keeps_its_epoch),
	        cmocka_unit_test(no_epoch_is_stored_over_one_that_ingress_takes_over_with),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
