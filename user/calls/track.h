/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From captured bytes to the dialog table: parses a datagram with sofia-sip and
 * gives the table a plain struct sip_event, then looks for the other leg. Bytes
 * from the network: whatever they are, the worst is a counter.
 */
#ifndef SIPFLIP_CALLS_TRACK_H
#define SIPFLIP_CALLS_TRACK_H

#include <sofia-sip/sip.h>

#include "dialog.h"
#include "sipflip/capture.h"

#define TRACK_COUNTERS(X)                                                                                    \
	X(track_messages, "SIP messages understood")                                                         \
	X(track_keepalives, "datagrams of only CRLF or NUL: NAT keep-alives")                                \
	X(track_malformed, "datagrams that are not SIP, or miss a mandatory header")                         \
	X(track_unpaired_ambiguous, "answered legs for which more than one other leg would fit")             \
	X(track_paired, "calls whose two legs were found")

struct track_counters {
#define X(name, help) uint64_t name;
	TRACK_COUNTERS(X)
#undef X
};

struct track {
	struct dialog_table *table;
	char link_header[64]; /* name of the header that carries the other leg's Call-ID; "" = none */
	struct track_counters counters;
};

/*
 * One captured datagram (also the fuzzer's entry: any bytes). Returns the dialog
 * it changed, NULL = none. `now` orders events, the record's own time is kept.
 */
struct dialog *track_datagram(struct track *track, const struct capture_record *record, struct mono now);

/* The same for a message that this process itself sent or received as the server's heir (rescue.c). */
struct dialog *track_message(struct track *track, const sip_t *sip, uint8_t service, bool out,
                             const struct inaddr16 *remote, uint16_t remote_port, struct mono at);

#endif
