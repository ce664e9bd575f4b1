/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Compiled into the verifier that spin makes of lease.pml: notes each change of
 * state, outside the state vector, refuses what transitions.def does not list,
 * and prints at the end which ones were made. tests/model/run reads that.
 */
#ifndef SIPFLIP_MODEL_MOVES_H
#define SIPFLIP_MODEL_MOVES_H

#include <stdio.h>
#include <stdlib.h>

enum {
#define ROLE(name, value) ROLE_##name = value,
#include "roles.def"
#undef ROLE
	ROLES,
};

static const char *const role_names[] = {
#define ROLE(name, value) #name,
#include "roles.def"
#undef ROLE
};

static const unsigned char listed[ROLES][ROLES] = {
#define TRANSITION(from, to) [ROLE_##from][ROLE_##to] = 1,
#include "transitions.def"
#undef TRANSITION
};

static unsigned char made[ROLES][ROLES];

static void moves_print(void)
{
	for (int i = 0; i < ROLES; i++)
		for (int k = 0; k < ROLES; k++)
			if (made[i][k])
				printf("MOVE %s %s%s\n", role_names[i], role_names[k],
				       listed[i][k] ? "" : " UNLISTED");
}

static void moves_note(int from, int to)
{
	static int registered;

	if (!registered)
		atexit(moves_print);
	registered = 1;
	made[from][to] = 1;
}

#endif
