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

umbra_gva insn_linear_add(const struct vcpu *vcpu, umbra_gva gva, uint64_t n_bytes)
{
	return vendor_code_size(vcpu) == X86_CODE_64 ? gva + n_bytes : (uint32_t)(gva + n_bytes);
}

umbra_gva insn_linear(struct vcpu *vcpu, const struct x86_insn *insn)
{
	return insn_linear_at(
		vcpu, insn->segment, x86_operand_offset(insn, vcpu->gpr, vcpu->exit.rip));
}

/* Is the operand from @first on, of @n_bytes, in the segment? SDM 3A "Limit Checking". */
static bool is_within(const struct vendor_segment *segment, uint64_t first, size_t n_bytes)
{
	uint64_t last = first + n_bytes - 1;
	uint64_t top = segment->attributes & SEGMENT_DB ? 0xffffffffu : 0xffffu;

	if (!(segment->attributes & SEGMENT_CODE) && segment->attributes & SEGMENT_EXPANDS)
		return first > segment->limit && last <= top;
	return last <= segment->limit;
}

/* SDM 3A "Segment Type Checking". */
static bool allows(const struct vendor_segment *segment, bool write)
{
	uint16_t attributes = segment->attributes;

	if (!(attributes & SEGMENT_PRESENT))
		return false;
	if (attributes & SEGMENT_CODE)
		return !write && attributes & SEGMENT_WRITE_READ;
	return !write || attributes & SEGMENT_WRITE_READ;
}

static bool is_canonical(const struct vcpu *vcpu, umbra_gva gva)
{
	unsigned unused_bits = vcpu->regs.cr4 & X86_CR4_LA57 ? 64 - 57 : 64 - 48;

	return (umbra_gva)((int64_t)(gva << unused_bits) >> unused_bits) == gva;
}

bool insn_operand(
	struct vcpu *vcpu, const struct x86_insn *insn, size_t n_bytes, bool write, umbra_gva *gva)
{
	uint64_t offset = x86_operand_offset(insn, vcpu->gpr, vcpu->exit.rip);
	bool protected = vcpu->regs.cr0 & X86_CR0_PE && !(vcpu->exit.rflags & X86_RFLAGS_VM);
	struct vendor_segment segment;
	bool legal;

	*gva = insn_linear(vcpu, insn);
	if (vendor_code_size(vcpu) == X86_CODE_64) {
		legal = is_canonical(vcpu, *gva) && is_canonical(vcpu, *gva + n_bytes - 1);
	} else {
		segment = vendor_segment(vcpu, insn->segment);
		legal = is_within(&segment, offset, n_bytes) &&
			(!protected || allows(&segment, write));
	}
	if (!legal)
		inject_exception(vcpu, insn->segment == X86_SEG_SS ? X86_SS : X86_GP, 0);
	return legal;
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
			vm_stop(vcpu, "cannot decode the instruction at rip %lx", vcpu->exit.rip);
		length = insn.length;
	}
	vendor_advance(vcpu, length);
}
