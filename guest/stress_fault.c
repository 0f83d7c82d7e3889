/* SPDX-License-Identifier: MIT */
/*
 * Owns the handler of SIGSEGV and SIGBUS: a fault is expected by stress_access(), answered by the
 * function of stress_answer_faults(), or wrong.
 */
#include "guest/stress.h"

#include <setjmp.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>

/* A process has one of each. */
static struct stress *worker;
static struct {
	sigjmp_buf back;
	const char *volatile page; /* NULL: no fault is expected */
} expected;
static struct {
	char *start, *end;
	void (*answer)(char *address); /* NULL: none */
} answered;

static void on_fault(int signal_number, siginfo_t *info, void *context)
{
	char *address = info->si_addr;

	(void)context;
	if (expected.page) {
		/* Within the page: the code of a page lies behind its first word. */
		if (address < expected.page || address >= expected.page + PAGE_BYTES)
			stress_wrong(worker, "signal %d for %p, but the access was at %p",
				signal_number, (void *)address, (const void *)expected.page);
		siglongjmp(expected.back, signal_number);
	}
	if (answered.answer && address >= answered.start && address < answered.end) {
		answered.answer(address);
		return;
	}
	stress_wrong(worker, "signal %d (code %d) at %p, where no access may fault", signal_number,
		info->si_code, (void *)address);
}

void stress_catch_faults(struct stress *s)
{
	/* Nothing is masked in the handler, so that it may be left by a jump. */
	struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};

	worker = s;
	if (sigaction(SIGSEGV, &action, NULL) != 0 || sigaction(SIGBUS, &action, NULL) != 0)
		stress_failed(s, "sigaction");
}

static void access_now(char *page, enum stress_access how)
{
	volatile char *byte = page;
	void (*code)(void);

	switch (how) {
	case STRESS_READ:
		(void)*byte;
		break;
	case STRESS_WRITE:
		/* One instruction that reads and writes, of the bits it reads. */
		__asm__ volatile("orb $0, %0" : "+m"(*byte));
		break;
	case STRESS_EXECUTE:
		page += 2 * sizeof(uint64_t);
		memcpy(&code, &page, sizeof(code));
		code();
		break;
	}
}

int stress_access(void *page, enum stress_access how)
{
	int signal_number = sigsetjmp(expected.back, 0);

	if (signal_number == 0) {
		expected.page = page;
		access_now(page, how);
	}
	expected.page = NULL;
	return signal_number;
}

void stress_expect_access(struct stress *s, void *page, enum stress_access how, int wanted)
{
	static const char *const names[] = {"reading", "writing", "executing"};
	int signal_number = stress_access(page, how);

	stress_count_check(s);
	if (signal_number != wanted)
		stress_wrong(s, "%s at %p gave signal %d, not %d", names[how], page, signal_number,
			wanted);
}

void stress_answer_faults(char *start, char *end, void (*answer)(char *address))
{
	answered.answer = NULL;
	answered.start = start;
	answered.end = end;
	answered.answer = answer;
}
