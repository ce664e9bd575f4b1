/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The watch's programs in a namespace of the test's own, and servers that are real
 * processes there: told what to do by one byte, they say by another that it is done.
 * The set-up of test_watch*.c only.
 */
#ifndef SIPFLIP_TEST_WATCH_H
#define SIPFLIP_TEST_WATCH_H

#include "space.h"

#include <signal.h>
#include <sys/wait.h>

#include "watch.skel.h"

#define NO_PORT 0

struct watch {
	struct world w;
	struct watch_bpf *skel;
	int cgroup;
};

static inline void watch_endpoint(struct watch *t, uint32_t addr)
{
	struct endpoint_key key = space_endpoint(addr, SIP_PORT);
	struct endpoint endpoint = {.services = 1ULL << SERVICE};

	map_put(t->skel->maps.endpoints, &key, &endpoint);
}

static inline int setup(void **state)
{
	const void *test_case = *state;
	struct watch *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	space_enter(65536);
	t->skel = watch_bpf__open();
	assert_non_null(t->skel);
	t->skel->rodata->netns_cookie = space_cookie();
	assert_return_code(watch_bpf__load(t->skel), errno);
	world_open(&t->w, t->skel->obj);
	t->w.test_case = test_case;
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

static inline int teardown(void **state)
{
	struct watch *t = *state;

	ring_buffer__free(t->w.ring);
	watch_bpf__destroy(t->skel);
	close(t->cgroup);
	free(t);
	return 0;
}

struct server_child {
	pid_t pid;
	int say;  /* one byte: do it */
	int hear; /* one byte: bound, or done */
};

typedef void (*child_act)(int sip_fd);

static int child_out; /* in the child: where it says that it has done it */

static inline void child_run(uint32_t addr, uint16_t port, int type, child_act act, int in, int out)
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

static inline void child_hear(const struct server_child *child, char want)
{
	struct pollfd p = {.fd = child->hear, .events = POLLIN};
	char c;

	assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
	assert_int_equal(read(child->hear, &c, 1), 1);
	assert_int_equal(c, want);
}

static inline struct server_child child_start(uint32_t addr, uint16_t port, int type, child_act act)
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

static inline void child_go(const struct server_child *child)
{
	assert_int_equal(write(child->say, "g", 1), 1);
}

static inline void child_end(struct server_child *child)
{
	kill(child->pid, SIGKILL);
	assert_int_equal(waitpid(child->pid, NULL, 0), child->pid);
	close(child->say);
	close(child->hear);
}

/* The next event, waiting for it. */
static inline const struct event *next_event(struct watch *t)
{
	t->w.n_events = 0;
	assert_true(ring_buffer__poll(t->w.ring, DEADLINE_MS) > 0);
	assert_int_equal(t->w.n_events, 1);
	assert_int_equal(t->w.events[0].services, 1ULL << SERVICE);
	return &t->w.events[0];
}

static inline void no_event(struct watch *t)
{
	world_events(&t->w);
	assert_int_equal(t->w.n_events, 0);
}

static inline bool is_watched(struct watch *t, pid_t pid, struct server *ret)
{
	uint32_t tgid = pid;

	return !bpf_map_lookup_elem(bpf_map__fd(t->skel->maps.servers), &tgid, ret);
}

static inline int table_size(struct bpf_map *map)
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
static inline struct server_child server_start(struct watch *t, child_act act, uint64_t *ret_cookie)
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

static inline void act_nothing(int fd) {}

#define in_a_space(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

#endif
