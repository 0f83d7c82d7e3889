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

#define SHIFT_BY_1 (CF | PF | ZF | SF | OF)
#define SHIFT      (PF | ZF | SF) /* by any number: CF is undefined beyond the operand */

/* Operands: memory [RDI], register RCX, accumulator RAX, and RDX and RBX for pairs. Undefined flags
 * are not in .flags. */
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
	{"test [rdi], cl", 2, {0x84, 0x0f}, LOGIC},
	{"xchg [rdi], cl", 2, {0x86, 0x0f}, ARITHMETIC},
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
	{"cmpxchg [rdi], ecx", 3, {0x0f, 0xb1, 0x0f}, ARITHMETIC},
	{"xadd [rdi], cl", 3, {0x0f, 0xc0, 0x0f}, ARITHMETIC},
	{"xadd [rdi], ecx", 3, {0x0f, 0xc1, 0x0f}, ARITHMETIC},
	{"adc byte [rdi], -1", 3, {0x80, 0x17, 0xff}, ARITHMETIC},
	{"sbb word [rdi], 1", 4, {0x66, 0x83, 0x1f, 1}, ARITHMETIC},
	{"sub cl, [rdi]", 2, {0x2a, 0x0f}, ARITHMETIC},
	{"add qword [rdi], 0x7fffffff", 7, {0x48, 0x81, 0x07, 0xff, 0xff, 0xff, 0x7f}, ARITHMETIC},
	{"inc word [rdi]", 3, {0x66, 0xff, 0x07}, ARITHMETIC},
	{"dec qword [rdi]", 3, {0x48, 0xff, 0x0f}, ARITHMETIC},
	{"neg byte [rdi]", 2, {0xf6, 0x1f}, ARITHMETIC},
	{"not qword [rdi]", 3, {0x48, 0xf7, 0x17}, ARITHMETIC},
	{"movnti [rdi], rcx", 4, {0x48, 0x0f, 0xc3, 0x0f}, ARITHMETIC},
	{"lock cmpxchg8b [rdi]", 4, {0xf0, 0x0f, 0xc7, 0x0f}, ARITHMETIC},
	{"lock cmpxchg16b [rdi]", 5, {0xf0, 0x48, 0x0f, 0xc7, 0x0f}, ARITHMETIC},
	{"shl byte [rdi], 1", 2, {0xd0, 0x27}, SHIFT_BY_1},
	{"shl qword [rdi], 1", 3, {0x48, 0xd1, 0x27}, SHIFT_BY_1},
	{"shr word [rdi], 1", 3, {0x66, 0xd1, 0x2f}, SHIFT_BY_1},
	{"sar dword [rdi], 1", 2, {0xd1, 0x3f}, SHIFT_BY_1},
	{"shl dword [rdi], 5", 3, {0xc1, 0x27, 5}, SHIFT | CF},
	{"shr qword [rdi], 63", 4, {0x48, 0xc1, 0x2f, 63}, SHIFT | CF},
	{"sar byte [rdi], 7", 3, {0xc0, 0x3f, 7}, SHIFT | CF},
	{"shl byte [rdi], cl", 2, {0xd2, 0x27}, SHIFT},
	{"shr word [rdi], cl", 3, {0x66, 0xd3, 0x2f}, SHIFT},
	{"shr dword [rdi], cl", 2, {0xd3, 0x2f}, SHIFT | CF},
	{"sar qword [rdi], cl", 3, {0x48, 0xd3, 0x3f}, SHIFT | CF},
	{"rol byte [rdi], 1", 2, {0xd0, 0x07}, ARITHMETIC},
	{"ror qword [rdi], 1", 3, {0x48, 0xd1, 0x0f}, ARITHMETIC},
	{"rol byte [rdi], cl", 2, {0xd2, 0x07}, ARITHMETIC & ~OF},
	{"rol qword [rdi], cl", 3, {0x48, 0xd3, 0x07}, ARITHMETIC & ~OF},
	{"ror word [rdi], cl", 3, {0x66, 0xd3, 0x0f}, ARITHMETIC & ~OF},
	{"ror dword [rdi], 9", 3, {0xc1, 0x0f, 9}, ARITHMETIC & ~OF},
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
	uint64_t rax, rcx, rdx, rbx, rflags;
	_Alignas(16) uint64_t memory[2];
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
	__asm__ volatile(
		"lea -256(%%rsp), %%rsp\n\t"
		"push %[flags]\n\t"
		"popf\n\t"
		"call *%[code]\n\t"
		"pushf\n\t"
		"pop %[flags]\n\t"
		"lea 256(%%rsp), %%rsp"
		: "+a"(m->rax), "+c"(m->rcx), "+d"(m->rdx), "+b"(m->rbx), [flags] "+&r"(rflags)
		: "D"(m->memory), [code] "r"(code)
		: "memory", "cc");
	m->rflags = rflags & ARITHMETIC;
}

