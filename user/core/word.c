/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The ownership word, see word.h. */
#include "word.h"

#define EXTEND_TRIES 16 /* ingress may renew meanwhile: a few always suffice against one grant per echo */

uint64_t word_read(const __u64 *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

bool word_own(struct service_state *state, __u64 *word, uint64_t epoch, uint64_t until_ns, uint64_t now_ns)
{
	__u64 fenced = LEASE_FENCED;

	state->epoch = epoch;
	if (word_read(word) == LEASE_FENCED) {
		state->flipped_ns = now_ns;
		state->first_packet_ns = 0;
	}
	return __atomic_compare_exchange_n(word, &fenced, until_ns, false, __ATOMIC_SEQ_CST,
	                                   __ATOMIC_SEQ_CST);
}

bool word_extend(__u64 *word, uint64_t until_ns)
{
	__u64 seen = word_read(word);

	for (int i = 0; i < EXTEND_TRIES && seen != LEASE_FENCED; i++) {
		if (seen >= until_ns && seen != LEASE_FOREVER)
			return false;
		if (__atomic_compare_exchange_n(word, &seen, until_ns, false, __ATOMIC_SEQ_CST,
		                                __ATOMIC_SEQ_CST))
			return true;
	}
	return false;
}

void word_fence(__u64 *word)
{
	__atomic_store_n(word, LEASE_FENCED, __ATOMIC_SEQ_CST);
}

bool word_recognise(__u64 *epoch, const __u64 *word, uint64_t recognised)
{
	__u64 known = __atomic_load_n(epoch, __ATOMIC_ACQUIRE);

	/* in this order: a RESIGN that ingress accepts after the first line makes the exchange fail */
	if (recognised <= known || word_read(word) != LEASE_FENCED)
		return false;
	return __atomic_compare_exchange_n(epoch, &known, recognised, false, __ATOMIC_SEQ_CST,
	                                   __ATOMIC_SEQ_CST);
}
