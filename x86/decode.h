/* SPDX-License-Identifier: MIT */
/*
 * Instruction decoder: how long an instruction is, and, for those that virtualizing memory has to
 * act on, what it does to which operands. Table driven; no libc, no state.
 *
 * It is asked only about instructions that a processor has already accepted (they faulted or were
 * intercepted half way), so it does not look for encodings that are #UD for reasons other than an
 * unknown opcode: a LOCK prefix where none is allowed, a register where only memory is.
 *
 * Source: Intel SDM 2 "Instruction Format", "Opcode Map"; AMD APM 3 "Instruction Encoding", "Opcode
 * and Operand Encodings". Where the makers differ (a near branch with a 66 prefix in 64-bit mode)
 * we follow AMD.
 */
#ifndef X86_DECODE_H
#define X86_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define X86_INSN_MAX 15u

/* Registers by their number in ModRM, SIB and opcodes. */
enum x86_gpr {
	X86_RAX,
	X86_RCX,
	X86_RDX,
	X86_RBX,
	X86_RSP,
	X86_RBP,
	X86_RSI,
	X86_RDI, /* R8 to R15 are the numbers 8 to 15 */
	X86_GPRS = 16,
};

/* Segment registers by their number in ModRM.reg of MOV Sreg; and those that have none. */
enum x86_segment {
	X86_SEG_ES,
	X86_SEG_CS,
	X86_SEG_SS,
	X86_SEG_DS,
	X86_SEG_FS,
	X86_SEG_GS,
	X86_SEG_LDTR,
	X86_SEG_TR,
};

/* Default operand and address size of the code segment. */
enum x86_code_size {
	X86_CODE_16,
	X86_CODE_32,
	X86_CODE_64,
};

/* ADD to CMP stand in the order of their opcodes (SDM 2 "Opcode Map", group 1), BT to BTC (group 8)
 * and ROL to SAR (group 2, without RCL and RCR) too. */
enum x86_op {
	X86_OP_OTHER, /* only the length is known */
	X86_OP_ADD,
	X86_OP_OR,
	X86_OP_ADC,
	X86_OP_SBB,
	X86_OP_AND,
	X86_OP_SUB,
	X86_OP_XOR,
	X86_OP_CMP,
	X86_OP_BT,
	X86_OP_BTS,
	X86_OP_BTR,
	X86_OP_BTC,
	X86_OP_ROL,
	X86_OP_ROR,
	X86_OP_SHL,
	X86_OP_SHR,
	X86_OP_SAR,
	X86_OP_TEST,
	X86_OP_MOV,
	X86_OP_MOVZX,
	X86_OP_MOVSX,
	X86_OP_XCHG,
	X86_OP_XADD,
	X86_OP_CMPXCHG,
	X86_OP_CMPXCHG_PAIR, /* CMPXCHG8B and CMPXCHG16B */
	X86_OP_INC,
	X86_OP_DEC,
	X86_OP_NOT,
	X86_OP_NEG,
	X86_OP_SETCC,
	X86_OP_PUSH, /* to the stack; .rm, .reg or .immediate, by .form, is its source */
	X86_OP_STOS,
	X86_OP_MOVS,
	X86_OP_STORE,  /* writes memory from a vector register and changes nothing else */
	X86_OP_MOV_CR, /* .reg is the control register, .rm the general one */
	X86_OP_CLTS,
	X86_OP_LMSW,
	X86_OP_SMSW,
	X86_OP_INVLPG,
	X86_OP_INVPCID, /* .reg is the type; the memory operand has 16 bytes */
	X86_OP_RDPKRU,
	X86_OP_WRPKRU,
};

/* Which operand is the destination, which the source. The last three are only PUSH's. */
enum x86_form {
	X86_FORM_NONE,    /* no explicit operand, or not described */
	X86_FORM_RM,      /* one operand: rm */
	X86_FORM_RM_REG,  /* rm <- reg */
	X86_FORM_RM_IMM,  /* rm <- imm */
	X86_FORM_RM_CL,   /* rm <- CL */
	X86_FORM_RM_SREG, /* rm <- segment register, its number in .reg */
	X86_FORM_REG_RM,  /* reg <- rm */
	X86_FORM_REG,     /* one operand: reg */
	X86_FORM_IMM,     /* one operand: imm */
	X86_FORM_SREG,    /* one operand: segment register, its number in .reg */
};

