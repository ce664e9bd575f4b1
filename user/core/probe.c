/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <string.h>

#include "probe.h"

/* A tick that finds the server over the limit is confirmed by a second one: in
 * between the caller's loop has read what was waiting in its sockets.
 */
#define CONFIRM_NS    NS_PER_MS
#define MIN_WAITING   2                 /* one lost datagram is not a hang */
#define SPARE_NS      (100 * NS_PER_MS) /* pace towards a server that does not answer */
#define SPARE_WAITING 32

/* --- the latency window ----------------------------------------------------- */

static int bucket_of(uint32_t us)
{
	if (us < 8)
		return us;
	int octave = 31 - __builtin_clz(us);
	int bucket = (octave - 2) * 8 + ((us >> (octave - 3)) & 7);
	return bucket < PROBE_BUCKETS ? bucket : PROBE_BUCKETS - 1;
}

/* The bucket's upper end: a quantile is never told smaller than it was. */
static uint32_t bucket_us(int bucket)
{
	if (bucket < 8)
		return bucket;
	int octave = bucket / 8 + 2;
	return ((uint32_t)(bucket % 8 + 9) << (octave - 3)) - 1;
}

static uint32_t quantile_us(const struct probe *p, uint32_t per_mille)
{
	uint32_t rank = (uint32_t)(((uint64_t)p->total_answers * per_mille + 999) / 1000), seen = 0;

	for (int i = 0; i < PROBE_BUCKETS; i++) {
		seen += p->total[i];
		if (seen && seen >= rank)
			return bucket_us(i);
	}
	return 0;
}

/* A rare long answer counts in full for 20 s and then less and less. */
static int64_t decayed_max_ns(const struct probe *p)
{
	static const int percent[PROBE_SLOTS] = {100, 100, 85, 70, 55, 40};
	int64_t max = 0;

	for (int age = 0; age < PROBE_SLOTS; age++) {
		const struct probe_slot *slot = &p->slot[(p->newest + PROBE_SLOTS - age) % PROBE_SLOTS];
		int64_t ns = slot->max_us * NS_PER_US / 100 * percent[age];

		if (ns > max)
			max = ns;
	}
	return max;
}

static void compute_limit(struct probe *p)
{
	uint32_t n = p->total_answers;

	p->unread = 0;
	p->p50_us = quantile_us(p, 500);
	p->p99_us = quantile_us(p, 990);
	p->max_us = 0;
	for (int i = 0; i < PROBE_SLOTS; i++)
		if (p->slot[i].max_us > p->max_us)
			p->max_us = p->slot[i].max_us;
	if (p->p99_us > p->max_us)
		p->p99_us = p->max_us;
	if (p->p50_us > p->p99_us)
		p->p50_us = p->p99_us;
	if (n < PROBE_MIN_ANSWERS) {
		p->limit_ns = p->conf.ceiling_ns;
		return;
	}
	/* A p99 of few answers is a guess, so it is widened by 500/n. */
	int64_t limit = 3 * p->p99_us * NS_PER_US;
	int64_t twice_max = 2 * decayed_max_ns(p);

	limit += limit * 500 / n;
	if (limit < twice_max)
		limit = twice_max;
	if (limit < p->conf.floor_ns)
		limit = p->conf.floor_ns;
	if (limit > p->conf.ceiling_ns)
		limit = p->conf.ceiling_ns;
	p->limit_ns = limit;
}

static void rotate(struct probe *p, struct mono now)
{
	for (int i = 0; i < PROBE_SLOTS && !mono_before(now, p->slot_end); i++) {
		p->newest = (p->newest + 1) % PROBE_SLOTS;
		struct probe_slot *slot = &p->slot[p->newest];

		for (int b = 0; b < PROBE_BUCKETS; b++)
			p->total[b] -= slot->count[b];
		p->total_answers -= slot->answers;
		memset(slot, 0, sizeof(*slot));
		p->slot_end = mono_add(p->slot_end, PROBE_SLOT_NS);
		compute_limit(p);
	}
	if (!mono_before(now, p->slot_end))
		p->slot_end = mono_add(now, PROBE_SLOT_NS);
}

/*
 * What was judged a hang is no latency: when it ends, everything that waited is
 * answered at once. But answers that come as they were asked for, only later than
 * the limit, say that the limit was too low, and must raise it.
 */
