/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Measures the RTP of one phone from the wire, not from what a phone says of
 * itself: captures UDP both ways on an interface, logs every RTP packet with its
 * boottime, decodes G.711 and names the tone of each 100 ms. At SIGTERM or
 * SIGINT it prints one line a stream. It measures and never judges; the figures
 * across a takeover are made from two phones' logs by tests/tools/timeline.
 *
 *   rtpmeter -i DEVICE -a PHONE-ADDRESS -f HZ[,HZ...] -o LOG
 *
 * The log, one record a line, all times CLOCK_BOOTTIME ns, R to and T from the phone:
 *   p TIME R|T SOURCE:PORT DESTINATION:PORT SSRC SEQ TIMESTAMP PAYLOAD-TYPE BYTES
 *   t START END R|T HZ SHARE-PERCENT      HZ 0: no one tone of -f has most of the energy
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <math.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S       1000000000LL
#define NS_PER_MS      1000000LL
#define RATE_HZ        8000
#define WINDOW_SAMPLES 800 /* 100 ms */
#define WINDOW_GAP_NS  (60 * NS_PER_MS)
#define TONE_SHARE     0.6 /* of a window's energy, to be called its tone */
#define QUIET_POWER    (50.0 * 50.0)
#define MAX_TONES      8
#define MAX_STREAMS    64
#define SEQ_WINDOW     64
#define RTP_HEADER     12
#define PT_PCMU        0
#define PT_PCMA        8

struct rtp {
	int64_t at_ns;
	bool sent; /* by the phone */
	struct in_addr src, dst;
	uint16_t src_port, dst_port;
	uint32_t ssrc, timestamp;
	uint16_t seq;
	uint8_t pt;
	const uint8_t *payload;
	int payload_bytes;
};

struct stream {
	struct in_addr src, dst;
	uint16_t src_port, dst_port;
	uint32_t ssrc;
	bool sent;
	uint8_t pt;
	uint32_t first_seq, highest_seq; /* extended by the wraps seen */
	uint64_t seen;                   /* bit n: highest_seq - n has come */
	uint32_t packets, duplicates, reordered, unique;
	int64_t first_ns, last_ns;
	int64_t gap_ns, gap_at_ns;
	uint32_t windows, tone_windows[MAX_TONES];
};

/* Samples of one direction waiting to become a 100 ms window. */
struct window {
	int16_t sample[WINDOW_SAMPLES];
	int n;
	int64_t start_ns, last_ns;
	uint32_t ssrc;
};

struct meter {
	struct in_addr phone;
	int tone_hz[MAX_TONES];
	int n_tones;
	struct stream streams[MAX_STREAMS];
	int n_streams;
	uint32_t streams_full; /* packets of streams that found no room */
	struct window window[2];
	FILE *log;
};

static volatile sig_atomic_t stop_requested;

static void on_stop(int signal_number)
{
	stop_requested = 1;
}

static int64_t clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

/* ITU-T G.711 table 2a */
static int16_t ulaw_decode(uint8_t code)
{
	int value, bits = (uint8_t)~code;

	value = (((bits & 0x0f) << 3) + 0x84) << ((bits & 0x70) >> 4);
	return bits & 0x80 ? 0x84 - value : value - 0x84;
}

/* ITU-T G.711 table 1a */
static int16_t alaw_decode(uint8_t code)
{
	int bits = code ^ 0x55, segment = (bits & 0x70) >> 4, value = (bits & 0x0f) << 4;

	value += segment ? 0x108 : 8;
	if (segment > 1)
		value <<= segment - 1;
	return bits & 0x80 ? value : -value;
}

/* Share of the energy of n samples that is at hz, 0..1 (Goertzel). */
static double tone_share(const int16_t *sample, int n, int hz, double energy)
{
	double k = 2 * cos(2 * M_PI * hz / RATE_HZ), s1 = 0, s2 = 0;

	for (int i = 0; i < n; i++) {
		double s = sample[i] + k * s1 - s2;

		s2 = s1;
		s1 = s;
	}
	return 2 * (s1 * s1 + s2 * s2 - k * s1 * s2) / (n * energy);
}

