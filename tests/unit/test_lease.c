/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The voters' machine, three of them with a model of the kernel's part between
 * them, in virtual time. Each node has its own clock (offset and rate); messages
 * may be lost, delayed and repeated; nodes may stall, be cut off, restart. After
 * every step the one invariant is asserted: at no instant two owners.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lease.h"

#define STEP_NS    (100 * NS_PER_US)
#define MAX_FLYING 512

struct node {
	struct lease lease;
	struct echo_wake wake;
	int64_t offset_ns;
	int64_t drift_ppm;
	uint64_t incarnation;
	/* the kernel's maps */
	uint64_t word, epoch;
	uint32_t flags;
	struct peer peer[4];
	bool healthy;
	bool alive;           /* the machine */
	bool agent;           /* its sentinel */
	int64_t stalled_till; /* the sentinel's loop */
	bool arbiter;         /* it sees the arbiter */
	bool claimed;         /* its ARP probes are answered */
	int probes;
	int announced;
	int changes;
};

struct flying {
	int64_t due;
	int from, to;
	struct msg msg;
};

static struct sim {
	int64_t real;
	struct node node[4]; /* 1 = a, 2 = b, 3 = witness */
	bool cut[4][4];      /* one-way */
	struct flying flying[MAX_FLYING];
	int n_flying;
	uint32_t seed;
	int loss_pct, dup_pct;
	int64_t delay_max_ns;
	bool witness;
	int64_t none_since; /* nobody owns since */
} sim;

static uint32_t rnd(uint32_t n)
{
	sim.seed = sim.seed * 1664525u + 1013904223u;
	return (sim.seed >> 8) % n;
}

static struct mono clock_of(const struct node *n)
{
	return mono_ns(n->offset_ns + sim.real + sim.real / 1000000 * n->drift_ppm);
}

static bool owns(const struct node *n)
{
	return n->alive && n->word > (uint64_t)clock_of(n).ns;
}

static int owner(void)
{
	for (int i = 1; i <= 2; i++)
		if (owns(&sim.node[i]))
			return i;
	return 0;
}

static struct lease_view view_of(struct node *n, int self)
{
	struct lease_view v = {.now = clock_of(n), .wake = &n->wake};

	v.word = n->word;
	v.healthy = n->healthy;
	v.ill = n->healthy ? CAUSE_none : CAUSE_server_signal;
	v.ill_since = n->healthy ? mono_ns(0) : v.now;
	v.ok = v.now;
	v.heir = self <= 2 ? &n->peer[3 - self] : NULL;
	v.arbiter_seen = n->arbiter;
	v.vip_unclaimed = n->probes >= 3 && !n->claimed;
	return v;
}

static void fly(int from, int to, const struct msg *msg)
{
	if (sim.cut[from][to] || (int)rnd(100) < sim.loss_pct)
		return;
	for (int copies = (int)rnd(100) < sim.dup_pct ? 2 : 1; copies > 0; copies--) {
		assert_true(sim.n_flying < MAX_FLYING);
		sim.flying[sim.n_flying++] = (struct flying){
		        .due = sim.real + 20 * NS_PER_US + rnd((uint32_t)sim.delay_max_ns + 1),
		        .from = from,
		        .to = to,
		        .msg = *msg,
		};
	}
}

static void carry_out(int self, struct lease_actions *out)
{
	struct node *n = &sim.node[self];

	assert_int_equal(out->dropped, 0);
	for (int i = 0; i < out->n; i++) {
		const struct lease_action *a = &out->a[i];

		switch (a->type) {
		case LEASE_SEND:
			fly(self, a->node, &a->msg);
			break;
		case LEASE_FENCE:
			n->word = 0;
			n->flags &= ~(uint32_t)(STATUS_CLAIM | STATUS_OWNER);
			break;
		case LEASE_OWN:
			n->epoch = a->epoch;
			if (!n->word)
				n->word = a->until;
			break;
		case LEASE_EXTEND:
			if (n->word)
				n->word = a->until;
			break;
		case LEASE_EPOCH:
			n->epoch = a->epoch;
			break;
		case LEASE_ANNOUNCE:
			n->announced++;
			break;
		case LEASE_PROBE_VIP:
			n->probes++;
			break;
		case LEASE_CHANGED:
			n->changes++;
			break;
		default:
			break;
		}
	}
}

