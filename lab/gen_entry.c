/* SPDX-License-Identifier: MIT */
/* Which frames the random guest uses, and what it writes into entries. */
#include "lab/gen_entry.h"

#include "lab/machine.h"
#include "x86/x86.h"

/* Bits of a 4M page's entry: those that PSE-36 makes address bits 39:32, and the reserved one.
 * SDM 3A "32-Bit Paging". */
#define PSE36_SHIFT    13
#define PSE36_BITS     0x1fe000u
#define PSE36_RESERVED 0x200000u

/* Table frames by what they are made for; used for everything all the same. */
static const uint64_t table_gfns[] = {
	0x0e, 0x0f,                                            /* level 5 */
	0x10, 0x11, 0x12,                                      /* level 4 */
	0x13, 0x1f9, 0x100006,                                 /* level 3 */
	0x14, 0x15, 0x16, 0x205, 0x601, 0x17,                  /* level 2 */
	0x18, 0x19, 0x1a, 0x1b, 0x206, 0x207, 0x602, 0x10000a, /* level 1 */
	0x2c, 0x2d,                                            /* PAE, level 3 */
	0x2e, 0x2f, 0x603,                                     /* 2-level, level 2 */
	0x30, 0x31, 0x32, 0x208, 0x209,                        /* 2-level, level 1 */
};
#define N_TABLES (sizeof(table_gfns) / sizeof(table_gfns[0]))

struct group {
	unsigned first;
	unsigned count;
};

static const struct group long_groups[6] = {{0, 0}, {14, 8}, {8, 6}, {5, 3}, {2, 3}, {0, 2}};
static const struct group pae_groups[4] = {{0, 0}, {14, 8}, {8, 6}, {22, 2}};
static const struct group short_groups[3] = {{0, 0}, {27, 5}, {24, 3}};

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
	0xe05,
	0xffe,
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

static struct group group_of(enum paging mode, unsigned level)
{
	if (level > paging_rows[mode].levels)
		return (struct group){0, 0};
	if (mode == PAGING_2LEVEL)
		return short_groups[level];
	return mode == PAGING_PAE ? pae_groups[level] : long_groups[level];
}

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

uint64_t entry_table(struct rng *rng, const struct entry_style *style, unsigned level)
{
	struct group group = group_of(style->mode, level);

	/* Read-only memory is full of entries. */
	if (rng_percent(rng, 2))
		return (rng_percent(rng, 70) ? 0x903 : 0xe00) + rng_below(rng, 8);
	if (!group.count || rng_percent(rng, style->mixed))
		return table_gfns[rng_below(rng, N_TABLES)];
	return table_gfns[group.first + rng_below(rng, group.count)];
}

uint64_t entry_nth_table(enum paging mode, unsigned level, unsigned n)
{
	struct group group = group_of(mode, level);

	return n < group.count ? table_gfns[group.first + n] : ENTRY_NO_TABLE;
}

uint64_t entry_root(struct rng *rng, enum paging mode)
{
	static const uint64_t pdpt_offsets[] = {0, 0, 0x20, 0xfe0};
	struct group group = group_of(mode, paging_rows[mode].levels);
	uint64_t offset = mode == PAGING_PAE ? pdpt_offsets[rng_below(rng, 4)] : 0;

	if (!group.count)
		return 0;
	return table_gfns[group.first + rng_below(rng, group.count)] << X86_PAGE_SHIFT | offset;
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

	return entry_maybe(rng, 95, X86_PTE_P) | entry_maybe(rng, grant, X86_PTE_W) |
	       entry_maybe(rng, grant, X86_PTE_U) | entry_maybe(rng, 50, X86_PTE_A) |
	       entry_maybe(rng, 40, X86_PTE_D) | entry_maybe(rng, 15, X86_PTE_G) |
	       entry_maybe(rng, 4, X86_PTE_PWT) | entry_maybe(rng, 4, X86_PTE_PCD);
}

/* What is above the frame in an entry of 8 bytes. */
static uint64_t pick_high(struct rng *rng, const struct entry_style *style, unsigned level)
{
	bool free_bits = style->mode != PAGING_PAE; /* else bits 62:52 are reserved */
	uint64_t high = entry_maybe(rng, level == 1 ? 10 : 3, X86_PTE_NX);

	if (rng_percent(rng, free_bits ? 4 : 1))
		high |= (rng_u64(rng) & 0x7f) << 52;
	if (rng_percent(rng, free_bits ? 15 : 1))
		high |= rng_u64(rng) & X86_PTE_PK;
	if (rng_percent(rng, 1) && style->maxphyaddr < 52)
		high |= 1ull << (style->maxphyaddr + rng_below(rng, 52 - style->maxphyaddr));
	return high;
}

static uint64_t table_entry(
	struct rng *rng, const struct entry_style *style, unsigned level, uint64_t flags)
{
	if (rng_percent(rng, 4))
		return flags | entry_gfn(rng) << X86_PAGE_SHIFT;
	return flags | entry_table(rng, style, level - 1) << X86_PAGE_SHIFT;
}

