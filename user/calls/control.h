/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The command line's questions to the call keeper (include/sipflip/control.h, on
 * calls.sock): dialogs, outcomes and counters, a page a turn, so that twenty thousand
 * dialogs and a slow reader hold up nobody.
 */
#ifndef SIPFLIP_CALLS_CONTROL_H
#define SIPFLIP_CALLS_CONTROL_H

#include "service.h"
#include "tally.h"

#define CONTROL_CLIENTS 8

struct control;

/* listen_fd stays the caller's; services (by number, NULL = none) and sources outlive it. 0 or -errno. */
int control_new(su_root_t *root, int listen_fd, struct service *const services[MAX_SERVICES],
                const struct tally_sources *sources, struct control **ret);
void control_free(struct control *control);

#endif
