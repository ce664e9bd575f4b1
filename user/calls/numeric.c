/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * This process never looks a name up: sofia-sip would ask the DNS, and wait for it,
 * for any host name that a stranger writes into a Via (maddr, or a version it does
 * not know). All addresses that are meant come as numbers. Stands before the C
 * library's function for the libraries as well, since the program defines it.
 */
#include <dlfcn.h>
#include <netdb.h>
#include <stddef.h>

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **ret)
{
	struct addrinfo numeric = {.ai_flags = AI_NUMERICHOST};
	int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
	        dlsym(RTLD_NEXT, "getaddrinfo");

	if (!real)
		return EAI_FAIL;
	if (hints) {
		numeric = *hints;
		numeric.ai_flags |= AI_NUMERICHOST;
	}
	return real(node, service, &numeric, ret);
}
