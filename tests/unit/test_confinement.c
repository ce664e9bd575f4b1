/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Attempts to escape from the cell of sipflip-calls (user/calls/confine.h). Each
 * test forks a child that locks itself in exactly as the program does and then
 * tries one thing, from inside, as code of an attacker would. The child must be
 * ended by the filter, or be refused; one that succeeds exits 0 and fails the test.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <malloc.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "../../user/calls/confine.h"
#include "../../user/calls/privileges.h"

#define WORKED  0
#define REFUSED 10
#define NO_CELL 11

static pid_t parent;    /* asked for before, or the asking would end the child */
static int no_landlock; /* what a kernel without Landlock answers; 0 = it has Landlock */

/* As if it was not built in (ENOSYS), or another list of lsm= left it out (EOPNOTSUPP). */
static bool take_landlock_away(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int err = filter ? seccomp_rule_add(filter, SCMP_ACT_ERRNO((uint16_t)no_landlock),
	                                    SCMP_SYS(landlock_create_ruleset), 0)
	                 : -ENOMEM;

	err = err ? err : seccomp_load(filter);
	seccomp_release(filter);
	return !err;
}

static bool lock_in(void)
{
	char err[256];

	if (no_landlock && !take_landlock_away())
		return false;
	return privileges_drop("nobody", err, sizeof(err)) == 0 &&
	       confine_files(1000) == (no_landlock ? 1 : 0) && confine_calls() == 0;
}

/* What became of a child that did it in the cell: WORKED, REFUSED, NO_CELL, or minus the signal. */
static int from_inside(bool (*attempt)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(!lock_in() ? NO_CELL : attempt() ? WORKED : REFUSED);
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

/* And what becomes of it outside: an attempt that fails anyway would prove nothing. */
static int from_outside(bool (*attempt)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(attempt() ? WORKED : REFUSED);
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

#define ENDED(attempt)                                                                                       \
	do {                                                                                                 \
		assert_int_equal(from_outside(attempt), WORKED);                                             \
		assert_int_equal(from_inside(attempt), -SIGSYS);                                             \
	} while (0)
#define TURNED_DOWN(attempt)                                                                                 \
	do {                                                                                                 \
		assert_int_equal(from_outside(attempt), WORKED);                                             \
		assert_int_equal(from_inside(attempt), REFUSED);                                             \
	} while (0)

/* --- files ------------------------------------------------------------------ */

static bool writes_at(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return false;
	close(fd);
	unlink(path);
	return true;
}

static bool writes_to_etc(void)
{
	return writes_at("/etc/sipflip-escaped");
}
static bool writes_to_tmp(void)
{
	return writes_at("/tmp/sipflip-escaped");
}
static bool opens_for_writing(void)
{
	return open("/dev/null", O_WRONLY) >= 0;
}
static bool opens_a_nameless_file(void)
{
	return open("/tmp", O_TMPFILE | O_RDWR, 0600) >= 0;
}
static bool reads_etc(void)
{
	return open("/etc/passwd", O_RDONLY) >= 0;
}
static bool reads_the_root(void)
{
	return open("/", O_RDONLY | O_DIRECTORY) >= 0;
}
static bool reads_a_device(void)
{
	return open("/dev/zero", O_RDONLY) >= 0;
}
static bool changes_a_mode(void)
{
	return chmod("/dev/null", 0666) == 0;
}
static bool goes_elsewhere(void)
{
	return chdir("/tmp") == 0;
}
static bool reads_its_way_out(void)
{
	int dir = open("/proc", O_PATH | O_DIRECTORY);

	return dir >= 0 && openat(dir, "../etc/passwd", O_RDONLY) >= 0;
}
static bool opens_with_openat2(void)
{
	uint64_t how[3] = {O_RDONLY, 0, 0};

	return syscall(SYS_openat2, AT_FDCWD, "/etc/passwd", how, sizeof(how)) >= 0;
}
static bool unlinks(void)
{
	return unlink("/tmp/sipflip-not-there") == 0 || errno == ENOENT;
}
static bool makes_a_folder(void)
{
	return (mkdir("/tmp/sipflip-escaped.d", 0700) == 0 && rmdir("/tmp/sipflip-escaped.d") == 0);
}

static void writing_a_file_anywhere_ends_it(void **state)
{
	ENDED(writes_to_etc);
	ENDED(writes_to_tmp);
	ENDED(opens_for_writing);
	ENDED(opens_a_nameless_file);
	ENDED(makes_a_folder);
	ENDED(unlinks);
	ENDED(changes_a_mode);
}

static void reading_a_file_outside_proc_is_refused(void **state)
{
	TURNED_DOWN(reads_etc);
	TURNED_DOWN(reads_the_root);
	TURNED_DOWN(reads_a_device);
	TURNED_DOWN(reads_its_way_out);
	TURNED_DOWN(opens_with_openat2);
	TURNED_DOWN(goes_elsewhere);
}

static bool opens_memory(void)
{
	return open("/dev/mem", O_RDONLY) >= 0;
}
static bool reads_the_parents_memory(void)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/%d/mem", parent);
	return open(path, O_RDONLY) >= 0;
}

static void memory_of_machine_and_parent_is_refused(void **state)
{
	TURNED_DOWN(reads_the_parents_memory);
	assert_int_equal(from_inside(opens_memory), REFUSED); /* machines without it are none the worse */
}

/* --- network ---------------------------------------------------------------- */

static bool opens_a_raw_socket(void)
{
	return socket(AF_INET, SOCK_RAW, IPPROTO_UDP) >= 0;
}
static bool opens_a_packet_socket(void)
{
	return socket(AF_PACKET, SOCK_RAW, 0) >= 0;
}
static bool opens_a_unix_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM, 0) >= 0;
}
static bool opens_netfilter(void)
{
	return socket(AF_NETLINK, SOCK_RAW, 12) >= 0;
}
static bool opens_a_udp_socket(void)
{
	return socket(AF_INET, SOCK_DGRAM, 0) >= 0;
}
static bool joins_a_namespace(void)
{
	int fd = open("/proc/self/ns/net", O_RDONLY);

	return fd >= 0 && syscall(SYS_setns, fd, 0) == 0;
}
static bool makes_a_namespace(void)
{
	return syscall(SYS_unshare, 0x10000000 /* CLONE_NEWUSER */) == 0;
}

