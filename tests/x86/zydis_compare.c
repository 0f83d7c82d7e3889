/* SPDX-License-Identifier: MIT */
/*
 * Comparison of two descriptions of an instruction: see zydis_compare.h. Both are brought into one
 * shape, a list of operands, destination first.
 */
#include "tests/x86/zydis_compare.h"

enum { MAX_OPERANDS = 2 };

enum kind {
	KIND_REGISTER,
	KIND_MEMORY,
	KIND_IMMEDIATE,
};

struct operand {
	enum kind kind;
	uint8_t n_bytes;
	ZydisRegister name; /* KIND_REGISTER */
};

static ZydisRegister pick(ZydisRegister first, unsigned number)
{
	return (ZydisRegister)((unsigned)first + number);
}

/* Zydis' name of general register @number as an operand of @n_bytes. Without REX the byte registers
 * 4 to 7 are AH to BH. SDM 2 "Rules for REX Prefix". */
static ZydisRegister gpr_name(const struct x86_insn *insn, unsigned number, unsigned n_bytes)
{
	switch (n_bytes) {
	case 1:
		if (number >= 8)
			return pick(ZYDIS_REGISTER_R8B, number - 8);
		if (number >= 4)
			return pick(insn->rex ? ZYDIS_REGISTER_SPL : ZYDIS_REGISTER_AH, number - 4);
		return pick(ZYDIS_REGISTER_AL, number);
	case 2:
		return pick(ZYDIS_REGISTER_AX, number);
	case 4:
		return pick(ZYDIS_REGISTER_EAX, number);
	case 8:
		return pick(ZYDIS_REGISTER_RAX, number);
	default:
		return ZYDIS_REGISTER_NONE;
	}
}

static struct operand gpr_operand(const struct x86_insn *insn, unsigned number, uint8_t n_bytes)
{
	return (struct operand){KIND_REGISTER, n_bytes, gpr_name(insn, number, n_bytes)};
}

static struct operand rm_operand(const struct x86_insn *insn, uint8_t n_bytes)
{
	if (insn->is_memory)
		return (struct operand){.kind = KIND_MEMORY, .n_bytes = n_bytes};
	return gpr_operand(insn, insn->rm, n_bytes);
}

static struct operand reg_operand(const struct x86_insn *insn, uint8_t n_bytes)
{
	if (insn->op == X86_OP_MOV_CR)
		return (struct operand){
			KIND_REGISTER, n_bytes, pick(ZYDIS_REGISTER_CR0, insn->reg)};
	return gpr_operand(insn, insn->reg, n_bytes);
}

static struct operand segment_operand(const struct x86_insn *insn)
{
	return (struct operand){KIND_REGISTER, 2, pick(ZYDIS_REGISTER_ES, insn->reg)};
}

/* Operands of @insn, destination first. Returns how many there are. */
static unsigned list_operands(struct operand operands[MAX_OPERANDS], const struct x86_insn *insn)
{
	operands[0] = rm_operand(insn, insn->operand_bytes);
	operands[1] = (struct operand){.kind = KIND_IMMEDIATE};
	switch (insn->form) {
	case X86_FORM_NONE:
		return 0;
	case X86_FORM_RM:
		return 1;
	case X86_FORM_RM_REG:
		operands[1] = reg_operand(insn, insn->source_bytes);
		return 2;
	case X86_FORM_REG_RM:
		operands[0] = reg_operand(insn, insn->operand_bytes);
		operands[1] = rm_operand(insn, insn->source_bytes);
		return 2;
	case X86_FORM_RM_IMM:
		return 2;
	case X86_FORM_RM_CL:
		operands[1] = (struct operand){KIND_REGISTER, 1, ZYDIS_REGISTER_CL};
		return 2;
	case X86_FORM_RM_SREG:
		operands[1] = segment_operand(insn);
		return 2;
	case X86_FORM_REG:
		operands[0] = reg_operand(insn, insn->operand_bytes);
		return 1;
	case X86_FORM_IMM:
		operands[0] = operands[1];
		return 1;
	case X86_FORM_SREG:
		operands[0] = segment_operand(insn);
		return 1;
	}
	return 0;
}

static uint64_t low_bytes(uint64_t value, unsigned n_bytes)
{
	return n_bytes >= 8 ? value : value & ((1ull << (8 * n_bytes)) - 1);
}

