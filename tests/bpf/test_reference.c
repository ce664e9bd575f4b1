/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * ingress and egress against the reference, over random frames and states of the
 * node: verdict, whole frame out, every counter and all state that frames change must
 * agree. Without arguments a cmocka test of two seconds from a fixed seed; with
 * `SECONDS SEED` it says how many frames of each kind were tried, and what disagreed.
 */
#include "world.h"

#include <sched.h>
#include <sodium.h>
#include <time.h>

#include "egress.skel.h"
#include "ingress.skel.h"
#include "random_frames.h"
#include "sipflip/slots.h"

#define EPISODE      48   /* frames that come to one state, each to what the last one left */
#define SLACK_NS     2000 /* between this clock and the kernel's */
#define TAU_AT       (MSG_AT + 48)
#define TEST_FRAMES  60000
#define MAX_REPORTED 3

struct side {
	struct world world;
	struct bpf_map *vips, *steer, *keys;
	struct flow *flows;
	__u64 *ports;
	struct ring_buffer *rings;
};

static struct side in, out;
static uint64_t seed, tried[KINDS], unsure, disagreed, reached[REASON_COUNT];

static int ignore(void *ctx, void *data, size_t size)
{
	return 0;
}

static void add_slots(struct vip_slot *slots, const struct ref *r)
{
	for (int i = 0; i < r->n_vips; i++)
		vip_slots_add(slots, &r->vips[i].addr, r->vips[i].vip);
}

static void open_side(struct side *side, struct bpf_object *obj, const struct ref *r)
{
	uint32_t zero = 0;

	world_open(&side->world, obj);
	side->vips = bpf_object__find_map_by_name(obj, "vips");
	side->steer = bpf_object__find_map_by_name(obj, "steer");
	side->keys = bpf_object__find_map_by_name(obj, "keys");
	side->flows = map_memory(bpf_object__find_map_by_name(obj, "flows"));
	side->ports = map_memory(bpf_object__find_map_by_name(obj, "flow_ports"));
	side->rings =
	        ring_buffer__new(bpf_map__fd(bpf_object__find_map_by_name(obj, "media")), ignore, NULL, NULL);
	map_put(bpf_object__find_map_by_name(obj, "steer_key"), &zero, &r->steer_key);
	for (int i = 0; i < r->n_vips; i++)
		map_put(side->vips, &r->vips[i].addr, &r->vips[i].vip);
}

static void open_both(void)
{
	struct ingress_bpf *ingress = ingress_bpf__open();
	struct egress_bpf *egress = egress_bpf__open();
	struct ref r;

	assert_return_code(unshare(CLONE_NEWNET), errno); /* no routes */
	random_node(&r, now_boot_ns());
	add_slots(ingress->rodata->vip_slots, &r);
	add_slots(egress->rodata->vip_slots, &r);
	assert_return_code(ingress_bpf__load(ingress), errno);
	assert_return_code(egress_bpf__load(egress), errno);
	in.world.skel = ingress;
	out.world.skel = egress;
	in.world.prog = bpf_program__fd(ingress->progs.ingress);
	out.world.prog = bpf_program__fd(egress->progs.egress);
	open_side(&in, ingress->obj, &r);
	open_side(&out, egress->obj, &r);
	ring_buffer__add(in.rings, bpf_map__fd(ingress->maps.held), ignore, NULL);
	ring_buffer__add(in.rings, bpf_map__fd(ingress->maps.events), ignore, NULL);
}

static void close_both(void)
{
	ring_buffer__free(in.rings);
	ring_buffer__free(out.rings);
	ring_buffer__free(in.world.ring);
	ingress_bpf__destroy(in.world.skel);
	egress_bpf__destroy(out.world.skel);
}

/* --- the state, into the maps and out of them ----------------------------------------------- */

static void state_put(struct side *side, const struct ref *r)
{
	for (int i = 0; i < 2; i++) {
		const struct ref_service *svc = &r->service[i];

		side->world.ownership[svc->number] = svc->word;
		side->world.conf[svc->number] = svc->conf;
		if (side->world.state)
			side->world.state[svc->number] = svc->state;
		if (side->world.peers)
			memcpy(&side->world.peers[svc->number * MAX_NODES], svc->peers, sizeof(svc->peers));
		if (side->world.fresh)
			memcpy(&side->world.fresh[svc->number * MAX_NODES], svc->fresh, sizeof(svc->fresh));
	}
	memcpy(side->flows, r->flows, sizeof(r->flows));
	for (int i = 0; i < REF_SLOTS; i++)
		side->ports[r->base_port + i] = r->port_slot[i];
	for (uint32_t i = 0; i < KEY_SLOTS && side->keys; i++)
		map_put(side->keys, &i, &r->keys[i]);
	for (int i = 0; i < r->n_steers; i++) {
		struct steer entry = {.service = r->steers[i].service, .packets = r->steers[i].packets};

		map_put(side->steer, &r->steers[i].hash, &entry);
	}
}

