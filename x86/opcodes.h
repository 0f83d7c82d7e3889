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

/* What prefixes say. The first four are bits of a REX, also what VEX carries of it; the sizes of
 * operand and address follow from bits 3 to 5 and the code size. */
#define PREFIX_B       0x01u
#define PREFIX_X       0x02u
#define PREFIX_R       0x04u
#define PREFIX_W       0x08u
#define PREFIX_OPERAND 0x10u /* 66 */
#define PREFIX_ADDRESS 0x20u /* 67 */
#define PREFIX_REX     0x40u
#define PREFIX_LOCK    0x80u
#define PREFIX_F2      0x100u /* of F2 and F3 the last one counts */
#define PREFIX_F3      0x200u
#define PREFIX_SEGMENT 0x400u  /* the segment is in the next three bits */
#define PREFIX_VEX     0x4000u /* it may stand for 66, F2 or F3 */
#define PREFIX_VEX_L   0x8000u

#define PREFIX_ANY_REX (PREFIX_REX | PREFIX_W | PREFIX_R | PREFIX_X | PREFIX_B)
#define PREFIX_LEGACY  (~(PREFIX_ANY_REX | PREFIX_OPERAND | PREFIX_ADDRESS))

#define SIZES_SHIFT   3u
#define SIZES         8u
#define SEGMENT_SHIFT 11u
#define SEGMENT_MASK  7u

/* By bits 3 to 5 of the prefixes: W, 66, 67. */
static const uint8_t operand_sizes[][SIZES] = {
	[X86_CODE_16] = {2, 2, 4, 4, 2, 2, 4, 4},
	[X86_CODE_32] = {4, 4, 2, 2, 4, 4, 2, 2},
	[X86_CODE_64] = {4, 8, 2, 8, 4, 8, 2, 8},
};
static const uint8_t address_sizes[][SIZES] = {
	[X86_CODE_16] = {2, 2, 2, 2, 4, 4, 4, 4},
	[X86_CODE_32] = {4, 4, 4, 4, 2, 2, 2, 2},
	[X86_CODE_64] = {8, 8, 8, 8, 4, 4, 4, 4},
};

/* What follows an opcode. One letter an opcode, sixteen opcodes a line; with a capital letter a
 * ModRM byte, and what comes with it. */
enum shape {
	SHAPE_PREFIX = '#', /* the first two are before all others */
	SHAPE_REX = '$',    /* nothing, outside 64-bit mode */
	SHAPE_UNKNOWN = 'x',
	SHAPE_NOTHING = '.',
	SHAPE_NOT_64 = '-', /* nothing; invalid in 64-bit mode */
	SHAPE_ESCAPE = '/', /* to another map */
	SHAPE_MODRM = 'M',
	SHAPE_MODRM_IMM8 = 'B',
	SHAPE_MODRM_IMMZ = 'Z',  /* two or four bytes, by the operand size */
	SHAPE_GROUP3_BYTE = 'G', /* ModRM, and an immediate if reg is 0 or 1 */
	SHAPE_GROUP3 = 'H',
	SHAPE_MODRM_IMM8_NOT_64 = 'J',
	SHAPE_POP = 'P',   /* POP r/m if reg is 0, else AMD's XOP */
	SHAPE_BOUND = 'E', /* BOUND outside 64-bit mode, if a memory operand follows; else EVEX */
	SHAPE_SSE4A = 'A', /* with 66 or F2 two immediates of a byte follow */
	SHAPE_VEX = 'V',   /* LES or LDS outside 64-bit mode, if a memory operand follows */
	SHAPE_REGISTERS = 'r', /* ModRM whose mod is ignored: always registers */
	SHAPE_IMM8 = 'i',
	SHAPE_IMM8_NOT_64 = 'j',
	SHAPE_IMM16 = 'w',
	SHAPE_IMMZ = 'v',
	SHAPE_IMMV = 'q',  /* of the full operand size */
	SHAPE_MOFFS = 'o', /* an address */
	SHAPE_ENTER = 'e', /* two immediates, three bytes */
	SHAPE_FAR = 'f',   /* pointer of 4 or 6 bytes; invalid in 64-bit mode */
};

#define SHAPE_NO_MODRM 0x20 /* the bit that capital letters lack */

