/* SPDX-License-Identifier: MIT */
/* Register writes; see enum_regs.h. The rules here are the manual's, not the library's. */
#include "lab/enum_regs.h"

#include "x86/x86.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define GVA      0x40015ab8ull
#define PDPT     0x17060ull /* PAE: register 1 is for GVA */
#define DATA_PDE 0x40200083ull
#define N_FROM   8u
#define N_CR3    7u
#define N_MEMORY 4u

/* Page tables for GVA in every mode. Two of level 2 for PAE, at 0x16 and 0x1b: they map different
 * pages. */
static const struct enum_word tables[] = {
	{0x1a400, 0x15003},                                     /* 2-level */
	{0x15054, 0x40155003},                                  /* 4 bytes */
	{PDPT + 8, 0x16001},                                    /* PAE */
	{0x16000, DATA_PDE},                                    /* 2M */
	{0x1b000, DATA_PDE + (2ull << 21)}, {0x17008, 0x16003}, /* 4-level */
	{0x18000, 0x17003}, {0x19000, 0x18003},                 /* 5-level */
};

static const struct umbra_paging_regs froms[N_FROM] = {
	{0, 0, 0, 0},
	{X86_CR0_PE, 0x1a000, X86_CR4_PAE, X86_EFER_LME},
	{X86_CR0_PE | X86_CR0_PG, 0x1a000, 0, 0},
	{X86_CR0_PE | X86_CR0_PG, 0x1a000, X86_CR4_PSE | X86_CR4_PGE, X86_EFER_NXE},
	{X86_CR0_PE | X86_CR0_PG, PDPT, X86_CR4_PAE, 0},
	{X86_CR0_PE | X86_CR0_PG, PDPT, X86_CR4_PAE | X86_CR4_PGE | X86_CR4_SMEP, X86_EFER_NXE},
	{X86_CR0_PE | X86_CR0_PG, 0x18000, X86_CR4_PAE | X86_CR4_PCIDE,
		X86_EFER_LME | X86_EFER_LMA},
	{X86_CR0_PE | X86_CR0_PG, 0x19000, X86_CR4_PAE | X86_CR4_LA57,
		X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE},
};

static const uint64_t cr3s[N_CR3] = {
	0x1a000, PDPT, 0x18000, 0x19000, 0x18123, 0x18000 | 1ull << 40, 0x18000 | 1ull << 63};

/* What the PDPTE for GVA becomes meanwhile: 0 stays. */
static const uint64_t pdptes[N_MEMORY] = {0x16001, 0x1b001, 0x16003, 0x16000};

static const uint64_t cr0_bits[] = {X86_CR0_PE, X86_CR0_PG, X86_CR0_CD};
static const uint64_t cr4_bits[] = {
	X86_CR4_PSE, X86_CR4_PAE, X86_CR4_PGE, X86_CR4_LA57, X86_CR4_PCIDE, X86_CR4_SMEP};
static const uint64_t efer_bits[] = {X86_EFER_LME, X86_EFER_LMA, X86_EFER_NXE, X86_EFER_TCE};

uint64_t enum_regs_size(void)
{
	return (uint64_t)N_FROM * N_CR3 * N_MEMORY << 13;
}

/* The lowest digit, of base @base, of *@index, which loses it. */
static unsigned digit(uint64_t *index, unsigned base)
{
	unsigned value = (unsigned)(*index % base);

	*index /= base;
	return value;
}

static uint64_t choose(uint64_t *index, const uint64_t *bits, unsigned n)
{
	uint64_t chosen = 0;

	for (unsigned i = 0; i < n; i++)
		chosen |= digit(index, 2) ? bits[i] : 0;
	return chosen;
}

/* ---- the rules ---- */

static bool is_pae(const struct umbra_paging_regs *regs)
{
	return (regs->cr0 & X86_CR0_PG) && (regs->cr4 & X86_CR4_PAE) &&
	       !(regs->efer & X86_EFER_LMA);
}

/* SDM 3A "Control Registers", "Four-Level and Five-Level Paging", "Extended Feature Enable
 * Register", "Process-Context Identifiers"; APM 2 "Long Mode Consistency Checks". */
static bool consistent(const struct umbra_paging_regs *regs, unsigned maxphyaddr)
{
	bool pe = regs->cr0 & X86_CR0_PE;
	bool pg = regs->cr0 & X86_CR0_PG;
	bool pae = regs->cr4 & X86_CR4_PAE;
	bool lme = regs->efer & X86_EFER_LME;
	bool lma = regs->efer & X86_EFER_LMA;

	if ((pg && !pe) || lma != (pg && lme) || (lma && !pae))
		return false;
	if ((regs->cr4 & X86_CR4_PCIDE) && !lma)
		return false;
	return !lma || !(regs->cr3 >> maxphyaddr);
}

