/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the harnesses share. A harness is tests/fuzz/fuzz_NAME.c: libFuzzer's two
 * functions and what must hold after any input, said with CHECK. It is linked
 * twice: with libFuzzer (make fuzz) and with runner.c, which gives it each file of
 * tests/fuzz/corpus/NAME (make test).
 */
#ifndef SIPFLIP_FUZZ_H
#define SIPFLIP_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                                     \
	do {                                                                                                 \
		if (!(condition)) {                                                                          \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);       \
			abort();                                                                             \
		}                                                                                            \
	} while (0)

/* A part of the input, in exactly as much heap as it has bytes: a read past its end is seen. */
struct part {
	uint8_t *at;
	size_t len;
};

static inline struct part part_copy(const uint8_t *at, size_t len)
{
	struct part part = {malloc(len ? len : 1), len};

	CHECK(part.at);
	if (len)
		memcpy(part.at, at, len);
	return part;
}

/*
 * Inputs of several messages: each is two bytes of length (little-endian), one of
 * the harness's own, then the message, cut where the input ends. False: no more.
 */
static inline bool part_next(const uint8_t **data, size_t *size, uint8_t *ret_how, struct part *ret)
{
	size_t len;

	if (*size < 3)
		return false;
	len = (*data)[0] | (size_t)(*data)[1] << 8;
	*ret_how = (*data)[2];
	*data += 3;
	*size -= 3;
	if (len > *size)
		len = *size;
	*ret = part_copy(*data, len);
	*data += len;
	*size -= len;
	return true;
}

/* Texts of several parts: a line of `%%` stands between them. The last part has the rest. */
static inline struct part part_of_text(const uint8_t **data, size_t *size)
{
	const uint8_t *mark = memmem(*data, *size, "\n%%\n", 4);
	size_t len = mark ? (size_t)(mark - *data) + 1 : *size;
	struct part part = part_copy(*data, len);
	size_t gone = mark ? len + 3 : len;

	*data += gone;
	*size -= gone;
	return part;
}

#endif