/* clang-format off */
static const char one_byte_shapes[257] =
	/* 00 */ "MMMMiv--MMMMiv-/"
	/* 10 */ "MMMMiv--MMMMiv--"
	/* 20 */ "MMMMiv#-MMMMiv#-"
	/* 30 */ "MMMMiv#-MMMMiv#-"
	/* 40 */ "$$$$$$$$$$$$$$$$"
	/* 50 */ "................"
	/* 60 */ "--EM####vZiB...."
	/* 70 */ "iiiiiiiiiiiiiiii"
	/* 80 */ "BZJBMMMMMMMMMMMP"
	/* 90 */ "..........f....."
	/* a0 */ "oooo....iv......"
	/* b0 */ "iiiiiiiiqqqqqqqq"
	/* c0 */ "BBw.VVBZe.w..i-."
	/* d0 */ "MMMMjj-.MMMMMMMM"
	/* e0 */ "iiiiiiiivvfi...."
	/* f0 */ "#.##..GH......MM";

static const char two_byte_shapes[257] =
	/* 00 */ "MMMMx.....x.xM.B"
	/* 10 */ "MMMMMMMMMMMMMMMM"
	/* 20 */ "rrrrxxxxMMMMMMMM"
	/* 30 */ "......x./x/xxxxx"
	/* 40 */ "MMMMMMMMMMMMMMMM"
	/* 50 */ "MMMMMMMMMMMMMMMM"
	/* 60 */ "MMMMMMMMMMMMMMMM"
	/* 70 */ "BBBBMMM.AMxxMMMM"
	/* 80 */ "vvvvvvvvvvvvvvvv"
	/* 90 */ "MMMMMMMMMMMMMMMM"
	/* a0 */ "...MBMxx...MBMMM"
	/* b0 */ "MMMMMMMMMMBMMMMM"
	/* c0 */ "MMBMBBBM........"
	/* d0 */ "MMMMMMMMMMMMMMMM"
	/* e0 */ "MMMMMMMMMMMMMMMM"
	/* f0 */ "MMMMMMMMMMMMMMMM";
/* clang-format on */

/* Opcodes whose ModRM.reg says what they do. They stand where an operation stands. */
enum group {
	GROUP_1 = 0x80, /* above all of enum x86_op */
	GROUP_2,
	GROUP_3,
	GROUP_4,
	GROUP_5,
	GROUP_7,
	GROUP_8,
	GROUP_9,
	GROUP_11,
};

/* Beside a form: the operation needs a closer look. */
#define LOOK 0x80u

/* What an opcode does, where we need to know. Width 0 means the operand size of the instruction. */
struct meaning {
	uint8_t op; /* or group */
	uint8_t form;
	uint8_t operand_bytes;
};

/* The same of one instruction of a group. Form 0 is that of the opcode. */
struct member {
	uint8_t op;
	uint8_t form;
};

/* clang-format off */
static const struct member groups[][8] = {
	[GROUP_1 - GROUP_1] = {
		{X86_OP_ADD, 0}, {X86_OP_OR, 0}, {X86_OP_ADC, 0}, {X86_OP_SBB, 0},
		{X86_OP_AND, 0}, {X86_OP_SUB, 0}, {X86_OP_XOR, 0}, {X86_OP_CMP, 0},
	},
	[GROUP_2 - GROUP_1] = { /* 6 is SHL again, though no manual says so */
		{X86_OP_ROL, 0}, {X86_OP_ROR, 0}, {0, 0}, {0, 0},
		{X86_OP_SHL, 0}, {X86_OP_SHR, 0}, {X86_OP_SHL, 0}, {X86_OP_SAR, 0},
	},
	[GROUP_3 - GROUP_1] = {
		{X86_OP_TEST, X86_FORM_RM_IMM}, {X86_OP_TEST, X86_FORM_RM_IMM},
		{X86_OP_NOT, 0}, {X86_OP_NEG, 0},
	},
	[GROUP_4 - GROUP_1] = {{X86_OP_INC, 0}, {X86_OP_DEC, 0}},
	[GROUP_5 - GROUP_1] = {
		{X86_OP_INC, 0}, {X86_OP_DEC, 0}, {0, 0}, {0, 0},
		{0, 0}, {0, 0}, {X86_OP_PUSH, X86_FORM_RM | LOOK},
	},
	[GROUP_7 - GROUP_1] = {
		{0, 0}, {0, 0}, {0, 0}, {0, 0},
		{X86_OP_SMSW, 0}, {X86_OP_RDPKRU, 0}, {X86_OP_LMSW, 0}, {X86_OP_INVLPG, 0},
	},
	[GROUP_8 - GROUP_1] = {
		{0, 0}, {0, 0}, {0, 0}, {0, 0},
		{X86_OP_BT, 0}, {X86_OP_BTS, 0}, {X86_OP_BTR, 0}, {X86_OP_BTC, 0},
	},
	[GROUP_9 - GROUP_1] = {{0, 0}, {X86_OP_CMPXCHG_PAIR, 0}},
	[GROUP_11 - GROUP_1] = {{X86_OP_MOV, 0}},
};

