/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The call keeper's tables at size, with kernel maps of its own and without a server: SIP
 * messages of calls as FreeSWITCH makes them go through the tracker of one process
 * and over the encrypted replica to another. Prints figures, judges nothing:
 * messages a second through the tracker, memory a call, what a standby needs to catch
 * up, how long the owner's loop is kept by it, and how old an answer is when it is in
 * the standby's table. Runs in a network namespace of its own; root.
 *
 *   bench/replica [calls] [calls a second that begin and end] [seconds]
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <malloc.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#include "../user/calls/loop.h"
#include "../user/calls/media.h"
#include "../user/calls/replica.h"
#include "../user/calls/track.h"
#include "addr.h"
#include "pairing.h"
#include "rescue_plan.h"

#define SERVICE     0
#define EPOCH       0x101
#define SAMPLES     200000
#define DEADLINE_NS (60 * NS_PER_S)
#define RECORD_ROOM 4096
#define SPARE_BYTES (256 * 1024) /* as sipflip-calls keeps it */
#define PORTS       12000        /* sets of four on the VIP */

/* What the two processes and their parent tell each other. */
struct shared {
	_Atomic int owner_ready, standby_in_step, stop_owner;
	_Atomic uint64_t standby_dialogs, owner_dialogs;
	_Atomic uint32_t n_samples;
	_Atomic int measuring;
	uint32_t latency_us[SAMPLES];
	_Atomic int64_t longest_flush_ns, longest_turn_ns; /* CPU of the owner's loop */
	int64_t began_ns;
	long owner_rss, standby_rss; /* bytes above an empty table's */
	uint64_t owner_text, standby_text;
	double tracked_per_s;
	double count_ms, count_again_ms;
	struct keeper_conf conf[2];
	int calls, rate, seconds;
};

static struct shared *shared;

/* --- SIP as a back-to-back server speaks it ---------------------------------- */

static const char offer[] = "v=0\r\no=FreeSWITCH 17320%06d 17320%06d IN IP4 10.9.0.100\r\ns=FreeSWITCH\r\n"
                            "c=IN IP4 10.9.0.100\r\nt=0 0\r\nm=audio %d RTP/AVP 102 9 0 8 101\r\n"
                            "a=rtpmap:102 opus/48000/2\r\na=fmtp:102 useinbandfec=1; minptime=20\r\n"
                            "a=rtpmap:9 G722/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n"
                            "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\n"
                            "a=sendrecv\r\n";

enum leg_of { LEG_A, LEG_B };

struct message {
	bool out;
	const char *start; /* method, or status and reason */
	const char *method;
	bool to_tag, sdp;
};

/* One leg's messages; for B everything goes the other way. */
static const struct message invite = {false, NULL, "INVITE", false, true};
static const struct message trying = {true, "100 Trying", "INVITE", false, false};
static const struct message ringing = {true, "180 Ringing", "INVITE", true, false};
static const struct message answer = {true, "200 OK", "INVITE", true, true};
static const struct message ack = {false, NULL, "ACK", true, false};
static const struct message bye = {false, NULL, "BYE", true, false};
static const struct message bye_ok = {true, "200 OK", "BYE", true, false};

