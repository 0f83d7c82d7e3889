/* SPDX-License-Identifier: MIT */
/*
 * Out-of-sync guest tables; see sync.h.
 *
 * What a processor may cache is what makes this legal. SDM 3A "Caching Translation Information";
 * APM 2 "Translation-Lookaside Buffer".
 *
 * 1. While a table is unsync its shadow pages may show older guest entries than memory does: the
 *    ones that stand in their snapshots. A processor may likewise use a cached translation until
 *    the guest invalidates it. SDM "Invalidation of TLBs and Paging-Structure Caches".
 * 2. An entry that is not present is never cached, nor one with A=0: so the shadow never holds an
 *    entry for these. A and D are set in guest memory for an access that the guest makes, never for
 *    one that we foresee. SDM "Accessed and Dirty Flags".
 * 3. A fault drops what is cached for its address, at every level: guest memory is read afresh, and
 *    the entries on the way are brought up to date whether the fault is fixed (tree.c), injected or
 *    handed to the host (sync_path; fast.c). SDM "Operations that Invalidate TLBs and
 *    Paging-Structure Caches".
 * 4. A load of CR3, or a change of CR0, CR4 or EFER that flushes: every unsync table that the new
 *    root reaches is brought up to date before the guest goes on (sync_root). Those that it does
 *    not reach wait until something does, or until an idle root is looked after (root.c).
 * 5. INVLPG drops the translations of its address and all paging-structure caches: the last-level
 *    entry of the address, and every unsync table above the last level, are brought up to date
 *    (sync_gva). With EFER.TCE=1 it drops the upper entries of its address alone, and so do we.
 *    APM 2 "Translation Cache Extension".
 * 6. A table that is linked anew is brought up to date first, and so are the unsync tables below
 *    it: no processor could have cached their entries at that place, and an INVLPG there found no
 *    path to them (sync_attach). The same holds for an entry above such tables whose rights change:
 *    it is dropped, to be linked anew.
 * 7. Bringing a table up to date begins with the question whether it was written since it last was:
 *    the processor sets D in the leaves that map its frame (unsync.h). Only then is it compared
 *    with its snapshots, and what differs is changed: removed, given other rights, or, if it is
 *    usable and at the last level, installed.
 * 8. D bits are cleared, to ask again, only where the tag is flushed before the guest goes on, if a
 *    TLB can have them: at rules 4 and 5. At rule 6 they are looked at and left.
 * 9. A table that was found as it was at `sticky` flushes in a row, INVLPGs too for those that they
 *    look at, is write-protected at the next. Until then writing it costs nothing, and a flush no
 *    more than the question.
 * 10. After a flush at most UNSYNC_MAX pages are in a list, which bounds the work of the next.
 */
#include "sync.h"

#include "flood.h"
#include "flush.h"
#include "page.h"
#include "set.h"
#include "slot.h"
#include "spte.h"
#include "tree.h"
#include "unsync.h"

/* ---- tables ---- */

void sync_write_protect(struct umbra_vm *vm, uint64_t gfn)
{
	struct frame *frame = frame_of(vm, gfn);
	bool lost = false;

	for (uint32_t ref = frame->rmap; ref; ref = ref_link(vm, ref)->next)
		lost |= set_read_only(vm, ref);
	if (lost || vm->stale_writable)
		flush_later(vm);
}

/* What was written until now is seen: so protect first, then compare. */
void sync_protect(struct umbra_vm *vm, uint64_t gfn)
{
	frame_of(vm, gfn)->state &= ~(FRAME_UNSYNC | FRAME_WRITTEN);
	sync_write_protect(vm, gfn);
	if (vm->flush_all && vm->n_vcpus > 1)
		flush_now(vm);
	for (uint32_t page = page_of_table(vm, gfn, 0); page; page = page_of_table(vm, gfn, page)) {
		unsync_leave(vm, page);
		sync_page(vm, page);
		flood_begin(vm, page);
	}
}

void sync_unsync(struct umbra_vm *vm, uint64_t gfn)
{
	frame_of(vm, gfn)->state |= FRAME_UNSYNC;
	vm->stats.mmu_unsync++;
	for (uint32_t page = page_of_table(vm, gfn, 0); page; page = page_of_table(vm, gfn, page))
		unsync_join(vm, page);
}

/* Rule 6, for what hangs below a table. */
static void sync_list(struct umbra_vm *vm, uint32_t owner, unsigned which)
{
	for (uint32_t page = vm->pages[owner].unsync[which].first; page;
		page = vm->pages[page].unsync_next) {
		if (unsync_written(vm, page))
			sync_page(vm, page);
	}
}

void sync_attach(struct umbra_vm *vm, uint32_t page, uint32_t owner)
{
	struct shadow_page *sp = &vm->pages[page];

	if (!sp->parents && !sp->roots && sp->owner != owner) {
		page_begin_anew(vm, page, owner);
		if (page_level(sp) > 1)
			return;
	}
	if (page_level(sp) == 1) {
		if (unsync_page(sp) && unsync_written(vm, page))
			sync_page(vm, page);
		return;
	}
	/* Which of them are below is not known. */
	for (unsigned which = 0; which < UNSYNC_LISTS; which++) {
		sync_list(vm, sp->owner, which);
		if (sp->owner)
			sync_list(vm, 0, which);
	}
}

/* ---- events ---- */

