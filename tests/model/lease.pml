/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The lease protocol as a model for spin: user/core/lease.c, and the kernel's
 * part in bpf/lib/echo.h and resign.h. tests/model/run says how it is used,
 * docs/model.md what it leaves out.
 *
 *      a, b: data nodes (0, 1)      w: witness (2), only with MODE_WITNESS
 *
 * Time is discrete and has no end: no clock is kept, only what is left of each
 * lease, promise and timestamp on the clock it concerns, so that states recur.
 * At a tick any one clock may stand still, once in a run each: the drift of rates
 * that MARGIN pays for.
 *
 * The network is a memory: what was once sent may arrive at any later time, any
 * number of times, in any order, or never. Of two messages that differ only in
 * their timestamp the newer is kept, for the older one can do nothing that it
 * cannot; likewise owners reflect and candidates ask at every tick, and whether
 * anybody hears them is left open. A grant that reached its owner at once is
 * tried first, later ones too. A stall, or an agent that does not run, is a part
 * that takes no step. A machine that crashes comes back as another incarnation:
 * what was meant for the former one is void.
 *
 * Where lease.c acts only under a condition that makes things safer (the owner is
 * not heard, the heir looked ready), the model leaves it to chance. One process
 * chooses among all steps that any part of any node could take next. After every
 * step: never two owners (invariant 1). With CALM, from every state: the faults
 * end, one machine may be gone for good, everything due arrives and everybody
 * does what lease.c does; then somebody must own within CALM_TICKS, and keep it.
 *
 * BUG_* make wrong protocols of it, which spin must refute.
 */
#define LEASE 2
#ifdef BUG_NO_MARGIN
#define PROMISE LEASE
#else
#define PROMISE (LEASE + 1)
#endif
#ifndef LAGS
#define LAGS 1 /* ticks that each clock may lose */
#endif
#ifndef FAULTS
#define FAULTS 1 /* crashes and agent restarts, together */
#endif
#ifndef ROUNDS
#define ROUNDS 3 /* epochs: one owner after another, also those that failed */
#endif
#ifdef CALM
#define SPARE 4
#else
#define SPARE 0
#endif
#define EPOCHS     (2 * (ROUNDS + SPARE) + 2)
#define FRESH      (LEASE + 1) /* of a timestamp, or a word: n + 1 = n ticks left, 1 = void, 0 = none */
#define FOREVER    255
#define NOBODY     3
#define WAIT       PROMISE
#define CALM_TICKS 20
#define KEEP_TICKS 5

#ifdef MODE_WITNESS
#define VOTERS 3
#else
#define VOTERS 2
#endif
#ifdef CALM
#define NOT_CALM (gone == NOBODY && !judged)
#else
#define NOT_CALM true
#endif
#define GOES_ON NOT_CALM

/* enum lease_state; include/sipflip/roles.def */
#define listen    0
#define fenced    1
#define heir      2
#define candidate 3
#define owner     4
#define witness   5

c_decl {
\#include "moves.h"
};

byte faults;
byte lags[3];

/* the kernel's maps */
byte word[2];         /* ownership: 0 fenced, 1 run out, n + 1 */
byte kernel_epoch[2]; /* service_state.epoch */
bool unarmed[2];      /* service_state.armed_until_ns is over: the machine has just started */

/* struct lease */
byte st[3];
byte promise_node[3] = NOBODY;
byte promise_epoch[3];
byte promise_left[3];
byte mute_left[3];
byte round[3];       /* of max_epoch */
byte asked_epoch[2]; /* candidate */

/* the network, by epoch; an epoch is 2 * round + its owner */
byte reflected[EPOCHS];
byte granted[3 * EPOCHS]; /* by voter */
byte requested[EPOCHS];
byte voted[3 * EPOCHS]; /* by voter */
byte resigned[EPOCHS];      /* the heir's timestamp */
byte resigned_from[EPOCHS]; /* the epoch laid down */
bool resign_old[EPOCHS];    /* by a former incarnation of the one who resigned */
bool promise_old;           /* the witness's promise is to a former incarnation */

