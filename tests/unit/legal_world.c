/* SPDX-License-Identifier: MIT */
/*
 * The world of tests/unit/legal_world.h: how it is made, and the questions asked of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/legal_world.h"

static uint64_t read_world(void *context, uint64_t gpa, unsigned n_bytes)
{
	const struct world *world = context;
	uint64_t word;

	if (gpa / 8 >= N_FRAMES * 512)
		return n_bytes == 8 ? UINT64_MAX : UINT32_MAX;
	word = world->words[gpa / 8];
	return n_bytes == 8 ? word : (word >> (8 * (gpa & 7))) & UINT32_MAX;
}

void store(struct world *world, uint64_t gpa, uint64_t value)
{
	legal_note_write(world->legal, gpa, world->words[gpa / 8], value);
	world->words[gpa / 8] = value;
}

void load_cr3(struct world *world, unsigned vcpu, uint64_t cr3, enum legal_flush kind)
{
	world->cpu.cr3 = cr3;
	legal_flush(world->legal, vcpu, kind, &world->cpu);
}

struct legal_access access_of(
	const struct world *world, unsigned vcpu, uint64_t gva, enum oracle_kind kind)
{
	return (struct legal_access){
		.vcpu = vcpu,
		.cpu = &world->cpu,
		.memory = &world->memory,
		.access = {.gva = gva, .kind = kind},
	};
}

static bool reaches(struct world *world, uint64_t gva, enum oracle_kind kind, uint64_t gpa)
{
	struct legal_access what = access_of(world, 0, gva, kind);
	struct legal_outcome observed = {.outcome = ORACLE_OK, .gpa = gpa};
	bool ok = legal_check(world->legal, &what, &observed, &world->why);

	assert_int_equal(world->why.text[0] == '\0', ok);
	return ok;
}

bool reads(struct world *world, uint64_t gva, uint64_t gpa)
{
	return reaches(world, gva, ORACLE_READ, gpa);
}

bool writes(struct world *world, uint64_t gva, uint64_t gpa)
{
	return reaches(world, gva, ORACLE_WRITE, gpa);
}

bool faults(struct world *world, uint64_t gva, enum oracle_kind kind, uint32_t code)
{
	struct legal_access what = access_of(world, 0, gva, kind);
	struct legal_outcome observed = {.outcome = ORACLE_PAGE_FAULT, .error_code = code};

	return legal_check(world->legal, &what, &observed, &world->why);
}

int world_set_up(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	assert_non_null(world);
	world->legal = legal_new(2, 0);
	assert_non_null(world->legal);
	world->cpu = (struct oracle_cpu){
		.cr0 = ORACLE_CR0_PE | ORACLE_CR0_PG | ORACLE_CR0_WP,
		.cr4 = ORACLE_CR4_PAE | ORACLE_CR4_PGE,
		.efer = ORACLE_EFER_LME,
		.maxphyaddr = 40,
	};
	world->memory = (struct oracle_memory){.read = read_world, .context = world};
	world->words[ROOT / 8] = PDPT | TABLE_FLAGS;
	world->words[OTHER_ROOT / 8] = PDPT | TABLE_FLAGS;
	world->words[PDPT / 8] = PD | TABLE_FLAGS;
	world->words[PD / 8] = PT | TABLE_FLAGS;
	world->words[PT / 8 + 1] = X | LEAF_FLAGS;
	world->words[PT / 8 + 2] = Z | LEAF_FLAGS;
	load_cr3(world, 1, ROOT, LEGAL_FLUSH_ALL);
	load_cr3(world, 0, ROOT, LEGAL_FLUSH_ALL);
	*state = world;
	return 0;
}

int world_tear_down(void **state)
{
	struct world *world = *state;

	assert_int_equal(legal_undecided(world->legal), 0);
	legal_free(world->legal);
	free(world);
	return 0;
}
