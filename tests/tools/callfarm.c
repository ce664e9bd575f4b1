// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A test tool: thousands of phones in one process. It places calls or answers
 * them, sends RTP whose payload carries sequence numbers and send times, and
 * counts what the other side's phones lost on the way; farm/ has the phones. It
 * is told what to do by lines on standard input (--help lists them) and answers
 * each with one line of JSON; at the end of its input it reports and ends. Times
 * are CLOCK_BOOTTIME. Used by bench/calls.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "farm/farm.h"

#define EVENTS    1024 /* a starved process must not leave the same sockets for later each time */
#define SIP_READS 64
#define NS_PER_S  1000000000LL
#define NS_PER_MS 1000000LL
#define TICK_NS   (50 * NS_PER_MS)

enum job_kind { JOB_NONE, JOB_PLACE, JOB_HOLD, JOB_RESUME, JOB_BYE };

static struct farm farm = {
        .caller_base = 1000000,
        .callee_base = 2000000,
        .sample = 100,
        .sample_ns = 20 * NS_PER_MS,
        .other_ns = 1000 * NS_PER_MS,
        .rtp_first = 10000,
        .payload = 160,
};

/* One thing done to many calls at a rate. */
static struct {
	enum job_kind kind;
	uint32_t next, step, left;
	double rate;
	int64_t started_ns;
	uint32_t done;
} job;

static struct {
	char line[512];
	size_t len;
	bool ended;
} input;

static volatile sig_atomic_t stop;

static void on_signal(int signal)
{
	stop = 1;
}

/* --- jobs ---------------------------------------------------------------------------- */
static void job_step(void)
{
	uint32_t index = job.next;
	struct farm_call *call = index < farm.n ? farm.call[index] : NULL;

	job.next += job.step;
	job.left--;
	if (job.kind == JOB_PLACE)
		farm.refused += farm_call_place(&farm, index) != 0;
	else if (call && job.kind == JOB_HOLD)
		farm_call_reinvite(&farm, call, ACT_HOLD);
	else if (call && job.kind == JOB_RESUME && call->hold_status)
		farm_call_reinvite(&farm, call, ACT_RESUME);
	else if (call && job.kind == JOB_BYE)
		farm_call_bye(&farm, call);
}

static void job_run(int64_t now_ns)
{
	uint32_t due = job.kind ? (uint32_t)((double)(now_ns - job.started_ns) * job.rate / NS_PER_S) + 1 : 0;

	for (; job.left && job.done < due; job.done++)
		job_step();
	if (!job.left)
		job.kind = JOB_NONE;
	farm.busy = job.kind != JOB_NONE;
}

static bool job_start(enum job_kind kind, uint32_t first, uint32_t count, uint32_t step, double rate)
{
	if (job.kind || rate <= 0 || !step)
		return false;
	job.kind = kind;
	job.next = first;
	job.step = step;
	job.left = count;
	job.rate = rate;
	job.done = 0;
	job.started_ns = boot_ns();
	farm.busy = true;
	return true;
}

