/* SPDX-License-Identifier: MIT */
/*
 * Zydis' opinion: see zydis_view.h. Its mnemonics are mapped to operations by a table; MOV and
 * MOVSD are each more than one instruction and are told apart by their operands.
 */
#include "tests/x86/zydis_view.h"

static const uint8_t ops[ZYDIS_MNEMONIC_MAX_VALUE + 1] = {
	[ZYDIS_MNEMONIC_ADD] = X86_OP_ADD,
	[ZYDIS_MNEMONIC_OR] = X86_OP_OR,
	[ZYDIS_MNEMONIC_ADC] = X86_OP_ADC,
	[ZYDIS_MNEMONIC_SBB] = X86_OP_SBB,
	[ZYDIS_MNEMONIC_AND] = X86_OP_AND,
	[ZYDIS_MNEMONIC_SUB] = X86_OP_SUB,
	[ZYDIS_MNEMONIC_XOR] = X86_OP_XOR,
	[ZYDIS_MNEMONIC_CMP] = X86_OP_CMP,
	[ZYDIS_MNEMONIC_BT] = X86_OP_BT,
	[ZYDIS_MNEMONIC_BTS] = X86_OP_BTS,
	[ZYDIS_MNEMONIC_BTR] = X86_OP_BTR,
	[ZYDIS_MNEMONIC_BTC] = X86_OP_BTC,
	[ZYDIS_MNEMONIC_TEST] = X86_OP_TEST,
	[ZYDIS_MNEMONIC_MOV] = X86_OP_MOV,
	[ZYDIS_MNEMONIC_MOVNTI] = X86_OP_MOV,
	[ZYDIS_MNEMONIC_MOVZX] = X86_OP_MOVZX,
	[ZYDIS_MNEMONIC_MOVSX] = X86_OP_MOVSX,
	[ZYDIS_MNEMONIC_MOVSXD] = X86_OP_MOVSX,
	[ZYDIS_MNEMONIC_XCHG] = X86_OP_XCHG,
	[ZYDIS_MNEMONIC_XADD] = X86_OP_XADD,
	[ZYDIS_MNEMONIC_CMPXCHG] = X86_OP_CMPXCHG,
	[ZYDIS_MNEMONIC_CMPXCHG8B] = X86_OP_CMPXCHG_PAIR,
	[ZYDIS_MNEMONIC_CMPXCHG16B] = X86_OP_CMPXCHG_PAIR,
	[ZYDIS_MNEMONIC_INC] = X86_OP_INC,
	[ZYDIS_MNEMONIC_DEC] = X86_OP_DEC,
	[ZYDIS_MNEMONIC_NOT] = X86_OP_NOT,
	[ZYDIS_MNEMONIC_NEG] = X86_OP_NEG,
	[ZYDIS_MNEMONIC_ROL] = X86_OP_ROL,
	[ZYDIS_MNEMONIC_ROR] = X86_OP_ROR,
	[ZYDIS_MNEMONIC_SHL] = X86_OP_SHL,
	[ZYDIS_MNEMONIC_SHR] = X86_OP_SHR,
	[ZYDIS_MNEMONIC_SAR] = X86_OP_SAR,
	[ZYDIS_MNEMONIC_STOSB] = X86_OP_STOS,
	[ZYDIS_MNEMONIC_STOSW] = X86_OP_STOS,
	[ZYDIS_MNEMONIC_STOSD] = X86_OP_STOS,
	[ZYDIS_MNEMONIC_STOSQ] = X86_OP_STOS,
	[ZYDIS_MNEMONIC_MOVSB] = X86_OP_MOVS,
	[ZYDIS_MNEMONIC_MOVSW] = X86_OP_MOVS,
	[ZYDIS_MNEMONIC_MOVSD] = X86_OP_MOVS,
	[ZYDIS_MNEMONIC_MOVSQ] = X86_OP_MOVS,
	[ZYDIS_MNEMONIC_PUSH] = X86_OP_PUSH,
	[ZYDIS_MNEMONIC_CLTS] = X86_OP_CLTS,
	[ZYDIS_MNEMONIC_LMSW] = X86_OP_LMSW,
	[ZYDIS_MNEMONIC_SMSW] = X86_OP_SMSW,
	[ZYDIS_MNEMONIC_INVLPG] = X86_OP_INVLPG,
	[ZYDIS_MNEMONIC_INVPCID] = X86_OP_INVPCID,
	[ZYDIS_MNEMONIC_RDPKRU] = X86_OP_RDPKRU,
	[ZYDIS_MNEMONIC_WRPKRU] = X86_OP_WRPKRU,
};

