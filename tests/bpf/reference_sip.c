/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The Call-ID and its hash, and the media of calls; see reference.h. */
#include "reference.h"

#include <sodium.h>
#include <string.h>
#include <strings.h>

#define ETH         14
#define TEXT_REACH  2048 /* bytes of a datagram that are looked at for its Call-ID */
#define BLANKS      32   /* of blanks and the colon between name and value */
#define SEEN_NS     1000000000ULL
#define LATCH_NS    500000000ULL
#define LATCH_RTCP  10000000000ULL
#define HOP_GOOD_NS 1000000000ULL

uint64_t ref_siphash(const void *data, uint32_t len, uint64_t k0, uint64_t k1)
{
	uint8_t key[16], out[8];
	uint64_t value = 0;

	for (int i = 0; i < 8; i++) {
		key[i] = (uint8_t)(k0 >> 8 * i);
		key[8 + i] = (uint8_t)(k1 >> 8 * i);
	}
	crypto_shorthash(out, data, len, key);
	for (int i = 0; i < 8; i++)
		value |= (uint64_t)out[i] << 8 * i;
	return value;
}

/* The value's place when a Call-ID header stands in the line; 0 = another header. */
static uint32_t value_at(const uint8_t *text, uint32_t len, uint32_t line)
{
	uint32_t at, blanks = 0;
	bool colon = false;

	if (line + 7 <= len && !strncasecmp((const char *)text + line, "call-id", 7))
		at = line + 7;
	else if ((text[line] | 0x20) == 'i')
		at = line + 1;
	else
		return 0;
	for (; at < len && blanks < BLANKS; at++, blanks++) {
		if (text[at] == ':' && !colon)
			colon = true;
		else if (text[at] != ' ' && text[at] != '\t')
			break;
	}
	return colon ? at : 0;
}

int ref_call_id(const uint8_t *text, uint32_t len, uint32_t *ret_len)
{
	if (len > TEXT_REACH)
		len = TEXT_REACH;
	for (uint32_t line = 1; line < len; line++) {
		uint32_t at, n = 0;

		if (text[line - 1] != '\n')
			continue;
		if (text[line] == '\r' || text[line] == '\n')
			return -1; /* the body */
		at = value_at(text, len, line);
		if (!at)
			continue;
		while (at + n < len && text[at + n] > ' ')
			n++;
		if (!n || at + n == len)
			return -1; /* nothing, or cut off */
		*ret_len = n;
		return (int)at;
	}
	return -1;
}

int ref_steer(struct ref *r, const uint8_t *text, uint32_t len, uint32_t service, bool *ret_found)
{
	uint32_t id_len;
	int at = ref_call_id(text, len, &id_len);
	uint64_t hash;

	*ret_found = at >= 0;
	if (at < 0 || id_len > STEER_CALL_ID_LEN)
		return -1;
	hash = ref_siphash(text + at, id_len, r->steer_key.k0, r->steer_key.k1 ^ service);
	for (int i = 0; i < r->n_steers; i++)
		if (r->steers[i].hash == hash && r->steers[i].service == service)
			return i;
	return -1;
}

/* --- media --------------------------------------------------------------------------- */

static bool is_at(const struct inaddr16 *addr, uint16_t port, const uint8_t *ip_addr, uint16_t udp_port)
{
	return !memcmp(addr->b + 12, ip_addr, 4) && port == udp_port;
}

/* Where sipflip-calls said that the phone's packets come from. */
static bool is_told(const struct flow *flow, const uint8_t *addr, uint16_t port)
{
	bool has_source = memcmp(flow->source.b + 12, mac_none, 4) != 0;

	return is_at(has_source ? &flow->source : &flow->remote,
	             flow->source_port ? flow->source_port : flow->remote_port, addr, port);
}

static void learn_source(struct flow *flow, const uint8_t *addr, uint16_t port)
{
	flow->seen_from = (struct inaddr16){.b = {[10] = 0xff, [11] = 0xff}};
	memcpy(flow->seen_from.b + 12, addr, 4);
	flow->seen_from_port = port;
}