/* bpf/lib/echo.h and resign.h, in plain C */
static void kernel_echo(int self, const struct msg *m)
{
	struct node *n = &sim.node[self];
	struct peer *p = &n->peer[m->sender];
	uint64_t now = (uint64_t)clock_of(n).ns;
	uint64_t lease = (uint64_t)n->lease.conf.lease_ns;
	struct msg r = *m;

	p->last_echo_ns = now;
	p->sent_ns = m->sent_ns;
	p->incarnation = m->sender_inc;
	p->flags = m->flags;
	if (m->grant_ns && m->grant_ns <= now && m->epoch == n->epoch &&
	    (m->epoch & 0xff) == (uint64_t)self && m->target_inc == n->incarnation) {
		uint64_t until = m->grant_ns + lease;

		p->last_grant_ns = now;
		p->grant_until_ns = until;
		if (n->word && n->word != LEASE_FOREVER && until > n->word)
			n->word = until;
	}
	r.type = WIRE_REFLECT;
	r.sender = (uint8_t)self;
	r.target = m->sender;
	r.sender_inc = n->incarnation;
	r.target_inc = m->sender_inc;
	r.epoch = n->epoch;
	r.grant_ns = now;
	r.flags = n->flags & ~(uint32_t)(STATUS_OWNER | STATUS_ARMED | STATUS_SERVER_DEAD);
	if (n->word > now)
		r.flags |= STATUS_OWNER;
	if (!n->healthy)
		r.flags |= STATUS_SERVER_DEAD;
	if (n->flags & STATUS_ARMED && !n->word)
		r.flags |= STATUS_ARMED;
	r.turn_age_us = n->stalled_till > sim.real ? 1000000 : 0;
	fly(self, m->sender, &r);
}

static void kernel_resign(int self, const struct msg *m)
{
	struct node *n = &sim.node[self];
	uint64_t now = (uint64_t)clock_of(n).ns;
	struct lease_view v = view_of(n, self);
	struct lease_actions out = {0};

	if (m->epoch <= n->epoch || (m->epoch & 0xff) != (uint64_t)self || m->target_inc != n->incarnation ||
	    m->grant_ns > now || m->grant_ns + (uint64_t)n->lease.conf.lease_ns <= now || n->word ||
	    !n->agent || !lease_armed(&n->lease, &v))
		return;
	n->epoch = m->epoch;
	n->word = m->grant_ns + (uint64_t)n->lease.conf.lease_ns;
	v.word = n->word;
	lease_resigned_to_us(&n->lease, m, &v, &out);
	carry_out(self, &out);
}

static void arrive(const struct flying *f)
{
	struct node *n = &sim.node[f->to];
	struct lease_actions out = {0};
	struct lease_view v;

	if (!n->alive)
		return;
	if (f->msg.type == WIRE_ECHO) {
		if (f->to <= 2)
			kernel_echo(f->to, &f->msg);
		return;
	}
	if (f->msg.type == WIRE_RESIGN && f->msg.target == f->to) {
		kernel_resign(f->to, &f->msg);
		return;
	}
	if (!n->agent)
		return;
	if (n->stalled_till > sim.real) { /* waits in the socket */
		if (sim.n_flying < MAX_FLYING) {
			sim.flying[sim.n_flying] = *f;
			sim.flying[sim.n_flying++].due = n->stalled_till;
		}
		return;
	}
	v = view_of(n, f->to);
	lease_receive(&n->lease, &f->msg, &v, &out);
	carry_out(f->to, &out);
}

static void node_start(int self, uint64_t word, uint64_t epoch)
{
	struct node *n = &sim.node[self];
	struct lease_conf c = n->lease.conf;

	n->agent = true;
	lease_init(&n->lease, &c, word, epoch, clock_of(n));
	if (n->lease.state != LEASE_owner)
		n->word = 0;
	echo_wake_init(&n->wake, c.echo_ns * 3 / 2 + NS_PER_MS / 2, clock_of(n));
}

static void machine_start(int self)
{
	struct node *n = &sim.node[self];

	n->alive = true;
	n->word = 0;
	n->epoch = 0;
	n->incarnation = (uint64_t)rnd(1u << 24) * 65536 + 1;
	n->lease.conf.incarnation = n->incarnation;
	memset(n->peer, 0, sizeof(n->peer));
	node_start(self, 0, 0);
}

