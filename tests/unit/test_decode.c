/* SPDX-License-Identifier: MIT */
/*
 * The decoder against encodings worked out by hand from the manual (SDM 2 "Instruction Format").
 */
#include <string.h>

#include "tests/unit/x86_bytes.h"

/* ---- lengths: every shape, in every mode where it differs ---- */

static void lengths_follow_prefixes_modrm_and_immediates(void **state)
{
	static const struct {
		enum x86_code_size size;
		struct bytes bytes;
		const char *text;
	} rows[] = {
		{X86_CODE_64, BYTES(0x90), "nop"},
		{X86_CODE_64, BYTES(0xf3, 0x0f, 0x1e, 0xfa), "endbr64"},
		{X86_CODE_64, BYTES(0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0),
			"nopw cs:[rax+rax]"},
		{X86_CODE_64, BYTES(0x05, 1, 2, 3, 4), "add eax, imm32"},
		{X86_CODE_64, BYTES(0x66, 0x05, 1, 2), "add ax, imm16"},
		{X86_CODE_64, BYTES(0x48, 0x05, 1, 2, 3, 4), "add rax, imm32"},
		{X86_CODE_64, BYTES(0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8), "mov rax, imm64"},
		{X86_CODE_64, BYTES(0xb8, 1, 2, 3, 4), "mov eax, imm32"},
		{X86_CODE_64, BYTES(0x48, 0xa1, 1, 2, 3, 4, 5, 6, 7, 8), "mov rax, [moffs64]"},
		{X86_CODE_64, BYTES(0x67, 0xa1, 1, 2, 3, 4), "mov eax, [moffs32]"},
		{X86_CODE_32, BYTES(0xa1, 1, 2, 3, 4), "mov eax, [moffs32]"},
		{X86_CODE_16, BYTES(0xa1, 1, 2), "mov ax, [moffs16]"},
		{X86_CODE_64, BYTES(0xc8, 1, 2, 3), "enter"},
		{X86_CODE_64, BYTES(0xc2, 1, 2), "ret imm16"},
		{X86_CODE_64, BYTES(0xf6, 0x00, 1), "test byte [rax], imm8"},
		{X86_CODE_64, BYTES(0xf6, 0x18), "neg byte [rax]"},
		{X86_CODE_64, BYTES(0xf7, 0x00, 1, 2, 3, 4), "test dword [rax], imm32"},
		{X86_CODE_64, BYTES(0x66, 0xf7, 0x00, 1, 2), "test word [rax], imm16"},
		{X86_CODE_64, BYTES(0xf7, 0x10), "not dword [rax]"},
		{X86_CODE_64, BYTES(0x69, 0x45, 1, 1, 2, 3, 4), "imul eax, [rbp+1], imm32"},
		{X86_CODE_32, BYTES(0x9a, 1, 2, 3, 4, 5, 6), "call far"},
		{X86_CODE_16, BYTES(0xea, 1, 2, 3, 4), "jmp far"},
		{X86_CODE_32, BYTES(0x40), "inc eax"},
		{X86_CODE_32, BYTES(0xc4, 0x00), "les eax, [eax]"},
		{X86_CODE_64, BYTES(0x0f, 0x84, 1, 2, 3, 4), "jz rel32"},
		{X86_CODE_16, BYTES(0x0f, 0x84, 1, 2), "jz rel16"},
		{X86_CODE_64, BYTES(0x0f, 0x20, 0x00),
			"mov rax, cr0 with mod 0: no memory operand"},
		{X86_CODE_64, BYTES(0x66, 0x0f, 0x38, 0x00, 0x05, 1, 2, 3, 4),
			"pshufb xmm0, [rip]"},
		{X86_CODE_64, BYTES(0x66, 0x0f, 0x3a, 0x0f, 0xc1, 8), "palignr xmm0, xmm1, 8"},
		{X86_CODE_64, BYTES(0xc5, 0xfe, 0x7f, 0x07), "vmovdqu [rdi], ymm0"},
		{X86_CODE_64, BYTES(0xc4, 0xe3, 0x7d, 0x39, 0xc1, 1), "vextracti128 xmm1, ymm0, 1"},
		{X86_CODE_64, BYTES(0xc5, 0xf8, 0x77), "vzeroupper"},
		{X86_CODE_64, BYTES(0x8b, 0x04, 0x25, 1, 2, 3, 4), "mov eax, [abs32]"},
		{X86_CODE_64, BYTES(0x8b, 0x84, 0x24, 1, 2, 3, 4), "mov eax, [rsp+disp32]"},
		{X86_CODE_64, BYTES(0x8b, 0x44, 0x24, 1), "mov eax, [rsp+disp8]"},
		{X86_CODE_16, BYTES(0x8b, 0x06, 1, 2), "mov ax, [disp16]"},
		{X86_CODE_16, BYTES(0x67, 0x8b, 0x04, 0x24), "mov ax, [esp]"},
		{X86_CODE_32, BYTES(0x82, 0x07, 1), "add byte [edi], imm8 once more"},
		{X86_CODE_32, BYTES(0x62, 0x07), "bound eax, [edi]"},
		{X86_CODE_32, BYTES(0xd6), "salc"},
		{X86_CODE_64, BYTES(0x0f, 0x78, 0x07), "vmread [rdi], rax"},
		{X86_CODE_64, BYTES(0x66, 0x0f, 0x78, 0xc0, 1, 2), "extrq xmm0, 1, 2"},
		{X86_CODE_64, BYTES(0xf2, 0x0f, 0x78, 0xc1, 1, 2), "insertq xmm0, xmm1, 1, 2"},
		{X86_CODE_64, BYTES(0x66, 0x48, 0x68, 1, 2, 3, 4), "push imm32 with 66 and W"},
		{X86_CODE_64, BYTES(0x66, 0x68, 1, 2), "push imm16"},
		{X86_CODE_16, BYTES(0x68, 1, 2), "push imm16"},
		{X86_CODE_64, BYTES(0xd3, 0x27), "shl dword [rdi], cl"},
		{X86_CODE_64, BYTES(0x8f, 0x07), "pop [rdi]"},
		{X86_CODE_64, BYTES(0xc1, 0x27, 5), "shl dword [rdi], 5"},
		{X86_CODE_16, BYTES(0x89, 0x46, 0xfe), "mov [bp-2], ax"},
		{X86_CODE_16, BYTES(0x89, 0x86, 1, 2), "mov [bp+disp16], ax"},
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct x86_insn insn;

		if (x86_decode(&insn, rows[i].size, rows[i].bytes.at, rows[i].bytes.n) !=
				X86_DECODE_OK ||
			insn.length != rows[i].bytes.n)
			fail_msg("%s: length %u", rows[i].text, insn.length);
	}
}

