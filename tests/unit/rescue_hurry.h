/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* RFC 3261's timers hurried, for tests of phones that never answer: 64*T1 is 0.64 s, not 32. */
#ifndef SIPFLIP_TEST_RESCUE_HURRY_H
#define SIPFLIP_TEST_RESCUE_HURRY_H

#include <sofia-sip/nta_tag.h>
#include <sofia-sip/su_tagarg.h>

#include "../../user/calls/rescue_agent.h"
#include "rescue_stage.h"

static inline void hurry(void)
{
	nta_agent_set_params(rescue->agent, NTATAG_SIP_T1(10), NTATAG_SIP_T2(80), NTATAG_SIP_T4(80),
	                     NTATAG_SIP_T1X64(640), TAG_END());
}

#endif
