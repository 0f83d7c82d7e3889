/* SPDX-License-Identifier: MIT */
/*
 * Random encodings: see encoding.h. Three of four are a one-byte or 0F opcode taken in turn with
 * each ModRM byte, the rest lie in the other opcode maps.
 */
#include "tests/x86/encoding.h"

#include "tests/x86/random.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

struct writer {
	uint8_t *bytes;
	unsigned n;
	uint64_t *seed;
};

static void put(struct writer *writer, unsigned byte)
{
	if (writer->n < ENCODING_BYTES)
		writer->bytes[writer->n++] = (uint8_t)byte;
}

static uint8_t any_byte(struct writer *writer)
{
	return (uint8_t)random_below(writer->seed, 256);
}

static void put_legacy_prefix(struct writer *writer)
{
	static const uint8_t prefixes[] = {0x66, 0x66, 0x66, 0x67, 0x67, 0xf2, 0xf2, 0xf3, 0xf3,
		0xf0, 0xf0, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};

	put(writer, prefixes[random_below(writer->seed, N(prefixes))]);
}

/* None in 3 of 8 cases, up to three, and now and then so many that the instruction gets too long.
 * A REX prefix stands last, or, now and then, where it has no effect. */
static void put_prefixes(struct writer *writer, enum x86_code_size size)
{
	static const uint8_t counts[] = {0, 0, 0, 1, 1, 1, 2, 3};
	unsigned n = counts[random_below(writer->seed, N(counts))];
	bool rex = size == X86_CODE_64;

	if (random_one_in(writer->seed, 64))
		n = random_below(writer->seed, 16);
	if (rex && random_one_in(writer->seed, 16))
		put(writer, 0x40 + random_below(writer->seed, 16));
	while (n-- != 0)
		put_legacy_prefix(writer);
	if (rex && random_one_in(writer->seed, 2))
		put(writer, 0x40 + random_below(writer->seed, 16));
}

/* The byte of a VEX prefix with W, vvvv, L and pp. Most instructions want vvvv, which is inverted,
 * to be 0. */
static uint8_t vex_byte(struct writer *writer)
{
	return any_byte(writer) | (random_one_in(writer->seed, 2) ? 0x78 : 0);
}

/* A VEX, XOP or EVEX prefix. Before these, only segment and address-size prefixes are allowed. In
 * 16- and 32-bit code they are other instructions if the upper bits of the second byte are not set.
 */
static void put_vector_prefix(struct writer *writer)
{
	static const uint8_t allowed[] = {0x67, 0x2e, 0x36, 0x64};
	unsigned map = 1 + random_below(writer->seed, 3);

	if (random_one_in(writer->seed, 4))
		put(writer, allowed[random_below(writer->seed, N(allowed))]);
	switch (random_below(writer->seed, 8)) {
	case 0:
	case 1:
		put(writer, 0xc5);
		put(writer, vex_byte(writer) | 0x40u);
		break;
	case 2:
	case 3:
		map = 1;
		/* fall through */
	case 4:
	case 5:
		put(writer, 0xc4);
		put(writer, (any_byte(writer) & 0xe0u) | 0x40u | map);
		put(writer, vex_byte(writer));
		break;
	case 6:
		put(writer, 0x8f);
		put(writer, (any_byte(writer) & 0xe0u) | (7 + map));
		put(writer, vex_byte(writer));
		break;
	case 7:
		put(writer, 0x62);
		put(writer, (any_byte(writer) & 0xf0u) | map);
		put(writer, vex_byte(writer) | 0x04u);
		put(writer, any_byte(writer));
		break;
	}
}

/* An opcode of one of the maps that are not laid out: 0F 38, 0F 3A, 3DNow!, and those behind a
 * vector prefix. */
static void put_rare_opcode(struct writer *writer, enum x86_code_size size)
{
	static const uint8_t second[] = {0x38, 0x38, 0x3a, 0x0f};

	if (random_one_in(writer->seed, 2)) {
		put_vector_prefix(writer);
	} else {
		put_prefixes(writer, size);
		put(writer, 0x0f);
		put(writer, second[random_below(writer->seed, N(second))]);
	}
	put(writer, any_byte(writer)); /* the opcode */
	put(writer, any_byte(writer)); /* ModRM */
}

/* What follows ModRM: at random, often with the bytes at which sign extension changes. */
static void put_rest(struct writer *writer)
{
	static const uint8_t edges[] = {0x00, 0x01, 0x7f, 0x80, 0xff};

	while (writer->n < ENCODING_BYTES)
		put(writer, random_one_in(writer->seed, 4)
				    ? edges[random_below(writer->seed, N(edges))]
				    : any_byte(writer));
}

void encoding_make(struct encoding *encoding, uint64_t seed, uint64_t number)
{
	uint64_t state = seed ^ (number * 0xd1342543de82ef95ull);
	struct writer writer = {encoding->bytes, 0, &state};
	uint64_t cell = number - number / 4;
	unsigned opcode = (unsigned)(cell / 3 % 512);

	encoding->size = (enum x86_code_size)(cell % 3);
	if (number % 4 == 3) {
		put_rare_opcode(&writer, encoding->size);
	} else {
		put_prefixes(&writer, encoding->size);
		if (opcode >= 256)
			put(&writer, 0x0f);
		put(&writer, opcode & 0xff);
		put(&writer, (unsigned)(cell / (3 * 512) % 256));
	}
	put_rest(&writer);
}