static size_t write_message(char *buf, size_t size, const struct message *m, enum leg_of leg, int n,
                            int64_t at_ns)
{
	char start[128], sdp[512] = "", to_tag[48] = "";
	int cseq = strcmp(m->method, "BYE") ? 1 : 2;
	int phone = 1000 + n % 9000;
	bool request = !m->start;

	if (request)
		snprintf(start, sizeof(start), "%s sip:%d@10.9.0.%d:5060;transport=udp SIP/2.0", m->method,
		         leg == LEG_A ? phone + 1 : phone, leg == LEG_A ? 100 : 22);
	else
		snprintf(start, sizeof(start), "SIP/2.0 %s", m->start);
	if (m->sdp)
		snprintf(sdp, sizeof(sdp), offer, n, n, 16384 + n % PORTS * 4 + leg * 2);
	if (m->to_tag)
		snprintf(to_tag, sizeof(to_tag), ";tag=4Xt%cyU%08dN", leg == LEG_A ? 'a' : 'b', n);
	return (size_t)snprintf(
	        buf, size,
	        "%s\r\nVia: SIP/2.0/UDP 10.9.0.%d:5060;rport;branch=z9hG4bK%c%08d%d\r\nMax-Forwards: 70\r\n"
	        "From: \"Extension %d\" <sip:%d@10.9.0.100>;tag=Fr%c%09dQ\r\nTo: <sip:%d@10.9.0.100>%s\r\n"
	        "Call-ID: %08x-%04x-123d-%c6a8-0242ac1100%02x\r\nCSeq: %d %s\r\n"
	        "Contact: <sip:mod_sofia@10.9.0.%d:5060;transport=udp>\r\nUser-Agent: FreeSWITCH\r\n"
	        "Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, MESSAGE, INFO, UPDATE, REGISTER, REFER, NOTIFY\r\n"
	        "Supported: timer, path, replaces\r\n%s%lld\r\n%sContent-Length: %zu\r\n\r\n%s",
	        start, m->out ? 100 : 22, 'a' + leg, n, cseq, phone, phone, 'a' + leg, n, phone + 1, to_tag,
	        n * 2654435761u, n & 0xffff, 'a' + leg, n & 0xff, cseq, m->method, m->out ? 100 : 22,
	        "X-At: ", (long long)at_ns, m->sdp ? "Content-Type: application/sdp\r\n" : "", strlen(sdp),
	        sdp);
}

static struct dialog *track_one(struct track *track, const struct message *m, enum leg_of leg, int n)
{
	static union {
		struct capture_record record;
		char room[sizeof(struct capture_record) + RECORD_ROOM];
	} u;
	struct mono now = loop_now();

	memset(&u.record, 0, sizeof(u.record));
	u.record.at_ns = (uint64_t)now.ns;
	u.record.service = SERVICE;
	u.record.direction = m->out == (leg == LEG_A) ? CAPTURE_OUT : CAPTURE_IN;
	u.record.remote = addr_from_be32(htonl(0x0a090015));
	u.record.remote_port = 5060;
	u.record.len = (uint32_t)write_message((char *)u.record.data, RECORD_ROOM, m, leg, n, now.ns);
	return track_datagram(track, &u.record, now);
}

/* --- the two processes -------------------------------------------------------- */

struct site {
	struct dialog_table table;
	struct track track;
	struct replica *replica;
	struct media *media;
	su_root_t *root;
	struct mono trimmed;
	long rss; /* at the start */
};

static long rss_bytes(void)
{
	long pages = 0, all;
	FILE *f = fopen("/proc/self/statm", "r");

	if (f) {
		if (fscanf(f, "%ld %ld", &all, &pages) != 2)
			pages = 0;
		fclose(f);
	}
	return pages * sysconf(_SC_PAGESIZE);
}

static void fail(const char *what, int rc)
{
	fprintf(stderr, "replica: %s: %s\n", what, strerror(rc < 0 ? -rc : rc));
	exit(1);
}

static int map_new(enum bpf_map_type type, const char *name, uint32_t key, uint32_t value, uint32_t n,
                   uint32_t flags)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = flags);

	return bpf_map_create(type, name, key, value, n, &opts);
}

/* As bpf/lib/maps.h has them. */
static void media_open(struct site *site, const struct keeper_conf *conf)
{
	int ports = map_new(BPF_MAP_TYPE_ARRAY, "flow_ports", 4, 4, 65536, BPF_F_MMAPABLE);
	int flows = map_new(BPF_MAP_TYPE_ARRAY, "flows", 4, sizeof(struct flow), MAX_FLOWS, BPF_F_MMAPABLE);
	int steer =
	        map_new(BPF_MAP_TYPE_HASH, "steer", 8, sizeof(struct steer), MAX_STEERED, BPF_F_NO_PREALLOC);
	int rc = ports < 0 || flows < 0 || steer < 0
	                 ? -errno
	                 : media_new(site->root, ports, flows, steer, -1, &site->media);

	if (rc == 0)
		rc = media_add_service(site->media, conf, &site->table, NULL, NULL);
	if (rc < 0)
		fail("media", rc);
	media_origin_changed(site->media, SERVICE);
}

