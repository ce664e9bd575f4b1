/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Session timers (RFC 4028) after a takeover, in whichever role the dead server had.
 */
#include "../../user/calls/rescue_agent.h"
#include "rescue_call.h"

/* As its last 2xx agreed, so many seconds ago. */
static void agreed(struct dialog *d, uint32_t interval_s, enum dialog_refresher refresher, int64_t ago_s)
{
	d->session_expires_s = interval_s;
	d->refresher = refresher;
	d->at_refresh = mono_add(now(), -ago_s * NS_PER_S);
	dialog_set_flags(&table, d, DIALOG_SUPPORTS_TIMER, 0);
}

static void re_invite_says_who_refreshes_as_before(void **state)
{
	call();
	agreed(da, 1800, REFRESHER_LOCAL, 10);
	agreed(db, 600, REFRESHER_REMOTE, 10);
	take_over();
	hear(&a);
	ASSERT_HAS(a, "Session-Expires: 1800;refresher=uac\r\n");
	ASSERT_HAS(a, "Supported: timer\r\n");
	hear(&b);
	ASSERT_HAS(b, "Session-Expires: 600;refresher=uas\r\n");
	answer_more(&b, "200 OK", "Require: timer\r\nSession-Expires: 600;refresher=uas\r\n", SDP_B);
	hear(&b);
	assert_int_equal(db->session_expires_s, 600);
	assert_int_equal(db->refresher, REFRESHER_REMOTE);
}

static void interval_that_is_too_small_is_raised_once(void **state)
{
	call();
	agreed(da, 120, REFRESHER_LOCAL, 10);
	take_over();
	hear(&a);
	answer_more(&a, "422 Session Interval Too Small", "Min-SE: 300\r\n", NULL);
	hear(&a);
	hear(&a);
	ASSERT_HAS(a, "CSeq: 101 INVITE\r\n");
	ASSERT_HAS(a, "Session-Expires: 300;refresher=uac\r\n");
	ASSERT_HAS(a, "Min-SE: 300\r\n");
	answer_more(&a, "422 Session Interval Too Small", "Min-SE: 900\r\n", NULL);
	hear(&a);
	ASSERT_HAS(a, "ACK ");
	assert_true(silent(&a));
}

static void server_that_refreshed_goes_on_doing_so_with_update(void **state)
{
	rescued_call();
	agreed(da, 600, REFRESHER_LOCAL, 299);
	dialog_set_flags(&table, da, DIALOG_ALLOWS_UPDATE, 0);
	rescue_timer_tick(rescue, now());
	assert_true(silent(&a));
	agreed(da, 600, REFRESHER_LOCAL, 301);
	rescue_timer_tick(rescue, now());
	rescue_timer_tick(rescue, now()); /* only one at a time */
	hear(&a);
	ASSERT_HAS(a, "UPDATE sip:phone@127.0.0.1");
	ASSERT_HAS(a, "CSeq: 101 UPDATE\r\n");
	ASSERT_HAS(a, "Session-Expires: 600;refresher=uac\r\n");
	ASSERT_HAS_NOT(a, "m=audio");
	answer_more(&a, "200 OK", "Session-Expires: 600;refresher=uac\r\n", NULL);
	assert_true(silent(&a));
	assert_true(mono_diff(now(), da->at_refresh) < 100 * NS_PER_S);
	ASSERT_COUNT(rescue_refreshes, 1);
}

static void phone_without_update_is_refreshed_by_re_invite(void **state)
{
	rescued_call();
	agreed(db, 600, REFRESHER_LOCAL, 301);
	rescue_timer_tick(rescue, now());
	hear(&b);
	ASSERT_HAS(b, "INVITE sip:phone@127.0.0.1");
	ASSERT_HAS(b, "m=audio 20002 RTP/AVP 0\r\n");
	answer_more(&b, "200 OK", "Session-Expires: 600;refresher=uac\r\n", SDP_B);
	hear(&b);
	ASSERT_HAS(b, "ACK ");
	assert_true(silent(&a));
}