/* --- commands -------------------------------------------------------------------------------- */
static bool command(char *line)
{
	char word[16] = "", path[256] = "";
	unsigned int a = 0, b = 0, c = 0;
	long long ns = 0;
	double rate = 100;

	if (sscanf(line, "%15s", word) != 1)
		return true;
	if (!strcmp(word, "place") && sscanf(line, "%*s %u %lf %u", &a, &rate, &b) >= 1)
		return farm.calls_out && farm.rtp_first + 2 * (a + b) < 65536 &&
		       job_start(JOB_PLACE, b, a, 1, rate);
	if (!strcmp(word, "hold") && sscanf(line, "%*s %u %lf", &a, &rate) >= 1 && a)
		return job_start(JOB_HOLD, 0, a, farm.n > a ? farm.n / a : 1, rate);
	if (!strcmp(word, "resume") && sscanf(line, "%*s %u %lf", &a, &rate) >= 1 && a)
		return job_start(JOB_RESUME, 0, a, farm.n > a ? farm.n / a : 1, rate);
	if (!strcmp(word, "bye") && sscanf(line, "%*s %u %lf %u", &a, &rate, &c) >= 1)
		return job_start(JOB_BYE, c, a, 1, rate);
	if (!strcmp(word, "wire") && sscanf(line, "%*s %u %63s %u", &a, path, &b) == 3)
		return farm_call_wire(&farm, a, path, (uint16_t)b) == 0;
	if (!strcmp(word, "mark") && sscanf(line, "%*s %lld", &ns) == 1) {
		farm.mark_ns = ns;
		return true;
	}
	if (!strcmp(word, "window")) {
		farm_media_window(&farm, boot_ns());
		return true;
	}
	if (!strcmp(word, "report")) {
		sscanf(line, "%*s %255s", path);
		farm_report(&farm, path);
		return true;
	}
	if (!strcmp(word, "status")) {
		farm_status(&farm);
		return true;
	}
	stop = !strcmp(word, "quit");
	return stop;
}

static void run_line(char *line)
{
	bool tells = !strncmp(line, "report", 6) || !strncmp(line, "status", 6);
	bool good = command(line);

	if (!good || !tells)
		printf("{\"ok\":%s}\n", good ? "true" : "false");
	fflush(stdout);
}

static void read_commands(void)
{
	ssize_t n = read(STDIN_FILENO, input.line + input.len, sizeof(input.line) - 1 - input.len);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0 || input.len + (size_t)n == sizeof(input.line) - 1) {
		input.ended = true;
		stop = 1;
		return;
	}
	input.len += (size_t)n;
	input.line[input.len] = 0;
	char *at = input.line, *end;
	while ((end = strchr(at, '\n'))) {
		*end = 0;
		run_line(at);
		at = end + 1;
	}
	input.len -= (size_t)(at - input.line);
	memmove(input.line, at, input.len);
}

/* --- the loop ----------------------------------------------------------------------------------- */
static void read_sip(void)
{
	static char datagram[65536];

	for (int i = 0; i < SIP_READS; i++) {
		char control[64];
		struct sockaddr_in from;
		struct iovec part = {datagram, sizeof(datagram)};
		struct msghdr msg = {&from, sizeof(from), &part, 1, control, sizeof(control), 0};
		struct timespec t;
		int64_t at_ns = boot_ns();
		ssize_t n = recvmsg(farm.sip, &msg, 0);
		if (n < 0)
			return;
		for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c))
			if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
				memcpy(&t, CMSG_DATA(c), sizeof(t));
				at_ns = t.tv_sec * NS_PER_S + t.tv_nsec - farm.realtime_offset_ns;
			}
		farm_call_datagram(&farm, datagram, (size_t)n, &from, at_ns);
	}
}

static void read_offset(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	farm.realtime_offset_ns = t.tv_sec * NS_PER_S + t.tv_nsec - boot_ns();
}

static void serve(void)
{
	static struct epoll_event events[EVENTS];
	int64_t tick = 0;

	while (!stop) {
		int n = epoll_wait(farm.epoll, events, EVENTS, 1);
		read_sip();
		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr == &input)
				read_commands();
			else if (events[i].data.ptr != &farm)
				farm_media_read(&farm, events[i].data.ptr);
		}
		int64_t now = boot_ns();
		farm_media_send_due(&farm, now);
		job_run(now);
		if (now > tick) {
			farm_call_tick(&farm, now);
			read_offset();
			tick = now + TICK_NS;
		}
	}
}

