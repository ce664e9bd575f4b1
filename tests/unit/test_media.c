/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From the dialog table to the kernel's maps and back: the real maps, without the programs. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <cmocka.h>
#include <sodium.h>
#include <sofia-sip/su.h>

#include "../../user/calls/media_service.h"
#include "addr.h"
#include "leg.h"

#define VIP        "192.0.2.100"
#define OTHER_VIP  "192.0.2.101"
#define DIALOGS    40000
#define OUR_SERVER 77
#define ITS_SERVER 99

static su_root_t *root;
static struct dialog_table table, table2;
static struct media *media;
static struct keeper_conf conf, conf2;
static int ports_fd, flows_fd, steer_fd;
static int seen_calls;

static int map_new(enum bpf_map_type type, const char *name, uint32_t key, uint32_t value, uint32_t n,
                   uint32_t flags)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = flags);

	return bpf_map_create(type, name, key, value, n, &opts);
}

static void on_seen(void *context)
{
	seen_calls++;
}

static int start(void)
{
	int rc = media_new(root, ports_fd, flows_fd, steer_fd, -1, &media);

	if (rc == 0)
		rc = media_add_service(media, &conf, &table, on_seen, NULL);
	if (rc == 0)
		media_origin_changed(media, 0);
	return rc;
}

static int set_up(void **state)
{
	ports_fd = map_new(BPF_MAP_TYPE_ARRAY, "flow_ports", 4, 4, 65536, BPF_F_MMAPABLE);
	flows_fd = map_new(BPF_MAP_TYPE_ARRAY, "flows", 4, sizeof(struct flow), MAX_FLOWS, BPF_F_MMAPABLE);
	steer_fd = map_new(BPF_MAP_TYPE_HASH, "steer", 8, sizeof(struct steer), MAX_STEERED, 0);
	if (ports_fd < 0 || flows_fd < 0 || steer_fd < 0)
		return -1;
	conf = (struct keeper_conf){.rescue_mode = RESCUE_AGENT,
	                            .steer_key = {0x0706050403020100, 0x0f0e0d0c0b0a0908},
	                            .relay_port_first = 40001,
	                            .relay_port_last = 40006};
	addr_parse(VIP, &conf.vip);
	conf2 = conf;
	conf2.head.service = 1;
	addr_parse(OTHER_VIP, &conf2.vip);
	assert_int_equal(dialog_table_init(&table, DIALOGS, 1), 0);
	assert_int_equal(dialog_table_init(&table2, 16, 2), 0);
	su_init();
	root = su_root_create(NULL);
	return start();
}

static int tear_down(void **state)
{
	media_free(media);
	dialog_table_done(&table);
	dialog_table_done(&table2);
	su_root_destroy(root);
	su_deinit();
	close(ports_fd);
	close(flows_fd);
	close(steer_fd);
	return 0;
}

static void flush(void)
{
	for (int i = 0; i < 1000 && media->flush_set; i++)
		media_flush(media);
	media_flush(media);
	assert_false(media->flush_set);
}

/* --- calls -------------------------------------------------------------------------- */

struct call {
	struct dialog *a;
	struct dialog *b;
};

static char *sdp(char *buf, size_t size, const char *host, unsigned int port, const char *more)
{
	snprintf(buf, size,
	         "v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nc=IN IP4 %s\r\nt=0 0\r\nm=audio %u RTP/AVP 0\r\n%s", host,
	         port, more);
	return buf;
}

/* Leg A uses VIP port `port`, leg B the next even one; the phones 10.0.0.1:4000 and 10.0.0.2:5000. */
static struct call call_of(struct dialog_table *in, const char *vip, const char *name, unsigned int port,
                           uint64_t origin)
{
	char a_id[64], b_id[64], text[4][256];
	struct leg a = {.table = in, .call_id = a_id}, b = {.table = in, .call_id = b_id, .out = true};
	struct call call;
	uint64_t before = in->origin;

	snprintf(a_id, sizeof(a_id), "%s-a", name);
	snprintf(b_id, sizeof(b_id), "%s-b", name);
	a.sdp_in = sdp(text[0], sizeof(text[0]), "10.0.0.1", 4000, "");
	a.sdp_out = sdp(text[1], sizeof(text[1]), vip, port, "");
	b.sdp_in = sdp(text[2], sizeof(text[2]), "10.0.0.2", 5000, "");
	b.sdp_out = sdp(text[3], sizeof(text[3]), vip, port + 2, "");
	in->origin = origin;
	leg_invite(&a, 0);
	leg_invite(&b, 1);
	call.b = leg_answer(&b, 2);
	call.a = leg_answer(&a, 3);
	in->origin = before;
	assert_non_null(call.a);
	assert_non_null(call.b);
	dialog_set_paired(in, call.a, call.b, PAIRED_HEADER);
	return call;
}

static struct call new_call(const char *name, unsigned int port, uint64_t origin)
{
	struct call call = call_of(&table, VIP, name, port, origin);

	flush();
	return call;
}

static uint32_t slot_of(const struct dialog *d, unsigned int stream)
{
	return media->services[0]->legs[d - table.dialogs].flow[stream];
}

static const struct flow *flow(const struct dialog *d, unsigned int stream)
{
	return media_flow_of(media, d, stream);
}

