// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Test tool: an observer on the wire, run in the namespace of a client.
 *   vipwatch [--arp-ms N] [--sip-ms N] [--seconds N] DEVICE VIP:PORT
 * It asks who has the VIP by ARP on a raw socket and sends it SIP OPTIONS, until
 * SIGTERM, SIGINT or the time is over, and then prints one JSON object: answers
 * by MAC and by server name, requests answered twice, how often the answerer
 * changed or two overlapped, longest silences. It judges nothing and answers nothing.
 * On stderr it says "answered" at the first answer to ARP.
 *
 * So that an answer cannot be taken for one to another request, the ARP sender
 * address carries the request's number (VIP's /25 from .128 on), and the CSeq
 * that of an OPTIONS.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/if_ether.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define WHO_MAX   8
#define RING      112 /* ARP requests told apart: sender .128 to .239 */
#define SIP_RING  4096
#define NAME_SIZE 24

struct who {
	char name[NAME_SIZE]; /* MAC or server name */
	uint64_t answers;
	int64_t first_ns, last_ns;
};

/* One kind of question, ARP or OPTIONS. */
struct asked {
	struct who who[WHO_MAX];
	int n_who;
	uint64_t sent, answered, doubles, strays;
	uint64_t changes;  /* a request was answered by another than the one before */
	uint64_t overlaps; /* two answered, and it was not at the one request that may meet a flip */
	uint64_t change_seq, claim_seq;
	int64_t last_answer_ns, longest_silence_ns, silence_at_ns;
	int last_who; /* of the newest answered request, -1 = none */
	uint64_t last_seq;
	int *by; /* [seq % ring]: who answered, -1 = nobody yet */
	uint64_t *seq;
	int ring;
};

struct watcher {
	int packet, udp, ifindex;
	uint8_t mac[6];
	struct in_addr vip;
	struct sockaddr_in server;
	int64_t started_ns;
	struct asked arp, sip;
};

static volatile sig_atomic_t stop;

static void on_signal(int signal)
{
	stop = 1;
}

static int64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_BOOTTIME, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int asked_init(struct asked *q, int ring, int64_t now)
{
	q->by = malloc(ring * sizeof(*q->by));
	q->seq = calloc(ring, sizeof(*q->seq));
	q->ring = ring;
	q->last_who = -1;
	q->last_answer_ns = now;
	return q->by && q->seq ? 0 : -ENOMEM;
}

static uint64_t asked_next(struct asked *q)
{
	uint64_t seq = ++q->sent;
	q->seq[seq % q->ring] = seq;
	q->by[seq % q->ring] = -1;
	return seq;
}

static int who_index(struct asked *q, const char *name, int64_t now)
{
	int i;
	for (i = 0; i < q->n_who; i++)
		if (strcmp(q->who[i].name, name) == 0)
			return i;
	if (i == WHO_MAX)
		return -1;
	snprintf(q->who[i].name, NAME_SIZE, "%s", name);
	q->who[i].first_ns = now;
	q->n_who++;
	return i;
}

static void silence_until(struct asked *q, int64_t now)
{
	if (now - q->last_answer_ns > q->longest_silence_ns) {
		q->longest_silence_ns = now - q->last_answer_ns;
		q->silence_at_ns = q->last_answer_ns;
	}
}

/*
 * One request may reach the old owner just before a flip and the new one just
 * after it. So an answer of somebody else than the present answerer is at first
 * only a claim; when the present answerer then answers a later request all the
 * same, the two overlapped.
 */
static void judge(struct asked *q, uint64_t seq, int who)
{
	if (q->last_who < 0 || who == q->last_who) {
		q->last_who = who;
		if (q->claim_seq && seq > q->claim_seq) {
			q->overlaps++;
			q->claim_seq = 0;
		}
	} else if (seq > q->last_seq) {
		q->changes++;
		q->change_seq = q->claim_seq ? q->claim_seq : seq;
		q->claim_seq = 0;
		q->last_who = who;
	} else if (seq > q->change_seq && !q->claim_seq) {
		q->claim_seq = seq;
	}
	if (seq > q->last_seq)
		q->last_seq = seq;
}

static void asked_answer(struct asked *q, uint64_t seq, const char *name, int64_t now)
{
	int who = who_index(q, name, now);

	if (who < 0 || seq == 0 || q->seq[seq % q->ring] != seq) {
		q->strays++;
		return;
	}
	q->who[who].answers++;
	q->who[who].last_ns = now;
	silence_until(q, now);
	q->last_answer_ns = now;
	if (q->by[seq % q->ring] < 0) {
		q->by[seq % q->ring] = who;
		q->answered++;
	} else {
		q->doubles += q->by[seq % q->ring] != who;
	}
	judge(q, seq, who);
}

