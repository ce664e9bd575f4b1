/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One line key=value on stderr, which is sipflipd's log. For changes, never for each message. */
#ifndef SIPFLIP_CALLS_LOG_H
#define SIPFLIP_CALLS_LOG_H

#include <stdio.h>

#define calls_log(fmt, ...) fprintf(stderr, "calls " fmt "\n", ##__VA_ARGS__)

#endif
