/* SPDX-License-Identifier: MIT */
/*
 * What an instruction with a memory operand does, worked out on values: the caller has read the
 * operand and will write it. No libc, no state.
 *
 * Source: Intel SDM 2, the page of each instruction. Flags that the manual leaves undefined become
 * 0.
 */
#ifndef X86_EXECUTE_H
#define X86_EXECUTE_H

#include "x86/decode.h"

struct x86_state {
	uint64_t *gpr; /* X86_GPRS of them */
	uint64_t rflags;
};

/* Do @insn on @state, where *@memory is the memory operand's value; then it is what must be stored
 * there, if
 * *@stores. Returns false, with @state unchanged, for instructions it does not know (string
 * instructions too). */
bool x86_execute(
	const struct x86_insn *insn, struct x86_state *state, uint64_t *memory, bool *stores);

#endif
