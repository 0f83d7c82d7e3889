/* SPDX-License-Identifier: MIT */
/*
 * The page fault: the event that everything else serves. Walks the guest's tables, decides whose
 * fault it is, and has the tree fixed. Owns vcpu->implicit_suspect.
 */
#include "audit.h"
#include "gpte.h"
#include "lock.h"
#include "mode.h"
#include "page.h"
#include "slot.h"
#include "sync.h"
#include "tree.h"
#include "walk.h"
#include "write.h"

/* A fault that is being looked at. */
struct look {
	const struct umbra_page_fault *fault;
	umbra_gva gva;
	access_bits access;
	struct walk walk;
	struct target target;
};

static enum umbra_outcome inject(
	struct umbra_vm *vm, const struct look *look, struct umbra_exit *out)
{
	vm->stats.pf_guest++;
	*out = (struct umbra_exit){
		.vector = X86_PF, .error_code = look->walk.error_code, .gva = look->gva};
	return UMBRA_INJECT;
}

/*
 * A supervisor's store that CR0.WP=0 allows, and the hardware's WP=1 does not, where the entry that
 * would let it through is stopped by its key, or lets too much through (vcpu->keep_u; the last
 * entry's U counts, since its table may hang below others with other rights).
 */
static bool unmappable(const struct umbra_vcpu *vcpu, const struct look *look)
{
	uint64_t leaf = look->walk.gpte[look->walk.leaf_level];

	if (vcpu->wp || !vcpu->keep_u || (look->access & (X86_PF_W | X86_PF_U)) != X86_PF_W)
		return false;
	if (mode_key_stops_store(vcpu, look->fault, leaf, look->walk.all & X86_PTE_U))
		return true;
	return !(look->walk.all & X86_PTE_W) && (leaf & X86_PTE_U);
}

/*
 * Nothing was to be done, yet the hardware faulted. Mostly it used a translation that has gone from
 * its TLB since. But a supervisor's access to a user page that EFLAGS.AC=1 allows under SMAP may
 * have been an implicit one, which it does not allow (to a descriptor table, say): the hardware
 * knows, its error code does not tell. Then the same fault comes again.
 */
static bool was_implicit(struct umbra_vcpu *vcpu, struct look *look)
{
	umbra_gva suspect = look->gva | 1;

	if (!vcpu->smap || !(look->access & ACCESS_AC) || (look->access & (X86_PF_U | X86_PF_I)) ||
		walk_judge(vcpu, look->access & ~(access_bits)ACCESS_AC, &look->walk))
		return false;
	if (vcpu->implicit_suspect == suspect) {
		vcpu->implicit_suspect = 0;
		return true;
	}
	vcpu->implicit_suspect = suspect;
	return false;
}

/*
 * One look at the fault. RESERVE_PAGES are free. *again: the decision about a store into a table
 * may have changed what was looked at, so look again; it does not come a second time.
 */
static enum umbra_outcome look_at(
	struct umbra_vcpu *vcpu, struct look *look, struct umbra_exit *out, bool *again)
{
	struct umbra_vm *vm = vcpu->vm;
	struct walk *walk = &look->walk;
	bool write = look->access & X86_PF_W;

	tree_descend(vcpu, look->gva, walk);
	if (!walk_guest(vcpu, look->gva, look->access, walk))
		return inject(vm, look, out);
	if (!walk_set_ad(walk, look->access))
		return UMBRA_RESUME;
	out->gpa = walk->gfn << X86_PAGE_SHIFT | look->gva % X86_PAGE_SIZE;
	if (!tree_target(vm, walk->gfn, &look->target) || (write && !look->target.writable)) {
		vm->stats.pf_mmio++;
		return UMBRA_MMIO;
	}
	if (write && look->target.frame && frame_protected(look->target.frame)) {
		vm->stats.pf_write_table++;
		*again = write_decide(vcpu, walk) == WRITE_FREE;
		if (*again)
			return UMBRA_RESUME;
		vm->stats.pf_emulate++;
		return UMBRA_EMULATE;
	}
	if (unmappable(vcpu, look)) {
		vm->stats.pf_emulate++;
		return UMBRA_EMULATE;
	}
	if (tree_map(vcpu, look->gva, walk, look->access, &look->target)) {
		vm->stats.pf_fixed++;
		return UMBRA_RESUME;
	}
	vm->stats.pf_spurious++;
	return was_implicit(vcpu, look) ? inject(vm, look, out) : UMBRA_RESUME;
}

enum umbra_outcome umbra_page_fault(
	struct umbra_vcpu *vcpu, const struct umbra_page_fault *fault, struct umbra_exit *out)
{
	struct umbra_vm *vm = vcpu->vm;
	enum umbra_outcome outcome;
	struct look look;
	bool again = false;

	look.fault = fault;
	look.gva = fault->gva & vcpu->linear_mask;
	look.access = mode_access(vcpu, fault);
	mmu_lock(vm);
	vm->stats.pf_taken++;
	page_reserve(vm, RESERVE_PAGES);
	outcome = look_at(vcpu, &look, out, &again);
	if (again)
		outcome = look_at(vcpu, &look, out, &again);
	/* sync.c, rule 2, where nothing was mapped */
	if (outcome != UMBRA_RESUME && vm->n_unsync)
		sync_path(vm, look.gva, tree_known_page(vcpu, look.gva));
	if (vm->stale_parts)
		flush_later(vm);
	mmu_unlock(vm);
	audit_event(vm);
	return outcome;
}
