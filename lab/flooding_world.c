/* SPDX-License-Identifier: MIT */
/* A small tree of tables around one, and what can happen to it. */
#include "lab/flooding_world.h"

#include "x86/x86.h"

#include <string.h>

/* Frames of the tree, in use from the root down, and of the window's table. */
#define ROOT   0x10ull
#define LEVEL3 0x12ull
#define LEVEL2 0x13ull
#define WINDOW 0x14ull /* level 2, with large pages */
#define LEAVES 0x15ull /* 2M of level 1, below entries of a table of level 2 */
#define STAYS  0x16ull /* level 2, leads to LEAVES whatever becomes of the table in question */
#define DATA   0x20ull
#define N_DATA 16u

#define FLAGS      (X86_PTE_P | X86_PTE_W | X86_PTE_U | X86_PTE_A | X86_PTE_D)
#define WINDOW_GVA (1ull << 30)
#define STAYS_GVA  (2ull << 30)

static void do_step(struct flooding_world *world, struct step *step)
{
	step->nonce = (uint32_t)rng_u64(&world->rng);
	world->n_events++;
	machine_step(world->machine, step);
}

static void poke(struct flooding_world *world, uint64_t gfn, unsigned index, uint64_t value)
{
	struct step step = {
		.kind = STEP_POKE,
		.gpa = (gfn << X86_PAGE_SHIFT) + index * 8,
		.bytes = 8,
		.value = value,
	};

	do_step(world, &step);
}

static void link(struct flooding_world *world, uint64_t gfn, unsigned index, uint64_t to)
{
	poke(world, gfn, index, to << X86_PAGE_SHIFT | FLAGS);
}

static void fill(struct flooding_world *world)
{
	for (unsigned i = 0; i < N_DATA; i++)
		link(world, world->gfn, i, world->level == 1 ? DATA + i : LEAVES);
}

/* Paging with the tree; what is cached goes whenever CR4.PGE changes. */
static void load_regs(struct flooding_world *world)
{
	struct step regs = {
		.kind = STEP_REGS,
		.cr0 = X86_CR0_PE | X86_CR0_PG | X86_CR0_WP,
		.cr3 = ROOT << X86_PAGE_SHIFT,
		.cr4 = X86_CR4_PAE | (world->pge ? X86_CR4_PGE : 0),
		.efer = X86_EFER_LME | X86_EFER_LMA,
	};

	do_step(world, &regs);
}

void flooding_move(struct flooding_world *world, uint64_t gfn)
{
	world->gfn = gfn;
	fill(world);
	link(world, world->level == 1 ? LEVEL2 : LEVEL3, 0, gfn);
	flooding_flush(world);
}

uint64_t flooding_slot(const struct flooding_world *world, unsigned index)
{
	return (world->gfn << X86_PAGE_SHIFT) + index * 8;
}

uint64_t flooding_entry(const struct flooding_world *world, unsigned index)
{
	uint64_t entry;

	memcpy(&entry, memory_at(&world->machine->memory, flooding_slot(world, index)), 8);
	return entry;
}

static void store(struct flooding_world *world, uint64_t gpa, enum step_op op, uint64_t value,
	unsigned n_bytes, bool user)
{
	struct step step = {
		.kind = STEP_STORE,
		.op = op,
		.gva = WINDOW_GVA + gpa,
		.value = value,
		.bytes = n_bytes,
		.cpl = user ? 3 : 0,
	};

	do_step(world, &step);
}

void flooding_store(struct flooding_world *world, unsigned index, enum step_op op, uint64_t value,
	unsigned n_bytes, bool user)
{
	store(world, flooding_slot(world, index), op, value, n_bytes, user);
}

void flooding_store_high(struct flooding_world *world, unsigned index, uint64_t value)
{
	store(world, flooding_slot(world, index) + 4, STEP_OP_MOV, value, 4, false);
}

/* Some address that the entry translates. */
static uint64_t gva_of(const struct flooding_world *world, unsigned index)
{
	return (uint64_t)index << (world->level == 1 ? 12 : 21);
}

void flooding_use(struct flooding_world *world, unsigned index, bool write)
{
	struct step step = {
		.kind = write ? STEP_STORE : STEP_LOAD,
		.gva = gva_of(world, index) + 0x100,
		.bytes = 8,
		.cpl = 3,
	};

	do_step(world, &step);
}

void flooding_flush(struct flooding_world *world)
{
	struct step step = {.kind = STEP_CR3, .value = ROOT << X86_PAGE_SHIFT};

	do_step(world, &step);
}

void flooding_flush_all(struct flooding_world *world)
{
	world->pge = !world->pge;
	load_regs(world);
}

void flooding_invlpg(struct flooding_world *world, unsigned index)
{
	struct step step = {.kind = STEP_INVLPG, .gva = gva_of(world, index)};

	do_step(world, &step);
}

void flooding_build(
	struct flooding_world *world, struct machine *machine, unsigned level, uint64_t gfn)
{
	struct step use = {.kind = STEP_LOAD, .gva = STAYS_GVA, .bytes = 8};

	*world = (struct flooding_world){
		.machine = machine,
		.level = level,
		.rng = rng_seed(gfn),
	};
	link(world, ROOT, 0, LEVEL3);
	link(world, LEVEL3, 0, LEVEL2);
	link(world, LEVEL3, 1, WINDOW);
	link(world, LEVEL3, 2, STAYS);
	link(world, STAYS, 0, LEAVES);
	for (unsigned i = 0; i < 4; i++)
		poke(world, WINDOW, i, (uint64_t)i << 21 | FLAGS | X86_PTE_PS);
	for (unsigned i = 0; i < N_DATA; i++)
		link(world, LEAVES, i, DATA + i);
	load_regs(world);
	/* All shadows there will be, but for the table's own. */
	do_step(world, &use);
	world->gfn = gfn;
	flooding_store(world, 0, STEP_OP_MOV, 0, 8, false);
	flooding_move(world, gfn);
}
