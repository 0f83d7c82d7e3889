/* SPDX-License-Identifier: MIT */
/*
 * The decoder against encodings worked out by hand from the manual (SDM 2 "Instruction Format").
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "x86/decode.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

struct bytes {
	uint8_t n;
	uint8_t at[X86_INSN_MAX + 1];
};
#define BYTES(...)                                                                                 \
	{                                                                                          \
		sizeof((uint8_t[]){__VA_ARGS__}),                                                  \
		{                                                                                  \
			__VA_ARGS__                                                                \
		}                                                                                  \
	}

static struct x86_insn decode(enum x86_code_size size, const struct bytes *bytes)
{
	struct x86_insn insn;

	assert_int_equal(x86_decode(&insn, size, bytes->at, bytes->n), X86_DECODE_OK);
	assert_int_equal(insn.length, bytes->n);
	return insn;
}

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

static void opcodes_that_64_bit_mode_lacks_are_unknown(void **state)
{
	static const uint8_t opcodes[] = {
		0x06, 0x0e, 0x27, 0x37, 0x60, 0x62, 0x82, 0x9a, 0xce, 0xd4, 0xd6, 0xea};
	struct x86_insn insn;

	(void)state;
	for (size_t i = 0; i < N(opcodes); i++) {
		uint8_t bytes[8] = {opcodes[i]};

		assert_int_equal(
			x86_decode(&insn, X86_CODE_64, bytes, sizeof(bytes)), X86_DECODE_UNKNOWN);
	}
}

/* Nothing that can be given to the decoder makes it read outside its bytes: the sanitizers watch.
 */
