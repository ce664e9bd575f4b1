/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What service.c and server.c share. Nobody else includes it. */
#ifndef SIPFLIP_SENTINEL_SERVICE_PARTS_H
#define SIPFLIP_SENTINEL_SERVICE_PARTS_H

#include "sentinel.h"

/* what a node that lost the VIP tells its call keeper can wait: the new owner's server needs the CPU */
#define CALM_NS (50 * NS_PER_MS)

/* NULL on a witness. */
static inline struct service_state *state_of(const struct sentinel *s, const struct service *svc)
{
	return svc->here ? &s->plane.state[svc->index] : NULL;
}

/* service.c: carries the machine's actions out and publishes its state. */
void service_finish(struct sentinel *s, struct service *svc, const struct lease_actions *out,
                    struct lease_view *view);

/* server.c */
/* Keeps ill, ill_since up to date; the first look at a death is its detection. */
void server_judge(const struct sentinel *s, struct service *svc, struct mono now);
/* The kernel saw the server go: the one path that must be short. */
void server_died(struct sentinel *s, struct service *svc, enum cause cause, const struct event *event);
void server_bound(struct sentinel *s, struct service *svc, const struct event *event);

#endif
