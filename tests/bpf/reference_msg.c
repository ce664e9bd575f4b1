/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The voters' messages as wire.h has them: ECHO and its reflection, grants, RESIGN; see reference.h. */
#include "reference.h"

#include <string.h>

#define ETH 14
#define UDP (ETH + 20)
#define MSG (UDP + 8)
#define END (MSG + 80)

/* places in the message */
enum { MAGIC = 0, VERSION = 2, TYPE = 3, SERVICE_AT = 4, SENDER = 5, TARGET = 6, DETAIL = 7 };
enum { EPOCH_AT = 8, SEQ = 16, SENDER_INC = 24, TARGET_INC = 32, SENT = 40, GRANT = 48 };
enum { TAG_OF_CONFIG = 56, FLAGS = 60, OK_AGE = 64, TURN_AGE = 68, TAG = 72 };

static int done(struct ref *r, int verdict, enum reason reason)
{
	ref_count(r, reason);
	return verdict;
}

static void put64(uint8_t *at, uint64_t value)
{
	put32(at, (uint32_t)(value >> 32));
	put32(at + 4, (uint32_t)value);
}

static bool is_here(const struct service_conf *conf, const struct frame *f)
{
	return conf->incarnation && conf->node_addr.b[10] == 0xff &&
	       !memcmp(conf->node_addr.b + 12, f->b + ETH + 16, 4) &&
	       conf->echo_port == ref_get16(f->b + UDP + 2);
}

/* Bad, but only if it was meant for an echo port of this node at all. */
static int bad(struct ref *r, const struct frame *f, enum reason reason)
{
	for (int i = 0; i < 2; i++)
		if (is_here(&r->service[i].conf, f))
			return done(r, REF_XDP_DROP, reason);
	return REF_XDP_PASS;
}

static void seal(uint8_t *msg, const struct siphash_key *key)
{
	uint64_t tag = ref_siphash(msg, WIRE_TAGGED_LEN, key->k0, key->k1);

	for (int i = 0; i < 8; i++)
		msg[TAG + i] = (uint8_t)(tag >> 8 * i);
}

static const struct siphash_key *key_of(const struct ref *r, const uint8_t *msg)
{
	for (int i = 0; i < KEY_SLOTS; i++) {
		uint8_t copy[80];

		if (!r->keys[i].k0 && !r->keys[i].k1)
			continue;
		memcpy(copy, msg, sizeof(copy));
		seal(copy, &r->keys[i]);
		if (!memcmp(copy, msg, sizeof(copy)))
			return &r->keys[i];
	}
	return NULL;
}

static void learn_mac(const struct frame *f, struct peer *peer)
{
	const uint8_t *msg = f->b + MSG;

	if (msg[TYPE] != WIRE_VOTE && msg[TYPE] != WIRE_REFUSE && !(ref_get32(msg + FLAGS) & STATUS_WITNESS))
		memcpy(peer->mac, f->b + 6, 6);
}

static enum reason take_grant(struct ref *r, struct ref_service *svc, struct peer *peer, const uint8_t *msg)
{
	uint64_t grant = ref_get64(msg + GRANT), epoch = ref_get64(msg + EPOCH_AT);
	uint64_t until = grant + svc->conf.lease_ns;

	if (epoch != svc->state.epoch || (epoch & 0xff) != svc->conf.node ||
	    ref_get64(msg + TARGET_INC) != svc->conf.incarnation || ref_is_before(r, grant))
		return REASON_echo_grant_mismatch;
	if (svc->word.lease_until_ns == LEASE_FENCED)
		return REASON_echo_grant_fenced;
	if (until >= peer->grant_until_ns) {
		peer->last_grant_ns = r->now_ns;
		peer->grant_until_ns = until;
	}
	if (until <= svc->word.lease_until_ns)
		return REASON_echo_grant_stale;
	svc->word.lease_until_ns = until;
	return REASON_echo_renewed;
}

static uint32_t age_us(const struct ref *r, uint64_t then_ns)
{
	uint64_t age;

	if (!then_ns)
		return UINT32_MAX;
	if (r->now_ns <= then_ns)
		return 0;
	age = (r->now_ns - then_ns) / 1000;
	return age < UINT32_MAX ? (uint32_t)age : UINT32_MAX;
}

