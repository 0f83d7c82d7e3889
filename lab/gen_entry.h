/* SPDX-License-Identifier: MIT */
/*
 * The random guest's frames and entries: few frames, so that tables are shared, alias data and map
 * themselves, and entries of which most work and some break every rule. Internal to gen*.c.
 */
#ifndef LAB_GEN_ENTRY_H
#define LAB_GEN_ENTRY_H

#include "lab/rng.h"

#define ENTRY_ROOTS    3u /* tables made for level 4 */
#define ENTRY_NO_TABLE UINT64_MAX

/* A guest frame: data, tables, and those at and beyond the edges of what is there. */
uint64_t entry_gfn(struct rng *rng);

/* A table frame made for @level (1 to 4), now and then another one; any for other levels. */
uint64_t entry_table(struct rng *rng, unsigned level);

/* Table frame number @n of those made for @level, ENTRY_NO_TABLE past the last. */
uint64_t entry_nth_table(unsigned level, unsigned n);

/* An entry for a table of @level. */
uint64_t entry_pick(struct rng *rng, unsigned level);

/* @entry of a table of @level changed the way operating systems (and mistakes) change entries. */
uint64_t entry_edited(struct rng *rng, uint64_t entry, unsigned level);

/* @bits in @percent of the calls, else none. */
uint64_t entry_maybe(struct rng *rng, unsigned percent, uint64_t bits);

#endif