static void run_emulator(const struct row *row, struct machine *m)
{
	uint64_t gpr[X86_GPRS] = {m->rax, m->rcx, m->rdx, m->rbx};
	struct x86_state state = {.gpr = gpr, .rflags = m->rflags};
	uint64_t memory[2] = {m->memory[0], m->memory[1]};
	struct x86_insn insn;
	bool stores;

	assert_int_equal(x86_decode(&insn, X86_CODE_64, row->bytes, row->n), X86_DECODE_OK);
	assert_true(x86_execute(&insn, &state, memory, &stores));
	if (stores)
		memcpy(m->memory, memory, insn.operand_bytes);
	m->rax = gpr[X86_RAX];
	m->rcx = gpr[X86_RCX];
	m->rdx = gpr[X86_RDX];
	m->rbx = gpr[X86_RBX];
	m->rflags = state.rflags & ARITHMETIC;
}

static void say(const char *who, const struct machine *m)
{
	print_error("%-9s rax %016llx rcx %016llx rdx %016llx rbx %016llx memory %016llx %016llx "
		    "flags %03llx\n",
		who, (unsigned long long)m->rax, (unsigned long long)m->rcx,
		(unsigned long long)m->rdx, (unsigned long long)m->rbx,
		(unsigned long long)m->memory[0], (unsigned long long)m->memory[1],
		(unsigned long long)m->rflags);
}

static void check(const struct row *row, const struct machine *before)
{
	struct machine processor = *before;
	struct machine emulator = *before;

	run_processor(&processor);
	run_emulator(row, &emulator);
	if (processor.rax == emulator.rax && processor.rcx == emulator.rcx &&
		processor.rdx == emulator.rdx && processor.rbx == emulator.rbx &&
		memcmp(processor.memory, emulator.memory, sizeof(emulator.memory)) == 0 &&
		!((processor.rflags ^ emulator.rflags) & row->flags))
		return;
	say("before", before);
	say("processor", &processor);
	say("emulator", &emulator);
	fail_msg("%s", row->text);
}

static void place_code(const struct row *row)
{
	memcpy(code, row->bytes, row->n);
	code[row->n] = 0xc3;
}

static void emulation_does_what_the_processor_does(void **state)
{
	(void)state;
	for (size_t r = 0; r < N(rows); r++) {
		place_code(&rows[r]);
		for (size_t a = 0; a < N(values); a++) {
			for (size_t b = 0; b < N(values); b++) {
				/* The accumulator, or the pair with RDX, equals memory in one half
				 * of the cases, for CMPXCHG and its like. */
				struct machine m = {values[b], values[b], values[a], ~values[b], 0,
					{values[a], values[b] + 1}};

				check(&rows[r], &m);
				m.rax = values[a];
				m.rflags = ARITHMETIC;
				m.rdx = values[a] >> 32;
				check(&rows[r], &m);
				m.rdx = m.memory[1];
				check(&rows[r], &m);
			}
		}
	}
}

