/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Inside `sipflip doctor`: the findings, and the three groups of checks. */
#ifndef SIPFLIP_CLI_DOCTOR_H
#define SIPFLIP_CLI_DOCTOR_H

#include <stdbool.h>

#include "cli.h"
#include "config.h"
#include "key.h"
#include "view.h"

struct doctor {
	const struct cli *cli;
	int n_fail;
	int n_warn;
	bool have_config, have_key, agent_up;
	struct config config;
	struct key_ring keys;
	struct view view; /* of the running agent */
	int self;         /* own node's number in config, 0 = none of its addresses is here */
};

/* One line each, "%-4s  what" and for the last two "  -> what to do". */
__attribute__((format(printf, 1, 2))) void doctor_ok(const char *what, ...);
__attribute__((format(printf, 3, 4))) void doctor_warn(struct doctor *d, const char *todo, const char *what,
                                                       ...);
__attribute__((format(printf, 3, 4))) void doctor_fail(struct doctor *d, const char *todo, const char *what,
                                                       ...);

/* doctor_kernel.c: what sipflipd needs of the kernel, whatever the configuration says. */
void doctor_kernel(struct doctor *d);
/* doctor_net.c: interface, XDP, VIP, listening server and sysctls of each service that runs here. */
void doctor_net(struct doctor *d);
/* Finds d->self among this machine's addresses. */
void doctor_find_self(struct doctor *d);
/* doctor_agent.c: what the running agent says, and the counters it has pinned. */
void doctor_agent(struct doctor *d);

#endif
