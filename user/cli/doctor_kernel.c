/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The doctor's look at the kernel: BPF features, mounts, real-time scheduling, memory locking. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "doctor.h"
#include "files.h"

#define KERNEL_MAJOR 6
#define KERNEL_MINOR 1

static void check_version(struct doctor *d)
{
	struct utsname name;
	int major = 0, minor = 0;

	uname(&name);
	sscanf(name.release, "%d.%d", &major, &minor);
	if (major > KERNEL_MAJOR || (major == KERNEL_MAJOR && minor >= KERNEL_MINOR))
		doctor_ok("kernel %s", name.release);
	else
		doctor_warn(d, "use 6.1 or later", "kernel %s is older than what sipflip is tested on",
		            name.release);
}

static int quiet(enum libbpf_print_level level, const char *format, va_list ap)
{
	(void)level;
	(void)format;
	(void)ap;
	return 0;
}

static void check_bpf(struct doctor *d)
{
	static const struct {
		enum bpf_prog_type type;
		const char *use;
	} types[] = {
	        {BPF_PROG_TYPE_XDP, "XDP (ingress)"},
	        {BPF_PROG_TYPE_SCHED_CLS, "TC (egress fence)"},
	        {BPF_PROG_TYPE_CGROUP_SKB, "cgroup_skb (capture)"},
	        {BPF_PROG_TYPE_CGROUP_SOCK, "cgroup_sock (watch)"},
	        {BPF_PROG_TYPE_RAW_TRACEPOINT, "raw_tp (watch)"},
	};
	int missing = 0;

	if (geteuid())
		return;
	libbpf_set_print(quiet);
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (libbpf_probe_bpf_prog_type(types[i].type, NULL) == 1)
			continue;
		missing++;
		doctor_fail(d, "use a kernel with it, and allow bpf() here (container, lockdown)",
		            "BPF program type missing: %s", types[i].use);
	}
	if (libbpf_probe_bpf_map_type(BPF_MAP_TYPE_RINGBUF, NULL) != 1) {
		missing++;
		doctor_fail(d, "use kernel 6.1 or later", "BPF ring buffers missing");
	}
	if (libbpf_probe_bpf_helper(BPF_PROG_TYPE_XDP, BPF_FUNC_ktime_get_boot_ns, NULL) != 1) {
		missing++;
		doctor_fail(d, "use kernel 6.1 or later", "BPF helper missing: ktime_get_boot_ns in XDP");
	}
	if (!missing)
		doctor_ok("BPF: program types, ring buffer and clock are there");
}

/* The first mount point of a file-system type, from /proc/mounts. */
static bool find_mount(const char *type, char *ret, size_t size)
{
	FILE *f = fopen("/proc/mounts", "re");
	char line[1024], where[512], what[64];
	bool found = false;

	if (!f)
		return false;
	while (!found && fgets(line, sizeof(line), f))
		found = sscanf(line, "%*s %511s %63s", where, what) == 2 && !strcmp(what, type);
	fclose(f);
	if (found)
		snprintf(ret, size, "%s", where);
	return found;
}

static void check_mounts(struct doctor *d)
{
	char where[512];

	if (!access("/sys/kernel/btf/vmlinux", R_OK))
		doctor_ok("kernel BTF is there");
	else
		doctor_fail(d, "use a kernel built with CONFIG_DEBUG_INFO_BTF",
		            "no BTF: /sys/kernel/btf/vmlinux");
	if (find_mount("bpf", where, sizeof(where)))
		doctor_ok("bpffs is mounted on %s", where);
	else
		doctor_fail(d, "mount -t bpf bpf /sys/fs/bpf", "no bpffs is mounted");
	if (find_mount("cgroup2", where, sizeof(where)))
		doctor_ok("cgroup v2 is mounted on %s", where);
	else
		doctor_fail(d,
		            "mount -t cgroup2 none /sys/fs/cgroup, or boot with "
		            "systemd.unified_cgroup_hierarchy=1",
		            "no cgroup v2 hierarchy is mounted");
}

static bool sysctl_number(const char *path, long *ret)
{
	char text[64];

	if (files_read(path, text, sizeof(text)) <= 0)
		return false;
	*ret = strtol(text, NULL, 10);
	return true;
}

static void check_sysctls(struct doctor *d)
{
	long n;

	if (sysctl_number("/proc/sys/net/core/bpf_jit_enable", &n) && !n)
		doctor_warn(d, "sysctl -w net.core.bpf_jit_enable=1",
		            "BPF is interpreted, the fast path is slow");
	else
		doctor_ok("BPF is compiled (net.core.bpf_jit_enable)");
	if (sysctl_number("/proc/sys/kernel/sched_rt_runtime_us", &n) && !n)
		doctor_fail(d, "sysctl -w kernel.sched_rt_runtime_us=950000",
		            "real-time scheduling is switched off");
}

/* Whether this machine grants SCHED_FIFO, tried on ourselves for a moment. */
static void try_realtime(struct doctor *d)
{
	struct sched_param param = {.sched_priority = d->have_config ? d->config.rt_priority : 50};
	struct sched_param normal = {0};

	if (sched_setscheduler(0, SCHED_FIFO, &param)) {
		doctor_warn(
		        d, "run as root; in a unit file raise LimitRTPRIO; in a container allow CAP_SYS_NICE",
		        "real-time priority %d is not granted: %s", param.sched_priority, strerror(errno));
		return;
	}
	sched_setscheduler(0, SCHED_OTHER, &normal);
	doctor_ok("real-time priority %d is granted", param.sched_priority);
}

static void check_limits(struct doctor *d)
{
	struct rlimit limit;
	pid_t pid = d->agent_up ? (pid_t)d->view.instance.pid : 0;

	if (!d->agent_up)
		try_realtime(d);
	else if (d->view.instance.rt_priority)
		doctor_ok("sipflipd runs with real-time priority %u", d->view.instance.rt_priority);
	else
		doctor_warn(d, "raise LimitRTPRIO in its unit, allow CAP_SYS_NICE; then restart it",
		            "sipflipd runs without real-time priority");
	if (prlimit(pid, RLIMIT_MEMLOCK, NULL, &limit))
		return;
	if (limit.rlim_cur == RLIM_INFINITY || !geteuid())
		doctor_ok("memory can be locked");
	else
		doctor_warn(d, "set LimitMEMLOCK=infinity in its unit",
		            "only %llu KiB of memory can be locked",
		            (unsigned long long)limit.rlim_cur / 1024);
}

void doctor_kernel(struct doctor *d)
{
	check_version(d);
	check_mounts(d);
	check_bpf(d);
	check_sysctls(d);
	check_limits(d);
}
