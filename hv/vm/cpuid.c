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
	{1, ANY_SUBLEAF, ECX, 1u << 21, "x2APIC: its ICR would let INIT through unseen"},
	{7, 0, ECX, 1u << 7, "CET shadow stacks: a kind of page that no shadow entry can be yet"},
	{7, 0, EDX, 1u << 20, "CET indirect branch tracking: needs CR4.CET, as shadow stacks do"},
	{7, 0, EDX, 1u << 5, "user interrupts: a bit of CR4 that is not given"},
	{7, 1, EAX, 1u << 6,
		"LASS: decides about accesses by the address, the MMU does not know it"},
	{7, 1, EAX, 1u << 17,
		"FRED: events would be delivered in a way that injection does not do"},
	{7, 1, EAX, 1u << 26,
		"LAM: bits of a linear address that the MMU would find not canonical"},
	{0x40000001u, ANY_SUBLEAF, EAX, ~0u,
		"paravirtual services of an outer hypervisor: not for our guest"},
	{0x80000001u, ANY_SUBLEAF, ECX, 1u << 2, "SVM: in use"},
	{0x80000001u, ANY_SUBLEAF, ECX, 1u << 12, "SKINIT: goes with SVM"},
	{0x80000008u, ANY_SUBLEAF, EBX, 1u << 3,
		"INVLPGB: invalidates on other processors without an exit"},
	{0x80000008u, ANY_SUBLEAF, EBX, 1u << 21, "INVLPGB for nested translations"},
	{0x80000021u, ANY_SUBLEAF, EAX, 1u << 7,
		"upper address ignore: bits of a linear address that the MMU would find not "
		"canonical"},
	{0x8000000au, ANY_SUBLEAF, EAX, ~0u, "SVM features"},
	{0x8000000au, ANY_SUBLEAF, EBX, ~0u, "SVM features"},
	{0x8000000au, ANY_SUBLEAF, ECX, ~0u, "SVM features"},
	{0x8000000au, ANY_SUBLEAF, EDX, ~0u, "SVM features"},
	{0x8000001fu, ANY_SUBLEAF, EAX, ~0u,
		"memory encryption: the C bit would be a reserved one"},
};

/* Bits of ECX that say what is set in CR4; the processor speaks of the hypervisor's. */
struct mirrored {
	uint32_t leaf;
	uint32_t bit;
	uint64_t cr4;
};

static const struct mirrored mirrored[] = {
	{1, 1u << 27, X86_CR4_OSXSAVE}, /* OSXSAVE */
	{7, 1u << 4, X86_CR4_PKE},      /* OSPKE */
};

static void mirror_cr4(uint32_t leaf, uint32_t subleaf, uint64_t cr4, struct cpuid_result *r)
{
	for (unsigned i = 0; i < sizeof(mirrored) / sizeof(mirrored[0]); i++) {
		if (mirrored[i].leaf != leaf || (leaf == 7 && subleaf != 0))
			continue;
		r->ecx &= ~mirrored[i].bit;
		r->ecx |= cr4 & mirrored[i].cr4 ? mirrored[i].bit : 0;
	}
}

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
	uint32_t subleaf = (uint32_t)vcpu->gpr[X86_RCX];
	struct cpuid_result r = cpuid_guest(leaf, subleaf);

	mirror_cr4(leaf, subleaf, vcpu->regs.cr4, &r);
	vcpu->gpr[X86_RAX] = r.eax;
	vcpu->gpr[X86_RBX] = r.ebx;
	vcpu->gpr[X86_RCX] = r.ecx;
	vcpu->gpr[X86_RDX] = r.edx;
	insn_skip(vcpu);
}
