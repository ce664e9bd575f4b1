/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The key file. A key that was read is written as it reads again, and only 64 digits make one. */
#include "fuzz.h"

#include <ctype.h>
#include <sodium.h>

#include "key.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	return sodium_init() < 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct key key, again, untouched;
	char text[KEY_TEXT_LEN], id[16];
	size_t digits = 0;

	memset(&key, 0x5a, sizeof(key));
	untouched = key;
	if (key_parse((const char *)data, size, &key)) {
		CHECK(!memcmp(&key, &untouched, sizeof(key)));
		return 0;
	}
	for (size_t i = 0; i < size && data[i]; i++)
		digits += isxdigit(data[i]) != 0;
	CHECK(digits >= 2 * KEY_BYTES);
	key_format(&key, text);
	CHECK(strlen(text) == KEY_TEXT_LEN - 1 && text[KEY_TEXT_LEN - 2] == '\n');
	CHECK(!key_parse(text, strlen(text), &again));
	CHECK(!memcmp(&key, &again, sizeof(key)));
	key_id(&key, id);
	CHECK(strlen(id) == 8 && strspn(id, "0123456789abcdef") == 8);
	return 0;
}