/* Rule 7 at a flush. Returns true if something was found changed. */
static bool flush_page(struct umbra_vm *vm, uint32_t page)
{
	if (!unsync_take_written(vm, page)) {
		vm->stats.mmu_sync_skipped++;
		return false;
	}
	if (LIKELY(vm->policy.snapshot))
		return sync_page(vm, page);
	vm->stats.mmu_sync++;
	vm->use_seen = true; /* for all that is known */
	page_empty(vm, page, false);
	return true;
}

/* The table of @page changes: its other pages need not. */
static void changed(struct umbra_vm *vm, uint32_t page)
{
	struct shadow_page *sp = &vm->pages[page];

	sp->idle = 0;
	if (UNLIKELY(frame_many_tables(sp->frame))) {
		for (uint32_t p = page_of_table(vm, sp->gfn, 0); p;
			p = page_of_table(vm, sp->gfn, p))
			vm->pages[p].idle = 0;
	}
	flood_flush(vm, page);
}

/* Several vCPUs: take W from all tables that flush_list() may be about to protect before it looks
 * at any of them, so that one flush does for all. */
static void take_writes(struct umbra_vm *vm, uint32_t owner, unsigned which)
{
	for (uint32_t page = vm->pages[owner].unsync[which].first; page;
		page = vm->pages[page].unsync_next) {
		if (vm->pages[page].idle >= vm->policy.sticky)
			sync_write_protect(vm, vm->pages[page].gfn);
	}
	if (vm->flush_all)
		flush_now(vm);
}

/* Rules 4, 5, 9 and 10. */
static void flush_list(struct umbra_vm *vm, uint32_t owner, unsigned which)
{
	unsigned n = 0;

	if (UNLIKELY(vm->n_vcpus > 1))
		take_writes(vm, owner, which);
	for (uint32_t page = vm->pages[owner].unsync[which].first; page; page = vm->unsync_next) {
		struct shadow_page *sp = &vm->pages[page];

		vm->unsync_next = sp->unsync_next;
		if (flush_page(vm, page))
			changed(vm, page);
		else if (++sp->idle > vm->policy.sticky || !page_oos(vm, page_level(sp)))
			sync_protect(vm, sp->gfn);
		if (++n > UNSYNC_MAX && sp->listed)
			sync_protect(vm, sp->gfn);
		/* From the root down: before what hangs below them is compared in vain. */
		if (vm->n_orphans)
			sync_reap_orphans(vm);
	}
}

void sync_owner(struct umbra_vm *vm, uint32_t owner)
{
	flush_list(vm, owner, UNSYNC_UPPER);
	flush_list(vm, owner, UNSYNC_LEAF);
}

/* Call @each for the owners of what @root reaches: itself, or those below PDPTEs, and 0. */
static inline void for_each_owner(
	struct umbra_vm *vm, uint32_t root, void (*each)(struct umbra_vm *vm, uint32_t owner))
{
	if (LIKELY(!(vm->pages[root].role & ROLE_PAE_ROOT))) {
		if (vm->pages[root].owner)
			each(vm, root);
	} else {
		for (unsigned i = 0; i < 4; i++) {
			uint64_t spte = set_read(vm, root, i);
			uint32_t child = spte ? spte_child(vm, spte) : 0;

			if (child && vm->pages[child].owner)
				each(vm, vm->pages[child].owner);
		}
	}
	each(vm, 0);
}

void sync_root(struct umbra_vm *vm, uint32_t root)
{
	vm->use_seen = false;
	for_each_owner(vm, root, sync_owner);
}

void sync_path(struct umbra_vm *vm, umbra_gva gva, uint32_t page)
{
	unsigned level = page_level(&vm->pages[page]);

	for (; !page_direct(&vm->pages[page]); level--) {
		unsigned index = gva_index(gva, level);
		uint64_t spte;

		sync_entry_now(vm, page, index);
		if (page_narrow(&vm->pages[page]))
			sync_other_half(vm, page, index);
		spte = set_read(vm, page, index);
		if (!spte_present(spte) || spte_is_leaf(spte, level))
			return;
		page = spte_child(vm, spte);
	}
}

/* Upper tables are written rarely: when one was, it is better to flush more now than to compare it
 * at every INVLPG from here on. */
static void sync_upper(struct umbra_vm *vm, uint32_t owner)
{
	flush_list(vm, owner, UNSYNC_UPPER);
}

void sync_gva(struct umbra_vcpu *vcpu, umbra_gva gva)
{
	struct umbra_vm *vm = vcpu->vm;
	const struct descent *known;
	struct walk walk;

	vm->use_seen = false;
	if (!(vcpu->regs.efer & X86_EFER_TCE))
		for_each_owner(vm, vcpu->root, sync_upper);
	known = tree_known(vcpu, gva);
	if (LIKELY(known)) {
		sync_entry_now(vm, known->page, gva_index(gva, 1));
	} else {
		/* Down to where this ends there is nothing to do. */
		tree_descend(vcpu, gva, &walk);
		sync_path(vm, gva, walk.page);
	}
}

/* ---- orphans ---- */

void sync_reap_orphans(struct umbra_vm *vm)
{
	while (vm->n_orphans) {
		uint32_t page = vm->orphans[--vm->n_orphans];
		const struct shadow_page *sp = &vm->pages[page];

		if (sp->in_use && !sp->parents && !sp->roots)
			page_zap(vm, page, true);
	}
}
