/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Random faults, see chance.h. */
#include "chance.h"

#define DRIFT_PPM 1900 /* two clocks then differ by less than the margin's 1/256 */
#define KEPT      8    /* messages remembered to be replayed */

const char *const fault_names[FAULT_KINDS] = {
#define X(name) #name,
        FAULTS(X)
#undef X
};

/* A copy of something on its way now, long after: any packet may come again. */
static void replay(struct sim *s)
{
	struct sim_flying f;

	if (!s->n_flying || s->n_flying == SIM_FLYING)
		return;
	f = s->flying[sim_rnd(s, (uint32_t)s->n_flying)];
	sim_fly(s, f.msg.sender <= SIM_W ? f.msg.sender : SIM_A, f.to, &f.msg);
}

static void network(struct sim *s)
{
	int64_t most = s->node[SIM_A].conf.lease_ns;

	s->loss_pct = sim_rnd(s, 3) ? (int)sim_rnd(s, 31) : 0;
	s->dup_pct = (int)sim_rnd(s, 20);
	s->delay_max_ns = 10 * NS_PER_US + sim_rnd(s, (uint32_t)(sim_rnd(s, 4) ? most / 16 : most));
	/* silence is the arbiter's matter: there it must come from cuts only, or nothing can be asserted */
	if (s->silence == LEASE_ARBITER) {
		s->loss_pct = 0;
		s->delay_max_ns = 10 * NS_PER_US + sim_rnd(s, (uint32_t)most / 20);
	}
	sim_say(s, "network: loss %d %%, duplicates %d %%, delay up to %.3f ms", s->loss_pct, s->dup_pct,
	        (double)s->delay_max_ns / 1e6);
}

static void cut(struct sim *s, int from, int to, bool on)
{
	s->cut[from][to] = on;
	sim_say(s, "%d > %d %s", from, to, on ? "cut" : "open");
}

static int anybody(struct sim *s)
{
	return SIM_A + (int)sim_rnd(s, (uint32_t)s->n_node);
}

/* Things mend more often than they break: of what is down, one comes back. */
static int somebody_down(struct sim *s, bool machine)
{
	for (int i = anybody(s), tries = 0; tries < s->n_node; tries++, i = i % s->n_node + 1)
		if (machine ? !s->node[i].alive : s->node[i].alive && !s->node[i].agent)
			return i;
	return 0;
}

/* Returns whether the fault could be done now. */
static bool inject(struct sim *s, enum fault fault)
{
	int i = anybody(s), k = anybody(s);
	struct sim_node *n = &s->node[i];
	int64_t lease = n->conf.lease_ns;

	switch (fault) {
	case FAULT_cut_both_ways:
		cut(s, i, k, true);
		cut(s, k, i, true);
		return i != k;
	case FAULT_cut_one_way:
		cut(s, i, k, true);
		return i != k;
	case FAULT_cut_off: /* from everything, without a word; in half of them it is frozen soon after */
		for (int m = SIM_A; m <= SIM_W; m++)
			s->cut[i][m] = s->cut[m][i] = true;
		n->arbiter = false;
		sim_say(s, "%d cut off", i);
		if (n->agent && sim_rnd(s, 2)) {
			sim_run(s, sim_rnd(s, (uint32_t)(sim_rnd(s, 2) ? lease / 6 : lease)));
			sim_stall(s, i, sim_rnd(s, (uint32_t)(sim_rnd(s, 2) ? lease : 4 * lease)));
		}
		return true;
	case FAULT_slow_kind: /* messages of one kind take longer than all others */
		s->slow_type = (uint8_t)(sim_rnd(s, 2) ? WIRE_VOTE_REQ + sim_rnd(s, 4) : 0);
		s->slow_ns = sim_rnd(s, (uint32_t)lease);
		sim_say(s, "messages of kind %d take %.3f ms more", s->slow_type, (double)s->slow_ns / 1e6);
		return s->slow_type != 0;
	case FAULT_heal:
		for (int m = SIM_A; m <= SIM_W; m++)
			s->cut[i][m] = s->cut[m][i] = false;
		sim_say(s, "%d connected again", i);
		return true;
	case FAULT_loss_and_delay:
		network(s);
		return true;
	case FAULT_agent_stall:
		sim_stall(s, i, lease / 30 + sim_rnd(s, (uint32_t)(4 * lease)));
		return n->agent;
	case FAULT_machine_crash:
		if (!n->alive)
			return false;
		sim_say(s, "node %d machine crashes", i);
		n->alive = false;
		return true;
	case FAULT_machine_start:
		i = somebody_down(s, true);
		if (i)
			sim_machine_start(s, i);
		return i != 0;
	case FAULT_agent_kill:
		if (!n->alive || !n->agent)
			return false;
		sim_say(s, "node %d agent killed", i);
		n->agent = false;
		n->news.type = 0;
		return true;
	case FAULT_agent_kill_mid_turn:
		n->die_after = (int)sim_rnd(s, 12);
		return n->agent;
	case FAULT_agent_start:
		i = somebody_down(s, false);
		if (!i)
			return false;
		s->node[i].stalled_till = 0;
		sim_agent_start(s, i);
		return true;
	case FAULT_server_death:
		if (i == SIM_W || !n->healthy)
			return false;
		sim_server_dies(s, i);
		return true;
	case FAULT_server_start:
		for (i = SIM_A; i <= SIM_B; i++)
			s->node[i].healthy = true;
		sim_say(s, "both servers healthy");
		return true;
	case FAULT_switchover:
		i = sim_owner(s);
		return i && s->node[i].agent && s->node[i].stalled_till <= s->real && !sim_hand_over(s, i);
	case FAULT_clock_rate:
		sim_set_drift(s, i, (int64_t)sim_rnd(s, 2 * DRIFT_PPM + 1) - DRIFT_PPM);
		return true;
	case FAULT_ring_full:
		n->ring_full = !n->ring_full;
		return n->ring_full;
	case FAULT_arbiter_lost_or_seen:
		n->arbiter = !n->arbiter;
		n->claimed = sim_rnd(s, 2);
		sim_say(s, "node %d %s the arbiter", i, n->arbiter ? "sees" : "does not see");
		return s->silence == LEASE_ARBITER;
	case FAULT_replay:
		replay(s);
		return true;
	default:
		return false;
	}
}