#ifdef MODE_ARBITER
bool cut; /* the data nodes do not hear each other, or one of them is down */
bool long_cut; /* and have not for a tick */
bool word_apart[2];   /* the word is by an answer of the arbiter, to a question sent in a long cut */
#ifdef BUG_ANSWER_FROM_RECEIPT
bool asked[2], asked_apart[2]; /* an answer is still on its way */
#endif
byte wait[2] = WAIT;  /* ticks of cut without a word of the other one, until it may be alone */
byte taker = NOBODY;  /* who became owner last did it alone */
bool two;             /* two own since the older one, of taker and other, did so by a word_apart: it is said so */
#endif

/* scratch, 0 between steps */
byte x_from, x_to, e, i, k, r;

#define owner_of(ep)    ((ep) & 1)
#define round_of(ep)    ((ep) >> 1)
#define slot(v, ep)     ((v) * EPOCHS + (ep))
#define runs(n)         (word[n] > 1)
#define max2(x, y)      ((x) > (y) -> (x) : (y))
#define known_round     max2(round[0], max2(round[1], round[2]))
#ifdef BUG_NOT_MUTE
#define muted(n) false
#else
#define muted(n) (mute_left[n])
#endif
#ifdef BUG_VOTES_WHILE_GRANTING
#define promise_runs(n) (promise_left[n] && (n) != 2)
#else
#define promise_runs(n) (promise_left[n])
#endif
#ifdef BUG_EPOCHS_WITHOUT_OWNER
#define promised_else(v, ep) (promise_runs(v) && round_of(promise_epoch[v]) != round_of(ep))
#define older(ep, than)      (round_of(ep) < round_of(than))
#else
#define promised_else(v, ep) (promise_runs(v) && promise_node[v] != owner_of(ep))
#define older(ep, than)      ((ep) < (than))
#endif
/* What ingress did is known to the agent before it does anything else: lease_heed_word() */
#ifdef BUG_GOES_BY_EVENT
#define aware(n) true
#else
#define aware(n) ((n) == 2 || !word[n] || st[n] == owner)
#endif
#ifdef BUG_RENEWAL_FROM_ZERO
#define renewable(n) (word[n] != FOREVER)
#else
#define renewable(n) (word[n] && word[n] != FOREVER)
#endif
#ifdef BUG_GRANT_FROM_RECEIPT
#define from_grant(stamp) FRESH
#else
#define from_grant(stamp) (stamp)
#endif
#ifdef BUG_LEASE_FROM_VOTE
#define from_vote(stamp) FRESH
#define valid(stamp)     ((stamp) > 0)
#else
#define from_vote(stamp) (stamp)
#define valid(stamp)     ((stamp) > 1)
#endif
#if defined(BUG_GRANT_FROM_RECEIPT) || defined(BUG_LEASE_FROM_VOTE)
#define KEPT 1 /* void timestamps do harm there */
#else
#define KEPT 0
#endif
#ifdef BUG_RESIGN_OF_ANY_LIFE
#define same_life(ep) true
#else
#define same_life(ep) (resign_old[ep] == promise_old)
#endif
#ifdef BUG_STALLED
#define silent true /* its own stall taken for the other side's death */
#else
#define silent cut
#endif

inline become(n, s)
{
	if
	:: st[n] != s ->
		x_from = st[n];
		x_to = s;
		c_code { moves_note(now.x_from, now.x_to); };
		assert(c_expr { listed[now.x_from][now.x_to] });
		st[n] = s;
		x_from = 0;
		x_to = 0
	:: else
	fi
}

inline learn(n, ep)
{
	if :: round_of(ep) > round[n] -> round[n] = round_of(ep) :: else fi
}

inline promise(v, ep)
{
	promise_node[v] = owner_of(ep);
	promise_epoch[v] = ep;
	promise_left[v] = PROMISE;
	if :: v == 2 -> promise_old = false :: else fi;
	learn(v, ep)
}

