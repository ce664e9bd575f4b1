/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The call keeper's one event loop is sofia-sip's su_root (epoll). This is the
 * little that everything else here needs of it: the clock, a descriptor to read
 * from, and an alarm that is as exact as the kernel's timers (su_timer has
 * milliseconds). No threads of our own.
 */
#ifndef SIPFLIP_CALLS_LOOP_H
#define SIPFLIP_CALLS_LOOP_H

#include <sofia-sip/su_wait.h>

#include "mono.h"

/* CLOCK_BOOTTIME now. */
struct mono loop_now(void);

struct loop_fd {
	su_root_t *root;
	int index; /* of su_root_register; 0 = not registered */
	void (*ready)(void *arg);
	void *arg;
};

/* Calls ready() whenever fd can be read or has hung up. 0 or -errno. */
int loop_fd_add(struct loop_fd *watch, su_root_t *root, int fd, void (*ready)(void *), void *arg);
void loop_fd_remove(struct loop_fd *watch);

struct loop_alarm {
	struct loop_fd watch;
	int fd;
	void (*ring)(void *arg);
	void *arg;
};

int loop_alarm_init(struct loop_alarm *alarm, su_root_t *root, void (*ring)(void *), void *arg);
/* Rings once at `at`, at once if that is over; replaces what was set before. */
void loop_alarm_at(struct loop_alarm *alarm, struct mono at);
void loop_alarm_done(struct loop_alarm *alarm);

#endif