/* SDM 3A "PDPTE Registers": MOV to CR3, and MOV to CR0 or CR4 that changes one of these bits, load
 * them if PAE paging is in use afterwards. */
static bool loads_pdptes(const struct umbra_paging_regs *from, const struct umbra_paging_regs *to)
{
	uint64_t cr0 = X86_CR0_CD | X86_CR0_NW | X86_CR0_PG;
	uint64_t cr4 = X86_CR4_PAE | X86_CR4_PGE | X86_CR4_PSE | X86_CR4_SMEP;

	return is_pae(to) &&
	       (!is_pae(from) || from->cr3 != to->cr3 || ((from->cr0 ^ to->cr0) & cr0) ||
		       ((from->cr4 ^ to->cr4) & cr4));
}

/* ---- doing it ---- */

static void poke(struct enum_world *world, uint64_t gpa, uint64_t value)
{
	if (enum_world_word(world, gpa, 8) != value)
		enum_world_poke(world, &(struct enum_word){gpa, value}, 8);
}

static void read_pdptes(const struct enum_world *world, uint64_t cr3, uint64_t pdpte[4])
{
	for (unsigned i = 0; i < 4; i++)
		pdpte[i] = enum_world_word(world, (cr3 & 0xffffffe0) + i * 8, 8);
}

/* Must the registers of @picture be taken, coming from those of the world? Then @pdpte is what the
 * PDPTE registers hold. */
static bool legal(const struct enum_world *world, const struct picture *picture, uint64_t pdpte[4])
{
	const struct oracle_cpu cpu = enum_world_cpu(world, picture);

	memcpy(pdpte, world->pdpte, sizeof(world->pdpte));
	if (!consistent(&picture->regs, world->maxphyaddr))
		return false;
	if (!loads_pdptes(&world->picture.regs, &picture->regs))
		return true;
	read_pdptes(world, picture->regs.cr3, pdpte);
	for (unsigned i = 0; i < 4; i++)
		if (!oracle_pdpte_loadable(&cpu, pdpte[i]))
			return false;
	return true;
}

/* One access at GVA. */
static enum enum_verdict access_there(struct enum_world *world, char *why, size_t why_bytes)
{
	struct enum_expected expected;
	struct enum_seen seen;

	world->picture.entry_bytes = world->picture.regs.cr4 & X86_CR4_PAE ? 8 : 4;
	enum_expect(world, &enum_whos[0], &expected);
	enum_world_access(world, &enum_whos[0], &seen);
	return enum_check(world, &enum_whos[0], &expected, &seen, why, why_bytes);
}

static void begin(struct enum_world *world, const struct umbra_paging_regs *from)
{
	struct picture picture = {.regs = *from, .gva = GVA};

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		poke(world, tables[i].gpa, tables[i].value);
	world->picture = picture;
	if (!enum_world_load(world, &picture))
		lab_fail(world->fail, "the registers to begin with are refused");
	read_pdptes(world, from->cr3, world->pdpte);
}

enum enum_verdict enum_regs_one(
	struct enum_world *world, uint64_t index, char *why, size_t why_bytes)
{
	struct picture picture = {.gva = GVA};
	uint64_t pdpte[4];
	enum enum_verdict verdict;
	unsigned memory;
	bool taken;
	bool should;
	size_t used;

	picture.regs.cr0 = choose(&index, cr0_bits, 3);
	picture.regs.cr4 = choose(&index, cr4_bits, 6);
	picture.regs.efer = choose(&index, efer_bits, 4);
	memory = digit(&index, N_MEMORY);
	picture.regs.cr3 = cr3s[digit(&index, N_CR3)];
	begin(world, &froms[index]);
	verdict = access_there(world, why, why_bytes);
	if (verdict != VERDICT_RIGHT)
		return verdict;
	poke(world, PDPT + 8, pdptes[memory]);
	should = legal(world, &picture, pdpte);
	taken = enum_world_set_regs(world, &picture.regs);
	if (taken) {
		world->picture = picture;
		memcpy(world->pdpte, pdpte, sizeof(pdpte));
	}
	used = (size_t)snprintf(why, why_bytes,
		"from %" PRIu64 " to cr0 0x%" PRIx64 " cr3 0x%" PRIx64 " cr4 0x%" PRIx64
		" efer 0x%" PRIx64 ", pdpte 0x%" PRIx64 ": %s ",
		index, picture.regs.cr0, picture.regs.cr3, picture.regs.cr4, picture.regs.efer,
		pdptes[memory], taken ? "taken" : "refused");
	if (taken != should)
		return VERDICT_REGISTERS;
	return access_there(world, why + used, why_bytes - used);
}
