/* SPDX-License-Identifier: MIT */
/*
 * The encodings of the instructions that are run natively, and what the manuals say of each. It
 * must not know x86/decode.c.
 */
#ifndef TESTS_X86_NATIVE_FORMS_H
#define TESTS_X86_NATIVE_FORMS_H

#include <stddef.h>

#include "x86/decode.h"

/* What a row's instruction takes and does. */
#define FORM_BYTE     0x0001u /* the operand has one byte, else 2, 4 or 8 by prefixes */
#define FORM_0F       0x0002u /* second opcode map */
#define FORM_GROUP    0x0004u /* ModRM.reg is part of the opcode: .extension */
#define FORM_IMM8     0x0008u
#define FORM_IMM      0x0010u /* as wide as the operand, but 4 bytes at most */
#define FORM_LOCK     0x0020u /* may have a LOCK prefix */
#define FORM_WRITES   0x0040u /* writes its memory operand */
#define FORM_NO_READ  0x0080u /* does not read it */
#define FORM_BIT_REG  0x0100u /* a register holds a bit offset, which moves the operand */
#define FORM_PUSH     0x0200u
#define FORM_MOFFS    0x0400u /* the address follows the opcode */
#define FORM_NO_MODRM 0x0800u
#define FORM_NOT_64   0x1000u /* not in 64-bit code */
#define FORM_ONLY_64  0x2000u
#define FORM_PAIR     0x4000u  /* twice as wide as operand size says, aligned if 16 bytes */
#define FORM_32_UP    0x8000u  /* no 16-bit operand: 4 bytes, or 8 with REX.W */
#define FORM_SREG     0x10000u /* stores a segment register */
#define FORM_ATOMIC   0x20000u /* locked without a prefix: XCHG */
#define FORM_REGISTER 0x40000u /* ModRM names a register, no memory */

struct native_form {
	const char *name;
	enum x86_op op;
	uint32_t flags;
	uint8_t opcode;
	uint8_t last_opcode;  /* of a row for several opcodes; 0: only one */
	uint8_t extension;    /* with FORM_GROUP */
	uint8_t memory_bytes; /* width of the memory operand if not that of the operation; else 0 */
};

#define NATIVE_MAX_FORMS 256

extern const struct native_form native_forms[];
extern const size_t native_n_forms;

#endif
