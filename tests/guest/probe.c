/* SPDX-License-Identifier: MIT */
/* Probes made and judged. Must not know what a test wants of them. */
#include "tests/guest/guest.h"

extern const uint32_t probe_offsets[N_OPS];

static uint8_t kernel_stack[X86_PAGE_SIZE] __attribute__((aligned(16)));

struct probe probe_of(enum op op, enum who who, word gva, word value)
{
	bool user = who == USER;
	/* Without paging the user's window is not there: his code and stack are at home. */
	bool window = user && mode->levels > 0;
	word ops = window ? (word)(USER_CODE + (probe_ops - probe_code)) : (word)probe_ops;

	return (struct probe){
		.ip = ops + probe_offsets[op],
		.cs = user ? GDT_USER : GDT_KERNEL,
		.flags = 2 | (who == KERNEL_AC ? X86_RFLAGS_AC : 0),
		.sp = (window        ? (word)USER_STACK
			      : user ? (word)user_stack
				     : (word)kernel_stack) +
		      X86_PAGE_SIZE,
		.ss = user ? GDT_USER_DATA : GDT_DATA,
		.si = value,
		.di = gva,
	};
}

struct outcome probe_outcome(const struct probe *probe)
{
	return (struct outcome){
		.vector = (unsigned)probe->vector,
		.error = (uint32_t)probe->error,
		.cr2 = probe->cr2,
		.value = probe->ax,
	};
}

struct outcome attempt(enum op op, enum who who, word gva, word value)
{
	struct probe probe = probe_of(op, who, gva, value);

	probe_run(&probe);
	return probe_outcome(&probe);
}