static void site_open(struct site *site, int who)
{
	int rc;

	su_init();
	site->root = su_root_create(NULL);
	rc = dialog_table_init(&site->table, 4 * (uint32_t)shared->calls, 7);
	if (rc < 0)
		fail("table", rc);
	site->table.origin = who ? 0x2000001 : 0x1000001;
	site->track.table = &site->table;
	strcpy(site->track.link_header, "X-At");
	rc = replica_new(site->root, &shared->conf[who], &site->replica);
	if (rc == 0)
		rc = replica_add_service(site->replica, &shared->conf[who], &site->table);
	if (rc < 0)
		fail("replica", rc);
	media_open(site, &shared->conf[who]);
	site->rss = rss_bytes();
}

static bool in_step(const struct site *site)
{
	struct replica_status status;

	replica_status(site->replica, SERVICE, &status);
	return status.up;
}

static int64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static void note_longest(_Atomic int64_t *longest, int64_t began)
{
	int64_t took = cpu_ns() - began;

	if (took > *longest)
		*longest = took;
}

static void one_message(struct site *site, const struct message *m, enum leg_of leg, int n)
{
	if (!track_one(&site->track, m, leg, n))
		return;
	media_flush(site->media);
	int64_t began = cpu_ns();

	replica_flush(site->replica, SERVICE);
	note_longest(&shared->longest_flush_ns, began);
}

static void note_media(struct site *site, struct dialog *d, int n)
{
	struct dialog_stream seen = {.from_port = (uint16_t)(16384 + n % PORTS),
	                             .to_port = (uint16_t)(16384 + n % PORTS)};

	seen.from = seen.to = addr_from_be32(htonl(0x0a090015));
	dialog_set_stream(&site->table, d, 0, &seen);
	seen.from_port++;
	dialog_set_stream(&site->table, d, 1, &seen);
}

static void begin_call(struct site *site, int n)
{
	static const struct {
		const struct message *message;
		enum leg_of leg;
	} steps[] = {{&invite, LEG_A}, {&trying, LEG_A},  {&invite, LEG_B},
	             {&trying, LEG_B}, {&ringing, LEG_B}, {&ringing, LEG_A},
	             {&answer, LEG_B}, {&ack, LEG_B},     {&answer, LEG_A}};

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		one_message(site, steps[i].message, steps[i].leg, n);
	struct dialog *d = track_one(&site->track, &ack, LEG_A, n);
	struct dialog *peer = d ? dialog_peer(&site->table, d) : NULL;

	if (!d)
		return;
	note_media(site, d, n);
	if (peer)
		note_media(site, peer, n);
	replica_flush(site->replica, SERVICE);
}

static void end_call(struct site *site, int n)
{
	one_message(site, &bye, LEG_A, n);
	one_message(site, &bye_ok, LEG_A, n);
	one_message(site, &bye, LEG_B, n);
	one_message(site, &bye_ok, LEG_B, n);
}

static void turn(struct site *site, int timeout_ms)
{
	struct mono now = loop_now();

	su_root_step(site->root, timeout_ms);
	if (mono_diff(now, site->trimmed) < 100 * NS_PER_MS)
		return;
	site->trimmed = now;
	malloc_trim(SPARE_BYTES);
}

/* Begins as many calls as it ends, each `calls / rate` seconds long. */
static void churn(struct site *site, int *next)
{
	static struct mono since, expired;
	static uint64_t done;
	struct mono now = loop_now();

	if (!mono_is_set(since))
		since = expired = now;
	while ((int64_t)done * NS_PER_S / shared->rate <= mono_diff(now, since)) {
		end_call(site, *next - shared->calls);
		begin_call(site, (*next)++);
		done++;
	}
	if (mono_diff(now, expired) > 100 * NS_PER_MS) {
		expired = now;
		dialog_table_expire(&site->table, now, 512);
	}
}

/* What the status costs the loop; the second time all plans are known. */
static double count_calls(struct dialog_table *table)
{
	struct rescue_policy policy = {.vip = addr_from_be32(htonl(0x0a090064)), .mode = RESCUE_AGENT};
	struct rescue_counts counts;
	int64_t began = cpu_ns();

	rescue_plan_counts(table, SERVICE, &policy, &counts);
	return (double)(cpu_ns() - began) / 1e6;
}

