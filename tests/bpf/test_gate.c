/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* ARP and IP for a VIP as they arrive: a table of {node's state, frame in, verdict, frame out, counter}. */
#include "node.h"

enum word {
	FENCED,
	EXPIRED,
	OWNER,
	FOREVER,
};

enum out {
	SAME,      /* untouched */
	ANSWER,    /* the ARP reply to mac_far */
	FORWARDED, /* to the peer's MAC, from this node's */
};

enum extra {
	NOTHING = 0,
	ARMED = 1 << 0,
	FORWARD = 1 << 1,    /* forward_to the peer */
	PEER_KNOWN = 1 << 2, /* its MAC has been learnt */
};

struct gate_case {
	const char *name;
	enum word word;
	int extra;
	struct frame (*frame)(void);
	int verdict;
	enum out out;
	int reason[3]; /* 0-terminated by NONE */
};

#define NONE -1

static struct frame request(void)
{
	return frame_arp(mac_all, mac_far, 1, mac_far, ADDR_FAR, mac_none, VIP);
}
static struct frame request_bare(void)
{
	struct frame f = request();

	f.len = 42;
	return f;
}
static struct frame request_probe(void)
{
	return frame_arp(mac_all, mac_far, 1, mac_far, 0, mac_none, VIP);
}
static struct frame request_second_vip(void)
{
	return frame_arp(mac_all, mac_far, 1, mac_far, ADDR_FAR, mac_none, VIP2);
}
static struct frame request_twin(void)
{
	return frame_arp(mac_all, mac_far, 1, mac_far, ADDR_FAR, mac_none, VIP_TWIN);
}
static struct frame request_twin_of_nobody(void)
{
	return frame_arp(mac_all, mac_far, 1, mac_far, ADDR_FAR, mac_none, 0x0a09026e);
}
static struct frame request_away(void)
{
	return frame_arp(mac_all, mac_far, 1, mac_far, ADDR_FAR, mac_none, VIP_AWAY);
}
static struct frame sip_away(void)
{
	return frame_udp(mac_self, mac_far, ADDR_FAR, 5060, VIP_AWAY, 5060, "OPTIONS", 7);
}
static struct frame sip_twin(void)
{
	return frame_udp(mac_self, mac_far, ADDR_FAR, 5060, VIP_TWIN, 5060, "OPTIONS", 7);
}
static struct frame request_other(void)
{
	return frame_arp(mac_all, mac_far, 1, mac_far, ADDR_FAR, mac_none, ADDR_SELF);
}
static struct frame request_alike(void)
{
	return frame_arp(mac_all, mac_far, 1, mac_far, ADDR_FAR, mac_none, ADDR_LIKE);
}
static struct frame request_own(void)
{
	return frame_arp(mac_all, mac_self, 1, mac_self, VIP, mac_none, ADDR_FAR);
}
static struct frame claim_request(void)
{
	return frame_arp(mac_all, mac_other, 1, mac_other, VIP, mac_none, ADDR_FAR);
}
static struct frame claim_gratuitous(void)
{
	return frame_arp(mac_all, mac_far, 1, mac_far, VIP, mac_none, VIP);
}
static struct frame claim_reply(void)
{
	return frame_arp(mac_self, mac_other, 2, mac_other, VIP, mac_self, ADDR_SELF);
}
static struct frame arp_short(void)
{
	struct frame f = request();

	f.len = 14 + 27;
	return f;
}
static struct frame arp_not_ethernet(void)
{
	struct frame f = request();

	put16(f.b + 14, 6);
	return f;
}
static struct frame arp_odd_length(void)
{
	struct frame f = request();

	f.b[18] = 8;
	return f;
}
static struct frame sip(void)
{
	return frame_udp(mac_self, mac_far, ADDR_FAR, 5060, VIP, 5060, "OPTIONS", 7);
}
static struct frame sip_from_peer(void)
{
	return frame_udp(mac_self, mac_peer, ADDR_FAR, 5060, VIP, 5060, "OPTIONS", 7);
}
static struct frame sip_to_other_mac(void)
{
	return frame_udp(mac_other, mac_far, ADDR_FAR, 5060, VIP, 5060, "OPTIONS", 7);
}
static struct frame use_by_other(void)
{
	return frame_udp(mac_all, mac_other, VIP, 5060, ADDR_SELF, 5060, "OPTIONS", 7);
}
static struct frame use_by_self(void)
{
	return frame_udp(mac_all, mac_self, VIP, 5060, ADDR_SELF, 5060, "OPTIONS", 7);
}
static struct frame sip_broadcast(void)
{
	return frame_udp(mac_all, mac_far, ADDR_FAR, 5060, VIP, 5060, "OPTIONS", 7);
}
static struct frame sip_spoofed(void)
{
	return frame_udp(mac_self, mac_far, VIP2, 5060, VIP, 5060, "OPTIONS", 7);
}
static struct frame vip_to_vip(void)
{
	return frame_udp(mac_self, mac_other, VIP2, 5060, VIP, 5060, "OPTIONS", 7);
}
static struct frame tcp_to_vip(void)
{
	return frame_tcp(mac_self, mac_far, ADDR_FAR, VIP);
}
static struct frame sip_elsewhere(void)
{
	return frame_udp(mac_self, mac_far, ADDR_FAR, 5060, ADDR_LIKE, 5060, "OPTIONS", 7);
}
static struct frame tcp_elsewhere(void)
{
	return frame_tcp(mac_self, mac_far, ADDR_FAR, ADDR_SELF);
}
static struct frame ip_short(void)
{
	struct frame f = sip();

	f.len = 14 + 19;
	return f;
}
static struct frame runt(void)
{
	struct frame f = sip();

	f.len = 14;
	return f;
}
static struct frame tagged(void)
{
	struct frame f = frame_eth(mac_self, mac_far, 0x8100);

	put16(f.b + 14, 10);
	put16(f.b + 16, 0x0800);
	f.len = 18;
	add_ipv4(&f, 17, ADDR_FAR, VIP, 8);
	add_udp(&f, 5060, 5060, "", 0);
	return f;
}

#define CASE(case_name, w, x, f, v, o, ...)                                                                  \
	{                                                                                                    \
		.name = #case_name, .word = w, .extra = x, .frame = f, .verdict = v, .out = o, .reason = {   \
			__VA_ARGS__,                                                                         \
			NONE                                                                                 \
		}                                                                                            \
	}
