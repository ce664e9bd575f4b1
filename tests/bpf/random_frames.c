/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See random_frames.h. */
#include "random_frames.h"

#include <stdio.h>
#include <stdlib.h>

#define FAR_NS 100000000000ULL /* no frame is tried that much later */

const uint8_t vip_six[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 0x64};

static uint64_t state = 1;

void random_seed(uint64_t seed)
{
	state = seed * 2 + 1;
}

/* xorshift64*, Vigna 2016 */
static uint64_t random64(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 2685821657736338717ULL;
}

uint32_t random_below(uint32_t below)
{
	return (uint32_t)((random64() >> 32) * below >> 32);
}

static bool one_in(uint32_t n)
{
	return random_below(n) == 0;
}

#define ONE_OF(...)                                                                                          \
	one_of((const uint64_t[]){__VA_ARGS__}, sizeof((uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

static uint64_t one_of(const uint64_t *list, size_t n)
{
	return list[random_below((uint32_t)n)];
}

const char *kind_name(enum kind kind)
{
	static const char *const names[] = {
#define X(name, weight) #name,
	        INGRESS_KINDS(X) EGRESS_KINDS(X)
#undef X
	};

	return names[kind];
}

enum kind random_kind(bool egress)
{
	static const uint8_t weights[] = {
#define X(name, weight) weight,
	        INGRESS_KINDS(X) EGRESS_KINDS(X)
#undef X
	};
	uint32_t at = random_below(100);
	enum kind kind = egress ? KIND_out_arp : KIND_arp;

	while (at >= weights[kind])
		at -= weights[kind++];
	return kind;
}

/* --- the node ------------------------------------------------------------------------- */

static const uint32_t phones[] = {ADDR_FAR, 0x0a0900c9U, 0x0a0900caU};
static const uint8_t *const macs[] = {mac_self, mac_peer, mac_far, mac_other, mac_all, mac_none};

static struct inaddr16 mapped(uint32_t addr)
{
	return addr ? addr_from_be32(htonl(addr)) : (struct inaddr16){{0}};
}

static uint32_t phone(void)
{
	return phones[random_below(3)];
}

static const uint8_t *mac(void)
{
	return macs[random_below(6)];
}

const char *random_call_id(int i)
{
	static const char *const ids[] = {"a84b4c76e66710@pc33.example.com", "x", "8charsid",
	                                  "f81d4fae-7dec-11d0", "not-steered@x"};

	return ids[i];
}

/* Long ago, in a long time, never or for ever: nothing that a moment more or less would change. */
static uint64_t some_time(uint64_t now_ns)
{
	return ONE_OF(0, now_ns - FAR_NS, now_ns + FAR_NS, now_ns + FAR_NS, 1);
}

static void random_service(struct ref_service *svc, uint32_t number, uint64_t now_ns)
{
	*svc = (struct ref_service){.number = number};
	svc->word.lease_until_ns =
	        ONE_OF(0, 0, now_ns - FAR_NS, now_ns + FAR_NS, now_ns + FAR_NS, LEASE_FOREVER, LEASE_FOREVER);
	svc->conf = (struct service_conf){
	        .lease_ns = LEASE_NS,
	        .incarnation = one_in(20) ? 0 : SELF_INC,
	        .node_addr = mapped(ADDR_SELF),
	        .first_vip = mapped(number == SERVICE ? VIP : VIP_OTHER),
	        .config_tag = CONFIG_TAG,
	        .ifindex = one_in(8) ? IFINDEX + 1 : IFINDEX,
	        .echo_port = WIRE_PORT,
	        .node = NODE_SELF,
	        .sip_port = {SIP_PORT_1, one_in(2) ? SIP_PORT_2 : 0},
	        .rescue_port = one_in(5) ? 0 : RESCUE_PORT,
	};
	if (one_in(10))
		memcpy(svc->conf.first_vip.b, vip_six, 16);
	memcpy(svc->conf.mac, mac_self, 6);
	svc->state = (struct service_state){
	        .epoch = EPOCH,
	        .armed_until_ns = some_time(now_ns),
	        .turn_ns = some_time(now_ns),
	        .ok_ns = some_time(now_ns),
	        .server_dead_ns = one_in(3) ? now_ns - FAR_NS : 0,
	        .flipped_ns = ONE_OF(0, now_ns - FAR_NS, now_ns - FAR_NS),
	        .first_packet_ns = one_in(2) ? now_ns - FAR_NS : 0,
	        .flags = (uint32_t)random64(),
	        .forward_to =
	                (uint8_t)ONE_OF(0, NODE_PEER, NODE_PEER, NODE_PEER, NODE_SELF, NODE_WIT, 15, 16, 255),
	        .draining = one_in(16),
	};
	if (one_in(2))
		memcpy(svc->peers[NODE_PEER].mac, mac_peer, 6);
	if (one_in(4))
		memcpy(svc->peers[15].mac, mac_other, 6);
	if (one_in(2)) {
		svc->peers[NODE_PEER].incarnation = PEER_INC;
		svc->peers[NODE_PEER].sent_ns = ONE_OF(999999, 1000000, 1000001, UINT64_MAX);
	}
	if (one_in(2)) {
		struct fresh *fresh = &svc->fresh[NODE_PEER];

		fresh->incarnation = one_in(3) ? PEER_INC + 1 : PEER_INC;
		fresh->stranger_ns = ONE_OF(0, now_ns - FAR_NS, now_ns + FAR_NS);
		for (int type = WIRE_REFLECT; type <= WIRE_RESIGN; type++)
			fresh->newest_ns[type] = ONE_OF(0, 999999, 1000000, now_ns, UINT64_MAX);
	}
}

static void random_flow(struct ref *r, uint32_t slot, uint64_t now_ns)
{
	uint32_t vip = (uint32_t)ONE_OF(VIP, VIP, VIP, VIP2, VIP_OTHER);
	uint16_t port = (uint16_t)(BASE_PORT + random_below(8));
	struct flow *flow = &r->flows[slot];
	uint32_t *first = &r->port_slot[port - BASE_PORT];

	*flow = (struct flow){
	        .vip = mapped(vip),
	        .remote = mapped(one_in(10) ? 0 : phone()),
	        .source = mapped(one_in(2) ? phone() : 0),
	        .vip_port = port,
	        .remote_port = one_in(10) ? 0 : (uint16_t)(4000 + random_below(3)),
	        .source_port = one_in(2) ? (uint16_t)(4000 + random_below(3)) : 0,
	        .service = vip == VIP_OTHER ? SERVICE_2 : SERVICE,
	        .flags = (uint8_t)ONE_OF(0, 0, 0, 0, FLOW_SERVER, FLOW_SERVER, FLOW_RTCP, FLOW_HELD,
	                                 FLOW_RTCP | FLOW_SERVER),
	        .peer = one_in(10) ? (uint32_t)ONE_OF(0, MAX_FLOWS, UINT32_MAX)
	                           : 1 + random_below(REF_SLOTS - 1),
	        .next = *first,
	        .generation = one_in(16) ? 7 : 6,
	        .last_ns = ONE_OF(0, now_ns - FAR_NS, now_ns),
	        .next_hop_ns = ONE_OF(0, now_ns - FAR_NS, now_ns + FAR_NS),
	        .relatched_ns = one_in(5) ? now_ns - FAR_NS : 0,
	};
	*first = slot;
	if (flow->last_ns) {
		flow->seen_from = mapped(phone());
		flow->seen_from_port = (uint16_t)(4000 + random_below(3));
	}
	if (one_in(2))
		memcpy(flow->mac, mac(), 6);
	if (one_in(3))
		memcpy(flow->seen_mac, mac(), 6);
	if (flow->next_hop_ns)
		memcpy(flow->next_hop, mac_far, 6);
	for (int i = 0; i < FLOW_PTS && one_in(2); i++)
		flow->pt[i] = (struct flow_pt){(uint8_t)ONE_OF(0, 8, 96, 101, 64),
		                               (uint8_t)ONE_OF(0, 8, 97, 101, 200)};
}

static void add_vip(struct ref *r, struct inaddr16 addr, uint32_t service, uint32_t ifindex)
{
	r->vips[r->n_vips].addr = addr;
	r->vips[r->n_vips++].vip = (struct vip){.service = service, .ifindex = ifindex};
}

void random_node(struct ref *r, uint64_t now_ns)
{
	struct inaddr16 six;

	*r = (struct ref){.ifindex = IFINDEX, .base_port = BASE_PORT, .keys = {key_first, key_second}};
	memcpy(six.b, vip_six, 16);
	if (one_in(6))
		r->keys[random_below(2)] = (struct siphash_key){0};
	add_vip(r, mapped(VIP), SERVICE, IFINDEX);
	add_vip(r, mapped(VIP2), SERVICE, IFINDEX);
	add_vip(r, mapped(VIP_TWIN), SERVICE, IFINDEX);
	add_vip(r, mapped(VIP_AWAY), SERVICE, IFINDEX + 1);
	add_vip(r, mapped(VIP_OTHER), SERVICE_2, IFINDEX);
	add_vip(r, six, SERVICE, IFINDEX);
	random_service(&r->service[0], SERVICE, now_ns);
	random_service(&r->service[1], SERVICE_2, now_ns);
	r->steer_key = (struct siphash_key){0x0123456789abcdefULL, 0xfedcba9876543210ULL};
	for (int i = 0; i < 4; i++) {
		uint32_t service = i == 3 ? SERVICE_2 : SERVICE;
		const char *id = random_call_id(i);

		r->steers[i].service = service;
		r->steers[i].hash =
		        ref_siphash(id, (uint32_t)strlen(id), r->steer_key.k0, r->steer_key.k1 ^ service);
	}
	/* as if another service's Call-ID had this one's hash */
	r->steers[4] = r->steers[0];
	r->steers[4].hash = ref_siphash(random_call_id(4), (uint32_t)strlen(random_call_id(4)),
	                                r->steer_key.k0, r->steer_key.k1 ^ SERVICE);
	r->steers[4].service = SERVICE_2;
	r->n_steers = 5;
	for (uint32_t slot = 1; slot < REF_SLOTS; slot++)
		random_flow(r, slot, now_ns);
}

/* --- frames --------------------------------------------------------------------------- */

static uint32_t vip(void)
{
	return (uint32_t)ONE_OF(VIP, VIP, VIP, VIP2, VIP_TWIN, VIP_AWAY, VIP_OTHER, ADDR_LIKE, ADDR_SELF);
}

static uint32_t sip_text(uint8_t *text, uint32_t size)
{
	const char *names[] = {"Call-ID: ", "i:", "CALL-id \t:  ", "Call-ID:", "Call-IDs: ", "I : "};
	int n, pad = one_in(6) ? (int)random_below(2100) : 0;

	n = snprintf((char *)text, size,
	             "BYE sip:x@y SIP/2.0\r\nVia: SIP/2.0/UDP "
	             "10.9.0.200;branch=z9hG4bK%.*s\r\n%s%s%s%s\r\n\r\nv=0",
	             pad, "", one_in(3) ? "From: <sip:a@b>;tag=1\r\n" : "", names[random_below(6)],
	             random_call_id((int)random_below(5)), one_in(8) ? "" : "\r\nCSeq: 3 BYE");
	while (pad-- > 0 && (uint32_t)n < size - 2) { /* the header that pushes it out of reach */
		memmove(text + 40, text + 39, (size_t)n++ - 39);
		text[39] = 'p';
	}
	return (uint32_t)n < size ? (uint32_t)n : size - 1;
}

static void rtp(uint8_t *payload, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		payload[i] = (uint8_t)random64();
	if (len > 1) {
		payload[0] = one_in(10) ? payload[0] : 0x80;
		payload[1] = (uint8_t)(ONE_OF(0, 8, 96, 101, 72) | (one_in(3) ? 0x80 : 0));
	}
}

static void udp(struct frame *f, uint32_t src, uint16_t sport, uint32_t dst, uint16_t dport,
                const uint8_t *payload, uint32_t len)
{
	*f = frame_udp(mac_self, mac_far, src, sport, dst, dport, payload, (uint16_t)len);
	if (one_in(6))
		memcpy(f->b, mac(), 6);
	if (one_in(3))
		memcpy(f->b + 6, mac(), 6);
	if (!one_in(4))
		*f = frame_summed(*f);
	if (one_in(12))
		f->b[22] = (uint8_t)random_below(3);
}

static void arp(struct frame *f)
{
	*f = frame_arp(mac_all, mac(), (uint16_t)ONE_OF(1, 1, 2), mac(), one_in(3) ? vip() : phone(), mac(),
	               one_in(4) ? phone() : vip());
}

static void message(struct frame *f, enum kind kind, uint64_t now_ns)
{
	struct msg msg = kind == KIND_resign ? msg_resign() : msg_echo();
	static const struct siphash_key key_empty;
	const struct siphash_key *key = one_in(2) ? &key_first : &key_second;

	if (one_in(8))
		key = one_in(2) ? &key_wrong : &key_empty;
	if (kind == KIND_message)
		msg.type = (uint8_t)(WIRE_REFLECT + random_below(5));
	msg.grant_ns = ONE_OF(msg.grant_ns, now_ns - 1000000, now_ns - 1000000, now_ns - 2 * LEASE_NS,
	                      now_ns + FAR_NS);
	msg.sent_ns = ONE_OF(0, 1000000, 1000001, now_ns, random64());
	msg.flags = one_in(3) ? (uint32_t)random64() : STATUS_HEALTHY;
	if (one_in(4))
		msg.service = (uint8_t)ONE_OF(SERVICE_2, SERVICE_2, 0, 63, 64, 255);
	if (one_in(8))
		msg.sender = (uint8_t)ONE_OF(NODE_WIT, 0, 15, 16, NODE_SELF);
	if (one_in(8))
		msg.target = (uint8_t)ONE_OF(NODE_PEER, NODE_WIT, 0);
	if (one_in(6))
		msg.epoch = ONE_OF(EPOCH, EPOCH + 1, EPOCH + 0x100, EPOCH - 0x100, UINT64_MAX, 0);
	if (one_in(8))
		msg.target_inc = random64();
	if (one_in(8))
		msg.sender_inc = PEER_INC + 1;
	if (one_in(16))
		msg.config_tag++;
	*f = frame_msg(&msg, key);
	if (one_in(4))
		memcpy(f->b + 6, mac(), 6);
	if (one_in(4)) {
		f->b[22] = (uint8_t)random64();
		put16(f->b + 24, 0);
		put16(f->b + 24, ip_sum(f->b + 14));
	}
	if (one_in(16))
		put32(f->b + 30, (uint32_t)ONE_OF(ADDR_PEER, VIP, ADDR_FAR));
}

static void ipv6(struct frame *f)
{
	uint8_t *ip;

	*f = frame_eth(mac_far, mac_self, 0x86dd);
	ip = f->b + f->len;
	memset(ip, 0, 64);
	ip[0] = 0x60;
	ip[6] = one_in(3) ? 17 : 58;
	memcpy(ip + 8, vip_six, 16);
	ip[23] = (uint8_t)ONE_OF(0x64, 0x65);
	ip[40] = one_in(4) ? 135 : 136;
	memcpy(ip + 48, vip_six, 16);
	ip[63] = (uint8_t)ONE_OF(0x64, 0x65);
	f->len += (uint32_t)ONE_OF(64, 64, 40, 41, 63);
}

/* Some bytes become others, mostly in the headers; sometimes cut or lengthened. */
static void mutate(struct frame *f)
{
	uint32_t times = one_in(2) ? 0 : 1 + random_below(4);

	for (uint32_t i = 0; i < times; i++) {
		uint32_t at = random_below(one_in(3) ? f->len : f->len < 50 ? f->len : 50);

		if (one_in(2))
			f->b[at] ^= (uint8_t)(1 << random_below(8));
		else
			f->b[at] = (uint8_t)ONE_OF(0, 0xff, random64(), 0x45, 0x46, 17, 0x20, 8);
	}
	if (one_in(12))
		f->len = 15 + random_below(f->len - 14);
	if (one_in(16) && f->len < FRAME_MAX - 40)
		f->len += random_below(32);
}

/* A checksum that would become zero, which means none, when the port changes like this. */
static void sum_to_zero(struct frame *f, uint16_t from, uint16_t to)
{
	uint32_t sum = (uint16_t)~from + (uint32_t)to;

	put16(f->b + 40, (uint16_t)((sum & 0xffff) + (sum >> 16)));
}

static void outgoing(struct frame *f, enum kind kind, const uint8_t *text, uint32_t len)
{
	uint16_t port = SIP_PORT_1;

	if (kind == KIND_out_sip)
		port = (uint16_t)ONE_OF(SIP_PORT_1, SIP_PORT_2, RESCUE_PORT);
	else if (kind == KIND_out_media)
		port = (uint16_t)(BASE_PORT + random_below(10));
	udp(f, vip(), port, phone(), (uint16_t)(4000 + random_below(3)), text, len);
	if (kind == KIND_out_other)
		f->b[23] = (uint8_t)ONE_OF(6, 1, 17);
	if (one_in(8))
		sum_to_zero(f, RESCUE_PORT, SIP_PORT_1);
	if (one_in(6))
		*f = with_tags(*f, 1 + (int)random_below(3));
}

void random_frame(const struct ref *r, enum kind kind, uint64_t now_ns, struct frame *ret)
{
	uint8_t payload[2200];
	uint32_t len = 0;

	memset(ret, 0, sizeof(*ret));
	switch (kind) {
	case KIND_arp:
	case KIND_out_arp:
		arp(ret);
		if (kind == KIND_out_arp && one_in(4))
			*ret = with_tags(*ret, 1 + (int)random_below(3));
		break;
	case KIND_vip_other:
		if (one_in(2))
			*ret = frame_tcp(mac(), mac(), one_in(4) ? vip() : phone(), vip());
		else
			udp(ret, one_in(4) ? vip() : phone(), 4000, vip(), 9999, payload, random_below(20));
		break;
	case KIND_vip_sip:
	case KIND_out_sip:
		len = sip_text(payload, sizeof(payload));
		if (kind == KIND_out_sip)
			outgoing(ret, kind, payload, len);
		else
			udp(ret, phone(), 5060, vip(),
			    (uint16_t)ONE_OF(SIP_PORT_1, SIP_PORT_1, SIP_PORT_2, RESCUE_PORT), payload, len);
		if (kind == KIND_vip_sip && one_in(8))
			sum_to_zero(ret, SIP_PORT_1, RESCUE_PORT);
		break;
	case KIND_vip_media:
		len = (uint32_t)ONE_OF(0, 11, 12, 13, 172);
		rtp(payload, len);
		udp(ret, phone(), (uint16_t)(4000 + random_below(3)),
		    (uint32_t)ONE_OF(VIP, VIP, VIP, VIP2, VIP_OTHER), (uint16_t)(BASE_PORT + random_below(9)),
		    payload, len);
		break;
	case KIND_echo:
	case KIND_resign:
	case KIND_message:
		message(ret, kind, now_ns);
		break;
	case KIND_out_media:
	case KIND_out_other:
		len = random_below(60);
		rtp(payload, len);
		outgoing(ret, kind, payload, len);
		break;
	case KIND_out_ipv6:
		ipv6(ret);
		break;
	default:
		ret->len = 15 + random_below(90);
		for (uint32_t i = 0; i < ret->len; i++)
			ret->b[i] = (uint8_t)random64();
		put16(ret->b + 12, (uint16_t)ONE_OF(0x0800, 0x0806, 0x86dd, 0x8100, 0x88a8, 0x88cc));
	}
	mutate(ret);
}
