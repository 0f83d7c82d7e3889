/* SPDX-License-Identifier: MIT */
/*
 * CPUID: the processor's own answer, without what the guest must not have.
 */
#include "hv/vm/cpuid.h"

#include "hv/vm/vcpu.h"

enum cpuid_register {
	EAX,
	EBX,
	ECX,
	EDX,
};

#define ANY_SUBLEAF UINT32_MAX

/* Bits that are cleared. SDM 2 "CPUID"; APM 3 "Obtaining Processor Information Via the CPUID
 * Instruction". */
struct hidden {
	uint32_t leaf, subleaf;
	enum cpuid_register where;
	uint32_t bits;
	const char *why;
};

static const struct hidden hidden[] = {
	{1, ANY_SUBLEAF, ECX, 1u << 17, "PCID: the MMU does not do it yet"},
	{1, ANY_SUBLEAF, ECX, 1u << 21, "x2APIC: its ICR would let INIT through unseen"},
	{7, 0, EBX, 1u << 10, "INVPCID: comes with PCID"},
	{7, 0, ECX, 1u << 3 | 1u << 4, "PKU, OSPKE: the MMU does not do protection keys yet"},
	{7, 0, ECX, 1u << 7, "CET shadow stacks: a kind of page of their own"},
	{7, 0, EDX, 1u << 20, "CET indirect branch tracking: CR4.CET is not given"},
	{7, 0, ECX, 1u << 16, "LA57: the MMU does not do 5 levels yet"},
	{7, 0, ECX, 1u << 31, "PKS: the MMU does not do protection keys yet"},
	{0xd, 0, EAX, 1u << 9, "XCR0.PKRU: goes with PKU"},
	{0x40000001u, ANY_SUBLEAF, EAX, ~0u,
		"paravirtual services of an outer hypervisor: not for our guest"},
	{0x80000001u, ANY_SUBLEAF, ECX, 1u << 2, "SVM: in use"},
	{0x80000001u, ANY_SUBLEAF, ECX, 1u << 12, "SKINIT: goes with SVM"},
	{0x80000001u, ANY_SUBLEAF, ECX, 1u << 17,
		"translation cache extension: EFER.TCE is not given"},
	{0x80000008u, ANY_SUBLEAF, EBX, 1u << 3,
		"INVLPGB: invalidates on other processors without an exit"},
	{0x80000008u, ANY_SUBLEAF, EBX, 1u << 21, "INVLPGB for nested translations"},
	{0x80000021u, ANY_SUBLEAF, EAX, 1u << 8, "automatic IBRS: its bit in EFER is not given"},
	{0x8000000au, ANY_SUBLEAF, EAX, ~0u, "SVM features"},
	{0x8000000au, ANY_SUBLEAF, EBX, ~0u, "SVM features"},
	{0x8000000au, ANY_SUBLEAF, ECX, ~0u, "SVM features"},
	{0x8000000au, ANY_SUBLEAF, EDX, ~0u, "SVM features"},
	{0x8000001fu, ANY_SUBLEAF, EAX, ~0u,
		"memory encryption: the C bit would be a reserved one"},
};

#define LEAF_1_ECX_OSXSAVE (1u << 27)

struct cpuid_result cpuid_guest(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid_result r = cpuid(leaf, subleaf);
	uint32_t *words[] = {[EAX] = &r.eax, [EBX] = &r.ebx, [ECX] = &r.ecx, [EDX] = &r.edx};

	for (unsigned i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++) {
		const struct hidden *row = &hidden[i];

		if (row->leaf == leaf && (row->subleaf == ANY_SUBLEAF || row->subleaf == subleaf))
			*words[row->where] &= ~row->bits;
	}
	return r;
}

void exit_cpuid(struct vcpu *vcpu)
{
	uint32_t leaf = (uint32_t)vcpu->gpr[X86_RAX];
	struct cpuid_result r = cpuid_guest(leaf, (uint32_t)vcpu->gpr[X86_RCX]);

	/* The processor answered for the hypervisor's CR4. */
	if (leaf == 1) {
		r.ecx &= ~LEAF_1_ECX_OSXSAVE;
		r.ecx |= vcpu->regs.cr4 & X86_CR4_OSXSAVE ? LEAF_1_ECX_OSXSAVE : 0;
	}
	vcpu->gpr[X86_RAX] = r.eax;
	vcpu->gpr[X86_RBX] = r.ebx;
	vcpu->gpr[X86_RCX] = r.ecx;
	vcpu->gpr[X86_RDX] = r.edx;
	insn_skip(vcpu);
}