static void arp_send(struct watcher *w)
{
	struct {
		struct ether_header ether;
		struct ether_arp arp;
	} __attribute__((packed)) frame;
	struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = w->ifindex, .sll_halen = 6};
	uint64_t seq = asked_next(&w->arp);
	uint32_t sender = htonl((ntohl(w->vip.s_addr) & ~0xffU) | (128 + seq % RING));

	memset(&frame, 0, sizeof(frame));
	memset(frame.ether.ether_dhost, 0xff, 6);
	memcpy(frame.ether.ether_shost, w->mac, 6);
	frame.ether.ether_type = htons(ETHERTYPE_ARP);
	frame.arp.ea_hdr =
	        (struct arphdr){htons(ARPHRD_ETHER), htons(ETHERTYPE_IP), 6, 4, htons(ARPOP_REQUEST)};
	memcpy(frame.arp.arp_sha, w->mac, 6);
	memcpy(frame.arp.arp_spa, &sender, 4);
	memcpy(frame.arp.arp_tpa, &w->vip, 4);
	sendto(w->packet, &frame, sizeof(frame), 0, (struct sockaddr *)&to, sizeof(to));
}

static void arp_take(struct watcher *w)
{
	uint8_t frame[256];
	struct ether_arp arp;
	char name[NAME_SIZE];
	ssize_t len = recv(w->packet, frame, sizeof(frame), 0);

	if (len < (ssize_t)(sizeof(struct ether_header) + sizeof(arp)))
		return;
	memcpy(&arp, frame + sizeof(struct ether_header), sizeof(arp));
	if (arp.arp_op != htons(ARPOP_REPLY) || memcmp(arp.arp_spa, &w->vip, 4) != 0 ||
	    memcmp(arp.arp_tha, w->mac, 6) != 0 || arp.arp_tpa[3] < 128 || arp.arp_tpa[3] >= 128 + RING)
		return;
	snprintf(name, sizeof(name), "%02x:%02x:%02x:%02x:%02x:%02x", arp.arp_sha[0], arp.arp_sha[1],
	         arp.arp_sha[2], arp.arp_sha[3], arp.arp_sha[4], arp.arp_sha[5]);
	if (!w->arp.answered)
		fprintf(stderr, "answered\n");
	/* The newest request whose number ends as the address does. */
	uint64_t slot = (uint64_t)(arp.arp_tpa[3] - 128) % RING;
	asked_answer(&w->arp, w->arp.seq[slot], name, now_ns());
}

static void sip_send(struct watcher *w)
{
	char text[512];
	uint64_t seq = asked_next(&w->sip);
	int len = snprintf(text, sizeof(text),
	                   "OPTIONS sip:vip SIP/2.0\r\nVia: SIP/2.0/UDP vipwatch;branch=z9hG4bK%llu;rport\r\n"
	                   "From: <sip:vipwatch@vipwatch>;tag=w\r\nTo: <sip:vip>\r\nCall-ID: vipwatch\r\n"
	                   "CSeq: %llu OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
	                   (unsigned long long)seq, (unsigned long long)seq);
	send(w->udp, text, len, MSG_DONTWAIT);
}

static void sip_take(struct watcher *w)
{
	char text[4096], name[NAME_SIZE] = "unnamed";
	ssize_t len = recv(w->udp, text, sizeof(text) - 1, MSG_DONTWAIT);

	if (len <= 0)
		return;
	text[len] = 0;
	const char *cseq = strcasestr(text, "\nCSeq:"), *server = strcasestr(text, "\nServer:");
	if (!server)
		server = strcasestr(text, "\nUser-Agent:");
	if (server)
		sscanf(strchr(server, ':') + 1, " %23[^\r\n]", name);
	for (char *c = name; *c; c++)
		if (*c == '"' || *c == '\\' || (unsigned char)*c < ' ')
			*c = '_';
	asked_answer(&w->sip, cseq ? strtoull(strchr(cseq, ':') + 1, NULL, 10) : 0, name, now_ns());
}

static void asked_json(const struct watcher *w, const struct asked *q, const char *title)
{
	printf("\"%s\":{\"sent\":%llu,\"answered\":%llu,\"doubles\":%llu,\"changes\":%llu,\"overlaps\":%llu,"
	       "\"strays\":%llu,\"longest_silence_ms\":%.3f,\"silence_at_ms\":%.3f,\"by\":{",
	       title, (unsigned long long)q->sent, (unsigned long long)q->answered,
	       (unsigned long long)q->doubles, (unsigned long long)q->changes,
	       (unsigned long long)q->overlaps, (unsigned long long)q->strays, q->longest_silence_ns / 1e6,
	       (q->silence_at_ns ? q->silence_at_ns - w->started_ns : 0) / 1e6);
	for (int i = 0; i < q->n_who; i++)
		printf("%s\"%s\":{\"answers\":%llu,\"first_ms\":%.3f,\"last_ms\":%.3f}", i ? "," : "",
		       q->who[i].name, (unsigned long long)q->who[i].answers,
		       (q->who[i].first_ns - w->started_ns) / 1e6, (q->who[i].last_ns - w->started_ns) / 1e6);
	printf("}}");
}

