/* SPDX-License-Identifier: MIT */
/*
 * A walk of the shadow tables in software, of any mode: they are the hardware's tables, always with
 * entries of 8 bytes, and guest-physical is host-physical. Rights are not looked at.
 */
#ifndef HV_VM_SHADOW_WALK_H
#define HV_VM_SHADOW_WALK_H

#include "hv/core/core.h"
#include "umbra/types.h"
#include "x86/x86.h"

#define SHADOW_SHIFT_PAE    30u
#define SHADOW_SHIFT_4LEVEL 39u
#define SHADOW_SHIFT_5LEVEL 48u

/* The entry for @gva of a table of entries for addresses' bits from @shift on. */
static inline const volatile uint64_t *shadow_entry_at(
	umbra_hpa table, umbra_gva gva, unsigned shift)
{
	const volatile uint64_t *entries = phys_to_virt(table);

	return &entries[gva >> shift & 511];
}

static inline uint64_t shadow_entry(umbra_hpa table, umbra_gva gva, unsigned shift)
{
	return *shadow_entry_at(table, gva, shift);
}

static inline umbra_gpa shadow_leaf(uint64_t entry, umbra_gva gva, unsigned shift)
{
	uint64_t offset_mask = (1ull << shift) - 1;

	return (entry & X86_PTE_FRAME & ~offset_mask) | (gva & offset_mask);
}

/* The last entry for @gva below @root, as shadow_walk() takes it, and in *@gpa where it leads. 0 if
 * nothing is mapped. */
static inline uint64_t shadow_last(umbra_hpa root, unsigned shift, umbra_gva gva, umbra_gpa *gpa)
{
	uint64_t entry = shift ? shadow_entry(root, gva, shift) : 0;

	while (entry & X86_PTE_P && shift != X86_PAGE_SHIFT && !(entry & X86_PTE_PS)) {
		shift -= 9;
		entry = shadow_entry(entry & X86_PTE_FRAME, gva, shift);
	}
	*gpa = shadow_leaf(entry, gva, shift);
	return entry & X86_PTE_P ? entry : 0;
}

/*
 * Where the tables of @root map @gva. @shift is the lowest bit of an address that chooses an entry
 * of the root, 0 if there are no such tables. Returns false if nothing is mapped. The common case,
 * small and 2M pages of 4-level tables, is written out: each instruction counts.
 */
static inline __attribute__((always_inline)) bool shadow_walk(
	umbra_hpa root, unsigned shift, umbra_gva gva, umbra_gpa *gpa)
{
	uint64_t entry;

	if (shift != SHADOW_SHIFT_4LEVEL)
		return shift && shadow_last(root, shift, gva, gpa);
	entry = shadow_entry(root, gva, 39);
	if (!(entry & X86_PTE_P))
		return false;
	entry = shadow_entry(entry & X86_PTE_FRAME, gva, 30);
	if (!(entry & X86_PTE_P))
		return false;
	if (entry & X86_PTE_PS) {
		*gpa = shadow_leaf(entry, gva, 30);
		return true;
	}
	entry = shadow_entry(entry & X86_PTE_FRAME, gva, 21);
	if (entry & X86_PTE_P && !(entry & X86_PTE_PS)) {
		entry = shadow_entry(entry & X86_PTE_FRAME, gva, 12);
		*gpa = shadow_leaf(entry, gva, 12);
	} else {
		*gpa = shadow_leaf(entry, gva, 21);
	}
	return entry & X86_PTE_P;
}

#endif
