/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which texts each record of the control protocol has. Knows nothing of what they say. */
#include "record.h"

#define TEXT(text) fn(text, sizeof(text))

static void dialog_texts(struct ctl_dialog *dialog, record_text_fn *fn)
{
	TEXT(dialog->service);
	TEXT(dialog->call_id);
	TEXT(dialog->from);
	TEXT(dialog->to);
	TEXT(dialog->remote_target);
	TEXT(dialog->flow);
	TEXT(dialog->paired_by);
	TEXT(dialog->plan);
	TEXT(dialog->plan_name);
	for (size_t i = 0; i < sizeof(dialog->stream) / sizeof(dialog->stream[0]); i++) {
		TEXT(dialog->stream[i].vip);
		TEXT(dialog->stream[i].remote);
	}
}

size_t record_texts(union ctl_record *r, record_text_fn *fn)
{
	switch (r->head.type) {
	case CTL_END:
		TEXT(r->end.text);
		return sizeof(r->end);
	case CTL_INSTANCE:
		TEXT(r->instance.version);
		TEXT(r->instance.node);
		TEXT(r->instance.key_id);
		TEXT(r->instance.other_key_id);
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
		dialog_texts(&r->dialog, fn);
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