/* Index of the tone that has most of the window's energy, -1 = none; *ret_share 0..1. */
static int window_tone(const struct meter *m, const struct window *w, double *ret_share)
{
	double energy = 0, best = 0;
	int tone = -1;

	*ret_share = 0;
	for (int i = 0; i < w->n; i++)
		energy += (double)w->sample[i] * w->sample[i];
	if (energy / w->n < QUIET_POWER)
		return -1;
	for (int i = 0; i < m->n_tones; i++) {
		double share = tone_share(w->sample, w->n, m->tone_hz[i], energy);

		if (share > best) {
			best = share;
			tone = i;
		}
	}
	*ret_share = best;
	return best >= TONE_SHARE ? tone : -1;
}

static void window_add(struct meter *m, struct stream *s, const struct rtp *rtp)
{
	struct window *w = &m->window[rtp->sent];

	if (w->n && (w->ssrc != rtp->ssrc || rtp->at_ns - w->last_ns > WINDOW_GAP_NS))
		w->n = 0;
	if (!w->n)
		w->start_ns = rtp->at_ns;
	w->ssrc = rtp->ssrc;
	w->last_ns = rtp->at_ns;
	for (int i = 0; i < rtp->payload_bytes; i++) {
		uint8_t code = rtp->payload[i];
		double share;
		int tone;

		w->sample[w->n++] = rtp->pt == PT_PCMU ? ulaw_decode(code) : alaw_decode(code);
		if (w->n < WINDOW_SAMPLES)
			continue;
		tone = window_tone(m, w, &share);
		s->windows++;
		if (tone >= 0)
			s->tone_windows[tone]++;
		fprintf(m->log, "t %lld %lld %c %d %.0f\n", (long long)w->start_ns, (long long)rtp->at_ns,
		        rtp->sent ? 'T' : 'R', tone < 0 ? 0 : m->tone_hz[tone], share * 100);
		w->n = 0;
		w->start_ns = rtp->at_ns;
	}
}

static struct stream *stream_find(struct meter *m, const struct rtp *rtp)
{
	struct stream *s;

	for (int i = 0; i < m->n_streams; i++) {
		s = &m->streams[i];
		if (s->ssrc == rtp->ssrc && s->src.s_addr == rtp->src.s_addr &&
		    s->src_port == rtp->src_port && s->dst.s_addr == rtp->dst.s_addr &&
		    s->dst_port == rtp->dst_port)
			return s;
	}
	if (m->n_streams == MAX_STREAMS)
		return NULL;
	s = &m->streams[m->n_streams++];
	*s = (struct stream){
	        .src = rtp->src,
	        .dst = rtp->dst,
	        .src_port = rtp->src_port,
	        .dst_port = rtp->dst_port,
	        .ssrc = rtp->ssrc,
	        .sent = rtp->sent,
	        .pt = rtp->pt,
	        .first_seq = rtp->seq,
	        .highest_seq = rtp->seq,
	        .first_ns = rtp->at_ns,
	        .last_ns = rtp->at_ns,
	};
	return s;
}

/* Sequence numbers as RFC 3550 appendix A.1 extends them. */
static void stream_count(struct stream *s, const struct rtp *rtp)
{
	int16_t ahead = (int16_t)(rtp->seq - (uint16_t)s->highest_seq);

	s->packets++;
	if (rtp->at_ns - s->last_ns > s->gap_ns) {
		s->gap_ns = rtp->at_ns - s->last_ns;
		s->gap_at_ns = s->last_ns;
	}
	s->last_ns = rtp->at_ns;
	if (ahead > 0 || s->packets == 1) {
		s->highest_seq += ahead;
		s->seen = ahead < SEQ_WINDOW ? s->seen << ahead | 1 : 1;
		s->unique++;
	} else if (-ahead >= SEQ_WINDOW) {
		s->reordered++;
	} else if (s->seen & 1ULL << -ahead) {
		s->duplicates++;
	} else {
		s->seen |= 1ULL << -ahead;
		s->reordered++;
		s->unique++;
	}
}

