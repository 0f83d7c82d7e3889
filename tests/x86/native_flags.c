/* SPDX-License-Identifier: MIT */
/*
 * Undefined flags: see native_flags.h. SDM 2, "Flags Affected" of each instruction; AMD APM 3
 * "Flags Affected" agrees but for ZF of BT to BTC, which it calls undefined and no processor
 * changes.
 */
#include "tests/x86/native_flags.h"

/* Those that do not depend on the operands. */
static const uint32_t undefined[] = {
	[X86_OP_AND] = FLAG_AF,
	[X86_OP_OR] = FLAG_AF,
	[X86_OP_XOR] = FLAG_AF,
	[X86_OP_TEST] = FLAG_AF,
	[X86_OP_BT] = FLAG_OF | FLAG_SF | FLAG_AF | FLAG_PF,
	[X86_OP_BTS] = FLAG_OF | FLAG_SF | FLAG_AF | FLAG_PF,
	[X86_OP_BTR] = FLAG_OF | FLAG_SF | FLAG_AF | FLAG_PF,
	[X86_OP_BTC] = FLAG_OF | FLAG_SF | FLAG_AF | FLAG_PF,
};

/* The count is cut to five bits, six for 8-byte operands. SDM 2 "SAL/SAR/SHL/SHR--Shift". */
static unsigned shift_count(const struct native_case *test)
{
	unsigned count = 1;

	if (test->form->flags & FORM_IMM8)
		count = test->bytes[test->n_bytes - 1];
	else if (test->form->opcode >= 0xd2)
		count = (unsigned)test->state.gpr[X86_RCX];
	return count & (test->operand_bytes == 8 ? 63 : 31);
}

/* By a count of 0 no flag changes; OF is defined for a count of 1 only; CF of SHL and SHR is not if
 * more is shifted out than there is. */
static uint32_t undefined_of_shift(const struct native_case *test)
{
	unsigned count = shift_count(test);
	enum x86_op op = test->form->op;
	bool shifts = op != X86_OP_ROL && op != X86_OP_ROR;
	uint32_t flags = 0;

	if (count == 0)
		return 0;
	if (shifts)
		flags |= FLAG_AF;
	if (count != 1)
		flags |= FLAG_OF;
	if ((op == X86_OP_SHL || op == X86_OP_SHR) && count >= test->operand_bytes * 8u)
		flags |= FLAG_CF;
	return flags;
}

uint64_t native_undefined_flags(const struct native_case *test)
{
	enum x86_op op = test->form->op;

	if (op >= X86_OP_ROL && op <= X86_OP_SAR)
		return undefined_of_shift(test);
	return op < sizeof(undefined) / sizeof(undefined[0]) ? undefined[op] : 0;
}
