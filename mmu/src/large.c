/* SPDX-License-Identifier: MIT */
/*
 * 2M mappings that are split and merged; see large.h.
 *
 * Merging waits: tables are freed and made in the same few places, and to take a 2M leaf away costs
 * a flush and a fault. The parts stay in their direct page, which no entry leads to after a merge:
 * the rmap keeps their rights true, and the next split links it again.
 */
#include "large.h"

#include "flush.h"
#include "page.h"
#include "set.h"
#include "slot.h"
#include "spte.h"

#define MERGE_AFTER 64u /* switches of roots */

void large_split(struct umbra_vm *vm, struct slot *slot, uint64_t gfn)
{
	struct region *region = slot_region(slot, gfn);

	region->n_tables++;
	while (region->rmap) {
		vm->stats.mmu_large_split++;
		set_clear(vm, ref_page(region->rmap), ref_index(region->rmap));
		flush_later(vm);
	}
}

void large_may_merge(struct umbra_vm *vm, uint64_t gfn)
{
	struct region *region = slot_region(slot_find(vm, gfn), gfn);

	if (--region->n_tables || !vm->policy.large)
		return;
	if (vm->n_merges == MERGES_MAX)
		large_merge_next(vm);
	if (!vm->n_merges)
		vm->merge_wait = MERGE_AFTER;
	vm->merges[(vm->merge_first + vm->n_merges++) % MERGES_MAX] =
		gfn & ~(uint64_t)(LARGE_FRAMES - 1);
}

/* Let every entry that leads to @page, the parts of the 2M at @gfn, map it as a whole. */
static void merge_page(struct umbra_vm *vm, uint32_t page, struct slot *slot, uint64_t gfn)
{
	uint64_t leaf = (slot->hfn + (gfn - slot->first)) << X86_PAGE_SHIFT | X86_PTE_P |
			X86_PTE_A | spte_direct_leaf_bits(vm->pages[page].role, 2);
	uint32_t ref = vm->pages[page].parents;

	for (uint32_t next; ref; ref = next) {
		uint64_t rights = set_read(vm, ref_page(ref), ref_index(ref)) & SPTE_RIGHTS;

		next = ref_link(vm, ref)->next;
		set_clear(vm, ref_page(ref), ref_index(ref));
		if (!slot->writable)
			rights &= ~X86_PTE_W;
		set_leaf(vm, ref_page(ref), ref_index(ref), leaf | rights,
			&slot_region(slot, gfn)->rmap);
		vm->stats.mmu_large_merge++;
		/* The parts may live on in a TLB, and an INVLPG means the whole. */
		vm->stale_parts = true;
	}
}

void large_merge_next(struct umbra_vm *vm)
{
	uint64_t gfn = vm->merges[vm->merge_first % MERGES_MAX];
	struct slot *slot = slot_find(vm, gfn);
	uint32_t page;

	vm->merge_first++;
	vm->n_merges--;
	vm->merge_wait = MERGE_AFTER;
	if (!vm->policy.large || !slot_large_fits(slot, gfn) || slot_region(slot, gfn)->n_tables)
		return;
	for (page = page_at(vm, gfn, 0); page; page = page_at(vm, gfn, page)) {
		if (page_direct(&vm->pages[page]) && page_level(&vm->pages[page]) == 1)
			merge_page(vm, page, slot, gfn);
	}
}
