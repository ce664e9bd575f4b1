/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a takeover does with a call: the decision, the pace, and the steps of RFC 3725's flow I with its
 * failures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "addr.h"
#include "leg.h"
#include "rescue_plan.h"
#include "rescue_step.h"
#include "sipflip/control.h"

#define VIP              "10.9.0.100"
#define SDP(proto, more) "v=0\r\no=- 1 1 IN IP4 h\r\nc=IN IP4 192.0.2.2\r\nm=audio 4000 " proto "\r\n" more
#define TOLD(host, proto, more)                                                                              \
	"v=0\r\no=- 1 1 IN IP4 s\r\nc=IN IP4 " host "\r\nm=audio 20000 " proto "\r\n" more
#define PLAIN      SDP("RTP/AVP 0", "")
#define TOLD_VIP   TOLD(VIP, "RTP/AVP 0", "")
#define TOLD_PLAIN TOLD_VIP, TOLD_VIP
#define KEY(letter)                                                                                          \
	"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" letter "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\r\n"
#define PRINT(bytes) "a=fingerprint:sha-256 " bytes "\r\na=setup:actpass\r\n"

static struct dialog_table table;
static struct dialog *da, *db;
static struct rescue_policy policy;

static int setup(void **state)
{
	policy = (struct rescue_policy){0};
	addr_parse(VIP, &policy.vip);
	return dialog_table_init(&table, 64, 7);
}

static int teardown(void **state)
{
	dialog_table_done(&table);
	return 0;
}

static enum rescue_plan plan_of(const struct dialog *d)
{
	return rescue_plan_of(&table, d, &policy);
}

/* What each phone said, and what the server told each. */
static void call(const char *sdp_a, const char *sdp_b, const char *told_a, const char *told_b)
{
	struct leg a = {.table = &table,
	                .call_id = "a",
	                .caller = "ann",
	                .callee = "100",
	                .sdp_in = sdp_a,
	                .sdp_out = told_a};
	struct leg b = {.table = &table,
	                .call_id = "b",
	                .caller = "ann",
	                .callee = "100",
	                .sdp_in = sdp_b,
	                .sdp_out = told_b,
	                .out = true};

	dialog_table_clear(&table, 0);
	leg_invite(&a, 0);
	leg_invite(&b, 1);
	db = leg_answer(&b, 10);
	da = leg_answer(&a, 11);
	dialog_set_paired(&table, da, db, PAIRED_HEADER);
}

static void two_legs_with_plain_media_are_relayed(void **state)
{
	struct rescue_counts counts;

	call(PLAIN, PLAIN, TOLD_PLAIN);
	assert_int_equal(plan_of(da), PLAN_relay);
	assert_int_equal(plan_of(db), PLAN_relay);
	assert_string_equal(rescue_plan_word(PLAN_relay), "relay");
	assert_true(rescue_plan_keeps(PLAN_relay));
	assert_true(rescue_plan_is_per_leg(PLAN_relay));
	rescue_plan_counts(&table, 0, &policy, &counts);
	assert_int_equal(counts.calls, 1);
	assert_int_equal(counts.rescuable, 1);
	assert_int_equal(counts.dialogs, 2);
	assert_int_equal(counts.ringing, 0);
}

static void plan_follows_each_change(void **state)
{
	struct rescue_counts counts;

	call(PLAIN, PLAIN, TOLD_PLAIN);
	assert_int_equal(plan_of(da), PLAN_relay);
	dialog_set_state(&table, db, DIALOG_ENDED, mono_ns(5 * NS_PER_S));
	assert_int_equal(plan_of(da), PLAN_hang_up);
	assert_int_equal(plan_of(db), PLAN_ended);
	rescue_plan_counts(&table, 0, &policy, &counts);
	assert_int_equal(counts.rescuable, 0);
}

#define MANY 1200

