/* SPDX-License-Identifier: MIT */
/*
 * INVLPG.
 */
#include "hv/vm/vcpu.h"

/* INVLPG [register] of 64-bit code, which is what operating systems use: [REX] 0F 01, ModRM 00 111
 * register. */
static inline bool decode_simple(const struct vcpu *vcpu, umbra_gva *gva, unsigned *length)
{
	unsigned rex_b = 0;
	unsigned rm;
	uint64_t word;

	if (!memory_peek(vcpu, &word))
		return false;
	*length = 3;
	if ((word & 0xf0) == 0x40) {
		rex_b = word & 1;
		word >>= 8;
		*length = 4;
	}
	rm = word >> 16 & 7;
	*gva = vcpu->gpr[rm | rex_b << 3];
	/* With RSP's number a SIB byte follows, with RBP's a displacement. */
	return (word & 0xf8ffff) == 0x38010f && rm != X86_RSP && rm != X86_RBP;
}

/* Returns false if another instruction stands there now, or its fetch faults and that was injected.
 */
static __attribute__((noinline)) bool decode_other(
	struct vcpu *vcpu, umbra_gva *gva, unsigned *length)
{
	struct x86_insn insn;

	*length = vendor_insn_length(vcpu);
	if (*length && vendor_invlpg_gva(vcpu, gva))
		return true;
	if (insn_decode(vcpu, &insn) != INSN_OK || insn.op != X86_OP_INVLPG)
		return false;
	*gva = insn_linear(vcpu, &insn);
	*length = insn.length;
	return true;
}

void exit_invlpg(struct vcpu *vcpu)
{
	unsigned length;
	umbra_gva gva;

	if (!decode_simple(vcpu, &gva, &length) && !decode_other(vcpu, &gva, &length))
		return;
	umbra_invlpg(vcpu->mmu, gva);
	vcpu->root = umbra_root(vcpu->mmu);
	vendor_advance(vcpu, length);
}
