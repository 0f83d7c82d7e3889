/* SPDX-License-Identifier: MIT */
/* The guest walk; see walk.h. */
#include "walk.h"

#include "mode.h"
#include "slot.h"

static bool fault(
	const struct umbra_vcpu *vcpu, access_bits access, uint32_t why, struct walk *walk)
{
	walk->error_code = (access & vcpu->report) | why;
	return false;
}

/* Paging is off: everything is allowed. */
static bool unpaged(umbra_gva gva, struct walk *walk)
{
	walk->leaf_level = 0;
	walk->gfn = (gva & 0xffffffff) >> X86_PAGE_SHIFT;
	return true;
}

static bool permitted(const struct umbra_vcpu *vcpu, access_bits access, uint64_t all, uint64_t any)
{
	const struct permission *p = &vcpu->permissions[permission_index(access)];

	return (all & p->need) == p->need && !(all & p->deny) &&
	       !((access & X86_PF_I) && (any & X86_PTE_NX));
}

void walk_begin(const struct umbra_vcpu *vcpu, struct walk *walk)
{
	uint64_t gfn = (vcpu->regs.cr3 & X86_PTE_FRAME) >> X86_PAGE_SHIFT;
	const struct slot *slot = slot_find(vcpu->vm, gfn);

	walk->top = vcpu->mode->levels;
	walk->table = slot_table(slot, gfn);
	walk->table_ro = slot_table_ro(slot);
	walk->all = ~0ull;
	walk->any = 0;
}

bool walk_guest(const struct umbra_vcpu *vcpu, umbra_gva gva, access_bits access, struct walk *walk)
{
	const uint64_t *table = walk->table;
	bool ro = walk->table_ro;
	unsigned level = walk->top;
	uint64_t within; /* frames that the entry maps, less one */
	uint64_t gfn;

	if (!level)
		return unpaged(gva, walk);
	for (;; level--) {
		const uint64_t *entry = &table[gva_index(gva, level)];
		uint64_t gpte = gpte_load(entry);
		bool ps = level > 1 && (gpte & X86_PTE_PS);
		const struct slot *slot;

		if (!(gpte & X86_PTE_P))
			return fault(vcpu, access, 0, walk);
		if (gpte & vcpu->format->reserved[level][ps])
			return fault(vcpu, access, X86_PF_P | X86_PF_RSVD, walk);
		walk->gpte[level] = gpte;
		walk->entry[level] = ro ? NULL : entry;
		walk->all &= gpte;
		walk->any |= gpte;
		gfn = (gpte & X86_PTE_FRAME) >> X86_PAGE_SHIFT;
		if (level == 1 || ps)
			break;
		slot = slot_find(vcpu->vm, gfn);
		table = slot_table(slot, gfn);
		ro = slot_table_ro(slot);
	}
	within = level_frames(level) - 1;
	walk->leaf_level = level;
	walk->gfn = (gfn & ~within) | (gva >> X86_PAGE_SHIFT & within);
	return permitted(vcpu, access, walk->all, walk->any) || fault(vcpu, access, X86_PF_P, walk);
}

bool walk_set_ad(struct walk *walk, access_bits access)
{
	uint64_t set = X86_PTE_A;

	for (unsigned level = walk->top; level && level >= walk->leaf_level; level--) {
		uint64_t old = walk->gpte[level];

		if (level == walk->leaf_level && (access & X86_PF_W))
			set |= X86_PTE_D;
		if (!(set & ~old))
			continue;
		walk->gpte[level] = old | set;
		/* A write to memory that cannot be written is lost, and the walk goes on. */
		if (walk->entry[level] &&
			!atomic_compare_exchange_strong(
				(_Atomic uint64_t *)(uintptr_t)walk->entry[level], &old, old | set))
			return false;
	}
	return true;
}