/* Calls to voice mail, more than one turn decides on: a first count does not keep the loop from its work. */
static void count_of_many_new_calls_is_spread(void **state)
{
	struct rescue_counting counting = {0};
	struct rescue_counts counts = {0};
	char id[16];
	int i, turns;

	dialog_table_done(&table);
	assert_int_equal(dialog_table_init(&table, 2000, 7), 0);
	for (i = 0; i < MANY; i++) {
		struct leg a = {.table = &table, .call_id = id, .caller = "ann", .callee = "100"};

		snprintf(id, sizeof(id), "ivr-%d", i);
		leg_invite(&a, i);
		leg_answer(&a, i);
	}
	for (turns = 1; !rescue_plan_count(&table, 0, &policy, &counting, 2000, &counts); turns++)
		assert_int_equal(counts.calls, 0);
	assert_int_equal(turns, MANY * RESCUE_PLAN_COST / 2000 + 1);
	assert_int_equal(counts.calls, MANY);
	assert_int_equal(counts.rescuable, MANY);
	assert_true(rescue_plan_count(&table, 0, &policy, &counting, 2000, &counts)); /* all decided */
	assert_int_equal(counts.rescuable, MANY);
}

static void rescued_call_can_be_rescued_again(void **state)
{
	call(PLAIN, PLAIN, TOLD_PLAIN);
	dialog_set_state(&table, da, DIALOG_RESCUED, mono_ns(5 * NS_PER_S));
	dialog_set_state(&table, db, DIALOG_RESCUED, mono_ns(5 * NS_PER_S));
	assert_int_equal(plan_of(da), PLAN_relay);
}

static void single_leg_is_rejoined_if_its_phone_called(void **state)
{
	struct leg a = {.table = &table, .call_id = "ivr", .caller = "ann", .callee = "100"};
	struct leg b = {.table = &table, .call_id = "wakeup", .callee = "ann", .out = true};
	struct rescue_counts counts;
	struct dialog *d;

	leg_invite(&a, 0);
	d = leg_event(&a, 180, 1);
	assert_int_equal(plan_of(d), PLAN_ringing_afresh);
	d = leg_answer(&a, 2);
	assert_int_equal(plan_of(d), PLAN_rejoin);
	assert_true(rescue_plan_keeps(PLAN_rejoin));
	rescue_plan_counts(&table, 0, &policy, &counts);
	assert_int_equal(counts.rescuable, 1);
	dialog_mark_ambiguous(&table, d);
	assert_int_equal(plan_of(d), PLAN_ambiguous);
	leg_invite(&b, 0);
	assert_int_equal(plan_of(leg_event(&b, 180, 1)), PLAN_ringing_alone);
	assert_int_equal(plan_of(leg_answer(&b, 1)), PLAN_single_leg);
	assert_false(rescue_plan_keeps(PLAN_single_leg));
}

static void ringing_call_with_both_legs_goes_on(void **state)
{
	struct leg a = {.table = &table, .call_id = "a", .caller = "ann", .callee = "100"};
	struct leg b = {.table = &table, .call_id = "b", .caller = "ann", .callee = "100", .out = true};
	struct rescue_counts counts;

	leg_invite(&a, 0);
	leg_invite(&b, 1);
	db = leg_event(&b, 180, 2);
	da = leg_event(&a, 180, 3);
	dialog_set_paired(&table, da, db, PAIRED_HEADER);
	assert_int_equal(plan_of(da), PLAN_ringing);
	assert_int_equal(plan_of(db), PLAN_ringing);
	rescue_plan_counts(&table, 0, &policy, &counts);
	assert_int_equal(counts.ringing, 1);
	assert_int_equal(counts.calls, 0);
	db = leg_answer(&b, 4); /* the server died before it told the caller */
	assert_int_equal(plan_of(db), PLAN_ringing);
	da->flags |= DIALOG_NO_INVITE;
	dialog_set_paired(&table, da, db, PAIRED_HEADER);
	assert_int_equal(plan_of(da), PLAN_no_invite);
}

static void cut_header_is_named(void **state)
{
	call(PLAIN, PLAIN, TOLD_PLAIN);
	da->flags |= DIALOG_TRUNCATED;
	assert_int_equal(plan_of(da), PLAN_truncated);
	assert_int_equal(plan_of(db), PLAN_truncated);
}

