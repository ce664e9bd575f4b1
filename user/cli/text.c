/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Text for people at a terminal, at three in the morning. Prints only in table_print. */
#include "text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int text_utf8_length(const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	int n = 0;

	if (s[0] < 0x80)
		n = 1;
	else if (s[0] >= 0xc2 && s[0] < 0xe0)
		n = 2;
	else if (s[0] >= 0xe0 && s[0] < 0xf0)
		n = 3;
	else if (s[0] >= 0xf0 && s[0] < 0xf5)
		n = 4;
	for (int i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
	    (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

void text_clean(char *text)
{
	while (*text) {
		int n = text_utf8_length(text);
		unsigned char c = (unsigned char)*text;

		/* U+0080 to U+009F are control characters too. */
		if (!n || c < 0x20 || c == 0x7f || (c == 0xc2 && (unsigned char)text[1] < 0xa0))
			*text = '?';
		text += n && (unsigned char)*text == c ? n : 1;
	}
}

struct text text_ns(uint64_t ns)
{
	struct text t;
	double ms = (double)ns / 1e6;
	uint64_t s = ns / 1000000000;

	if (ns == TEXT_NEVER)
		snprintf(t.s, sizeof(t.s), "never");
	else if (ms < 10)
		snprintf(t.s, sizeof(t.s), "%.2f ms", ms);
	else if (ms < 1000)
		snprintf(t.s, sizeof(t.s), "%.0f ms", ms);
	else if (s < 60)
		snprintf(t.s, sizeof(t.s), "%.1f s", ms / 1000);
	else if (s < 3600)
		snprintf(t.s, sizeof(t.s), "%" PRIu64 " min", s / 60);
	else if (s < 86400)
		snprintf(t.s, sizeof(t.s), "%" PRIu64 " h %" PRIu64 " min", s / 3600, s / 60 % 60);
	else
		snprintf(t.s, sizeof(t.s), "%" PRIu64 " d %" PRIu64 " h", s / 86400, s / 3600 % 24);
	return t;
}

struct text text_us(uint64_t us)
{
	return text_ns(us * 1000);
}

struct text text_offset(int64_t ns)
{
	struct text t, size = text_ns((uint64_t)(ns < 0 ? -ns : ns));

	if (!ns)
		snprintf(t.s, sizeof(t.s), "0");
	else
		snprintf(t.s, sizeof(t.s), "%c%.40s", ns < 0 ? '-' : '+', size.s);
	return t;
}

struct text text_ago(uint64_t ns)
{
	struct text t = text_ns(ns);

	if (ns != TEXT_NEVER)
		strcat(t.s, " ago");
	return t;
}

struct text text_wall(uint64_t wall_ns)
{
	time_t s = (time_t)(wall_ns / 1000000000);
	struct text t;
	struct tm tm;
	size_t n;

	if (!localtime_r(&s, &tm) || !(n = strftime(t.s, sizeof(t.s), "%Y-%m-%d %H:%M:%S", &tm))) {
		snprintf(t.s, sizeof(t.s), "?");
		return t;
	}
	snprintf(t.s + n, sizeof(t.s) - n, ".%03u", (unsigned int)(wall_ns / 1000000 % 1000));
	return t;
}

/* --- tables ------------------------------------------------------------------ */

static int is_continuation(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

/* Columns a text takes: one a code point, near enough for names and addresses. */
static int width_of(const char *s)
{
	int n = 0;

	for (; *s; s++)
		n += !is_continuation(*s);
	return n;
}

void table_row(struct table *table, int columns, ...)
{
	va_list ap;

	if (table->rows == table->room) {
		int room = table->room ? table->room * 2 : 16;
		void *cells = realloc(table->cells, (size_t)room * sizeof(*table->cells));

		if (!cells) {
			table->overflow++;
			return;
		}
		table->cells = cells;
		table->room = room;
	}
	table->columns = columns;
	va_start(ap, columns);
	for (int i = 0; i < columns; i++) {
		char *cell = table->cells[table->rows][i];

		snprintf(cell, TABLE_CELL, "%s", va_arg(ap, const char *));
		text_clean(cell); /* cutting may have split a character */
	}
	va_end(ap);
	table->rows++;
}

static void fit(int *width, int columns, int indent)
{
	for (;;) {
		int total = indent, widest = 0;

		for (int i = 0; i < columns; i++) {
			total += width[i] + (i ? 2 : 0);
			if (width[i] > width[widest])
				widest = i;
		}
		if (total <= TEXT_COLUMNS)
			return;
		width[widest]--;
	}
}

static void print_cell(const char *cell, int width, int last)
{
	int full = width_of(cell), keep = full > width ? width - 2 : full, n = 0;

	for (; *cell; cell++) {
		if (!is_continuation(*cell) && n++ == keep)
			break;
		putchar(*cell);
	}
	if (full > width)
		fputs("..", stdout);
	else if (!last)
		printf("%*s", width - full, "");
	if (!last)
		fputs("  ", stdout);
}

void table_print(struct table *table, int indent)
{
	int width[TABLE_COLUMNS] = {0};

	for (int r = 0; r < table->rows; r++)
		for (int i = 0; i < table->columns; i++)
			if (width_of(table->cells[r][i]) > width[i])
				width[i] = width_of(table->cells[r][i]);
	fit(width, table->columns, indent);
	for (int r = 0; r < table->rows; r++) {
		int last = table->columns - 1;

		while (last > 0 && !table->cells[r][last][0])
			last--;
		printf("%*s", indent, "");
		for (int i = 0; i <= last; i++)
			print_cell(table->cells[r][i], width[i], i == last);
		putchar('\n');
	}
	if (table->overflow)
		printf("%*s(%d rows left out: no memory)\n", indent, "", table->overflow);
	free(table->cells);
	*table = (struct table){0};
}

void text_line(const char *format, ...)
{
	struct table table = {0};
	char line[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(line, sizeof(line), format, ap);
	va_end(ap);
	table_row(&table, 1, line);
	table_print(&table, 0);
}
