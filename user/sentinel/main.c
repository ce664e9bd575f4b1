/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * sipflipd: arguments, start and end. Everything that can fail or takes time
 * happens here, before the loop; each failure is one line that says what to do,
 * and leaves nothing attached that was not there before.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <sched.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "addr.h"
#include "clock.h"
#include "log.h"
#include "sentinel.h"

#define STOP_NS (200 * NS_PER_MS)

static struct sentinel sentinel; /* large; the only one */

static const char usage_text[] =
        "usage: sipflipd -c FILE [-n NODE] [--run-dir DIR] [--pin-dir DIR] [--calls PATH]\n"
        "       sipflipd -c FILE [--pin-dir DIR] --unload\n"
        "       sipflipd --version\n"
        "  -c FILE        configuration, the same on every node (sipflip.conf(5))\n"
        "  -n NODE        which node this is; default: the one whose address is on this machine\n"
        "  --run-dir DIR  sockets and lock; default: run-dir of the configuration, /run/sipflip\n"
        "  --pin-dir DIR  where maps and links are pinned; default /sys/fs/bpf/sipflip\n"
        "  --calls PATH   the call keeper; default: sipflip-calls beside this program or in ../lib/sipflip\n"
        "  --unload       take the VIPs off, detach and unpin everything, and end\n";

static char *read_file(const char *path, size_t limit, size_t *ret_len)
{
	FILE *f = fopen(path, "re");
	char *text = calloc(1, limit + 1);
	size_t n;

	if (!f || !text) {
		free(text);
		if (f)
			fclose(f);
		return NULL;
	}
	n = fread(text, 1, limit, f);
	fclose(f);
	if (ret_len)
		*ret_len = n;
	return text;
}

static int load_config(const char *path, struct config *ret, struct config_error *error)
{
	char *text = read_file(path, 1 << 20, NULL);
	int err;

	if (!text) {
		snprintf(error->text, sizeof(error->text), "%s: %s; name the file with -c", path,
		         strerror(errno));
		return -errno;
	}
	err = config_parse(text, path, ret, error);
	free(text);
	return err;
}

static int find_node(const struct config *c, const char *name)
{
	int found = 0;

	if (name)
		return config_node_by_name(c, name);
	for (int i = 1; i <= c->n_node; i++)
		if (iface_has_addr(&c->node[i].addr))
			found = i;
	return found;
}