static void count_packet(struct ref *r, const struct frame *f, const struct ref_service *svc,
                         struct flow *flow, const uint8_t *udp)
{
	uint16_t len = ref_get16(udp + 4);

	flow->packets++;
	flow->bytes += len > 8 ? len - 8u : 0;
	flow->last_ns = r->now_ns;
	if (!ref_is_peers_mac(svc, f->b + 6))
		memcpy(flow->seen_mac, f->b + 6, 6);
}

static int done(struct ref *r, int verdict, enum reason reason)
{
	ref_count(r, reason);
	return verdict;
}

int ref_watch(struct ref *r, struct frame *f, struct ref_service *svc, struct flow *flow)
{
	const uint8_t *ip = f->b + ETH, *udp = ip + (ip[0] & 15) * 4;
	uint16_t port = ref_get16(udp);

	if (flow->generation & 1)
		return done(r, REF_XDP_PASS, REASON_flow_seen);
	if (!is_at(&flow->seen_from, flow->seen_from_port, ip + 12, port)) {
		/* who speaks now is not moved by somebody else, unless that is who was expected */
		if (flow->seen_from_port && ref_is_before(r, flow->last_ns + SEEN_NS) &&
		    !is_told(flow, ip + 12, port))
			return done(r, REF_XDP_PASS, REASON_flow_seen);
		learn_source(flow, ip + 12, port);
	}
	count_packet(r, f, svc, flow, udp);
	return done(r, REF_XDP_PASS, REASON_flow_seen);
}

static bool takes(struct ref *r, const struct ref_service *svc, struct flow *flow, const uint8_t *addr,
                  uint16_t port)
{
	uint64_t heard_ns = flow->last_ns;
	bool known;

	if (flow->relatched_ns)
		known = is_at(&flow->seen_from, flow->seen_from_port, addr, port);
	else
		known = is_told(flow, addr, port) || is_at(&flow->remote, flow->remote_port, addr, port);
	if (known) {
		if (!flow->seen_from_port)
			learn_source(flow, addr, port);
		return true;
	}
	if (svc->state.flipped_ns > heard_ns)
		heard_ns = svc->state.flipped_ns;
	if (flow->relatched_ns ||
	    ref_is_before(r, heard_ns + (flow->flags & FLOW_RTCP ? LATCH_RTCP : LATCH_NS))) {
		flow->strange++;
		return false;
	}
	flow->relatched_ns = r->now_ns;
	learn_source(flow, addr, port);
	ref_count(r, REASON_relay_relatched);
	return true;
}

static uint16_t change_word(uint8_t *at, uint16_t to, uint16_t check)
{
	check = ref_resum(check, ref_get16(at), to);
	put16(at, to);
	return check;
}

/* The payload type's new value, or the same. */
static uint8_t type_for(const struct flow *flow, const uint8_t *rtp, uint32_t there, uint16_t udp_len)
{
	uint8_t type = rtp[1] & 0x7f;

	if (flow->flags & FLOW_RTCP || there < 12 || udp_len < 8 + 12 || rtp[0] >> 6 != 2 ||
	    (type >= 64 && type <= 95))
		return rtp[1];
	for (int i = 0; i < FLOW_PTS; i++)
		if ((flow->pt[i].from || flow->pt[i].to) && flow->pt[i].from == type)
			return (rtp[1] & 0x80) | (flow->pt[i].to & 0x7f);
	return rtp[1];
}

