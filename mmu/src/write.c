/* SPDX-License-Identifier: MIT */
/*
 * Stores into guest page tables; see write.h.
 *
 * One rule decides (write_decide). Costs are in instructions, an exit counts for 300;
 * docs/DESIGN.md has the measurements.
 *
 * - *Unsync* costs the fault, and a look at each flush until it was idle `sticky` times: about
 *   2,500 in all, however many stores there are; and where they change entries, the compares.
 * - *Emulate* costs about 1,200 for each store.
 * - *Unshadow* costs the death of a page, and if the table is used again its birth and a fault for
 *   each group of 8 entries: flood.h.
 *
 * So a table that was written seldom enough to be protected has its next two stores emulated, as
 * long as that is the cheaper; then it goes unsync. A frame that nothing was translated by since it
 * was protected, or that users write, is not used as a table any more: it is given up. And so is a
 * table that is flooded (flood.h).
 *
 * A store that needs the very table it writes (a table that maps itself) would shadow the table
 * again on each retry: so a frame whose store could not be emulated lately goes unsync the next
 * time, whatever the policy says.
 */
#include "write.h"

#include "audit.h"
#include "flood.h"
#include "lock.h"
#include "page.h"
#include "slot.h"
#include "sync.h"

#define EMULATED_FIRST 2u

/* ---- giving a frame up ---- */

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

/* Forget all shadows of @gfn. A page that a vCPU runs on cannot go: then the frame becomes unsync
 * instead. Either way it may be written afterwards. */
static void unshadow(struct umbra_vm *vm, uint64_t gfn)
{
	uint32_t page = page_of_table(vm, gfn, 0);

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

/* The same for a reason that may come again and again. */
static void unshadow_at_times(struct umbra_vcpu *vcpu, uint64_t gfn)
{
	struct umbra_vm *vm = vcpu->vm;
	struct frame *frame = frame_of(vm, gfn);

	note_gave_up(vcpu, gfn);
	if (flood_note_given_up(frame)) {
		vm->stats.mmu_unshadow++;
		unshadow(vm, gfn);
	} else if (frame_protected(frame)) {
		sync_unsync(vm, gfn);
	}
}

/* ---- stores that the host makes ---- */

void write_made(struct umbra_vm *vm, const struct frame *frame, umbra_gpa gpa, size_t n_bytes)
{
	uint64_t gfn = gpa >> X86_PAGE_SHIFT;

	vm->stats.mmu_pte_write++;
	vm->use_seen = false;
	sync_written(vm, gfn, frame_tables(frame), gpa % X86_PAGE_SIZE, n_bytes);
	if (vm->policy.write == UMBRA_WRITE_AUTO && frame_protected(frame) &&
		!(frame->state & FRAME_TRACKED) && flood_store(vm, gfn))
		unshadow(vm, gfn);
}

/* ---- the decision ---- */

/* What speaks for one thing or another. */
struct table {
	bool used;         /* since it was protected */
	bool may_unsync;   /* as far as the policy goes */
	uint32_t emulated; /* stores, since it was protected */
};

static struct table look_at(struct umbra_vm *vm, uint64_t gfn, unsigned n_pages)
{
	struct table table = {.may_unsync = true};
	uint32_t page = 0;

	while (n_pages--) {
		const struct shadow_page *sp;

		page = page_of_table(vm, gfn, page);
		sp = &vm->pages[page];
		table.used = table.used || flood_used(vm, page);
		table.may_unsync = table.may_unsync && page_oos(vm, page_level(sp));
		if (table.emulated < sp->emulated)
			table.emulated = sp->emulated;
	}
	return table;
}

enum write_answer write_decide(
	struct umbra_vcpu *vcpu, uint64_t gfn, const struct frame *frame, access_bits access)
{
	struct umbra_vm *vm = vcpu->vm;
	bool by_user = access & X86_PF_U; /* as no system lets them */
	bool by_cost = vm->policy.write == UMBRA_WRITE_AUTO;
	struct table table;

	vm->stats.pf_write_table++;
	if (!frame || (frame->state & FRAME_TRACKED))
		return WRITE_EMULATE;
	if (UNLIKELY(vcpu->n_gave_up) && gave_up(vcpu, gfn)) {
		sync_unsync(vm, gfn);
		return WRITE_FREE;
	}
	if (vm->policy.write == UMBRA_WRITE_EMULATE)
		return WRITE_EMULATE;
	table = look_at(vm, gfn, frame_tables(frame));
	if (vm->policy.write == UMBRA_WRITE_ZAP) {
		vm->stats.mmu_unshadow++;
		note_gave_up(vcpu, gfn);
		unshadow(vm, gfn);
	} else if (by_cost && (by_user || !table.used)) {
		unshadow_at_times(vcpu, gfn);
	} else if (!table.may_unsync || (by_cost && table.emulated < EMULATED_FIRST)) {
		return WRITE_EMULATE;
	} else {
		sync_unsync(vm, gfn);
	}
	return WRITE_FREE;
}

bool umbra_unshadow(struct umbra_vcpu *vcpu, umbra_gpa gpa)
{
	struct umbra_vm *vm = vcpu->vm;
	uint64_t gfn = gpa >> X86_PAGE_SHIFT;
	const struct slot *slot = slot_find(vm, gfn);
	struct frame *frame = slot_frame(slot, gfn);
	bool may;

	if (!frame || !slot->writable)
		return false;
	mmu_lock(vm);
	may = !(frame->state & FRAME_TRACKED);
	if (may && frame_tables(frame))
		unshadow_at_times(vcpu, gfn);
	mmu_unlock(vm);
	audit_event(vm);
	return may;
}