static void way_of_the_media_is_named(void **state)
{
	call(SDP("RTP/SAVP 0", KEY("a")), SDP("RTP/SAVP 0", KEY("b")), TOLD(VIP, "RTP/SAVP 0", KEY("c")),
	     TOLD(VIP, "RTP/SAVP 0", KEY("d")));
	assert_int_equal(plan_of(da), PLAN_rekey);
	assert_true(rescue_plan_is_3pcc(PLAN_rekey));
	call(SDP("UDP/TLS/RTP/SAVPF 0", PRINT("AA:AA")), SDP("UDP/TLS/RTP/SAVPF 0", PRINT("BB:BB")),
	     TOLD(VIP, "UDP/TLS/RTP/SAVPF 0", PRINT("55:01")),
	     TOLD(VIP, "UDP/TLS/RTP/SAVPF 0", PRINT("55:01")));
	assert_int_equal(plan_of(da), PLAN_direct_dtls);
	assert_string_equal(rescue_plan_word(PLAN_direct_dtls), "direct");
	call(NULL, PLAIN, NULL, TOLD_VIP);
	assert_int_equal(plan_of(da), PLAN_mute_no_sdp);
	assert_false(rescue_plan_keeps(PLAN_mute_no_sdp));
	call(PLAIN, PLAIN, TOLD("192.0.2.77", "RTP/AVP 0", ""), TOLD("192.0.2.77", "RTP/AVP 0", ""));
	assert_int_equal(plan_of(da), PLAN_bypass);
	policy.direct = true;
	call(PLAIN, PLAIN, TOLD_PLAIN);
	assert_int_equal(plan_of(da), PLAN_direct);
}

static void configured_modes_leave_the_call_to_others(void **state)
{
	policy.mode = RESCUE_SERVER;
	call(PLAIN, PLAIN, TOLD_PLAIN);
	assert_int_equal(plan_of(da), PLAN_server);
	policy.mode = RESCUE_OFF;
	call(PLAIN, PLAIN, TOLD_PLAIN);
	assert_int_equal(plan_of(da), PLAN_off);
}

static void every_text_fits_a_line_of_the_command(void **state)
{
	int plan;

	for (plan = 0; plan <= PLAN_ended; plan++) {
		assert_true(strlen(rescue_plan_text(plan)) > 0);
		assert_true(strlen(rescue_plan_text(plan)) < CTL_TEXT_LEN);
		assert_true(strlen(rescue_plan_word(plan)) < 32);
	}
}

static void pace_is_a_bucket(void **state)
{
	struct rescue_pace pace;
	int64_t ms;
	int taken = 0;

	rescue_pace_init(&pace, 200, mono_ns(NS_PER_S));
	while (rescue_pace_take(&pace, mono_ns(NS_PER_S)))
		taken++;
	assert_int_equal(taken, 10); /* a twentieth of a second at once */
	for (ms = 1; ms <= 1000; ms++)
		while (rescue_pace_take(&pace, mono_ns(NS_PER_S + ms * NS_PER_MS)))
			taken++;
	assert_int_equal(taken, 210);
	rescue_pace_init(&pace, 1, mono_ns(NS_PER_S));
	assert_true(rescue_pace_take(&pace, mono_ns(NS_PER_S)));
	assert_false(rescue_pace_take(&pace, mono_ns(NS_PER_S + 900 * NS_PER_MS)));
	assert_true(rescue_pace_take(&pace, mono_ns(NS_PER_S + 1000 * NS_PER_MS)));
}

static struct rescue_step at_invite_b(void)
{
	struct rescue_step step = {0};

	assert_int_equal(rescue_step(&step, RESCUE_START, 0, false), RESCUE_SEND_INVITE_A);
	assert_int_equal(rescue_step(&step, RESCUE_ANSWER_A, 100, false), 0);
	assert_int_equal(rescue_step(&step, RESCUE_ANSWER_A, 200, true), RESCUE_SEND_INVITE_B);
	return step;
}

