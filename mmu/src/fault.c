/* SPDX-License-Identifier: MIT */
/*
 * The page fault: the event that everything else serves. Walks the guest's tables, decides whose
 * fault it is, and has the tree fixed. Owns vcpu->suspect.
 */
#include "audit.h"
#include "fast.h"
#include "gpte.h"
#include "lock.h"
#include "mode.h"
#include "page.h"
#include "slot.h"
#include "sync.h"
#include "tree.h"
#include "walk.h"
#include "write.h"

/*
 * A supervisor's store that CR0.WP=0 allows, and the hardware's WP=1 does not, where the entry that
 * would let it through is stopped by its key, or lets too much through (vcpu->keep_u; the last
 * entry's U counts, since its table may hang below others with other rights), or, by SMEP's NX for
 * these others, does not let through the fetch of an instruction that stores into its own page.
 */
static bool unmappable(const struct umbra_vcpu *vcpu, const struct umbra_page_fault *fault,
	access_bits access, const struct walk *walk)
{
	uint64_t leaf = walk->gpte[walk->leaf_level];
	bool user = walk->all & X86_PTE_U;

	if (vcpu->wp || (access & (X86_PF_W | X86_PF_U)) != X86_PF_W)
		return false;
	if (mode_key_stops_store(vcpu, fault, leaf, user))
		return true;
	return !(walk->all & X86_PTE_W) && (leaf & X86_PTE_U) &&
	       (vcpu->keep_u || (vcpu->smep && !user));
}

/*
 * A supervisor's access to a user page that EFLAGS.AC=1 allows under SMAP may have been an implicit
 * one (to a descriptor table, say), which it does not allow: the hardware knows, its error code
 * does not tell. Returns the code of the fault that it is then, 0 if it is none either way.
 */
static uint32_t code_if_implicit(
	const struct umbra_vcpu *vcpu, access_bits access, const struct walk *walk)
{
	if (!vcpu->smap || !(access & ACCESS_AC) || (access & (X86_PF_U | X86_PF_I)))
		return 0;
	return walk_judge(vcpu, access & ~(access_bits)ACCESS_AC, walk);
}

/*
 * Nothing was to be done, yet the hardware faulted. Mostly it used a translation that has gone from
 * its TLB since. But if the same fault comes again, and no entry has changed in between, then the
 * access was an implicit one. Returns as above.
 */
static uint32_t was_implicit(
	struct umbra_vcpu *vcpu, umbra_gva gva, access_bits access, const struct walk *walk)
{
	uint32_t code = code_if_implicit(vcpu, access, walk);
	uint64_t changes = vcpu->vm->changes;
	bool again = vcpu->suspect == gva && vcpu->suspect_changes == changes;

	if (!code)
		return 0;
	vcpu->suspect = gva;
	vcpu->suspect_changes = again ? 0 : changes;
	return again ? code : 0;
}

/* The host performs the access at @gpa. Whether it was implicit it can see from the instruction. */
static void hand_over(const struct umbra_vcpu *vcpu, umbra_gva gva, access_bits access,
	const struct walk *walk, struct umbra_exit *out)
{
	*out = (struct umbra_exit){
		.error_code = code_if_implicit(vcpu, access, walk),
		.gva = gva,
		.gpa = walk->gfn << X86_PAGE_SHIFT | gva % X86_PAGE_SIZE,
	};
	out->vector = out->error_code ? X86_PF : 0;
}

/*
 * One look at the fault, at @gva. RESERVE_PAGES are free. *again: the decision about a store into a
 * table may have changed what was looked at, so look again; it does not come a second time.
 */
static enum umbra_outcome look(struct umbra_vcpu *vcpu, const struct umbra_page_fault *fault,
	umbra_gva gva, struct umbra_exit *out, bool *again)
{
	struct umbra_vm *vm = vcpu->vm;
	access_bits access = mode_access(vcpu, fault);
	bool emulate = false;
	bool ad_set;
	uint32_t code;
	struct target target;
	struct walk walk;

	tree_descend(vcpu, gva, &walk);
	if (!walk_guest(vcpu, gva, access, &walk))
		return fast_inject(vm, gva, walk.error_code, out);
	ad_set = walk_set_ad(&walk, access);
	if (UNLIKELY(walk.narrow))
		sync_wide_views(vm, &walk);
	if (!ad_set)
		return UMBRA_RESUME;
	if (!tree_target(vm, walk.gfn, &target) || ((access & X86_PF_W) && !target.writable)) {
		hand_over(vcpu, gva, access, &walk, out);
		vm->stats.pf_mmio++;
		return UMBRA_MMIO;
	}
	if ((access & X86_PF_W) && target_protected(&target)) {
		*again = write_decide(vcpu, walk.gfn, target.frame, access) == WRITE_FREE;
		if (*again)
			return UMBRA_RESUME;
		emulate = true;
		/* What is stored to is read, too; and the next store has a way that is known. */
		(void)tree_map(vcpu, gva, &walk, access & ~(access_bits)X86_PF_W, &target);
	}
	if (emulate || unmappable(vcpu, fault, access, &walk)) {
		hand_over(vcpu, gva, access, &walk, out);
		vm->stats.pf_emulate++;
		return UMBRA_EMULATE;
	}
	if (tree_map(vcpu, gva, &walk, access, &target)) {
		vm->stats.pf_fixed++;
		return UMBRA_RESUME;
	}
	vm->stats.pf_spurious++;
	code = was_implicit(vcpu, gva, access, &walk);
	return code ? fast_inject(vm, gva, code, out) : UMBRA_RESUME;
}

/* Any fault at @gva. */
static enum umbra_outcome answer(struct umbra_vcpu *vcpu, const struct umbra_page_fault *fault,
	umbra_gva gva, struct umbra_exit *out)
{
	struct umbra_vm *vm = vcpu->vm;
	enum umbra_outcome outcome;
	bool again = false;

	if (fast_store(vcpu, fault, gva, out))
		return UMBRA_EMULATE;
	page_reserve(vm, RESERVE_PAGES);
	outcome = look(vcpu, fault, gva, out, &again);
	if (again)
		outcome = look(vcpu, fault, gva, out, &again);
	/* sync.c, rule 3, where nothing was mapped */
	if (outcome != UMBRA_RESUME)
		sync_path(vm, gva, tree_known_page(vcpu, gva));
	return outcome;
}

enum umbra_outcome umbra_page_fault(
	struct umbra_vcpu *vcpu, const struct umbra_page_fault *fault, struct umbra_exit *out)
{
	struct umbra_vm *vm = vcpu->vm;
	umbra_gva gva = fault->gva & vcpu->linear_mask;
	enum umbra_outcome outcome;

	mmu_lock(vm);
	vm->stats.pf_taken++;
	if (!fast_fault(vcpu, fault, gva, out, &outcome))
		outcome = answer(vcpu, fault, gva, out);
	if (UNLIKELY(vm->stale_parts))
		flush_later(vm);
	mmu_unlock(vm);
	audit_event(vm);
	return outcome;
}