static bool is_steered(const char *call_id)
{
	uint64_t hash = media_steer_hash(&conf.steer_key, 0, call_id);
	struct steer value;

	return bpf_map_lookup_elem(steer_fd, &hash, &value) == 0;
}

/* As a program would look it up. */
static uint32_t kernel_slot(uint16_t port)
{
	uint32_t key = port, slot = 0;

	assert_int_equal(bpf_map_lookup_elem(ports_fd, &key, &slot), 0);
	return slot;
}

static struct flow kernel_flow(uint32_t slot)
{
	struct flow f;

	assert_int_equal(bpf_map_lookup_elem(flows_fd, &slot, &f), 0);
	return f;
}

static void assert_place(const struct inaddr16 *addr, uint16_t port, const char *want, uint16_t want_port)
{
	char text[ADDR_TEXT_LEN];

	assert_string_equal(addr_format(addr, text), want);
	assert_int_equal(port, want_port);
}

/* What the programs would have written of a flow. */
static void kernel_saw(const struct dialog *d, unsigned int stream, enum media_event_kind kind,
                       const char *addr, uint16_t port)
{
	struct flow *f = (struct flow *)flow(d, stream);
	const struct media_event event = {
	        .at_ns = (uint64_t)loop_now().ns, .slot = slot_of(d, stream), .kind = kind};

	if (kind == MEDIA_SEEN_TO) {
		addr_parse(addr, &f->seen_to);
		f->seen_to_port = port;
	} else {
		addr_parse(addr, &f->seen_from);
		f->seen_from_port = port;
		f->seen_mac[5] = 7;
	}
	media_seen(media, &event);
	flush();
}

static void say(struct dialog *d, const char *host, unsigned int port, const char *more)
{
	char text[256];

	sdp(text, sizeof(text), host, port, more);
	dialog_set_sdp_in(&table, d, text, strlen(text));
	flush();
}

/* --- entering and leaving ------------------------------------------------------------ */

static void standby_has_the_call_ready_to_relay(void **state)
{
	struct call call = new_call("x", 30000, ITS_SERVER);
	struct flow a = kernel_flow(kernel_slot(30000)), b = kernel_flow(kernel_slot(30002));
	struct media_counts counts;

	assert_place(&a.vip, a.vip_port, VIP, 30000);
	assert_place(&a.remote, a.remote_port, "10.0.0.1", 4000);
	assert_place(&b.remote, b.remote_port, "10.0.0.2", 5000);
	assert_int_equal(a.flags, 0);
	assert_int_equal(a.peer, kernel_slot(30002));
	assert_int_equal(b.peer, kernel_slot(30000));
	assert_int_equal(a.generation & 1, 0);
	assert_int_equal(kernel_flow(kernel_slot(30001)).flags, FLOW_RTCP);
	assert_int_equal(kernel_flow(kernel_slot(30001)).peer, kernel_slot(30003));
	assert_true(is_steered("x-a"));
	assert_true(is_steered("x-b"));
	assert_int_equal(slot_of(call.a, 0), kernel_slot(30000));
	media_counts(media, 0, &counts);
	assert_int_equal(counts.flows, 4);
	assert_int_equal(counts.relayed, 1);
	assert_int_equal(counts.ports_held, 0);
}

static void call_of_the_local_server_is_watched_and_not_steered(void **state)
{
	table.origin = OUR_SERVER;
	new_call("x", 30000, OUR_SERVER);
	assert_int_equal(kernel_flow(kernel_slot(30000)).flags, FLOW_SERVER);
	assert_int_equal(kernel_flow(kernel_slot(30001)).flags, FLOW_SERVER | FLOW_RTCP);
	assert_false(is_steered("x-a"));
}

static void calls_of_a_dead_local_server_are_relayed_in_place(void **state)
{
	uint32_t slot;

	table.origin = OUR_SERVER;
	new_call("x", 30000, OUR_SERVER);
	slot = kernel_slot(30000);
	media->maps.flows[slot].packets = 5;
	table.origin = 0;
	media_origin_changed(media, 0);
	flush();
	assert_int_equal(kernel_slot(30000), slot);
	assert_int_equal(kernel_flow(slot).flags, 0);
	assert_int_equal(kernel_flow(slot).packets, 5);
	assert_int_equal(kernel_flow(slot).peer, kernel_slot(30002));
	assert_true(is_steered("x-a"));
}

static void call_that_nobody_holds_is_not_the_local_servers(void **state)
{
	table.origin = 0;
	new_call("x", 30000, 0);
	assert_int_equal(kernel_flow(kernel_slot(30000)).flags, 0);
	assert_true(is_steered("x-a"));
}

static void nothing_is_entered_until_the_local_server_is_known(void **state)
{
	media->services[0]->told = false;
	new_call("x", 30000, OUR_SERVER);
	assert_int_equal(kernel_slot(30000), 0);
	assert_false(is_steered("x-a"));
	table.origin = OUR_SERVER;
	media_origin_changed(media, 0);
	flush();
	assert_int_equal(kernel_flow(kernel_slot(30000)).flags, FLOW_SERVER);
	assert_false(is_steered("x-a"));
}

static void rejoined_leg_is_watched_and_steered(void **state)
{
	struct call call;

	table.origin = OUR_SERVER;
	call = new_call("x", 30000, OUR_SERVER);
	dialog_set_flags(&table, call.a, DIALOG_JOINED, 0);
	flush();
	assert_true(is_steered("x-a"));
	assert_int_equal(kernel_flow(kernel_slot(30000)).flags & FLOW_SERVER, FLOW_SERVER);
}

