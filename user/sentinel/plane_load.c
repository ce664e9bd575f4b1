/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Loading, pinning, attaching and unloading of the BPF programs, see plane.h.
 * Order: everything is loaded and every map filled before anything is attached;
 * the fence (egress) is attached before the gate (ingress).
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <mntent.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/magic.h>

#include "addr.h"
#include "capture.skel.h"
#include "clock.h"
#include "egress.skel.h"
#include "ingress.skel.h"
#include "log.h"
#include "plane.h"
#include "plane_objects.h"
#include "sipflip/control.h"
#include "sipflip/slots.h"
#include "watch.skel.h"

#define TC_HANDLE   0x5f11
#define TC_PRIORITY 1

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

static const char *const map_names[] = {
#define X(name) #name,
        PLANE_MAPS(X)
#undef X
};

struct loader {
	struct plane *plane;
	const struct plane_conf *conf;
	struct plane_error *error;
	struct ingress_bpf *ingress;
	struct egress_bpf *egress;
	struct capture_bpf *capture;
	struct watch_bpf *watch;
	int cgroup_fd;
};

static int fail(struct loader *l, int err, const char *format, ...) __attribute__((format(printf, 3, 4)));
static int fail(struct loader *l, int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(l->error->text, sizeof(l->error->text), format, args);
	va_end(args);
	return err ? err : -EINVAL;
}

static const char *pin_path(const char *dir, const char *name, char buf[192])
{
	snprintf(buf, 192, "%s/%s", dir, name);
	return buf;
}

/* mkdir -p below a mounted bpffs */
static int make_pin_dir(struct loader *l)
{
	char path[128];
	struct statfs fs;
	size_t len = strlen(l->plane->pin_dir);

	for (size_t i = 1; i <= len; i++) {
		if (l->plane->pin_dir[i] != '/' && l->plane->pin_dir[i] != '\0')
			continue;
		snprintf(path, sizeof(path), "%.*s", (int)i, l->plane->pin_dir);
		if (mkdir(path, 0700) < 0 && errno == EPERM && strchr(path, '.'))
			return fail(l, -EPERM,
			            "cannot make %s: a BPF file system takes no names with a dot; "
			            "choose another --pin-dir",
			            path);
		if (mkdir(path, 0700) < 0 && errno != EEXIST)
			return fail(l, -errno,
			            "cannot make %s: %s; mount bpffs: mount -t bpf bpf /sys/fs/bpf", path,
			            strerror(errno));
	}
	if (statfs(l->plane->pin_dir, &fs) < 0 || fs.f_type != BPF_FS_MAGIC)
		return fail(l, -EINVAL, "%s is not on a BPF file system; run: mount -t bpf bpf /sys/fs/bpf",
		            l->plane->pin_dir);
	return 0;
}

static int open_cgroup(struct loader *l)
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
		return fail(l, -ENOENT,
		            "no cgroup v2 hierarchy is mounted; run: mount -t cgroup2 none "
		            "/sys/fs/cgroup/unified");
	return 0;
}

/* Maps of another version are not touched: the services on them may be running. */
static int check_abi(struct loader *l)
{
	struct abi abi = {0};
	uint32_t zero = 0;
	char path[192];
	int fd = bpf_obj_get(pin_path(l->plane->pin_dir, "abi", path));

	if (fd < 0)
		return 0;
	bpf_map_lookup_elem(fd, &zero, &abi);
	close(fd);
	if (abi.version != ABI_VERSION && abi.version != 0)
		return fail(
		        l, -EPROTO,
		        "maps pinned in %s have ABI version %u, this program has %u; stop the service here "
		        "and run: sipflipd --unload",
		        l->plane->pin_dir, abi.version, ABI_VERSION);
	l->plane->adopted = abi.version == ABI_VERSION;
	return 0;
}