static int open_sockets(struct watcher *w, const char *device)
{
	struct ifreq request = {0};
	struct sockaddr_ll bind_to = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ARP)};

	w->packet = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ARP));
	w->udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (w->packet < 0 || w->udp < 0)
		return -errno;
	snprintf(request.ifr_name, IFNAMSIZ, "%s", device);
	if (ioctl(w->packet, SIOCGIFHWADDR, &request))
		return -errno;
	memcpy(w->mac, request.ifr_hwaddr.sa_data, 6);
	bind_to.sll_ifindex = w->ifindex = (int)if_nametoindex(device);
	if (bind(w->packet, (struct sockaddr *)&bind_to, sizeof(bind_to)) ||
	    connect(w->udp, (struct sockaddr *)&w->server, sizeof(w->server)))
		return -errno;
	return 0;
}

static void run(struct watcher *w, int64_t arp_ns, int64_t sip_ns, int64_t end_ns)
{
	int64_t arp_at = w->started_ns, sip_at = w->started_ns;

	while (!stop) {
		struct pollfd fds[2] = {{.fd = w->packet, .events = POLLIN},
		                        {.fd = w->udp, .events = POLLIN}};
		int64_t now = now_ns();
		if (end_ns && now >= end_ns)
			break;
		if (arp_ns && now >= arp_at) {
			arp_send(w);
			arp_at = now + arp_ns;
		}
		if (sip_ns && now >= sip_at) {
			sip_send(w);
			sip_at = now + sip_ns;
		}
		int64_t next = !sip_ns || (arp_ns && arp_at < sip_at) ? arp_at : sip_at,
		        left = next - now_ns();
		struct timespec wait = {0, left > 0 ? left % 1000000000LL : 0};
		if (ppoll(fds, 2, &wait, NULL) <= 0)
			continue;
		if (fds[0].revents)
			arp_take(w);
		if (fds[1].revents)
			sip_take(w);
	}
}

int main(int argc, char **argv)
{
	static const struct option known[] = {{"arp-ms", 1, NULL, 'a'},
	                                      {"sip-ms", 1, NULL, 's'},
	                                      {"seconds", 1, NULL, 't'},
	                                      {NULL, 0, NULL, 0}};
	double arp_ms = 2, sip_ms = 2, seconds = 0;
	struct watcher w = {.server = {.sin_family = AF_INET}};
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (c == 'a')
			arp_ms = atof(optarg);
		else if (c == 's')
			sip_ms = atof(optarg);
		else if (c == 't')
			seconds = atof(optarg);
		else
			optind = argc;
	}
	char *colon = optind == argc - 2 ? strrchr(argv[optind + 1], ':') : NULL;
	if (colon)
		*colon = 0;
	if (!colon || inet_pton(AF_INET, argv[optind + 1], &w.vip) != 1 || arp_ms < 0 || sip_ms < 0 ||
	    arp_ms >= 1000 || sip_ms >= 1000 || arp_ms + sip_ms == 0) {
		fprintf(stderr, "usage: vipwatch [--arp-ms N] [--sip-ms N] [--seconds N] DEVICE VIP:PORT\n"
		                "intervals below 1000 ms; 0 = do not ask\n");
		return 2;
	}
	w.server.sin_addr = w.vip;
	w.server.sin_port = htons((uint16_t)atoi(colon + 1));
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	prctl(PR_SET_TIMERSLACK, 1000);
	int err = open_sockets(&w, argv[optind]);
	w.started_ns = now_ns(); /* binding a packet socket takes its time */
	if (!err)
		err = asked_init(&w.arp, RING, w.started_ns);
	if (!err)
		err = asked_init(&w.sip, SIP_RING, w.started_ns);
	if (err) {
		fprintf(stderr, "vipwatch: %s: %s\n", argv[optind], strerror(-err));
		return 1;
	}
	run(&w, (int64_t)(arp_ms * 1e6), (int64_t)(sip_ms * 1e6),
	    seconds > 0 ? w.started_ns + (int64_t)(seconds * 1e9) : 0);
	silence_until(&w.arp, now_ns());
	silence_until(&w.sip, now_ns());
	printf("{\"seconds\":%.3f,", (now_ns() - w.started_ns) / 1e9);
	asked_json(&w, &w.arp, "arp");
	printf(",");
	asked_json(&w, &w.sip, "sip");
	printf("}\n");
	free(w.arp.by), free(w.arp.seq), free(w.sip.by), free(w.sip.seq);
	return 0;
}