static void step(void)
{
	int owners = 0;

	sim.real += STEP_NS;
	for (int i = 0; i < sim.n_flying;) {
		struct flying f = sim.flying[i];

		if (f.due > sim.real) {
			i++;
			continue;
		}
		sim.flying[i] = sim.flying[--sim.n_flying];
		arrive(&f);
	}
	for (int i = 1; i <= 3; i++) {
		struct node *n = &sim.node[i];
		struct lease_actions out = {0};
		struct lease_view v;

		if (!n->alive || !n->agent || n->stalled_till > sim.real)
			continue;
		echo_wake_turn(&n->wake, clock_of(n));
		v = view_of(n, i);
		lease_tick(&n->lease, &v, &out);
		carry_out(i, &out);
		v = view_of(n, i);
		n->flags = lease_flags(&n->lease, &v);
	}
	for (int i = 1; i <= 2; i++)
		owners += owns(&sim.node[i]);
	if (sim.witness)
		assert_in_range(owners, 0, 1);
	if (owners)
		sim.none_since = sim.real;
}

static void run_ms(int64_t ms)
{
	for (int64_t end = sim.real + ms * NS_PER_MS; sim.real < end;)
		step();
}

static bool run_until_owner(int node, int64_t ms)
{
	for (int64_t end = sim.real + ms * NS_PER_MS; sim.real < end;) {
		step();
		if (owner() == node)
			return true;
	}
	return false;
}

static void lab(uint32_t seed, enum lease_silence silence)
{
	memset(&sim, 0, sizeof(sim));
	sim.seed = seed;
	sim.witness = silence == LEASE_WITNESSED;
	sim.delay_max_ns = 100 * NS_PER_US;
	sim.real = NS_PER_S;
	for (int i = 1; i <= (sim.witness ? 3 : 2); i++) {
		struct node *n = &sim.node[i];

		n->offset_ns = (int64_t)rnd(1000000) * NS_PER_MS;
		n->drift_ppm = (int64_t)rnd(201) - 100;
		n->healthy = i <= 2;
		n->arbiter = true;
		n->lease.conf = (struct lease_conf){
		        .lease_ns = 30 * NS_PER_MS,
		        .echo_ns = 5 * NS_PER_MS,
		        .self = (uint8_t)i,
		        .data = {1, 2},
		        .witness = sim.witness ? 3 : 0,
		        .silence = silence,
		};
		machine_start(i);
	}
}

static void cut(int node, bool on)
{
	for (int i = 1; i <= 3; i++)
		sim.cut[node][i] = sim.cut[i][node] = on;
}

static void both_started_at_once_the_preferred_owns(void **state)
{
	lab(1, LEASE_WITNESSED);
	assert_true(run_until_owner(1, 200));
	run_ms(500);
	assert_int_equal(owner(), 1);
	assert_int_equal(sim.node[2].lease.state, LEASE_heir);
	assert_int_equal(sim.node[3].lease.state, LEASE_witness);
	assert_int_equal(sim.node[1].lease.lapses, 0);
}

static void nobody_claims_before_having_listened(void **state)
{
	lab(2, LEASE_WITNESSED);
	for (int i = 0; i < 290; i++) {
		step();
		assert_int_equal(owner(), 0);
	}
}

static void a_node_cut_off_is_taken_over_within_45_ms(void **state)
{
	int64_t t;

	lab(3, LEASE_WITNESSED);
	run_ms(300);
	cut(1, true);
	t = sim.real;
	assert_true(run_until_owner(2, 45));
	assert_true(sim.real - t > 20 * NS_PER_MS);
	run_ms(500);
	cut(1, false);
	run_ms(300);
	assert_int_equal(owner(), 2);
	assert_int_equal(sim.node[1].lease.state, LEASE_heir);
	assert_int_equal(sim.node[1].word, 0);
}

