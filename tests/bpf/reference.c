/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The gate, the fence, SIP and what leaves; see reference.h. */
#include "reference.h"

#include <sodium.h>
#include <string.h>

#define ETH 14

uint16_t ref_get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

uint32_t ref_get32(const uint8_t *at)
{
	return (uint32_t)ref_get16(at) << 16 | ref_get16(at + 2);
}

uint64_t ref_get64(const uint8_t *at)
{
	return (uint64_t)ref_get32(at) << 32 | ref_get32(at + 4);
}

void ref_count(struct ref *r, enum reason reason)
{
	r->counted[reason]++;
}

static int done(struct ref *r, int verdict, enum reason reason)
{
	ref_count(r, reason);
	return verdict;
}

struct ref_service *ref_service(struct ref *r, uint32_t number)
{
	for (unsigned int i = 0; i < 2; i++)
		if (r->service[i].number == number)
			return &r->service[i];
	return NULL;
}

static const struct vip *vip_of(const struct ref *r, const uint8_t addr[16])
{
	for (int i = 0; i < r->n_vips; i++)
		if (!memcmp(r->vips[i].addr.b, addr, 16))
			return &r->vips[i].vip;
	return NULL;
}

const struct vip *ref_vip4(const struct ref *r, const uint8_t *addr)
{
	uint8_t mapped[16] = {[10] = 0xff, [11] = 0xff};

	memcpy(mapped + 12, addr, 4);
	return vip_of(r, mapped);
}

bool ref_is_before(struct ref *r, uint64_t at_ns)
{
	if ((r->now_ns < at_ns) != (r->latest_ns < at_ns))
		r->unsure = true;
	return r->now_ns < at_ns;
}

bool ref_owns(struct ref *r, uint32_t service)
{
	struct ref_service *svc = ref_service(r, service);

	return svc && ref_is_before(r, svc->word.lease_until_ns);
}

bool ref_may_claim4(struct ref *r, const uint8_t *addr)
{
	const struct vip *vip = ref_vip4(r, addr);

	return !vip || ref_owns(r, vip->service);
}