static int make_run_dir(const char *path)
{
	char part[160];
	size_t len = strlen(path);
	int fd;

	for (size_t i = 1; i <= len && i < sizeof(part); i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		snprintf(part, sizeof(part), "%.*s", (int)i, path);
		if (mkdir(part, 0755) < 0 && errno != EEXIST)
			fatal("cannot make %s: %s", part, strerror(errno));
	}
	snprintf(part, sizeof(part), "%s/lock", path);
	fd = open(part, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		fatal("cannot open %s: %s", part, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		fatal("another sipflipd runs with %s; stop it, or give this one its own --run-dir and "
		      "--pin-dir",
		      path);
	return fd;
}

/* What only the machine can tell of a service: one line, or nothing. */
static void check_service(const struct config_service *svc, const char *file, struct iface *ret)
{
	int err = iface_find(svc->interface, ret);
	char addr[ADDR_TEXT_LEN];

	if (err == -ENODEV)
		fatal("%s:%d: service \"%s\": no interface \"%s\" on this machine; see: ip link", file,
		      svc->line, svc->name, svc->interface);
	if (err)
		fatal("%s:%d: service \"%s\": interface \"%s\": %s; an Ethernet interface is wanted", file,
		      svc->line, svc->name, svc->interface, strerror(-err));
	for (int v = 0; v < svc->n_vip; v++)
		if (!iface_subnet_holds(svc->interface, &svc->vip[v].addr))
			fatal("%s:%d: service \"%s\": VIP %s is in no subnet of %s; give %s an address in "
			      "its "
			      "subnet, or correct vip",
			      file, svc->line, svc->name, addr_format(&svc->vip[v].addr, addr),
			      svc->interface, svc->interface);
}

static void prepare_services(struct sentinel *s)
{
	struct config *c = &s->config;
	struct config_error error;

	s->n_service = c->n_service;
	for (int i = 0; i < c->n_service; i++) {
		struct service *svc = &s->service[i];
		bool concerned = c->service[i].witness == s->node;

		svc->index = i;
		svc->conf = &c->service[i];
		svc->announcer.fd = -1;
		for (int n = 0; n < c->service[i].n_node; n++)
			svc->here |= c->service[i].node[n] == s->node;
		if (svc->here) {
			check_service(svc->conf, s->config_path, &svc->iface);
			if (recover_read_password(svc->conf, s->secrets->event_password[i], KEEPER_NAME_LEN,
			                          &error))
				fatal("%s", error.text);
			s->has_plane = true;
		}
		if (!svc->here && !concerned)
			fatal("%s:%d: service \"%s\": node \"%s\" has no part in it; every node of the file "
			      "votes "
			      "or serves in each service",
			      s->config_path, svc->conf->line, svc->conf->name, node_name(s, s->node));
	}
}

static int find_group(const char *key, const char *name, gid_t *ret, struct config_error *error)
{
	const struct group *group = name[0] ? getgrnam(name) : NULL;

	if (name[0] && !group) {
		snprintf(error->text, sizeof(error->text),
		         "%s \"%s\": no such group on this machine; make it: groupadd --system %s", key, name,
		         name);
		return -ENOENT;
	}
	*ret = group ? group->gr_gid : 0;
	return 0;
}

static int find_groups(const struct config *config, struct control *ret, struct config_error *error)
{
	int err = find_group("control-group", config->control_group, &ret->group, error);

	return err ? err : find_group("switchover-group", config->switchover_group, &ret->switchover, error);
}

static void open_plane(struct sentinel *s)
{
	static struct iface iface[MAX_SERVICES];
	static bool here[MAX_SERVICES];
	struct plane_conf conf = {
	        .config = &s->config,
	        .pin_dir = s->pin_dir,
	        .node = s->node,
	        .keys = s->secrets->siphash,
	        .iface = iface,
	        .here = here,
	};
	struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
	struct plane_error error;

	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	for (int i = 0; i < s->n_service; i++) {
		iface[i] = s->service[i].iface;
		here[i] = s->service[i].here;
	}
	if (plane_open(&s->plane, &conf, &error))
		fatal("%s", error.text);
	for (int i = 0; i < s->n_service; i++)
		if (s->service[i].here && s->plane.xdp_mode[i] == XDP_MODE_GENERIC)
			log_warn("service=%s event=xdp-generic text=\"%s has no native XDP: slower, see: "
			         "sipflip "
			         "doctor\"",
			         s->service[i].conf->name, s->service[i].conf->interface);
}

static void announce_own_address(const struct service *svc)
{
	int former = iface_announce_own_address(svc->conf->interface);

	if (former < 0)
		log_warn("service=%s event=sysctl error=\"%s\" text=\"set net.ipv4.conf.%s.arp_announce to "
		         "2: a "
		         "takeover may wait a second for a neighbour otherwise\"",
		         svc->conf->name, strerror(-former), svc->conf->interface);
	else if (former != 2)
		log_info("service=%s event=sysctl net.ipv4.conf.%s.arp_announce=2 was=%d", svc->conf->name,
		         svc->conf->interface, former);
}

/* After the fence is up, the VIP may be bound: the standby's server can start on it. */
static void bind_vips(struct sentinel *s)
{
	char addr[ADDR_TEXT_LEN];

	for (int i = 0; i < s->n_service; i++) {
		struct service *svc = &s->service[i];

		if (svc->here)
			announce_own_address(svc);
		for (int v = 0; svc->here && v < svc->conf->n_vip; v++) {
			bool added;
			int err = iface_add_addr(&svc->iface, &svc->conf->vip[v], &added);

			addr_format(&svc->conf->vip[v].addr, addr);
			if (err) {
				if (!s->plane.adopted)
					plane_unload(s->pin_dir, &s->config);
				fatal("cannot bind VIP %s to %s: %s", addr, svc->conf->interface,
				      strerror(-err));
			}
			if (added)
				log_info("service=%s event=vip-bound vip=%s interface=%s", svc->conf->name,
				         addr, svc->conf->interface);
		}
	}
}

static void become_real_time(struct sentinel *s)
{
	struct sched_param param = {.sched_priority = s->config.rt_priority};

	if (sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &param) < 0)
		log_warn("event=no-real-time error=\"%s\" text=\"under load echoes may be late; grant "
		         "CAP_SYS_NICE\"",
		         strerror(errno));
	else
		s->rt_priority = s->config.rt_priority;
	if (mlockall(MCL_CURRENT | MCL_FUTURE) < 0)
		log_warn("event=no-mlock error=\"%s\"", strerror(errno));
}

static int unload(struct sentinel *s)
{
	int n = 0;

	for (int i = 0; i < s->config.n_service; i++) {
		struct iface iface;

		if (!iface_find(s->config.service[i].interface, &iface))
			n += warm_forget(&iface);
		/* the VIP first: without the gate the kernel would answer for it */
		for (int v = 0; v < s->config.service[i].n_vip; v++)
			if (!iface_find(s->config.service[i].interface, &iface))
				n += !iface_del_addr(&iface, &s->config.service[i].vip[v]);
	}
	n += plane_unload(s->pin_dir, &s->config);
	printf("sipflipd: %d addresses, neighbours, programs and maps removed\n", n);
	return 0;
}

static const char *find_calls(const char *given)
{
	static char path[512];
	static const char *const places[] = {"%s/sipflip-calls", "%s/../lib/sipflip/sipflip-calls"};
	char dir[400];
	ssize_t n = readlink("/proc/self/exe", dir, sizeof(dir) - 1);

	if (given)
		return given;
	dir[n > 0 ? n : 0] = '\0';
	if (strrchr(dir, '/'))
		*strrchr(dir, '/') = '\0';
	for (size_t i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), i ? places[1] : places[0], dir);
		if (!access(path, X_OK))
			return path;
	}
	return "/usr/local/lib/sipflip/sipflip-calls";
}