static void both_answer_and_both_are_acknowledged(void **state)
{
	struct rescue_step step = at_invite_b();

	assert_int_equal(rescue_step(&step, RESCUE_ANSWER_B, 180, false), 0);
	assert_int_equal(rescue_step(&step, RESCUE_ANSWER_B, 200, true),
	                 RESCUE_ACK_A_ANSWER | RESCUE_ACK_B | RESCUE_DONE);
	assert_int_equal(step.state, STEP_RESCUED);
	assert_int_equal(step.status_a, 200);
	assert_int_equal(step.status_b, 200);
}

static void repeated_2xx_is_acknowledged_again(void **state)
{
	struct rescue_step step = at_invite_b();

	assert_int_equal(rescue_step(&step, RESCUE_ANSWER_A, 200, true), 0); /* its answer is not known yet */
	rescue_step(&step, RESCUE_ANSWER_B, 200, true);
	assert_int_equal(rescue_step(&step, RESCUE_ANSWER_A, 200, true), RESCUE_ACK_A_ANSWER);
	assert_int_equal(rescue_step(&step, RESCUE_ANSWER_B, 200, true), RESCUE_ACK_B);
}

static void gone_leg_a_hangs_up_leg_b(void **state)
{
	struct rescue_step step = {0};

	rescue_step(&step, RESCUE_START, 0, false);
	assert_int_equal(rescue_step(&step, RESCUE_ANSWER_A, 481, false),
	                 RESCUE_END_A | RESCUE_BYE_B | RESCUE_DONE);
	assert_int_equal(step.state, STEP_FAILED);
}

static void gone_leg_b_gives_a_its_ack_and_a_bye(void **state)
{
	struct rescue_step step = at_invite_b();

	assert_int_equal(rescue_step(&step, RESCUE_ANSWER_B, 408, false),
	                 RESCUE_ACK_A_FALLBACK | RESCUE_BYE_A | RESCUE_END_B | RESCUE_DONE);
}

static void other_refusals_leave_the_dialogs(void **state)
{
	struct rescue_step step = {0};

	rescue_step(&step, RESCUE_START, 0, false);
	assert_int_equal(rescue_step(&step, RESCUE_ANSWER_A, 488, false), RESCUE_DONE);
	step = at_invite_b();
	assert_int_equal(rescue_step(&step, RESCUE_ANSWER_B, 488, false),
	                 RESCUE_ACK_A_FALLBACK | RESCUE_DONE);
	assert_int_equal(step.state, STEP_FAILED);
}

static void answer_without_sdp_is_a_failure_but_acknowledged(void **state)
{
	struct rescue_step step = {0};

	rescue_step(&step, RESCUE_START, 0, false);
	assert_int_equal(rescue_step(&step, RESCUE_ANSWER_A, 200, false),
	                 RESCUE_ACK_A_FALLBACK | RESCUE_DONE);
	step = at_invite_b();
	assert_int_equal(rescue_step(&step, RESCUE_ANSWER_B, 200, false),
	                 RESCUE_ACK_A_FALLBACK | RESCUE_ACK_B | RESCUE_DONE);
}

static void glare_is_tried_again_a_few_times(void **state)
{
	struct rescue_step step = {0};
	int i;

	rescue_step(&step, RESCUE_START, 0, false);
	for (i = 0; i < RESCUE_RETRIES; i++) {
		assert_int_equal(rescue_step(&step, RESCUE_ANSWER_A, 491, false), RESCUE_WAIT_A);
		assert_int_equal(rescue_step(&step, RESCUE_RETRY, 0, false), RESCUE_SEND_INVITE_A);
	}
	assert_int_equal(rescue_step(&step, RESCUE_ANSWER_A, 491, false), RESCUE_DONE);
	step = at_invite_b();
	assert_int_equal(rescue_step(&step, RESCUE_ANSWER_B, 491, false), RESCUE_WAIT_B);
	assert_int_equal(rescue_step(&step, RESCUE_RETRY, 0, false), RESCUE_SEND_INVITE_B);
	assert_int_equal(rescue_step(&step, RESCUE_ANSWER_B, 200, true),
	                 RESCUE_ACK_A_ANSWER | RESCUE_ACK_B | RESCUE_DONE);
}

