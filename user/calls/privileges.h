/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Becoming nobody in particular. sipflip-calls parses bytes from the network with
 * a large library, so before it reads the first one it gives up root, every
 * capability and the way back. Called once, before any thread exists.
 */
#ifndef SIPFLIP_CALLS_PRIVILEGES_H
#define SIPFLIP_CALLS_PRIVILEGES_H

#include <stddef.h>

/*
 * Becomes `user` with its groups. Started by that very user (tests) it only locks
 * the door behind itself. 0, or -errno with a line for people in err.
 */
int privileges_drop(const char *user, char *err, size_t err_size);

#endif