#define R(name) REASON_##name

static const struct gate_case cases[] = {
        CASE(arp_request_is_answered_by_the_owner, OWNER, 0, request, XDP_TX, ANSWER, R(arp_answered)),
        CASE(arp_request_is_answered_by_the_owner_for_ever, FOREVER, 0, request, XDP_TX, ANSWER,
             R(arp_answered)),
        CASE(arp_request_without_padding_is_answered, OWNER, 0, request_bare, XDP_TX, ANSWER,
             R(arp_answered)),
        CASE(arp_probe_is_answered, OWNER, 0, request_probe, XDP_TX, ANSWER, R(arp_answered)),
        CASE(arp_request_for_a_second_vip_is_answered, OWNER, 0, request_second_vip, XDP_TX, ANSWER,
             R(arp_answered)),
        CASE(arp_request_for_a_vip_with_a_twin_is_answered, OWNER, 0, request_twin, XDP_TX, ANSWER,
             R(arp_answered)),
        CASE(arp_request_for_a_vip_with_a_twin_is_dropped_when_fenced, FENCED, 0, request_twin, XDP_DROP,
             SAME, R(arp_request_not_owner)),
        CASE(arp_request_for_an_address_that_ends_like_twins_passes, FENCED, 0, request_twin_of_nobody,
             XDP_PASS, SAME, NONE),
        CASE(arp_request_is_dropped_when_fenced, FENCED, 0, request, XDP_DROP, SAME,
             R(arp_request_not_owner)),
        CASE(arp_request_is_dropped_when_lease_expired, EXPIRED, 0, request, XDP_DROP, SAME,
             R(arp_request_not_owner)),
        CASE(arp_request_is_dropped_even_when_armed, FENCED, ARMED | PEER_KNOWN | FORWARD, request, XDP_DROP,
             SAME, R(arp_request_not_owner)),
        CASE(arp_request_on_another_interface_is_left_to_the_stack, OWNER, 0, request_away, XDP_PASS, SAME,
             NONE),
        CASE(arp_request_on_another_interface_is_dropped_when_fenced, FENCED, 0, request_away, XDP_DROP, SAME,
             R(arp_request_not_owner)),
        CASE(arp_request_for_another_address_passes, OWNER, 0, request_other, XDP_PASS, SAME, NONE),
        CASE(arp_request_for_an_address_that_only_ends_like_a_vip_passes, FENCED, 0, request_alike, XDP_PASS,
             SAME, NONE),
        CASE(own_arp_request_is_no_contest, OWNER, 0, request_own, XDP_PASS, SAME, NONE),
        CASE(arp_claim_in_a_request_is_a_contest, OWNER, 0, claim_request, XDP_PASS, SAME, R(arp_contest)),
        CASE(gratuitous_arp_is_a_contest_and_is_answered, OWNER, 0, claim_gratuitous, XDP_TX, ANSWER,
             R(arp_contest), R(arp_answered)),
        CASE(arp_claim_in_a_reply_is_a_contest, OWNER, 0, claim_reply, XDP_PASS, SAME, R(arp_contest)),
        CASE(arp_claim_is_no_contest_when_fenced, FENCED, 0, claim_reply, XDP_PASS, SAME, NONE),
        CASE(gratuitous_arp_of_the_owner_is_dropped_when_fenced, FENCED, 0, claim_gratuitous, XDP_DROP, SAME,
             R(arp_request_not_owner)),
        CASE(short_arp_passes_with_a_reason, OWNER, 0, arp_short, XDP_PASS, SAME, R(arp_malformed)),
        CASE(arp_of_another_hardware_passes_with_a_reason, OWNER, 0, arp_not_ethernet, XDP_PASS, SAME,
             R(arp_malformed)),
        CASE(arp_of_another_address_length_passes_with_a_reason, OWNER, 0, arp_odd_length, XDP_PASS, SAME,
             R(arp_malformed)),

        CASE(ip_for_the_vip_passes_to_the_owner, OWNER, 0, sip, XDP_PASS, SAME, R(vip_passed)),
        CASE(ip_for_a_vip_with_a_twin_passes_to_the_owner, OWNER, 0, sip_twin, XDP_PASS, SAME, R(vip_passed)),
        CASE(ip_for_a_vip_with_a_twin_is_dropped_without_owner, FENCED, 0, sip_twin, XDP_DROP, SAME,
             R(vip_no_owner)),
        CASE(tcp_for_the_vip_passes_to_the_owner, FOREVER, 0, tcp_to_vip, XDP_PASS, SAME, R(vip_passed)),
        CASE(ip_from_the_peer_passes_to_the_owner, OWNER, PEER_KNOWN, sip_from_peer, XDP_PASS, SAME,
             R(vip_passed)),
        CASE(ip_for_the_vip_is_dropped_without_owner, FENCED, 0, sip, XDP_DROP, SAME, R(vip_no_owner)),
        CASE(ip_for_the_vip_is_dropped_when_lease_expired, EXPIRED, PEER_KNOWN, sip, XDP_DROP, SAME,
             R(vip_no_owner)),
        CASE(stale_ip_is_forwarded_to_the_new_owner, FENCED, FORWARD | PEER_KNOWN, sip, XDP_TX, FORWARDED,
             R(vip_forwarded)),
        CASE(stale_tcp_is_forwarded_to_the_new_owner, EXPIRED, FORWARD | PEER_KNOWN, tcp_to_vip, XDP_TX,
             FORWARDED, R(vip_forwarded)),
        CASE(stale_ip_is_dropped_while_the_new_owners_mac_is_unknown, FENCED, FORWARD, sip, XDP_DROP, SAME,
             R(vip_no_owner)),
        CASE(broadcast_ip_is_not_forwarded, FENCED, FORWARD | PEER_KNOWN, sip_broadcast, XDP_DROP, SAME,
             R(vip_no_owner)),
        CASE(stale_ip_on_another_interface_is_not_forwarded, FENCED, FORWARD | PEER_KNOWN, sip_away, XDP_DROP,
             SAME, R(vip_no_owner)),
        CASE(overheard_ip_is_left_alone, FENCED, FORWARD | PEER_KNOWN, sip_to_other_mac, XDP_PASS, SAME,
             NONE),
        CASE(ip_from_a_vip_is_not_forwarded_past_the_fence, FENCED, FORWARD | PEER_KNOWN, sip_spoofed,
             XDP_DROP, SAME, R(tx_fenced)),
        CASE(ip_from_the_peer_is_never_forwarded, FENCED, FORWARD | PEER_KNOWN, sip_from_peer, XDP_DROP, SAME,
             R(vip_from_peer)),
        CASE(ip_from_the_old_owner_passes_to_the_armed_heir, FENCED, ARMED | PEER_KNOWN, sip_from_peer,
             XDP_PASS, SAME, R(vip_early)),
        CASE(ip_from_others_does_not_pass_to_the_armed_heir, FENCED, ARMED | PEER_KNOWN, sip, XDP_DROP, SAME,
             R(vip_no_owner)),
        CASE(ip_from_the_vip_by_another_mac_is_a_contest, OWNER, 0, use_by_other, XDP_PASS, SAME,
             R(ip_contest)),
        CASE(ip_from_a_vip_to_a_vip_by_another_mac_is_a_contest, OWNER, 0, vip_to_vip, XDP_PASS, SAME,
             R(ip_contest), R(vip_passed)),
        CASE(ip_from_a_vip_to_a_vip_is_no_contest_when_fenced, FENCED, 0, vip_to_vip, XDP_DROP, SAME,
             R(vip_no_owner)),
        CASE(ip_from_the_vip_by_the_own_mac_is_no_contest, OWNER, 0, use_by_self, XDP_PASS, SAME, NONE),
        CASE(ip_from_the_vip_is_no_contest_when_fenced, FENCED, 0, use_by_other, XDP_PASS, SAME, NONE),
        CASE(ip_for_another_address_passes, FENCED, 0, tcp_elsewhere, XDP_PASS, SAME, NONE),
        CASE(ip_for_an_address_that_only_ends_like_a_vip_passes, FENCED, 0, sip_elsewhere, XDP_PASS, SAME,
             NONE),
        CASE(short_ip_passes, FENCED, 0, ip_short, XDP_PASS, SAME, NONE),
        CASE(runt_passes, FENCED, 0, runt, XDP_PASS, SAME, NONE),
        CASE(tagged_frame_passes, FENCED, 0, tagged, XDP_PASS, SAME, NONE),
};

