/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Addresses of the ABI: text both ways, IPv4 mapped. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "addr.h"

static void ipv4_is_kept_mapped(void **state)
{
	static const uint8_t want[16] = {[10] = 0xff, [11] = 0xff, [12] = 10, [13] = 9, [14] = 0, [15] = 100};
	struct inaddr16 addr, same;
	char text[ADDR_TEXT_LEN];

	assert_int_equal(addr_parse("10.9.0.100", &addr), 0);
	assert_memory_equal(addr.b, want, 16);
	assert_true(addr_is_v4(&addr));
	assert_int_equal(addr_to_be32(&addr), htonl(0x0a090064));
	assert_string_equal(addr_format(&addr, text), "10.9.0.100");
	same = addr_from_be32(htonl(0x0a090064));
	assert_true(addr_equal(&addr, &same));
	assert_int_equal(addr_parse("::ffff:10.9.0.100", &same), 0);
	assert_true(addr_equal(&addr, &same));
}

static void ipv6_keeps_its_sixteen_bytes(void **state)
{
	struct inaddr16 addr;
	char text[ADDR_TEXT_LEN];

	assert_int_equal(addr_parse("2001:db8::1", &addr), 0);
	assert_false(addr_is_v4(&addr));
	assert_int_equal(addr.b[0], 0x20);
	assert_int_equal(addr.b[15], 1);
	assert_string_equal(addr_format(&addr, text), "2001:db8::1");
}

/* RFC 3986 3.2.2: else the port would be one more group of an IPv6 address. */
static void port_stands_behind_brackets_where_the_address_has_colons(void **state)
{
	struct inaddr16 addr;
	char text[ADDR_PORT_LEN];

	addr_parse("10.9.0.100", &addr);
	assert_string_equal(addr_format_port(&addr, 5060, text), "10.9.0.100:5060");
	addr_parse("2001:db8:1111:2222:3333:4444:5555:6666", &addr);
	assert_string_equal(addr_format_port(&addr, 65535, text),
	                    "[2001:db8:1111:2222:3333:4444:5555:6666]:65535");
}

static void other_text_is_no_address(void **state)
{
	static const char *const bad[] = {"",     "10.9.0", "10.9.0.256", "10.9.0.1 ", "10.9.0.1/24",
	                                  "host", ":::"};
	struct inaddr16 addr, before;

	memset(&addr, 0x77, sizeof(addr));
	before = addr;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(addr_parse(bad[i], &addr), -EINVAL);
		assert_true(addr_equal(&addr, &before));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(ipv4_is_kept_mapped),
	        cmocka_unit_test(ipv6_keeps_its_sixteen_bytes),
	        cmocka_unit_test(port_stands_behind_brackets_where_the_address_has_colons),
	        cmocka_unit_test(other_text_is_no_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
