/* SPDX-License-Identifier: MIT */
/*
 * One random instruction to be run natively, with registers and flags: its memory operand, and what
 * it pushes, lie in the buffer. Made from native_forms.h and the manuals, without x86/.
 */
#ifndef TESTS_X86_NATIVE_CASE_H
#define TESTS_X86_NATIVE_CASE_H

#include "tests/x86/native_forms.h"
#include "tests/x86/native_machine.h"

/* A memory operand as it is encoded. */
struct native_address {
	uint8_t n_bytes; /* 2, 4 or 8: the size of the address */
	enum x86_segment segment;
	int base;  /* or X86_NO_REGISTER */
	int index; /* or X86_NO_REGISTER */
	uint8_t scale;
	bool rip_relative;
	bool has_sib;
	uint8_t mod;
	uint8_t rm;
	uint8_t sib;
	uint8_t displacement_bytes; /* 0, 1, 2, 4 or 8 */
	int64_t displacement;
};

struct native_case {
	const struct native_form *form;
	unsigned slot;
	uint8_t n_bytes;
	uint8_t bytes[24];     /* X86_INSN_MAX at the most, but more while it is being made */
	uint8_t operand_bytes; /* width of the operation */
	uint8_t memory_bytes;  /* of the memory operand */
	uint8_t reg;           /* ModRM.reg, with REX.R */
	uint8_t rex;           /* 0: none */
	bool has_memory;
	bool lock;
	struct native_address address;
	uint64_t linear;      /* of the memory operand */
	uint64_t push_linear; /* of what is pushed */
	uint8_t preset[16];   /* what the memory operand is set to before */
	struct native_state state;
};

/* Make the case of @slot from @seed. Locked operands that cross a cache line are left out unless
 * @may_split. */
void native_make(struct native_case *test, const struct native_segments *segments, unsigned slot,
	uint64_t seed, bool may_split);

/* Code size of @mode. */
enum x86_code_size native_code_size(enum native_mode mode);

/* Width of the stack pointer: 2, 4 or 8. */
unsigned native_stack_bytes(const struct native_segments *segments);

#define NATIVE_LINE 64u
#define NATIVE_PAGE 4096u

/* Does the memory operand of @test cross a @boundary? */
bool native_crosses(const struct native_case *test, unsigned boundary);

/* Is it accessed atomically, by a LOCK prefix or by itself? */
bool native_is_locked(const struct native_case *test);

#endif