static void a_dead_server_resigns_at_once(void **state)
{
	struct lease_actions out = {0};
	struct lease_view v;

	lab(4, LEASE_WITNESSED);
	run_ms(300);
	sim.node[1].healthy = false;
	v = view_of(&sim.node[1], 1);
	lease_server_ill(&sim.node[1].lease, &v, &out);
	assert_int_equal(out.a[0].type, LEASE_FENCE);
	carry_out(1, &out);
	assert_true(run_until_owner(2, 1));
	run_ms(500);
	assert_int_equal(owner(), 2);
	assert_int_equal(sim.node[2].lease.lapses, 0);
	assert_int_equal(sim.node[1].lease.state, LEASE_heir);
}

static void a_standby_whose_server_is_down_is_not_chosen(void **state)
{
	lab(5, LEASE_WITNESSED);
	run_ms(300);
	sim.node[2].healthy = false;
	run_ms(20);
	sim.node[1].healthy = false;
	run_ms(500);
	assert_int_equal(owner(), 1);
	sim.node[2].healthy = true;
	assert_true(run_until_owner(2, 50));
}

static void any_one_of_three_may_go_without_a_blip(void **state)
{
	for (int gone = 2; gone <= 3; gone++) {
		lab(6, LEASE_WITNESSED);
		run_ms(300);
		sim.node[gone].alive = false;
		for (int i = 0; i < 3000; i++) {
			step();
			assert_int_equal(owner(), 1);
		}
		machine_start(gone);
		for (int i = 0; i < 3000; i++) {
			step();
			assert_int_equal(owner(), 1);
		}
		assert_int_equal(sim.node[1].lease.lapses, 0);
	}
}

static void an_owner_without_its_agent_goes_on(void **state)
{
	uint64_t word;

	lab(7, LEASE_WITNESSED);
	run_ms(300);
	sim.node[1].agent = false;
	for (int i = 0; i < 5000; i++) {
		step();
		assert_int_equal(owner(), 1);
	}
	word = sim.node[1].word;
	node_start(1, word, sim.node[1].epoch);
	assert_int_equal(sim.node[1].lease.state, LEASE_owner);
	run_ms(300);
	assert_int_equal(owner(), 1);
	assert_int_equal(sim.node[1].changes, 1);
}

static void a_dead_server_under_a_hung_agent_is_taken_over(void **state)
{
	lab(8, LEASE_WITNESSED);
	run_ms(300);
	sim.node[1].stalled_till = sim.real + 10 * NS_PER_S;
	sim.node[1].healthy = false;
	assert_true(run_until_owner(2, 200));
}

static void a_stalled_heir_takes_nothing_over(void **state)
{
	lab(9, LEASE_WITNESSED);
	run_ms(300);
	for (int i = 0; i < 20; i++) {
		sim.node[2].stalled_till = sim.real + (10 + rnd(200)) * NS_PER_MS;
		run_ms(260);
		assert_int_equal(owner(), 1);
	}
	assert_int_equal(sim.node[1].lease.lapses, 0);
}

static void a_stall_of_the_whole_machine_moves_nothing(void **state)
{
	lab(10, LEASE_WITNESSED);
	run_ms(300);
	for (int i = 0; i < 50; i++) {
		int64_t till = sim.real + (5 + rnd(60)) * NS_PER_MS;

		for (int n = 1; n <= 3; n++)
			sim.node[n].stalled_till = till;
		run_ms(150);
		assert_int_equal(owner(), 1);
		assert_int_equal(sim.node[1].epoch, 257);
	}
}

static void a_switchover_keeps_the_vip_and_goes_back(void **state)
{
	lab(11, LEASE_WITNESSED);
	run_ms(300);
	for (int i = 0; i < 10; i++) {
		int from = owner();
		struct lease_actions out = {0};
		struct lease_view v = view_of(&sim.node[from], from);

		assert_int_equal(lease_hand_over(&sim.node[from].lease, CAUSE_switchover, &v, &out), 0);
		carry_out(from, &out);
		assert_true(run_until_owner(3 - from, 1));
		for (int k = 0; k < 1000; k++) {
			step();
			assert_int_equal(owner(), 3 - from);
		}
	}
}

static void a_lost_resign_is_repeated(void **state)
{
	struct lease_actions out = {0};
	struct lease_view v;

	lab(12, LEASE_WITNESSED);
	run_ms(300);
	v = view_of(&sim.node[1], 1);
	assert_int_equal(lease_hand_over(&sim.node[1].lease, CAUSE_switchover, &v, &out), 0);
	sim.cut[1][2] = true;
	carry_out(1, &out);
	sim.cut[1][2] = false;
	assert_true(run_until_owner(2, 3));
}

