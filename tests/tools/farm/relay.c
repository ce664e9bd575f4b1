// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* b2bserver's media threads; see relay.h. */
#include "relay.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define THREADS 4
#define EVENTS  128
#define READS   8 /* datagrams of one socket in a turn */

#define PT_DYNAMIC  96 /* the first of 32 (RFC 3551) */
#define PT_DYNAMICS 32

enum order_kind { ORDER_OPEN, ORDER_LEARN, ORDER_CLOSE };

struct order { /* through a pipe: written whole, read whole */
	enum order_kind kind;
	int side;
	struct relay_call *call;
	uint16_t port;
	struct sockaddr_in rtp;
	struct answer *answer;
};

struct answer {
	sem_t done;
	int err;
};

struct thread {
	pthread_t id;
	int orders[2];
	int epoll;
	struct relay_counts counts;
};

static struct thread threads[THREADS];
static struct in_addr own;
static unsigned int first, last, next, pt_shift;
static uint8_t used[65536];

/* --- in a thread ---------------------------------------------------------------------- */
static void close_leg(struct relay_leg *leg)
{
	for (int i = 0; i < 2; i++) {
		if (leg->fd[i] >= 0)
			close(leg->fd[i]);
		leg->fd[i] = -1;
	}
}

/* Calls stay where they are, so a pointer with its three spare bits says which stream. */
static int open_leg(struct thread *t, const struct order *order)
{
	struct relay_leg *leg = &order->call->leg[order->side];
	int err = 0;

	for (int i = 0; i < 2 && !err; i++) {
		struct epoll_event event = {.events = EPOLLIN};
		event.data.u64 = (uintptr_t)order->call | (unsigned int)order->side << 1 | (unsigned int)i;
		err = rtp_open(own, (uint16_t)(order->port + i), false, &leg->fd[i]);
		if (!err && epoll_ctl(t->epoll, EPOLL_CTL_ADD, leg->fd[i], &event))
			err = -errno;
	}
	if (err)
		close_leg(leg);
	return err;
}

static void learn(struct relay_leg *leg, const struct sockaddr_in *rtp)
{
	if (leg->latched[0] && leg->media[0].sin_port == rtp->sin_port &&
	    leg->media[0].sin_addr.s_addr == rtp->sin_addr.s_addr)
		return;
	leg->media[0] = leg->media[1] = *rtp;
	leg->media[1].sin_port = htons((uint16_t)(ntohs(rtp->sin_port) + 1));
	leg->latched[0] = leg->latched[1] = false;
}

static void obey(struct thread *t)
{
	struct order order;

	while (read(t->orders[0], &order, sizeof(order)) == sizeof(order)) {
		if (order.kind == ORDER_LEARN) {
			learn(&order.call->leg[order.side], &order.rtp);
		} else if (order.kind == ORDER_CLOSE) {
			close_leg(&order.call->leg[0]);
			close_leg(&order.call->leg[1]);
		} else {
			order.answer->err = open_leg(t, &order);
		}
		sem_post(&order.answer->done);
	}
}

static bool is_from(struct relay_leg *leg, int rtcp, const struct sockaddr_in *from)
{
	struct sockaddr_in *known = &leg->media[rtcp];

	if (!leg->latched[rtcp]) {
		*known = *from;
		leg->latched[rtcp] = true;
	}
	return known->sin_addr.s_addr == from->sin_addr.s_addr && known->sin_port == from->sin_port;
}

void relay_shift(unsigned int shift)
{
	pt_shift = shift % PT_DYNAMICS;
}

unsigned int relay_pt(unsigned int pt, int side)
{
	unsigned int by = side ? PT_DYNAMICS - pt_shift : pt_shift;

	return pt < PT_DYNAMIC || pt > 127 ? pt : PT_DYNAMIC + (pt - PT_DYNAMIC + by) % PT_DYNAMICS;
}