/* A page of 4M, and what PSE-36 makes of it; without CR4.PSE a table. */
static uint64_t pick_4m(struct rng *rng, uint64_t flags)
{
	static const uint64_t gfns[] = {0, 0, 0, 0x400, 0x400, 0x400, 0x800, 0xc00, 0x3000};

	return flags | X86_PTE_PS | entry_maybe(rng, 8, X86_PTE_PAT_LARGE) |
	       entry_maybe(rng, 10, 1u << PSE36_SHIFT) |
	       entry_maybe(rng, 3, rng_u64(rng) & PSE36_BITS) |
	       entry_maybe(rng, 3, PSE36_RESERVED) | gfns[rng_below(rng, 9)] << X86_PAGE_SHIFT;
}

static uint64_t pick_short(struct rng *rng, const struct entry_style *style, unsigned level)
{
	uint64_t flags = pick_flags(rng, level) | entry_maybe(rng, 4, rng_u64(rng) & 0xe00);
	uint64_t entry;

	if (rng_percent(rng, 1))
		entry = rng_u64(rng);
	else if (level == 1)
		entry = flags | entry_maybe(rng, 5, X86_PTE_PAT_4K) |
			entry_gfn(rng) << X86_PAGE_SHIFT;
	else if (rng_percent(rng, 30))
		entry = pick_4m(rng, flags);
	else
		entry = table_entry(rng, style, level, flags);
	return (uint32_t)entry;
}

/* PDPTEs of PAE paging have no rights; most other bits are reserved, and a load is #GP. */
static uint64_t pick_pdpte(struct rng *rng, const struct entry_style *style)
{
	uint64_t flags = entry_maybe(rng, 95, X86_PTE_P) | entry_maybe(rng, 4, X86_PTE_PWT) |
			 entry_maybe(rng, 4, X86_PTE_PCD) |
			 entry_maybe(rng, 4, rng_u64(rng) & 0xe00);

	if (rng_percent(rng, 1))
		flags |= 1ull << rng_below(rng, 64);
	return table_entry(rng, style, 3, flags);
}

/* A page of 2M or 1G. */
static uint64_t pick_large(struct rng *rng, unsigned level, uint64_t flags)
{
	static const uint64_t gfns[] = {
		0x200, 0x200, 0x200, 0, 0x400, 0x600, 0x100000, 0x800, 0xc00, 0xe00};
	uint64_t gfn;

	if (level == 2)
		gfn = gfns[rng_below(rng, 10)] + entry_maybe(rng, 3, 0x20);
	else
		gfn = entry_maybe(rng, 30, 0x100000) + entry_maybe(rng, 3, 0x200);
	return flags | X86_PTE_PS | entry_maybe(rng, 8, X86_PTE_PAT_LARGE) | gfn << X86_PAGE_SHIFT;
}

uint64_t entry_pick(struct rng *rng, const struct entry_style *style, unsigned level)
{
	uint64_t flags;

	if (style->mode == PAGING_2LEVEL)
		return pick_short(rng, style, level);
	if (rng_percent(rng, 1))
		return rng_u64(rng);
	if (style->mode == PAGING_PAE && level == 3)
		return pick_pdpte(rng, style);
	flags = pick_flags(rng, level) | pick_high(rng, style, level);
	if (level == 1)
		return flags | entry_maybe(rng, 5, X86_PTE_PAT_4K) |
		       entry_gfn(rng) << X86_PAGE_SHIFT;
	if ((level == 2 && rng_percent(rng, 25)) || (level == 3 && rng_percent(rng, 6)))
		return pick_large(rng, level, flags);
	if (level >= 4)
		flags |= entry_maybe(rng, 1, X86_PTE_PS);
	return table_entry(rng, style, level, flags);
}

/* PS of an upper entry the other way round, with a frame that suits it. */
static uint64_t flip_ps(const struct entry_style *style, uint64_t entry)
{
	uint64_t large_bytes = 1ull << paging_shift(style->mode, 2);

	return (entry ^ X86_PTE_PS) & ~((large_bytes - 1) & X86_PTE_FRAME);
}

/* Does @entry deny everything? */
static bool is_useless(const struct entry_style *style, uint64_t entry)
{
	return !(entry & X86_PTE_P) || (entry & X86_PTE_FRAME) >> style->maxphyaddr;
}

uint64_t entry_edited(
	struct rng *rng, const struct entry_style *style, uint64_t entry, unsigned level)
{
	/* What denies everything is repaired more often than not, else the tables wither. */
	if (is_useless(style, entry) && rng_percent(rng, 80))
		return entry_pick(rng, style, level) | X86_PTE_P;
	if (style->mode == PAGING_PAE && level == 3)
		return rng_percent(rng, 30) ? entry ^ X86_PTE_P : entry_pick(rng, style, level);
	switch (rng_below(rng, 15)) {
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
		return style->mode == PAGING_2LEVEL ? entry ^ X86_PTE_PWT : entry ^ X86_PTE_NX;
	case 7:
		return entry | X86_PTE_P | X86_PTE_W | X86_PTE_U;
	case 8:
		return level == 2 ? flip_ps(style, entry) : entry ^ X86_PTE_G;
	case 9:
		return entry ^ (X86_PAGE_SIZE << rng_below(rng, 3));
	case 10:
		return paging_is_long(style->mode) ? entry ^ (rng_u64(rng) & X86_PTE_PK) : entry;
	default:
		return entry_pick(rng, style, level);
	}
}