static void every_cut_of_an_instruction_is_truncated(void **state)
{
	static const struct bytes whole[] = {
		BYTES(0xf0, 0x48, 0x81, 0x8c, 0xc8, 1, 2, 3, 4, 5, 6, 7, 8),
		BYTES(0x48, 0xa3, 1, 2, 3, 4, 5, 6, 7, 8),
		BYTES(0xc4, 0xe1, 0x7d, 0x7f, 0x84, 0x24, 1, 2, 3, 4),
		BYTES(0x0f, 0x22, 0xd8),
		BYTES(0x66, 0x0f, 0x78, 0xc0, 1, 2),
		BYTES(0xc8, 1, 2, 3),
		BYTES(0xf0, 0x48, 0x0f, 0xc7, 0x4c, 0x24, 8),
	};
	struct x86_insn insn;

	(void)state;
	for (size_t i = 0; i < N(whole); i++) {
		for (size_t n = 0; n < whole[i].n; n++)
			assert_int_equal(x86_decode(&insn, X86_CODE_64, whole[i].at, n),
				X86_DECODE_TRUNCATED);
		decode(X86_CODE_64, &whole[i]);
	}
}

static void more_than_15_bytes_are_too_long(void **state)
{
	uint8_t bytes[32];
	struct x86_insn insn;

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = 0x66;
	assert_int_equal(x86_decode(&insn, X86_CODE_64, bytes, sizeof(bytes)), X86_DECODE_TOO_LONG);
	bytes[14] = 0x90;
	assert_int_equal(x86_decode(&insn, X86_CODE_64, bytes, sizeof(bytes)), X86_DECODE_OK);
	assert_int_equal(insn.length, 15);
}

static void what_is_not_in_the_tables_is_unknown(void **state)
{
	static const uint8_t opcodes[] = {
		0x06, 0x0e, 0x27, 0x37, 0x60, 0x62, 0x82, 0x9a, 0xce, 0xd4, 0xd6, 0xea};
	static const uint8_t xop[] = {0x8f, 0xe8, 0x78, 0xa2, 0xc1, 0};
	static const uint8_t evex[] = {0x62, 0xf1, 0x7c, 0x48, 0x11, 0x07};
	struct x86_insn insn;

	(void)state;
	for (size_t i = 0; i < N(opcodes); i++) {
		uint8_t bytes[8] = {opcodes[i]};

		assert_int_equal(
			x86_decode(&insn, X86_CODE_64, bytes, sizeof(bytes)), X86_DECODE_UNKNOWN);
	}
	/* XOP, where POP has no register; EVEX, where BOUND has no memory operand. */
	assert_int_equal(x86_decode(&insn, X86_CODE_64, xop, sizeof(xop)), X86_DECODE_UNKNOWN);
	assert_int_equal(x86_decode(&insn, X86_CODE_32, evex, sizeof(evex)), X86_DECODE_UNKNOWN);
}

