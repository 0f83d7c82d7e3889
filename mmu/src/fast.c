/* SPDX-License-Identifier: MIT */
/*
 * The short way of a page fault; see fast.h. Every step of it is one of fault.c's, for the case
 * that the tables above are as they were at an earlier fault nearby, entries have 8 bytes, and the
 * page is RAM. It owns no decision: what is not plain goes the long way.
 */
#include "fast.h"

#include "leaf.h"
#include "mode.h"
#include "sync.h"
#include "tree.h"

static enum umbra_outcome inject(const struct leaves *l, unsigned index, uint64_t gpte,
	umbra_gva gva, uint32_t code, struct umbra_exit *out)
{
	/* sync.c, rule 3 */
	if (UNLIKELY(gpte != l->snapshot[index] && leaf_read(l, index)))
		sync_entry(l->vm, l->page, index, gpte);
	l->vm->stats.pf_guest++;
	*out = (struct umbra_exit){.vector = X86_PF, .error_code = code, .gva = gva};
	return UMBRA_INJECT;
}

/* Put the leaf for RAM there. @gpte has A and D as @access wants them. */
static inline bool install(
	const struct leaves *l, unsigned index, uint64_t gpte, access_bits access)
{
	uint64_t old = leaf_read(l, index);
	uint64_t gfn = gpte_gfn(gpte, 1);
	const struct slot *slot = slot_find(l->vm, gfn);
	struct frame *frame = slot_frame(slot, gfn);
	uint64_t spte;

	if (UNLIKELY(!frame))
		return false;
	spte = leaf_spte(l, slot, frame, gpte);
	if (UNLIKELY((access & X86_PF_W) && !(spte & X86_PTE_W)))
		return false;
	if (old) {
		/* Another frame, nothing to do, or less than there was. */
		if (((l->snapshot[index] ^ gpte) & X86_PTE_FRAME) ||
			!((spte ^ old) & ~SPTE_HW_AD) || spte_rights_lost(old, spte))
			return false;
		l->snapshot[index] = gpte;
		if (spte_needs_flush(old, spte))
			flush_note_lost(l->vm, l->page);
		l->vm->changes++;
		leaf_store(l, index, spte | (old & SPTE_HW_AD));
	} else {
		l->snapshot[index] = gpte;
		page_touch(l->sp, index);
		leaf_fill(l, index, spte, frame);
	}
	return true;
}

bool fast_fault(struct umbra_vcpu *vcpu, const struct umbra_page_fault *fault, umbra_gva gva,
	struct umbra_exit *out, enum umbra_outcome *outcome)
{
	struct umbra_vm *vm = vcpu->vm;
	const struct descent *known = tree_known(vcpu, gva);
	access_bits access = mode_access(vcpu, fault);
	unsigned index = gva_index(gva, 1);
	const uint64_t *entry;
	struct leaves l;
	uint64_t gpte, set;

	if (UNLIKELY(!known || vcpu->pke || vcpu->pks || !vcpu->wp))
		return false;
	l = leaves_of(vm, known->page);
	entry = (const uint64_t *)l.sp->guest + index;
	gpte = gpte_load(entry);
	if (!(gpte & X86_PTE_P)) {
		*outcome = inject(&l, index, gpte, gva, walk_reported(vcpu, access), out);
		return true;
	}
	if (UNLIKELY(gpte & vcpu->format->reserved[1][0]))
		return false;
	if (!walk_permitted(vcpu, access, known->all & gpte, known->any | gpte)) {
		*outcome =
			inject(&l, index, gpte, gva, walk_reported(vcpu, access) | X86_PF_P, out);
		return true;
	}
	set = X86_PTE_A | (access & X86_PF_W ? X86_PTE_D : 0);
	if ((set & ~gpte) && (l.sp->guest_ro || !walk_set_bits(entry, gpte, set)))
		return false;
	if (!install(&l, index, gpte | set, access))
		return false;
	tree_prefetch_around(vm, l.page, index);
	vm->stats.pf_fixed++;
	*outcome = UMBRA_RESUME;
	return true;
}
