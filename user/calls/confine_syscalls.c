/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The system calls of sipflip-calls once its threads are there (confine.h), in two
 * filters of which the stricter counts. The list of what it needs, found by tracing the
 * scenarios of tests/netns: any other does not exist (ENOSYS), for which libraries are
 * prepared. And the list of what only somebody who broke in asks for: that ends the
 * process, and sipflipd says so. Arguments are judged where a number says enough: a socket's
 * kind, how a file is opened, memory that could be executed, which bpf command.
 */
#include "confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#define WRITES (O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND | (O_TMPFILE & ~O_DIRECTORY))
#define KIND   0xf /* of a socket's type, without SOCK_CLOEXEC and SOCK_NONBLOCK */

static const int allowed[] = {
        /* descriptors */
        SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(readv), SCMP_SYS(writev), SCMP_SYS(close), SCMP_SYS(lseek),
        SCMP_SYS(fstat), SCMP_SYS(newfstatat), SCMP_SYS(statx), SCMP_SYS(getdents64), SCMP_SYS(fcntl),
        SCMP_SYS(pipe2), SCMP_SYS(eventfd2), SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime),
        SCMP_SYS(timerfd_gettime), SCMP_SYS(epoll_create), SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl),
        SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(poll), SCMP_SYS(ppoll),
        /* sockets; which may be made is below */
        SCMP_SYS(bind), SCMP_SYS(listen), SCMP_SYS(accept), SCMP_SYS(accept4), SCMP_SYS(connect),
        SCMP_SYS(shutdown), SCMP_SYS(getsockname), SCMP_SYS(getpeername), SCMP_SYS(getsockopt),
        SCMP_SYS(setsockopt), SCMP_SYS(recvfrom), SCMP_SYS(recvmsg), SCMP_SYS(recvmmsg), SCMP_SYS(sendto),
        SCMP_SYS(sendmsg), SCMP_SYS(sendmmsg),
        /* memory; without PROT_EXEC: below */
        SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(mlock),
        SCMP_SYS(munlock),
        /* threads that are there already */
        SCMP_SYS(futex), SCMP_SYS(set_robust_list), SCMP_SYS(rseq), SCMP_SYS(sched_yield),
        SCMP_SYS(sched_getaffinity), SCMP_SYS(sched_getparam), SCMP_SYS(sched_getscheduler), SCMP_SYS(gettid),
        SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigreturn), SCMP_SYS(sigaltstack),
        SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(restart_syscall),
        /* time, chance, itself; sysinfo is of qsort(), from 1 KiB on */
        SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres), SCMP_SYS(clock_nanosleep), SCMP_SYS(nanosleep),
        SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(getrandom), SCMP_SYS(getpid), SCMP_SYS(getuid),
        SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getegid), SCMP_SYS(uname), SCMP_SYS(sysinfo),
        SCMP_SYS(getppid)};

struct rule {
	int call;
	struct scmp_arg_cmp arg[2];
	unsigned int n;
};

#define EQUAL(number, value)        SCMP_CMP64(number, SCMP_CMP_EQ, value)
#define MASKED(number, mask, value) SCMP_CMP64(number, SCMP_CMP_MASKED_EQ, mask, value)
#define SOCKET(domain, kind)                                                                                 \
	{                                                                                                    \
		SCMP_SYS(socket), {EQUAL(0, domain), MASKED(1, KIND, kind)}, 2                               \
	}
#define ONE(name, number, value)                                                                             \
	{                                                                                                    \
		SCMP_SYS(name), {EQUAL(number, value)}, 1                                                    \
	}
#define NONE_OF(name, number, mask)                                                                          \
	{                                                                                                    \
		SCMP_SYS(name), {MASKED(number, mask, 0)}, 1                                                 \
	}

static const struct rule judged[] = {
        NONE_OF(open, 1, WRITES),
        NONE_OF(openat, 2, WRITES),
        NONE_OF(mmap, 2, PROT_EXEC),
        NONE_OF(mprotect, 2, PROT_EXEC),
        SOCKET(AF_INET, SOCK_DGRAM),
        SOCKET(AF_INET, SOCK_STREAM),
        SOCKET(AF_INET6, SOCK_DGRAM),
        SOCKET(AF_INET6, SOCK_STREAM),
        {SCMP_SYS(socket), {EQUAL(0, AF_NETLINK), EQUAL(2, 0 /* NETLINK_ROUTE: getifaddrs */)}, 2},
        ONE(ioctl, 1, FIONREAD),
        ONE(ioctl, 1, FIONBIO),
        ONE(ioctl, 1, TCGETS),
        ONE(prctl, 0, PR_SET_NAME),
        ONE(prlimit64, 2, 0), /* to ask, not to set */
        /* the maps whose descriptors it was given; nothing is loaded, made or looked up by name */
        ONE(bpf, 0, BPF_MAP_LOOKUP_ELEM),
        ONE(bpf, 0, BPF_MAP_UPDATE_ELEM),
        ONE(bpf, 0, BPF_MAP_DELETE_ELEM),
        ONE(bpf, 0, BPF_MAP_GET_NEXT_KEY),
        ONE(bpf, 0, BPF_OBJ_GET_INFO_BY_FD),
        /* ZeroMQ's threads give themselves the scheduling that they have */
        ONE(sched_setscheduler, 1, 0 /* SCHED_OTHER */),
};

