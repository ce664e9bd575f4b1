// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* callfarm's RTP: what is sent when, and what of the other phone's arrived; see farm.h. */
#include "farm.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAGIC       0x53464d31 /* "SFM1" */
#define RTP_HEADER  12
#define PACKET_MAX  400
#define READS       64
#define ROOM_BYTES  (1 << 20) /* of a fast stream: half a minute unread is no loss of the wire */
#define NS_PER_MS   1000000LL
#define LATE_MAX_NS (1000 * NS_PER_MS) /* a sender that was held up longer does not catch up */

struct stamp { /* in the payload, so that loss is counted and not guessed */
	uint32_t magic;
	uint32_t call;
	uint32_t seq;
	uint32_t side;
	int64_t sent_ns;
};

int64_t farm_media_interval_ns(const struct farm *farm, const struct farm_call *call)
{
	return call->index < farm->sample ? farm->sample_ns : farm->other_ns;
}

int farm_media_open(struct farm *farm, struct farm_call *call)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = call};
	int err, room = ROOM_BYTES;

	call->port = (uint16_t)(farm->rtp_first + 2 * call->index);
	err = rtp_open(farm->bind.sin_addr, call->port, true, &call->fd);
	if (!err && call->index < farm->sample)
		setsockopt(call->fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	if (!err && epoll_ctl(farm->epoll, EPOLL_CTL_ADD, call->fd, &event))
		err = -errno;
	return err;
}

void farm_media_close(struct farm_call *call)
{
	if (call->fd >= 0)
		close(call->fd);
	call->fd = -1;
}

/* A slot that has passed would come up again only after a whole turn of the wheel. */
static void queue(struct farm *farm, struct farm_call *call)
{
	int64_t due_ms = call->tx.next_ns / NS_PER_MS;
	int64_t at_ms = due_ms > farm->wheel_ms ? due_ms : farm->wheel_ms + 1;
	struct farm_call **slot = &farm->slot[at_ms % FARM_WHEEL];

	call->wheel = *slot;
	*slot = call;
	call->tx.queued = true;
}

/* Streams begin a different part of their interval apart, so that they do not come in bursts. */
void farm_media_start(struct farm *farm, struct farm_call *call)
{
	int64_t interval = farm_media_interval_ns(farm, call);

	if (call->tx.queued)
		return;
	call->tx.next_ns = boot_ns() + 2 * NS_PER_MS + (call->index * 7919LL * 1000) % interval;
	queue(farm, call);
}

static void send_packet(struct farm *farm, struct farm_call *call, int64_t now_ns)
{
	uint8_t packet[PACKET_MAX];
	struct stamp stamp = {MAGIC, call->index, call->tx.seq, farm->calls_out, now_ns};
	uint16_t seq = htons((uint16_t)call->tx.seq);
	uint32_t time = htonl(call->tx.seq * 160), ssrc = htonl(call->index * 2 + farm->calls_out + 1);

	memset(packet, 0xff, sizeof(packet));
	packet[0] = 0x80;
	packet[1] = 0; /* PCMU */
	memcpy(packet + 2, &seq, 2);
	memcpy(packet + 4, &time, 4);
	memcpy(packet + 8, &ssrc, 4);
	memcpy(packet + RTP_HEADER, &stamp, sizeof(stamp));
	if (sendto(call->fd, packet, RTP_HEADER + farm->payload, 0, (struct sockaddr *)&call->rtp,
	           sizeof(call->rtp)) < 0) {
		farm->unsent++; /* not counted as sent: the number is used again */
		return;
	}
	farm->sent++;
	call->tx.seq++;
	if (call->tx.last_ns > farm->window_ns && now_ns - call->tx.last_ns > call->tx.pause_ns)
		call->tx.pause_ns = now_ns - call->tx.last_ns;
	call->tx.last_ns = now_ns;
}

static void send_one(struct farm *farm, struct farm_call *call, int64_t now_ns)
{
	int64_t interval = farm_media_interval_ns(farm, call), late = now_ns - call->tx.next_ns;

	call->tx.queued = false;
	if (call->state != FARM_UP || call->fd < 0)
		return;
	if (late > (int64_t)farm->late_max_ns)
		farm->late_max_ns = (uint64_t)late;
	if (!call->tx.stopped && call->rtp.sin_port)
		send_packet(farm, call, now_ns);
	call->tx.next_ns += interval;
	if (now_ns - call->tx.next_ns > LATE_MAX_NS)
		call->tx.next_ns = now_ns + interval;
	queue(farm, call);
}

