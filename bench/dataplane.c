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
#include <sodium.h>

#include "../tests/bpf/frames.h"
#include "bench.skel.h"
#include "egress.skel.h"
#include "ingress.skel.h"
#include "sipflip/slots.h"

#define RUNS        11
#define REPEAT      1000000
#define ACT_OK      0
#define ACT_SHOT    2
#define IMAGE_PAD   6 /* bench.bpf.c: struct image */
#define RUN_INGRESS 0 /* bench.bpf.c: targets[] */
#define RUN_NOTHING 1
#define RESCUE_PORT 5070
#define PHONE_PORT  4000
#define PORT_RELAY  30000
#define PORT_TYPES  30004
#define PORT_SERVER 30008
#define BYE_BYTES   500
#define RESCUED_ID  "84ZTdkWyW9YGcAd1GUbfAw..@10.9.0.200"
#define OTHER_ID    "84ZTdkWyW9YGcAd1GUbfAx..@10.9.0.200"

struct bench {
	struct ingress_bpf *in;
	struct egress_bpf *out;
	struct bench_bpf *aid;
};

/* What is measured, how, and what came out. */
struct figure {
	const char *name;
	const char *text;
	int target_ns; /* over the program that does nothing; 0 = no target */
	uint64_t word; /* ownership while it runs */
	int beyond;    /* the target is for what it takes longer than this figure; 0 = in all */
	int prog;      /* the program, or what puts the frame back and then calls it */
	int nothing;   /* to compare with; when the frame is put back, the same as prog */
	uint32_t want; /* the verdicts: another one means that something else was measured */
	uint32_t empty;
	struct frame frame;
	double ns[RUNS];
	double base_ns[RUNS];
	double all_ns; /* medians of ns, base_ns and of their differences, run by run */
	double empty_ns;
	double net_ns;
	double least_ns; /* difference of the least two: without disturbance */
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
	fig->least_ns = fig->ns[0] - fig->base_ns[0]; /* sorted by now */
}

/* ns a frame, or -EBADMSG when the verdict is another. */
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

static int put(struct bpf_map *map, uint32_t key, const void *value)
{
	return bpf_map_update_elem(bpf_map__fd(map), &key, value, BPF_ANY) ? -errno : 0;
}

static int set_owner(struct bench *b, uint64_t lease_until_ns)
{
	struct ownership word = {lease_until_ns};

	return put(b->in->maps.ownership, SERVICE, &word);
}

static int set_vip(struct bpf_map *map)
{
	struct inaddr16 key = addr_from_be32(htonl(VIP));
	struct vip vip = {.service = SERVICE, .ifindex = IFINDEX};

	return bpf_map_update_elem(bpf_map__fd(map), &key, &vip, BPF_ANY) ? -errno : 0;
}

static int set_targets(struct bpf_map *map, const struct bpf_program *judged,
                       const struct bpf_program *nothing)
{
	const uint32_t fd[] = {[RUN_INGRESS] = (uint32_t)bpf_program__fd(judged),
	                       [RUN_NOTHING] = (uint32_t)bpf_program__fd(nothing)};
	int rc = 0;

	for (uint32_t i = 0; i < 2 && !rc; i++)
		rc = put(map, i, &fd[i]);
	return rc;
}

/* The maps of calls are one for both programs, as under sipflipd. */
static int share_maps(struct bench *b)
{
	struct bpf_map *map;
	int rc = 0;

	bpf_object__for_each_map(map, b->out->obj)
	{
		struct bpf_map *same = bpf_object__find_map_by_name(b->in->obj, bpf_map__name(map));

		if (same && !bpf_map__is_internal(map) && !rc)
			rc = bpf_map__reuse_fd(map, bpf_map__fd(same));
	}
	return rc;
}

