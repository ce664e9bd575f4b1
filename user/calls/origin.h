/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The name of one run of a SIP server (struct dialog, origin): the same whenever this
 * node works it out anew, another one for every other process, node and boot.
 */
#ifndef SIPFLIP_CALLS_ORIGIN_H
#define SIPFLIP_CALLS_ORIGIN_H

#include <stdint.h>
#include <sys/types.h>

/* Never 0. */
uint64_t origin_of(uint8_t node, pid_t tgid);

#endif