inline no_promise(v)
{
	promise_node[v] = NOBODY;
	promise_left[v] = 0
}

inline not_candidate(n)
{
	if :: n < 2 -> asked_epoch[n] = 0 :: else fi
}

/* LEASE_EPOCH is stored only over a word of 0, and over a lower epoch */
#ifdef BUG_EPOCH_GOES_BACK
#define may_recognise(n, ep) (word[n] == 0)
#else
#define may_recognise(n, ep) (word[n] == 0 && (ep) > kernel_epoch[n])
#endif
#ifdef MODE_ARBITER
#define by_grant(n) word_apart[n] = false
#define by_resign() taker = NOBODY
#define heard_of(v) if :: v < 2 -> wait[v] = WAIT :: else fi
#else
#define by_grant(n) skip
#define by_resign() skip
#define heard_of(v) skip
#endif
/* lease_follow() */
inline follow(v, ep)
{
	learn(v, ep);
	if
	:: v == 2 -> become(v, witness)
	:: else ->
		become(v, heir);
		not_candidate(v);
		if :: may_recognise(v, ep) -> kernel_epoch[v] = ep :: else fi
	fi
}

/* echo.h: whoever claims or owns answers every echo with its own time */
inline reflect(n)
{
	if
	:: kernel_epoch[n] && owner_of(kernel_epoch[n]) == n && (st[n] == owner || runs(n)) ->
		reflected[kernel_epoch[n]] = FRESH
	:: else
	fi
}

/* lease_own() */
inline own(n, ep, until)
{
#ifdef MODE_ARBITER
	taker = NOBODY;
#endif
	kernel_epoch[n] = ep;
	if :: word[n] == 0 -> word[n] = until :: else fi;
	become(n, owner);
	learn(n, ep);
	not_candidate(n);
	no_promise(n);
	reflect(n)
}

/* echo.h, grant_take(): renewal in the kernel */
#define may_grant(n, v)                                                                                 \
	(kernel_epoch[n] && owner_of(kernel_epoch[n]) == n && granted[slot(v, kernel_epoch[n])] &&      \
	 renewable(n) && from_grant(granted[slot(v, kernel_epoch[n])]) > word[n])
inline grant(n, v)
{
	word[n] = from_grant(granted[slot(v, kernel_epoch[n])]);
	by_grant(n)
}

/* on_reflect(), hear_owner() */
#define may_hear(v, ep)                                                                                 \
	(reflected[ep] && owner_of(ep) != v && aware(v) && !(st[v] == owner && older(ep, kernel_epoch[v])))
inline hear(v, ep)
{
	heard_of(v);
	if
	:: st[v] == owner ->
		word[v] = 0;
		no_promise(v);
		follow(v, ep)
	:: else
	fi;
	if
	:: older(ep, promise_epoch[v]) || promised_else(v, ep)
	:: else ->
		if
		:: st[v] == listen && muted(v) ->
			learn(v, ep);
			if :: v < 2 -> if :: may_recognise(v, ep) -> kernel_epoch[v] = ep :: else fi :: else fi
		:: else ->
			follow(v, ep);
			granted[slot(v, ep)] = reflected[ep];
			promise(v, ep);
			if :: may_grant(owner_of(ep), v) -> grant(owner_of(ep), v) :: else fi
		fi
	fi
}

/* lease_data_tick(), ask_votes(); what a refusal taught it is in r */
#define idle(n)        (st[n] == fenced || st[n] == heir || st[n] == candidate)
#define may_ask(n)     (aware(n) && idle(n) && !promise_runs(n) && !muted(n))
inline ask(n)
{
	become(n, candidate);
	round[n] = r + 1;
	asked_epoch[n] = 2 * (r + 1) + n;
	requested[asked_epoch[n]] = FRESH
}

