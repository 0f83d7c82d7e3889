/* SPDX-License-Identifier: MIT */
/*
 * Stores done for the guest, one operand at a time: where they go, with whose rights, how they are
 * made atomic. Others: test_hv_left.c; string instructions: test_hv_string.c.
 */
#include "tests/unit/emul_world.h"

#define OTHER_CODE 0x101000ull

#define RFLAGS_ZF (1ull << 6)

/* ---- one page ---- */

static void a_plain_store_is_made(void **state)
{
	(void)state;
	CODE(0x48, 0x89, 0x07); /* mov [rdi], rax */
	world_store(AT);
	expect_done();
	assert_true(word_at(TABLE) == 0x1122334455667788ull);
	assert_int_equal(world.n_written, 1);
	assert_int_equal(world.written_bytes, 8);
	/* The library was asked nothing. */
	assert_int_equal(world.n_faults, 0);
	assert_int_equal(world.n_unshadowed, 0);
}

static void every_width_stores_its_bytes_only(void **state)
{
	static const struct {
		const char *code;
		size_t n_code;
		uint64_t expect;
	} rows[] = {
		{"\x88\x07", 2, 0xffffffffffffff88ull},         /* mov [rdi], al */
		{"\x88\x27", 2, 0xffffffffffffff77ull},         /* mov [rdi], ah */
		{"\x66\x89\x07", 3, 0xffffffffffff7788ull},     /* mov [rdi], ax */
		{"\x89\x07", 2, 0xffffffff55667788ull},         /* mov [rdi], eax */
		{"\x48\x89\x07", 3, 0x1122334455667788ull},     /* mov [rdi], rax */
		{"\x48\xc7\x07\xfe\xff\xff\xff", 7, ~1ull},     /* mov qword [rdi], -2 */
		{"\x80\x27\xfd", 3, 0xfffffffffffffffdull},     /* and byte [rdi], 0xfd */
		{"\x48\x0f\xba\x37\0", 5, ~1ull},               /* btr [rdi], 0 */
		{"\x0f\x94\x07", 3, 0xffffffffffffff00ull},     /* sete [rdi] */
		{"\x8c\x1f", 2, 0xffffffffffff0028ull},         /* mov [rdi], ds */
		{"\x48\x0f\xc3\x0f", 4, 0x99aabbccddeeff00ull}, /* movnti [rdi], rcx */
		{"\x48\xa3\0\0\x50\0\0\0\0\0", 10, 0x1122334455667788ull}, /* mov [0x500000], rax */
	};

	for (unsigned i = 0; i < N(rows); i++) {
		world_table(state);
		set_word(TABLE, ~0ull);
		world_code(rows[i].code, rows[i].n_code);
		world_store(AT);
		expect_done();
		assert_true(word_at(TABLE) == rows[i].expect);
	}
}

static void flags_and_registers_come_back(void **state)
{
	(void)state;
	set_word(TABLE, 1);
	guest.gpr[X86_RAX] = 1;
	CODE(0x48, 0x29, 0x07); /* sub [rdi], rax */
	world_store(AT);
	expect_done();
	assert_true(word_at(TABLE) == 0);
	assert_true(guest.exit.rflags & RFLAGS_ZF);
	set_word(TABLE, 5);
	CODE(0x48, 0x0f, 0xc1, 0x07); /* xadd [rdi], rax */
	world_store(AT);
	expect_done();
	assert_true(word_at(TABLE) == 6);
	assert_true(guest.gpr[X86_RAX] == 5);
}

static void an_operand_elsewhere_is_not_believed(void **state)
{
	(void)state;
	/* Another CPU changed the registers' meaning, or the fault is not the operand's. */
	CODE(0x48, 0x89, 0x07); /* mov [rdi], rax */
	world_store(AT + 0x800);
	expect_left();
	assert_int_equal(world.n_unshadowed, 1);
	assert_true(word_at(TABLE) == 0);
}

static void code_that_changed_is_decoded_again(void **state)
{
	(void)state;
	CODE(0x48, 0x89, 0x07); /* mov [rdi], rax */
	world_store(AT);
	expect_done();
	CODE(0x48, 0x89, 0x0f); /* mov [rdi], rcx */
	world_store(AT);
	expect_done();
	assert_true(word_at(TABLE) == 0x99aabbccddeeff00ull);
	/* The same bytes in 32-bit code: dec eax; the store is not at RIP. */
	world.size = X86_CODE_32;
	CODE(0x48, 0x89, 0x0f);
	world_store(AT);
	expect_left();
}

