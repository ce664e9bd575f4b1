/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Filling of vip_slots (abi.h) before ingress and egress are loaded. For user space. */
#ifndef SIPFLIP_SLOTS_H
#define SIPFLIP_SLOTS_H

#include "abi.h"

/* Call it for each VIP; adding one twice is harmless. */
static inline void vip_slots_add(struct vip_slot slots[VIP_SLOTS], const struct inaddr16 *addr,
                                 struct vip vip)
{
	static const __u8 v4_prefix[12] = {[10] = 0xff, [11] = 0xff};
	struct vip_slot *slot = &slots[addr->b[15]];
	__u32 v4 = 0;

	__builtin_memcpy(&v4, &addr->b[12], sizeof(v4));
	if (__builtin_memcmp(addr->b, v4_prefix, sizeof(v4_prefix)) ||
	    (slot->kind != SLOT_EMPTY && slot->addr != v4)) {
		slot->kind = SLOT_ASK;
	} else if (slot->kind == SLOT_EMPTY) {
		slot->kind = SLOT_ONE;
		slot->addr = v4;
		slot->vip = vip;
	}
}

#endif