static int load(struct bench *b)
{
	const struct inaddr16 vip = addr_from_be32(htonl(VIP));
	const struct vip value = {.service = SERVICE, .ifindex = IFINDEX};
	int rc;

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
		rc = share_maps(b);
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
	rc = set_targets(b->aid->maps.targets, b->in->progs.ingress, b->aid->progs.nothing);
	return rc ? rc : set_targets(b->aid->maps.targets_tc, b->out->progs.egress, b->aid->progs.nothing_tc);
}

/* A flow that goes nowhere else, so that all repeats find it as the first did. */
static int set_flow(struct bench *b, uint32_t slot, uint16_t port, struct flow flow)
{
	int rc;

	flow.vip = addr_from_be32(htonl(VIP));
	flow.remote = addr_from_be32(htonl(ADDR_FAR));
	flow.vip_port = port;
	flow.remote_port = PHONE_PORT;
	memcpy(flow.mac, mac_far, 6);
	rc = put(b->in->maps.flows, slot, &flow);
	return rc ? rc : put(b->in->maps.flow_ports, port, &slot);
}

static int set_calls(struct bench *b)
{
	const struct siphash_key key = key_first;
	const uint8_t *secret = (const uint8_t *)&(struct siphash_key){key.k0, key.k1 ^ SERVICE};
	struct steer entry = {.service = SERVICE};
	uint64_t hash;
	int rc = put(b->in->maps.steer_key, 0, &key);

	crypto_shorthash((uint8_t *)&hash, (const uint8_t *)RESCUED_ID, strlen(RESCUED_ID), secret);
	if (!rc && bpf_map_update_elem(bpf_map__fd(b->in->maps.steer), &hash, &entry, BPF_ANY))
		rc = -errno;
	if (!rc)
		rc = set_flow(b, 1, PORT_RELAY, (struct flow){.peer = 2});
	if (!rc)
		rc = set_flow(b, 2, PORT_RELAY + 2, (struct flow){.peer = 1});
	if (!rc)
		rc = set_flow(b, 3, PORT_TYPES, (struct flow){.peer = 2, .pt = {{96, 97}, {101, 96}}});
	return rc ? rc : set_flow(b, 4, PORT_SERVER, (struct flow){.flags = FLOW_SERVER});
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
	        .sip_port = {5060},
	        .rescue_port = RESCUE_PORT,
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
	return rc ? rc : set_calls(b);
}

enum {
	NOT_OURS,
	NOT_OURS_UDP,
	ARP_ANSWER,
	ECHO,
	ECHO_SECOND_KEY,
	VIP_TCP,
	VIP_PASSED,
	RELAY,
	RELAY_TYPE,
	FLOW_SEEN,
	STEER_HIT,
	STEER_MISS,
	EGRESS_NOT_OURS,
	EGRESS_FENCED,
	EGRESS_OWNER,
	EGRESS_MEDIA,
	EGRESS_SIP,
	EGRESS_RESCUE,
	FIGURES,
};