static void code_that_is_mapped_is_decoded_again(void **state)
{
	(void)state;
	CODE(0x48, 0x89, 0x07); /* mov [rdi], rax */
	for (unsigned i = 0; i < 2; i++) {
		world_store(AT);
		expect_done();
		guest.exit.rip = CODE_GVA;
	}
	/* On each level of the tables. */
	for (unsigned level = 1; level <= 4; level++) {
		memcpy(world_at(OTHER_CODE), "\x48\x89\x0f", 3); /* mov [rdi], rcx */
		world_map_code(OTHER_CODE, level);
		set_word(TABLE, 0);
		world_store(AT);
		expect_done();
		assert_true(word_at(TABLE) == 0x99aabbccddeeff00ull);
		world_map_code(CODE_GPA, level);
		guest.exit.rip = CODE_GVA;
		world_store(AT);
		expect_done();
		assert_true(word_at(TABLE) == 0x1122334455667788ull);
		guest.exit.rip = CODE_GVA;
	}
}

static void a_store_to_a_device_that_is_watched_is_told(void **state)
{
	(void)state;
	world_page(FAR, RAM_END, PAGE_TRACKED | PAGE_DEVICE);
	guest.gpr[X86_RDI] = FAR + 0xb0;
	CODE(0x89, 0x07); /* mov [rdi], eax */
	world_store(FAR + 0xb0);
	expect_done();
	assert_int_equal(world.written_at, RAM_END + 0xb0);
	assert_int_equal(world.written_bytes, 4);
	CODE(0x87, 0x07); /* xchg [rdi], eax: of a device it is a read and a write */
	guest.gpr[X86_RAX] = 7;
	world_store(FAR + 0xb0);
	expect_done();
	assert_int_equal(guest.gpr[X86_RAX], 0x55667788);
	assert_int_equal((uint32_t)word_at(RAM_END + 0xb0), 7);
}

/* ---- atomic ---- */

static void what_is_locked_is_exchanged(void **state)
{
	static const struct {
		const char *code;
		size_t n_code;
		uint64_t expect;
	} rows[] = {
		{"\xf0\x48\x21\x07", 4, 0x0101020304050608ull & 0x1122334455667788ull}, /* and */
		{"\xf0\x48\x0f\xba\x2f\x06", 6, 0x0101020304050648ull}, /* bts [rdi], 6 */
		{"\x48\x87\x07", 3, 0x1122334455667788ull},             /* xchg */
	};

	for (unsigned i = 0; i < N(rows); i++) {
		world_table(state);
		set_word(TABLE, 0x0101020304050608ull);
		world_code(rows[i].code, rows[i].n_code);
		world_store(AT);
		expect_done();
		assert_int_equal(world.n_exchanged, 1);
		assert_int_equal(world.n_written, 0);
		assert_true(word_at(TABLE) == rows[i].expect);
	}
}

static void a_lost_race_begins_anew(void **state)
{
	static const char *const codes[] = {
		"\x48\x87\x07",         /* xchg [rdi], rax */
		"\xf0\x48\x0f\xc1\x07", /* xadd */
		"\xf0\x48\x0f\xb1\x0f", /* cmpxchg [rdi], rcx */
		"\xf0\x48\x0f\xc7\x0f", /* cmpxchg16b */
		"\xf0\x48\xff\x07",     /* inc */
	};

	for (unsigned i = 0; i < N(codes); i++) {
		world_table(state);
		set_word(TABLE, 3);
		world_code(codes[i], strlen(codes[i]));
		world.differs = true;
		world_store(AT);
		expect_left();
		assert_int_equal(guest.exit.rflags, 2);
		assert_true(word_at(TABLE) == 3);
		world_store(AT);
		expect_done();
		assert_int_equal(world.n_exchanged, 1);
	}
}

static void sixteen_bytes_are_compared_and_exchanged(void **state)
{
	(void)state;
	guest.gpr[X86_RBX] = 0xb;
	guest.gpr[X86_RCX] = 0xc;
	guest.gpr[X86_RAX] = 1;
	guest.gpr[X86_RDX] = 2;
	set_word(TABLE, 1);
	set_word(TABLE + 8, 2);
	CODE(0xf0, 0x48, 0x0f, 0xc7, 0x0f); /* lock cmpxchg16b [rdi] */
	world_store(AT);
	expect_done();
	assert_true(word_at(TABLE) == 0xb && word_at(TABLE + 8) == 0xc);
	assert_true(guest.exit.rflags & RFLAGS_ZF);
	guest.exit.rip = CODE_GVA;
	world_store(AT);
	expect_done();
	assert_true(word_at(TABLE) == 0xb && word_at(TABLE + 8) == 0xc);
	assert_false(guest.exit.rflags & RFLAGS_ZF);
	assert_true(guest.gpr[X86_RAX] == 0xb && guest.gpr[X86_RDX] == 0xc);
	/* Not aligned: #GP. */
	guest.gpr[X86_RDI] = AT + 8;
	CODE(0x48, 0x0f, 0xc7, 0x0f);
	world_store(AT + 8);
	assert_int_equal(world.vector, X86_GP);
	assert_int_equal(world.error_code, 0);
}

