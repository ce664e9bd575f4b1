/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Single values of the configuration: from text to number, port, name, path,
 * duration or address, with the error line when it is none. Owns the wording of
 * those errors; knows nothing of what the values are for. Called by config.c and
 * config_service.c.
 */
#include "config_value.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "addr.h"
#include "mono.h"

int config_fail(struct config_parser *p, int line, const char *format, ...)
{
	va_list ap;
	int n;

	if (p->failed)
		return -EINVAL;
	p->failed = true;
	n = snprintf(p->error->text, sizeof(p->error->text), "%s:%d: ", p->file, line);
	if (n < 0 || (size_t)n >= sizeof(p->error->text))
		return -EINVAL;
	va_start(ap, format);
	vsnprintf(p->error->text + n, sizeof(p->error->text) - (size_t)n, format, ap);
	va_end(ap);
	/* It may quote the file, and is one line on whatever terminal reads it. */
	for (char *c = p->error->text; *c; c++)
		if (iscntrl((unsigned char)*c))
			*c = '?';
	return -EINVAL;
}

const struct config_value *config_value_at(cfg_t *section, const char *key, unsigned int i)
{
	return i < cfg_size(section, key) ? cfg_getnptr(section, key, i) : NULL;
}

const struct config_value *config_value_of(cfg_t *section, const char *key)
{
	return config_value_at(section, key, 0);
}

/* Where a section began: its values know; an empty one knows only its end. */
int config_line_of(cfg_t *section)
{
	for (cfg_opt_t *opt = section->opts; opt && opt->name; opt++) {
		if (opt->type == CFGT_PTR && opt->nvalues)
			return ((struct config_value *)opt->values[0]->ptr)->section_line;
		if (opt->type == CFGT_SEC && opt->nvalues) {
			cfg_t *inner = opt->values[0]->section;

			for (cfg_opt_t *o = inner->opts; o && o->name; o++)
				if (o->type == CFGT_PTR && o->nvalues)
					return ((struct config_value *)o->values[0]->ptr)->section_line;
		}
	}
	return section->line;
}

/* Letters, digits, '.', '_', '-', first a letter or digit: safe in files, logs and metrics. */
static bool good_name(const char *s, size_t size)
{
	if (!isalnum((unsigned char)s[0]) || strlen(s) >= size)
		return false;
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && *s != '.' && *s != '_' && *s != '-')
			return false;
	return true;
}

int config_take_name(struct config_parser *p, int line, const char *what, const char *s, char *ret,
                     size_t size)
{
	if (!good_name(s, size))
		return config_fail(p, line,
		                   "%s '%.40s' is not usable; use 1 to %zu letters, digits, '.', '_' or '-'",
		                   what, s, size - 1);
	memcpy(ret, s, strlen(s) + 1);
	return 0;
}

int config_take_path(struct config_parser *p, const struct config_value *v, const char *key, char *ret,
                     size_t size)
{
	size_t len;

	if (!v)
		return 0;
	len = strlen(v->text);
	if (v->text[0] != '/')
		return config_fail(p, v->line, "%s '%.60s' is not an absolute path; start it with /", key,
		                   v->text);
	if (len >= size)
		return config_fail(p, v->line, "%s is longer than %zu bytes; choose a shorter path", key,
		                   size - 1);
	for (const char *c = v->text; *c; c++)
		if (iscntrl((unsigned char)*c) || strchr("\"\\$", *c))
			return config_fail(p, v->line,
			                   "%s contains a character that is not allowed; use a plain path",
			                   key);
	memcpy(ret, v->text, len + 1);
	return 0;
}

int config_take_number(struct config_parser *p, const struct config_value *v, const char *key, long min,
                       long max, long *ret)
{
	char *end;
	long n;

	if (!v)
		return 0;
	errno = 0;
	n = strtol(v->text, &end, 10);
	if (end == v->text || *end || isspace((unsigned char)v->text[0]))
		return config_fail(p, v->line, "%s = '%.40s' is not a number; write one from %ld to %ld", key,
		                   v->text, min, max);
	if (errno || n < min || n > max)
		return config_fail(p, v->line, "%s = %.40s is out of range; write a number from %ld to %ld",
		                   key, v->text, min, max);
	*ret = n;
	return 0;
}

int config_take_port(struct config_parser *p, const struct config_value *v, const char *key, uint16_t *ret)
{
	long n = *ret;
	int r = config_take_number(p, v, key, 1, 65535, &n);

	if (!r)
		*ret = (uint16_t)n;
	return r;
}

int config_take_bool(struct config_parser *p, const struct config_value *v, const char *key, bool *ret)
{
	int b;

	if (!v)
		return 0;
	b = cfg_parse_boolean(v->text);
	if (b < 0)
		return config_fail(p, v->line, "%s = '%.40s' is neither true nor false; write one of them",
		                   key, v->text);
	*ret = b;
	return 0;
}

/* "10ms", "500us", "1s". Returns false when it is anything else. */
bool config_parse_duration(const char *s, int64_t *ret_ns)
{
	int64_t unit;
	char *end;
	long n;

	if (!isdigit((unsigned char)s[0]))
		return false;
	errno = 0;
	n = strtol(s, &end, 10);
	if (errno || n > 1000000000)
		return false;
	if (!strcmp(end, "us"))
		unit = NS_PER_US;
	else if (!strcmp(end, "ms"))
		unit = NS_PER_MS;
	else if (!strcmp(end, "s"))
		unit = NS_PER_S;
	else
		return false;
	*ret_ns = n * unit;
	return true;
}

int config_take_duration(struct config_parser *p, const struct config_value *v, const char *key,
                         int64_t *ret_ns)
{
	if (v && !config_parse_duration(v->text, ret_ns))
		return config_fail(
		        p, v->line,
		        "%s = '%.40s' is not a duration; write it as \"500us\", \"10ms\" or \"1s\"", key,
		        v->text);
	return 0;
}

int config_take_v4(struct config_parser *p, int line, const char *what, const char *s, struct inaddr16 *ret)
{
	struct inaddr16 addr;

	if (addr_parse(s, &addr))
		return config_fail(p, line,
		                   "%s '%.60s' is not an address; write an IPv4 address such as 10.9.0.1",
		                   what, s);
	if (!addr_is_v4(&addr))
		return config_fail(p, line,
		                   "%s '%.60s' is IPv6, which is not supported yet; use an IPv4 address",
		                   what, s);
	if (!addr.b[12] || addr.b[12] == 127 || addr.b[12] >= 224)
		return config_fail(p, line,
		                   "%s '%.60s' is no host's address on a network; use a unicast IPv4 address",
		                   what, s);
	*ret = addr;
	return 0;
}
