// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Test tool: a bad wire between ports of the lab's bridge, run in its namespace, for
 * kernels without netem. What comes in by FROM for TO is read, lost, doubled, damaged,
 * held back, or let through, and sent out by TO.
 *   badwire [--seed N] [--loss P] [--dup P] [--corrupt P] [--reorder P]
 *           [--delay-ms D] [--jitter-ms J] FROM:TO=MAC...
 * P in per cent. The bridge itself must not forward between these ports meanwhile
 * (ebtables), or all arrives twice: once it says "ready" on standard output, whoever
 * started it sees to that. Until SIGTERM or SIGINT; then it prints what it did as JSON.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PAIRS_MAX   32
#define HELD_MAX    4096
#define FRAME_BYTES 2048
#define NS_PER_MS   1000000LL

struct pair {
	char from[IFNAMSIZ], to[IFNAMSIZ];
	uint8_t mac[6];
	int socket; /* that reads `from`; shared by the pairs that have it in common */
	int to_ifindex;
};

struct held {
	int64_t due_ns;
	uint64_t number; /* in the order of arrival */
	int to_ifindex;
	size_t len;
	uint8_t *bytes;
};

static struct {
	struct pair pair[PAIRS_MAX];
	int n;
	double loss, dup, corrupt, reorder;
	int64_t delay_ns, jitter_ns;
	int out;
	struct held held[HELD_MAX]; /* a heap, the soonest first */
	size_t n_held;
	uint64_t seen, lost, doubled, damaged, late, too_long, no_room, unsent;
} wire;

static volatile sig_atomic_t stop;

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

static bool happens(double percent)
{
	return drand48() * 100 < percent;
}

static bool sooner(const struct held *a, const struct held *b)
{
	return a->due_ns < b->due_ns || (a->due_ns == b->due_ns && a->number < b->number);
}

static void hold(struct held item)
{
	size_t i = wire.n_held++;

	for (; i > 0 && sooner(&item, &wire.held[(i - 1) / 2]); i = (i - 1) / 2)
		wire.held[i] = wire.held[(i - 1) / 2];
	wire.held[i] = item;
}

static struct held take_first(void)
{
	struct held first = wire.held[0], last = wire.held[--wire.n_held];
	size_t i = 0;

	for (size_t child; (child = 2 * i + 1) < wire.n_held; i = child) {
		if (child + 1 < wire.n_held && sooner(&wire.held[child + 1], &wire.held[child]))
			child++;
		if (!sooner(&wire.held[child], &last))
			break;
		wire.held[i] = wire.held[child];
	}
	wire.held[i] = last;
	return first;
}

static void put_in(const struct pair *pair, const uint8_t *bytes, size_t len, int64_t now)
{
	static uint64_t number;
	int64_t wait = wire.delay_ns + (int64_t)(drand48() * (double)wire.jitter_ns);

	if (happens(wire.reorder)) { /* the next ones overtake it */
		wait += 3 * NS_PER_MS + wire.jitter_ns;
		wire.late++;
	}
	uint8_t *copy = wire.n_held < HELD_MAX ? malloc(len) : NULL;
	if (!copy) {
		wire.no_room++;
		return;
	}
	memcpy(copy, bytes, len);
	if (len > ETH_HLEN && happens(wire.corrupt)) {
		copy[ETH_HLEN + (size_t)lrand48() % (len - ETH_HLEN)] ^= (uint8_t)(1 << lrand48() % 8);
		wire.damaged++;
	}
	hold((struct held){now + wait, number++, pair->to_ifindex, len, copy});
}

static void take_frame(int socket)
{
	uint8_t bytes[FRAME_BYTES];
	struct sockaddr_ll from;
	socklen_t from_len = sizeof(from);
	int64_t now = now_ns();

	ssize_t n = recvfrom(socket, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_TRUNC, (struct sockaddr *)&from,
	                     &from_len);
	if (n < ETH_HLEN || from.sll_pkttype == PACKET_OUTGOING)
		return;
	if (n > (ssize_t)sizeof(bytes)) {
		wire.too_long++;
		return;
	}
	for (int i = 0; i < wire.n; i++) {
		const struct pair *pair = &wire.pair[i];
		if (pair->socket != socket || (!(bytes[0] & 1) && memcmp(bytes, pair->mac, 6) != 0))
			continue;
		wire.seen++;
		if (happens(wire.loss)) {
			wire.lost++;
			continue;
		}
		put_in(pair, bytes, (size_t)n, now);
		if (happens(wire.dup)) {
			put_in(pair, bytes, (size_t)n, now);
			wire.doubled++;
		}
	}
}

static void send_due(void)
{
	while (wire.n_held && wire.held[0].due_ns <= now_ns()) {
		struct held item = take_first();
		struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = item.to_ifindex};
		if (sendto(wire.out, item.bytes, item.len, MSG_DONTWAIT, (struct sockaddr *)&to, sizeof(to)) <
		    0)
			wire.unsent++;
		free(item.bytes);
	}
}

