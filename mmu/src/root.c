/* SPDX-License-Identifier: MIT */
/*
 * Which tree a vCPU runs on: CR3 loads, changes of paging mode, INVLPG. Roots stay cached when they
 * are left (S1).
 */
#include "root.h"

#include "audit.h"
#include "flush.h"
#include "lock.h"
#include "mode.h"
#include "page.h"
#include "sync.h"
#include "tree.h"

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

static uint32_t make_root(struct umbra_vcpu *vcpu, uint64_t gfn, uint32_t from)
{
	struct umbra_vm *vm = vcpu->vm;
	uint32_t root;

	page_reserve(vm, 1);
	root = page_create(vm, gfn, vcpu->root_role);
	if (vm->policy.cache && page_has_table(&vm->pages[root]) && vm->pages[from].in_use &&
		vm->pages[from].role == vcpu->root_role)
		tree_inherit(vm, from, root);
	return root;
}

static void enter(struct umbra_vcpu *vcpu, uint32_t from)
{
	struct umbra_vm *vm = vcpu->vm;
	uint64_t gfn = root_gfn(vcpu);
	uint32_t root = page_lookup(vm, gfn, vcpu->root_role);

	if (root) {
		vm->stats.mmu_cache_hit++;
	} else {
		vm->stats.mmu_cache_miss++;
		root = make_root(vcpu, gfn, from);
	}
	if (mode_pdptes(vcpu))
		tree_load_pdptes(vm, root);
	vm->pages[root].roots++;
	vm->pages[root].used = true;
	vcpu->root = root;
	vcpu->root_hpa = page_hpa(vm, root);
}

/* The registers have been taken over; everything the guest could have cached is stale now. */
static void switch_root(struct umbra_vcpu *vcpu)
{
	struct umbra_vm *vm = vcpu->vm;
	uint32_t from = leave(vcpu);

	if (vm->policy.cache)
		sync_all(vm);
	else
		page_zap_all(vm);
	enter(vcpu, from);
	for (unsigned i = 0; i < GAVE_UP_MAX; i++)
		vcpu->gave_up[i] = ~0ull;
	flush_vcpu(vcpu);
}

void root_init(struct umbra_vcpu *vcpu)
{
	mode_reset(vcpu);
	mmu_lock(vcpu->vm);
	switch_root(vcpu);
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
	switch_root(vcpu);
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
	switch_root(vcpu);
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
		sync_all(vm);
		flush_vcpu(vcpu);
	}
	mmu_unlock(vm);
	audit_event(vm);
	return UMBRA_RESUME;
}
