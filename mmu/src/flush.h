/* SPDX-License-Identifier: MIT */
/*
 * Who owes which TLB flush. Keeps I8.
 *
 * Rights that the library takes from a live entry of its own accord are flushed everywhere before
 * it returns. Where the guest changed its own table, the guest owes the flush and the stale
 * translation may live until then.
 */
#ifndef MMU_FLUSH_H
#define MMU_FLUSH_H

#include "vm.h"

/* Flush all vCPUs before the MMU lock is let go. Lock: MMU lock held. */
static inline void flush_later(struct umbra_vm *vm)
{
	vm->flush_all = true;
}

/* Flush all vCPUs now: a freed shadow page may be used again. Lock: MMU lock held. */
void flush_now(struct umbra_vm *vm);

/* The guest flushed @vcpu (CR3 load and the like): pass it on. Lock: MMU lock held. */
void flush_vcpu(struct umbra_vcpu *vcpu);

/* The guest flushed one address, and with it the page it is in, however large. Lock: MMU lock held.
 */
void flush_gva(struct umbra_vcpu *vcpu, umbra_gva gva);

#endif
