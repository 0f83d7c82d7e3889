/* SPDX-License-Identifier: MIT */
/*
 * The world that the fuzzer's bytes talk about: few table frames, few indices, frames with a
 * meaning, and a window in every mode through which the guest can store into its tables.
 */
#include "lab/fuzz.h"

#include "x86/x86.h"

#include <stddef.h>

/* Two tables of each level, shared by all modes: level 1 at 0x12 and 0x13, level 5 at 0x1a, 0x1b.
 */
#define TABLE_GFN(level, which) (0x10ull + 2 * (level) + (which))

/* The window's tables below the root: 8-byte entries, level 1 to 3, and 4-byte entries, level 1. */
#define WINDOW_GFN(level) (0x1bull + (level))
#define WINDOW_SHORT_GFN  0x1full
#define WINDOW_FRAMES     0x40u

/* The root's entry for the window is its last index; PAE's is register 3. */
#define WINDOW_INDEX 3u

static const struct {
	unsigned levels;
	unsigned index_bits;
	uint64_t cr4;
} modes[FUZZ_N_MODES] = {
	[FUZZ_UNPAGED] = {0, 9, 0},
	[FUZZ_2LEVEL] = {2, 10, 0},
	[FUZZ_2LEVEL_PSE] = {2, 10, X86_CR4_PSE},
	[FUZZ_PAE] = {3, 9, X86_CR4_PAE},
	[FUZZ_4LEVEL] = {4, 9, X86_CR4_PAE},
	[FUZZ_5LEVEL] = {5, 9, X86_CR4_PAE | X86_CR4_LA57},
};

/* What entries lead to: tables, the window, data, and the edges of what there is. */
static const uint64_t targets[32] = {0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x1b,
	0x1c, 0x1d, 0x1e, 0x1f, 0x20, 0x21, 0x22, 0x208, 0x20a, 0x5f, 0x60, 0x903, 0xc00, 0x100006,
	/* 2M, 4M and 1G pages */
	0x200, 0x600, 0, 0x400, 0x800, 0x100000, 0x80000, 0x3000};

unsigned fuzz_entry_bytes(enum fuzz_mode mode)
{
	return modes[mode].index_bits == 10 ? 4 : 8;
}

unsigned fuzz_levels(enum fuzz_mode mode)
{
	return modes[mode].levels;
}

static bool is_long(enum fuzz_mode mode)
{
	return modes[mode].levels >= 4;
}

/* The index that a short one stands for. */
static uint64_t index_of(enum fuzz_mode mode, unsigned level, unsigned code)
{
	static const uint64_t wide[4] = {0, 1, 0x1ff, 0x100};
	static const uint64_t narrow[4] = {0, 1, 0x3ff, 0x200};

	if (mode == FUZZ_PAE && level == 3)
		return code & 3;
	return (modes[mode].index_bits == 10 ? narrow : wide)[code & 3];
}

static uint64_t canonical(enum fuzz_mode mode, uint64_t gva)
{
	unsigned unused = mode == FUZZ_5LEVEL ? 7 : 16;

	return is_long(mode) ? (uint64_t)((int64_t)(gva << unused) >> unused) : (uint32_t)gva;
}

static unsigned shift_of(enum fuzz_mode mode, unsigned level)
{
	return X86_PAGE_SHIFT + (level - 1) * modes[mode].index_bits;
}

uint64_t fuzz_gva(enum fuzz_mode mode, unsigned code)
{
	/* The low half of the offsets are those of entries that are in use. */
	unsigned offset = code >> 10 & 63;
	uint64_t gva = offset < 32
			       ? (index_of(mode, 1, offset) * fuzz_entry_bytes(mode)) ^ offset >> 2
			       : offset * 64;

	if (mode == FUZZ_UNPAGED)
		return targets[code & 31] << X86_PAGE_SHIFT | (gva & 0xfff);
	for (unsigned level = 1; level <= modes[mode].levels; level++)
		gva |= index_of(mode, level, code >> 2 * (level - 1)) << shift_of(mode, level);
	return canonical(mode, gva);
}

uint64_t fuzz_window(enum fuzz_mode mode, uint64_t gpa)
{
	unsigned top = modes[mode].levels;
	uint64_t gva = gpa & ((WINDOW_FRAMES << X86_PAGE_SHIFT) - 1);

	if (!top)
		return (uint32_t)gpa;
	gva |= index_of(mode, top, WINDOW_INDEX) << shift_of(mode, top);
	/* With five levels the window is that of a table of level 4. */
	if (top == 5)
		gva |= index_of(mode, 4, WINDOW_INDEX) << shift_of(mode, 4);
	return canonical(mode, gva);
}

uint64_t fuzz_entry(
	enum fuzz_mode mode, unsigned level, unsigned flags, unsigned target, unsigned flip)
{
	static const uint64_t bits[8] = {X86_PTE_P, X86_PTE_W, X86_PTE_U, X86_PTE_A, X86_PTE_D,
		X86_PTE_NX, X86_PTE_G, X86_PTE_PS};
	uint64_t entry = targets[target & 31] << X86_PAGE_SHIFT;

