/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Inside the configuration parser only (config.c, config_service.c,
 * config_calls.c, config_value.c): libconfuse's values with their lines, and turning one into a
 * number, port, name, path, duration or address.
 *
 * Every function that returns int returns 0, or -EINVAL when it has set the
 * error. A NULL value is an option the file does not give: *ret keeps its default.
 */
#ifndef SIPFLIP_CORE_CONFIG_VALUE_H
#define SIPFLIP_CORE_CONFIG_VALUE_H

#include <confuse.h>
#include <stdbool.h>

#include "config.h"

/* Every value is kept as its text with where it stood. */
struct config_value {
	const char *key;
	int line;
	int section_line; /* of the top-level section it is in */
	char text[];
};

struct config_parser {
	const char *file;
	cfg_t *root;
	struct config *config;
	struct config_error *error;
	bool failed;
};

/* Sets the error, if it is the first, to "FILE:LINE: ..."; always returns -EINVAL. */
int config_fail(struct config_parser *p, int line, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

const struct config_value *config_value_at(cfg_t *section, const char *key, unsigned int i);
const struct config_value *config_value_of(cfg_t *section, const char *key);
/* Where a section began: its values know; an empty one knows only its end. */
int config_line_of(cfg_t *section);

/* "10ms", "500us", "1s"; false when it is anything else. */
bool config_parse_duration(const char *s, int64_t *ret_ns);
/* Letters, digits, '.', '_', '-', first a letter or digit: safe in files, logs and metrics. */
int config_take_name(struct config_parser *p, int line, const char *what, const char *s, char *ret,
                     size_t size);
int config_take_path(struct config_parser *p, const struct config_value *v, const char *key, char *ret,
                     size_t size);
int config_take_number(struct config_parser *p, const struct config_value *v, const char *key, long min,
                       long max, long *ret);
int config_take_port(struct config_parser *p, const struct config_value *v, const char *key, uint16_t *ret);
int config_take_bool(struct config_parser *p, const struct config_value *v, const char *key, bool *ret);
int config_take_duration(struct config_parser *p, const struct config_value *v, const char *key,
                         int64_t *ret_ns);
int config_take_v4(struct config_parser *p, int line, const char *what, const char *s, struct inaddr16 *ret);

/* config_calls.c: the section `calls` of a service whose ports are known already. */
int config_take_calls(struct config_parser *p, cfg_t *section, struct config_service *s);
/* config_service.c: appends the service of `section` to p->config. */
int config_take_service(struct config_parser *p, cfg_t *section);

#endif
