/* SPDX-License-Identifier: MIT */
/* Results of the guest's stores. */
#include "lab/insn.h"

#include <string.h>

static uint64_t value_at(const uint8_t *bytes, size_t n_bytes)
{
	uint64_t value = 0;

	memcpy(&value, bytes, n_bytes < 8 ? n_bytes : 8);
	return value;
}

void insn_expected(const struct step *step, const uint8_t *old, uint8_t *bytes)
{
	memcpy(bytes, old, step->bytes);
	if (step->type)
		bytes[step->nonce % step->bytes] ^= 1;
}

static uint64_t binary(enum step_op op, uint64_t old, uint64_t value)
{
	switch (op) {
	case STEP_OP_AND:
		return old & value;
	case STEP_OP_OR:
		return old | value;
	case STEP_OP_XOR:
		return old ^ value;
	case STEP_OP_ADD:
	case STEP_OP_XADD:
		return old + value;
	case STEP_OP_SUB:
		return old - value;
	case STEP_OP_INC:
		return old + 1;
	case STEP_OP_DEC:
		return old - 1;
	case STEP_OP_NOT:
		return ~old;
	case STEP_OP_NEG:
		return 0 - old;
	case STEP_OP_SETCC:
		return value & 1;
	default:
		return value;
	}
}

uint64_t insn_bit(const struct step *step)
{
	return step->value % (8 * step->bytes);
}

void insn_result(const struct step *step, const uint8_t *old, uint8_t *result)
{
	enum step_op op = (enum step_op)step->op;
	uint64_t value = value_at(old, step->bytes);
	uint64_t one = 1ull << (insn_bit(step) & 63);
	uint8_t compared[STEP_BYTES_MAX];

	step_operand(step, result);
	switch (op) {
	case STEP_OP_MOV:
	case STEP_OP_XCHG:
	case STEP_OP_PUSH:
	case STEP_OP_STOS:
		return;
	case STEP_OP_CMPXCHG:
	case STEP_OP_CMPXCHG_PAIR:
		insn_expected(step, old, compared);
		if (memcmp(old, compared, step->bytes) != 0)
			memcpy(result, old, step->bytes);
		return;
	case STEP_OP_BTS:
		value |= one;
		break;
	case STEP_OP_BTR:
		value &= ~one;
		break;
	case STEP_OP_BTC:
		value ^= one;
		break;
	default:
		value = binary(op, value, step->value);
		break;
	}
	memcpy(result, &value, step->bytes);
}
