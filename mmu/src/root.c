/* SPDX-License-Identifier: MIT */
/*
 * Which tree a vCPU runs on: CR3 loads, changes of paging mode, INVLPG. Roots stay cached when they
 * are left.
 */
#include "root.h"

#include "audit.h"
#include "flush.h"
#include "large.h"
#include "lock.h"
#include "mode.h"
#include "page.h"
#include "set.h"
#include "spte.h"
#include "sync.h"
#include "tree.h"
#include "unsync.h"

/* Returns the root that was left: 0 at first. */
static uint32_t leave(struct umbra_vcpu *vcpu)
{
	uint32_t root = vcpu->root;

	if (root)
		vcpu->vm->pages[root].roots--;
	vcpu->root = 0;
	return root;
}

/* What names the root of the mode among its pages. */
static uint64_t root_gfn(const struct umbra_vcpu *vcpu)
{
	if (mode_pdptes(vcpu))
		return (uint64_t)(vcpu - vcpu->vm->vcpus);
	return vcpu->mode->levels ? mode_root_gfn(vcpu) : 0;
}

static uint32_t make_root(struct umbra_vcpu *vcpu, uint64_t gfn)
{
	vcpu->vm->stats.mmu_cache_miss++;
	page_reserve(vcpu->vm, 1);
	return page_create(vcpu->vm, gfn, vcpu->root_role, 0);
}

/* The page for (@gfn, root_role) is there. It may have been found below another root until now. */
static void take_root(struct umbra_vm *vm, uint32_t root)
{
	struct shadow_page *sp = &vm->pages[root];

	vm->stats.mmu_cache_hit++;
	if (LIKELY(sp->owner == root))
		return;
	if (sp->parents || sp->roots)
		unsync_adopt(vm, root, 0);
	else
		page_begin_anew(vm, root, root);
}

/* Can the new @root take over links of @from? */
static bool may_inherit(const struct umbra_vm *vm, uint32_t from, uint32_t root)
{
	return vm->policy.cache && page_has_table(&vm->pages[root]) && vm->pages[from].in_use &&
	       vm->pages[from].role == vm->pages[root].role;
}

static void enter(struct umbra_vcpu *vcpu, uint32_t from)
{
	struct umbra_vm *vm = vcpu->vm;
	uint64_t gfn = root_gfn(vcpu);
	uint32_t root = page_lookup(vm, gfn, vcpu->root_role);
	bool made = !root;

	if (made)
		root = make_root(vcpu, gfn);
	else
		take_root(vm, root);
	vm->pages[root].roots++;
	vm->pages[root].used = true;
	vcpu->root = root;
	vcpu->root_hpa = page_hpa(vm, root);
	if (mode_pdptes(vcpu))
		tree_load_pdptes(vm, root);
	sync_root(vm, root);
	if (made && may_inherit(vm, from, root))
		tree_inherit(vm, from, root);
}

/* Does @root lead to anything that others do not? */
static bool leads_to_own(const struct umbra_vm *vm, uint32_t root)
{
	const struct shadow_page *sp = &vm->pages[root];

	for (unsigned i = set_next(vm, root, 0); i < ENTRIES; i = set_next(vm, root, i + 1)) {
		uint64_t spte = set_read(vm, root, i);

		if (spte_is_leaf(spte, page_level(sp)) ||
			vm->pages[spte_child(vm, spte)].owner == root)
			return true;
	}
	return false;
}

#define VISIT_AFTER 64u /* switches of roots */
#define VISIT_PAGES 64u

/*
 * A process that has ended is not switched to again: nobody would ever see that its tables are
 * gone. So now and then the next of the roots that nobody runs on is brought up to date, as if it
 * were switched to. One that leads to nothing of its own then goes: should it live, it is made
 * again at the price of a new root.
 */
static void visit_idle_root(struct umbra_vm *vm)
{
	vm->visit_wait = VISIT_AFTER;
	for (unsigned n = 0; n < VISIT_PAGES; n++) {
		const struct shadow_page *sp;

		vm->visit = vm->visit + 1 < vm->n_pages ? vm->visit + 1 : 1;
		sp = &vm->pages[vm->visit];
		if (sp->owner != vm->visit || sp->roots || sp->parents || !page_has_table(sp))
			continue;
		sync_owner(vm, vm->visit);
		/* Or it has been given up. */
		if (sp->in_use && !leads_to_own(vm, vm->visit))
			page_zap(vm, vm->visit, false);
		return;
	}
}

