/* SPDX-License-Identifier: MIT */
/*
 * Stores that are left to the guest; what is done where that does not help; accesses to memory that
 * is not there.
 */
#include "tests/unit/emul_world.h"

/* ---- left to the guest ---- */

static void what_is_not_known_is_left_to_the_guest(void **state)
{
	static const char *const codes[] = {
		"\xe8\1\2\3\4", /* call: its stack is the table */
		"\x0f\xae\x07", /* fxsave [rdi] */
		"\x0f\x11\x07", /* movups [rdi], xmm0 */
		"\x6d",         /* insd */
		"\xd9\x1f",     /* fstp dword [rdi] */
	};

	for (unsigned i = 0; i < N(codes); i++) {
		world_table(state);
		world_code(codes[i], strlen(codes[i]));
		world_store(AT);
		expect_left();
		assert_int_equal(world.n_unshadowed, 1);
		assert_int_equal(world.n_written, 0);
	}
	/* The processor's own store, while it delivers an interrupt. */
	world_table(state);
	world.vectoring = true;
	CODE(0x48, 0x89, 0x07); /* mov [rdi], rax: has nothing to do with it */
	world_store(AT);
	expect_left();
	assert_int_equal(world.n_unshadowed, 1);
	assert_int_equal(world.n_written, 0);
}

static void a_store_that_makes_no_progress_stops_the_guest(void **state)
{
	unsigned n = 0;

	(void)state;
	CODE(0x0f, 0xae, 0x07); /* fxsave [rdi] */
	do {
		world_store(AT);
	} while (!world.stopped && ++n < 10000);
	assert_int_equal(n, STUCK_TIMES);
	assert_says(hv_fake_text, "makes no progress");
	/* Registers that move are progress. */
	world_table(state);
	for (n = 0; n < 2 * STUCK_TIMES; n++) {
		guest.gpr[X86_RSP]++;
		world_store(AT);
		assert_false(world.stopped);
	}
}

static void a_watched_frame_is_never_left_to_the_guest(void **state)
{
	(void)state;
	world_page(FAR, OTHER, PAGE_TRACKED);
	guest.gpr[X86_RDI] = FAR;
	CODE(0x0f, 0xae, 0x07); /* fxsave [rdi] */
	world_store(FAR);
	assert_true(world.stopped);
	assert_says(hv_fake_text, "cannot be done");
}

static void vector_stores_are_done_where_nothing_else_helps(void **state)
{
	static const struct {
		const char *code;
		unsigned n_bytes;
		unsigned first; /* byte of the register, of which number 5 has 0x50 and so on */
	} rows[] = {
		{"\x0f\x11\x2f", 16, 0},        /* movups [rdi], xmm5 */
		{"\x66\x0f\xe7\x2f", 16, 0},    /* movntdq */
		{"\xf2\x0f\x11\x2f", 8, 0},     /* movsd */
		{"\xf3\x0f\x11\x2f", 4, 0},     /* movss */
		{"\x66\x0f\x17\x2f", 8, 8},     /* movhpd */
		{"\x66\x48\x0f\x7e\x2f", 8, 0}, /* movq [rdi], xmm5 */
		{"\xc5\xfc\x11\x2f", 32, 0},    /* vmovups [rdi], ymm5 */
		{"\x0f\x7f\x2f", 8, 0},         /* movq [rdi], mm5 */
	};

	for (unsigned i = 0; i < N(rows); i++) {
		world_table(state);
		world_page(FAR, OTHER, PAGE_TRACKED);
		world_page(FAR + 0x1000, NEXT, PAGE_TRACKED);
		guest.gpr[X86_RDI] = FAR + 0xffe;
		world_code(rows[i].code, strlen(rows[i].code));
		world_store(FAR + 0xffe);
		expect_done();
		assert_int_equal(world.n_written, 2);
		assert_int_equal(world.written_at, NEXT);
		assert_int_equal(world.written_bytes, rows[i].n_bytes - 2);
		for (unsigned at = 0; at < rows[i].n_bytes; at++) {
			umbra_gpa gpa = at < 2 ? OTHER + 0xffe + at : NEXT + at - 2;

			assert_int_equal(*world_at(gpa), 0x50 + rows[i].first + at);
		}
	}
}

/* ---- memory that is not there ---- */

static void absent_memory_takes_stores_and_reads_as_ones(void **state)
{
	(void)state;
	world_page(FAR, HV_BASE, PAGE_ABSENT);
	guest.gpr[X86_RDI] = FAR;
	memset(world_at(HV_BASE), 0x5a, X86_PAGE_SIZE);
	CODE(0x48, 0x89, 0x07); /* mov [rdi], rax */
	world_absent(FAR);
	expect_done();
	CODE(0x48, 0x87, 0x07); /* xchg [rdi], rax */
	world_absent(FAR);
	expect_done();
	assert_true(guest.gpr[X86_RAX] == ~0ull);
	assert_true(word_at(HV_BASE) == 0x5a5a5a5a5a5a5a5aull);
	assert_int_equal(world.n_written, 0);
	/* Half of it is memory. */
	world_page(FAR - 0x1000, OTHER, 0);
	guest.gpr[X86_RDI] = FAR - 4;
	guest.gpr[X86_RAX] = 0x1122334455667788ull;
	CODE(0x48, 0x89, 0x07);
	world_absent(FAR);
	expect_done();
	assert_int_equal(word_at(OTHER + 0xff8) >> 32, 0x55667788);
	assert_true(word_at(HV_BASE) == 0x5a5a5a5a5a5a5a5aull);
}

/* That memory does not exist in this program. */
static void interrupt_messages_are_not_sent(void **state)
{
	static const umbra_gpa at[] = {0xfee00000, 0xfee01000, 0xfeeff000, 0xfeeffff8};

	for (unsigned i = 0; i < N(at); i++) {
		world_table(state);
		world_page(FAR, at[i], PAGE_ABSENT);
		guest.gpr[X86_RDI] = FAR + at[i] % X86_PAGE_SIZE;
		CODE(0x89, 0x07); /* mov [rdi], eax */
		world_absent(guest.gpr[X86_RDI]);
		expect_done();
	}
}

static void what_is_not_known_there_stops_the_guest(void **state)
{
	(void)state;
	world_page(FAR, HV_BASE, PAGE_ABSENT);
	guest.gpr[X86_RDI] = FAR;
	CODE(0x0f, 0xae, 0x07); /* fxsave [rdi] */
	world_absent(FAR);
	assert_true(world.stopped);
	world.vectoring = true;
	world_absent(FAR);
	assert_true(world.stopped);
	assert_says(hv_fake_text, "being delivered");
}

#define T(test) cmocka_unit_test_setup(test, world_table)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_is_not_known_is_left_to_the_guest),
		T(a_store_that_makes_no_progress_stops_the_guest),
		T(a_watched_frame_is_never_left_to_the_guest),
		T(vector_stores_are_done_where_nothing_else_helps),
		T(absent_memory_takes_stores_and_reads_as_ones),
		T(interrupt_messages_are_not_sent),
		T(what_is_not_known_there_stops_the_guest),
	};

	return cmocka_run_group_tests(tests, world_map_memory, NULL);
}
