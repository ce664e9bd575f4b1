/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "multipart.h"

#include <sofia-sip/msg_header.h>
#include <string.h>

#define DELIMITER_MORE 6 /* line end, two hyphens, line end */

msg_multipart_t *multipart_parse(su_home_t *home, const sip_content_type_t *type, sip_payload_t *body)
{
	const char *boundary = msg_header_find_param(type->c_common, "boundary");

	if (!boundary || !*boundary || body->pl_len <= strlen(boundary) + DELIMITER_MORE)
		return NULL;
	return msg_multipart_parse(home, type, body);
}