/* Each ends the process. */
static const int fatal[] = {
        /* other programs, other processes */
        SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(fork), SCMP_SYS(vfork), SCMP_SYS(ptrace),
        SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev), SCMP_SYS(pidfd_getfd), SCMP_SYS(kcmp),
        /* another self */
        SCMP_SYS(setuid), SCMP_SYS(setgid), SCMP_SYS(setreuid), SCMP_SYS(setregid), SCMP_SYS(setresuid),
        SCMP_SYS(setresgid), SCMP_SYS(setfsuid), SCMP_SYS(setfsgid), SCMP_SYS(setgroups), SCMP_SYS(capset),
        SCMP_SYS(unshare), SCMP_SYS(setns), SCMP_SYS(chroot), SCMP_SYS(pivot_root),
        /* the machine */
        SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(move_mount), SCMP_SYS(open_tree), SCMP_SYS(fsopen),
        SCMP_SYS(init_module), SCMP_SYS(finit_module), SCMP_SYS(delete_module), SCMP_SYS(kexec_load),
        SCMP_SYS(kexec_file_load), SCMP_SYS(reboot), SCMP_SYS(swapon), SCMP_SYS(settimeofday),
        SCMP_SYS(clock_settime), SCMP_SYS(adjtimex), SCMP_SYS(sethostname), SCMP_SYS(iopl), SCMP_SYS(ioperm),
        SCMP_SYS(perf_event_open), SCMP_SYS(userfaultfd), SCMP_SYS(add_key), SCMP_SYS(request_key),
        SCMP_SYS(keyctl), SCMP_SYS(open_by_handle_at),
        /* files */
        SCMP_SYS(creat), SCMP_SYS(mkdir), SCMP_SYS(mkdirat), SCMP_SYS(mknod), SCMP_SYS(mknodat),
        SCMP_SYS(unlink), SCMP_SYS(unlinkat), SCMP_SYS(rmdir), SCMP_SYS(rename), SCMP_SYS(renameat),
        SCMP_SYS(renameat2), SCMP_SYS(link), SCMP_SYS(linkat), SCMP_SYS(symlink), SCMP_SYS(symlinkat),
        SCMP_SYS(chmod), SCMP_SYS(fchmod), SCMP_SYS(fchmodat), SCMP_SYS(chown), SCMP_SYS(fchown),
        SCMP_SYS(lchown), SCMP_SYS(fchownat), SCMP_SYS(truncate), SCMP_SYS(setxattr)};

#define WITH(name, number, bit)                                                                              \
	{                                                                                                    \
		SCMP_SYS(name), {MASKED(number, bit, bit)}, 1                                                \
	}
#define ABOVE(name, number, value)                                                                           \
	{                                                                                                    \
		SCMP_SYS(name), {SCMP_CMP64(number, SCMP_CMP_GT, value)}, 1                                  \
	}
#define OPENED(name, number)                                                                                 \
	WITH(name, number, O_WRONLY), WITH(name, number, O_RDWR), WITH(name, number, O_CREAT),               \
	        WITH(name, number, O_TRUNC), WITH(name, number, O_TMPFILE & ~O_DIRECTORY)

static const struct rule fatal_if[] = {
        OPENED(open, 1),
        OPENED(openat, 2),
        WITH(mmap, 2, PROT_EXEC),
        WITH(mprotect, 2, PROT_EXEC),
        {SCMP_SYS(clone), {MASKED(0, 0x10000 /* CLONE_THREAD */, 0)}, 1},
        ONE(socket, 0, AF_UNIX),
        ABOVE(socket, 0, AF_NETLINK), /* AF_PACKET and what came later */
        SOCKET(AF_INET, SOCK_RAW),
        SOCKET(AF_INET6, SOCK_RAW),
        ONE(bpf, 0, BPF_MAP_CREATE),
        ONE(bpf, 0, BPF_PROG_LOAD),
        ONE(bpf, 0, BPF_OBJ_GET),
        ONE(bpf, 0, BPF_PROG_ATTACH),
        ONE(bpf, 0, BPF_MAP_GET_FD_BY_ID),
        ABOVE(bpf, 0, BPF_OBJ_GET_INFO_BY_FD),
};

static int add(scmp_filter_ctx filter, uint32_t action, const struct rule *rule)
{
	int err = seccomp_rule_add_array(filter, action, rule->call, rule->n, rule->arg);

	/* a call that this machine's architecture does not have */
	return err == -EDOM ? 0 : err;
}

/* abort() of an assertion must be seen as what it is. */
static struct rule abort_of(pid_t self)
{
	return (struct rule){SCMP_SYS(tgkill), {EQUAL(0, (uint64_t)self)}, 1};
}

static int load(scmp_filter_ctx filter, int err)
{
	err = err ? err : seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	err = err ? err : seccomp_load(filter);
	seccomp_release(filter);
	return err;
}

static int end_on_fatal(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int err = filter ? 0 : -ENOMEM;

	for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]) && !err; i++)
		err = add(filter, SCMP_ACT_KILL_PROCESS, &(struct rule){.call = fatal[i]});
	for (size_t i = 0; i < sizeof(fatal_if) / sizeof(fatal_if[0]) && !err; i++)
		err = add(filter, SCMP_ACT_KILL_PROCESS, &fatal_if[i]);
	return filter ? load(filter, err) : err;
}

static int only_what_is_needed(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	struct rule own = abort_of(getpid());
	int err = filter ? add(filter, SCMP_ACT_ALLOW, &own) : -ENOMEM;

	for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]) && !err; i++)
		err = add(filter, SCMP_ACT_ALLOW, &(struct rule){.call = allowed[i]});
	for (size_t i = 0; i < sizeof(judged) / sizeof(judged[0]) && !err; i++)
		err = add(filter, SCMP_ACT_ALLOW, &judged[i]);
	return filter ? load(filter, err) : err;
}

int confine_syscalls(void)
{
	int err = end_on_fatal();

	/* last: it forbids to load another */
	return err ? err : only_what_is_needed();
}