static void ended_call_leaves_its_ports_but_is_still_heard(void **state)
{
	struct call call = new_call("x", 30000, ITS_SERVER);
	struct media_counts counts;

	dialog_set_state(&table, call.a, DIALOG_ENDED, loop_now());
	flush();
	assert_int_equal(kernel_slot(30000), 0);
	assert_int_equal(kernel_slot(30001), 0);
	assert_int_not_equal(kernel_slot(30002), 0);
	assert_int_equal(kernel_flow(kernel_slot(30002)).peer, 0);
	assert_int_equal(kernel_flow(kernel_slot(30002)).flags, FLOW_HELD);
	assert_true(is_steered("x-a"));
	dialog_set_state(&table, call.b, DIALOG_ENDED, loop_now());
	flush();
	media_counts(media, 0, &counts);
	assert_int_equal(counts.flows, 0);
	assert_int_equal(counts.relayed, 0);
	dialog_table_clear(&table, 255);
	assert_false(is_steered("x-a"));
	assert_false(is_steered("x-b"));
}

static void dialog_that_goes_takes_its_flows_along(void **state)
{
	new_call("x", 30000, ITS_SERVER);
	dialog_table_clear(&table, 255);
	for (uint16_t port = 30000; port < 30004; port++)
		assert_int_equal(kernel_slot(port), 0);
	assert_false(is_steered("x-a"));
	flush();
}

static void slot_rests_before_it_is_used_again(void **state)
{
	struct call call = new_call("x", 30000, ITS_SERVER);
	uint32_t first = slot_of(call.a, 0);

	assert_int_not_equal(first, 0);
	dialog_table_clear(&table, 255);
	flush();
	assert_int_equal(kernel_flow(first).generation & 1, 1);
	for (int i = 0; i < 100; i++) {
		call = new_call("y", 31000, ITS_SERVER);
		for (unsigned int s = 0; s < 2; s++) {
			assert_int_not_equal(slot_of(call.a, s), first);
			assert_int_not_equal(slot_of(call.b, s), first);
		}
		dialog_table_clear(&table, 255);
	}
	assert_int_equal(media->maps.n_free, MAX_FLOWS - 1);
}

static void single_leg_holds_its_port(void **state)
{
	char in[256], out[256];
	const struct leg leg = {.table = &table,
	                        .call_id = "ivr",
	                        .sdp_in = sdp(in, sizeof(in), "10.0.0.1", 4000, ""),
	                        .sdp_out = sdp(out, sizeof(out), VIP, 30000, "")};

	table.origin = ITS_SERVER;
	leg_invite(&leg, 0);
	leg_answer(&leg, 1);
	table.origin = 0;
	flush();
	assert_int_equal(kernel_flow(kernel_slot(30000)).flags, FLOW_HELD);
	assert_true(is_steered("ivr"));
}

static void ringing_call_is_steered_and_its_early_media_entered(void **state)
{
	char out[256];
	const struct leg leg = {.table = &table,
	                        .call_id = "ring",
	                        .out = true,
	                        .sdp_out = sdp(out, sizeof(out), VIP, 30000, "")};

	leg_invite(&leg, 0);
	flush();
	assert_true(is_steered("ring"));
	assert_int_equal(kernel_flow(kernel_slot(30000)).flags, FLOW_HELD);
	assert_int_equal(kernel_flow(kernel_slot(30000)).remote_port, 0);
}

static void dialog_that_a_proxy_forwards_is_never_entered(void **state)
{
	char in[256], out[256];
	struct leg leg = {.table = &table,
	                  .call_id = "p",
	                  .sdp_in = sdp(in, sizeof(in), "10.0.0.1", 4000, ""),
	                  .sdp_out = sdp(out, sizeof(out), VIP, 30000, "")};

	leg_invite(&leg, 0);
	leg.out = true;
	leg_invite(&leg, 1);
	leg_answer(&leg, 2);
	flush();
	leg.out = false;
	leg_answer(&leg, 3);
	flush();
	assert_int_equal(kernel_slot(30000), 0);
	assert_false(is_steered("p"));
}

static void nothing_is_entered_for_a_service_that_needs_no_agent(void **state)
{
	media->services[0]->conf.rescue_mode = RESCUE_OFF;
	new_call("x", 30000, ITS_SERVER);
	assert_int_equal(kernel_slot(30000), 0);
	assert_false(is_steered("x-a"));
}

static void calls_that_cannot_be_relayed_hold_their_ports(void **state)
{
	media->services[0]->conf.media_direct = 1;
	new_call("x", 30000, ITS_SERVER);
	assert_int_equal(kernel_flow(kernel_slot(30000)).flags, FLOW_HELD);
	assert_int_equal(kernel_flow(kernel_slot(30000)).peer, 0);
}

/* --- changes -------------------------------------------------------------------------- */

static void change_is_made_in_place_under_a_new_generation(void **state)
{
	struct call call = new_call("x", 30000, ITS_SERVER);
	uint32_t slot = slot_of(call.a, 0);
	uint64_t generation = kernel_flow(slot).generation;

	media->maps.flows[slot].packets = 9;
	say(call.a, "10.0.0.7", 4444, "");
	assert_int_equal(slot_of(call.a, 0), slot);
	assert_int_equal(kernel_flow(slot).packets, 9);
	assert_int_equal(kernel_flow(slot).generation, generation + 2);
	assert_place(&media->maps.flows[slot].remote, media->maps.flows[slot].remote_port, "10.0.0.7", 4444);
}

