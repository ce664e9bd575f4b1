/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "loop.h"

struct mono loop_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return mono_ns(ts.tv_sec * NS_PER_S + ts.tv_nsec);
}

static int woken(su_root_magic_t *magic, su_wait_t *wait, su_wakeup_arg_t *arg)
{
	struct loop_fd *watch = arg;

	watch->ready(watch->arg);
	return 0;
}

int loop_fd_add(struct loop_fd *watch, su_root_t *root, int fd, void (*ready)(void *), void *arg)
{
	su_wait_t wait[1] = {SU_WAIT_INIT};
	int index;

	if (su_wait_create(wait, fd, SU_WAIT_IN) < 0)
		return -EINVAL;
	watch->root = root;
	watch->ready = ready;
	watch->arg = arg;
	index = su_root_register(root, wait, woken, (su_wakeup_arg_t *)watch, su_pri_normal);
	if (index <= 0) {
		watch->index = 0;
		return errno ? -errno : -ENOMEM;
	}
	watch->index = index;
	return 0;
}

void loop_fd_remove(struct loop_fd *watch)
{
	if (watch->index > 0)
		su_root_deregister(watch->root, watch->index);
	watch->index = 0;
}

static void rung(void *arg)
{
	struct loop_alarm *alarm = arg;
	uint64_t times;

	/* Nothing to read: it was set anew after the kernel had said it rang. */
	if (read(alarm->fd, &times, sizeof(times)) == sizeof(times))
		alarm->ring(alarm->arg);
}

int loop_alarm_init(struct loop_alarm *alarm, su_root_t *root, void (*ring)(void *), void *arg)
{
	int rc;

	alarm->ring = ring;
	alarm->arg = arg;
	alarm->fd = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	if (alarm->fd < 0)
		return -errno;
	rc = loop_fd_add(&alarm->watch, root, alarm->fd, rung, alarm);
	if (rc < 0) {
		close(alarm->fd);
		alarm->fd = -1;
	}
	return rc;
}

void loop_alarm_at(struct loop_alarm *alarm, struct mono at)
{
	struct itimerspec when = {.it_value = {at.ns / NS_PER_S, at.ns % NS_PER_S}};

	if (at.ns <= 0)
		when.it_value.tv_nsec = 1; /* zero would disarm it */
	timerfd_settime(alarm->fd, TFD_TIMER_ABSTIME, &when, NULL);
}

void loop_alarm_done(struct loop_alarm *alarm)
{
	if (alarm->fd < 0)
		return;
	loop_fd_remove(&alarm->watch);
	close(alarm->fd);
	alarm->fd = -1;
}