static void reflect(struct ref *r, struct frame *f, struct ref_service *svc, const struct siphash_key *key)
{
	uint8_t *ip = f->b + ETH, *udp = f->b + UDP, *msg = f->b + MSG, old[80], swap[6];
	uint32_t flags = svc->state.flags & ~(uint32_t)(STATUS_OWNER | STATUS_ARMED | STATUS_SERVER_DEAD);

	memcpy(old, msg, sizeof(old));
	msg[TYPE] = WIRE_REFLECT;
	msg[SENDER] = svc->conf.node;
	msg[TARGET] = old[SENDER];
	msg[DETAIL] = 0;
	put64(msg + EPOCH_AT, svc->state.epoch);
	put64(msg + SENDER_INC, svc->conf.incarnation);
	memcpy(msg + TARGET_INC, old + SENDER_INC, 8);
	put64(msg + GRANT, r->now_ns);
	if (ref_owns(r, svc->number))
		flags |= STATUS_OWNER;
	if (ref_is_before(r, svc->state.armed_until_ns))
		flags |= STATUS_ARMED;
	if (svc->state.server_dead_ns)
		flags |= STATUS_SERVER_DEAD;
	put32(msg + FLAGS, flags);
	put32(msg + OK_AGE, age_us(r, svc->state.ok_ns));
	put32(msg + TURN_AGE, age_us(r, svc->state.turn_ns));
	seal(msg, key);

	memcpy(swap, f->b, 6);
	memcpy(f->b, f->b + 6, 6);
	memcpy(f->b + 6, swap, 6);
	memcpy(swap, ip + 12, 4);
	memcpy(ip + 12, ip + 16, 4);
	memcpy(ip + 16, swap, 4);
	memcpy(swap, udp, 2);
	memcpy(udp, udp + 2, 2);
	memcpy(udp + 2, swap, 2);
	put16(udp + 6, 0);
	if (ip[8] != 64) {
		put16(ip + 10, ref_resum(ref_get16(ip + 10), ref_get16(ip + 8), (uint16_t)(64 << 8 | ip[9])));
		ip[8] = 64;
	}
}

/*
 * A replay, to be dropped before user space. REFLECT and VOTE bring back a time of this
 * node, to this incarnation of it; each time is taken once, and none after a later one.
 * The others have only their sender's time, which counts within one incarnation of it: a
 * reflection says which one lives, and before the first one whoever comes. Messages of
 * others are let through one in a millisecond.
 */
static bool is_replay(struct ref *r, const struct ref_service *svc, struct fresh *fresh, const uint8_t *msg)
{
	__u64 *newest = &fresh->newest_ns[msg[TYPE]];
	uint64_t sender = ref_get64(msg + SENDER_INC), at;
	bool own_time = msg[TYPE] == WIRE_REFLECT || msg[TYPE] == WIRE_VOTE;
	bool proven = fresh->newest_ns[WIRE_REFLECT] != 0, known;

	if ((own_time || msg[TYPE] == WIRE_REFUSE) && ref_get64(msg + TARGET_INC) != svc->conf.incarnation)
		return true;
	at = ref_get64(msg + (msg[TYPE] == WIRE_VOTE ? GRANT : SENT));
	if (own_time && ref_is_before(r, at))
		return true;
	if (own_time && at <= *newest)
		return true;
	known = sender == fresh->incarnation;
	if (!own_time && !known) {
		if (ref_is_before(r, fresh->stranger_ns + 1000000))
			return true;
		fresh->stranger_ns = r->now_ns;
	}
	if (!known && (msg[TYPE] == WIRE_REFLECT || (!own_time && !proven))) {
		fresh->incarnation = sender;
		fresh->newest_ns[WIRE_VOTE_REQ] = fresh->newest_ns[WIRE_REFUSE] = 0;
		fresh->newest_ns[WIRE_RESIGN] = 0;
		known = true;
	}
	if (!own_time && !known)
		return false;
	if (at <= *newest)
		return true;
	*newest = at;
	return false;
}

/* Of a former life of its sender, who answers this node's echoes in another one. */
static bool is_ghost(struct ref *r, const struct ref_service *svc, const struct fresh *fresh,
                     const uint8_t *msg)
{
	uint64_t reflected = fresh->newest_ns[WIRE_REFLECT];

	return reflected && fresh->incarnation != ref_get64(msg + SENDER_INC) &&
	       ref_is_before(r, reflected + 16 * svc->conf.lease_ns);
}

static void record(const struct ref *r, const struct frame *f, struct peer *peer)
{
	const uint8_t *msg = f->b + MSG;

	peer->last_echo_ns = r->now_ns;
	peer->sent_ns = ref_get64(msg + SENT);
	peer->incarnation = ref_get64(msg + SENDER_INC);
	peer->epoch = ref_get64(msg + EPOCH_AT);
	peer->flags = ref_get32(msg + FLAGS);
	peer->ok_age_us = ref_get32(msg + OK_AGE);
	peer->turn_age_us = ref_get32(msg + TURN_AGE);
	peer->echoes++;
	learn_mac(f, peer);
}

static int echo(struct ref *r, struct frame *f, struct ref_service *svc, struct peer *peer,
                const struct fresh *fresh, const struct siphash_key *key)
{
	const uint8_t *msg = f->b + MSG;

	if (ref_get64(msg + SENDER_INC) != peer->incarnation || ref_get64(msg + SENT) > peer->sent_ns) {
		if (!is_ghost(r, svc, fresh, msg))
			record(r, f, peer);
		if (ref_get64(msg + GRANT))
			ref_count(r, take_grant(r, svc, peer, msg));
	}
	if (!ref_may_claim4(r, f->b + ETH + 16))
		return done(r, REF_XDP_DROP, REASON_tx_fenced);
	reflect(r, f, svc, key);
	return done(r, REF_XDP_TX, REASON_echo_reflected);
}