static struct figure figures[FIGURES] = {
        [NOT_OURS] = {"not_ours", "none of ours: TCP to another address", 10, LEASE_FENCED},
        [NOT_OURS_UDP] = {"not_ours_udp", "none of ours: UDP to another address", 10, LEASE_FENCED},
        [ARP_ANSWER] = {"arp_answer", "ARP request answered", 60, LEASE_FOREVER},
        [ECHO] = {"echo", "echo verified, lease renewed, reflection signed", 250, LEASE_FOREVER},
        [ECHO_SECOND_KEY] = {"echo_second_key", "the same under the second key", 0, LEASE_FOREVER},
        [VIP_TCP] = {"vip_tcp", "for the VIP, passed to the owner: TCP", 0, LEASE_FOREVER},
        [VIP_PASSED] = {"vip_passed", "the same: UDP, neither media nor SIP", 10, LEASE_FOREVER, VIP_TCP},
        [RELAY] = {"relay", "media of a rescued call relayed", 150, LEASE_FOREVER},
        [RELAY_TYPE] = {"relay_type", "the same with another payload type", 150, LEASE_FOREVER},
        [FLOW_SEEN] = {"flow_seen", "media of the local server's call noted", 0, LEASE_FOREVER},
        [STEER_HIT] = {"steer_hit", "500-byte BYE of a rescued dialog steered", 1000, LEASE_FOREVER},
        [STEER_MISS] = {"steer_miss", "500-byte BYE for the local server", 1000, LEASE_FOREVER},
        [EGRESS_NOT_OURS] = {"egress_not_ours", "leaving: none of ours", 0, LEASE_FENCED},
        [EGRESS_FENCED] = {"egress_fenced", "leaving: from the VIP, fenced", 0, LEASE_FENCED},
        [EGRESS_OWNER] = {"egress_owner", "leaving: from the VIP, owner", 0, LEASE_FOREVER},
        [EGRESS_MEDIA] = {"egress_media", "leaving: the local server's media noted", 0, LEASE_FOREVER},
        [EGRESS_SIP] = {"egress_sip", "leaving: 500-byte BYE of the local server", 1000, LEASE_FOREVER},
        [EGRESS_RESCUE] = {"egress_rescue", "leaving: the call keeper's, from the SIP port", 0,
                           LEASE_FOREVER},
};

static struct frame rtp(uint16_t port)
{
	uint8_t packet[172] = {0x80, 101, [12] = 1}; /* 20 ms of G.711 */

	return frame_summed(
	        frame_udp(mac_self, mac_far, ADDR_FAR, PHONE_PORT, VIP, port, packet, sizeof(packet)));
}

/* As phones send them: two hops of Via and a Record-Route before the Call-ID. */
static struct frame bye(const char *call_id)
{
	char text[BYE_BYTES + 1];
	int len = snprintf(text, sizeof(text),
	                   "BYE sip:1001@10.9.0.100:5060;transport=udp SIP/2.0\r\n"
	                   "Via: SIP/2.0/UDP 10.9.0.200:5060;branch=z9hG4bK-524287-1---6a1c5f3a;rport\r\n"
	                   "Max-Forwards: 70\r\n"
	                   "Contact: <sip:1000@10.9.0.200:5060;transport=udp>\r\n"
	                   "To: \"1001\"<sip:1001@10.9.0.100>;tag=7Kp4Xc2e9r1tB\r\n"
	                   "From: \"1000\"<sip:1000@10.9.0.100>;tag=4e0f5b21\r\n"
	                   "Call-ID: %s\r\nCSeq: 3 BYE\r\nContent-Length: 0\r\nUser-Agent: ",
	                   call_id);

	memset(text + len, 'x', sizeof(text) - (size_t)len);
	memcpy(text + BYE_BYTES - 4, "\r\n\r\n", 4);
	return frame_summed(frame_udp(mac_self, mac_far, ADDR_FAR, 5060, VIP, 5060, text, BYE_BYTES));
}

/* The same the other way. */
static struct frame leaving(struct frame f, uint16_t port)
{
	put32(f.b + 26, VIP);
	put32(f.b + 30, ADDR_FAR);
	put16(f.b + 34, port);
	return frame_summed(f);
}

