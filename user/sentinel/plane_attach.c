/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Attaching the loaded BPF programs, looking after them, and taking them off, see
 * plane.h. The fence (egress) is attached before the gate (ingress).
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <mntent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "plane.h"
#include "plane_objects.h"
#include "sipflip/control.h"

#define TC_HANDLE   0x5f11
#define TC_PRIORITY 1

int plane_open_cgroup(struct plane_loader *l)
{
	FILE *mounts = setmntent("/proc/self/mounts", "r");
	struct mntent *m;

	l->cgroup_fd = -1;
	while (mounts && l->cgroup_fd < 0 && (m = getmntent(mounts)))
		if (!strcmp(m->mnt_type, "cgroup2"))
			l->cgroup_fd = open(m->mnt_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (mounts)
		endmntent(mounts);
	if (l->cgroup_fd < 0)
		return plane_fail(l, -ENOENT,
		                  "no cgroup v2 hierarchy is mounted; run: mount -t cgroup2 none "
		                  "/sys/fs/cgroup/unified");
	return 0;
}

static struct bpf_program *program(const struct plane *plane, const char *name)
{
	const struct plane_objects *o = plane->objects;
	struct bpf_program *prog = NULL;

	for (int i = 0; i < o->n_object && !prog; i++)
		prog = bpf_object__find_program_by_name(o->object[i], name);
	return prog;
}

static int program_fd(const struct plane *plane, const char *name)
{
	return bpf_program__fd(program(plane, name));
}

static struct bpf_object *object_named(const struct plane *plane, const char *name)
{
	const struct plane_objects *o = plane->objects;

	for (int i = 0; i < o->n_object; i++)
		if (!strcmp(bpf_object__name(o->object[i]), name))
			return o->object[i];
	return NULL;
}

/* A link pinned under `name` gets the new program; otherwise `link` (just attached) is pinned there. */
static int pin_link(struct plane_loader *l, struct bpf_link *link, const char *name)
{
	char path[192];
	int err;

	plane_pin_path(l->plane->pin_dir, name, path);
	unlink(path); /* the old one, if any, goes when the new one already stands */
	err = bpf_link__pin(link, path);
	return err ? plane_fail(l, err, "cannot pin link %s: %s", name, strerror(-err)) : 0;
}

static bool update_link(const struct plane *plane, const char *name, struct bpf_program *prog)
{
	char path[192];
	struct bpf_link *link = bpf_link__open(plane_pin_path(plane->pin_dir, name, path));
	int err;

	if (!link)
		return false;
	err = bpf_link__update_program(link, prog);
	bpf_link__destroy(link);
	return !err;
}

static int attach_cgroup(struct plane_loader *l, struct bpf_program *prog, const char *name)
{
	struct bpf_link *link;

	if (update_link(l->plane, name, prog))
		return 0;
	link = bpf_program__attach_cgroup(prog, l->cgroup_fd);
	if (!link)
		return plane_fail(l, -errno, "cannot attach %s to the cgroup v2 root: %s",
		                  bpf_program__name(prog), strerror(errno));
	return pin_link(l, link, name);
}

static int attach_raw(struct plane_loader *l, struct bpf_program *prog, const char *name)
{
	struct bpf_link *link = bpf_program__attach(prog);

	if (!link)
		return plane_fail(l, -errno, "cannot attach %s: %s", bpf_program__name(prog),
		                  strerror(errno));
	return pin_link(l, link, name);
}

static int put_fence(int prog_fd, const struct iface *iface)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = iface->ifindex, .attach_point = BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = TC_HANDLE, .priority = TC_PRIORITY,
	            .flags = BPF_TC_F_REPLACE, .prog_fd = prog_fd);
	int err = bpf_tc_hook_create(&hook);

	return !err || err == -EEXIST ? bpf_tc_attach(&hook, &opts) : err;
}

static int attach_tc(struct plane_loader *l, const struct iface *iface)
{
	int err = put_fence(program_fd(l->plane, "egress"), iface);

	return err ? plane_fail(l, err, "cannot attach the fence to %s (TC egress): %s", iface->name,
	                        strerror(-err))
	           : 0;
}