/* The registers have been taken over; everything the guest could have cached is stale now. With
 * @always the hardware is flushed whether or not anything was lost: what it caches may depend on
 * more than tables. */
static void switch_root(struct umbra_vcpu *vcpu, bool always)
{
	struct umbra_vm *vm = vcpu->vm;
	uint32_t from = leave(vcpu);

	if (UNLIKELY(!vm->policy.cache))
		page_zap_all(vm);
	large_pass(vm);
	enter(vcpu, from);
	if (!vm->visit_wait--)
		visit_idle_root(vm);
	vcpu->n_gave_up = 0;
	flush_enter(vcpu, always);
}

void root_init(struct umbra_vcpu *vcpu)
{
	mode_reset(vcpu);
	mmu_lock(vcpu->vm);
	enter(vcpu, 0);
	flush_nothing(vcpu);
	mmu_unlock(vcpu->vm);
}

static enum umbra_outcome refuse(struct umbra_exit *out)
{
	*out = (struct umbra_exit){.vector = X86_GP};
	return UMBRA_INJECT;
}

enum umbra_outcome umbra_load_cr3(struct umbra_vcpu *vcpu, uint64_t cr3, struct umbra_exit *out)
{
	struct umbra_vm *vm = vcpu->vm;

	if (!mode_set_cr3(vcpu, cr3))
		return refuse(out);
	mmu_lock(vm);
	switch_root(vcpu, false);
	mmu_unlock(vm);
	audit_event(vm);
	return UMBRA_RESUME;
}

enum umbra_outcome umbra_set_paging_regs(
	struct umbra_vcpu *vcpu, const struct umbra_paging_regs *regs, struct umbra_exit *out)
{
	struct umbra_vm *vm = vcpu->vm;

	if (!mode_set(vcpu, regs))
		return refuse(out);
	mmu_lock(vm);
	switch_root(vcpu, true);
	mmu_unlock(vm);
	audit_event(vm);
	return UMBRA_RESUME;
}

/* ---- invalidations ---- */

static void invalidate_gva(struct umbra_vcpu *vcpu, umbra_gva gva)
{
	sync_gva(vcpu, gva);
	flush_gva(vcpu, gva);
}

void umbra_invlpg(struct umbra_vcpu *vcpu, umbra_gva gva)
{
	struct umbra_vm *vm = vcpu->vm;

	gva &= vcpu->linear_mask;
	if (!mode_canonical(vcpu, gva))
		return;
	mmu_lock(vm);
	vm->stats.invlpg++;
	invalidate_gva(vcpu, gva);
	mmu_unlock(vm);
	audit_event(vm);
}

#define PCID 0xfffull /* in CR3 and in INVPCID's descriptor */

/* SDM 2 "INVPCID - Invalidate Process-Context Identifier". */
static bool invpcid_legal(
	const struct umbra_vcpu *vcpu, uint64_t type, const struct umbra_invpcid *descriptor)
{
	if (type > UMBRA_INVPCID_ALL_BUT_GLOBAL || (descriptor->pcid & ~PCID))
		return false;
	if (type > UMBRA_INVPCID_CONTEXT)
		return true;
	if (descriptor->pcid && !(vcpu->regs.cr4 & X86_CR4_PCIDE))
		return false;
	return type != UMBRA_INVPCID_ADDRESS || mode_canonical(vcpu, descriptor->gva);
}

enum umbra_outcome umbra_invpcid(struct umbra_vcpu *vcpu, uint64_t type,
	const struct umbra_invpcid *descriptor, struct umbra_exit *out)
{
	struct umbra_vm *vm = vcpu->vm;
	bool current =
		descriptor->pcid == (vcpu->regs.cr4 & X86_CR4_PCIDE ? vcpu->regs.cr3 & PCID : 0);

	if (!invpcid_legal(vcpu, type, descriptor))
		return refuse(out);
	mmu_lock(vm);
	vm->stats.invlpg++;
	if (type == UMBRA_INVPCID_ADDRESS && current) {
		invalidate_gva(vcpu, descriptor->gva & vcpu->linear_mask);
	} else {
		sync_root(vm, vcpu->root);
		flush_enter(vcpu, false);
	}
	mmu_unlock(vm);
	audit_event(vm);
	return UMBRA_RESUME;
}
