/* SPDX-License-Identifier: MIT */
/*
 * What Zydis says of an instruction, in the terms of x86/decode.h. It must not know how x86/ comes
 * to its own opinion.
 */
#ifndef TESTS_X86_ZYDIS_VIEW_H
#define TESTS_X86_ZYDIS_VIEW_H

#include <Zydis/Zydis.h>

#include "tests/x86/encoding.h"

struct zydis_view {
	ZydisDecodedInstruction insn;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
};

enum zydis_verdict {
	ZYDIS_ACCEPTS,
	ZYDIS_REJECTS,
	ZYDIS_TOO_LONG,
};

/* Decode @encoding, as a processor of AMD does where Zydis can tell the makers apart. */
enum zydis_verdict zydis_look(struct zydis_view *view, const struct encoding *encoding);

/* The operation of x86/decode.h that this instruction is, X86_OP_OTHER if none of them. */
enum x86_op zydis_op(const struct zydis_view *view);

/* Condition code (0 to 15) of a SETcc. */
unsigned zydis_condition(const struct zydis_view *view);

/* Must x86/ describe the instruction? Those that zydis_op() names and that act on memory, or are
 * intercepted; and mere stores. */
bool zydis_must_describe(const struct zydis_view *view);

/* The explicit memory operand, NULL if there is none. */
const ZydisDecodedOperand *zydis_memory(const struct zydis_view *view);

/* The memory operand, explicit or not, that is written, NULL if there is none. */
const ZydisDecodedOperand *zydis_written(const struct zydis_view *view);

/* True if the instruction does nothing but store a vector or MMX register, or part of it, to its
 * explicit memory operand: what X86_OP_STORE stands for. */
bool zydis_is_store(const struct zydis_view *view);

/* Is it the upper half of an XMM register that a mere store stores? */
bool zydis_stores_high_half(const struct zydis_view *view);

#endif
