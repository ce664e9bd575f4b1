/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A JSON writer (RFC 8259) that cannot write a wrong comma: values go to a stdio
 * stream, two spaces a level, or on one line. `key` is NULL inside arrays.
 */
#ifndef SIPFLIP_CLI_JSON_H
#define SIPFLIP_CLI_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define JSON_DEPTH 8

struct json {
	FILE *out;
	bool one_line;
	int depth;
	bool any[JSON_DEPTH]; /* something was written at this depth */
	char closer[JSON_DEPTH];
};

struct json json_start(FILE *out, bool one_line);
void json_object(struct json *json, const char *key);
void json_array(struct json *json, const char *key);
/* Ends the innermost object or array; the outermost with a newline. */
void json_close(struct json *json);
/* Bytes that are not UTF-8 become U+FFFD, so that the result is always JSON. */
void json_text(struct json *json, const char *key, const char *value);
void json_u64(struct json *json, const char *key, uint64_t value);
void json_i64(struct json *json, const char *key, int64_t value);
void json_bool(struct json *json, const char *key, bool value);
void json_null(struct json *json, const char *key);

#endif
