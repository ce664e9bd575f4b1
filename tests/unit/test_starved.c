/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Real processes: what a look at their threads says of one that waits for a CPU, sleeps, is stopped, spins.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../user/calls/starved.h"

static struct mono now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return mono_ns(ts.tv_sec * NS_PER_S + ts.tv_nsec);
}

static void pause_ms(int ms)
{
	struct timespec ts = {.tv_nsec = ms * NS_PER_MS};

	nanosleep(&ts, NULL);
}

/* A child on CPU 0: spins or sleeps until it is killed. fifo: nothing ordinary runs beside it there. */
static pid_t child(bool spin, bool fifo)
{
	pid_t pid = fork();

	assert_int_not_equal(pid, -1);
	if (pid)
		return pid;
	struct sched_param param = {.sched_priority = 1};
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
	if (fifo && sched_setscheduler(0, SCHED_FIFO, &param))
		_exit(1);
	alarm(20); /* also when the test dies */
	for (;;)
		if (!spin)
			pause();
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* In at most two seconds of looks 3 ms apart: how many of them say starved; stops at the first if asked. */
static int looks(pid_t pid, int n, bool until_one)
{
	struct starved_look first, second;
	int starved = 0;

	for (int i = 0; i < n && !(until_one && starved); i++) {
		assert_int_equal(starved_take(pid, now(), &first), 0);
		pause_ms(3);
		assert_int_equal(starved_take(pid, now(), &second), 0);
		starved += starved_between(&first, &second);
	}
	return starved;
}

static void wait_for_state(pid_t pid, bool runnable)
{
	struct starved_look look;

	for (int i = 0; i < 500; i++) {
		assert_int_equal(starved_take(pid, now(), &look), 0);
		if (look.n == 1 && look.thread[0].runnable == runnable)
			return;
		pause_ms(4);
	}
	fail_msg("the child never became %s", runnable ? "runnable" : "idle");
}

static void a_process_kept_from_the_cpu_is_starved(void **state)
{
	pid_t hog, victim;

	if (geteuid() != 0)
		skip();
	victim = child(true, false);
	wait_for_state(victim, true);
	hog = child(true, true);
	assert_true(looks(victim, 500, true) > 0);
	end(hog);
	end(victim);
}

static void a_sleeping_process_is_not_starved(void **state)
{
	pid_t pid = child(false, false);

	wait_for_state(pid, false);
	assert_int_equal(looks(pid, 20, false), 0);
	end(pid);
}

static void a_stopped_process_is_not_starved(void **state)
{
	pid_t pid = child(true, false);

	kill(pid, SIGSTOP);
	wait_for_state(pid, false);
	assert_int_equal(looks(pid, 20, false), 0);
	end(pid);
}

static void a_process_that_is_gone_is_an_error(void **state)
{
	struct starved_look look;
	pid_t pid = child(false, false);

	end(pid);
	assert_true(starved_take(pid, now(), &look) < 0);
}

static void only_a_thread_that_hardly_ran_is_starved(void **state)
{
	struct starved_look a = {.at = mono_ns(1000), .n = 2}, b = {.at = mono_ns(5000), .n = 2};

	a.thread[0].tid = b.thread[1].tid = 7;
	a.thread[0].runnable = b.thread[1].runnable = true;
	a.thread[0].ran_ns = 100;
	b.thread[1].ran_ns = 100 + 1000;
	assert_false(starved_between(&a, &b));
	b.thread[1].ran_ns = 100 + 999;
	assert_true(starved_between(&a, &b));
	b.thread[1].runnable = false;
	assert_false(starved_between(&a, &b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_process_kept_from_the_cpu_is_starved),
	        cmocka_unit_test(a_sleeping_process_is_not_starved),
	        cmocka_unit_test(a_stopped_process_is_not_starved),
	        cmocka_unit_test(a_process_that_is_gone_is_an_error),
	        cmocka_unit_test(only_a_thread_that_hardly_ran_is_starved),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
