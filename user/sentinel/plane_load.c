/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Loading of the BPF programs and filling of their maps, see plane.h. Everything
 * is loaded and every map filled before plane_attach.c attaches anything.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <sodium.h>
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
#include "sipflip/slots.h"
#include "watch.skel.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

static const char *const map_names[] = {
#define X(name) #name,
        PLANE_MAPS(X)
#undef X
};

int plane_fail(struct plane_loader *l, int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(l->error->text, sizeof(l->error->text), format, args);
	va_end(args);
	return err ? err : -EINVAL;
}

const char *plane_pin_path(const char *dir, const char *name, char buf[192])
{
	snprintf(buf, 192, "%s/%s", dir, name);
	return buf;
}

/* mkdir -p below a mounted bpffs */
static int make_pin_dir(struct plane_loader *l)
{
	char path[128];
	struct statfs fs;
	size_t len = strlen(l->plane->pin_dir);

	for (size_t i = 1; i <= len; i++) {
		if (l->plane->pin_dir[i] != '/' && l->plane->pin_dir[i] != '\0')
			continue;
		snprintf(path, sizeof(path), "%.*s", (int)i, l->plane->pin_dir);
		if (mkdir(path, 0700) < 0 && errno == EPERM && strchr(path, '.'))
			return plane_fail(l, -EPERM,
			                  "cannot make %s: a BPF file system takes no names with a dot; "
			                  "choose another --pin-dir",
			                  path);
		if (mkdir(path, 0700) < 0 && errno != EEXIST)
			return plane_fail(l, -errno,
			                  "cannot make %s: %s; mount bpffs: mount -t bpf bpf /sys/fs/bpf",
			                  path, strerror(errno));
	}
	if (statfs(l->plane->pin_dir, &fs) < 0 || fs.f_type != BPF_FS_MAGIC)
		return plane_fail(l, -EINVAL,
		                  "%s is not on a BPF file system; run: mount -t bpf bpf /sys/fs/bpf",
		                  l->plane->pin_dir);
	return 0;
}

/* Maps of another version are not touched: the services on them may be running. */
static int check_abi(struct plane_loader *l)
{
	struct abi abi = {0};
	uint32_t zero = 0;
	char path[192];
	int fd = bpf_obj_get(plane_pin_path(l->plane->pin_dir, "abi", path));

	if (fd < 0)
		return 0;
	bpf_map_lookup_elem(fd, &zero, &abi);
	close(fd);
	if (abi.version != ABI_VERSION && abi.version != 0)
		return plane_fail(
		        l, -EPROTO,
		        "maps pinned in %s have ABI version %u, this program has %u; stop the service here "
		        "and run: sipflipd --unload",
		        l->plane->pin_dir, abi.version, ABI_VERSION);
	l->plane->adopted = abi.version == ABI_VERSION;
	return 0;
}

