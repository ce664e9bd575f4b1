// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Test library for LD_PRELOAD: the wall clock of the program it is loaded into runs
 * off by as many nanoseconds as the first eight bytes of the file CLOCKSTEP_FILE
 * say, and steps when they change. The machine's clock is not touched, nor are the
 * clocks that count from the boot. Used by tests/netns/chaos.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *offset_ns;

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("CLOCKSTEP_FILE");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	if (fd < 0)
		return;
	void *at = mmap(NULL, sizeof(*offset_ns), PROT_READ, MAP_SHARED, fd, 0);
	if (at != MAP_FAILED)
		offset_ns = at;
	close(fd);
}

static int (*real_gettime(void))(clockid_t, struct timespec *)
{
	static int (*found)(clockid_t, struct timespec *);

	if (!found)
		found = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	return found;
}

int clock_gettime(clockid_t clock, struct timespec *t)
{
	int err = real_gettime()(clock, t);

	if (!err && offset_ns && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
		int64_t ns = t->tv_sec * 1000000000LL + t->tv_nsec + *offset_ns;
		t->tv_sec = ns / 1000000000LL;
		t->tv_nsec = ns % 1000000000LL;
	}
	return err;
}

int gettimeofday(struct timeval *restrict t, void *restrict zone)
{
	struct timespec now;
	int err = clock_gettime(CLOCK_REALTIME, &now);

	*t = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
	return err;
}

time_t time(time_t *ret)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (ret)
		*ret = now.tv_sec;
	return now.tv_sec;
}
