/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The benchmark's client: sends a numbered SIP OPTIONS at a fixed rate and
 * reports the silences between consecutive answers, the requests that were
 * never answered, and its own stalls, so that noise of the machine can be told
 * from the thing measured. Answers are timed by the kernel when they arrive
 * (SO_TIMESTAMPNS), so this program's own scheduling does not add to a silence.
 * It measures and never judges. Started by bench/takeover and bench/soak-false.
 *
 * All times in the output are CLOCK_BOOTTIME nanoseconds.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S      1000000000LL
#define RCVBUF_BYTES  (8 << 20)
#define GRACE_NS      (100 * 1000000LL) /* wait for late answers at the end */
#define MAX_REQUESTS  (20 * 1000 * 1000)
#define SERVER_HEADER "\nServer: "

struct options {
	const char *target;
	int port;
	int64_t interval_ns;
	int64_t duration_ns;
	int64_t gap_ns;
	int64_t stall_ns;
	int64_t after_change_ns; /* 0 = go on for the whole duration */
	uint32_t announce;       /* say "ready" after this many answers, 0 = never */
	int priority;
	bool json;
};

/* One request; both arrays of these are locked in memory before the first is sent. */
struct request {
	int64_t sent_ns;
	int64_t answered_ns; /* 0 = not answered */
	uint32_t late_ns;    /* how much later than due it was sent */
	char server;         /* last character of the answer's Server header, 0 = none */
	uint8_t duplicates;
};

struct run {
	struct options opt;
	struct sockaddr_in to;
	struct sockaddr_in from;
	struct request *requests;
	uint32_t *order; /* request numbers in the order of their answers */
	uint32_t capacity;
	uint32_t sent;
	uint32_t answered;
	uint32_t duplicates;
	uint32_t refused;   /* sends that failed */
	uint32_t foreign;   /* packets that answer nothing of ours */
	int64_t changed_ns; /* first answer by another server than the first one's, 0 = none */
	char first_server;
	int64_t real_to_boot_ns; /* boottime = realtime + this */
	uint32_t tag;            /* makes the Call-ID of two clients differ */
	int fd;
};

static volatile sig_atomic_t stop_requested;

static void on_stop(int signal_number)
{
	stop_requested = 1;
}

static int64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static void sleep_until(int64_t at_ns)
{
	struct timespec ts = {.tv_sec = at_ns / NS_PER_S, .tv_nsec = at_ns % NS_PER_S};

	while (clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &ts, NULL) == EINTR && !stop_requested)
		;
}

/* The tightest of a few readings, so that a preemption between two clocks does not count. */
static int64_t real_to_boot_offset(void)
{
	int64_t best_width_ns = INT64_MAX, offset_ns = 0;

	for (int i = 0; i < 50; i++) {
		int64_t before_ns = clock_ns(CLOCK_BOOTTIME);
		int64_t real_ns = clock_ns(CLOCK_REALTIME);
		int64_t after_ns = clock_ns(CLOCK_BOOTTIME);

		if (after_ns - before_ns < best_width_ns) {
			best_width_ns = after_ns - before_ns;
			offset_ns = before_ns + best_width_ns / 2 - real_ns;
		}
	}
	return offset_ns;
}

static void send_one(struct run *run, int64_t due_ns)
{
	char text[640], address[INET_ADDRSTRLEN];
	uint32_t number = run->sent;
	struct request *request = &run->requests[number];
	int len;

	inet_ntop(AF_INET, &run->from.sin_addr, address, sizeof(address));
	len = snprintf(text, sizeof(text),
	               "OPTIONS sip:bench@%s:%d SIP/2.0\r\n"
	               "Via: SIP/2.0/UDP %s:%d;branch=z9hG4bK%08x.%u\r\n"
	               "Max-Forwards: 70\r\n"
	               "From: <sip:client@%s>;tag=%08x\r\n"
	               "To: <sip:bench@%s>\r\n"
	               "Call-ID: %08x.%u\r\n"
	               "CSeq: %u OPTIONS\r\n"
	               "Content-Length: 0\r\n\r\n",
	               run->opt.target, run->opt.port, address, ntohs(run->from.sin_port), run->tag, number,
	               address, run->tag, run->opt.target, run->tag, number, number + 1);
	request->sent_ns = clock_ns(CLOCK_BOOTTIME);
	request->late_ns = (uint32_t)(request->sent_ns - due_ns);
	if (sendto(run->fd, text, (size_t)len, MSG_DONTWAIT, (struct sockaddr *)&run->to, sizeof(run->to)) <
	    0)
		run->refused++;
	run->sent++;
}

