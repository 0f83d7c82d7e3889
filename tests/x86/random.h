/* SPDX-License-Identifier: MIT */
/*
 * Pseudo-random numbers of the differential tests: a generator that is one 64-bit word, so that a
 * case can be made again from the word printed with it.
 *
 * Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (SplitMix64).
 */
#ifndef TESTS_X86_RANDOM_H
#define TESTS_X86_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

static inline uint64_t random_word(uint64_t *seed)
{
	uint64_t word = *seed += 0x9e3779b97f4a7c15ull;

	word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9ull;
	word = (word ^ (word >> 27)) * 0x94d049bb133111ebull;
	return word ^ (word >> 31);
}

/* A number below @bound, which is not 0. */
static inline unsigned random_below(uint64_t *seed, unsigned bound)
{
	return (unsigned)(((random_word(seed) >> 32) * bound) >> 32);
}

/* True once in @n times. */
static inline bool random_one_in(uint64_t *seed, unsigned n)
{
	return random_below(seed, n) == 0;
}

#endif
