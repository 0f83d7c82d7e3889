/* SPDX-License-Identifier: MIT */
/*
 * The page fault: the event that everything else serves. Walks the guest's tables, decides whose
 * fault it is, and has the tree fixed. Owns no state.
 */
#include "audit.h"
#include "lock.h"
#include "mode.h"
#include "page.h"
#include "slot.h"
#include "sync.h"
#include "tree.h"
#include "walk.h"
#include "write.h"

static access_bits access_of(const struct umbra_page_fault *fault)
{
	access_bits access = fault->error_code & (X86_PF_W | X86_PF_U | X86_PF_I);

	/* SDM 3A "Access Rights": EFLAGS.AC overrides SMAP for explicit accesses with CPL < 3. */
	return fault->ac && fault->cpl < 3 ? access | ACCESS_AC : access;
}

static enum umbra_outcome inject(
	struct umbra_vm *vm, umbra_gva gva, const struct walk *walk, struct umbra_exit *out)
{
	vm->stats.pf_guest++;
	*out = (struct umbra_exit){.vector = X86_PF, .error_code = walk->error_code, .gva = gva};
	return UMBRA_INJECT;
}

/*
 * CR0.WP=0 together with SMAP: an entry that lets the supervisor write a user page is no user
 * entry, and would let it pass SMAP too. The last entry counts, since its table may hang below
 * others with other rights.
 */
static bool unmappable(const struct umbra_vcpu *vcpu, access_bits access, const struct walk *walk)
{
	return !vcpu->wp && vcpu->smap && (access & (X86_PF_W | X86_PF_U)) == X86_PF_W &&
	       !(walk->all & X86_PTE_W) && (walk->gpte[walk->leaf_level] & X86_PTE_U);
}

/*
 * One look at the fault. RESERVE_PAGES are free. *again: the decision about a store into a table
 * may have changed what was looked at, so look again; it does not come a second time.
 */
static enum umbra_outcome look(struct umbra_vcpu *vcpu, const struct umbra_page_fault *fault,
	struct umbra_exit *out, bool *again)
{
	struct umbra_vm *vm = vcpu->vm;
	access_bits access = access_of(fault);
	struct target target;
	struct walk walk;

	tree_descend(vcpu, fault->gva, &walk);
	if (!walk_guest(vcpu, fault->gva, access, &walk))
		return inject(vm, fault->gva, &walk, out);
	if (!walk_set_ad(&walk, access))
		return UMBRA_RESUME;
	out->gpa = walk.gfn << X86_PAGE_SHIFT | fault->gva % X86_PAGE_SIZE;
	if (!tree_target(vm, walk.gfn, &target) || ((access & X86_PF_W) && !target.writable)) {
		vm->stats.pf_mmio++;
		return UMBRA_MMIO;
	}
	if ((access & X86_PF_W) && target.frame && frame_protected(target.frame)) {
		vm->stats.pf_write_table++;
		*again = write_decide(vcpu, &walk) == WRITE_FREE;
		if (*again)
			return UMBRA_RESUME;
		vm->stats.pf_emulate++;
		return UMBRA_EMULATE;
	}
	if (unmappable(vcpu, access, &walk)) {
		vm->stats.pf_emulate++;
		return UMBRA_EMULATE;
	}
	if (tree_map(vcpu, fault->gva, &walk, access, &target))
		vm->stats.pf_fixed++;
	else
		vm->stats.pf_spurious++;
	return UMBRA_RESUME;
}

enum umbra_outcome umbra_page_fault(
	struct umbra_vcpu *vcpu, const struct umbra_page_fault *fault, struct umbra_exit *out)
{
	struct umbra_vm *vm = vcpu->vm;
	enum umbra_outcome outcome;
	bool again = false;

	mmu_lock(vm);
	vm->stats.pf_taken++;
	page_reserve(vm, RESERVE_PAGES);
	outcome = look(vcpu, fault, out, &again);
	if (again)
		outcome = look(vcpu, fault, out, &again);
	/* sync.c, rule 2, where nothing was mapped */
	if (outcome != UMBRA_RESUME && vm->n_unsync)
		sync_path(vm, fault->gva, tree_known_page(vcpu, fault->gva));
	if (vm->stale_parts)
		flush_later(vm);
	mmu_unlock(vm);
	audit_event(vm);
	return outcome;
}
