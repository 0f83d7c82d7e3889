/* SPDX-License-Identifier: MIT */
/*
 * Reads and writes of CR0, CR3 and CR4: MOV, CLTS, LMSW, SMSW. The guest sees its own values; what
 * it may write is checked here as the processor would. SDM 3A "Control Registers"; SDM 2 "MOV -
 * Move to/from Control Registers".
 */
#include "hv/vm/vcpu.h"

#define CR0_DEFINED                                                                                \
	(X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS | X86_CR0_ET | X86_CR0_NE |             \
		X86_CR0_WP | X86_CR0_AM | X86_CR0_NW | X86_CR0_CD | X86_CR0_PG)
/* What LMSW can write; it cannot clear PE. */
#define CR0_LMSW (X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS)

/* An instruction that reads or writes a control register. */
struct cr_insn {
	enum x86_op op;
	bool write;
	bool wide;   /* MOV of 64 bits */
	uint8_t gpr; /* of MOV */
	uint8_t length;
	struct x86_insn general; /* of SMSW and LMSW */
};

/* The common ones by hand, since a guest executes one at every context switch: [REX] 0F 20 or 22,
 * ModRM. */
static inline bool decode_mov(struct cr_insn *insn, uint64_t word)
{
	unsigned rex_b = 0;

	insn->length = 3;
	if ((word & 0xf0) == 0x40) {
		rex_b = word & 1;
		word >>= 8;
		insn->length = 4;
	}
	insn->op = X86_OP_MOV_CR;
	insn->wide = true;
	insn->write = word >> 8 & 2;
	insn->gpr = (uint8_t)((word >> 16 & 7) | rex_b << 3);
	return (word & 0xfdff) == 0x200f;
}

static bool decode_general(struct vcpu *vcpu, struct cr_insn *insn)
{
	struct x86_insn *general = &insn->general;

	if (insn_decode(vcpu, general) != INSN_OK)
		return false;
	insn->op = general->op;
	insn->length = general->length;
	switch (general->op) {
	case X86_OP_MOV_CR:
		insn->gpr = general->rm;
		insn->wide = general->operand_bytes == 8;
		insn->write = general->form == X86_FORM_REG_RM;
		return true;
	case X86_OP_CLTS:
	case X86_OP_LMSW:
		insn->write = true;
		return true;
	case X86_OP_SMSW:
		insn->write = false;
		return true;
	default:
		return false;
	}
}

static __attribute__((noinline)) bool decode_other(struct vcpu *vcpu, struct cr_insn *insn)
{
	insn->length = (uint8_t)vendor_insn_length(vcpu);
	if (!insn->length || !vendor_cr_mov_gpr(vcpu, &insn->gpr))
		return decode_general(vcpu, insn);
	insn->op = X86_OP_MOV_CR;
	insn->write = vendor_cr_is_write(vcpu);
	insn->wide = vendor_code_size(vcpu) == X86_CODE_64;
	return true;
}

/* What was executed. Returns false if another instruction stands there now (or its fetch faults,
 * and that was injected): let it have its turn. */
static inline bool find_insn(struct vcpu *vcpu, struct cr_insn *insn)
{
	uint64_t word;

	if (!(memory_peek(vcpu, &word) && decode_mov(insn, word)) && !decode_other(vcpu, insn))
		return false;
	/* SMSW alone is for all. It must not have turned into something else meanwhile. */
	return insn->write == vendor_cr_is_write(vcpu) &&
	       (insn->op == X86_OP_SMSW || vcpu->exit->cpl == 0);
}

/* The operand of MOV to CR. */
static uint64_t gpr_value(const struct vcpu *vcpu, const struct cr_insn *insn)
{
	uint64_t value = vcpu->gpr[insn->gpr];

	return insn->wide ? value : (uint32_t)value;
}

/* MOV from CR. */
static void read_cr(struct vcpu *vcpu, const struct cr_insn *insn, uint64_t value)
{
	vcpu->gpr[insn->gpr] = insn->wide ? value : (uint32_t)value;
	vendor_advance(vcpu, insn->length);
}

