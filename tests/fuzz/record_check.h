/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What holds of a record that a daemon sends to the command line, or that the command line believes. */
#ifndef SIPFLIP_FUZZ_RECORD_CHECK_H
#define SIPFLIP_FUZZ_RECORD_CHECK_H

#include "fuzz.h"

#include <sys/socket.h>

#include "sipflip/control.h"

union any_record {
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

typedef void text_check(const char *text, size_t room);

static inline void text_ends(const char *text, size_t room)
{
	CHECK(memchr(text, 0, room));
}

#define TEXT(text) check(text, sizeof(text))

/* Its length; 0 = a type that nobody knows. */
static inline size_t check_texts(const union any_record *r, text_check *check)
{
	switch (r->head.type) {
	case CTL_END:
		TEXT(r->end.text);
		return sizeof(r->end);
	case CTL_INSTANCE:
		TEXT(r->instance.version);
		TEXT(r->instance.node);
		TEXT(r->instance.key_id);
		return sizeof(r->instance);
	case CTL_SERVICE:
		TEXT(r->service.name);
		TEXT(r->service.vip);
		TEXT(r->service.interface);
		TEXT(r->service.mode);
		TEXT(r->service.not_ready);
		return sizeof(r->service);
	case CTL_NODE:
		TEXT(r->node.name);
		TEXT(r->node.address);
		return sizeof(r->node);
	case CTL_TAKEOVER:
		TEXT(r->takeover.service);
		return sizeof(r->takeover);
	case CTL_EVENT:
		TEXT(r->event.text);
		return sizeof(r->event);
	case CTL_DIALOG:
		TEXT(r->dialog.service);
		TEXT(r->dialog.call_id);
		TEXT(r->dialog.from);
		TEXT(r->dialog.to);
		TEXT(r->dialog.remote_target);
		TEXT(r->dialog.flow);
		TEXT(r->dialog.paired_by);
		TEXT(r->dialog.plan);
		TEXT(r->dialog.plan_name);
		for (int i = 0; i < 4; i++) {
			TEXT(r->dialog.stream[i].vip);
			TEXT(r->dialog.stream[i].remote);
		}
		return sizeof(r->dialog);
	case CTL_OUTCOME:
		TEXT(r->outcome.service);
		TEXT(r->outcome.call_id);
		TEXT(r->outcome.text);
		return sizeof(r->outcome);
	case CTL_COUNTER:
		TEXT(r->counter.source);
		TEXT(r->counter.service);
		TEXT(r->counter.name);
		TEXT(r->counter.help);
		return sizeof(r->counter);
	}
	return 0;
}

/*
 * Reads what a daemon has answered so far. Every record is whole and ends its texts.
 * Returns how many CTL_END there were among them.
 */
static inline int check_answers(int fd)
{
	union any_record r;
	ssize_t n;
	int ends = 0;

	while ((n = recv(fd, &r, sizeof(r), MSG_DONTWAIT | MSG_TRUNC)) > 0) {
		CHECK((size_t)n <= sizeof(r) && n >= (ssize_t)sizeof(r.head) && r.head.len == (size_t)n);
		CHECK(check_texts(&r, text_ends) == (size_t)n);
		CHECK(!ends); /* nothing after the end */
		ends += r.head.type == CTL_END;
	}
	return ends;
}

#endif
