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

bool insn_is_canonical(const struct vcpu *vcpu, umbra_gva gva)
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
		legal = insn_is_canonical(vcpu, *gva) &&
			insn_is_canonical(vcpu, *gva + n_bytes - 1);
	} else {
		segment = vendor_segment(vcpu, insn->segment);
		legal = is_within(&segment, offset, n_bytes) &&
			(!protected || allows(&segment, write));
	}
	if (!legal)
		inject_exception(vcpu, insn->segment == X86_SEG_SS ? X86_SS : X86_GP, 0);
	return legal;
}

/* ---- decoding ---- */

static uint8_t traits_of(const struct x86_insn *insn, enum x86_code_size size)
{
	unsigned traits = KNOWN_STORES;
	/* Not of AH, CH, DH and BH. */
	bool whole = insn->form == X86_FORM_RM_REG && insn->operand_bytes > 1;

	if (!insn->is_memory || insn->op == X86_OP_OTHER || insn->op == X86_OP_STORE ||
		!x86_writes_operand(insn))
		return 0;
	if (x86_reads_operand(insn))
		traits |= KNOWN_READS;
	/* The alignment of 16 bytes is checked where they are exchanged. */
	if (x86_is_atomic(insn) || insn->operand_bytes == 16)
		traits |= KNOWN_ATOMIC;
	if (insn->op == X86_OP_MOV && (insn->form == X86_FORM_RM_IMM || whole))
		traits |= KNOWN_COPIES;
	if (insn->op == X86_OP_XCHG && whole && insn->operand_bytes >= 4)
		traits |= KNOWN_SWAPS;
	if (size == X86_CODE_64 && insn->segment < X86_SEG_FS && insn->address_bytes == 8 &&
		insn->base != X86_NO_REGISTER && insn->index == X86_NO_REGISTER &&
		(insn->op < X86_OP_BT || insn->op > X86_OP_BTC))
		traits |= KNOWN_NEAR;
	return (uint8_t)traits;
}

static uint64_t mask_of(unsigned n_bytes)
{
	return n_bytes >= 8 ? ~0ull : (1ull << 8 * n_bytes) - 1;
}

static inline bool is_same(const struct known_insn *known, known_word *words)
{
	return !(((words[0] & known->masks[0]) ^ known->words[0]) |
		 ((words[1] & known->masks[1]) ^ known->words[1]));
}

static __attribute__((noinline)) const struct known_insn *learn(struct vcpu *vcpu,
	struct known_insn *known, enum x86_code_size size, enum insn_status *status)
{
	uint8_t bytes[X86_INSN_MAX + 1] = {0};
	size_t n_bytes = memory_fetch(vcpu, bytes);
	unsigned length;

	*status = INSN_RETRY;
	if (n_bytes == 0)
		return NULL;
	*status = INSN_UNKNOWN;
	known->is_known = false;
	if (x86_decode(&known->insn, size, bytes, n_bytes) != X86_DECODE_OK)
		return NULL;
	length = known->insn.length;
	known->masks[0] = mask_of(length);
	known->masks[1] = length > 8 ? mask_of(length - 8) : 0;
	memcpy(known->words, bytes, sizeof(known->words));
	known->words[0] &= known->masks[0];
	known->words[1] &= known->masks[1];
	known->size = (uint8_t)size;
	known->traits = traits_of(&known->insn, size);
	known->is_known = true;
	*status = INSN_OK;
	return known;
}

/* What stands at RIP, at @gva, found by a walk; @known may be it. */
static __attribute__((noinline)) const struct known_insn *look(struct vcpu *vcpu, umbra_gva gva,
	struct known_insn *known, enum x86_code_size size, enum insn_status *status)
{
	const void *bytes = NULL;

	known->gva = KNOWN_NOWHERE;
	if (vcpu->mmu && gva % X86_PAGE_SIZE < X86_PAGE_SIZE - X86_INSN_MAX)
		bytes = code_path_find(vcpu, &known->path, gva);
	if (!bytes)
		return learn(vcpu, known, size, status);
	known->bytes = bytes;
	known->gva = gva;
	if (known->is_known && known->size == size && is_same(known, bytes))
		return known;
	return learn(vcpu, known, size, status);
}

const struct known_insn *insn_at_rip(struct vcpu *vcpu, enum insn_status *status)
{
	enum x86_code_size size = vendor_code_size(vcpu);
	umbra_gva gva = vcpu->exit.rip;
	struct known_insn *known;

	if (unlikely(size != X86_CODE_64))
		gva = insn_linear_at(vcpu, X86_SEG_CS, gva);
	known = &vcpu->known[gva % KNOWN_INSNS];
	*status = INSN_OK;
	if (likely(known->gva == gva && known->is_known && known->size == size &&
		    code_path_holds(&known->path, umbra_root(vcpu->mmu)) &&
		    is_same(known, known->bytes)))
		return known;
	return look(vcpu, gva, known, size, status);
}

void insn_forget_paths(struct vcpu *vcpu)
{
	for (unsigned i = 0; i < KNOWN_INSNS; i++)
		vcpu->known[i].gva = KNOWN_NOWHERE;
}

enum insn_status insn_decode(struct vcpu *vcpu, struct x86_insn *insn)
{
	enum insn_status status;
	const struct known_insn *known = insn_at_rip(vcpu, &status);

	if (!known)
		return status == INSN_RETRY ? INSN_RETRY : INSN_UNKNOWN;
	*insn = known->insn;
	return INSN_OK;
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