/* An Ethernet frame's RTP, or false. Options and fragments are not RTP that phones send here. */
static bool rtp_parse(const uint8_t *frame, int len, struct rtp *ret)
{
	const struct iphdr *ip = (const void *)(frame + ETH_HLEN);
	const struct udphdr *udp;
	const uint8_t *rtp;
	int header;

	if (len < (int)(ETH_HLEN + sizeof(*ip) + sizeof(*udp) + RTP_HEADER))
		return false;
	if (frame[12] != 0x08 || frame[13] != 0x00 || ip->version != 4 || ip->ihl != 5 ||
	    ip->protocol != IPPROTO_UDP || (ntohs(ip->frag_off) & 0x3fff))
		return false;
	udp = (const void *)(ip + 1);
	len -= ETH_HLEN + sizeof(*ip);
	if (ntohs(udp->len) > len)
		return false;
	len = ntohs(udp->len) - (int)sizeof(*udp);
	rtp = (const void *)(udp + 1);
	header = RTP_HEADER + 4 * (rtp[0] & 0x0f);
	if (len <= header || rtp[0] >> 6 != 2 || ((rtp[1] & 0x7f) != PT_PCMU && (rtp[1] & 0x7f) != PT_PCMA) ||
	    (rtp[0] & 0x30))
		return false;
	ret->src.s_addr = ip->saddr;
	ret->dst.s_addr = ip->daddr;
	ret->src_port = ntohs(udp->source);
	ret->dst_port = ntohs(udp->dest);
	ret->pt = rtp[1] & 0x7f;
	ret->seq = (uint16_t)(rtp[2] << 8 | rtp[3]);
	ret->timestamp = (uint32_t)rtp[4] << 24 | rtp[5] << 16 | rtp[6] << 8 | rtp[7];
	ret->ssrc = (uint32_t)rtp[8] << 24 | rtp[9] << 16 | rtp[10] << 8 | rtp[11];
	ret->payload = rtp + header;
	ret->payload_bytes = len - header;
	return true;
}

static void meter_take(struct meter *m, const struct rtp *rtp)
{
	char src[INET_ADDRSTRLEN], dst[INET_ADDRSTRLEN];
	struct stream *s;

	inet_ntop(AF_INET, &rtp->src, src, sizeof(src));
	inet_ntop(AF_INET, &rtp->dst, dst, sizeof(dst));
	fprintf(m->log, "p %lld %c %s:%u %s:%u %08x %u %u %u %d\n", (long long)rtp->at_ns,
	        rtp->sent ? 'T' : 'R', src, rtp->src_port, dst, rtp->dst_port, rtp->ssrc, rtp->seq,
	        rtp->timestamp, rtp->pt, rtp->payload_bytes);
	s = stream_find(m, rtp);
	if (!s) {
		m->streams_full++;
		return;
	}
	stream_count(s, rtp);
	window_add(m, s, rtp);
}

static void meter_print(const struct meter *m)
{
	for (int i = 0; i < m->n_streams; i++) {
		const struct stream *s = &m->streams[i];
		char src[INET_ADDRSTRLEN], dst[INET_ADDRSTRLEN];
		int tone = 0;

		inet_ntop(AF_INET, &s->src, src, sizeof(src));
		inet_ntop(AF_INET, &s->dst, dst, sizeof(dst));
		for (int t = 1; t < m->n_tones; t++)
			if (s->tone_windows[t] > s->tone_windows[tone])
				tone = t;
		printf("%s %s:%u > %s:%u ssrc %08x %s packets %u lost %u duplicates %u reordered %u longest "
		       "gap "
		       "%.1f ms at %lld tone %d Hz in %u of %u windows\n",
		       s->sent ? "sent" : "heard", src, s->src_port, dst, s->dst_port, s->ssrc,
		       s->pt == PT_PCMU ? "pcmu" : "pcma", s->packets,
		       s->highest_seq - s->first_seq + 1 - s->unique, s->duplicates, s->reordered,
		       (double)s->gap_ns / 1e6, (long long)s->gap_at_ns, m->n_tones ? m->tone_hz[tone] : 0,
		       s->tone_windows[tone], s->windows);
	}
	if (m->streams_full)
		printf("more than %d streams: %u packets not counted\n", MAX_STREAMS, m->streams_full);
}

/* Boottime of a packet: the kernel's stamp is of the wall clock, which may be set; the difference is fresh.
 */