static void any_socket_but_udp_and_tcp_ends_it(void **state)
{
	ENDED(opens_a_raw_socket);
	ENDED(opens_a_packet_socket);
	ENDED(opens_a_unix_socket);
	TURNED_DOWN(opens_netfilter);
	assert_int_equal(from_inside(opens_a_udp_socket), WORKED);
}

static void namespaces_are_closed(void **state)
{
	ENDED(makes_a_namespace);
	assert_int_equal(from_outside(joins_a_namespace), WORKED);
	assert_int_not_equal(from_inside(joins_a_namespace), WORKED);
}

/* --- processes -------------------------------------------------------------- */

static bool forks(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return pid > 0;
}
static bool forks_with_vfork(void)
{
	return syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) >= 0;
}
static bool executes(void)
{
	char *argv[] = {(char[]){"true"}, NULL}, *env[] = {NULL};

	execve("/bin/true", argv, env);
	return false; /* where it works, true's exit status is WORKED */
}
static bool becomes_root(void)
{
	return setuid(0) == 0;
}
static bool traces_its_parent(void)
{
	return ptrace(PTRACE_SEIZE, parent, 0, 0) == 0;
}
static bool reads_by_process_vm(void)
{
	static char here[8], there[8];
	struct iovec local = {here, sizeof(here)}, remote = {there, sizeof(there)};

	return process_vm_readv(parent, &local, 1, &remote, 1, 0) == sizeof(here);
}
static bool signals_its_parent(void)
{
	return kill(parent, 0) == 0;
}
static bool steals_a_descriptor(void)
{
	int pid = (int)syscall(SYS_pidfd_open, parent, 0);

	return pid >= 0 && syscall(SYS_pidfd_getfd, pid, 2, 0) >= 0;
}
static bool becomes_real_time(void)
{
	struct sched_param param = {.sched_priority = 1};

	return syscall(SYS_sched_setscheduler, 0, 1 /* SCHED_FIFO */, &param) == 0;
}
static bool raises_a_limit(void)
{
	struct rlimit limit = {64, 64};

	return setrlimit(RLIMIT_CORE, &limit) == 0;
}

