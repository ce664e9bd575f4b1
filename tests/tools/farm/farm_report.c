// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What callfarm tells: one line of JSON on standard output, and a table of its calls. See farm.h. */
#include "farm.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#define NS_PER_MS 1000000LL

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void print_spread(const char *name, int64_t *values, uint32_t n, double unit)
{
	qsort(values, n, sizeof(*values), by_value);
	if (n)
		printf(",\"%s\":{\"median\":%.3f,\"p99\":%.3f,\"max\":%.3f}", name, values[n / 2] / unit,
		       values[(uint64_t)n * 99 / 100] / unit, values[n - 1] / unit);
	else
		printf(",\"%s\":null", name);
}

/* Hears the other phone: something came within three of its intervals. */
static bool is_heard(const struct farm *farm, const struct farm_call *call, int64_t now_ns)
{
	return call->rx.last_ns &&
	       now_ns - call->rx.last_ns < 3 * farm_media_interval_ns(farm, call) + 200 * NS_PER_MS;
}

static void print_media(const struct farm *farm, const char *name, bool sampled, int64_t now_ns)
{
	static int64_t lost[FARM_CALLS_MAX], gap[FARM_CALLS_MAX], first[FARM_CALLS_MAX],
	        pause[FARM_CALLS_MAX];
	uint32_t n = 0, n_first = 0, silent = 0, few = 0;
	uint64_t received = 0, lost_all = 0, twice = 0, foreign = 0, wrong = 0;

	for (uint32_t i = 0; i < farm->n; i++) {
		const struct farm_call *call = farm->call[i];
		if (!call || call->state != FARM_UP || (call->index < farm->sample) != sampled)
			continue;
		const struct farm_rx *rx = &call->rx;
		received += rx->received;
		twice += rx->duplicates;
		foreign += rx->foreign;
		wrong += rx->wrong_source;
		if (!is_heard(farm, call, now_ns)) {
			silent++;
			continue;
		}
		lost_all += rx->lost;
		few += rx->lost <= 1;
		pause[n] = call->tx.pause_ns;
		gap[n] = rx->gap_ns;
		lost[n++] = rx->lost;
		if (rx->first_after_mark_ns)
			first[n_first++] = rx->first_after_mark_ns - farm->mark_ns;
	}
	printf(",\"%s\":{\"streams\":%u,\"silent\":%u,\"received\":%llu,\"lost\":%llu,\"at_most_one_lost\":%"
	       "u,"
	       "\"duplicates\":%llu,\"foreign\":%llu,\"wrong_source\":%llu",
	       name, n + silent, silent, (unsigned long long)received, (unsigned long long)lost_all, few,
	       (unsigned long long)twice, (unsigned long long)foreign, (unsigned long long)wrong);
	print_spread("lost_a_stream", lost, n, 1);
	print_spread("gap_ms", gap, n, 1e6);
	print_spread("first_after_mark_ms", first, n_first, 1e6);
	print_spread("own_pause_ms", pause, n, 1e6);
	printf("}");
}

static void print_calls(const struct farm *farm)
{
	static const char *const names[] = {"new", "calling", "up", "ending", "ended", "failed"};
	uint32_t count[6] = {0}, in_hold = 0;

	for (uint32_t i = 0; i < farm->n; i++)
		if (farm->call[i]) {
			count[farm->call[i]->state]++;
			in_hold += farm->call[i]->tx.stopped;
		}
	printf("\"now_ns\":%lld,\"busy\":%s,\"told_to_stop\":%u", (long long)boot_ns(),
	       farm->busy ? "true" : "false", in_hold);
	for (int i = 0; i < 6; i++)
		printf(",\"%s\":%u", names[i], count[i]);
}

