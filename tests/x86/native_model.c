/* SPDX-License-Identifier: MIT */
/*
 * x86/ as an emulator uses it: see native_model.h. What it says of the operands on the way is
 * compared with what the instruction was made of.
 */
#include "tests/x86/native_model.h"

#include <string.h>

#include "x86/execute.h"

static uint64_t linear_of(
	const struct native_segments *segments, enum x86_segment segment, uint64_t offset)
{
	if (segments->mode == NATIVE_64)
		return offset + (segment < X86_SEG_FS ? 0 : segments->bases[segment]);
	return (uint32_t)(offset + segments->bases[segment]);
}

/* Does the decoder see the instruction that was made? */
static const char *compare_description(const struct native_case *test, const struct x86_insn *insn)
{
	uint32_t flags = test->form->flags;
	bool pushes = flags & FORM_PUSH;

	if (insn->length != test->n_bytes)
		return "length";
	if (insn->op != test->form->op)
		return "operation";
	if (insn->is_memory != test->has_memory)
		return "memory operand or none";
	if (insn->operand_bytes != (test->form->op == X86_OP_CMPXCHG_PAIR || (flags & FORM_WRITES)
						   ? test->memory_bytes
						   : test->operand_bytes))
		return "width";
	if (insn->lock != test->lock)
		return "lock";
	if (!test->has_memory)
		return NULL;
	if (x86_reads_operand(insn) != !(flags & FORM_NO_READ))
		return "x86_reads_operand()";
	if (x86_writes_operand(insn) != !!(flags & FORM_WRITES))
		return "x86_writes_operand()";
	if ((flags & (FORM_WRITES | FORM_PUSH)) && x86_reads_elsewhere(insn) != pushes)
		return "x86_reads_elsewhere()";
	if (x86_is_atomic(insn) != native_is_locked(test))
		return "x86_is_atomic()";
	return NULL;
}

static const char *execute(const struct native_case *test, const struct x86_insn *insn,
	struct x86_state *state, uint8_t *buffer)
{
	bool pushes = test->form->flags & FORM_PUSH;
	uint8_t *operand = test->has_memory ? buffer + (test->linear - NATIVE_BUFFER) : NULL;
	uint64_t memory[2] = {0};
	bool stores = false;

	if (test->has_memory)
		memcpy(memory, operand, test->memory_bytes);
	if (!x86_execute(insn, state, memory, &stores))
		return "x86_execute() refuses";
	if (stores != (pushes || (test->form->flags & FORM_WRITES)))
		return "stores or not";
	if (pushes)
		memcpy(buffer + (test->push_linear - NATIVE_BUFFER), memory, test->operand_bytes);
	else if (stores)
		memcpy(operand, memory, test->memory_bytes);
	return NULL;
}

const char *native_model(const struct native_case *test, const struct native_segments *segments,
	struct native_state *state, uint8_t *buffer)
{
	unsigned stack_bytes = native_stack_bytes(segments);
	struct x86_state model = {
		.gpr = state->gpr,
		.rflags = state->rflags,
		.selectors = segments->selectors,
		.stack_bytes = (uint8_t)stack_bytes,
	};
	struct x86_insn insn;
	const char *difference;

	if (x86_decode(&insn, native_code_size(segments->mode), test->bytes, test->n_bytes) !=
		X86_DECODE_OK)
		return "x86_decode() refuses";
	difference = compare_description(test, &insn);
	if (difference)
		return difference;
	if (test->has_memory && linear_of(segments, insn.segment,
					x86_operand_offset(&insn, state->gpr,
						native_slot(test->slot))) != test->linear)
		return "x86_operand_offset()";
	if ((test->form->flags & FORM_PUSH) &&
		linear_of(segments, X86_SEG_SS, x86_push_offset(&insn, state->gpr, stack_bytes)) !=
			test->push_linear)
		return "x86_push_offset()";
	difference = execute(test, &insn, &model, buffer);
	state->rflags = model.rflags;
	return difference;
}
