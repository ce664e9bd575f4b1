/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See world.h. The kernel's part is here in plain C; what the sentinel's loop does, in turn(). */
#include "world.h"

#include "lease_parts.h"

#include <stdarg.h>
#include <string.h>

#define ARMED_NS   (200 * NS_PER_MS) /* as user/sentinel/service.c */
#define HEARTBEAT  (100 * NS_PER_MS) /* the loop turns at least so often */
#define NEVER      INT64_MAX
#define NETWORK_NS (20 * NS_PER_US)

void sim_say(struct sim *s, const char *format, ...)
{
	va_list ap;

	if (!s->history)
		return;
	fprintf(s->history, "%12.3f ms  ", (double)s->real / 1e6);
	va_start(ap, format);
	vfprintf(s->history, format, ap);
	va_end(ap);
	fputc('\n', s->history);
}

static void broken(struct sim *s, const char *what)
{
	if (s->violation)
		return;
	s->violation = what;
	sim_say(s, "VIOLATION: %s", what);
}

/* splitmix64 */
uint32_t sim_rnd(struct sim *s, uint32_t n)
{
	uint64_t z = s->rng += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	z ^= z >> 31;
	return (uint32_t)((z >> 32) * n >> 32);
}

/* --- clocks --------------------------------------------------------------- */

struct mono sim_clock(const struct sim *s, const struct sim_node *n)
{
	int64_t passed = s->real - n->real_base;

	return mono_ns(n->clock_base + passed + passed * n->drift_ppm / 1000000);
}

/* The real time by which that clock shows `clock`. */
static int64_t real_of(const struct sim_node *n, struct mono clock)
{
	int64_t ahead = clock.ns - n->clock_base;

	return n->real_base + ahead - ahead * n->drift_ppm / (1000000 + n->drift_ppm) + 2;
}

void sim_set_drift(struct sim *s, int node, int64_t ppm)
{
	struct sim_node *n = &s->node[node];

	n->clock_base = sim_clock(s, n).ns;
	n->real_base = s->real;
	n->drift_ppm = ppm;
	n->turn_due = s->real;
}

/* --- looking -------------------------------------------------------------- */

bool sim_owns(const struct sim *s, int node)
{
	const struct sim_node *n = &s->node[node];

	return n->alive && n->word > (uint64_t)sim_clock(s, n).ns;
}

int sim_owner(const struct sim *s)
{
	for (int i = SIM_A; i <= SIM_B; i++)
		if (sim_owns(s, i))
			return i;
	return 0;
}

struct lease_view sim_view(struct sim *s, int node)
{
	struct sim_node *n = &s->node[node];
	struct lease_view v = {.now = sim_clock(s, n), .wake = &n->wake};

	v.word = n->word;
	v.word_epoch = n->epoch;
	v.healthy = n->healthy;
	v.ill = n->healthy ? CAUSE_none : CAUSE_server_signal;
	v.ill_since = n->healthy ? mono_ns(0) : v.now;
	v.ok = v.now;
	v.flags = n->healthy || node == SIM_W ? 0 : STATUS_SERVER_DEAD;
	v.heir = node <= SIM_B ? &n->peer[SIM_A + SIM_B - node] : NULL;
	v.arbiter = n->judged.answered;
	v.vip_unclaimed = n->probes >= 3 && !n->claimed;
	return v;
}

/*
 * Two voters by the operator's choice: may there be two owners from now on? docs/safety.md
 * says the same. In arbiter mode both must own by answers of the arbiter, while they are
 * cut apart, the older one by an answer to a question that it sent when the other one had
 * heard nothing of it for LEASE_ALONE_ECHOES echoes.
 */
