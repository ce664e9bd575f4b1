/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sealing and opening of the voters' messages. Pure; SipHash-2-4 is libsodium's crypto_shorthash. */
#include "msg.h"

#include <endian.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>

static void tag_of(const struct wire_msg *wire, const struct siphash_key *key, uint8_t tag[8])
{
	uint8_t k[crypto_shorthash_KEYBYTES];
	uint64_t k0 = htole64(key->k0), k1 = htole64(key->k1);

	memcpy(k, &k0, 8);
	memcpy(k + 8, &k1, 8);
	crypto_shorthash(tag, (const uint8_t *)wire, WIRE_TAGGED_LEN, k);
}

void msg_seal(const struct msg *msg, const struct siphash_key *key, struct wire_msg *ret)
{
	*ret = (struct wire_msg){
	        .magic = htobe16(WIRE_MAGIC),
	        .version = WIRE_VERSION,
	        .type = msg->type,
	        .service = msg->service,
	        .sender = msg->sender,
	        .target = msg->target,
	        .detail = msg->detail,
	        .epoch = htobe64(msg->epoch),
	        .seq = htobe64(msg->seq),
	        .sender_inc = htobe64(msg->sender_inc),
	        .target_inc = htobe64(msg->target_inc),
	        .sent_ns = htobe64(msg->sent_ns),
	        .grant_ns = htobe64(msg->grant_ns),
	        .config_tag = htobe32(msg->config_tag),
	        .flags = htobe32(msg->flags),
	        .ok_age_us = htobe32(msg->ok_age_us),
	        .turn_age_us = htobe32(msg->turn_age_us),
	};
	tag_of(ret, key, ret->tag);
}

int msg_open(const void *buf, size_t len, const struct siphash_key *keys, int n_keys, struct msg *ret)
{
	struct wire_msg wire;
	int i;

	if (len != sizeof(wire))
		return -EMSGSIZE;
	memcpy(&wire, buf, sizeof(wire));
	if (wire.magic != htobe16(WIRE_MAGIC) || wire.version != WIRE_VERSION)
		return -EPROTO;
	if (wire.type < WIRE_ECHO || wire.type > WIRE_RESIGN)
		return -EPROTO;
	for (i = 0; i < n_keys; i++) {
		uint8_t tag[8];

		if (!keys[i].k0 && !keys[i].k1)
			continue;
		tag_of(&wire, &keys[i], tag);
		if (!sodium_memcmp(tag, wire.tag, sizeof(tag)))
			break;
	}
	if (i == n_keys)
		return -EBADMSG;

	*ret = (struct msg){
	        .type = wire.type,
	        .service = wire.service,
	        .sender = wire.sender,
	        .target = wire.target,
	        .detail = wire.detail,
	        .epoch = be64toh(wire.epoch),
	        .seq = be64toh(wire.seq),
	        .sender_inc = be64toh(wire.sender_inc),
	        .target_inc = be64toh(wire.target_inc),
	        .sent_ns = be64toh(wire.sent_ns),
	        .grant_ns = be64toh(wire.grant_ns),
	        .config_tag = be32toh(wire.config_tag),
	        .flags = be32toh(wire.flags),
	        .ok_age_us = be32toh(wire.ok_age_us),
	        .turn_age_us = be32toh(wire.turn_age_us),
	};
	return 0;
}