static void nothing_new_leaves_the_slot_alone(void **state)
{
	struct call call = new_call("x", 30000, ITS_SERVER);
	uint64_t generation = kernel_flow(slot_of(call.a, 0)).generation;

	say(call.a, "10.0.0.1", 4000, "");
	dialog_take_cseq(&table, call.a, 3);
	flush();
	assert_int_equal(kernel_flow(slot_of(call.a, 0)).generation, generation);
}

static void another_vip_port_is_another_slot(void **state)
{
	struct call call = new_call("x", 30000, ITS_SERVER);
	uint32_t slot = slot_of(call.a, 0);
	char text[256];

	sdp(text, sizeof(text), VIP, 32000, "");
	dialog_set_sdp_out(&table, call.a, text, strlen(text));
	flush();
	assert_int_equal(kernel_slot(30000), 0);
	assert_int_not_equal(kernel_slot(32000), slot);
	assert_int_equal(kernel_flow(kernel_slot(30002)).peer, kernel_slot(32000));
	assert_int_equal(kernel_flow(slot).generation & 1, 1);
}

static void payload_types_reach_the_map(void **state)
{
	struct call call = new_call("x", 30000, ITS_SERVER);
	char text[256];

	sdp(text, sizeof(text), VIP, 30000, "");
	memcpy(strstr(text, "AVP 0"), "AVP 9", 5);
	strcat(text, "a=rtpmap:9 PCMU/8000\r\n");
	dialog_set_sdp_out(&table, call.a, text, strlen(text));
	flush();
	assert_int_equal(kernel_flow(kernel_slot(30000)).pt[0].from, 9);
	assert_int_equal(kernel_flow(kernel_slot(30000)).pt[0].to, 0);
	assert_int_equal(kernel_flow(kernel_slot(30002)).pt[0].from, 0);
}

static void phone_that_moved_is_no_longer_where_it_was_seen(void **state)
{
	struct call call = new_call("x", 30000, ITS_SERVER);

	media_role(media, 0, true, loop_now());
	kernel_saw(call.a, 0, MEDIA_SEEN_FROM, "203.0.113.1", 60000);
	kernel_saw(call.a, 0, MEDIA_SEEN_TO, "203.0.113.1", 60000);
	assert_place(&flow(call.a, 0)->remote, flow(call.a, 0)->remote_port, "203.0.113.1", 60000);
	say(call.a, "10.0.0.1", 4000, "a=sendonly\r\n");
	assert_place(&flow(call.a, 0)->remote, flow(call.a, 0)->remote_port, "203.0.113.1", 60000);
	say(call.a, "10.0.0.9", 4900, "");
	assert_place(&flow(call.a, 0)->remote, flow(call.a, 0)->remote_port, "10.0.0.9", 4900);
	assert_int_equal(flow(call.a, 0)->seen_from_port, 0);
	assert_int_equal(dialog_stream_of(call.a, 0)->from_port, 0);
}

static void standby_takes_where_a_phone_is_from_the_owner_only(void **state)
{
	struct call call = new_call("x", 30000, ITS_SERVER);
	struct dialog_stream seen = {.from_port = 60000};

	addr_parse("203.0.113.1", &seen.from);
	dialog_set_stream(&table, call.a, 0, &seen);
	flush();
	say(call.a, "10.0.0.9", 4900, "");
	assert_int_equal(dialog_stream_of(call.a, 0)->from_port, 60000);
}

/* --- what the kernel saw ----------------------------------------------------------------- */

static void what_the_kernel_saw_reaches_the_dialog_and_the_flow(void **state)
{
	struct call call = new_call("x", 30000, ITS_SERVER);

	kernel_saw(call.a, 0, MEDIA_SEEN_FROM, "203.0.113.1", 60000);
	kernel_saw(call.a, 0, MEDIA_SEEN_TO, "203.0.113.1", 60002);
	assert_place(&dialog_stream_of(call.a, 0)->from, dialog_stream_of(call.a, 0)->from_port,
	             "203.0.113.1", 60000);
	assert_int_equal(dialog_stream_of(call.a, 0)->mac[5], 7);
	assert_place(&flow(call.a, 0)->source, flow(call.a, 0)->source_port, "203.0.113.1", 60000);
	assert_place(&flow(call.a, 0)->remote, flow(call.a, 0)->remote_port, "203.0.113.1", 60002);
	assert_int_equal(flow(call.a, 0)->mac[5], 7);
	assert_int_equal(media_counters(media)->media_seen, 2);
	kernel_saw(call.a, 0, MEDIA_SEEN_TO, "203.0.113.1", 60002);
	assert_int_equal(media_counters(media)->media_seen, 2);
}

