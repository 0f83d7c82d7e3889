/* SPDX-License-Identifier: MIT */
/*
 * The opcode maps: how each opcode goes on (shape), and what it does where we need to know
 * (meaning). Pure data, for decode.c alone.
 *
 * Source: Intel SDM 2 "Opcode Map"; AMD APM 3 "Opcode and Operand Encodings".
 */
#ifndef X86_OPCODES_H
#define X86_OPCODES_H

#include "x86/decode.h"

/* What follows an opcode. One letter an opcode, sixteen opcodes a line. */
enum shape {
	SHAPE_UNKNOWN = 'x',
	SHAPE_NOTHING = '.',
	SHAPE_NOT_64 = '!', /* nothing; invalid in 64-bit mode */
	SHAPE_MODRM = 'm',
	SHAPE_MODRM_IMM8 = 'b',
	SHAPE_MODRM_IMMZ = 'z',  /* two or four bytes, by the operand size */
	SHAPE_MODRM_CR = 'c',    /* ModRM.mod is ignored: always registers */
	SHAPE_GROUP3_BYTE = 'g', /* ModRM, and an immediate if reg is 0 or 1 */
	SHAPE_GROUP3 = 'G',
	SHAPE_POP = 'P', /* POP r/m if reg is 0, else AMD's XOP */
	SHAPE_IMM8 = 'i',
	SHAPE_IMM8_NOT_64 = 'I',
	SHAPE_IMM16 = 'w',
	SHAPE_IMMZ = 'v',
	SHAPE_IMMV = 'q',   /* of the full operand size */
	SHAPE_MOFFS = 'o',  /* an address */
	SHAPE_ENTER = 'e',  /* two immediates, three bytes */
	SHAPE_FAR = 'f',    /* pointer of 4 or 6 bytes; invalid in 64-bit mode */
	SHAPE_PREFIX = 'p', /* taken before the table is asked */
};

/* clang-format off: a table */
static const char one_byte_shapes[257] =
	/* 00 */ "mmmmiv!!mmmmiv!p"
	/* 10 */ "mmmmiv!!mmmmiv!!"
	/* 20 */ "mmmmivp!mmmmivp!"
	/* 30 */ "mmmmivp!mmmmivp!"
	/* 40 */ "!!!!!!!!!!!!!!!!"
	/* 50 */ "................"
	/* 60 */ "!!xmppppvzib...."
	/* 70 */ "iiiiiiiiiiiiiiii"
	/* 80 */ "bzxbmmmmmmmmmmmP"
	/* 90 */ "..........f....."
	/* a0 */ "oooo....iv......"
	/* b0 */ "iiiiiiiiqqqqqqqq"
	/* c0 */ "bbw.mmbze.w..i!."
	/* d0 */ "mmmmIIx.mmmmmmmm"
	/* e0 */ "iiiiiiiivvfi...."
	/* f0 */ "p.pp..gG......mm";

static const char two_byte_shapes[257] =
	/* 00 */ "mmmmx.....x.xm.b"
	/* 10 */ "mmmmmmmmmmmmmmmm"
	/* 20 */ "ccccxxxxmmmmmmmm"
	/* 30 */ "......x.pxpxxxxx"
	/* 40 */ "mmmmmmmmmmmmmmmm"
	/* 50 */ "mmmmmmmmmmmmmmmm"
	/* 60 */ "mmmmmmmmmmmmmmmm"
	/* 70 */ "bbbbmmm.xxxxmmmm"
	/* 80 */ "vvvvvvvvvvvvvvvv"
	/* 90 */ "mmmmmmmmmmmmmmmm"
	/* a0 */ "...mbmxx...mbmmm"
	/* b0 */ "mmmmmmmmmmbmmmmm"
	/* c0 */ "mmbmbbbm........"
	/* d0 */ "mmmmmmmmmmmmmmmm"
	/* e0 */ "mmmmmmmmmmmmmmmm"
	/* f0 */ "mmmmmmmmmmmmmmmm";
/* clang-format on */

/* What an opcode does, where we need to know. Width 0 means the operand size of the instruction. */
struct meaning {
	uint8_t op;
	uint8_t form;
	uint8_t operand_bytes;
	uint8_t source_bytes; /* 0: as operand_bytes */
};

