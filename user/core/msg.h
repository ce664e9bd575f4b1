/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The voters' messages in host order, and their sealing: the user-space twin of
 * bpf/lib/echo.h. Field meanings by type: include/sipflip/wire.h.
 */
#ifndef SIPFLIP_CORE_MSG_H
#define SIPFLIP_CORE_MSG_H

#include <stddef.h>
#include <stdint.h>

#include "sipflip/abi.h"
#include "sipflip/wire.h"

struct msg {
	uint8_t type; /* enum wire_type */
	uint8_t service;
	uint8_t sender;
	uint8_t target;
	uint8_t detail;
	uint64_t epoch;
	uint64_t seq;
	uint64_t sender_inc;
	uint64_t target_inc;
	uint64_t sent_ns;
	uint64_t grant_ns;
	uint32_t config_tag;
	uint32_t flags;
	uint32_t ok_age_us;
	uint32_t turn_age_us;
};

/* Writes the 80 bytes with their tag under `key`. */
void msg_seal(const struct msg *msg, const struct siphash_key *key, struct wire_msg *ret);

/*
 * Opens `len` bytes under any of `n_keys` keys (empty slots are skipped).
 * Returns 0; -EMSGSIZE wrong length; -EPROTO magic, version or type; -EBADMSG tag.
 * *ret is untouched on failure.
 */
int msg_open(const void *buf, size_t len, const struct siphash_key *keys, int n_keys, struct msg *ret);

#endif