/* SDM 2 "EFLAGS Condition Codes". */
static const ZydisMnemonic conditions[16] = {
	ZYDIS_MNEMONIC_SETO,
	ZYDIS_MNEMONIC_SETNO,
	ZYDIS_MNEMONIC_SETB,
	ZYDIS_MNEMONIC_SETNB,
	ZYDIS_MNEMONIC_SETZ,
	ZYDIS_MNEMONIC_SETNZ,
	ZYDIS_MNEMONIC_SETBE,
	ZYDIS_MNEMONIC_SETNBE,
	ZYDIS_MNEMONIC_SETS,
	ZYDIS_MNEMONIC_SETNS,
	ZYDIS_MNEMONIC_SETP,
	ZYDIS_MNEMONIC_SETNP,
	ZYDIS_MNEMONIC_SETL,
	ZYDIS_MNEMONIC_SETNL,
	ZYDIS_MNEMONIC_SETLE,
	ZYDIS_MNEMONIC_SETNLE,
};

/* In 64-bit code with 32-bit addresses, version 4.0.0 takes a SIB byte without base (base 5, mod 0)
 * as one with base R13D and no displacement if REX.B is set. SDM 2 "Special Encodings With REX
 * Prefixes": the base is not used whatever REX.B is. */
static void mend_missing_base(struct zydis_view *view)
{
	const ZydisDecodedInstruction *insn = &view->insn;

	if (insn->address_width != 32 || insn->machine_mode != ZYDIS_MACHINE_MODE_LONG_64 ||
		insn->raw.sib.offset == 0 || insn->raw.modrm.mod != 0 || insn->raw.sib.base != 5)
		return;
	for (unsigned i = 0; i < insn->operand_count; i++) {
		ZydisDecodedOperandMem *mem = &view->operands[i].mem;

		if (view->operands[i].type == ZYDIS_OPERAND_TYPE_MEMORY &&
			mem->base == ZYDIS_REGISTER_R13D) {
			mem->base = ZYDIS_REGISTER_NONE;
			mem->disp.value = insn->raw.disp.value;
		}
	}
}

enum zydis_verdict zydis_look(struct zydis_view *view, const struct encoding *encoding)
{
	static const struct {
		ZydisMachineMode mode;
		ZydisStackWidth stack;
	} modes[] = {
		[X86_CODE_16] = {ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16},
		[X86_CODE_32] = {ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32},
		[X86_CODE_64] = {ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64},
	};
	ZydisDecoder decoder;
	ZyanStatus status;

	ZydisDecoderInit(&decoder, modes[encoding->size].mode, modes[encoding->size].stack);
	ZydisDecoderEnableMode(&decoder, ZYDIS_DECODER_MODE_AMD_BRANCHES, ZYAN_TRUE);
	status = ZydisDecoderDecodeFull(
		&decoder, encoding->bytes, sizeof(encoding->bytes), &view->insn, view->operands);
	if (ZYAN_SUCCESS(status)) {
		mend_missing_base(view);
		return ZYDIS_ACCEPTS;
	}
	return status == ZYDIS_STATUS_INSTRUCTION_TOO_LONG ? ZYDIS_TOO_LONG : ZYDIS_REJECTS;
}

unsigned zydis_condition(const struct zydis_view *view)
{
	unsigned code = 0;

	while (code < 16 && conditions[code] != view->insn.mnemonic)
		code++;
	return code;
}

static bool has_register_of(const struct zydis_view *view, ZydisRegister first, ZydisRegister last)
{
	for (unsigned i = 0; i < view->insn.operand_count_visible; i++) {
		const ZydisDecodedOperand *operand = &view->operands[i];

		if (operand->type == ZYDIS_OPERAND_TYPE_REGISTER && operand->reg.value >= first &&
			operand->reg.value <= last)
			return true;
	}
	return false;
}

/* MOV to or from a control register is an operation of its own; that of a debug register, and the
 * load of a segment register, are none of ours. */
