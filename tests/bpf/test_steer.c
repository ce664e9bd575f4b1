/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * SIP on the owner: a table of {SIP text, steered or not, counter}, then ports,
 * fragments and random texts. The Call-ID of the rescued dialog is "abc@host".
 */
#include "node.h"

#include "callid.h"

#define NONE    -1
#define CALL_ID "abc@host"
#define SIXTEEN "0123456789abcdef"
#define LONGEST                                                                                              \
	SIXTEEN SIXTEEN SIXTEEN SIXTEEN SIXTEEN SIXTEEN SIXTEEN SIXTEEN SIXTEEN SIXTEEN SIXTEEN SIXTEEN      \
	        SIXTEEN SIXTEEN SIXTEEN SIXTEEN

static struct bpf_map *steer_map;

static int setup(void **state)
{
	struct service_conf *conf;
	struct ingress_bpf *skel;
	struct world *w;
	uint32_t zero = 0;

	if (node_setup(state) || sodium_init() < 0)
		return -1;
	w = *state;
	skel = w->skel;
	conf = &w->conf[SERVICE];
	conf->sip_port[0] = SIP_PORT_1;
	conf->sip_port[1] = SIP_PORT_2;
	conf->rescue_port = RESCUE_PORT;
	steer_map = skel->maps.steer;
	map_put(skel->maps.steer_key, &zero, &steer_secret);
	steer_put(steer_map, CALL_ID, strlen(CALL_ID), SERVICE);
	steer_put(steer_map, "x", 1, SERVICE);
	steer_put(steer_map, LONGEST, 256, SERVICE);
	steer_put(steer_map, LONGEST "f", 257, SERVICE);
	steer_put(steer_map, "of-another-service", 18, SERVICE + 1);
	node_own(w);
	return 0;
}

static struct frame sip_len(const void *text, size_t len, uint16_t port)
{
	return frame_summed(frame_udp(mac_self, mac_far, ADDR_FAR, 5060, VIP, port, text, (uint16_t)len));
}
static struct frame sip(const char *text)
{
	return sip_len(text, strlen(text), SIP_PORT_1);
}

static struct frame steered(struct frame f)
{
	bool summed = f.b[40] || f.b[41];

	put16(f.b + 36, RESCUE_PORT);
	f = frame_summed(f);
	if (!summed)
		put16(f.b + 40, 0);
	return f;
}

struct steer_case {
	const char *name;
	const char *text;
	int reason[2];
};

#define CASE(case_name, sip_text, r)                                                                         \
	{                                                                                                    \
		.name = #case_name, .text = sip_text, .reason = { r, NONE }                                  \
	}
#define STEERED(case_name, header) CASE(case_name, BYE(header), REASON_steer_calls)
#define SERVERS(case_name, header) CASE(case_name, BYE(header), REASON_steer_server)
#define WITHOUT(case_name, header) CASE(case_name, BYE(header), REASON_steer_no_call_id)

