/* SPDX-License-Identifier: MIT */
/*
 * The small world in which the stories of test_legal.c and test_legal_ad.c happen: a 4-level
 * address space of known frames, one model of two vCPUs.
 */
#ifndef TESTS_UNIT_LEGAL_WORLD_H
#define TESTS_UNIT_LEGAL_WORLD_H

#include "lab/legal.h"

#include <stdbool.h>
#include <stdint.h>

enum {
	N_FRAMES = 32,
	ROOT = 0x1000,
	OTHER_ROOT = 0x2000,
	PDPT = 0x3000,
	PD = 0x4000,
	PT = 0x5000,
	OTHER_PT = 0x6000,
	OTHER_PD = 0x7000,
	X = 0x10000, /* pages */
	Y = 0x11000,
	Z = 0x12000,
	BIG = 0x200000,
};

#define GVA         0x0000000000001000ull /* entry 1 of the page table, entry 0 above */
#define NEIGHBOUR   0x0000000000002000ull /* same page table */
#define FAR         0x0000008000000000ull /* another entry at every level */
#define TABLE_FLAGS (ORACLE_P | ORACLE_W | ORACLE_U | ORACLE_A)
#define LEAF_FLAGS  (TABLE_FLAGS | ORACLE_D)

struct world {
	struct legal *legal;
	struct oracle_cpu cpu;
	struct oracle_memory memory;
	uint64_t words[N_FRAMES * 512];
	struct legal_why why;
};

/* cmocka fixtures: *@state is the world. GVA and NEIGHBOUR reach X and Z; FAR is mapped nowhere.
 * Both vCPUs start with empty caches. Tear-down asserts that all checks were decided. */
int world_set_up(void **state);
int world_tear_down(void **state);

#define STORY(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)

/* The guest stores @value at @gpa. */
void store(struct world *world, uint64_t gpa, uint64_t value);

void load_cr3(struct world *world, unsigned vcpu, uint64_t cr3, enum legal_flush kind);

struct legal_access access_of(
	const struct world *world, unsigned vcpu, uint64_t gva, enum oracle_kind kind);

/* May a supervisor access at @gva on vCPU 0 reach @gpa? */
bool reads(struct world *world, uint64_t gva, uint64_t gpa);
bool writes(struct world *world, uint64_t gva, uint64_t gpa);

/* May it fault with @code? If so it has. */
bool faults(struct world *world, uint64_t gva, enum oracle_kind kind, uint32_t code);

#endif