/* All faults end; in some episodes one machine stays away for good. Returns it, or 0. */
static int calm_down(struct sim *s)
{
	int gone = sim_rnd(s, 2) ? anybody(s) : 0;

	if (s->silence == LEASE_RELEASE)
		gone = 0;
	for (int i = SIM_A; i <= SIM_W; i++) {
		struct sim_node *n = &s->node[i];

		for (int k = SIM_A; k <= SIM_W; k++)
			s->cut[i][k] = false;
		if (i > s->n_node)
			continue;
		n->healthy = true;
		n->arbiter = true;
		n->claimed = false;
		n->ring_full = false;
		n->die_after = -1;
		n->stalled_till = 0;
		if (i == gone)
			n->alive = false;
		else if (!n->alive)
			sim_machine_start(s, i);
		else if (!n->agent)
			sim_agent_start(s, i);
		n->turn_due = s->real;
	}
	s->loss_pct = s->dup_pct = s->slow_type = 0;
	s->delay_max_ns = s->node[SIM_A].conf.echo_ns / 50;
	sim_say(s, "calm from here on; gone for good: %d", gone);
	return gone;
}

static const char *calm(struct sim *s)
{
	int64_t lease = s->node[SIM_A].conf.lease_ns;
	int gone, owner, changes;
	uint64_t lapses;

	gone = calm_down(s);
	sim_run(s, 16 * lease);
	if (s->violation)
		return s->violation;
	owner = sim_owner(s);
	if (!owner)
		return "calm, and nobody owns";
	if (sim_owns(s, SIM_A) && sim_owns(s, SIM_B))
		return "calm, and two owners";
	changes = s->node[owner].changes;
	lapses = s->node[owner].lease.lapses;
	for (int i = 0; i < 12; i++) {
		sim_run(s, lease / 2);
		if (s->violation)
			return s->violation;
		if (sim_owner(s) != owner || s->node[owner].changes != changes ||
		    s->node[owner].lease.lapses != lapses)
			return "calm, and the owner did not keep it";
	}
	if (s->node[owner].lease.state != LEASE_owner)
		return "the owner by the word is not the owner by its agent";
	if (gone != SIM_A + SIM_B - owner && s->node[SIM_A + SIM_B - owner].lease.state != LEASE_heir)
		return "calm, and the other node is not the heir";
	return NULL;
}

static void sum_up(struct chance *c, const struct sim *s)
{
	c->episodes++;
	c->steps += s->steps;
	c->simulated_ns += (uint64_t)(s->real - NS_PER_S);
	c->lost_full += s->lost_full;
	for (int i = SIM_A; i <= s->n_node; i++) {
		c->tenures += (uint64_t)s->node[i].changes;
		for (int k = 0; k < LEASE_STATES; k++)
			c->moves[k] |= s->node[i].moves[k];
	}
}

const char *chance_episode(struct chance *c, struct sim *s, enum lease_silence silence, uint64_t seed,
                           FILE *history)
{
	bool fast = seed % 4 == 3;
	int64_t lease = fast ? 5 * NS_PER_MS : 30 * NS_PER_MS;
	const char *what = NULL;
	int rounds;

	s->history = history;
	sim_init(s, seed, silence, lease, lease / (fast ? 5 : 6));
	s->old_time = c->old_time;
	s->stall_in_turn_ns = lease;
	for (int i = SIM_A; i <= s->n_node; i++)
		sim_set_drift(s, i, (int64_t)sim_rnd(s, 2 * DRIFT_PPM + 1) - DRIFT_PPM);
	if (sim_rnd(s, 2))
		sim_run(s, 10 * lease);
	network(s);
	rounds = 10 + (int)sim_rnd(s, 40);
	for (int i = 0; i < rounds && !s->violation; i++) {
		enum fault fault = (enum fault)sim_rnd(s, FAULT_KINDS);

		if (!sim_rnd(s, 4)) /* without these most episodes would end with all machines down */
			fault = sim_rnd(s, 2) ? FAULT_machine_start : FAULT_agent_start;

		if (inject(s, fault))
			c->fault[fault]++;
		sim_run(s, 1 + sim_rnd(s, (uint32_t)(sim_rnd(s, 3) ? lease / 2 : 4 * lease)));
		c->owned += sim_owner(s) != 0;
	}
	c->excused += s->excused;
	what = s->violation ? s->violation : calm(s);
	if (what)
		sim_say(s, "BROKEN: %s", what);
	sum_up(c, s);
	s->history = NULL;
	return what;
}
