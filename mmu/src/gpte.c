/* SPDX-License-Identifier: MIT */
/* The entries of 2-level paging; see gpte.h. */
#include "gpte.h"

#define PSE36       0x001fe000u /* bits 39:32 of the address of a 4M page */
#define PSE36_SHIFT 19
#define RESERVED_4M (1u << 21)

uint64_t gpte_widen(uint32_t entry, unsigned level, bool pse, bool upper_half)
{
	uint64_t gpte = entry;

	if (level == 1)
		return gpte;
	if (!pse || !(gpte & X86_PTE_PS))
		return gpte & ~X86_PTE_PS;
	gpte &= ~(uint64_t)(PSE36 | RESERVED_4M);
	gpte |= (uint64_t)(entry & PSE36) << PSE36_SHIFT;
	if (upper_half)
		gpte |= LARGE_FRAMES << X86_PAGE_SHIFT;
	return entry & RESERVED_4M ? gpte | GPTE_RESERVED_4M : gpte;
}

uint64_t gpte_of_upper(const struct shadow_page *page, unsigned index)
{
	const uint32_t *quarter = (const uint32_t *)page->guest + page_quadrant(page) * ENTRIES / 2;

	return gpte_widen(
		gpte_load_narrow(&quarter[index / 2]), 2, page->role & ROLE_PSE, index & 1);
}
