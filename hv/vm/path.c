/* SPDX-License-Identifier: MIT */
/*
 * See path.h.
 */
#include "hv/vm/path.h"

#include "hv/vm/shadow_walk.h"
#include "hv/vm/vcpu.h"

/* Follow the shadow tables of @root, whose entries are for the bits from @shift on, to @gva and
 * note each entry. Returns false if nothing is mapped; else where, in *@gpa. */
static bool note_path(
	struct code_path *path, umbra_hpa root, unsigned shift, umbra_gva gva, umbra_gpa *gpa)
{
	const volatile uint64_t *at = shadow_entry_at(root, gva, shift);
	uint64_t entry = *at;

	path->root_entry = (uintptr_t)at - root;
	path->root_was = entry;
	for (unsigned i = 0; i < PATH_ENTRIES; i++) {
		if (!(entry & X86_PTE_P))
			return false;
		/* Below a page there is nothing: the same again. The root maps none, and in a
		 * small one's entry PS means something else. */
		if (i == 0 || (shift > X86_PAGE_SHIFT && !(entry & X86_PTE_PS))) {
			shift -= 9;
			at = shadow_entry_at(entry & X86_PTE_FRAME, gva, shift);
			entry = *at;
		}
		path->entries[i] = (struct path_entry){at, entry};
	}
	*gpa = shadow_leaf(entry, gva, shift);
	return entry & X86_PTE_P;
}

const void *code_path_find(struct vcpu *vcpu, struct code_path *path, umbra_gva gva)
{
	umbra_gpa gpa;

	if (vcpu->shadow_shift == SHADOW_SHIFT_5LEVEL ||
		!note_path(path, umbra_root(vcpu->mmu), vcpu->shadow_shift, gva, &gpa))
		return NULL;
	/* The direct map has the first 4 GiB, and RAM; what the guest may not read is in no table.
	 */
	if (gpa >> 32 && !memory_ram(vcpu->vm, gpa))
		return NULL;
	return phys_to_virt(gpa);
}