static void unreachable_phone_is_tried_again_before_it_is_given_up(void **state)
{
	struct rescue_step step = {0};
	int i;

	rescue_step(&step, RESCUE_START, 0, false);
	for (i = 0; i < RESCUE_RETRIES; i++) {
		assert_int_equal(rescue_step(&step, RESCUE_UNREACHABLE_A, 503, false), RESCUE_WAIT_A);
		assert_int_equal(rescue_step(&step, RESCUE_RETRY, 0, false), RESCUE_SEND_INVITE_A);
	}
	assert_int_equal(rescue_step(&step, RESCUE_UNREACHABLE_A, 503, false),
	                 RESCUE_END_A | RESCUE_BYE_B | RESCUE_DONE);
	assert_int_equal(step.status_a, 503);
	step = at_invite_b();
	assert_int_equal(rescue_step(&step, RESCUE_UNREACHABLE_B, 503, false), RESCUE_WAIT_B);
	assert_int_equal(rescue_step(&step, RESCUE_RETRY, 0, false), RESCUE_SEND_INVITE_B);
	assert_int_equal(rescue_step(&step, RESCUE_ANSWER_B, 200, true),
	                 RESCUE_ACK_A_ANSWER | RESCUE_ACK_B | RESCUE_DONE);
}

static void retry_after_glare_waits_as_rfc_3261_14_1_says(void **state)
{
	struct dialog d = {.role = DIALOG_UAC};
	uint32_t i;

	for (i = 0; i < 1000; i++) {
		int64_t ms = rescue_retry_ns(&d, i * 7919) / NS_PER_MS;

		assert_in_range(ms, 2100, 4000);
		assert_int_equal(ms % 10, 0);
	}
	d.role = DIALOG_UAS;
	for (i = 0; i < 1000; i++)
		assert_in_range(rescue_retry_ns(&d, i * 7919) / NS_PER_MS, 0, 2000);
}

static void hang_up_on_the_way_goes_to_the_other_leg(void **state)
{
	struct rescue_step step = {0};

	rescue_step(&step, RESCUE_START, 0, false);
	assert_int_equal(rescue_step(&step, RESCUE_GONE_A, 0, false), RESCUE_BYE_B | RESCUE_DONE);
	/* its late 200 is still acknowledged, its late refusal needs nothing */
	assert_int_equal(rescue_step(&step, RESCUE_ANSWER_A, 487, false), 0);
	assert_int_equal(rescue_step(&step, RESCUE_ANSWER_A, 200, true), RESCUE_ACK_A_FALLBACK);
	step = at_invite_b();
	assert_int_equal(rescue_step(&step, RESCUE_GONE_B, 0, false),
	                 RESCUE_ACK_A_FALLBACK | RESCUE_BYE_A | RESCUE_DONE);
}

static void leg_that_takes_it_is_acknowledged(void **state)
{
	struct rescue_leg_step step = {0};

	assert_int_equal(rescue_leg_step(&step, LEG_EVENT_START, 0, false), RESCUE_LEG_SEND);
	assert_int_equal(rescue_leg_step(&step, LEG_EVENT_ANSWER, 180, false), 0);
	assert_int_equal(rescue_leg_step(&step, LEG_EVENT_ANSWER, 200, false),
	                 RESCUE_LEG_ACK | RESCUE_LEG_DONE);
	assert_int_equal(step.state, LEG_TAKEN);
	assert_int_equal(rescue_leg_step(&step, LEG_EVENT_ANSWER, 200, false), RESCUE_LEG_ACK);
}

static void leg_ends_only_when_it_is_gone(void **state)
{
	static const struct {
		int status;
		bool real, silent;
		enum rescue_leg_state state;
	} cases[] = {
	        {481, true, false, LEG_OVER},  {408, true, false, LEG_OVER}, {488, true, true, LEG_KEPT},
	        {401, true, true, LEG_KEPT},   {407, true, false, LEG_KEPT}, {500, true, true, LEG_KEPT},
	        {603, true, true, LEG_KEPT},   {302, true, true, LEG_KEPT},  {408, false, true, LEG_OVER},
	        {408, false, false, LEG_KEPT},
	};
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rescue_leg_step step = {0};
		bool over = cases[i].state == LEG_OVER;

		rescue_leg_step(&step, LEG_EVENT_START, 0, false);
		assert_int_equal(rescue_leg_step(&step, cases[i].real ? LEG_EVENT_ANSWER : LEG_EVENT_NONE,
		                                 cases[i].status, cases[i].silent),
		                 (over ? RESCUE_LEG_LOST : 0) | RESCUE_LEG_DONE);
		assert_int_equal(step.state, cases[i].state);
		assert_int_equal(step.status, cases[i].status);
	}
}