/* What frames change. */
static void state_get(const struct side *side, struct ref *r)
{
	for (int i = 0; i < 2; i++) {
		struct ref_service *svc = &r->service[i];

		svc->word = side->world.ownership[svc->number];
		if (side->world.state)
			svc->state = side->world.state[svc->number];
		if (side->world.peers)
			memcpy(svc->peers, &side->world.peers[svc->number * MAX_NODES], sizeof(svc->peers));
		if (side->world.fresh)
			memcpy(svc->fresh, &side->world.fresh[svc->number * MAX_NODES], sizeof(svc->fresh));
	}
	memcpy(r->flows, side->flows, sizeof(r->flows));
	for (int i = 0; i < r->n_steers; i++) {
		struct steer entry;

		assert_return_code(bpf_map_lookup_elem(bpf_map__fd(side->steer), &r->steers[i].hash, &entry),
		                   errno);
		r->steers[i].packets = entry.packets;
	}
}

/*
 * A time that the program read lies within the frame's: then it is what the reference
 * took. Also where something is added to it.
 */
static void same_time(const struct ref *r, __u64 *got, uint64_t want)
{
	uint64_t span = r->latest_ns - r->now_ns;

	if (*got - want <= span && (want == r->now_ns || want == r->now_ns + 1000000000ULL))
		*got = want;
}

static const char *compare_states(const struct ref *want, const struct ref *got_now)
{
	static struct ref got;

	got = *got_now;
	for (int i = 0; i < 2; i++) {
		struct ref_service *g = &got.service[i];
		const struct ref_service *w = &want->service[i];

		if (g->word.lease_until_ns != w->word.lease_until_ns)
			return "the ownership word";
		same_time(want, &g->state.flipped_ns, w->state.flipped_ns);
		same_time(want, &g->state.first_packet_ns, w->state.first_packet_ns);
		if (memcmp(&g->state, &w->state, sizeof(g->state)))
			return "service_state";
		for (int n = 0; n < REF_NODES; n++) {
			same_time(want, &g->peers[n].last_echo_ns, w->peers[n].last_echo_ns);
			same_time(want, &g->peers[n].last_grant_ns, w->peers[n].last_grant_ns);
			same_time(want, &g->fresh[n].stranger_ns, w->fresh[n].stranger_ns);
		}
		if (memcmp(g->peers, w->peers, sizeof(g->peers)))
			return "peers";
		if (memcmp(g->fresh, w->fresh, sizeof(g->fresh)))
			return "fresh";
	}
	for (int i = 1; i < REF_SLOTS; i++) {
		same_time(want, &got.flows[i].last_ns, want->flows[i].last_ns);
		same_time(want, &got.flows[i].relatched_ns, want->flows[i].relatched_ns);
		same_time(want, &got.flows[i].next_hop_ns, want->flows[i].next_hop_ns);
		if (memcmp(&got.flows[i], &want->flows[i], sizeof(got.flows[i])))
			return "flows";
	}
	return memcmp(got.steers, want->steers, sizeof(got.steers)) ? "steer" : NULL;
}

/* --- one frame ------------------------------------------------------------------------------- */

static bool counters_differ(const struct world *w, const struct ref *want, bool say)
{
	struct counters now = counters_read(w->counters);
	bool differ = false;

	for (int i = 0; i < REASON_COUNT; i++) {
		uint64_t moved = ((__u64 *)&now)[i] - ((const __u64 *)&w->before)[i];

		if (moved == want->counted[i])
			continue;
		differ = true;
		if (say)
			fprintf(stderr, "  counter %s: %lu, and %u by the reference\n", reason_name(i),
			        (unsigned long)moved, want->counted[i]);
	}
	return differ;
}

static void report(enum kind kind, const struct frame *frame, const struct world *w, const struct ref *want,
                   const struct frame *want_out, int verdict, const char *what)
{
	if (disagreed++ >= MAX_REPORTED)
		return;
	fprintf(stderr, "disagreement about %s in a frame of kind %s\nagain: test_reference 1 %lu\n", what,
	        kind_name(kind), (unsigned long)seed);
	fprintf(stderr, "  verdict %d, and %d by the reference\n", w->verdict, verdict);
	counters_differ(w, want, true);
	frame_dump("in", frame);
	frame_dump("out", &w->out);
	frame_dump("by the reference", want_out);
}

/* The program's own reading of the clock, where the frame shows it. */
static void take_its_time(const struct world *w, struct ref *r)
{
	uint64_t tau;

	if (w->verdict != REF_XDP_TX || w->out.len < MSG_FRAME || w->out.b[MSG_AT + 3] != WIRE_REFLECT ||
	    ref_get16(w->out.b + 12) != 0x0800 || ref_get16(w->out.b + 34) != WIRE_PORT)
		return;
	tau = ref_get64(w->out.b + TAU_AT);
	if (tau >= r->now_ns && tau <= r->latest_ns)
		r->now_ns = r->latest_ns = tau;
}

