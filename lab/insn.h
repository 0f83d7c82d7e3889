/* SPDX-License-Identifier: MIT */
/*
 * The store of a step: what it does to memory by the manual, in the lab's own words, and an
 * instruction that does it, for a host that has to decode it. Must not use the executor of x86/,
 * which is to come to the same result.
 *
 * SDM 2 "Instruction Format", and the page of each instruction.
 */
#ifndef LAB_INSN_H
#define LAB_INSN_H

#include "lab/step.h"
#include "x86/decode.h"

struct insn {
	uint8_t bytes[X86_INSN_MAX];
	unsigned n_bytes;
	enum x86_code_size size;
	uint64_t gpr[X86_GPRS];
	uint64_t rip;
	uint64_t rflags;
	uint8_t stack_bytes; /* width of rSP */
	bool understood;     /* it is one of those that x86/ describes */
};

/* What a step that compares first does compare with: @old, as if the guest had just read it, or
 * something else. */
void insn_expected(const struct step *step, const uint8_t *old, uint8_t *bytes);

/* Which bit of its operand a step of a bit is about. */
uint64_t insn_bit(const struct step *step);

/* What @step writes where it finds @old: step->bytes of them. */
void insn_result(const struct step *step, const uint8_t *old, uint8_t *result);

/* An instruction for @step at @gva, its linear address, with registers that make it do that where
 * it finds @old. In long mode, else in 32-bit or 16-bit code; chance from the step's nonce. */
void insn_make(const struct step *step, uint64_t gva, bool long_mode, const uint8_t *old,
	struct insn *insn);

#endif