static int load_object(struct loader *l, struct bpf_object *object)
{
	struct plane_objects *o = l->plane->objects;
	struct bpf_map *map;
	char path[192];
	int err;

	bpf_object__for_each_map(map, object)
	{
		if (bpf_map__is_internal(map))
			continue;
		err = bpf_map__set_pin_path(map, pin_path(l->plane->pin_dir, bpf_map__name(map), path));
		if (err)
			return fail(l, err, "cannot pin map %s: %s", bpf_map__name(map), strerror(-err));
	}
	err = bpf_object__load(object);
	if (err)
		return fail(l, err, "kernel refused BPF object %s: %s; run: sipflip doctor",
		            bpf_object__name(object), strerror(-err));
	for (int i = 0; i < PLANE_MAP_COUNT; i++) {
		map = bpf_object__find_map_by_name(object, map_names[i]);
		if (map && o->map_fd[i] < 0)
			o->map_fd[i] = bpf_map__fd(map);
	}
	o->object[o->n_object++] = object;
	return 0;
}

static uint64_t netns_cookie(void)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd >= 0) {
		getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len);
		close(fd);
	}
	return cookie;
}

static struct vip vip_of(const struct loader *l, int service)
{
	return (struct vip){.service = (uint32_t)service,
	                    .ifindex = (uint32_t)l->conf->iface[service].ifindex};
}

static int load_all(struct loader *l)
{
	const struct config *c = l->conf->config;
	uint64_t cookie = netns_cookie();
	int err;

	l->ingress = ingress_bpf__open();
	l->egress = egress_bpf__open();
	l->capture = capture_bpf__open();
	l->watch = watch_bpf__open();
	if (!l->ingress || !l->egress || !l->capture || !l->watch)
		return fail(l, -errno, "cannot open the BPF objects: %s", strerror(errno));

	for (int s = 0; s < c->n_service; s++) {
		for (int v = 0; l->conf->here[s] && v < c->service[s].n_vip; v++) {
			const struct inaddr16 *addr = &c->service[s].vip[v].addr;
			struct vip vip = vip_of(l, s);

			vip_slots_add(l->ingress->rodata->vip_slots, addr, vip);
			vip_slots_add(l->egress->rodata->vip_slots, addr, vip);
		}
	}
	l->ingress->rodata->echo_port = c->echo_port;
	l->plane->netns_filter =
	        libbpf_probe_bpf_helper(BPF_PROG_TYPE_CGROUP_SKB, BPF_FUNC_get_netns_cookie, NULL) == 1;
	l->capture->rodata->netns_filter = l->plane->netns_filter;
	l->capture->rodata->netns_cookie = cookie;
	l->watch->rodata->netns_cookie = cookie;

	err = load_object(l, l->ingress->obj);
	err = err ? err : load_object(l, l->egress->obj);
	err = err ? err : load_object(l, l->watch->obj);
	err = err ? err : load_object(l, l->capture->obj);
	return err;
}

static void *map_array(int fd, size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *at = mmap(NULL, (bytes + page - 1) / page * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return at == MAP_FAILED ? NULL : at;
}

static int map_arrays(struct loader *l)
{
	const int *fd = l->plane->objects->map_fd;
	struct plane *p = l->plane;

	for (int i = 0; i < PLANE_MAP_COUNT; i++)
		if (fd[i] < 0 && i != PLANE_MAP_abi)
			return fail(l, -ENOENT, "BPF objects lack the map %s", map_names[i]);
	p->ownership = map_array(fd[PLANE_MAP_ownership], sizeof(struct ownership) * MAX_SERVICES);
	p->conf = map_array(fd[PLANE_MAP_service_conf], sizeof(struct service_conf) * MAX_SERVICES);
	p->state = map_array(fd[PLANE_MAP_service_state], sizeof(struct service_state) * MAX_SERVICES);
	p->peers = map_array(fd[PLANE_MAP_peers], sizeof(struct peer) * MAX_SERVICES * MAX_NODES);
	if (!p->ownership || !p->conf || !p->state || !p->peers)
		return fail(l, -errno, "cannot map the BPF arrays: %s", strerror(errno));
	return 0;
}

static int init_abi(struct loader *l)
{
	struct abi abi = {.version = ABI_VERSION,
	                  .services = (uint32_t)l->conf->config->n_service,
	                  .created_ns = (uint64_t)clock_now().ns};
	int *fd = &l->plane->objects->map_fd[PLANE_MAP_abi];
	uint32_t zero = 0;
	char path[192];
	int err;

	if (l->plane->adopted)
		return 0;
	if (*fd < 0) {
		*fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "abi", sizeof(zero), sizeof(abi), 1, NULL);
		if (*fd < 0 ||
		    (bpf_obj_pin(*fd, pin_path(l->plane->pin_dir, "abi", path)) && errno != EEXIST))
			return fail(l, -errno, "cannot pin map abi: %s", strerror(errno));
	}
	err = bpf_map_update_elem(*fd, &zero, &abi, BPF_ANY);
	return err ? fail(l, err, "cannot write map abi: %s", strerror(-err)) : 0;
}

