/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Any record of include/sipflip/control.h, and the one list of the texts in each, for
 * whoever must go over all of them: the command line, which trusts none, and the checks
 * of what a daemon sends.
 */
#ifndef SIPFLIP_RECORD_H
#define SIPFLIP_RECORD_H

#include <stddef.h>

#include "sipflip/control.h"

union ctl_record {
	struct ctl_head head;
	struct ctl_end end;
	struct ctl_instance instance;
	struct ctl_service service;
	struct ctl_node node;
	struct ctl_takeover takeover;
	struct ctl_event event;
	struct ctl_dialog dialog;
	struct ctl_outcome outcome;
	struct ctl_counter counter;
};

typedef void record_text_fn(char *text, size_t room);

/* Calls fn for each text of the record. Returns the bytes of a whole one of its type; 0 = no such type. */
size_t record_texts(union ctl_record *record, record_text_fn *fn);

#endif