static void a_split_lock_is_the_guests_if_it_can(void **state)
{
	(void)state;
	guest.gpr[X86_RDI] = AT + 5;
	CODE(0xf0, 0x48, 0x83, 0x0f, 0x01); /* lock or qword [rdi], 1 */
	world_store(AT + 5);
	expect_left();
	assert_int_equal(world.n_unshadowed, 1);
	/* A watched frame cannot be given up. */
	world_table(state);
	world_page(FAR, OTHER, PAGE_TRACKED);
	guest.gpr[X86_RDI] = FAR + 5;
	CODE(0xf0, 0x48, 0x83, 0x0f, 0x01);
	world_store(FAR + 5);
	expect_done();
	assert_true(word_at(OTHER + 5) == 1);
}

/* ---- two pages ---- */

static void a_store_over_two_pages_goes_to_both(void **state)
{
	(void)state;
	world_page(AT + 0x1000, NEXT, PAGE_TABLE);
	guest.gpr[X86_RDI] = AT + 0xffd;
	CODE(0x48, 0x89, 0x07); /* mov [rdi], rax */
	/* Either page may be the one that faults. */
	world_store(AT + 0xffd);
	expect_done();
	assert_int_equal(word_at(TABLE + 0xff8) >> 40, 0x667788);
	assert_int_equal(word_at(NEXT), 0x1122334455);
	CODE(0x48, 0x01, 0x07); /* add [rdi], rax */
	world_store(AT + 0x1000);
	expect_done();
	assert_int_equal(word_at(TABLE + 0xff8) >> 40, 0xccef10);
	assert_int_equal(word_at(NEXT), 0x22446688aa);
}

static void both_pages_are_checked_before_anything_is_written(void **state)
{
	(void)state;
	guest.gpr[X86_RDI] = AT + 0xffc;
	CODE(0x48, 0x89, 0x07); /* mov [rdi], rax */
	world_store(AT + 0xffc);
	expect_page_fault(AT + 0x1000, X86_PF_W | X86_PF_U);
	assert_true(word_at(TABLE + 0xff8) == 0);
	world_page(AT + 0x1000, NEXT, PAGE_READ_ONLY);
	CODE(0x48, 0x31, 0x07); /* xor [rdi], rax */
	world_store(AT + 0xffc);
	expect_page_fault(AT + 0x1000, X86_PF_W | X86_PF_U | X86_PF_P);
	assert_true(word_at(TABLE + 0xff8) == 0);
	assert_int_equal(guest.exit.rflags, 2);
	assert_int_equal(world.n_written, 0);
}

static void a_store_does_not_leave_the_canonical_addresses(void **state)
{
	(void)state;
	world_page(0x7ffffffff000, OTHER, PAGE_TABLE);
	world_page(0x800000000000, NEXT, 0);
	guest.gpr[X86_RDI] = 0x7ffffffffffc;
	CODE(0x48, 0x89, 0x07); /* mov [rdi], rax */
	world_store(0x7ffffffffffc);
	assert_int_equal(world.vector, X86_GP);
	assert_true(word_at(OTHER + 0xff8) == 0);
}

static void addresses_of_32_bit_code_wrap(void **state)
{
	(void)state;
	world.size = X86_CODE_32;
	world_page(0xfffff000, OTHER, PAGE_TABLE);
	world_page(0, NEXT, 0);
	guest.gpr[X86_RDI] = 0xfffffffe;
	CODE(0x89, 0x07); /* mov [edi], eax */
	world_store(0xfffffffe);
	expect_done();
	assert_int_equal(word_at(OTHER + 0xff8) >> 48, 0x7788);
	assert_int_equal(word_at(NEXT), 0x5566);
}

static void segments_have_bases(void **state)
{
	(void)state;
	world.segments[X86_SEG_GS].base = AT - 0x100;
	guest.gpr[X86_RDI] = 0x140;
	CODE(0x65, 0x48, 0x89, 0x07); /* mov gs:[rdi], rax */
	world_store(AT + 0x40);
	expect_done();
	assert_true(word_at(TABLE + 0x40) == 0x1122334455667788ull);
	world.size = X86_CODE_32;
	world.segments[X86_SEG_DS].base = AT - 0x1000;
	guest.gpr[X86_RDI] = 0x1000;
	CODE(0x89, 0x0f); /* mov [edi], ecx */
	world_store(AT);
	expect_done();
	assert_int_equal(word_at(TABLE), 0xddeeff00);
}

/* ---- PUSH ---- */