/* A witness: its socket is open to all, and no ingress is before it. */
static void guard_witness(struct sentinel *s)
{
	struct guard_conf conf = {.config = &s->config,
	                          .node = s->node,
	                          .incarnation = s->incarnation,
	                          .keys = s->secrets->siphash};
	int err = guard_socket(&s->guard, s->udp, &conf);

	if (err)
		log_warn("event=no-guard error=\"%s\" text=\"forged and repeated messages are judged in user "
		         "space: a flood of them costs this node's time\"",
		         strerror(-err));
}

static void start(struct sentinel *s, const char *calls)
{
	struct config_error error;
	int64_t echo_ns = INT64_MAX;
	int err;

	if (s->has_plane) {
		open_plane(s);
		bind_vips(s);
		service_find_servers(s);
	}
	if (find_groups(&s->config, &s->control, &error))
		fatal("%s: %s", s->config_path, error.text);
	err = control_init(s);
	err = err ? err : keeper_init(s, find_calls(calls));
	if (err)
		fatal("cannot listen in %s: %s", s->run_dir, strerror(-err));
	s->started = clock_now();
	for (int i = 0; i < s->n_service; i++) {
		struct service *svc = &s->service[i];

		if (svc->conf->echo_ns < echo_ns)
			echo_ns = svc->conf->echo_ns;
		if (!svc->here)
			continue;
		err = announcer_init(&svc->announcer, svc->conf, &svc->iface, &s->config.node[s->node].addr,
		                     s->started);
		if (err)
			fatal("cannot open a packet socket on %s: %s", svc->iface.name, strerror(-err));
		err = warm_open(&svc->warm, &svc->iface);
		if (err)
			log_warn("service=%s event=no-warm-neighbours error=\"%s\" text=\"the first relayed "
			         "packets of a takeover may wait for ARP\"",
			         svc->conf->name, strerror(-err));
		s->plane.state[i].ok_ns = 0;
		s->plane.state[i].agent_pid = (uint64_t)getpid();
	}
	if (s->has_plane && plane_add_server(&s->plane, (uint32_t)getpid(), 0))
		log_warn(
		        "event=agent-unwatched text=\"should it die, the voters may take its silence for the "
		        "server's\"");
	s->wake.slack_ns = echo_ns + echo_ns / 2 + NS_PER_MS / 2;
	err = loop_init(s);
	if (err)
		fatal("cannot open the voters' socket on %s's address, port %u: %s", node_name(s, s->node),
		      s->config.echo_port, strerror(-err));
	if (!s->has_plane)
		guard_witness(s);
	become_real_time(s);
	for (int i = 0; i < s->n_service; i++)
		service_start(s, &s->service[i], clock_now());
}