static void starting_a_process_ends_it(void **state)
{
	ENDED(forks);
	ENDED(forks_with_vfork);
	ENDED(executes);
}

static void other_processes_are_out_of_reach(void **state)
{
	ENDED(traces_its_parent);
	ENDED(reads_by_process_vm);
	TURNED_DOWN(signals_its_parent);
	TURNED_DOWN(steals_a_descriptor);
}

static void rights_cannot_be_won_back(void **state)
{
	ENDED(becomes_root);
	TURNED_DOWN(becomes_real_time);
	TURNED_DOWN(raises_a_limit);
}

/* --- the kernel -------------------------------------------------------------- */

static bool loads_a_program(void)
{
	static const struct bpf_insn code[] = {{.code = 0xb7}, {.code = 0x95}}; /* r0 = 0; exit */
	union bpf_attr attr = {.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
	                       .insns = (uint64_t)(uintptr_t)code,
	                       .insn_cnt = 2,
	                       .license = (uint64_t)(uintptr_t) "GPL"};

	return syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr)) >= 0;
}
static bool makes_a_map(void)
{
	union bpf_attr attr = {
	        .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 1};

	return syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr)) >= 0;
}
static bool looks_for_a_map(void)
{
	union bpf_attr attr = {0};
	long err = syscall(SYS_bpf, BPF_MAP_GET_NEXT_ID, &attr, sizeof(attr));

	return err == 0 || errno == ENOENT;
}
static bool makes_code(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
	       MAP_FAILED;
}
static bool makes_data_code(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return page != MAP_FAILED && mprotect(page, 4096, PROT_READ | PROT_EXEC) == 0;
}
static bool mounts(void)
{
	return mount("none", "/mnt", "tmpfs", 0, NULL) == 0 && umount("/mnt") == 0;
}
static bool makes_a_key(void)
{
	return syscall(SYS_add_key, "user", "x", "y", 1, -3) >= 0 || errno != ENOSYS;
}
static bool opens_perf(void)
{
	return syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0) >= 0 || errno != ENOSYS;
}
static bool queues_to_io_uring(void)
{
	return syscall(SYS_io_uring_setup, 0, NULL) >= 0 || errno != ENOSYS;
}

static void the_kernels_doors_end_it(void **state)
{
	ENDED(loads_a_program);
	ENDED(makes_a_map);
	TURNED_DOWN(looks_for_a_map);
	ENDED(makes_code);
	ENDED(makes_data_code);
	ENDED(mounts);
	ENDED(makes_a_key);
	ENDED(opens_perf);
	TURNED_DOWN(queues_to_io_uring);
}

