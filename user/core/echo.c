/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Judging silence, see echo.h. Pure: called by lease.c with the time. */
#include "echo.h"

#include <string.h>

void echo_wake_init(struct echo_wake *wake, int64_t slack_ns, struct mono now)
{
	*wake = (struct echo_wake){.slack_ns = slack_ns, .last_turn = now, .awake_since = now};
}

void echo_wake_turn(struct echo_wake *wake, struct mono now)
{
	int64_t pause = mono_diff(now, wake->last_turn);

	if (pause > wake->slack_ns) {
		wake->awake_since = now;
		wake->stalls++;
	}
	if (pause > wake->longest_ns)
		wake->longest_ns = pause;
	wake->last_turn = now;
}

uint64_t echo_next_seq(const struct echo *echo)
{
	return echo->seq + 1;
}

uint64_t echo_sent(struct echo *echo, struct mono now)
{
	uint64_t seq = ++echo->seq;

	echo->out[seq % ECHO_OUTSTANDING].sent = now;
	echo->out[seq % ECHO_OUTSTANDING].open = true;
	echo->out[seq % ECHO_OUTSTANDING].answered = false;
	if (seq - echo->judged > ECHO_OUTSTANDING)
		echo->judged = seq - ECHO_OUTSTANDING;
	return seq;
}

bool echo_answered(struct echo *echo, uint64_t seq, struct mono now)
{
	if (seq == 0 || seq > echo->seq || echo->seq - seq >= ECHO_OUTSTANDING)
		return false;
	if (echo->out[seq % ECHO_OUTSTANDING].answered)
		return false;
	if (!echo->out[seq % ECHO_OUTSTANDING].open)
		echo->late++;
	echo->out[seq % ECHO_OUTSTANDING].open = false;
	echo->out[seq % ECHO_OUTSTANDING].answered = true;
	echo->rtt_us[echo->n_rtt++ % ECHO_RTTS] =
	        (uint32_t)(mono_diff(now, echo->out[seq % ECHO_OUTSTANDING].sent) / NS_PER_US);
	echo->lost_in_row = 0;
	echo->answered = now;
	return true;
}

void echo_judge(struct echo *echo, const struct echo_wake *wake, int64_t window_ns, struct mono now)
{
	while (echo->judged < echo->seq) {
		uint64_t seq = echo->judged + 1;
		struct mono sent = echo->out[seq % ECHO_OUTSTANDING].sent;

		if (echo->out[seq % ECHO_OUTSTANDING].open) {
			if (mono_diff(now, sent) < window_ns)
				return;
			echo->out[seq % ECHO_OUTSTANDING].open = false;
			if (mono_before(sent, wake->awake_since)) {
				/* what was lost before our stall proves nothing either */
				echo->excused++;
				echo->lost_in_row = 0;
			} else {
				echo->lost++;
				echo->lost_in_row++;
			}
		}
		echo->judged = seq;
	}
}

bool echo_silent(const struct echo *echo)
{
	return echo->lost_in_row >= ECHO_LOST_SILENT;
}

uint32_t echo_rtt_us(const struct echo *echo)
{
	uint32_t sorted[ECHO_RTTS];
	uint32_t n = echo->n_rtt < ECHO_RTTS ? echo->n_rtt : ECHO_RTTS;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t v = echo->rtt_us[i], j = i;

		for (; j > 0 && sorted[j - 1] > v; j--)
			sorted[j] = sorted[j - 1];
		sorted[j] = v;
	}
	return n ? sorted[n / 2] : 0;
}