/* Zydis' name of an address register. */
static ZydisRegister address_name(const struct x86_insn *insn, int number)
{
	if (number == X86_NO_REGISTER)
		return ZYDIS_REGISTER_NONE;
	return gpr_name(insn, (unsigned)number, insn->address_bytes);
}

static ZydisRegister base_name(const struct x86_insn *insn)
{
	if (!insn->rip_relative)
		return address_name(insn, insn->base);
	return insn->address_bytes == 8 ? ZYDIS_REGISTER_RIP : ZYDIS_REGISTER_EIP;
}

static const char *compare_address(const struct x86_insn *insn, const ZydisDecodedOperandMem *mem)
{
	ZydisRegister base = base_name(insn);
	ZydisRegister index = address_name(insn, insn->index);

	if (pick(ZYDIS_REGISTER_ES, insn->segment) != mem->segment)
		return "segment";
	if (insn->rip_relative && insn->base != X86_NO_REGISTER)
		return "base beside rip_relative";
	if (base != mem->base)
		return "base";
	if (index != mem->index)
		return "index";
	if (index != ZYDIS_REGISTER_NONE && insn->scale != mem->scale)
		return "scale";
	if (low_bytes((uint64_t)insn->displacement, insn->address_bytes) !=
		low_bytes((uint64_t)mem->disp.value, insn->address_bytes))
		return "displacement";
	return NULL;
}

/* The width of the memory operand of INVLPG and INVPCID is not described: the one has none, the
 * other always 16 bytes. */
static bool has_memory_width(const struct x86_insn *insn)
{
	return insn->op != X86_OP_INVLPG && insn->op != X86_OP_INVPCID;
}

static const char *compare_operand(
	const struct operand *ours, const ZydisDecodedOperand *theirs, const struct x86_insn *insn)
{
	static const ZydisOperandType types[] = {
		[KIND_REGISTER] = ZYDIS_OPERAND_TYPE_REGISTER,
		[KIND_MEMORY] = ZYDIS_OPERAND_TYPE_MEMORY,
		[KIND_IMMEDIATE] = ZYDIS_OPERAND_TYPE_IMMEDIATE,
	};

	if (types[ours->kind] != theirs->type)
		return "kind of operand";
	switch (ours->kind) {
	case KIND_REGISTER:
		return ours->name == theirs->reg.value ? NULL : "register";
	case KIND_MEMORY:
		if (ours->n_bytes * 8 != theirs->size && has_memory_width(insn))
			return "width of memory operand";
		return compare_address(insn, &theirs->mem);
	case KIND_IMMEDIATE:
		break;
	}
	if (theirs->size == 8 && !theirs->imm.is_signed)
		return low_bytes(insn->immediate ^ theirs->imm.value.u, 1) ? "immediate" : NULL;
	return low_bytes(insn->immediate ^ theirs->imm.value.u, insn->operand_bytes) ? "immediate"
										     : NULL;
}

/* The operands of XCHG are the same in either order. */
static const char *compare_operands(const struct x86_insn *insn, const struct zydis_view *view)
{
	struct operand operands[MAX_OPERANDS];
	unsigned n = list_operands(operands, insn);
	unsigned first = 0;

	if (n != view->insn.operand_count_visible)
		return "number of operands";
	if (insn->op == X86_OP_XCHG && compare_operand(&operands[0], &view->operands[0], insn))
		first = 1;
	for (unsigned i = 0; i < n; i++) {
		const char *difference =
			compare_operand(&operands[i], &view->operands[i ^ first], insn);

		if (difference)
			return difference;
	}
	return NULL;
}

static bool has_prefix(const struct zydis_view *view, uint8_t prefix)
{
	for (unsigned i = 0; i < view->insn.raw.prefix_count; i++)
		if (view->insn.raw.prefixes[i].value == prefix)
			return true;
	return false;
}

/* Is the explicit memory operand read, and written? Not asked of INVLPG and INVPCID, which do not
 * access theirs as data. */
