/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "tally.h"

#include <stdio.h>

#include "log.h"

struct line {
	char text[2048];
	size_t len;
};

static void add(struct line *line, const char *name, uint64_t value)
{
	int n;

	if (!value || line->len >= sizeof(line->text))
		return;
	n = snprintf(line->text + line->len, sizeof(line->text) - line->len, " %s=%llu", name,
	             (unsigned long long)value);
	line->len += n > 0 ? (size_t)n : 0;
}

void tally_process(const struct link *link, const struct replica *replica, const struct capture *capture)
{
	const struct link_counters *l = link_counters(link);
	const struct replica_counters *r = replica_counters(replica);
	struct line line = {.len = 0};

#define X(name, help) add(&line, #name, l->name);
	LINK_COUNTERS(X)
#undef X
#define X(name, help) add(&line, #name, r->name);
	REPLICA_COUNTERS(X)
#undef X
	if (capture) {
		add(&line, "captured_read", capture_counters(capture)->captured_read);
		add(&line, "captured_malformed", capture_counters(capture)->captured_malformed);
	}
	calls_log("counters%s", line.text);
}

void tally_service(const struct service *svc)
{
	const struct dialog_counters *d = &svc->table.counters;
	const struct track_counters *t = &svc->track.counters;
	const struct service_counters *s = &svc->counters;
	struct line line = {.len = 0};

#define X(name, help) add(&line, #name, s->name);
	SERVICE_COUNTERS(X)
#undef X
#define X(name, help) add(&line, #name, d->name);
	DIALOG_COUNTERS(X)
#undef X
#define X(name, help) add(&line, #name, t->name);
	TRACK_COUNTERS(X)
#undef X
	if (svc->rescue) {
		const struct rescue_counters *r = rescue_counters(svc->rescue);
#define X(name, help) add(&line, #name, r->name);
		RESCUE_COUNTERS(X)
#undef X
	}
	calls_log("service=%s counters%s", svc->conf.name, line.text);
}
