/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The sentinel's log: lines are formatted into a bounded ring and written later,
 * when nothing urgent is left in a turn of the loop. A reader that does not read
 * costs lines (counted), never time. The last LOG_KEPT lines stay for `sipflip events`.
 */
#ifndef SIPFLIP_SENTINEL_LOG_H
#define SIPFLIP_SENTINEL_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "sipflip/control.h"

#define LOG_KEPT 512

enum log_level { LOG_LEVEL_ERROR = 3, LOG_LEVEL_WARN = 4, LOG_LEVEL_INFO = 6 };

/* key=value text; never blocks, never allocates. */
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
#define log_info(...)  log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)

/* Writes what is waiting as far as stderr takes it without blocking. */
void log_flush(void);
/* The same, waiting up to a second: before the process ends. */
void log_flush_final(void);

uint64_t log_dropped(void);
uint64_t log_last_number(void);
/* The kept line with this number, NULL when it is gone or not there yet. */
const struct ctl_event *log_kept(uint64_t number);

/* Before the loop starts: one line to stderr, and the process ends with 1. */
void fatal(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif
