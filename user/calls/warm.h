/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Whose neighbour entries a takeover would need: where the phones of the calls in the
 * table really are, for KEEPER_WARM. Looks at a bounded number of dialogs.
 */
#ifndef SIPFLIP_CALLS_WARM_H
#define SIPFLIP_CALLS_WARM_H

#include "dialog.h"
#include "sipflip/keeper.h"

/* Each address once, those of the calls that changed last first. ret->head is not filled in. */
void warm_collect(struct dialog_table *table, struct keeper_warm *ret);
/* To see whether the set is another one. */
uint64_t warm_hash(const struct keeper_warm *warm);

#endif