/* Nothing that can be given to the decoder makes it read outside its bytes, whose end is that of an
 * array: the sanitizers watch. */
static void any_bytes_end_in_a_status(void **state)
{
	uint64_t seed = 1;

	(void)state;
	for (unsigned i = 0; i < 200000; i++) {
		enum x86_code_size size = (enum x86_code_size)(i % 3);
		struct x86_insn insn;
		uint8_t bytes[16];
		uint8_t cut[16];

		for (size_t k = 0; k < sizeof(bytes); k++) {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			bytes[k] = (uint8_t)(seed >> 56);
		}
		if (x86_decode(&insn, size, bytes, sizeof(bytes)) == X86_DECODE_OK) {
			size_t n = insn.length - 1u;

			assert_in_range(insn.length, 1, X86_INSN_MAX);
			memcpy(cut + sizeof(cut) - n, bytes, n);
			assert_int_equal(x86_decode(&insn, size, cut + sizeof(cut) - n, n),
				X86_DECODE_TRUNCATED);
		}
	}
}

/* ---- what instructions mean ---- */

static void stores_are_described(void **state)
{
	static const struct {
		enum x86_code_size size;
		struct bytes bytes;
		enum x86_op op;
		enum x86_form form;
		unsigned operand_bytes;
	} rows[] = {
		{X86_CODE_64, BYTES(0x88, 0x07), X86_OP_MOV, X86_FORM_RM_REG, 1},
		{X86_CODE_64, BYTES(0x48, 0x89, 0x07), X86_OP_MOV, X86_FORM_RM_REG, 8},
		{X86_CODE_64, BYTES(0x66, 0x89, 0x07), X86_OP_MOV, X86_FORM_RM_REG, 2},
		{X86_CODE_32, BYTES(0x89, 0x07), X86_OP_MOV, X86_FORM_RM_REG, 4},
		{X86_CODE_64, BYTES(0xc6, 0x07, 5), X86_OP_MOV, X86_FORM_RM_IMM, 1},
		{X86_CODE_64, BYTES(0x48, 0xc7, 0x07, 0, 0, 0, 0x80), X86_OP_MOV, X86_FORM_RM_IMM,
			8},
		{X86_CODE_32, BYTES(0xa3, 0, 0, 0, 0), X86_OP_MOV, X86_FORM_RM_REG, 4},
		{X86_CODE_64, BYTES(0x48, 0x87, 0x07), X86_OP_XCHG, X86_FORM_RM_REG, 8},
		{X86_CODE_64, BYTES(0xf0, 0x48, 0x0f, 0xb1, 0x17), X86_OP_CMPXCHG, X86_FORM_RM_REG,
			8},
		{X86_CODE_64, BYTES(0xf0, 0x80, 0x27, 0xfd), X86_OP_AND, X86_FORM_RM_IMM, 1},
		{X86_CODE_64, BYTES(0x48, 0x83, 0x0f, 0x20), X86_OP_OR, X86_FORM_RM_IMM, 8},
		{X86_CODE_64, BYTES(0x48, 0x31, 0x07), X86_OP_XOR, X86_FORM_RM_REG, 8},
		{X86_CODE_64, BYTES(0x48, 0x3b, 0x07), X86_OP_CMP, X86_FORM_REG_RM, 8},
		{X86_CODE_64, BYTES(0xf0, 0x48, 0x0f, 0xba, 0x37, 5), X86_OP_BTR, X86_FORM_RM_IMM,
			8},
		{X86_CODE_64, BYTES(0x48, 0x0f, 0xab, 0x07), X86_OP_BTS, X86_FORM_RM_REG, 8},
		{X86_CODE_64, BYTES(0x48, 0x0f, 0xc1, 0x07), X86_OP_XADD, X86_FORM_RM_REG, 8},
		{X86_CODE_64, BYTES(0xff, 0x07), X86_OP_INC, X86_FORM_RM, 4},
		{X86_CODE_64, BYTES(0xff, 0x37), X86_OP_PUSH, X86_FORM_RM, 8},
		{X86_CODE_64, BYTES(0x66, 0xff, 0x37), X86_OP_PUSH, X86_FORM_RM, 2},
		{X86_CODE_32, BYTES(0xff, 0x37), X86_OP_PUSH, X86_FORM_RM, 4},
		{X86_CODE_16, BYTES(0xff, 0x37), X86_OP_PUSH, X86_FORM_RM, 2},
		{X86_CODE_64, BYTES(0x50), X86_OP_PUSH, X86_FORM_REG, 8},
		{X86_CODE_64, BYTES(0x66, 0x48, 0x50), X86_OP_PUSH, X86_FORM_REG, 8},
		{X86_CODE_64, BYTES(0x66, 0x50), X86_OP_PUSH, X86_FORM_REG, 2},
		{X86_CODE_16, BYTES(0x66, 0x50), X86_OP_PUSH, X86_FORM_REG, 4},
		{X86_CODE_64, BYTES(0x6a, 0xff), X86_OP_PUSH, X86_FORM_IMM, 8},
		{X86_CODE_32, BYTES(0x68, 1, 2, 3, 4), X86_OP_PUSH, X86_FORM_IMM, 4},
		{X86_CODE_32, BYTES(0x1e), X86_OP_PUSH, X86_FORM_SREG, 4},
		{X86_CODE_64, BYTES(0x0f, 0xa0), X86_OP_PUSH, X86_FORM_SREG, 8},
		{X86_CODE_64, BYTES(0xff, 0x17), X86_OP_OTHER, X86_FORM_NONE, 4}, /* call [rdi] */
		{X86_CODE_64, BYTES(0x0f, 0x94, 0x07), X86_OP_SETCC, X86_FORM_RM, 1},
		{X86_CODE_32, BYTES(0xf0, 0x0f, 0xc7, 0x0f), X86_OP_CMPXCHG_PAIR, X86_FORM_RM, 8},
		{X86_CODE_64, BYTES(0x66, 0x0f, 0xc7, 0x0f), X86_OP_CMPXCHG_PAIR, X86_FORM_RM, 8},
		{X86_CODE_64, BYTES(0xf0, 0x48, 0x0f, 0xc7, 0x0f), X86_OP_CMPXCHG_PAIR, X86_FORM_RM,
			16},
		/* rdrand eax; xsaves [rdi] */
		{X86_CODE_64, BYTES(0x0f, 0xc7, 0xf0), X86_OP_OTHER, X86_FORM_NONE, 4},
		{X86_CODE_64, BYTES(0x0f, 0xc7, 0x2f), X86_OP_OTHER, X86_FORM_NONE, 4},
		{X86_CODE_64, BYTES(0xd1, 0x27), X86_OP_SHL, X86_FORM_RM_IMM, 4},
		{X86_CODE_64, BYTES(0xd2, 0x2f), X86_OP_SHR, X86_FORM_RM_CL, 1},
		{X86_CODE_64, BYTES(0x48, 0xc1, 0x3f, 5), X86_OP_SAR, X86_FORM_RM_IMM, 8},
		{X86_CODE_64, BYTES(0x66, 0xd3, 0x07), X86_OP_ROL, X86_FORM_RM_CL, 2},
		{X86_CODE_64, BYTES(0xc0, 0x0f, 1), X86_OP_ROR, X86_FORM_RM_IMM, 1},
		{X86_CODE_64, BYTES(0xc0, 0x17, 1), X86_OP_OTHER, X86_FORM_NONE, 1}, /* rcl */
		{X86_CODE_64, BYTES(0x8c, 0x1f), X86_OP_MOV, X86_FORM_RM_SREG, 2},
		{X86_CODE_64, BYTES(0x8c, 0xd8), X86_OP_MOV, X86_FORM_RM_SREG, 4},
		{X86_CODE_64, BYTES(0x8e, 0x1f), X86_OP_OTHER, X86_FORM_NONE, 4},
		{X86_CODE_32, BYTES(0xa0, 0, 0, 0, 0), X86_OP_MOV, X86_FORM_REG_RM, 1},
		{X86_CODE_32, BYTES(0xa1, 0, 0, 0, 0), X86_OP_MOV, X86_FORM_REG_RM, 4},
		{X86_CODE_32, BYTES(0xa2, 0, 0, 0, 0), X86_OP_MOV, X86_FORM_RM_REG, 1},
		{X86_CODE_64, BYTES(0x84, 0x07), X86_OP_TEST, X86_FORM_RM_REG, 1},
		{X86_CODE_64, BYTES(0x86, 0x07), X86_OP_XCHG, X86_FORM_RM_REG, 1},
		{X86_CODE_64, BYTES(0x0f, 0xb3, 0x07), X86_OP_BTR, X86_FORM_RM_REG, 4},
		{X86_CODE_64, BYTES(0x0f, 0xbb, 0x07), X86_OP_BTC, X86_FORM_RM_REG, 4},
		{X86_CODE_64, BYTES(0x0f, 0xa3, 0x07), X86_OP_BT, X86_FORM_RM_REG, 4},
		{X86_CODE_64, BYTES(0x0f, 0xc0, 0x07), X86_OP_XADD, X86_FORM_RM_REG, 1},
		{X86_CODE_64, BYTES(0x0f, 0xb0, 0x07), X86_OP_CMPXCHG, X86_FORM_RM_REG, 1},
		{X86_CODE_64, BYTES(0x0f, 0xbe, 0x07), X86_OP_MOVSX, X86_FORM_REG_RM, 4},
		{X86_CODE_64, BYTES(0x0f, 0xbf, 0x07), X86_OP_MOVSX, X86_FORM_REG_RM, 4},
		{X86_CODE_64, BYTES(0x0f, 0xb7, 0x07), X86_OP_MOVZX, X86_FORM_REG_RM, 4},
		{X86_CODE_64, BYTES(0x0f, 0x01, 0x07), X86_OP_OTHER, X86_FORM_NONE, 4}, /* sgdt */
		{X86_CODE_64, BYTES(0x0f, 0x01, 0x1f), X86_OP_OTHER, X86_FORM_NONE, 4}, /* lidt */
		{X86_CODE_64, BYTES(0x8f, 0x07), X86_OP_OTHER, X86_FORM_NONE, 4},
		/* 0F D6 is a store with 66 only */
		{X86_CODE_64, BYTES(0x0f, 0xd6, 0x07), X86_OP_OTHER, X86_FORM_NONE, 4},
		{X86_CODE_64, BYTES(0x66, 0x85, 0x07), X86_OP_TEST, X86_FORM_RM_REG, 2},
		{X86_CODE_64, BYTES(0x66, 0xa5), X86_OP_MOVS, X86_FORM_NONE, 2},
		{X86_CODE_64, BYTES(0xaa), X86_OP_STOS, X86_FORM_NONE, 1},
		{X86_CODE_32, BYTES(0x82, 0x27, 1), X86_OP_AND, X86_FORM_RM_IMM, 1},
		{X86_CODE_64, BYTES(0x66, 0x83, 0x2f, 1), X86_OP_SUB, X86_FORM_RM_IMM, 2},
		{X86_CODE_64, BYTES(0x81, 0x17, 1, 0, 0, 0), X86_OP_ADC, X86_FORM_RM_IMM, 4},
		{X86_CODE_64, BYTES(0x1b, 0x07), X86_OP_SBB, X86_FORM_REG_RM, 4},
		{X86_CODE_64, BYTES(0xfe, 0x0f), X86_OP_DEC, X86_FORM_RM, 1},
		{X86_CODE_64, BYTES(0xf6, 0x17), X86_OP_NOT, X86_FORM_RM, 1},
		{X86_CODE_64, BYTES(0x48, 0xf7, 0x1f), X86_OP_NEG, X86_FORM_RM, 8},
		{X86_CODE_64, BYTES(0xf7, 0x27), X86_OP_OTHER, X86_FORM_NONE, 4}, /* mul */
		{X86_CODE_16, BYTES(0x0f, 0xc3, 0x07), X86_OP_MOV, X86_FORM_RM_REG, 4},
		{X86_CODE_64, BYTES(0xc5, 0xf8, 0x94, 0x07), X86_OP_OTHER, X86_FORM_NONE, 4},
		{X86_CODE_64, BYTES(0xf3, 0x48, 0xab), X86_OP_STOS, X86_FORM_NONE, 8},
		{X86_CODE_64, BYTES(0xa4), X86_OP_MOVS, X86_FORM_NONE, 1},
		{X86_CODE_64, BYTES(0x48, 0x0f, 0xc3, 0x07), X86_OP_MOV, X86_FORM_RM_REG, 8},
		{X86_CODE_64, BYTES(0x0f, 0x11, 0x07), X86_OP_STORE, X86_FORM_RM_REG, 16},
		{X86_CODE_64, BYTES(0xc5, 0xfe, 0x7f, 0x07), X86_OP_STORE, X86_FORM_RM_REG, 32},
		/* movq xmm0, [rdi] looks like a store but for its prefix; movups xmm1, xmm0 writes
		   no memory */
		{X86_CODE_64, BYTES(0xf3, 0x0f, 0x7e, 0x07), X86_OP_OTHER, X86_FORM_NONE, 4},
		{X86_CODE_64, BYTES(0x0f, 0x11, 0xc1), X86_OP_OTHER, X86_FORM_NONE, 4},
		{X86_CODE_64, BYTES(0x0f, 0x22, 0xd8), X86_OP_MOV_CR, X86_FORM_REG_RM, 8},
		{X86_CODE_32, BYTES(0x0f, 0x20, 0xe0), X86_OP_MOV_CR, X86_FORM_RM_REG, 4},
		{X86_CODE_64, BYTES(0x0f, 0x01, 0x38), X86_OP_INVLPG, X86_FORM_RM, 1},
		{X86_CODE_64, BYTES(0x0f, 0x01, 0xf8), X86_OP_OTHER, X86_FORM_NONE, 4}, /* swapgs */
		{X86_CODE_64, BYTES(0x0f, 0x01, 0xf0), X86_OP_LMSW, X86_FORM_RM, 2},
		{X86_CODE_64, BYTES(0x0f, 0x01, 0xe0), X86_OP_SMSW, X86_FORM_RM, 4},
		{X86_CODE_64, BYTES(0x0f, 0x06), X86_OP_CLTS, X86_FORM_NONE, 4},
		{X86_CODE_16, BYTES(0x0f, 0x06), X86_OP_CLTS, X86_FORM_NONE, 2},
		{X86_CODE_16, BYTES(0x0f, 0x20, 0xc0), X86_OP_MOV_CR, X86_FORM_RM_REG, 4},
		{X86_CODE_16, BYTES(0x0f, 0x01, 0xe0), X86_OP_SMSW, X86_FORM_RM, 2},
		{X86_CODE_16, BYTES(0x66, 0x0f, 0x01, 0xe0), X86_OP_SMSW, X86_FORM_RM, 4},
		{X86_CODE_64, BYTES(0x66, 0x0f, 0x38, 0x82, 0x01), X86_OP_INVPCID, X86_FORM_REG_RM,
			8},
		{X86_CODE_32, BYTES(0x66, 0x0f, 0x38, 0x82, 0x01), X86_OP_INVPCID, X86_FORM_REG_RM,
			4},
		{X86_CODE_64, BYTES(0x0f, 0x38, 0x82, 0x01), X86_OP_OTHER, X86_FORM_NONE, 4},
		{X86_CODE_64, BYTES(0x66, 0x0f, 0x38, 0x82, 0xc1), X86_OP_OTHER, X86_FORM_NONE, 2},
		{X86_CODE_32, BYTES(0x0f, 0x01, 0xee), X86_OP_RDPKRU, X86_FORM_NONE, 4},
		{X86_CODE_64, BYTES(0x0f, 0x01, 0xef), X86_OP_WRPKRU, X86_FORM_NONE, 4},
		{X86_CODE_64, BYTES(0xf3, 0x0f, 0x01, 0xee), X86_OP_OTHER, X86_FORM_NONE, 4},
		{X86_CODE_64, BYTES(0x0f, 0x01, 0x2e), X86_OP_OTHER, X86_FORM_NONE, 4},
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct x86_insn insn = decode(rows[i].size, &rows[i].bytes);

		if (insn.op != rows[i].op || insn.form != rows[i].form ||
			insn.operand_bytes != rows[i].operand_bytes)
			fail_msg("row %zu: op %d form %d bytes %u", i, (int)insn.op, (int)insn.form,
				insn.operand_bytes);
	}
}