static void owner_main(bool restarted)
{
	static struct site site;
	int next = shared->calls;

	site_open(&site, 0);
	replica_role(site.replica, SERVICE, true, EPOCH);
	if (!restarted) {
		struct mono began = loop_now();

		for (int n = 0; n < shared->calls; n++)
			begin_call(&site, n);
		shared->tracked_per_s =
		        site.track.counters.track_messages * 1e9 / mono_diff(loop_now(), began);
		shared->owner_rss = rss_bytes() - site.rss;
		shared->owner_text = site.table.bytes;
		shared->count_ms = count_calls(&site.table);
		shared->count_again_ms = count_calls(&site.table);
	}
	while (restarted && !in_step(&site))
		su_root_step(site.root, 1);
	shared->owner_dialogs = site.table.used;
	shared->owner_ready = 1;
	while (!shared->stop_owner) {
		if (shared->measuring == 1)
			churn(&site, &next);
		int64_t began = cpu_ns();

		turn(&site, 1);
		note_longest(&shared->longest_turn_ns, began);
	}
	exit(0);
}

static struct dialog_observer media_observer;

static void on_changed(void *context, struct dialog *d)
{
	int64_t at = strtoll(d->link, NULL, 10);

	/* The message that confirms it is the one whose time it carries: no ACK, no media yet. */
	if (shared->measuring == 1 && d->state == DIALOG_CONFIRMED && !d->acked && !d->n_streams &&
	    shared->n_samples < SAMPLES)
		shared->latency_us[shared->n_samples++] = (uint32_t)((loop_now().ns - at) / 1000);
	media_observer.changed(context, d);
}

static void standby_main(void)
{
	static struct site site;

	site_open(&site, 1);
	media_observer = site.table.observer;
	site.table.observer.changed = on_changed;
	replica_role(site.replica, SERVICE, false, EPOCH);
	for (;;) {
		turn(&site, 5);
		shared->standby_dialogs = site.table.used;
		shared->standby_text = site.table.bytes;
		shared->standby_rss = rss_bytes() - site.rss;
		if (!shared->standby_in_step && in_step(&site))
			shared->standby_in_step = 1;
		if (shared->measuring == 2) { /* the owner is gone */
			struct dialog *d = dialog_next(&site.table, NULL);

			replica_role(site.replica, SERVICE, true, EPOCH + 0x101);
			media_role(site.media, SERVICE, true, loop_now());
			if (d)
				pairing_consider(&site.table, d);
			shared->measuring = 3;
		}
	}
}

/* --- the parent --------------------------------------------------------------- */

static pid_t start(void (*child)(void))
{
	pid_t pid = fork();

	if (pid == 0)
		child();
	if (pid < 0)
		fail("fork", errno);
	return pid;
}

static void first_owner(void)
{
	owner_main(false);
}

static void second_owner(void)
{
	owner_main(true);
}

static void stop(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* Seconds until *what is not 0. */
static double wait_for(_Atomic int *what, const char *name)
{
	struct mono began = loop_now();

	while (!*what) {
		if (mono_diff(loop_now(), began) > DEADLINE_NS)
			fail(name, ETIMEDOUT);
		usleep(200);
	}
	return (double)mono_diff(loop_now(), began) / 1e9;
}

static int ascending(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void print_latency(void)
{
	uint32_t n = shared->n_samples;

	if (!n)
		return;
	qsort(shared->latency_us, n, sizeof(shared->latency_us[0]), ascending);
	printf("answer on the wire -> in the standby's table  median %.2f ms  p99 %.2f ms  p99.9 %.2f ms  "
	       "max %.2f ms  (%u answers)\n",
	       shared->latency_us[n / 2] / 1e3, shared->latency_us[n * 99ULL / 100] / 1e3,
	       shared->latency_us[n * 999ULL / 1000] / 1e3, shared->latency_us[n - 1] / 1e3, n);
}

static void print_owner(const char *when)
{
	printf("owner's longest turn while %-18s %.2f ms of CPU, longest flush after a message %.2f ms\n",
	       when, (double)shared->longest_turn_ns / 1e6, (double)shared->longest_flush_ns / 1e6);
	shared->longest_turn_ns = 0;
	shared->longest_flush_ns = 0;
}

static void print_memory(const char *when, long rss, uint64_t text, uint64_t dialogs)
{
	printf("%-46s %6.0f bytes resident a call, of them %.0f of text; %lu dialogs\n", when,
	       (double)rss / shared->calls, (double)text / shared->calls, (unsigned long)dialogs);
}

/* A second after it settled: what libzmq held of the snapshot has been given back. */
static void print_standby(const char *when)
{
	usleep(1000000);
	print_memory(when, shared->standby_rss, shared->standby_text, shared->standby_dialogs);
}

static void configure(void)
{
	struct keeper_conf *a = &shared->conf[0], *b = &shared->conf[1];
	struct keeper_conf *both[] = {a, b};

	*a = (struct keeper_conf){.head.service = SERVICE, .name = "pbx", .node = 1, .peer = 2};
	a->rescue_mode = RESCUE_AGENT;
	a->vip = addr_from_be32(htonl(0x0a090064));
	a->replica_port = 7474;
	a->node_addr = addr_from_be32(htonl(0x7f000001));
	a->peer_addr = addr_from_be32(htonl(0x7f000002));
	*b = *a;
	b->node = 2;
	b->peer = 1;
	b->node_addr = a->peer_addr;
	b->peer_addr = a->node_addr;
	for (int i = 0; i < 2; i++) {
		char public_text[41], secret_text[41];

		if (zmq_curve_keypair(public_text, secret_text) < 0)
			fail("no CURVE in libzmq", errno);
		zmq_z85_decode(both[i]->replica_public, public_text);
		zmq_z85_decode(both[i]->replica_secret, secret_text);
		memcpy(both[!i]->peer_public, both[i]->replica_public, 32);
	}
}

static void own_network(void)
{
	struct ifreq ifr = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int fd;

	if (unshare(CLONE_NEWNET) < 0)
		fail("network namespace", errno);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &ifr) < 0)
		fail("loopback", errno);
	close(fd);
}

