/* SPDX-License-Identifier: MIT */
/*
 * A quick look at the instruction at RIP, for the exits that are so frequent that each instruction
 * counts.
 */
#ifndef HV_VM_PEEK_H
#define HV_VM_PEEK_H

#include "hv/vm/shadow_walk.h"
#include "hv/vm/vcpu.h"

/* The eight bytes from RIP on, little-endian, if they are quickly had: in one page that the shadow
 * tables still map. @in_64: it is 64-bit code. Returns false otherwise; then memory_fetch() does
 * it. */
static inline __attribute__((always_inline)) bool peek_at_rip(
	struct vcpu *vcpu, bool in_64, uint64_t *word)
{
	umbra_gva gva = vcpu->exit.rip;
	umbra_gpa gpa;

	if (unlikely(!in_64))
		gva = insn_linear_at(vcpu, X86_SEG_CS, gva);
	if (gva % X86_PAGE_SIZE > X86_PAGE_SIZE - sizeof(*word))
		return false;
	if (!vcpu->mmu || !shadow_walk(umbra_root(vcpu->mmu), vcpu->shadow_shift, gva, &gpa))
		return false;
	/* The direct map has the first 4 GiB, and RAM; what the guest may not read is in no table.
	 */
	if (gpa >> 32 && !memory_ram(vcpu->vm, gpa))
		return false;
	__builtin_memcpy(word, phys_to_virt(gpa), sizeof(*word));
	return true;
}

#endif