static void vector_stores_say_what_they_store(void **state)
{
	static const struct {
		struct bytes bytes;
		enum x86_stored stored;
		unsigned operand_bytes;
		unsigned reg;
	} rows[] = {
		{BYTES(0x0f, 0x11, 0x0f), X86_STORED_XMM, 16, 1},            /* movups */
		{BYTES(0xf3, 0x0f, 0x11, 0x0f), X86_STORED_XMM, 4, 1},       /* movss */
		{BYTES(0xf2, 0x44, 0x0f, 0x11, 0x0f), X86_STORED_XMM, 8, 9}, /* movsd xmm9 */
		{BYTES(0x66, 0xf2, 0x0f, 0x11, 0x0f), X86_STORED_XMM, 8, 1}, /* movsd */
		{BYTES(0xc5, 0x7c, 0x29, 0x0f), X86_STORED_XMM, 32, 9},      /* vmovaps ymm9 */
		{BYTES(0xc5, 0xf8, 0x11, 0x0f), X86_STORED_XMM, 16, 1},      /* vmovups xmm1 */
		{BYTES(0xc5, 0xfa, 0x11, 0x0f), X86_STORED_XMM, 4, 1},       /* vmovss */
		{BYTES(0x0f, 0x13, 0x0f), X86_STORED_XMM, 8, 1},             /* movlps */
		{BYTES(0x66, 0x0f, 0x17, 0x0f), X86_STORED_XMM_HIGH, 8, 1},  /* movhpd */
		{BYTES(0x66, 0x0f, 0x2b, 0x0f), X86_STORED_XMM, 16, 1},      /* movntpd */
		{BYTES(0x0f, 0x7e, 0x0f), X86_STORED_MMX, 4, 1},             /* movd mm1 */
		{BYTES(0x4c, 0x0f, 0x7e, 0x0f), X86_STORED_MMX, 8, 1},       /* movq mm1 */
		{BYTES(0x66, 0x48, 0x0f, 0x7e, 0x0f), X86_STORED_XMM, 8, 1}, /* movq xmm1 */
		{BYTES(0xc4, 0xe1, 0xf9, 0x7e, 0x0f), X86_STORED_XMM, 8, 1}, /* vmovq xmm1 */
		{BYTES(0x0f, 0x7f, 0x0f), X86_STORED_MMX, 8, 1},             /* movq mm1 */
		{BYTES(0xf3, 0x0f, 0x7f, 0x0f), X86_STORED_XMM, 16, 1},      /* movdqu */
		{BYTES(0x66, 0x0f, 0xd6, 0x0f), X86_STORED_XMM, 8, 1},       /* movq xmm1 */
		{BYTES(0x0f, 0xe7, 0x0f), X86_STORED_MMX, 8, 1},             /* movntq */
		{BYTES(0xc5, 0xfd, 0xe7, 0x0f), X86_STORED_XMM, 32, 1},      /* vmovntdq ymm1 */
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct x86_insn insn = decode(X86_CODE_64, &rows[i].bytes);

		if (insn.op != X86_OP_STORE || insn.form != X86_FORM_RM_REG ||
			insn.stored != rows[i].stored ||
			insn.operand_bytes != rows[i].operand_bytes || insn.reg != rows[i].reg)
			fail_msg("row %zu: op %d stored %u bytes %u reg %u", i, (int)insn.op,
				insn.stored, insn.operand_bytes, insn.reg);
	}
}

