// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Test tool: the referee, an independent observer of a lab, run in the network
 * namespace of its bridge. It shares no code with the product.
 *   referee --vip ADDR[:PORT] [--others PORT,...] [--marks FILE] [--seconds N]
 *           [--grace-ms N] [--stall-ms N] NAME=PINS,MAC...
 * NAME is a node and its port of the bridge, PINS the folder of its pinned maps.
 * Until SIGTERM, SIGINT or the time is over it prints what happened as lines of
 * JSON, and then a summary. Exit status 1 if two nodes owned the VIP at one
 * instant, if anybody claimed or used it who did not own it, or if an owner that
 * nothing was wrong with lost it for no stall of the machine; 2 if it could not look.
 *
 * It accuses only of what is certain: see referee/words.c. `marks` (referee/marks.c)
 * say what the scenario broke when; without them every takeover is a false one.
 */
#include <arpa/inet.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "referee/referee.h"

#define EVERY_NS   100000
#define REOPEN_NS  (20 * REF_MS)
#define SETTLED_NS (2 * REF_MS)  /* a frame is judged when the words have been read that long after it */
#define WAY_NS     (50 * REF_MS) /* what left a node as its owner may take that long to the bridge */
#define STALL_NS   (200 * REF_MS)
#define LISTED     20 /* of each kind of frame that is out of order, that many are printed */

struct fault {
	bool open;
	bool split;
	char id[REF_NAME], kind[REF_NAME];
	int64_t begin_ns, end_ns;
	int64_t silence_ns, media_silence_ns, nobody_ns, two_ns;
	unsigned int takeovers, falsely;
};

static struct {
	struct ref_node node[REF_NODES];
	int n;
	struct ref_wire wire;
	int64_t grace_ns, stall_ns, ends_ns;
	/* now */
	int holder; /* who owned last, -1 = nobody yet */
	uint64_t holder_epoch;
	int64_t nobody_since_ns; /* 0 = somebody owns */
	struct ref_span two;     /* the overlap under way; from > to: none */
	int64_t last_ns, last_sip_ns, last_media_ns;
	struct fault fault;
	/* sums */
	uint64_t samples, instants, takeovers, falsely, excused, lapses, split_overlaps, overlaps;
	int64_t two_ns, split_two_ns, nobody_ns, longest_nobody_ns, blind_ns;
	uint64_t frames[3], strange, unowned;
} ref = {.holder = -1, .grace_ns = 400 * REF_MS, .stall_ns = 10 * REF_MS, .two = {1, 0}};

static volatile sig_atomic_t stop;

static void on_signal(int signal)
{
	stop = 1;
}

static const char *name_of(int node)
{
	return node < 0 ? "nobody" : ref.node[node].name;
}

static double ms(int64_t ns)
{
	return (double)ns / 1e6;
}

static void print_fault_name(void)
{
	if (ref.fault.open)
		printf(",\"fault\":\"%s\",\"kind\":\"%s\"", ref.fault.id, ref.fault.kind);
	printf("}\n");
}

/* --- two at once ------------------------------------------------------------------------- */
static void close_overlap(void)
{
	int64_t length = ref.two.to_ns - ref.two.from_ns;

	if (length < 0)
		return;
	if (ref.fault.open && ref.fault.split) {
		ref.split_two_ns += length;
		ref.split_overlaps++;
	} else {
		ref.two_ns += length;
		ref.overlaps++;
	}
	ref.fault.two_ns += length;
	printf("{\"event\":\"two-owners\",\"at_ns\":%lld,\"ms\":%.6f,\"as_documented\":%s",
	       (long long)ref.two.from_ns, ms(length), ref.fault.open && ref.fault.split ? "true" : "false");
	print_fault_name();
	ref.two = (struct ref_span){1, 0};
}

static void judge_pair(const struct ref_node *a, const struct ref_node *b, int64_t now)
{
	struct ref_span both = {a->sure.from_ns > b->sure.from_ns ? a->sure.from_ns : b->sure.from_ns,
	                        a->sure.to_ns < b->sure.to_ns ? a->sure.to_ns : b->sure.to_ns};

	if (ref_both_own(a, b)) {
		both.from_ns = both.from_ns < both.to_ns ? both.from_ns : now;
		both.to_ns = now;
		ref.instants += !(ref.fault.open && ref.fault.split);
	}
	if (both.from_ns > both.to_ns)
		return;
	if (ref.two.from_ns > ref.two.to_ns)
		ref.two = both;
	ref.two.to_ns = both.to_ns > ref.two.to_ns ? both.to_ns : ref.two.to_ns;
}

