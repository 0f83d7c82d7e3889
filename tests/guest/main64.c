/* SPDX-License-Identifier: MIT */
/* The 64-bit world's work, as struct shared asks for it. */
#include "tests/guest/guest.h"

/* Called from boot64.S. */
void main64(struct shared *from);

void main64(struct shared *from)
{
	struct outcome got;

	shared = from;
	cpu_detect();
	descriptors_make();
	descriptors_load();
	mode_tables_make();
	mode_enter(shared->mode);
	switch ((enum job)shared->job) {
	case JOB_TESTS:
		run_tests();
		break;
	case JOB_BENCH:
		run_bench();
		break;
	case JOB_READ:
		write_cr3(shared->root);
		got = attempt(OP_READ32, KERNEL, shared->gva, 0);
		shared->value = got.vector == TRAP_DONE ? (uint32_t)got.value : ~0u;
		break;
	}
}