int main(int argc, char **argv)
{
	pid_t owner, standby;
	double s;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		fail("memory", errno);
	shared->calls = argc > 1 ? atoi(argv[1]) : 10000;
	shared->rate = argc > 2 ? atoi(argv[2]) : 200;
	shared->seconds = argc > 3 ? atoi(argv[3]) : 10;
	if (shared->calls < 1 || shared->calls > 100000 || shared->rate < 1 || shared->rate > 5000)
		fail("arguments", EINVAL);
	setvbuf(stdout, NULL, _IOLBF, 0);
	own_network();
	configure();

	owner = start(first_owner);
	wait_for(&shared->owner_ready, "owner");
	printf("%d calls of two legs, %lu dialogs, four SDPs of %zu bytes a call\n", shared->calls,
	       (unsigned long)shared->owner_dialogs, sizeof(offer) - 1 + 2 * (6 - 4) + 5 - 2);
	printf("tracked %.0f messages/s on one core\n", shared->tracked_per_s);
	printf("all of them counted and judged in %.1f ms, again in %.1f ms\n", shared->count_ms,
	       shared->count_again_ms);
	print_memory("owner", shared->owner_rss, shared->owner_text, shared->owner_dialogs);
	shared->longest_turn_ns = shared->longest_flush_ns = 0;

	standby = start(standby_main);
	s = wait_for(&shared->standby_in_step, "standby");
	printf("a standby that joins has all after %.2f s\n", s);
	print_standby("standby that joined");
	printf("%-46s %6zu bytes for 4 flows and their ports, and 2 Call-IDs\n", "kernel's maps of each node",
	       4 * (sizeof(struct flow) + 8));
	print_owner("one joins");

	shared->measuring = 1;
	sleep((unsigned)shared->seconds);
	print_latency();
	print_owner("calls come and go");
	print_standby("standby, calls coming and going");

	stop(standby);
	shared->standby_in_step = 0;
	standby = start(standby_main);
	s = wait_for(&shared->standby_in_step, "standby under churn");
	printf("a standby that restarts under churn has all after %.2f s\n", s);
	print_owner("one restarts");
	print_standby("standby that restarted, calls coming and going");
	shared->measuring = 0;

	stop(owner);
	shared->owner_ready = 0;
	shared->owner_dialogs = 0;
	owner = start(second_owner);
	s = wait_for(&shared->owner_ready, "owner after its crash");
	printf("an owner that crashed has its calls back after %.2f s: %lu dialogs, the standby holds %lu\n",
	       s, (unsigned long)shared->owner_dialogs, (unsigned long)shared->standby_dialogs);
	stop(owner);
	shared->measuring = 2;
	for (int i = 0; i < 1000 && shared->measuring != 3; i++)
		usleep(1000);
	print_standby("standby that became owner, nothing re-INVITEd");
	stop(standby);
	return 0;
}
