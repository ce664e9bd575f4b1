/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The fence for what the stack sends: a table of {word, frame, verdict, counter}; a frame is never changed.
 */
#include "world.h"

#include "egress.skel.h"
#include "sipflip/slots.h"

#define TC_OK   0
#define TC_SHOT 2
#define NONE    -1

enum word {
	FENCED,
	EXPIRED,
	OWNER,
	FOREVER,
};

static const uint8_t vip6[16] = {0x20, 1, 0xd, 0xb8, [15] = 0x66};
static const uint8_t host6[16] = {0x20, 1, 0xd, 0xb8, [15] = 0x02};
static const uint8_t like6[16] = {0x20, 1, 0xd, 0xb9, [15] = 0x66};
static const uint8_t far6[16] = {0x20, 1, 0xd, 0xb8, [15] = 0xc8};

static struct frame arp_reply(void)
{
	return frame_arp(mac_far, mac_self, 2, mac_self, VIP, mac_far, ADDR_FAR);
}
static struct frame arp_request_from_vip(void)
{
	return frame_arp(mac_all, mac_self, 1, mac_self, VIP, mac_none, ADDR_FAR);
}
static struct frame arp_gratuitous(void)
{
	return frame_arp(mac_all, mac_self, 1, mac_self, VIP, mac_none, VIP);
}
static struct frame arp_own(void)
{
	return frame_arp(mac_all, mac_self, 1, mac_self, ADDR_SELF, mac_none, VIP);
}
static struct frame arp_probe(void)
{
	return frame_arp(mac_all, mac_self, 1, mac_self, 0, mac_none, VIP);
}
static struct frame arp_alike(void)
{
	return frame_arp(mac_all, mac_self, 1, mac_self, ADDR_LIKE, mac_none, ADDR_FAR);
}
static struct frame arp_cut(void)
{
	struct frame f = arp_own();

	f.len = 14 + 27;
	return f;
}
static struct frame arp_odd(void)
{
	struct frame f = arp_own();

	f.b[18] = 8;
	return f;
}
static struct frame sip(void)
{
	return frame_udp(mac_far, mac_self, VIP, 5060, ADDR_FAR, 5060, "SIP/2.0 200 OK", 14);
}
static struct frame sip_long(void)
{
	uint8_t body[1400] = {'x'};

	return frame_udp(mac_far, mac_self, VIP, 5060, ADDR_FAR, 5060, body, sizeof(body));
}
static struct frame ip_own(void)
{
	return frame_udp(mac_far, mac_self, ADDR_SELF, 5060, VIP, 5060, "x", 1);
}
static struct frame ip_alike(void)
{
	return frame_udp(mac_far, mac_self, ADDR_LIKE, 5060, ADDR_FAR, 5060, "x", 1);
}
static struct frame ip_odd(void)
{
	struct frame f = ip_own();

	f.b[14] = 0x65;
	return f;
}

static struct frame sip_tagged(void)
{
	return with_tags(sip(), 1);
}
static struct frame sip_tagged_twice(void)
{
	return with_tags(sip(), 2);
}
static struct frame arp_tagged(void)
{
	return with_tags(arp_gratuitous(), 1);
}
static struct frame arp_tagged_twice(void)
{
	return with_tags(arp_gratuitous(), 2);
}
static struct frame own_tagged_twice(void)
{
	return with_tags(ip_own(), 2);
}
static struct frame tagged_three_times(void)
{
	return with_tags(ip_own(), 3);
}
static struct frame tag_cut(void)
{
	struct frame f = with_tags(ip_own(), 1);

	f.len = 17;
	return f;
}
static struct frame lldp(void)
{
	struct frame f = frame_eth(mac_all, mac_self, 0x88cc);

	f.len = 60;
	return f;
}

static struct frame ipv6(const uint8_t *src, uint8_t next, const void *payload, uint16_t len)
{
	struct frame f = frame_eth(mac_far, mac_self, 0x86dd);

	f.b[14] = 0x60;
	put16(f.b + 18, len);
	f.b[20] = next;
	f.b[21] = 255;
	memcpy(f.b + 22, src, 16);
	memcpy(f.b + 38, far6, 16);
	memcpy(f.b + 54, payload, len);
	f.len = 54 + len;
	return f;
}
static struct frame icmp6(uint8_t type, const uint8_t *src, const uint8_t *target)
{
	uint8_t nd[32] = {type, [24] = 2, 1};