static const struct meaning one_byte_meanings[256] = {
	[0x63] = {X86_OP_MOVSX, X86_FORM_REG_RM, 0, 4},
	[0x84] = {X86_OP_TEST, X86_FORM_RM_REG, 1, 0},
	[0x85] = {X86_OP_TEST, X86_FORM_RM_REG, 0, 0},
	[0x86] = {X86_OP_XCHG, X86_FORM_RM_REG, 1, 0},
	[0x87] = {X86_OP_XCHG, X86_FORM_RM_REG, 0, 0},
	[0x88] = {X86_OP_MOV, X86_FORM_RM_REG, 1, 0},
	[0x89] = {X86_OP_MOV, X86_FORM_RM_REG, 0, 0},
	[0x8a] = {X86_OP_MOV, X86_FORM_REG_RM, 1, 0},
	[0x8b] = {X86_OP_MOV, X86_FORM_REG_RM, 0, 0},
	[0xa0] = {X86_OP_MOV, X86_FORM_ACC_MEM, 1, 0},
	[0xa1] = {X86_OP_MOV, X86_FORM_ACC_MEM, 0, 0},
	[0xa2] = {X86_OP_MOV, X86_FORM_MEM_ACC, 1, 0},
	[0xa3] = {X86_OP_MOV, X86_FORM_MEM_ACC, 0, 0},
	[0xa4] = {X86_OP_MOVS, X86_FORM_NONE, 1, 0},
	[0xa5] = {X86_OP_MOVS, X86_FORM_NONE, 0, 0},
	[0xaa] = {X86_OP_STOS, X86_FORM_NONE, 1, 0},
	[0xab] = {X86_OP_STOS, X86_FORM_NONE, 0, 0},
};

static const struct meaning two_byte_meanings[256] = {
	[0x06] = {X86_OP_CLTS, X86_FORM_NONE, 0, 0},
	[0x11] = {X86_OP_STORE, X86_FORM_RM_REG, 0, 0},
	[0x13] = {X86_OP_STORE, X86_FORM_RM_REG, 0, 0},
	[0x17] = {X86_OP_STORE, X86_FORM_RM_REG, 0, 0},
	[0x20] = {X86_OP_MOV_CR, X86_FORM_RM_REG, 0, 0},
	[0x22] = {X86_OP_MOV_CR, X86_FORM_REG_RM, 0, 0},
	[0x29] = {X86_OP_STORE, X86_FORM_RM_REG, 0, 0},
	[0x2b] = {X86_OP_STORE, X86_FORM_RM_REG, 0, 0},
	[0x7e] = {X86_OP_STORE, X86_FORM_RM_REG, 0, 0},
	[0x7f] = {X86_OP_STORE, X86_FORM_RM_REG, 0, 0},
	[0xa3] = {X86_OP_BT, X86_FORM_RM_REG, 0, 0},
	[0xab] = {X86_OP_BTS, X86_FORM_RM_REG, 0, 0},
	[0xb0] = {X86_OP_CMPXCHG, X86_FORM_RM_REG, 1, 0},
	[0xb1] = {X86_OP_CMPXCHG, X86_FORM_RM_REG, 0, 0},
	[0xb3] = {X86_OP_BTR, X86_FORM_RM_REG, 0, 0},
	[0xb6] = {X86_OP_MOVZX, X86_FORM_REG_RM, 0, 1},
	[0xb7] = {X86_OP_MOVZX, X86_FORM_REG_RM, 0, 2},
	[0xbb] = {X86_OP_BTC, X86_FORM_RM_REG, 0, 0},
	[0xbe] = {X86_OP_MOVSX, X86_FORM_REG_RM, 0, 1},
	[0xbf] = {X86_OP_MOVSX, X86_FORM_REG_RM, 0, 2},
	[0xc0] = {X86_OP_XADD, X86_FORM_RM_REG, 1, 0},
	[0xc1] = {X86_OP_XADD, X86_FORM_RM_REG, 0, 0},
	[0xc3] = {X86_OP_MOV, X86_FORM_RM_REG, 0, 0}, /* MOVNTI */
	[0xd6] = {X86_OP_STORE, X86_FORM_RM_REG, 0, 0},
	[0xe7] = {X86_OP_STORE, X86_FORM_RM_REG, 0, 0},
};

#endif