static void run(struct pollfd *fds, int n)
{
	while (!stop) {
		struct timespec pause = {0, 100 * NS_PER_MS};
		if (wire.n_held) {
			int64_t left = wire.held[0].due_ns - now_ns();
			pause.tv_nsec = left < 0 ? 0 : left < pause.tv_nsec ? left : pause.tv_nsec;
		}
		ppoll(fds, (nfds_t)n, &pause, NULL);
		for (int i = 0; i < n; i++)
			if (fds[i].revents)
				take_frame(fds[i].fd);
		send_due();
	}
}

static bool add_pair(char *text)
{
	struct pair *pair = &wire.pair[wire.n];
	char *to = strchr(text, ':'), *mac = to ? strchr(to, '=') : NULL;
	unsigned int m[6];

	if (!mac || wire.n == PAIRS_MAX)
		return false;
	*to++ = 0;
	*mac++ = 0;
	if (sscanf(mac, "%x:%x:%x:%x:%x:%x", &m[0], &m[1], &m[2], &m[3], &m[4], &m[5]) != 6)
		return false;
	for (int i = 0; i < 6; i++)
		pair->mac[i] = (uint8_t)m[i];
	snprintf(pair->from, sizeof(pair->from), "%s", text);
	snprintf(pair->to, sizeof(pair->to), "%s", to);
	wire.n++;
	return true;
}

static bool parse(int argc, char **argv)
{
	static const struct option known[] = {{"seed", 1, NULL, 's'},      {"loss", 1, NULL, 'l'},
	                                      {"dup", 1, NULL, 'u'},       {"corrupt", 1, NULL, 'c'},
	                                      {"reorder", 1, NULL, 'r'},   {"delay-ms", 1, NULL, 'd'},
	                                      {"jitter-ms", 1, NULL, 'j'}, {NULL, 0, NULL, 0}};
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		double value = optarg ? atof(optarg) : 0;
		if (c == 's')
			srand48((long)value);
		else if (c == 'l')
			wire.loss = value;
		else if (c == 'u')
			wire.dup = value;
		else if (c == 'c')
			wire.corrupt = value;
		else if (c == 'r')
			wire.reorder = value;
		else if (c == 'd')
			wire.delay_ns = (int64_t)(value * NS_PER_MS);
		else if (c == 'j')
			wire.jitter_ns = (int64_t)(value * NS_PER_MS);
		else
			return false;
	}
	for (; optind < argc; optind++)
		if (!add_pair(argv[optind]))
			return false;
	return wire.n > 0;
}

static int open_pair(struct pair *pair, struct pollfd *fds, int *n)
{
	struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	int room = 4 << 20;

	at.sll_ifindex = (int)if_nametoindex(pair->from);
	pair->to_ifindex = (int)if_nametoindex(pair->to);
	if (!at.sll_ifindex || !pair->to_ifindex)
		return -ENODEV;
	for (const struct pair *p = wire.pair; p < pair; p++)
		if (strcmp(p->from, pair->from) == 0) {
			pair->socket = p->socket;
			return 0;
		}
	pair->socket = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (pair->socket < 0 || bind(pair->socket, (struct sockaddr *)&at, sizeof(at)))
		return -errno;
	setsockopt(pair->socket, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	fds[(*n)++] = (struct pollfd){.fd = pair->socket, .events = POLLIN};
	return 0;
}

int main(int argc, char **argv)
{
	struct sched_param priority = {.sched_priority = 55};
	struct pollfd fds[PAIRS_MAX];
	int n = 0, err = 0;

	if (!parse(argc, argv)) {
		fprintf(stderr, "usage: badwire [--seed N] [--loss P] [--dup P] [--corrupt P] [--reorder P] "
		                "[--delay-ms D] [--jitter-ms J] FROM:TO=MAC...\n");
		return 2;
	}
	wire.out = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	err = wire.out < 0 ? -errno : 0;
	for (int i = 0; i < wire.n && !err; i++)
		err = open_pair(&wire.pair[i], fds, &n);
	if (err) {
		fprintf(stderr, "badwire: %s\n", strerror(-err));
		return 1;
	}
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	prctl(PR_SET_TIMERSLACK, 1000);
	sched_setscheduler(0, SCHED_FIFO, &priority);
	puts("ready");
	fflush(stdout);
	run(fds, n);
	printf("{\"seen\":%llu,\"lost\":%llu,\"doubled\":%llu,\"damaged\":%llu,\"held_back\":%llu,\"too_"
	       "long\":%llu,"
	       "\"no_room\":%llu,\"unsent\":%llu,\"dropped_at_end\":%zu}\n",
	       (unsigned long long)wire.seen, (unsigned long long)wire.lost, (unsigned long long)wire.doubled,
	       (unsigned long long)wire.damaged, (unsigned long long)wire.late,
	       (unsigned long long)wire.too_long, (unsigned long long)wire.no_room,
	       (unsigned long long)wire.unsent, wire.n_held);
	return 0;
}