/* The operand that is in the opcode, or in no byte. */
static void registers_and_numbers_are_found(void **state)
{
	static const struct bytes push_r9 = BYTES(0x41, 0x51);
	static const struct bytes push_minus_one = BYTES(0x6a, 0xff);
	static const struct bytes push_fs = BYTES(0x0f, 0xa0);
	static const struct bytes push_gs = BYTES(0x0f, 0xa8);
	static const struct bytes push_ss = BYTES(0x16);
	static const struct bytes store_ds = BYTES(0x44, 0x8c, 0x1f);
	static const struct bytes setg = BYTES(0x0f, 0x9f, 0x07);
	static const struct bytes shl_1 = BYTES(0xd1, 0x27);
	static const struct bytes store_moffs = BYTES(0xa3, 0x78, 0x56, 0x34, 0x12);
	static const struct bytes mov_r9_r8 = BYTES(0x4d, 0x89, 0xc1);
	static const struct bytes mov_imm64 = BYTES(0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 0x88);
	static const struct bytes moffs64 = BYTES(0x48, 0xa3, 1, 2, 3, 4, 5, 6, 7, 0x88);
	static const struct bytes imm16 = BYTES(0x66, 0xc7, 0x07, 1, 0x82);
	static const struct bytes mov_cr0 = BYTES(0x0f, 0x20, 0x07);
	struct x86_insn insn;

	(void)state;
	assert_int_equal(decode(X86_CODE_64, &push_r9).reg, 9);
	assert_int_equal(decode(X86_CODE_64, &push_minus_one).immediate, UINT64_MAX);
	assert_int_equal(decode(X86_CODE_64, &push_fs).reg, X86_SEG_FS);
	assert_int_equal(decode(X86_CODE_64, &push_gs).reg, X86_SEG_GS);
	assert_int_equal(decode(X86_CODE_32, &push_ss).reg, X86_SEG_SS);
	assert_int_equal(decode(X86_CODE_64, &store_ds).reg, X86_SEG_DS);
	assert_int_equal(decode(X86_CODE_64, &setg).condition, 0xf);
	assert_int_equal(decode(X86_CODE_64, &shl_1).immediate, 1);
	insn = decode(X86_CODE_32, &store_moffs);
	assert_true(insn.is_memory);
	assert_int_equal(insn.reg, X86_RAX);
	assert_int_equal(insn.displacement, 0x12345678);
	insn = decode(X86_CODE_64, &mov_r9_r8);
	assert_false(insn.is_memory);
	assert_int_equal(insn.rm, 9);
	assert_int_equal(insn.reg, 8);
	assert_int_equal(decode(X86_CODE_64, &mov_imm64).immediate, 0x8807060504030201);
	assert_int_equal(decode(X86_CODE_64, &moffs64).displacement, 0x8807060504030201);
	assert_int_equal(decode(X86_CODE_64, &imm16).immediate, 0xffffffffffff8201);
	insn = decode(X86_CODE_64, &mov_cr0);
	assert_false(insn.is_memory);
	assert_int_equal(insn.rm, X86_RDI);
}

