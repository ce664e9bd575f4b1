/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Texts of configurations for test_config*.c: what they parse to, or what they are answered with. */
#ifndef SIPFLIP_TEST_CONFIG_TEXT_H
#define SIPFLIP_TEST_CONFIG_TEXT_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "addr.h"
#include "config.h"
#include "mono.h"

#define NODES                                                                                                \
	"node \"a\" { address = \"10.9.0.1\" }\nnode \"b\" { address = \"10.9.0.2\" }\nnode \"w\" { "        \
	"address = \"10.9.0.3\" }\n"
#define BASIC "\tinterface = \"eth0\"\n\tvip = { \"10.9.0.100/24\" }\n\tnodes = { \"a\", \"b\" }\n"
/* `more` starts at line 8 */
#define SERVICE(more) NODES "service \"pbx\" {\n" BASIC more "\n}\n"

static struct config config;

static inline const struct config_service *parsed(const char *text)
{
	struct config_error error = {.text = ""};

	memset(&config, 0, sizeof(config));
	if (config_parse(text, "f.conf", &config, &error))
		fail_msg("not parsed: %s", error.text);
	return &config.service[0];
}

static inline void refused(const char *text, const char *expected)
{
	struct config_error error = {.text = ""};
	static struct config before;

	memset(&config, 0x5a, sizeof(config));
	memcpy(&before, &config, sizeof(before));
	assert_int_equal(config_parse(text, "f.conf", &config, &error), -EINVAL);
	assert_string_equal(error.text, expected);
	assert_null(strchr(error.text, '\n'));
	assert_memory_equal(&before, &config, sizeof(before));
}

#endif