/* run_frame() for a frame that the kernel may refuse to try. */
static bool run_any(struct world *w, const struct frame *frame)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame->b, .data_size_in = frame->len,
	            .data_out = w->out.b, .data_size_out = sizeof(w->out.b), .repeat = 1);
	int rc;

	w->before = counters_read(w->counters);
	/* newer kernels try no IP frame that is shorter than IP's header */
	rc = bpf_prog_test_run_opts(w->prog, &opts);
	assert_true(!rc || frame->len < 54);
	w->out.len = opts.data_size_out;
	w->verdict = (int)opts.retval;
	return !rc;
}

static void try_frame(struct side *side, enum kind kind, const struct frame *frame, struct ref *state)
{
	struct frame want_out = *frame;
	struct ref want = *state;
	int verdict;

	want.now_ns = now_boot_ns() - SLACK_NS;
	if (!run_any(&side->world, frame))
		return;
	tried[kind]++;
	want.latest_ns = now_boot_ns() + SLACK_NS;
	state_get(side, state);
	take_its_time(&side->world, &want);
	verdict = side == &in ? ref_ingress(&want, &want_out) : ref_egress(&want, &want_out);
	for (int i = 0; i < REASON_COUNT; i++)
		reached[i] += want.counted[i];
	if (want.unsure) {
		unsure++;
		return;
	}
	if (verdict != side->world.verdict)
		report(kind, frame, &side->world, &want, &want_out, verdict, "the verdict");
	else if (want_out.len != side->world.out.len || memcmp(want_out.b, side->world.out.b, want_out.len))
		report(kind, frame, &side->world, &want, &want_out, verdict, "the frame");
	else if (counters_differ(&side->world, &want, false))
		report(kind, frame, &side->world, &want, &want_out, verdict, "what is counted");
	else if (compare_states(&want, state))
		report(kind, frame, &side->world, &want, &want_out, verdict, compare_states(&want, state));
}

static void episode(bool egress)
{
	struct side *side = egress ? &out : &in;
	struct frame frame;
	struct ref state;

	random_seed(seed);
	random_node(&state, now_boot_ns());
	state_put(side, &state);
	for (int i = 0; i < EPISODE; i++) {
		enum kind kind = random_kind(egress);

		random_frame(&state, kind, now_boot_ns(), &frame);
		try_frame(side, kind, &frame, &state);
	}
	ring_buffer__consume(side->rings);
}

/* Every reason of the two programs came up, or nothing was compared there. */
static void assert_all_reached(void)
{
	static const char *const theirs[] = {"arp_",    "vip_",  "egress_", "tx_",   "echo_",  "msg_",
	                                     "resign_", "held_", "relay_",  "flow_", "steer_", "ip_"};
	int missing = 0;

	for (int i = 0; i < REASON_COUNT; i++)
		for (size_t p = 0; p < sizeof(theirs) / sizeof(theirs[0]); p++)
			if (!reached[i] && !strncmp(reason_name(i), theirs[p], strlen(theirs[p]))) {
				fprintf(stderr, "no frame was %s\n", reason_name(i));
				missing++;
			}
	assert_int_equal(missing, 0);
}

static void programs_and_reference_agree_on_random_frames(void **arg)
{
	seed = 1;
	for (int n = 0; n < TEST_FRAMES; n += EPISODE) {
		episode(seed % 3 == 0);
		seed++;
	}
	for (int kind = 0; kind < KINDS; kind++)
		assert_true(tried[kind] > 0);
	assert_all_reached();
	assert_int_equal(disagreed, 0);
	assert_true(unsure < TEST_FRAMES / 20);
}

static int for_seconds(int seconds, uint64_t first)
{
	uint64_t end = now_boot_ns() + (uint64_t)seconds * 1000000000ULL, frames = 0;

	seed = first;
	do {
		episode(seed % 3 == 0);
		seed++;
	} while (now_boot_ns() < end && disagreed < 100);
	for (int kind = 0; kind < KINDS; kind++) {
		printf("  %-10s %10lu\n", kind_name(kind), (unsigned long)tried[kind]);
		frames += tried[kind];
	}
	printf("  seeds from %lu to %lu; %lu frames came too near to a limit in time to tell\n",
	       (unsigned long)first, (unsigned long)seed - 1, (unsigned long)unsure);
	printf("frames: %lu\ndisagreements: %lu\n", (unsigned long)frames, (unsigned long)disagreed);
	return disagreed != 0;
}

static int setup(void **state)
{
	open_both();
	return 0;
}

static int teardown(void **state)
{
	close_both();
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(programs_and_reference_agree_on_random_frames),
	};

	if (sodium_init() < 0)
		return 1;
	if (argc == 3) {
		int rc;

		open_both();
		rc = for_seconds(atoi(argv[1]), strtoull(argv[2], NULL, 10));
		close_both();
		return rc;
	}
	return cmocka_run_group_tests(tests, setup, teardown);
}
