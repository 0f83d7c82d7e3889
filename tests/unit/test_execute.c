/* SPDX-License-Identifier: MIT */
/*
 * Emulated instructions against the processor that runs the test: the same bytes are decoded and
 * emulated here and executed there, on the same values.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "x86/execute.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

#define CF         0x001u
#define PF         0x004u
#define AF         0x010u
#define ZF         0x040u
#define SF         0x080u
#define OF         0x800u
#define ARITHMETIC (CF | PF | AF | ZF | SF | OF)
#define LOGIC      (CF | PF | ZF | SF | OF) /* AF is undefined */

/* Operands: memory [RDI], register RCX, accumulator RAX. Undefined flags are not in .flags. */
struct row {
	const char *text;
	uint8_t n;
	uint8_t bytes[X86_INSN_MAX];
	uint32_t flags;
};

static const struct row rows[] = {
	{"mov [rdi], rcx", 3, {0x48, 0x89, 0x0f}, ARITHMETIC},
	{"mov [rdi], ch", 2, {0x88, 0x2f}, ARITHMETIC},
	{"mov qword [rdi], -2", 7, {0x48, 0xc7, 0x07, 0xfe, 0xff, 0xff, 0xff}, ARITHMETIC},
	{"mov ecx, [rdi]", 2, {0x8b, 0x0f}, ARITHMETIC},
	{"mov cl, [rdi]", 2, {0x8a, 0x0f}, ARITHMETIC},
	{"movzx rcx, byte [rdi]", 4, {0x48, 0x0f, 0xb6, 0x0f}, ARITHMETIC},
	{"movsx cx, byte [rdi]", 4, {0x66, 0x0f, 0xbe, 0x0f}, ARITHMETIC},
	{"movsx rcx, dword [rdi]", 3, {0x48, 0x63, 0x0f}, ARITHMETIC},
	{"xchg [rdi], rcx", 3, {0x48, 0x87, 0x0f}, ARITHMETIC},
	{"xchg [rdi], cx", 3, {0x66, 0x87, 0x0f}, ARITHMETIC},
	{"add [rdi], rcx", 3, {0x48, 0x01, 0x0f}, ARITHMETIC},
	{"add [rdi], cl", 2, {0x00, 0x0f}, ARITHMETIC},
	{"adc [rdi], ecx", 2, {0x11, 0x0f}, ARITHMETIC},
	{"sbb [rdi], rcx", 3, {0x48, 0x19, 0x0f}, ARITHMETIC},
	{"sub [rdi], cx", 3, {0x66, 0x29, 0x0f}, ARITHMETIC},
	{"cmp [rdi], rcx", 3, {0x48, 0x39, 0x0f}, ARITHMETIC},
	{"cmp ecx, [rdi]", 2, {0x3b, 0x0f}, ARITHMETIC},
	{"or [rdi], rcx", 3, {0x48, 0x09, 0x0f}, LOGIC},
	{"lock and [rdi], ecx", 3, {0xf0, 0x21, 0x0f}, LOGIC},
	{"and byte [rdi], 0xfd", 3, {0x80, 0x27, 0xfd}, LOGIC},
	{"and qword [rdi], -3", 4, {0x48, 0x83, 0x27, 0xfd}, LOGIC},
	{"xor cl, [rdi]", 2, {0x32, 0x0f}, LOGIC},
	{"test [rdi], rcx", 3, {0x48, 0x85, 0x0f}, LOGIC},
	{"test byte [rdi], 0x81", 3, {0xf6, 0x07, 0x81}, LOGIC},
	{"inc qword [rdi]", 3, {0x48, 0xff, 0x07}, ARITHMETIC},
	{"dec byte [rdi]", 2, {0xfe, 0x0f}, ARITHMETIC},
	{"not dword [rdi]", 2, {0xf7, 0x17}, ARITHMETIC},
	{"neg qword [rdi]", 3, {0x48, 0xf7, 0x1f}, ARITHMETIC},
	{"lock xadd [rdi], rcx", 5, {0xf0, 0x48, 0x0f, 0xc1, 0x0f}, ARITHMETIC},
	{"lock cmpxchg [rdi], rcx", 5, {0xf0, 0x48, 0x0f, 0xb1, 0x0f}, ARITHMETIC},
	{"cmpxchg [rdi], cl", 3, {0x0f, 0xb0, 0x0f}, ARITHMETIC},
	{"cmpxchg [rdi], cx", 4, {0x66, 0x0f, 0xb1, 0x0f}, ARITHMETIC},
	{"bts qword [rdi], 63", 5, {0x48, 0x0f, 0xba, 0x2f, 63}, CF | ZF},
	{"lock btr dword [rdi], 1", 5, {0xf0, 0x0f, 0xba, 0x37, 1}, CF | ZF},
	{"btc word [rdi], 20", 5, {0x66, 0x0f, 0xba, 0x3f, 20}, CF | ZF},
	{"bt dword [rdi], 3", 4, {0x0f, 0xba, 0x27, 3}, CF | ZF},
};

