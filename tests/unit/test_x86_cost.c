/* SPDX-License-Identifier: MIT */
/*
 * What it costs to decode and execute a store, in instructions, counted by single steps of a child:
 * they are part of each store that is done for a guest.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "x86/execute.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

static const struct row {
	const char *text;
	uint8_t bytes[X86_INSN_MAX + 1];
	unsigned decode_limit;
	unsigned execute_limit;
} rows[] = {
	{"mov [rdi], rax", {0x48, 0x89, 0x07}, 170, 70},
	{"mov [rdi+rcx*8], rax", {0x48, 0x89, 0x04, 0xcf}, 190, 70},
	{"xchg [rdi], rax", {0x48, 0x87, 0x07}, 170, 90},
	{"lock and byte [rdi+1], 0xfd", {0xf0, 0x80, 0x67, 0x01, 0xfd}, 250, 160},
	{"lock btr qword [rdi], 1", {0xf0, 0x48, 0x0f, 0xba, 0x37, 0x01}, 260, 160},
	{"lock cmpxchg [rsi], rdx", {0xf0, 0x48, 0x0f, 0xb1, 0x16}, 230, 200},
};

/* ---- the child ---- */

static void mark(void)
{
	__asm__ volatile("int3" : : : "memory");
}

static void run(const struct row *row)
{
	uint64_t gpr[X86_GPRS] = {0};
	struct x86_state state = {.gpr = gpr};
	uint64_t memory[2] = {0};
	struct x86_insn insn;
	bool stores;

	mark();
	x86_decode(&insn, X86_CODE_64, row->bytes, sizeof(row->bytes));
	mark();
	mark();
	x86_execute(&insn, &state, memory, &stores);
	mark();
}

/* ---- the parent ---- */

/* Let the child go on to its next mark, and step from there to the next. Returns how many
 * instructions that took. */
static unsigned count(pid_t child)
{
	siginfo_t info = {0};
	int status;

	ptrace(PTRACE_CONT, child, NULL, NULL);
	waitpid(child, &status, 0);
	assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
	for (unsigned n = 0;; n++) {
		ptrace(PTRACE_SINGLESTEP, child, NULL, NULL);
		waitpid(child, &status, 0);
		assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
		ptrace(PTRACE_GETSIGINFO, child, NULL, &info);
		if (info.si_code == SI_KERNEL)
			return n;
	}
}

static void stores_are_as_cheap_as_is_said(void **state)
{
	pid_t child = fork();
	int status;

	(void)state;
	assert_true(child >= 0);
	if (child == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		for (size_t i = 0; i < N(rows); i++)
			run(&rows[i]);
		_exit(0);
	}
	waitpid(child, &status, 0);
	for (size_t i = 0; i < N(rows); i++) {
		unsigned decode = count(child);
		unsigned execute = count(child);

		print_message("%-28s decode %3u (limit %3u), execute %3u (limit %3u)\n",
			rows[i].text, decode, rows[i].decode_limit, execute, rows[i].execute_limit);
		assert_in_range(decode, 1, rows[i].decode_limit);
		assert_in_range(execute, 1, rows[i].execute_limit);
	}
	ptrace(PTRACE_CONT, child, NULL, NULL);
	waitpid(child, &status, 0);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stores_are_as_cheap_as_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