static void relatched_phone_gets_its_media_at_the_new_place(void **state)
{
	struct call call = new_call("x", 30000, ITS_SERVER);

	kernel_saw(call.a, 0, MEDIA_SEEN_FROM, "203.0.113.1", 60000);
	kernel_saw(call.a, 0, MEDIA_SEEN_TO, "203.0.113.1", 60000);
	media->maps.flows[slot_of(call.a, 0)].relatched_ns = 5;
	kernel_saw(call.a, 0, MEDIA_RELATCHED, "203.0.113.9", 61000);
	assert_place(&flow(call.a, 0)->remote, flow(call.a, 0)->remote_port, "203.0.113.9", 61000);
	assert_place(&flow(call.a, 0)->source, flow(call.a, 0)->source_port, "203.0.113.9", 61000);
	assert_int_equal(flow(call.a, 0)->relatched_ns, 5);
	assert_int_equal(media_counters(media)->media_relatched, 1);
}

/* As kernel_saw, but no news of it comes. */
static void kernel_saw_silently(const struct dialog *d, const char *addr, uint16_t port, uint64_t at_ns)
{
	struct flow *f = (struct flow *)flow(d, 0);

	addr_parse(addr, &f->seen_from);
	f->seen_from_port = port;
	addr_parse(addr, &f->seen_to);
	f->seen_to_port = port;
	f->last_ns = at_ns;
}

static void look_at_all(void)
{
	do
		media_look(media);
	while (media->look_at);
	flush();
}

static void lost_news_is_found_by_looking(void **state)
{
	struct call call = new_call("x", 30000, OUR_SERVER);
	uint64_t now_ns;

	table.origin = OUR_SERVER;
	media_origin_changed(media, 0);
	flush();
	media_role(media, 0, true, loop_now());
	now_ns = (uint64_t)loop_now().ns;
	kernel_saw_silently(call.a, "203.0.113.1", 60000, now_ns);
	seen_calls = 0;
	look_at_all();
	assert_place(&dialog_stream_of(call.a, 0)->from, dialog_stream_of(call.a, 0)->from_port,
	             "203.0.113.1", 60000);
	assert_int_equal(dialog_stream_of(call.a, 0)->to_port, 60000);
	assert_int_equal(media_counters(media)->media_missed, 1);
	assert_true(seen_calls > 0); /* the standby hears of it */
	look_at_all();
	assert_int_equal(media_counters(media)->media_missed, 1);
}

static void what_was_seen_before_this_node_owned_is_old(void **state)
{
	struct call call = new_call("x", 30000, OUR_SERVER);

	table.origin = OUR_SERVER;
	media_origin_changed(media, 0);
	flush();
	kernel_saw_silently(call.a, "203.0.113.1", 60000, (uint64_t)loop_now().ns);
	media->maps.flows[slot_of(call.a, 0)].seen_to_port = 0;
	look_at_all();
	media_role(media, 0, true, loop_now());
	look_at_all();
	assert_int_equal(dialog_stream_of(call.a, 0)->from_port, 0);
	assert_int_equal(media_counters(media)->media_missed, 0);
}

static void lost_news_of_a_relatched_phone_is_found_as_well(void **state)
{
	struct call call = new_call("x", 30000, ITS_SERVER);
	struct flow *f = (struct flow *)flow(call.a, 0);

	media_role(media, 0, true, loop_now());
	kernel_saw_silently(call.a, "203.0.113.9", 61000, (uint64_t)loop_now().ns);
	look_at_all(); /* a server's place to send to is another node's, until the phone moved */
	assert_int_equal(dialog_stream_of(call.a, 0)->from_port, 0);
	f->relatched_ns = (uint64_t)loop_now().ns;
	look_at_all();
	assert_place(&flow(call.a, 0)->remote, flow(call.a, 0)->remote_port, "203.0.113.9", 61000);
	assert_int_equal(media_counters(media)->media_relatched, 1);
}

static void news_of_a_slot_that_is_another_calls_now_is_not_believed(void **state)
{
	struct call call = new_call("x", 30000, ITS_SERVER);
	struct media_event event = {.at_ns = 1, .slot = slot_of(call.a, 0), .kind = MEDIA_SEEN_FROM};

	media->maps.flows[event.slot].seen_from_port = 1234;
	assert_false(media_seen(media, &event)); /* older than the filling */
	event.at_ns = UINT64_MAX;
	dialog_table_clear(&table, 255);
	assert_false(media_seen(media, &event));
	assert_int_equal(media_counters(media)->media_malformed, 0);
}

static void news_that_make_no_sense_are_counted(void **state)
{
	const struct media_event bad[] = {{.slot = 0, .kind = MEDIA_SEEN_FROM},
	                                  {.slot = MAX_FLOWS, .kind = MEDIA_SEEN_FROM},
	                                  {.slot = UINT32_MAX, .kind = MEDIA_SEEN_TO},
	                                  {.slot = 1, .kind = 0},
	                                  {.slot = 1, .kind = 4}};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(media_seen(media, &bad[i]));
	assert_int_equal(media_counters(media)->media_malformed, 5);
}

/* --- whose a port is ------------------------------------------------------------------------ */

static void rescued_call_keeps_its_port_from_the_local_servers_new_one(void **state)
{
	struct call rescued = new_call("old", 30000, 0), local;
	struct media_counts counts;

	table.origin = OUR_SERVER;
	local = new_call("new", 30000, OUR_SERVER);
	assert_int_equal(kernel_slot(30000), slot_of(rescued.a, 0));
	assert_int_equal(slot_of(local.a, 0), 0);
	assert_int_equal(media_counters(media)->media_port_held, 4);
	media_counts(media, 0, &counts);
	assert_int_equal(counts.ports_held, 4);
	dialog_set_state(&table, rescued.a, DIALOG_ENDED, loop_now());
	dialog_set_state(&table, rescued.b, DIALOG_ENDED, loop_now());
	flush();
	assert_int_equal(kernel_slot(30000), slot_of(local.a, 0));
	assert_int_equal(kernel_flow(kernel_slot(30000)).flags, FLOW_SERVER);
	assert_int_equal(kernel_flow(kernel_slot(30000)).peer, kernel_slot(30002));
	media_counts(media, 0, &counts);
	assert_int_equal(counts.ports_held, 0);
	assert_int_equal(media_counters(media)->media_port_held, 4);
}

