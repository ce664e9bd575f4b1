/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The watch: real processes bind, die in many ways and close their sockets in a namespace of the test's own.
 */
#include "space.h"

#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "watch.skel.h"

#define OTHER_PORT 5062
#define NO_PORT    0

struct watch {
	struct world w;
	struct watch_bpf *skel;
	int cgroup;
};

static void watch_endpoint(struct watch *t, uint32_t addr)
{
	struct endpoint_key key = space_endpoint(addr, SIP_PORT);
	struct endpoint endpoint = {.services = 1ULL << SERVICE};

	map_put(t->skel->maps.endpoints, &key, &endpoint);
}

static int setup(void **state)
{
	struct watch *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	space_enter(65536);
	t->skel = watch_bpf__open();
	assert_non_null(t->skel);
	t->skel->rodata->netns_cookie = space_cookie();
	assert_return_code(watch_bpf__load(t->skel), errno);
	world_open(&t->w, t->skel->obj);
	t->cgroup = space_cgroup();
	assert_return_code(watch_bpf__attach(t->skel),
	                   errno); /* the tracepoints; the next two need a cgroup */
	t->skel->links.watch_sock_release =
	        bpf_program__attach_cgroup(t->skel->progs.watch_sock_release, t->cgroup);
	t->skel->links.watch_post_bind4 =
	        bpf_program__attach_cgroup(t->skel->progs.watch_post_bind4, t->cgroup);
	assert_non_null(t->skel->links.watch_sock_release);
	assert_non_null(t->skel->links.watch_post_bind4);
	watch_endpoint(t, LO_VIP);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct watch *t = *state;

	ring_buffer__free(t->w.ring);
	watch_bpf__destroy(t->skel);
	close(t->cgroup);
	free(t);
	return 0;
}

/* --- a server ------------------------------------------------------------------------ */
struct server_child {
	pid_t pid;
	int say;  /* one byte: do it */
	int hear; /* one byte: bound, or done */
};

typedef void (*child_act)(int sip_fd);

static int child_out; /* in the child: where it says that it has done it */

static void child_run(uint32_t addr, uint16_t port, int type, child_act act, int in, int out)
{
	int fd = port ? space_socket(type, addr, port) : -1;
	char c = fd < 0 && port ? 'x' : 'b';

	child_out = out;
	if (write(out, &c, 1) != 1 || read(in, &c, 1) != 1)
		_exit(99);
	act(fd);
	c = 'd';
	if (write(out, &c, 1) != 1)
		_exit(99);
	for (;;)
		pause();
}

static void child_hear(const struct server_child *child, char want)
{
	struct pollfd p = {.fd = child->hear, .events = POLLIN};
	char c;

	assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
	assert_int_equal(read(child->hear, &c, 1), 1);
	assert_int_equal(c, want);
}

static struct server_child child_start(uint32_t addr, uint16_t port, int type, child_act act)
{
	struct server_child child;
	int to[2], from[2];

	assert_return_code(pipe2(to, O_CLOEXEC), errno);
	assert_return_code(pipe2(from, O_CLOEXEC), errno);
	child.pid = fork();
	assert_return_code(child.pid, errno);
	if (!child.pid) {
		close(to[1]);
		close(from[0]);
		child_run(addr, port, type, act, to[0], from[1]);
	}
	close(to[0]);
	close(from[1]);
	child.say = to[1];
	child.hear = from[0];
	child_hear(&child, 'b');
	return child;
}

static void child_go(const struct server_child *child)
{
	assert_int_equal(write(child->say, "g", 1), 1);
}

static void child_end(struct server_child *child)
{
	kill(child->pid, SIGKILL);
	assert_int_equal(waitpid(child->pid, NULL, 0), child->pid);
	close(child->say);
	close(child->hear);
}

/* The next event, waiting for it. */
static const struct event *next_event(struct watch *t)
{
	t->w.n_events = 0;
	assert_true(ring_buffer__poll(t->w.ring, DEADLINE_MS) > 0);
	assert_int_equal(t->w.n_events, 1);
	assert_int_equal(t->w.events[0].services, 1ULL << SERVICE);
	return &t->w.events[0];
}

static void no_event(struct watch *t)
{
	world_events(&t->w);
	assert_int_equal(t->w.n_events, 0);
}

static bool is_watched(struct watch *t, pid_t pid, struct server *ret)
{
	uint32_t tgid = pid;

	return !bpf_map_lookup_elem(bpf_map__fd(t->skel->maps.servers), &tgid, ret);
}

static int table_size(struct bpf_map *map)
{
	uint8_t key[8], *at = NULL;
	int n = 0;

	while (!bpf_map_get_next_key(bpf_map__fd(map), at, key)) {
		at = key;
		n++;
	}
	return n;
}

/* A server on the VIP, found by its bind. */
static struct server_child server_start(struct watch *t, child_act act, uint64_t *ret_cookie)
{
	uint64_t before = now_boot_ns();
	struct server_child child = child_start(LO_VIP, SIP_PORT, SOCK_DGRAM, act);
	const struct event *e = next_event(t);
	struct server_socket socket;
	struct server server;

	assert_int_equal(e->type, EVENT_SERVER_BOUND);
	assert_int_equal(e->tgid, child.pid);
	assert_in_range(e->at_ns, before, now_boot_ns());
	assert_true(is_watched(t, child.pid, &server));
	assert_int_equal(server.services, 1ULL << SERVICE);
	assert_int_equal(server.since_ns, e->at_ns);
	assert_int_equal(server.dead_ns, 0);
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(t->skel->maps.sockets), &e->arg, &socket), 0);
	assert_int_equal(socket.tgid, child.pid);
	assert_int_equal(socket.services, 1ULL << SERVICE);
	if (ret_cookie)
		*ret_cookie = e->arg;
	return child;
}

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

