/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Random faults for the world of world.h, by seed. An episode is: a start, some
 * dozens of faults at random moments, then calm, in which one node with a healthy
 * server must come to own and stay the owner. Used by tests/unit/test_lease_chance.c
 * and lease_sim.
 */
#ifndef SIPFLIP_SIM_CHANCE_H
#define SIPFLIP_SIM_CHANCE_H

#include "world.h"

/* clang-format off */
#define FAULTS(X)                                                                                            \
	X(cut_both_ways)                                                                                     \
	X(cut_one_way)                                                                                       \
	X(cut_off)                                                                                           \
	X(slow_kind)                                                                                         \
	X(heal)                                                                                              \
	X(loss_and_delay)                                                                                    \
	X(agent_stall)                                                                                       \
	X(machine_crash) X(machine_start) X(agent_kill) X(agent_kill_mid_turn) X(agent_start)                \
	        X(server_death) X(server_start) X(switchover) X(clock_rate) X(ring_full)                     \
	                X(arbiter_lost_or_seen) X(replay)
/* clang-format on */

enum fault {
#define X(name) FAULT_##name,
	FAULTS(X)
#undef X
	        FAULT_KINDS,
};

struct chance {
	uint64_t episodes, steps, tenures, excused, owned, lost_full;
	uint64_t fault[FAULT_KINDS];
	uint64_t simulated_ns;
	uint8_t moves[LEASE_STATES];
	bool old_time; /* passed on to the world: a wrong loop, for the mutants */
};

extern const char *const fault_names[FAULT_KINDS];

/* Plays the episode `seed`; adds to *c. NULL, or what was broken. History to `history` unless NULL. */
const char *chance_episode(struct chance *c, struct sim *s, enum lease_silence silence, uint64_t seed,
                           FILE *history);

#endif
