/* SPDX-License-Identifier: MIT */
/*
 * Who owes which TLB flush. Keeps I8.
 *
 * Rights that the library takes from a live entry of its own accord are flushed everywhere before
 * it returns. Where the guest changed its own table, the guest owes the flush and the stale
 * translation may live until then. When the guest pays, the hardware is flushed only if there is
 * something to forget. For that there is a clock: a *loss* (an entry was emptied, lost rights or
 * its D bit, or leads elsewhere) puts its time into the page that owns the entry (pages[0]: reached
 * by several), and a flush its own into the tag. A tag is clean if nothing that its root reaches
 * was lost since.
 */
#ifndef MMU_FLUSH_H
#define MMU_FLUSH_H

#include "vm.h"

/* An entry of @page lost something that a TLB may hold. Lock: MMU lock held, here and below. */
static inline void flush_note_lost(struct umbra_vm *vm, uint32_t page)
{
	vm->pages[vm->pages[page].owner].lost = ++vm->clock;
}

/* Flush all vCPUs before the MMU lock is let go. */
static inline void flush_later(struct umbra_vm *vm)
{
	vm->flush_all = true;
}

/* Flush all vCPUs, all tags, now: a freed shadow page may be used again. */
void flush_now(struct umbra_vm *vm);

/* @vcpu goes on with vcpu->root, after the guest flushed what it had: choose a tag, and flush that
 * unless it is clean. @always: even then, and so the other tags when they are used next. */
void flush_enter(struct umbra_vcpu *vcpu, bool always);

/* Nothing is cached under the tag that @vcpu runs with: it is new, or is being flushed. */
void flush_nothing(struct umbra_vcpu *vcpu);

/* The guest flushed one address, and with it the page it is in, however large.
 */
void flush_gva(struct umbra_vcpu *vcpu, umbra_gva gva);

#endif