static enum x86_op op_of_mov(const struct zydis_view *view)
{
	const ZydisDecodedOperand *to = &view->operands[0];

	if (has_register_of(view, ZYDIS_REGISTER_CR0, ZYDIS_REGISTER_CR15))
		return X86_OP_MOV_CR;
	if (has_register_of(view, ZYDIS_REGISTER_DR0, ZYDIS_REGISTER_DR15))
		return X86_OP_OTHER;
	if (to->type == ZYDIS_OPERAND_TYPE_REGISTER && to->reg.value >= ZYDIS_REGISTER_ES &&
		to->reg.value <= ZYDIS_REGISTER_GS)
		return X86_OP_OTHER;
	return X86_OP_MOV;
}

enum x86_op zydis_op(const struct zydis_view *view)
{
	enum x86_op op = (enum x86_op)ops[view->insn.mnemonic];

	if (view->insn.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY)
		return X86_OP_OTHER;
	if (op == X86_OP_MOV)
		return op_of_mov(view);
	if (op == X86_OP_MOVS && view->insn.opcode_map != ZYDIS_OPCODE_MAP_DEFAULT)
		return X86_OP_OTHER;
	if (op == X86_OP_OTHER && zydis_condition(view) < 16)
		return X86_OP_SETCC;
	return op;
}

const ZydisDecodedOperand *zydis_memory(const struct zydis_view *view)
{
	for (unsigned i = 0; i < view->insn.operand_count_visible; i++)
		if (view->operands[i].type == ZYDIS_OPERAND_TYPE_MEMORY &&
			view->operands[i].visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT)
			return &view->operands[i];
	return NULL;
}

const ZydisDecodedOperand *zydis_written(const struct zydis_view *view)
{
	for (unsigned i = 0; i < view->insn.operand_count; i++)
		if (view->operands[i].type == ZYDIS_OPERAND_TYPE_MEMORY &&
			(view->operands[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
			return &view->operands[i];
	return NULL;
}

static bool is_vector_register(const ZydisDecodedOperand *operand)
{
	if (operand->type != ZYDIS_OPERAND_TYPE_REGISTER)
		return false;
	switch (ZydisRegisterGetClass(operand->reg.value)) {
	case ZYDIS_REGCLASS_MMX:
	case ZYDIS_REGCLASS_XMM:
	case ZYDIS_REGCLASS_YMM:
		return true;
	default:
		return false;
	}
}

/* Two operands, memory that is only written and a register that is only read; nothing else happens,
 * and nothing is converted on the way. */
bool zydis_is_store(const struct zydis_view *view)
{
	const ZydisAccessedFlags *flags = view->insn.cpu_flags;
	const ZydisDecodedOperand *memory = zydis_memory(view);

	if (view->insn.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY &&
		view->insn.encoding != ZYDIS_INSTRUCTION_ENCODING_VEX)
		return false;
	if (view->insn.operand_count_visible != 2 || memory != &view->operands[0] ||
		memory->actions != ZYDIS_OPERAND_ACTION_WRITE ||
		!is_vector_register(&view->operands[1]) ||
		view->operands[1].actions != ZYDIS_OPERAND_ACTION_READ)
		return false;
	return !flags || !(flags->modified | flags->set_0 | flags->set_1 | flags->undefined);
}

bool zydis_stores_high_half(const struct zydis_view *view)
{
	switch (view->insn.mnemonic) {
	case ZYDIS_MNEMONIC_MOVHPS:
	case ZYDIS_MNEMONIC_MOVHPD:
	case ZYDIS_MNEMONIC_VMOVHPS:
	case ZYDIS_MNEMONIC_VMOVHPD:
		return true;
	default:
		return false;
	}
}

bool zydis_must_describe(const struct zydis_view *view)
{
	switch (zydis_op(view)) {
	case X86_OP_OTHER:
		return zydis_is_store(view);
	case X86_OP_STOS:
	case X86_OP_MOVS:
	case X86_OP_PUSH:
	case X86_OP_MOV_CR:
	case X86_OP_CLTS:
	case X86_OP_LMSW:
	case X86_OP_SMSW:
	case X86_OP_INVLPG:
	case X86_OP_INVPCID:
	case X86_OP_RDPKRU:
	case X86_OP_WRPKRU:
		return true;
	default:
		return zydis_memory(view);
	}
}
