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

#define SELECTORS 6u

/* Kept apart, so that the frequent ones do not save registers for them. */
#define NOINLINE static __attribute__((noinline))

/* An operation in the width of its operands. */
struct alu {
	uint64_t mask;
	uint64_t sign;
	uint64_t flags;
	unsigned n_bits;
	bool unknown; /* nobody here knows the operation */
};

static uint64_t flag_if(uint64_t condition, uint64_t flag)
{
	return condition ? flag : 0;
}

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
static uint64_t bit(struct alu *alu, enum x86_op op, uint64_t a, uint64_t number)
{
	uint64_t one = 1ull << (number & (alu->n_bits - 1));

	alu->flags = (alu->flags & ~CF) | flag_if(a & one, CF);
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

/* ROL and ROR change CF and OF only. */
static uint64_t rotate(struct alu *alu, bool left, uint64_t a, unsigned count)
{
	unsigned up = (left ? count : alu->n_bits - count) & (alu->n_bits - 1);
	uint64_t result = a;
	bool top, carry, other;

	if (up)
		result = (a << up | a >> (alu->n_bits - up)) & alu->mask;
	top = result & alu->sign;
	carry = left ? result & 1 : top;
	other = left ? carry : result & alu->sign >> 1;
	alu->flags = (alu->flags & ~(CF | OF)) | flag_if(carry, CF) | flag_if(top != other, OF);
	return result;
}

/* The flags are about the last of @count steps. */
static uint64_t shift(struct alu *alu, enum x86_op op, uint64_t a, uint64_t number)
{
	unsigned count = (unsigned)number & (alu->n_bits == 64 ? 63 : 31);
	uint64_t result, carry, overflow;

	if (count == 0)
		return a;
	switch (op) {
	case X86_OP_SHL:
		result = a << count & alu->mask;
		carry = a << (count - 1) & alu->sign;
		overflow = carry ^ (result & alu->sign);
		break;
	case X86_OP_SHR:
		result = a >> count;
		carry = a >> (count - 1) & 1;
		overflow = a & alu->sign;
		break;
	case X86_OP_SAR:
		if (a & alu->sign)
			a |= ~alu->mask;
		result = (uint64_t)((int64_t)a >> count) & alu->mask;
		carry = (uint64_t)((int64_t)a >> (count - 1)) & 1;
		overflow = 0;
		break;
	default:
		return rotate(alu, op == X86_OP_ROL, a, count);
	}
	set_flags(alu, result_flags(alu, result) | flag_if(carry, CF) | flag_if(overflow, OF));
	return result;
}

/* SDM 1 "EFLAGS Condition Codes". */
static bool holds(uint64_t flags, unsigned condition)
{
	bool less = !(flags & SF) != !(flags & OF);
	bool is;

	switch (condition >> 1) {
	case 0:
		is = flags & OF;
		break;
	case 1:
		is = flags & CF;
		break;
	case 2:
		is = flags & ZF;
		break;
	case 3:
		is = flags & (CF | ZF);
		break;
	case 4:
		is = flags & SF;
		break;
	case 5:
		is = flags & PF;
		break;
	case 6:
		is = less;
		break;
	default:
		is = less || flags & ZF;
		break;
	}
	return is != (condition & 1);
}

/* CMPXCHG: what is stored. */
static uint64_t compare_exchange(const struct x86_insn *insn, struct x86_state *state,
	struct alu *alu, uint64_t old, uint64_t source)
{
	uint64_t expected = x86_gpr_read(insn, state->gpr, X86_RAX, insn->operand_bytes);

	subtract(alu, expected, old, 0);
	if (expected == old)
		return source;
	x86_gpr_write(insn, state->gpr, X86_RAX, insn->operand_bytes, old);
	return old;
}

/* CMPXCHG8B and CMPXCHG16B: of EDX:EAX with ECX:EBX, or RDX:RAX with RCX:RBX. */
NOINLINE void compare_exchange_pair(
	const struct x86_insn *insn, struct x86_state *state, uint64_t memory[2])
{
	uint64_t *gpr = state->gpr;
	bool wide = insn->operand_bytes == 16;
	uint64_t low = wide ? memory[0] : (uint32_t)memory[0];
	uint64_t high = wide ? memory[1] : memory[0] >> 32;
	unsigned half = insn->operand_bytes / 2u;

	if (x86_gpr_read(insn, gpr, X86_RAX, half) != low ||
		x86_gpr_read(insn, gpr, X86_RDX, half) != high) {
		state->rflags &= ~ZF;
		gpr[X86_RAX] = low;
		gpr[X86_RDX] = high;
		return;
	}
	state->rflags |= ZF;
	if (wide) {
		memory[0] = gpr[X86_RBX];
		memory[1] = gpr[X86_RCX];
	} else {
		memory[0] = (uint32_t)gpr[X86_RBX] | gpr[X86_RCX] << 32;
	}
}

/* XADD: what is stored. */
static uint64_t exchange_add(const struct x86_insn *insn, struct x86_state *state, struct alu *alu,
	uint64_t old, uint64_t source)
{
	uint64_t sum = add(alu, old, source, 0);

	x86_gpr_write(insn, state->gpr, insn->reg, insn->operand_bytes, old);
	return sum;
}

/* Operations on bits of @a. */
static uint64_t compute_bits(struct alu *alu, enum x86_op op, uint64_t a, uint64_t b)
{
	switch (op) {
	case X86_OP_NOT:
		return ~a & alu->mask;
	case X86_OP_BT:
	case X86_OP_BTS:
	case X86_OP_BTR:
	case X86_OP_BTC:
		return bit(alu, op, a, b);
	case X86_OP_ROL:
	case X86_OP_ROR:
	case X86_OP_SHL:
	case X86_OP_SHR:
	case X86_OP_SAR:
		return shift(alu, op, a, b);
	default:
		alu->unknown = true;
		return a;
	}
}

/* What the destination, which was @a, becomes. */
static uint64_t compute(const struct x86_insn *insn, struct x86_state *state, struct alu *alu,
	uint64_t a, uint64_t b)
{
	switch (insn->op) {
	case X86_OP_ADD:
		return add(alu, a, b, 0);
	case X86_OP_ADC:
		return add(alu, a, b, alu->flags & CF);
	case X86_OP_SUB:
	case X86_OP_CMP:
		return subtract(alu, a, b, 0);
	case X86_OP_SBB:
		return subtract(alu, a, b, alu->flags & CF);
	case X86_OP_OR:
		return logic(alu, a | b);
	case X86_OP_AND:
	case X86_OP_TEST:
		return logic(alu, a & b);
	case X86_OP_XOR:
		return logic(alu, a ^ b);
	case X86_OP_NEG:
		return subtract(alu, 0, a, 0);
	case X86_OP_INC:
	case X86_OP_DEC:
		return step(alu, a, insn->op == X86_OP_INC);
	case X86_OP_CMPXCHG:
		return compare_exchange(insn, state, alu, a, b);
	case X86_OP_XADD:
		return exchange_add(insn, state, alu, a, b);
	case X86_OP_SETCC:
		return holds(alu->flags, insn->condition);
	case X86_OP_MOV:
	case X86_OP_MOVZX:
	case X86_OP_MOVSX:
		return b;
	default:
		return compute_bits(alu, insn->op, a, b);
	}
}

/* @memory as an operand that is loaded. */
static uint64_t loaded(const struct x86_insn *insn, const struct alu *alu, uint64_t memory)
{
	unsigned unused_bits = 64 - 8u * insn->source_bytes;
	uint64_t value = memory << unused_bits;

	if (insn->op == X86_OP_MOVSX)
		return (uint64_t)((int64_t)value >> unused_bits) & alu->mask;
	return value >> unused_bits;
}

/* Instructions that compute something, or load. */
NOINLINE bool modify(
	const struct x86_insn *insn, struct x86_state *state, uint64_t source, uint64_t *memory)
{
	unsigned unused_bits = 64 - 8u * insn->operand_bytes;
	struct alu alu = {
		.mask = ~0ull >> unused_bits,
		.sign = 1ull << (63 - unused_bits),
		.flags = state->rflags,
		.n_bits = 8u * insn->operand_bytes,
	};
	bool loads = insn->form == X86_FORM_REG_RM;
	uint64_t a = *memory & alu.mask;
	uint64_t b = source;
	uint64_t result;

	if (loads) {
		a = x86_gpr_read(insn, state->gpr, insn->reg, insn->operand_bytes);
		b = loaded(insn, &alu, *memory);
	}
	result = compute(insn, state, &alu, a, b);
	if (alu.unknown)
		return false;
	state->rflags = alu.flags;
	if (!loads)
		*memory = result;
	else if (insn->op != X86_OP_CMP)
		x86_gpr_write(insn, state->gpr, insn->reg, insn->operand_bytes, result);
	return true;
}

NOINLINE bool push(
	const struct x86_insn *insn, struct x86_state *state, uint64_t source, uint64_t *memory)
{
	unsigned n_bytes = state->stack_bytes;

	if (!n_bytes)
		return false;
	if (insn->form != X86_FORM_RM)
		*memory = source;
	else if (!insn->is_memory)
		*memory = x86_gpr_read(insn, state->gpr, insn->rm, insn->operand_bytes);
	x86_gpr_write(
		insn, state->gpr, X86_RSP, n_bytes, x86_push_offset(insn, state->gpr, n_bytes));
	return true;
}

/* The operand that is not the destination, for forms that have one. Returns false if it is a
 * segment register, and those are not known, or if the instruction is not described. */
static bool find_source(
	const struct x86_insn *insn, const struct x86_state *state, uint64_t *source)
{
	unsigned unused_bits = 64 - 8u * insn->operand_bytes;

	switch (insn->form) {
	case X86_FORM_RM_REG:
	case X86_FORM_REG:
		*source = x86_gpr_read(insn, state->gpr, insn->reg, insn->operand_bytes);
		return true;
	case X86_FORM_RM_IMM:
	case X86_FORM_IMM:
		*source = insn->immediate << unused_bits >> unused_bits;
		return true;
	case X86_FORM_RM_CL:
		*source = state->gpr[X86_RCX];
		return true;
	case X86_FORM_RM_SREG:
	case X86_FORM_SREG:
		if (!state->selectors || insn->reg >= SELECTORS)
			return false;
		*source = state->selectors[insn->reg];
		return true;
	case X86_FORM_RM:
	case X86_FORM_REG_RM:
		return true;
	default:
		return false;
	}
}

bool x86_execute(
	const struct x86_insn *insn, struct x86_state *state, uint64_t memory[2], bool *stores)
{
	uint64_t source = 0;

	*stores = true;
	if ((!insn->is_memory && insn->op != X86_OP_PUSH) || !find_source(insn, state, &source))
		return false;
	switch (insn->op) {
	case X86_OP_MOV:
		if (insn->form == X86_FORM_REG_RM)
			break;
		*memory = source;
		return true;
	case X86_OP_XCHG:
		x86_gpr_write(insn, state->gpr, insn->reg, insn->operand_bytes, *memory);
		*memory = source;
		return true;
	case X86_OP_CMPXCHG_PAIR:
		compare_exchange_pair(insn, state, memory);
		return true;
	case X86_OP_PUSH:
		return push(insn, state, source, memory);
	case X86_OP_STORE:
		return false;
	default:
		break;
	}
	*stores = x86_writes_operand(insn);
	return modify(insn, state, source, memory);
}
