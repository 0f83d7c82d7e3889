/* SPDX-License-Identifier: MIT */
/* Which frames the random guest uses, and what it writes into entries. */
#include "lab/gen_entry.h"

#include "lab/machine.h"
#include "x86/x86.h"

/* Table frames by the level they are made for; used at all levels all the same. */
static const uint64_t table_gfns[] = {
	0x10, 0x11, 0x12,                                      /* level 4 */
	0x13, 0x1f9, 0x100006,                                 /* level 3 */
	0x14, 0x15, 0x16, 0x205, 0x601, 0x17,                  /* level 2 */
	0x18, 0x19, 0x1a, 0x1b, 0x206, 0x207, 0x602, 0x10000a, /* level 1 */
};
#define N_TABLES (sizeof(table_gfns) / sizeof(table_gfns[0]))

static const unsigned level_first[5] = {[4] = 0, [3] = 3, [2] = 6, [1] = 12};
static const unsigned level_count[5] = {[4] = 3, [3] = 3, [2] = 6, [1] = 8};

/* Frames with a meaning: bounds of ranges, absent ones, and host frame numbers of other things. */
static const uint64_t odd_gfns[] = {
	0x5f,
	0x60,
	0x1f7,
	0x1f8,
	0x407,
	0x408,
	0x903,
	0x90a,
	0x90b,
	0xc00,
	0xc03,
	0xc04,
	0x3000,
	0x3001,
	0x10123,
	0x70007,
	0x80000,
	0xa0000,
	0x100005,
	0x100024,
	0x100025,
	0xfffffff,
};
#define N_ODD (sizeof(odd_gfns) / sizeof(odd_gfns[0]))

uint64_t entry_gfn(struct rng *rng)
{
	switch (rng_below(rng, 8)) {
	case 0:
		return odd_gfns[rng_below(rng, N_ODD)];
	case 1:
		return table_gfns[rng_below(rng, N_TABLES)];
	case 2:
		return 0x208 + rng_below(rng, 16);
	case 3:
		return 0x604 + rng_below(rng, 8);
	default:
		return 0x20 + rng_below(rng, 12);
	}
}

uint64_t entry_table(struct rng *rng, unsigned level)
{
	if (level < 1 || level > 4 || rng_percent(rng, 8))
		return table_gfns[rng_below(rng, N_TABLES)];
	return table_gfns[level_first[level] + rng_below(rng, level_count[level])];
}

uint64_t entry_maybe(struct rng *rng, unsigned percent, uint64_t bits)
{
	return rng_percent(rng, percent) ? bits : 0;
}

/* The flags of an entry of @level: upper entries deny less, else hardly anything would be allowed.
 */
static uint64_t pick_flags(struct rng *rng, unsigned level)
{
	unsigned grant = level == 1 ? 75 : 92;
	uint64_t flags = entry_maybe(rng, 95, X86_PTE_P) | entry_maybe(rng, grant, X86_PTE_W) |
			 entry_maybe(rng, grant, X86_PTE_U) | entry_maybe(rng, 50, X86_PTE_A) |
			 entry_maybe(rng, 40, X86_PTE_D) | entry_maybe(rng, 15, X86_PTE_G) |
			 entry_maybe(rng, level == 1 ? 10 : 3, X86_PTE_NX) |
			 entry_maybe(rng, 4, X86_PTE_PWT) | entry_maybe(rng, 4, X86_PTE_PCD);

	if (rng_percent(rng, 4))
		flags |= (rng_u64(rng) & 0x7f) << 52; /* ignored */
	if (rng_percent(rng, 4))
		flags |= rng_u64(rng) & X86_PTE_PK;
	if (rng_percent(rng, 1))
		flags |= 1ull << (MACHINE_MAXPHYADDR + rng_below(rng, 52 - MACHINE_MAXPHYADDR));
	return flags;
}

uint64_t entry_pick(struct rng *rng, unsigned level)
{
	uint64_t flags = pick_flags(rng, level);

	if (rng_percent(rng, 1))
		return rng_u64(rng);
	if (level == 1)
		return flags | entry_maybe(rng, 5, X86_PTE_PAT_4K) |
		       entry_gfn(rng) << X86_PAGE_SHIFT;
	if (level == 2 && rng_percent(rng, 25)) {
		static const uint64_t large_gfns[] = {
			0x200, 0x200, 0x200, 0, 0x400, 0x600, 0x100000, 0x800, 0xc00};
		uint64_t gfn = large_gfns[rng_below(rng, 9)] + entry_maybe(rng, 3, 0x20);

		return flags | X86_PTE_PS | entry_maybe(rng, 8, X86_PTE_PAT_LARGE) |
		       gfn << X86_PAGE_SHIFT;
	}
	if (level == 3 && rng_percent(rng, 6)) {
		uint64_t gfn = entry_maybe(rng, 30, 0x100000) + entry_maybe(rng, 3, 0x200);

		return flags | X86_PTE_PS | entry_maybe(rng, 8, X86_PTE_PAT_LARGE) |
		       gfn << X86_PAGE_SHIFT;
	}
	if (level == 4 && rng_percent(rng, 1))
		return flags | X86_PTE_PS | entry_table(rng, 3) << X86_PAGE_SHIFT;
	if (rng_percent(rng, 4))
		return flags | entry_gfn(rng) << X86_PAGE_SHIFT;
	return flags | entry_table(rng, level - 1) << X86_PAGE_SHIFT;
}

uint64_t entry_edited(struct rng *rng, uint64_t entry, unsigned level)
{
	/* What denies everything is repaired more often than not, else the tables wither. */
	if ((!(entry & X86_PTE_P) || entry >> MACHINE_MAXPHYADDR) && rng_percent(rng, 80))
		return entry_pick(rng, level) | X86_PTE_P;
	switch (rng_below(rng, 14)) {
	case 0:
		return 0;
	case 1:
		return entry & ~X86_PTE_P;
	case 2:
		return entry & ~X86_PTE_W;
	case 3:
		return entry & ~(X86_PTE_A | X86_PTE_D);
	case 4:
		return entry & ~X86_PTE_A;
	case 5:
		return entry ^ X86_PTE_U;
	case 6:
		return entry ^ X86_PTE_NX;
	case 7:
		return entry | X86_PTE_P | X86_PTE_W | X86_PTE_U;
	case 8:
		return level == 2 ? (entry ^ X86_PTE_PS) & ~0x1ff000ull : entry ^ X86_PTE_G;
	case 9:
		return entry ^ (X86_PAGE_SIZE << rng_below(rng, 3));
	default:
		return entry_pick(rng, level);
	}
}

uint64_t entry_nth_table(unsigned level, unsigned n)
{
	return n < level_count[level] ? table_gfns[level_first[level] + n] : ENTRY_NO_TABLE;
}
