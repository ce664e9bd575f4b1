/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Socket filters (classic BPF, run by the kernel before a frame is queued): what a
 * stranger sends must not wake a real-time process. They are no judgement: what
 * passes is verified as before.
 */
#ifndef SIPFLIP_SENTINEL_FILTER_H
#define SIPFLIP_SENTINEL_FILTER_H

#include <stdint.h>

#define FILTER_SENDERS 20

/* On a packet socket: ARP whose sender address is one of these (network order). 0 or -errno. */
int filter_arp(int fd, const uint32_t *sender_be, int n);
/* On a UDP socket: datagrams as long as a wire_msg, with its magic and version, from one of these. */
int filter_messages(int fd, const uint32_t *sender_be, int n);

#endif
