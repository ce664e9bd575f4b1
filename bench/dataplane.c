/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the data plane costs a frame: nanoseconds by PROG_TEST_RUN, the median of
 * RUNS runs of REPEAT frames, each run next to one of a program that does
 * nothing, so that a slow spell of the machine falls on both. Frames that the
 * program changes are put back before each (bpf/bench.bpf.c), and the cost of
 * that is taken off. Results go to stdout and with --json FILE there too.
 */
#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "../tests/bpf/frames.h"
#include "bench.skel.h"
#include "egress.skel.h"
#include "ingress.skel.h"
#include "sipflip/slots.h"

#define RUNS        11
#define REPEAT      1000000
#define ACT_SHOT    2
#define IMAGE_PAD   6 /* bench.bpf.c: struct image */
#define RUN_INGRESS 0 /* bench.bpf.c: targets[] */
#define RUN_NOTHING 1

struct bench {
	struct ingress_bpf *in;
	struct egress_bpf *out;
	struct bench_bpf *aid;
};

struct figure {
	const char *name;
	const char *text;
	int target_ns; /* over the program that does nothing; 0 = no target */
	double ns[RUNS];
	double base_ns[RUNS];
	double all_ns; /* medians of ns, base_ns and of their differences, run by run */
	double empty_ns;
	double net_ns;
};

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *ns)
{
	qsort(ns, RUNS, sizeof(*ns), by_value);
	return ns[RUNS / 2];
}

static void summarise(struct figure *fig)
{
	double net_ns[RUNS];
	int i;

	for (i = 0; i < RUNS; i++)
		net_ns[i] = fig->ns[i] - fig->base_ns[i];
	fig->net_ns = median(net_ns);
	fig->all_ns = median(fig->ns);
	fig->empty_ns = median(fig->base_ns);
}

/* ns a frame; a verdict other than `want` means that something else was measured: -EBADMSG. */
static int measure(int prog, const struct frame *f, uint32_t want, double *ret_ns)
{
	static uint8_t out[FRAME_MAX];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = f->b, .data_size_in = f->len, .data_out = out,
	            .data_size_out = sizeof(out), .repeat = REPEAT);
	int rc = bpf_prog_test_run_opts(prog, &opts);

	if (rc)
		return -errno;
	if (opts.retval != want)
		return -EBADMSG;
	*ret_ns = opts.duration;
	return 0;
}

/* The program as it is, next to one that does nothing. */
static int measure_plain(struct figure *fig, int prog, int nothing, const struct frame *f, uint32_t want,
                         uint32_t none)
{
	int i, rc = 0;

	for (i = 0; i < RUNS && !rc; i++) {
		rc = measure(nothing, f, none, &fig->base_ns[i]);
		if (!rc)
			rc = measure(prog, f, want, &fig->ns[i]);
	}
	return rc;
}

/* Behind `replay`, next to nothing behind the same. */
static int measure_replayed(struct bench *b, struct figure *fig, int replay, const struct frame *f)
{
	uint8_t image[IMAGE_PAD + MSG_FRAME] = {0};
	uint32_t zero = 0;
	int i, rc = 0;

	memcpy(image + IMAGE_PAD, f->b, f->len);
	if (bpf_map_update_elem(bpf_map__fd(b->aid->maps.images), &zero, image, BPF_ANY))
		return -errno;
	for (i = 0; i < RUNS && !rc; i++) {
		b->aid->bss->target = RUN_NOTHING;
		rc = measure(replay, f, XDP_PASS, &fig->base_ns[i]);
		b->aid->bss->target = RUN_INGRESS;
		if (!rc)
			rc = measure(replay, f, XDP_TX, &fig->ns[i]);
	}
	return rc;
}

static int put(struct bpf_map *map, uint32_t key, const void *value)
{
	return bpf_map_update_elem(bpf_map__fd(map), &key, value, BPF_ANY) ? -errno : 0;
}

static int set_owner(struct bench *b, uint64_t lease_until_ns)
{
	struct ownership word = {lease_until_ns};
	int rc = put(b->in->maps.ownership, SERVICE, &word);

	return rc ? rc : put(b->out->maps.ownership, SERVICE, &word);
}

