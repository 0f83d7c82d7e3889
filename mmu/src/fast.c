/* SPDX-License-Identifier: MIT */
/*
 * The short way of a page fault; see fast.h. Every step of it is one of fault.c's, for the case
 * that the tables above are as they were at an earlier fault nearby, entries have 8 bytes, and the
 * page is RAM. It owns no decision: what is not plain goes the long way.
 */
#include "fast.h"

#include "mode.h"
#include "set.h"
#include "slot.h"
#include "spte.h"
#include "sync.h"
#include "tree.h"

/* The last-level entry of the way. */
struct last {
	uint32_t page;
	unsigned index;
	uint64_t gpte, spte;
};

static enum umbra_outcome inject(struct umbra_vm *vm, const struct last *last, umbra_gva gva,
	uint32_t code, struct umbra_exit *out)
{
	/* sync.c, rule 3 */
	if (UNLIKELY(last->spte && last->gpte != vm->snapshots[last->page][last->index]))
		sync_entry(vm, last->page, last->index, last->gpte);
	vm->stats.pf_guest++;
	*out = (struct umbra_exit){.vector = X86_PF, .error_code = code, .gva = gva};
	return UMBRA_INJECT;
}

/* Put the leaf for RAM there. @gpte has A and D as the access wants them. */
static bool install(struct umbra_vm *vm, const struct last *last, uint64_t gpte, access_bits access)
{
	uint64_t gfn = gpte_gfn(gpte, 1);
	const struct slot *slot = slot_find(vm, gfn);
	struct frame *frame = slot_frame(slot, gfn);
	uint64_t *was = &vm->snapshots[last->page][last->index];
	bool writable;
	uint64_t leaf;

	if (UNLIKELY(!frame))
		return false;
	writable = slot->writable && !frame_protected(frame);
	if (UNLIKELY((access & X86_PF_W) && !writable))
		return false;
	leaf = (slot->hfn + (gfn - slot->first)) << X86_PAGE_SHIFT | X86_PTE_P | X86_PTE_A |
	       spte_rights(vm->pages[last->page].role, gpte, true) | spte_leaf_bits(gpte, 1);
	if (!writable)
		leaf &= ~X86_PTE_W;
	if (last->spte) {
		/* Another frame, nothing to do, or less than there was. */
		if (((*was ^ gpte) & X86_PTE_FRAME) ||
			!((leaf ^ last->spte) & ~(SPTE_HW_AD | SPTE_RMAP)) ||
			spte_rights_lost(last->spte, leaf))
			return false;
		set_bits(vm, last->page, last->index, leaf | (last->spte & SPTE_RMAP));
		*was = gpte;
	} else {
		*was = gpte; /* says which frame it is */
		set_leaf(vm, last->page, last->index, leaf, &frame->rmap);
	}
	return true;
}

bool fast_fault(struct umbra_vcpu *vcpu, const struct umbra_page_fault *fault, umbra_gva gva,
	struct umbra_exit *out, enum umbra_outcome *outcome)
{
	struct umbra_vm *vm = vcpu->vm;
	const struct descent *known = tree_known(vcpu, gva);
	access_bits access = mode_access(vcpu, fault);
	const struct shadow_page *sp;
	const uint64_t *entry;
	struct last last;
	uint64_t set;

	if (UNLIKELY(!known || vcpu->pke || vcpu->pks || !vcpu->wp))
		return false;
	last.page = known->page;
	last.index = gva_index(gva, 1);
	sp = &vm->pages[last.page];
	entry = (const uint64_t *)sp->guest + last.index;
	last.gpte = gpte_load(entry);
	last.spte = set_read(vm, last.page, last.index);
	if (!(last.gpte & X86_PTE_P)) {
		*outcome = inject(vm, &last, gva, walk_reported(vcpu, access), out);
		return true;
	}
	if (UNLIKELY(last.gpte & vcpu->format->reserved[1][0]))
		return false;
	if (!walk_permitted(vcpu, access, known->all & last.gpte, known->any | last.gpte)) {
		*outcome = inject(vm, &last, gva, walk_reported(vcpu, access) | X86_PF_P, out);
		return true;
	}
	set = X86_PTE_A | (access & X86_PF_W ? X86_PTE_D : 0);
	if ((set & ~last.gpte) && (sp->guest_ro || !walk_set_bits(entry, last.gpte, set)))
		return false;
	if (!install(vm, &last, last.gpte | set, access))
		return false;
	tree_prefetch_around(vm, last.page, last.index);
	vm->stats.pf_fixed++;
	*outcome = UMBRA_RESUME;
	return true;
}