#define ALU(opcode, op)                                 \
	[opcode] = {op, X86_FORM_RM_REG, 1},         \
	[(opcode) + 1] = {op, X86_FORM_RM_REG, 0},   \
	[(opcode) + 2] = {op, X86_FORM_REG_RM, 1},   \
	[(opcode) + 3] = {op, X86_FORM_REG_RM, 0}
/* clang-format on */

static const struct meaning one_byte_meanings[256] = {
	ALU(0x00, X86_OP_ADD),
	[0x06] = {X86_OP_PUSH, X86_FORM_SREG | LOOK, 0},
	ALU(0x08, X86_OP_OR),
	[0x0e] = {X86_OP_PUSH, X86_FORM_SREG | LOOK, 0},
	ALU(0x10, X86_OP_ADC),
	[0x16] = {X86_OP_PUSH, X86_FORM_SREG | LOOK, 0},
	ALU(0x18, X86_OP_SBB),
	[0x1e] = {X86_OP_PUSH, X86_FORM_SREG | LOOK, 0},
	ALU(0x20, X86_OP_AND),
	ALU(0x28, X86_OP_SUB),
	ALU(0x30, X86_OP_XOR),
	ALU(0x38, X86_OP_CMP),
	[0x50 ... 0x57] = {X86_OP_PUSH, X86_FORM_REG | LOOK, 0},
	[0x63] = {X86_OP_MOVSX, X86_FORM_REG_RM | LOOK, 0},
	[0x68] = {X86_OP_PUSH, X86_FORM_IMM | LOOK, 0},
	[0x6a] = {X86_OP_PUSH, X86_FORM_IMM | LOOK, 0},
	[0x80] = {GROUP_1, X86_FORM_RM_IMM, 1},
	[0x81] = {GROUP_1, X86_FORM_RM_IMM, 0},
	[0x82] = {GROUP_1, X86_FORM_RM_IMM, 1},
	[0x83] = {GROUP_1, X86_FORM_RM_IMM, 0},
	[0x84] = {X86_OP_TEST, X86_FORM_RM_REG, 1},
	[0x85] = {X86_OP_TEST, X86_FORM_RM_REG, 0},
	[0x86] = {X86_OP_XCHG, X86_FORM_RM_REG, 1},
	[0x87] = {X86_OP_XCHG, X86_FORM_RM_REG, 0},
	[0x88] = {X86_OP_MOV, X86_FORM_RM_REG, 1},
	[0x89] = {X86_OP_MOV, X86_FORM_RM_REG, 0},
	[0x8a] = {X86_OP_MOV, X86_FORM_REG_RM, 1},
	[0x8b] = {X86_OP_MOV, X86_FORM_REG_RM, 0},
	[0x8c] = {X86_OP_MOV, X86_FORM_RM_SREG | LOOK, 0},
	/* Of the accumulator: register 0, as .reg is without a ModRM. */
	[0xa0] = {X86_OP_MOV, X86_FORM_REG_RM, 1},
	[0xa1] = {X86_OP_MOV, X86_FORM_REG_RM, 0},
	[0xa2] = {X86_OP_MOV, X86_FORM_RM_REG, 1},
	[0xa3] = {X86_OP_MOV, X86_FORM_RM_REG, 0},
	[0xa4] = {X86_OP_MOVS, X86_FORM_NONE, 1},
	[0xa5] = {X86_OP_MOVS, X86_FORM_NONE, 0},
	[0xaa] = {X86_OP_STOS, X86_FORM_NONE, 1},
	[0xab] = {X86_OP_STOS, X86_FORM_NONE, 0},
	[0xc0] = {GROUP_2, X86_FORM_RM_IMM, 1},
	[0xc1] = {GROUP_2, X86_FORM_RM_IMM, 0},
	[0xc6] = {GROUP_11, X86_FORM_RM_IMM, 1},
	[0xc7] = {GROUP_11, X86_FORM_RM_IMM, 0},
	/* By one: an immediate that is not in the instruction. */
	[0xd0] = {GROUP_2, X86_FORM_RM_IMM | LOOK, 1},
	[0xd1] = {GROUP_2, X86_FORM_RM_IMM | LOOK, 0},
	[0xd2] = {GROUP_2, X86_FORM_RM_CL, 1},
	[0xd3] = {GROUP_2, X86_FORM_RM_CL, 0},
	[0xf6] = {GROUP_3, X86_FORM_RM, 1},
	[0xf7] = {GROUP_3, X86_FORM_RM, 0},
	[0xfe] = {GROUP_4, X86_FORM_RM, 1},
	[0xff] = {GROUP_5, X86_FORM_RM, 0},
};