static int64_t arrival_ns(const struct run *run, struct msghdr *message)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		struct timespec ts;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS)
			continue;
		memcpy(&ts, CMSG_DATA(c), sizeof(ts));
		return ts.tv_sec * NS_PER_S + ts.tv_nsec + run->real_to_boot_ns;
	}
	return clock_ns(CLOCK_BOOTTIME);
}

static char server_letter(const char *text)
{
	const char *header = strstr(text, SERVER_HEADER);
	size_t len;

	if (!header)
		return 0;
	header += strlen(SERVER_HEADER);
	len = strcspn(header, "\r\n");
	return len ? header[len - 1] : 0;
}

static void take_answer(struct run *run, const char *text, int64_t at_ns)
{
	const char *cseq = strstr(text, "\nCSeq: ");
	unsigned long number = cseq ? strtoul(cseq + strlen("\nCSeq: "), NULL, 10) : 0;
	struct request *request;
	char tag[16];

	snprintf(tag, sizeof(tag), "tag=%08x", run->tag);
	if (strncmp(text, "SIP/2.0 ", 8) != 0 || number < 1 || number > run->sent || !strstr(text, tag)) {
		run->foreign++;
		return;
	}
	request = &run->requests[number - 1];
	if (request->answered_ns) {
		request->duplicates++;
		run->duplicates++;
		return;
	}
	request->answered_ns = at_ns;
	request->server = server_letter(text);
	run->order[run->answered++] = (uint32_t)(number - 1);
	if (run->answered == 1)
		run->first_server = request->server;
	else if (!run->changed_ns && request->server != run->first_server)
		run->changed_ns = at_ns;
	if (run->answered == run->opt.announce)
		dprintf(STDOUT_FILENO, "ready %c\n", request->server ? request->server : '?');
}

static void drain(struct run *run)
{
	for (;;) {
		char text[2048], control[128];
		struct iovec iov = {.iov_base = text, .iov_len = sizeof(text) - 1};
		struct msghdr message = {
		        .msg_iov = &iov,
		        .msg_iovlen = 1,
		        .msg_control = control,
		        .msg_controllen = sizeof(control),
		};
		ssize_t len = recvmsg(run->fd, &message, MSG_DONTWAIT);

		if (len < 0)
			return;
		text[len] = '\0';
		take_answer(run, text, arrival_ns(run, &message));
	}
}

static void run_loop(struct run *run)
{
	int64_t start_ns = clock_ns(CLOCK_BOOTTIME) + 1000000;
	int64_t due_ns = start_ns;

	while (!stop_requested && run->sent < run->capacity && due_ns - start_ns < run->opt.duration_ns) {
		sleep_until(due_ns);
		if (stop_requested)
			break;
		send_one(run, due_ns);
		drain(run);
		if (run->changed_ns && run->opt.after_change_ns &&
		    due_ns > run->changed_ns + run->opt.after_change_ns)
			break;
		due_ns += run->opt.interval_ns;
		/* After a stall go on from now: a burst would measure the server's queue. */
		if (due_ns < clock_ns(CLOCK_BOOTTIME) - run->opt.interval_ns)
			due_ns = clock_ns(CLOCK_BOOTTIME) + run->opt.interval_ns;
	}
	for (int64_t end_ns = clock_ns(CLOCK_BOOTTIME) + GRACE_NS; clock_ns(CLOCK_BOOTTIME) < end_ns;) {
		sleep_until(clock_ns(CLOCK_BOOTTIME) + run->opt.interval_ns);
		drain(run);
		if (run->answered == run->sent)
			break;
	}
}

static int by_answer_time(const void *a, const void *b, void *requests)
{
	const struct request *all = requests;
	int64_t left_ns = all[*(const uint32_t *)a].answered_ns,
	        right_ns = all[*(const uint32_t *)b].answered_ns;

	return left_ns < right_ns ? -1 : left_ns > right_ns;
}