/* judge_request(), on_vote_request() */
#define may_vote(v, ep)                                                                                 \
	(requested[ep] && owner_of(ep) != v && aware(v) && st[v] != owner && !muted(v) &&               \
	 (ep > promise_epoch[v] || (promise_node[v] == owner_of(ep) && promise_epoch[v] == ep)) &&      \
	 !(promise_runs(v) && promise_node[v] != owner_of(ep)) && !(st[v] == candidate && owner_of(ep) != 0))
inline vote(v, ep)
{
	if :: st[v] == candidate -> become(v, fenced); not_candidate(v) :: else fi;
	promise(v, ep);
	voted[slot(v, ep)] = requested[ep]
}

/* on_vote(): two of three, or both of two */
#define may_take(n, v) (st[n] == candidate && aware(n) && asked_epoch[n] && valid(voted[slot(v, asked_epoch[n])]))
inline take(n, v)
{
	e = asked_epoch[n];
	own(n, e, from_vote(voted[slot(v, e)]));
	e = 0
}

/* resign(): fences itself, then tells */
#define may_resign(n) (st[n] == owner && word[n])
inline resign(n)
{
	e = 2 * (r + 1) + 1 - n;
	resigned[e] = FRESH;
	resigned_from[e] = kernel_epoch[n];
	resign_old[e] = false;
#ifdef BUG_TELLS_BEFORE_FENCING
	kernel_epoch[n] = e;
#else
	word[n] = 0;
#endif
	promise(n, e);
	follow(n, e);
	e = 0
}

/* resign.h: the heir's kernel takes over; it stays armed for a while without its agent */
#define may_accept(n, ep) (resigned[ep] > 1 && ep > kernel_epoch[n] && word[n] == 0 && !unarmed[n])
inline accept(n, ep)
{
	kernel_epoch[n] = ep;
	word[n] = resigned[ep];
	by_resign();
	reflect(n)
}

/* lease_heed_word(), lease_resigned_to_us() */
#define may_adopt(n) (word[n] && st[n] != owner)
inline adopt(n)
{
	if
	:: owner_of(kernel_epoch[n]) == n ->
		become(n, owner);
		learn(n, kernel_epoch[n]);
		not_candidate(n);
		no_promise(n);
		reflect(n)
	:: else -> word[n] = 0
	fi
}

/* on_resign_shown(), at the witness */
#define may_show(ep)                                                                                    \
	(resigned_from[ep] && ep > promise_epoch[2] && !muted(2) &&                                     \
	 (promise_node[2] == NOBODY ||                                                                  \
	  (promise_node[2] == owner_of(resigned_from[ep]) && promise_epoch[2] == resigned_from[ep] && same_life(ep))))
inline showing(ep)
{
	promise(2, ep);
	follow(2, ep)
}

/* give_up(): its lease ran out and nobody grants it any more */
inline step_down(n)
{
	word[n] = 0;
	become(n, fenced)
}

inline stand_back(n)
{
	become(n, fenced);
	not_candidate(n)
}

/* a voter knows a higher epoch */
inline raise_epoch(n)
{
	kernel_epoch[n] = 2 * (r + 1) + n;
	round[n] = r + 1;
	reflect(n)
}

inline forget(n)
{
	no_promise(n);
	promise_epoch[n] = 0;
	not_candidate(n);
	round[n] = 0;
#ifdef MODE_ARBITER
	wait[n] = WAIT;
#endif
	mute_left[n] = PROMISE;
	st[n] = listen
}

inline crash(n)
{
	forget(n);
	if
	:: n < 2 ->
		word[n] = 0;
		unarmed[n] = true;
		kernel_epoch[n] = 0;
		for (e : 2 .. EPOCHS - 1) {
			if
			:: owner_of(e) == n ->
				reflected[e] = 0;
				requested[e] = 0;
				resigned[e] = 0;
				granted[slot(1 - n, e)] = 0;
				granted[slot(2, e)] = 0;
				voted[slot(1 - n, e)] = 0;
				voted[slot(2, e)] = 0
			:: else -> resign_old[e] = (resigned_from[e] != 0)
			fi
		}
		e = 0;
		promise_old = promise_old || promise_node[2] == n
	:: else
	fi
}

