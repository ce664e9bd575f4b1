// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Test tool, not a SIP server: answers every SIP request on one UDP address
 * with 200, statelessly. Scenarios and benchmarks use it where a real server
 * would only add noise, and give it the weight of one: threads, resident
 * memory, a latency distribution, core dumps. It must never be needed by the
 * programs themselves. The Server header of its answers names the instance.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define DATAGRAM_MAX 65536
#define ANSWER_MAX   4096
#define PENDING_MAX  4096

struct options {
	const char *name;
	struct sockaddr_in bind;
	int threads;
	long resident_mib;
	bool latency;
	double p50_ms, p90_ms, p99_ms, max_ms;
	bool core;
};

/* An answer that waits for its time; a sample of the latency is its delay. */
struct pending {
	int64_t due_ns;
	struct sockaddr_in to;
	int len;
	char text[ANSWER_MAX];
};

struct line {
	const char *start;
	int len;
};

static volatile sig_atomic_t stop;
static struct pending *pending[PENDING_MAX]; /* a binary heap by due_ns */
static int n_pending;
static unsigned long dropped;

static void on_signal(int signal)
{
	stop = 1;
}

static int64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void heap_push(struct pending *p)
{
	int i = n_pending++;
	for (; i > 0 && pending[(i - 1) / 2]->due_ns > p->due_ns; i = (i - 1) / 2)
		pending[i] = pending[(i - 1) / 2];
	pending[i] = p;
}

static struct pending *heap_pop(void)
{
	struct pending *top = pending[0], *last = pending[--n_pending];
	int i = 0;
	for (;;) {
		int child = 2 * i + 1;
		if (child >= n_pending)
			break;
		if (child + 1 < n_pending && pending[child + 1]->due_ns < pending[child]->due_ns)
			child++;
		if (pending[child]->due_ns >= last->due_ns)
			break;
		pending[i] = pending[child];
		i = child;
	}
	pending[i] = last;
	return top;
}

/* Straight lines between the four points that were asked for. */
static double sample_ms(const struct options *o)
{
	double u = drand48();
	if (u < 0.5)
		return o->p50_ms * u / 0.5;
	if (u < 0.9)
		return o->p50_ms + (o->p90_ms - o->p50_ms) * (u - 0.5) / 0.4;
	if (u < 0.99)
		return o->p90_ms + (o->p99_ms - o->p90_ms) * (u - 0.9) / 0.09;
	return o->p99_ms + (o->max_ms - o->p99_ms) * (u - 0.99) / 0.01;
}

/* The next header line of text at *at; false at the empty line or the end. */
static bool next_line(const char *text, int len, int *at, struct line *ret)
{
	int end = *at;
	while (end < len && text[end] != '\n')
		end++;
	if (end >= len)
		return false;
	*ret = (struct line){text + *at, end - *at};
	if (ret->len > 0 && ret->start[ret->len - 1] == '\r')
		ret->len--;
	*at = end + 1;
	return ret->len > 0;
}

static bool is_header(struct line line, const char *name, char compact)
{
	int n = (int)strlen(name), i;
	if (line.len > n && strncasecmp(line.start, name, n) == 0)
		i = n;
	else if (compact && line.len > 1 && tolower((unsigned char)line.start[0]) == compact)
		i = 1;
	else
		return false;
	while (i < line.len && (line.start[i] == ' ' || line.start[i] == '\t'))
		i++;
	return i < line.len && line.start[i] == ':';
}

static int append(char *out, int at, const char *format, ...) __attribute__((format(printf, 3, 4)));
static int append(char *out, int at, const char *format, ...)
{
	va_list ap;
	if (at < 0)
		return at;
	va_start(ap, format);
	int n = vsnprintf(out + at, ANSWER_MAX - at, format, ap);
	va_end(ap);
	return n < 0 || at + n >= ANSWER_MAX ? -1 : at + n;
}

/* RFC 3581: an empty rport of the topmost Via gets the source port. */
static int append_via(char *out, int at, struct line line, const struct sockaddr_in *from)
{
	const char *rport = memmem(line.start, line.len, ";rport", 6);
	int before = rport ? (int)(rport - line.start) + 6 : 0;
	char address[INET_ADDRSTRLEN];

	if (!rport || (before < line.len && line.start[before] == '='))
		return append(out, at, "%.*s\r\n", line.len, line.start);
	inet_ntop(AF_INET, &from->sin_addr, address, sizeof(address));
	return append(out, at, "%.*s=%d;received=%s%.*s\r\n", before, line.start, ntohs(from->sin_port),
	              address, line.len - before, line.start + before);
}

/* Returns the answer's length, or -1: not a request, an ACK, or too long. */
static int make_answer(const struct options *o, const char *text, int len, const struct sockaddr_in *from,
                       char *out)
{
	struct line line;
	int at = 0, n, vias = 0;

	if (!next_line(text, len, &at, &line) || line.len < 8 || strncmp(line.start, "SIP/", 4) == 0 ||
	    strncmp(line.start, "ACK ", 4) == 0 || strncmp(line.start + line.len - 7, "SIP/2.0", 7) != 0)
		return -1;
	n = append(out, 0, "SIP/2.0 200 OK\r\n");
	while (next_line(text, len, &at, &line)) {
		if (is_header(line, "Via", 'v'))
			n = vias++ ? append(out, n, "%.*s\r\n", line.len, line.start)
			           : append_via(out, n, line, from);
		else if (is_header(line, "To", 't'))
			n = append(out, n, "%.*s%s%s\r\n", line.len, line.start,
			           memmem(line.start, line.len, ";tag=", 5) ? "" : ";tag=",
			           memmem(line.start, line.len, ";tag=", 5) ? "" : o->name);
		else if (is_header(line, "From", 'f') || is_header(line, "Call-ID", 'i') ||
		         is_header(line, "CSeq", 0) || is_header(line, "Record-Route", 0))
			n = append(out, n, "%.*s\r\n", line.len, line.start);
	}
	if (!vias)
		return -1;
	return append(out, n, "Server: sipserver/%s\r\nContent-Length: 0\r\n\r\n", o->name);
}