/* --- from one to another, and to nobody ------------------------------------------------------ */
static void new_owner(int node, int64_t now)
{
	int from = ref.holder;
	bool warranted = from < 0 || ref.node[from].down > 0 || now - ref.node[from].up_ns < ref.grace_ns;
	int64_t stall = ref_stall_within(now - STALL_NS, now);
	bool excused = !warranted && stall >= ref.stall_ns;

	ref.takeovers += from >= 0;
	ref.falsely += !warranted;
	ref.excused += excused;
	ref.fault.takeovers += from >= 0;
	ref.fault.falsely += !warranted;
	printf("{\"event\":\"takeover\",\"at_ns\":%lld,\"from\":\"%s\",\"to\":\"%s\",\"epoch\":%llu,"
	       "\"nobody_ms\":%.3f,\"warranted\":%s,\"stall_ms\":%.3f",
	       (long long)now, name_of(from), ref.node[node].name,
	       (unsigned long long)ref.node[node].seen_epoch,
	       from >= 0 && !ref.node[from].owns ? ms(now - ref.node[from].ended_ns) : 0.0,
	       warranted ? "true" : "false", ms(stall));
	print_fault_name();
}

static void judge_holder(int64_t now)
{
	int owner = -1;

	for (int i = 0; i < ref.n; i++)
		if (ref.node[i].owns && (owner < 0 || ref.node[i].seen_epoch > ref.node[owner].seen_epoch))
			owner = i;
	if (owner < 0) {
		if (!ref.nobody_since_ns)
			ref.nobody_since_ns = ref.holder >= 0 ? ref.node[ref.holder].ended_ns : now;
		return;
	}
	if (ref.nobody_since_ns && ref.holder >= 0) {
		int64_t length = now - ref.nobody_since_ns;
		ref.nobody_ns += length;
		ref.fault.nobody_ns += length;
		ref.longest_nobody_ns = length > ref.longest_nobody_ns ? length : ref.longest_nobody_ns;
		ref.lapses += owner == ref.holder;
		printf("{\"event\":\"nobody\",\"at_ns\":%lld,\"ms\":%.3f,\"before\":\"%s\",\"after\":\"%s\"",
		       (long long)ref.nobody_since_ns, ms(length), name_of(ref.holder), name_of(owner));
		print_fault_name();
	}
	ref.nobody_since_ns = 0;
	if (owner != ref.holder)
		new_owner(owner, now);
	ref.holder = owner;
	ref.holder_epoch = ref.node[owner].seen_epoch;
}

/* --- frames --------------------------------------------------------------------------------------- */
static void silence_until(int64_t *last_ns, int64_t *longest_ns, int64_t at_ns)
{
	if (ref.fault.open && *last_ns && at_ns >= ref.fault.begin_ns && at_ns - *last_ns > *longest_ns)
		*longest_ns = at_ns - *last_ns;
	*last_ns = at_ns;
}

static void accuse(const struct ref_frame *f, const char *what, uint64_t n)
{
	static const char *const kinds[] = {"arp", "sip", "ip"};

	if (n > LISTED)
		return;
	printf("{\"event\":\"%s\",\"at_ns\":%lld,\"frame\":\"%s\",\"port\":\"%s\",\"mac\":\"%02x:%02x:%02x:%"
	       "02x:"
	       "%02x:%02x\"",
	       what, (long long)f->at_ns, kinds[f->kind], ref.wire.port[f->port], f->mac[0], f->mac[1],
	       f->mac[2], f->mac[3], f->mac[4], f->mac[5]);
	print_fault_name();
}

static void judge_frame(const struct ref_frame *f)
{
	const struct ref_node *node = f->port < ref.n ? &ref.node[f->port] : NULL;

	ref.frames[f->kind]++;
	if (!node || memcmp(node->mac, f->mac, sizeof(f->mac)) != 0) {
		accuse(f, "stranger", ++ref.strange);
		return;
	}
	/* of the time before the words were looked at nothing can be said */
	int64_t since_ns = f->at_ns - WAY_NS - ref_stall_within(f->at_ns - STALL_NS, f->at_ns);
	if (node->watched_ns && f->at_ns > node->watched_ns &&
	    !ref_owned_within(node, since_ns, f->at_ns + SETTLED_NS))
		accuse(f, "not-owner", ++ref.unowned);
	if (f->kind == REF_SIP)
		silence_until(&ref.last_sip_ns, &ref.fault.silence_ns, f->at_ns);
	else if (f->kind == REF_OTHER)
		silence_until(&ref.last_media_ns, &ref.fault.media_silence_ns, f->at_ns);
}