static const struct steer_case cases[] = {
        STEERED(dialog_that_was_rescued_is_steered, "Call-ID: " CALL_ID "\r\n"),
        STEERED(compact_form_is_read, "i: " CALL_ID "\r\n"),
        STEERED(compact_form_in_capitals_is_read, "I:" CALL_ID "\r\n"),
        STEERED(header_name_in_capitals_is_read, "CALL-ID: " CALL_ID "\r\n"),
        STEERED(header_name_in_any_case_is_read, "cAlL-iD: " CALL_ID "\r\n"),
        STEERED(tab_before_the_colon_is_skipped, "CALL-ID\t:" CALL_ID "\r\n"),
        STEERED(blanks_before_the_colon_are_skipped, "i \t : " CALL_ID "\r\n"),
        STEERED(blanks_after_the_colon_are_skipped, "Call-ID:  \t " CALL_ID "\r\n"),
        STEERED(blanks_after_the_value_are_skipped, "Call-ID: " CALL_ID " \t\r\n"),
        STEERED(bare_line_feeds_end_lines_too, "X: y\nCall-ID: " CALL_ID "\n"),
        STEERED(call_id_of_one_character_is_steered, "i:x\r\n"),
        STEERED(call_id_of_256_characters_is_steered, "Call-ID: " LONGEST "\r\n"),
        STEERED(first_of_two_call_ids_counts, "Call-ID: " CALL_ID "\r\nCall-ID: other\r\n"),
        STEERED(headers_that_begin_alike_are_others,
                "Call-ID-X: other\r\nCall-I: other\r\nInfo: other\r\nCall_ID: other\r\nCallID: other\r\n"
                "X-Call-ID: other\r\nIdentity: other\r\nCall-ID: " CALL_ID "\r\n"),
        STEERED(folded_line_is_no_header, "Subject: long\r\n Call-ID: other\r\ni: " CALL_ID "\r\n"),
        STEERED(carriage_return_is_no_hyphen, "Call\rID: other\r\nCall-ID: " CALL_ID "\r\n"),
        CASE(method_in_any_case_is_no_header,
             "iNvItE sip:1001@10.9.0.100 SIP/2.0\r\nCall-ID: " CALL_ID "\r\n\r\n", REASON_steer_calls),
        CASE(first_line_is_no_header, "i: other\r\nCall-ID: " CALL_ID "\r\n\r\n", REASON_steer_calls),
        CASE(response_is_steered, "SIP/2.0 200 OK\r\ni: " CALL_ID "\r\n\r\n", REASON_steer_calls),
        CASE(call_id_in_the_last_line_without_a_body_is_read, "BYE sip:a SIP/2.0\r\ni:x\r\n",
             REASON_steer_calls),

        SERVERS(other_dialog_is_the_servers, "Call-ID: abc@hosts\r\n"),
        SERVERS(shorter_call_id_is_another, "Call-ID: abc@hos\r\n"),
        SERVERS(call_id_in_another_case_is_another, "Call-ID: ABC@host\r\n"),
        SERVERS(second_of_two_call_ids_does_not_count, "i: other\r\nCall-ID: " CALL_ID "\r\n"),
        SERVERS(call_id_of_257_characters_is_not_steered, "Call-ID: " LONGEST "f\r\n"),
        SERVERS(call_id_of_1000_characters_is_not_steered,
                "Call-ID: " LONGEST LONGEST LONGEST LONGEST "\r\n"),
        SERVERS(dialog_of_another_service_is_not_steered, "Call-ID: of-another-service\r\n"),

        WITHOUT(no_call_id, ""),
        WITHOUT(call_id_without_a_value, "Call-ID:\r\n"),
        WITHOUT(call_id_of_blanks, "Call-ID: \t \r\n"),
        WITHOUT(value_on_a_folded_line_is_not_read, "Call-ID:\r\n " CALL_ID "\r\n"),
        WITHOUT(call_id_without_a_colon, "Call-ID " CALL_ID "\r\n"),
        WITHOUT(call_id_in_the_body_does_not_count, "\r\nCall-ID: " CALL_ID "\r\n"),
        WITHOUT(call_id_after_an_empty_bare_line_does_not_count, "X: y\n\nCall-ID: " CALL_ID "\r\n"),
        CASE(text_that_ends_in_the_name, "BYE sip:a SIP/2.0\r\nCall-I", REASON_steer_no_call_id),
        CASE(text_that_ends_after_the_name, "BYE sip:a SIP/2.0\r\nCall-ID", REASON_steer_no_call_id),
        CASE(text_that_ends_after_the_colon, "BYE sip:a SIP/2.0\r\nCall-ID:", REASON_steer_no_call_id),
        CASE(text_that_ends_in_the_value, "BYE sip:a SIP/2.0\r\nCall-ID: " CALL_ID, REASON_steer_no_call_id),
        CASE(only_a_call_id, "Call-ID: " CALL_ID "\r\n\r\n", REASON_steer_no_call_id),
        CASE(keep_alive, "\r\n\r\n", REASON_steer_no_call_id),
        CASE(one_line_feed, "\n", REASON_steer_no_call_id),
        CASE(one_byte, "B", REASON_steer_no_call_id),
        CASE(empty_datagram, "", REASON_steer_no_call_id),
};

static void judged(void **state)
{
	struct world *w = *state;
	const struct steer_case *c = w->test_case;
	struct frame in = sip(c->text), out = in;

	if (c->reason[0] == REASON_steer_calls)
		out = steered(in);
	run_frame(w, &in);
	assert_int_equal(w->verdict, XDP_PASS);
	assert_frame(w, &out);
	assert_counted_list(w, c->reason);
}

