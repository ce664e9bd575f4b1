/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The client's side of include/sipflip/control.h. */
#ifndef SIPFLIP_CLI_CLIENT_H
#define SIPFLIP_CLI_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include "record.h"

#define CLIENT_CONTROL    "control.sock" /* sipflipd */
#define CLIENT_CALLS      "calls.sock"   /* sipflip-calls */
#define CLIENT_TIMEOUT_MS 2000           /* for each record */

struct client_reply {
	int error;      /* 0; -errno of the exchange itself (text says it); or the daemon's result */
	bool answered;  /* the daemon sent its CTL_END */
	char text[512]; /* for people: "what; what to do" */
};

/* The record is zero-filled behind what came, every text terminated and printable (text_clean). */
typedef void (*client_fn)(const union ctl_record *record, void *arg);

/*
 * Sends `op` for `service` and `node` (NULL = none) to RUN_DIR/`socket` and calls
 * fn for each record until CTL_END. `timeout_ms` is for each record; 0 = wait for
 * ever (follow). Unknown records are skipped. Returns reply.error.
 */
int client_ask(const char *run_dir, const char *socket, const struct ctl_request *request, int timeout_ms,
               client_fn fn, void *arg, struct client_reply *ret);

struct ctl_request client_request(enum ctl_op op, const char *service, const char *node);

/* As client_ask with the usual timeout, and says on stderr why not. Returns enum cli_exit. */
int client_ask_or_say(const char *run_dir, const char *socket, const struct ctl_request *request,
                      client_fn fn, void *arg);

/* Records of one type in memory, for the commands that sort and join them. */
#define CLIENT_LIST_MAX 262144

struct client_list {
	size_t n, room;
	unsigned char *items;
	bool overflow; /* more than CLIENT_LIST_MAX, or no memory */
};

/* size = of the record's struct */
void client_list_add(struct client_list *list, const void *item, size_t size);
void client_list_free(struct client_list *list);

#define CLIENT_ITEM(list, type, i) (&((type *)(void *)(list)->items)[i])

#endif
