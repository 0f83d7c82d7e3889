/* SPDX-License-Identifier: MIT */
/*
 * A quick look at the instruction at RIP, for the exits that are so frequent that each instruction
 * counts.
 */
#ifndef HV_VM_PEEK_H
#define HV_VM_PEEK_H

#include "hv/vm/shadow_walk.h"
#include "hv/vm/vcpu.h"

/* Where the @n_bytes from RIP on are, if that is quickly found: in one page that the shadow tables
 * still map. @in_64: it is 64-bit code. NULL otherwise; then memory_fetch() gets them. */
static inline __attribute__((always_inline)) const void *peek_bytes(
	struct vcpu *vcpu, bool in_64, unsigned n_bytes)
{
	umbra_gva gva = vcpu->exit.rip;
	umbra_gpa gpa;

	if (unlikely(!in_64))
		gva = insn_linear_at(vcpu, X86_SEG_CS, gva);
	if (gva % X86_PAGE_SIZE > X86_PAGE_SIZE - n_bytes)
		return NULL;
	if (!vcpu->mmu || !shadow_walk(umbra_root(vcpu->mmu), vcpu->shadow_shift, gva, &gpa))
		return NULL;
	/* The direct map has the first 4 GiB, and RAM; what the guest may not read is in no table.
	 */
	if (gpa >> 32 && !memory_ram(vcpu->vm, gpa))
		return NULL;
	return phys_to_virt(gpa);
}

/* The eight bytes from RIP on, little-endian, in the same way. Returns false otherwise. */
static inline __attribute__((always_inline)) bool peek_at_rip(
	struct vcpu *vcpu, bool in_64, uint64_t *word)
{
	const void *bytes = peek_bytes(vcpu, in_64, sizeof(*word));

	if (bytes)
		__builtin_memcpy(word, bytes, sizeof(*word));
	return bytes;
}

#endif