static int set_vip(struct bpf_map *map)
{
	struct inaddr16 key = addr_from_be32(htonl(VIP));
	struct vip vip = {.service = SERVICE, .ifindex = IFINDEX};

	return bpf_map_update_elem(bpf_map__fd(map), &key, &vip, BPF_ANY) ? -errno : 0;
}

static int load(struct bench *b)
{
	const struct inaddr16 vip = addr_from_be32(htonl(VIP));
	const struct vip value = {.service = SERVICE, .ifindex = IFINDEX};
	uint32_t slots[2];
	int fd, rc;

	b->in = ingress_bpf__open();
	b->out = egress_bpf__open();
	b->aid = bench_bpf__open();
	if (!b->in || !b->out || !b->aid)
		return -errno;
	vip_slots_add(b->in->rodata->vip_slots, &vip, value);
	vip_slots_add(b->out->rodata->vip_slots, &vip, value);
	b->aid->rodata->service = SERVICE;
	b->aid->rodata->peer = SERVICE * MAX_NODES + NODE_PEER;
	rc = ingress_bpf__load(b->in);
	if (!rc)
		rc = egress_bpf__load(b->out);
	if (!rc)
		rc = bpf_map__reuse_fd(b->aid->maps.ownership, bpf_map__fd(b->in->maps.ownership));
	if (!rc)
		rc = bpf_map__reuse_fd(b->aid->maps.peers, bpf_map__fd(b->in->maps.peers));
	if (!rc)
		rc = bench_bpf__load(b->aid);
	if (rc)
		return rc;
	slots[RUN_INGRESS] = bpf_program__fd(b->in->progs.ingress);
	slots[RUN_NOTHING] = bpf_program__fd(b->aid->progs.nothing);
	fd = bpf_map__fd(b->aid->maps.targets);
	for (uint32_t i = 0; i < 2 && !rc; i++)
		rc = bpf_map_update_elem(fd, &i, &slots[i], BPF_ANY) ? -errno : 0;
	return rc;
}

static int configure(struct bench *b)
{
	uint64_t now = now_boot_ns();
	struct service_conf conf = {
	        .lease_ns = 3600000000000ULL,
	        .incarnation = SELF_INC,
	        .node_addr = addr_from_be32(htonl(ADDR_SELF)),
	        .first_vip = addr_from_be32(htonl(VIP)),
	        .config_tag = CONFIG_TAG,
	        .ifindex = IFINDEX,
	        .echo_port = WIRE_PORT,
	        .node = NODE_SELF,
	};
	struct service_state state = {.epoch = EPOCH, .ok_ns = now, .turn_ns = now, .flags = STATUS_HEALTHY};
	int rc;

	memcpy(conf.mac, mac_self, 6);
	rc = put(b->in->maps.service_conf, SERVICE, &conf);
	if (!rc)
		rc = put(b->in->maps.service_state, SERVICE, &state);
	if (!rc)
		rc = put(b->in->maps.keys, 0, &key_first);
	if (!rc)
		rc = put(b->in->maps.keys, 1, &key_second);
	if (!rc)
		rc = set_vip(b->in->maps.vips);
	if (!rc)
		rc = set_vip(b->out->maps.vips);
	return rc;
}

enum {
	NOT_OURS,
	NOT_OURS_UDP,
	ARP_ANSWER,
	ECHO,
	ECHO_SECOND_KEY,
	VIP_PASSED,
	EGRESS_NOT_OURS,
	EGRESS_FENCED,
	EGRESS_OWNER,
	FIGURES,
};

