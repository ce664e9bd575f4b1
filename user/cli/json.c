/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Commas, indentation and escapes of JSON. Every command's --json goes through here. */
#include "json.h"

#include <inttypes.h>

#include "text.h"

struct json json_start(FILE *out, bool one_line)
{
	return (struct json){.out = out, .one_line = one_line};
}

static void quoted(FILE *out, const char *s)
{
	fputc('"', out);
	while (*s) {
		int n = text_utf8_length(s);
		unsigned char c = (unsigned char)*s;

		if (!n)
			fputs("\\ufffd", out);
		else if (c < 0x20 || c == 0x7f)
			fprintf(out, "\\u%04x", c);
		else if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else
			fwrite(s, 1, (size_t)n, out);
		s += n ? n : 1;
	}
	fputc('"', out);
}

static void line(struct json *json)
{
	if (!json->one_line)
		fprintf(json->out, "\n%*s", json->depth * 2, "");
}

static void before(struct json *json, const char *key)
{
	if (!json->depth)
		return;
	if (json->any[json->depth - 1])
		fputs(json->one_line ? ", " : ",", json->out);
	json->any[json->depth - 1] = true;
	line(json);
	if (key) {
		quoted(json->out, key);
		fputs(": ", json->out);
	}
}

static void open_level(struct json *json, const char *key, char opener, char closer)
{
	before(json, key);
	fputc(opener, json->out);
	json->any[json->depth] = false;
	json->closer[json->depth++] = closer;
}

void json_object(struct json *json, const char *key)
{
	open_level(json, key, '{', '}');
}

void json_array(struct json *json, const char *key)
{
	open_level(json, key, '[', ']');
}

void json_close(struct json *json)
{
	json->depth--;
	if (json->any[json->depth])
		line(json);
	fputc(json->closer[json->depth], json->out);
	if (!json->depth)
		fputc('\n', json->out);
}

void json_text(struct json *json, const char *key, const char *value)
{
	before(json, key);
	quoted(json->out, value);
}

void json_u64(struct json *json, const char *key, uint64_t value)
{
	before(json, key);
	fprintf(json->out, "%" PRIu64, value);
}

void json_i64(struct json *json, const char *key, int64_t value)
{
	before(json, key);
	fprintf(json->out, "%" PRId64, value);
}

void json_bool(struct json *json, const char *key, bool value)
{
	before(json, key);
	fputs(value ? "true" : "false", json->out);
}

void json_null(struct json *json, const char *key)
{
	before(json, key);
	fputs("null", json->out);
}