/*
 * Entries of a former configuration go after those of this one are written: the
 * gate and the fence look into these tables all the time.
 */
static bool still_wanted(const struct loader *l, const struct inaddr16 *vip)
{
	const struct config *c = l->conf->config;

	for (int s = 0; s < c->n_service; s++)
		for (int v = 0; l->conf->here[s] && v < c->service[s].n_vip; v++)
			if (addr_equal(vip, &c->service[s].vip[v].addr))
				return true;
	return false;
}

static void drop_stale_vips(const struct loader *l, int fd)
{
	struct inaddr16 stale[MAX_VIPS], key, *at = NULL;
	int n = 0;

	for (; n < MAX_VIPS && !bpf_map_get_next_key(fd, at, &key); at = &key)
		if (!still_wanted(l, &key))
			stale[n++] = key;
	while (n > 0)
		bpf_map_delete_elem(fd, &stale[--n]);
}

/* Only the watch and the capture look in here: what they miss for an instant, OPTIONS sees. */
static void clear_endpoints(int fd)
{
	struct endpoint_key key;

	for (int i = 0; i < MAX_ENDPOINTS && !bpf_map_get_next_key(fd, NULL, &key); i++)
		bpf_map_delete_elem(fd, &key);
}

static int add_endpoint(int fd, const struct inaddr16 *addr, uint16_t port, int service)
{
	struct endpoint_key key = {.addr = *addr, .port = port, .proto = IPPROTO_UDP};
	struct endpoint value = {0};

	bpf_map_lookup_elem(fd, &key, &value);
	value.services |= 1ULL << service;
	return bpf_map_update_elem(fd, &key, &value, BPF_ANY);
}

static void fill_service(struct loader *l, int s)
{
	const struct config *c = l->conf->config;
	const struct config_service *svc = &c->service[s];
	struct service_conf *conf = &l->plane->conf[s];
	uint64_t incarnation = conf->incarnation;
	struct service_conf fresh;

	while (!incarnation)
		if (getrandom(&incarnation, sizeof(incarnation), 0) != sizeof(incarnation))
			incarnation = (uint64_t)clock_now().ns;
	fresh = (struct service_conf){
	        .lease_ns = (uint64_t)svc->lease_ns,
	        .incarnation = incarnation,
	        .node_addr = c->node[l->conf->node].addr,
	        .first_vip = svc->vip[0].addr,
	        .config_tag = config_service_tag(c, s),
	        .ifindex = (uint32_t)l->conf->iface[s].ifindex,
	        .echo_port = c->echo_port,
	        .node = (uint8_t)l->conf->node,
	};
	memcpy(fresh.mac, l->conf->iface[s].mac, sizeof(fresh.mac));
	/* under a running data plane nothing is rewritten that stays as it is */
	if (memcmp(conf, &fresh, sizeof(fresh)))
		*conf = fresh;
	if (!l->plane->state[s].started_ns)
		l->plane->state[s].started_ns = (uint64_t)clock_now().ns;
}

