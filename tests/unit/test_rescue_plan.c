/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a takeover does with a call: the decision, the pace, and the steps of RFC 3725's flow I with its
 * failures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "leg.h"
#include "pairing.h"
#include "rescue_plan.h"

#define SDP(proto, more) "v=0\r\no=- 1 1 IN IP4 h\r\nm=audio 4000 " proto " 0\r\n" more

static struct dialog_table table;
static struct dialog *da, *db;

static int setup(void **state)
{
	return dialog_table_init(&table, 64, 7);
}

static int teardown(void **state)
{
	dialog_table_done(&table);
	return 0;
}

static void call(const char *sdp_a, const char *sdp_b)
{
	struct leg a = {.table = &table, .call_id = "a", .caller = "ann", .callee = "100", .sdp_in = sdp_a};
	struct leg b = {.table = &table,
	                .call_id = "b",
	                .caller = "ann",
	                .callee = "100",
	                .sdp_in = sdp_b,
	                .out = true};

	leg_invite(&a, 0);
	leg_invite(&b, 1);
	db = leg_answer(&b, 10);
	da = leg_answer(&a, 11);
	assert_ptr_equal(pairing_consider(&table, da), db);
}

static void two_legs_with_plain_media_are_rescued(void **state)
{
	struct rescue_counts counts;

	call(SDP("RTP/AVP", ""), SDP("RTP/AVP", ""));
	assert_int_equal(rescue_plan_of(&table, da), PLAN_agent);
	assert_int_equal(rescue_plan_of(&table, db), PLAN_agent);
	assert_string_equal(rescue_plan_text(PLAN_agent), "agent: two legs, 3pcc re-INVITE");
	rescue_plan_counts(&table, 0, &counts);
	assert_int_equal(counts.calls, 1);
	assert_int_equal(counts.rescuable, 1);
	assert_int_equal(counts.dialogs, 2);
}

static void plan_follows_each_change(void **state)
{
	struct rescue_counts counts;

	call(SDP("RTP/AVP", ""), SDP("RTP/AVP", ""));
	assert_int_equal(rescue_plan_of(&table, da), PLAN_agent);
	dialog_set_state(&table, db, DIALOG_ENDED, mono_ns(5 * NS_PER_S));
	assert_int_equal(rescue_plan_of(&table, da), PLAN_hang_up);
	assert_int_equal(rescue_plan_of(&table, db), PLAN_ended);
	rescue_plan_counts(&table, 0, &counts);
	assert_int_equal(counts.rescuable, 0);
}

static void rescued_call_can_be_rescued_again(void **state)
{
	call(SDP("RTP/AVP", ""), SDP("RTP/AVP", ""));
	dialog_set_state(&table, da, DIALOG_RESCUED, mono_ns(5 * NS_PER_S));
	dialog_set_state(&table, db, DIALOG_RESCUED, mono_ns(5 * NS_PER_S));
	assert_int_equal(rescue_plan_of(&table, da), PLAN_agent);
}

static void single_leg_early_and_cut_ones_are_named(void **state)
{
	struct leg a = {.table = &table, .call_id = "ivr", .caller = "ann", .callee = "100"};
	struct dialog *d;

	leg_invite(&a, 0);
	d = leg_event(&a, 180, 1);
	assert_int_equal(rescue_plan_of(&table, d), PLAN_early);
	d = leg_answer(&a, 2);
	assert_int_equal(rescue_plan_of(&table, d), PLAN_single_leg);
	dialog_mark_ambiguous(&table, d);
	assert_int_equal(rescue_plan_of(&table, d), PLAN_ambiguous);
	call(SDP("RTP/AVP", ""), SDP("RTP/AVP", ""));
	da->flags |= DIALOG_TRUNCATED;
	assert_int_equal(rescue_plan_of(&table, da), PLAN_truncated);
	assert_int_equal(rescue_plan_of(&table, db), PLAN_truncated);
}

static void media_that_cannot_be_connected_is_named(void **state)
{
	call(SDP("RTP/SAVP", "a=crypto:1 x\r\n"), SDP("RTP/AVP", ""));
	assert_int_equal(rescue_plan_of(&table, da), PLAN_profile);
	dialog_table_clear(&table, 0);
	call(SDP("UDP/TLS/RTP/SAVPF", "a=fingerprint:sha-256 AA\r\n"),
	     SDP("UDP/TLS/RTP/SAVPF", "a=fingerprint:sha-256 BB\r\n"));
	assert_int_equal(rescue_plan_of(&table, da), PLAN_dtls);
	dialog_table_clear(&table, 0);
	call(SDP("RTP/SAVP", "a=crypto:1 x\r\n"), SDP("RTP/SAVP", "a=crypto:1 y\r\n"));
	assert_int_equal(rescue_plan_of(&table, da), PLAN_agent);
	dialog_table_clear(&table, 0);
	call(NULL, SDP("RTP/AVP", ""));
	assert_int_equal(rescue_plan_of(&table, da), PLAN_no_sdp);
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

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(two_legs_with_plain_media_are_rescued),
	        T(plan_follows_each_change),
	        T(rescued_call_can_be_rescued_again),
	        T(single_leg_early_and_cut_ones_are_named),
	        T(media_that_cannot_be_connected_is_named),
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