static bool two_are_excused(const struct sim *s)
{
	const struct sim_node *older = &s->node[s->owned[SIM_A] ? SIM_A : SIM_B];
	const struct sim_node *newer = &s->node[s->owned[SIM_A] ? SIM_B : SIM_A];

	if (s->silence == LEASE_HOLD) /* three echoes lost in a row are enough: it promises only to heal */
		return true;
	return s->silence == LEASE_ARBITER && s->real - s->cut_at < 2 * older->conf.lease_ns &&
	       older->word == older->arbiter_word && newer->word == newer->arbiter_word &&
	       older->arbiter_word_apart;
}

static void look(struct sim *s)
{
	bool a = sim_owns(s, SIM_A), b = sim_owns(s, SIM_B);

	if (s->cut[SIM_A][SIM_B] || s->cut[SIM_B][SIM_A])
		s->cut_at = s->real;
	if (!a || !b)
		s->two = false;
	else if (!s->two && two_are_excused(s))
		s->two = s->excused = true;
	if (a && b && !s->two)
		broken(s, "two owners");
	s->owned[SIM_A] = a;
	s->owned[SIM_B] = b;
	for (int i = SIM_A; i <= SIM_B; i++) {
		const struct sim_node *n = &s->node[i];

		if (!(i == SIM_A ? a : b))
			continue;
		if ((n->epoch & 0xff) != (uint64_t)i)
			broken(s, "owner with an epoch that names another");
		if (s->tenant != i || s->tenure != n->epoch) {
			sim_say(s, "node %d owns, epoch %llx, for %.3f ms", i, (unsigned long long)n->epoch,
			        n->word == LEASE_FOREVER
			                ? -1.0
			                : (double)(n->word - (uint64_t)sim_clock(s, n).ns) / 1e6);
			s->tenant = i;
			s->tenure = n->epoch;
		}
	}
}

/* --- the network ---------------------------------------------------------- */

static bool sooner(const struct sim_flying *x, const struct sim_flying *y)
{
	return x->due < y->due || (x->due == y->due && x->id < y->id);
}

static void put(struct sim *s, const struct sim_flying *f)
{
	int i = s->n_flying;

	if (i == SIM_FLYING) {
		s->lost_full++;
		return;
	}
	s->n_flying++;
	for (; i > 0 && sooner(f, &s->flying[(i - 1) / 2]); i = (i - 1) / 2)
		s->flying[i] = s->flying[(i - 1) / 2];
	s->flying[i] = *f;
}

static struct sim_flying get(struct sim *s)
{
	struct sim_flying first = s->flying[0], last = s->flying[--s->n_flying];
	int i = 0;

	for (int c = 1; c < s->n_flying; c = 2 * i + 1) {
		if (c + 1 < s->n_flying && sooner(&s->flying[c + 1], &s->flying[c]))
			c++;
		if (!sooner(&s->flying[c], &last))
			break;
		s->flying[i] = s->flying[c];
		i = c;
	}
	s->flying[i] = last;
	return first;
}

static const char *type_name(uint8_t type)
{
	static const char *const names[] = {"?", "ECHO", "REFLECT", "VOTE_REQ", "VOTE", "REFUSE", "RESIGN"};

	return names[type <= WIRE_RESIGN ? type : 0];
}

void sim_fly(struct sim *s, int from, int to, const struct msg *msg)
{
	bool lost = s->cut[from][to] || (int)sim_rnd(s, 100) < s->loss_pct;

	if (s->history && (msg->type > WIRE_REFLECT || msg->flags & STATUS_OWNER || msg->grant_ns))
		sim_say(s, "%d > %d %s epoch %llx grant %.3f detail %d%s", from, to, type_name(msg->type),
		        (unsigned long long)msg->epoch, (double)msg->grant_ns / 1e6, msg->detail,
		        lost ? " (lost)" : "");
	if (lost)
		return;
	for (int copies = (int)sim_rnd(s, 100) < s->dup_pct ? 2 : 1; copies > 0; copies--) {
		struct sim_flying f = {.id = s->ids++, .to = to, .msg = *msg};

		f.due = s->real + NETWORK_NS + sim_rnd(s, (uint32_t)s->delay_max_ns + 1);
		f.due += msg->type == s->slow_type ? s->slow_ns : 0;
		put(s, &f);
	}
}

