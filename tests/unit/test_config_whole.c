/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A configuration as a whole: written and read again, its tag, and any damage to its text. */
#include "config_text.h"

static struct config again;

static void a_refused_file_does_not_disturb_the_next(void **state)
{
	static const char *const bad[] = {"user = \"x\n", "}",       "node \"a\" {", "user = {",
	                                  "/*",           "foo = 1", "node \"",      ""};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct config_error error;

		assert_int_equal(config_parse(bad[i], "f", &config, &error), -EINVAL);
		parsed(SERVICE("\twitness = \"w\""));
		assert_int_equal(config.n_service, 1);
	}
}

/* Lines are where the two texts differ; everything else must be the same bytes. */
static void without_lines(struct config *c)
{
	for (int i = 0; i < MAX_NODES; i++)
		c->node[i].line = 0;
	for (int i = 0; i < CONFIG_MAX_SERVICES; i++)
		c->service[i].line = 0;
}

static void a_written_configuration_parses_to_the_same(void **state)
{
	static char text[16384];
	struct config_error error;
	int len;

	parsed("key-file = \"/tmp/k\" user = \"nobody\" run-dir = \"/run/x\" echo-port = 9 replica-port = 7 "
	       "control-group = \"ops\" switchover-group = \"adm\" rt-priority = 1\n" NODES
	       "service \"one\" { interface = \"eth0.7\" vip = { \"10.9.0.100/24\", \"10.9.0.101\" }\n"
	       "sip = { \"udp:5060\", \"udp:5080\" } nodes = { \"b\", \"a\" } timing = \"echo 1500us lease "
	       "2s\"\n"
	       "probe { enabled = no interval = \"7ms\" floor = \"40ms\" ceiling = \"3s\" } witness = \"w\"\n"
	       "calls { rescue = \"off\" media = \"direct\" port = 5071 rate = 3 max-dialogs = 4 } }\n"
	       "service \"two\" { interface = \"eth1\" vip = \"10.8.0.1/16\" nodes = { \"b\", \"a\" } timing "
	       "= \"fast\"\n"
	       "on-peer-silence = \"arbiter\" arbiter = { \"10.8.0.254\", \"10.8.0.253\" } }\n"
	       "service \"three\" { interface = \"eth1\" vip = \"10.8.0.2/16\" nodes = { \"a\", \"b\" } "
	       "on-peer-silence = "
	       "\"hold\" }\n"
	       "service \"four\" { interface = \"eth1\" vip = \"10.8.0.3/16\" nodes = { \"a\", \"b\" } "
	       "on-peer-silence = "
	       "\"release\" calls { rescue = \"server\" recover-command = \"/bin/x y\" relay-ports = "
	       "\"4000-4999\"\nlink-header = \"X-L\" } }\n"
	       "service \"five\" { interface = \"eth1\" vip = \"10.8.0.4/16\" nodes = { \"a\", \"b\" } "
	       "on-peer-silence = \"hold\" calls { rescue = \"server\" event-socket = \"10.8.0.9:8022\"\n"
	       "event-socket-password-file = \"/e\" event-socket-command = \"sofia recover\" } }\n");
	len = config_format(&config, text, sizeof(text));
	assert_true(len > 0);
	assert_int_equal(strlen(text), len);
	memset(&again, 0, sizeof(again));
	assert_int_equal(config_parse(text, "again", &again, &error), 0);
	without_lines(&config);
	without_lines(&again);
	assert_memory_equal(&config, &again, sizeof(config));
	for (int i = 0; i < len; i += 37)
		assert_int_equal(config_format(&config, text, (size_t)i), -ENOSPC);
}

static void names_are_found(void **state)
{
	parsed(SERVICE("\twitness = \"w\""));
	assert_int_equal(config_node_by_name(&config, "b"), 2);
	assert_int_equal(config_node_by_name(&config, "x"), 0);
	assert_int_equal(config_node_by_name(&config, ""), 0);
	assert_int_equal(config_service_by_name(&config, "pbx"), 0);
	assert_int_equal(config_service_by_name(&config, "pb"), -1);
}

static uint32_t tag_of(const char *text)
{
	parsed(text);
	return config_service_tag(&config, 0);
}

