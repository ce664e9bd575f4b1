/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which two dialogs are the legs of one call through a back-to-back server. Tried
 * when a leg is answered, in this order, and the first that names exactly one leg wins:
 *   header      a configured header on one leg carries the other's Call-ID
 *   session-id  the same UUIDs on both (RFC 7989 section 6, a B2BUA passes them)
 *   sdp         the server passed an o= line across unchanged but for the address
 *   numbers     the server was called, called out before it answered, answered after it
 *               was answered, and caller or callee is the same on both
 * More than one leg that fits equally well is never guessed: "ambiguous". Pure.
 */
#ifndef SIPFLIP_CORE_PAIRING_H
#define SIPFLIP_CORE_PAIRING_H

#include "dialog.h"

/* An answer passes through a server at once; a longer pause is an application's doing. */
#define PAIRING_ANSWER_NS (2 * NS_PER_S)

/* After each change of `dialog`. Returns the other leg when this made a pair, else NULL. */
struct dialog *pairing_consider(struct dialog_table *table, struct dialog *dialog);

#endif