static void of_two_rescued_calls_with_one_port_the_first_stays(void **state)
{
	struct call first = new_call("one", 30000, 0), second = new_call("two", 30000, 0);

	assert_int_equal(kernel_slot(30000), slot_of(first.a, 0));
	assert_int_equal(slot_of(second.a, 0), 0);
	assert_int_equal(media_counters(media)->media_port_taken, 4);
	assert_int_equal(media_counters(media)->media_port_held, 0);
}

static void port_that_the_local_server_gave_away_again_is_the_later_calls(void **state)
{
	struct call second;

	table.origin = OUR_SERVER;
	new_call("one", 30000, OUR_SERVER);
	second = new_call("two", 30000, OUR_SERVER);
	second.a->at_invite = mono_add(second.a->at_invite, NS_PER_S);
	second.b->at_invite = mono_add(second.b->at_invite, NS_PER_S);
	say(second.a, "10.0.0.1", 4000, "a=ptime:20\r\n");
	assert_int_equal(kernel_slot(30000), slot_of(second.a, 0));
	assert_int_equal(kernel_slot(30002), slot_of(second.b, 0));
}

static void answered_fork_takes_the_port_from_the_one_that_still_rings(void **state)
{
	char in[256], out[256];
	const struct leg leg = {.table = &table,
	                        .call_id = "f",
	                        .out = true,
	                        .sdp_in = sdp(in, sizeof(in), "10.0.0.2", 5000, ""),
	                        .sdp_out = sdp(out, sizeof(out), VIP, 30000, "")};
	struct dialog *ringing, *answered;
	struct sip_event ev = {.at = mono_ns(NS_PER_S),
	                       .verb = SIP_VERB_INVITE,
	                       .status = 180,
	                       .cseq = 1,
	                       .call_id = "f",
	                       .from_tag = "f",
	                       .to_tag = "other",
	                       .contact = "sip:x@y"};

	leg_invite(&leg, 0);
	ringing = dialog_table_event(&table, &ev);
	flush();
	assert_int_equal(kernel_slot(30000), slot_of(ringing, 0));
	answered = leg_answer(&leg, 2);
	flush();
	assert_ptr_not_equal(ringing, answered);
	assert_int_equal(kernel_slot(30000), slot_of(answered, 0));
	assert_true(is_steered("f"));
	dialog_set_state(&table, ringing, DIALOG_ENDED, loop_now());
	flush();
	assert_int_equal(kernel_slot(30000), slot_of(answered, 0));
}

static void same_port_on_two_vips_is_two_flows(void **state)
{
	struct call call;

	assert_int_equal(media_add_service(media, &conf2, &table2, NULL, NULL), 0);
	media_origin_changed(media, 1);
	new_call("x", 30000, ITS_SERVER);
	call = call_of(&table2, OTHER_VIP, "x", 30000, ITS_SERVER);
	call.a->service = call.b->service = 1;
	flush();
	assert_int_equal(media_counters(media)->media_port_taken, 0);
	assert_place(&media->maps.flows[kernel_slot(30000)].vip, 30000, OTHER_VIP, 30000);
	assert_place(&media->maps.flows[kernel_flow(kernel_slot(30000)).next].vip, 30000, VIP, 30000);
	dialog_table_clear(&table, 255);
	assert_place(&media->maps.flows[kernel_slot(30000)].vip, 30000, OTHER_VIP, 30000);
	assert_int_equal(kernel_flow(kernel_slot(30000)).next, 0);
}

/* --- size ------------------------------------------------------------------------------------- */

static void full_map_is_counted_and_costs_only_the_call_that_came_last(void **state)
{
	char name[16];
	struct call call;

	for (int i = 0; i < 16000; i++) {
		snprintf(name, sizeof(name), "c%d", i);
		call_of(&table, VIP, name, 1024 + 4 * (unsigned int)i, ITS_SERVER);
	}
	flush();
	assert_int_equal(media->maps.n_free, MAX_FLOWS - 1 - 64000);
	/* other VIPs share the slots */
	assert_int_equal(media_add_service(media, &conf2, &table2, NULL, NULL), 0);
	media_origin_changed(media, 1);
	media->maps.n_free = 5;
	call_of(&table2, OTHER_VIP, "last", 2000, ITS_SERVER);
	call_of(&table2, OTHER_VIP, "over", 3000, ITS_SERVER);
	flush();
	assert_int_equal(media_counters(media)->media_flows_full, 3);
	call.a = dialog_find(&table, 0, "c15999-a", "t", "f");
	assert_non_null(call.a);
	assert_int_equal(kernel_slot(1024 + 4 * 15999), slot_of(call.a, 0));
	assert_true(is_steered("c0-a"));
}