uint16_t ref_resum(uint16_t check, uint16_t from, uint16_t to)
{
	uint32_t sum = (uint16_t)~check + (uint32_t)(uint16_t)~from + to;

	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

bool ref_is_peers_mac(const struct ref_service *svc, const uint8_t *mac)
{
	for (int node = 1; node < REF_NODES; node++)
		if (memcmp(svc->peers[node].mac, mac_none, 6) && !memcmp(svc->peers[node].mac, mac, 6))
			return true;
	return false;
}

struct flow *ref_flow(struct ref *r, uint16_t port, const uint8_t *vip, uint32_t *ret_slot)
{
	uint32_t slot;

	if (port < r->base_port || port >= r->base_port + REF_SLOTS)
		return NULL;
	slot = r->port_slot[port - r->base_port];
	for (int i = 0; i < FLOW_CHAIN && slot; i++) {
		struct flow *flow = &r->flows[slot];

		if (!memcmp(flow->vip.b + 12, vip, 4) && flow->vip.b[10] == 0xff) {
			*ret_slot = slot;
			return flow;
		}
		slot = flow->next;
	}
	return NULL;
}

/* --- ARP ------------------------------------------------------------------------ */

/* RFC 826, Ethernet and IPv4. */
static bool is_arp4(const uint8_t *arp, uint32_t len)
{
	return len >= 28 && ref_get16(arp) == 1 && ref_get16(arp + 2) == 0x0800 && arp[4] == 6 && arp[5] == 4;
}

static int arp_in(struct ref *r, struct frame *f)
{
	uint8_t *arp = f->b + ETH, spa[4];
	const struct vip *claimed, *asked = NULL;
	const struct ref_service *svc;

	if (!is_arp4(arp, f->len - ETH))
		return done(r, REF_XDP_PASS, REASON_arp_malformed);
	claimed = ref_vip4(r, arp + 14);
	if (ref_get16(arp + 6) == 1)
		asked = ref_vip4(r, arp + 24);
	if (claimed && ref_owns(r, claimed->service) &&
	    memcmp(arp + 8, ref_service(r, claimed->service)->conf.mac, 6))
		ref_count(r, REASON_arp_contest);
	if (!asked)
		return REF_XDP_PASS;
	if (!ref_owns(r, asked->service))
		return done(r, REF_XDP_DROP, REASON_arp_request_not_owner);
	if (asked->ifindex != r->ifindex)
		return REF_XDP_PASS;
	svc = ref_service(r, asked->service);
	memcpy(f->b, f->b + 6, 6);
	memcpy(f->b + 6, svc->conf.mac, 6);
	memcpy(spa, arp + 24, 4);
	put16(arp + 6, 2);
	memcpy(arp + 18, arp + 8, 10); /* the target is who asked: its MAC and address */
	memcpy(arp + 8, svc->conf.mac, 6);
	memcpy(arp + 14, spa, 4);
	return done(r, REF_XDP_TX, REASON_arp_answered);
}

/* --- IP for a VIP ------------------------------------------------------------------ */

bool ref_is_sip_port(const struct service_conf *conf, uint16_t port)
{
	for (int i = 0; i < MAX_SIP_PORTS && conf->sip_port[i]; i++)
		if (conf->sip_port[i] == port)
			return true;
	return false;
}

static void set_udp_port(uint8_t *udp, int at, uint16_t port)
{
	uint16_t check = ref_get16(udp + 6);

	if (check) {
		check = ref_resum(check, ref_get16(udp + at), port);
		put16(udp + 6, check ? check : 0xffff);
	}
	put16(udp + at, port);
}

static int sip_in(struct ref *r, struct frame *f, struct ref_service *svc, uint8_t *udp)
{
	uint32_t at = (uint32_t)(udp + 8 - f->b);
	bool found = false;
	int entry;

	if (ref_get16(udp + 2) == svc->conf.rescue_port)
		return done(r, REF_XDP_DROP, REASON_steer_direct);
	entry = ref_steer(r, udp + 8, f->len - at, svc->number, &found);
	if (entry < 0)
		return done(r, REF_XDP_PASS, found ? REASON_steer_server : REASON_steer_no_call_id);
	r->steers[entry].packets++;
	set_udp_port(udp, 2, svc->conf.rescue_port);
	return done(r, REF_XDP_PASS, REASON_steer_calls);
}

static int udp_in(struct ref *r, struct frame *f, struct ref_service *svc)
{
	uint8_t *ip = f->b + ETH, *udp = ip + (ip[0] & 15) * 4;
	struct flow *flow;
	uint32_t slot;
	uint16_t port;

	if (ref_get16(ip + 6) & 0x1fff)
		return done(r, REF_XDP_PASS, REASON_steer_fragment);
	if ((ip[0] & 15) < 5 || udp + 8 > f->b + f->len)
		return done(r, REF_XDP_PASS, REASON_vip_passed);
	port = ref_get16(udp + 2);
	flow = ref_flow(r, port, ip + 16, &slot);
	if (flow)
		return flow->flags & FLOW_SERVER ? ref_watch(r, f, svc, flow) : ref_relay(r, f, svc, flow);
	if (svc->conf.rescue_port && (port == svc->conf.rescue_port || ref_is_sip_port(&svc->conf, port)))
		return sip_in(r, f, svc, udp);
	return done(r, REF_XDP_PASS, REASON_vip_passed);
}

static int owner_in(struct ref *r, struct frame *f, struct ref_service *svc)
{
	if (svc->state.draining) {
		if (f->len > HELD_FRAME_BYTES)
			return done(r, REF_XDP_PASS, REASON_held_ring_full);
		return done(r, REF_XDP_DROP, REASON_vip_held);
	}
	if (svc->state.flipped_ns && !svc->state.first_packet_ns && !memcmp(f->b, svc->conf.mac, 6))
		svc->state.first_packet_ns = r->now_ns;
	if (f->b[ETH + 9] == 17)
		return udp_in(r, f, svc);
	return done(r, REF_XDP_PASS, REASON_vip_passed);
}

/* Not owner: what came by a stale neighbour goes on to the new owner, once. */
static int stale_in(struct ref *r, struct frame *f, struct ref_service *svc, const struct vip *vip)
{
	const uint8_t *heir;

	if (!(f->b[0] & 1) && memcmp(f->b, svc->conf.mac, 6))
		return REF_XDP_PASS; /* not sent to this node */
	if (ref_is_peers_mac(svc, f->b + 6)) {
		if (ref_is_before(r, svc->state.armed_until_ns))
			return done(r, REF_XDP_PASS, REASON_vip_early);
		return done(r, REF_XDP_DROP, REASON_vip_from_peer);
	}
	if (!svc->state.forward_to || svc->state.forward_to >= MAX_NODES || f->b[0] & 1 ||
	    vip->ifindex != r->ifindex)
		return done(r, REF_XDP_DROP, REASON_vip_no_owner);
	heir = svc->peers[svc->state.forward_to].mac;
	if (!memcmp(heir, mac_none, 6))
		return done(r, REF_XDP_DROP, REASON_vip_no_owner);
	if (!ref_may_claim4(r, f->b + ETH + 12))
		return done(r, REF_XDP_DROP, REASON_tx_fenced);
	memcpy(f->b, heir, 6);
	memcpy(f->b + 6, svc->conf.mac, 6);
	return done(r, REF_XDP_TX, REASON_vip_forwarded);
}

/* Who sends from a VIP that is owned here is another machine that uses it. */
static void look_for_contest(struct ref *r, const struct frame *f)
{
	const struct vip *vip = ref_vip4(r, f->b + ETH + 12);

	if (vip && ref_owns(r, vip->service) && memcmp(f->b + 6, ref_service(r, vip->service)->conf.mac, 6))
		ref_count(r, REASON_ip_contest);
}

int ref_ingress(struct ref *r, struct frame *f)
{
	const struct vip *vip;

	if (f->len < ETH)
		return REF_XDP_PASS;
	if (ref_get16(f->b + 12) == 0x0806)
		return arp_in(r, f);
	if (ref_get16(f->b + 12) != 0x0800 || f->len < ETH + 20)
		return REF_XDP_PASS;
	look_for_contest(r, f);
	vip = ref_vip4(r, f->b + ETH + 16);
	if (!vip)
		return f->b[ETH + 9] == 17 ? ref_message(r, f) : REF_XDP_PASS;
	if (ref_owns(r, vip->service))
		return owner_in(r, f, ref_service(r, vip->service));
	return stale_in(r, f, ref_service(r, vip->service), vip);
}

/* --- leaving -------------------------------------------------------------------------- */

static int source_out(struct ref *r, const struct vip *vip)
{
	if (!ref_owns(r, vip->service))
		return done(r, REF_TC_SHOT, REASON_egress_ip_fenced);
	return done(r, REF_TC_OK, REASON_egress_vip);
}

static int media_out(struct ref *r, struct flow *flow, const uint8_t *ip, const uint8_t *udp)
{
	if (flow->generation & 1)
		return done(r, REF_TC_OK, REASON_egress_vip);
	if (!(flow->flags & FLOW_SERVER))
		return done(r, REF_TC_SHOT, REASON_egress_flow_held);
	flow->sent++;
	if (memcmp(flow->seen_to.b + 12, ip + 16, 4) || flow->seen_to_port != ref_get16(udp + 2)) {
		flow->seen_to = (struct inaddr16){.b = {[10] = 0xff, [11] = 0xff}};
		memcpy(flow->seen_to.b + 12, ip + 16, 4);
		flow->seen_to_port = ref_get16(udp + 2);
	}
	return done(r, REF_TC_OK, REASON_egress_vip);
}

static int udp_out(struct ref *r, struct frame *f, struct ref_service *svc, uint8_t *ip, uint8_t *udp)
{
	uint16_t port = ref_get16(udp);
	struct flow *flow;
	uint32_t slot;
	bool found;

	flow = ref_flow(r, port, ip + 12, &slot);
	if (flow)
		return media_out(r, flow, ip, udp);
	if (!svc->conf.rescue_port)
		return done(r, REF_TC_OK, REASON_egress_vip);
	if (port == svc->conf.rescue_port) {
		set_udp_port(udp, 0, svc->conf.sip_port[0]);
		return done(r, REF_TC_OK, REASON_egress_rescue);
	}
	if (ref_is_sip_port(&svc->conf, port) &&
	    ref_steer(r, udp + 8, f->len - (uint32_t)(udp + 8 - f->b), svc->number, &found) >= 0)
		return done(r, REF_TC_SHOT, REASON_egress_steered);
	return done(r, REF_TC_OK, REASON_egress_vip);
}

static int ipv4_out(struct ref *r, struct frame *f, uint32_t at)
{
	uint8_t *ip = f->b + at, *udp;
	const struct vip *vip;

	if (f->len < at + 20 || ip[0] >> 4 != 4)
		return done(r, REF_TC_SHOT, REASON_egress_unjudged);
	vip = ref_vip4(r, ip + 12);
	if (!vip)
		return REF_TC_OK;
	udp = ip + (ip[0] & 15) * 4;
	if (ip[9] != 17 || ref_get16(ip + 6) & 0x1fff || (ip[0] & 15) < 5 || udp + 8 > f->b + f->len)
		return source_out(r, vip);
	if (!ref_owns(r, vip->service))
		return done(r, REF_TC_SHOT, REASON_egress_ip_fenced);
	return udp_out(r, f, ref_service(r, vip->service), ip, udp);
}

static int ipv6_out(struct ref *r, const struct frame *f, uint32_t at)
{
	const uint8_t *ip = f->b + at;
	const struct vip *vip;

	if (f->len < at + 40 || ip[0] >> 4 != 6)
		return done(r, REF_TC_SHOT, REASON_egress_unjudged);
	if (ip[6] == 58) {
		if (f->len < at + 41)
			return done(r, REF_TC_SHOT, REASON_egress_unjudged);
		if (ip[40] == 136) { /* neighbour advertisement */
			if (f->len < at + 64)
				return done(r, REF_TC_SHOT, REASON_egress_unjudged);
			vip = vip_of(r, ip + 48);
			if (vip && !ref_owns(r, vip->service))
				return done(r, REF_TC_SHOT, REASON_egress_arp_fenced);
		}
	}
	vip = vip_of(r, ip + 8);
	return vip ? source_out(r, vip) : REF_TC_OK;
}

int ref_egress(struct ref *r, struct frame *f)
{
	uint32_t at = ETH;
	uint16_t type;

	if (f->len < ETH)
		return done(r, REF_TC_SHOT, REASON_egress_unjudged);
	type = ref_get16(f->b + 12);
	for (int tags = 0; type == 0x8100 || type == 0x88a8; tags++) {
		if (tags == 2 || f->len < at + 4)
			return done(r, REF_TC_SHOT, REASON_egress_unjudged);
		type = ref_get16(f->b + at + 2);
		at += 4;
	}
	if (type == 0x0806) {
		if (!is_arp4(f->b + at, f->len - at))
			return done(r, REF_TC_SHOT, REASON_egress_unjudged);
		if (!ref_may_claim4(r, f->b + at + 14))
			return done(r, REF_TC_SHOT, REASON_egress_arp_fenced);
		return REF_TC_OK;
	}
	if (type == 0x0800)
		return ipv4_out(r, f, at);
	if (type == 0x86dd)
		return ipv6_out(r, f, at);
	return REF_TC_OK;
}
