/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which dialogs are the legs of one call through a back-to-back server. Tried at
 * each change of a leg, from the INVITE on, in this order; the first rule that
 * names exactly one partner wins:
 *   header      a configured header on one leg carries the other's Call-ID
 *   session-id  the same UUIDs on both (RFC 7989 section 6, a B2BUA passes them)
 *   sdp         the server passed an o= line across unchanged but for the address
 *   numbers     caller or callee is the same, and the order of events fits
 * Order of events: the server is called (A), calls out while A is not answered (B),
 * and answers A soon after it was answered by B. Or it answered A first, and calls
 * out with both numbers the same.
 *
 *      A's INVITE ----> B's INVITE ----> B answered ----> A answered
 *            |             |                                  |
 *            |             +- exactly one ringing A fits: a pair by numbers, good until
 *            |                a better rule names another one
 *            |                                                +- exactly one B was answered
 *            +- several B's of one A are a ring group: they     in the last 2 s: their pair
 *               share A's call number; dialog_peer(A) is the
 *               B that was answered
 *
 * More than one partner that fits equally well is never guessed: "ambiguous", until
 * an answer, the end of a leg or a better rule leaves exactly one. Pure.
 */
#ifndef SIPFLIP_CORE_PAIRING_H
#define SIPFLIP_CORE_PAIRING_H

#include "dialog.h"

/* An answer passes through a server at once; a longer pause is an application's doing. */
#define PAIRING_ANSWER_NS (2 * NS_PER_S)

/* The dialog table's index for this; NULL = out of memory. */
struct pairing *pairing_new(uint32_t max_dialogs);
void pairing_free(struct pairing *pairing);

/* After each change of `dialog`. Returns the other leg when this made a new pair, else NULL. */
struct dialog *pairing_consider(struct dialog_table *table, struct dialog *dialog);

#endif