/* Each silence over the threshold as [from, length, server before, server after]. */
static void print_gaps(const struct run *run)
{
	const char *comma = "";

	for (uint32_t i = 1; i < run->answered; i++) {
		const struct request *before = &run->requests[run->order[i - 1]];
		const struct request *after = &run->requests[run->order[i]];
		int64_t gap_ns = after->answered_ns - before->answered_ns;

		if (gap_ns < run->opt.gap_ns && before->server == after->server)
			continue;
		if (run->opt.json)
			printf("%s[%lld,%lld,\"%.1s\",\"%.1s\"]", comma, (long long)before->answered_ns,
			       (long long)gap_ns, &before->server, &after->server);
		else
			printf("gap %.3f ms from %lld, %c then %c\n", (double)gap_ns / 1e6,
			       (long long)before->answered_ns, before->server ? before->server : '?',
			       after->server ? after->server : '?');
		comma = ",";
	}
}

static void print_lost(const struct run *run)
{
	const char *comma = "";

	for (uint32_t i = 0; i < run->sent; i++) {
		if (run->requests[i].answered_ns)
			continue;
		printf("%s%lld", comma, (long long)run->requests[i].sent_ns);
		comma = ",";
	}
}

static void print_stalls(const struct run *run)
{
	const char *comma = "";

	for (uint32_t i = 0; i < run->sent; i++) {
		if (run->requests[i].late_ns < run->opt.stall_ns)
			continue;
		printf("%s[%lld,%u]", comma, (long long)run->requests[i].sent_ns, run->requests[i].late_ns);
		comma = ",";
	}
}

static void report(const struct run *run)
{
	int64_t worst_gap_ns = 0, first_ns = 0, last_ns = 0;
	uint32_t worst_late_ns = 0, stalls = 0;

	for (uint32_t i = 0; i < run->sent; i++) {
		if (run->requests[i].late_ns > worst_late_ns)
			worst_late_ns = run->requests[i].late_ns;
		stalls += run->requests[i].late_ns >= run->opt.stall_ns;
	}
	for (uint32_t i = 0; i < run->answered; i++) {
		int64_t at_ns = run->requests[run->order[i]].answered_ns;

		if (i && at_ns - last_ns > worst_gap_ns)
			worst_gap_ns = at_ns - last_ns;
		first_ns = i ? first_ns : at_ns;
		last_ns = at_ns;
	}
	if (!run->opt.json) {
		print_gaps(run);
		printf("sent %u answered %u lost %u duplicates %u; longest silence %.3f ms; own stalls %u, "
		       "worst %.3f ms\n",
		       run->sent, run->answered, run->sent - run->answered, run->duplicates,
		       (double)worst_gap_ns / 1e6, stalls, worst_late_ns / 1e6);
		return;
	}
	printf("{\"interval_ns\":%lld,\"sent\":%u,\"answered\":%u,\"duplicates\":%u,\"send_errors\":%u,"
	       "\"foreign\":%u,\"first_ns\":%lld,\"changed_ns\":%lld,\"server\":\"%.1s\",\"last_ns\":%lld,"
	       "\"longest_ns\":%lld,\"late_max_ns\":%u,"
	       "\"gaps\":[",
	       (long long)run->opt.interval_ns, run->sent, run->answered, run->duplicates, run->refused,
	       run->foreign, (long long)first_ns, (long long)run->changed_ns, &run->first_server,
	       (long long)last_ns, (long long)worst_gap_ns, worst_late_ns);
	print_gaps(run);
	printf("],\"lost\":[");
	print_lost(run);
	printf("],\"stalls\":[");
	print_stalls(run);
	printf("]}\n");
}