/* From now on nobody asks the server, and that it says nothing means nothing. */
static void say_gone(struct sentinel *s)
{
	for (int i = 0; i < s->n_service; i++) {
		if (!s->service[i].here)
			continue;
		__atomic_store_n(&s->plane.state[i].agent_pid, 0, __ATOMIC_SEQ_CST);
		s->plane.state[i].ok_ns = 0;
	}
}

/* Leaves the data plane as it is. What it says of this agent from now on is: gone. */
static void leave(struct sentinel *s)
{
	say_gone(s);
	for (int i = 0; i < s->n_service; i++) {
		struct service *svc = &s->service[i];

		if (!svc->here)
			continue;
		s->plane.state[i].armed_until_ns = 0;
		log_info("service=%s event=stop text=\"%s\"", svc->conf->name,
		         svc->lease.state == LEASE_owner
		                 ? "no agent, but the kernel goes on as owner; sipflipd --unload ends that"
		                 : "fenced; the VIP stays bound and silent");
	}
}

static void hand_over_all(struct sentinel *s)
{
	for (int i = 0; i < s->n_service; i++) {
		struct service *svc = &s->service[i];

		if (svc->lease.state == LEASE_owner &&
		    service_hand_over(s, svc, CAUSE_agent_stop, clock_now()) == -EAGAIN)
			log_warn("service=%s event=not-handed-over text=\"no heir is ready\"",
			         svc->conf->name);
	}
	s->quit = false;
	s->stop_at = mono_add(clock_now(), STOP_NS);
	loop_run(s);
}

static int passwords_missing(const struct sentinel *s, const struct config *fresh, struct config_error *error)
{
	char password[KEEPER_NAME_LEN];
	int err = 0;

	for (int i = 0; i < fresh->n_service && !err; i++)
		for (int n = 0; n < fresh->service[i].n_node && !err; n++)
			if (fresh->service[i].node[n] == s->node)
				err = recover_read_password(&fresh->service[i], password, sizeof(password),
				                            error);
	explicit_bzero(password, sizeof(password));
	return err;
}

/* SIGHUP: a good file is taken by starting over under the living data plane, a bad one is refused whole. */
static void reload(struct sentinel *s)
{
	static struct config fresh;
	struct config_error error;
	struct secrets *secrets = secrets_new();
	struct control groups;
	int err;

	s->reload = false;
	if (!secrets) {
		log_error("event=reload-refused text=\"out of memory that may be locked\"");
		return;
	}
	err = load_config(s->config_path, &fresh, &error);
	err = err ? err : secrets_read_keys(secrets, fresh.key_file, &error);
	err = err ? err : passwords_missing(s, &fresh, &error);
	err = err ? err : find_groups(&fresh, &groups, &error);
	secrets_free(secrets);
	if (err) {
		log_error("event=reload-refused text=\"%s\"", error.text);
		return;
	}
	if (find_node(&fresh, s->config.node[s->node].name) != s->node || fresh.n_service < s->n_service) {
		log_error("event=reload-refused text=\"%s: the new file moves or removes this node or a "
		          "service; "
		          "stop sipflipd for that\"",
		          s->config_path);
		return;
	}
	log_info("event=reload text=\"starting over, ownership kept\"");
	keeper_stop(s);
	keeper_bequeath(s);
	say_gone(s);
	log_flush_final();
	execv("/proc/self/exe", s->argv);
	log_error("event=reload-failed error=\"%s\"", strerror(errno));
}