static void prefixes_have_an_order(void **state)
{
	/* A REX counts directly before the opcode; of F2 and F3 the last one; FS and GS are the
	 * only segments that 64-bit mode knows. */
	static const struct bytes rex_then_66 = BYTES(0x48, 0x66, 0x89, 0x07);
	static const struct bytes two_rex = BYTES(0x4f, 0x40, 0x89, 0x07);
	static const struct bytes f2_f3_7e = BYTES(0xf2, 0xf3, 0x0f, 0x7e, 0x07);
	static const struct bytes f3_f2_11 = BYTES(0xf3, 0xf2, 0x0f, 0x11, 0x07);
	static const struct bytes gs_then_ds = BYTES(0x65, 0x3e, 0x89, 0x07);
	static const struct bytes gs_then_ss = BYTES(0x65, 0x36, 0x89, 0x07);
	static const struct bytes none = BYTES(0x87, 0x07);
	static const struct bytes lock_rep = BYTES(0xf0, 0xf3, 0x87, 0x07);
	/* VEX.B means nothing outside 64-bit mode. */
	static const struct bytes vex_b = BYTES(0xc4, 0xc1, 0x7a, 0x11, 0x0f);
	struct x86_insn insn;

	(void)state;
	insn = decode(X86_CODE_64, &rex_then_66);
	assert_int_equal(insn.operand_bytes, 2);
	assert_false(insn.rex);
	insn = decode(X86_CODE_64, &two_rex);
	assert_int_equal(insn.operand_bytes, 4);
	assert_int_equal(insn.base, X86_RDI);
	assert_true(insn.rex);
	assert_int_equal(decode(X86_CODE_64, &f2_f3_7e).op, X86_OP_OTHER);
	assert_int_equal(decode(X86_CODE_64, &f3_f2_11).operand_bytes, 8);
	insn = decode(X86_CODE_64, &gs_then_ds);
	assert_int_equal(insn.segment, X86_SEG_GS);
	assert_false(insn.lock || insn.rep);
	assert_int_equal(decode(X86_CODE_32, &gs_then_ss).segment, X86_SEG_SS);
	insn = decode(X86_CODE_64, &none);
	assert_false(insn.lock || insn.rep || insn.rex);
	insn = decode(X86_CODE_64, &lock_rep);
	assert_true(insn.lock && insn.rep);
	assert_int_equal(insn.segment, X86_SEG_DS);
	assert_int_equal(decode(X86_CODE_32, &vex_b).base, X86_RDI);
	assert_int_equal(decode(X86_CODE_64, &vex_b).base, 15);
	assert_false(decode(X86_CODE_64, &vex_b).rep);
}

