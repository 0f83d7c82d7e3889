/* SPDX-License-Identifier: MIT */
/*
 * The guest walk: translate a guest-virtual address by the guest's own tables, exactly as the
 * processor would. Reads guest memory and sets A/D in it; knows nothing of shadow pages.
 * Source: SDM 3A "Paging", "Access Rights", "Accessed and Dirty Flags"; APM 2 "Page Translation and
 * Protection".
 */
#ifndef MMU_WALK_H
#define MMU_WALK_H

#include "vm.h"

/*
 * A walk in progress, or done. It begins at the root of the guest's tables, or further down where
 * the shadow tree already stands for the levels above (tree_descend).
 */
struct walk {
	unsigned top;      /* level of the first entry to be read */
	const void *table; /* the table it is in */
	bool table_ro;
	uint32_t page;     /* tree_descend(): the shadow page of that table */
	uint64_t all, any; /* AND and OR of the entries so far: the rights */

	unsigned leaf_level; /* guest level of the entry that maps the page; 0: paging off */
	uint64_t gfn;        /* the 4K frame that the address is in */
	uint32_t error_code; /* of the #PF, if walk_guest() returned false */
	/* From top down: in normal form, with A and D once they are set. */
	uint64_t gpte[MAX_LEVEL + 1];
	const void *entry[MAX_LEVEL + 1]; /* where; NULL: in memory that cannot be written */
	bool narrow;                      /* the entries at levels 1 and 2 have 4 bytes */
	uint32_t raw[3];                  /* those, as they are in memory */
};

/* The bits of @access that error codes show. */
static inline uint32_t walk_reported(const struct umbra_vcpu *vcpu, access_bits access)
{
	return (uint32_t)access & vcpu->report;
}

/* Do entries with the AND @all and the OR @any allow @access? Protection keys are not asked. */
static inline bool walk_permitted(
	const struct umbra_vcpu *vcpu, access_bits access, uint64_t all, uint64_t any)
{
	const struct permission *p = &vcpu->permissions[permission_index(access)];

	return (all & p->need) == p->need && !(all & p->deny) &&
	       !((access & X86_PF_I) && (any & X86_PTE_NX));
}

/* Set @set in the 8-byte @entry, if it still is @old. */
static inline bool walk_set_bits(const void *entry, uint64_t old, uint64_t set)
{
	return atomic_compare_exchange_strong(
		(_Atomic uint64_t *)(uintptr_t)entry, &old, old | set);
}

/* The same for one of 4 bytes. */
static inline bool walk_set_bits_narrow(const void *entry, uint32_t old, uint32_t set)
{
	return atomic_compare_exchange_strong(
		(_Atomic uint32_t *)(uintptr_t)entry, &old, old | set);
}

/* Go on from where @walk stands. @gva is within vcpu->linear_mask. true: allowed, @walk is filled.
 * false: the guest gets a #PF with walk->error_code. */
bool walk_guest(
	const struct umbra_vcpu *vcpu, umbra_gva gva, access_bits access, struct walk *walk);

/* The second half of walk_guest(), for a walk that found its leaf. Returns 0 if the rights allow
 * @access, else the error code. */
uint32_t walk_judge(const struct umbra_vcpu *vcpu, access_bits access, const struct walk *walk);

/*
 * Set A in every entry read and, for a write, D in the last, atomically in guest memory.
 * false: the guest changed an entry meanwhile; nothing more is known, walk again.
 */
bool walk_set_ad(struct walk *walk, access_bits access);

#endif
