/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One log line of the counters that are not zero, by their names. Written when
 * the call keeper ends: what was dropped and why is not lost with it.
 */
#ifndef SIPFLIP_CALLS_TALLY_H
#define SIPFLIP_CALLS_TALLY_H

#include "capture.h"
#include "service.h"

/* The whole process's: link, replica and (unless NULL) capture. */
void tally_process(const struct link *link, const struct replica *replica, const struct capture *capture);
void tally_service(const struct service *svc);

#endif
