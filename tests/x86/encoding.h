/* SPDX-License-Identifier: MIT */
/*
 * Random encodings, laid out so that every opcode meets every ModRM byte, and prefixes, SIB bytes,
 * displacements and immediates of every kind. It must not know what any encoding means.
 */
#ifndef TESTS_X86_ENCODING_H
#define TESTS_X86_ENCODING_H

#include "x86/decode.h"

/* More than the longest instruction, so that one that is too long is seen as such. */
#define ENCODING_BYTES 24u

struct encoding {
	enum x86_code_size size;
	uint8_t bytes[ENCODING_BYTES];
};

/* Code sizes x (one-byte and 0F opcodes) x ModRM bytes: so many numbers one after the other meet
 * all of them. */
#define ENCODING_PERIOD (3u * 512u * 256u)

/* Encoding @number of the sequence that @seed starts. */
void encoding_make(struct encoding *encoding, uint64_t seed, uint64_t number);

#endif