static void any_bytes_end_in_a_status(void **state)
{
	uint64_t seed = 1;

	(void)state;
	for (unsigned i = 0; i < 200000; i++) {
		enum x86_code_size size = (enum x86_code_size)(i % 3);
		struct x86_insn insn;
		uint8_t bytes[16];

		for (size_t k = 0; k < sizeof(bytes); k++) {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			bytes[k] = (uint8_t)(seed >> 56);
		}
		if (x86_decode(&insn, size, bytes, sizeof(bytes)) == X86_DECODE_OK) {
			assert_in_range(insn.length, 1, X86_INSN_MAX);
			assert_int_equal(x86_decode(&insn, size, bytes, insn.length - 1u),
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
		{X86_CODE_32, BYTES(0xa3, 0, 0, 0, 0), X86_OP_MOV, X86_FORM_MEM_ACC, 4},
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
		{X86_CODE_64, BYTES(0xff, 0x37), X86_OP_OTHER, X86_FORM_NONE, 4}, /* push [rdi] */
		{X86_CODE_64, BYTES(0xf3, 0x48, 0xab), X86_OP_STOS, X86_FORM_NONE, 8},
		{X86_CODE_64, BYTES(0xa4), X86_OP_MOVS, X86_FORM_NONE, 1},
		{X86_CODE_64, BYTES(0x48, 0x0f, 0xc3, 0x07), X86_OP_MOV, X86_FORM_RM_REG, 8},
		{X86_CODE_64, BYTES(0x0f, 0x11, 0x07), X86_OP_STORE, X86_FORM_RM_REG, 0},
		{X86_CODE_64, BYTES(0xc5, 0xfe, 0x7f, 0x07), X86_OP_STORE, X86_FORM_RM_REG, 0},
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

/* ---- where the memory operand is ---- */

static void addresses_follow_the_manual(void **state)
{
	/* Register n holds 0x1000 * (n + 1); RIP is 0x500000. */
	static const struct {
		enum x86_code_size size;
		struct bytes bytes;
		uint64_t offset;
		enum x86_segment segment;
	} rows[] = {
		{X86_CODE_64, BYTES(0x89, 0x00), 0x1000, X86_SEG_DS},
		{X86_CODE_64, BYTES(0x41, 0x89, 0x00), 0x9000, X86_SEG_DS},
		{X86_CODE_64, BYTES(0x89, 0x40, 0xff), 0xfff, X86_SEG_DS},
		{X86_CODE_64, BYTES(0x89, 0x80, 0, 0, 0, 0x80), 0xffffffff80001000, X86_SEG_DS},
		{X86_CODE_64, BYTES(0x89, 0x45, 0x08), 0x6008, X86_SEG_SS},
		{X86_CODE_64, BYTES(0x89, 0x04, 0x24), 0x5000, X86_SEG_SS},
		{X86_CODE_64, BYTES(0x89, 0x04, 0xc8), 0x1000 + 8 * 0x2000, X86_SEG_DS},
		{X86_CODE_64, BYTES(0x42, 0x89, 0x04, 0xa0), 0x1000 + 4 * 0xd000, X86_SEG_DS},
		{X86_CODE_64, BYTES(0x89, 0x04, 0x25, 0x10, 0, 0, 0), 0x10, X86_SEG_DS},
		{X86_CODE_64, BYTES(0x89, 0x05, 0x10, 0, 0, 0), 0x500016, X86_SEG_DS},
		{X86_CODE_64, BYTES(0x65, 0x89, 0x00), 0x1000, X86_SEG_GS},
		{X86_CODE_64, BYTES(0x2e, 0x89, 0x45, 0), 0x6000, X86_SEG_SS},
		{X86_CODE_64, BYTES(0x67, 0x89, 0x40, 0x80), 0xf80, X86_SEG_DS},
		{X86_CODE_32, BYTES(0x89, 0x05, 0x10, 0, 0, 0), 0x10, X86_SEG_DS},
		{X86_CODE_32, BYTES(0x26, 0x89, 0x00), 0x1000, X86_SEG_ES},
		{X86_CODE_16, BYTES(0x89, 0x02), 0x6000 + 0x7000, X86_SEG_SS},
		{X86_CODE_16, BYTES(0x89, 0x07), 0x4000, X86_SEG_DS},
		{X86_CODE_16, BYTES(0x89, 0x06, 0x34, 0x12), 0x1234, X86_SEG_DS},
		{X86_CODE_16, BYTES(0x89, 0x87, 0, 0xf0), 0x3000, X86_SEG_DS},
		/* bts [rax], rcx: bit 0x2000 is in the quadword 0x400 bytes on */
		{X86_CODE_64, BYTES(0x48, 0x0f, 0xab, 0x08), 0x1400, X86_SEG_DS},
	};
	uint64_t gpr[X86_GPRS];

	(void)state;
	for (unsigned i = 0; i < X86_GPRS; i++)
		gpr[i] = 0x1000u * (i + 1);
	for (size_t i = 0; i < N(rows); i++) {
		struct x86_insn insn = decode(rows[i].size, &rows[i].bytes);
		uint64_t offset = x86_operand_offset(&insn, gpr, 0x500000);

		if (!insn.is_memory || offset != rows[i].offset || insn.segment != rows[i].segment)
			fail_msg("row %zu: offset %llx segment %d", i, (unsigned long long)offset,
				(int)insn.segment);
	}
}

static void negative_bit_offsets_reach_below_the_operand(void **state)
{
	static const struct bytes bts = BYTES(0x48, 0x0f, 0xab, 0x08);
	uint64_t gpr[X86_GPRS] = {[X86_RAX] = 0x1000, [X86_RCX] = (uint64_t)-1};
	struct x86_insn insn = decode(X86_CODE_64, &bts);

	(void)state;
	assert_int_equal(x86_operand_offset(&insn, gpr, 0), 0xff8);
}

static void high_byte_registers_exist_only_without_rex(void **state)
{
	static const struct bytes plain = BYTES(0x88, 0x27);     /* mov [rdi], ah */
	static const struct bytes rex = BYTES(0x40, 0x88, 0x27); /* mov [rdi], spl */
	uint64_t gpr[X86_GPRS] = {[X86_RAX] = 0x1234, [X86_RSP] = 0x5678};
	struct x86_insn insn;

	(void)state;
	insn = decode(X86_CODE_64, &plain);
	assert_int_equal(x86_gpr_read(&insn, gpr, insn.reg, 1), 0x12);
	x86_gpr_write(&insn, gpr, insn.reg, 1, 0xff);
	assert_int_equal(gpr[X86_RAX], 0xff34);
	insn = decode(X86_CODE_64, &rex);
	assert_int_equal(x86_gpr_read(&insn, gpr, insn.reg, 1), 0x78);
}

static void only_32_bit_results_clear_the_upper_half(void **state)
{
	uint64_t gpr[X86_GPRS] = {[X86_RCX] = ~0ull};
	struct x86_insn insn = {0};

	(void)state;
	x86_gpr_write(&insn, gpr, X86_RCX, 2, 0);
	assert_int_equal(gpr[X86_RCX], 0xffffffffffff0000);
	x86_gpr_write(&insn, gpr, X86_RCX, 4, 7);
	assert_int_equal(gpr[X86_RCX], 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lengths_follow_prefixes_modrm_and_immediates),
		cmocka_unit_test(every_cut_of_an_instruction_is_truncated),
		cmocka_unit_test(more_than_15_bytes_are_too_long),
		cmocka_unit_test(opcodes_that_64_bit_mode_lacks_are_unknown),
		cmocka_unit_test(any_bytes_end_in_a_status),
		cmocka_unit_test(stores_are_described),
		cmocka_unit_test(loads_know_their_source),
		cmocka_unit_test(addresses_follow_the_manual),
		cmocka_unit_test(negative_bit_offsets_reach_below_the_operand),
		cmocka_unit_test(high_byte_registers_exist_only_without_rex),
		cmocka_unit_test(only_32_bit_results_clear_the_upper_half),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
