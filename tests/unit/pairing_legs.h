/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Legs of calls as pairing gets to know them, message by message; for test_pairing*.c only. */
#ifndef SIPFLIP_TEST_PAIRING_LEGS_H
#define SIPFLIP_TEST_PAIRING_LEGS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "leg.h"
#include "pairing.h"

static struct dialog_table table;

static inline int setup(void **state)
{
	return dialog_table_init(&table, 4096, 7);
}

static inline int teardown(void **state)
{
	dialog_table_done(&table);
	return 0;
}

/* One message of a leg as the tracker takes it: status 0 is its INVITE. NULL = its dialog is gone. */
static inline struct dialog *step(struct leg *leg, int status, int64_t at_ms)
{
	struct dialog *d;

	leg->table = &table;
	d = leg_event(leg, status, at_ms);
	if (d)
		pairing_consider(&table, d);
	return d;
}

static inline struct leg called(const char *call_id, const char *caller, const char *callee)
{
	return (struct leg){.call_id = call_id, .caller = caller, .callee = callee};
}

static inline struct leg calls(const char *call_id, const char *caller, const char *callee)
{
	return (struct leg){.call_id = call_id, .caller = caller, .callee = callee, .out = true};
}

static inline void assert_pair(struct dialog *a, struct dialog *b, enum dialog_paired how)
{
	assert_int_equal(b->paired, how);
	assert_int_equal(a->call, b->call);
	assert_ptr_equal(dialog_peer(&table, a), b);
	assert_ptr_equal(dialog_peer(&table, b), a);
}

static inline void assert_alone(struct dialog *d, enum dialog_paired why)
{
	assert_int_equal(d->paired, why);
	assert_null(dialog_peer(&table, d));
}

/* The server is called at `at`, calls out, is answered, answers. Returns the called leg's partner. */
static inline struct dialog *bridge(struct leg *a, struct leg *b, int64_t at_ms, struct dialog **ret_a,
                                    struct dialog **ret_b)
{
	b->out = true;
	step(a, 0, at_ms);
	step(b, 0, at_ms + 1);
	*ret_b = step(b, 200, at_ms + 1000);
	*ret_a = step(a, 200, at_ms + 1001);
	return dialog_peer(&table, *ret_a);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