/* What X86_OP_STORE stores, .operand_bytes of it. */
enum x86_stored {
	X86_STORED_NOTHING,
	X86_STORED_XMM,      /* the low bytes of XMM or YMM register .reg */
	X86_STORED_XMM_HIGH, /* bytes 8 to 15 of XMM register .reg */
	X86_STORED_MMX,      /* MMX register .reg */
};

#define X86_NO_REGISTER (-1)

struct x86_insn {
	enum x86_op op;
	enum x86_form form;
	enum x86_segment segment; /* of the memory operand, overrides applied */
	uint8_t length;
	uint8_t operand_bytes; /* 1, 2, 4, 8 or 16: of the destination. X86_OP_STORE: 4 to 32 */
	uint8_t source_bytes;  /* of the source: less than operand_bytes in MOVZX and MOVSX */
	uint8_t address_bytes; /* 2, 4 or 8 */
	bool lock;
	bool rep;          /* F2 or F3 */
	uint8_t condition; /* of SETcc: the opcode's lower half */
	uint8_t stored;    /* of X86_OP_STORE: enum x86_stored */
	uint8_t reg; /* ModRM.reg with its REX bit; 0, the accumulator, in MOV to and from [disp] */
	uint8_t rm;  /* ModRM.rm with its REX bit, meaningful if !is_memory */
	bool is_memory; /* a memory operand, described by .segment and what follows; else rm is a
			   register */
	bool rip_relative;
	int8_t base;  /* register number or X86_NO_REGISTER */
	int8_t index; /* register number or X86_NO_REGISTER */
	uint8_t scale;
	bool rex; /* then byte registers 4 to 7 are SPL to DIL, not AH to BH */
	int64_t displacement;
	uint64_t immediate; /* sign-extended to 64 bits, to be cut to operand_bytes */
};

enum x86_decode_status {
	X86_DECODE_OK,
	X86_DECODE_TRUNCATED, /* more than the n_bytes given are needed */
	X86_DECODE_UNKNOWN,   /* an opcode that the tables do not have */
	X86_DECODE_TOO_LONG,  /* more than 15 bytes: #GP in a processor */
};

/* Decode the first instruction of @bytes into @insn, which is undefined unless X86_DECODE_OK is
 * returned. */
enum x86_decode_status x86_decode(
	struct x86_insn *insn, enum x86_code_size size, const uint8_t *bytes, size_t n_bytes);

/* Offset of the memory operand in its segment, for registers @gpr and the instruction at @rip. For
 * BT to BTC with a register bit offset the word that holds the bit. Only if insn->is_memory. */
uint64_t x86_operand_offset(
	const struct x86_insn *insn, const uint64_t gpr[X86_GPRS], uint64_t rip);

/* Offset in SS of what X86_OP_PUSH stores, which is also the new stack pointer. @stack_bytes: width
 * of the stack pointer: 8 in 64-bit code, else 4 or 2, by SS.B. */
uint64_t x86_push_offset(
	const struct x86_insn *insn, const uint64_t gpr[X86_GPRS], unsigned stack_bytes);

/* Does @insn read, or write, its explicit memory operand? Only if insn->is_memory, and not of
 * X86_OP_OTHER, which is not described. */
bool x86_reads_operand(const struct x86_insn *insn);
bool x86_writes_operand(const struct x86_insn *insn);

/* Does @insn, which stores, also read memory elsewhere than where it stores? */
bool x86_reads_elsewhere(const struct x86_insn *insn);

/* Must nobody else's store come between the load and the store of @insn? */
bool x86_is_atomic(const struct x86_insn *insn);

/* General register @number as an operand of @n_bytes, and a write to it (32-bit results are
 * zero-extended). */
uint64_t x86_gpr_read(const struct x86_insn *insn, const uint64_t gpr[X86_GPRS], unsigned number,
	unsigned n_bytes);
void x86_gpr_write(const struct x86_insn *insn, uint64_t gpr[X86_GPRS], unsigned number,
	unsigned n_bytes, uint64_t value);

#endif
