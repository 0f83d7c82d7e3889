/* SPDX-License-Identifier: MIT */
/*
 * The random guest's tables in every mode, and the window in each through which it edits them.
 */
#include "lab/gen_random.h"

#include "x86/x86.h"

#define WINDOW_SLOT  0x111u     /* root index of the window in long mode */
#define WINDOW_SHORT 0xc0000000 /* where it begins in 32-bit modes */
#define WINDOW_FLAGS (X86_PTE_P | X86_PTE_W | X86_PTE_A)

/* Tables of the window: one per level below the root's, mapping the low frames and some others;
 * PAE's begins at level 2. The 4-byte ones are side by side. */
static const uint64_t window_gfns[4] = {[3] = 0x1d, [2] = 0x1e, [1] = 0x1f};
static const uint64_t short_window_gfns[2] = {0x33, 0x34};

bool random_uses(const struct random_guest *guest, enum paging mode)
{
	static const enum paging modes[LAB_MODE_COUNT] = {
		[LAB_MODE_UNPAGED] = PAGING_UNPAGED,
		[LAB_MODE_2LEVEL] = PAGING_2LEVEL,
		[LAB_MODE_PAE] = PAGING_PAE,
		[LAB_MODE_4LEVEL] = PAGING_4LEVEL,
		[LAB_MODE_5LEVEL] = PAGING_5LEVEL,
	};

	return guest->mode == LAB_MODE_MIXED || modes[guest->mode] == mode;
}

unsigned random_index(struct random_plan *plan, unsigned level)
{
	struct rng *rng = plan->rng;
	unsigned index = plan->guest->indices[rng_below(rng, RANDOM_INDICES)];

	if (rng_percent(rng, 3))
		index = rng_below(rng, 512);
	if (plan->style.mode == PAGING_PAE && level == 3)
		return rng_below(rng, 3);
	if (plan->style.mode == PAGING_2LEVEL && rng_percent(rng, 40))
		index |= 0x200;
	return index;
}

uint64_t random_address(struct random_plan *plan)
{
	enum paging mode = plan->style.mode;
	uint64_t gva = 0;

	for (unsigned level = 1; level <= paging_rows[mode].levels; level++)
		gva |= (uint64_t)random_index(plan, level) << paging_shift(mode, level);
	return paging_canonical(mode, gva);
}

uint64_t random_window(const struct random_plan *plan, uint64_t gpa)
{
	uint64_t gva = gpa & 0x3fffffff;

	switch (plan->style.mode) {
	case PAGING_UNPAGED:
		return (uint32_t)gpa;
	case PAGING_2LEVEL:
	case PAGING_PAE:
		return gva | WINDOW_SHORT;
	case PAGING_5LEVEL:
		gva |= (uint64_t)WINDOW_SLOT << 48;
		break;
	default:
		break;
	}
	return paging_canonical(plan->style.mode, gva | (uint64_t)WINDOW_SLOT << 39);
}

void random_poke(struct random_plan *plan, uint64_t gpa, uint64_t value, unsigned n_bytes)
{
	struct step *step = queue_add(plan->queue, STEP_POKE, plan->vcpu);

	step->gpa = gpa;
	step->bytes = n_bytes;
	step->value = value;
}

static void poke_entry(
	struct random_plan *plan, enum paging mode, uint64_t gfn, unsigned index, uint64_t entry)
{
	unsigned n_bytes = paging_rows[mode].entry_bytes;

	random_poke(plan, (gfn << X86_PAGE_SHIFT) + index * n_bytes, entry, n_bytes);
}

/* Low frames one by one, the large pages beyond, the rest absent. */
static void build_window(struct random_plan *plan)
{
	uint64_t flags = WINDOW_FLAGS;

	poke_entry(
		plan, PAGING_4LEVEL, window_gfns[3], 0, flags | window_gfns[2] << X86_PAGE_SHIFT);
	poke_entry(
		plan, PAGING_4LEVEL, window_gfns[2], 0, flags | window_gfns[1] << X86_PAGE_SHIFT);
	for (unsigned i = 1; i < 4; i++)
		poke_entry(plan, PAGING_4LEVEL, window_gfns[2], i,
			flags | X86_PTE_PS | (uint64_t)i << 21 |
				entry_maybe(plan->rng, 50, X86_PTE_G));
	for (unsigned i = 0; i < 0x38; i++)
		poke_entry(plan, PAGING_4LEVEL, window_gfns[1], i,
			flags | (uint64_t)i << X86_PAGE_SHIFT |
				entry_maybe(plan->rng, 30, X86_PTE_G | X86_PTE_D));
	poke_entry(plan, PAGING_4LEVEL, window_gfns[1], 0x1f9, flags | 0x1f9ull << X86_PAGE_SHIFT);
}