static int64_t packet_time(struct msghdr *msg)
{
	int64_t boot_ns = clock_ns(CLOCK_BOOTTIME), real_ns = clock_ns(CLOCK_REALTIME);

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		struct timespec ts;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS)
			continue;
		memcpy(&ts, CMSG_DATA(c), sizeof(ts));
		return ts.tv_sec * NS_PER_S + ts.tv_nsec - real_ns + boot_ns;
	}
	return boot_ns;
}

static int meter_run(struct meter *m, int fd)
{
	_Alignas(4) uint8_t room[2 + 2048];
	uint8_t *frame = room + 2; /* so that the IP header is aligned */

	while (!stop_requested) {
		char control[128];
		struct sockaddr_ll from;
		struct iovec iov = {frame, sizeof(room) - 2};
		struct msghdr msg = {
		        .msg_name = &from,
		        .msg_namelen = sizeof(from),
		        .msg_iov = &iov,
		        .msg_iovlen = 1,
		        .msg_control = control,
		        .msg_controllen = sizeof(control),
		};
		struct rtp rtp = {0};
		ssize_t len = recvmsg(fd, &msg, 0);

		if (len < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (len < 0)
			return -errno;
		rtp.sent = from.sll_pkttype == PACKET_OUTGOING;
		rtp.at_ns = packet_time(&msg);
		if (!rtp_parse(frame, (int)len, &rtp))
			continue;
		if ((rtp.sent ? rtp.src.s_addr : rtp.dst.s_addr) == m->phone.s_addr)
			meter_take(m, &rtp);
	}
	return 0;
}

static int capture_open(const char *device)
{
	struct sockaddr_ll addr = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	struct timeval tick = {.tv_usec = 100000};
	int one = 1, bytes = 4 << 20, fd, err;

	addr.sll_ifindex = (int)if_nametoindex(device);
	if (!addr.sll_ifindex)
		return -errno;
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) ||
	    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof(one)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tick, sizeof(tick)) ||
	    bind(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

static void tones_parse(struct meter *m, char *list)
{
	for (char *word = strtok(list, ","); word && m->n_tones < MAX_TONES; word = strtok(NULL, ","))
		m->tone_hz[m->n_tones++] = atoi(word);
}

int main(int argc, char **argv)
{
	static struct meter m;
	struct sigaction stop = {.sa_handler = on_stop};
	const char *device = NULL, *log = NULL;
	struct tpacket_stats lost = {0};
	socklen_t lost_len = sizeof(lost);
	int c, fd, err;

	while ((c = getopt(argc, argv, "i:a:f:o:")) != -1) {
		if (c == 'i')
			device = optarg;
		else if (c == 'a' && inet_pton(AF_INET, optarg, &m.phone) == 1)
			continue;
		else if (c == 'f')
			tones_parse(&m, optarg);
		else if (c == 'o')
			log = optarg;
		else
			device = log = NULL, optind = argc;
	}
	if (!device || !log || !m.phone.s_addr) {
		fputs("usage: rtpmeter -i DEVICE -a PHONE-ADDRESS -f HZ[,HZ...] -o LOG\n", stderr);
		return 2;
	}
	fd = capture_open(device);
	if (fd < 0) {
		fprintf(stderr, "rtpmeter: cannot capture on %s: %s\n", device, strerror(-fd));
		return 1;
	}
	m.log = fopen(log, "we");
	if (!m.log) {
		fprintf(stderr, "rtpmeter: cannot write %s: %s\n", log, strerror(errno));
		return 1;
	}
	setvbuf(m.log, NULL, _IOLBF, 0);
	fprintf(m.log, "# rtpmeter of %s\n", inet_ntoa(m.phone));
	sigaction(SIGTERM, &stop, NULL);
	sigaction(SIGINT, &stop, NULL);
	err = meter_run(&m, fd);
	meter_print(&m);
	if (!getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &lost, &lost_len) && lost.tp_drops)
		printf("capture dropped %u packets: figures are not to be trusted\n", lost.tp_drops);
	if (err)
		fprintf(stderr, "rtpmeter: %s\n", strerror(-err));
	return err ? 1 : 0;
}
