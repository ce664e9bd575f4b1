/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which session description a message carries, if any (RFC 5621 section 8 for one
 * of several parts). Bytes from the network: what does not read is said to be bad,
 * and never reaches the table. Used by the rescue_pass files.
 */
#include "multipart.h"
#include "rescue_pass.h"

#include <sofia-sip/sip_header.h>
#include <sofia-sip/su_string.h>

static bool is_sdp(const sip_content_type_t *type)
{
	return !type || (type->c_type && su_casematch(type->c_type, "application/sdp"));
}

enum pass_body pass_body_of(su_home_t *home, const sip_t *sip, struct sdp *ret)
{
	const sip_content_type_t *type = sip ? sip->sip_content_type : NULL;
	const sip_payload_t *body = sip ? sip->sip_payload : NULL;
	msg_multipart_t *part = NULL;

	if (!body || !body->pl_len)
		return PASS_NO_BODY;
	if (!is_sdp(type) && type->c_type && su_casenmatch(type->c_type, "multipart/", 10)) {
		part = multipart_parse(home, type, sip_payload_dup(home, body));
		while (part && !(part->mp_content_type && is_sdp(part->mp_content_type) && part->mp_payload))
			part = part->mp_next;
		if (!part)
			return PASS_OTHER_BODY;
		body = part->mp_payload;
	} else if (!is_sdp(type)) {
		return PASS_OTHER_BODY;
	}
	if (body->pl_len > DIALOG_SDP_LEN || sdp_parse(body->pl_data, body->pl_len, ret))
		return PASS_BAD_SDP;
	return PASS_SDP;
}

bool pass_has_sdp(const sip_t *sip)
{
	su_home_t home[1] = {SU_HOME_INIT(home)};
	enum pass_body body;
	struct sdp sdp;

	su_home_init(home);
	body = pass_body_of(home, sip, &sdp);
	su_home_deinit(home);
	return body == PASS_SDP;
}