	memcpy(nd + 8, target, 16);
	return ipv6(src, 58, nd, sizeof(nd));
}
static struct frame udp6_vip(void)
{
	return ipv6(vip6, 17, "12345678", 8);
}
static struct frame udp6_own(void)
{
	return ipv6(host6, 17, "12345678", 8);
}
static struct frame udp6_alike(void)
{
	return ipv6(like6, 17, "12345678", 8);
}
static struct frame advert_of_vip(void)
{
	return icmp6(136, host6, vip6);
}
static struct frame advert_own(void)
{
	return icmp6(136, host6, host6);
}
static struct frame solicit_vip(void)
{
	return icmp6(135, host6, vip6);
}
static struct frame solicit_from_vip(void)
{
	return icmp6(135, vip6, far6);
}
static struct frame advert_tagged(void)
{
	return with_tags(advert_of_vip(), 2);
}
static struct frame advert_cut(void)
{
	struct frame f = advert_own();

	f.len = 54 + 23;
	return f;
}
static struct frame icmp6_cut(void)
{
	struct frame f = advert_own();

	f.len = 54;
	return f;
}
/* PROG_TEST_RUN itself refuses short IP, but not behind a tag. */
static struct frame ip_cut(void)
{
	struct frame f = with_tags(ip_own(), 1);

	f.len = 18 + 19;
	return f;
}
static struct frame ipv6_cut(void)
{
	struct frame f = with_tags(udp6_own(), 1);

	f.len = 18 + 39;
	return f;
}
static struct frame ipv6_odd(void)
{
	struct frame f = udp6_own();

	f.b[14] = 0x40;
	return f;
}

struct egress_case {
	const char *name;
	enum word word;
	struct frame (*frame)(void);
	int verdict;
	int reason[2];
};

#define CASE(case_name, w, f, v, r)                                                                          \
	{                                                                                                    \
		.name = #case_name, .word = w, .frame = f, .verdict = v, .reason = { r, NONE }               \
	}
#define ARP_FENCED REASON_egress_arp_fenced
#define IP_FENCED  REASON_egress_ip_fenced
#define UNJUDGED   REASON_egress_unjudged
#define SENT       REASON_egress_vip