/* --- what the scenario says -------------------------------------------------------------------------- */
static void fault_over(int64_t at_ns)
{
	struct fault *f = &ref.fault;

	if (!f->open)
		return;
	silence_until(&ref.last_sip_ns, &f->silence_ns, ref.last_sip_ns);
	if (at_ns - ref.last_sip_ns > f->silence_ns)
		f->silence_ns = at_ns - ref.last_sip_ns;
	f->open = false;
	printf("{\"event\":\"fault\",\"fault\":\"%s\",\"kind\":\"%s\",\"at_ns\":%lld,\"broken_ms\":%.3f,"
	       "\"until_"
	       "whole_ms\":%.3f,\"silence_ms\":%.3f,\"media_silence_ms\":%.3f,\"nobody_ms\":%.3f,\"two_ms\":"
	       "%.6f,\"takeovers\":%u,\"false\":%u}\n",
	       f->id, f->kind, (long long)f->begin_ns, ms((f->end_ns ? f->end_ns : at_ns) - f->begin_ns),
	       ms(at_ns - f->begin_ns), ms(f->silence_ns), ms(f->media_silence_ns), ms(f->nobody_ns),
	       ms(f->two_ns), f->takeovers, f->falsely);
}

static void take_mark(const struct ref_mark *mark)
{
	if (mark->verb == REF_BEGIN) {
		fault_over(mark->at_ns);
		ref.fault = (struct fault){.open = true, .split = mark->split, .begin_ns = mark->at_ns};
		memcpy(ref.fault.id, mark->what, sizeof(ref.fault.id));
		memcpy(ref.fault.kind, mark->kind, sizeof(ref.fault.kind));
	} else if (mark->verb == REF_END) {
		ref.fault.end_ns = mark->at_ns;
	} else if (mark->verb == REF_OVER) {
		fault_over(mark->at_ns);
	}
	for (int i = 0; i < ref.n; i++) {
		if (mark->verb < REF_DOWN || strcmp(mark->what, ref.node[i].name) != 0)
			continue;
		ref.node[i].down += mark->verb == REF_DOWN ? 1 : -1;
		if (mark->verb == REF_UP)
			ref.node[i].up_ns = mark->at_ns;
	}
}

/* --- the loop ------------------------------------------------------------------------------------------- */
static void reopen(void)
{
	const char *why;

	for (int i = 0; i < ref.n; i++)
		ref_word_open(&ref.node[i], &why);
}

static void look(void)
{
	struct ref_frame frame;
	struct ref_mark mark;
	int64_t began = ref_now();

	if (ref.last_ns && began - ref.last_ns > ref.blind_ns)
		ref.blind_ns = began - ref.last_ns;
	ref.last_ns = began;
	ref.samples++;
	for (int i = 0; i < ref.n; i++)
		ref_word_sample(&ref.node[i]);
	/* after the words were read: whatever explains what they said has been written by now */
	while (ref_marks_next(&mark))
		take_mark(&mark);
	bool overlapped = ref.two.from_ns <= ref.two.to_ns;
	int64_t until = ref.two.to_ns;
	for (int i = 0; i < ref.n; i++)
		for (int j = 0; j < i; j++)
			judge_pair(&ref.node[j], &ref.node[i], began);
	if (overlapped && ref.two.to_ns == until)
		close_overlap();
	judge_holder(began);
	while (ref_wire_take(&frame, began - SETTLED_NS))
		judge_frame(&frame);
}

static void summary(int64_t began_ns)
{
	struct ref_stalls stalls;

	close_overlap();
	ref_stalls_sum(&stalls);
	printf("{\"event\":\"summary\",\"seconds\":%.1f,\"samples\":%llu,\"longest_blind_ms\":%.3f,"
	       "\"two_owner_ms\":%.6f,\"overlaps\":%llu,\"instants\":%llu,\"two_owner_as_documented_ms\":%."
	       "3f,"
	       "\"takeovers\":%llu,\"false_takeovers\":%llu,\"false_in_a_stall\":%llu,\"lapses\":%llu,"
	       "\"nobody_ms\":%.3f,\"longest_nobody_ms\":%.3f,",
	       ms(ref_now() - began_ns) / 1000, (unsigned long long)ref.samples, ms(ref.blind_ns),
	       ms(ref.two_ns), (unsigned long long)ref.overlaps, (unsigned long long)ref.instants,
	       ms(ref.split_two_ns), (unsigned long long)ref.takeovers, (unsigned long long)ref.falsely,
	       (unsigned long long)ref.excused, (unsigned long long)ref.lapses, ms(ref.nobody_ns),
	       ms(ref.longest_nobody_ns));
	printf("\"claims\":%llu,\"sip_frames\":%llu,\"other_frames\":%llu,\"strangers\":%llu,\"not_owner\":%"
	       "llu,"
	       "\"wire_lost\":%llu,\"stalls\":{\"over_1_ms\":%llu,\"over_5_ms\":%llu,\"over_20_ms\":%llu,"
	       "\"longest_ms\":%.1f}}\n",
	       (unsigned long long)ref.frames[REF_CLAIM], (unsigned long long)ref.frames[REF_SIP],
	       (unsigned long long)ref.frames[REF_OTHER], (unsigned long long)ref.strange,
	       (unsigned long long)ref.unowned, (unsigned long long)ref_wire_lost(&ref.wire),
	       (unsigned long long)stalls.over_1_ms, (unsigned long long)stalls.over_5_ms,
	       (unsigned long long)stalls.over_20_ms, ms(stalls.longest_ns));
}