static void make_frames(void)
{
	struct msg echo = msg_echo();

	echo.grant_ns = now_boot_ns();
	figures[NOT_OURS].frame = frame_tcp(mac_self, mac_far, ADDR_FAR, ADDR_SELF);
	figures[NOT_OURS_UDP].frame =
	        frame_udp(mac_self, mac_far, ADDR_FAR, 16000, ADDR_SELF, 16000, "rtp", 3);
	figures[ARP_ANSWER].frame = frame_arp(mac_all, mac_far, 1, mac_far, ADDR_FAR, mac_none, VIP);
	figures[ECHO].frame = frame_msg(&echo, &key_first);
	figures[ECHO_SECOND_KEY].frame = frame_msg(&echo, &key_second);
	figures[VIP_TCP].frame = frame_tcp(mac_self, mac_far, ADDR_FAR, VIP);
	figures[VIP_PASSED].frame = frame_udp(mac_self, mac_far, ADDR_FAR, 5060, VIP, 9, "discard", 7);
	figures[RELAY].frame = rtp(PORT_RELAY);
	figures[RELAY_TYPE].frame = rtp(PORT_TYPES);
	figures[FLOW_SEEN].frame = rtp(PORT_SERVER);
	figures[STEER_HIT].frame = bye(RESCUED_ID);
	figures[STEER_MISS].frame = bye(OTHER_ID);
	figures[EGRESS_NOT_OURS].frame = frame_tcp(mac_far, mac_self, ADDR_SELF, ADDR_FAR);
	figures[EGRESS_FENCED].frame = frame_udp(mac_far, mac_self, VIP, 5060, ADDR_FAR, 5060, "SIP/2.0", 7);
	figures[EGRESS_OWNER].frame = frame_udp(mac_far, mac_self, VIP, 9, ADDR_FAR, 5060, "discard", 7);
	figures[EGRESS_MEDIA].frame = leaving(rtp(PORT_SERVER), PORT_SERVER);
	figures[EGRESS_SIP].frame = leaving(bye(OTHER_ID), 5060);
	figures[EGRESS_RESCUE].frame = leaving(bye(RESCUED_ID), RESCUE_PORT);
}

static void choose_programs(struct bench *b)
{
	int i;

	for (i = 0; i < FIGURES; i++) {
		struct figure *fig = &figures[i];
		bool leaving = i >= EGRESS_NOT_OURS;

		fig->prog = bpf_program__fd(leaving ? b->out->progs.egress : b->in->progs.ingress);
		fig->nothing = bpf_program__fd(leaving ? b->aid->progs.nothing_tc : b->aid->progs.nothing);
		fig->want = leaving ? ACT_OK : XDP_PASS;
		fig->empty = fig->want;
	}
	figures[EGRESS_FENCED].want = ACT_SHOT;
	figures[ARP_ANSWER].prog = figures[ARP_ANSWER].nothing = bpf_program__fd(b->aid->progs.replay_arp);
	figures[ECHO].prog = figures[ECHO].nothing = bpf_program__fd(b->aid->progs.replay_echo);
	figures[ECHO_SECOND_KEY].prog = figures[ECHO_SECOND_KEY].nothing = figures[ECHO].prog;
	figures[RELAY].prog = figures[RELAY].nothing = bpf_program__fd(b->aid->progs.replay_rtp);
	figures[RELAY_TYPE].prog = figures[RELAY_TYPE].nothing = figures[RELAY].prog;
	figures[RELAY].want = figures[RELAY_TYPE].want = XDP_TX;
	figures[STEER_HIT].prog = figures[STEER_HIT].nothing = figures[ARP_ANSWER].prog;
	figures[EGRESS_RESCUE].prog = figures[EGRESS_RESCUE].nothing =
	        bpf_program__fd(b->aid->progs.replay_udp_tc);
	figures[ARP_ANSWER].want = figures[ECHO].want = figures[ECHO_SECOND_KEY].want = XDP_TX;
}

static int measure_once(struct bench *b, struct figure *fig, int run)
{
	uint8_t image[IMAGE_PAD + MSG_FRAME] = {0};
	uint32_t zero = 0;
	int rc = set_owner(b, fig->word);

	memcpy(image + IMAGE_PAD, fig->frame.b, MSG_FRAME);
	if (!rc && bpf_map_update_elem(bpf_map__fd(b->aid->maps.images), &zero, image, BPF_ANY))
		rc = -errno;
	b->aid->bss->target = RUN_NOTHING;
	if (!rc)
		rc = measure(fig->nothing, &fig->frame, fig->empty, &fig->base_ns[run]);
	b->aid->bss->target = RUN_INGRESS;
	if (!rc)
		rc = measure(fig->prog, &fig->frame, fig->want, &fig->ns[run]);
	return rc;
}