/* The same in 4-byte tables: what is of use of the first 8M. */
static void build_short_window(struct random_plan *plan)
{
	static const struct {
		unsigned first;
		unsigned end;
	} frames[] = {{0, 0x38}, {0x1f9, 0x1fa}, {0x200, 0x210}, {0x600, 0x610}};
	uint64_t flags = WINDOW_FLAGS;

	for (unsigned i = 0; i < sizeof(frames) / sizeof(frames[0]); i++)
		for (uint64_t gfn = frames[i].first; gfn < frames[i].end; gfn++)
			poke_entry(plan, PAGING_2LEVEL, short_window_gfns[gfn / 1024], gfn % 1024,
				flags | gfn << X86_PAGE_SHIFT |
					entry_maybe(plan->rng, 30, X86_PTE_G | X86_PTE_D));
}

/* The root's entries for the window, in each root of @mode. */
static void link_window(struct random_plan *plan, enum paging mode)
{
	const unsigned first_short = WINDOW_SHORT >> 22;
	uint64_t gfn;

	for (unsigned i = 0;
		(gfn = entry_nth_table(mode, paging_rows[mode].levels, i)) != ENTRY_NO_TABLE; i++) {
		uint64_t flags = WINDOW_FLAGS;

		switch (mode) {
		case PAGING_2LEVEL:
			for (unsigned j = 0; j < 2; j++)
				poke_entry(plan, mode, gfn, first_short + j,
					flags | short_window_gfns[j] << X86_PAGE_SHIFT);
			break;
		case PAGING_PAE:
			for (unsigned j = 0; j < 3; j++)
				random_poke(plan,
					(gfn << X86_PAGE_SHIFT) + (j == 2 ? 0xfe0 : j * 0x20) + 24,
					X86_PTE_P | window_gfns[2] << X86_PAGE_SHIFT, 8);
			break;
		case PAGING_5LEVEL:
			poke_entry(plan, mode, gfn, WINDOW_SLOT,
				flags | entry_nth_table(mode, 4, i) << X86_PAGE_SHIFT);
			break;
		default:
			poke_entry(plan, mode, gfn, WINDOW_SLOT,
				flags | window_gfns[3] << X86_PAGE_SHIFT);
			break;
		}
	}
}

static void build_pdpt(struct random_plan *plan, uint64_t gfn, const struct entry_style *style)
{
	for (unsigned i = 0; i < 4; i++) {
		random_poke(
			plan, (gfn << X86_PAGE_SHIFT) + i * 8, entry_pick(plan->rng, style, 3), 8);
		random_poke(plan, (gfn << X86_PAGE_SHIFT) + 0x20 + i * 8,
			entry_pick(plan->rng, style, 3), 8);
		random_poke(plan, (gfn << X86_PAGE_SHIFT) + 0xfe0 + i * 8,
			entry_pick(plan->rng, style, 3), 8);
	}
}

static void build_table(
	struct random_plan *plan, uint64_t gfn, const struct entry_style *style, unsigned level)
{
	/* Tables that several modes share are made of the entries of all of them. */
	unsigned percent = plan->guest->mode == LAB_MODE_MIXED && level < 3 ? 50 : 100;

	for (unsigned i = 0; i < RANDOM_INDICES; i++) {
		unsigned index = plan->guest->indices[i];

		if (!rng_percent(plan->rng, percent))
			continue;
		poke_entry(plan, style->mode, gfn, index, entry_pick(plan->rng, style, level));
		if (style->mode == PAGING_2LEVEL)
			poke_entry(plan, style->mode, gfn, index | 0x200,
				entry_pick(plan->rng, style, level));
	}
}

static void build_mode(struct random_plan *plan, enum paging mode)
{
	const struct entry_style style = {mode, plan->guest->maxphyaddr, plan->guest->mixed};

	for (unsigned level = paging_rows[mode].levels; level >= 1; level--) {
		uint64_t gfn;

		for (unsigned i = 0; (gfn = entry_nth_table(mode, level, i)) != ENTRY_NO_TABLE;
			i++) {
			if (mode == PAGING_PAE && level == 3)
				build_pdpt(plan, gfn, &style);
			else
				build_table(plan, gfn, &style, level);
		}
	}
	link_window(plan, mode);
}

void random_build_tables(struct random_plan *plan)
{
	for (unsigned i = PAGING_2LEVEL; i < PAGING_COUNT; i++)
		if (random_uses(plan->guest, (enum paging)i))
			build_mode(plan, (enum paging)i);
	/* 5-level roots lead to the window through level 4, which a guest of 4-level has made. */
	if (random_uses(plan->guest, PAGING_5LEVEL))
		link_window(plan, PAGING_4LEVEL);
	build_window(plan);
	if (random_uses(plan->guest, PAGING_2LEVEL))
		build_short_window(plan);
}
