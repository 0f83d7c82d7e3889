/* SPDX-License-Identifier: MIT */
/*
 * Which of the guest's control bits the hardware gets, and which belong to the shadow tables.
 */
#include "hv/arch/svm/shadow_regs.h"

#include "x86/x86.h"

/* An unpaged guest, in real mode too, runs with PG=1: PG without PE is legal in a VMCB. APM 2
 * "Paged Real Mode". CD and NW are ours: NW alone is illegal, and a guest without caches would only
 * be slow. */
static uint64_t shadow_cr0(const struct umbra_paging_regs *guest)
{
	uint64_t cr0 = guest->cr0 & ~(X86_CR0_CD | X86_CR0_NW);

	return cr0 | X86_CR0_PG | X86_CR0_WP | X86_CR0_ET;
}

static uint64_t shadow_cr4(const struct umbra_paging_regs *guest, enum umbra_shadow_mode mode)
{
	/* All shadow tables have entries of 8 bytes. PCIDs exist for the library alone. */
	uint64_t cr4 = (guest->cr4 & ~(X86_CR4_PCIDE | X86_CR4_LA57)) | X86_CR4_PAE;

	/* The tables of an unpaged guest are user pages, and it has no rights to check. */
	if (!(guest->cr0 & X86_CR0_PG))
		cr4 &= ~(X86_CR4_SMEP | X86_CR4_SMAP);
	/* Keys exist with 64-bit tables only: elsewhere they have no effect, except on TCG, which
	 * finds key 0 in every entry. */
	if (mode == UMBRA_SHADOW_PAE)
		cr4 &= ~(X86_CR4_PKE | X86_CR4_PKS);
	if (mode == UMBRA_SHADOW_5LEVEL)
		cr4 |= X86_CR4_LA57;
	return cr4;
}

static uint64_t shadow_efer(const struct umbra_paging_regs *guest, enum umbra_shadow_mode mode)
{
	/* LME without LMA never appears: with PG set it would be long mode, or an invalid state.
	 * TCE is the library's, which knows what the guest's INVLPG has to bring up to date: the
	 * processor invalidates for the hypervisor alone. */
	uint64_t efer = guest->efer & ~(X86_EFER_LME | X86_EFER_LMA | X86_EFER_TCE);

	if (mode != UMBRA_SHADOW_PAE)
		efer |= X86_EFER_LME | X86_EFER_LMA;
	return efer | X86_EFER_SVME | X86_EFER_NXE;
}

struct svm_shadow_regs svm_shadow_regs(
	const struct umbra_paging_regs *guest, enum umbra_shadow_mode mode)
{
	return (struct svm_shadow_regs){
		.cr0 = shadow_cr0(guest),
		.cr4 = shadow_cr4(guest, mode),
		.efer = shadow_efer(guest, mode),
	};
}
