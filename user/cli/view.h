/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What CTL_STATUS says, put together: the instance, its services, their nodes. */
#ifndef SIPFLIP_CLI_VIEW_H
#define SIPFLIP_CLI_VIEW_H

#include "client.h"
#include "sipflip/wire.h"

#define VIEW_PROBLEMS 12

struct view_problem {
	char what[CTL_TEXT_LEN]; /* what is wrong, and what that means for calls */
	char todo[CTL_TEXT_LEN];
	bool grave; /* it has failed already */
};

struct view_service {
	struct ctl_service s;
	struct ctl_node node[MAX_NODES]; /* by number; [0] unused */
	unsigned char there[MAX_NODES];
	/* Why it is not fine, most important first; 0 = all is well. */
	int n_problems;
	struct view_problem problem[VIEW_PROBLEMS];
};

struct view {
	struct ctl_instance instance;
	int n_services;
	struct view_service service[MAX_SERVICES];
};

/* Asks RUN_DIR's sipflipd. `service` NULL = all. Returns reply->error. */
int view_load(const char *run_dir, const char *service, struct view *ret, struct client_reply *ret_reply);
/* As view_load; says on stderr why not. Returns enum cli_exit. */
int view_load_or_say(const char *run_dir, const char *service, struct view *ret);

const char *view_node_name(const struct view_service *v, unsigned int node);
/* Node number of the machine asked, 0 = unknown. */
unsigned int view_self(const struct view_service *v);
/* "owner", "heir", ...: own word for the own node, what is seen of the others. */
const char *view_role(const struct view_service *v, unsigned int node);
const char *view_role_name(unsigned int role);
const char *view_cause_text(unsigned int cause);
const char *view_verdict_name(unsigned int verdict);
const char *view_xdp_name(unsigned int mode);
int view_is_silent(const struct view_service *v, const struct ctl_node *node);

#endif