static void loads_know_their_source(void **state)
{
	static const struct bytes movzx = BYTES(0x48, 0x0f, 0xb6, 0x07);
	static const struct bytes movsxd = BYTES(0x48, 0x63, 0x07);
	struct x86_insn insn;

	(void)state;
	insn = decode(X86_CODE_64, &movzx);
	assert_int_equal(insn.op, X86_OP_MOVZX);
	assert_int_equal(insn.source_bytes, 1);
	assert_int_equal(insn.operand_bytes, 8);
	insn = decode(X86_CODE_64, &movsxd);
	assert_int_equal(insn.op, X86_OP_MOVSX);
	assert_int_equal(insn.source_bytes, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lengths_follow_prefixes_modrm_and_immediates),
		cmocka_unit_test(every_cut_of_an_instruction_is_truncated),
		cmocka_unit_test(more_than_15_bytes_are_too_long),
		cmocka_unit_test(what_is_not_in_the_tables_is_unknown),
		cmocka_unit_test(any_bytes_end_in_a_status),
		cmocka_unit_test(stores_are_described),
		cmocka_unit_test(vector_stores_say_what_they_store),
		cmocka_unit_test(registers_and_numbers_are_found),
		cmocka_unit_test(prefixes_have_an_order),
		cmocka_unit_test(loads_know_their_source),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
