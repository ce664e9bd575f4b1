/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The Call-IDs in the kernel's map `steer`, each as long as some dialog with it is
 * sipflip-calls' to answer for. What a former process left stays until
 * media_steer_sweep. Called by media.c only.
 */
#ifndef SIPFLIP_CALLS_MEDIA_STEER_H
#define SIPFLIP_CALLS_MEDIA_STEER_H

#include <stdint.h>

#include "sipflip/abi.h"

struct media_steered;

struct media_steer {
	int fd; /* -1 = no data plane: only counted here */
	struct media_steered *entries;
	uint32_t *heads;
	uint32_t free_head;
	uint32_t used;
};

int media_steer_open(struct media_steer *steer, int fd);
void media_steer_close(struct media_steer *steer);

/* The key of the map for a Call-ID of a service. */
uint64_t media_steer_hash(const struct siphash_key *key, uint8_t service, const char *call_id);
/* One more dialog with it. 0, -ENOSPC or what the kernel said. */
int media_steer_add(struct media_steer *steer, uint64_t hash, uint8_t service);
/* One less. */
void media_steer_remove(struct media_steer *steer, uint64_t hash);
void media_steer_sweep(struct media_steer *steer);

#endif
