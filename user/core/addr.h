/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* struct inaddr16 (IPv4 mapped, RFC 4291 section 2.5.5.2) to and from text and __be32. */
#ifndef SIPFLIP_CORE_ADDR_H
#define SIPFLIP_CORE_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sipflip/abi.h"

#define ADDR_TEXT_LEN 46
#define ADDR_PORT_LEN (ADDR_TEXT_LEN + sizeof("[]:65535") - 1)

/* Dotted IPv4 or IPv6 text. Returns 0 or -EINVAL. */
int addr_parse(const char *text, struct inaddr16 *ret);
/* Always terminates; returns buf. */
const char *addr_format(const struct inaddr16 *addr, char buf[ADDR_TEXT_LEN]);
/* With a port, as in a URI (RFC 3986 3.2.2): "10.9.0.1:5060", "[2001:db8::1]:5060". Likewise. */
const char *addr_format_port(const struct inaddr16 *addr, uint16_t port, char buf[ADDR_PORT_LEN]);
bool addr_is_v4(const struct inaddr16 *addr);
bool addr_equal(const struct inaddr16 *a, const struct inaddr16 *b);
/* Network order; only for addr_is_v4 addresses. */
uint32_t addr_to_be32(const struct inaddr16 *addr);
struct inaddr16 addr_from_be32(uint32_t be);

#endif
