/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Files and limits, see confine.h. Landlock by its system calls: glibc has no wrappers. */
#include "confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MEMORY_FIXED    (768ULL << 20)
#define MEMORY_A_DIALOG (32ULL << 10) /* ten times what one with long headers takes */
#define DESCRIPTORS     1024

/* Every right of ABI 1 (Linux 5.13); later ones are added as the kernel knows them. */
#define FS_ABI_1 ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1)
#define FS_REFER (LANDLOCK_ACCESS_FS_MAKE_SYM << 1)
#define FS_TRUNC (LANDLOCK_ACCESS_FS_MAKE_SYM << 2)

bool confine_is_possible(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	return false;
#else
	return true;
#endif
}

static int may_read(int ruleset, const char *path, bool folder)
{
	struct landlock_path_beneath_attr rule = {
	        .allowed_access = LANDLOCK_ACCESS_FS_READ_FILE | (folder ? LANDLOCK_ACCESS_FS_READ_DIR : 0),
	        .parent_fd = open(path, O_PATH | O_CLOEXEC),
	};
	int err = 0;

	if (rule.parent_fd < 0)
		return -errno;
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
		err = -errno;
	close(rule.parent_fd);
	return err;
}

/* /proc tells whether the SIP server starves and which run of it this is; sofia-sip's tags want chance. */
static int restrict_files(void)
{
	struct landlock_ruleset_attr all = {.handled_access_fs = FS_ABI_1};
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	int ruleset, err;

	if (abi < 1)
		return 1;
	if (abi >= 2)
		all.handled_access_fs |= FS_REFER;
	if (abi >= 3)
		all.handled_access_fs |= FS_TRUNC;
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof(all), 0);
	if (ruleset < 0)
		return -errno;
	err = may_read(ruleset, "/proc", true);
	err = err ? err : may_read(ruleset, "/dev/urandom", false);
	if (!err && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		err = -errno;
	close(ruleset);
	return err;
}

static int limit(int what, rlim_t most)
{
	struct rlimit now, wanted = {most, most};

	if (getrlimit(what, &now) < 0)
		return -errno;
	if (now.rlim_max < most)
		wanted.rlim_cur = wanted.rlim_max = now.rlim_max;
	return setrlimit(what, &wanted) < 0 ? -errno : 0;
}

int confine_files(uint64_t max_dialogs)
{
	int err = limit(RLIMIT_CORE, 0);

	err = err ? err : limit(RLIMIT_NOFILE, DESCRIPTORS);
	err = err ? err : limit(RLIMIT_DATA, MEMORY_FIXED + max_dialogs * MEMORY_A_DIALOG);
	if (!err && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		err = -errno;
	return err ? err : restrict_files();
}

int confine_calls(void)
{
	int err = limit(RLIMIT_NPROC, 0);

	return err ? err : confine_syscalls();
}