/* lease_init(): a word that is ours goes on; anything else listens first */
inline agent_restart(n)
{
	forget(n);
	if
	:: n < 2 ->
		round[n] = round_of(kernel_epoch[n]);
		if
		:: word[n] && owner_of(kernel_epoch[n]) == n -> st[n] = owner
		:: else -> word[n] = 0
		fi
	:: else
	fi
}

#define AGE(x)                                                                                          \
	if                                                                                              \
	:: x > 2 || (x == 2 && KEPT) -> x--                                                             \
	:: x == 2 && !KEPT -> x = 0                                                                     \
	:: else                                                                                         \
	fi

/* A tick of n's clock, and what happens at every tick anyhow. */
inline pass(n)
{
	if :: promise_left[n] -> promise_left[n]-- :: else fi;
	if :: mute_left[n] -> mute_left[n]-- :: else fi;
	if
	:: n < 2 ->
		if :: runs(n) && word[n] != FOREVER -> word[n]-- :: else fi;
		for (e : 1 .. ROUNDS + SPARE) {
			AGE(reflected[2 * e + n]);
			AGE(requested[2 * e + n]);
			AGE(resigned[2 * e + n]);
			AGE(granted[slot(1 - n, 2 * e + n)]);
			AGE(granted[slot(2, 2 * e + n)]);
			AGE(voted[slot(1 - n, 2 * e + n)]);
			AGE(voted[slot(2, 2 * e + n)])
		}
		e = 0;
#ifdef MODE_ARBITER
		if :: silent && wait[n] -> wait[n]-- :: else fi;
#endif
		reflect(n);
		if :: asked_epoch[n] -> requested[asked_epoch[n]] = FRESH :: else fi
	:: else
	fi;
	if
	:: st[n] == listen && mute_left[n] == 0 -> /* armed from here on */
		if :: n == 2 -> become(n, witness) :: else -> unarmed[n] = false fi
	:: else
	fi
}

#ifdef MODE_ARBITER
#define SAFE (!(runs(0) && runs(1)) || two)
/* May there be two owners from now on? */
inline notice()
{
	if :: !runs(0) -> word_apart[0] = false :: else fi;
	if :: !runs(1) -> word_apart[1] = false :: else fi;
	if
	:: !(runs(0) && runs(1)) -> two = false
	:: runs(0) && runs(1) && taker != NOBODY && word_apart[1 - taker] -> two = true
	:: else
	fi
}
#define cut_lasts() long_cut = cut
/* Before it has heard nothing for so long, awake and in a cut, nobody takes over alone. */
#ifdef BUG_NO_WAIT
#define waited(n) true
#else
#define waited(n) (wait[n] == 0)
#endif
#define may_take_alone(n) (may_ask(n) && cut && waited(n))
inline take_alone(n, ep)
{
	own(n, ep, FRESH);
	word_apart[n] = long_cut;
	taker = n
}
/*
 * lease_arbiter_until(). An answer counts from when its question was sent and renews nothing
 * that has run out: one that comes late does no more than one that had come at once.
 */
#ifdef BUG_ANSWER_REVIVES
#define may_renew(n) (st[n] == owner && word[n])
#else
#define may_renew(n) (st[n] == owner && runs(n))
#endif
inline renew(n, question_apart)
{
#ifdef BUG_ENDLESS
	word[n] = FOREVER;
#else
	word[n] = FRESH;
#endif
	word_apart[n] = question_apart
}
#else
#define notice() skip
#define cut_lasts() skip
#define SAFE (!(runs(0) && runs(1)))
#endif