static const uint64_t values[] = {
	0,
	1,
	2,
	0x7f,
	0x80,
	0xff,
	0x7fff,
	0x8000,
	0x7fffffff,
	0x80000000,
	0xffffffff,
	0x7fffffffffffffff,
	0x8000000000000000,
	0xffffffffffffffff,
	0x0123456789abcdef,
	0x8000000012345063,
};

struct machine {
	uint64_t rax, rcx, rflags, memory;
};

/* A page of code: the instruction, then RET. */
static uint8_t *code;

static int make_code(void **state)
{
	(void)state;
	code = mmap(
		NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return code == MAP_FAILED ? -1 : 0;
}

static void run_processor(struct machine *m)
{
	uint64_t rflags = (m->rflags & ARITHMETIC) | 2;

	/* The red zone is stepped over, since PUSH and CALL write below RSP. */
	__asm__ volatile("lea -256(%%rsp), %%rsp\n\t"
			 "push %[flags]\n\t"
			 "popf\n\t"
			 "call *%[code]\n\t"
			 "pushf\n\t"
			 "pop %[flags]\n\t"
			 "lea 256(%%rsp), %%rsp"
			 : "+a"(m->rax), "+c"(m->rcx), [flags] "+&r"(rflags), "+m"(m->memory)
			 : "D"(&m->memory), [code] "r"(code)
			 : "memory", "cc");
	m->rflags = rflags & ARITHMETIC;
}

static void run_emulator(const struct row *row, struct machine *m)
{
	uint64_t gpr[X86_GPRS] = {[X86_RAX] = m->rax, [X86_RCX] = m->rcx};
	struct x86_state state = {.gpr = gpr, .rflags = m->rflags};
	uint64_t memory = m->memory;
	struct x86_insn insn;
	bool stores;

	assert_int_equal(x86_decode(&insn, X86_CODE_64, row->bytes, row->n), X86_DECODE_OK);
	assert_true(x86_execute(&insn, &state, &memory, &stores));
	if (stores)
		memcpy(&m->memory, &memory, insn.operand_bytes);
	m->rax = gpr[X86_RAX];
	m->rcx = gpr[X86_RCX];
	m->rflags = state.rflags & ARITHMETIC;
}

static void check(const struct row *row, const struct machine *before)
{
	struct machine processor = *before;
	struct machine emulator = *before;

	run_processor(&processor);
	run_emulator(row, &emulator);
	if (processor.rax != emulator.rax || processor.rcx != emulator.rcx ||
		processor.memory != emulator.memory ||
		(processor.rflags ^ emulator.rflags) & row->flags)
		fail_msg("%s with memory %llx rcx %llx rax %llx flags %llx: processor %llx %llx "
			 "%llx %llx, "
			 "emulator %llx %llx %llx %llx",
			row->text, (unsigned long long)before->memory,
			(unsigned long long)before->rcx, (unsigned long long)before->rax,
			(unsigned long long)before->rflags, (unsigned long long)processor.memory,
			(unsigned long long)processor.rcx, (unsigned long long)processor.rax,
			(unsigned long long)processor.rflags, (unsigned long long)emulator.memory,
			(unsigned long long)emulator.rcx, (unsigned long long)emulator.rax,
			(unsigned long long)emulator.rflags);
}

static void emulation_does_what_the_processor_does(void **state)
{
	(void)state;
	for (size_t r = 0; r < N(rows); r++) {
		memcpy(code, rows[r].bytes, rows[r].n);
		code[rows[r].n] = 0xc3;
		for (size_t a = 0; a < N(values); a++) {
			for (size_t b = 0; b < N(values); b++) {
				/* The accumulator equals memory in one half of the cases, for
				 * CMPXCHG. */
				struct machine m = {values[b], values[b], 0, values[a]};

				check(&rows[r], &m);
				m.rax = values[a];
				m.rflags = ARITHMETIC;
				check(&rows[r], &m);
			}
		}
	}
}

static void unknown_instructions_change_nothing(void **state)
{
	static const struct row unknown[] = {
		{"push [rdi]", 2, {0xff, 0x37}, 0},
		{"movups [rdi], xmm0", 3, {0x0f, 0x11, 0x07}, 0},
		{"rep stosq", 3, {0xf3, 0x48, 0xab}, 0},
		{"mov ecx, eax", 2, {0x89, 0xc1}, 0},
	};

	(void)state;
	for (size_t i = 0; i < N(unknown); i++) {
		uint64_t gpr[X86_GPRS] = {1, 2, 3, 4};
		struct x86_state s = {.gpr = gpr, .rflags = ARITHMETIC};
		uint64_t memory = 5;
		struct x86_insn insn;
		bool stores;

		assert_int_equal(x86_decode(&insn, X86_CODE_64, unknown[i].bytes, unknown[i].n),
			X86_DECODE_OK);
		assert_false(x86_execute(&insn, &s, &memory, &stores));
		assert_int_equal(gpr[X86_RAX] + gpr[X86_RCX] + gpr[X86_RDX] + gpr[X86_RBX], 10);
		assert_int_equal(s.rflags, ARITHMETIC);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(emulation_does_what_the_processor_does),
		cmocka_unit_test(unknown_instructions_change_nothing),
	};

	return cmocka_run_group_tests(tests, make_code, NULL);
}
