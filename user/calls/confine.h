/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The cell that sipflip-calls locks itself into once it is nobody in particular
 * (privileges.h) and before it reads a byte from the network. In two halves, since
 * some locks hold the calling thread only and others forbid to make threads:
 *   confine_files   no file but what is to be read in /proc (Landlock), no core
 *                   dump, bounded memory and descriptors
 *   confine_calls   the system calls it needs, for all threads: others do not exist, and what
 *                   means a break-in ends the process; no threads, no processes
 * There is no way back from either. tests/unit/test_confinement.c tries them.
 */
#ifndef SIPFLIP_CALLS_CONFINE_H
#define SIPFLIP_CALLS_CONFINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Built with sanitizers the process needs more than any cell has; it says so and runs without. */
bool confine_is_possible(void);

/*
 * What the limits are made for: dialogs that may have to be held. Single-threaded.
 * 0; 1 = this kernel has no Landlock, files can only not be written; or -errno.
 */
int confine_files(uint64_t max_dialogs);

/* When every thread that will be is there. 0 or -errno. */
int confine_calls(void);

/* Only the filter of confine_calls(), in confine_syscalls.c. 0 or -errno. */
int confine_syscalls(void);

#endif
