/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A rescued call between phones A and B on node b of node.h's world, and its packets, for the tests of
 * relay.h. */
#ifndef SIPFLIP_TEST_RELAY_H
#define SIPFLIP_TEST_RELAY_H

#include "node.h"

#define NONE      -1
#define PHONE_A   ADDR_FAR
#define PHONE_B   0x0a0900c9U
#define STRANGER  0x0a0900caU
#define SLOT_A    10
#define SLOT_B    11
#define SLOT_TWIN 12
#define PORT_A    30000 /* on the VIP */
#define PORT_B    30002
#define REMOTE_A  4000 /* on the phones */
#define REMOTE_B  5000
#define MAX_NEWS  16
#define SECOND_NS 1000000000ULL

static const uint8_t mac_b[6] = {2, 0, 0, 0, 0, 0xc9};

/* RTP: version 2, type 101 with the marker bit, and a little payload of odd length. */
static const uint8_t rtp[] = {0x80, 0xe5, 0, 1, 0, 0, 0, 160, 1, 2, 3, 4, 'm', 'e', 'd', 'i', 'a'};

struct news {
	int n;
	struct media_event event[MAX_NEWS];
};

/* What a test has besides the node. */
static struct flow *flows;
static __u64 *ports; /* an array's values lie 8 bytes apart */
static struct ring_buffer *ring;
static struct news news;

static inline int on_news(void *ctx, void *data, size_t size)
{
	assert_in_range(news.n, 0, MAX_NEWS - 1);
	memcpy(&news.event[news.n++], data, sizeof(struct media_event));
	return 0;
}

static inline void put_flow(uint32_t slot, struct flow flow)
{
	flow.next = ports[flow.vip_port];
	flows[slot] = flow;
	ports[flow.vip_port] = slot;
}

static inline struct flow leg_a(void)
{
	struct flow flow = {.vip = mapped(VIP),
	                    .remote = mapped(PHONE_A),
	                    .vip_port = PORT_A,
	                    .remote_port = REMOTE_A,
	                    .service = SERVICE,
	                    .peer = SLOT_B};

	memcpy(flow.mac, mac_far, 6);
	return flow;
}

static inline struct flow leg_b(void)
{
	struct flow flow = {.vip = mapped(VIP),
	                    .remote = mapped(PHONE_B),
	                    .vip_port = PORT_B,
	                    .remote_port = REMOTE_B,
	                    .service = SERVICE,
	                    .peer = SLOT_A};

	memcpy(flow.mac, mac_b, 6);
	return flow;
}

static inline int setup(void **state)
{
	struct world *w;
	struct ingress_bpf *skel;

	if (node_setup(state))
		return -1;
	w = *state;
	skel = w->skel;
	flows = map_memory(skel->maps.flows);
	ports = map_memory(skel->maps.flow_ports);
	news.n = 0;
	ring = ring_buffer__new(bpf_map__fd(skel->maps.media), on_news, NULL, NULL);
	put_flow(SLOT_A, leg_a());
	put_flow(SLOT_B, leg_b());
	node_own(w);
	w->state[SERVICE].flipped_ns = now_boot_ns();
	return 0;
}

static inline int teardown(void **state)
{
	ring_buffer__free(ring);
	munmap(flows, sizeof(struct flow) * MAX_FLOWS);
	munmap(ports, sizeof(*ports) * 65536);
	return node_teardown(state);
}

static inline void run(struct world *w, struct frame in)
{
	news.n = 0;
	run_frame(w, &in);
	assert_true(ring_buffer__consume(ring) >= 0);
}

static inline struct frame from_len(uint32_t addr, uint16_t port, uint16_t vip_port, uint16_t len)
{
	uint8_t payload[1400];

	for (int i = 0; i < len; i++)
		payload[i] = i < (int)sizeof(rtp) ? rtp[i] : (uint8_t)(i * 7);
	return frame_summed(frame_udp(mac_self, mac_far, addr, port, VIP, vip_port, payload, len));
}
static inline struct frame from(uint32_t addr, uint16_t port)
{
	return from_len(addr, port, PORT_A, sizeof(rtp));
}
static inline struct frame from_a(void)
{
	return from(PHONE_A, REMOTE_A);
}
static inline struct frame from_b(void)
{
	struct frame f = from_len(PHONE_B, REMOTE_B, PORT_B, sizeof(rtp));

	memcpy(f.b + 6, mac_b, 6);
	return f;
}

/* The frame as it must leave, put together anew. */
static inline struct frame sent_to(struct frame f, const uint8_t *mac, uint16_t vip_port, uint32_t addr,
                                   uint16_t port)
{
	uint8_t *udp = f.b + 14 + (f.b[14] & 15) * 4;
	bool summed = udp[6] || udp[7];

	memcpy(f.b, mac, 6);
	memcpy(f.b + 6, mac_self, 6);
	f.b[22]--;
	put32(f.b + 26, VIP);
	put32(f.b + 30, addr);
	put16(udp, vip_port);
	put16(udp + 2, port);
	f = frame_summed(f);
	if (!summed)
		put16(udp + 6, 0);
	return f;
}
static inline struct frame sent_to_b(struct frame f)
{
	return sent_to(f, mac_b, PORT_B, PHONE_B, REMOTE_B);
}
static inline struct frame sent_to_a(struct frame f)
{
	return sent_to(f, mac_far, PORT_A, PHONE_A, REMOTE_A);
}

static inline struct frame with_type(struct frame f, uint8_t second_byte)
{
	f.b[43] = second_byte;
	return frame_summed(f);
}

static inline struct frame from_a_even(void)
{
	return from_len(PHONE_A, REMOTE_A, PORT_A, 172);
}
static inline struct frame from_stranger(void)
{
	return from(STRANGER, REMOTE_A);
}
static inline struct frame from_a_port(void)
{
	return from(PHONE_A, REMOTE_A + 2);
}
static inline void odd(struct world *w)
{
	flows[SLOT_A].generation = 7;
}
static inline void server(struct world *w)
{
	flows[SLOT_A].flags = FLOW_SERVER;
}
static inline void types(struct world *w)
{
	flows[SLOT_A].pt[0] = (struct flow_pt){96, 97};
	flows[SLOT_A].pt[1] = (struct flow_pt){101, 96};
}

#define of_a_call(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

#endif
