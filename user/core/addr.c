/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Addresses of the ABI to and from text. Pure. */
#include "addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const uint8_t v4_prefix[12] = {[10] = 0xff, [11] = 0xff};

int addr_parse(const char *text, struct inaddr16 *ret)
{
	struct in_addr v4;
	struct in6_addr v6;

	if (inet_pton(AF_INET, text, &v4) == 1) {
		*ret = addr_from_be32(v4.s_addr);
		return 0;
	}
	if (inet_pton(AF_INET6, text, &v6) == 1) {
		memcpy(ret->b, v6.s6_addr, sizeof(ret->b));
		return 0;
	}
	return -EINVAL;
}

const char *addr_format(const struct inaddr16 *addr, char buf[ADDR_TEXT_LEN])
{
	bool v4 = addr_is_v4(addr);

	if (!inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? addr->b + 12 : addr->b, buf, ADDR_TEXT_LEN))
		buf[0] = '\0';
	return buf;
}

const char *addr_format_port(const struct inaddr16 *addr, uint16_t port, char buf[ADDR_PORT_LEN])
{
	char text[ADDR_TEXT_LEN];

	snprintf(buf, ADDR_PORT_LEN, addr_is_v4(addr) ? "%s:%u" : "[%s]:%u", addr_format(addr, text), port);
	return buf;
}

bool addr_is_v4(const struct inaddr16 *addr)
{
	return !memcmp(addr->b, v4_prefix, sizeof(v4_prefix));
}

bool addr_equal(const struct inaddr16 *a, const struct inaddr16 *b)
{
	return !memcmp(a->b, b->b, sizeof(a->b));
}

uint32_t addr_to_be32(const struct inaddr16 *addr)
{
	uint32_t be;

	memcpy(&be, addr->b + 12, sizeof(be));
	return be;
}

struct inaddr16 addr_from_be32(uint32_t be)
{
	struct inaddr16 addr;

	memcpy(addr.b, v4_prefix, sizeof(v4_prefix));
	memcpy(addr.b + 12, &be, sizeof(be));
	return addr;
}
