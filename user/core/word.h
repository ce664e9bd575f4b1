/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The ownership word and its epoch in the kernel's maps, which ingress changes at
 * any instant as well: each change here is one compare-and-swap that never undoes
 * what ingress did meanwhile. Called by the sentinel's plane.c only.
 */
#ifndef SIPFLIP_CORE_WORD_H
#define SIPFLIP_CORE_WORD_H

#include <stdbool.h>
#include <stdint.h>

#include "sipflip/abi.h"

uint64_t word_read(const __u64 *word);
/* The epoch, and the word from 0 only: false if it was not 0, then nothing flips. */
bool word_own(struct service_state *state, __u64 *word, uint64_t epoch, uint64_t until_ns, uint64_t now_ns);
/* Forward, or back from LEASE_FOREVER; never from 0. Whether it changed. */
bool word_extend(__u64 *word, uint64_t until_ns);
void word_fence(__u64 *word);
/*
 * Stores the epoch of another owner: only while fenced, never over a higher one (or a
 * repeated RESIGN of a while ago would be new again), and not over an epoch that ingress
 * stores in this very moment with a RESIGN it accepts. Whether it changed.
 */
bool word_recognise(__u64 *epoch, const __u64 *word, uint64_t recognised);

#endif