static struct figure figures[FIGURES] = {
        [NOT_OURS] = {"not_ours", "none of ours: TCP to another address", 10},
        [NOT_OURS_UDP] = {"not_ours_udp", "none of ours: UDP to another address", 10},
        [ARP_ANSWER] = {"arp_answer", "ARP request answered", 60},
        [ECHO] = {"echo", "echo verified, lease renewed, reflection signed", 250},
        [ECHO_SECOND_KEY] = {"echo_second_key", "the same under the second key", 0},
        [VIP_PASSED] = {"vip_passed", "SIP for the VIP passed to the owner", 0},
        [EGRESS_NOT_OURS] = {"egress_not_ours", "leaving: none of ours", 0},
        [EGRESS_FENCED] = {"egress_fenced", "leaving: from the VIP, fenced", 0},
        [EGRESS_OWNER] = {"egress_owner", "leaving: from the VIP, owner", 0},
};

static int measure_ingress(struct bench *b)
{
	int in = bpf_program__fd(b->in->progs.ingress), nothing = bpf_program__fd(b->aid->progs.nothing);
	struct frame tcp = frame_tcp(mac_self, mac_far, ADDR_FAR, ADDR_SELF);
	struct frame rtp = frame_udp(mac_self, mac_far, ADDR_FAR, 16000, ADDR_SELF, 16000, "rtp", 3);
	struct frame sip = frame_udp(mac_self, mac_far, ADDR_FAR, 5060, VIP, 5060, "OPTIONS", 7);
	struct frame arp = frame_arp(mac_all, mac_far, 1, mac_far, ADDR_FAR, mac_none, VIP), wire;
	struct msg echo = msg_echo();
	int rc = measure_plain(&figures[NOT_OURS], in, nothing, &tcp, XDP_PASS, XDP_PASS);

	if (!rc)
		rc = measure_plain(&figures[NOT_OURS_UDP], in, nothing, &rtp, XDP_PASS, XDP_PASS);
	if (!rc)
		rc = set_owner(b, LEASE_FOREVER);
	if (!rc)
		rc = measure_plain(&figures[VIP_PASSED], in, nothing, &sip, XDP_PASS, XDP_PASS);
	if (!rc)
		rc = measure_replayed(b, &figures[ARP_ANSWER], bpf_program__fd(b->aid->progs.replay_arp),
		                      &arp);
	echo.grant_ns = now_boot_ns();
	wire = frame_msg(&echo, &key_first);
	if (!rc)
		rc = measure_replayed(b, &figures[ECHO], bpf_program__fd(b->aid->progs.replay_echo), &wire);
	wire = frame_msg(&echo, &key_second);
	if (!rc)
		rc = measure_replayed(b, &figures[ECHO_SECOND_KEY],
		                      bpf_program__fd(b->aid->progs.replay_echo), &wire);
	return rc;
}

static int measure_egress(struct bench *b)
{
	int out = bpf_program__fd(b->out->progs.egress), nothing = bpf_program__fd(b->aid->progs.nothing_tc);
	struct frame tcp = frame_tcp(mac_far, mac_self, ADDR_SELF, ADDR_FAR);
	struct frame sip = frame_udp(mac_far, mac_self, VIP, 5060, ADDR_FAR, 5060, "SIP/2.0", 7);
	int rc = measure_plain(&figures[EGRESS_NOT_OURS], out, nothing, &tcp, 0, 0);

	if (!rc)
		rc = set_owner(b, LEASE_FENCED);
	if (!rc)
		rc = measure_plain(&figures[EGRESS_FENCED], out, nothing, &sip, ACT_SHOT, 0);
	if (!rc)
		rc = set_owner(b, LEASE_FOREVER);
	if (!rc)
		rc = measure_plain(&figures[EGRESS_OWNER], out, nothing, &sip, 0, 0);
	return rc;
}

/* The replayed echoes must have been renewals: the counters say what was really measured. */
static int check_counters(struct bench *b)
{
	int cpus = libbpf_num_possible_cpus(), cpu;
	struct counters *each = calloc((size_t)cpus, sizeof(*each));
	uint64_t reflected = 0, renewed = 0, answered = 0;
	uint32_t zero = 0;
	int rc = 0;

	if (!each)
		return -ENOMEM;
	if (bpf_map_lookup_elem(bpf_map__fd(b->in->maps.counters), &zero, each))
		rc = -errno;
	for (cpu = 0; cpu < cpus; cpu++) {
		reflected += each[cpu].echo_reflected;
		renewed += each[cpu].echo_renewed;
		answered += each[cpu].arp_answered;
	}
	free(each);
	if (!rc &&
	    (reflected != 2ULL * RUNS * REPEAT || renewed != reflected || answered != 1ULL * RUNS * REPEAT))
		rc = -EBADMSG;
	return rc;
}