static void tag_differs_with_what_nodes_must_agree_on_and_only_that(void **state)
{
	static const char *const different[] = {
	        SERVICE("\twitness = \"w\" timing = \"fast\""),
	        SERVICE("\ton-peer-silence = \"hold\""),
	        SERVICE("\ton-peer-silence = \"release\""),
	        NODES "service \"pbx\" { interface = \"eth0\" vip = \"10.9.0.100/25\" nodes = {\"a\",\"b\"} "
	              "witness = \"w\"}",
	        NODES "service \"pbx\" { interface = \"eth0\" vip = \"10.9.0.101/24\" nodes = {\"a\",\"b\"} "
	              "witness = \"w\"}",
	        NODES "service \"pby\" { interface = \"eth0\" vip = \"10.9.0.100/24\" nodes = {\"a\",\"b\"} "
	              "witness = \"w\"}",
	        NODES "service \"pbx\" { interface = \"eth0\" vip = \"10.9.0.100/24\" nodes = {\"b\",\"a\"} "
	              "witness = \"w\"}",
	        "node \"a\" {address=\"10.9.0.1\"} node \"b\" {address=\"10.9.0.2\"} node \"w\" "
	        "{address=\"10.9.0.4\"}"
	        "service \"pbx\" { interface = \"eth0\" vip = \"10.9.0.100/24\" nodes = {\"a\",\"b\"} "
	        "witness = \"w\"}",
	};
	const char *base = SERVICE("\twitness = \"w\"");
	uint32_t tag = tag_of(base);

	assert_int_not_equal(tag, 0);
	for (size_t i = 0; i < sizeof(different) / sizeof(different[0]); i++)
		assert_int_not_equal(tag_of(different[i]), tag);
	assert_int_equal(
	        tag_of("user = \"x\" rt-priority = 3\n" SERVICE("\twitness = \"w\" calls { rate = 1 }")),
	        tag);
	assert_int_equal(tag_of(base), tag);
}

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

static void damage(char *text, size_t size, uint32_t *seed)
{
	static const char *const pieces[] = {"{",
	                                     "}",
	                                     "\"",
	                                     "=",
	                                     ",",
	                                     "#",
	                                     "/*",
	                                     "*/",
	                                     "//",
	                                     "\n",
	                                     "'",
	                                     "\\",
	                                     "+=",
	                                     "(",
	                                     "${HOME}",
	                                     "node",
	                                     "service",
	                                     "vip",
	                                     "probe",
	                                     "witness",
	                                     "\x01",
	                                     "\xff",
	                                     "99999999999999999999",
	                                     "-1"};
	size_t len = strlen(text), at = len ? next_random(seed) % len : 0;
	size_t cut = next_random(seed) % 20;
	const char *piece = pieces[next_random(seed) % (sizeof(pieces) / sizeof(pieces[0]))];

	switch (next_random(seed) % 4) {
	case 0:
		text[at] = (char)(1 + next_random(seed) % 255);
		break;
	case 1:
		if (len + strlen(piece) < size) {
			memmove(text + at + strlen(piece), text + at, len - at + 1);
			memcpy(text + at, piece, strlen(piece));
		}
		break;
	case 2:
		if (at + cut < len)
			memmove(text + at, text + at + cut, len - at - cut + 1);
		break;
	default:
		text[at] = '\0';
	}
}

static int lines_of(const char *text)
{
	int n = 1;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

static void damaged_files_get_one_line_that_names_a_line_of_theirs(void **state)
{
	static const char *const base = SERVICE(
	        "\tsip = { \"udp:5060\" } # comment\n\ttiming = \"fast\" // comment\n\twitness = \"w\"\n"
	        "\tprobe { interval = \"10ms\" floor = \"30ms\" }\n\tcalls { rate = 3 } /* more\n*/");
	uint32_t seed = 7;
	int refusals = 0;

	for (int i = 0; i < 5000; i++) {
		struct config_error error = {.text = ""};
		char text[2048];

		snprintf(text, sizeof(text), "%s", base);
		for (uint32_t k = next_random(&seed) % 5; k < 5; k++)
			damage(text, sizeof(text), &seed);
		if (!config_parse(text, "f", &config, &error))
			continue;
		refusals++;
		if (strncmp(error.text, "f:", 2) || strchr(error.text, '\n') || !strstr(error.text, "; ") ||
		    atoi(error.text + 2) < 1 || atoi(error.text + 2) > lines_of(text))
			fail_msg("'%s' for:\n%s", error.text, text);
	}
	assert_true(refusals > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_refused_file_does_not_disturb_the_next),
	        cmocka_unit_test(a_written_configuration_parses_to_the_same),
	        cmocka_unit_test(names_are_found),
	        cmocka_unit_test(tag_differs_with_what_nodes_must_agree_on_and_only_that),
	        cmocka_unit_test(damaged_files_get_one_line_that_names_a_line_of_theirs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