static void take_datagram(const struct options *o, int fd)
{
	static char text[DATAGRAM_MAX], answer[ANSWER_MAX];
	struct sockaddr_in from;
	socklen_t from_len = sizeof(from);
	ssize_t len = recvfrom(fd, text, sizeof(text), 0, (struct sockaddr *)&from, &from_len);

	if (len <= 0)
		return;
	int n = make_answer(o, text, (int)len, &from, answer);
	if (n < 0)
		return;
	if (!o->latency) {
		sendto(fd, answer, n, 0, (struct sockaddr *)&from, sizeof(from));
		return;
	}
	struct pending *p = n_pending < PENDING_MAX ? malloc(sizeof(*p)) : NULL;
	if (!p) {
		dropped++;
		return;
	}
	p->due_ns = now_ns() + (int64_t)(sample_ms(o) * 1e6);
	p->to = from;
	p->len = n;
	memcpy(p->text, answer, n);
	heap_push(p);
}

static void serve(const struct options *o, int fd)
{
	sigset_t none;

	sigemptyset(&none);
	while (!stop) {
		struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
		struct timespec wait, *timeout = NULL;
		int64_t now = now_ns();

		while (n_pending && pending[0]->due_ns <= now) {
			struct pending *p = heap_pop();
			sendto(fd, p->text, p->len, 0, (struct sockaddr *)&p->to, sizeof(p->to));
			free(p);
		}
		if (n_pending) {
			int64_t left = pending[0]->due_ns - now;
			wait = (struct timespec){left / 1000000000LL, left % 1000000000LL};
			timeout = &wait;
		}
		if (ppoll(&poll_fd, 1, timeout, &none) > 0)
			take_datagram(o, fd);
	}
}

/* There to be killed: a process with many threads takes longer to die. */
static void *idle(void *unused)
{
	for (;;)
		pause();
	return unused;
}

static int put_on_weight(const struct options *o)
{
	if (o->core) {
		struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
		if (setrlimit(RLIMIT_CORE, &all) || prctl(PR_SET_DUMPABLE, 1))
			return -errno;
	}
	if (o->resident_mib) {
		size_t size = (size_t)o->resident_mib << 20;
		char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (memory == MAP_FAILED)
			return -errno;
		for (size_t i = 0; i < size; i += 4096)
			memory[i] = (char)(i >> 12 | 1);
	}
	for (int i = 1; i < o->threads; i++) {
		pthread_t thread;
		pthread_attr_t attr;
		pthread_attr_init(&attr);
		pthread_attr_setstacksize(&attr, 64 << 10);
		int err = pthread_create(&thread, &attr, idle, NULL);
		if (err)
			return -err;
	}
	return 0;
}

static int usage(void)
{
	fprintf(stderr, "usage: sipserver [--name NAME] [--threads N] [--resident MiB] [--core]\n"
	                "                 [--latency P50,P90,P99,MAX (ms)] ADDRESS:PORT\n"
	                "A test tool: answers every SIP request on UDP with 200.\n");
	return 2;
}

static int parse(int argc, char **argv, struct options *o)
{
	static const struct option known[] = {
	        {"name", 1, NULL, 'n'},    {"threads", 1, NULL, 't'}, {"resident", 1, NULL, 'r'},
	        {"latency", 1, NULL, 'l'}, {"core", 0, NULL, 'c'},    {NULL, 0, NULL, 0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (c == 'n')
			o->name = optarg;
		else if (c == 't')
			o->threads = atoi(optarg);
		else if (c == 'r')
			o->resident_mib = atol(optarg);
		else if (c == 'c')
			o->core = true;
		else if (c == 'l' && sscanf(optarg, "%lf,%lf,%lf,%lf", &o->p50_ms, &o->p90_ms, &o->p99_ms,
		                            &o->max_ms) == 4)
			o->latency = true;
		else
			return -EINVAL;
	}
	if (optind != argc - 1 || o->threads < 1 || o->resident_mib < 0)
		return -EINVAL;
	char *colon = strrchr(argv[optind], ':');
	if (!colon)
		return -EINVAL;
	*colon = 0;
	o->bind.sin_family = AF_INET;
	o->bind.sin_port = htons((uint16_t)atoi(colon + 1));
	return inet_pton(AF_INET, argv[optind], &o->bind.sin_addr) == 1 ? 0 : -EINVAL;
}

int main(int argc, char **argv)
{
	struct options o = {.name = "test", .threads = 1};

	if (parse(argc, argv, &o))
		return usage();
	/* Blocked in every thread, let in by ppoll alone: no signal is missed. */
	sigset_t both;
	sigemptyset(&both);
	sigaddset(&both, SIGTERM);
	sigaddset(&both, SIGINT);
	sigprocmask(SIG_BLOCK, &both, NULL);
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	srand48(getpid());
	int err = put_on_weight(&o);
	if (err) {
		fprintf(stderr, "sipserver: %s\n", strerror(-err));
		return 1;
	}
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&o.bind, sizeof(o.bind))) {
		perror("sipserver: bind");
		return 1;
	}
	printf("sipserver: listening\n");
	fflush(stdout);
	serve(&o, fd);
	if (dropped)
		fprintf(stderr, "sipserver: %lu answers dropped, too many were waiting\n", dropped);
	return 0;
}
