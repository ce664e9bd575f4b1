/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How many captured SIP messages one core follows: whole calls of a back-to-back
 * server (both legs: INVITE, 100, 180, 200, ACK, BYE, 200), as FreeSWITCH writes
 * them, through parser, dialog table and pairing, with a number of other calls up
 * all the while. Prints messages a second of one core's
 * time, and how long a single one took.
 *   track [CALLS-UP] [CALLS]      default 10000 20000
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../user/calls/track.h"

#define DIALOGS 65536

static struct dialog_table table;
static struct track track = {.table = &table};
static uint64_t *took;
static size_t n_took, max_took;

/* CPU time of this thread: what others do on the machine does not count. */
static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

static const char sdp[] = "v=0\r\no=FreeSWITCH 17%08u 1700000001 IN IP4 10.9.0.100\r\ns=FreeSWITCH\r\n"
                          "c=IN IP4 10.9.0.100\r\nt=0 0\r\nm=audio %u RTP/AVP 8 0 101\r\na=rtpmap:8 "
                          "PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n"
                          "a=fmtp:101 0-15\r\na=ptime:20\r\n";

static int put(char *buf, size_t size, unsigned int call, bool b, const char *first, const char *method,
               unsigned int cseq, bool to_tag, bool body)
{
	unsigned int from = 100000 + call, to = 500000 + call;
	char text[512] = "";
	int n = body ? snprintf(text, sizeof(text), sdp, call / 7, 16384 + 2 * (call % 8000)) : 0;

	return snprintf(
	        buf, size,
	        "%s SIP/2.0\r\nVia: SIP/2.0/UDP 10.9.0.11:5060;rport;branch=z9hG4bK%c%u%s%u\r\n"
	        "Max-Forwards: 69\r\nFrom: \"Extension %u\" <sip:%u@10.9.0.100>;tag=f%c%u\r\n"
	        "To: <sip:%u@10.9.0.100>%s%c%u\r\nCall-ID: %c-%u-8f7c1d2e-aabb-123c\r\nCSeq: %u %s\r\n"
	        "Contact: <sip:mod_sofia@10.9.0.100:5060>\r\nUser-Agent: FreeSWITCH-mod_sofia/1.10\r\n"
	        "Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, MESSAGE, INFO, UPDATE, REGISTER, REFER, NOTIFY\r\n"
	        "Supported: timer, path, replaces\r\nAllow-Events: talk, hold, conference, refer\r\n%s%s"
	        "Content-Length: %d\r\n\r\n%s",
	        first, b ? 'b' : 'a', call, method, cseq, from, from, b ? 'b' : 'a', call, to,
	        to_tag ? ";tag=t" : ";x=", b ? 'b' : 'a', call, b ? 'b' : 'a', call, cseq, method,
	        b ? "Remote-Party-ID: <sip:caller@10.9.0.100>;party=calling;screen=yes\r\n" : "",
	        body ? "Content-Type: application/sdp\r\n" : "", n, text);
}

static void message(unsigned int call, bool b, bool out, const char *first, const char *method,
                    unsigned int cseq, bool to_tag, bool body)
{
	static _Alignas(struct capture_record) uint8_t mem[4096];
	static uint64_t clock_ns = 1000000000000ULL;
	struct capture_record *r = (void *)mem;
	char line[96];
	uint64_t begin;

	memset(r, 0, sizeof(*r));
	if (strstr(first, "%u"))
		snprintf(line, sizeof(line), first, 500000 + call);
	else
		snprintf(line, sizeof(line), "%s", first);
	r->len = (uint32_t)put((char *)r->data, sizeof(mem) - sizeof(*r), call, b, line, method, cseq, to_tag,
	                       body);
	/* a status line has the version first */
	if (!strchr(line, ':')) {
		char *at = (char *)r->data;
		size_t code = strlen(line);

		memmove(at + 8, at, code);
		memcpy(at, "SIP/2.0 ", 8);
	}
	clock_ns += 10000;
	r->at_ns = clock_ns;
	r->direction = out ? CAPTURE_OUT : CAPTURE_IN;
	r->remote_port = 5060;
	begin = now_ns();
	track_datagram(&track, r, mono_ns((int64_t)clock_ns));
	if (n_took < max_took)
		took[n_took++] = now_ns() - begin;
}

static void begin_call(unsigned int call)
{
	message(call, false, false, "INVITE sip:%u@10.9.0.100", "INVITE", 1, false, true);
	message(call, false, true, "100 Trying", "INVITE", 1, false, false);
	message(call, true, true, "INVITE sip:%u@10.9.0.12", "INVITE", 5, false, true);
	message(call, true, false, "100 Trying", "INVITE", 5, false, false);
	message(call, true, false, "180 Ringing", "INVITE", 5, true, false);
	message(call, false, true, "180 Ringing", "INVITE", 1, true, false);
	message(call, true, false, "200 OK", "INVITE", 5, true, true);
	message(call, true, true, "ACK sip:%u@10.9.0.12", "ACK", 5, true, false);
	message(call, false, true, "200 OK", "INVITE", 1, true, true);
	message(call, false, false, "ACK sip:%u@10.9.0.100", "ACK", 1, true, false);
}

static void end_call(unsigned int call)
{
	message(call, false, false, "BYE sip:%u@10.9.0.100", "BYE", 2, true, false);
	message(call, false, true, "200 OK", "BYE", 2, true, false);
	message(call, true, true, "BYE sip:%u@10.9.0.12", "BYE", 6, true, false);
	message(call, true, false, "200 OK", "BYE", 6, true, false);
}

static int by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

int main(int argc, char **argv)
{
	unsigned int up = argc > 1 ? (unsigned int)atoi(argv[1]) : 10000;
	unsigned int calls = argc > 2 ? (unsigned int)atoi(argv[2]) : 20000;
	uint64_t sum = 0;

	if (dialog_table_init(&table, DIALOGS, 7) < 0)
		return 1;
	for (unsigned int i = 0; i < up; i++)
		begin_call(i);
	max_took = (size_t)calls * 14;
	took = calloc(max_took ? max_took : 1, sizeof(*took));
	if (!took)
		return 1;
	for (unsigned int i = 0; i < calls; i++) {
		begin_call(up + i);
		end_call(i);
		/* 32 s of ended dialogs at 200 calls/s are what a table holds; here they go sooner */
		dialog_table_expire(&table,
		                    mono_ns((int64_t)(1000000000000ULL +
		                                      track.counters.track_messages * 10000 + 60 * NS_PER_S)),
		                    16);
	}
	for (size_t i = 0; i < n_took; i++)
		sum += took[i];
	qsort(took, n_took, sizeof(*took), by_value);
	printf("%u calls up, %zu messages: %.0f messages/s on one core (%.2f us each)\n", up, n_took,
	       (double)n_took * 1e9 / (double)sum, (double)sum / 1e3 / (double)n_took);
	printf("one message: median %.1f us, p99 %.1f us, max %.0f us\n", (double)took[n_took / 2] / 1e3,
	       (double)took[n_took / 100 * 99] / 1e3, (double)took[n_took - 1] / 1e3);
	printf("understood %llu, malformed %llu, paired %llu, ambiguous %llu, dialogs %u\n",
	       (unsigned long long)track.counters.track_messages,
	       (unsigned long long)track.counters.track_malformed,
	       (unsigned long long)track.counters.track_paired,
	       (unsigned long long)track.counters.track_unpaired_ambiguous, table.used);
	free(took);
	dialog_table_done(&table);
	return 0;
}