static int attach_xdp(struct plane_loader *l, const struct iface *iface, int *ret_mode)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	char name[32];
	struct bpf_link *link;
	int err;

	snprintf(name, sizeof(name), "link_xdp_%s", iface->name);
	if (!update_link(l->plane, name, program(l->plane, "ingress"))) {
		link = bpf_program__attach_xdp(program(l->plane, "ingress"), iface->ifindex);
		if (!link && errno == EBUSY)
			return plane_fail(
			        l, -EBUSY,
			        "%s already has an XDP program; see: bpftool net; take it off: ip link set "
			        "dev %s xdp off",
			        iface->name, iface->name);
		if (!link)
			return plane_fail(l, -errno, "cannot attach the gate to %s (XDP): %s", iface->name,
			                  strerror(errno));
		err = pin_link(l, link, name);
		if (err)
			return err;
	}
	*ret_mode = XDP_MODE_GENERIC;
	if (!bpf_xdp_query(iface->ifindex, 0, &query) && query.attach_mode != XDP_ATTACHED_SKB)
		*ret_mode = XDP_MODE_NATIVE;
	return 0;
}

int plane_attach_all(struct plane_loader *l)
{
	const struct config *c = l->conf->config;
	struct bpf_program *prog;
	int err = 0;

	bpf_object__for_each_program(prog, object_named(l->plane, "watch_bpf"))
	{
		char name[64];

		snprintf(name, sizeof(name), "link_%s", bpf_program__name(prog));
		if (bpf_program__type(prog) == BPF_PROG_TYPE_RAW_TRACEPOINT)
			err = attach_raw(l, prog, name);
		else
			err = attach_cgroup(l, prog, name);
		if (err)
			return err;
	}
	err = attach_cgroup(l, program(l->plane, "capture_in"), "link_capture_in");
	err = err ? err : attach_cgroup(l, program(l->plane, "capture_out"), "link_capture_out");

	for (int s = 0; s < c->n_service && !err; s++) {
		int same = -1;

		for (int t = 0; t < s; t++)
			if (l->conf->here[t] && l->conf->iface[t].ifindex == l->conf->iface[s].ifindex)
				same = t;
		if (!l->conf->here[s])
			continue;
		if (same >= 0) {
			l->plane->xdp_mode[s] = l->plane->xdp_mode[same];
			continue;
		}
		err = attach_tc(l, &l->conf->iface[s]);
		err = err ? err : attach_xdp(l, &l->conf->iface[s], &l->plane->xdp_mode[s]);
	}
	return err;
}

/* For want of descriptors or memory nothing can be told: what was there is taken to be there. */
static bool cannot_look(int err)
{
	return err == -EMFILE || err == -ENFILE || err == -ENOMEM || err == -ENOBUFS || err == -EAGAIN ||
	       err == -EINTR;
}

/* 0 = there */
static int fence_query(const struct iface *iface)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = iface->ifindex, .attach_point = BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = TC_HANDLE, .priority = TC_PRIORITY);

	return bpf_tc_query(&hook, &opts);
}

static int gate_query(const struct iface *iface)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	int err = bpf_xdp_query(iface->ifindex, 0, &query);

	return err ? err : query.attach_mode == XDP_ATTACHED_NONE ? -ENOENT : 0;
}

int plane_check(struct plane *plane, const struct iface *iface)
{
	char name[32], path[192];
	int fence = fence_query(iface), gate = gate_query(iface), err = 0, fd;

	if (cannot_look(fence) || cannot_look(gate))
		return -EAGAIN;
	if (fence)
		err = put_fence(program_fd(plane, "egress"), iface);
	if (err || !gate)
		return err ? err : fence ? 1 : 0;
	/* the old link, if it is still pinned, holds a device that is no more */
	snprintf(name, sizeof(name), "link_xdp_%s", iface->name);
	unlink(plane_pin_path(plane->pin_dir, name, path));
	fd = bpf_link_create(program_fd(plane, "ingress"), iface->ifindex, BPF_XDP, NULL);
	if (fd < 0)
		return fd;
	err = bpf_obj_pin(fd, path);
	close(fd);
	return err ? err : 1;
}

int plane_unload(const char *pin_dir, const struct config *config)
{
	DIR *dir = opendir(pin_dir);
	struct dirent *e;
	char path[512];
	int n = 0;

	/* gate and watch first, the fence last: what is still bound stays silent as long as possible */
	while (dir && (e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", pin_dir, e->d_name);
		n += !unlink(path);
	}
	if (dir) {
		closedir(dir);
		rmdir(pin_dir);
	}
	for (int s = 0; s < config->n_service; s++) {
		struct iface iface;
		LIBBPF_OPTS(bpf_tc_hook, hook, .attach_point = BPF_TC_EGRESS);
		LIBBPF_OPTS(bpf_tc_opts, opts, .handle = TC_HANDLE, .priority = TC_PRIORITY);

		if (iface_find(config->service[s].interface, &iface))
			continue;
		hook.ifindex = iface.ifindex;
		n += !bpf_tc_detach(&hook, &opts);
	}
	return n;
}