static int load_object(struct plane_loader *l, struct bpf_object *object)
{
	struct plane_objects *o = l->plane->objects;
	struct bpf_map *map;
	char path[192];
	int err;

	bpf_object__for_each_map(map, object)
	{
		if (bpf_map__is_internal(map))
			continue;
		err = bpf_map__set_pin_path(map, plane_pin_path(l->plane->pin_dir, bpf_map__name(map), path));
		if (err)
			return plane_fail(l, err, "cannot pin map %s: %s", bpf_map__name(map),
			                  strerror(-err));
	}
	err = bpf_object__load(object);
	if (err)
		return plane_fail(
		        l, err,
		        "kernel refused BPF object %s: %s; run: sipflip doctor; the kernel's own words: set "
		        "SIPFLIP_LIBBPF=1 and start again",
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

static struct vip vip_of(const struct plane_loader *l, int service)
{
	return (struct vip){.service = (uint32_t)service,
	                    .ifindex = (uint32_t)l->conf->iface[service].ifindex};
}

static int load_all(struct plane_loader *l)
{
	const struct config *c = l->conf->config;
	struct ingress_bpf *ingress = ingress_bpf__open();
	struct egress_bpf *egress = egress_bpf__open();
	struct capture_bpf *capture = capture_bpf__open();
	struct watch_bpf *watch = watch_bpf__open();
	uint64_t cookie = netns_cookie();
	int err;

	if (!ingress || !egress || !capture || !watch)
		return plane_fail(l, -errno, "cannot open the BPF objects: %s", strerror(errno));

	for (int s = 0; s < c->n_service; s++) {
		for (int v = 0; l->conf->here[s] && v < c->service[s].n_vip; v++) {
			const struct inaddr16 *addr = &c->service[s].vip[v].addr;
			struct vip vip = vip_of(l, s);

			vip_slots_add(ingress->rodata->vip_slots, addr, vip);
			vip_slots_add(egress->rodata->vip_slots, addr, vip);
		}
	}
	ingress->rodata->echo_port = c->echo_port;
	l->plane->netns_filter =
	        libbpf_probe_bpf_helper(BPF_PROG_TYPE_CGROUP_SKB, BPF_FUNC_get_netns_cookie, NULL) == 1;
	capture->rodata->netns_filter = l->plane->netns_filter;
	capture->rodata->netns_cookie = cookie;
	watch->rodata->netns_cookie = cookie;

	err = load_object(l, ingress->obj);
	err = err ? err : load_object(l, egress->obj);
	err = err ? err : load_object(l, watch->obj);
	err = err ? err : load_object(l, capture->obj);
	return err;
}

static void *map_array(int fd, size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *at = mmap(NULL, (bytes + page - 1) / page * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return at == MAP_FAILED ? NULL : at;
}

static int map_arrays(struct plane_loader *l)
{
	const int *fd = l->plane->objects->map_fd;
	struct plane *p = l->plane;

	for (int i = 0; i < PLANE_MAP_COUNT; i++)
		if (fd[i] < 0 && i != PLANE_MAP_abi)
			return plane_fail(l, -ENOENT, "BPF objects lack the map %s", map_names[i]);
	p->ownership = map_array(fd[PLANE_MAP_ownership], sizeof(struct ownership) * MAX_SERVICES);
	p->conf = map_array(fd[PLANE_MAP_service_conf], sizeof(struct service_conf) * MAX_SERVICES);
	p->state = map_array(fd[PLANE_MAP_service_state], sizeof(struct service_state) * MAX_SERVICES);
	p->peers = map_array(fd[PLANE_MAP_peers], sizeof(struct peer) * MAX_SERVICES * MAX_NODES);
	if (!p->ownership || !p->conf || !p->state || !p->peers)
		return plane_fail(l, -errno, "cannot map the BPF arrays: %s", strerror(errno));
	return 0;
}

static int init_abi(struct plane_loader *l)
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
		    (bpf_obj_pin(*fd, plane_pin_path(l->plane->pin_dir, "abi", path)) && errno != EEXIST))
			return plane_fail(l, -errno, "cannot pin map abi: %s", strerror(errno));
	}
	err = bpf_map_update_elem(*fd, &zero, &abi, BPF_ANY);
	return err ? plane_fail(l, err, "cannot write map abi: %s", strerror(-err)) : 0;
}

/*
 * Entries of a former configuration go after those of this one are written: the
 * gate and the fence look into these tables all the time.
 */
static bool still_wanted(const struct plane_loader *l, const struct inaddr16 *vip)
{
	const struct config *c = l->conf->config;

	for (int s = 0; s < c->n_service; s++)
		for (int v = 0; l->conf->here[s] && v < c->service[s].n_vip; v++)
			if (addr_equal(vip, &c->service[s].vip[v].addr))
				return true;
	return false;
}

static void drop_stale_vips(const struct plane_loader *l, int fd)
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

static void fill_service(struct plane_loader *l, int s)
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
	        .rescue_port = svc->rescue == RESCUE_AGENT ? svc->rescue_port : 0,
	};
	for (int p = 0; p < svc->n_sip && p < MAX_SIP_PORTS; p++)
		fresh.sip_port[p] = svc->sip_port[p];
	memcpy(fresh.mac, l->conf->iface[s].mac, sizeof(fresh.mac));
	/* under a running data plane nothing is rewritten that stays as it is */
	if (memcmp(conf, &fresh, sizeof(fresh)))
		*conf = fresh;
	if (!l->plane->state[s].started_ns)
		l->plane->state[s].started_ns = (uint64_t)clock_now().ns;
}

