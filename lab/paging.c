/* SPDX-License-Identifier: MIT */
/* Geometry of the paging modes. SDM 3A "Paging", "Hierarchical Paging Structures: an Overview". */
#include "lab/paging.h"

#include "x86/x86.h"

const struct paging_row paging_rows[PAGING_COUNT] = {
	[PAGING_UNPAGED] = {0, 8, 9, 32},
	[PAGING_2LEVEL] = {2, 4, 10, 32},
	[PAGING_PAE] = {3, 8, 9, 32},
	[PAGING_4LEVEL] = {4, 8, 9, 48},
	[PAGING_5LEVEL] = {5, 8, 9, 57},
};

enum paging paging_of(const struct umbra_paging_regs *regs)
{
	if (!(regs->cr0 & X86_CR0_PG))
		return PAGING_UNPAGED;
	if (regs->efer & X86_EFER_LMA)
		return regs->cr4 & X86_CR4_LA57 ? PAGING_5LEVEL : PAGING_4LEVEL;
	return regs->cr4 & X86_CR4_PAE ? PAGING_PAE : PAGING_2LEVEL;
}

bool paging_is_long(enum paging mode)
{
	return paging_rows[mode].linear_bits > 32;
}

unsigned paging_shift(enum paging mode, unsigned level)
{
	return X86_PAGE_SHIFT + paging_rows[mode].index_bits * (level - 1);
}

uint64_t paging_slot(enum paging mode, uint64_t table, unsigned level, uint64_t gva)
{
	const struct paging_row *row = &paging_rows[mode];
	bool pdpte = mode == PAGING_PAE && level == 3;
	unsigned bits = pdpte ? 2 : row->index_bits;
	uint64_t index = gva >> paging_shift(mode, level) & ((1ull << bits) - 1);

	return table + index * row->entry_bytes;
}

uint64_t paging_canonical(enum paging mode, uint64_t gva)
{
	unsigned above = 64 - paging_rows[mode].linear_bits;

	if (!paging_is_long(mode))
		return (uint32_t)gva;
	return (uint64_t)((int64_t)(gva << above) >> above);
}