static void a_thousand_changes_of_the_table_leave_nothing_behind(void **state)
{
	unsigned int seed = 3;
	struct media_counts counts;
	char name[16];

	for (int round = 0; round < 3000; round++) {
		unsigned int i = (unsigned int)rand_r(&seed) % 200;
		struct dialog *d;

		snprintf(name, sizeof(name), "c%u-%c", i, rand_r(&seed) % 2 ? 'a' : 'b');
		d = dialog_find(&table, 0, name, "t", "f");
		if (!d)
			d = dialog_find(&table, 0, name, "f", "t");
		table.origin = rand_r(&seed) % 5 ? OUR_SERVER : 0;
		if (!d) {
			snprintf(name, sizeof(name), "c%u", i);
			if (!dialog_find(&table, 0, "x", "t", "f") && rand_r(&seed) % 3 == 0)
				media_origin_changed(media, 0);
			call_of(&table, VIP, name, 20000 + 2 * ((unsigned int)rand_r(&seed) % 300),
			        rand_r(&seed) % 2 ? OUR_SERVER : 0);
		} else if (rand_r(&seed) % 2) {
			say(d, "10.0.0.1", 1000 + (unsigned int)rand_r(&seed) % 100, "");
		} else {
			struct dialog_key key;

			dialog_key_of(d, &key);
			dialog_table_remove(&table, &key);
		}
		if (rand_r(&seed) % 3 == 0)
			flush();
	}
	dialog_table_clear(&table, 255);
	flush();
	media_counts(media, 0, &counts);
	assert_int_equal(counts.flows, 0);
	assert_int_equal(counts.relayed, 0);
	assert_int_equal(counts.ports_held, 0);
	assert_int_equal(media->services[0]->n_denied, 0);
	assert_int_equal(media->maps.n_free, MAX_FLOWS - 1);
	assert_int_equal(media->steer.used, 0);
	for (uint32_t port = 0; port < 65536; port++)
		assert_int_equal(kernel_slot((uint16_t)port), 0);
}

/* --- a new process ------------------------------------------------------------------------------ */

static void next_process_finds_what_the_last_one_left(void **state)
{
	struct call call = new_call("x", 30000, 0);
	uint32_t slot = slot_of(call.a, 0), peer = slot_of(call.b, 0);

	new_call("gone", 31000, 0);
	media->maps.flows[slot].packets = 11;
	media_free(media);
	dialog_table_clear(&table, 255);
	assert_int_equal(start(), 0);
	assert_int_equal(kernel_flow(slot).peer, peer);
	assert_int_equal(kernel_flow(kernel_slot(30000)).flags, 0);
	assert_true(is_steered("x-a"));
	call = new_call("x", 30000, 0);
	assert_int_equal(slot_of(call.a, 0), slot);
	assert_int_equal(kernel_flow(slot).packets, 11);
	media_maps_sweep(&media->maps);
	media_steer_sweep(&media->steer);
	assert_int_equal(kernel_slot(30000), slot);
	assert_int_equal(kernel_slot(31000), 0);
	assert_true(is_steered("x-a"));
	assert_false(is_steered("gone-a"));
	assert_int_equal(media->maps.n_free, MAX_FLOWS - 1 - 4);
}

static void half_written_or_broken_chains_of_the_last_process_are_cut(void **state)
{
	struct call call = new_call("x", 30000, 0);
	uint32_t slot = slot_of(call.a, 0);
	uint32_t key = 7, bad = MAX_FLOWS + 5, again = slot;

	media->maps.flows[slot_of(call.b, 0)].generation |= 1;
	bpf_map_update_elem(ports_fd, &key, &bad, BPF_ANY);
	key = 8;
	bpf_map_update_elem(ports_fd, &key, &again, BPF_ANY);
	media->maps.flows[slot].next = slot; /* a ring */
	media_free(media);
	dialog_table_clear(&table, 255);
	assert_int_equal(start(), 0);
	assert_int_equal(kernel_slot(7), 0);
	assert_int_equal(kernel_slot(8), 0);
	assert_int_equal(kernel_slot(30002), 0);
	assert_int_equal(kernel_slot(30000), slot);
	assert_int_equal(kernel_flow(slot).next, 0);
}

static void without_a_data_plane_calls_are_only_planned(void **state)
{
	struct media_counts counts;
	struct call call;

	media_free(media);
	assert_int_equal(media_new(root, -1, -1, -1, -1, &media), 0);
	assert_int_equal(media_add_service(media, &conf, &table, on_seen, NULL), 0);
	media_origin_changed(media, 0);
	call = new_call("x", 30000, 0);
	assert_null(media_flow_of(media, call.a, 0));
	assert_false(media_is_silent(media, call.a, loop_now()));
	media_counts(media, 0, &counts);
	assert_int_equal(counts.flows, 0);
	assert_int_equal(counts.relayed, 1);
}

/* --- questions -------------------------------------------------------------------------------------- */

static void silence_is_known_of_who_should_speak(void **state)
{
	struct call call = new_call("x", 30000, 0);
	struct mono filled = loop_now(), later = mono_add(filled, NS_PER_S);

	assert_true(media_is_silent(media, call.a, later));
	media->maps.flows[slot_of(call.a, 0)].last_ns = (uint64_t)later.ns + 1;
	assert_false(media_is_silent(media, call.a, later));
	assert_true(media_is_silent(media, call.b, later));
	say(call.b, "10.0.0.2", 5000, "a=inactive\r\n");
	assert_false(media_is_silent(media, call.b, later));
	assert_false(media_is_silent(media, call.a, mono_add(filled, -NS_PER_S)));
}

