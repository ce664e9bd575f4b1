/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The list of a record's texts is complete: what is not in it is numbers, and of those there are so many. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "record.h"

static union ctl_record record;
static unsigned char is_text[sizeof(union ctl_record)];

static void mark(char *text, size_t room)
{
	size_t at = (size_t)(text - (char *)&record);

	assert_in_range(at + room, room, sizeof(record));
	for (; room; room--, at++) {
		assert_false(is_text[at]);
		is_text[at] = 1;
	}
}

static void assert_numbers(unsigned int type, size_t size, size_t numbers)
{
	size_t at, n = 0;

	memset(is_text, 0, sizeof(is_text));
	record.head.type = type;
	assert_int_equal(record_texts(&record, mark), size);
	for (at = 0; at < sizeof(is_text); at++)
		n += is_text[at];
	assert_int_equal(n, size - numbers);
	for (at = size; at < sizeof(is_text); at++)
		assert_false(is_text[at]);
}

/* Another number here: is what came to the record a number, or a text that record_texts has to name? */
static void all_that_is_no_number_is_a_text(void **state)
{
	assert_numbers(CTL_END, sizeof(struct ctl_end), 16);
	assert_numbers(CTL_INSTANCE, sizeof(struct ctl_instance), 56);
	assert_numbers(CTL_SERVICE, sizeof(struct ctl_service), 176);
	assert_numbers(CTL_NODE, sizeof(struct ctl_node), 64);
	assert_numbers(CTL_TAKEOVER, sizeof(struct ctl_takeover), 136);
	assert_numbers(CTL_EVENT, sizeof(struct ctl_event), 40);
	assert_numbers(CTL_DIALOG, sizeof(struct ctl_dialog), 48 + 4 * 40);
	assert_numbers(CTL_OUTCOME, sizeof(struct ctl_outcome), 56);
	assert_numbers(CTL_COUNTER, sizeof(struct ctl_counter), 16);
}

static void unknown_type_has_no_texts(void **state)
{
	record.head.type = 0xffff;
	assert_int_equal(record_texts(&record, mark), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(all_that_is_no_number_is_a_text),
	        cmocka_unit_test(unknown_type_has_no_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
