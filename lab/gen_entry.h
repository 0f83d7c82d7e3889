/* SPDX-License-Identifier: MIT */
/*
 * The random guest's frames and entries: few frames, so that tables are shared, alias data and map
 * themselves, and entries of which most work and some break every rule. Internal to gen*.c.
 *
 * 4-level, 5-level and PAE paging share the tables of levels 1 and 2, and long mode's two all below
 * level 5; 2-level paging and PAE's PDPTEs have frames of their own. Now and then any table is used
 * for anything.
 */
#ifndef LAB_GEN_ENTRY_H
#define LAB_GEN_ENTRY_H

#include "lab/paging.h"
#include "lab/rng.h"

#define ENTRY_NO_TABLE UINT64_MAX

/* What kind of entries: those of a mode, on a processor of that address width. */
struct entry_style {
	enum paging mode;
	unsigned maxphyaddr;
	unsigned mixed; /* so many of a hundred tables are used for what they are not made for */
};

/* A guest frame: data, tables, and those at and beyond the edges of what is there. */
uint64_t entry_gfn(struct rng *rng);

/* A table frame made for @level of the mode, now and then another one; any for other levels. */
uint64_t entry_table(struct rng *rng, const struct entry_style *style, unsigned level);

/* Table frame number @n of those made for @level of @mode, ENTRY_NO_TABLE past the last. */
uint64_t entry_nth_table(enum paging mode, unsigned level, unsigned n);

/* One of them, for a root; 0 if unpaged. */
uint64_t entry_root(struct rng *rng, enum paging mode);

/* An entry for a table of @level. */
uint64_t entry_pick(struct rng *rng, const struct entry_style *style, unsigned level);

/* @entry of a table of @level changed the way operating systems (and mistakes) change entries. */
uint64_t entry_edited(
	struct rng *rng, const struct entry_style *style, uint64_t entry, unsigned level);

/* @bits in @percent of the calls, else none. */
uint64_t entry_maybe(struct rng *rng, unsigned percent, uint64_t bits);

#endif
