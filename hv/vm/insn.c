/* SPDX-License-Identifier: MIT */
/*
 * The instruction at RIP.
 */
#include "hv/vm/vcpu.h"

umbra_gva insn_linear_at(struct vcpu *vcpu, enum x86_segment segment, uint64_t offset)
{
	if (vendor_code_size(vcpu) != X86_CODE_64)
		return (uint32_t)(offset + vendor_segment_base(vcpu, segment));
	/* In 64-bit mode only FS and GS have a base. */
	return segment < X86_SEG_FS ? offset : offset + vendor_segment_base(vcpu, segment);
}

umbra_gva insn_linear(struct vcpu *vcpu, const struct x86_insn *insn)
{
	return insn_linear_at(
		vcpu, insn->segment, x86_operand_offset(insn, vcpu->gpr, vcpu->exit->rip));
}

enum insn_status insn_decode(struct vcpu *vcpu, struct x86_insn *insn)
{
	uint8_t bytes[X86_INSN_MAX + 1];
	size_t n_bytes = memory_fetch(vcpu, bytes);

	if (n_bytes == 0)
		return INSN_RETRY;
	if (x86_decode(insn, vendor_code_size(vcpu), bytes, n_bytes) == X86_DECODE_OK)
		return INSN_OK;
	return INSN_UNKNOWN;
}

void insn_skip(struct vcpu *vcpu)
{
	unsigned length = vendor_insn_length(vcpu);
	struct x86_insn insn;

	if (!length) {
		enum insn_status status = insn_decode(vcpu, &insn);

		if (status == INSN_RETRY)
			return;
		if (status == INSN_UNKNOWN)
			vm_stop(vcpu, "cannot decode the instruction at rip %lx", vcpu->exit->rip);
		length = insn.length;
	}
	vendor_advance(vcpu, length);
}