static void phone_that_knows_update_no_more_gets_a_re_invite(void **state)
{
	rescued_call();
	agreed(da, 600, REFRESHER_LOCAL, 301);
	dialog_set_flags(&table, da, DIALOG_ALLOWS_UPDATE, 0);
	rescue_timer_tick(rescue, now());
	hear(&a);
	answer(&a, "501 Not Implemented", NULL);
	assert_true(silent(&a));
	rescue_timer_tick(rescue, now());
	hear(&a);
	ASSERT_HAS(a, "INVITE ");
}

static void refresh_that_finds_no_dialog_ends_the_call(void **state)
{
	rescued_call();
	agreed(da, 600, REFRESHER_LOCAL, 301);
	rescue_timer_tick(rescue, now());
	hear(&a);
	answer(&a, "481 No Such Dialog", NULL);
	hear(&b);
	ASSERT_HAS(b, "BYE ");
	ASSERT_HAS(b, "Reason: SIP;cause=481\r\n");
}

static void phone_that_refreshes_no_more_is_hung_up_with_the_other(void **state)
{
	rescued_call();
	agreed(da, 600, REFRESHER_REMOTE, 600 - 33);
	rescue_timer_tick(rescue, now());
	assert_true(silent(&a));
	agreed(da, 600, REFRESHER_REMOTE, 600 - 31);
	rescue_timer_tick(rescue, now());
	hear(&a);
	ASSERT_HAS(a, "BYE ");
	ASSERT_HAS(a, "Reason: SIP;cause=408");
	hear(&b);
	ASSERT_HAS(b, "BYE ");
	ASSERT_COUNT(rescue_expired, 1);
}

static void call_without_a_timer_is_left_alone(void **state)
{
	rescued_call();
	agreed(da, 0, REFRESHER_NONE, 100000);
	rescue_timer_tick(rescue, now());
	assert_true(silent(&a));
	assert_int_equal(da->state, DIALOG_RESCUED);
}

static void refresh_of_the_phone_is_answered_with_its_timer(void **state)
{
	char text[2048];

	rescued_call();
	agreed(da, 600, REFRESHER_REMOTE, 500);
	snprintf(text, sizeof(text),
	         "UPDATE sip:sipflip@" VIP
	         " SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:%u;branch=z9hG4bKu;rport\r\n"
	         "From: %s;tag=a1\r\nTo: %s;tag=s1\r\nCall-ID: call-a\r\nCSeq: 700 UPDATE\r\n"
	         "Max-Forwards: 70\r\nContact: <sip:phone@127.0.0.1:%u>\r\nSupported: timer\r\n"
	         "Session-Expires: 700;refresher=uac\r\nContent-Length: 0\r\n\r\n",
	         a.port, a.own_uri, a.server_uri, a.port);
	say(&a, text);
	hear(&a);
	ASSERT_HAS(a, "SIP/2.0 200 ");
	ASSERT_HAS(a, "Session-Expires: 700;refresher=uac\r\n");
	ASSERT_HAS(a, "Require: timer\r\n");
	assert_int_equal(da->session_expires_s, 700);
	assert_int_equal(da->refresher, REFRESHER_REMOTE);
	assert_true(mono_diff(now(), da->at_refresh) < 100 * NS_PER_S);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(re_invite_says_who_refreshes_as_before),
	        T(interval_that_is_too_small_is_raised_once),
	        T(server_that_refreshed_goes_on_doing_so_with_update),
	        T(phone_without_update_is_refreshed_by_re_invite),
	        T(phone_that_knows_update_no_more_gets_a_re_invite),
	        T(refresh_that_finds_no_dialog_ends_the_call),
	        T(phone_that_refreshes_no_more_is_hung_up_with_the_other),
	        T(call_without_a_timer_is_left_alone),
	        T(refresh_of_the_phone_is_answered_with_its_timer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