static void prepare(struct world *w, const struct gate_case *c)
{
	uint64_t now = now_boot_ns();
	const uint64_t words[] = {[FENCED] = 0,
	                          [EXPIRED] = now - 1,
	                          [OWNER] = now + 60 * 1000000000ULL,
	                          [FOREVER] = LEASE_FOREVER};

	w->ownership[SERVICE].lease_until_ns = words[c->word];
	if (c->extra & ARMED)
		w->state[SERVICE].armed_until_ns = now + 60 * 1000000000ULL;
	if (c->extra & FORWARD)
		w->state[SERVICE].forward_to = NODE_PEER;
	if (c->extra & PEER_KNOWN)
		memcpy(node_peer(w, NODE_PEER)->mac, mac_peer, 6);
}

static struct frame expected(const struct gate_case *c, const struct frame *in)
{
	struct frame want = *in;

	if (c->out == ANSWER) {
		uint32_t asked, asker;

		memcpy(&asked, in->b + 38, 4);
		memcpy(&asker, in->b + 28, 4);
		want = frame_arp(mac_far, mac_self, 2, mac_self, ntohl(asked), mac_far, ntohl(asker));
		want.len = in->len;
	} else if (c->out == FORWARDED) {
		memcpy(want.b, mac_peer, 6);
		memcpy(want.b + 6, mac_self, 6);
	}
	return want;
}

