/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "privileges.h"

static int fail(char *err, size_t size, const char *what, const char *user, int number)
{
	snprintf(err, size, "%s user=%s: %s", what, user, strerror(number));
	return -number;
}

/* The bounding set is what a later execve could win back; needs CAP_SETPCAP, so it goes first. */
static void empty_bounding_set(void)
{
	for (int cap = 0; cap <= CAP_LAST_CAP; cap++)
		prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
}

static int become(const struct passwd *pw, char *err, size_t size)
{
	empty_bounding_set();
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (initgroups(pw->pw_name, pw->pw_gid) < 0)
		return fail(err, size, "initgroups failed", pw->pw_name, errno);
	if (setgid(pw->pw_gid) < 0)
		return fail(err, size, "setgid failed", pw->pw_name, errno);
	if (setuid(pw->pw_uid) < 0)
		return fail(err, size, "setuid failed", pw->pw_name, errno);
	if (setuid(0) == 0 || setgid(0) == 0)
		return fail(err, size, "could become root again", pw->pw_name, EPERM);
	return 0;
}

int privileges_drop(const char *user, char *err, size_t size)
{
	const struct passwd *pw;
	bool root = geteuid() == 0;

	errno = 0;
	pw = getpwnam(user);
	if (!pw) {
		snprintf(err, size,
		         "user %s does not exist; create it: useradd --system --no-create-home "
		         "--shell /usr/sbin/nologin %s",
		         user, user);
		return -ENOENT;
	}
	if (pw->pw_uid == 0) {
		snprintf(err, size, "user %s is root; name one without privileges", user);
		return -EPERM;
	}
	if (!root && pw->pw_uid != getuid()) {
		snprintf(err, size, "started as uid %u, neither root nor user %s", getuid(), user);
		return -EPERM;
	}
	if (root) {
		int rc = become(pw, err, size);

		if (rc < 0)
			return rc;
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return fail(err, size, "no_new_privs failed", user, errno);
	/* No other process of this user may read keys out of it with ptrace. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return fail(err, size, "dumpable failed", user, errno);
	return 0;
}