static void pushes_go_to_the_stack(void **state)
{
	static const struct {
		const char *code;
		size_t n_code;
		unsigned n_bytes;
		uint64_t expect;
	} rows[] = {
		{"\x50", 1, 8, 0x1122334455667788ull},     /* push rax */
		{"\x66\x50", 2, 2, 0x7788},                /* push ax */
		{"\x6a\xfe", 2, 8, ~1ull},                 /* push -2 */
		{"\xff\x36", 2, 8, 0xabcdef},              /* push qword [rsi] */
		{"\x0f\xa0", 2, 8, 0x10 + 8 * X86_SEG_FS}, /* push fs */
	};

	for (unsigned i = 0; i < N(rows); i++) {
		world_table(state);
		world_page(FAR, OTHER, 0);
		set_word(OTHER, 0xabcdef);
		guest.gpr[X86_RSI] = FAR;
		guest.gpr[X86_RSP] = AT + 0x100;
		world_code(rows[i].code, rows[i].n_code);
		world_store(AT + 0x100 - rows[i].n_bytes);
		expect_done();
		assert_true(guest.gpr[X86_RSP] == AT + 0x100 - rows[i].n_bytes);
		assert_true(word_at(TABLE + 0x100 - rows[i].n_bytes) == rows[i].expect);
	}
	/* Its operand is not there. */
	world_table(state);
	guest.gpr[X86_RSI] = FAR;
	guest.gpr[X86_RSP] = AT + 0x100;
	CODE(0xff, 0x36);
	world_store(AT + 0xf8);
	expect_page_fault(FAR, X86_PF_U);
}

static void a_small_stack_wraps(void **state)
{
	(void)state;
	world.size = X86_CODE_32;
	world.segments[X86_SEG_SS].attributes = 0x93; /* B=0: SP */
	world.segments[X86_SEG_SS].base = AT - 0xf000;
	guest.gpr[X86_RSP] = 0x12340000;
	CODE(0x50); /* push eax */
	world_store(AT + 0xffc);
	expect_done();
	assert_true(guest.gpr[X86_RSP] == 0x1234fffc);
	assert_int_equal(word_at(TABLE + 0xff8) >> 32, 0x55667788);
}

/* ---- exceptions ---- */

static void a_breakpoint_on_the_operand_traps(void **state)
{
	(void)state;
	world.dr7 = 1u << 0 | 1u << 16; /* DR0, one byte, on writes */
	world.dr[0] = AT + 7;
	CODE(0x48, 0x89, 0x07); /* mov [rdi], rax */
	world_store(AT);
	expect_done();
	assert_int_equal(world.dr6, 1);
	world.dr6 = 0;
	world.dr[0] = AT + 8;
	CODE(0x48, 0x89, 0x07);
	world_store(AT);
	expect_done();
	assert_int_equal(world.dr6, 0);
}

static void alignment_is_checked(void **state)
{
	(void)state;
	guest.regs.cr0 |= X86_CR0_AM;
	guest.exit.rflags |= X86_RFLAGS_AC;
	guest.gpr[X86_RDI] = AT + 3;
	CODE(0x48, 0x89, 0x07); /* mov [rdi], rax */
	world_store(AT + 3);
	assert_int_equal(world.vector, X86_AC);
	assert_true(word_at(TABLE) == 0);
	/* Not in the kernel, and not of what is aligned. */
	guest.exit.cpl = 0;
	world_store(AT + 3);
	expect_done();
	guest.exit.cpl = 3;
	guest.gpr[X86_RDI] = AT + 8;
	CODE(0x48, 0x89, 0x07);
	world_store(AT + 8);
	expect_done();
}

#define T(test) cmocka_unit_test_setup(test, world_table)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_plain_store_is_made),
		T(every_width_stores_its_bytes_only),
		T(flags_and_registers_come_back),
		T(an_operand_elsewhere_is_not_believed),
		T(code_that_changed_is_decoded_again),
		T(code_that_is_mapped_is_decoded_again),
		T(a_store_to_a_device_that_is_watched_is_told),
		T(what_is_locked_is_exchanged),
		T(a_lost_race_begins_anew),
		T(sixteen_bytes_are_compared_and_exchanged),
		T(a_split_lock_is_the_guests_if_it_can),
		T(a_store_over_two_pages_goes_to_both),
		T(both_pages_are_checked_before_anything_is_written),
		T(a_store_does_not_leave_the_canonical_addresses),
		T(addresses_of_32_bit_code_wrap),
		T(segments_have_bases),
		T(pushes_go_to_the_stack),
		T(a_small_stack_wraps),
		T(a_breakpoint_on_the_operand_traps),
		T(alignment_is_checked),
	};

	return cmocka_run_group_tests(tests, world_map_memory, NULL);
}
