/* SPDX-License-Identifier: MIT */
/*
 * The lab's only source of chance: a 64-bit generator with explicit state, so that a run is a
 * function of its seed. Must not know what it is used for.
 */
#ifndef LAB_RNG_H
#define LAB_RNG_H

#include <stdbool.h>
#include <stdint.h>

struct rng {
	uint64_t state;
};

static inline struct rng rng_seed(uint64_t seed)
{
	return (struct rng){.state = seed};
}

/* 64 random bits: a Weyl sequence through a 64-bit finalizer. */
static inline uint64_t rng_u64(struct rng *rng)
{
	uint64_t mixed = rng->state += 0x9e3779b97f4a7c15ull;

	mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9ull;
	mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebull;
	return mixed ^ (mixed >> 31);
}

/* Uniform in 0 .. @bound - 1; @bound at least 1. The bias of the modulus does not matter here. */
static inline unsigned rng_below(struct rng *rng, unsigned bound)
{
	return (unsigned)((rng_u64(rng) >> 32) % bound);
}

/* true in @percent of the calls. */
static inline bool rng_percent(struct rng *rng, unsigned percent)
{
	return rng_below(rng, 100) < percent;
}

#endif