static void leg_that_cannot_be_reached_is_tried_again_before_it_is_judged(void **state)
{
	struct rescue_leg_step step = {0};
	int i;

	rescue_leg_step(&step, LEG_EVENT_START, 0, false);
	for (i = 0; i < RESCUE_RETRIES; i++) {
		assert_int_equal(rescue_leg_step(&step, LEG_EVENT_NONE, 503, true), RESCUE_LEG_WAIT);
		assert_int_equal(rescue_leg_step(&step, LEG_EVENT_RETRY, 0, false), RESCUE_LEG_SEND);
	}
	assert_int_equal(rescue_leg_step(&step, LEG_EVENT_NONE, 503, true),
	                 RESCUE_LEG_LOST | RESCUE_LEG_DONE);
}

static void leg_raises_its_session_timer_once(void **state)
{
	struct rescue_leg_step step = {0};

	rescue_leg_step(&step, LEG_EVENT_START, 0, false);
	assert_int_equal(rescue_leg_step(&step, LEG_EVENT_ANSWER, 422, false), RESCUE_LEG_SEND);
	assert_int_equal(rescue_leg_step(&step, LEG_EVENT_ANSWER, 422, false), RESCUE_LEG_DONE);
	assert_int_equal(step.state, LEG_KEPT);
}

static void leg_in_glare_waits_a_few_times(void **state)
{
	struct rescue_leg_step step = {0};
	int i;

	rescue_leg_step(&step, LEG_EVENT_START, 0, false);
	for (i = 0; i < RESCUE_RETRIES; i++) {
		assert_int_equal(rescue_leg_step(&step, LEG_EVENT_ANSWER, 491, false), RESCUE_LEG_WAIT);
		assert_int_equal(rescue_leg_step(&step, LEG_EVENT_RETRY, 0, false), RESCUE_LEG_SEND);
	}
	assert_int_equal(rescue_leg_step(&step, LEG_EVENT_ANSWER, 491, false), RESCUE_LEG_DONE);
	assert_int_equal(rescue_leg_step(&step, LEG_EVENT_RETRY, 0, false), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(two_legs_with_plain_media_are_relayed),
	        T(plan_follows_each_change),
	        T(count_of_many_new_calls_is_spread),
	        T(rescued_call_can_be_rescued_again),
	        T(single_leg_is_rejoined_if_its_phone_called),
	        T(ringing_call_with_both_legs_goes_on),
	        T(cut_header_is_named),
	        T(way_of_the_media_is_named),
	        T(configured_modes_leave_the_call_to_others),
	        T(every_text_fits_a_line_of_the_command),
	        T(pace_is_a_bucket),
	        T(both_answer_and_both_are_acknowledged),
	        T(repeated_2xx_is_acknowledged_again),
	        T(gone_leg_a_hangs_up_leg_b),
	        T(gone_leg_b_gives_a_its_ack_and_a_bye),
	        T(other_refusals_leave_the_dialogs),
	        T(answer_without_sdp_is_a_failure_but_acknowledged),
	        T(glare_is_tried_again_a_few_times),
	        T(unreachable_phone_is_tried_again_before_it_is_given_up),
	        T(retry_after_glare_waits_as_rfc_3261_14_1_says),
	        T(hang_up_on_the_way_goes_to_the_other_leg),
	        T(leg_that_takes_it_is_acknowledged),
	        T(leg_ends_only_when_it_is_gone),
	        T(leg_that_cannot_be_reached_is_tried_again_before_it_is_judged),
	        T(leg_raises_its_session_timer_once),
	        T(leg_in_glare_waits_a_few_times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
