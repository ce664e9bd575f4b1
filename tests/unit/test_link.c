/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The call keeper's end of the link with sipflipd, played by the test. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sys/socket.h>

#include "../../user/calls/link.h"

struct desk {
	su_root_t *root;
	int fd[2]; /* ours, the keeper's */
	struct link *link;
	struct keeper_role role;
	struct keeper_server server;
	int roles;
	int servers;
	int closed;
};

static void on_role(void *context, const struct keeper_role *role)
{
	struct desk *desk = context;

	desk->role = *role;
	desk->roles++;
}

static void on_server(void *context, const struct keeper_server *server)
{
	struct desk *desk = context;

	desk->server = *server;
	desk->servers++;
}

static void on_closed(void *context)
{
	((struct desk *)context)->closed++;
}

static void desk_open(struct desk *desk)
{
	static const struct link_handlers handlers = {on_role, on_server, on_closed};

	memset(desk, 0, sizeof(*desk));
	su_init();
	desk->root = su_root_create(NULL);
	assert_non_null(desk->root);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, desk->fd), 0);
	assert_int_equal(link_new(desk->root, desk->fd[1], &handlers, desk, &desk->link), 0);
}

static void desk_close(struct desk *desk)
{
	link_free(desk->link);
	close(desk->fd[0]);
	close(desk->fd[1]);
	su_root_destroy(desk->root);
}

static void say(struct desk *desk, const void *msg, size_t len)
{
	assert_int_equal(send(desk->fd[0], msg, len, 0), (ssize_t)len);
	su_root_step(desk->root, 0);
}

static struct keeper_conf conf_for(int service)
{
	return (struct keeper_conf){
	        .head = {KEEPER_CONF, KEEPER_VERSION, (__u8)service, sizeof(struct keeper_conf)},
	        .name = "pbx",
	        .user = "nobody",
	        .sip_port = 5060,
	        .max_dialogs = 10,
	        .node = 1,
	        .peer = 2,
	};
}

static const struct keeper_head go = {KEEPER_START, KEEPER_VERSION, 0, sizeof(go)};

/* Sends the messages, then reads the configuration. */
static int configure(const struct keeper_conf *conf, int n, bool start, int *ret_n)
{
	static struct keeper_conf got[MAX_SERVICES];
	int fd[2], rc;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fd), 0);
	for (int i = 0; i < n; i++)
		assert_int_equal(send(fd[0], &conf[i], sizeof(conf[i]), 0), sizeof(conf[i]));
	if (start)
		assert_int_equal(send(fd[0], &go, sizeof(go), 0), sizeof(go));
	close(fd[0]);
	rc = link_read_conf(fd[1], got, ret_n);
	close(fd[1]);
	if (rc == 0)
		assert_memory_equal(got, conf, *ret_n * sizeof(*conf));
	return rc;
}

static void configuration_of_several_services_is_read(void **state)
{
	struct keeper_conf conf[2] = {conf_for(0), conf_for(5)};
	int n = 0;

	assert_int_equal(configure(conf, 2, true, &n), 0);
	assert_int_equal(n, 2);
}

static void configuration_without_start_or_service_is_refused(void **state)
{
	struct keeper_conf conf = conf_for(0);
	int n = 0;

	assert_int_equal(configure(&conf, 1, false, &n), -EPIPE);
	assert_int_equal(configure(&conf, 0, true, &n), -EPROTO);
	assert_int_equal(n, 0);
}

static void bad_configuration_is_refused(void **state)
{
	struct keeper_conf twice[2] = {conf_for(1), conf_for(1)};
	struct keeper_conf conf;
	int n;

	assert_int_equal(configure(twice, 2, true, &n), -EPROTO);
	conf = conf_for(0);
	conf.head.version++;
	assert_int_equal(configure(&conf, 1, true, &n), -EPROTO);
	conf = conf_for(0);
	conf.head.len--;
	assert_int_equal(configure(&conf, 1, true, &n), -EPROTO);
	conf = conf_for(MAX_SERVICES);
	assert_int_equal(configure(&conf, 1, true, &n), -EPROTO);
	conf = conf_for(0);
	memset(conf.name, 'x', sizeof(conf.name));
	assert_int_equal(configure(&conf, 1, true, &n), -EPROTO);
	conf = conf_for(0);
	conf.user[0] = '\0';
	assert_int_equal(configure(&conf, 1, true, &n), -EPROTO);
	conf = conf_for(0);
	conf.sip_port = 0;
	assert_int_equal(configure(&conf, 1, true, &n), -EPROTO);
	conf = conf_for(0);
	conf.peer = MAX_NODES;
	assert_int_equal(configure(&conf, 1, true, &n), -EPROTO);
}

