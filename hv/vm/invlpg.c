/* SPDX-License-Identifier: MIT */
/*
 * INVLPG and INVPCID.
 */
#include "hv/vm/debug.h"
#include "hv/vm/peek.h"

/* INVLPG [register] of 32- and 64-bit code, which is what operating systems use: [REX] 0F 01, ModRM
 * 00 111 register. */
static inline bool decode_simple(struct vcpu *vcpu, umbra_gva *gva, unsigned *length)
{
	enum x86_code_size size = vendor_code_size(vcpu);
	unsigned rex_b = 0;
	unsigned rm;
	uint64_t word;

	if (size == X86_CODE_16 || !peek_at_rip(vcpu, size == X86_CODE_64, &word))
		return false;
	*length = 3;
	if (size == X86_CODE_64 && (word & 0xf0) == 0x40) {
		rex_b = word & 1;
		word >>= 8;
		*length = 4;
	}
	rm = word >> 16 & 7;
	*gva = vcpu->gpr[rm | rex_b << 3];
	if (unlikely(size != X86_CODE_64))
		*gva = insn_linear_at(vcpu, X86_SEG_DS, *gva);
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
	vendor_advance(vcpu, length);
}

/* SDM 2 "INVPCID". */
void exit_invpcid(struct vcpu *vcpu)
{
	struct umbra_invpcid descriptor;
	struct umbra_exit out;
	struct x86_insn insn;
	uint64_t type;
	umbra_gva gva;

	_Static_assert(sizeof(descriptor) == 16, "the descriptor in memory");
	if (insn_decode(vcpu, &insn) != INSN_OK || insn.op != X86_OP_INVPCID)
		return;
	if (vcpu->exit.cpl != 0) {
		inject_exception(vcpu, X86_GP, 0);
		return;
	}
	if (!insn_operand(vcpu, &insn, sizeof(descriptor), false, &gva) ||
		!memory_read(vcpu, gva, &descriptor, sizeof(descriptor)))
		return;
	type = x86_gpr_read(&insn, vcpu->gpr, insn.reg, insn.operand_bytes);
	if (umbra_invpcid(vcpu->mmu, type, &descriptor, &out) == UMBRA_INJECT) {
		inject_outcome(vcpu, &out);
		return;
	}
	vendor_advance(vcpu, insn.length);
	debug_access(vcpu, DEBUG_READ, gva, sizeof(descriptor));
}