static void run(struct sentinel *s)
{
	sd_notify(0, "READY=1");
	for (;;) {
		loop_run(s);
		if (!s->reload)
			break;
		reload(s);
	}
	sd_notify(0, "STOPPING=1");
	if (!s->quit_keep)
		hand_over_all(s);
	s->quit = true;
	for (int i = 0; i < s->n_service; i++)
		recover_stop(&s->service[i].recover);
	keeper_stop(s);
	leave(s);
	control_done(s);
	log_flush_final();
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
	        {"run-dir", required_argument, NULL, 'r'},
	        {"pin-dir", required_argument, NULL, 'p'},
	        {"calls", required_argument, NULL, 'k'},
	        {"unload", no_argument, NULL, 'u'},
	        {"version", no_argument, NULL, 'v'},
	        {"help", no_argument, NULL, 'h'},
	        {NULL, 0, NULL, 0},
	};
	struct sentinel *s = &sentinel;
	struct config_error error;
	const char *node = NULL, *calls = NULL;
	bool do_unload = false;
	int opt;

	s->argv = argv;
	s->pin_dir = "/sys/fs/bpf/sipflip";
	while ((opt = getopt_long(argc, argv, "c:n:h", options, NULL)) != -1) {
		switch (opt) {
		case 'c':
			s->config_path = optarg;
			break;
		case 'n':
			node = optarg;
			break;
		case 'r':
			s->run_dir = optarg;
			break;
		case 'p':
			s->pin_dir = optarg;
			break;
		case 'k':
			calls = optarg;
			break;
		case 'u':
			do_unload = true;
			break;
		case 'v':
			puts("sipflipd " SIPFLIP_VERSION);
			return 0;
		case 'h':
			fputs(usage_text, stdout);
			return 0;
		default:
			fputs(usage_text, stderr);
			return 2;
		}
	}
	if (!s->config_path || optind != argc) {
		fputs(usage_text, stderr);
		return 2;
	}
	secrets_keep();
	if (sodium_init() < 0)
		fatal("libsodium does not start");
	if (load_config(s->config_path, &s->config, &error))
		fatal("%s", error.text);
	if (geteuid() != 0)
		fatal("must run as root: it loads BPF programs; run: sudo sipflipd -c %s", s->config_path);
	s->node = find_node(&s->config, node);
	if (!s->node && node)
		fatal("%s: no node \"%s\" in it", s->config_path, node);
	if (!s->node)
		fatal("%s: no node's address is on this machine; add it to an interface, or say -n NODE",
		      s->config_path);
	if (!s->run_dir)
		s->run_dir = s->config.run_dir;
	s->secrets = secrets_new();
	if (!s->secrets)
		fatal("no memory that may be locked, for the keys; raise LimitMEMLOCK");
	if (secrets_read_keys(s->secrets, s->config.key_file, &error))
		fatal("%s", error.text);
	for (int i = 0; i < s->secrets->keys.n; i++)
		key_id(&s->secrets->keys.key[i], s->key_id[i]);
	make_run_dir(s->run_dir);
	if (do_unload)
		return unload(s);
	if (getrandom(&s->incarnation, sizeof(s->incarnation), 0) != sizeof(s->incarnation))
		fatal("no random numbers: %s", strerror(errno));
	prepare_services(s);
	log_info("event=start version=%s node=%s pid=%d", SIPFLIP_VERSION, node_name(s, s->node), getpid());
	start(s, calls);
	run(s);
	return 0;
}