static int fill_maps(struct loader *l)
{
	const struct config *c = l->conf->config;
	const int *fd = l->plane->objects->map_fd;
	static const struct inaddr16 any;
	uint32_t slot = 0;
	int err = bpf_map_update_elem(fd[PLANE_MAP_keys], &slot, &l->conf->key, BPF_ANY);

	clear_endpoints(fd[PLANE_MAP_endpoints]);
	for (int s = 0; s < c->n_service && !err; s++) {
		const struct config_service *svc = &c->service[s];
		struct vip vip = vip_of(l, s);

		if (!l->conf->here[s])
			continue;
		fill_service(l, s);
		for (int v = 0; v < svc->n_vip && !err; v++) {
			err = bpf_map_update_elem(fd[PLANE_MAP_vips], &svc->vip[v].addr, &vip, BPF_ANY);
			for (int p = 0; p < svc->n_sip && !err; p++)
				err = add_endpoint(fd[PLANE_MAP_endpoints], &svc->vip[v].addr,
				                   svc->sip_port[p], s);
		}
		for (int p = 0; p < svc->n_sip && !err; p++)
			err = add_endpoint(fd[PLANE_MAP_endpoints], &any, svc->sip_port[p], s);
	}
	drop_stale_vips(l, fd[PLANE_MAP_vips]);
	return err ? fail(l, err, "cannot fill the BPF maps: %s", strerror(-err)) : 0;
}

/* A link pinned under `name` gets the new program; otherwise `link` (just attached) is pinned there. */
static int pin_link(struct loader *l, struct bpf_link *link, const char *name)
{
	char path[192];
	int err;

	pin_path(l->plane->pin_dir, name, path);
	unlink(path); /* the old one, if any, goes when the new one already stands */
	err = bpf_link__pin(link, path);
	return err ? fail(l, err, "cannot pin link %s: %s", name, strerror(-err)) : 0;
}

static bool update_link(const struct plane *plane, const char *name, struct bpf_program *prog)
{
	char path[192];
	struct bpf_link *link = bpf_link__open(pin_path(plane->pin_dir, name, path));
	int err;

	if (!link)
		return false;
	err = bpf_link__update_program(link, prog);
	bpf_link__destroy(link);
	return !err;
}

static int attach_cgroup(struct loader *l, struct bpf_program *prog, const char *name)
{
	struct bpf_link *link;

	if (update_link(l->plane, name, prog))
		return 0;
	link = bpf_program__attach_cgroup(prog, l->cgroup_fd);
	if (!link)
		return fail(l, -errno, "cannot attach %s to the cgroup v2 root: %s", bpf_program__name(prog),
		            strerror(errno));
	return pin_link(l, link, name);
}