/* Once for the life of the maps: what the call keeper wrote into `steer` is keyed with it. */
static int make_steer_key(int fd)
{
	struct siphash_key key = {0};
	uint32_t zero = 0;

	if (bpf_map_lookup_elem(fd, &zero, &key))
		return -errno;
	if (key.k0 || key.k1)
		return 0;
	if (getrandom(&key, sizeof(key), 0) != sizeof(key))
		return -EIO;
	return bpf_map_update_elem(fd, &zero, &key, BPF_ANY);
}

static bool same_key(const struct siphash_key *a, const struct siphash_key *b)
{
	return !sodium_memcmp(a, b, sizeof(*a));
}

static bool holds_key(const struct siphash_key keys[KEY_SLOTS], const struct siphash_key *key)
{
	for (int i = 0; i < KEY_SLOTS; i++)
		if (same_key(&keys[i], key))
			return true;
	return false;
}

/*
 * Under running programs: a key that stays is left where it is, so that no message
 * under it is refused for an instant, whatever the order in the key file has become.
 */
static int fill_keys(const struct siphash_key wanted[KEY_SLOTS], int fd)
{
	static const struct siphash_key none;
	struct siphash_key now[KEY_SLOTS];
	int err = 0;

	for (uint32_t slot = 0; slot < KEY_SLOTS && !err; slot++)
		err = bpf_map_lookup_elem(fd, &slot, &now[slot]);
	for (uint32_t slot = 0; slot < KEY_SLOTS && !err; slot++) {
		const struct siphash_key *fresh = &none;

		if (!same_key(&now[slot], &none) && holds_key(wanted, &now[slot]))
			continue;
		for (int i = KEY_SLOTS - 1; i >= 0; i--)
			if (!same_key(&wanted[i], &none) && !holds_key(now, &wanted[i]))
				fresh = &wanted[i];
		now[slot] = *fresh;
		err = bpf_map_update_elem(fd, &slot, fresh, BPF_ANY);
	}
	explicit_bzero(now, sizeof(now));
	return err;
}

static int fill_maps(struct plane_loader *l)
{
	const struct config *c = l->conf->config;
	const int *fd = l->plane->objects->map_fd;
	static const struct inaddr16 any;
	int err = fill_keys(l->conf->keys, fd[PLANE_MAP_keys]);

	err = err ? err : make_steer_key(fd[PLANE_MAP_steer_key]);
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
	return err ? plane_fail(l, err, "cannot fill the BPF maps: %s", strerror(-err)) : 0;
}

static int quiet(enum libbpf_print_level level, const char *format, va_list args)
{
	if (level == LIBBPF_WARN && getenv("SIPFLIP_LIBBPF"))
		return vfprintf(stderr, format, args);
	return 0;
}

int plane_open(struct plane *plane, const struct plane_conf *conf, struct plane_error *ret_error)
{
	struct plane_loader l = {.plane = plane, .conf = conf, .error = ret_error, .cgroup_fd = -1};
	int err;

	libbpf_set_print(quiet);
	*plane = (struct plane){0};
	snprintf(plane->pin_dir, sizeof(plane->pin_dir), "%s", conf->pin_dir);
	plane->objects = calloc(1, sizeof(*plane->objects));
	if (!plane->objects)
		return plane_fail(&l, -ENOMEM, "out of memory");
	for (int i = 0; i < PLANE_MAP_COUNT; i++)
		plane->objects->map_fd[i] = -1;

	if (access("/sys/kernel/btf/vmlinux", R_OK) < 0)
		return plane_fail(&l, -ENOENT,
		                  "no kernel BTF at /sys/kernel/btf/vmlinux; use a kernel with "
		                  "CONFIG_DEBUG_INFO_BTF=y");
	err = plane_open_cgroup(&l);
	err = err ? err : make_pin_dir(&l);
	err = err ? err : check_abi(&l);
	if (err)
		return err;
	err = load_all(&l);
	err = err ? err : map_arrays(&l);
	err = err ? err : init_abi(&l);
	err = err ? err : fill_maps(&l);
	err = err ? err : plane_attach_all(&l);
	close(l.cgroup_fd);
	if (err && !plane->adopted)
		plane_unload(plane->pin_dir, conf->config);
	return err;
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