static const char *judged(const struct figure *fig, char buf[32])
{
	if (!fig->target_ns)
		return "";
	if (fig->net_ns <= fig->target_ns)
		snprintf(buf, 32, "<= %d: met", fig->target_ns);
	else
		snprintf(buf, 32, "<= %d: missed by %.0f", fig->target_ns, fig->net_ns - fig->target_ns);
	return buf;
}

static void print_table(void)
{
	char buf[32];
	int i;

	printf("\nns a frame, median of %d runs of %d\n\n", RUNS, REPEAT);
	printf("  %-48s %8s %8s %8s  %s\n", "", "in all", "empty", "net", "target");
	for (i = 0; i < FIGURES; i++) {
		struct figure *fig = &figures[i];

		summarise(fig);
		printf("  %-48s %8.0f %8.0f %8.0f  %s\n", fig->text, fig->all_ns, fig->empty_ns, fig->net_ns,
		       judged(fig, buf));
	}
	printf("\n\"empty\" is a program that does nothing in the same place; for ARP and echo with the "
	       "frame\n"
	       "put back before each run. PROG_TEST_RUN gives whole nanoseconds.\n");
}

static int write_json(const char *file)
{
	FILE *f = fopen(file, "w");
	struct utsname u;
	int i;

	if (!f)
		return -errno;
	uname(&u);
	fprintf(f,
	        "{\"kernel\": \"%s\", \"machine\": \"%s\", \"runs\": %d, \"repeat\": %d, \"unit\": \"ns\", "
	        "\"figures\": [\n",
	        u.release, u.machine, RUNS, REPEAT);
	for (i = 0; i < FIGURES; i++) {
		const struct figure *fig = &figures[i];

		fprintf(f, "  {\"name\": \"%s\", \"net\": %.0f, \"empty\": %.0f, ", fig->name, fig->net_ns,
		        fig->empty_ns);
		if (fig->target_ns)
			fprintf(f, "\"target\": %d, \"met\": %s}", fig->target_ns,
			        fig->net_ns <= fig->target_ns ? "true" : "false");
		else
			fprintf(f, "\"target\": null, \"met\": null}");
		fprintf(f, "%s\n", i + 1 < FIGURES ? "," : "");
	}
	fprintf(f, "]}\n");
	return fclose(f) ? -errno : 0;
}

/* One CPU for all, and nothing else on it meanwhile that can be kept off: the rest of the machine is no cost
 * of a frame. */
static void stay_here(void)
{
	struct sched_param param = {.sched_priority = 1};
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(sched_getcpu(), &set);
	sched_setaffinity(0, sizeof(set), &set);
	sched_setscheduler(0, SCHED_FIFO, &param);
}

int main(int argc, char **argv)
{
	struct bench b = {0};
	const char *json = NULL;
	int rc;

	if (argc == 3 && !strcmp(argv[1], "--json")) {
		json = argv[2];
	} else if (argc > 1) {
		fprintf(stderr, "usage: dataplane [--json FILE]\n");
		return 2;
	}
	stay_here();
	rc = load(&b);
	if (!rc)
		rc = configure(&b);
	if (!rc)
		rc = measure_ingress(&b);
	if (!rc)
		rc = measure_egress(&b);
	if (!rc)
		rc = check_counters(&b);
	if (!rc)
		print_table();
	if (!rc && json)
		rc = write_json(json);
	ingress_bpf__destroy(b.in);
	egress_bpf__destroy(b.out);
	bench_bpf__destroy(b.aid);
	if (rc)
		fprintf(stderr, "dataplane: %s\n",
		        rc == -EBADMSG ? "a program did not do what was to be measured" : strerror(-rc));
	return rc ? 1 : 0;
}
