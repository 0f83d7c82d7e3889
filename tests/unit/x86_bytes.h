/* SPDX-License-Identifier: MIT */
/*
 * Instructions as bytes, for tests of the decoder and of what goes by what it says.
 */
#ifndef TESTS_UNIT_X86_BYTES_H
#define TESTS_UNIT_X86_BYTES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "x86/decode.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

struct bytes {
	uint8_t n;
	uint8_t at[X86_INSN_MAX + 1];
};
#define BYTES(...)                                                                                 \
	{                                                                                          \
		sizeof((uint8_t[]){__VA_ARGS__}),                                                  \
		{                                                                                  \
			__VA_ARGS__                                                                \
		}                                                                                  \
	}

static inline struct x86_insn decode(enum x86_code_size size, const struct bytes *bytes)
{
	struct x86_insn insn;

	assert_int_equal(x86_decode(&insn, size, bytes->at, bytes->n), X86_DECODE_OK);
	assert_int_equal(insn.length, bytes->n);
	return insn;
}

#endif