static const char *compare_access(const struct x86_insn *insn, const struct zydis_view *view)
{
	const ZydisDecodedOperand *memory = zydis_memory(view);

	if (!insn->is_memory || !memory || !has_memory_width(insn))
		return NULL;
	if (x86_reads_operand(insn) != !!(memory->actions & ZYDIS_OPERAND_ACTION_MASK_READ))
		return "x86_reads_operand()";
	if (x86_writes_operand(insn) != !!(memory->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
		return "x86_writes_operand()";
	if (x86_is_atomic(insn) != (has_prefix(view, 0xf0) || insn->op == X86_OP_XCHG))
		return "x86_is_atomic()";
	return NULL;
}

/* What a PUSH stores has no explicit operand. */
static const char *compare_push(const struct x86_insn *insn, const struct zydis_view *view)
{
	if (insn->operand_bytes * 8 != zydis_written(view)->size)
		return "width of what is pushed";
	return compare_operands(insn, view);
}

/* String instructions: the segment is the one of the source. */
static const char *compare_string(const struct x86_insn *insn, const struct zydis_view *view)
{
	const ZydisDecodedOperand *to = zydis_written(view);

	if (insn->form != X86_FORM_NONE)
		return "form";
	if (insn->operand_bytes * 8 != to->size)
		return "width of string";
	for (unsigned i = 0; insn->op == X86_OP_MOVS && i < view->insn.operand_count; i++)
		if (view->operands[i].type == ZYDIS_OPERAND_TYPE_MEMORY &&
			&view->operands[i] != to &&
			view->operands[i].mem.segment != pick(ZYDIS_REGISTER_ES, insn->segment))
			return "segment of source";
	return NULL;
}

/* The register that a mere store stores: its number, and which part of it. */
static enum x86_stored stored_of(const struct zydis_view *view, unsigned *number)
{
	unsigned name = view->operands[1].reg.value;

	switch (ZydisRegisterGetClass((ZydisRegister)name)) {
	case ZYDIS_REGCLASS_MMX:
		*number = name - ZYDIS_REGISTER_MM0;
		return X86_STORED_MMX;
	case ZYDIS_REGCLASS_XMM:
		*number = name - ZYDIS_REGISTER_XMM0;
		return zydis_stores_high_half(view) ? X86_STORED_XMM_HIGH : X86_STORED_XMM;
	case ZYDIS_REGCLASS_YMM:
		*number = name - ZYDIS_REGISTER_YMM0;
		return X86_STORED_XMM;
	default:
		return X86_STORED_NOTHING;
	}
}

static const char *compare_store(const struct x86_insn *insn, const struct zydis_view *view)
{
	unsigned number;

	if (!zydis_is_store(view))
		return "operation (not a mere store)";
	if (!insn->is_memory)
		return "kind of operand";
	if (insn->form != X86_FORM_RM_REG)
		return "form";
	if (insn->stored != stored_of(view, &number))
		return "kind of register stored";
	if (insn->reg != number)
		return "register stored";
	if (insn->operand_bytes * 8 != zydis_memory(view)->size)
		return "width of store";
	return compare_address(insn, &zydis_memory(view)->mem);
}

static const char *compare_prefixes(const struct x86_insn *insn, const struct zydis_view *view)
{
	if (insn->lock != has_prefix(view, 0xf0))
		return "lock";
	if (insn->rep != (has_prefix(view, 0xf2) || has_prefix(view, 0xf3)))
		return "rep";
	if (insn->rex != !!(view->insn.attributes & ZYDIS_ATTRIB_HAS_REX))
		return "rex";
	if (insn->address_bytes * 8 != view->insn.address_width)
		return "address size";
	return NULL;
}

const char *zydis_compare(const struct x86_insn *insn, const struct zydis_view *view)
{
	const char *difference = compare_prefixes(insn, view);

	if (!difference && insn->op == X86_OP_STORE)
		difference = compare_store(insn, view);
	else if (!difference && insn->stored != X86_STORED_NOTHING)
		difference = "store of a vector register";
	if (!difference)
		difference = compare_access(insn, view);
	if (difference || insn->op == X86_OP_STORE)
		return difference;
	if (insn->op != zydis_op(view))
		return "operation";
	switch (insn->op) {
	case X86_OP_STOS:
	case X86_OP_MOVS:
		return compare_string(insn, view);
	case X86_OP_PUSH:
		return compare_push(insn, view);
	case X86_OP_SETCC:
		if (insn->condition != zydis_condition(view))
			return "condition";
		return compare_operands(insn, view);
	default:
		return compare_operands(insn, view);
	}
}
