/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One call between two phones, ann and bob, and a takeover that asks them to go on: the
 * set-up of test_rescue.c, test_rescue_direct.c and test_rescue_timer.c only.
 */
#ifndef SIPFLIP_TEST_RESCUE_CALL_H
#define SIPFLIP_TEST_RESCUE_CALL_H

#include "pairing.h"
#include "rescue_phones.h"

#define PHONES_SEE 5060 /* the kernel is not here: phones of these tests answer to the rescue port */

#define OLD_A SDP("srv", "70", "7", VIP, "20000", "")
#define OLD_B SDP("srv", "80", "8", VIP, "20002", "")
#define SDP_A SDP("ann", "1", "1", "127.0.0.1", "4000", "")
#define SDP_B SDP("bob", "2", "2", "127.0.0.2", "6000", "")

static struct keeper_rescue progress;
static struct phone a, b;
static struct dialog *da, *db;
static struct dialog *mute; /* whose media is silent */

static inline void on_progress(void *context, const struct keeper_rescue *now_progress)
{
	progress = *now_progress;
}

static inline bool is_silent(void *context, const struct dialog *dialog, struct mono since)
{
	return dialog == mute;
}

static inline int setup_with(uint32_t calls_a_second, bool direct)
{
	static const struct rescue_callbacks callbacks = {.progress = on_progress, .silent = is_silent};
	struct keeper_conf conf = {
	        .name = "pbx", .rescue_rate = calls_a_second, .media_direct = direct, .sip_port = PHONES_SEE};

	progress = (struct keeper_rescue){0};
	mute = NULL;
	phone_open(&a, "call-a", false);
	a.own_tag = "a1";
	a.server_tag = "s1";
	a.own_uri = "\"Ann A\" <sip:ann@a.example;user=phone>";
	a.contact = "sip:ann@192.0.2.99:9;ob";
	phone_open(&b, "call-b", true);
	b.own_tag = "b2";
	b.server_tag = "s2";
	b.own_uri = "<sip:100@b.example>";
	b.server_uri = "<sip:ann@a.example>";
	b.contact = "sip:bob@192.0.2.98:9";
	return stage_open(&conf, &callbacks);
}

static inline int setup(void **state)
{
	return setup_with(200, false);
}

static inline int teardown(void **state)
{
	stage_close();
	close(a.fd);
	close(b.fd);
	return 0;
}

static inline void call(void)
{
	da = enter(&a, SDP_A, OLD_A);
	db = enter(&b, SDP_B, OLD_B);
	/* order of events: answered there before it answered here */
	da->at_answer = db->at_answer = now();
	da->at_invite = db->at_invite = mono_ns(db->at_answer.ns - NS_PER_S);
	assert_ptr_equal(pairing_consider(&table, da), db);
}

static inline void take_over(void)
{
	rescue_start(rescue, 0x201, (uint64_t)now().ns, now());
}

/* To go on; the callee too, but for media = direct. */
static inline void caller_is_asked(void)
{
	call();
	take_over();
	hear(&a);
}

/* Both phones agree: each on its own, in whichever order, or by media = direct the caller first. */
static inline void rescued_call(void)
{
	caller_is_asked();
	answer(&a, "200 OK", SDP_A);
	hear(&b);
	answer(&b, "200 OK", SDP_B);
	hear(&a); /* ACK */
	hear(&b);
	assert_int_equal(progress.rescued, 1);
}

#endif