/* Sums over the calls of what the other end did in their dialogs, and how our own requests went. */
static void print_dialogs(const struct farm *farm)
{
	struct farm_seen sum = {0};
	uint32_t reinvited = 0, hold_ok = 0, hold_bad = 0, resume_ok = 0, resume_bad = 0, bye_ok = 0,
	         bye_bad = 0;
	uint32_t pending = 0;

	for (uint32_t i = 0; i < farm->n; i++) {
		const struct farm_call *call = farm->call[i];
		if (!call)
			continue;
		const struct farm_seen *s = &call->seen;
		reinvited += s->reinvites > 0;
		sum.reinvites += s->reinvites;
		sum.updates += s->updates;
		sum.others += s->others;
		sum.repeats += s->repeats;
		sum.cseq_bad += s->cseq_bad;
		sum.tag_bad += s->tag_bad;
		sum.origin_raised += s->origin_raised;
		sum.origin_same += s->origin_same;
		sum.origin_bad += s->origin_bad;
		sum.moved += s->moved;
		sum.holds += s->holds;
		sum.resumes += s->resumes;
		sum.byes += s->byes;
		if (s->first_reinvite_ns &&
		    (!sum.first_reinvite_ns || s->first_reinvite_ns < sum.first_reinvite_ns))
			sum.first_reinvite_ns = s->first_reinvite_ns;
		if (s->last_reinvite_ns > sum.last_reinvite_ns)
			sum.last_reinvite_ns = s->last_reinvite_ns;
		hold_ok += call->hold_status / 100 == 2;
		hold_bad += call->hold_status >= 300;
		resume_ok += call->resume_status / 100 == 2;
		resume_bad += call->resume_status >= 300;
		bye_ok += call->bye_status / 100 == 2;
		bye_bad += call->bye_status >= 300;
		pending += call->request.text || call->retry;
	}
	printf(",\"dialogs\":{\"reinvited\":%u,\"reinvites\":%u,\"first_reinvite_ns\":%lld,\"last_reinvite_"
	       "ns\":%lld,"
	       "\"updates\":%u,\"others\":%u,\"repeats\":%u,\"cseq_bad\":%u,\"tag_bad\":%u,\"origin_raised\":"
	       "%u,"
	       "\"origin_same\":%u,\"origin_bad\":%u,\"rtp_moved\":%u,\"holds_seen\":%u,\"resumes_seen\":%u,"
	       "\"byes_seen\":%u,\"hold_ok\":%u,\"hold_refused\":%u,\"resume_ok\":%u,\"resume_refused\":%u,"
	       "\"bye_ok\":%u,\"bye_refused\":%u,\"pending\":%u}",
	       reinvited, sum.reinvites, (long long)sum.first_reinvite_ns, (long long)sum.last_reinvite_ns,
	       sum.updates, sum.others, sum.repeats, sum.cseq_bad, sum.tag_bad, sum.origin_raised,
	       sum.origin_same, sum.origin_bad, sum.moved, sum.holds, sum.resumes, sum.byes, hold_ok,
	       hold_bad, resume_ok, resume_bad, bye_ok, bye_bad, pending);
}

static void print_status(const struct farm *farm)
{
	printf("{\"role\":\"%s\",", farm->calls_out ? "callers" : "callees");
	print_calls(farm);
	print_dialogs(farm);
	printf(",\"sent\":%llu,\"unsent\":%llu,\"unknown\":%llu,\"malformed\":%llu,\"timeouts\":%llu,"
	       "\"refused\":%llu",
	       (unsigned long long)farm->sent, (unsigned long long)farm->unsent,
	       (unsigned long long)farm->unknown, (unsigned long long)farm->malformed,
	       (unsigned long long)farm->timeouts, (unsigned long long)farm->refused);
}

/* In this network namespace, which is ours alone: what came and was not read in time, by SNMP's name. */
static long long not_read_in_time(void)
{
	FILE *f = fopen("/proc/self/net/snmp", "r");
	long long in = 0, none = 0, bad = 0, out = 0, full = -1;
	char line[512];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Udp: %lld %lld %lld %lld %lld", &in, &none, &bad, &out, &full) == 5)
			break;
	if (f)
		fclose(f);
	return full;
}