static int usage(void)
{
	puts("usage: callfarm (--call ADDR[:PORT] | --answer) [options] ADDR[:PORT]\n"
	     "A test tool: thousands of phones on one address; RTP is counted, not guessed.\n"
	     "  --sample N       the first N calls send every --sample-ms (100; 20 ms), the others every\n"
	     "  --other-ms MS    (1000)\n"
	     "  --rtp PORT       first RTP port; each call has its own (10000)\n"
	     "  --payload BYTES  of RTP (160)\n"
	     "Commands on standard input, each answered with a line of JSON:\n"
	     "  place N RATE [FIRST]   hold N RATE   resume N RATE   bye N RATE [FIRST]   N calls, RATE a "
	     "second\n"
	     "  wire INDEX ADDR PORT   a call without SIP: RTP goes there from now on\n"
	     "  window           what is counted of media begins here\n"
	     "  mark NS          the time after which the first packet is told\n"
	     "  status           report [CSV-FILE]      quit");
	return 2;
}

static bool parse(int argc, char **argv)
{
	static const struct option known[] = {
	        {"call", 1, NULL, 'c'},     {"answer", 0, NULL, 'a'},    {"sample", 1, NULL, 's'},
	        {"other-ms", 1, NULL, 'o'}, {"sample-ms", 1, NULL, 'm'}, {"rtp", 1, NULL, 'r'},
	        {"payload", 1, NULL, 'p'},  {"help", 0, NULL, 'h'},      {NULL, 0, NULL, 0}};
	bool role = false;
	int c;

	while ((c = getopt_long(argc, argv, "h", known, NULL)) != -1) {
		long value = optarg ? atol(optarg) : 0;
		if (c == 'c')
			role = farm.calls_out = endpoint_read(optarg, &farm.vip);
		else if (c == 'a')
			role = true;
		else if (c == 's')
			farm.sample = (uint32_t)value;
		else if (c == 'o' && value > 0 && value < FARM_WHEEL / 2)
			farm.other_ns = value * NS_PER_MS;
		else if (c == 'm' && value > 0 && value < FARM_WHEEL / 2)
			farm.sample_ns = value * NS_PER_MS;
		else if (c == 'r' && value > 0 && value < 65536)
			farm.rtp_first = (uint16_t)value;
		else if (c == 'p' && value >= 32 && value <= 320)
			farm.payload = (size_t)value;
		else
			return false;
	}
	return role && optind == argc - 1 && endpoint_read(argv[optind], &farm.bind);
}

static int start(void)
{
	struct rlimit files = {FARM_CALLS_MAX + 64, FARM_CALLS_MAX + 64};
	struct epoll_event sip = {.events = EPOLLIN, .data.ptr = &farm};
	struct epoll_event commands = {.events = EPOLLIN, .data.ptr = &input};
	int room = 16 << 20, one = 1;

	setrlimit(RLIMIT_NOFILE, &files);
	prctl(PR_SET_TIMERSLACK, 10000);
	farm.epoll = epoll_create1(EPOLL_CLOEXEC);
	farm.sip = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (farm.epoll < 0 || farm.sip < 0 ||
	    bind(farm.sip, (struct sockaddr *)&farm.bind, sizeof(farm.bind)) ||
	    setsockopt(farm.sip, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof(one)) ||
	    epoll_ctl(farm.epoll, EPOLL_CTL_ADD, farm.sip, &sip) ||
	    epoll_ctl(farm.epoll, EPOLL_CTL_ADD, STDIN_FILENO, &commands))
		return -errno;
	setsockopt(farm.sip, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	fcntl(STDIN_FILENO, F_SETFL, fcntl(STDIN_FILENO, F_GETFL) | O_NONBLOCK);
	inet_ntop(AF_INET, &farm.bind.sin_addr, farm.host, sizeof(farm.host));
	farm.run = (uint32_t)(boot_ns() / 1000) ^ (uint32_t)getpid() << 20;
	srand48(farm.run);
	read_offset();
	return 0;
}

int main(int argc, char **argv)
{
	if (!parse(argc, argv))
		return usage();
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	int err = start();
	if (err) {
		fprintf(stderr, "callfarm: %s\n", strerror(-err));
		return 1;
	}
	puts("{\"ready\":true}");
	fflush(stdout);
	serve();
	if (input.ended)
		farm_report(&farm, NULL);
	return 0;
}
