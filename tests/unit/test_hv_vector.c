/* SPDX-License-Identifier: MIT */
/*
 * Vector registers are read by their number: hv/emul/vector_read.S, on this processor's own.
 */
#include "hv/emul/vector.h"
#include "tests/unit/hv_fake.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

/* Load all vector registers from @from, 32 bytes for each, and have number @number read. */
#define LOAD(n)     "vmovups " #n "*32(%3), %%ymm" #n "\n\t"
#define LOAD_MMX(n) "movq " #n "*32(%3), %%mm" #n "\n\t"

static void read_loaded(
	void (*read)(unsigned number, void *bytes), unsigned number, const uint8_t *from, void *to)
{
	unsigned long rdi = number;
	void *rsi = to;

	__asm__ volatile(
		LOAD(0) LOAD(1) LOAD(2) LOAD(3) LOAD(4) LOAD(5) LOAD(6) LOAD(7) LOAD(8) LOAD(9)
			LOAD(10) LOAD(11) LOAD(12) LOAD(13) LOAD(14) LOAD(15) LOAD_MMX(0)
				LOAD_MMX(1) LOAD_MMX(2) LOAD_MMX(3) LOAD_MMX(4) LOAD_MMX(5)
					LOAD_MMX(6) LOAD_MMX(7) "call *%2\n\temms\n\tvzeroupper"
		: "+D"(rdi), "+S"(rsi)
		: "r"(read), "r"(from)
		: "rax", "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6",
		"xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "st",
		"st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)");
}

static void vector_registers_are_read_by_their_number(void **state)
{
	static const struct {
		void (*read)(unsigned number, void *bytes);
		unsigned n_registers, n_bytes;
	} rows[] = {
		{vector_read_mmx, 8, 8},
		{vector_read_xmm, 16, 16},
		{vector_read_ymm, 16, 32},
	};
	uint8_t from[16 * 32];

	(void)state;
	if (!__builtin_cpu_supports("avx"))
		skip();
	for (unsigned i = 0; i < sizeof(from); i++)
		from[i] = (uint8_t)(i ^ i >> 5);
	for (unsigned i = 0; i < N(rows); i++) {
		for (unsigned number = 0; number < rows[i].n_registers; number++) {
			uint8_t got[33];

			memset(got, 0xee, sizeof(got));
			read_loaded(rows[i].read, number, from, got);
			assert_memory_equal(got, from + 32 * number, rows[i].n_bytes);
			assert_int_equal(got[rows[i].n_bytes], 0xee);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vector_registers_are_read_by_their_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
