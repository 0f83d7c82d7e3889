/* SPDX-License-Identifier: MIT */
/*
 * CPUs and spin locks. The stacks themselves are laid out in hv/boot/entry.S.
 */
#include "hv/core/core.h"
#include "hv/core/insn.h"
#include "hv/core/stack.h"

#include <stdatomic.h>

_Static_assert(sizeof(struct cpu) <= CPU_STATE_BYTES, "struct cpu does not fit above the stack");

struct cpu *cpu_self(void)
{
	uint64_t stack = read_rsp() & ~(CPU_STACK_BYTES - 1ull);

	return (struct cpu *)(uintptr_t)(stack + CPU_STACK_BYTES - CPU_STATE_BYTES);
}

void spin_lock(struct spinlock *lock)
{
	while (atomic_exchange_explicit(&lock->held, 1, memory_order_acquire)) {
		while (atomic_load_explicit(&lock->held, memory_order_relaxed))
			cpu_relax();
	}
}

void spin_unlock(struct spinlock *lock)
{
	atomic_store_explicit(&lock->held, 0, memory_order_release);
}