static void act_nothing(int fd) {}
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
static void act_close(int fd)
{
	close(fd);
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

static int death_setup(void **state)
{
	const struct death_case *c = *state;
	int rc = setup(state);

	((struct watch *)*state)->w.test_case = c;
	return rc;
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
	int kill;
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

static void life(void **state)
{
	struct watch *t = *state;
	const struct life_case *c = t->w.test_case;
	struct server_child child = server_start(t, c->act, NULL);
	struct server server;

	child_go(&child);
	if (c->kill >= 0)
		child_hear(&child, 'd');
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

static int life_setup(void **state)
{
	const struct life_case *c = *state;
	int rc = setup(state);

	((struct watch *)*state)->w.test_case = c;
	return rc;
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

/* --- sockets ---------------------------------------------------------------------------- */
static void closed_sip_socket_of_a_live_server_is_told(void **state)
{
	struct watch *t = *state;
	uint64_t cookie;
	struct server_child child = server_start(t, act_close, &cookie);
	struct server server;
	const struct event *e;

	child_go(&child);
	e = next_event(t);
	assert_int_equal(e->type, EVENT_SOCKET_RELEASED);
	assert_int_equal(e->tgid, child.pid);
	assert_int_equal(e->arg, cookie);
	assert_int_equal(t->w.state[SERVICE].server_dead_ns, e->at_ns);
	assert_int_equal(table_size(t->skel->maps.sockets), 0);
	assert_true(is_watched(t, child.pid, &server));
	assert_int_equal(server.dead_ns, 0);
	child_end(&child);
}

static void server_bound_to_any_address_is_found(void **state)
{
	struct watch *t = *state;
	struct server_child child;
	struct server server;

	watch_endpoint(t, INADDR_ANY);
	child = child_start(INADDR_ANY, SIP_PORT, SOCK_DGRAM, act_nothing);
	assert_int_equal(next_event(t)->type, EVENT_SERVER_BOUND);
	assert_true(is_watched(t, child.pid, &server));
	child_end(&child);
}

static void unwatched(struct watch *t, uint32_t addr, uint16_t port, int type)
{
	struct server_child child = child_start(addr, port, type, act_nothing);

	no_event(t);
	assert_int_equal(table_size(t->skel->maps.servers), 0);
	assert_int_equal(table_size(t->skel->maps.sockets), 0);
	child_end(&child);
	no_event(t);
	assert_counted(&t->w);
}

static void other_binds_are_nobodys_business(void **state)
{
	unwatched(*state, LO_PHONE, SIP_PORT, SOCK_DGRAM);
	unwatched(*state, LO_VIP, OTHER_PORT, SOCK_DGRAM);
	unwatched(*state, LO_VIP, SIP_PORT, SOCK_STREAM);
	unwatched(*state, INADDR_ANY, SIP_PORT, SOCK_DGRAM);
}

static void bind_in_another_namespace_is_nobodys_business(void **state)
{
	space_enter(65536);
	unwatched(*state, LO_VIP, SIP_PORT, SOCK_DGRAM);
}

static void restarted_server_is_found_again(void **state)
{
	struct watch *t = *state;
	struct server_child first = server_start(t, act_nothing, NULL), second;

	kill(first.pid, SIGKILL);
	assert_int_equal(next_event(t)->type, EVENT_SERVER_SIGNAL);
	child_end(&first);
	second = server_start(t, act_nothing, NULL);
	assert_int_not_equal(t->w.state[SERVICE].server_dead_ns, 0); /* sipflipd's to clear */
	child_end(&second);
}

static void full_table_is_counted_and_the_bind_still_told(void **state)
{
	struct watch *t = *state;
	struct server_child child;
	struct server server = {0};
	uint32_t i;

	for (i = 0; i < MAX_SERVERS; i++) {
		uint32_t nobody = 0x40000000 + i; /* above every pid */

		map_put(t->skel->maps.servers, &nobody, &server);
	}
	t->w.before = counters_read(t->w.counters);
	child = child_start(LO_VIP, SIP_PORT, SOCK_DGRAM, act_nothing);
	assert_int_equal(next_event(t)->type, EVENT_SERVER_BOUND);
	assert_counted(&t->w, REASON_server_bound, REASON_servers_full);
	child_end(&child);
}

#define in_a_space(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	enum { D = sizeof(deaths) / sizeof(deaths[0]), L = sizeof(lives) / sizeof(lives[0]), FIXED = 10 };
	struct CMUnitTest tests[FIXED + D + L] = {
	        in_a_space(exit_of_many_threads_is_seen_once),
	        in_a_space(death_already_known_keeps_its_time),
	        in_a_space(death_is_marked_for_every_service_of_the_server_and_no_other),
	        in_a_space(death_of_a_stranger_is_nobodys_business),
	        in_a_space(agents_end_takes_away_what_the_server_last_answered),
	        in_a_space(closed_sip_socket_of_a_live_server_is_told),
	        in_a_space(server_bound_to_any_address_is_found),
	        in_a_space(other_binds_are_nobodys_business),
	        in_a_space(bind_in_another_namespace_is_nobodys_business),
	        in_a_space(restarted_server_is_found_again),
	        in_a_space(full_table_is_counted_and_the_bind_still_told),
	};
	int i;

	for (i = 0; i < D; i++)
		tests[FIXED + i] =
		        (struct CMUnitTest){deaths[i].name, death, death_setup, teardown, (void *)&deaths[i]};
	for (i = 0; i < L; i++)
		tests[FIXED + D + i] =
		        (struct CMUnitTest){lives[i].name, life, life_setup, teardown, (void *)&lives[i]};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
