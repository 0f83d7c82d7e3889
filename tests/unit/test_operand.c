/* SPDX-License-Identifier: MIT */
/*
 * Operands of decoded instructions: where they lie, what is read and written, registers of any
 * width.
 */
#include "tests/unit/x86_bytes.h"

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
	static const struct bytes bts_16 = BYTES(0x66, 0x0f, 0xab, 0x08);
	static const struct bytes bts_32 = BYTES(0x0f, 0xab, 0x08);
	uint64_t gpr[X86_GPRS] = {[X86_RAX] = 0x1000, [X86_RCX] = (uint64_t)-1};
	struct x86_insn insn = decode(X86_CODE_64, &bts);

	(void)state;
	assert_int_equal(x86_operand_offset(&insn, gpr, 0), 0xff8);
	/* Only the operand's width counts of the register. */
	gpr[X86_RCX] = 0x8000ffff;
	insn = decode(X86_CODE_64, &bts_16);
	assert_int_equal(x86_operand_offset(&insn, gpr, 0), 0xffe);
	insn = decode(X86_CODE_64, &bts_32);
	assert_int_equal(x86_operand_offset(&insn, gpr, 0), 0xfffffffff0002ffc);
}

/* ---- what is read and written ---- */

static void accesses_are_told(void **state)
{
	static const struct {
		struct bytes bytes;
		bool reads, writes, elsewhere, atomic;
	} rows[] = {
		{BYTES(0x89, 0x07), false, true, false, false},             /* mov [rdi], eax */
		{BYTES(0x8b, 0x07), true, false, false, false},             /* mov eax, [rdi] */
		{BYTES(0xc7, 0x07, 0, 0, 0, 0), false, true, false, false}, /* mov [rdi], imm */
		{BYTES(0x8c, 0x1f), false, true, false, false},             /* mov [rdi], ds */
		{BYTES(0x87, 0x07), true, true, false, true},               /* xchg */
		{BYTES(0x87, 0xc7), true, true, false, false},              /* xchg edi, eax */
		{BYTES(0x21, 0x07), true, true, false, false},              /* and [rdi], eax */
		{BYTES(0xf0, 0x21, 0x07), true, true, false, true},         /* lock and */
		{BYTES(0x23, 0x07), true, false, false, false},             /* and eax, [rdi] */
		{BYTES(0x39, 0x07), true, false, false, false},             /* cmp [rdi], eax */
		{BYTES(0x85, 0x07), true, false, false, false},             /* test */
		{BYTES(0x0f, 0xa3, 0x07), true, false, false, false},       /* bt */
		{BYTES(0x0f, 0xab, 0x07), true, true, false, false},        /* bts */
		{BYTES(0x0f, 0xb1, 0x07), true, true, false, false},        /* cmpxchg */
		{BYTES(0xf0, 0x0f, 0xc7, 0x0f), true, true, false, true},   /* lock cmpxchg8b */
		{BYTES(0x0f, 0x94, 0x07), false, true, false, false},       /* sete */
		{BYTES(0x0f, 0x11, 0x07), false, true, false, false},       /* movups */
		{BYTES(0xff, 0x37), true, false, true, false},              /* push [rdi] */
		{BYTES(0x0f, 0x01, 0x3f), false, false, false, false},      /* invlpg */
	};
	static const struct bytes movs = BYTES(0xf3, 0xa5);
	static const struct bytes stos = BYTES(0xf3, 0xab);
	static const struct bytes push = BYTES(0x50);
	struct x86_insn insn;

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		insn = decode(X86_CODE_64, &rows[i].bytes);
		if (x86_reads_operand(&insn) != rows[i].reads ||
			x86_writes_operand(&insn) != rows[i].writes ||
			x86_reads_elsewhere(&insn) != rows[i].elsewhere ||
			x86_is_atomic(&insn) != rows[i].atomic)
			fail_msg("row %zu", i);
	}
	insn = decode(X86_CODE_64, &movs);
	assert_true(x86_reads_elsewhere(&insn));
	insn = decode(X86_CODE_64, &stos);
	assert_false(x86_reads_elsewhere(&insn));
	insn = decode(X86_CODE_64, &push);
	assert_false(x86_reads_elsewhere(&insn));
}

static void a_push_goes_below_the_stack_pointer(void **state)
{
	static const struct bytes push = BYTES(0x50);
	uint64_t gpr[X86_GPRS] = {[X86_RSP] = 0x100010000};
	struct x86_insn insn;

	(void)state;
	insn = decode(X86_CODE_64, &push);
	assert_int_equal(x86_push_offset(&insn, gpr, 8), 0x10000fff8);
	insn = decode(X86_CODE_32, &push);
	assert_int_equal(x86_push_offset(&insn, gpr, 4), 0xfffc);
	/* In a 16-bit stack the pointer wraps at 64 KiB, whatever the operand's size. */
	assert_int_equal(x86_push_offset(&insn, gpr, 2), 0xfffc);
	gpr[X86_RSP] = 0x12340002;
	assert_int_equal(x86_push_offset(&insn, gpr, 2), 0xfffe);
	insn = decode(X86_CODE_16, &push);
	assert_int_equal(x86_push_offset(&insn, gpr, 2), 0);
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
		cmocka_unit_test(addresses_follow_the_manual),
		cmocka_unit_test(negative_bit_offsets_reach_below_the_operand),
		cmocka_unit_test(accesses_are_told),
		cmocka_unit_test(a_push_goes_below_the_stack_pointer),
		cmocka_unit_test(high_byte_registers_exist_only_without_rex),
		cmocka_unit_test(only_32_bit_results_clear_the_upper_half),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