static void setcc_reads_all_flags(void **state)
{
	(void)state;
	for (unsigned condition = 0; condition < 16; condition++) {
		struct row row = {
			"setcc [rdi]", 3, {0x0f, (uint8_t)(0x90 + condition), 0x07}, ARITHMETIC};

		place_code(&row);
		for (unsigned flags = 0; flags <= ARITHMETIC; flags++) {
			struct machine m = {.rflags = flags & ARITHMETIC, .memory = {~0ull}};

			check(&row, &m);
		}
	}
}

static void unknown_instructions_change_nothing(void **state)
{
	static const struct row unknown[] = {
		{"push [rdi]", 2, {0xff, 0x37}, 0}, /* in a stack of unknown width */
		{"push fs", 2, {0x0f, 0xa0}, 0},
		{"mov [rdi], ds", 2, {0x8c, 0x1f}, 0}, /* selectors are unknown */
		{"xsave [rdi]", 3, {0x0f, 0xae, 0x27}, 0},
		{"mul dword [rdi]", 2, {0xf7, 0x27}, 0},
		{"rcl dword [rdi], 1", 2, {0xd1, 0x17}, 0},
		{"invlpg [rdi]", 3, {0x0f, 0x01, 0x3f}, 0},
		{"movups [rdi], xmm0", 3, {0x0f, 0x11, 0x07}, 0},
		{"rep stosq", 3, {0xf3, 0x48, 0xab}, 0},
		{"mov ecx, eax", 2, {0x89, 0xc1}, 0},
	};

	(void)state;
	for (size_t i = 0; i < N(unknown); i++) {
		uint64_t gpr[X86_GPRS] = {1, 2, 3, 4};
		struct x86_state s = {.gpr = gpr, .rflags = ARITHMETIC};
		uint64_t memory[2] = {5};
		struct x86_insn insn;
		bool stores;

		assert_int_equal(x86_decode(&insn, X86_CODE_64, unknown[i].bytes, unknown[i].n),
			X86_DECODE_OK);
		assert_false(x86_execute(&insn, &s, memory, &stores));
		assert_int_equal(gpr[X86_RAX] + gpr[X86_RCX] + gpr[X86_RDX] + gpr[X86_RBX], 10);
		assert_int_equal(s.rflags, ARITHMETIC);
	}
}

/* ---- by hand: what a test in 64-bit user code cannot show ---- */

/* Register n holds 0x1111111111111111 * (n + 1), memory 0xa8a7a6a5a4a3a2a1; the selector of segment
 * n is 0x10 + n. */
#define SP 0x5555555555555555u

