/* SPDX-License-Identifier: MIT */
/* The rarer encodings; see spte.h. */
#include "spte.h"

uint64_t spte_direct_leaf_bits(uint32_t role, unsigned level)
{
	uint64_t bits = (uint64_t)(role >> ROLE_LEAF_PK_SHIFT) << X86_PTE_PK_SHIFT;

	if (role & ROLE_LEAF_PWT)
		bits |= X86_PTE_PWT;
	if (role & ROLE_LEAF_PCD)
		bits |= X86_PTE_PCD;
	if (role & ROLE_LEAF_G)
		bits |= X86_PTE_G;
	if (role & ROLE_LEAF_PAT)
		bits |= level == 1 ? X86_PTE_PAT_4K : X86_PTE_PAT_LARGE;
	return level == 1 ? bits : bits | X86_PTE_PS;
}

uint32_t spte_direct_role(uint64_t gpte, unsigned level)
{
	uint32_t role = (level - 1) | ROLE_DIRECT | ROLE_ACC_W;

	if (gpte & X86_PTE_PWT)
		role |= ROLE_LEAF_PWT;
	if (gpte & X86_PTE_PCD)
		role |= ROLE_LEAF_PCD;
	if (gpte & X86_PTE_G)
		role |= ROLE_LEAF_G;
	if (gpte & X86_PTE_PAT_LARGE)
		role |= ROLE_LEAF_PAT;
	return role | (uint32_t)((gpte & X86_PTE_PK) >> X86_PTE_PK_SHIFT) << ROLE_LEAF_PK_SHIFT;
}

uint32_t spte_table_role(uint32_t role, unsigned index, uint64_t gpte)
{
	uint32_t below =
		(role & ~(ROLE_PAE_ROOT | ROLE_QUADRANT)) - 1; /* the level is in the low bits */

	/* The second level of 2-level paging has four quarters, under the four entries of the root;
	 * the first level two halves, under the two entries that stand for one of the guest's. */
	if (role & ROLE_NARROW)
		below |= (index & (role & ROLE_PAE_ROOT ? 3 : 1)) << ROLE_QUADRANT_SHIFT;
	if ((role & ROLE_WP0) && !(gpte & X86_PTE_W))
		below &= ~ROLE_ACC_W;
	return below;
}
