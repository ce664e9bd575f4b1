/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is a server's death, and what is none: real processes die in many ways. */
#include "watch.h"

#include <pthread.h>
#include <sys/syscall.h>

/* One event of this kind, the maps say it, and when all is over nothing of the server is left. */
static void assert_death(struct watch *t, struct server_child *child, uint32_t type, uint64_t arg,
                         uint64_t before)
{
	const struct event *e = next_event(t);
	struct server server;

	assert_int_equal(e->type, type);
	assert_int_equal(e->tgid, child->pid);
	assert_int_equal(e->arg, arg);
	assert_in_range(e->at_ns, before, now_boot_ns());
	assert_int_equal(t->w.state[SERVICE].server_dead_ns, e->at_ns);
	child_end(child);
	no_event(t);
	assert_false(is_watched(t, child->pid, &server));
	assert_int_equal(table_size(t->skel->maps.sockets), 0);
	assert_int_equal(counters_read(t->w.counters).server_socket_released, 1);
	assert_int_equal(counters_read(t->w.counters).server_exit, 1);
	assert_int_equal(counters_read(t->w.counters).server_signal > 0, type == EVENT_SERVER_SIGNAL);
}

static void act_exit(int fd)
{
	_exit(0);
}

static void act_abort(int fd)
{
	signal(SIGABRT, SIG_DFL);
	abort();
}

static void act_segv(int fd)
{
	signal(SIGSEGV, SIG_DFL);
	raise(SIGSEGV);
}

static void act_fault(int fd)
{
	signal(SIGSEGV, SIG_DFL);
	*(volatile char *)NULL = 1;
}

static void *thread_pause(void *arg)
{
	while (pause())
		;
	return arg;
}

static void threads_start(int n)
{
	pthread_t thread;

	while (n--)
		pthread_create(&thread, NULL, thread_pause, NULL);
}

static void act_threads_abort(int fd)
{
	threads_start(16);
	act_abort(fd);
}

static void act_threads_exit(int fd)
{
	threads_start(16);
	_exit(1);
}

static void *thread_return(void *arg)
{
	return arg;
}

static void act_thread_ends(int fd)
{
	pthread_t thread;

	pthread_create(&thread, NULL, thread_return, NULL);
	pthread_join(thread, NULL);
}

static void act_worker_dies(int fd)
{
	pid_t pid = fork();

	if (!pid)
		raise(SIGKILL);
	waitpid(pid, NULL, 0);
}

static void on_signal(int sig) {}

static void act_handle_term(int fd)
{
	signal(SIGTERM, on_signal);
}

static void act_ignore_term(int fd)
{
	signal(SIGTERM, SIG_IGN);
}

static void act_first_thread_ends(int fd)
{
	threads_start(1);
	syscall(SYS_exit, 0);
}

static void act_exec(int fd)
{
	threads_start(4);
	fcntl(fd, F_SETFD, 0);
	dup2(child_out, 9);
	execl("/bin/sh", "sh", "-c", "printf d >&9; exec sleep 60", NULL);
}

/* --- deaths -------------------------------------------------------------------------- */
struct death_case {
	const char *name;
	child_act act;
	int kill; /* a signal sent from outside, 0 = none */
	uint32_t type;
	uint64_t arg;
};

static const struct death_case deaths[] = {
        {"sigkill_is_seen", act_nothing, SIGKILL, EVENT_SERVER_SIGNAL, SIGKILL},
        {"sigterm_without_handler_is_seen", act_nothing, SIGTERM, EVENT_SERVER_SIGNAL, SIGTERM},
        {"sighup_without_handler_is_seen", act_nothing, SIGHUP, EVENT_SERVER_SIGNAL, SIGHUP},
        {"real_time_signal_without_handler_is_seen", act_nothing, 64, EVENT_SERVER_SIGNAL, 64},
        {"abort_is_seen", act_abort, 0, EVENT_SERVER_SIGNAL, SIGABRT},
        {"raised_segmentation_fault_is_seen", act_segv, 0, EVENT_SERVER_SIGNAL, SIGSEGV},
        {"segmentation_fault_is_seen", act_fault, 0, EVENT_SERVER_SIGNAL, SIGSEGV},
        {"abort_among_many_threads_is_seen_once", act_threads_abort, 0, EVENT_SERVER_SIGNAL, SIGABRT},
        {"exit_is_seen", act_exit, 0, EVENT_SERVER_EXIT, 0},
};

static void death(void **state)
{
	struct watch *t = *state;
	const struct death_case *c = t->w.test_case;
	struct server_child child = server_start(t, c->act, NULL);
	uint64_t before = now_boot_ns();

	child_go(&child);
	if (c->kill) {
		child_hear(&child, 'd');
		assert_return_code(kill(child.pid, c->kill), errno);
	}
	assert_death(t, &child, c->type, c->arg, before);
}

static void exit_of_many_threads_is_seen_once(void **state)
{
	struct watch *t = *state;
	struct server_child child = server_start(t, act_threads_exit, NULL);
	const struct event *e;

	child_go(&child);
	e = next_event(t);
	/* The kernel kills the other threads: whichever sign came first. */
	assert_true(e->type == EVENT_SERVER_EXIT || (e->type == EVENT_SERVER_SIGNAL && e->arg == SIGKILL));
	assert_int_equal(e->tgid, child.pid);
	child_end(&child);
	no_event(t);
}

static void death_already_known_keeps_its_time(void **state)
{
	struct watch *t = *state;
	struct server_child child = server_start(t, act_nothing, NULL);

	t->w.state[SERVICE].server_dead_ns = 77;
	kill(child.pid, SIGKILL);
	assert_int_equal(next_event(t)->type, EVENT_SERVER_SIGNAL);
	assert_int_equal(t->w.state[SERVICE].server_dead_ns, 77);
	child_end(&child);
}

