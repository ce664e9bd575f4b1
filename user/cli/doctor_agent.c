/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The doctor's look at the running agent: what it says of itself and its peers, and its counters. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "doctor.h"
#include "text.h"

static void check_instance(struct doctor *d)
{
	const struct ctl_instance *in = &d->view.instance;
	char id[16];

	doctor_ok("sipflipd %s (pid %u) runs as node %s for %s", in->version, in->pid, in->node,
	          text_ns(in->now_ns - in->started_ns).s);
	if (strcmp(in->version, SIPFLIP_VERSION))
		doctor_warn(d, "restart sipflipd after an upgrade", "sipflipd is version %s, this is %s",
		            in->version, SIPFLIP_VERSION);
	if (d->have_key) {
		key_id(&d->keys.key[0], id);
		if (strcmp(id, in->key_id))
			doctor_fail(d, "reload sipflipd, and have the same key file on every node",
			            "sipflipd uses key %s, the key file holds %s", in->key_id, id);
		id[0] = '\0';
		if (d->keys.n > 1)
			key_id(&d->keys.key[1], id);
		if (strcmp(id, in->other_key_id))
			doctor_fail(d, "reload sipflipd, or see who changed the key file",
			            "sipflipd accepts %s as its second key, the key file holds %s",
			            in->other_key_id[0] ? in->other_key_id : "none", id[0] ? id : "none");
	}
	if (in->log_dropped)
		doctor_warn(d, "see whether the journal keeps up", "sipflipd lost %llu lines of its log",
		            (unsigned long long)in->log_dropped);
	if (in->calls_restarts)
		doctor_warn(d, "see its log", "the call keeper was restarted %u times", in->calls_restarts);
}

static void check_peers(struct doctor *d, const struct view_service *v)
{
	/* A standby hears the owner only; the owner hears everybody. */
	for (unsigned int i = 1; i < MAX_NODES; i++) {
		const struct ctl_node *n = &v->node[i];

		if (!v->there[i] || n->self)
			continue;
		if (n->heard_age_ns != TEXT_NEVER && !view_is_silent(v, n))
			doctor_ok("%s: node %s is heard, round trip %s: same key and configuration",
			          v->s.name, n->name, n->rtt_us ? text_us(n->rtt_us).s : "unknown");
	}
}

static void check_service(struct doctor *d, const struct view_service *v)
{
	const struct ctl_service *s = &v->s;

	check_peers(d, v);
	for (int i = 0; i < v->n_problems; i++) {
		const struct view_problem *p = &v->problem[i];

		if (p->grave)
			doctor_fail(d, p->todo, "%s: %s", s->name, p->what);
		else
			doctor_warn(d, p->todo, "%s: %s", s->name, p->what);
	}
	if (s->lapses)
		doctor_warn(d, "timing may be too short for this network; see sipflip events",
		            "%s: the lease lapsed %llu times while owner", s->name,
		            (unsigned long long)s->lapses);
}

/* The sum over all CPUs of the pinned counters; false when they cannot be read. */
static bool read_counters(const char *pin_dir, struct counters *ret)
{
	size_t words = sizeof(*ret) / sizeof(__u64);
	int cpus = libbpf_num_possible_cpus();
	struct bpf_map_info info = {0};
	__u32 len = sizeof(info), zero = 0;
	__u64 *values = NULL, *sum = (__u64 *)(void *)ret;
	bool good = false;
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/counters", pin_dir);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return false;
	if (cpus < 1 || bpf_obj_get_info_by_fd(fd, &info, &len) || info.value_size != sizeof(*ret))
		goto out;
	values = calloc((size_t)cpus, sizeof(*ret));
	if (!values || bpf_map_lookup_elem(fd, &zero, values))
		goto out;
	memset(ret, 0, sizeof(*ret));
	for (size_t cpu = 0; cpu < (size_t)cpus; cpu++)
		for (size_t i = 0; i < words; i++)
			sum[i] += values[cpu * words + i];
	good = true;
out:
	free(values);
	close(fd);
	return good;
}

static void check_counters(struct doctor *d)
{
	struct counters c;
	const struct {
		const __u64 *count;
		const char *what, *todo;
	} bad[] = {
	        {&c.msg_bad_tag, "messages with a wrong tag",
	         "if it grows a node has another key: compare key_id in sipflip status --json"},
	        {&c.msg_config_mismatch, "messages of a node with another configuration",
	         "if it grows copy the same file to every node and reload"},
	        {&c.msg_bad_magic, "messages of another version, or not ours",
	         "if it grows run the same version on every node"},
	        {&c.arp_contest, "claims of a VIP by another machine",
	         "find the machine: see sipflip events"},
	        {&c.event_ring_full, "events of the data plane lost", "sipflipd was stalled: see its log"},
	        {&c.capture_ring_full, "SIP messages not captured",
	         "the call keeper is too slow: see its log"},
	        {&c.servers_full, "server sockets that did not fit the table", "fewer processes per machine"},
	};

	if (!read_counters(d->cli->pin_dir, &c)) {
		doctor_warn(d, "run as root, give sipflipd's --pin-dir", "the counters in %s cannot be read",
		            d->cli->pin_dir);
		return;
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (*bad[i].count)
			doctor_warn(d, bad[i].todo, "%s so far: %llu", bad[i].what,
			            (unsigned long long)*bad[i].count);
}

void doctor_agent(struct doctor *d)
{
	bool data_plane = false;

	check_instance(d);
	for (int i = 0; i < d->view.n_services; i++) {
		check_service(d, &d->view.service[i]);
		data_plane |= d->view.service[i].s.xdp_mode != XDP_MODE_NONE;
	}
	if (data_plane)
		check_counters(d);
}
