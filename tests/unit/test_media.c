/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which calls are in the kernel's maps, how, and what a change of them changes there. */
#include "media_stage.h"

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

int main(void)
{
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