static int open_socket(struct run *run)
{
	int one = 1, size = RCVBUF_BYTES, probe;
	socklen_t len = sizeof(run->from);

	run->to = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)run->opt.port)};
	if (inet_pton(AF_INET, run->opt.target, &run->to.sin_addr) != 1)
		return -EINVAL;
	/* A connected twin tells which address of ours the target sees. */
	probe = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (probe < 0)
		return -errno;
	if (connect(probe, (struct sockaddr *)&run->to, sizeof(run->to)) < 0 ||
	    getsockname(probe, (struct sockaddr *)&run->from, &len) < 0) {
		int err = -errno;

		close(probe);
		return err;
	}
	close(probe);
	/* Itself not connected: a refused datagram must not fail the next one. */
	run->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (run->fd < 0)
		return -errno;
	run->from.sin_port = 0;
	if (bind(run->fd, (struct sockaddr *)&run->from, sizeof(run->from)) < 0 ||
	    getsockname(run->fd, (struct sockaddr *)&run->from, &len) < 0 ||
	    setsockopt(run->fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof(one)) < 0)
		return -errno;
	if (setsockopt(run->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		fprintf(stderr, "client: receive buffer not enlarged: %s\n", strerror(errno));
	return 0;
}

static int prepare(struct run *run)
{
	struct sched_param priority = {.sched_priority = run->opt.priority};
	int64_t wanted = run->opt.duration_ns / run->opt.interval_ns + 2;

	run->capacity = wanted > MAX_REQUESTS ? MAX_REQUESTS : (uint32_t)wanted;
	run->requests = calloc(run->capacity, sizeof(*run->requests));
	run->order = calloc(run->capacity, sizeof(*run->order));
	if (!run->requests || !run->order)
		return -ENOMEM;
	run->tag = (uint32_t)(clock_ns(CLOCK_BOOTTIME) ^ ((uint32_t)getpid() << 16));
	run->real_to_boot_ns = real_to_boot_offset();
	if (mlockall(MCL_CURRENT | MCL_FUTURE) < 0)
		fprintf(stderr, "client: memory not locked: %s\n", strerror(errno));
	if (run->opt.priority && sched_setscheduler(0, SCHED_FIFO, &priority) < 0)
		fprintf(stderr, "client: not real-time: %s\n", strerror(errno));
	signal(SIGINT, on_stop);
	signal(SIGTERM, on_stop);
	return open_socket(run);
}

static void usage(void)
{
	fputs("usage: client --target ADDRESS [--port 5060] [--interval-us 200] [--duration-ms 1000]\n"
	      "              [--gap-us 1000] [--stall-us 200] [--priority 90] [--json]\n"
	      "              [--announce 0] [--after-change-ms 0]\n"
	      "  --gap-us    report silences of at least this long (0: all)\n"
	      "  --stall-us  report own sends that were at least this late\n"
	      "  --priority  SCHED_FIFO priority, 0 = ordinary\n"
	      "  --announce  print \"ready X\" after this many answers, X = last letter of Server\n"
	      "  --after-change-ms  end this long after another server answered for the first time\n"
	      "SIGINT or SIGTERM ends it early; the report covers what was sent.\n",
	      stderr);
}

int main(int argc, char **argv)
{
	static const struct option longopts[] = {
	        {"target", required_argument, NULL, 't'},
	        {"port", required_argument, NULL, 'p'},
	        {"interval-us", required_argument, NULL, 'i'},
	        {"duration-ms", required_argument, NULL, 'd'},
	        {"gap-us", required_argument, NULL, 'g'},
	        {"stall-us", required_argument, NULL, 's'},
	        {"priority", required_argument, NULL, 'r'},
	        {"json", no_argument, NULL, 'j'},
	        {"announce", required_argument, NULL, 'a'},
	        {"after-change-ms", required_argument, NULL, 'c'},
	        {"help", no_argument, NULL, 'h'},
	        {0},
	};
	static struct run run = {
	        .opt = {.port = 5060,
	                .interval_ns = 200000,
	                .duration_ns = NS_PER_S,
	                .gap_ns = 1000000,
	                .stall_ns = 200000,
	                .priority = 90},
	};
	int c, err;

	while ((c = getopt_long(argc, argv, "", longopts, NULL)) != -1) {
		switch (c) {
		case 't':
			run.opt.target = optarg;
			break;
		case 'p':
			run.opt.port = atoi(optarg);
			break;
		case 'i':
			run.opt.interval_ns = atoll(optarg) * 1000;
			break;
		case 'd':
			run.opt.duration_ns = atoll(optarg) * 1000000;
			break;
		case 'g':
			run.opt.gap_ns = atoll(optarg) * 1000;
			break;
		case 's':
			run.opt.stall_ns = atoll(optarg) * 1000;
			break;
		case 'r':
			run.opt.priority = atoi(optarg);
			break;
		case 'a':
			run.opt.announce = (uint32_t)atoi(optarg);
			break;
		case 'c':
			run.opt.after_change_ns = atoll(optarg) * 1000000;
			break;
		case 'j':
			run.opt.json = true;
			break;
		default:
			usage();
			return c == 'h' ? 0 : 2;
		}
	}
	if (!run.opt.target || run.opt.interval_ns <= 0 || run.opt.duration_ns <= 0 || optind != argc) {
		usage();
		return 2;
	}
	err = prepare(&run);
	if (err) {
		fprintf(stderr, "client: cannot start: %s\n", strerror(-err));
		return 1;
	}
	run_loop(&run);
	qsort_r(run.order, run.answered, sizeof(*run.order), by_answer_time, run.requests);
	report(&run);
	return 0;
}