static void print_quoted(const char *text)
{
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			putchar('\\');
		if ((unsigned char)*text < 0x20)
			printf("\\u%04x", *text);
		else
			putchar(*text);
	}
}

/* The first requests that were in no dialog of ours, whole. */
static void print_strange(const struct farm *farm)
{
	printf(",\"strange\":[");
	for (uint32_t i = 0; i < farm->n_strange; i++) {
		printf("%s\"", i ? "," : "");
		print_quoted(farm->strange[i]);
		printf("\"");
	}
	printf("]");
}

void farm_status(const struct farm *farm)
{
	print_status(farm);
	printf("}\n");
}

static const char csv_head[] =
        "index,state,heard,vip_port,invited_ns,answered_ns,ended_ns,sent,next_seq,received,lost,duplicates,"
        "wrong_source,gap_ms,gap_at_ns,first_after_mark_ms,own_pause_ms,reinvites,last_reinvite_ns,cseq_bad,"
        "tag_bad,origin_raised,origin_same,origin_bad,rtp_moved,holds_seen,resumes_seen,byes_seen,hold,"
        "resume,"
        "bye,invite\n";

static bool write_csv(const struct farm *farm, const char *path, int64_t now_ns)
{
	FILE *f = fopen(path, "w");

	if (!f)
		return false;
	fprintf(f, "%s", csv_head);
	for (uint32_t i = 0; i < farm->n; i++) {
		const struct farm_call *c = farm->call[i];
		if (!c)
			continue;
		const struct farm_seen *s = &c->seen;
		fprintf(f, "%u,%d,%d,%u,%lld,%lld,%lld,%u,%u,%u,%u,%u,%u,%.3f,%lld,%.3f,%.3f", c->index,
		        c->state, is_heard(farm, c, now_ns), ntohs(c->rtp.sin_port), (long long)c->invited_ns,
		        (long long)c->answered_ns, (long long)c->ended_ns, c->tx.seq, c->rx.next_seq,
		        c->rx.received, c->rx.lost, c->rx.duplicates, c->rx.wrong_source, c->rx.gap_ns / 1e6,
		        (long long)c->rx.gap_at_ns,
		        c->rx.first_after_mark_ns ? (c->rx.first_after_mark_ns - farm->mark_ns) / 1e6 : -1.0,
		        c->tx.pause_ns / 1e6);
		fprintf(f, ",%u,%lld,%u,%u,%u,%u,%u,%u,%u,%u,%u,%d,%d,%d,%d\n", s->reinvites,
		        (long long)s->last_reinvite_ns, s->cseq_bad, s->tag_bad, s->origin_raised,
		        s->origin_same, s->origin_bad, s->moved, s->holds, s->resumes, s->byes,
		        c->hold_status, c->resume_status, c->bye_status, c->invite_status);
	}
	return fclose(f) == 0;
}

void farm_report(struct farm *farm, const char *csv)
{
	int64_t now = boot_ns();

	/* What has arrived but was not read yet is not missing. */
	for (uint32_t i = 0; i < farm->n; i++)
		if (farm->call[i] && farm->call[i]->fd >= 0)
			farm_media_read(farm, farm->call[i]);
	print_status(farm);
	printf(",\"window_ms\":%.1f,\"sender_late_max_ms\":%.3f", (double)(now - farm->window_ns) / 1e6,
	       (double)farm->late_max_ns / 1e6);
	print_media(farm, "sampled", true, now);
	print_media(farm, "others", false, now);
	printf(",\"not_read_in_time\":%lld", not_read_in_time());
	print_strange(farm);
	if (csv && *csv)
		printf(",\"csv\":%s", write_csv(farm, csv, now) ? "true" : "false");
	printf("}\n");
}