static void role_and_server_are_told(void **state)
{
	struct keeper_role role = {
	        .head = {KEEPER_ROLE, KEEPER_VERSION, 4, sizeof(role)}, .owner = 1, .epoch = 0x101};
	struct keeper_server server = {
	        .head = {KEEPER_SERVER, KEEPER_VERSION, 4, sizeof(server)}, .alive = 1, .tgid = 77};
	struct desk desk;

	desk_open(&desk);
	say(&desk, &role, sizeof(role));
	say(&desk, &server, sizeof(server));
	assert_int_equal(desk.roles, 1);
	assert_memory_equal(&desk.role, &role, sizeof(role));
	assert_int_equal(desk.servers, 1);
	assert_int_equal(desk.server.tgid, 77);
	desk_close(&desk);
}

static void malformed_messages_are_counted_and_not_told(void **state)
{
	struct {
		struct keeper_role role;
		char surplus[4096];
	} msg = {.role = {.head = {KEEPER_ROLE, KEEPER_VERSION, 0, sizeof(struct keeper_role)}}};
	struct keeper_conf conf = conf_for(0);
	struct desk desk;

	desk_open(&desk);
	say(&desk, &msg, 1);
	say(&desk, &msg, sizeof(struct keeper_head));
	say(&desk, &msg, sizeof(struct keeper_role) - 1);
	say(&desk, &msg, sizeof(msg));
	msg.role.head.type = 99;
	say(&desk, &msg, sizeof(struct keeper_role));
	msg.role.head.type = KEEPER_HEALTH;
	say(&desk, &msg, sizeof(struct keeper_role));
	msg.role.head.type = KEEPER_ROLE;
	msg.role.head.version = KEEPER_VERSION + 1;
	say(&desk, &msg, sizeof(struct keeper_role));
	msg.role.head.version = KEEPER_VERSION;
	msg.role.head.service = MAX_SERVICES;
	say(&desk, &msg, sizeof(struct keeper_role));
	/* in order, but not now */
	say(&desk, &conf, sizeof(conf));
	assert_int_equal(link_counters(desk.link)->link_malformed, 9);
	assert_int_equal(desk.roles + desk.servers + desk.closed, 0);
	desk_close(&desk);
}

static void sent_messages_get_their_head(void **state)
{
	struct keeper_health health = {.verdict = HEALTH_OK}, got;
	struct desk desk;

	desk_open(&desk);
	assert_int_equal(link_send(desk.link, KEEPER_HEALTH, 7, &health, sizeof(health)), 0);
	assert_int_equal(recv(desk.fd[0], &got, sizeof(got), MSG_DONTWAIT), sizeof(got));
	assert_int_equal(got.head.type, KEEPER_HEALTH);
	assert_int_equal(got.head.version, KEEPER_VERSION);
	assert_int_equal(got.head.service, 7);
	assert_int_equal(got.head.len, sizeof(got));
	assert_int_equal(got.verdict, HEALTH_OK);
	desk_close(&desk);
}

static void a_sentinel_that_does_not_read_blocks_nobody(void **state)
{
	struct keeper_health health = {.verdict = HEALTH_OK};
	struct desk desk;
	int rc = 0, sent = 0;

	desk_open(&desk);
	while (rc == 0 && sent < 1000000) {
		rc = link_send(desk.link, KEEPER_HEALTH, 0, &health, sizeof(health));
		sent++;
	}
	assert_int_equal(rc, -EAGAIN);
	assert_int_equal(link_counters(desk.link)->link_full, 1);
	/* a message read makes room for one */
	assert_int_equal(recv(desk.fd[0], &health, sizeof(health), 0), sizeof(health));
	assert_int_equal(link_send(desk.link, KEEPER_HEALTH, 0, &health, sizeof(health)), 0);
	desk_close(&desk);
}

static void the_sentinels_end_is_told_once(void **state)
{
	struct desk desk;

	desk_open(&desk);
	close(desk.fd[0]);
	for (int i = 0; i < 5; i++)
		su_root_step(desk.root, 1);
	assert_int_equal(desk.closed, 1);
	desk.fd[0] = -1;
	desk_close(&desk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(configuration_of_several_services_is_read),
	        cmocka_unit_test(configuration_without_start_or_service_is_refused),
	        cmocka_unit_test(bad_configuration_is_refused),
	        cmocka_unit_test(role_and_server_are_told),
	        cmocka_unit_test(malformed_messages_are_counted_and_not_told),
	        cmocka_unit_test(sent_messages_get_their_head),
	        cmocka_unit_test(a_sentinel_that_does_not_read_blocks_nobody),
	        cmocka_unit_test(the_sentinels_end_is_told_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