#ifdef CALM
byte gone = NOBODY;
byte x_tick, lapsed[2], calm_ticks, keeper;
bool judged;
#define here(n) ((n) != gone && (n) < VOTERS)
/* Everything due arrives, everybody does what lease.c does at once. */
inline calm_tick()
{
	for (i : 0 .. VOTERS - 1) {
		if :: here(i) -> pass(i) :: else fi
	}
	for (k : 1 .. 2) { /* an answer may have consequences in the same tick */
		for (i : 0 .. 1) {
			if :: here(i) && may_adopt(i) -> adopt(i) :: else fi;
			if :: here(i) && st[i] == listen && mute_left[i] == 0 -> become(i, fenced) :: else fi;
			if :: here(i) -> reflect(i) :: else fi
		}
		for (i : 0 .. VOTERS - 1) {
			for (x_tick : 0 .. 1) {
				if
				:: here(i) && here(x_tick) && kernel_epoch[x_tick] && owner_of(kernel_epoch[x_tick]) == x_tick &&
				   (st[x_tick] == owner || runs(x_tick)) && may_hear(i, kernel_epoch[x_tick]) ->
					hear(i, kernel_epoch[x_tick])
				:: else
				fi
			}
		}
		r = 0;
		for (i : 0 .. VOTERS - 1) {
			if :: here(i) && round[i] > r -> r = round[i] :: else fi
		}
		for (i : 0 .. 1) {
			if
			:: here(i) && st[i] == owner && runs(i) && r > round_of(kernel_epoch[i]) -> raise_epoch(i); r++
			:: else
			fi;
			if
			:: here(i) && st[i] == owner && word[i] == 1 -> lapsed[i]++
			:: else -> lapsed[i] = 0
			fi;
#ifndef BUG_NEVER_ASKS_AGAIN
			if :: lapsed[i] > 2 * PROMISE -> step_down(i); lapsed[i] = 0 :: else fi;
#endif
#ifdef MODE_ARBITER
			if
			:: here(i) && st[i] == owner && runs(i) -> word[i] = FRESH
			:: here(i) && st[i] == owner && !runs(i) && gone != NOBODY -> step_down(i)
			:: else
			fi
#endif
		}
		/* nobody owns: the preferred node asks, or the other one when it may not */
		if
		:: runs(0) || runs(1)
		:: else ->
			if
			:: here(0) && may_ask(0) -> x_tick = 0
			:: here(1) && may_ask(1) && !(here(0) && may_ask(0)) -> x_tick = 1
			:: else -> x_tick = NOBODY
			fi;
			if
			:: x_tick == NOBODY
#ifdef MODE_ARBITER
			:: x_tick != NOBODY && gone != NOBODY && waited(x_tick) ->
				own(x_tick, 2 * (r + 1) + x_tick, FRESH)
#endif
			:: else ->
				/* refused by epoch: asks with a higher one */
				for (i : 0 .. VOTERS - 1) {
					if
					:: here(i) && asked_epoch[x_tick] && promise_epoch[i] >= asked_epoch[x_tick] &&
					   (promise_node[i] != x_tick || promise_epoch[i] > asked_epoch[x_tick]) ->
						asked_epoch[x_tick] = 0
					:: else
					fi
				}
				if :: asked_epoch[x_tick] == 0 -> ask(x_tick) :: else fi;
				for (i : 0 .. VOTERS - 1) {
					if :: here(i) && asked_epoch[x_tick] && may_vote(i, asked_epoch[x_tick]) -> vote(i, asked_epoch[x_tick]) :: else fi;
					if :: here(i) && i != x_tick && may_take(x_tick, i) -> take(x_tick, i) :: else fi
				}
			fi
		fi;
		r = 0
	}
	x_tick = 0;
	i = 0;
	k = 0
}

inline calm()
{
#ifdef MODE_ARBITER
	cut = (gone != NOBODY);
#endif
	if :: gone != NOBODY -> crash(gone) :: else fi;
	keeper = NOBODY;
	calm_ticks = 0;
	do
	:: calm_ticks < CALM_TICKS + KEEP_TICKS ->
		calm_tick();
		calm_ticks++;
		if
		:: calm_ticks == CALM_TICKS ->
			assert(runs(0) || runs(1));
			if :: runs(0) -> keeper = 0 :: else -> keeper = 1 fi
		:: calm_ticks > CALM_TICKS -> assert(runs(keeper) && !runs(1 - keeper))
		:: else
		fi
	:: else -> break
	od;
	judged = true
}
#endif