static int attach_raw(struct loader *l, struct bpf_program *prog, const char *name)
{
	struct bpf_link *link = bpf_program__attach(prog);

	if (!link)
		return fail(l, -errno, "cannot attach %s: %s", bpf_program__name(prog), strerror(errno));
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

static int attach_tc(struct loader *l, const struct iface *iface)
{
	int err = put_fence(bpf_program__fd(l->egress->progs.egress), iface);

	return err ? fail(l, err, "cannot attach the fence to %s (TC egress): %s", iface->name,
	                  strerror(-err))
	           : 0;
}

static int attach_xdp(struct loader *l, const struct iface *iface, int *ret_mode)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	char name[32];
	struct bpf_link *link;
	int err;

	snprintf(name, sizeof(name), "link_xdp_%s", iface->name);
	if (!update_link(l->plane, name, l->ingress->progs.ingress)) {
		link = bpf_program__attach_xdp(l->ingress->progs.ingress, iface->ifindex);
		if (!link && errno == EBUSY)
			return fail(
			        l, -EBUSY,
			        "%s already has an XDP program; see: bpftool net; take it off: ip link set "
			        "dev %s xdp off",
			        iface->name, iface->name);
		if (!link)
			return fail(l, -errno, "cannot attach the gate to %s (XDP): %s", iface->name,
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

static int attach_all(struct loader *l)
{
	const struct config *c = l->conf->config;
	struct bpf_program *prog;
	int err = 0;

	bpf_object__for_each_program(prog, l->watch->obj)
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
	err = attach_cgroup(l, l->capture->progs.capture_in, "link_capture_in");
	err = err ? err : attach_cgroup(l, l->capture->progs.capture_out, "link_capture_out");

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

static int quiet(enum libbpf_print_level level, const char *format, va_list args)
{
	if (level == LIBBPF_WARN && getenv("SIPFLIP_LIBBPF"))
		return vfprintf(stderr, format, args);
	return 0;
}

int plane_open(struct plane *plane, const struct plane_conf *conf, struct plane_error *ret_error)
{
	struct loader l = {.plane = plane, .conf = conf, .error = ret_error, .cgroup_fd = -1};
	int err;

	libbpf_set_print(quiet);
	*plane = (struct plane){0};
	snprintf(plane->pin_dir, sizeof(plane->pin_dir), "%s", conf->pin_dir);
	plane->objects = calloc(1, sizeof(*plane->objects));
	if (!plane->objects)
		return fail(&l, -ENOMEM, "out of memory");
	for (int i = 0; i < PLANE_MAP_COUNT; i++)
		plane->objects->map_fd[i] = -1;

	if (access("/sys/kernel/btf/vmlinux", R_OK) < 0)
		return fail(&l, -ENOENT,
		            "no kernel BTF at /sys/kernel/btf/vmlinux; use a kernel with "
		            "CONFIG_DEBUG_INFO_BTF=y");
	err = open_cgroup(&l);
	err = err ? err : make_pin_dir(&l);
	err = err ? err : check_abi(&l);
	if (err)
		return err;
	err = load_all(&l);
	err = err ? err : map_arrays(&l);
	err = err ? err : init_abi(&l);
	err = err ? err : fill_maps(&l);
	err = err ? err : attach_all(&l);
	close(l.cgroup_fd);
	if (err && !plane->adopted)
		plane_unload(plane->pin_dir, conf->config);
	return err;
}

static bool fence_there(const struct iface *iface)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = iface->ifindex, .attach_point = BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = TC_HANDLE, .priority = TC_PRIORITY);

	return !bpf_tc_query(&hook, &opts);
}

static bool gate_there(const struct iface *iface)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);

	return !bpf_xdp_query(iface->ifindex, 0, &query) && query.attach_mode != XDP_ATTACHED_NONE;
}

static int program_fd(const struct plane *plane, const char *name)
{
	const struct plane_objects *o = plane->objects;

	for (int i = 0; i < o->n_object; i++) {
		struct bpf_program *prog = bpf_object__find_program_by_name(o->object[i], name);

		if (prog)
			return bpf_program__fd(prog);
	}
	return -ENOENT;
}

int plane_check(struct plane *plane, const struct iface *iface)
{
	char name[32], path[192];
	int err = 0, put_back = 0, fd;

	if (!fence_there(iface)) {
		err = put_fence(program_fd(plane, "egress"), iface);
		put_back = 1;
	}
	if (err || gate_there(iface))
		return err ? err : put_back;
	/* the old link, if it is still pinned, holds a device that is no more */
	snprintf(name, sizeof(name), "link_xdp_%s", iface->name);
	unlink(pin_path(plane->pin_dir, name, path));
	fd = bpf_link_create(program_fd(plane, "ingress"), iface->ifindex, BPF_XDP, NULL);
	if (fd < 0)
		return fd;
	err = bpf_obj_pin(fd, path);
	close(fd);
	return err ? err : 1;
}

void plane_close(struct plane *plane)
{
	if (!plane->objects)
		return;
	ring_buffer__free(plane->objects->events);
	ring_buffer__free(plane->objects->held);
	for (int i = 0; i < plane->objects->n_object; i++)
		bpf_object__close(plane->objects->object[i]);
	free(plane->objects);
	plane->objects = NULL;
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