static void gate(void **state)
{

	struct world *w = *state;
	const struct gate_case *c = w->test_case;
	struct frame in = c->frame(), want = expected(c, &in);
	uint64_t word;

	prepare(w, c);
	word = node_word(w);
	run_frame(w, &in);
	assert_int_equal(w->verdict, c->verdict);
	assert_frame(w, &want);
	assert_counted_list(w, c->reason);
	assert_int_equal(node_word(w), word);
}

static void contest_is_told_once_in_ten_milliseconds(void **state)
{
	struct world *w = *state;
	struct frame in = claim_reply();
	uint64_t first;
	int told = 0, i;

	node_own(w);
	run_frame(w, &in);
	assert_event(w, 0, EVENT_CONTEST);
	assert_memory_equal(w->events[0].mac, mac_other, 6);
	first = w->events[0].at_ns;
	for (i = 0; i < 200000 && !told; i++) {
		run_frame(w, &in);
		told = w->n_events;
	}
	assert_int_equal(told, 1);
	assert_true(w->events[0].at_ns - first >= 10000000);
}

static void first_packet_after_a_flip_is_told_once(void **state)
{
	struct world *w = *state;
	struct frame in = sip(), overheard = sip_to_other_mac();
	uint64_t before = now_boot_ns(), seen;

	node_own(w);
	run_frame(w, &in);
	assert_int_equal(w->n_events, 0); /* there was no flip */
	w->state[SERVICE].flipped_ns = before;
	run_frame(w, &overheard);
	assert_int_equal(w->n_events, 0);
	run_frame(w, &in);
	assert_event(w, 0, EVENT_FIRST_PACKET);
	seen = w->state[SERVICE].first_packet_ns;
	assert_in_range(seen, before, now_boot_ns());
	assert_int_equal(w->events[0].at_ns, seen);
	run_frame(w, &in);
	assert_int_equal(w->n_events, 0);
	assert_int_equal(w->state[SERVICE].first_packet_ns, seen);
	assert_counted(w, REASON_vip_passed);
}

