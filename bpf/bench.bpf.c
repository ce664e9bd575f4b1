/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * For bench/dataplane.c only: programs that do nothing, to be compared with, and
 * replay_*, which put a frame back as it was before each run, because
 * PROG_TEST_RUN repeats on what the last run left. What putting back costs is
 * measured with `nothing` behind it, and taken off.
 */
#include "lib/maps.h"

MAP(ownership);
MAP(peers);

#include "lib/cursor.h"

#define ARP_WORDS  7  /* of 8 bytes, from the start of the frame: more than ARP uses */
#define ECHO_WORDS 15 /* and 2 bytes: the whole frame */
#define WORD_AGO   1  /* lapsed, so that every grant moves it */

struct image {
	__u64 word[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct image);
} images SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u32);
} targets SEC(".maps");

/* Which of targets[] runs, and whose word and record are put back. */
__u32 target;
const volatile __u32 service = 0;
const volatile __u32 peer = 0;

SEC("xdp")
int nothing(struct xdp_md *ctx)
{
	return XDP_PASS;
}

SEC("tc")
int nothing_tc(struct __sk_buff *skb)
{
	return 0;
}

static __always_inline void put_back(struct xdp_md *ctx, int words, int rest)
{
	struct cursor c = {(void *)(long)ctx->data, (void *)(long)ctx->data_end};
	void *frame = take(&c, words * 8 + rest);
	__u32 zero = 0;
	struct image *image = bpf_map_lookup_elem(&images, &zero);
	int i;

	if (!frame || !image)
		return;
#pragma unroll
	for (i = 0; i < words; i++)
		AT64(frame + i * 8) = image->word[i];
	if (rest)
		AT16(frame + words * 8) = image->word[words];
}

SEC("xdp")
int replay_arp(struct xdp_md *ctx)
{
	put_back(ctx, ARP_WORDS, 0);
	bpf_tail_call(ctx, &targets, target);
	return XDP_ABORTED;
}

SEC("xdp")
int replay_echo(struct xdp_md *ctx)
{
	__u32 index = service;
	struct ownership *word = bpf_map_lookup_elem(&ownership, &index);
	struct peer *record;

	put_back(ctx, ECHO_WORDS, 2);
	index = peer;
	record = bpf_map_lookup_elem(&peers, &index);
	if (word && record) {
		word->lease_until_ns = WORD_AGO;
		record->sent_ns = 0;
	}
	bpf_tail_call(ctx, &targets, target);
	return XDP_ABORTED;
}

char _license[] SEC("license") = "Dual BSD/GPL";
