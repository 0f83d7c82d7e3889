/* SPDX-License-Identifier: MIT */
/*
 * Integer instructions on values: results and flags.
 */
#include "x86/execute.h"

#define CF               (1ull << 0)
#define PF               (1ull << 2)
#define AF               (1ull << 4)
#define ZF               (1ull << 6)
#define SF               (1ull << 7)
#define OF               (1ull << 11)
#define ARITHMETIC_FLAGS (CF | PF | AF | ZF | SF | OF)

/* An operation in the width of its operands. */
struct alu {
	uint64_t mask;
	uint64_t sign;
	uint64_t flags;
};

static uint64_t result_flags(const struct alu *alu, uint64_t result)
{
	uint64_t flags = 0;

	if (!(result & alu->mask))
		flags |= ZF;
	if (result & alu->sign)
		flags |= SF;
	if (!__builtin_parityll(result & 0xff))
		flags |= PF;
	return flags;
}

static void set_flags(struct alu *alu, uint64_t flags)
{
	alu->flags = (alu->flags & ~ARITHMETIC_FLAGS) | flags;
}

static uint64_t add(struct alu *alu, uint64_t a, uint64_t b, uint64_t carry)
{
	uint64_t result = (a + b + carry) & alu->mask;
	uint64_t flags = result_flags(alu, result);

	if (result < a || (carry && result == a))
		flags |= CF;
	if (~(a ^ b) & (a ^ result) & alu->sign)
		flags |= OF;
	flags |= (a ^ b ^ result) & AF;
	set_flags(alu, flags);
	return result;
}

static uint64_t subtract(struct alu *alu, uint64_t a, uint64_t b, uint64_t borrow)
{
	uint64_t result = (a - b - borrow) & alu->mask;
	uint64_t flags = result_flags(alu, result);

	if (a < b || (borrow && a == b))
		flags |= CF;
	if ((a ^ b) & (a ^ result) & alu->sign)
		flags |= OF;
	flags |= (a ^ b ^ result) & AF;
	set_flags(alu, flags);
	return result;
}

static uint64_t logic(struct alu *alu, uint64_t result)
{
	set_flags(alu, result_flags(alu, result));
	return result;
}

/* INC and DEC: like ADD and SUB of 1, but CF stays. */
static uint64_t step(struct alu *alu, uint64_t a, bool up)
{
	uint64_t carry = alu->flags & CF;
	uint64_t result = up ? add(alu, a, 1, 0) : subtract(alu, a, 1, 0);

	alu->flags = (alu->flags & ~CF) | carry;
	return result;
}

/* BT to BTC: the old bit goes to CF, other flags stay. */
static uint64_t bit(struct alu *alu, enum x86_op op, uint64_t a, uint64_t number, unsigned n_bytes)
{
	uint64_t one = 1ull << (number & (8 * n_bytes - 1));

	alu->flags = (alu->flags & ~CF) | (a & one ? CF : 0);
	switch (op) {
	case X86_OP_BTS:
		return a | one;
	case X86_OP_BTR:
		return a & ~one;
	case X86_OP_BTC:
		return a ^ one;
	default:
		return a;
	}
}

/* Two operands to one result. Returns false if @op is none of these. */
static bool binary(struct alu *alu, enum x86_op op, uint64_t a, uint64_t b, uint64_t *result)
{
	uint64_t carry = alu->flags & CF;

	switch (op) {
	case X86_OP_ADD:
	case X86_OP_XADD:
		*result = add(alu, a, b, 0);
		return true;
	case X86_OP_ADC:
		*result = add(alu, a, b, carry);
		return true;
	case X86_OP_SUB:
	case X86_OP_CMP:
	case X86_OP_CMPXCHG:
		*result = subtract(alu, a, b, 0);
		return true;
	case X86_OP_SBB:
		*result = subtract(alu, a, b, carry);
		return true;
	case X86_OP_OR:
		*result = logic(alu, a | b);
		return true;
	case X86_OP_AND:
	case X86_OP_TEST:
		*result = logic(alu, a & b);
		return true;
	case X86_OP_XOR:
		*result = logic(alu, a ^ b);
		return true;
	case X86_OP_MOV:
	case X86_OP_XCHG:
		*result = b;
		return true;
	default:
		return false;
	}
}

