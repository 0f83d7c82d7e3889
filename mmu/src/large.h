/* SPDX-License-Identifier: MIT */
/*
 * 2M mappings and the tables that come to lie under them. A 2M leaf is never write-protected: it
 * goes when the first table appears in its range, what it mapped is then mapped in parts, and it
 * comes back when the last table there has been gone for a while. Keeps I2 (2M leaves). Lock: MMU
 * lock held, everywhere here.
 */
#ifndef MMU_LARGE_H
#define MMU_LARGE_H

#include "vm.h"

/* @gfn, in @slot, becomes a table, the first shadow of its frame: no 2M leaf may cover it. */
void large_split(struct umbra_vm *vm, struct slot *slot, uint64_t gfn);

/* @gfn is no table any more: if it was the last in its 2M, merge that later. */
void large_may_merge(struct umbra_vm *vm, uint64_t gfn);

/* Merge the 2M that has waited for longest, if there is still no table in it.
 */
void large_merge_next(struct umbra_vm *vm);

/* At a switch of roots, which is how time passes here. */
static inline void large_pass(struct umbra_vm *vm)
{
	if (UNLIKELY(vm->n_merges) && !vm->merge_wait--)
		large_merge_next(vm);
}

#endif
