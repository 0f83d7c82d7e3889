/* SPDX-License-Identifier: MIT */
/*
 * The MMU lock, and the debts that must be paid before it is let go (flush.c).
 */
#ifndef MMU_LOCK_H
#define MMU_LOCK_H

#include "flush.h"
#include "sync.h"
#include "vm.h"

static inline void mmu_lock(struct umbra_vm *vm)
{
	while (atomic_exchange_explicit(&vm->lock, 1, memory_order_acquire)) {
		while (atomic_load_explicit(&vm->lock, memory_order_relaxed))
			;
	}
}

/* Give up after a while: for a panic, whose CPU may hold the lock itself. */
static inline bool mmu_lock_if_possible(struct umbra_vm *vm)
{
	for (unsigned tries = 0; tries < 1u << 20; tries++) {
		if (!atomic_exchange_explicit(&vm->lock, 1, memory_order_acquire))
			return true;
	}
	return false;
}

/* Settle what the event left over, then unlock. */
static inline void mmu_unlock(struct umbra_vm *vm)
{
	if (vm->n_orphans)
		sync_reap_orphans(vm);
	if (vm->flush_all)
		flush_now(vm);
	if (UMBRA_DEBUG)
		vm->reserved = 0;
	atomic_store_explicit(&vm->lock, 0, memory_order_release);
}

#endif