void farm_media_send_due(struct farm *farm, int64_t now_ns)
{
	int64_t now_ms = now_ns / NS_PER_MS;

	if (!farm->wheel_ms || now_ms - farm->wheel_ms > FARM_WHEEL)
		farm->wheel_ms = now_ms - FARM_WHEEL + 1;
	for (; farm->wheel_ms < now_ms; farm->wheel_ms++) {
		struct farm_call **slot = &farm->slot[farm->wheel_ms % FARM_WHEEL], *call = *slot;
		*slot = NULL;
		while (call) {
			struct farm_call *next = call->wheel;
			if (call->tx.next_ns / NS_PER_MS <= now_ms)
				send_one(farm, call, now_ns);
			else
				queue(farm, call);
			call = next;
		}
	}
}

static void count_seq(struct farm_rx *rx, uint32_t seq)
{
	if (!rx->next_seq) { /* the first of all */
		rx->next_seq = seq + 1;
	} else if (seq >= rx->next_seq) {
		uint32_t skipped = seq - rx->next_seq;
		uint64_t ahead = skipped + 1;
		rx->lost += skipped;
		rx->missing = ahead >= 64 ? 0 : rx->missing << ahead;
		for (uint32_t i = 1; i <= skipped && i < 64; i++)
			rx->missing |= 1ULL << i;
		rx->next_seq = seq + 1;
	} else {
		uint32_t back = rx->next_seq - 1 - seq;
		if (back < 64 && rx->missing >> back & 1) { /* late, not lost */
			rx->missing &= ~(1ULL << back);
			rx->lost -= rx->lost > 0;
		} else {
			rx->duplicates++;
			return;
		}
	}
	rx->received++;
}

static void count_packet(struct farm *farm, struct farm_call *call, const uint8_t *packet, size_t len,
                         const struct sockaddr_in *from, int64_t at_ns)
{
	struct farm_rx *rx = &call->rx;
	struct stamp stamp;

	if (len < RTP_HEADER + sizeof(stamp)) {
		rx->foreign++;
		return;
	}
	memcpy(&stamp, packet + RTP_HEADER, sizeof(stamp));
	if (stamp.magic != MAGIC || stamp.call != call->index || stamp.side == farm->calls_out) {
		rx->foreign++;
		return;
	}
	if (from->sin_port != call->rtp.sin_port || from->sin_addr.s_addr != call->rtp.sin_addr.s_addr)
		rx->wrong_source++;
	count_seq(rx, stamp.seq);
	if (rx->last_ns && at_ns - rx->last_ns > rx->gap_ns) {
		rx->gap_ns = at_ns - rx->last_ns;
		rx->gap_at_ns = rx->last_ns;
	}
	if (at_ns > rx->last_ns)
		rx->last_ns = at_ns;
	if (farm->mark_ns && !rx->first_after_mark_ns && stamp.sent_ns > farm->mark_ns)
		rx->first_after_mark_ns = at_ns;
}

/* When the kernel had it, on our clock; now when it does not say. */
static int64_t stamp_of(const struct farm *farm, struct msghdr *msg)
{
	struct timespec t;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
			memcpy(&t, CMSG_DATA(c), sizeof(t));
			return t.tv_sec * 1000000000LL + t.tv_nsec - farm->realtime_offset_ns;
		}
	return boot_ns();
}

void farm_media_read(struct farm *farm, struct farm_call *call)
{
	for (int i = 0; i < READS && call->fd >= 0; i++) {
		uint8_t packet[PACKET_MAX];
		char control[64];
		struct sockaddr_in from;
		struct iovec part = {packet, sizeof(packet)};
		struct msghdr msg = {&from, sizeof(from), &part, 1, control, sizeof(control), 0};
		ssize_t n = recvmsg(call->fd, &msg, 0);
		if (n < 0)
			return;
		count_packet(farm, call, packet, (size_t)n, &from, stamp_of(farm, &msg));
	}
}

void farm_media_window(struct farm *farm, int64_t now_ns)
{
	farm->window_ns = now_ns;
	farm->late_max_ns = 0;
	for (uint32_t i = 0; i < farm->n; i++) {
		struct farm_call *call = farm->call[i];
		if (!call)
			continue;
		struct farm_rx *rx = &call->rx;
		*rx = (struct farm_rx){
		        .next_seq = rx->next_seq, .missing = rx->missing, .last_ns = rx->last_ns};
		call->tx.pause_ns = 0;
	}
}