/* rm <- rm op source, with what the exchanging ones do to registers. */
static bool to_memory(const struct x86_insn *insn, struct x86_state *state, struct alu *alu,
	uint64_t source, uint64_t *memory)
{
	unsigned n_bytes = insn->operand_bytes;
	uint64_t old = *memory;
	uint64_t result;

	if (insn->op >= X86_OP_BT && insn->op <= X86_OP_BTC) {
		*memory = bit(alu, insn->op, old, source, n_bytes);
		return true;
	}
	if (insn->op == X86_OP_CMPXCHG) {
		uint64_t expected = x86_gpr_read(insn, state->gpr, X86_RAX, n_bytes);

		subtract(alu, expected, old, 0);
		if (expected == old)
			*memory = source;
		else
			x86_gpr_write(insn, state->gpr, X86_RAX, n_bytes, old);
		return true;
	}
	if (!binary(alu, insn->op, old, source, &result))
		return false;
	if (insn->op == X86_OP_XCHG || insn->op == X86_OP_XADD)
		x86_gpr_write(insn, state->gpr, insn->reg, n_bytes, old);
	if (insn->op != X86_OP_CMP && insn->op != X86_OP_TEST)
		*memory = result;
	return true;
}

static bool unary(enum x86_op op, struct alu *alu, uint64_t *memory)
{
	uint64_t old = *memory;

	switch (op) {
	case X86_OP_INC:
	case X86_OP_DEC:
		*memory = step(alu, old, op == X86_OP_INC);
		return true;
	case X86_OP_NOT:
		*memory = ~old & alu->mask;
		return true;
	case X86_OP_NEG:
		*memory = subtract(alu, 0, old, 0);
		return true;
	default:
		return false;
	}
}

static bool to_register(
	const struct x86_insn *insn, struct x86_state *state, struct alu *alu, uint64_t source)
{
	unsigned n_bytes = insn->operand_bytes;
	unsigned unused_bits = 64 - 8u * insn->source_bytes;
	uint64_t old = x86_gpr_read(insn, state->gpr, insn->reg, n_bytes);
	uint64_t result;

	switch (insn->op) {
	case X86_OP_MOVZX:
		result = source << unused_bits >> unused_bits;
		break;
	case X86_OP_MOVSX:
		result = (uint64_t)((int64_t)(source << unused_bits) >> unused_bits) & alu->mask;
		break;
	default:
		if (!binary(alu, insn->op, old, source, &result))
			return false;
		if (insn->op == X86_OP_CMP)
			return true;
		break;
	}
	x86_gpr_write(insn, state->gpr, insn->reg, n_bytes, result);
	return true;
}

static bool never_stores(enum x86_op op)
{
	return op == X86_OP_CMP || op == X86_OP_TEST || op == X86_OP_BT;
}

bool x86_execute(
	const struct x86_insn *insn, struct x86_state *state, uint64_t *memory, bool *stores)
{
	unsigned unused_bits = 64 - 8u * insn->operand_bytes;
	struct alu alu = {.flags = state->rflags};
	bool done;

	if (!insn->is_memory || !insn->operand_bytes)
		return false;
	alu.mask = ~0ull >> unused_bits;
	alu.sign = 1ull << (63 - unused_bits);
	*memory &= alu.mask;
	*stores = false;
	switch (insn->form) {
	case X86_FORM_RM:
		*stores = true;
		done = unary(insn->op, &alu, memory);
		break;
	case X86_FORM_RM_REG:
		*stores = !never_stores(insn->op);
		done = to_memory(insn, state, &alu,
			x86_gpr_read(insn, state->gpr, insn->reg, insn->operand_bytes), memory);
		break;
	case X86_FORM_RM_IMM:
		*stores = !never_stores(insn->op);
		done = to_memory(insn, state, &alu, insn->immediate & alu.mask, memory);
		break;
	case X86_FORM_REG_RM:
		done = to_register(insn, state, &alu, *memory);
		break;
	case X86_FORM_MEM_ACC:
		*stores = true;
		*memory = x86_gpr_read(insn, state->gpr, X86_RAX, insn->operand_bytes);
		done = true;
		break;
	case X86_FORM_ACC_MEM:
		x86_gpr_write(insn, state->gpr, X86_RAX, insn->operand_bytes, *memory);
		done = true;
		break;
	default:
		done = false;
		break;
	}
	state->rflags = alu.flags;
	return done;
}
