/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "tally.h"

#include <stdio.h>

#include "log.h"

#define TELL(counters, name, help)                                                                           \
	do {                                                                                                 \
		int rc = fn(arg, #name, help, (counters)->name);                                             \
		if (rc)                                                                                      \
			return rc;                                                                           \
	} while (0);

int tally_process(const struct tally_sources *sources, tally_fn fn, void *arg)
{
	if (sources->link) {
		const struct link_counters *l = link_counters(sources->link);
#define X(name, help) TELL(l, name, help)
		LINK_COUNTERS(X)
#undef X
	}
	if (sources->replica) {
		const struct replica_counters *r = replica_counters(sources->replica);
#define X(name, help) TELL(r, name, help)
		REPLICA_COUNTERS(X)
#undef X
	}
	if (sources->capture) {
		const struct capture_counters *c = capture_counters(sources->capture);

		TELL(c, captured_read, "captured datagrams read from the ring")
		TELL(c, captured_malformed, "captured records that contradict themselves")
		TELL(c, captured_again_bytes, "of the ring, read once more after a restart")
		TELL(c, captured_skipped_bytes, "of the ring, not read: every process that tried had ended")
	}
	if (sources->media) {
		const struct media_counters *m = media_counters(sources->media);
#define X(name, help) TELL(m, name, help)
		MEDIA_COUNTERS(X)
#undef X
	}
	return 0;
}

int tally_service(const struct service *svc, tally_fn fn, void *arg)
{
	const struct dialog_counters *d = &svc->table.counters;
	const struct track_counters *t = &svc->track.counters;
	const struct service_counters *s = &svc->counters;

#define X(name, help) TELL(s, name, help)
	SERVICE_COUNTERS(X)
#undef X
#define X(name, help) TELL(d, name, help)
	DIALOG_COUNTERS(X)
#undef X
#define X(name, help) TELL(t, name, help)
	TRACK_COUNTERS(X)
#undef X
	if (svc->recover) {
		const struct recover_socket_counters *r = recover_socket_counters(svc->recover);
#define X(name, help) TELL(r, name, help)
		RECOVER_SOCKET_COUNTERS(X)
#undef X
	}
	if (svc->rescue) {
		const struct rescue_counters *r = rescue_counters(svc->rescue);
#define X(name, help) TELL(r, name, help)
		RESCUE_COUNTERS(X)
#undef X
	}
	return 0;
}

struct line {
	char text[2048];
	size_t len;
};

static int add(void *arg, const char *name, const char *help, uint64_t value)
{
	struct line *line = arg;
	int n;

	if (!value || line->len >= sizeof(line->text))
		return 0;
	n = snprintf(line->text + line->len, sizeof(line->text) - line->len, " %s=%llu", name,
	             (unsigned long long)value);
	line->len += n > 0 ? (size_t)n : 0;
	return 0;
}

void tally_log(const struct tally_sources *sources, struct service *const services[MAX_SERVICES])
{
	struct line line = {.len = 0};

	tally_process(sources, add, &line);
	calls_log("counters%s", line.text);
	for (int i = 0; i < MAX_SERVICES; i++) {
		if (!services[i])
			continue;
		line = (struct line){.len = 0};
		tally_service(services[i], add, &line);
		calls_log("service=%s counters%s", services[i]->conf.name, line.text);
	}
}
