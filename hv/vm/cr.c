/* SPDX-License-Identifier: MIT */
/*
 * Reads and writes of CR0, CR3 and CR4: MOV, CLTS, LMSW, SMSW. The guest sees its own values; what
 * it may write is checked here as the processor would. SDM 3A "Control Registers"; SDM 2 "MOV -
 * Move to/from Control Registers".
 */
#include "hv/vm/control.h"
#include "hv/vm/debug.h"
#include "hv/vm/peek.h"

/* Types of a descriptor in TR. SDM 3A "System Descriptor Types". */
#define TSS_16_AVAILABLE 1u
#define TSS_16_BUSY      3u

/* What LMSW can write; it cannot clear PE. */
#define CR0_LMSW (X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS)

/* An instruction that reads or writes a control register. */
struct cr_insn {
	enum x86_op op; /* X86_OP_OTHER: none */
	bool write;
	bool wide;    /* MOV of 64 bits */
	unsigned gpr; /* of MOV */
	unsigned length;
};

static const struct cr_insn no_insn = {.op = X86_OP_OTHER};

static struct cr_insn decode_general(struct vcpu *vcpu)
{
	struct x86_insn general;

	if (insn_decode(vcpu, &general) != INSN_OK)
		return no_insn;
	switch (general.op) {
	case X86_OP_MOV_CR:
	case X86_OP_CLTS:
	case X86_OP_LMSW:
	case X86_OP_SMSW:
		return (struct cr_insn){
			.op = general.op,
			.write = general.op == X86_OP_MOV_CR ? general.form == X86_FORM_REG_RM
							     : general.op != X86_OP_SMSW,
			.wide = general.operand_bytes == 8,
			.gpr = general.rm,
			.length = general.length,
		};
	default:
		return no_insn;
	}
}

static __attribute__((noinline)) struct cr_insn decode_other(struct vcpu *vcpu)
{
	struct cr_insn insn = {
		.op = X86_OP_MOV_CR,
		.write = vendor_cr_is_write(vcpu),
		.wide = vendor_code_size(vcpu) == X86_CODE_64,
		.length = vendor_insn_length(vcpu),
	};
	uint8_t gpr;

	if (!insn.length || !vendor_cr_mov_gpr(vcpu, &gpr))
		return decode_general(vcpu);
	insn.gpr = gpr;
	return insn;
}

/* The common ones by hand, since a guest executes one at every context switch: [REX] 0F 20 or 22,
 * ModRM. */
static inline __attribute__((always_inline)) struct cr_insn decode(struct vcpu *vcpu)
{
	bool in_64 = vendor_code_size(vcpu) == X86_CODE_64;
	unsigned rex_b = 0;
	unsigned length = 3;
	uint64_t word;

	if (!peek_at_rip(vcpu, in_64, &word))
		return decode_other(vcpu);
	if (in_64 && (word & 0xf0) == 0x40) {
		rex_b = word & 1;
		word >>= 8;
		length = 4;
	}
	if ((word & 0xfdff) != 0x200f)
		return decode_other(vcpu);
	return (struct cr_insn){
		.op = X86_OP_MOV_CR,
		.write = word >> 8 & 2,
		.wide = in_64,
		.gpr = (word >> 16 & 7) | rex_b << 3,
		.length = length,
	};
}

/* What was executed. Returns false if another instruction stands there now (or its fetch faults,
 * and that was injected): let it have its turn. */
