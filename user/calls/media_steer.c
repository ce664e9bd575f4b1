/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "media_steer.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define NIL UINT32_MAX

struct media_steered {
	uint64_t hash;
	uint32_t users; /* dialogs; 0 = left over */
	uint32_t next;
};

static uint32_t *head_of(const struct media_steer *steer, uint64_t hash)
{
	return &steer->heads[hash % MAX_STEERED];
}

/* The link that leads to it, or the end of its chain. */
static uint32_t *link_of(const struct media_steer *steer, uint64_t hash)
{
	uint32_t *link = head_of(steer, hash);

	while (*link != NIL && steer->entries[*link].hash != hash)
		link = &steer->entries[*link].next;
	return link;
}

static struct media_steered *insert(struct media_steer *steer, uint64_t hash)
{
	uint32_t i = steer->free_head, *head = head_of(steer, hash);

	if (i == NIL)
		return NULL;
	steer->free_head = steer->entries[i].next;
	steer->entries[i] = (struct media_steered){.hash = hash, .next = *head};
	*head = i;
	steer->used++;
	return &steer->entries[i];
}

static void erase(struct media_steer *steer, uint32_t *link)
{
	uint32_t i = *link;

	*link = steer->entries[i].next;
	steer->entries[i].next = steer->free_head;
	steer->free_head = i;
	steer->used--;
}

static void adopt(struct media_steer *steer)
{
	uint64_t key, next;
	const uint64_t *from = NULL;

	for (uint32_t i = 0; i < MAX_STEERED && !bpf_map_get_next_key(steer->fd, from, &next); i++) {
		if (*link_of(steer, next) == NIL)
			insert(steer, next);
		key = next;
		from = &key;
	}
}

int media_steer_open(struct media_steer *steer, int fd)
{
	*steer = (struct media_steer){
	        .fd = fd,
	        .entries = calloc(MAX_STEERED, sizeof(*steer->entries)),
	        .heads = malloc(MAX_STEERED * sizeof(*steer->heads)),
	};
	if (!steer->entries || !steer->heads) {
		media_steer_close(steer);
		return -ENOMEM;
	}
	memset(steer->heads, 0xff, MAX_STEERED * sizeof(*steer->heads));
	for (uint32_t i = 0; i < MAX_STEERED; i++)
		steer->entries[i].next = i + 1 < MAX_STEERED ? i + 1 : NIL;
	if (fd >= 0)
		adopt(steer);
	return 0;
}

void media_steer_close(struct media_steer *steer)
{
	free(steer->entries);
	free(steer->heads);
	*steer = (struct media_steer){.fd = -1};
}

static void put_le64(unsigned char *to, uint64_t value)
{
	for (int i = 0; i < 8; i++)
		to[i] = (unsigned char)(value >> (8 * i));
}

uint64_t media_steer_hash(const struct siphash_key *key, uint8_t service, const char *call_id)
{
	unsigned char bytes[crypto_shorthash_KEYBYTES], out[crypto_shorthash_BYTES];
	uint64_t hash = 0;

	put_le64(bytes, key->k0);
	put_le64(bytes + 8, key->k1 ^ service);
	crypto_shorthash(out, (const unsigned char *)call_id, strlen(call_id), bytes);
	for (int i = 0; i < 8; i++)
		hash |= (uint64_t)out[i] << (8 * i);
	return hash;
}

int media_steer_add(struct media_steer *steer, uint64_t hash, uint8_t service)
{
	const struct steer value = {.service = service};
	uint32_t *link = link_of(steer, hash);
	struct media_steered *entry;

	if (*link != NIL) {
		steer->entries[*link].users++;
		return 0;
	}
	entry = insert(steer, hash);
	if (!entry)
		return -ENOSPC;
	if (steer->fd >= 0 && bpf_map_update_elem(steer->fd, &hash, &value, BPF_ANY) < 0) {
		int rc = -errno;

		erase(steer, link_of(steer, hash));
		return rc;
	}
	entry->users = 1;
	return 0;
}

void media_steer_remove(struct media_steer *steer, uint64_t hash)
{
	uint32_t *link = link_of(steer, hash);

	if (*link == NIL || --steer->entries[*link].users)
		return;
	if (steer->fd >= 0)
		bpf_map_delete_elem(steer->fd, &hash);
	erase(steer, link);
}

void media_steer_sweep(struct media_steer *steer)
{
	for (uint32_t i = 0; i < MAX_STEERED; i++) {
		uint32_t *link = &steer->heads[i];

		while (*link != NIL) {
			struct media_steered *entry = &steer->entries[*link];

			if (entry->users) {
				link = &entry->next;
				continue;
			}
			if (steer->fd >= 0)
				bpf_map_delete_elem(steer->fd, &entry->hash);
			erase(steer, link);
		}
	}
}
