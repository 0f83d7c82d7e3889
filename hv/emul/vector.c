/* SPDX-License-Identifier: MIT */
/*
 * See vector.h.
 */
#include "hv/emul/vector.h"

#include "hv/core/insn.h"
#include "hv/vm/debug.h"

#define VECTOR_BYTES 32u

/* SDM 2 "CPUID", leaf 1 ECX. */
#define CPUID_1_ECX_XSAVE (1u << 26)

void vector_init(void)
{
	uint64_t bits = X86_CR4_OSFXSR;

	if (cpuid(1, 0).ecx & CPUID_1_ECX_XSAVE)
		bits |= X86_CR4_OSXSAVE;
	write_cr4(read_cr4() | bits);
}

/* The guest's instruction came as far as its page fault, so it has the register. */
static void read_register(const struct x86_insn *insn, uint8_t bytes[VECTOR_BYTES])
{
	if (insn->stored == X86_STORED_MMX)
		vector_read_mmx(insn->reg, bytes);
	else if (insn->operand_bytes > 16)
		vector_read_ymm(insn->reg, bytes);
	else
		vector_read_xmm(insn->reg, bytes);
}

bool vector_store(struct vcpu *vcpu, const struct x86_insn *insn, const struct memory_fault *fault)
{
	size_t n_bytes = insn->operand_bytes;
	umbra_gva gva = insn_linear(vcpu, insn);
	uint8_t bytes[VECTOR_BYTES];
	struct memory_place place;

	if (insn->op != X86_OP_STORE || insn->stored == X86_STORED_NOTHING)
		return false;
	if (!memory_prepare(vcpu, gva, n_bytes, &place, UMBRA_WRITE, fault))
		return true;
	read_register(insn, bytes);
	memory_put(vcpu, &place, bytes + (insn->stored == X86_STORED_XMM_HIGH ? 8 : 0));
	vendor_advance(vcpu, insn->length);
	debug_access(vcpu, DEBUG_WRITE, gva, n_bytes);
	return true;
}
