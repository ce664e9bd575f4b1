/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the kernel saw of a phone, and what is asked of it: where it is, and whether it is heard. */
#include "media_stage.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(what_the_kernel_saw_reaches_the_dialog_and_the_flow),
	        T(relatched_phone_gets_its_media_at_the_new_place),
	        T(lost_news_is_found_by_looking),
	        T(what_was_seen_before_this_node_owned_is_old),
	        T(lost_news_of_a_relatched_phone_is_found_as_well),
	        T(news_of_a_slot_that_is_another_calls_now_is_not_believed),
	        T(news_that_make_no_sense_are_counted),
	        T(silence_is_known_of_who_should_speak),
	        T(call_is_silent_only_where_it_is_held),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