/* every machine has just been started; or, ESTABLISHED: a has owned for a while, b is its heir */
inline start()
{
	for (i : 0 .. VOTERS - 1) {
		mute_left[i] = PROMISE
	}
	i = 0;
	unarmed[0] = true;
	unarmed[1] = true;
#ifdef ESTABLISHED
	unarmed[0] = false;
	unarmed[1] = false;
	for (i : 0 .. VOTERS - 1) {
		mute_left[i] = 0;
		round[i] = 1;
		promise_epoch[i] = 2;
		promise_node[i] = 0;
		promise_left[i] = PROMISE;
		granted[slot(i, 2)] = FRESH
	}
	i = 0;
	granted[slot(0, 2)] = 0;
	no_promise(0);
	st[0] = owner;
	st[1] = heir;
	if :: VOTERS == 3 -> st[2] = witness :: else fi;
	kernel_epoch[0] = 2;
	kernel_epoch[1] = 2;
	word[0] = FRESH;
	reflected[2] = FRESH
#endif
}

/* A step: when it may be taken, and what it does, at once. */
#define STEP(may, does) :: d_step { GOES_ON && (may) -> does; notice(); assert(SAFE) }
#define HEAR(v, ep)     STEP(may_hear(v, ep), printf("%d hears the claim to epoch %d\n", v, ep); hear(v, ep))
#define GRANT(n, v)     STEP(may_grant(n, v), printf("%d is reached by a grant of %d\n", n, v); grant(n, v))
#define VOTE(v, ep)     STEP(may_vote(v, ep), printf("%d votes for epoch %d\n", v, ep); vote(v, ep))
#define TAKE(n, v)      STEP(may_take(n, v), printf("%d takes ownership by the vote of %d\n", n, v); take(n, v))
#define ACCEPT(ep)      STEP(may_accept(owner_of(ep), ep), printf("ingress of %d accepts RESIGN, epoch %d\n", owner_of(ep), ep); accept(owner_of(ep), ep))
#define SHOW(ep)        STEP(may_show(ep), printf("2 is shown RESIGN, epoch %d\n", ep); showing(ep))
/* with what it knows itself, or after it was taught what anybody knows */
#define ASK(n)                                                                                          \
	STEP(may_ask(n) && !asked_epoch[n] && round[n] < ROUNDS, r = round[n]; ask(n); r = 0; printf("%d asks for epoch %d\n", n, asked_epoch[n]))           \
	STEP(may_ask(n) && known_round > round[n] && known_round < ROUNDS, r = known_round; ask(n); r = 0; printf("%d asks for epoch %d\n", n, asked_epoch[n]))
#define RESIGN(n)                                                                                       \
	STEP(may_resign(n) && round[n] < ROUNDS, r = round[n]; resign(n); r = 0; printf("%d resigns, epoch %d\n", n, kernel_epoch[n]))                        \
	STEP(may_resign(n) && known_round > round[n] && known_round < ROUNDS, r = known_round; resign(n); r = 0; printf("%d resigns, epoch %d\n", n, kernel_epoch[n]))
#define RAISE(n)                                                                                        \
	STEP(st[n] == owner && runs(n) && known_round > round_of(kernel_epoch[n]) && known_round < ROUNDS, \
	     r = known_round; raise_epoch(n); r = 0; printf("%d raises its epoch to %d\n", n, kernel_epoch[n]))
#define TICK STEP(true, printf("--- tick\n"); cut_lasts(); pass(0); pass(1); if :: VOTERS == 3 -> pass(2) :: else fi)
#define SLOW(n, other, third)                                                                           \
	STEP(lags[n] < LAGS, printf("--- tick, the clock of %d stands still\n", n); lags[n]++; cut_lasts(); pass(other); if :: VOTERS == 3 || third < 2 -> pass(third) :: else fi)
