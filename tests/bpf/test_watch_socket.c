/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which sockets make a process a watched server, and what is told when they close. */
#include "watch.h"

#define OTHER_PORT 5062

static void act_close(int fd)
{
	close(fd);
}

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

int main(void)
{
	const struct CMUnitTest tests[] = {
	        in_a_space(closed_sip_socket_of_a_live_server_is_told),
	        in_a_space(server_bound_to_any_address_is_found),
	        in_a_space(other_binds_are_nobodys_business),
	        in_a_space(bind_in_another_namespace_is_nobodys_business),
	        in_a_space(restarted_server_is_found_again),
	        in_a_space(full_table_is_counted_and_the_bind_still_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
