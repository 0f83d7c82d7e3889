/* SPDX-License-Identifier: MIT */
/*
 * Encoding of shadow entries: from a guest entry, or from nothing but a role, to the bits that
 * the hardware walks. Pure functions; who may write an entry is set.h.
 *
 * A guest entry that ends a walk (level 1, or PS) is *terminal*. Its rights stand in the shadow
 * entry at the same place: a leaf, or a link to a direct page when the guest's page is larger than
 * what can be mapped at once. Upper rights stand in upper entries and the hardware combines them,
 * as it does for the guest. CR0.WP=0 differs: see spte_rights().
 */
#ifndef MMU_SPTE_H
#define MMU_SPTE_H

#include "gpte.h"

#define SPTE_RMAP   (1ull << 9) /* software: this leaf maps RAM and is recorded in an rmap */
#define SPTE_RIGHTS (X86_PTE_W | X86_PTE_U | X86_PTE_NX)
#define SPTE_HW_AD  (X86_PTE_A | X86_PTE_D) /* the processor may set these at any time */

static_assert((SPTE_RMAP & (X86_PTE_FRAME | SPTE_RIGHTS | SPTE_HW_AD | X86_PTE_PK)) == 0,
	"software bits overlap hardware bits");

static inline bool spte_present(uint64_t spte)
{
	return spte & X86_PTE_P;
}

static inline bool spte_is_leaf(uint64_t spte, unsigned level)
{
	return level == 1 || (spte & X86_PTE_PS);
}

static inline uint64_t spte_hfn(uint64_t spte)
{
	return (spte & X86_PTE_FRAME) >> X86_PAGE_SHIFT;
}

/* The page that a link leads to. */
static inline uint32_t spte_child(const struct umbra_vm *vm, uint64_t spte)
{
	return (uint32_t)(((spte & X86_PTE_FRAME) - vm->tables_hpa) >> X86_PAGE_SHIFT);
}

/* Does changing @old to @now take rights away? */
static inline bool spte_rights_lost(uint64_t old, uint64_t now)
{
	return (old & ~now & (X86_PTE_W | X86_PTE_U)) || (~old & now & X86_PTE_NX);
}

/* Would a TLB that still holds @old show the guest more, or other, than @now? To gain U is to lose
 * the supervisor's rights, under SMAP and SMEP. */
static inline bool spte_needs_flush(uint64_t old, uint64_t now)
{
	return spte_rights_lost(old, now) || ((old ^ now) & ~(X86_PTE_W | X86_PTE_NX | SPTE_HW_AD));
}

/*
 * Rights that an entry for @gpte gives: not writable before the guest's D is set (I6). With
 * CR0.WP=0 entries above give W, so that a supervisor's write to a read-only page can be let
 * through at the last entry alone; therefore the W of the levels above is in the role and is
 * applied here.
 */
static inline uint64_t spte_rights(uint32_t role, uint64_t gpte, bool terminal)
{
	uint64_t rights = gpte & (X86_PTE_U | X86_PTE_NX);

	if (!terminal)
		return rights | (role & ROLE_WP0 ? X86_PTE_W : gpte & X86_PTE_W);
	/* W where D and W are, and ACC_W: without a branch, as this is done by the thousand. */
	return rights | (gpte & gpte / (X86_PTE_D / X86_PTE_W) & role / (ROLE_ACC_W / X86_PTE_W) &
				X86_PTE_W);
}

/* Memory type, global bit and protection key of a leaf at shadow @level for the terminal @gpte of
 * the same level. */
#define SPTE_LEAF_BITS    (X86_PTE_PWT | X86_PTE_PCD | X86_PTE_G | X86_PTE_PK)
#define SPTE_LEAF_BITS_4K (SPTE_LEAF_BITS | X86_PTE_PAT_4K)

static inline uint64_t spte_leaf_bits(uint64_t gpte, unsigned level)
{
	return gpte &
	       (level == 1 ? SPTE_LEAF_BITS_4K : SPTE_LEAF_BITS | X86_PTE_PS | X86_PTE_PAT_LARGE);
}

/* The same for a leaf in a direct page of @role. */
uint64_t spte_direct_leaf_bits(uint32_t role, unsigned level);

/* Role of the direct page under the terminal entry @gpte at @level (2 or 3). */
uint32_t spte_direct_role(uint64_t gpte, unsigned level);

/* Role of the page for the guest table under @gpte, which stands at @index in a page of @role. */
uint32_t spte_table_role(uint32_t role, unsigned index, uint64_t gpte);

#endif