/* --- the kernel's part: bpf/lib/echo.h, resign.h -------------------------- */

static void grant_take(struct sim_node *n, struct peer *p, const struct msg *m, uint64_t now)
{
	uint64_t until = m->grant_ns + (uint64_t)n->conf.lease_ns;

	if (m->epoch != n->epoch || (m->epoch & 0xff) != n->conf.self ||
	    m->target_inc != n->conf.incarnation || m->grant_ns > now || n->word == LEASE_FENCED)
		return;
	if (until >= p->grant_until_ns) {
		p->last_grant_ns = now;
		p->grant_until_ns = until;
	}
	if (until > n->word)
		n->word = until;
}

static uint32_t status_flags(const struct sim *s, const struct sim_node *n, uint64_t now)
{
	uint32_t flags = n->flags & ~(uint32_t)(STATUS_OWNER | STATUS_ARMED | STATUS_SERVER_DEAD);

	if (n->word > now)
		flags |= STATUS_OWNER;
	if (now < n->armed_until)
		flags |= STATUS_ARMED;
	if (!n->healthy)
		flags |= STATUS_SERVER_DEAD;
	return flags;
}

static void kernel_echo(struct sim *s, int self, const struct msg *m)
{
	struct sim_node *n = &s->node[self];
	struct peer *p = &n->peer[m->sender];
	uint64_t now = (uint64_t)sim_clock(s, n).ns;
	int64_t turned = n->wake.last_turn.ns;
	struct msg r = *m;

	if (m->sender_inc != p->incarnation || m->sent_ns > p->sent_ns) {
		p->last_echo_ns = now;
		p->sent_ns = m->sent_ns;
		p->incarnation = m->sender_inc;
		p->epoch = m->epoch;
		p->flags = m->flags;
		if (m->grant_ns)
			grant_take(n, p, m, now);
	}
	r.type = WIRE_REFLECT;
	r.sender = (uint8_t)self;
	r.target = m->sender;
	r.sender_inc = n->conf.incarnation;
	r.target_inc = m->sender_inc;
	r.epoch = n->epoch;
	r.grant_ns = now;
	r.flags = status_flags(s, n, now);
	r.turn_age_us = (uint32_t)(((int64_t)now - turned) / NS_PER_US);
	sim_fly(s, self, m->sender, &r);
}

static void kernel_resign(struct sim *s, int self, const struct msg *m)
{
	struct sim_node *n = &s->node[self];
	uint64_t now = (uint64_t)sim_clock(s, n).ns;
	uint64_t until = m->grant_ns + (uint64_t)n->conf.lease_ns;

	if ((m->epoch & 0xff) != (uint64_t)self || m->epoch <= n->epoch ||
	    m->target_inc != n->conf.incarnation || m->grant_ns > now || until <= now ||
	    now >= n->armed_until || n->word != LEASE_FENCED)
		return;
	n->epoch = m->epoch;
	n->word = until;
	sim_say(s, "node %d ingress accepts RESIGN, epoch %llx%s", self, (unsigned long long)m->epoch,
	        n->ring_full ? ", its event is lost" : "");
	if (n->ring_full)
		return;
	n->news = *m;
	n->news_due = s->real + sim_rnd(s, 200 * NS_PER_US);
	if (n->news_due < n->turn_due)
		n->turn_due = n->news_due;
}

/* --- the agent: user/sentinel/loop.c, service.c --------------------------- */

static void check_message(struct sim *s, int self, const struct msg *msg)
{
	if (msg->type == WIRE_RESIGN && msg->sender == self && s->node[self].word != LEASE_FENCED)
		broken(s, "told before it had fenced itself");
	if (msg->type == WIRE_VOTE && self != SIM_W && sim_owns(s, self))
		broken(s, "an owner gave its vote");
}

static void set_word(struct sim *s, struct sim_node *n, uint64_t until)
{
	n->word = until;
	if (until != (uint64_t)(n->judged.answered.ns + n->conf.lease_ns))
		return;
	n->arbiter_word = until;
	n->arbiter_word_apart = n->asked_apart[1];
}

/* user/sentinel/announce.c: asks each second echo, or each; answers wait for a turn to be read. */
static void ask_arbiter(struct sim *s, struct sim_node *n, const struct sim_node *other)
{
	int64_t deaf_ns = LEASE_ALONE_ECHOES * n->conf.echo_ns;

	if (s->silence != LEASE_ARBITER || s->real < n->ask_due)
		return;
	n->ask_due = s->real + (n->lease.alone ? 1 : 2) * n->conf.echo_ns;
	if (!mono_is_set(n->judged.open)) {
		int64_t since = other->heard_at > other->awake_at ? other->heard_at : other->awake_at;

		n->asked_apart[0] = s->real - since > deaf_ns - deaf_ns / 100;
	}
	arbiter_asked(&n->judged, sim_clock(s, n));
	if (n->arbiter && !n->answer_due)
		n->answer_due = s->real + NETWORK_NS + sim_rnd(s, (uint32_t)s->delay_max_ns + 1);
}

static void hear_arbiter(struct sim *s, struct sim_node *n)
{
	if (!n->answer_due || n->answer_due > s->real)
		return;
	n->answer_due = 0;
	if (!mono_is_set(n->judged.open))
		return;
	n->asked_apart[1] = n->asked_apart[0];
	arbiter_answered(&n->judged, sim_clock(s, n));
}

static void act(struct sim *s, int self, const struct lease_action *a)
{
	struct sim_node *n = &s->node[self];

	switch (a->type) {
	case LEASE_SEND:
		check_message(s, self, &a->msg);
		sim_fly(s, self, a->node, &a->msg);
		break;
	case LEASE_FENCE:
		n->word = LEASE_FENCED;
		n->flags &= ~(uint32_t)(STATUS_CLAIM | STATUS_OWNER);
		sim_say(s, "node %d fences itself", self);
		break;
	case LEASE_OWN:
		n->epoch = a->epoch;
		if (n->word == LEASE_FENCED)
			set_word(s, n, a->until);
		break;
	case LEASE_EXTEND:
		if (n->word != LEASE_FENCED && (n->word < a->until || n->word == LEASE_FOREVER))
			set_word(s, n, a->until);
		break;
	case LEASE_EPOCH:
		if (n->word == LEASE_FENCED && a->epoch > n->epoch)
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
	case LEASE_NOTE:
		sim_say(s, "node %d: %s", self, a->text);
		break;
	default:
		break;
	}
}

static void remember_moves(struct sim_node *n)
{
	for (int i = 0; i < LEASE_STATES; i++)
		n->moves[i] |= n->lease.moves[i];
}

static void agent_dies(struct sim *s, int self)
{
	s->node[self].agent = false;
	s->node[self].die_after = -1;
	s->node[self].news.type = 0;
	remember_moves(&s->node[self]);
	sim_say(s, "node %d agent killed", self);
}

void sim_carry_out(struct sim *s, int self, struct lease_actions *out)
{
	struct sim_node *n = &s->node[self];
	struct lease_view v;

	if (out->dropped)
		broken(s, "an action was dropped");
	for (int i = 0; i < out->n; i++) {
		act(s, self, &out->a[i]);
		if (n->die_after >= 0 && n->die_after-- == 0) {
			agent_dies(s, self);
			return;
		}
	}
	v = sim_view(s, self);
	n->flags = lease_flags(&n->lease, &v);
	n->armed_until = lease_armed(&n->lease, &v) ? (uint64_t)(v.now.ns + ARMED_NS) : 0;
	remember_moves(n);
}

static void begin(struct sim *s, struct lease_actions *out)
{
	out->n = 0;
	out->dropped = 0;
}

