/* SPDX-License-Identifier: MIT */
/*
 * STOS and MOVS done for the guest: how much at once, in which direction, into what, and what a
 * fault in the middle leaves behind.
 */
#include "tests/unit/emul_world.h"

#define FROM FAR
#define DATA OTHER
#define DEV  0x700000ull

#define RFLAGS_DF (1ull << 10)

static int scene(void **state)
{
	world_table(state);
	for (unsigned i = 0; i < X86_PAGE_SIZE; i++)
		world_at(DATA)[i] = (uint8_t)(i * 7 + i / 256);
	world_page(AT + 0x1000, NEXT, 0);
	world_page(FROM, DATA, 0);
	guest.gpr[X86_RSI] = FROM;
	guest.gpr[X86_RCX] = 8;
	guest.gpr[X86_RAX] = 0x0807060504030201ull;
	return 0;
}

static void expect_registers(uint64_t rdi, uint64_t rsi, uint64_t rcx)
{
	assert_true(guest.gpr[X86_RDI] == rdi);
	assert_true(guest.gpr[X86_RSI] == rsi);
	assert_true(guest.gpr[X86_RCX] == rcx);
}

/* Some of it was done: the guest goes on with the rest. */
static void expect_part(void)
{
	assert_false(world.stopped);
	assert_int_equal(world.vector, -1);
	assert_true(guest.exit.rip == CODE_GVA);
	assert_int_equal(world.advanced, 1);
}

/* ---- how much ---- */

static void one_element_is_stored(void **state)
{
	(void)state;
	CODE(0x48, 0xab); /* stosq */
	world_store(AT);
	expect_done();
	expect_registers(AT + 8, FROM, 8);
	assert_true(word_at(TABLE) == 0x0807060504030201ull);
	/* The library has said where it goes. */
	assert_int_equal(world.n_faults, 0);
	guest.gpr[X86_RDI] = AT + 0x10;
	CODE(0x48, 0xa5); /* movsq */
	world_store(AT + 0x10);
	expect_done();
	expect_registers(AT + 0x18, FROM + 8, 8);
	assert_true(word_at(TABLE + 0x10) == word_at(DATA));
}

static void a_short_one_is_done_at_once(void **state)
{
	(void)state;
	CODE(0xf3, 0x48, 0xab); /* rep stosq */
	world_store(AT);
	expect_done();
	expect_registers(AT + 64, FROM, 0);
	for (unsigned i = 0; i < 9; i++)
		assert_true(word_at(TABLE + 8 * i) == (i < 8 ? 0x0807060504030201ull : 0));
	assert_int_equal(world.n_written, 1);
	scene(state);
	guest.gpr[X86_RCX] = 100;
	CODE(0xf3, 0xa4); /* rep movsb */
	world_store(AT);
	expect_done();
	expect_registers(AT + 100, FROM + 100, 0);
	assert_memory_equal(world_at(TABLE), world_at(DATA), 100);
	assert_int_equal(world_at(TABLE)[100], 0);
}

static void a_long_one_is_the_guests(void **state)
{
	static const struct {
		const char *code;
		unsigned n_bytes;
	} rows[] = {
		{"\xf3\xaa", 1},
		{"\xf3\xa4", 1},
		{"\xf3\xab", 4},
		{"\xf3\x48\xab", 8},
		{"\xf3\x48\xa5", 8},
	};

	for (unsigned i = 0; i < N(rows); i++) {
		for (unsigned down = 0; down < 2; down++) {
			uint64_t to = down ? AT + 0x1000 - rows[i].n_bytes : AT;

			scene(state);
			guest.exit.rflags |= down ? RFLAGS_DF : 0;
			guest.gpr[X86_RDI] = to;
			guest.gpr[X86_RCX] = X86_PAGE_SIZE / rows[i].n_bytes;
			world_code(rows[i].code, strlen(rows[i].code));
			world_store(to);
			expect_left();
			assert_int_equal(world.n_unshadowed, 1);
			assert_int_equal(world.n_written, 0);
		}
	}
}

/* Only what lies in this page counts. */
static void the_end_of_a_long_one_is_done(void **state)
{
	(void)state;
	guest.gpr[X86_RDI] = AT + 0xff0;
	guest.gpr[X86_RCX] = 1000;
	CODE(0xf3, 0x48, 0xab); /* rep stosq */
	world_store(AT + 0xff0);
	expect_part();
	expect_registers(AT + 0x1000, FROM, 998);
	assert_true(word_at(TABLE + 0xff8) == 0x0807060504030201ull);
	assert_int_equal(world.n_unshadowed, 0);
}