static void a_replayed_resign_changes_nothing(void **state)
{
	struct lease_actions out = {0};
	struct lease_view v;
	struct msg resign;

	lab(13, LEASE_WITNESSED);
	run_ms(300);
	v = view_of(&sim.node[1], 1);
	assert_int_equal(lease_hand_over(&sim.node[1].lease, CAUSE_switchover, &v, &out), 0);
	resign = sim.node[1].lease.resign;
	carry_out(1, &out);
	assert_true(run_until_owner(2, 2));
	run_ms(100);
	out = (struct lease_actions){0};
	v = view_of(&sim.node[2], 2);
	assert_int_equal(lease_hand_over(&sim.node[2].lease, CAUSE_switchover, &v, &out), 0);
	carry_out(2, &out);
	assert_true(run_until_owner(1, 2));
	for (int i = 0; i < 20; i++) {
		fly(1, 2, &resign);
		fly(1, 3, &resign);
		run_ms(7);
		assert_int_equal(owner(), 1);
	}
}

static void hold_goes_on_alone_and_heals_to_one(void **state)
{
	lab(14, LEASE_HOLD);
	assert_true(run_until_owner(1, 300));
	run_ms(200);
	sim.node[2].alive = false;
	run_ms(300);
	assert_int_equal(owner(), 1);
	assert_true(sim.node[1].word == LEASE_FOREVER);
	machine_start(2);
	run_ms(300);
	assert_int_equal(owner(), 1);
	assert_true(sim.node[1].word != LEASE_FOREVER);
	sim.node[1].alive = false;
	assert_true(run_until_owner(2, 60));
	assert_true(sim.node[2].word == LEASE_FOREVER);
}

static void hold_goes_on_when_only_the_heirs_agent_is_gone(void **state)
{
	lab(18, LEASE_HOLD);
	assert_true(run_until_owner(1, 300));
	run_ms(200);
	sim.node[2].agent = false;
	for (int i = 0; i < 3000; i++) {
		step();
		assert_int_equal(owner(), 1);
	}
	node_start(2, sim.node[2].word, sim.node[2].epoch);
	run_ms(300);
	assert_int_equal(owner(), 1);
	assert_true(sim.node[1].word != LEASE_FOREVER);
}

static void a_lone_owner_that_sees_the_arbiter_has_no_lapse(void **state)
{
	lab(19, LEASE_ARBITER);
	assert_true(run_until_owner(1, 300));
	run_ms(200);
	sim.node[2].alive = false;
	for (int i = 0; i < 3000; i++) {
		step();
		assert_int_equal(owner(), 1);
	}
	assert_int_equal(sim.node[1].lease.lapses, 0);
}

static void release_stops_when_the_heir_does(void **state)
{
	lab(15, LEASE_RELEASE);
	assert_true(run_until_owner(1, 300));
	run_ms(200);
	sim.node[2].alive = false;
	run_ms(100);
	assert_int_equal(owner(), 0);
	machine_start(2);
	assert_true(run_until_owner(1, 200));
}

static void arbiter_decides_who_goes_on(void **state)
{
	lab(16, LEASE_ARBITER);
	assert_true(run_until_owner(1, 300));
	run_ms(200);
	/* the owner is cut off from peer and arbiter: it stops, the heir goes on */
	cut(1, true);
	sim.node[1].arbiter = false;
	assert_true(run_until_owner(2, 200));
	run_ms(300);
	assert_false(owns(&sim.node[1]));
	cut(1, false);
	sim.node[1].arbiter = true;
	run_ms(300);
	assert_int_equal(owner(), 2);
	assert_int_equal(sim.node[1].lease.state, LEASE_heir);
	/* the heir is cut off from both: the owner goes on, the heir stays silent */
	cut(1, true);
	sim.node[1].arbiter = false;
	run_ms(500);
	assert_int_equal(owner(), 2);
	assert_false(owns(&sim.node[1]));
}