/* --- ports, fragments, reach --------------------------------------------- */

static void passes(struct world *w, struct frame in, struct frame out, enum reason reason)
{
	run_frame(w, &in);
	assert_int_equal(w->verdict, XDP_PASS);
	assert_frame(w, &out);
	assert_counted(w, reason);
}
#define GOOD BYE("Call-ID: " CALL_ID "\r\n")

static void every_sip_port_is_steered(void **state)
{
	struct frame in = sip_len(GOOD, strlen(GOOD), SIP_PORT_2);

	passes(*state, in, steered(in), REASON_steer_calls);
}

static void another_port_is_not_steered(void **state)
{
	struct frame in = sip_len(GOOD, strlen(GOOD), 5061);

	passes(*state, in, in, REASON_vip_passed);
}

static void port_0_is_no_sip_port(void **state)
{
	struct frame in = sip_len(GOOD, strlen(GOOD), 0);

	passes(*state, in, in, REASON_vip_passed);
}

static void datagram_to_the_rescue_port_is_dropped(void **state)
{
	struct world *w = *state;
	struct frame in = sip_len(GOOD, strlen(GOOD), RESCUE_PORT);

	run_frame(w, &in);
	assert_int_equal(w->verdict, XDP_DROP);
	assert_frame(w, &in);
	assert_counted(w, REASON_steer_direct);
}

static void nothing_is_steered_without_a_rescue_port(void **state)
{
	struct world *w = *state;
	struct frame in = sip(GOOD);

	w->conf[SERVICE].rescue_port = 0;
	passes(w, in, in, REASON_vip_passed);
}

static void fenced_node_steers_nothing(void **state)
{
	struct world *w = *state;
	struct frame in = sip(GOOD);

	w->ownership[SERVICE].lease_until_ns = LEASE_FENCED;
	run_frame(w, &in);
	assert_int_equal(w->verdict, XDP_DROP);
	assert_frame(w, &in);
	assert_counted(w, REASON_vip_no_owner);
}

static void datagram_without_a_checksum_stays_without(void **state)
{
	struct frame in = sip(GOOD);

	put16(in.b + 40, 0);
	passes(*state, in, steered(in), REASON_steer_calls);
}

static void datagram_of_odd_length_is_steered(void **state)
{
	struct frame in = sip(GOOD "x");

	assert_int_not_equal(strlen(GOOD) % 2, strlen(GOOD "x") % 2);
	passes(*state, in, steered(in), REASON_steer_calls);
}

static void first_fragment_is_steered(void **state)
{
	struct frame in = sip(GOOD), out;

	put16(in.b + 20, 0x2000);
	put16(in.b + 24, 0);
	put16(in.b + 24, ip_sum(in.b + 14));
	out = in;
	put16(out.b + 36, RESCUE_PORT);
	/* the sum is of all fragments: moved by the difference of the ports alone (RFC 1624) */
	put16(out.b + 40, udp_sum(&out));
	passes(*state, in, out, REASON_steer_calls);
}

static void later_fragment_passes_as_it_is(void **state)
{
	struct frame in = sip(GOOD);

	put16(in.b + 20, 0x00b9);
	passes(*state, in, in, REASON_steer_fragment);
}

static void ip_options_do_not_hide_the_call_id(void **state)
{
	struct frame f = sip(GOOD), in = f, out;

	memset(in.b + 34, 1, 40);
	memcpy(in.b + 74, f.b + 34, f.len - 34);
	in.len += 40;
	in.b[14] = 0x4f;
	put16(in.b + 16, (uint16_t)(in.len - 14));
	in = frame_summed(in);
	out = in;
	put16(out.b + 76, RESCUE_PORT);
	out = frame_summed(out);
	passes(*state, in, out, REASON_steer_calls);
}

static void steered_datagrams_are_counted_by_dialog(void **state)
{
	struct world *w = *state;
	struct frame in = sip(GOOD);
	uint64_t hash = call_id_hash(CALL_ID, strlen(CALL_ID), SERVICE);
	struct steer entry;

	run_frame(w, &in);
	run_frame(w, &in);
	assert_return_code(bpf_map_lookup_elem(bpf_map__fd(steer_map), &hash, &entry), errno);
	assert_int_equal(entry.packets, 2);
}

