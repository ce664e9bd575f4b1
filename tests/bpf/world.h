/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The maps and one program, fresh for each test, driven by BPF_PROG_TEST_RUN.
 * After each frame the whole of what came out, every counter and every event are
 * there to be compared.
 */
#ifndef SIPFLIP_TEST_WORLD_H
#define SIPFLIP_TEST_WORLD_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cmocka.h>

#include "frames.h"
#include "sipflip/event.h"

#define MAX_EVENTS      64
#define COUNT_OF(table) (sizeof(table) / sizeof((table)[0]))

/* A test for each case of a table, behind the n tests that are there; set-up finds the case in *state. */
#define add_cases(tests, n, cases, function, setup_function, teardown_function)                              \
	for (size_t case_ = 0; case_ < COUNT_OF(cases); case_++)                                             \
		(tests)[(n)++] = (struct CMUnitTest)                                                         \
		{                                                                                            \
			(cases)[case_].name, function, setup_function, teardown_function,                    \
			        (void *)&(cases)[case_]                                                      \
		}

struct world {
	void *skel;
	const void *test_case; /* of a table-driven test */
	void (*destroy)(void *skel);
	int prog;
	int counters;
	struct ownership *ownership;
	struct service_conf *conf;
	struct service_state *state;
	struct peer *peers;
	struct fresh *fresh;
	struct ring_buffer *ring;
	int n_events;
	struct event events[MAX_EVENTS];
	struct counters before;
	struct frame out;
	int verdict;
};

static inline const char *reason_name(int reason)
{
	static const char *const names[] = {
#define REASON(name, help) #name,
#include "sipflip/reasons.def"
#undef REASON
	};

	return names[reason];
}

static inline void *map_memory(struct bpf_map *map)
{
	size_t size = (size_t)((bpf_map__value_size(map) + 7) / 8 * 8) * bpf_map__max_entries(map);
	void *p =
	        mmap(NULL, (size + 4095) & ~4095UL, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

static inline void map_put(struct bpf_map *map, const void *key, const void *value)
{
	assert_return_code(bpf_map_update_elem(bpf_map__fd(map), key, value, BPF_ANY), errno);
}

static inline struct counters counters_read(int fd)
{
	int cpus = libbpf_num_possible_cpus(), cpu, i;
	struct counters *each = calloc((size_t)cpus, sizeof(*each));
	struct counters sum = {0};
	uint32_t zero = 0;

	assert_non_null(each);
	assert_return_code(bpf_map_lookup_elem(fd, &zero, each), errno);
	for (cpu = 0; cpu < cpus; cpu++)
		for (i = 0; i < REASON_COUNT; i++)
			((__u64 *)&sum)[i] += ((__u64 *)&each[cpu])[i];
	free(each);
	return sum;
}

static inline int world_on_event(void *ctx, void *data, size_t size)
{
	struct world *w = ctx;

	assert_int_equal((size + 7) / 8, sizeof(struct event) / 8);
	assert_in_range(w->n_events, 0, MAX_EVENTS - 1);
	memcpy(&w->events[w->n_events++], data, sizeof(struct event));
	return 0;
}

static inline void world_events(struct world *w)
{
	w->n_events = 0;
	assert_true(ring_buffer__consume(w->ring) >= 0);
}

/* Opens what a skeleton's maps have in common; a map that the program lacks is left out. */
static inline void world_open(struct world *w, struct bpf_object *obj)
{
	struct bpf_map *map;

	w->counters = bpf_object__find_map_fd_by_name(obj, "counters");
	map = bpf_object__find_map_by_name(obj, "ownership");
	w->ownership = map ? map_memory(map) : NULL;
	map = bpf_object__find_map_by_name(obj, "service_conf");
	w->conf = map ? map_memory(map) : NULL;
	map = bpf_object__find_map_by_name(obj, "service_state");
	w->state = map ? map_memory(map) : NULL;
	map = bpf_object__find_map_by_name(obj, "peers");
	w->peers = map ? map_memory(map) : NULL;
	map = bpf_object__find_map_by_name(obj, "fresh");
	w->fresh = map ? map_memory(map) : NULL;
	map = bpf_object__find_map_by_name(obj, "events");
	if (map)
		w->ring = ring_buffer__new(bpf_map__fd(map), world_on_event, w, NULL);
	w->before = counters_read(w->counters);
}

static inline void world_close(struct world *w)
{
	ring_buffer__free(w->ring);
	w->destroy(w->skel);
	free(w);
}

static inline void frame_dump(const char *what, const struct frame *f)
{
	uint32_t i;

	fprintf(stderr, "%s, %u bytes:", what, f->len);
	for (i = 0; i < f->len; i++)
		fprintf(stderr, "%s%02x", i % 16 ? " " : "\n  ", f->b[i]);
	fprintf(stderr, "\n");
}

static inline void run_frame(struct world *w, const struct frame *in)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in->b, .data_size_in = in->len, .data_out = w->out.b,
	            .data_size_out = sizeof(w->out.b), .repeat = 1);

	w->before = counters_read(w->counters);
	assert_return_code(bpf_prog_test_run_opts(w->prog, &opts), errno);
	w->out.len = opts.data_size_out;
	w->verdict = (int)opts.retval;
	if (w->ring)
		world_events(w);
}

/* Whole frames. */
static inline void assert_frame(const struct world *w, const struct frame *want)
{
	if (w->out.len != want->len || memcmp(w->out.b, want->b, want->len)) {
		frame_dump("want", want);
		frame_dump("got", &w->out);
		fail_msg("another frame came out");
	}
}

/* Each counter named moved by one and no other moved at all; the list ends with -1. */
static inline void assert_counted_list(const struct world *w, const int *reasons)
{
	struct counters now = counters_read(w->counters);
	uint64_t want[REASON_COUNT] = {0};
	int i, wrong = 0;

	for (; *reasons >= 0; reasons++)
		want[*reasons]++;
	for (i = 0; i < REASON_COUNT; i++) {
		uint64_t moved = ((__u64 *)&now)[i] - ((const __u64 *)&w->before)[i];

		if (moved != want[i]) {
			fprintf(stderr, "counter %s moved by %lu, not %lu\n", reason_name(i),
			        (unsigned long)moved, (unsigned long)want[i]);
			wrong++;
		}
	}
	if (wrong)
		fail_msg("%d counters are wrong", wrong);
}
#define assert_counted(w, ...) assert_counted_list(w, (const int[]){__VA_ARGS__ __VA_OPT__(, ) - 1})

#define assert_event(w, index, wanted_type)                                                                  \
	do {                                                                                                 \
		assert_true((w)->n_events > (index));                                                        \
		assert_int_equal((w)->events[index].type, wanted_type);                                      \
		assert_int_equal((w)->events[index].services, 1ULL << SERVICE);                              \
	} while (0)

#endif
