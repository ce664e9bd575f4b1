// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The referee's eyes on the ownership words: what the kernel's pinned arrays say,
 * told here anew and checked by size, so that a change of the product's headers
 * cannot blind it. Reads only.
 *
 * What is certain between two samples: within one epoch a word only moves forward
 * until it is set to 0 for good. So if the epoch is the same and the word has not
 * become smaller, the node owned from the first sample until the first word's time,
 * or until the second sample if that came sooner. A machine that stood still
 * between two samples so hides a gap in ownership, but no overlap that was due.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "referee.h"

#define WORD_BYTES  8   /* u64 lease_until_ns */
#define STATE_BYTES 128 /* u64 epoch first */

static int bpf(enum bpf_cmd cmd, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

static const void *open_map(const char *path, const char *name, uint32_t value_bytes, const char **ret_why)
{
	struct bpf_map_info info = {0};
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.pathname = (uintptr_t)path;
	int fd = bpf(BPF_OBJ_GET, &attr);
	if (fd < 0) {
		*ret_why = "nothing is pinned";
		return NULL;
	}
	memset(&attr, 0, sizeof(attr));
	attr.info.bpf_fd = (uint32_t)fd;
	attr.info.info_len = sizeof(info);
	attr.info.info = (uintptr_t)&info;
	const void *at = NULL;
	if (bpf(BPF_OBJ_GET_INFO_BY_FD, &attr) || info.type != BPF_MAP_TYPE_ARRAY || info.key_size != 4 ||
	    info.value_size != value_bytes || !(info.map_flags & BPF_F_MMAPABLE) ||
	    strncmp(info.name, name, BPF_OBJ_NAME_LEN - 1) != 0) {
		*ret_why = "not the map it should be";
	} else {
		at = mmap(NULL, (size_t)sysconf(_SC_PAGESIZE), PROT_READ, MAP_SHARED, fd, 0);
		if (at == MAP_FAILED) {
			*ret_why = "cannot be mapped";
			at = NULL;
		}
	}
	close(fd);
	return at;
}

static void owned_from(struct ref_node *node, int64_t at_ns)
{
	node->span[node->n_spans++ % REF_SPANS] = (struct ref_span){at_ns, INT64_MAX};
}

static void owned_until(struct ref_node *node, int64_t at_ns)
{
	node->ended_ns = at_ns;
	if (node->n_spans)
		node->span[(node->n_spans - 1) % REF_SPANS].to_ns = at_ns;
}

bool ref_word_open(struct ref_node *node, const char **ret_why)
{
	char path[sizeof(node->pins) + 32];
	struct stat st;

	snprintf(path, sizeof(path), "%s/ownership", node->pins);
	if (stat(path, &st)) {
		*ret_why = "nothing is pinned";
		return false; /* an agent's data plane outlives its pins: go on with what is mapped */
	}
	if (node->word && node->inode == st.st_ino)
		return true;
	const void *word = open_map(path, "ownership", WORD_BYTES, ret_why);
	snprintf(path, sizeof(path), "%s/service_state", node->pins);
	const void *state = word ? open_map(path, "service_state", STATE_BYTES, ret_why) : NULL;
	if (!state)
		return false;
	if (node->owns) /* by a map that nothing reads any more */
		owned_until(node, node->at_ns);
	node->owns = false;
	node->inode = st.st_ino;
	node->word = word;
	node->epoch = state;
	node->at_ns = node->watched_ns = 0;
	return true;
}

void ref_word_sample(struct ref_node *node)
{
	if (!node->word)
		return;
	uint64_t epoch = *node->epoch, word = *node->word;
	int64_t now = ref_now();
	bool owns = word > (uint64_t)now;
	bool owned = node->at_ns && node->owns;
	uint64_t before = node->seen_word;

	node->sure = (struct ref_span){1, 0};
	if (owned) {
		int64_t until = before < (uint64_t)now ? (int64_t)before : now;
		bool same = epoch == node->seen_epoch && word >= before;
		node->sure = (struct ref_span){node->at_ns, same ? until : node->at_ns};
	}
	/* it began somewhere since the look before, which may be long ago where the machine stood still */
	if (owns && !owned)
		owned_from(node, node->at_ns ? node->at_ns : now);
	if (owned && !owns)
		owned_until(node, before < (uint64_t)now ? (int64_t)before : now);
	node->owns = owns;
	node->seen_word = word;
	node->seen_epoch = epoch;
	node->at_ns = now;
	if (!node->watched_ns)
		node->watched_ns = now;
}

/*
 * A word only moves forward or to 0, so the first one, unchanged around the reading
 * of the second, was in force all the while; a time taken afterwards that neither has
 * reached shows that both held at the instant the second was read.
 */
bool ref_both_own(const struct ref_node *a, const struct ref_node *b)
{
	if (!a->word || !b->word)
		return false;
	uint64_t first = *a->word, second = *b->word, again = *a->word;
	uint64_t now = (uint64_t)ref_now();
	return first == again && now < first && now < second;
}

bool ref_owned_within(const struct ref_node *node, int64_t from_ns, int64_t to_ns)
{
	uint64_t kept = node->n_spans < REF_SPANS ? node->n_spans : REF_SPANS;

	for (uint64_t i = 1; i <= kept; i++) {
		const struct ref_span *s = &node->span[(node->n_spans - i) % REF_SPANS];
		if (s->from_ns <= to_ns && s->to_ns >= from_ns)
			return true;
		if (s->to_ns < from_ns)
			return false;
	}
	return false;
}