static void full_event_ring_is_counted_and_the_frame_still_passes(void **state)
{
	struct world *w = *state;
	struct frame in = sip();
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in.b, .data_size_in = in.len, .repeat = 1);
	int i;

	node_own(w);
	for (i = 0; i < 4096; i++) { /* 256 KiB of 128-byte records are 2,048 */
		w->state[SERVICE].flipped_ns = 1;
		w->state[SERVICE].first_packet_ns = 0;
		assert_return_code(bpf_prog_test_run_opts(w->prog, &opts), errno);
		assert_int_equal(opts.retval, XDP_PASS);
		if (counters_read(w->counters).event_ring_full)
			break;
	}
	assert_in_range(i, 1800, 2100);
	assert_int_equal(counters_read(w->counters).vip_passed, i + 1);
}

int main(void)
{
	static const struct CMUnitTest single[] = {
	        behaviour(contest_is_told_once_in_ten_milliseconds),
	        behaviour(first_packet_after_a_flip_is_told_once),
	        behaviour(full_event_ring_is_counted_and_the_frame_still_passes),
	};
	struct CMUnitTest tests[COUNT_OF(single) + COUNT_OF(cases)];
	size_t n = COUNT_OF(single);

	memcpy(tests, single, sizeof(single));
	add_cases(tests, n, cases, gate, node_setup, node_teardown);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
