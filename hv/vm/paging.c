/* SPDX-License-Identifier: MIT */
/*
 * The guest's own CR0, CR3, CR4 and EFER against those the hardware runs with.
 */
#include "hv/vm/control.h"
#include "hv/vm/cpuid.h"
#include "hv/vm/shadow_walk.h"
#include "hv/vm/vcpu.h"

#define CPUID_7_ECX_PKU (1u << 3)

/* The lowest bit of a linear address that chooses an entry of the root. */
static unsigned root_shift(enum umbra_shadow_mode mode)
{
	switch (mode) {
	case UMBRA_SHADOW_PAE:
		return SHADOW_SHIFT_PAE;
	case UMBRA_SHADOW_4LEVEL:
		return SHADOW_SHIFT_4LEVEL;
	case UMBRA_SHADOW_5LEVEL:
		return SHADOW_SHIFT_5LEVEL;
	}
	panic("unknown shadow mode %d", (int)mode);
}

bool paging_change(struct vcpu *vcpu, const struct umbra_paging_regs *regs)
{
	enum umbra_shadow_mode mode;
	struct umbra_exit out;

	if (!vcpu->mmu) {
		vendor_nested_set_control(vcpu, regs);
		return true;
	}
	if (control_concerns_mmu(&vcpu->regs, regs)) {
		if (umbra_set_paging_regs(vcpu->mmu, regs, &out) != UMBRA_RESUME)
			return false;
		vendor_flush_tlb(vcpu);
	}
	mode = umbra_shadow_mode(vcpu->mmu);
	/* What they stand on. */
	if (vcpu->shadow_shift != root_shift(mode) ||
		(vcpu->regs.efer ^ regs->efer) & X86_EFER_LMA) {
		sites_forget(vcpu);
		insn_forget_paths(vcpu);
	}
	vcpu->regs = *regs;
	vcpu->shadow_shift = root_shift(mode);
	vcpu_follow(vcpu);
	vendor_set_paging(vcpu, regs, mode);
	return true;
}

/* Leaves beyond the last one are another leaf's answer on some processors. */
static struct cpuid_result known_leaf(uint32_t leaf)
{
	uint32_t last = cpuid(leaf & 0x80000000u, 0).eax;

	return leaf <= last ? cpuid_guest(leaf, 0) : (struct cpuid_result){0};
}

void paging_init(struct vm *vm)
{
	struct cpuid_result leaf_7 = known_leaf(7);

	vm->cr4_mask = control_cr4_mask(known_leaf(1), leaf_7);
	vm->efer_mask = control_efer_mask(known_leaf(0x80000001u), known_leaf(0x80000021u));
	/* So that RDPKRU works here. Our own pages are supervisor pages, which PKRU leaves alone.
	 */
	if (leaf_7.ecx & CPUID_7_ECX_PKU)
		write_cr4(read_cr4() | X86_CR4_PKE);
}