static bool cr0_is_legal(struct vcpu *vcpu, uint64_t cr0)
{
	const struct umbra_paging_regs *now = &vcpu->regs;
	bool enables = cr0 & X86_CR0_PG && !(now->cr0 & X86_CR0_PG);
	bool disables = !(cr0 & X86_CR0_PG) && now->cr0 & X86_CR0_PG;

	if (cr0 >> 32)
		return false;
	if (cr0 & X86_CR0_PG && !(cr0 & X86_CR0_PE))
		return false;
	if (cr0 & X86_CR0_NW && !(cr0 & X86_CR0_CD))
		return false;
	if (enables && now->efer & X86_EFER_LME && !(now->cr4 & X86_CR4_PAE))
		return false;
	return !(disables && vendor_code_size(vcpu) == X86_CODE_64);
}

static void write_cr0(struct vcpu *vcpu, const struct cr_insn *insn, uint64_t cr0)
{
	struct umbra_paging_regs regs = vcpu->regs;

	if (!cr0_is_legal(vcpu, cr0)) {
		inject_exception(vcpu, X86_GP, 0);
		return;
	}
	/* Undefined bits are ignored, ET is always set. */
	regs.cr0 = (cr0 & CR0_DEFINED) | X86_CR0_ET;
	regs.efer = paging_efer(regs.efer, regs.cr0);
	if (paging_change(vcpu, &regs))
		vendor_advance(vcpu, insn->length);
}

/* The 16-bit operand of LMSW. Returns false if a #PF was injected. */
static bool lmsw_operand(struct vcpu *vcpu, const struct x86_insn *general, uint16_t *value)
{
	if (!general->is_memory) {
		*value = (uint16_t)vcpu->gpr[general->rm];
		return true;
	}
	return memory_read(vcpu, insn_linear(vcpu, general), value, sizeof(*value));
}

static void store_smsw(struct vcpu *vcpu, const struct cr_insn *insn)
{
	const struct x86_insn *general = &insn->general;
	uint16_t word = (uint16_t)vcpu->regs.cr0;

	if (!general->is_memory)
		x86_gpr_write(
			general, vcpu->gpr, general->rm, general->operand_bytes, vcpu->regs.cr0);
	else if (!memory_write(vcpu, insn_linear(vcpu, general), &word, sizeof(word)))
		return;
	vendor_advance(vcpu, insn->length);
}

void exit_cr0(struct vcpu *vcpu)
{
	uint64_t cr0 = vcpu->regs.cr0;
	struct cr_insn insn;
	uint16_t word;

	if (!find_insn(vcpu, &insn))
		return;
	switch (insn.op) {
	case X86_OP_CLTS:
		write_cr0(vcpu, &insn, cr0 & ~X86_CR0_TS);
		break;
	case X86_OP_LMSW:
		if (lmsw_operand(vcpu, &insn.general, &word))
			write_cr0(
				vcpu, &insn, (cr0 & ~(CR0_LMSW & ~X86_CR0_PE)) | (word & CR0_LMSW));
		break;
	case X86_OP_SMSW:
		store_smsw(vcpu, &insn);
		break;
	default:
		if (insn.write)
			write_cr0(vcpu, &insn, gpr_value(vcpu, &insn));
		else
			read_cr(vcpu, &insn, cr0);
		break;
	}
}

void exit_cr3(struct vcpu *vcpu)
{
	struct umbra_exit out;
	struct cr_insn insn;
	uint64_t cr3;

	if (!find_insn(vcpu, &insn))
		return;
	if (!insn.write) {
		read_cr(vcpu, &insn, vcpu->regs.cr3);
		return;
	}
	cr3 = gpr_value(vcpu, &insn);
	if (umbra_load_cr3(vcpu->mmu, cr3, &out) == UMBRA_INJECT) {
		inject_outcome(vcpu, &out);
		return;
	}
	vcpu->regs.cr3 = cr3;
	vcpu->root = umbra_root(vcpu->mmu);
	vendor_advance(vcpu, insn.length);
}

void exit_cr4(struct vcpu *vcpu)
{
	struct umbra_paging_regs regs = vcpu->regs;
	struct cr_insn insn;

	if (!find_insn(vcpu, &insn))
		return;
	if (!insn.write) {
		read_cr(vcpu, &insn, regs.cr4);
		return;
	}
	regs.cr4 = gpr_value(vcpu, &insn);
	if (regs.cr4 & ~vcpu->vm->cr4_mask ||
		(!(regs.cr4 & X86_CR4_PAE) && regs.efer & X86_EFER_LMA)) {
		inject_exception(vcpu, X86_GP, 0);
		return;
	}
	if (paging_change(vcpu, &regs))
		vendor_advance(vcpu, insn.length);
}