	for (unsigned i = 0; i < 8; i++)
		entry |= flags >> i & 1 ? bits[i] : 0;
	if (mode == FUZZ_PAE && level == 3)
		entry &= X86_PTE_P | X86_PTE_FRAME;
	else if (is_long(mode))
		entry |= (uint64_t)(target >> 5 & 7) << X86_PTE_PK_SHIFT;
	if (flip)
		entry ^= 1ull << ((flip - 1) & 63);
	return fuzz_entry_bytes(mode) == 4 ? (uint32_t)entry : entry;
}

uint64_t fuzz_slot(enum fuzz_mode mode, unsigned level, unsigned which, unsigned index)
{
	return (TABLE_GFN(level, which & 1) << X86_PAGE_SHIFT) +
	       index_of(mode, level, index) * fuzz_entry_bytes(mode);
}

void fuzz_regs(enum fuzz_mode mode, unsigned which, unsigned features, struct step *step)
{
	static const uint64_t cr4_bits[8] = {[2] = X86_CR4_SMEP,
		[3] = X86_CR4_SMAP,
		[4] = X86_CR4_PKE,
		[5] = X86_CR4_PKS,
		[6] = X86_CR4_PGE};
	unsigned levels = modes[mode].levels;

	step->cr0 = X86_CR0_PE | (levels ? X86_CR0_PG : 0) | (features & 1 ? X86_CR0_WP : 0);
	step->cr3 = levels ? TABLE_GFN(levels, which & 1) << X86_PAGE_SHIFT : 0;
	step->cr4 = modes[mode].cr4;
	for (unsigned i = 0; i < 7; i++)
		step->cr4 |= features >> i & 1 ? cr4_bits[i] : 0;
	if ((features & 0x80) && is_long(mode))
		step->cr4 |= X86_CR4_PCIDE;
	step->efer = (is_long(mode) ? X86_EFER_LME | X86_EFER_LMA : 0) |
		     (features & 2 ? X86_EFER_NXE : 0);
}

/* ---- the tables of the beginning ---- */

static void poke(struct trace *trace, uint64_t gpa, uint64_t value, unsigned n_bytes)
{
	const struct step step = {
		.kind = STEP_POKE, .gpa = gpa, .value = value, .bytes = n_bytes, .nonce = 1};

	trace_add(trace, &step);
}

/* Tables of long mode, which PAE shares but for the PDPTEs: index I of each table leads to table
 * I & 1 of the level below, or to data. The last index of a root is the window. */
static void build_wide(struct trace *trace)
{
	for (unsigned level = 1; level <= 5; level++)
		for (unsigned n = 0; n < 8; n++) {
			unsigned which = n / 4;
			unsigned index = n % 4;
			uint64_t gfn = level == 1 ? 0x20 + n : TABLE_GFN(level - 1, index & 1);

			if (level >= 3 && index == WINDOW_INDEX)
				gfn = level == 5 ? TABLE_GFN(4, 0) : WINDOW_GFN(level - 1);
			poke(trace, fuzz_slot(FUZZ_5LEVEL, level, which, index),
				gfn << X86_PAGE_SHIFT | X86_PTE_P | X86_PTE_W | X86_PTE_U, 8);
		}
}

/* The window's own tables; a root's entry leads to the one of the level below. */
static void build_window(struct trace *trace)
{
	uint64_t flags = X86_PTE_P | X86_PTE_W;

	for (unsigned level = 2; level <= 3; level++)
		poke(trace, WINDOW_GFN(level) << X86_PAGE_SHIFT,
			WINDOW_GFN(level - 1) << X86_PAGE_SHIFT | flags, 8);
	for (uint64_t gfn = 0x10; gfn < 0x24; gfn++) {
		poke(trace, (WINDOW_GFN(1) << X86_PAGE_SHIFT) + gfn * 8,
			gfn << X86_PAGE_SHIFT | flags, 8);
		poke(trace, (WINDOW_SHORT_GFN << X86_PAGE_SHIFT) + gfn * 4,
			gfn << X86_PAGE_SHIFT | flags, 4);
	}
}

/* A machine that begins with 4-byte entries has these in the tables of levels 1 and 2; PAE has
 * PDPTEs in those of level 3. */
static void build_mode(struct trace *trace, enum fuzz_mode mode)
{
	unsigned top = modes[mode].levels;

	if (mode == FUZZ_PAE)
		for (unsigned n = 0; n < 8; n++)
			poke(trace, fuzz_slot(mode, 3, n / 4, n % 4),
				(n % 4 == WINDOW_INDEX ? WINDOW_GFN(2) : TABLE_GFN(2, n & 1))
						<< X86_PAGE_SHIFT |
					X86_PTE_P,
				8);
	if (modes[mode].index_bits != 10)
		return;
	for (unsigned level = 1; level <= top; level++)
		for (unsigned n = 0; n < 8; n++) {
			uint64_t gfn = level == 1              ? 0x20 + n
				       : n % 4 == WINDOW_INDEX ? WINDOW_SHORT_GFN
							       : TABLE_GFN(1, n & 1);

			poke(trace, fuzz_slot(mode, level, n / 4, n % 4),
				gfn << X86_PAGE_SHIFT | X86_PTE_P | X86_PTE_W | X86_PTE_U, 4);
		}
}

void fuzz_build(struct trace *trace, enum fuzz_mode mode)
{
	build_wide(trace);
	build_window(trace);
	build_mode(trace, mode);
}
