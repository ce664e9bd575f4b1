/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Two replicas over loopback: ZeroMQ, its encryption, and whom it lets in. */
#include "replica_pair.h"

#include <sys/socket.h>
#include <unistd.h>
#include <zmq.h>

#include "../../user/calls/loop.h"
#include "../../user/calls/replica.h"

struct site {
	struct replica *replica;
	struct dialog_table table;
	struct keeper_conf conf;
};

static uint16_t free_port(void)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
	close(fd);
	return ntohs(in.sin_port);
}

static void key_pair(uint8_t public_key[32], uint8_t secret[32])
{
	char public_text[41], secret_text[41];

	assert_int_equal(zmq_curve_keypair(public_text, secret_text), 0);
	assert_non_null(zmq_z85_decode(public_key, public_text));
	assert_non_null(zmq_z85_decode(secret, secret_text));
}

static void site_start(struct site *site, su_root_t *root)
{
	assert_int_equal(dialog_table_init(&site->table, MAX, 1), 0);
	assert_int_equal(replica_new(root, &site->conf, &site->replica), 0);
	assert_int_equal(replica_add_service(site->replica, &site->conf, &site->table), 0);
}

static void site_stop(struct site *site)
{
	replica_free(site->replica);
	dialog_table_done(&site->table);
}

/* Nodes 1 and 2 on 127.0.0.1 and 127.0.0.2, one port. */
static void two_sites(struct site *a, struct site *b)
{
	uint16_t port = free_port();

	memset(a, 0, sizeof(*a));
	a->conf = (struct keeper_conf){.head.service = 3, .name = "pbx", .node = 1, .peer = 2};
	a->conf.replica_port = port;
	a->conf.node_addr = addr_from_be32(htonl(0x7f000001));
	a->conf.peer_addr = addr_from_be32(htonl(0x7f000002));
	key_pair(a->conf.replica_public, a->conf.replica_secret);
	memset(b, 0, sizeof(*b));
	b->conf = a->conf;
	b->conf.node = 2;
	b->conf.peer = 1;
	b->conf.node_addr = a->conf.peer_addr;
	b->conf.peer_addr = a->conf.node_addr;
	key_pair(b->conf.replica_public, b->conf.replica_secret);
	memcpy(a->conf.peer_public, b->conf.replica_public, 32);
	memcpy(b->conf.peer_public, a->conf.replica_public, 32);
}

static bool site_up(struct site *site)
{
	struct replica_status status;

	replica_status(site->replica, 3, &status);
	return status.up;
}

static bool wait_until(su_root_t *root, bool (*done)(struct site *, struct site *), struct site *a,
                       struct site *b)
{
	struct mono end = mono_add(loop_now(), 20 * NS_PER_S);

	while (!done(a, b)) {
		if (!mono_before(loop_now(), end))
			return false;
		su_root_step(root, 20);
	}
	return true;
}

static bool both_up(struct site *a, struct site *b)
{
	return site_up(a) && site_up(b);
}

static bool b_has_all_of_a(struct site *a, struct site *b)
{
	return b->table.used == a->table.used;
}

static bool b_was_refused(struct site *a, struct site *b)
{
	return replica_counters(a->replica)->replica_key_refused > 0;
}

static void fill_site(struct site *site, int from, int to)
{
	struct pair p = {.now = loop_now()};
	struct node node = {.table = site->table};

	for (int i = from; i < to; i++)
		put_dialog(&p, &node, i);
	site->table = node.table;
}

static su_root_t *loop_open(void)
{
	su_root_t *root;

	su_init();
	root = su_root_create(NULL);
	assert_non_null(root);
	return root;
}

static void two_keepers_replicate_over_curve(void **state)
{
	su_root_t *root = loop_open();
	struct site a, b;

	two_sites(&a, &b);
	site_start(&a, root);
	site_start(&b, root);
	replica_role(a.replica, 3, true, 0x101);
	fill_site(&a, 0, 200);
	assert_true(wait_until(root, both_up, &a, &b));
	assert_int_equal(b.table.used, 200);
	fill_site(&a, 200, 201);
	replica_flush(a.replica, 3);
	assert_true(wait_until(root, b_has_all_of_a, &a, &b));
	/* a restart of the standby, then of the owner */
	site_stop(&b);
	site_start(&b, root);
	assert_true(wait_until(root, b_has_all_of_a, &a, &b));
	site_stop(&a);
	site_start(&a, root);
	replica_role(a.replica, 3, true, 0x101);
	assert_true(wait_until(root, both_up, &a, &b));
	assert_int_equal(a.table.used, 201);
	assert_int_equal(b.table.used, 201);
	assert_int_equal(replica_counters(a.replica)->replica_key_refused, 0);
	assert_int_equal(replica_counters(b.replica)->replica_malformed, 0);
	site_stop(&a);
	site_stop(&b);
	su_root_destroy(root);
}

static void a_peer_with_a_wrong_key_is_not_let_in(void **state)
{
	su_root_t *root = loop_open();
	struct site a, b;

	two_sites(&a, &b);
	/* b knows a's key, but a expects another b */
	key_pair(b.conf.replica_public, b.conf.replica_secret);
	site_start(&a, root);
	site_start(&b, root);
	replica_role(a.replica, 3, true, 0x101);
	fill_site(&a, 0, 10);
	assert_true(wait_until(root, b_was_refused, &a, &b));
	for (int i = 0; i < 20; i++)
		su_root_step(root, 20);
	assert_int_equal(b.table.used, 0);
	assert_false(site_up(&a));
	assert_false(site_up(&b));
	site_stop(&a);
	site_stop(&b);
	su_root_destroy(root);
}

/* Each was told of two keys, and looks for the wrong one first. */
static void peers_find_each_other_while_keys_are_changed(void **state)
{
	su_root_t *root = loop_open();
	struct site a, b;
	uint8_t secret[32];

	two_sites(&a, &b);
	memcpy(a.conf.peer_other_public, a.conf.peer_public, 32);
	key_pair(a.conf.peer_public, secret);
	memcpy(b.conf.peer_other_public, b.conf.peer_public, 32);
	key_pair(b.conf.peer_public, secret);
	site_start(&a, root);
	site_start(&b, root);
	replica_role(a.replica, 3, true, 0x101);
	fill_site(&a, 0, 10);
	assert_true(wait_until(root, both_up, &a, &b));
	assert_int_equal(b.table.used, 10);
	assert_int_equal(replica_counters(a.replica)->replica_key_refused, 0);
	site_stop(&a);
	site_stop(&b);
	su_root_destroy(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(two_keepers_replicate_over_curve),
	        cmocka_unit_test(a_peer_with_a_wrong_key_is_not_let_in),
	        cmocka_unit_test(peers_find_each_other_while_keys_are_changed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