static void arbiter_heir_that_hears_the_vip_answered_stays_silent(void **state)
{
	lab(17, LEASE_ARBITER);
	assert_true(run_until_owner(1, 300));
	run_ms(200);
	sim.node[2].claimed = true;
	cut(1, true); /* only between the two */
	run_ms(500);
	assert_true(owns(&sim.node[1]));
	assert_false(owns(&sim.node[2]));
}

/* Faults of every kind at random; the invariant is asserted in step(). */
static void never_two_owners_under_random_faults(void **state)
{
	int owned = 0, changes = 0;

	for (uint32_t seed = 100; seed < 160; seed++) {
		lab(seed, LEASE_WITNESSED);
		sim.loss_pct = (int)rnd(30);
		sim.dup_pct = (int)rnd(20);
		sim.delay_max_ns = (1 + rnd(80)) * 250 * NS_PER_US;
		for (int round = 0; round < 60; round++) {
			int n = 1 + (int)rnd(3);
			struct node *node = &sim.node[n];
			struct lease_actions out = {0};
			struct lease_view v = view_of(node, n);

			switch (rnd(9)) {
			case 0:
				cut(n, rnd(2));
				break;
			case 1:
				sim.cut[n][1 + rnd(3)] = rnd(2);
				break;
			case 2:
				node->stalled_till = sim.real + rnd(100) * NS_PER_MS;
				break;
			case 3:
				node->alive = false;
				break;
			case 4:
				if (!node->alive)
					machine_start(n);
				break;
			case 5:
				node->agent = false;
				break;
			case 6:
				if (node->alive && !node->agent)
					node_start(n, node->word, node->epoch);
				break;
			case 7:
				node->healthy = n <= 2 && rnd(3);
				break;
			default:
				if (node->alive && node->agent && n <= 2 &&
				    !lease_hand_over(&node->lease, CAUSE_switchover, &v, &out))
					carry_out(n, &out);
				break;
			}
			run_ms(1 + rnd(60));
			owned += owner() != 0;
		}
		changes += sim.node[1].changes + sim.node[2].changes;
		/* all well again: somebody ends up owner */
		memset(sim.cut, 0, sizeof(sim.cut));
		sim.loss_pct = 0;
		sim.delay_max_ns = 100 * NS_PER_US;
		for (int i = 1; i <= 3; i++) {
			sim.node[i].healthy = i <= 2;
			sim.node[i].stalled_till = 0;
			if (!sim.node[i].alive)
				machine_start(i);
			else if (!sim.node[i].agent)
				node_start(i, sim.node[i].word, sim.node[i].epoch);
		}
		run_ms(500);
		assert_int_not_equal(owner(), 0);
	}
	/* the faults left room for owning and moving: the run meant something */
	assert_true(owned > 600);
	assert_true(changes > 120);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(both_started_at_once_the_preferred_owns),
	        cmocka_unit_test(nobody_claims_before_having_listened),
	        cmocka_unit_test(a_node_cut_off_is_taken_over_within_45_ms),
	        cmocka_unit_test(a_dead_server_resigns_at_once),
	        cmocka_unit_test(a_standby_whose_server_is_down_is_not_chosen),
	        cmocka_unit_test(any_one_of_three_may_go_without_a_blip),
	        cmocka_unit_test(an_owner_without_its_agent_goes_on),
	        cmocka_unit_test(a_dead_server_under_a_hung_agent_is_taken_over),
	        cmocka_unit_test(a_stalled_heir_takes_nothing_over),
	        cmocka_unit_test(a_stall_of_the_whole_machine_moves_nothing),
	        cmocka_unit_test(a_switchover_keeps_the_vip_and_goes_back),
	        cmocka_unit_test(a_lost_resign_is_repeated),
	        cmocka_unit_test(a_replayed_resign_changes_nothing),
	        cmocka_unit_test(hold_goes_on_alone_and_heals_to_one),
	        cmocka_unit_test(hold_goes_on_when_only_the_heirs_agent_is_gone),
	        cmocka_unit_test(a_lone_owner_that_sees_the_arbiter_has_no_lapse),
	        cmocka_unit_test(release_stops_when_the_heir_does),
	        cmocka_unit_test(arbiter_decides_who_goes_on),
	        cmocka_unit_test(arbiter_heir_that_hears_the_vip_answered_stays_silent),
	        cmocka_unit_test(never_two_owners_under_random_faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