static void send_on(struct frame *f, const struct flow *flow, const uint8_t *from, const uint8_t *to,
                    uint16_t sport, uint16_t dport)
{
	uint8_t *ip = f->b + ETH, *udp = ip + (ip[0] & 15) * 4, *rtp = udp + 8;
	uint16_t ip_check = ref_get16(ip + 10), udp_check = ref_get16(udp + 6);
	uint32_t there = f->len - (uint32_t)(rtp - f->b);
	bool summed = udp_check != 0;

	ip_check = change_word(ip + 8, ref_get16(ip + 8) - 0x100, ip_check);
	for (int i = 0; i < 4; i++) {
		uint8_t *at = ip + 12 + 2 * i;
		uint16_t word = ref_get16(i < 2 ? from + 2 * i : to + 2 * (i - 2));

		udp_check = ref_resum(udp_check, ref_get16(at), word);
		ip_check = change_word(at, word, ip_check);
	}
	put16(ip + 10, ip_check);
	udp_check = change_word(udp, sport, udp_check);
	udp_check = change_word(udp + 2, dport, udp_check);
	if (there >= 2)
		udp_check = change_word(
		        rtp, (uint16_t)(rtp[0] << 8 | type_for(flow, rtp, there, ref_get16(udp + 4))),
		        udp_check);
	put16(udp + 6, !summed ? 0 : udp_check ? udp_check : 0xffff);
}

/* The MAC of the phone's next hop. No routes here: as packets showed it here, or at the old owner. */
static const uint8_t *next_hop(struct ref *r, struct flow *peer)
{
	const uint8_t *mac = memcmp(peer->seen_mac, mac_none, 6) ? peer->seen_mac : peer->mac;

	if (ref_is_before(r, peer->next_hop_ns))
		return peer->next_hop;
	if (!memcmp(mac, mac_none, 6))
		return NULL;
	memcpy(peer->next_hop, mac, 6);
	peer->next_hop_ns = r->now_ns + HOP_GOOD_NS;
	return peer->next_hop;
}

static int relay_to(struct ref *r, struct frame *f, const struct flow *flow, struct flow *peer)
{
	const struct inaddr16 *to = peer->relatched_ns ? &peer->seen_from : &peer->remote;
	uint16_t dport = peer->relatched_ns ? peer->seen_from_port : peer->remote_port;
	const uint8_t *mac;

	if (peer->generation & 1)
		return done(r, REF_XDP_DROP, REASON_relay_busy);
	if (!dport || to->b[10] != 0xff || peer->vip.b[10] != 0xff || !memcmp(to->b + 12, mac_none, 4))
		return done(r, REF_XDP_DROP, REASON_relay_no_target);
	if (f->b[ETH + 8] <= 1)
		return done(r, REF_XDP_DROP, REASON_relay_ttl);
	mac = next_hop(r, peer);
	if (!mac)
		return done(r, REF_XDP_DROP, REASON_relay_no_route);
	if (!ref_may_claim4(r, peer->vip.b + 12))
		return done(r, REF_XDP_DROP, REASON_tx_fenced);
	send_on(f, flow, peer->vip.b + 12, to->b + 12, peer->vip_port, dport);
	memcpy(f->b + 6, f->b, 6);
	memcpy(f->b, mac, 6);
	peer->sent++;
	return done(r, REF_XDP_TX, REASON_relay_sent);
}

int ref_relay(struct ref *r, struct frame *f, struct ref_service *svc, struct flow *flow)
{
	uint8_t *ip = f->b + ETH, *udp = ip + (ip[0] & 15) * 4;
	uint32_t head = (ip[0] & 15) * 4, ip_len = ref_get16(ip + 2), udp_len = ref_get16(udp + 4);

	if (flow->generation & 1)
		return done(r, REF_XDP_DROP, REASON_relay_busy);
	if (memcmp(f->b, svc->conf.mac, 6) || svc->conf.ifindex != r->ifindex)
		return done(r, REF_XDP_PASS, REASON_vip_passed);
	if (ref_get16(ip + 6) & 0x3fff)
		return done(r, REF_XDP_DROP, REASON_relay_fragment);
	if (udp_len < 8 || ip_len != head + udp_len || ip_len > f->len - ETH)
		return done(r, REF_XDP_DROP, REASON_relay_malformed);
	if (!takes(r, svc, flow, ip + 12, ref_get16(udp)))
		return done(r, REF_XDP_DROP, REASON_relay_strange_source);
	count_packet(r, f, svc, flow, udp);
	if (flow->flags & FLOW_HELD || !flow->peer || flow->peer >= MAX_FLOWS)
		return done(r, REF_XDP_DROP, REASON_relay_no_peer);
	return relay_to(r, f, flow, &r->flows[flow->peer]);
}
