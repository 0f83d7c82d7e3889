/* SPDX-License-Identifier: MIT */
/*
 * The path of tables of tests/unit/oracle_world.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/oracle_world.h"

static uint64_t read_world(void *context, uint64_t gpa, unsigned n_bytes)
{
	const struct world *world = context;
	uint64_t word;

	assert_int_equal(gpa % n_bytes, 0);
	if (gpa / 8 >= N_WORDS)
		return n_bytes == 8 ? UINT64_MAX : UINT32_MAX;
	word = world->words[gpa / 8];
	return n_bytes == 8 ? word : (word >> (8 * (gpa & 7))) & UINT32_MAX;
}

static void write_entry(struct world *world, uint64_t gpa, uint64_t value)
{
	uint64_t *word = &world->words[gpa / 8];

	if (oracle_entry_bytes(&world->cpu) == 8)
		*word = value;
	else
		*word |= value << (8 * (gpa & 7));
}

/* The indices are written out, to be independent of the walker's. */
uint64_t entry_gpa(const struct world *world, unsigned level)
{
	uint64_t gva = oracle_linear(&world->cpu, world->access.gva);

	if (oracle_mode(&world->cpu) == ORACLE_32BIT)
		return ((uint64_t)level << 12) + (level == 2 ? gva >> 22 : gva >> 12 & 1023) * 4;
	return ((uint64_t)level << 12) + (gva >> (3 + 9 * level) & 511) * 8;
}

uint64_t page_base(const struct world *world)
{
	return oracle_mode(&world->cpu) == ORACLE_32BIT ? 0xc0000000 : PAGE;
}

static void set_up_cpu(struct oracle_cpu *cpu, const struct row *row)
{
	*cpu = (struct oracle_cpu){
		.cr0 = row->cr0 | ORACLE_CR0_PE | (row->mode ? ORACLE_CR0_PG : 0),
		.cr3 = (uint64_t)row->mode << 12,
		.cr4 = row->cr4 | (row->mode >= ORACLE_PAE ? ORACLE_CR4_PAE : 0) |
		       (row->mode == ORACLE_5LEVEL ? ORACLE_CR4_LA57 : 0),
		.efer = row->efer | (row->mode >= ORACLE_4LEVEL ? ORACLE_EFER_LME : 0),
		.pkru = row->pkru,
		.pkrs = row->pkrs,
		.ac = row->ac,
		.maxphyaddr = row->width ? row->width : 46,
		.has_1g_pages = row->has_1g,
		.has_pse36 = row->pse36,
		.upper_bit8_rsvd = row->amd,
	};
}

void set_up(struct world *world, const struct row *row)
{
	unsigned leaf = row->leaf ? row->leaf : 1;
	unsigned top = row->mode == ORACLE_PAE ? 2 : row->mode;

	memset(world, 0, sizeof(*world));
	set_up_cpu(&world->cpu, row);
	world->memory = (struct oracle_memory){.read = read_world, .context = world};
	world->access = (struct oracle_access){
		.gva = GVA,
		.kind = row->kind,
		.user = row->user,
		.implicit = row->implicit,
	};
	if (row->mode == ORACLE_PAE)
		world->cpu.pdpte[2] = ((2ull << 12) | P | row->set[3]) & ~row->clear[3];
	for (unsigned level = leaf; level <= top; level++) {
		uint64_t value = P | ORACLE_W | ORACLE_U;

		value |= level == leaf ? page_base(world) : (uint64_t)(level - 1) << 12;
		if (level == leaf && level > 1)
			value |= ORACLE_PS;
		value = (value | row->set[level]) & ~row->clear[level];
		write_entry(world, entry_gpa(world, level), value);
	}
}

void perform(struct world *world, struct oracle_result *result)
{
	oracle_access(&world->cpu, &world->memory, &world->access, result);
}
