/* SPDX-License-Identifier: MIT */
/*
 * Stores into guest page tables; see write.h.
 *
 * One rule decides (write_decide): let the table out of sync where the policy allows that for its
 * level; otherwise have the store emulated; where nobody can emulate it, forget the shadows of the
 * frame.
 *
 * A store that needs the very table it writes (a table that maps itself) would shadow the table
 * again on each retry: so a frame whose store could not be emulated lately goes unsync the next
 * time, whatever the policy says.
 */
#include "write.h"

#include "audit.h"
#include "lock.h"
#include "mode.h"
#include "page.h"
#include "slot.h"
#include "sync.h"

static bool oos_allows(struct umbra_vm *vm, uint64_t gfn)
{
	for (uint32_t page = page_of_table(vm, gfn, 0); page; page = page_of_table(vm, gfn, page)) {
		if (!page_oos(vm, page_level(&vm->pages[page])))
			return false;
	}
	return true;
}

static bool gave_up(const struct umbra_vcpu *vcpu, uint64_t gfn)
{
	for (unsigned i = 0; i < vcpu->n_gave_up && i < GAVE_UP_MAX; i++) {
		if (vcpu->gave_up[i] == gfn)
			return true;
	}
	return false;
}

static void note_gave_up(struct umbra_vcpu *vcpu, uint64_t gfn)
{
	vcpu->gave_up[vcpu->n_gave_up++ % GAVE_UP_MAX] = gfn;
}

void write_unshadow(struct umbra_vm *vm, uint64_t gfn)
{
	uint32_t page = page_of_table(vm, gfn, 0);

	vm->stats.mmu_unshadow++;
	while (page) {
		if (vm->pages[page].roots) {
			page = page_of_table(vm, gfn, page);
		} else {
			page_zap(vm, page, false);
			page = page_of_table(vm, gfn, 0);
		}
	}
	if (frame_protected(frame_of(vm, gfn)))
		sync_unsync(vm, gfn);
}

enum write_answer write_decide(struct umbra_vcpu *vcpu, const struct walk *walk)
{
	struct umbra_vm *vm = vcpu->vm;

	if (oos_allows(vm, walk->gfn) || gave_up(vcpu, walk->gfn)) {
		sync_unsync(vm, walk->gfn);
		return WRITE_FREE;
	}
	if (vm->policy.emulate)
		return WRITE_EMULATE;
	note_gave_up(vcpu, walk->gfn);
	write_unshadow(vm, walk->gfn);
	return WRITE_FREE;
}

/* ---- the embedder's side ---- */

/* An aligned entry must change at once: another vCPU may be walking it. */
static void store_bytes(uint8_t *to, const uint8_t *from, size_t n_bytes)
{
	size_t n;

	for (; n_bytes; n_bytes -= n, to += n, from += n) {
		uintptr_t at = (uintptr_t)to;
		uint64_t word = 0;

		n = at % 8 == 0 && n_bytes >= 8 ? 8 : at % 4 == 0 && n_bytes >= 4 ? 4 : 1;
		for (size_t i = 0; i < n; i++)
			word |= (uint64_t)from[i] << (8 * i);
		if (n == 8)
			atomic_store((_Atomic uint64_t *)at, word);
		else if (n == 4)
			atomic_store((_Atomic uint32_t *)at, (uint32_t)word);
		else
			atomic_store((_Atomic uint8_t *)at, (uint8_t)word);
	}
}

bool umbra_guest_write(struct umbra_vcpu *vcpu, umbra_gpa gpa, const void *bytes, size_t n_bytes)
{
	struct umbra_vm *vm = vcpu->vm;
	uint64_t gfn = gpa >> X86_PAGE_SHIFT;
	unsigned offset = gpa % X86_PAGE_SIZE;
	struct slot *slot = slot_find(vm, gfn);
	uint8_t *to = slot_pointer(slot, gpa);

	if (!to || !slot->writable || n_bytes > X86_PAGE_SIZE - offset)
		return false;
	if (!n_bytes)
		return true;
	mmu_lock(vm);
	store_bytes(to, bytes, n_bytes);
	if (slot_frame(slot, gfn)->shadows) {
		vm->stats.mmu_pte_write++;
		sync_written(vm, gfn, offset, n_bytes);
	}
	mmu_unlock(vm);
	audit_event(vm);
	return true;
}

void umbra_unshadow(struct umbra_vcpu *vcpu, umbra_gpa gpa)
{
	struct umbra_vm *vm = vcpu->vm;
	uint64_t gfn = gpa >> X86_PAGE_SHIFT;
	struct slot *slot = slot_find(vm, gfn);

	mmu_lock(vm);
	if (slot && slot->writable && slot->frames && slot_frame(slot, gfn)->shadows) {
		note_gave_up(vcpu, gfn);
		write_unshadow(vm, gfn);
	}
	mmu_unlock(vm);
	audit_event(vm);
}
