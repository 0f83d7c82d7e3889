/* SPDX-License-Identifier: MIT */
/*
 * The random guest's parts: its tables (gen_tables.c), its registers and flushes (gen_regs.c), its
 * tables as data (gen_alias.c), and what it does with them (gen_random.c). Internal to gen*.c.
 */
#ifndef LAB_GEN_RANDOM_H
#define LAB_GEN_RANDOM_H

#include "lab/gen_entry.h"
#include "lab/gen_guest.h"

#define RANDOM_INDICES 6u /* in use, the same at every level: addresses meet often */
#define RANDOM_RECENT  16u

struct random_guest {
	enum lab_mode mode;
	unsigned vcpus;
	unsigned maxphyaddr;
	unsigned mixed; /* see struct entry_style */
	bool booted;
	unsigned luck; /* of late accesses that reached memory, per 256 */
	unsigned indices[RANDOM_INDICES];
	uint64_t recent[RANDOM_RECENT];
};

/* What the guest has at hand while it plans. */
struct random_plan {
	struct random_guest *guest;
	const struct machine *machine;
	struct rng *rng;
	struct queue *queue;
	unsigned vcpu;
	const struct umbra_paging_regs *regs; /* of the vCPU */
	struct entry_style style;             /* of its mode */
};

/* The way to an address: where the entries that translate it are now, from the root's down. */
struct random_way {
	unsigned n;
	uint64_t gpas[5];
	uint64_t entries[5];
};

/* The level of the table at @depth of a way. */
unsigned random_level(const struct random_plan *plan, unsigned depth);

void random_find_way(const struct random_plan *plan, uint64_t gva, struct random_way *way);

/* A page of the indices in use: mapped to memory, if a few tries find such a one. */
uint64_t random_page(struct random_plan *plan);

/* Store an entry at @gpa through the window; only what that maps can be edited there. */
void random_edit_store(struct random_plan *plan, uint64_t gpa, uint64_t value);

/* A store of an entry at @gva. */
void random_store(struct random_plan *plan, uint64_t gva, uint64_t entry);

/* An access to some byte of the page of @gva, mostly an allowed one. */
void random_touch(struct random_plan *plan, uint64_t gva);

/* Tables written through other mappings of their frames. */
void random_plan_alias(struct random_plan *plan);

/* Data that becomes a table while a TLB still maps it. */
void random_plan_takeover(struct random_plan *plan);

/* Does the guest use @mode? */
bool random_uses(const struct random_guest *guest, enum paging mode);

/* An index into a table of @level of the vCPU's mode. */
unsigned random_index(struct random_plan *plan, unsigned level);

/* An address made of such indices. */
uint64_t random_address(struct random_plan *plan);

/* An address: in the tables' window, or mapped if a few tries find such a one. */
uint64_t random_gva(struct random_plan *plan);

/* Where the window through which the guest edits its tables shows @gpa. */
uint64_t random_window(const struct random_plan *plan, uint64_t gpa);

/* The host stores @bytes of @value at @gpa. */
void random_poke(struct random_plan *plan, uint64_t gpa, uint64_t value, unsigned n_bytes);

/* All tables anew, and the window. */
void random_build_tables(struct random_plan *plan);

/* Registers for a mode that the guest uses into the STEP_REGS @step. */
void random_fill_regs(struct random_plan *plan, struct step *step);

/* All other vCPUs get the registers of this one. */
void random_follow(struct random_plan *plan);

/* Change one thing of the registers, or all of them. */
void random_plan_regs(struct random_plan *plan);

/* Change one of the bits that decide what is allowed. */
void random_plan_rights(struct random_plan *plan);

/* Change PKRU or PKRS. */
void random_plan_keys(struct random_plan *plan);

/* A flush, at best the one that a change at @gva needs. */
void random_plan_flush(struct random_plan *plan, uint64_t gva);

#endif