static bool is_of_hang(const struct probe *p, int64_t sent, int64_t t)
{
	if (p->verdict != HEALTH_HUNG && sent >= p->recovered)
		return false;
	return t - sent > 4 * p->limit_ns || 2 * (t - p->last_answer) < sent - p->last_answered_sent;
}

static void record(struct probe *p, int64_t sent, int64_t t)
{
	int64_t latency_ns = t - sent;
	bool of_hang = is_of_hang(p, sent, t);

	p->last_answer = t;
	p->last_answered_sent = sent;
	if (of_hang)
		return;
	if (latency_ns < 0)
		latency_ns = 0;
	if (latency_ns > 4 * NS_PER_S)
		latency_ns = 4 * NS_PER_S;
	uint32_t us = (uint32_t)(latency_ns / NS_PER_US);
	int bucket = bucket_of(us);
	struct probe_slot *slot = &p->slot[p->newest];

	slot->count[bucket]++;
	slot->answers++;
	if (us > slot->max_us)
		slot->max_us = us;
	p->total[bucket]++;
	p->total_answers++;
	/* A longer answer than any before must not wait for its turn. */
	if (++p->unread >= 16 || us > p->max_us)
		compute_limit(p);
}

/* --- time ------------------------------------------------------------------- */

/* The observer's waking time. Whoever is called after `due` has slept since then. */
static int64_t awake(struct probe *p, struct mono now)
{
	int64_t late = mono_diff(now, p->due);

	if (late > 0) {
		p->stalled_ns += late;
		p->due = now;
		if (late > p->limit_ns) {
			p->stalls++;
			p->suspect = 0;
			if (p->verdict == HEALTH_OK)
				p->verdict = HEALTH_UNKNOWN;
		}
	}
	return now.ns - p->stalled_ns;
}

void probe_init(struct probe *p, const struct probe_conf *conf, struct mono now)
{
	memset(p, 0, sizeof(*p));
	p->conf = *conf;
	p->verdict = HEALTH_UNKNOWN;
	p->limit_ns = conf->ceiling_ns;
	p->due = now;
	p->next_send = now;
	p->slot_end = mono_add(now, PROBE_SLOT_NS);
}

/* --- judgement -------------------------------------------------------------- */

static int64_t silent_since(const struct probe *p)
{
	return p->waiting_since > p->life ? p->waiting_since : p->life;
}

/* May silence be a hang now? */
static bool may_judge(const struct probe *p)
{
	return p->n_out >= MIN_WAITING && p->established &&
	       (p->verdict == HEALTH_OK || p->verdict == HEALTH_UNKNOWN);
}

static void forget_server(struct probe *p)
{
	p->verdict = HEALTH_UNKNOWN;
	p->established = false;
	p->run = 0;
}

static void judge(struct probe *p, int64_t t)
{
	if (p->verdict == HEALTH_REFUSED && p->n_out >= MIN_WAITING && t - p->refused > p->conf.ceiling_ns &&
	    t - silent_since(p) > p->conf.ceiling_ns)
		forget_server(p); /* something listens again and says nothing */
	if (!may_judge(p) || t - silent_since(p) <= p->limit_ns) {
		p->suspect = 0;
		return;
	}
	if (!p->suspect) {
		p->suspect = t;
		return;
	}
	if (t - p->suspect >= CONFIRM_NS / 2) {
		p->verdict = HEALTH_HUNG;
		p->suspect = 0;
		p->run = 0;
	}
}

static int64_t pace_ns(const struct probe *p)
{
	/* A hung server's socket buffer is left to its phones. */
	bool spare = p->verdict == HEALTH_HUNG || p->n_out >= SPARE_WAITING;

	return spare && p->conf.interval_ns < SPARE_NS ? SPARE_NS : p->conf.interval_ns;
}

bool probe_suspects(const struct probe *p)
{
	return p->suspect != 0;
}

void probe_starved(struct probe *p, struct mono now)
{
	int64_t t = awake(p, now);

	if (!p->suspect)
		return;
	if (!p->starved_since) {
		p->starved_since = t;
		p->starved++;
	}
	if (t - p->starved_since < p->conf.ceiling_ns)
		p->suspect = t; /* confirmed, if at all, by a later tick */
}