#define DATA(n)                                                                                         \
	STEP(st[n] == listen && mute_left[n] == 0, become(n, fenced))                                   \
	ASK(n) RESIGN(n) RAISE(n)                                                                       \
	STEP(may_adopt(n), printf("agent of %d heeds its word\n", n); adopt(n))                                                                    \
	STEP(st[n] == owner && word[n] == 1, printf("%d lapsed, steps down\n", n); step_down(n))                                              \
	STEP((st[n] == candidate || (st[n] == heir && !promise_runs(n))) && aware(n), printf("%d stands back\n", n); stand_back(n))    \
	STEP(faults < FAULTS, printf("machine of %d restarts\n", n); faults++; crash(n)) STEP(faults < FAULTS, printf("agent of %d restarts\n", n); faults++; agent_restart(n))
#ifdef BUG_ANSWER_FROM_RECEIPT
#define RENEW(n)                                                                                        \
	STEP(!asked[n] && may_renew(n), asked[n] = true; asked_apart[n] = long_cut; printf("%d asks the arbiter\n", n)) \
	STEP(asked[n] && may_renew(n), renew(n, asked_apart[n]); asked[n] = false; printf("%d goes on by the arbiter\n", n))
#else
#define RENEW(n) STEP(may_renew(n), renew(n, long_cut); printf("%d goes on by the arbiter\n", n))
#endif
#define ALONE(n)                                                                                        \
	STEP(may_take_alone(n) && known_round < ROUNDS, r = known_round; take_alone(n, 2 * (r + 1) + n); r = 0; printf("%d takes ownership alone\n", n)) \
	RENEW(n)

active proctype world()
{
	d_step { start() };
	do
	TICK SLOW(0, 1, 2) SLOW(1, 0, 2)
	DATA(0) DATA(1)
	HEAR(0, 3) HEAR(0, 5) HEAR(1, 2) HEAR(1, 4)
	GRANT(0, 1) GRANT(1, 0)
	VOTE(0, 3) VOTE(0, 5) VOTE(1, 2) VOTE(1, 4)
	TAKE(0, 1) TAKE(1, 0)
	ACCEPT(4) ACCEPT(5)
#if ROUNDS > 2
	HEAR(0, 7) HEAR(1, 6) VOTE(0, 7) VOTE(1, 6) ACCEPT(6) ACCEPT(7)
#endif
#ifdef MODE_WITNESS
	SLOW(2, 0, 1)
	HEAR(2, 2) HEAR(2, 3) HEAR(2, 4) HEAR(2, 5)
	GRANT(0, 2) GRANT(1, 2)
	VOTE(2, 2) VOTE(2, 3) VOTE(2, 4) VOTE(2, 5)
	TAKE(0, 2) TAKE(1, 2)
	SHOW(4) SHOW(5)
#if ROUNDS > 2
	HEAR(2, 6) HEAR(2, 7) VOTE(2, 6) VOTE(2, 7) SHOW(6) SHOW(7)
#endif
	STEP(faults < FAULTS, printf("machine of 2 restarts\n"); faults++; crash(2))
#endif
#ifdef MODE_ARBITER
	ALONE(0) ALONE(1)
	STEP(true, cut = !cut; long_cut = false; if :: !cut -> wait[0] = WAIT; wait[1] = WAIT :: else fi; printf("cut: %d\n", cut))
#endif
#ifdef CALM
	/* all is well from here on, but perhaps one machine is gone for good */
	:: d_step { GOES_ON -> gone = NOBODY; calm() }
#ifdef MODE_WITNESS
	:: d_step { GOES_ON -> gone = 2; calm() }
#endif
#ifndef MODE_RELEASE
	:: d_step { GOES_ON -> gone = 0; calm() }
	:: d_step { GOES_ON -> gone = 1; calm() }
#endif
#endif
	od
}
