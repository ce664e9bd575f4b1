/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The parts of the referee (../referee.c), an observer that shares no code with
 * what it judges. words.c reads the nodes' ownership words, wire.c the frames on
 * the bridge's ports, stalls.c how long the machine itself stood still, marks.c
 * what the scenario says it broke. referee.c alone judges and prints.
 * All times are CLOCK_BOOTTIME in ns, which every namespace of a machine shares.
 */
#ifndef REFEREE_REFEREE_H
#define REFEREE_REFEREE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define REF_NODES 4
#define REF_PORTS 16
#define REF_NAME  64
#define REF_SPANS 128
#define REF_MS    1000000LL

static inline int64_t ref_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* --- words.c: one node's word --------------------------------------------------- */
struct ref_span {
	int64_t from_ns;
	int64_t to_ns; /* INT64_MAX = still owns */
};

struct ref_node {
	char name[REF_NAME];
	char pins[256]; /* folder of its pinned maps */
	uint8_t mac[6];
	/* words.c */
	const volatile uint64_t *word;
	const volatile uint64_t *epoch;
	uint64_t inode;     /* of the pin that `word` came from */
	int64_t watched_ns; /* since when: its first sample */
	int64_t at_ns;      /* of the newest sample; 0 = none */
	uint64_t seen_word, seen_epoch;
	bool owns;
	/* During the step that ended with the newest sample, it owned for certain in here; none: from > to */
	struct ref_span sure;
	int64_t ended_ns;                /* when it last stopped to own */
	struct ref_span span[REF_SPANS]; /* [n % REF_SPANS]: when it may have owned */
	uint64_t n_spans;
	/* marks */
	int down;
	int64_t up_ns; /* when it was last made whole again */
};

/* Maps what is pinned now; false while there is nothing, or its shape is not the word's. `ret_why` for
 * people. */
bool ref_word_open(struct ref_node *node, const char **ret_why);
/* One sample. Never takes a node for an owner that was none: see words.c. */
void ref_word_sample(struct ref_node *node);
/* Both owned at one instant, read just now. */
bool ref_both_own(const struct ref_node *a, const struct ref_node *b);
/* It owned at some time of [from, to]. */
bool ref_owned_within(const struct ref_node *node, int64_t from_ns, int64_t to_ns);

/* --- wire.c: frames that claim or use the VIP --------------------------------------- */
enum ref_kind { REF_CLAIM, REF_SIP, REF_OTHER };

struct ref_frame {
	int64_t at_ns;
	uint8_t kind; /* enum ref_kind */
	uint8_t port; /* index of the bridge's port it came in by */
	uint8_t mac[6];
};

struct ref_wire {
	uint32_t vip; /* network order */
	uint16_t sip_port;
	char port[REF_PORTS][16];
	unsigned int ifindex[REF_PORTS];
	int n_ports;
	int socket;
	_Atomic uint64_t lost; /* frames the socket or the ring had no room for */
};

/* Starts the thread that reads; -errno. To be called in the bridge's network namespace. */
int ref_wire_start(struct ref_wire *wire);
/* The oldest frame not taken yet, if it came before `until`. */
bool ref_wire_take(struct ref_frame *ret, int64_t until_ns);

uint64_t ref_wire_lost(struct ref_wire *wire);

/* --- stalls.c ----------------------------------------------------------------------- */
struct ref_stalls {
	uint64_t over_1_ms, over_5_ms, over_20_ms;
	int64_t longest_ns;
};

/* One real-time thread on each CPU that does nothing but wake up each millisecond. */
int ref_stalls_start(void);
void ref_stalls_sum(struct ref_stalls *ret);
/* The longest of any CPU that touched [from, to]; 0 = none over 1 ms. */
int64_t ref_stall_within(int64_t from_ns, int64_t to_ns);

/* --- marks.c ------------------------------------------------------------------------ */
enum ref_verb { REF_BEGIN, REF_END, REF_OVER, REF_DOWN, REF_UP };

struct ref_mark {
	int64_t at_ns;
	enum ref_verb verb;
	char what[REF_NAME]; /* fault's id, or node */
	char kind[REF_NAME]; /* REF_BEGIN */
	bool split;          /* REF_BEGIN: in this mode it may make two owners, as documented */
};

/* The next line of the file, if it is complete. Lines: `NS begin ID KIND [split]`, `NS end|over ID`, `NS
 * down|up NODE`. */
int ref_marks_open(const char *path);
bool ref_marks_next(struct ref_mark *ret);

#endif
