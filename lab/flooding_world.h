/* SPDX-License-Identifier: MIT */
/*
 * The guest of flooding.h: one table of level 1 or 2 in a small 4-level tree, which is written
 * through a mapping of its frame and used through itself. Every event is one step.
 */
#ifndef LAB_FLOODING_WORLD_H
#define LAB_FLOODING_WORLD_H

#include "lab/machine.h"

struct flooding_world {
	struct machine *machine;
	unsigned level; /* of the table in question */
	uint64_t gfn;   /* its frame */
	uint64_t n_events;
	bool pge; /* CR4.PGE */
	struct rng rng;
};

/* Build the tree, with the table in @gfn. */
void flooding_build(
	struct flooding_world *world, struct machine *machine, unsigned level, uint64_t gfn);

/* Put another table of the same content into its place, in @gfn. */
void flooding_move(struct flooding_world *world, uint64_t gfn);

/* The gpa of entry @index, and what is there. */
uint64_t flooding_slot(const struct flooding_world *world, unsigned index);
uint64_t flooding_entry(const struct flooding_world *world, unsigned index);

/* Events. A store does @op with @value to the entry, @n_bytes of it, or
 * the high half of it becomes @value. */
void flooding_store(struct flooding_world *world, unsigned index, enum step_op op, uint64_t value,
	unsigned n_bytes, bool user);
void flooding_store_high(struct flooding_world *world, unsigned index, uint64_t value);
void flooding_use(struct flooding_world *world, unsigned index, bool write);
void flooding_flush(struct flooding_world *world);
/* So that nothing stays in the TLB, and each use shows in the tables. */
void flooding_flush_all(struct flooding_world *world);
void flooding_invlpg(struct flooding_world *world, unsigned index);

#endif