/* The header begins at every place up to the reach, so that each word is met at each offset. */
static void call_id_is_found_anywhere_within_reach(void **state)
{
	struct world *w = *state;
	size_t fill, steered_up_to = 0;

	for (fill = 1; fill < 2150; fill++) {
		uint8_t text[FRAME_MAX];
		size_t at, n, len = fill;
		bool within;
		struct frame in, out;

		memset(text, 'x', fill);
		memcpy(text, "BYE", fill < 3 ? fill : 3);
		len += (size_t)sprintf((char *)text + len, "\r\ni: %s\r\n\r\n", CALL_ID);
		within = plain_call_id(text, len, &at, &n);
		in = sip_len(text, len, SIP_PORT_1);
		out = within ? steered(in) : in;
		passes(w, in, out, within ? REASON_steer_calls : REASON_steer_no_call_id);
		if (within)
			steered_up_to = fill;
	}
	assert_int_equal(steered_up_to, TEXT_REACH - strlen("\r\ni: " CALL_ID "\r"));
}

static void message_of_very_many_lines_passes(void **state)
{
	struct world *w = *state;
	char text[2048] = "BYE sip:a SIP/2.0\r\n";
	struct frame in;

	while (strlen(text) < 1900)
		strcat(text, "v\n");
	strcat(text, "Call-ID: " CALL_ID "\r\n\r\n");
	in = sip(text);
	passes(w, in, in, REASON_steer_no_call_id);
}

/* Whatever comes, the program and the plain way agree: on whether there is a Call-ID, and on its bytes. */
static void random_texts_are_read_as_the_plain_way_does(void **state)
{
	static const char *const seeds[] = {
	        GOOD,
	        BYE("i : short\r\n"),
	        BYE("CALL-ID\t:\t" LONGEST "\r\n"),
	        BYE("Subject: x\r\n i: folded\r\nI:x\r\n"),
	        BYE("\r\ni: body\r\n"),
	};
	struct world *w = *state;
	uint32_t seed = 3261, found = 0;
	int i;

	for (i = 0; i < 6000; i++) {
		const char *base = seeds[i % (int)(sizeof(seeds) / sizeof(seeds[0]))];
		uint8_t text[1400];
		size_t len = strlen(base), at, n = 0;
		enum reason want = REASON_steer_no_call_id;
		struct frame in, out;
		uint64_t hash = 0;

		memcpy(text, base, len);
		len = mutate(text, len, sizeof(text), &seed);
		in = out = sip_len(text, len, SIP_PORT_1);
		if (plain_call_id(text, len, &at, &n)) {
			hash = call_id_hash(text + at, n, SERVICE);
			steer_put(steer_map, text + at, n, SERVICE);
			want = n > STEER_CALL_ID_LEN ? REASON_steer_server : REASON_steer_calls;
			found++;
		}
		if (want == REASON_steer_calls)
			out = steered(in);
		run_frame(w, &in);
		assert_int_equal(w->verdict, XDP_PASS);
		assert_frame(w, &out);
		assert_counted(w, want);
		if (n)
			bpf_map_delete_elem(bpf_map__fd(steer_map), &hash);
	}
	assert_in_range(found, 3000, 5900); /* both sorts were met */
}

#define several(test) cmocka_unit_test_setup_teardown(test, setup, node_teardown)

int main(void)
{
	static const struct CMUnitTest single[] = {
	        several(every_sip_port_is_steered),
	        several(another_port_is_not_steered),
	        several(port_0_is_no_sip_port),
	        several(datagram_to_the_rescue_port_is_dropped),
	        several(nothing_is_steered_without_a_rescue_port),
	        several(fenced_node_steers_nothing),
	        several(datagram_without_a_checksum_stays_without),
	        several(datagram_of_odd_length_is_steered),
	        several(first_fragment_is_steered),
	        several(later_fragment_passes_as_it_is),
	        several(ip_options_do_not_hide_the_call_id),
	        several(steered_datagrams_are_counted_by_dialog),
	        several(call_id_is_found_anywhere_within_reach),
	        several(message_of_very_many_lines_passes),
	        several(random_texts_are_read_as_the_plain_way_does),
	};
	struct CMUnitTest tests[COUNT_OF(single) + COUNT_OF(cases)];
	size_t n = COUNT_OF(single);

	memcpy(tests, single, sizeof(single));
	add_cases(tests, n, cases, judged, setup, node_teardown);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
