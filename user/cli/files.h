/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reading what is on disk: the configuration, the key, and small files of /proc and /sys. */
#ifndef SIPFLIP_CLI_FILES_H
#define SIPFLIP_CLI_FILES_H

#include <stddef.h>

#include "config.h"
#include "key.h"

/* The file's bytes and a NUL. Returns their number, -EFBIG when more than size - 1, or -errno. */
int files_read(const char *path, char *buf, size_t size);

/* 0, or -errno with *ret_error set (config_parse's line, or why the file cannot be read). */
int files_config(const char *path, struct config *ret, struct config_error *ret_error);

enum files_key_state {
	FILES_KEY_GOOD = 0,
	FILES_KEY_MISSING,
	FILES_KEY_UNREADABLE,
	FILES_KEY_EXPOSED, /* right format, but others than its owner may read or write it */
	FILES_KEY_FOREIGN, /* right format, but not root's */
	FILES_KEY_BAD,     /* wrong format */
};

/* Judges the key file; *ret_text says "what; what to do" unless it is good. */
enum files_key_state files_key(const char *path, struct key_ring *ret, char *ret_text, size_t size);

#endif