/* Events first, then the message, then the tick: as the loop does. */
static void turn(struct sim *s, int self, const struct msg *msg)
{
	struct sim_node *n = &s->node[self];
	enum lease_state before = n->lease.state;
	struct lease_actions out;
	struct lease_view v;
	struct mono began;

	echo_wake_turn(&n->wake, sim_clock(s, n));
	if (n->wake.awake_since.ns == n->wake.last_turn.ns)
		n->awake_at = s->real;
	if (n->news.type && n->news_due <= s->real) {
		struct msg news = n->news;

		n->news.type = 0;
		begin(s, &out);
		v = sim_view(s, self);
		lease_resigned_to_us(&n->lease, &news, &v, &out);
		sim_carry_out(s, self, &out);
	}
	if (msg && n->agent) {
		began = sim_clock(s, n);
		began.ns -= s->old_time ? s->stall_in_turn_ns : 0;
		begin(s, &out);
		v = sim_view(s, self);
		v.now = began;
		lease_receive(&n->lease, msg, &v, &out);
		if (self != SIM_W && n->lease.other[0].heard.ns == began.ns)
			n->heard_at = s->real;
		sim_carry_out(s, self, &out);
	}
	if (n->agent) {
		hear_arbiter(s, n);
		begin(s, &out);
		v = sim_view(s, self);
		lease_tick(&n->lease, &v, &out);
		sim_carry_out(s, self, &out);
	}
	if (n->agent && self != SIM_W)
		ask_arbiter(s, n, &s->node[SIM_A + SIM_B - self]);
	n->turn_due = s->real + HEARTBEAT;
	if (n->agent && lease_next(&n->lease).ns <= sim_clock(s, n).ns)
		broken(s, "the loop would spin: its next turn is due before this one");
	if (n->agent && real_of(n, lease_next(&n->lease)) < n->turn_due)
		n->turn_due = real_of(n, lease_next(&n->lease));
	if (n->news.type && n->news_due < n->turn_due)
		n->turn_due = n->news_due;
	if (n->turn_due <= s->real)
		n->turn_due = s->real + 1;
	if (s->history && before != n->lease.state)
		sim_say(s, "node %d %s -> %s, epoch %llx", self, lease_state_name(before),
		        lease_state_name(n->lease.state), (unsigned long long)n->lease.epoch);
}

static void arrive(struct sim *s, struct sim_flying *f)
{
	struct sim_node *n = &s->node[f->to];

	if (!n->alive)
		return;
	if (f->msg.type == WIRE_ECHO) {
		kernel_echo(s, f->to, &f->msg);
		return;
	}
	if (f->msg.type == WIRE_RESIGN && f->msg.target == f->to) {
		kernel_resign(s, f->to, &f->msg);
		return;
	}
	if (!n->agent)
		return;
	if (n->stalled_till > s->real) { /* waits in the socket */
		f->due = n->stalled_till;
		f->id = s->ids++;
		put(s, f);
		return;
	}
	turn(s, f->to, &f->msg);
}

bool sim_step(struct sim *s, int64_t until)
{
	int64_t due = s->n_flying ? s->flying[0].due : NEVER;
	int next = 0;

	for (int i = SIM_A; i <= s->n_node; i++) {
		struct sim_node *n = &s->node[i];
		int64_t t = n->turn_due > n->stalled_till ? n->turn_due : n->stalled_till;

		if (n->alive && n->agent && t < due) {
			due = t;
			next = i;
		}
	}
	if (due > until || s->violation) {
		s->real = s->real < until ? until : s->real;
		return false;
	}
	if (due > s->real)
		s->real = due;
	s->steps++;
	if (next) {
		turn(s, next, NULL);
	} else {
		struct sim_flying f = get(s);

		arrive(s, &f);
	}
	look(s);
	return true;
}

void sim_run(struct sim *s, int64_t ns)
{
	int64_t until = s->real + ns;

	while (sim_step(s, until))
		;
}

