/* SPDX-License-Identifier: MIT */
/*
 * Another processor between any two instructions of a call: the call is made in single steps, and
 * after each of them somebody else acts. What has to happen at once is found out for certain, which
 * threads would leave to chance.
 */
#ifndef TESTS_UNIT_MMU_STEPS_H
#define TESTS_UNIT_MMU_STEPS_H

/* REG_EFL is none of ISO C: so this header comes before all others. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <signal.h>
#include <ucontext.h>

#include "tests/unit/mmu_host.h"

#define EFLAGS_TF 0x100

struct steps {
	void (*act)(void *ctx); /* after each instruction */
	void *ctx;
	volatile sig_atomic_t on;
	volatile unsigned n; /* instructions until now */
};

static struct steps steps;

static inline void steps_trap(int signal, siginfo_t *info, void *context)
{
	ucontext_t *machine = context;

	(void)signal;
	(void)info;
	if (!steps.on) {
		machine->uc_mcontext.gregs[REG_EFL] &= ~EFLAGS_TF;
		return;
	}
	steps.n++;
	steps.act(steps.ctx);
}

static inline void steps_begin(void (*act)(void *ctx), void *ctx)
{
	struct sigaction action = {.sa_sigaction = steps_trap, .sa_flags = SA_SIGINFO};

	assert_int_equal(sigaction(SIGTRAP, &action, NULL), 0);
	steps = (struct steps){.act = act, .ctx = ctx, .on = 1};
	/* The compiler may keep something below the stack pointer. */
	__asm__ volatile("lea -128(%%rsp), %%rsp\n\t"
			 "pushfq\n\t"
			 "orq %0, (%%rsp)\n\t"
			 "popfq\n\t"
			 "lea 128(%%rsp), %%rsp"
			 :
			 : "i"(EFLAGS_TF)
			 : "memory", "cc");
}

/* Returns how many there were. */
static inline unsigned steps_end(void)
{
	steps.on = 0;
	__asm__ volatile("nop" ::: "memory");
	return steps.n;
}

#endif
