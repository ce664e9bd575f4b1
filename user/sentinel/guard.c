/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The filter of a witness's socket, see guard.h. */
#include "guard.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <unistd.h>

#include "voters.skel.h"

static int quiet(enum libbpf_print_level level, const char *format, va_list args)
{
	return 0;
}

static int fill(const struct voters_bpf *skel, const struct guard_conf *conf)
{
	int err = 0;

	for (uint32_t slot = 0; slot < KEY_SLOTS && !err; slot++)
		err = bpf_map_update_elem(bpf_map__fd(skel->maps.keys), &slot, &conf->keys[slot], BPF_ANY);
	for (uint32_t s = 0; s < (uint32_t)conf->config->n_service && !err; s++) {
		struct service_conf service = {
		        .lease_ns = (uint64_t)conf->config->service[s].lease_ns,
		        .incarnation = conf->incarnation,
		        .config_tag = config_service_tag(conf->config, (int)s),
		        .node = (uint8_t)conf->node,
		};

		err = bpf_map_update_elem(bpf_map__fd(skel->maps.service_conf), &s, &service, BPF_ANY);
	}
	return err;
}

/* The socket keeps the program, and the program its maps. */
int guard_socket(struct guard *guard, int fd, const struct guard_conf *conf)
{
	struct voters_bpf *skel;
	int prog, counters, err;

	libbpf_set_print(quiet);
	skel = voters_bpf__open_and_load();
	if (!skel)
		return -errno;
	prog = bpf_program__fd(skel->progs.voters);
	err = fill(skel, conf);
	counters = err ? -1 : fcntl(bpf_map__fd(skel->maps.counters), F_DUPFD_CLOEXEC, 3);
	if (!err && counters < 0)
		err = -errno;
	if (!err && setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, &prog, sizeof(prog)) < 0)
		err = -errno;
	voters_bpf__destroy(skel);
	if (!err)
		guard->counters = counters;
	else if (counters >= 0)
		close(counters);
	return err;
}
