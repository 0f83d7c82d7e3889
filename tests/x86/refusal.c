/* SPDX-License-Identifier: MIT */
/*
 * Refusals of the executor: see refusal.h.
 */
#include "tests/x86/refusal.h"

#include <string.h>

#include "x86/execute.h"

#define FLAGS 0x202u

/* x86/execute.h: executed are ADD to PUSH if they have a memory operand, and PUSH without one, too;
 * but not PUSH without a width of the stack pointer, nor segment registers without selectors. */
static bool is_known(const struct x86_insn *insn, const struct x86_state *state)
{
	if (insn->op < X86_OP_ADD || insn->op > X86_OP_PUSH)
		return false;
	if (!insn->is_memory && insn->op != X86_OP_PUSH)
		return false;
	if (insn->op == X86_OP_PUSH && state->stack_bytes == 0)
		return false;
	return state->selectors || (insn->form != X86_FORM_SREG && insn->form != X86_FORM_RM_SREG);
}

static const char *try(const struct x86_insn *insn, const uint16_t *selectors, uint8_t stack_bytes)
{
	uint64_t gpr[X86_GPRS];
	uint64_t before[X86_GPRS];
	uint64_t memory[2] = {1, 2};
	struct x86_state state = {gpr, FLAGS, selectors, stack_bytes};
	bool stores = false;

	for (unsigned i = 0; i < X86_GPRS; i++)
		gpr[i] = before[i] = 0x0123456789abcdefull * (i + 1);
	if (x86_execute(insn, &state, memory, &stores))
		return is_known(insn, &state) ? NULL : "executed, not refused";
	if (is_known(insn, &state))
		return "refused, not executed";
	if (memcmp(gpr, before, sizeof(gpr)) != 0 || state.rflags != FLAGS)
		return "refused, but changed the state";
	return NULL;
}

const char *refusal_check(const struct x86_insn *insn)
{
	static const uint16_t selectors[X86_SEG_GS + 1];
	const char *difference = try(insn, NULL, 0);

	return difference ? difference : try(insn, selectors, 8);
}