static void on_a_watched_frame_it_is_done_in_pieces(void **state)
{
	unsigned n = 0;

	(void)state;
	world_page(DEV, 0x400000, PAGE_TRACKED);
	guest.gpr[X86_RDI] = DEV;
	guest.gpr[X86_RCX] = 512;
	CODE(0xf3, 0x48, 0xa5); /* rep movsq */
	do {
		world_store(guest.gpr[X86_RDI]);
		assert_int_equal(world.vector, -1);
		n++;
	} while (guest.gpr[X86_RCX] > 0 && n < 100);
	assert_true(guest.exit.rip == CODE_GVA + 3);
	assert_int_equal(n, 8);
	assert_memory_equal(world_at(0x400000), world_at(DATA), X86_PAGE_SIZE);
}

/* ---- directions and overlaps ---- */

static void downwards(void **state)
{
	(void)state;
	guest.exit.rflags |= RFLAGS_DF;
	guest.gpr[X86_RDI] = AT + 0x100;
	guest.gpr[X86_RSI] = FROM + 0x80;
	CODE(0xf3, 0x48, 0xa5); /* rep movsq */
	world_store(AT + 0x100);
	expect_done();
	expect_registers(AT + 0x100 - 64, FROM + 0x80 - 64, 0);
	assert_memory_equal(world_at(TABLE + 0x108 - 64), world_at(DATA + 0x88 - 64), 64);
	assert_true(word_at(TABLE + 0x108 - 72) == 0);
	assert_true(word_at(TABLE + 0x108) == 0);
}

/* What one element stores, a later one loads. */
static void into_itself(void **state)
{
	(void)state;
	memset(world_at(TABLE), 0x5a, 8);
	guest.gpr[X86_RSI] = AT;
	guest.gpr[X86_RDI] = AT + 8;
	CODE(0xf3, 0x48, 0xa5); /* rep movsq */
	world_store(AT + 8);
	expect_done();
	for (unsigned i = 0; i < 9; i++)
		assert_true(word_at(TABLE + 8 * i) == 0x5a5a5a5a5a5a5a5aull);
	assert_true(word_at(TABLE + 72) == 0);
	/* The other way, all of it is as it was. */
	scene(state);
	for (unsigned i = 0; i < 8; i++)
		world_at(TABLE + 8 * i)[0] = (uint8_t)(i + 1);
	guest.exit.rflags |= RFLAGS_DF;
	guest.gpr[X86_RSI] = AT + 56;
	guest.gpr[X86_RDI] = AT + 64;
	CODE(0xf3, 0x48, 0xa5);
	world_store(AT + 64);
	expect_done();
	for (unsigned i = 1; i < 9; i++)
		assert_int_equal(word_at(TABLE + 8 * i), i);
}

static void over_two_pages(void **state)
{
	(void)state;
	guest.gpr[X86_RDI] = AT + 0xffc;
	guest.gpr[X86_RCX] = 3;
	CODE(0xf3, 0x48, 0xab); /* rep stosq */
	world_store(AT + 0xffc);
	expect_part();
	expect_registers(AT + 0x1004, FROM, 2);
	assert_int_equal(word_at(TABLE + 0xff8) >> 32, 0x04030201);
	assert_int_equal(word_at(NEXT), 0x08070605);
}

/* ---- faults and traps ---- */

static void a_source_that_ends_is_loaded_up_to_there(void **state)
{
	(void)state;
	guest.gpr[X86_RSI] = FROM + 0x1000 - 24;
	CODE(0xf3, 0x48, 0xa5); /* rep movsq */
	world_store(AT);
	expect_part();
	expect_registers(AT + 24, FROM + 0x1000, 5);
	world_store(AT + 24);
	expect_page_fault(FROM + 0x1000, X86_PF_U);
	expect_registers(AT + 24, FROM + 0x1000, 5);
	assert_memory_equal(world_at(TABLE), world_at(DATA + 0x1000 - 24), 24);
	assert_true(word_at(TABLE + 24) == 0);
}

static void a_trap_comes_after_each(void **state)
{
	(void)state;
	guest.exit.rflags |= X86_RFLAGS_TF;
	CODE(0xf3, 0x48, 0xab); /* rep stosq */
	world_store(AT);
	expect_part();
	expect_registers(AT + 8, FROM, 7);
	scene(state);
	world.dr7 = 1u << 0 | 3u << 16; /* DR0, accesses */
	world.dr[0] = FROM + 9;
	CODE(0xf3, 0x48, 0xa5); /* rep movsq */
	world_store(AT);
	expect_part();
	assert_int_equal(world.dr6, 0);
	world_store(AT + 8);
	expect_part();
	expect_registers(AT + 16, FROM + 16, 6);
	assert_int_equal(world.dr6, 1);
}

/* ---- 32- and 16-bit code ---- */