static const struct egress_case cases[] = {
        CASE(arp_reply_for_the_vip_is_fenced, FENCED, arp_reply, TC_SHOT, ARP_FENCED),
        CASE(arp_reply_for_the_vip_is_fenced_when_lease_expired, EXPIRED, arp_reply, TC_SHOT, ARP_FENCED),
        CASE(arp_request_from_the_vip_is_fenced, FENCED, arp_request_from_vip, TC_SHOT, ARP_FENCED),
        CASE(gratuitous_arp_is_fenced, FENCED, arp_gratuitous, TC_SHOT, ARP_FENCED),
        CASE(arp_reply_of_the_owner_leaves, OWNER, arp_reply, TC_OK, NONE),
        CASE(gratuitous_arp_of_the_owner_leaves, FOREVER, arp_gratuitous, TC_OK, NONE),
        CASE(own_arp_request_for_the_vip_leaves, FENCED, arp_own, TC_OK, NONE),
        CASE(arp_probe_for_the_vip_leaves, FENCED, arp_probe, TC_OK, NONE),
        CASE(arp_from_an_address_that_only_ends_like_a_vip_leaves, FENCED, arp_alike, TC_OK, NONE),
        CASE(short_arp_does_not_leave, OWNER, arp_cut, TC_SHOT, UNJUDGED),
        CASE(arp_of_another_address_length_does_not_leave, OWNER, arp_odd, TC_SHOT, UNJUDGED),

        CASE(ip_from_the_vip_is_fenced, FENCED, sip, TC_SHOT, IP_FENCED),
        CASE(ip_from_the_vip_is_fenced_when_lease_expired, EXPIRED, sip, TC_SHOT, IP_FENCED),
        CASE(long_ip_from_the_vip_is_fenced, FENCED, sip_long, TC_SHOT, IP_FENCED),
        CASE(ip_from_the_vip_of_the_owner_leaves, OWNER, sip, TC_OK, SENT),
        CASE(long_ip_from_the_vip_of_the_owner_for_ever_leaves, FOREVER, sip_long, TC_OK, SENT),
        CASE(ip_from_the_own_address_leaves, FENCED, ip_own, TC_OK, NONE),
        CASE(ip_from_an_address_that_only_ends_like_a_vip_leaves, FENCED, ip_alike, TC_OK, NONE),
        CASE(ip_of_another_version_does_not_leave, OWNER, ip_odd, TC_SHOT, UNJUDGED),
        CASE(short_ip_does_not_leave, OWNER, ip_cut, TC_SHOT, UNJUDGED),
        CASE(another_protocol_leaves, FENCED, lldp, TC_OK, NONE),

        CASE(tagged_ip_from_the_vip_is_fenced, FENCED, sip_tagged, TC_SHOT, IP_FENCED),
        CASE(twice_tagged_ip_from_the_vip_is_fenced, FENCED, sip_tagged_twice, TC_SHOT, IP_FENCED),
        CASE(tagged_arp_for_the_vip_is_fenced, FENCED, arp_tagged, TC_SHOT, ARP_FENCED),
        CASE(twice_tagged_arp_for_the_vip_is_fenced, FENCED, arp_tagged_twice, TC_SHOT, ARP_FENCED),
        CASE(twice_tagged_ip_of_the_owner_leaves, OWNER, sip_tagged_twice, TC_OK, SENT),
        CASE(twice_tagged_ip_from_the_own_address_leaves, FENCED, own_tagged_twice, TC_OK, NONE),
        CASE(thrice_tagged_frame_does_not_leave, OWNER, tagged_three_times, TC_SHOT, UNJUDGED),
        CASE(frame_cut_in_its_tag_does_not_leave, OWNER, tag_cut, TC_SHOT, UNJUDGED),

        CASE(ipv6_from_the_vip_is_fenced, FENCED, udp6_vip, TC_SHOT, IP_FENCED),
        CASE(ipv6_from_the_vip_of_the_owner_leaves, OWNER, udp6_vip, TC_OK, SENT),
        CASE(ipv6_from_the_own_address_leaves, FENCED, udp6_own, TC_OK, NONE),
        CASE(ipv6_from_an_address_that_only_ends_like_a_vip_leaves, FENCED, udp6_alike, TC_OK, NONE),
        CASE(neighbour_advertisement_of_the_vip_is_fenced, FENCED, advert_of_vip, TC_SHOT, ARP_FENCED),
        CASE(twice_tagged_neighbour_advertisement_is_fenced, FENCED, advert_tagged, TC_SHOT, ARP_FENCED),
        CASE(neighbour_advertisement_of_the_owner_leaves, OWNER, advert_of_vip, TC_OK, NONE),
        CASE(own_neighbour_advertisement_leaves, FENCED, advert_own, TC_OK, NONE),
        CASE(neighbour_solicitation_for_the_vip_leaves, FENCED, solicit_vip, TC_OK, NONE),
        CASE(neighbour_solicitation_from_the_vip_is_fenced, FENCED, solicit_from_vip, TC_SHOT, IP_FENCED),
        CASE(short_neighbour_advertisement_does_not_leave, OWNER, advert_cut, TC_SHOT, UNJUDGED),
        CASE(icmpv6_without_a_type_does_not_leave, OWNER, icmp6_cut, TC_SHOT, UNJUDGED),
        CASE(short_ipv6_does_not_leave, OWNER, ipv6_cut, TC_SHOT, UNJUDGED),
        CASE(ipv6_of_another_version_does_not_leave, OWNER, ipv6_odd, TC_SHOT, UNJUDGED),
};

static void egress_destroy(void *skel)
{
	egress_bpf__destroy(skel);
}

static int setup(void **state)
{
	const struct egress_case *c = *state;
	struct world *w = calloc(1, sizeof(*w));
	struct egress_bpf *skel = egress_bpf__open();
	struct inaddr16 key = addr_from_be32(htonl(VIP)), key6;
	struct vip vip = {.service = SERVICE, .ifindex = IFINDEX};

	if (!w || !skel)
		return -1;
	memcpy(&key6, vip6, sizeof(key6));
	vip_slots_add(skel->rodata->vip_slots, &key, vip);
	vip_slots_add(skel->rodata->vip_slots, &key6, vip);
	if (egress_bpf__load(skel))
		return -1;
	w->skel = skel;
	w->destroy = egress_destroy;
	w->prog = bpf_program__fd(skel->progs.egress);
	w->test_case = c;
	world_open(w, skel->obj);
	map_put(skel->maps.vips, &key, &vip);
	map_put(skel->maps.vips, vip6, &vip);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	world_close(*state);
	return 0;
}

static void judged(void **state)
{
	struct world *w = *state;
	const struct egress_case *c = w->test_case;
	uint64_t now = now_boot_ns();
	const uint64_t words[] = {
	        [EXPIRED] = now - 1, [OWNER] = now + 60000000000ULL, [FOREVER] = LEASE_FOREVER};
	struct frame in = c->frame();

	w->ownership[SERVICE].lease_until_ns = words[c->word];
	run_frame(w, &in);
	assert_int_equal(w->verdict, c->verdict);
	assert_frame(w, &in);
	assert_counted_list(w, c->reason);
}

int main(void)
{
	struct CMUnitTest tests[COUNT_OF(cases)];
	size_t n = 0;

	add_cases(tests, n, cases, judged, setup, teardown);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