static bool takes_all_memory(void)
{
	for (int i = 0; i < 64; i++) {
		void *block = mmap(NULL, 64 << 20, PROT_READ | PROT_WRITE,
		                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		if (block == MAP_FAILED)
			return false;
	}
	return true;
}

static bool takes_all_descriptors(void)
{
	for (int i = 0; i < 4096; i++)
		if (socket(AF_INET, SOCK_DGRAM, 0) < 0)
			return false;
	return true;
}

static bool is_locked_by_its_status(void)
{
	char line[256];
	int found = 0;
	FILE *f = fopen("/proc/self/status", "r");

	while (f && fgets(line, sizeof(line), f))
		found += !strcmp(line, "CapEff:\t0000000000000000\n") ||
		         !strcmp(line, "CapBnd:\t0000000000000000\n") || !strcmp(line, "NoNewPrivs:\t1\n") ||
		         !strcmp(line, "Seccomp:\t2\n");
	return found == 4;
}

static void memory_and_descriptors_are_bounded(void **state)
{
	assert_int_equal(from_inside(takes_all_memory), REFUSED);
	assert_int_equal(from_inside(takes_all_descriptors), REFUSED);
}

static void its_status_shows_the_locks(void **state)
{
	assert_int_equal(from_inside(is_locked_by_its_status), WORKED);
}

static bool reads_its_own_status(void)
{
	return open("/proc/self/status", O_RDONLY) >= 0;
}
static bool takes_random_bytes(void)
{
	return open("/dev/urandom", O_RDONLY) >= 0;
}

static int by_first_byte(const void *a, const void *b)
{
	return *(const unsigned char *)a - *(const unsigned char *)b;
}

/* Thousands of calls of a takeover: from some size on the C library asks for the machine's memory first. */
static bool sorts_much(void)
{
	static unsigned char items[100000][64];

	for (size_t i = 0; i < sizeof(items) / sizeof(items[0]); i++)
		items[i][0] = (unsigned char)(i * 7);
	qsort(items, sizeof(items) / sizeof(items[0]), sizeof(items[0]), by_first_byte);
	return items[0][0] == 0 && items[99999][0] == 255;
}

/* After a rescue the heap's free pages go back to the system, at the end and in between. */
static bool gives_memory_back(void)
{
	static char *block[2000];
	size_t n = sizeof(block) / sizeof(block[0]);

	for (size_t i = 0; i < n; i++) {
		block[i] = malloc(16384);
		if (!block[i])
			return false;
		memset(block[i], 1, 16384);
	}
	for (size_t i = 0; i < n; i++)
		if (i % 100)
			free(block[i]);
	return malloc_trim(0) == 1 && block[100][0] == 1;
}

static bool asks_for_what_nobody_needs(void)
{
	return syscall(SYS_getpriority, 0, 0) < 0 && errno == ENOSYS;
}

static void what_it_needs_is_left(void **state)
{
	assert_int_equal(from_inside(sorts_much), WORKED);
	assert_int_equal(from_inside(gives_memory_back), WORKED);
	assert_int_equal(from_inside(asks_for_what_nobody_needs), WORKED);
	assert_int_equal(from_inside(reads_its_own_status), WORKED);
	assert_int_equal(from_inside(takes_random_bytes), WORKED);
}

/* --- an older kernel, or one with another lsm= ------------------------------- */

static bool reads_the_shadow(void)
{
	return open("/etc/shadow", O_RDONLY) >= 0;
}

/* What is lost is that files are out of sight: what its user may read can be read. No more. */
static void without_landlock_all_other_locks_hold(void **state)
{
	const int answers[] = {ENOSYS, EOPNOTSUPP};

	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		no_landlock = answers[i];
		assert_int_equal(from_inside(reads_etc), WORKED);
		TURNED_DOWN(reads_the_shadow);
		writing_a_file_anywhere_ends_it(state);
		any_socket_but_udp_and_tcp_ends_it(state);
		namespaces_are_closed(state);
		starting_a_process_ends_it(state);
		other_processes_are_out_of_reach(state);
		rights_cannot_be_won_back(state);
		the_kernels_doors_end_it(state);
		memory_and_descriptors_are_bounded(state);
		its_status_shows_the_locks(state);
		what_it_needs_is_left(state);
	}
	no_landlock = 0;
}

static int as_root_only(void **state)
{
	if (geteuid() != 0)
		skip();
	return 0;
}

/* They need more than any cell has; that the program runs without one then is said in its log. */
static void a_build_with_sanitizers_does_not_claim_a_cell(void **state)
{
	assert_false(confine_is_possible());
}

#define ESCAPE(test) cmocka_unit_test_setup(test, as_root_only)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        ESCAPE(writing_a_file_anywhere_ends_it),
	        ESCAPE(reading_a_file_outside_proc_is_refused),
	        ESCAPE(memory_of_machine_and_parent_is_refused),
	        ESCAPE(any_socket_but_udp_and_tcp_ends_it),
	        ESCAPE(namespaces_are_closed),
	        ESCAPE(starting_a_process_ends_it),
	        ESCAPE(other_processes_are_out_of_reach),
	        ESCAPE(rights_cannot_be_won_back),
	        ESCAPE(the_kernels_doors_end_it),
	        ESCAPE(memory_and_descriptors_are_bounded),
	        ESCAPE(its_status_shows_the_locks),
	        ESCAPE(what_it_needs_is_left),
	        ESCAPE(without_landlock_all_other_locks_hold),
	};

	const struct CMUnitTest none[] = {cmocka_unit_test(a_build_with_sanitizers_does_not_claim_a_cell)};

	parent = getpid();
	if (!confine_is_possible())
		return cmocka_run_group_tests(none, NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
