/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Bounds that the verifier sees, for the lengths that are handed to helpers.
 * Called by whoever copies a piece of a frame whose length the frame says.
 */
#ifndef SIPFLIP_BPF_BOUNDS_H
#define SIPFLIP_BPF_BOUNDS_H

#include <bpf/bpf_helpers.h>

/*
 * 1 to max? Two signed comparisons, kept apart: 6.1's verifier learns bounds from no
 * other kind. The barriers keep the compiler from joining them, or moving them away
 * from the use of *len that follows.
 */
static __always_inline bool is_within(__s64 *len, __s64 max)
{
	__s64 n = *len;

	barrier_var(n);
	if (n > max)
		return false;
	barrier_var(n);
	if (n < 1)
		return false;
	barrier_var(n);
	*len = n;
	return true;
}

#endif
