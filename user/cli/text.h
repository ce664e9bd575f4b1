/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What people read: durations, times of day, tables that fit a terminal. No colours. */
#ifndef SIPFLIP_CLI_TEXT_H
#define SIPFLIP_CLI_TEXT_H

#include <stdint.h>

#define TEXT_COLUMNS 100 /* what every table fits into */

#define TEXT_NEVER UINT64_MAX

/* A value type, so that several can be arguments of one printf. */
struct text {
	char s[48];
};

/* "0.31 ms", "12 ms", "3.2 s", "5 min", "2 h 10 min", "never" (~0). */
struct text text_ns(uint64_t ns);
struct text text_us(uint64_t us);
/* "+0.31 ms", "-12 ms", "0". */
struct text text_offset(int64_t ns);
/* "3 ms ago"; "never". */
struct text text_ago(uint64_t ns);
/* Local time, milliseconds: "2026-11-22 03:04:05.678". */
struct text text_wall(uint64_t wall_ns);

/* Length of the UTF-8 sequence at text (RFC 3629: shortest form, no surrogates), 0 = none. */
int text_utf8_length(const char *text);
/* Control characters, and bytes that are no UTF-8, become '?': safe for any terminal. */
void text_clean(char *text);

#define TABLE_COLUMNS 10
#define TABLE_CELL    160

struct table {
	int columns;
	int rows, room;
	int overflow; /* rows that found no memory */
	char (*cells)[TABLE_COLUMNS][TABLE_CELL];
};

/* A row of `columns` texts */
void table_row(struct table *table, int columns, ...);
/*
 * Prints it with `indent`, every line within TEXT_COLUMNS: the widest columns
 * are cut (with "..") when it would not fit. Frees it.
 */
void table_print(struct table *table, int indent);
/* One line, cut to TEXT_COLUMNS; no newline in the format. */
void text_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
