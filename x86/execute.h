/* SPDX-License-Identifier: MIT */
/*
 * What an instruction that stores to memory, or loads from it, does, worked out on values: the
 * caller has read the operand and will write it. No libc, no state.
 *
 * Source: Intel SDM 2, the page of each instruction; AMD APM 3 where the makers differ (PUSH of a
 * segment register with a 32-bit operand stores zeroes above the selector).
 *
 * Flags that the manuals leave undefined: AF becomes 0 (AND, OR, XOR, TEST, shifts); OF, SF, AF and
 * PF stay after BT to BTC; of a shift by more bits than the operand has CF is what as many shifts
 * by one leave; OF of a shift or rotation by more than one is what the rule for one makes of the
 * result.
 */
#ifndef X86_EXECUTE_H
#define X86_EXECUTE_H

#include "x86/decode.h"

struct x86_state {
	uint64_t *gpr; /* X86_GPRS of them */
	uint64_t rflags;
	const uint16_t *selectors; /* of ES to GS, by enum x86_segment. NULL: instructions that
				      store them are not known */
	uint8_t stack_bytes;       /* as x86_push_offset() takes it. 0: PUSH is not known */
};

/* Do @insn on @state. @memory is the value of the memory operand (16 bytes: low half first); then
 * it is what must be stored there, if *@stores, else undefined; only operand_bytes of it count.
 * PUSH reads the operand too if it has one, stores at x86_push_offset() of the state before, and
 * moves the stack pointer. CMPXCHG and its like store what they found if it differs, as processors
 * do. Returns false, with @state unchanged, for instructions it does not know: string instructions
 * too, and all without a memory operand except PUSH. */
bool x86_execute(
	const struct x86_insn *insn, struct x86_state *state, uint64_t memory[2], bool *stores);

#endif