static void death_is_marked_for_every_service_of_the_server_and_no_other(void **state)
{
	struct watch *t = *state;
	struct server server = {.services = 1ULL << 0 | 1ULL << 17 | 1ULL << 63};
	struct server_child child = child_start(0, NO_PORT, SOCK_DGRAM, act_nothing);
	uint32_t tgid = child.pid;
	int i;

	map_put(t->skel->maps.servers, &tgid, &server);
	kill(child.pid, SIGKILL);
	t->w.n_events = 0;
	assert_true(ring_buffer__poll(t->w.ring, DEADLINE_MS) > 0);
	assert_int_equal(t->w.events[0].services, server.services);
	for (i = 0; i < MAX_SERVICES; i++)
		assert_int_equal(t->w.state[i].server_dead_ns,
		                 server.services >> i & 1 ? t->w.events[0].at_ns : 0);
	child_end(&child);
}

/* --- what is no death ------------------------------------------------------------------ */
struct life_case {
	const char *name;
	child_act act;
	int kill; /* a signal sent from outside, 0 = none; -1: the act ends the thread that would say so */
};

static const struct life_case lives[] = {
        {"handled_sigterm_is_no_death", act_handle_term, SIGTERM},
        {"ignored_sigterm_is_no_death", act_ignore_term, SIGTERM},
        {"stopped_server_is_no_death", act_nothing, SIGSTOP},
        {"continued_server_is_no_death", act_nothing, SIGCONT},
        {"signal_that_does_nothing_is_no_death", act_nothing, SIGURG},
        {"end_of_a_thread_is_no_death", act_thread_ends, 0},
        {"end_of_the_first_thread_is_no_death", act_first_thread_ends, -1},
        {"exec_among_many_threads_is_no_death", act_exec, 0},
        {"death_of_a_worker_is_no_death", act_worker_dies, 0},
};

/* Its other threads go on; what is left of it is a zombie until they have ended too. */
static void until_first_thread_ended(pid_t pid)
{
	uint64_t end = now_boot_ns() + DEADLINE_MS * 1000000ULL;
	char path[64], stat[256] = "", *state = NULL;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", pid, pid);
	while (now_boot_ns() < end && (!state || state[2] != 'Z')) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);

		assert_true(fd >= 0 && read(fd, stat, sizeof(stat) - 1) > 0);
		close(fd);
		state = strrchr(stat, ')');
	}
	assert_true(state && state[2] == 'Z');
}

static void life(void **state)
{
	struct watch *t = *state;
	const struct life_case *c = t->w.test_case;
	struct server_child child = server_start(t, c->act, NULL);
	struct server server;

	child_go(&child);
	if (c->kill >= 0)
		child_hear(&child, 'd');
	else
		until_first_thread_ended(child.pid);
	if (c->kill > 0)
		assert_return_code(kill(child.pid, c->kill), errno);
	/* What would wrongly come, would come before this sign of another server's. */
	assert_true(is_watched(t, child.pid, &server));
	assert_int_equal(server.dead_ns, 0);
	no_event(t);
	assert_int_equal(t->w.state[SERVICE].server_dead_ns, 0);
	/* And the real one is still seen. */
	kill(child.pid, SIGKILL);
	assert_int_equal(next_event(t)->arg, SIGKILL);
	child_end(&child);
	no_event(t);
}

static void death_of_a_stranger_is_nobodys_business(void **state)
{
	struct watch *t = *state;
	struct server_child child = child_start(0, NO_PORT, SOCK_DGRAM, act_nothing);

	t->w.before = counters_read(t->w.counters);
	child_end(&child);
	no_event(t);
	assert_counted(&t->w);
}

/* --- the agent --------------------------------------------------------------------------- */
static void agents_end_takes_away_what_the_server_last_answered(void **state)
{
	struct watch *t = *state;
	struct server of_no_service = {0};
	struct server_child agent = child_start(0, NO_PORT, SOCK_DGRAM, act_nothing);
	uint32_t tgid = agent.pid;

	map_put(t->skel->maps.servers, &tgid, &of_no_service);
	for (int i = 3; i < 6; i++) {
		t->w.state[i].agent_pid = i == 4 ? tgid + 1 : tgid;
		t->w.state[i].ok_ns = 77;
	}
	t->w.before = counters_read(t->w.counters);
	kill(agent.pid, SIGKILL);
	child_end(&agent);
	no_event(t);
	assert_counted(&t->w);
	for (int i = 3; i < 6; i++) {
		assert_int_equal(t->w.state[i].agent_pid, i == 4 ? tgid + 1 : 0);
		assert_int_equal(t->w.state[i].ok_ns, i == 4 ? 77 : 0);
	}
	assert_false(is_watched(t, agent.pid, &of_no_service));
}

int main(void)
{
	static const struct CMUnitTest single[] = {
	        in_a_space(exit_of_many_threads_is_seen_once),
	        in_a_space(death_already_known_keeps_its_time),
	        in_a_space(death_is_marked_for_every_service_of_the_server_and_no_other),
	        in_a_space(death_of_a_stranger_is_nobodys_business),
	        in_a_space(agents_end_takes_away_what_the_server_last_answered),
	};
	struct CMUnitTest tests[COUNT_OF(single) + COUNT_OF(deaths) + COUNT_OF(lives)];
	size_t n = COUNT_OF(single);

	memcpy(tests, single, sizeof(single));
	add_cases(tests, n, deaths, death, setup, teardown);
	add_cases(tests, n, lives, life, setup, teardown);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