static inline __attribute__((always_inline)) bool find_insn(struct vcpu *vcpu, struct cr_insn *insn)
{
	*insn = decode(vcpu);
	/* SMSW alone is for all. It must not have turned into something else meanwhile. */
	return insn->op != X86_OP_OTHER && insn->write == vendor_cr_is_write(vcpu) &&
	       (insn->op == X86_OP_SMSW || vcpu->exit.cpl == 0);
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

/* Long mode cannot be entered from a segment that would be 64-bit code at once, or with a 16-bit
 * TSS. */
static bool can_enter_long_mode(struct vcpu *vcpu)
{
	unsigned tss_type = vendor_segment(vcpu, X86_SEG_TR).attributes & SEGMENT_TYPE;

	return !(vendor_segment(vcpu, X86_SEG_CS).attributes & SEGMENT_L) &&
	       tss_type != TSS_16_AVAILABLE && tss_type != TSS_16_BUSY;
}

static bool change_cr0(struct vcpu *vcpu, uint64_t cr0)
{
	bool in_64 = vendor_code_size(vcpu) == X86_CODE_64;
	struct umbra_paging_regs next;

	if (!control_write_cr0(&vcpu->regs, cr0, in_64, &next))
		return false;
	if (control_enters_long_mode(&vcpu->regs, &next) && !can_enter_long_mode(vcpu))
		return false;
	return paging_change(vcpu, &next);
}

static void write_cr0(struct vcpu *vcpu, const struct cr_insn *insn, uint64_t cr0)
{
	if (change_cr0(vcpu, cr0))
		vendor_advance(vcpu, insn->length);
	else
		inject_exception(vcpu, X86_GP, 0);
}

static void do_lmsw(struct vcpu *vcpu, const struct cr_insn *insn)
{
	struct x86_insn general;
	uint16_t word;
	umbra_gva gva;

	if (insn_decode(vcpu, &general) != INSN_OK)
		return;
	if (!general.is_memory)
		word = (uint16_t)vcpu->gpr[general.rm];
	else if (!insn_operand(vcpu, &general, sizeof(word), false, &gva) ||
		 !memory_read(vcpu, gva, &word, sizeof(word)))
		return;
	if (general.is_memory)
		debug_access(vcpu, DEBUG_READ, gva, sizeof(word));
	write_cr0(vcpu, insn, (vcpu->regs.cr0 & ~(CR0_LMSW & ~X86_CR0_PE)) | (word & CR0_LMSW));
}

static void do_smsw(struct vcpu *vcpu, const struct cr_insn *insn)
{
	uint64_t cr0 = vcpu->regs.cr0;
	uint16_t word = (uint16_t)cr0;
	struct x86_insn general;
	umbra_gva gva;

	if (insn_decode(vcpu, &general) != INSN_OK)
		return;
	if (!general.is_memory)
		x86_gpr_write(&general, vcpu->gpr, general.rm, general.operand_bytes, cr0);
	else if (!insn_operand(vcpu, &general, sizeof(word), true, &gva) ||
		 !memory_write(vcpu, gva, &word, sizeof(word)))
		return;
	if (general.is_memory)
		debug_access(vcpu, DEBUG_WRITE, gva, sizeof(word));
	vendor_advance(vcpu, insn->length);
}

void exit_cr0(struct vcpu *vcpu)
{
	uint64_t cr0 = vcpu->regs.cr0;
	struct cr_insn insn;

	if (!find_insn(vcpu, &insn))
		return;
	switch (insn.op) {
	case X86_OP_CLTS:
		write_cr0(vcpu, &insn, cr0 & ~X86_CR0_TS);
		break;
	case X86_OP_LMSW:
		do_lmsw(vcpu, &insn);
		break;
	case X86_OP_SMSW:
		do_smsw(vcpu, &insn);
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
	if (vcpu->regs.cr4 & X86_CR4_PCIDE)
		cr3 &= ~X86_CR3_NO_FLUSH;
	vcpu->regs.cr3 = cr3;
	vendor_advance(vcpu, insn.length);
}

void exit_cr4(struct vcpu *vcpu)
{
	struct umbra_paging_regs next;
	struct cr_insn insn;

	if (!find_insn(vcpu, &insn))
		return;
	if (!insn.write) {
		read_cr(vcpu, &insn, vcpu->regs.cr4);
		return;
	}
	if (control_write_cr4(&vcpu->regs, gpr_value(vcpu, &insn), vcpu->vm->cr4_mask, &next) &&
		paging_change(vcpu, &next))
		vendor_advance(vcpu, insn.length);
	else
		inject_exception(vcpu, X86_GP, 0);
}