static void in_32_bit_code(void **state)
{
	(void)state;
	world.size = X86_CODE_32;
	world.segments[X86_SEG_ES].base = 0x400000;
	guest.gpr[X86_RDI] = AT - 0x400000;
	guest.gpr[X86_RCX] = 6;
	CODE(0xf3, 0xab); /* rep stosd */
	world_store(AT);
	expect_done();
	expect_registers(AT + 24 - 0x400000, FROM, 0);
	for (unsigned i = 0; i < 3; i++)
		assert_true(word_at(TABLE + 8 * i) == 0x0403020104030201ull);
	/* The segment ends in the middle: the processor finds out. */
	scene(state);
	world.size = X86_CODE_32;
	world.segments[X86_SEG_ES].limit = AT + 15;
	CODE(0xf3, 0xab);
	world_store(AT);
	expect_part();
	expect_registers(AT + 4, FROM, 7);
}

static void in_16_bit_code_addresses_wrap(void **state)
{
	(void)state;
	world.size = X86_CODE_16;
	world.segments[X86_SEG_ES].base = AT - 0xf000;
	guest.gpr[X86_RDI] = 0xabcdfffe;
	guest.gpr[X86_RCX] = 0x12340005;
	CODE(0xf3, 0xab); /* rep stosw */
	world_store(AT + 0xffe);
	expect_part();
	expect_registers(0xabcd0000, FROM, 0x12340004);
	assert_int_equal(word_at(TABLE + 0xff8) >> 48, 0x0201);
	assert_true(word_at(NEXT) == 0);
}

/* In 64-bit code, too, offsets of 32 bits wrap before the base is added. */
static void short_addresses_wrap_below_a_base(void **state)
{
	(void)state;
	world.segments[X86_SEG_FS].base = FROM + 0x100 - 0xfffffff8ull;
	world_page(FROM + 0x100 - 0x100000000ull, NEXT, 0);
	memset(world_at(NEXT + 0x108), 0x33, 8);
	guest.gpr[X86_RSI] = 0xfffffff8;
	guest.gpr[X86_RCX] = 2;
	CODE(0xf3, 0x64, 0x67, 0x48, 0xa5); /* rep movsq [edi], fs:[esi] */
	world_store(AT);
	expect_part();
	expect_registers(AT + 8, 0, 1);
	world_store(AT + 8);
	expect_done();
	assert_true(word_at(TABLE) == word_at(DATA + 0x100));
	assert_true(word_at(TABLE + 8) == 0x3333333333333333ull);
}

/* Other code is there by now. */
static void of_nothing_nothing_is_done(void **state)
{
	(void)state;
	guest.gpr[X86_RCX] = 0;
	CODE(0xf3, 0x48, 0xab); /* rep stosq */
	world_store(AT);
	expect_done();
	expect_registers(AT, FROM, 0);
	assert_true(word_at(TABLE) == 0);
}

/* ---- devices, nothing ---- */

static void a_device_sees_single_accesses(void **state)
{
	(void)state;
	world_page(DEV, RAM_END, PAGE_TRACKED | PAGE_DEVICE);
	guest.gpr[X86_RDI] = DEV;
	guest.gpr[X86_RCX] = 4;
	CODE(0xf3, 0xa5); /* rep movsd */
	world_store(DEV);
	expect_done();
	assert_int_equal(world.n_written, 4);
	assert_int_equal(world.written_bytes, 4);
	assert_memory_equal(world_at(RAM_END), world_at(DATA), 16);
}

static void into_nothing(void **state)
{
	(void)state;
	world_page(DEV, HV_BASE, PAGE_ABSENT);
	memset(world_at(HV_BASE), 0x77, X86_PAGE_SIZE);
	guest.gpr[X86_RDI] = DEV;
	CODE(0xf3, 0x48, 0xab); /* rep stosq */
	world_absent(DEV);
	expect_done();
	expect_registers(DEV + 64, FROM, 0);
	assert_true(word_at(HV_BASE) == 0x7777777777777777ull);
	assert_int_equal(world.n_written, 0);
}

#define T(test) cmocka_unit_test_setup(test, scene)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(one_element_is_stored),
		T(a_short_one_is_done_at_once),
		T(a_long_one_is_the_guests),
		T(the_end_of_a_long_one_is_done),
		T(on_a_watched_frame_it_is_done_in_pieces),
		T(downwards),
		T(into_itself),
		T(over_two_pages),
		T(a_source_that_ends_is_loaded_up_to_there),
		T(a_trap_comes_after_each),
		T(in_32_bit_code),
		T(in_16_bit_code_addresses_wrap),
		T(short_addresses_wrap_below_a_base),
		T(of_nothing_nothing_is_done),
		T(a_device_sees_single_accesses),
		T(into_nothing),
	};

	return cmocka_run_group_tests(tests, world_map_memory, NULL);
}