static void pushes_follow_the_manual(void **state)
{
	static const struct {
		enum x86_code_size size;
		unsigned stack_bytes;
		uint8_t n;
		uint8_t bytes[8];
		uint64_t stored;
		uint64_t rsp;
	} pushes[] = {
		{X86_CODE_64, 8, 1, {0x50}, 0x1111111111111111, SP - 8},
		{X86_CODE_64, 8, 2, {0x41, 0x50}, 0x9999999999999999, SP - 8},
		{X86_CODE_64, 8, 2, {0x66, 0x50}, 0x1111, SP - 2},
		/* PUSH RSP pushes what RSP was. */
		{X86_CODE_64, 8, 1, {0x54}, SP, SP - 8},
		{X86_CODE_64, 8, 2, {0xff, 0xf1}, 0x2222222222222222, SP - 8},
		{X86_CODE_64, 8, 2, {0xff, 0x31}, 0xa8a7a6a5a4a3a2a1, SP - 8},
		{X86_CODE_64, 8, 3, {0x66, 0xff, 0x31}, 0xa2a1, SP - 2},
		{X86_CODE_64, 8, 2, {0x6a, 0xfe}, ~1ull, SP - 8},
		{X86_CODE_64, 8, 3, {0x66, 0x6a, 0xfe}, 0xfffe, SP - 2},
		{X86_CODE_64, 8, 5, {0x68, 1, 2, 3, 0x84}, 0xffffffff84030201, SP - 8},
		{X86_CODE_64, 8, 2, {0x0f, 0xa8}, 0x15, SP - 8},
		{X86_CODE_32, 4, 1, {0x51}, 0x22222222, 0x55555551},
		{X86_CODE_32, 4, 2, {0x66, 0x51}, 0x2222, 0x55555553},
		{X86_CODE_32, 4, 1, {0x1e}, 0x13, 0x55555551},
		{X86_CODE_32, 4, 2, {0x66, 0x06}, 0x10, 0x55555553},
		{X86_CODE_32, 4, 2, {0x6a, 0xfe}, 0xfffffffe, 0x55555551},
		{X86_CODE_32, 4, 2, {0xff, 0x31}, 0xa4a3a2a1, 0x55555551},
		/* SS.B=0: only SP moves. */
		{X86_CODE_32, 2, 1, {0x51}, 0x22222222, 0x5555555555555551},
		{X86_CODE_16, 2, 1, {0x51}, 0x2222, 0x5555555555555553},
		{X86_CODE_16, 4, 2, {0x66, 0x51}, 0x22222222, 0x55555551},
	};
	static const uint16_t selectors[] = {0x10, 0x11, 0x12, 0x13, 0x14, 0x15};

	(void)state;
	for (size_t i = 0; i < N(pushes); i++) {
		uint64_t gpr[X86_GPRS];
		struct x86_state s = {.gpr = gpr,
			.rflags = ARITHMETIC,
			.selectors = selectors,
			.stack_bytes = (uint8_t)pushes[i].stack_bytes};
		uint64_t memory[2] = {0xa8a7a6a5a4a3a2a1};
		struct x86_insn insn;
		bool stores = false;

		for (unsigned r = 0; r < X86_GPRS; r++)
			gpr[r] = 0x1111111111111111u * (r + 1);
		assert_int_equal(x86_decode(&insn, pushes[i].size, pushes[i].bytes, pushes[i].n),
			X86_DECODE_OK);
		assert_true(x86_execute(&insn, &s, memory, &stores));
		assert_true(stores);
		assert_memory_equal(memory, &pushes[i].stored, insn.operand_bytes);
		assert_int_equal(gpr[X86_RSP], pushes[i].rsp);
		assert_int_equal(s.rflags, ARITHMETIC);
		gpr[X86_RSP] = SP;
		for (unsigned r = 0; r < X86_GPRS; r++)
			assert_int_equal(gpr[r], 0x1111111111111111u * (r + 1));
	}
}

static void a_selector_is_stored_as_two_bytes(void **state)
{
	static const uint8_t bytes[] = {0x8c, 0x27}; /* mov [edi], fs */
	static const uint8_t segment_6[] = {0x8c, 0x37};
	static const uint16_t selectors[] = {0x10, 0x11, 0x12, 0x13, 0x14, 0x15};
	uint64_t gpr[X86_GPRS] = {0};
	struct x86_state s = {.gpr = gpr, .selectors = selectors};
	uint64_t memory[2] = {~0ull};
	struct x86_insn insn;
	bool stores;

	(void)state;
	assert_int_equal(x86_decode(&insn, X86_CODE_32, bytes, 2), X86_DECODE_OK);
	assert_int_equal(insn.operand_bytes, 2);
	assert_true(x86_execute(&insn, &s, memory, &stores));
	assert_true(stores);
	assert_int_equal(memory[0] & 0xffff, 0x14);
	/* There are six. */
	assert_int_equal(x86_decode(&insn, X86_CODE_32, segment_6, 2), X86_DECODE_OK);
	assert_false(x86_execute(&insn, &s, memory, &stores));
}

