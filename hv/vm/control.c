/* SPDX-License-Identifier: MIT */
/*
 * The rules of CR0, CR4 and EFER, and which of their bits exist.
 */
#include "hv/vm/control.h"

#include "x86/x86.h"

#define CR0_DEFINED                                                                                \
	(X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS | X86_CR0_ET | X86_CR0_NE |             \
		X86_CR0_WP | X86_CR0_AM | X86_CR0_NW | X86_CR0_CD | X86_CR0_PG)

/* Bits that decide about translation, or whose change loads PDPTEs again. SDM 3A "PDPTE Registers".
 */
#define CR0_MMU (X86_CR0_PE | X86_CR0_WP | X86_CR0_PG | X86_CR0_CD | X86_CR0_NW)
#define CR4_MMU                                                                                    \
	(X86_CR4_PSE | X86_CR4_PAE | X86_CR4_PGE | X86_CR4_LA57 | X86_CR4_PCIDE | X86_CR4_SMEP |   \
		X86_CR4_SMAP | X86_CR4_PKE | X86_CR4_PKS)
#define EFER_MMU (X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE | X86_EFER_TCE)

/* LMA is no bit of its own: it says that PG and LME are both set. */
static void set_lma(struct umbra_paging_regs *regs)
{
	regs->efer &= ~X86_EFER_LMA;
	if (regs->efer & X86_EFER_LME && regs->cr0 & X86_CR0_PG)
		regs->efer |= X86_EFER_LMA;
}

bool control_write_cr0(const struct umbra_paging_regs *now, uint64_t cr0, bool in_64,
	struct umbra_paging_regs *next)
{
	bool pages = cr0 & X86_CR0_PG;
	bool paged = now->cr0 & X86_CR0_PG;

	if (cr0 >> 32 || (pages && !(cr0 & X86_CR0_PE)))
		return false;
	if (cr0 & X86_CR0_NW && !(cr0 & X86_CR0_CD))
		return false;
	if (pages && !paged && now->efer & X86_EFER_LME && !(now->cr4 & X86_CR4_PAE))
		return false;
	if (paged && !pages && (in_64 || now->cr4 & X86_CR4_PCIDE))
		return false;
	*next = *now;
	/* Undefined bits are ignored, ET is always set. */
	next->cr0 = (cr0 & CR0_DEFINED) | X86_CR0_ET;
	set_lma(next);
	return true;
}

bool control_enters_long_mode(
	const struct umbra_paging_regs *now, const struct umbra_paging_regs *next)
{
	return next->efer & ~now->efer & X86_EFER_LMA;
}

bool control_write_cr4(const struct umbra_paging_regs *now, uint64_t cr4, uint64_t mask,
	struct umbra_paging_regs *next)
{
	bool is_long = now->efer & X86_EFER_LMA;
	uint64_t set = cr4 & ~now->cr4;

	if (cr4 & ~mask)
		return false;
	if (is_long && (!(cr4 & X86_CR4_PAE) || (cr4 ^ now->cr4) & X86_CR4_LA57))
		return false;
	if (set & X86_CR4_PCIDE && (!is_long || now->cr3 % X86_PAGE_SIZE))
		return false;
	*next = *now;
	next->cr4 = cr4;
	return true;
}

bool control_write_efer(const struct umbra_paging_regs *now, uint64_t efer, uint64_t mask,
	struct umbra_paging_regs *next)
{
	/* LMA cannot be written. AMD's manual has #GP for another value than its own, Intel's
	 * says nothing; processors ignore it. */
	efer &= ~X86_EFER_LMA;
	if (efer & ~mask)
		return false;
	if ((efer ^ now->efer) & X86_EFER_LME && now->cr0 & X86_CR0_PG)
		return false;
	*next = *now;
	next->efer = efer;
	set_lma(next);
	return true;
}

bool control_concerns_mmu(const struct umbra_paging_regs *a, const struct umbra_paging_regs *b)
{
	return (a->cr0 ^ b->cr0) & CR0_MMU || a->cr3 != b->cr3 || (a->cr4 ^ b->cr4) & CR4_MMU ||
	       (a->efer ^ b->efer) & EFER_MMU;
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

#define COLLECT(word, pairs) collect(word, pairs, sizeof(pairs) / sizeof((pairs)[0]))

uint64_t control_cr4_mask(struct cpuid_result leaf_1, struct cpuid_result leaf_7)
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
	static const struct bit_pair ecx_1[] = {
		{1u << 17, X86_CR4_PCIDE},
		{1u << 26, X86_CR4_OSXSAVE},
	};
	static const struct bit_pair ebx_7[] = {
		{1u << 0, X86_CR4_FSGSBASE},
		{1u << 7, X86_CR4_SMEP},
		{1u << 20, X86_CR4_SMAP},
	};
	static const struct bit_pair ecx_7[] = {
		{1u << 2, X86_CR4_UMIP},
		{1u << 3, X86_CR4_PKE},
		{1u << 16, X86_CR4_LA57},
		{1u << 31, X86_CR4_PKS},
	};

	return X86_CR4_PCE | COLLECT(leaf_1.edx, edx_1) | COLLECT(leaf_1.ecx, ecx_1) |
	       COLLECT(leaf_7.ebx, ebx_7) | COLLECT(leaf_7.ecx, ecx_7);
}

uint64_t control_efer_mask(struct cpuid_result extended_1, struct cpuid_result extended_21)
{
	/* APM 3 "CPUID Fn8000_0001_EDX", "CPUID Fn8000_0001_ECX", "CPUID Fn8000_0021_EAX". */
	static const struct bit_pair edx_1[] = {
		{1u << 11, X86_EFER_SCE},
		{1u << 20, X86_EFER_NXE},
		{1u << 25, X86_EFER_FFXSR},
		{1u << 29, X86_EFER_LME},
	};
	static const struct bit_pair ecx_1[] = {{1u << 17, X86_EFER_TCE}};
	static const struct bit_pair eax_21[] = {{1u << 8, X86_EFER_AIBRSE}};

	return COLLECT(extended_1.edx, edx_1) | COLLECT(extended_1.ecx, ecx_1) |
	       COLLECT(extended_21.eax, eax_21);
}