/* --- what happens to nodes ------------------------------------------------ */

void sim_agent_start(struct sim *s, int self)
{
	struct sim_node *n = &s->node[self];

	n->agent = true;
	n->die_after = -1;
	n->judged = (struct arbiter){0};
	n->ask_due = n->answer_due = 0;
	n->awake_at = s->real;
	n->turn_due = s->real + sim_rnd(s, 3 * NS_PER_MS); /* from its start to its loop's first turn */
	lease_init(&n->lease, &n->conf, n->word, n->epoch, sim_clock(s, n));
	if (n->lease.state != LEASE_owner)
		n->word = LEASE_FENCED;
	echo_wake_init(&n->wake, n->conf.echo_ns * 3 / 2 + NS_PER_MS / 2, sim_clock(s, n));
	sim_say(s, "node %d agent starts as %s", self, lease_state_name(n->lease.state));
}

void sim_machine_start(struct sim *s, int self)
{
	struct sim_node *n = &s->node[self];

	n->alive = true;
	n->word = LEASE_FENCED;
	n->epoch = 0;
	n->flags = 0;
	n->armed_until = 0;
	n->news.type = 0;
	n->stalled_till = 0;
	/* its clock begins anew, so that old timestamps mean something to it */
	n->real_base = s->real;
	n->clock_base = NS_PER_S + sim_rnd(s, 50) * NS_PER_MS;
	n->conf.incarnation = ((uint64_t)sim_rnd(s, 1u << 31) << 20) + s->ids + 1;
	memset(n->peer, 0, sizeof(n->peer));
	sim_say(s, "node %d machine starts", self);
	sim_agent_start(s, self);
}

void sim_stall(struct sim *s, int self, int64_t ns)
{
	s->node[self].stalled_till = s->real + ns;
	sim_say(s, "node %d agent stalls for %.1f ms", self, (double)ns / 1e6);
	look(s);
}

void sim_server_dies(struct sim *s, int self)
{
	struct sim_node *n = &s->node[self];
	struct lease_actions out;
	struct lease_view v;

	n->healthy = false;
	sim_say(s, "node %d server dies", self);
	if (!n->alive || !n->agent || n->stalled_till > s->real)
		return;
	begin(s, &out);
	v = sim_view(s, self);
	lease_server_ill(&n->lease, &v, &out);
	sim_carry_out(s, self, &out);
	look(s);
}

int sim_hand_over(struct sim *s, int self)
{
	struct sim_node *n = &s->node[self];
	struct lease_actions out;
	struct lease_view v = sim_view(s, self);
	int err;

	begin(s, &out);
	err = lease_hand_over(&n->lease, CAUSE_switchover, &v, &out);
	if (!err)
		sim_carry_out(s, self, &out);
	look(s);
	return err;
}

void sim_init(struct sim *s, uint64_t seed, enum lease_silence silence, int64_t lease_ns, int64_t echo_ns)
{
	FILE *history = s->history;

	memset(s, 0, sizeof(*s));
	s->history = history;
	s->rng = seed;
	s->silence = silence;
	s->n_node = silence == LEASE_WITNESSED ? 3 : 2;
	s->delay_max_ns = 100 * NS_PER_US;
	s->real = NS_PER_S;
	for (int i = SIM_A; i <= s->n_node; i++) {
		struct sim_node *n = &s->node[i];

		n->drift_ppm = (int64_t)sim_rnd(s, 201) - 100;
		n->healthy = true;
		n->arbiter = true;
		n->die_after = -1;
		n->conf = (struct lease_conf){
		        .lease_ns = lease_ns,
		        .echo_ns = echo_ns,
		        .self = (uint8_t)i,
		        .data = {SIM_A, SIM_B},
		        .witness = silence == LEASE_WITNESSED ? SIM_W : 0,
		        .silence = silence,
		};
		sim_machine_start(s, i);
	}
}