/* What does not change memory says so; what only may does store. */
static void stores_are_announced(void **state)
{
	static const struct {
		struct row row;
		bool stores;
	} announced[] = {
		{{"cmp [rdi], ecx", 2, {0x39, 0x0f}, 0}, false},
		{{"test [rdi], ecx", 2, {0x85, 0x0f}, 0}, false},
		{{"bt dword [rdi], 1", 4, {0x0f, 0xba, 0x27, 1}, 0}, false},
		{{"mov ecx, [rdi]", 2, {0x8b, 0x0f}, 0}, false},
		{{"and ecx, [rdi]", 2, {0x23, 0x0f}, 0}, false},
		{{"and [rdi], ecx", 2, {0x21, 0x0f}, 0}, true},
		{{"cmpxchg [rdi], ecx, differs", 3, {0x0f, 0xb1, 0x0f}, 0}, true},
		{{"cmpxchg8b [rdi], differs", 3, {0x0f, 0xc7, 0x0f}, 0}, true},
		{{"shl dword [rdi], 0", 3, {0xc1, 0x27, 0}, 0}, true},
	};

	(void)state;
	for (size_t i = 0; i < N(announced); i++) {
		const struct row *row = &announced[i].row;
		uint64_t gpr[X86_GPRS] = {1, 2, 3, 4};
		struct x86_state s = {.gpr = gpr, .rflags = ARITHMETIC};
		uint64_t memory[2] = {0x87654321};
		struct x86_insn insn;
		bool stores;

		assert_int_equal(x86_decode(&insn, X86_CODE_64, row->bytes, row->n), X86_DECODE_OK);
		assert_true(x86_execute(&insn, &s, memory, &stores));
		if (stores != announced[i].stores)
			fail_msg("%s", row->text);
	}
}

/* A count of 0 changes no flag; one that ends at 0 modulo the width rotates nothing, but sets CF.
 */
static void shifts_by_nothing_keep_the_flags(void **state)
{
	static const struct {
		const char *text;
		uint8_t n;
		uint8_t bytes[4];
		uint64_t flags;
	} shifts[] = {
		{"shl dword [rdi], 32", 3, {0xc1, 0x27, 32}, ARITHMETIC},
		{"sar qword [rdi], 64", 4, {0x48, 0xc1, 0x3f, 64}, ARITHMETIC},
		{"rol byte [rdi], 32", 3, {0xc0, 0x07, 32}, ARITHMETIC},
		{"rol byte [rdi], 8", 3, {0xc0, 0x07, 8}, ARITHMETIC & ~CF},
		{"ror byte [rdi], 16", 3, {0xc0, 0x0f, 16}, ARITHMETIC},
	};

	(void)state;
	for (size_t i = 0; i < N(shifts); i++) {
		uint64_t gpr[X86_GPRS] = {0};
		struct x86_state s = {.gpr = gpr, .rflags = ARITHMETIC};
		uint64_t memory[2] = {0x80};
		struct x86_insn insn;
		bool stores;

		assert_int_equal(x86_decode(&insn, X86_CODE_64, shifts[i].bytes, shifts[i].n),
			X86_DECODE_OK);
		assert_true(x86_execute(&insn, &s, memory, &stores));
		/* OF is undefined but for a count of 1. */
		if (memory[0] != 0x80 || (s.rflags ^ shifts[i].flags) & ~(uint64_t)OF)
			fail_msg("%s: %llx flags %llx", shifts[i].text,
				(unsigned long long)memory[0], (unsigned long long)s.rflags);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(emulation_does_what_the_processor_does),
		cmocka_unit_test(setcc_reads_all_flags),
		cmocka_unit_test(unknown_instructions_change_nothing),
		cmocka_unit_test(pushes_follow_the_manual),
		cmocka_unit_test(a_selector_is_stored_as_two_bytes),
		cmocka_unit_test(stores_are_announced),
		cmocka_unit_test(shifts_by_nothing_keep_the_flags),
	};

	return cmocka_run_group_tests(tests, make_code, NULL);
}