static void call_is_silent_only_where_it_is_held(void **state)
{
	struct call call = new_call("x", 30000, 0);
	struct mono since = loop_now();

	assert_false(media_call_is_silent(media, call.a, since));
	media_role(media, 0, true, since);
	assert_true(media_call_is_silent(media, call.a, since));
	media->maps.flows[slot_of(call.b, 0)].last_ns = (uint64_t)since.ns + 1;
	assert_false(media_call_is_silent(media, call.a, since));
	media->maps.flows[slot_of(call.b, 0)].last_ns = 0;
	table.origin = OUR_SERVER;
	dialog_set_origin(&table, call.a, OUR_SERVER);
	assert_false(media_call_is_silent(media, call.a, since));
}

static void ports_for_new_legs_are_even_free_and_not_given_twice(void **state)
{
	struct mono now = loop_now();

	new_call("x", 40002, 0); /* and 40004 */
	assert_int_equal(media_take_port(media, 0, now), 0);
	dialog_table_clear(&table, 255);
	assert_int_equal(media_take_port(media, 0, now), 40002);
	assert_int_equal(media_take_port(media, 0, now), 40004);
	assert_int_equal(media_take_port(media, 0, now), 0);
	assert_int_not_equal(media_take_port(media, 0, mono_add(now, 61 * NS_PER_S)), 0);
}

static void call_id_is_hashed_as_the_reference_does(void **state)
{
	/* SipHash-2-4 paper, appendix A: key 00..0f, message 00..0e; here its printable cousin by libsodium.
	 */
	unsigned char key[16], out[8];
	uint64_t want = 0;

	for (int i = 0; i < 16; i++)
		key[i] = (unsigned char)i;
	key[8] ^= 3; /* service 3 */
	crypto_shorthash(out, (const unsigned char *)"abc@host", 8, key);
	memcpy(&want, out, 8);
	assert_true(media_steer_hash(&conf.steer_key, 3, "abc@host") == want);
	assert_true(media_steer_hash(&conf.steer_key, 0, "abc@host") != want);
}

static void endless_call_id_is_not_steered_but_counted(void **state)
{
	char id[STEER_CALL_ID_LEN + 64];
	struct leg leg = {.table = &table, .call_id = id};

	memset(id, 'x', sizeof(id) - 1);
	id[sizeof(id) - 1] = '\0';
	leg_invite(&leg, 0);
	flush();
	assert_true(media_counters(media)->media_steer_full == table.used);
	assert_int_equal(media->steer.used, 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	        T(standby_has_the_call_ready_to_relay),
	        T(call_of_the_local_server_is_watched_and_not_steered),
	        T(calls_of_a_dead_local_server_are_relayed_in_place),
	        T(call_that_nobody_holds_is_not_the_local_servers),
	        T(nothing_is_entered_until_the_local_server_is_known),
	        T(rejoined_leg_is_watched_and_steered),
	        T(ended_call_leaves_its_ports_but_is_still_heard),
	        T(dialog_that_goes_takes_its_flows_along),
	        T(slot_rests_before_it_is_used_again),
	        T(single_leg_holds_its_port),
	        T(ringing_call_is_steered_and_its_early_media_entered),
	        T(dialog_that_a_proxy_forwards_is_never_entered),
	        T(nothing_is_entered_for_a_service_that_needs_no_agent),
	        T(calls_that_cannot_be_relayed_hold_their_ports),
	        T(change_is_made_in_place_under_a_new_generation),
	        T(nothing_new_leaves_the_slot_alone),
	        T(another_vip_port_is_another_slot),
	        T(payload_types_reach_the_map),
	        T(phone_that_moved_is_no_longer_where_it_was_seen),
	        T(standby_takes_where_a_phone_is_from_the_owner_only),
	        T(what_the_kernel_saw_reaches_the_dialog_and_the_flow),
	        T(relatched_phone_gets_its_media_at_the_new_place),
	        T(lost_news_is_found_by_looking),
	        T(what_was_seen_before_this_node_owned_is_old),
	        T(lost_news_of_a_relatched_phone_is_found_as_well),
	        T(news_of_a_slot_that_is_another_calls_now_is_not_believed),
	        T(news_that_make_no_sense_are_counted),
	        T(rescued_call_keeps_its_port_from_the_local_servers_new_one),
	        T(of_two_rescued_calls_with_one_port_the_first_stays),
	        T(port_that_the_local_server_gave_away_again_is_the_later_calls),
	        T(answered_fork_takes_the_port_from_the_one_that_still_rings),
	        T(same_port_on_two_vips_is_two_flows),
	        T(full_map_is_counted_and_costs_only_the_call_that_came_last),
	        T(a_thousand_changes_of_the_table_leave_nothing_behind),
	        T(next_process_finds_what_the_last_one_left),
	        T(half_written_or_broken_chains_of_the_last_process_are_cut),
	        T(without_a_data_plane_calls_are_only_planned),
	        T(silence_is_known_of_who_should_speak),
	        T(call_is_silent_only_where_it_is_held),
	        T(ports_for_new_legs_are_even_free_and_not_given_twice),
	        T(call_id_is_hashed_as_the_reference_does),
	        T(endless_call_id_is_not_steered_but_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