/* Round by round, so that no figure has all its runs in one slow spell. */
static int measure_all(struct bench *b)
{
	int run, i, rc = 0;

	for (run = 0; run < RUNS && !rc; run++)
		for (i = 0; i < FIGURES && !rc; i++)
			rc = measure_once(b, &figures[i], run);
	return rc;
}

/* What was really measured: how many of the figures count a reason, each of them every frame. */
static const struct {
	enum reason reason;
	unsigned int figures;
} counted[] = {
        {REASON_echo_reflected, 2}, {REASON_echo_renewed, 2}, {REASON_arp_answered, 1},
        {REASON_relay_sent, 2},     {REASON_flow_seen, 1},    {REASON_steer_calls, 1},
        {REASON_steer_server, 1},   {REASON_egress_vip, 3},   {REASON_egress_rescue, 1},
        {REASON_vip_passed, 2},
};

static int check_counters(struct bench *b)
{
	int cpus = libbpf_num_possible_cpus();
	struct counters *each = calloc((size_t)cpus, sizeof(*each));
	uint32_t zero = 0;
	int rc = 0;

	if (!each)
		return -ENOMEM;
	if (bpf_map_lookup_elem(bpf_map__fd(b->in->maps.counters), &zero, each))
		rc = -errno;
	for (size_t i = 0; i < sizeof(counted) / sizeof(counted[0]) && !rc; i++) {
		uint64_t n = 0;

		for (int cpu = 0; cpu < cpus; cpu++)
			n += ((const uint64_t *)&each[cpu])[counted[i].reason];
		if (n != (uint64_t)counted[i].figures * RUNS * REPEAT)
			rc = -EBADMSG;
	}
	free(each);
	return rc;
}

/* Over the target. */
static double excess_ns(const struct figure *fig)
{
	double from_ns = fig->beyond ? figures[fig->beyond].net_ns : 0;

	return fig->net_ns - from_ns - fig->target_ns;
}

static const char *judged(const struct figure *fig, char buf[32])
{
	const char *more = fig->beyond ? " more" : "";

	if (!fig->target_ns)
		return "";
	if (excess_ns(fig) <= 0)
		snprintf(buf, 32, "<= %d%s: met", fig->target_ns, more);
	else
		snprintf(buf, 32, "<= %d%s: missed by %.0f", fig->target_ns, more, excess_ns(fig));
	return buf;
}

static void print_table(void)
{
	char buf[32];
	int i;

	printf("\nns a frame, medians of %d runs of %d\n\n", RUNS, REPEAT);
	printf("  %-48s %8s %8s %8s %8s  %s\n", "", "in all", "empty", "net", "least", "target for net");
	for (i = 0; i < FIGURES; i++) {
		struct figure *fig = &figures[i];

		summarise(fig);
		printf("  %-48s %8.0f %8.0f %8.0f %8.0f  %s\n", fig->text, fig->all_ns, fig->empty_ns,
		       fig->net_ns, fig->least_ns, judged(fig, buf));
	}
	printf("\n\"empty\" is a program that does nothing in the same place; where the frame is changed, "
	       "with "
	       "the\n"
	       "frame put back before each run. \"net\" is what is over it, \"least\" that of the best run: "
	       "where\n"
	       "the two are far apart, something else shared the core. PROG_TEST_RUN gives whole "
	       "nanoseconds.\n");
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

		fprintf(f, "  {\"name\": \"%s\", \"net\": %.0f, \"least\": %.0f, \"empty\": %.0f, ",
		        fig->name, fig->net_ns, fig->least_ns, fig->empty_ns);
		if (fig->target_ns)
			fprintf(f, "\"target\": %d, \"met\": %s}", fig->target_ns,
			        excess_ns(fig) <= 0 ? "true" : "false");
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
	make_frames();
	if (!rc) {
		choose_programs(&b);
		rc = measure_all(&b);
	}
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