static void relay(struct thread *t, struct relay_call *call, int side, int rtcp)
{
	struct relay_leg *in = &call->leg[side], *out = &call->leg[!side];
	char datagram[2048];

	for (int i = 0; i < READS && in->fd[rtcp] >= 0; i++) {
		struct sockaddr_in from;
		socklen_t from_len = sizeof(from);
		ssize_t n = recvfrom(in->fd[rtcp], datagram, sizeof(datagram), 0, (struct sockaddr *)&from,
		                     &from_len);
		if (n < 0)
			return;
		if (!is_from(in, rtcp, &from)) {
			t->counts.strange++;
			continue;
		}
		if (out->fd[rtcp] < 0 || !out->media[rtcp].sin_port)
			continue;
		if (!rtcp && n > 1) /* the marker shares the payload type's byte */
			datagram[1] = (char)((datagram[1] & 0x80) |
			                     relay_pt((unsigned int)datagram[1] & 0x7f, side));
		if (sendto(out->fd[rtcp], datagram, (size_t)n, 0, (struct sockaddr *)&out->media[rtcp],
		           sizeof(out->media[rtcp])) < 0)
			t->counts.unsent++;
		else
			t->counts.relayed++;
	}
}

static void *serve(void *arg)
{
	struct thread *t = arg;
	struct epoll_event events[EVENTS], orders = {.events = EPOLLIN, .data.u64 = 0};

	if (unshare(CLONE_FILES))
		return NULL;
	t->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (t->epoll < 0 || epoll_ctl(t->epoll, EPOLL_CTL_ADD, t->orders[0], &orders))
		return NULL;
	for (;;) {
		int n = epoll_wait(t->epoll, events, EVENTS, -1);
		obey(t);
		for (int i = 0; i < n; i++) {
			uint64_t which = events[i].data.u64;
			if (which)
				relay(t, (struct relay_call *)(uintptr_t)(which & ~7ULL),
				      (int)(which >> 1 & 1), (int)(which & 1));
		}
	}
	return NULL;
}

/* --- from outside --------------------------------------------------------------------------- */
/* Waits until the thread has done it. */
static int tell(struct relay_call *call, enum order_kind kind, int side, uint16_t port,
                const struct sockaddr_in *rtp)
{
	struct answer answer = {.err = 0};
	struct order order = {kind, side, call, port, rtp ? *rtp : (struct sockaddr_in){0}, &answer};

	sem_init(&answer.done, 0, 0);
	if (write(threads[call->thread].orders[1], &order, sizeof(order)) != sizeof(order))
		return -EIO;
	while (sem_wait(&answer.done))
		;
	sem_destroy(&answer.done);
	return answer.err;
}

int relay_start(struct in_addr addr, unsigned int port_first, unsigned int port_last)
{
	own = addr;
	first = next = port_first;
	last = port_last;
	for (int i = 0; i < THREADS; i++)
		if (pipe2(threads[i].orders, O_CLOEXEC) || fcntl(threads[i].orders[0], F_SETFL, O_NONBLOCK))
			return -errno;
	for (int i = 0; i < THREADS; i++) {
		int err = pthread_create(&threads[i].id, NULL, serve, &threads[i]);
		if (err)
			return -err;
	}
	return 0;
}

static int open_any(struct relay_call *call, int side)
{
	for (unsigned int tried = 0; tried < (last - first + 1) / 2; tried++) {
		unsigned int port = next;
		next = port + 3 > last ? first : port + 2;
		if (used[port])
			continue;
		int err = tell(call, ORDER_OPEN, side, (uint16_t)port, NULL);
		if (!err) {
			used[port] = 1;
			call->leg[side].port = (uint16_t)port;
		}
		if (err != -EADDRINUSE) /* another program's port is no reason to give up */
			return err;
	}
	return -EADDRINUSE;
}

int relay_open(struct relay_call *call, unsigned int number)
{
	call->thread = number % THREADS;
	for (int side = 0; side < 2; side++)
		call->leg[side] = (struct relay_leg){.fd = {-1, -1}};
	int err = open_any(call, 0);
	if (!err)
		err = open_any(call, 1);
	if (err)
		relay_close(call);
	return err;
}

void relay_learn(struct relay_call *call, int side, const struct sockaddr_in *rtp)
{
	tell(call, ORDER_LEARN, side, 0, rtp);
}

void relay_close(struct relay_call *call)
{
	for (int side = 0; side < 2; side++) {
		used[call->leg[side].port] = 0;
		call->leg[side].port = 0;
	}
	tell(call, ORDER_CLOSE, 0, 0, NULL);
}

void relay_count(struct relay_counts *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (int i = 0; i < THREADS; i++) {
		ret->relayed += threads[i].counts.relayed;
		ret->strange += threads[i].counts.strange;
		ret->unsent += threads[i].counts.unsent;
	}
}