struct probe_turn probe_tick(struct probe *p, struct mono now)
{
	struct probe_turn turn = {false, now};
	int64_t t = awake(p, now);

	rotate(p, now);
	judge(p, t);
	if (!mono_before(now, p->next_send)) {
		turn.send = true;
		p->next_send = mono_add(p->next_send, pace_ns(p));
		if (!mono_before(now, p->next_send))
			p->next_send = mono_add(now, pace_ns(p));
	}
	turn.wake = p->next_send;
	if (may_judge(p)) {
		int64_t over = silent_since(p) + p->limit_ns + 1 + p->stalled_ns;

		if (p->suspect || over <= now.ns)
			over = now.ns + CONFIRM_NS;
		if (over < turn.wake.ns)
			turn.wake.ns = over;
	}
	p->due = turn.wake;
	return turn;
}

void probe_hurry(struct probe *p, struct mono now)
{
	awake(p, now);
	if (mono_before(now, p->next_send))
		p->next_send = now;
}

/* --- what happened ---------------------------------------------------------- */

static void drop_oldest(struct probe *p, int n)
{
	p->n_out -= n;
	memmove(p->out, p->out + n, p->n_out * sizeof(p->out[0]));
}

void probe_sent(struct probe *p, uint64_t seq, struct mono now)
{
	int64_t t = awake(p, now);

	if (p->n_out == PROBE_OUTSTANDING) {
		p->forgotten++;
		drop_oldest(p, 1);
	}
	p->out[p->n_out].seq = seq;
	p->out[p->n_out].sent = t;
	p->n_out++;
	p->probes++;
	if (!p->waiting_since)
		p->waiting_since = t;
}

static void alive(struct probe *p, int64_t t)
{
	if (t > p->life)
		p->life = t;
	p->suspect = 0;
	p->starved_since = 0;
}

static void count_towards_ok(struct probe *p, int64_t t)
{
	if (p->verdict == HEALTH_OK)
		return;
	/* After an own stall one answer is enough: it was healthy before. */
	int need = p->verdict == HEALTH_UNKNOWN && p->established ? 1 : PROBE_RECOVERY;

	if (++p->run < need)
		return;
	p->run = 0;
	p->recovered = t;
	p->established = true;
	p->verdict = HEALTH_OK;
}

void probe_answered(struct probe *p, uint64_t seq, struct mono now)
{
	int64_t t = awake(p, now);
	int i = 0;

	p->answers++;
	p->ok_at = now;
	p->life_at = now;
	while (i < p->n_out && p->out[i].seq != seq)
		i++;
	if (i == p->n_out) {
		p->late++;
	} else {
		int64_t sent = p->out[i].sent;
		int lost = 0;

		record(p, sent, t);
		p->n_out--;
		memmove(p->out + i, p->out + i + 1, (p->n_out - i) * sizeof(p->out[0]));
		/* Answers come about in order: what is overdue by a limit is lost. */
		while (lost < i && p->out[lost].sent < sent - p->limit_ns)
			lost++;
		drop_oldest(p, lost);
		p->forgotten += lost;
		p->waiting_since = p->n_out ? p->out[0].sent : 0;
	}
	alive(p, t);
	count_towards_ok(p, t);
}

void probe_life(struct probe *p, struct mono at, struct mono now)
{
	int64_t t = awake(p, now);

	if (mono_before(p->life_at, at))
		p->life_at = at;
	alive(p, t - (mono_before(at, now) ? mono_diff(now, at) : 0));
}

void probe_refused(struct probe *p, struct mono now)
{
	p->refused = awake(p, now);
	p->verdict = HEALTH_REFUSED;
	p->forgotten += p->n_out;
	p->n_out = 0;
	p->waiting_since = 0;
	p->suspect = 0;
	p->run = 0;
}

void probe_health(const struct probe *p, struct keeper_health *ret)
{
	ret->verdict = p->verdict;
	ret->outstanding = p->n_out;
	ret->ok_ns = p->ok_at.ns;
	ret->life_ns = p->life_at.ns;
	ret->limit_us = (uint32_t)(p->limit_ns / NS_PER_US);
	ret->p50_us = p->p50_us;
	ret->p99_us = p->p99_us;
	ret->max_us = p->max_us;
	ret->probes = p->probes;
	ret->answers = p->answers;
}
