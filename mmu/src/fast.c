/* SPDX-License-Identifier: MIT */
/*
 * The short way of a page fault; see fast.h. Every step of it is one of fault.c's, for the case
 * that the tables above are as they were at an earlier fault nearby, and the page is RAM. It owns
 * no decision: what is not plain goes the long way.
 */
#include "fast.h"

#include "leaf.h"
#include "mode.h"
#include "page.h"
#include "set.h"
#include "sync.h"
#include "track.h"
#include "tree.h"
#include "write.h"

/* sync.c, rule 3, where nothing is mapped for @gpte. */
static inline void bring_up_to_date(
	struct umbra_vm *vm, uint32_t page, unsigned index, uint64_t gpte)
{
	if (UNLIKELY(gpte != vm->snapshots[page][index]) && set_read(vm, page, index))
		sync_entry(vm, page, index, gpte);
}

/* Put the leaf for RAM there. @gpte has A and D as @access wants them. */
static inline bool install(
	struct umbra_vm *vm, uint32_t page, unsigned index, uint64_t gpte, access_bits access)
{
	struct leaves l = leaves_from(vm, page, index);
	uint64_t old = leaf_read(&l, 0);
	uint64_t gfn = gpte_gfn(gpte, 1);
	const struct slot *slot = slot_find(vm, gfn);
	struct frame *frame = slot_frame(slot, gfn);
	uint64_t spte;

	if (UNLIKELY(!frame))
		return false;
	spte = leaf_spte(&l, slot, frame, gpte) | X86_PTE_A;
	if (UNLIKELY((access & X86_PF_W) && !(spte & X86_PTE_W)))
		return false;
	if (old) {
		/* Another frame, nothing to do, or less than there was. */
		if (((*l.snapshot ^ gpte) & X86_PTE_FRAME) || !((spte ^ old) & ~SPTE_HW_AD) ||
			spte_rights_lost(old, spte))
			return false;
		*l.snapshot = gpte;
		if (spte_needs_flush(old, spte))
			flush_note_lost(vm, page);
		vm->changes++;
		leaf_store(&l, 0, spte | (old & SPTE_HW_AD));
	} else {
		*l.snapshot = gpte;
		page_touch(l.sp, index);
		leaf_fill(&l, 0, spte, frame);
	}
	tree_prefetch_around(vm, page, index, access);
	vm->stats.pf_fixed++;
	return true;
}

/* Is the narrow table of @sp shadowed as a wide one too, where A and D are other bits? */
static bool has_wide_view(const struct umbra_vm *vm, const struct shadow_page *sp)
{
	for (uint32_t page = page_of_table(vm, sp->gfn, 0); page;
		page = page_of_table(vm, sp->gfn, page)) {
		if (!page_narrow(&vm->pages[page]))
			return true;
	}
	return false;
}

/* Set @set in the guest's entry behind @index, if it still is @gpte. */
static inline bool set_ad(const struct umbra_vm *vm, const struct shadow_page *sp, unsigned index,
	uint64_t gpte, uint64_t set)
{
	if (sp->guest_ro)
		return false;
	if (LIKELY(!page_narrow(sp)))
		return walk_set_bits((const uint64_t *)sp->guest + index, gpte, set);
	return !has_wide_view(vm, sp) &&
	       walk_set_bits_narrow(
		       (const uint32_t *)sp->guest + page_quadrant(sp) * ENTRIES + index,
		       (uint32_t)gpte, (uint32_t)set);
}

bool fast_fault(struct umbra_vcpu *vcpu, const struct umbra_page_fault *fault, umbra_gva gva,
	struct umbra_exit *out, enum umbra_outcome *outcome)
{
	struct umbra_vm *vm = vcpu->vm;
	const struct descent *known = tree_known(vcpu, gva);
	access_bits access = mode_access(vcpu, fault);
	unsigned index = gva_index(gva, 1);
	uint32_t code = walk_reported(vcpu, access);
	const struct shadow_page *sp;
	uint64_t gpte, set;

	if (UNLIKELY(!known || vcpu->pke || vcpu->pks || !vcpu->wp))
		return false;
	sp = &vm->pages[known->page];
	gpte = page_gpte(sp, index);
	if (gpte & X86_PTE_P) {
		if (UNLIKELY(gpte & vcpu->format->reserved[1][0]))
			return false;
		if (walk_permitted(vcpu, access, known->all & gpte, known->any | gpte)) {
			set = X86_PTE_A | (access & X86_PF_W ? X86_PTE_D : 0);
			if ((set & ~gpte) && !set_ad(vm, sp, index, gpte, set))
				return false;
			*outcome = UMBRA_RESUME;
			return install(vm, known->page, index, gpte | set, access);
		}
		code |= X86_PF_P;
	}
	bring_up_to_date(vm, known->page, index, gpte);
	*outcome = fast_inject(vm, gva, code, out);
	return true;
}

/* The frame that a store at @gva goes to, whose A and D are set. Returns false if that is not known
 * without a walk, or not allowed. */
static bool store_target(struct umbra_vcpu *vcpu, umbra_gva gva, access_bits access, uint64_t *gfn)
{
	const struct descent *known = tree_known_large(vcpu, gva);
	unsigned index = gva_index(gva, 1);
	uint64_t gpte;

	if (LIKELY(known)) {
		gpte = known->was[0];
		*gfn = gpte_gfn(gpte, 2) + index;
		return (gpte & X86_PTE_D) && walk_permitted(vcpu, access, known->all, known->any);
	}
	known = tree_known(vcpu, gva);
	if (!known)
		return false;
	gpte = page_gpte(&vcpu->vm->pages[known->page], index);
	if (!gpte_grants(gpte, vcpu->format->reserved[1][0]) || !(gpte & X86_PTE_D) ||
		!walk_permitted(vcpu, access, known->all & gpte, known->any | gpte))
		return false;
	bring_up_to_date(vcpu->vm, known->page, index, gpte);
	*gfn = gpte_gfn(gpte, 1);
	return true;
}

__attribute__((noinline)) bool fast_store(struct umbra_vcpu *vcpu,
	const struct umbra_page_fault *fault, umbra_gva gva, struct umbra_exit *out)
{
	struct umbra_vm *vm = vcpu->vm;
	access_bits access = mode_access(vcpu, fault);
	const struct slot *slot;
	const struct frame *frame;
	uint64_t gfn;

	/* What may have been an implicit access needs more thought. */
	if ((access & (X86_PF_W | ACCESS_AC)) != X86_PF_W || vcpu->pke || vcpu->pks || !vcpu->wp ||
		!store_target(vcpu, gva, access, &gfn))
		return false;
	slot = slot_find(vm, gfn);
	frame = slot_frame(slot, gfn);
	if (!slot || !slot->writable ||
		!(frame ? frame_protected(frame) : track_device(vm, slot, gfn)) ||
		write_decide(vcpu, gfn, frame, access) == WRITE_FREE)
		return false;
	vm->stats.pf_emulate++;
	out->vector = 0;
	out->gpa = gfn << X86_PAGE_SHIFT | gva % X86_PAGE_SIZE;
	return true;
}
