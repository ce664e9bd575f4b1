/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Whether a service is well: the one opinion that `sipflip status` and `sipflip doctor` share. */
#ifndef SIPFLIP_CLI_JUDGE_H
#define SIPFLIP_CLI_JUDGE_H

#include <stddef.h>

#include "view.h"

/* Fills the problems of `v`, which holds all records of its service. */
void judge_service(struct view_service *v, const struct ctl_instance *instance);
/* Who owns it and who is its heir, in half a line; "NO SERVICE" when callers get no answer. */
void judge_verdict(const struct view_service *v, char *ret, size_t size);

#endif