static int watch(void)
{
	struct timespec pause = {0, EVERY_NS};
	struct sched_param priority = {.sched_priority = 60};
	int64_t began = ref_now(), reopen_at = 0;

	mlockall(MCL_CURRENT | MCL_FUTURE);
	prctl(PR_SET_TIMERSLACK, 1000);
	sched_setscheduler(0, SCHED_FIFO, &priority);
	fprintf(stderr, "watching\n");
	while (!stop && (!ref.ends_ns || ref_now() < began + ref.ends_ns)) {
		if (ref_now() >= reopen_at) {
			reopen();
			reopen_at = ref_now() + REOPEN_NS;
			fflush(stdout);
		}
		look();
		nanosleep(&pause, NULL);
	}
	summary(began);
	fflush(stdout);
	return ref.overlaps || ref.instants || ref.strange || ref.unowned || ref.falsely > ref.excused;
}

/* --- start ------------------------------------------------------------------------------------------------
 */
static bool add_node(char *text)
{
	struct ref_node *node = &ref.node[ref.n];
	char *pins = strchr(text, '='), *mac = pins ? strchr(pins, ',') : NULL;
	unsigned int m[6];

	if (!mac || ref.n == REF_NODES)
		return false;
	*pins++ = 0;
	*mac++ = 0;
	if (sscanf(mac, "%x:%x:%x:%x:%x:%x", &m[0], &m[1], &m[2], &m[3], &m[4], &m[5]) != 6)
		return false;
	for (int i = 0; i < 6; i++)
		node->mac[i] = (uint8_t)m[i];
	snprintf(node->name, sizeof(node->name), "%s", text);
	snprintf(node->pins, sizeof(node->pins), "%s", pins);
	snprintf(ref.wire.port[ref.wire.n_ports++], sizeof(ref.wire.port[0]), "%.15s", text);
	ref.n++;
	return true;
}

static bool parse(int argc, char **argv)
{
	static const struct option known[] = {{"vip", 1, NULL, 'v'},      {"others", 1, NULL, 'o'},
	                                      {"marks", 1, NULL, 'm'},    {"seconds", 1, NULL, 's'},
	                                      {"grace-ms", 1, NULL, 'g'}, {"stall-ms", 1, NULL, 't'},
	                                      {NULL, 0, NULL, 0}};
	char *others = NULL;
	int c;

	ref.wire.sip_port = 5060;
	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		char *colon = optarg ? strchr(optarg, ':') : NULL;
		if (c == 'v') {
			if (colon) {
				ref.wire.sip_port = (uint16_t)atoi(colon + 1);
				*colon = 0;
			}
			if (inet_pton(AF_INET, optarg, &ref.wire.vip) != 1)
				return false;
		} else if (c == 'o') {
			others = optarg;
		} else if (c == 'm') {
			if (ref_marks_open(optarg))
				return false;
		} else if (c == 's') {
			ref.ends_ns = (int64_t)(atof(optarg) * 1e9);
		} else if (c == 'g') {
			ref.grace_ns = atol(optarg) * REF_MS;
		} else if (c == 't') {
			ref.stall_ns = atol(optarg) * REF_MS;
		} else {
			return false;
		}
	}
	for (; optind < argc; optind++)
		if (!add_node(argv[optind]))
			return false;
	for (char *port = others ? strtok(others, ",") : NULL; port && ref.wire.n_ports < REF_PORTS;
	     port = strtok(NULL, ","))
		snprintf(ref.wire.port[ref.wire.n_ports++], sizeof(ref.wire.port[0]), "%.15s", port);
	return ref.n > 0 && ref.wire.vip;
}

int main(int argc, char **argv)
{
	if (!parse(argc, argv)) {
		fprintf(stderr,
		        "usage: referee --vip ADDR[:PORT] [--others PORT,...] [--marks FILE] [--seconds N] "
		        "[--grace-ms N] [--stall-ms N] NAME=PINS,MAC...\n");
		return 2;
	}
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	int err = ref_wire_start(&ref.wire);
	err = err ? err : ref_stalls_start();
	if (err) {
		fprintf(stderr, "referee: cannot look: %s\n", strerror(-err));
		return 2;
	}
	return watch();
}