static const struct meaning two_byte_meanings[256] = {
	[0x01] = {GROUP_7, X86_FORM_RM | LOOK, 0},
	[0x06] = {X86_OP_CLTS, X86_FORM_NONE, 0},
	[0x11] = {X86_OP_STORE, X86_FORM_RM_REG | LOOK, 0},
	[0x13] = {X86_OP_STORE, X86_FORM_RM_REG | LOOK, 0},
	[0x17] = {X86_OP_STORE, X86_FORM_RM_REG | LOOK, 0},
	[0x20] = {X86_OP_MOV_CR, X86_FORM_RM_REG | LOOK, 0},
	[0x22] = {X86_OP_MOV_CR, X86_FORM_REG_RM | LOOK, 0},
	[0x29] = {X86_OP_STORE, X86_FORM_RM_REG | LOOK, 0},
	[0x2b] = {X86_OP_STORE, X86_FORM_RM_REG | LOOK, 0},
	[0x7e] = {X86_OP_STORE, X86_FORM_RM_REG | LOOK, 0},
	[0x7f] = {X86_OP_STORE, X86_FORM_RM_REG | LOOK, 0},
	[0x90 ... 0x9f] = {X86_OP_SETCC, X86_FORM_RM | LOOK, 1},
	[0xa0] = {X86_OP_PUSH, X86_FORM_SREG | LOOK, 0},
	[0xa3] = {X86_OP_BT, X86_FORM_RM_REG, 0},
	[0xa8] = {X86_OP_PUSH, X86_FORM_SREG | LOOK, 0},
	[0xab] = {X86_OP_BTS, X86_FORM_RM_REG, 0},
	[0xb0] = {X86_OP_CMPXCHG, X86_FORM_RM_REG, 1},
	[0xb1] = {X86_OP_CMPXCHG, X86_FORM_RM_REG, 0},
	[0xb3] = {X86_OP_BTR, X86_FORM_RM_REG, 0},
	[0xb6] = {X86_OP_MOVZX, X86_FORM_REG_RM | LOOK, 0},
	[0xb7] = {X86_OP_MOVZX, X86_FORM_REG_RM | LOOK, 0},
	[0xba] = {GROUP_8, X86_FORM_RM_IMM, 0},
	[0xbb] = {X86_OP_BTC, X86_FORM_RM_REG, 0},
	[0xbe] = {X86_OP_MOVSX, X86_FORM_REG_RM | LOOK, 0},
	[0xbf] = {X86_OP_MOVSX, X86_FORM_REG_RM | LOOK, 0},
	[0xc0] = {X86_OP_XADD, X86_FORM_RM_REG, 1},
	[0xc1] = {X86_OP_XADD, X86_FORM_RM_REG, 0},
	[0xc3] = {X86_OP_MOV, X86_FORM_RM_REG | LOOK, 0}, /* MOVNTI */
	[0xc7] = {GROUP_9, X86_FORM_RM | LOOK, 0},
	[0xd6] = {X86_OP_STORE, X86_FORM_RM_REG | LOOK, 0},
	[0xe7] = {X86_OP_STORE, X86_FORM_RM_REG | LOOK, 0},
};

/* Stores of vector registers: how much, by the prefix; 0: there is none. */
struct vector_store {
	uint8_t opcode;
	bool mmx; /* without a prefix it stores an MMX register, else an XMM one */
	uint8_t plain_bytes;
	uint8_t operand_bytes; /* with 66; of YMM with VEX.L twice as much as 16 */
	uint8_t f3_bytes;
	uint8_t f2_bytes;
};

static const struct vector_store vector_stores[] = {
	{0x11, false, 16, 16, 4, 8}, /* MOVUPS, MOVUPD, MOVSS, MOVSD */
	{0x13, false, 8, 8, 0, 0},   /* MOVLPS, MOVLPD */
	{0x17, false, 8, 8, 0, 0},   /* MOVHPS, MOVHPD */
	{0x29, false, 16, 16, 0, 0}, /* MOVAPS, MOVAPD */
	{0x2b, false, 16, 16, 4, 8}, /* MOVNTPS, MOVNTPD; AMD: MOVNTSS, MOVNTSD */
	{0x7e, true, 4, 4, 0, 0},    /* MOVD, MOVQ with W; F3: a load */
	{0x7f, true, 8, 16, 16, 0},  /* MOVQ, MOVDQA, MOVDQU */
	{0xd6, false, 0, 8, 0, 0},   /* MOVQ */
	{0xe7, true, 8, 16, 0, 0},   /* MOVNTQ, MOVNTDQ */
};

/* Of the maps 0F 38 and 0F 3A only 0F 38 82 has one. */
static const struct meaning invpcid_meaning = {X86_OP_INVPCID, X86_FORM_REG_RM | LOOK, 0};
static const struct meaning no_meaning;

#undef ALU
#endif
