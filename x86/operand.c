/* SPDX-License-Identifier: MIT */
/*
 * The operands of a decoded instruction: where its memory operand lies, and general registers of
 * any width.
 */
#include "x86/decode.h"

static uint64_t low_bytes(uint64_t value, unsigned n_bytes)
{
	return n_bytes >= 8 ? value : value & ((1ull << (8 * n_bytes)) - 1);
}

uint64_t x86_operand_offset(const struct x86_insn *insn, const uint64_t gpr[X86_GPRS], uint64_t rip)
{
	uint64_t offset = (uint64_t)insn->displacement;

	if (insn->base != X86_NO_REGISTER)
		offset += gpr[insn->base];
	if (insn->index != X86_NO_REGISTER)
		offset += gpr[insn->index] * insn->scale;
	if (insn->rip_relative)
		offset += rip + insn->length;
	if (insn->op >= X86_OP_BT && insn->op <= X86_OP_BTC && insn->form == X86_FORM_RM_REG) {
		unsigned unused_bits = 64 - 8u * insn->operand_bytes;
		int64_t bit = (int64_t)(gpr[insn->reg] << unused_bits) >> unused_bits;

		/* Bit offsets are signed and reach beyond the operand, in steps of its size. */
		offset += (uint64_t)((bit >> 3) & ~(int64_t)(insn->operand_bytes - 1));
	}
	return low_bytes(offset, insn->address_bytes);
}

uint64_t x86_push_offset(
	const struct x86_insn *insn, const uint64_t gpr[X86_GPRS], unsigned stack_bytes)
{
	return low_bytes(gpr[X86_RSP] - insn->operand_bytes, stack_bytes);
}

bool x86_reads_operand(const struct x86_insn *insn)
{
	switch (insn->op) {
	case X86_OP_MOV:
		return insn->form == X86_FORM_REG_RM;
	case X86_OP_SETCC:
	case X86_OP_STORE:
	case X86_OP_SMSW:
	case X86_OP_INVLPG:
		return false;
	default:
		return true;
	}
}

bool x86_writes_operand(const struct x86_insn *insn)
{
	switch (insn->op) {
	case X86_OP_OTHER:
	case X86_OP_CMP:
	case X86_OP_BT:
	case X86_OP_TEST:
	case X86_OP_PUSH:
	case X86_OP_LMSW:
	case X86_OP_INVLPG:
		return false;
	default:
		return insn->form != X86_FORM_REG_RM;
	}
}

bool x86_reads_elsewhere(const struct x86_insn *insn)
{
	return insn->op == X86_OP_MOVS || (insn->op == X86_OP_PUSH && insn->is_memory);
}

bool x86_is_atomic(const struct x86_insn *insn)
{
	return insn->lock || (insn->op == X86_OP_XCHG && insn->is_memory);
}

/* Is @number one of AH, CH, DH, BH? */
static bool is_high_byte(const struct x86_insn *insn, unsigned number, unsigned n_bytes)
{
	return n_bytes == 1 && !insn->rex && number >= 4 && number < 8;
}

uint64_t x86_gpr_read(const struct x86_insn *insn, const uint64_t gpr[X86_GPRS], unsigned number,
	unsigned n_bytes)
{
	if (is_high_byte(insn, number, n_bytes))
		return gpr[number - 4] >> 8 & 0xff;
	return low_bytes(gpr[number], n_bytes);
}

void x86_gpr_write(const struct x86_insn *insn, uint64_t gpr[X86_GPRS], unsigned number,
	unsigned n_bytes, uint64_t value)
{
	if (is_high_byte(insn, number, n_bytes))
		gpr[number - 4] = (gpr[number - 4] & ~0xff00ull) | (value & 0xff) << 8;
	else if (n_bytes >= 4)
		gpr[number] = low_bytes(value, n_bytes);
	else
		gpr[number] =
			(gpr[number] & ~low_bytes(~0ull, n_bytes)) | low_bytes(value, n_bytes);
}
