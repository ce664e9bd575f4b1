/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Ports and slots of the maps: whose they are, how many there are, and what a new process finds in them. */
#include "media_stage.h"

#include <sodium.h>

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

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(rescued_call_keeps_its_port_from_the_local_servers_new_one),
	        T(of_two_rescued_calls_with_one_port_the_first_stays),
	        T(port_that_the_local_server_gave_away_again_is_the_later_calls),
	        T(answered_fork_takes_the_port_from_the_one_that_still_rings),
	        T(same_port_on_two_vips_is_two_flows),
	        T(ports_for_new_legs_are_even_free_and_not_given_twice),
	        T(full_map_is_counted_and_costs_only_the_call_that_came_last),
	        T(a_thousand_changes_of_the_table_leave_nothing_behind),
	        T(call_id_is_hashed_as_the_reference_does),
	        T(endless_call_id_is_not_steered_but_counted),
	        T(next_process_finds_what_the_last_one_left),
	        T(half_written_or_broken_chains_of_the_last_process_are_cut),
	        T(without_a_data_plane_calls_are_only_planned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
