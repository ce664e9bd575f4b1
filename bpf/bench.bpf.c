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

/*
 * A frame as 2 bytes and then words of 8: so a message's own words are written
 * whole, and reading them does not wait as it never would for a NIC's frame.
 */
#define LEAD       2
#define ARP_WORDS  5 /* and of UDP's header */
#define RTP_WORDS  6
#define ECHO_WORDS 15
#define WORD_AGO   1 /* lapsed, so that every grant moves it */

struct image {
	__u8 pad[8 - LEAD];
	__u8 lead[LEAD];
	__u64 word[ECHO_WORDS];
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

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u32);
} targets_tc SEC(".maps");

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

static __always_inline void put_back(struct xdp_md *ctx, int words)
{
	struct cursor c = {(void *)(long)ctx->data, (void *)(long)ctx->data_end};
	void *frame = take(&c, LEAD + words * 8);
	__u32 zero = 0;
	struct image *image = bpf_map_lookup_elem(&images, &zero);
	int i;

	if (!frame || !image)
		return;
	AT16(frame) = AT16(image->lead);
#pragma unroll
	for (i = 0; i < words; i++)
		AT64(frame + LEAD + i * 8) = image->word[i];
}

SEC("xdp")
int replay_arp(struct xdp_md *ctx)
{
	put_back(ctx, ARP_WORDS);
	bpf_tail_call(ctx, &targets, target);
	return XDP_ABORTED;
}

SEC("xdp")
int replay_rtp(struct xdp_md *ctx)
{
	put_back(ctx, RTP_WORDS);
	bpf_tail_call(ctx, &targets, target);
	return XDP_ABORTED;
}

/* Of a datagram from the rescue port: its ports and its checksum. */
SEC("tc")
int replay_udp_tc(struct __sk_buff *skb)
{
	struct cursor c = {(void *)(long)skb->data, (void *)(long)skb->data_end};
	void *frame = take(&c, LEAD + ARP_WORDS * 8);
	__u32 zero = 0;
	struct image *image = bpf_map_lookup_elem(&images, &zero);

	if (frame && image)
		AT64(frame + LEAD + 32) = image->word[4];
	bpf_tail_call(skb, &targets_tc, target);
	return -1;
}

SEC("xdp")
int replay_echo(struct xdp_md *ctx)
{
	__u32 index = service;
	struct ownership *word = bpf_map_lookup_elem(&ownership, &index);
	struct peer *record;

	put_back(ctx, ECHO_WORDS);
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
