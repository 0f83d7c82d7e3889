/* SPDX-License-Identifier: MIT */
/*
 * The guest's own CR0, CR3, CR4 and EFER against those the hardware runs with. Shadow paging only.
 */
#include "hv/core/insn.h"
#include "hv/vm/cpuid.h"
#include "hv/vm/vcpu.h"

/* Bits that change what a translation says. The rest goes to the hardware only. */
#define CR0_PAGING  (X86_CR0_PE | X86_CR0_WP | X86_CR0_PG)
#define CR4_PAGING  (X86_CR4_PSE | X86_CR4_PAE | X86_CR4_PGE | X86_CR4_SMEP | X86_CR4_SMAP)
#define EFER_PAGING (X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE)

/* APM 2 "Extended Feature Enable Register (EFER)": no part of translation. */
#define EFER_FFXSR (1ull << 14)

static bool translation_differs(
	const struct umbra_paging_regs *a, const struct umbra_paging_regs *b)
{
	return (a->cr0 ^ b->cr0) & CR0_PAGING || a->cr3 != b->cr3 ||
	       (a->cr4 ^ b->cr4) & CR4_PAGING || (a->efer ^ b->efer) & EFER_PAGING;
}

bool paging_change(struct vcpu *vcpu, const struct umbra_paging_regs *regs)
{
	struct umbra_exit out;

	if (translation_differs(&vcpu->regs, regs)) {
		if (umbra_set_paging_regs(vcpu->mmu, regs, &out) != UMBRA_RESUME) {
			inject_outcome(vcpu, &out);
			return false;
		}
		vendor_flush_tlb(vcpu);
	}
	vcpu->regs = *regs;
	vendor_set_paging(vcpu, regs, umbra_shadow_mode(vcpu->mmu));
	vcpu->root = umbra_root(vcpu->mmu);
	return true;
}

uint64_t paging_efer(uint64_t efer, uint64_t cr0)
{
	efer &= ~X86_EFER_LMA;
	return efer & X86_EFER_LME && cr0 & X86_CR0_PG ? efer | X86_EFER_LMA : efer;
}

/* A CPUID bit and the control register bits that exist with it. */
struct bit_pair {
	uint32_t cpuid;
	uint64_t control;
};

static uint64_t collect(uint32_t word, const struct bit_pair *pairs, unsigned n)
{
	uint64_t bits = 0;

	for (unsigned i = 0; i < n; i++) {
		if (word & pairs[i].cpuid)
			bits |= pairs[i].control;
	}
	return bits;
}

static uint64_t cr4_mask(void)
{
	/* SDM 2 "CPUID", leaf 1 EDX, ECX; leaf 7 EBX, ECX. */
	static const struct bit_pair edx_1[] = {
		{1u << 1, X86_CR4_VME | X86_CR4_PVI},
		{1u << 2, X86_CR4_DE},
		{1u << 3, X86_CR4_PSE},
		{1u << 4, X86_CR4_TSD},
		{1u << 6, X86_CR4_PAE},
		{1u << 7, X86_CR4_MCE},
		{1u << 13, X86_CR4_PGE},
		{1u << 24, X86_CR4_OSFXSR},
		{1u << 25, X86_CR4_OSXMMEXCPT},
	};
	static const struct bit_pair ecx_1[] = {{1u << 26, X86_CR4_OSXSAVE}};
	static const struct bit_pair ebx_7[] = {
		{1u << 0, X86_CR4_FSGSBASE},
		{1u << 7, X86_CR4_SMEP},
		{1u << 20, X86_CR4_SMAP},
	};
	static const struct bit_pair ecx_7[] = {{1u << 2, X86_CR4_UMIP}};
	struct cpuid_result leaf_1 = cpuid_guest(1, 0);
	struct cpuid_result leaf_7 = cpuid_guest(7, 0);

	return X86_CR4_PCE | collect(leaf_1.edx, edx_1, 9) | collect(leaf_1.ecx, ecx_1, 1) |
	       collect(leaf_7.ebx, ebx_7, 3) | collect(leaf_7.ecx, ecx_7, 1);
}

static uint64_t efer_mask(void)
{
	/* APM 3 "CPUID Fn8000_0001_EDX". */
	static const struct bit_pair edx[] = {
		{1u << 11, X86_EFER_SCE},
		{1u << 20, X86_EFER_NXE},
		{1u << 25, EFER_FFXSR},
		{1u << 29, X86_EFER_LME},
	};

	return collect(cpuid_guest(0x80000001u, 0).edx, edx, 4);
}

void paging_init(struct vm *vm)
{
	vm->cr4_mask = cr4_mask();
	vm->efer_mask = efer_mask();
}
