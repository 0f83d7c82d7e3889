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

static uint32_t make_root(struct umbra_vcpu *vcpu, uint64_t gfn, uint32_t from)
{
	struct umbra_vm *vm = vcpu->vm;
	uint32_t root;

	page_reserve(vm, 1);
	root = page_create(vm, gfn, vcpu->root_role);
	if (vm->policy.cache && vcpu->mode->levels && vm->pages[from].in_use &&
		vm->pages[from].role == vcpu->root_role)
		tree_inherit(vm, from, root);
	return root;
}

static void enter(struct umbra_vcpu *vcpu, uint32_t from)
{
	struct umbra_vm *vm = vcpu->vm;
	uint64_t gfn = vcpu->mode->levels ? (vcpu->regs.cr3 & X86_PTE_FRAME) >> X86_PAGE_SHIFT : 0;
	uint32_t root = page_lookup(vm, gfn, vcpu->root_role);

	if (root) {
		vm->stats.mmu_cache_hit++;
	} else {
		vm->stats.mmu_cache_miss++;
		root = make_root(vcpu, gfn, from);
	}
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
	mode_set(vcpu, &vcpu->regs);
	mmu_lock(vcpu->vm);
	switch_root(vcpu);
	mmu_unlock(vcpu->vm);
}

enum umbra_outcome umbra_load_cr3(struct umbra_vcpu *vcpu, uint64_t cr3, struct umbra_exit *out)
{
	struct umbra_vm *vm = vcpu->vm;
	struct umbra_paging_regs regs = vcpu->regs;
	enum umbra_outcome outcome;

	regs.cr3 = cr3;
	outcome = mode_check(vm, &regs, out);
	if (outcome != UMBRA_RESUME)
		return outcome;
	mmu_lock(vm);
	vcpu->regs.cr3 = cr3;
	switch_root(vcpu);
	mmu_unlock(vm);
	audit_event(vm);
	return UMBRA_RESUME;
}

enum umbra_outcome umbra_set_paging_regs(
	struct umbra_vcpu *vcpu, const struct umbra_paging_regs *regs, struct umbra_exit *out)
{
	struct umbra_vm *vm = vcpu->vm;
	enum umbra_outcome outcome = mode_check(vm, regs, out);

	if (outcome != UMBRA_RESUME)
		return outcome;
	mmu_lock(vm);
	mode_set(vcpu, regs);
	switch_root(vcpu);
	mmu_unlock(vm);
	audit_event(vm);
	return UMBRA_RESUME;
}

void umbra_invlpg(struct umbra_vcpu *vcpu, umbra_gva gva)
{
	struct umbra_vm *vm = vcpu->vm;

	if (!mode_canonical(vcpu, gva))
		return;
	mmu_lock(vm);
	vm->stats.invlpg++;
	sync_gva(vcpu, gva);
	flush_gva(vcpu, gva);
	mmu_unlock(vm);
	audit_event(vm);
}

enum umbra_outcome umbra_invpcid(struct umbra_vcpu *vcpu, uint64_t type,
	const struct umbra_invpcid *descriptor, struct umbra_exit *out)
{
	*out = (struct umbra_exit){.vector = X86_GP};
	(void)vcpu;
	return type > 3 || descriptor->pcid >> 12 ? UMBRA_INJECT : UMBRA_RESUME;
}