/* RFC 5227's announcement of the first VIP, as long as Ethernet's shortest frame. */
static int announce(struct ref *r, struct frame *f, const struct ref_service *svc)
{
	const uint8_t *vip = svc->conf.first_vip.b + 12;

	if (svc->conf.first_vip.b[10] != 0xff || svc->conf.ifindex != r->ifindex)
		return REF_XDP_DROP;
	if (!ref_may_claim4(r, vip))
		return done(r, REF_XDP_DROP, REASON_tx_fenced);
	*f = frame_arp(mac_all, svc->conf.mac, 1, svc->conf.mac, ref_get32(vip), mac_none, ref_get32(vip));
	return REF_XDP_TX;
}

static int resign(struct ref *r, struct frame *f, struct ref_service *svc, struct peer *peer)
{
	const uint8_t *msg = f->b + MSG;
	uint64_t epoch = ref_get64(msg + EPOCH_AT), grant = ref_get64(msg + GRANT);
	bool fenced = svc->word.lease_until_ns == LEASE_FENCED;

	if (epoch == svc->state.epoch && !fenced)
		return done(r, REF_XDP_DROP, REASON_resign_repeat);
	if ((epoch & 0xff) != svc->conf.node || epoch <= svc->state.epoch ||
	    ref_get64(msg + TARGET_INC) != svc->conf.incarnation || ref_is_before(r, grant) ||
	    !ref_is_before(r, grant + svc->conf.lease_ns))
		return done(r, REF_XDP_DROP, REASON_resign_stale);
	if (!ref_is_before(r, svc->state.armed_until_ns) || !fenced)
		return done(r, REF_XDP_DROP, REASON_resign_not_armed);
	svc->state.epoch = epoch;
	svc->state.flipped_ns = r->now_ns;
	svc->state.first_packet_ns = 0;
	svc->word.lease_until_ns = grant + svc->conf.lease_ns;
	learn_mac(f, peer);
	ref_count(r, REASON_resign_accepted);
	return announce(r, f, svc);
}

/* UDP to what is no VIP. */
int ref_message(struct ref *r, struct frame *f)
{
	const uint8_t *ip = f->b + ETH, *msg = f->b + MSG;
	const struct siphash_key *key;
	struct ref_service *svc;
	struct fresh *fresh;
	struct peer *peer;

	if (f->len < MSG || ref_get16(f->b + UDP + 2) != WIRE_PORT || (ip[0] & 15) != 5 ||
	    ref_get16(ip + 6) & 0x3fff)
		return REF_XDP_PASS;
	if (f->len < END || ref_get16(f->b + UDP + 4) != 88 || ref_get16(ip + 2) != 108)
		return bad(r, f, REASON_msg_bad_length);
	if (ref_get16(msg) != WIRE_MAGIC || msg[VERSION] != WIRE_VERSION || msg[TYPE] < WIRE_ECHO ||
	    msg[TYPE] > WIRE_RESIGN)
		return bad(r, f, REASON_msg_bad_magic);
	svc = ref_service(r, msg[SERVICE_AT]);
	if (!svc || !is_here(&svc->conf, f))
		return bad(r, f, REASON_msg_bad_service);
	if (!msg[SENDER] || msg[SENDER] >= MAX_NODES || msg[SENDER] == svc->conf.node)
		return done(r, REF_XDP_DROP, REASON_msg_bad_service);
	if (msg[TYPE] != WIRE_RESIGN && msg[TARGET] != svc->conf.node)
		return done(r, REF_XDP_DROP, REASON_msg_not_for_us);
	if (ref_get32(msg + TAG_OF_CONFIG) != svc->conf.config_tag)
		return done(r, REF_XDP_DROP, REASON_msg_config_mismatch);
	key = key_of(r, msg);
	if (!key)
		return done(r, REF_XDP_DROP, REASON_msg_bad_tag);
	peer = &svc->peers[msg[SENDER]];
	fresh = &svc->fresh[msg[SENDER]];
	if (msg[TYPE] == WIRE_ECHO)
		return echo(r, f, svc, peer, fresh, key);
	if (msg[TYPE] == WIRE_RESIGN && msg[TARGET] == svc->conf.node)
		return resign(r, f, svc, peer);
	if (is_replay(r, svc, fresh, msg))
		return done(r, REF_XDP_DROP, REASON_msg_replayed);
	if (fresh->incarnation == ref_get64(msg + SENDER_INC))
		learn_mac(f, peer);
	return done(r, REF_XDP_PASS, REASON_msg_passed);
}
