/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The configuration file. What parses is written back as text that parses to the
 * same; what does not says why in one line that names the file, and changes nothing.
 */
#include "fuzz.h"

#include <ctype.h>
#include <errno.h>

#include "config.h"

#define FILE_NAME "sipflip.conf"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	return 0;
}

/* Lines are not the same once the text is written anew. */
static void forget_lines(struct config *config)
{
	for (int i = 0; i < MAX_NODES; i++)
		config->node[i].line = 0;
	for (int i = 0; i < CONFIG_MAX_SERVICES; i++)
		config->service[i].line = 0;
}

static void check_ranges(const struct config *c)
{
	CHECK(c->n_node >= 1 && c->n_node < MAX_NODES);
	CHECK(c->n_service >= 1 && c->n_service <= CONFIG_MAX_SERVICES);
	CHECK(c->echo_port && c->replica_port && c->rt_priority >= 1 && c->rt_priority <= 99);
	for (int i = 0; i < c->n_service; i++) {
		const struct config_service *s = &c->service[i];

		CHECK(s->n_vip >= 1 && s->n_vip <= CONFIG_VIPS && s->n_sip >= 1 && s->n_sip <= CONFIG_SIP);
		CHECK(s->n_node >= 1 && s->n_node <= CONFIG_DATA_NODES && s->witness <= c->n_node);
		for (int n = 0; n < s->n_node; n++)
			CHECK(s->node[n] >= 1 && s->node[n] <= c->n_node && s->node[n] != s->witness);
		CHECK(s->echo_ns > 0 && s->lease_ns >= 3 * s->echo_ns);
		CHECK(s->max_dialogs && s->relay_port_first <= s->relay_port_last);
		CHECK(config_service_by_name(c, s->name) == i);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct config config, again, untouched;
	static char written[256 * 1024];
	struct config_error error = {""};
	char *text = malloc(size + 1);
	int len, rc;

	CHECK(text);
	memcpy(text, data, size);
	text[size] = '\0';
	memset(&config, 0x5a, sizeof(config));
	memset(&untouched, 0x5a, sizeof(untouched));
	rc = config_parse(text, FILE_NAME, &config, &error);
	free(text);
	if (rc) {
		CHECK(rc == -EINVAL && !memcmp(&config, &untouched, sizeof(config)));
		CHECK(!strncmp(error.text, FILE_NAME ":", strlen(FILE_NAME) + 1));
		for (const char *c = error.text; *c; c++)
			CHECK(!iscntrl((unsigned char)*c));
		return 0;
	}
	check_ranges(&config);
	len = config_format(&config, written, sizeof(written));
	CHECK(len > 0 && (size_t)len == strlen(written));
	CHECK(config_format(&config, written, (size_t)len) == -ENOSPC);
	CHECK(config_format(&config, written, sizeof(written)) == len);
	rc = config_parse(written, FILE_NAME, &again, &error);
	if (rc)
		fprintf(stderr, "%s\n%s\n", error.text, written);
	CHECK(!rc);
	forget_lines(&config);
	forget_lines(&again);
	CHECK(!memcmp(&config, &again, sizeof(config)));
	for (int i = 0; i < config.n_service; i++)
		CHECK(config_service_tag(&config, i) == config_service_tag(&again, i));
	return 0;
}
